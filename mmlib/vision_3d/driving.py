"""Driving: camera and lidar on one map of the ground, objects ahead, a steering command.

Papers: Philion & Fidler, "Lift, Splat, Shoot", ECCV 2020, for the camera and the planner; Liu et
al., "BEVFusion", ICRA 2023, for joining both sensors on the map; Yang, Luo, Urtasun, "PIXOR", CVPR
2018, for the lidar's slices; Neverova et al., "ModDrop", TPAMI 2016, for training with a sensor
missing.
Page: notebooks/vision_3d/07_driving.ipynb.

The vehicle's frame and the map (batch, channels, ROWS, COLUMNS) are those of
``world.street_maps``, which draws the streets. Lidar points are (batch, points, 3) or more columns,
NaN where a ray did not return. A sensor that fails gives a black picture, or no return at all.

Other than in the papers: one camera instead of six, small networks from scratch instead of
pretrained ones, arcs instead of the templates that k-means finds, a lidar without intensity.
"""

import math
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from mmlib.data.batches import Batches
from mmlib.runtime import make_generator
from mmlib.shapes import check_shape
from mmlib.training import History, fit, warm_then_cool
from mmlib.world.cameras import Cameras
from mmlib.world.street_maps import COLUMNS, ROWS, cell_of
from mmlib.world.streets import to_vehicle

DEPTHS = torch.arange(3.0, 33.0, 2.0)  # D, along the optical axis, in metres
SLICES = torch.tensor([-0.3, 0.3, 0.7, 1.1, 1.5, 1.9, 5.0])  # edges of the lidar's heights
CURVATURES = torch.linspace(-0.024, 0.024, 17)  # of the templates, 1/m; to the left is positive
LENGTH = 20  # of a template, in metres, a point at each
STRIDE = 2  # pixels of the picture for one of its features
WHEELBASE = 2.7  # metres between the axles
OBJECT_WEIGHT = 2.0  # of a taken cell in the loss; the authors' code has 2.13
MAP_WEIGHT = 10.0  # of the cells' loss beside that of the templates
STREETS, EPOCHS = 4000, 5  # of the long training
SHIPPED = {"plain": 0.0, "dropout": 0.25}  # by name of the weights: the share of sensor dropout
WEIGHTS = Path(__file__).parent / "weights"

Batch = tuple[Tensor, ...]

# --- lift, splat -----------------------------------------------------------------------------


def frustum(cameras: Cameras, *, stride: int = STRIDE) -> Tensor:
    """Return where each feature would be at each depth, in the vehicle's frame.

    Returns:
        (cameras, D, height / stride, width / stride, 3): Rᵀ (d K⁻¹ (u, v, 1) - t).
    """
    rows = torch.arange(cameras.height // stride)
    columns = torch.arange(cameras.width // stride)
    v, u = torch.meshgrid(rows, columns, indexing="ij")
    middle = torch.stack([u, v], dim=-1) * stride + (stride - 1) / 2
    pixels = functional.pad(middle, (0, 1), value=1.0).to(cameras.intrinsics)
    rays = pixels @ torch.linalg.inv(cameras.intrinsics).mT[:, None]  # (…, h, w, 3)
    seen = DEPTHS.to(rays)[:, None, None, None] * rays[:, None]
    moved = seen - cameras.translation[:, None, None, None]
    return moved @ cameras.rotation[:, None, None]


def lift(depth: Tensor, context: Tensor) -> Tensor:
    """Return α_d c: each pixel's features spread over the depths.

    Args:
        depth: (batch, D, height, width) logits.
        context: (batch, channels, height, width).

    Returns:
        (batch, channels, D, height, width).
    """
    return depth.softmax(dim=1)[:, None] * context[:, :, None]


def splat(features: Tensor, cells: Tensor) -> Tensor:
    """Return the features' sums in each cell (batch, channels, ROWS, COLUMNS).

    Args:
        features: (batch, channels, points).
        cells: (batch, points) as ``cell_of`` numbers them.
    """
    batch, channels, _ = features.shape
    count = ROWS * COLUMNS
    place = torch.where(cells >= 0, cells, count)  # one more, for what lies outside
    place = place + (count + 1) * torch.arange(batch, device=cells.device)[:, None]
    total = features.new_zeros(batch * (count + 1), channels)
    total = total.index_add(0, place.flatten(), features.mT.flatten(0, 1))
    total = total.unflatten(0, (batch, -1))[:, :count]
    return total.mT.unflatten(2, (ROWS, COLUMNS))


def slices(points: Tensor) -> Tensor:
    """Return 1 where lidar points lie, else 0: (batch, slices, ROWS, COLUMNS).

    A slice of heights is a channel. Points beyond map and slices are left out.
    """
    count = len(SLICES) - 1
    level = torch.bucketize(points[..., 2].contiguous(), SLICES.to(points)) - 1
    cells = torch.where((level >= 0) & (level < count), cell_of(points), -1)
    counted = functional.one_hot(level.clamp(0, count - 1), count).to(points.dtype)
    return (splat(counted.mT, cells) > 0).to(points.dtype)


# --- shoot -----------------------------------------------------------------------------------


def arcs(curvatures: Tensor) -> Tensor:
    """Return points (templates, LENGTH, 2) of arcs that start at the origin, straight ahead."""
    along = torch.arange(1.0, LENGTH + 1).to(curvatures)[None]
    nothing = torch.zeros_like(curvatures)[:, None]
    x, y, _ = to_vehicle(along, nothing, curvatures[:, None], nothing, nothing)
    return torch.stack([x, y], dim=-1)


def path_cost(cost: Tensor, paths: Tensor) -> Tensor:
    """Return the sum of the map over each path's points, (batch, templates).

    Args:
        cost: (batch, ROWS, COLUMNS), read between the cells.
        paths: (templates, points, 2).
    """
    x = 2 * paths[..., 0] / ROWS - 1
    y = 2 * paths[..., 1] / COLUMNS
    grid = torch.stack([y, x], dim=-1)  # columns come first
    grid = grid.expand(len(cost), -1, -1, -1)
    edge = {"padding_mode": "border", "align_corners": False}
    return functional.grid_sample(cost[:, None], grid, **edge)[:, 0].sum(dim=-1)


# --- the network -----------------------------------------------------------------------------


class SensorDropout(nn.Module):
    """While training, each sample loses its camera or its lidar, never both."""

    def __init__(self, share: float) -> None:
        """``share`` of the samples lose their camera, and as many their lidar: 0 to 0.5.

        Raises:
            ValueError: ``share`` is not in 0 to 0.5.
        """
        super().__init__()
        if not 0 <= share <= 0.5:
            raise ValueError(f"share is {share}, it must be 0 to 0.5: one sensor must stay")
        self.share = share

    def forward(self, pictures: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training or not self.share:
            return pictures, points
        drawn = torch.rand(len(pictures), device=pictures.device)
        blind = (drawn < self.share)[:, None, None, None]
        deaf = (drawn >= 1 - self.share)[:, None, None]
        return pictures.where(~blind, 0.0), points.where(~deaf, math.nan)


class CameraStream(nn.Module):
    """Lift and splat: from a picture to a map of the ground."""

    def __init__(self, channels: int = 16, *, inputs: int = 3) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            _block(inputs, 16, stride=STRIDE),
            _block(16, 32, dilation=3),
            _block(32, 32, dilation=6),
        )
        self.depth = nn.Conv2d(32, len(DEPTHS), 1)
        self.context = nn.Conv2d(32, channels, 1)

    def forward(self, pictures: Tensor, cameras: Cameras) -> tuple[Tensor, Tensor]:
        """Return a map (batch, channels, ROWS, COLUMNS) and the depths' logits."""
        features = self.encoder(pictures)
        depth = self.depth(features)
        lifted = lift(depth, self.context(features))
        cells = cell_of(frustum(cameras)).flatten(1).to(depth.device)
        return splat(lifted.flatten(2), cells.expand(len(pictures), -1)), depth


class LidarStream(nn.Module):
    """Slices of heights, then convolutions: from points to a map of the ground."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.encoder = nn.Sequential(_block(len(SLICES) - 1, channels), _block(channels, channels))

    def forward(self, points: Tensor) -> Tensor:
        """Return the map (batch, channels, ROWS, COLUMNS)."""
        return self.encoder(slices(points))


class Answer(NamedTuple):
    """What a driver says of a batch."""

    objects: Tensor  # logits of taken cells (batch, ROWS, COLUMNS)
    templates: Tensor  # logits of the templates (batch, K)
    depth: Tensor | None = None  # logits (batch, D, height / STRIDE, width / STRIDE)


class Driver(nn.Module):
    """The maps of the sensors side by side, convolutions over them, then two heads (BEVFusion)."""

    def __init__(
        self, *, camera: bool = True, lidar: bool = True, early: bool = False, drop: float = 0.0
    ) -> None:
        """Args: which sensors it has; early: the lidar's depths become a fourth colour instead.

        Raises:
            ValueError: there is no sensor, or ``early`` without both.
        """
        super().__init__()
        if not (camera or lidar) or (early and not (camera and lidar)):
            raise ValueError("give a camera or a lidar, and both for early fusion")
        self.early, channels = early, 16
        self.drop = SensorDropout(drop)
        self.camera = CameraStream(channels, inputs=4 if early else 3) if camera else None
        self.lidar = LidarStream(channels) if lidar and not early else None
        inputs = channels * sum(stream is not None for stream in (self.camera, self.lidar))
        self.fuse = nn.Sequential(
            _block(inputs, 32), _block(32, 32, dilation=2),
            _block(32, 32, dilation=4), _block(32, 32),
        )  # fmt: skip
        self.objects, self.cost = nn.Conv2d(32, 1, 1), nn.Conv2d(32, 1, 1)

    def forward(self, pictures: Tensor, points: Tensor, cameras: Cameras) -> Answer:
        """Return an Answer; ``depth`` is None without a camera."""
        features, depth = self.features(pictures, points, cameras)
        cost = self.cost(features)[:, 0]
        templates = -path_cost(cost, arcs(CURVATURES.to(cost)))
        return Answer(self.objects(features)[:, 0], templates, depth)

    def features(
        self, pictures: Tensor, points: Tensor, cameras: Cameras
    ) -> tuple[Tensor, Tensor | None]:
        """Return the fused map (batch, 32, ROWS, COLUMNS) and the depths' logits."""
        size = f"batch 3 {cameras.height} {cameras.width}"
        check_shape(pictures, size, name="pictures")
        pictures, points = self.drop(pictures, points)
        maps, depth = [], None
        if self.early:
            pictures = torch.cat([pictures, depth_picture(points, cameras)], dim=1)
        if self.camera is not None:
            seen, depth = self.camera(pictures, cameras)
            maps.append(seen)
        if self.lidar is not None:
            maps.append(self.lidar(points))
        return self.fuse(torch.cat(maps, dim=1)), depth


class LateFusion(nn.Module):
    """Two drivers with one sensor each, trained apart: the mean of their logits."""

    def __init__(self, camera: Driver, lidar: Driver) -> None:
        super().__init__()
        self.drivers = nn.ModuleList([camera, lidar])

    def forward(self, pictures: Tensor, points: Tensor, cameras: Cameras) -> Answer:
        """Return an Answer without depth."""
        one, two = (driver(pictures, points, cameras) for driver in self.drivers)
        return Answer((one.objects + two.objects) / 2, (one.templates + two.templates) / 2)


def _block(inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation)
    return nn.Sequential(convolution, nn.GroupNorm(4, outputs), nn.ReLU())


def depth_picture(points: Tensor, cameras: Cameras) -> Tensor:
    """Return 1 / z of the lidar points that fall into each pixel, the nearest; 0 where none does.

    Returns:
        (batch, 1, height, width).
    """
    homogeneous = functional.pad(points[..., :3], (0, 1), value=1.0)
    u, v, z = (homogeneous @ cameras.matrix[0].to(points).T).unbind(dim=-1)
    u, v = (u / z).round(), (v / z).round()
    seen = (z > 0) & (u >= 0) & (u < cameras.width) & (v >= 0) & (v < cameras.height)
    count = cameras.height * cameras.width
    place = torch.where(seen, v * cameras.width + u, count).long()
    found = points.new_zeros(len(points), count + 1)
    found = found.scatter_reduce(1, place, torch.where(seen, 1 / z, 0.0), "amax")
    return found[:, None, :count].unflatten(2, (cameras.height, cameras.width))


# --- training --------------------------------------------------------------------------------


def loss(model: nn.Module, batch: Batch, *, cameras: Cameras) -> Tensor:
    """Return MAP_WEIGHT times the cells' mean cross-entropy, plus the templates'.

    The right template is the nearest to the curvature that was steered.
    """
    pictures, points, objects, known, curvature, *_ = batch
    logits, templates, _ = model(pictures, points, cameras)
    cells = functional.binary_cross_entropy_with_logits(
        logits,
        objects.to(logits.dtype),
        weight=known.to(logits.dtype),
        pos_weight=torch.tensor(OBJECT_WEIGHT, device=logits.device),
    )
    nearest = (curvature[:, None] - CURVATURES.to(curvature)).abs().argmin(dim=1)
    return MAP_WEIGHT * cells + functional.cross_entropy(templates, nearest)


def train(
    data: Batch, cameras: Cameras, *, seed: int, epochs: int, **options
) -> tuple[Driver, History]:
    """Return a new driver, trained on samples, and what happened.

    Args:
        options: of ``Driver``.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Driver(**options)
    history = fit(
        model,
        Batches(data, batch_size=16, generator=make_generator(seed)),
        partial(loss, cameras=cameras),
        generator=make_generator(seed),
        epochs=epochs,
        learning_rate=4e-3,
        schedule=warm_then_cool,
    )
    return model.eval(), history


def load_driver(name: str) -> Driver:
    """Return one of SHIPPED, camera and lidar joined, after the long training."""
    model = Driver(drop=SHIPPED[name])
    model.load_state_dict(load_file(WEIGHTS / f"driving_{name}.safetensors"))
    return model.eval()


def trained_minutes(name: str) -> float:
    """Return how many minutes of one core the training of one of SHIPPED took."""
    with safe_open(WEIGHTS / f"driving_{name}.safetensors", framework="pt") as file:
        return float(file.metadata()["minutes"])


# --- measuring -------------------------------------------------------------------------------


def steer(templates: Tensor) -> Tensor:
    """Return the expected curvature (batch,) under the logits of the templates (batch, K)."""
    return templates.softmax(dim=-1) @ CURVATURES.to(templates)


def wheel_angle(curvature: Tensor) -> Tensor:
    """Return the angle of the front wheels in degrees that drives an arc (the bicycle model)."""
    return torch.rad2deg(torch.atan(WHEELBASE * curvature))


def steering_error(curvature: Tensor, truth: Tensor) -> Tensor:
    """Return by how many degrees the front wheels stand wrong, for each sample."""
    return (wheel_angle(curvature) - wheel_angle(truth)).abs()


def best_iou(scores: Tensor, truth: Tensor, known: Tensor) -> float:
    """Return the best intersection over union of all thresholds, as BEVFusion reports it.

    Args:
        scores: (batch, ROWS, COLUMNS) of any kind: the higher, the more likely taken.
    """
    order = scores[known].argsort(descending=True)
    ranked, hits = scores[known][order], truth[known][order].double()
    both = hits.cumsum(0)
    found = both / (torch.arange(1, len(hits) + 1) + hits.sum() - both)
    last = functional.pad(ranked[1:] != ranked[:-1], (0, 1), value=True)  # ties stand together
    return float(found[last].max())


def assess(model: nn.Module, data: Batch, cameras: Cameras) -> tuple[float, float]:
    """Return the best IoU of the objects and the mean steering error in degrees."""
    objects, templates = predict_all(model, data, cameras)
    errors = steering_error(steer(templates), data[4])
    return best_iou(objects, data[2], data[3]), float(errors.mean())


@torch.no_grad()
def predict_all(model: nn.Module, data: Batch, cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Return the logits of cells and templates for all samples, in evaluation mode."""
    before = model.training
    model.eval()
    parts = zip(data[0].split(50), data[1].split(50), strict=True)
    found = [model(pictures, points, cameras)[:2] for pictures, points in parts]
    model.train(before)
    return tuple(torch.cat(part) for part in zip(*found, strict=True))
