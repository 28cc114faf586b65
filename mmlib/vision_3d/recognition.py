"""3D recognition: naming a shape from voxels, from points or from views.

Chapter: notebooks/vision_3d/02_recognition. Sources: Maturana & Scherer, "VoxNet: A 3D
Convolutional Neural Network for Real-Time Object Recognition", IROS 2015 (M15); Qi et al.,
"PointNet: Deep Learning on Point Sets for 3D Classification and Segmentation", CVPR 2017 (Q17); Su
et al., "Multi-view Convolutional Neural Networks for 3D Shape Recognition", ICCV 2015 (S15);
baseline: Osada et al., "Shape Distributions", ACM Transactions on Graphics 2002 (O02).

All models take points (shapes, points, 3) of upright solids within the cube from -EXTENT to EXTENT,
make of them what they read (``represent``), and give logits (shapes, categories).

Other than in the papers: VoxNet has 16 cells a side instead of 32. PointNet has neither of its two
transformation networks (T-Nets), and about a quarter of its widths. The multi-view network reads
pictures of depth, drawn from points, with three small convolutions instead of VGG-M, and was
trained on no photographs before. All are trained by Adam.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, leaky_relu

from mmlib.data.batches import Batches
from mmlib.shapes import check_finite, check_shape, check_whole
from mmlib.training import predict
from mmlib.world.cameras import orbit_cameras
from mmlib.world.solid_samples import partial_points, surface_points
from mmlib.world.solids import CATEGORIES, sample_solids

EXTENT = 1.25  # the cube that grids and views take in holds every solid, however it is turned
FARTHEST = 3.0  # no two points of a solid are farther apart


class Scans(NamedTuple):
    """Points on solids, in random order, and what the solids are."""

    points: Tensor  # (shapes, points, 3)
    normals: Tensor  # (shapes, points, 3)
    labels: Tensor  # (shapes,) index into CATEGORIES


def make_scans(
    count: int,
    *,
    generator: torch.Generator,
    points: int = 1024,
    partial: bool = False,
    low: float = 0.0,
    high: float = 1.0,
) -> Scans:
    """Return scans of ``count`` solids that face the viewer.

    Args:
        points: of each solid.
        partial: whether they lie on one side only, which a camera anywhere around sees.
        low, high: range of the proportions, as in ``sample_solids``.
    """
    solids = sample_solids(count, generator=generator, low=low, high=high)
    if partial:
        azimuth = 360 * torch.rand(count, generator=generator)
        cameras = orbit_cameras(azimuth, elevation=20.0, height=32, width=32)
        clouds = partial_points(solids, points, cameras, generator=generator)
    else:
        clouds = surface_points(solids, points, generator=generator)
    return Scans(clouds.points, clouds.normals, solids.category)


def turn(points: Tensor, angle: Tensor) -> Tensor:
    """Return points (shapes, points, 3) turned about the vertical.

    Args:
        angle: (shapes,) in radians, to the left as seen from above.
    """
    _check_points(points)
    check_shape(angle, f"{len(points)}", name="angle")
    cosine, sine = angle.cos()[:, None], angle.sin()[:, None]
    x, y, z = points.unbind(-1)
    return torch.stack([cosine * x + sine * z, y, cosine * z - sine * x], dim=-1)


def jitter(points: Tensor, deviation: float, *, generator: torch.Generator) -> Tensor:
    """Return points with Gaussian noise of a standard deviation of 0 or more."""
    if not deviation >= 0:
        raise ValueError(f"deviation is {deviation}, a standard deviation must be 0 or more")
    return points + deviation * torch.randn(points.shape, generator=generator).to(points)


def hit_grid(points: Tensor, resolution: int) -> Tensor:
    """Return 1 for each cell that a point lies in, else 0: (shapes, 1, x, y, z) (M15, III-A).

    Points outside the cube from -EXTENT to EXTENT count for nothing.
    """
    _check_points(points)
    resolution = check_whole(resolution, name="resolution")
    cell = ((points + EXTENT) * (resolution / (2 * EXTENT))).floor().long()  # (shapes, points, 3)
    inside = ((cell >= 0) & (cell < resolution)).all(dim=-1)
    x, y, z = cell.clamp(0, resolution - 1).unbind(-1)
    grid = points.new_zeros(len(points), resolution**3)
    grid.scatter_reduce_(1, (x * resolution + y) * resolution + z, inside.to(grid), "amax")
    return grid.unflatten(1, (1, resolution, resolution, resolution))


def depth_views(points: Tensor, *, views: int = 12, size: int = 32) -> Tensor:
    """Return pictures of points from ``views`` sides, 30° above the ground (S15, 3.1).

    Each point fills 2 × 2 pixels, without perspective; of several in a pixel the nearest counts.

    Returns:
        (shapes, views, size, size): from 0, nothing, to 1, nearest.
    """
    _check_points(points)
    views, size = check_whole(views, name="views"), check_whole(size, name="size", least=2)
    azimuth = torch.arange(views) * (360 / views)
    axes = orbit_cameras(azimuth, elevation=30.0).rotation.to(points)  # right, down, forward
    right, down, far = torch.einsum("vij,spj->isvp", axes, points)  # (shapes, views, points) each
    near = (0.6 - 0.4 * far / EXTENT).clamp(0.05, 1)
    column, row = (
        ((at + EXTENT) * (size / (2 * EXTENT)) - 0.5).floor().long() for at in (right, down)
    )
    pictures = points.new_zeros(*near.shape[:2], size * size)
    for step in (0, 1), (0, 0), (1, 0), (1, 1):
        u, v = (column + step[0]).clamp(0, size - 1), (row + step[1]).clamp(0, size - 1)
        pictures.scatter_reduce_(2, v * size + u, near, "amax")
    return pictures.unflatten(2, (size, size))


def shape_distribution(
    points: Tensor, *, generator: torch.Generator, bins: int = 64, pairs: int = 4096
) -> Tensor:
    """Return D2, how distances between random points of a shape are distributed (O02, 3.2).

    Returns:
        (shapes, bins): the share of pairs with a distance in each bin from 0 to FARTHEST. It stays
        the same when the shape is moved, turned or mirrored.
    """
    sizes = _check_points(points)
    pick = torch.randint(sizes["points"], (2, pairs), generator=generator).to(points.device)
    apart = (points[:, pick[0]] - points[:, pick[1]]).norm(dim=-1)  # (shapes, pairs)
    which = (apart * (bins / FARTHEST)).long().clamp(max=bins - 1)
    counts = apart.new_zeros(len(points), bins).scatter_add_(1, which, torch.ones_like(apart))
    return counts / pairs


def nearest_neighbour(training: Tensor, labels: Tensor, features: Tensor) -> Tensor:
    """Return the label of the training row nearest to each row of features, by the L1 norm."""
    return labels[torch.cdist(features, training, p=1).argmin(dim=1)]


class VoxNet(nn.Module):
    """Two convolutions, a maximum and two dense layers over a grid of hits (M15, fig. 1)."""

    def __init__(self, categories: int = len(CATEGORIES), *, resolution: int = 16) -> None:
        super().__init__()
        side = ((resolution - 5) // 2 + 1 - 2) // 2  # cells that the last maximum leaves
        if side < 1:
            raise ValueError(f"resolution is {resolution}, VoxNet's layers need 11 or more")
        self.resolution = resolution
        self.conv1 = nn.Conv3d(1, 32, 5, stride=2)
        self.conv2 = nn.Conv3d(32, 32, 3)
        self.dense = nn.Linear(32 * side**3, 128)
        self.output = nn.Linear(128, categories)

    def represent(self, points: Tensor) -> Tensor:
        """Return the grid of hits (shapes, 1, x, y, z)."""
        return hit_grid(points, self.resolution)

    def forward(self, points: Tensor) -> Tensor:
        """Return logits (shapes, categories) for points (shapes, points, 3)."""
        x = self.represent(points)
        x = dropout(leaky_relu(self.conv1(x), 0.1), 0.2, self.training)
        x = nn.functional.max_pool3d(leaky_relu(self.conv2(x), 0.1), 2)
        x = dropout(x, 0.3, self.training).flatten(1)
        x = dropout(self.dense(x).relu(), 0.4, self.training)
        return self.output(x)


class PointNet(nn.Module):
    """The same layers for every point, the maximum over points, then a classifier (Q17, fig. 2)."""

    def __init__(
        self,
        categories: int = len(CATEGORIES),
        *,
        channels: int = 3,
        widths: tuple[int, ...] = (32, 32, 32, 64, 256),
        head: tuple[int, ...] = (128, 64),
    ) -> None:
        super().__init__()
        self.channels = channels
        self.h = shared_mlp(channels, *widths)
        self.g = nn.Sequential(
            shared_mlp(widths[-1], *head), nn.Dropout(0.3), nn.Linear(head[-1], categories)
        )

    def represent(self, points: Tensor) -> Tensor:
        """Return the points as they are."""
        check_shape(points, f"shapes points {self.channels}", name="points")
        check_finite(points, name="points")
        return points

    def point_features(self, points: Tensor) -> Tensor:
        """Return h of each point, (shapes, points, features)."""
        points = self.represent(points)
        return self.h(points.flatten(0, 1)).unflatten(0, points.shape[:2])

    def forward(self, points: Tensor) -> Tensor:
        """Return logits (shapes, categories) for points (shapes, points, channels)."""
        return self.g(self.point_features(points).amax(dim=1))  # f = g(max h(x)), equation (1)


def shared_mlp(*widths: int) -> nn.Sequential:
    """Return linear layers of these widths, each with batch normalisation and ReLU (Q17, 3.3)."""
    layers = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def critical_points(model: PointNet, points: Tensor) -> Tensor:
    """Return which points give some feature its maximum, (shapes, points) bool (Q17, 4.3).

    All others can be left out and the answer stays. Where several points give the maximum, as where
    a feature is 0 for all, one of them stands for it.
    """
    batches = Batches(points, batch_size=64)
    best = predict(model, batches, lambda model, batch: model.point_features(batch).argmax(dim=1))
    needed = torch.zeros(points.shape[:2], dtype=torch.bool)
    return needed.scatter(1, best, True)  # best is (shapes, features)


class MultiViewCNN(nn.Module):
    """One CNN for all views, the maximum over views, then a second CNN (S15, fig. 1)."""

    def __init__(
        self, categories: int = len(CATEGORIES), *, views: int = 12, size: int = 32
    ) -> None:
        super().__init__()
        self.views, self.size = views, size
        self.cnn1 = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.cnn2 = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64 * (size // 8) ** 2, 128),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, categories),
        )

    def represent(self, points: Tensor) -> Tensor:
        """Return pictures (shapes, views, size, size)."""
        return depth_views(points, views=self.views, size=self.size)

    def forward(self, points: Tensor) -> Tensor:
        """Return logits (shapes, categories) for points (shapes, points, 3)."""
        pictures = self.represent(points)
        maps = self.cnn1(pictures.flatten(0, 1)[:, None])  # (shapes · views, channels, …)
        return self.cnn2(maps.unflatten(0, pictures.shape[:2]).amax(dim=1))  # the view pooling


def recognition_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean cross-entropy of a batch: points (shapes, points, 3), labels (shapes,)."""
    points, labels = batch
    return cross_entropy(model(points), labels)


def turned_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the loss with every shape at a new random heading, as M15 and Q17 augment."""
    points, labels = batch
    angle = 2 * math.pi * torch.rand(len(points), device=points.device)
    return recognition_loss(model, (turn(points, angle), labels))


def recognise(model: nn.Module, points: Tensor) -> Tensor:
    """Return the most probable category (shapes,) of points (shapes, points, 3)."""
    batches = Batches(points, batch_size=64)
    return predict(model, batches, lambda model, batch: model(batch)).argmax(dim=1)


def _check_points(points: Tensor) -> dict[str, int]:
    sizes = check_shape(points, "shapes points 3", name="points")
    check_finite(points, name="points")
    return sizes
