"""Homework on the shared space: two losses, ranks, arithmetic with pictures and words."""

import numpy as np

from mmlib.homework.exercise import exercise


def _unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _batches(rng):
    cases = []
    for pairs in (2, 3, *rng.integers(4, 9, 3)):
        images, texts = _unit(rng.normal(size=(2, int(pairs), 4)))
        cases.append({"similarity": images @ texts.T, "margin": float(rng.uniform(0.2, 0.6))})
    return cases


@exercise(
    points=2,
    title="The hinge over all negatives, both ways",
    inputs=_batches,
    hints={
        "Only texts were wrong for a picture: add the other direction, down the columns.": {
            "ways": 1
        },
        "The true pair was counted as its own negative: leave out the diagonal.": {"own": 1},
        "This is the hardest negative alone: add up all of them.": {"pool": np.max},
        "A violation below 0 counts as 0: take the maximum with 0 of each.": {"floor": -np.inf},
        "Divide by the number of pairs: the loss is the mean over them.": {"mean": False},
        "Not the mean of all negatives: their sum for each pair.": {"pool": np.mean},
    },
)
def hinge_sum(similarity, margin, *, ways=2, own=0, pool=np.sum, floor=0.0, mean=True):
    """Return the mean over pairs of the summed violations in rows and in columns."""
    total = 0.0
    for scores in (similarity, similarity.T)[:ways]:
        found = np.maximum(floor, margin - np.diag(scores)[:, None] + scores)
        np.fill_diagonal(found, own * np.diag(found))
        total += pool(found, axis=1).sum()
    return float(total / (len(similarity) if mean else 1))


def _tempered(rng):
    return [
        {"similarity": case["similarity"], "temperature": float(rng.uniform(0.1, 0.8))}
        for case in _batches(rng)
    ]


@exercise(
    points=2,
    title="InfoNCE",
    inputs=_tempered,
    hints={
        "Only picture to text: average with the other direction.": {"ways": (0,)},
        "Only text to picture: average with the other direction.": {"ways": (1,)},
        "The similarities were multiplied by the temperature: divide.": {"scale": np.multiply},
        "The true pair is missing below the fraction: the softmax sums over all pairs.": {
            "own": 0.0
        },
        "The two directions were added: take their mean.": {"share": 1.0},
    },
)
def info_nce(similarity, temperature, *, ways=(0, 1), scale=np.divide, own=1.0, share=None):
    """Return the mean cross-entropy of the true text in rows and the true image in columns."""
    total = 0.0
    for way in ways:
        logits = scale(similarity.T if way else similarity, temperature)
        weights = np.exp(logits)
        true = np.diag(weights)
        total += np.mean(np.log(weights.sum(axis=1) - (1 - own) * true) - np.log(true))
    return float(total * (1 / len(ways) if share is None else share))


def _tables(rng):
    return [
        {"similarity": rng.integers(0, 6, (n, n)) / 5 + np.eye(n) * rng.integers(0, 3, (n, 1)) / 5}
        for n in (3, *map(int, rng.integers(6, 12, 4)))
    ]


@exercise(
    points=1,
    title="At which place stands the true picture?",
    inputs=_tables,
    hints={
        "These are the ranks of the texts for each picture: look down the columns.": {
            "turn": lambda table: table
        },
        "Places are counted from 1.": {"first": 0},
        "Ties count against the model: what is just as similar stands before the true one.": {
            "before": np.greater
        },
        "The most similar stands first, not last.": {"before": np.less_equal},
    },
)
def picture_ranks(similarity, *, turn=np.transpose, first=1, before=np.greater_equal):
    """Return for each text (column) the place of its picture, int (texts,)."""
    table = turn(similarity)  # (texts, pictures)
    found = before(table, np.diag(table)[:, None])
    np.fill_diagonal(found, False)
    return found.sum(axis=1) + first


def _questions(rng):
    cases = []
    for dim in (2, 3, 4, 5, *rng.integers(3, 7, 12)):
        images = rng.normal(size=(12, int(dim))) * rng.uniform(0.2, 5, (12, 1))
        minus, plus = 0.6 * _unit(rng.normal(size=(2, int(dim))))
        cases.append({"images": images, "source": int(rng.integers(12))})
        cases[-1] |= {"minus": minus, "plus": plus}
    return cases


@exercise(
    points=2,
    title="This picture, minus a word, plus a word",
    inputs=_questions,
    hints={
        "The picture itself came out: leave it out of the candidates.": {"without": False},
        "Minus and plus are swapped.": {"sign": -1},
        "Bring the pictures' vectors to length 1 first, or long ones always win.": {
            "unit": lambda rows: rows
        },
        "The word was added, but the other one not subtracted.": {"less": 0},
    },
)
def solve_analogy(images, source, minus, plus, *, unit=_unit, sign=1, less=1, without=True):
    """Return the number of the picture nearest to x − w + w′ by cosine, x itself left out."""
    images = unit(images)
    similarity = images @ (images[source] + sign * (plus - less * minus))
    if without:
        similarity[source] = -np.inf
    return int(similarity.argmax())
