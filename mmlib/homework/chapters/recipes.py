"""Homework on recipe retrieval: the cosine loss, medR and recall, triplets, dish arithmetic."""

import numpy as np

from mmlib.homework.exercise import exercise


def _unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _pairs(rng):
    cases = []
    for batch, dim in ((1, 3), (6, 4), (9, 5)):
        recipes = rng.normal(size=(batch, dim))
        images = recipes + rng.uniform(0.3, 2) * rng.normal(size=(batch, dim))
        match = rng.random(batch) < 0.5
        cases.append({"recipes": 3 * recipes, "images": images, "match": match, "margin": 0.1})
    cases += [cases[-1] | {"match": np.full(9, same), "margin": 0.3} for same in (True, False)]
    return [*cases, cases[-1] | {"images": -cases[-1]["images"]}]


@exercise(
    points=2,
    title="The cosine loss with a margin",
    inputs=_pairs,
    hints={
        "This is the plain dot product: divide by both lengths to get the cosine.": {
            "normalise": lambda rows: rows
        },
        "A pair that does not match costs nothing below the margin: cut off at 0.": {"least": -9},
        "The margin is missing: a cosine up to the margin costs nothing.": {"allow": 0},
        "The two cases are swapped: it is the matching pairs that cost 1 - cos.": {"swap": True},
        "Return one loss a pair, (batch,), not their mean.": {"reduce": np.mean},
    },
)
def cosine_loss(
    recipes, images, match, margin, *, normalise=_unit, least=0, allow=1, swap=False,
    reduce=lambda losses: losses,
):  # fmt: skip
    """Return the loss of each pair, (batch,)."""
    cosine = (normalise(recipes) * normalise(images)).sum(axis=1)
    other = np.maximum(least, cosine - allow * margin)
    return reduce(np.where(match != swap, 1 - cosine, other))


def _similarities(rng):
    cases = []
    for pairs in (3, 6, 11, 20):
        cosine = rng.uniform(-1, 1, (pairs, pairs)) + rng.uniform(0, 1) * np.eye(pairs)
        cases.append({"cosine": np.round(cosine, 1), "k": int(rng.integers(1, 4))})
    return [*cases, {"cosine": np.zeros((4, 4)), "k": 2}]


@exercise(
    points=3,
    title="Median rank and recall",
    inputs=_similarities,
    hints={
        "Ranks start at 1: the best candidate has rank 1.": {"first": -1},
        "Ties count against the model: a candidate just as near stands before the right one.": {
            "before": np.greater,
            "first": 1,
        },
        "The rows are the queries: you ranked down the columns.": {"axis": 0},
        "medR is the median of the ranks, not their mean.": {"middle": np.mean},
        "R@k counts ranks up to k, with k itself.": {"within": np.less},
    },
)
def retrieval(cosine, k, *, before=np.greater_equal, first=0, axis=1, middle=np.median,
              within=np.less_equal):  # fmt: skip
    """Return [medR, R@k] where query i's right candidate is candidate i."""
    own = np.expand_dims(np.diag(cosine), axis)
    ranks = before(cosine, own).sum(axis=axis) + first
    return np.array([middle(ranks), within(ranks, k).mean()])


def _batches(rng):
    cases = []
    for batch in (2, 4, 7):
        cosine = np.clip(rng.normal(0, 0.4, (batch, batch)) + 0.4 * np.eye(batch), -1, 1)
        cases.append({"cosine": cosine, "margin": 0.3})
    return [*cases, {"cosine": np.eye(3), "margin": 0.3}, {"cosine": 1 - np.eye(3), "margin": 0.1}]


@exercise(
    points=3,
    title="Triplets in a batch, the idle ones left out",
    inputs=_batches,
    hints={
        "Divide by the number of triplets that are not 0, not by all of them.": {"active": False},
        "The own pair is no negative: leave out the diagonal.": {"diagonal": True},
        "A triplet below 0 costs nothing: cut off at 0.": {"least": -9},
        "The margin goes the other way: own must beat other by the margin.": {"sign": -1},
        "Where no triplet is active the loss is 0, not NaN.": {"floor": 0},
    },
)
def triplets(cosine, margin, *, active=True, diagonal=False, least=0, sign=1, floor=1):
    """Return the loss of images (rows) that search recipes (columns), a number."""
    found = np.maximum(least, sign * margin - np.diag(cosine)[:, None] + cosine)
    found = found if diagonal else found[~np.eye(len(cosine), dtype=bool)]
    count = (found > 0).sum() if active else found.size
    with np.errstate(invalid="ignore"):
        return found.sum() / np.maximum(count, floor)


def _kitchens(rng):
    cases = []
    for items, dim in ((6, 3), (9, 4), (12, 5)):
        group = rng.integers(0, 3, items)
        group[:3] = rng.permutation(3)
        vectors = rng.normal(size=(items, dim))
        cases.append({"dish": rng.normal(size=dim), "vectors": vectors, "group": group})
        cases[-1] |= dict(zip(("away", "towards"), rng.permutation(3)[:2].tolist(), strict=True))
    return cases


@exercise(
    points=2,
    title="Arithmetic of dishes",
    inputs=_kitchens,
    hints={
        "The two groups are swapped: subtract what the dish is, add what it shall be.": {
            "sign": -1
        },
        "Take the mean of a group, not the sum.": {"centre": np.sum},
        "Scale the result to length one.": {"normalise": lambda v: v},
        "Nothing was subtracted: the dish keeps what it was.": {"minus": 0},
    },
)
def arithmetic(
    dish, vectors, group, away, towards, *, sign=1, centre=np.mean, minus=1,
    normalise=lambda v: v / np.linalg.norm(v),
):  # fmt: skip
    """Return the unit vector of dish - mean of group ``away`` + mean of group ``towards``."""
    old, new = (centre(vectors[group == g], axis=0) for g in (away, towards))
    return normalise(dish + sign * (new - minus * old))
