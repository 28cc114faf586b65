"""Boxes around clusters: against OpenCV's smallest rectangle, and on points of known objects."""

import math

import cv2
import numpy as np
import pytest
import torch

from mmlib import box_clusters, box_metrics


def test_the_rectangle_is_nearly_opencvs_smallest():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a = rng.uniform(0, 6)
        turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
        points = rng.uniform(-1, 1, (30, 2)) @ np.diag([2, 0.8]) @ turn
        x, y, length, width, heading = box_clusters.fit_rectangle(torch.from_numpy(points)).tolist()
        _, size, _ = cv2.minAreaRect(points.astype(np.float32))
        assert size[0] * size[1] <= length * width + 1e-3
        assert length * width < 1.06 * size[0] * size[1]
        turn = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])
        frame = np.abs((points - [x, y]) @ turn.T)
        np.testing.assert_allclose(frame.max(axis=0), [length / 2, width / 2], atol=1e-6)


def test_clusters_are_one_box_for_each_object_that_stands_alone():
    rng = np.random.default_rng(0)
    scan = []
    for x, y in ((5.0, 0.0), (15.0, 6.0)):
        spots = rng.uniform(-0.5, 0.5, (200, 3)) * [4, 1.8, 1.2] + [x, y, 1.0]
        scan.append(np.concatenate([spots, np.full((200, 1), 0.5)], axis=1))
    ground = np.concatenate(
        [rng.uniform(0, 20, (300, 2)), np.zeros((300, 1)), np.ones((300, 1))], 1
    )
    missing = np.full((9, 4), np.nan)
    points = torch.from_numpy(np.concatenate([*scan, ground, missing])).float()
    boxes, features = box_clusters.cluster_boxes(points)
    assert boxes.shape == (2, 7)
    assert features.shape == (2, 7)
    true = torch.tensor([[5.0, 0, 0.8, 4, 1.8, 1.6, 0], [15.0, 6, 0.8, 4, 1.8, 1.6, 0]])
    assert (box_metrics.iou_3d(boxes, true).diagonal() > 0.8).all()
    none = box_clusters.cluster_boxes(torch.full((5, 4), math.nan))
    assert none[0].shape == (0, 7)


def test_completing_a_box_keeps_the_corner_next_to_the_lidar():
    side = torch.tensor([[10.0, 4.0, 0.7, 3.0, 0.4, 1.4, 0.0]])  # of a car whose end is hidden
    size = torch.tensor([[4.2, 1.8, 1.5]])
    whole = box_clusters.complete_boxes(side, size)[0]
    corner = side[0, :2] - side[0, 3:5] / 2
    torch.testing.assert_close(whole[:2] - whole[3:5] / 2, corner)
    back = torch.tensor([[20.0, 0.0, 0.7, 1.7, 0.2, 1.4, math.pi / 2]])
    whole = box_clusters.complete_boxes(back, size)[0]
    assert math.isclose(abs(math.cos(whole[6])), 1, abs_tol=1e-5)
    assert math.isclose(whole[0] - whole[3] / 2, 19.9, abs_tol=1e-4)


def test_no_points_make_no_rectangle():
    with pytest.raises(ValueError, match="xy is empty"):
        box_clusters.fit_rectangle(torch.zeros(0, 2))
