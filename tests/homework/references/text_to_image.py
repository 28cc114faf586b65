"""The same by other roads: loops, torch's losses and layers, SciPy's root of a matrix."""

import numpy as np
import scipy.linalg
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, conv_transpose2d


def structured_loss(scores, classes):
    total, size = 0.0, len(classes)
    for i in range(size):
        for table in (scores, scores.T):
            total += max(
                float(classes[i] != classes[j]) + table[i, j] - table[i, i] for j in range(size)
            )
    return total / size


def discriminator_loss(real_right, real_wrong, fake_right):
    right, wrong, fake = (torch.tensor(x) for x in (real_right, real_wrong, fake_right))
    found = binary_cross_entropy_with_logits(right, torch.ones_like(right))
    for logits in (wrong, fake):
        found = found + binary_cross_entropy_with_logits(logits, torch.zeros_like(logits)) / 2
    return float(found)


def grow(picture, kernel, stride, padding):
    picture, kernel = (torch.tensor(x)[None, None] for x in (picture, kernel))
    return conv_transpose2d(picture, kernel, stride=stride, padding=padding)[0, 0]


def frechet_distance(first, second):
    one, other = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = scipy.linalg.sqrtm(one @ other).real
    apart = ((first.mean(0) - second.mean(0)) ** 2).sum()
    return float(apart + np.trace(one) + np.trace(other) - 2 * np.trace(root))
