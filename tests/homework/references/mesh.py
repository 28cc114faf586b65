"""The same by other roads: loops over cells and edges, SciPy's interpolation and its k-d tree."""

from itertools import product

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial import KDTree


def cubify_counts(filled):
    cells = {tuple(cell) for cell in np.argwhere(filled)}
    corners, triangles = set(), 0
    for cell in cells:
        for axis, side in product(range(3), (0, 1)):
            beyond = list(cell)
            beyond[axis] += 2 * side - 1
            if tuple(beyond) not in cells:
                triangles += 2
                square = product((0, 1), repeat=2)
                corners |= {tuple(np.add(cell, np.insert(s, axis, side))) for s in square}
    return np.array([len(corners), triangles])


def graph_convolution(f, edges, W0, W1):
    total = f @ W0
    for i, j in edges:
        total[i] += f[j] @ W1
        total[j] += f[i] @ W1
    return total.clip(0)


def bilinear(picture, u, v):
    return map_coordinates(picture, [v, u], order=1)


def f1(points, truth, threshold):
    p = np.mean(KDTree(truth).query(points)[0] < threshold)
    r = np.mean(KDTree(points).query(truth)[0] < threshold)
    return 0.0 if p + r == 0 else 2 / (1 / p + 1 / r) if p and r else 0.0
