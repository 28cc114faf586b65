"""The same by other roads: OpenCV and SciPy."""

import cv2
import numpy as np
from scipy.spatial import cKDTree


def project(points, K, R, t):
    pixels, _ = cv2.projectPoints(points, cv2.Rodrigues(R)[0], t, K, None)
    return pixels[:, 0]


def triangulate(first, second, P1, P2):
    found = cv2.triangulatePoints(P1, P2, first.T.copy(), second.T.copy())
    return (found[:3] / found[3]).T


def eight_point(first, second):
    F, _ = cv2.findFundamentalMat(first, second, cv2.FM_8POINT)
    F = F / np.linalg.norm(F)
    return F * np.sign(F.flat[np.abs(F).argmax()])


def chamfer(first, second):
    there, back = cKDTree(second).query(first)[0], cKDTree(first).query(second)[0]
    return (there.mean() + back.mean()) / 2
