"""Boxes around clusters of points, without learning: what lies close together is one object.

Points that have neighbours form clusters (DBSCAN: Ester et al., "A Density-Based Algorithm for
Discovering Clusters in Large Spatial Databases with Noise", KDD 1996). Each gets a rectangle from
above (Zhang et al., "Efficient L-Shape Fitting for Vehicle Detection Using Laser Scanners", IV
2017). Boxes are (x, y, z, length, width, height, heading), as in ``box_metrics``.
"""

import math

import torch
from sklearn.cluster import DBSCAN
from torch import Tensor

from mmlib.shapes import check_shape


def fit_rectangle(xy: Tensor, *, angles: int = 90) -> Tensor:
    """Return the rectangle of least area around points (points, 2): x, y, length, width, heading.

    All headings from 0 to 90°, evenly, are tried (Zhang et al. 2017); length is along the heading.
    """
    check_shape(xy, "points 2", name="xy")
    heading = torch.arange(angles).to(xy) * (math.pi / 2 / angles)
    axes = torch.stack([heading.cos(), heading.sin(), -heading.sin(), heading.cos()], dim=-1)
    axes = axes.unflatten(-1, (2, 2))  # (angles, axis, x and y)
    along = axes @ xy.T  # (angles, 2, points)
    low, high = along.amin(dim=-1), along.amax(dim=-1)
    best = (high - low).prod(dim=-1).argmin()
    middle = (low[best] + high[best]) / 2 @ axes[best]
    return torch.cat([middle, high[best] - low[best], heading[best, None]])


def cluster_boxes(
    points: Tensor, *, apart: float = 0.7, least: int = 5, ground: float = 0.25
) -> tuple[Tensor, Tensor]:
    """Return a box for each cluster of points of one scene, and what is known of the clusters.

    Points higher than ``ground`` and lower than 3 metres are clustered from above (DBSCAN). A box
    stands on the road.

    Args:
        points: (points, 4); apart: how far, in metres, a neighbour may be; least: how many
            neighbours make a cluster.

    Returns:
        boxes (clusters, 7), the longer side along the heading; features (clusters, 7): length,
        width, lowest and highest point, distance, logarithm of the number of points, intensity.
    """
    kept = points[(points[:, 2] > ground) & (points[:, 2] < 3)]
    boxes, features = [points.new_zeros(0, 7)], [points.new_zeros(0, 7)]
    labels = DBSCAN(eps=apart, min_samples=least).fit_predict(kept[:, :2]) if len(kept) else []
    labels = torch.as_tensor(labels)
    for number in range(int(labels.max()) + 1 if len(labels) else 0):
        own = kept[labels == number]
        x, y, length, width, heading = fit_rectangle(own[:, :2])
        if width > length:
            length, width, heading = width, length, heading + math.pi / 2
        low, top = own[:, 2].min(), own[:, 2].max()
        box = [x, y, top / 2, length.clamp(min=0.1), width.clamp(min=0.1), top, heading]
        known = [length, width, low, top, x.hypot(y), top.new_tensor(len(own)).log()]
        boxes.append(torch.stack(box)[None])
        features.append(torch.stack([*known, own[:, 3].mean()])[None])
    return torch.cat(boxes), torch.cat(features)


def complete_boxes(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Return boxes (boxes, 7) grown away from the lidar, to (boxes, 3) length, width and height.

    Only the sides that face the lidar were seen. A box that is hardly longer than such an object
    is wide shows its front or back: then the length is across.
    """
    across = (boxes[:, 3] < 1.3 * sizes[:, 1]) & (sizes[:, 0] > 1.5 * sizes[:, 1])
    turned = torch.stack([boxes[:, 4], boxes[:, 3]], dim=1)
    seen = torch.where(across[:, None], turned, boxes[:, 3:5])
    heading = boxes[:, 6] + across * math.pi / 2
    axes = torch.stack([heading.cos(), heading.sin(), -heading.sin(), heading.cos()], dim=1)
    axes = axes.unflatten(1, (2, 2))
    away = (axes @ boxes[:, :2, None])[..., 0].sign()  # of the middle from the lidar, by axis
    middle = boxes[:, :2] + ((away * (sizes[:, :2] - seen) / 2)[:, None] @ axes)[:, 0]
    return torch.cat([middle, sizes[:, 2:] / 2, sizes, heading[:, None]], dim=1)
