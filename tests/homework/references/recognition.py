"""The same by other roads: NumPy's histograms, SciPy's distances, loops."""

import numpy as np
import torch
from scipy.spatial.distance import pdist


def hit_grid(points, n):
    count, _ = np.histogramdd(points, bins=n, range=[(-1, 1)] * 3)
    return (count > 0).astype(float)


def pointnet(points, W, b, V, c):
    h = torch.relu(torch.from_numpy(points @ W + b))
    return torch.nn.functional.adaptive_max_pool1d(h.T, 1)[:, 0].numpy() @ V + c


def critical_points(features):
    top = features.max(axis=0)
    return np.array([i for i, row in enumerate(features) if (row == top).any()])


def d2(points, bins, farthest):
    edges = np.linspace(0, farthest, bins + 1)
    away = pdist(points)
    return np.diff([np.mean(away < edge) for edge in edges])
