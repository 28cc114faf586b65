"""Homework on word vectors: pairs of neighbours, two losses, analogies."""

import numpy as np

from mmlib.homework.exercise import exercise


def _sentences(rng):
    """Short sentences over few words, so that words recur; some windows reach over both ends."""
    sizes = ((2, 1), (3, 5), (6, 2), (5, 3), (7, 1), (8, 4), (8, 2))
    cases = [{"words": rng.integers(4, size=n), "window": window} for n, window in sizes]
    return [*cases, {"words": np.array([7, 3, 3, 9]), "window": 1}]


@exercise(
    points=1,
    title="The pairs of skip-gram",
    inputs=_sentences,
    hints={
        "The contexts before the centre are missing.": {"before": 0},
        "The contexts after the centre are missing.": {"after": 0},
        "The last context of each window is missing: range leaves its end out.": {"stop": 0},
        "Leave out the centre's own position.": {"differ": lambda words, i, j: True},
        "Centre and context are swapped: the centre comes first.": {"order": [1, 0]},
        "The window reaches round the ends of the sentence.": {"wrap": True},
    },
)
def skip_gram_pairs(
    words, window, *, before=1, after=1, stop=1, wrap=False, order=(0, 1),
    differ=lambda words, i, j: i != j,
):  # fmt: skip
    """Return all (centre, context) with at most ``window`` positions between, (pairs, 2)."""
    n, pairs = len(words), []
    for i in range(n):
        for j in range(i - before * window, i + after * window + stop):
            if (wrap or 0 <= j < n) and differ(words, i, j % n):
                pairs.append((words[i], words[j % n]))
    return np.array(pairs).reshape(-1, 2)[:, list(order)]


def _tables(rng):
    """Scores of moderate size, and two cases in which naive exponentials leave the numbers."""
    cases = []
    for shift in (0, 0, 0, 1000, -1000):
        centres, contexts = rng.normal(size=(2, int(rng.integers(5, 9)), 4))
        centres[:, 0], contexts[:, 0] = 1, contexts[:, 0] + shift
        centre, context = (int(word) for word in rng.choice(len(centres), 2, replace=False))
        cases.append({"centres": centres, "contexts": contexts})
        cases[-1] |= {"centre_id": centre, "context_id": context}
    return cases


def _log_sum(scores):
    return np.log(np.exp(scores - scores.max()).sum()) + scores.max()


@exercise(
    points=2,
    title="The loss of one pair",
    inputs=_tables,
    hints={
        "The exponential of a large score overflows: subtract the largest score first.": {
            "log_sum": lambda scores: np.log(np.exp(scores).sum())
        },
        "This is log p: the loss is -log p.": {"sign": -1},
        "This is the logarithm to base 2: take the natural one, np.log.": {"sign": 1 / np.log(2)},
        "The two tables are swapped: the centre's row is taken of W, all others of W'.": (
            lambda centres, contexts, c, o: softmax_loss(contexts, centres, c, o)
        ),
    },
)
def softmax_loss(centres, contexts, centre_id, context_id, *, sign=1, log_sum=_log_sum):
    """Return -log p(context | centre) of the full softmax, one number."""
    scores = contexts @ centres[centre_id]
    return sign * (log_sum(scores) - scores[context_id])


def _triples(rng):
    return [
        {
            "centre": rng.normal(size=dim),
            "context": rng.normal(size=dim),
            "negatives": rng.normal(size=(k, dim)),
        }
        for k, dim in ((1, 3), (2, 2), (5, 4), (6, 3))
    ]


@exercise(
    points=3,
    title="The gradients of negative sampling",
    inputs=_triples,
    hints={
        "These point against the gradient.": {"sign": -1},
        "The true context's label is missing: its error is sigmoid(u · v) - 1.": {"label": 0},
        "The negatives are treated as true contexts: their label is 0.": {"negative_label": 1},
        "The negatives were averaged: the loss is a sum over them.": {"average": True},
        "The centre's gradient lacks the negatives: v stands in every score.": {"of_centre": 1},
    },
)
def negative_sampling_gradients(
    centre, context, negatives, *, sign=1, label=1, negative_label=0, average=False, of_centre=None
):
    """Return the gradients by the centre, the context and each negative, (k + 2, dim)."""
    others = np.vstack([context, negatives])  # (1 + k, dim)
    labels = np.r_[label, np.full(len(negatives), negative_label)]
    error = 1 / (1 + np.exp(-others @ centre)) - labels
    error[1:] /= len(negatives) if average else 1
    by_centre = error[:of_centre] @ others[:of_centre]
    return sign * np.vstack([by_centre, np.outer(error, centre)])


def _vocabularies(rng):
    """Rows of very different lengths; in three tables the only word left points the other way."""
    cases = []
    for size in rng.integers(6, 30, 12):
        vectors = rng.normal(size=(size, 3)) * np.exp(rng.normal(size=(size, 1)))
        a, b, c = (int(word) for word in rng.choice(size, 3, replace=False))
        cases.append({"vectors": vectors, "a": a, "b": b, "c": c})
    for _ in range(3):
        rows = rng.normal(size=(3, 3))
        a, b, c = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        cases.append({"vectors": np.stack([a, b, c, a - b - c]), "a": 0, "b": 1, "c": 2})
    return cases


@exercise(
    points=3,
    title="An analogy by 3CosAdd",
    inputs=_vocabularies,
    hints={
        "The vectors were not scaled to length 1 first.": {"unit": False},
        "The words of the question may not be answers: exclude all three.": {"excluded": None},
        "With the score 0 an excluded word can still win, where all others are negative: exclude "
        "it with -np.inf.": {"excluded": 0.0},
        "The direction is reversed: add b and c, subtract a.": {"signs": (1, -1, 1)},
        "All three vectors were added: subtract a.": {"signs": (1, 1, 1)},
    },
)
def solve_analogy(vectors, a, b, c, *, unit=True, excluded=-np.inf, signs=(-1, 1, 1)):
    """Return the row whose cosine with b - a + c is the largest, but for a, b and c."""
    if unit:
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = vectors @ (np.array(signs) @ vectors[[a, b, c]])
    if excluded is not None:
        scores[[a, b, c]] = excluded
    return int(scores.argmax())
