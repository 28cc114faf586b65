"""Homework on 3D shapes: from a point to its pixel and back, and how far shapes lie apart."""

import numpy as np

from mmlib.homework.exercise import exercise


def _rotation(rng):
    """Draw a rotation; its determinant is 1."""
    Q, R = np.linalg.qr(rng.normal(size=(3, 3)))
    Q = Q * np.sign(np.diag(R))
    return Q * np.sign(np.linalg.det(Q))


def _camera(rng):
    """Draw a camera that has the points around the origin before it: K, R, t."""
    f = rng.uniform(200, 600)
    K = np.array([[f, 0, rng.uniform(100, 300)], [0, f, rng.uniform(100, 300)], [0, 0, 1]])
    return K, _rotation(rng), np.array([*rng.uniform(-0.3, 0.3, 2), rng.uniform(4, 6)])


def _points_and_camera(rng):
    counts = (1, 5, *rng.integers(6, 20, 3))
    cameras = (dict(zip("KRt", _camera(rng), strict=True)) for _ in counts)
    return [
        {"points": rng.uniform(-1, 1, (n, 3)), **c} for n, c in zip(counts, cameras, strict=True)
    ]


@exercise(
    points=2,
    title="From a point to its pixel",
    inputs=_points_and_camera,
    hints={
        "Divide u and v by the depth, the third number.": {"divide": lambda x: x[:, :2]},
        "Your rotation is the transpose of R.": {"turn": lambda points, R: points @ R},
        "t is no place: it is added after the rotation, not taken away before.": {
            "shift": lambda points, R, t, turn: turn(points - t, R)
        },
        "K is missing: camera coordinates are not pixels.": {"inner": lambda x, K: x},
    },
)
def project(
    points, K, R, t, *, turn=lambda points, R: points @ R.T,
    shift=lambda points, R, t, turn: turn(points, R) + t,
    inner=lambda x, K: x @ K.T, divide=lambda x: x[:, :2] / x[:, 2:],
):  # fmt: skip
    """Return the pixels (n, 2) of points (n, 3)."""
    return divide(inner(shift(points, R, t, turn), K))


def _pairs(rng, count, noise):
    """Draw two cameras and the noisy pixels of points in both."""
    points, matrices, pixels = rng.uniform(-1, 1, (count, 3)), [], []
    for _ in range(2):
        K, R, t = _camera(rng)
        matrices.append(K @ np.column_stack([R, t]))
        exact = project(points, K, R, t)
        pixels.append(exact + noise * rng.normal(size=exact.shape))
    return pixels, matrices


def _views(rng):
    cases = []
    for count, noise in ((1, 0.0), (4, 0.0), (7, 1.0), (12, 2.0)):
        (first, second), (P1, P2) = _pairs(rng, count, noise)
        cases.append({"first": first, "second": second, "P1": P1, "P2": P2})
    return cases


@exercise(
    points=3,
    title="Two pixels give a point",
    inputs=_views,
    hints={
        "Divide by the fourth number.": {"divide": lambda X: X[:3]},
        "The first right singular vector makes A X large: take the last.": {"row": 0},
        "The rows are u p3 - p1 and v p3 - p2: check the signs.": {"sign": -1},
        "Only u is used, two equations for three numbers: v gives two more.": {"axes": (0, 0)},
    },
)
def triangulate(
    first, second, P1, P2, *, row=-1, sign=1, axes=(0, 1), divide=lambda X: X[:3] / X[3]
):
    """Return the points (n, 3) that both cameras show, by the direct linear transform."""
    found = []
    for pixels in zip(first, second, strict=True):
        A = [x[a] * P[2] - sign * P[a] for x, P in zip(pixels, (P1, P2), strict=True) for a in axes]
        found.append(divide(np.linalg.svd(np.array(A))[2][row]))
    return np.array(found)


def _normaliser(points):
    middle = points.mean(axis=0)
    s = np.sqrt(2) / np.linalg.norm(points - middle, axis=1).mean()
    return np.array([[s, 0, -s * middle[0]], [0, s, -s * middle[1]], [0, 0, 1]])


def _matches(rng):
    pixels = [_pairs(rng, count, 0.0 if count == 8 else 1.0)[0] for count in (8, 12, 20, 30)]
    return [{"first": first, "second": second} for first, second in pixels]


@exercise(
    points=4,
    title="The normalised eight-point method",
    inputs=_matches,
    hints={
        "The pixels were not normalised first.": {"normaliser": lambda points: np.eye(3)},
        "F must have rank 2: set its smallest singular value to 0.": {"keep": 3},
        "This is F transposed: x2 stands to the left, x2ᵀ F x1 = 0.": {"order": lambda F: F.T},
        "T is not undone: F = T2ᵀ F T1.": {"undo": lambda F, T1, T2: F},
        "Divide F by its norm, so that its squares sum to 1.": {"norm": lambda F: F[2, 2]},
    },
)
def eight_point(
    first, second, *, normaliser=_normaliser, keep=2, order=lambda F: F,
    undo=lambda F, T1, T2: T2.T @ F @ T1, norm=np.linalg.norm,
):  # fmt: skip
    """Return F (3, 3) with norm 1, its largest entry by magnitude positive."""
    T1, T2 = normaliser(first), normaliser(second)
    x1, x2 = (np.column_stack([p, np.ones(len(p))]) @ T.T for p, T in ((first, T1), (second, T2)))
    A = (x2[:, :, None] * x1[:, None]).reshape(len(x1), 9)
    U, S, V = np.linalg.svd(np.linalg.svd(A)[2][-1].reshape(3, 3))
    F = undo(U[:, :keep] * S[:keep] @ V[:keep], T1, T2)
    F = order(F / norm(F))
    return F * np.sign(F.flat[np.abs(F).argmax()])


@exercise(
    points=2,
    title="How far two clouds lie apart",
    inputs=lambda rng: [
        {"first": rng.normal(size=(n, 3)), "second": rng.normal(size=(m, 3))}
        for n, m in ((1, 1), (1, 6), (9, 4), *rng.integers(5, 30, (3, 2)))
    ],
    hints={
        "The distances are squared: take the root.": {"distance": lambda d: (d**2).sum(-1)},
        "Only one way: also from each point of the second set to the first.": {"ways": (1,)},
        "These are sums of nearest distances: take their means.": {"pool": np.sum},
        "The two ways are averaged, not added.": {"both": sum},
    },
)
def chamfer(
    first, second, *, ways=(1, 0), pool=np.mean, both=np.mean,
    distance=lambda d: np.linalg.norm(d, axis=-1),
):  # fmt: skip
    """Return the chamfer distance of points (n, 3) and (m, 3), the mean of both ways."""
    away = distance(first[:, None] - second[None])  # (n, m)
    return both([pool(away.min(axis=way)) for way in ways])
