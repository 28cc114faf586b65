"""Right and wrong answers to the homework on questions about pictures, as students write them.

``RIGHT``: for each function, different ways that must pass. ``WRONG``: for each function, a word
that the hint must hold, which names the cause, and the answer that must fail.
"""

from collections import Counter
from itertools import combinations

import numpy as np
import scipy.special
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC


def prior_by_counter(types, answers, new_types):
    def favourite(words):
        counts = Counter(words)
        return min(word for word in counts if counts[word] == max(counts.values()))

    by_type = {}
    for kind, word in zip(types.tolist(), answers.tolist(), strict=True):
        by_type.setdefault(kind, []).append(word)
    return [favourite(by_type.get(kind, answers.tolist())) for kind in new_types.tolist()]


def prior_by_table(types, answers, new_types):
    size = max(types.max(), new_types.max()) + 1
    table = np.zeros((size, answers.max() + 1), int)
    np.add.at(table, (types, answers), 1)
    table[table.sum(axis=1) == 0] = table.sum(axis=0)
    return table.argmax(axis=1)[new_types]


def prior_of(pick, *, unseen=None):
    def answer(types, answers, new_types):
        fallback = np.bincount(answers).argmax() if unseen is None else unseen
        return [pick(answers[types == k]) if (types == k).any() else fallback for k in new_types]

    return answer


def last_of_equals(words):
    counts = Counter(words.tolist())
    return max(word for word in counts if counts[word] == max(counts.values()))


def rarest_or_rarest_overall(types, answers, new_types):
    def rarest(words):
        kinds, counts = np.unique(words, return_counts=True)
        return kinds[counts.argmin()]

    found = [answers[types == kind] for kind in new_types]
    return [rarest(words) if len(words) else np.bincount(answers).argmax() for words in found]


def averaged(types, answers, new_types):
    found = [answers[types == kind] for kind in new_types]
    return [round(words.mean()) if len(words) else np.bincount(answers).argmax() for words in found]


def accuracy_by_leaving_out(answer, humans):
    total = 0
    for i in range(len(humans)):
        agree = sum(human == answer for j, human in enumerate(humans) if j != i)
        total += min(3, agree)
    return total / 3 / len(humans)


def accuracy_by_subsets(answer, humans):
    """All groups of nine, as the official description says."""
    groups = [humans_left.count(answer) for humans_left in combinations(humans, len(humans) - 1)]
    return np.minimum(np.array(groups) / 3, 1).mean()


def accuracy_with(share):
    def answer(answer, humans):
        counts = [sum(h == answer for h in humans) - (human == answer) for human in humans]
        return sum(map(share, counts)) / len(counts)

    return answer


def accuracy_of_most_common(answer, humans):
    return float(max(humans, key=humans.count) == answer)


def film_by_channel(grid, question, to_scale, to_shift):
    out = np.zeros_like(grid)
    for c, channel in enumerate(grid):
        x = (channel - channel.mean()) / np.sqrt(channel.var() + 1e-5)
        x = x * (1 + sum(question * to_scale[:, c])) + sum(question * to_shift[:, c])
        out[c] = x.clip(0)
    return out


def film_by_einsum(grid, question, to_scale, to_shift):
    x = grid - np.einsum("crk->c", grid)[:, None, None] / grid[0].size
    x = x / np.sqrt(np.einsum("crk,crk->c", x, x) / grid[0].size + 1e-5)[:, None, None]
    scale, shift = np.einsum("d,tdc->tc", question, np.stack([to_scale, to_shift]))
    out = np.einsum("c,crk->crk", scale, x) + x + shift.reshape(-1, 1, 1)
    return out * (out > 0)


def film_with(normal=None, end=None):
    def standard(x):
        return (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + 1e-5)

    def answer(grid, question, to_scale, to_shift):
        gamma = np.reshape(question @ to_scale, (-1, 1, 1))
        beta = np.reshape(question @ to_shift, (-1, 1, 1))
        usual = lambda x, g, b: np.maximum(0, (1 + g) * x + b)  # noqa: E731
        return (end or usual)((normal or standard)(grid), gamma, beta)

    return answer


def over(axis):
    return lambda x: (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + 1e-5)


def hops_in_a_loop(grid, question, to_grid, to_question, to_score):
    u = question.copy()
    for k in range(len(to_grid)):
        scores = [to_score[k] @ np.tanh(cell @ to_grid[k] + u @ to_question[k]) for cell in grid]
        u = u + sum(p * cell for p, cell in zip(scipy.special.softmax(scores), grid, strict=True))
    return u


def hops_by_recursion(grid, question, to_grid, to_question, to_score):
    if len(to_grid) == 0:
        return question
    bent = np.tanh(np.einsum("cf,fm->cm", grid, to_grid[0]) + question @ to_question[0])
    seen = np.einsum("c,cf->f", scipy.special.softmax(bent @ to_score[0]), grid)
    return hops_by_recursion(grid, question + seen, to_grid[1:], to_question[1:], to_score[1:])


def hops_with(
    weigh=scipy.special.softmax, asked=lambda q, u: u, onward=lambda q, u, seen: u + seen
):
    def answer(grid, question, to_grid, to_question, to_score):
        u = question
        for a, b, v in zip(to_grid, to_question, to_score, strict=True):
            weights = weigh(np.tanh(grid @ a + asked(question, u) @ b) @ v)
            u = onward(question, u, weights @ grid)
        return u

    return answer


def same_tables(grid, question, *tables):
    return hops_in_a_loop(grid, question, *(t[[0] * len(t)] for t in tables))


def one_hop(grid, question, *tables):
    return hops_in_a_loop(grid, question, *(t[:1] for t in tables))


def backwards(grid, question, *tables):
    return hops_in_a_loop(grid, question, *(t[::-1] for t in tables))


def fusion_by_example(pictures, questions, to_picture, to_question, upstream):
    total = np.zeros_like(to_picture)
    for p, q, g in zip(pictures, questions, upstream, strict=True):
        a, b = np.tanh(p @ to_picture), np.tanh(q @ to_question)
        total += np.outer(p, g * b * (1 - a) * (1 + a))
    return total


def fusion_by_differences(pictures, questions, to_picture, to_question, upstream):
    def loss(table):
        return np.sum(upstream * np.tanh(pictures @ table) * np.tanh(questions @ to_question))

    slopes = np.zeros_like(to_picture)
    for place in np.ndindex(*to_picture.shape):
        bit = np.zeros_like(to_picture)
        bit[place] = 1e-5
        slopes[place] = (loss(to_picture + bit) - loss(to_picture - bit)) / 2e-5
    return slopes


def fusion_with(slope):
    def answer(pictures, questions, to_picture, to_question, upstream):
        a, b = np.tanh(pictures @ to_picture), np.tanh(questions @ to_question)
        return np.einsum("np,nh->ph", pictures, slope(upstream, a, b))

    return answer


def fusion_of_questions(pictures, questions, to_picture, to_question, upstream):
    return fusion_by_example(questions, pictures, to_question, to_picture, upstream)


def products(pictures, questions):
    return (pictures[:, :, None] * questions[:, None, :]).reshape(len(pictures), -1)


def answers_by_products(pictures, questions, answers, new_pictures, new_questions):
    x, new = products(pictures, questions), products(new_pictures, new_questions)
    weights = np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1]), x.T @ (2 * answers - 1))
    return np.where(new @ weights > 0, 1, 0)


def answers_by_kernel(pictures, questions, answers, new_pictures, new_questions):
    """Two examples are alike if their pictures and their questions are: products again."""
    machine = SVC(kernel="precomputed", C=0.01)
    machine.fit((pictures @ pictures.T) * (questions @ questions.T), answers)
    return machine.predict((new_pictures @ pictures.T) * (new_questions @ questions.T))


def answers_by_training(pictures, questions, answers, new_pictures, new_questions):
    """Point-wise product of two projections, trained by gradient descent."""
    rng = np.random.default_rng(0)
    to_picture = rng.normal(size=(pictures.shape[1], 30)) * 0.2
    to_question = rng.normal(size=(questions.shape[1], 30)) * 0.2
    out = rng.normal(size=30) * 0.2
    for _ in range(200):
        a, b = pictures @ to_picture, np.tanh(questions @ to_question)
        error = (scipy.special.expit((a * b) @ out) - answers) / len(answers)
        by_product = np.outer(error, out)
        to_picture -= 0.5 * pictures.T @ (by_product * b)
        to_question -= 0.5 * questions.T @ (by_product * a * (1 - b**2))
        out -= 0.5 * (a * b).T @ error
    logits = ((new_pictures @ to_picture) * np.tanh(new_questions @ to_question)) @ out
    return (logits > 0).astype(int)


def linear(inputs_of):
    """Return a logistic regression on what ``inputs_of(pictures, questions)`` gives."""

    def answer(pictures, questions, answers, new_pictures, new_questions):
        model = LogisticRegression(C=0.1, max_iter=300)
        model.fit(inputs_of(pictures, questions), answers)
        return model.predict(inputs_of(new_pictures, new_questions))

    return answer


def nearest(pictures, questions, answers, new_pictures, new_questions):
    x, new = np.hstack([pictures, questions]), np.hstack([new_pictures, new_questions])
    return answers[((new[:, None] - x) ** 2).sum(axis=2).argmin(axis=1)]


RIGHT = {
    "majority_by_type": [prior_by_counter, prior_by_table],
    "vqa_accuracy": [accuracy_by_leaving_out, accuracy_by_subsets],
    "film": [film_by_channel, film_by_einsum],
    "stacked_attention": [hops_in_a_loop, hops_by_recursion],
    "fusion_gradient": [fusion_by_example, fusion_by_differences],
    "answer_questions": [answers_by_products, answers_by_kernel, answers_by_training],
}
WRONG = {
    "majority_by_type": [
        ("never seen", prior_of(lambda words: np.bincount(words).argmax(), unseen=0)),
        ("equally frequent: take", prior_of(last_of_equals)),
        ("came first", prior_of(lambda words: Counter(words.tolist()).most_common(1)[0][0])),
        ("within each type", lambda t, a, new: [np.bincount(a).argmax()] * len(new)),
        ("rarest", rarest_or_rarest_overall),
        ("averaged", averaged),
        ("training set", lambda t, a, new: prior_by_table(t, a, t)),
        ("whole number", lambda *x: np.array(prior_by_table(*x), float)),
    ],
    "vqa_accuracy": [
        ("not quite enough", lambda a, h: min(h.count(a) / 3, 1)),
        ("share of people", lambda a, h: np.mean([human == a for human in h])),
        ("a third of a point", lambda a, h: int(a in h)),
        ("most frequent", accuracy_of_most_common),
        ("not limited", accuracy_with(lambda count: count / 3)),
        ("count for nothing", accuracy_with(lambda count: count >= 3)),
        ("always one who agrees", lambda a, h: max(0, min(1, (h.count(a) - 1) / 3))),
        ("divided by nine", lambda a, h: accuracy_by_subsets(a, h) * 10 / 9),
    ],
    "film": [
        ("1 missing", film_with(end=lambda x, g, b: np.maximum(0, g * x + b))),
        ("swapped", lambda x, q, s, t: film_by_channel(x, q, t, s)),
        ("not normalised", film_with(normal=lambda x: x)),
        ("over the channels", film_with(normal=over(0))),
        ("one mean and variance", film_with(normal=over((0, 1, 2)))),
        ("ReLU at the end", film_with(end=lambda x, g, b: (1 + g) * x + b)),
        ("too early", film_with(end=lambda x, g, b: (1 + g) * x.clip(0) + b)),
        ("before the scale", film_with(end=lambda x, g, b: ((1 + g) * (x + b)).clip(0))),
    ],
    "stacked_attention": [
        ("asks the first question", hops_with(asked=lambda q, u: q)),
        ("question is lost", hops_with(onward=lambda q, u, seen: seen)),
        ("hops are forgotten", hops_with(onward=lambda q, u, seen: q + seen)),
        ("tables of the first", same_tables),
        ("Only one hop", one_hop),
        ("last to the first", backwards),
        ("used as weights", hops_with(weigh=lambda s: s)),
        ("weigh the same", hops_with(weigh=lambda s: np.ones(len(s)) / len(s))),
    ],
    "fusion_gradient": [
        ("other stream is missing", fusion_with(lambda g, a, b: g * (1 - a**2))),
        ("tanh is forgotten", fusion_with(lambda g, a, b: g * b)),
        ("not 1 - a,", fusion_with(lambda g, a, b: g * b * (1 - a))),
        ("sigmoid", fusion_with(lambda g, a, b: g * b * a * (1 - a))),
        ("question's stream was", fusion_with(lambda g, a, b: g * b * (1 - b**2))),
        ("put in as the factor", fusion_with(lambda g, a, b: g * a * (1 - a**2))),
        ("averaged", lambda p, *rest: fusion_by_example(p, *rest) / len(p)),
        ("respect to to_question", fusion_of_questions),
        ("swapped", lambda *x: fusion_by_example(*x).T),
    ],
    "answer_questions": [
        ("questions alone", linear(lambda pictures, questions: questions)),
        ("pictures alone", linear(lambda pictures, questions: pictures)),
        ("side by side", linear(lambda pictures, questions: np.hstack([pictures, questions]))),
        ("1 is yes", lambda *x: 1 - answers_by_products(*x)),
        ("must depend", lambda p, q, a, new_p, new_q: [int(a.mean() > 0.5)] * len(new_p)),
        ("kept small", nearest),
        ("shape", lambda p, q, a, new_p, new_q: answers_by_products(p, q, a, p, q)),
        ("whole numbers", lambda *x: answers_by_products(*x).astype(float)),
    ],
}
