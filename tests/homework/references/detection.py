"""The same by other roads: complex numbers, SciPy's filters and half-planes, loops."""

import numpy as np
from scipy.ndimage import maximum_filter
from scipy.spatial import ConvexHull, HalfspaceIntersection


def corners(box):
    x, y, length, width, heading = box
    own = np.array([length + 1j * width, -length + 1j * width])
    turned = np.concatenate([own, -own]) / 2 * np.exp(1j * heading) + x + 1j * y
    return np.stack([turned.real, turned.imag], axis=1)


def clip(polygon, a, b):
    """Intersect half-planes, then put the corners into the order that clipping gives."""
    side = b - a
    line = np.array([side[1], -side[0], side[0] * a[1] - side[1] * a[0]])
    planes = np.concatenate([ConvexHull(polygon).equations, line[None]])
    inside = [p for p in polygon if line[:2] @ p + line[2] < 0]
    cut = [
        p + t * (q - p)
        for p, q in zip(polygon, np.roll(polygon, -1, axis=0), strict=True)
        if 0 < (t := -(line[:2] @ p + line[2]) / (line[:2] @ (q - p))) < 1
    ]
    found = HalfspaceIntersection(planes, np.mean(inside + cut, axis=0)).intersections
    middle = found.mean(axis=0)
    found = found[np.argsort(np.arctan2(*(found - middle).T[::-1]))]
    first = min(
        (*inside, *cut), key=lambda p: _place(p, polygon)
    )  # clipping begins at the first corner that is left, or the first crossing
    start = np.argmin(np.linalg.norm(found - first, axis=1))
    return np.roll(found, -start, axis=0)


def _place(point, polygon):
    """How far along the polygon's sides a point lies."""
    for i, (p, q) in enumerate(zip(polygon, np.roll(polygon, -1, axis=0), strict=True)):
        t = (point - p) @ (q - p) / ((q - p) @ (q - p))
        if -1e-9 <= t < 1 - 1e-9 and np.linalg.norm(p + t * (q - p) - point) < 1e-9:
            return i + t
    return len(polygon)


def peaks(heat, least):
    there = (maximum_filter(heat, size=3, mode="constant") == heat) & (heat >= least)
    at = np.argwhere(there)
    return np.array(sorted(at.tolist(), key=lambda cell: -heat[tuple(cell)])).reshape(-1, 2)


def average_precision(scores, hits, truths):
    total, best = 0.0, {}
    for threshold in scores:
        kept = scores >= threshold
        right = int((kept & hits).sum())
        for k in range(1, 41):
            if 40 * right >= k * truths:
                best[k] = max(best.get(k, 0.0), right / kept.sum())
    for value in best.values():
        total += value / 40
    return total
