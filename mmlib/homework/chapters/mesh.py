"""Homework on picture to mesh: cubes without inner faces, a graph convolution, alignment, F1."""

import numpy as np

from mmlib.homework.exercise import exercise


def _grids(rng):
    grids = [rng.random(shape) < 0.6 for shape in ((1, 1, 1), (2, 2, 2), (3, 4, 2), (5, 4, 6))]
    for filled in grids:
        filled[0, 0, 0] = True  # a cell at the border
    return [{"filled": filled} for filled in grids]


def _bare(filled):
    """Count the squares between a filled and an empty cell; beyond the grid all is empty."""
    return _changes(np.pad(filled, 1))


def _changes(filled):
    return sum(int(np.abs(np.diff(filled.astype(int), axis=axis)).sum()) for axis in range(3))


def _corners(filled):
    """Count the corners with filled and empty cells around them."""
    around = np.pad(filled, 1).astype(int)
    for axis in range(3):
        around = np.delete(around, 0, axis) + np.delete(around, -1, axis)
    return int(((around > 0) & (around < 8)).sum())


@exercise(
    points=3,
    title="What cubify keeps",
    inputs=_grids,
    hints={
        "Beyond the grid all is empty: border cells have bare squares.": {"squares": _changes},
        "A square between two filled cells goes.": {"squares": lambda f: 6 * int(f.sum())},
        "A bare square is two triangles.": {"triangles": 1},
        "A corner that several cubes share is one vertex.": {"corners": lambda f: 8 * int(f.sum())},
    },
)
def cubify_counts(filled, *, squares=_bare, triangles=2, corners=_corners):
    """Return [vertices, triangles] of the surface of filled cells (x, y, z)."""
    return np.array([corners(filled), triangles * squares(filled)])


def _graphs(rng):
    cases = []
    for vertices, inputs, outputs in ((2, 2, 3), (4, 3, 2), (7, 5, 4), (12, 4, 6)):
        pairs = [(i, j) for i in range(vertices) for j in range(i + 1, vertices)]
        chosen = rng.permutation(len(pairs))[: max(1, 2 * len(pairs) // 3)]
        case = {"f": rng.normal(size=(vertices, inputs))}
        case |= {"edges": np.array(pairs)[np.sort(chosen)]}
        case |= {name: rng.normal(size=(inputs, outputs)) for name in ("W0", "W1")}
        cases.append(case)
    return cases


def _adjacent(edges, vertices):
    matrix = np.zeros((vertices, vertices))
    matrix[edges[:, 0], edges[:, 1]] = matrix[edges[:, 1], edges[:, 0]] = 1
    return matrix


@exercise(
    points=2,
    title="A graph convolution",
    inputs=_graphs,
    hints={
        "An edge joins both ways: j is a neighbour of i, and i of j.": {
            "adjacent": lambda edges, n: np.triu(_adjacent(edges, n))
        },
        "A vertex is not its own neighbour: its own features go through W0 alone.": {
            "adjacent": lambda edges, n: _adjacent(edges, n) + np.eye(n)
        },
        "ReLU is missing: what is negative becomes 0.": {"relu": lambda x: x},
    },
)
def graph_convolution(
    f, edges, W0, W1, *, adjacent=_adjacent, relu=lambda x: np.maximum(x, 0)
):  # fmt: skip
    """Return relu(f_i W0 + the sum over neighbours j of f_j W1), a row a vertex."""
    return relu(f @ W0 + adjacent(edges, len(f)) @ f @ W1)


def _maps(rng):
    draw, sizes = rng.uniform, ((2, 2, 1), (3, 5, 4), (6, 4, 7), (8, 8, 12))
    return [
        {"picture": rng.normal(size=(h, w)), "u": draw(0, w - 1.001, n), "v": draw(0, h - 1.001, n)}
        for h, w, n in sizes
    ]


@exercise(
    points=2,
    title="A feature between four pixels",
    inputs=_maps,
    hints={
        "u runs to the right, over columns, v down, over rows.": {"swap": True},
        "This is the nearest pixel: weigh all four around it.": {"share": np.round},
        "The weights are the wrong way round: the nearer pixel weighs more.": {
            "share": lambda t: 1 - t
        },
    },
)
def bilinear(picture, u, v, *, swap=False, share=lambda t: t):
    """Return the picture (rows, columns) at columns u and rows v, interpolated bilinearly."""
    if swap:  # a picture that is not square is read modulo its size
        u, v = v % (picture.shape[1] - 1), u % (picture.shape[0] - 1)
    j, i = np.floor(u).astype(int), np.floor(v).astype(int)
    a, b = share(u - j), share(v - i)
    top = (1 - a) * picture[i, j] + a * picture[i, j + 1]
    bottom = (1 - a) * picture[i + 1, j] + a * picture[i + 1, j + 1]
    return (1 - b) * top + b * bottom


def _clouds(rng):
    cases = []
    for first, second in ((3, 3), (5, 12), (20, 8), (40, 30)):
        q = rng.normal(size=(second, 3))
        p = q[rng.integers(second, size=first)] + 0.3 * rng.normal(size=(first, 3))
        cases.append({"points": p, "truth": q, "threshold": float(rng.uniform(0.4, 0.6))})
    return cases


@exercise(
    points=2,
    title="F1 of two surfaces",
    inputs=_clouds,
    hints={
        "This is the mean of precision and recall: take the harmonic mean.": {
            "join": lambda p, r: (p + r) / 2
        },
        "This is the precision alone: a single right point would have the full score.": {
            "join": lambda p, r: p
        },
        "This is the recall alone: points all over space would have the full score.": {
            "join": lambda p, r: r
        },
        "These are squared distances.": {"length": lambda d: (d**2).sum(axis=-1)},
    },
)
def f1(
    points, truth, threshold, *, length=lambda d: np.linalg.norm(d, axis=-1),
    join=lambda p, r: 2 * p * r / (p + r) if p + r > 0 else 0.0,
):  # fmt: skip
    """Return the F1 of points (n, 3) against true points (m, 3), from 0 to 1."""
    away = length(points[:, None] - truth[None])
    return join((away.min(axis=1) < threshold).mean(), (away.min(axis=0) < threshold).mean())
