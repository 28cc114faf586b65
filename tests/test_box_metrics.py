"""Rotated IoU against brute force and OpenCV, average precision against other implementations."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlib import box_metrics
from mmlib.runtime import make_generator


def random_boxes(count, seed, spread=3.0):
    generator = make_generator(seed)
    low = torch.tensor([-spread, -spread, -1, 0.4, 0.4, 0.5, -4])
    high = torch.tensor([spread, spread, 1, 5, 2.5, 2.5, 4])
    return low + (high - low) * torch.rand(count, 7, generator=generator)


def opencv_area(first, second):
    """The area that two boxes share, by OpenCV."""
    one, two = (
        ((float(b[0]), float(b[1])), (float(b[3]), float(b[4])), math.degrees(float(b[6])))
        for b in (first, second)
    )
    kind, points = cv2.rotatedRectangleIntersection(one, two)
    if kind == cv2.INTERSECT_NONE or points is None:
        return 0.0
    return cv2.contourArea(cv2.convexHull(points))


def test_corners_of_a_box_that_is_not_turned():
    box = torch.tensor([[1.0, 2.0, 0.0, 4.0, 2.0, 1.0, 0.0]])
    assert box_metrics.corners(box)[0].tolist() == [[3, 3], [-1, 3], [-1, 1], [3, 1]]
    turned = torch.tensor([[1.0, 2.0, 0.0, 4.0, 2.0, 1.0, math.pi / 2]])
    expected = torch.tensor([[0.0, 4], [0, 0], [2, 0], [2, 4]])
    torch.testing.assert_close(box_metrics.corners(turned)[0], expected)


def test_clipping_a_square_keeps_what_lies_to_the_left():
    square = [(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)]
    half = box_metrics.clip(square, (1.0, 0.0), (1.0, 1.0))
    assert box_metrics.polygon_area(half) == 2
    assert box_metrics.clip(square, (3.0, 0.0), (3.0, 1.0)) == square
    assert box_metrics.clip(square, (3.0, 1.0), (3.0, 0.0)) == []
    assert box_metrics.clip(square, (-1.0, 0.0), (-1.0, 1.0)) == []
    corner = box_metrics.clip(square, (0.0, 1.0), (1.0, 2.0))
    assert math.isclose(box_metrics.polygon_area(corner), 0.5)


def test_shared_areas_are_opencvs():
    first, second = random_boxes(40, 0), random_boxes(40, 1)
    found = box_metrics.shared_areas(first, second)
    expected = [[opencv_area(a, b) for b in second] for a in first]
    apart = np.abs(found.numpy() - expected)
    assert apart.max() < 0.02  # OpenCV drops corners that lie close together
    assert (apart < 1e-4).mean() > 0.995
    assert (found > 0).float().mean() > 0.2


def test_shared_areas_are_those_of_a_fine_grid():
    first, second = random_boxes(12, 2), random_boxes(12, 3)
    steps = torch.arange(-6, 6, 0.02) + 0.01
    points = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).reshape(-1, 2)

    def inside(box):
        x, y = (points - box[:2]).unbind(-1)
        cosine, sine = box[6].cos(), box[6].sin()
        along, across = x * cosine + y * sine, y * cosine - x * sine
        return (along.abs() < box[3] / 2) & (across.abs() < box[4] / 2)

    found = box_metrics.shared_areas(first, second).diagonal()
    for a, b, area in zip(first, second, found, strict=True):
        counted = float((inside(a) & inside(b)).sum()) * 0.02**2
        assert abs(counted - float(area)) < 0.05


box = st.tuples(
    *[st.floats(-3, 3)] * 3, *[st.floats(0.3, 5)] * 3, st.floats(-7, 7)
).map(lambda values: torch.tensor([values], dtype=torch.float64))  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(box, box)
def test_iou_laws(a, b):
    """Symmetric, 0 to 1, 1 with itself, the same for a box turned about by half a turn or moved."""
    for iou in (box_metrics.iou_3d, box_metrics.iou_bev):
        value = float(iou(a, b))
        assert -1e-9 <= value <= 1 + 1e-9
        assert math.isclose(value, float(iou(b, a)), abs_tol=1e-9)
        assert math.isclose(float(iou(a, a)), 1, abs_tol=1e-9)
        half_turn = a + torch.tensor([0, 0, 0, 0, 0, 0, math.pi], dtype=torch.float64)
        assert math.isclose(value, float(iou(half_turn, b)), abs_tol=1e-7)
        moved = torch.tensor([5.0, -2, 1, 0, 0, 0, 0])
        assert math.isclose(value, float(iou(a + moved, b + moved)), abs_tol=1e-7)


def test_iou_3d_counts_heights():
    low = torch.tensor([[0.0, 0, 1, 2, 2, 2, 0.3]])
    high = torch.tensor([[0.0, 0, 2, 2, 2, 2, 0.3]])
    assert math.isclose(float(box_metrics.iou_3d(low, high)), 1 / 3, abs_tol=1e-6)
    assert math.isclose(float(box_metrics.iou_bev(low, high)), 1, abs_tol=1e-6)
    above = torch.tensor([[0.0, 0, 9, 2, 2, 2, 0.3]])
    assert float(box_metrics.iou_3d(low, above)) == 0


def line(*places):
    """Boxes of one metre in a row, at the given x."""
    boxes = [[float(x), 0, 0, 1, 1, 1, 0] for x in places]
    return torch.tensor(boxes).reshape(-1, 7)


def test_matching_takes_the_best_score_first_and_each_truth_once():
    found, scores = line(0.1, 0.0, 5.0), torch.tensor([0.9, 0.8, 0.7])
    truth = line(0.0, 9.0)
    overlap = box_metrics.iou_3d(found, truth)
    hits, counts = box_metrics.match(
        found, scores, truth, torch.tensor([False, False]), overlap, 0.5
    )
    assert hits.tolist() == [True, False, False]
    assert counts.all()


def test_ignored_boxes_are_neither_hits_nor_false_alarms():
    curve = box_metrics.precision_recall(
        [(line(0, 5, 20), torch.tensor([0.9, 0.8, 0.7]))],
        [line(0, 5)],
        ignored=[torch.tensor([True, False])],
        least=0.5,
    )
    assert curve.hits.tolist() == [True, False]
    assert curve.truths == 1
    assert box_metrics.average_precision(curve) == 1


def random_frames(seed, frames=12):
    """Frames with truths, found ones near them, and false alarms; all scores differ."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(frames):
        true = line(*(4 * np.arange(rng.integers(0, 6))))
        kept = true[rng.random(len(true)) < 0.8].clone()
        kept[:, 0] += torch.from_numpy(rng.normal(0, 0.25, len(kept))).float()
        alarms = line(*(100 + 4 * np.arange(rng.integers(0, 4))))
        boxes = torch.cat([kept, alarms])
        good = np.r_[rng.normal(1, 1, len(kept)), rng.normal(0, 1, len(alarms))]
        found.append((boxes, torch.from_numpy(good)))
        truth.append(true)
    return found, truth


def official(found, truth, least):
    """KITTI's way: for each of about 40 thresholds of the score match anew, then interpolate."""
    total = sum(len(true) for true in truth)

    def match(threshold):
        hit_scores, alarms = [], 0
        for (boxes, scores), true in zip(found, truth, strict=True):
            overlap = box_metrics.iou_3d(boxes, true).numpy()
            taken = np.zeros(len(boxes), bool)
            kept = scores.numpy() >= threshold
            for j in range(len(true)):
                able = [i for i in np.flatnonzero(kept & ~taken) if overlap[i, j] >= least]
                if able:
                    best = max(able, key=lambda i: overlap[i, j])
                    taken[best] = True
                    hit_scores.append(float(scores[best]))
            alarms += int((kept & ~taken).sum())
        return sorted(hit_scores, reverse=True), alarms

    every, _ = match(-np.inf)
    precision = np.zeros(41)
    for k in range(1, 41):
        needed = math.ceil(k / 40 * total - 1e-9)
        for enough in range(needed, len(every) + 1):
            hits, alarms = match(every[enough - 1])
            precision[k] = max(precision[k], len(hits) / (len(hits) + alarms))
    return precision[1:].mean()


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_that_of_matching_anew_at_every_threshold(seed):
    found, truth = random_frames(seed)
    curve = box_metrics.precision_recall(found, truth, least=0.5)
    value = box_metrics.average_precision(curve)
    assert 0.2 < value < 0.95
    assert math.isclose(value, official(found, truth, 0.5), abs_tol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_precision_and_recall_are_scikit_learns(seed):
    from sklearn.metrics import precision_recall_curve

    found, truth = random_frames(seed + 10)
    curve = box_metrics.precision_recall(found, truth, least=0.5)
    precision, recall, _ = precision_recall_curve(curve.hits.numpy(), curve.scores.numpy())
    share = float(curve.hits.sum()) / curve.truths  # scikit-learn knows nothing of what was missed
    ours = torch.stack([curve.recall, curve.precision], dim=1)
    theirs = torch.from_numpy(np.stack([recall[:-1] * share, precision[:-1]], axis=1))
    assert torch.cdist(theirs, ours).amin(dim=1).max() < 1e-6


def test_average_precision_by_hand():
    """Two truths; right, wrong, right: precision 1 up to recall 1/2, then 2/3."""
    curve = box_metrics.precision_recall(
        [(line(0, 50, 4), torch.tensor([0.9, 0.8, 0.7]))], [line(0, 4)], least=0.5
    )
    assert curve.recall.tolist() == [0.5, 0.5, 1]
    assert math.isclose(box_metrics.average_precision(curve), (20 + 20 * 2 / 3) / 40)


def test_nothing_found_and_nothing_to_find():
    none = (line(), torch.zeros(0))
    curve = box_metrics.precision_recall([none], [line(0)], least=0.5)
    assert box_metrics.average_precision(curve) == 0
    curve = box_metrics.precision_recall([none], [line()], least=0.5)
    with pytest.raises(ValueError, match="no true box"):
        box_metrics.average_precision(curve)
    assert box_metrics.iou_3d(line(), line(0, 1)).shape == (0, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: box_metrics.precision_recall([], [line(0)], least=0.5), "found has 0 frames"),
        (lambda: box_metrics.precision_recall([], [], least=0.0), "least is 0"),
        (lambda: box_metrics.iou_3d(line(0)[:, :6], line(0)), "first has"),
        (lambda: box_metrics.iou_bev(line(0) * math.nan, line(0)), "NaN"),
    ],
)
def test_bad_input_gets_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
