"""Boxes around clusters of points: what lies close together is one object.

Points that have neighbours form clusters (DBSCAN: Ester et al., "A Density-Based Algorithm for
Discovering Clusters in Large Spatial Databases with Noise", KDD 1996). Each gets a rectangle from
above (Zhang et al., "Efficient L-Shape Fitting for Vehicle Detection Using Laser Scanners", IV
2017). A random forest can name the clusters. Boxes are (x, y, z, length, width, height, heading),
as in ``box_metrics``.
"""

import math
from typing import NamedTuple

import torch
from sklearn.cluster import DBSCAN
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor

from mmlib.shapes import check_shape


class Found(NamedTuple):
    """Boxes found in one scene by any detector, the best first."""

    boxes: Tensor  # (boxes, 7)
    scores: Tensor  # (boxes,) 0 to 1
    category: Tensor  # (boxes,)


def fit_rectangle(xy: Tensor, *, angles: int = 90) -> Tensor:
    """Return the rectangle of least area: x, y, length, width, heading.

    All headings from 0 to 90°, evenly, are tried (Zhang et al. 2017).

    Args:
        xy: (points, 2); the length is along the heading.
    """
    check_shape(xy, "points 2", name="xy")
    heading = torch.arange(angles).to(xy) * (math.pi / 2 / angles)
    cosine, sine = heading.cos(), heading.sin()
    axes = torch.stack([cosine, sine, -sine, cosine], dim=-1)
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


class Clustering:
    """Clusters, named by a random forest over what is known of them, with completed boxes."""

    def __init__(
        self, *, apart: float = 0.7, complete: bool = True, categories: int = 3, seed: int = 0
    ) -> None:
        self.apart, self.complete, self.categories = apart, complete, categories
        self.forest = RandomForestClassifier(100, min_samples_leaf=2, random_state=seed)

    def fit(self, points: Tensor, boxes: Tensor, category: Tensor) -> "Clustering":
        """Learn which clusters are which category, and the mean size of each category.

        A cluster belongs to the box from whose middle it is less than half the length away.

        Args:
            points: (scenes, points, 4); boxes: (scenes, slots, 7).
            category: (scenes, slots), 0 to ``categories`` - 1, or below 0 where there is no object.

        Raises:
            ValueError: some category, or what is none, has no cluster to learn from.
        """
        none = self.categories  # the label of what is no object
        features, labels = [], []
        for scan, true, names in zip(points, boxes, category, strict=True):
            found, known = cluster_boxes(scan, apart=self.apart)
            true, names = true[names >= 0], names[names >= 0]
            label = torch.full((len(found),), none)
            if len(found) and len(true):
                away = torch.cdist(found[:, :2], true[:, :2]) - true[:, 3] / 2
                label = names[away.argmin(1)].where(away.amin(1) < 0, none)
            features.append(known)
            labels.append(label)
        self.forest.fit(torch.cat(features), torch.cat(labels))
        if len(self.forest.classes_) <= none:
            raise ValueError(
                f"clusters are of the categories {self.forest.classes_.tolist()} only, there must "
                f"be 0 to {none}, the last for no object: give more scans"
            )
        self.sizes = torch.stack([boxes[category == k][:, 3:6].mean(0) for k in range(none)])
        return self

    def detect(self, points: Tensor) -> list[Found]:
        """Return what is found in points (scenes, points, 4)."""
        answers = []
        for scan in points:
            boxes, known = cluster_boxes(scan, apart=self.apart)
            if not len(boxes):
                answers.append(Found(boxes, boxes[:, 0], boxes[:, 0].long()))
                continue
            share = torch.from_numpy(self.forest.predict_proba(known)).float()
            score, category = share[:, :-1].max(dim=1)  # the last is no object
            if self.complete:
                boxes = complete_boxes(boxes, self.sizes[category])
            order = score.argsort(descending=True)
            answers.append(Found(boxes[order], score[order], category[order]))
        return answers
