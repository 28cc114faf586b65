"""Homework on 3D recognition: a grid of hits, PointNet's maximum, critical points, distances."""

import numpy as np

from mmlib.homework.exercise import exercise


def _clouds(rng):
    """Draw points in and around the cube; some share a cell, some lie outside."""
    cases = []
    for count, n in ((5, 2), (12, 3), (40, 4), (300, 5)):
        points = rng.uniform(-1.15, 1.15, (count, 3))
        points[-1], points[-2] = points[0] * 0.999, (2.0, 0.1, 0.1)
        cases.append({"points": points, "n": n})
    return cases


@exercise(
    points=2,
    title="From points to voxels",
    inputs=_clouds,
    hints={
        "A cell with several points holds 1, not their number.": {"put": np.add.at},
        "A point outside the cube counts for nothing: you moved it to the border.": {
            "inside": lambda cell, n: np.ones(len(cell), bool)
        },
        "Cell 0 begins at -1: take the floor, do not round.": {"whole": np.round},
        "The axes are out of order: the first is x, the last z.": {"order": (2, 1, 0)},
    },
)
def hit_grid(
    points, n, *, whole=np.floor, inside=lambda cell, n: ((cell >= 0) & (cell < n)).all(axis=1),
    put=lambda grid, at, value: grid.__setitem__(at, value), order=(0, 1, 2),
):  # fmt: skip
    """Return (n, n, n): 1 where a point lies in the cell, else 0."""
    cell = whole((points + 1) * n / 2).astype(int)
    cell = cell[inside(cell, n)].clip(0, n - 1)
    grid = np.zeros((n, n, n))
    put(grid, tuple(cell[:, axis] for axis in order), 1.0)
    return grid


def _layers(rng):
    cases = []
    for points, width, out in ((1, 4, 2), (6, 5, 3), (20, 8, 4)):
        case = {"points": rng.normal(size=(points, 3)), "W": rng.normal(size=(3, width))}
        case |= {"b": rng.normal(size=width) - 1.5, "V": rng.normal(size=(width, out))}
        cases.append(case | {"c": rng.normal(size=out)})
    return cases


@exercise(
    points=2,
    title="PointNet in three lines",
    inputs=_layers,
    hints={
        "This is the mean over the points: take the maximum.": {"pool": lambda h: h.mean(axis=0)},
        "This is the sum over the points: it grows with their number.": {
            "pool": lambda h: h.sum(axis=0)
        },
        "The maximum goes over the points (rows), not over the features.": {
            "pool": lambda h: np.resize(h.max(axis=1), h.shape[1])
        },
        "ReLU is missing: negative features become 0.": {"relu": lambda h: h},
    },
)
def pointnet(
    points, W, b, V, c, *, relu=lambda h: np.maximum(h, 0), pool=lambda h: h.max(axis=0)
):  # fmt: skip
    """Return V applied to the maximum over points of relu(x W + b), plus c."""
    return pool(relu(points @ W + b)) @ V + c


def _features(rng):
    cases = []
    for points, width in ((1, 3), (4, 6), (9, 5), (30, 12)):
        cases.append({"features": rng.normal(size=(points, width))})
    return cases


@exercise(
    points=2,
    title="Critical points",
    inputs=_features,
    hints={
        "The same point can give several features their maximum: name it once.": {
            "once": lambda found: np.sort(found)
        },
        "Sort the numbers of the points, the smallest first.": {
            "once": lambda found: np.unique(found)[::-1]
        },
        "argmax goes over the points: one answer a feature, not one a point.": {"axis": 1},
        "These are the points with a minimum.": {"best": np.argmin},
    },
)
def critical_points(features, *, best=np.argmax, axis=0, once=np.unique):
    """Return the numbers of the points that give some feature its maximum, each once, sorted."""
    return once(best(features, axis=axis))


def _pairs(rng):
    cases = []
    for count, bins, farthest in ((4, 3, 3.0), (10, 4, 2.0), (25, 8, 3.0)):
        points = rng.uniform(-0.5, 0.5, (count, 3))
        cases.append({"points": points, "bins": bins, "farthest": farthest})
    return cases


@exercise(
    points=2,
    title="The shape distribution D2",
    inputs=_pairs,
    hints={
        "These are numbers of pairs: divide by how many pairs there are.": {
            "share": lambda count: count
        },
        "A point's distance 0 to itself is no pair.": {"first": 0},
        "This is a density: the shares sum to 1, whatever the bins' width.": {
            "share": lambda count: count / count.sum() * len(count)
        },
        "These are squared distances.": {"length": lambda d: (d**2).sum(axis=-1)},
    },
)
def d2(
    points, bins, farthest, *, first=1, length=lambda d: np.linalg.norm(d, axis=-1),
    share=lambda count: count / count.sum(),
):  # fmt: skip
    """Return the share of all pairs of different points in each of equal bins, 0 to farthest."""
    a, b = np.triu_indices(len(points), k=first)
    return share(np.histogram(length(points[a] - points[b]), bins, (0, farthest))[0])
