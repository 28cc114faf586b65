"""Homework on modalities: how sparse, how many dimensions, and the three linear joins."""

import numpy as np

from mmlib.homework.exercise import exercise


@exercise(
    points=1,
    title="Tags as a multi-hot vector",
    inputs=lambda rng: [
        {"tags": [*tags, tags[0]], "vocabulary": words}  # one is given twice
        for words in (["bell", "day", "dog", "red"], ["night", "car", "blue", "town", "frog"])
        for tags in (rng.permutation(words)[:n].tolist() for n in (1, 3))
    ],
    hints={
        "A tag that is given twice is still one tag: write 1, do not count.": {"count": True},
        "These are positions in the vocabulary: the vector has one number a word.": (
            lambda tags, vocabulary: np.array([vocabulary.index(tag) for tag in tags], dtype=float)
        ),
        "The order is that of the vocabulary, not the alphabet's.": {"order": sorted},
    },
)
def multi_hot(tags, vocabulary, *, count=False, order=list):
    """Return an array with 1.0 for each word of the vocabulary that is among the tags, else 0.0."""
    found = [tags.count(word) for word in order(vocabulary)]
    return np.array(found if count else np.minimum(found, 1), dtype=float)


@exercise(
    points=2,
    title="The dimension by two neighbours",
    inputs=lambda rng: [{"points": rng.normal(size=(int(n), 3))} for n in rng.integers(8, 20, 4)],
    hints={
        "Those are the second and the third neighbour: only the point itself is left out.": {
            "first": 2
        },
        "Divide the second distance by the first, not the first by the second.": {"turned": True},
        "Sum the logarithms of the ratios, not the ratios.": {"log": lambda x: x},
        "The logarithm is the natural one.": {"log": np.log10},
        "Those are squared distances: take the root.": {"power": 2},
    },
)
def two_nn_dimension(points, *, first=1, turned=False, log=np.log, power=1):
    """Return N / Σ log(r₂ / r₁), with the distances to the two nearest other points."""
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1) ** power
    near = np.sort(apart, axis=1)[:, first : first + 2]
    ratio = near[:, 0] / near[:, 1] if turned else near[:, 1] / near[:, 0]
    return len(points) / log(ratio).sum()


def _pairs(rng):
    return [
        {"x": rng.normal(size=(int(n), 4)) + 1, "y": rng.normal(size=(int(n), 2)), "penalty": p}
        for n, p in zip(rng.integers(6, 15, 3), (0.5, 2.0, 10.0), strict=True)
    ]


@exercise(
    points=3,
    title="Translating: ridge regression",
    inputs=_pairs,
    hints={
        "The penalty is missing: add it to the diagonal of XᵀX.": {"scale": 0},
        "The penalty belongs on the diagonal only: penalty times the identity.": {"where": np.ones},
        "Subtract the mean of each column of x before.": {"centre": lambda x: x},
        "Not the square of the penalty: the formula has λ itself.": {"power": 2},
    },
)
def ridge_weights(
    x, y, penalty, *, scale=1, power=1, where=lambda shape: np.eye(shape[0]),
    centre=lambda x: x - x.mean(axis=0),
):  # fmt: skip
    """Return W = (X̃ᵀX̃ + λI)⁻¹ X̃ᵀỸ, where the tilde means: minus the mean of the columns."""
    x, y = centre(x), centre(y)
    size = x.shape[1]
    return np.linalg.solve(x.T @ x + scale * penalty**power * where((size, size)), x.T @ y)


@exercise(
    points=2,
    title="Referring: a correlation for each cell",
    inputs=lambda rng: [
        {"grid": rng.normal(size=(int(f), 3, 4)) + 1, "vector": rng.normal(size=int(f)) + 2}
        for f in rng.integers(5, 12, 4)
    ],
    hints={
        "This is the dot product: a correlation does not depend on lengths.": {"divide": False},
        "This is the cosine: subtract the mean over the features first.": {"centre": False},
        "The mean goes over the features (axis 0), not over the cells.": {"axis": (1, 2)},
        "Rows and columns are exchanged.": {"out": lambda m: m.T},
    },
)
def correlation_map(grid, vector, *, divide=True, centre=True, axis=0, out=lambda m: m):
    """Return (rows, columns): Pearson's correlation of the vector with each cell's features."""
    if centre:
        grid = grid - grid.mean(axis=axis, keepdims=True)
        vector = vector - vector.mean()
    found = np.tensordot(vector, grid, axes=1)
    if divide:
        found = found / (np.linalg.norm(vector) * np.linalg.norm(grid, axis=0))
    return out(found)
