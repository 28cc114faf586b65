"""Right and wrong answers to the homework on word2vec, as students would write them.

``RIGHT``: for each function, different ways that must pass. ``WRONG``: for each function, a word
that the hint must hold, which names the cause, and the answer that must fail.
"""

import math

import numpy as np
import scipy.special


def pairs_by_two_loops(words, window):
    pairs = []
    for i in range(len(words)):
        for j in range(max(0, i - window), min(len(words), i + window + 1)):
            if i != j:
                pairs.append((words[i], words[j]))
    return pairs


def pairs_by_slices(words, window):
    pairs = []
    for i, centre in enumerate(words.tolist()):
        around = [*words[max(0, i - window) : i], *words[i + 1 : i + 1 + window]]
        pairs += [[centre, int(context)] for context in around]
    return np.array(pairs)


def slices_from_a_negative_start(words, window):
    pairs = []
    for i, centre in enumerate(words):
        pairs += [(centre, word) for word in words[i - window : i]]
        pairs += [(centre, word) for word in words[i + 1 : i + 1 + window]]
    return pairs


def pairs_without_max(words, window):
    """Negative places count from the end; beyond the end there is nothing to index."""
    size = len(words)
    return [
        (words[i], words[(i + d) % size])
        for i in range(size)
        for d in [*range(-window, 0), *range(1, window + 1)]
    ]


def pairs_by_distance(words, window):
    pairs = []
    for i in range(len(words)):
        for distance in range(1, window + 1):
            for j in (i - distance, i + distance):
                if 0 <= j < len(words):
                    pairs.append((words[i], words[j]))
    return pairs


def pairs_of_whole_windows(words, window):
    pairs = []
    for i in range(window, len(words) - window):
        pairs += [(words[i], words[i + d]) for d in range(-window, window + 1) if d]
    return pairs


def filtered(condition):
    """Return the two loops with another condition for a context."""

    def answer(words, window):
        size = range(len(words))
        return [(words[i], words[j]) for i in size for j in size if condition(words, window, i, j)]

    return answer


def keep_by_program(counts, threshold):
    """As word2vec.c writes it."""
    limit = threshold * counts.sum()
    return np.clip((np.sqrt(counts / limit) + 1) * limit / counts, None, 1)


def keep_in_a_loop(counts, threshold):
    total = sum(int(count) for count in counts)
    kept = []
    for count in counts:
        share = count / total
        kept.append(min(1.0, math.sqrt(threshold / share) + threshold / share))
    return kept


def ratio(counts, threshold):
    return threshold / (counts / np.sum(counts))


def loss_by_scipy(centres, contexts, centre_id, context_id):
    return -scipy.special.log_softmax(centres[centre_id] @ contexts.T)[context_id]


def loss_by_differences(centres, contexts, centre_id, context_id):
    """-log p is the logarithm of a sum of exp(other score - own score)."""
    gaps = [float((row - contexts[context_id]) @ centres[centre_id]) for row in contexts]
    largest = max(gaps)
    return largest + math.log(sum(math.exp(gap - largest) for gap in gaps))


@np.errstate(all="ignore")
def loss_overflowing(centres, contexts, centre_id, context_id):
    scores = np.exp(contexts @ centres[centre_id])
    return -np.log(scores[context_id] / scores.sum())


@np.errstate(all="ignore")
def loss_of_rounded_probability(centres, contexts, centre_id, context_id):
    return -np.log(scipy.special.softmax(contexts @ centres[centre_id])[context_id])


def loss_with_epsilon(centres, contexts, centre_id, context_id):
    return -np.log(scipy.special.softmax(contexts @ centres[centre_id])[context_id] + 1e-9)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def gradients_in_a_loop(centre, context, negatives):
    error = logistic(context @ centre) - 1
    for_centre, for_context = error * context, error * centre
    for_negatives = []
    for negative in negatives:
        error = logistic(negative @ centre)
        for_centre = for_centre + error * negative
        for_negatives.append(error * centre)
    return [for_centre, for_context, *for_negatives]


def gradients_by_differences(centre, context, negatives):
    """Step a little each way and see how the loss changes."""

    def loss(vectors):
        v, u, noise = vectors[0], vectors[1], vectors[2:]
        return np.log1p(np.exp(-u @ v)) + np.log1p(np.exp(noise @ v)).sum()

    at = np.vstack([centre, context, negatives])
    slopes = np.zeros_like(at)
    for place in np.ndindex(*at.shape):
        step = np.zeros_like(at)
        step[place] = 1e-4
        slopes[place] = (loss(at + step) - loss(at - step)) / 2e-4
    return slopes


def gradients_with(errors, *, centre_row=None, other_rows=None):
    """Return the gradients with other errors, or with other rows made from them."""

    def answer(v, u, negatives):
        others = np.concatenate([u[None], negatives])
        error = errors(others @ v)
        top = error @ others if centre_row is None else centre_row(error, others, v)
        rest = np.outer(error, v) if other_rows is None else other_rows(error, others)
        return np.concatenate([top[None], rest])

    return answer


def usual_errors(scores):
    return logistic(scores) - (np.arange(len(scores)) == 0)


def softmax_errors(scores):
    return scipy.special.softmax(scores) - (np.arange(len(scores)) == 0)


def sigmoid_slopes(scores):
    slope = logistic(scores) * (1 - logistic(scores))
    slope[0] *= -1
    return slope


def flipped_negatives(scores):
    return np.append(logistic(scores[0]) - 1, logistic(-scores[1:]))


def averaged_negatives(scores):
    return np.append(logistic(scores[0]) - 1, logistic(scores[1:]) / (len(scores) - 1))


def to_length_one(vectors):
    return np.array([row / np.sqrt(row @ row) for row in vectors])


def analogy_in_a_loop(vectors, a, b, c):
    unit = to_length_one(vectors)
    target = unit[b] - unit[a] + unit[c]
    best, found = -math.inf, None
    for d in range(len(vectors)):
        cosine = unit[d] @ target / np.linalg.norm(target)
        if d not in (a, b, c) and cosine > best:
            best, found = cosine, d
    return found


def analogy_by_sorting(vectors, a, b, c):
    """The nearest unit vector by straight distance is the one of the largest cosine."""
    unit = to_length_one(vectors)
    order = np.argsort(np.linalg.norm(unit - (unit[b] - unit[a] + unit[c]), axis=1))
    return next(d for d in order if d not in {a, b, c})


def ranked(scores, *, leave_out=True, fill=-np.inf):
    """Return an analogy by other scores, or with the question's words treated otherwise."""

    def answer(vectors, a, b, c):
        score = scores(vectors, a, b, c)
        if leave_out:
            score[[a, b, c]] = fill
        return np.argmax(score)

    return answer


def cosine_to_target(vectors, a, b, c):
    unit = to_length_one(vectors)
    return unit @ (unit[b] - unit[a] + unit[c])


def only_c_left_out(vectors, a, b, c):
    score = cosine_to_target(vectors, a, b, c)
    score[c] = -np.inf
    return score.argmax()


def best_of_the_rest(vectors, a, b, c):
    keep = [d for d in range(len(vectors)) if d not in (a, b, c)]
    return np.argmax(cosine_to_target(vectors, a, b, c)[keep])


def meetings(sentences, vocab, window):
    """Return how often each word stands within reach of each other word, (vocab, vocab)."""
    counts = np.zeros((vocab, vocab))
    for apart in range(1, min(window, sentences.shape[1] - 1) + 1):
        np.add.at(counts, (sentences[:, :-apart], sentences[:, apart:]), 1)
    return counts + counts.T


def compressed(table, columns):
    left, values, _ = np.linalg.svd(table)
    return left[:, :columns] * np.sqrt(values[:columns])


def positive_pmi(counts):
    expected = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    return np.log(np.maximum(counts / expected, 1))


def vectors_by_ppmi(sentences, vocab):
    return compressed(positive_pmi(meetings(sentences, vocab, 4)), 16)


def descended(sentences, vocab, *, negatives, rate=0.15):
    """Return W after gradient descent on the expected skip-gram loss, all pairs at once."""
    rng = np.random.default_rng(0)
    pairs = meetings(sentences, vocab, 4)
    often = pairs.sum(1, keepdims=True)
    noise = pairs.sum(0) ** 0.75
    drawn = negatives * often * noise / noise.sum()  # how often each negative is drawn
    centres, contexts = rng.normal(size=(2, vocab, 16)) * 0.1
    for _ in range(400):
        error = ((pairs + drawn) * logistic(centres @ contexts.T) - pairs) / often
        down_centres, down_contexts = error @ contexts, error.T @ centres
        centres, contexts = centres - rate * down_centres, contexts - rate * down_contexts
    return centres


def vectors_by_skip_gram(sentences, vocab):
    return descended(sentences, vocab, negatives=5)


@np.errstate(over="ignore")
def descended_too_fast(sentences, vocab):
    return descended(sentences, vocab, negatives=5, rate=0.6)


def vectors_by_share(sentences, vocab):
    """Whom a word meets, as shares, compared with whom words meet in general; square roots."""
    counts = meetings(sentences, vocab, 3)
    surplus = np.sqrt(counts / counts.sum(1, keepdims=True)) - np.sqrt(counts.sum(0) / counts.sum())
    return compressed(surplus / np.sqrt(counts.sum(0)), 16)


def vectors_by_sentence(sentences, vocab):
    """As latent semantic analysis does with documents."""
    table = np.zeros((vocab, len(sentences)))
    table[sentences, np.arange(len(sentences))[:, None]] = 1
    return compressed(table, 24)


def logarithm_of_chance(sentences, vocab):
    counts = meetings(sentences, vocab, 4)
    with np.errstate(divide="ignore"):
        table = np.log(counts * counts.sum() / np.outer(counts.sum(1), counts.sum(0)))
    return table[:, :32]


def without_the_rare(sentences, vocab):
    vectors = vectors_by_ppmi(sentences, vocab)
    vectors[np.bincount(sentences.ravel(), minlength=vocab) < 60] = 0
    return vectors


def rows_by_frequency(sentences, vocab):
    """As if word numbers had to be made from words."""
    counts = np.bincount(sentences.ravel(), minlength=vocab).tolist()
    order = sorted(range(vocab), key=lambda word: -counts[word])
    return vectors_by_ppmi(sentences, vocab)[order]


def rows_by_appearance(sentences, vocab):
    return vectors_by_ppmi(sentences, vocab)[list(dict.fromkeys(sentences.ravel().tolist()))]


RIGHT = {
    "skip_gram_pairs": [pairs_by_two_loops, pairs_by_slices],
    "keep_probability": [keep_by_program, keep_in_a_loop],
    "softmax_loss": [loss_by_scipy, loss_by_differences],
    "negative_sampling_gradients": [gradients_in_a_loop, gradients_by_differences],
    "solve_analogy": [analogy_in_a_loop, analogy_by_sorting],
    "train_vectors": [vectors_by_ppmi, vectors_by_skip_gram, vectors_by_share],
}
WRONG = {
    "skip_gram_pairs": [
        ("with itself", filtered(lambda x, w, i, j: abs(i - j) <= w)),
        ("equal words", filtered(lambda x, w, i, j: abs(i - j) <= w and x[i] != x[j])),
        ("farthest context", filtered(lambda x, w, i, j: i - w <= j < i + w and i != j)),
        ("negative start", slices_from_a_negative_start),
        ("no ring", pairs_without_max),
        ("near the ends", pairs_of_whole_windows),
        ("swapped", lambda x, w: [(j, i) for i, j in pairs_by_two_loops(x, w)]),
        ("to the right", filtered(lambda x, w, i, j: i < j <= i + w)),
        ("to the left", filtered(lambda x, w, i, j: i - w <= j < i)),
        ("order of distance", pairs_by_distance),
        ("are the places", lambda x, w: pairs_by_two_loops(np.arange(len(x)), w)),
        ("All words", filtered(lambda x, w, i, j: i != j)),
        ("whole number", lambda x, w: pairs_by_slices(x, w).astype(float)),
    ],
    "keep_probability": [
        ("paper prints", lambda n, t: np.minimum(1, ratio(n, t) ** 0.5)),
        ("above 1", lambda n, t: ratio(n, t) ** 0.5 + ratio(n, t)),
        ("thrown away:", lambda n, t: 1 - keep_by_program(n, t)),
        ("paper's chance", lambda n, t: np.maximum(1 - ratio(n, t) ** 0.5, 0)),
        ("not the count", lambda n, t: np.minimum(1, (t / n) ** 0.5 + t / n)),
        ("largest one", lambda n, t: np.minimum(1, (t * n.max() / n) ** 0.5 + t * n.max() / n)),
        ("different words", lambda n, t: np.minimum(1, (t * len(n) / n) ** 0.5 + t * len(n) / n)),
        ("upside down", lambda n, t: np.minimum(1, ratio(n, t) ** -0.5 + 1 / ratio(n, t))),
        ("square root", lambda n, t: np.minimum(1, ratio(n, t))),
        ("larger of 1", lambda n, t: np.maximum(1, ratio(n, t) ** 0.5 + ratio(n, t))),
    ],
    "softmax_loss": [
        ("overflows", loss_overflowing),
        ("rounded to 0", loss_of_rounded_probability),
        ("small number was added", loss_with_epsilon),
        ("sign", lambda *x: -loss_by_scipy(*x)),
        ("probability itself", lambda *x: math.exp(-loss_by_scipy(*x))),
        ("minus the score", lambda v, u, i, j: -(v[i] @ u[j])),
        ("logistic", lambda v, u, i, j: np.logaddexp(0, -(v[i] @ u[j]))),
        ("tables are swapped", lambda v, u, i, j: loss_by_scipy(u, v, i, j)),
        ("words are swapped", lambda v, u, i, j: loss_by_scipy(v, u, j, i)),
        ("Both vectors", lambda v, u, i, j: loss_by_scipy(v, v, i, j)),
        ("base 2", lambda *x: loss_by_scipy(*x) / math.log(2)),
        ("mean over all", lambda v, u, i, j: -scipy.special.log_softmax(u @ v[i]).mean()),
        ("losses of all", lambda v, u, i, j: -scipy.special.log_softmax(u @ v[i])),
    ],
    "negative_sampling_gradients": [
        ("downhill", lambda *x: -gradients_by_differences(*x)),
        ("treated as noise", gradients_with(logistic)),
        ("treated as true", gradients_with(lambda s: logistic(s) - 1)),
        ("averaged", gradients_with(averaged_negatives)),
        ("not sigmoid(-score)", gradients_with(flipped_negatives)),
        ("logarithm was forgotten", gradients_with(sigmoid_slopes)),
        ("softmax", gradients_with(softmax_errors)),
        ("context's share", gradients_with(usual_errors, centre_row=lambda e, x, v: e[0] * x[0])),
        (
            "negatives' share",
            gradients_with(usual_errors, centre_row=lambda e, x, v: e[1:] @ x[1:]),
        ),
        ("own vectors", gradients_with(usual_errors, other_rows=lambda e, x: (x.T * e).T)),
        ("along itself", gradients_with(usual_errors, centre_row=lambda e, x, v: v * sum(e))),
        ("another order", lambda *x: np.roll(gradients_by_differences(*x), -1, axis=0)),
        ("up to a constant", lambda *x: 0.025 * gradients_by_differences(*x)),
    ],
    "solve_analogy": [
        ("question itself", ranked(cosine_to_target, leave_out=False)),
        ("Only c", only_c_left_out),
        ("minus infinity", ranked(cosine_to_target, fill=0)),
        ("numbers are shifted", best_of_the_rest),
        (
            "before they were scaled",
            ranked(lambda x, a, b, c: to_length_one(x) @ (x[b] - x[a] + x[c])),
        ),
        (
            "candidates were not scaled",
            ranked(lambda x, a, b, c: x @ (to_length_one(x)[[b, a, c]].T @ [1, -1, 1])),
        ),
        ("Nothing was scaled", ranked(lambda x, a, b, c: x @ (x[b] - x[a] + x[c]))),
        (
            "straight distance",
            ranked(lambda x, a, b, c: -((x - x[b] + x[a] - x[c]) ** 2).sum(axis=1)),
        ),
        ("wrong way", ranked(lambda x, a, b, c: cosine_to_target(x, b, a, c))),
        ("farthest", ranked(lambda x, a, b, c: -cosine_to_target(x, a, b, c))),
        ("neighbour of c", ranked(lambda x, a, b, c: to_length_one(x) @ x[c])),
    ],
    "train_vectors": [
        ("drown", lambda s, v: compressed(meetings(s, v, 4), 16)),
        ("too narrow", lambda s, v: compressed(positive_pmi(meetings(s, v, 1)), 16)),
        ("stand beside", vectors_by_sentence),
        ("same way", lambda s, v: descended(s, v, negatives=0)),
        ("diverged", descended_too_fast),
        ("at random", lambda s, v: np.random.default_rng(0).normal(size=(v, 16))),
        ("their frequency", rows_by_frequency),
        ("their first appearance", rows_by_appearance),
        ("must be compressed", lambda s, v: positive_pmi(meetings(s, v, 4))),
        ("log 0", logarithm_of_chance),
        ("without direction", without_the_rare),
        ("one row for each", lambda s, v: vectors_by_ppmi(s, v).T),
        ("not made of numbers", lambda s, v: "words"),
    ],
}
