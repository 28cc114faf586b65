"""Scores of boxes in space: rotated IoU, matching, precision and recall, average precision.

A box is (x, y, z, length, width, height, heading): its middle, its size along its own axes, in
metres, and the direction of its front in radians, from x towards y. The IoU of boxes that are
turned needs the area that two rectangles share: one is clipped by the sides of the other
(Sutherland & Hodgman, Communications of the ACM 1974). Average precision is by the rule of KITTI's
benchmark since 2019: 40 recall positions.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.shapes import check_finite, check_shape

Point = tuple[float, float]
RECALL_POSITIONS = 40


def corners(boxes: Tensor) -> Tensor:
    """Return the corners (..., 4, 2) of boxes (..., 7) from above, counter-clockwise.

    The first is the front left one.
    """
    if boxes.numel():  # no boxes have no corners
        check_shape(boxes, "... 7", name="boxes")
    along = boxes[..., 3, None] / 2 * boxes.new_tensor([1, -1, -1, 1])
    across = boxes[..., 4, None] / 2 * boxes.new_tensor([1, 1, -1, -1])
    cosine, sine = boxes[..., 6, None].cos(), boxes[..., 6, None].sin()
    x = boxes[..., 0, None] + along * cosine - across * sine
    y = boxes[..., 1, None] + along * sine + across * cosine
    return torch.stack([x, y], dim=-1)


def clip(polygon: list[Point], a: Point, b: Point) -> list[Point]:
    """Return the part of a convex polygon that lies to the left of the line from a to b."""

    def left(p: Point) -> float:  # above 0 on the left side
        return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])

    kept = []
    for p, q in pairwise([*polygon, *polygon[:1]]):
        at_p, at_q = left(p), left(q)
        if at_p >= 0:
            kept.append(p)
        if (at_p >= 0) != (at_q >= 0):  # the side from p to q crosses the line
            share = at_p / (at_p - at_q)
            kept.append((p[0] + share * (q[0] - p[0]), p[1] + share * (q[1] - p[1])))
    return kept


def polygon_area(polygon: list[Point]) -> float:
    """Return the area of a polygon whose corners go counter-clockwise (the shoelace formula)."""
    around = pairwise([*polygon, *polygon[:1]])
    return sum(p[0] * q[1] - q[0] * p[1] for p, q in around) / 2


def shared_area(first: list[Point], second: list[Point]) -> float:
    """Return the area that two convex polygons share: the first clipped by each side of the second.

    Corners go counter-clockwise.
    """
    for a, b in pairwise([*second, *second[:1]]):
        first = clip(first, a, b)
    return polygon_area(first) if first else 0.0


def shared_areas(first: Tensor, second: Tensor) -> Tensor:
    """Return the area (n, m) that each box of (n, 7) shares with each of (m, 7), from above."""
    areas = first.new_zeros(len(first), len(second), dtype=torch.float64)
    if not areas.numel():
        return areas
    for name, boxes in (("first", first), ("second", second)):
        check_shape(boxes, "boxes 7", name=name)
        check_finite(boxes, name=name)
    reach = [boxes[:, 3:5].double().norm(dim=1) / 2 for boxes in (first, second)]
    away = torch.cdist(first[:, :2].double(), second[:, :2].double())
    near = away < reach[0][:, None] + reach[1]  # all others share nothing
    polygons = [
        [[tuple(p) for p in box] for box in corners(boxes.double()).tolist()]
        for boxes in (first, second)
    ]
    for i, j in near.nonzero().tolist():
        areas[i, j] = shared_area(polygons[0][i], polygons[1][j])
    return areas


def iou_bev(first: Tensor, second: Tensor) -> Tensor:
    """Return the IoU (n, m) of boxes (n, 7) and (m, 7) from above, in the bird's-eye view."""
    shared = shared_areas(first, second)
    return _over_union(shared, first[:, 3:5], second[:, 3:5])


def iou_3d(first: Tensor, second: Tensor) -> Tensor:
    """Return the IoU (n, m) of boxes (n, 7) and (m, 7): shared over united volume."""
    tops = [(b[:, 2] + b[:, 5] / 2).double() for b in (first, second)]
    bottoms = [(b[:, 2] - b[:, 5] / 2).double() for b in (first, second)]
    height = torch.minimum(tops[0][:, None], tops[1]) - torch.maximum(
        bottoms[0][:, None], bottoms[1]
    )
    shared = shared_areas(first, second) * height.clamp(min=0)
    return _over_union(shared, first[:, 3:6], second[:, 3:6])


def _over_union(shared: Tensor, first: Tensor, second: Tensor) -> Tensor:
    sizes = [size.double().prod(dim=1) for size in (first, second)]
    return shared / (sizes[0][:, None] + sizes[1] - shared).clamp(min=1e-12)


class Curve(NamedTuple):
    """Precision and recall when the boxes with the best scores are kept, one more each time."""

    scores: Tensor  # (boxes,) falling
    hits: Tensor  # (boxes,) whether each found a true box
    truths: int  # how many there were to find

    @property
    def recall(self) -> Tensor:
        """The share of true boxes found so far, (boxes,)."""
        return self.hits.double().cumsum(0) / max(1, self.truths)

    @property
    def precision(self) -> Tensor:
        """The share of boxes so far that found one, (boxes,)."""
        return self.hits.double().cumsum(0) / torch.arange(1, len(self.hits) + 1)


def match(
    found: Tensor, scores: Tensor, truth: Tensor, ignored: Tensor, overlap: Tensor, least: float
) -> tuple[Tensor, Tensor]:
    """Return which found boxes of one frame hit, and which count at all, bool (found,) each.

    In the order of their scores, each takes the free true box with which it overlaps most, if by
    ``least`` or more. A box that takes none, but overlaps so with an ignored one, counts neither
    as a hit nor as a false alarm.

    Args:
        overlap: (found, truth), such as ``iou_3d``; ignored: (truth,) not asked for.
    """
    hits = torch.zeros(len(found), dtype=torch.bool)
    counts = torch.ones(len(found), dtype=torch.bool)
    free = ~ignored
    for i in scores.argsort(descending=True, stable=True).tolist():
        if not len(truth):
            break
        best, j = (overlap[i] * free).max(dim=0)
        if free.any() and best >= least:
            hits[i], free[j] = True, False
        elif (overlap[i][ignored] >= least).any():
            counts[i] = False
    return hits, counts


def precision_recall(
    found: Sequence[tuple[Tensor, Tensor]],
    truth: Sequence[Tensor],
    *,
    least: float,
    ignored: Sequence[Tensor] | None = None,
    overlap: Callable[[Tensor, Tensor], Tensor] = iou_3d,
) -> Curve:
    """Return precision and recall over all frames, for boxes of one category.

    Args:
        found: for each frame boxes (boxes, 7) and their scores (boxes,).
        truth: for each frame the true boxes (boxes, 7).
        least: the overlap from which on a box counts as found.
        ignored: for each frame which true boxes are not asked for, bool (boxes,).
        overlap: of boxes (n, 7) and (m, 7), (n, m).

    Raises:
        ValueError: the numbers of frames differ, or ``least`` is not above 0 and at most 1.
    """
    if len(found) != len(truth):
        raise ValueError(f"found has {len(found)} frames, truth {len(truth)}: give both for each")
    if not 0 < least <= 1:
        raise ValueError(f"least is {least}, it must be above 0 and at most 1")
    if ignored is None:
        ignored = [torch.zeros(len(boxes), dtype=torch.bool) for boxes in truth]
    scores, hits = [torch.zeros(0)], [torch.zeros(0, dtype=torch.bool)]
    for (boxes, score), true, skip in zip(found, truth, ignored, strict=True):
        hit, counts = match(boxes, score, true, skip, overlap(boxes, true), least)
        scores.append(score[counts])
        hits.append(hit[counts])
    scores, hits = torch.cat(scores), torch.cat(hits)
    order = scores.argsort(descending=True, stable=True)
    return Curve(scores[order], hits[order], int(sum((~skip).sum() for skip in ignored)))


def average_precision(curve: Curve) -> float:
    """Return the mean over the recalls 1/40, 2/40 … 1 of the best precision at that recall or more.

    KITTI's rule since 2019 (before, it was 11 positions from 0). Its program first thins the
    scores out to about 40 thresholds, which can change the result by little.

    Raises:
        ValueError: there was nothing to find.
    """
    if not curve.truths:
        raise ValueError("there is no true box to find: average precision is not defined")
    recall, precision = curve.recall, curve.precision
    total = 0.0
    for k in range(1, RECALL_POSITIONS + 1):
        there = recall >= k / RECALL_POSITIONS - 1e-9
        total += float(precision[there].max()) if there.any() else 0.0
    return total / RECALL_POSITIONS
