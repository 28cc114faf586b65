"""The same by other roads: OpenCV, einsum and SciPy, a loop, a loop."""

import cv2
import numpy as np
from scipy.special import softmax


def project_lidar(points, intrinsics, rotation, translation):
    turn, _ = cv2.Rodrigues(rotation)
    pixels, _ = cv2.projectPoints(points, turn, translation, intrinsics, None)
    behind = np.array([rotation[2] @ point + translation[2] <= 0 for point in points])
    pixels = pixels[:, 0].copy()
    pixels[behind] = np.nan
    return pixels


def lift(logits, context):
    return np.einsum("dp,cp->cdp", softmax(logits, axis=0), context)


def splat(features, cells, count):
    total = np.zeros((len(features), count))
    for point, cell in enumerate(cells):
        if cell >= 0:
            total[:, cell] += features[:, point]
    return total


def shoot(cost, paths):
    totals = [-sum(cost[row, column] for row, column in path) for path in paths]
    return softmax(totals)
