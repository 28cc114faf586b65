"""Homework on segmentation: farthest points, ball query, interpolation, the mean IoU of parts."""

import numpy as np

from mmlib.homework.exercise import exercise


def _clouds(rng):
    return [
        {"points": rng.normal(size=(n, 3)), "count": k}
        for n, k in ((6, 1), (8, 4), (30, 9), (12, 12))
    ]


@exercise(
    points=2,
    title="Farthest point sampling",
    inputs=_clouds,
    hints={
        "A point counts as far only if it is far from all chosen points: keep the smallest of its "
        "distances, not the sum.": {"gather": np.add},
        "This looks at the largest distance to a chosen point: keep the smallest.": {
            "gather": np.maximum
        },
        "This is far from the last chosen point only: remember the ones before.": {
            "gather": lambda before, now: now
        },
        "The first chosen point is number 0.": {"first": -1},
    },
)
def farthest_points(points, count, *, gather=np.minimum, best=np.argmax, first=0):
    """Return the numbers of ``count`` points, each the farthest from all chosen before."""
    chosen = [first % len(points)]
    gap = None
    while len(chosen) < count:
        now = np.linalg.norm(points - points[chosen[-1]], axis=1)
        gap = now if gap is None else gather(gap, now)
        chosen.append(int(best(gap)))
    return np.array(chosen)


def _balls(rng):
    cases = []
    for n, radius, count in ((5, 1.2, 3), (20, 0.8, 6), (40, 0.9, 4), (25, 3.0, 8)):
        points = rng.uniform(-1, 1, (n, 3))
        centre = points[int(rng.integers(1, n))]
        cases.append({"points": points, "centre": centre, "radius": radius, "count": count})
    points = rng.uniform(-0.3, 0.3, (9, 3))
    points[[0, 4, 8]] += 5.0  # far away: the ball holds six
    return [*cases, {"points": points, "centre": points[2], "radius": 1.2, "count": 9}]


@exercise(
    points=2,
    title="Ball query",
    inputs=_balls,
    hints={
        "Of more points in the ball, take those that come first in the list, not the nearest.": {
            "order": np.argsort
        },
        "This compares the squared distance with the radius.": {"length": lambda d: d**2},
        "Of fewer points in the ball, repeat the first one found, not the last.": {"filler": -1},
        "The answer always has `count` numbers: fill up with the first one found.": {
            "fill": lambda found, count: found
        },
        "The empty places hold point 0, which may lie outside the ball: repeat the first found.": {
            "fill": lambda found, count: np.append(found, np.zeros(count, int))[:count]
        },
    },
)
def ball_query(
    points, centre, radius, count, *, order=lambda gap: range(len(gap)),
    length=lambda d: d, filler=0, fill=None,
):  # fmt: skip
    """Return the numbers of the first ``count`` points within the radius of the centre."""
    gap = length(np.linalg.norm(points - centre, axis=1))
    found = [i for i in order(gap) if gap[i] <= radius][:count]
    if fill is not None:
        return np.array(fill(np.array(found), count))
    return np.array(found + [found[filler]] * (count - len(found)))


def _sets(rng):
    cases = []
    for n, known, k in ((1, 3, 1), (6, 5, 2), (10, 12, 4)):
        case = {"points": rng.normal(size=(n, 3)), "known": rng.normal(size=(known, 3))}
        cases.append(case | {"features": rng.normal(size=(known, k))})
    return cases


@exercise(
    points=2,
    title="Three nearest points",
    inputs=_sets,
    hints={
        "The weight is one over the squared distance, here it is 1 / distance.": {"power": 1},
        "The weights must sum to 1: divide by their sum.": {"total": lambda w: 1},
        "Only the three nearest known points count, here all of them do.": {"nearest": None},
        "This is the nearest point alone.": {"nearest": 1},
        "This is the plain mean of the three nearest: near ones must weigh more.": {"power": 0},
    },
)
def interpolate(
    points, known, features, *, power=2, nearest=3, total=lambda w: w.sum(axis=1, keepdims=True)
):
    """Return features (n, k) at points, from the three nearest known points by 1 / d²."""
    gap = np.linalg.norm(points[:, None] - known, axis=2)  # (n, known)
    near = gap.argsort(axis=1)[:, :nearest]
    weight = 1.0 / np.take_along_axis(gap, near, axis=1) ** power
    weight = weight / total(weight)
    return np.einsum("nj,njk->nk", weight, features[near])


def _labels(rng):
    cases = []
    for n, first, k in ((12, 0, 4), (20, 3, 4), (30, 5, 3), (8, 2, 2)):
        some = np.arange(first, first + k)
        parts = rng.choice(some[:-1], n)  # the last part is absent
        predicted = np.where(rng.random(n) < 0.7, parts, rng.choice(some[: k - len(cases) % 2], n))
        cases.append({"predicted": predicted, "parts": parts, "allowed": some})
    return cases


@exercise(
    points=2,
    title="The mean IoU of a shape's parts",
    inputs=_labels,
    hints={
        "A part that is neither there nor predicted counts 1, here it counts 0.": {"absent": 0.0},
        "A part neither there nor predicted counts 1, here it is left out.": {"absent": np.nan},
        "The union is what is predicted, or true, or both: points in both count once.": {
            "union": lambda a, b: a.sum() + b.sum()
        },
        "This divides by the true points of a part: that is its recall.": {
            "union": lambda a, b: b.sum()
        },
        "This is the share of points that are right.": lambda predicted, parts, allowed: float(
            (predicted == parts).mean()
        ),
    },
)
def shape_iou(predicted, parts, allowed, *, absent=1.0, union=lambda a, b: (a | b).sum()):
    """Return the mean over the category's parts of intersection over union."""
    scores = []
    for part in allowed:
        said, true = predicted == part, parts == part
        either = union(said, true)
        scores.append((said & true).sum() / either if either else absent)
    return float(np.nanmean(scores))
