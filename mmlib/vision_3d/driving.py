"""Driving: camera and lidar on one map of the ground, objects ahead, a steering command.

Papers: Philion & Fidler, "Lift, Splat, Shoot", ECCV 2020, for the camera and the planner; Liu et
al., "BEVFusion", ICRA 2023, for joining both sensors on the map; Yang, Luo, Urtasun, "PIXOR", CVPR
2018, for the lidar's slices; Neverova et al., "ModDrop", TPAMI 2016, for training with a sensor
missing.
Page: notebooks/vision_3d/07_driving.ipynb.

The vehicle's frame: x ahead, y to the left, z up, in metres. A map is (batch, channels, ROWS,
COLUMNS): row 0 is the nearest to the vehicle, column 0 the farthest to the right; a cell is one
metre wide. Lidar points are (batch, points, 3) or more columns, NaN where a ray did not return.
A sensor that fails gives a black picture, or no return at all.

Other than in the papers: one camera instead of six, small networks from scratch instead of
pretrained ones, arcs instead of the templates that k-means finds, a lidar without intensity.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmlib.shapes import check_shape, check_whole
from mmlib.world.cameras import Cameras
from mmlib.world.street_views import scan_ahead, view
from mmlib.world.streets import EMPTY, Streets, draw, to_vehicle

ROWS, COLUMNS = 32, 24  # cells of one metre: 32 m ahead, 12 m to either side
DEPTHS = torch.arange(3.0, 33.0, 2.0)  # D, along the optical axis, in metres
SLICES = torch.tensor([-0.3, 0.3, 0.7, 1.1, 1.5, 1.9, 5.0])  # edges of the lidar's heights
CURVATURES = torch.linspace(-0.024, 0.024, 17)  # of the templates, 1/m; to the left is positive
LENGTH = 20  # of a template, in metres, a point at each
AIM = 15.0  # metres along the lane to the point that the driver aims at
STRIDE = 2  # pixels of the picture for one of its features
WHEELBASE = 2.7  # metres between the axles
OBJECT_WEIGHT = 2.0  # of a taken cell in the loss; the authors' code has 2.13
MAP_WEIGHT = 10.0  # of the cells' loss beside that of the templates

Batch = tuple[Tensor, ...]

# --- the map ---------------------------------------------------------------------------------


def cell_of(points: Tensor) -> Tensor:
    """Return the cell row · COLUMNS + column of points (..., 2 or more), -1 outside the map."""
    row, column = points[..., 0].floor(), (points[..., 1] + COLUMNS / 2).floor()
    inside = (row >= 0) & (row < ROWS) & (column >= 0) & (column < COLUMNS)  # NaN is not
    return torch.where(inside, row * COLUMNS + column, -1).long()


def cell_centres() -> Tensor:
    """Return x and y of every cell's middle, (ROWS, COLUMNS, 2)."""
    rows, columns = torch.arange(ROWS) + 0.5, torch.arange(COLUMNS) + 0.5 - COLUMNS / 2
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)


def rasterise(boxes: Tensor, there: Tensor) -> Tensor:
    """Return which cells boxes stand on, bool (batch, ROWS, COLUMNS).

    A cell is taken if its middle is in a box or a box's middle in it, so that none is lost.

    Args:
        boxes: (batch, boxes, 7) as in ``streets``; there: bool (batch, boxes), which count.
    """
    sizes = check_shape(boxes, "batch boxes 7", name="boxes")
    check_shape(there, f"{sizes['batch']} {sizes['boxes']}", name="there")
    away = (
        cell_centres().to(boxes) - boxes[:, :, None, None, :2]
    )  # (batch, boxes, rows, columns, 2)
    cosine, sine = (f(boxes[:, :, 6])[..., None, None] for f in (torch.cos, torch.sin))
    along = away[..., 0] * cosine + away[..., 1] * sine
    across = away[..., 1] * cosine - away[..., 0] * sine
    half = boxes[:, :, 3:5, None, None] / 2
    inside = (along.abs() <= half[:, :, 0]) & (across.abs() <= half[:, :, 1])
    inside |= (away >= -0.5).all(dim=-1) & (away < 0.5).all(dim=-1)
    return (inside & there[..., None, None]).any(dim=1)


def pursuit(streets: Streets) -> Tensor:
    """Return the curvature (streets,) in 1/m of the arc to the lane's middle AIM metres on.

    Pure pursuit (Coulter 1992): the circle that touches the x axis at the origin and meets (x, y)
    has the curvature 2 y / (x² + y²).
    """
    along = torch.full_like(streets.curvature, AIM)
    x, y, _ = to_vehicle(
        along, 0 * along, streets.curvature, streets.lane_offset, streets.lane_heading
    )
    return 2 * y / (x**2 + y**2)


# --- lift, splat -----------------------------------------------------------------------------


def frustum(cameras: Cameras, *, stride: int = STRIDE) -> Tensor:
    """Return where every feature of the picture would be at every depth, in the vehicle's frame.

    Returns:
        (cameras, D, height / stride, width / stride, 3): Rᵀ (d K⁻¹ (u, v, 1) - t).
    """
    v, u = torch.meshgrid(
        torch.arange(cameras.height // stride), torch.arange(cameras.width // stride), indexing="ij"
    )
    middle = torch.stack([u, v], dim=-1) * stride + (stride - 1) / 2
    pixels = functional.pad(middle, (0, 1), value=1.0).to(cameras.intrinsics)
    rays = pixels @ torch.linalg.inv(cameras.intrinsics).mT[:, None]  # (cameras, h, w, 3)
    seen = DEPTHS.to(rays)[:, None, None, None] * rays[:, None]
    return (seen - cameras.translation[:, None, None, None]) @ cameras.rotation[:, None, None]


def lift(depth: Tensor, context: Tensor) -> Tensor:
    """Return α_d c: each pixel's features spread over the depths.

    Args:
        depth: (batch, D, height, width) logits; context: (batch, channels, height, width).

    Returns:
        (batch, channels, D, height, width).
    """
    return depth.softmax(dim=1)[:, None] * context[:, :, None]


def splat(features: Tensor, cells: Tensor) -> Tensor:
    """Return the map of the features' sums in each cell (batch, channels, ROWS, COLUMNS).

    Args:
        features: (batch, channels, points); cells: (batch, points) as ``cell_of`` numbers them.
    """
    batch, channels, _ = features.shape
    count = ROWS * COLUMNS
    place = torch.where(cells >= 0, cells, count)  # one more cell, for what lies outside
    place = place + (count + 1) * torch.arange(batch, device=cells.device)[:, None]
    total = features.new_zeros(batch * (count + 1), channels)
    total = total.index_add(0, place.flatten(), features.mT.flatten(0, 1))
    return total.unflatten(0, (batch, -1))[:, :count].mT.unflatten(2, (ROWS, COLUMNS))


def slices(points: Tensor) -> Tensor:
    """Return which cells have lidar points at which height: 0 or 1, (batch, slices, ROWS, COLUMNS).

    PIXOR's way: a slice of heights is a channel. A point beyond the map or the slices is left out.
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
    """Return each path's cost: the sum over its points of the map, read between the cells.

    Args:
        cost: (batch, ROWS, COLUMNS); paths: (templates, points, 2).

    Returns:
        (batch, templates).
    """
    x = 2 * paths[..., 0] / ROWS - 1
    y = 2 * paths[..., 1] / COLUMNS
    grid = torch.stack([y, x], dim=-1).expand(len(cost), -1, -1, -1)  # columns come first
    read = functional.grid_sample(cost[:, None], grid, padding_mode="border", align_corners=False)
    return read[:, 0].sum(dim=-1)


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
        """Return the map (batch, channels, ROWS, COLUMNS) and the depths' logits (batch, D, …)."""
        features = self.encoder(pictures)
        depth = self.depth(features)
        lifted = lift(depth, self.context(features))
        cells = cell_of(frustum(cameras)).flatten(1).expand(len(pictures), -1)
        return splat(lifted.flatten(2), cells), depth


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
        check_shape(pictures, f"batch 3 {cameras.height} {cameras.width}", name="pictures")
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


# --- training and measuring ------------------------------------------------------------------


def samples(count: int, cameras: Cameras, *, generator: torch.Generator, **lidar) -> Batch:
    """Return drawn streets as the sensors see them, and what is to be found.

    Half of them by day, a quarter by night, a quarter in fog. An object that the camera would not
    see even by day is not to be found: its cells do not count.

    Args:
        lidar: options of ``streets.scan``, such as ``dropout``.

    Returns:
        pictures; points (count, points, 3); taken cells, bool (count, ROWS, COLUMNS); cells that
        count, bool; the curvature to steer (count,); the light (count,), an index into LIGHTS.
    """
    parts, left = [], check_whole(count, name="count")
    while left > 0:
        streets = draw(min(left, 50), generator=generator)  # so few fit into the cache
        share = torch.tensor([0.5, 0.25, 0.25])
        light = torch.multinomial(share, len(streets), replacement=True, generator=generator)
        seen = view(streets, cameras, generator=generator, light=light)
        points = scan_ahead(streets, generator=generator, **{"beams": 24, **lidar})
        slots = torch.arange(streets.boxes.shape[1])
        visible = (seen.index.flatten(1)[..., None] == slots).any(dim=1)
        objects = rasterise(streets.boxes, visible)
        hidden = rasterise(streets.boxes, ~visible & (streets.category != EMPTY))
        road = pursuit(streets)
        parts.append((seen.pictures, points[..., :3], objects, objects | ~hidden, road, light))
        left -= len(streets)
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def loss(model: nn.Module, batch: Batch, *, cameras: Cameras) -> Tensor:
    """Return MAP_WEIGHT times the mean cross-entropy of the cells, plus that of the templates.

    The right template is the nearest to the curvature that was steered.
    """
    pictures, points, objects, known, curvature, *_ = batch
    logits, templates, _ = model(pictures, points, cameras)
    weight = torch.tensor(OBJECT_WEIGHT, device=logits.device)
    cells = functional.binary_cross_entropy_with_logits(
        logits, objects.to(logits.dtype), weight=known.to(logits.dtype), pos_weight=weight
    )
    nearest = (curvature[:, None] - CURVATURES.to(curvature)).abs().argmin(dim=1)
    return MAP_WEIGHT * cells + functional.cross_entropy(templates, nearest)


def steer(templates: Tensor) -> Tensor:
    """Return the expected curvature (batch,) under the logits of the templates (batch, K)."""
    return templates.softmax(dim=-1) @ CURVATURES.to(templates)


def wheel_angle(curvature: Tensor) -> Tensor:
    """Return the angle of the front wheels in degrees that drives an arc (the bicycle model)."""
    return torch.rad2deg(torch.atan(WHEELBASE * curvature))


def steering_error(curvature: Tensor, truth: Tensor) -> Tensor:
    """Return by how many degrees the front wheels stand wrong, for each sample."""
    return (wheel_angle(curvature) - wheel_angle(truth)).abs()


def iou(found: Tensor, truth: Tensor, known: Tensor) -> float:
    """Return intersection over union of taken cells, over the whole batch; 1 if there is none."""
    found, truth = found & known, truth & known
    union = int((found | truth).sum())
    return int((found & truth).sum()) / union if union else 1.0


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
