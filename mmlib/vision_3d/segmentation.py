"""3D segmentation: which part each point belongs to.

Chapter: notebooks/vision_3d/04_segmentation. Sources: Qi et al., "PointNet: Deep Learning on Point
Sets for 3D Classification and Segmentation", CVPR 2017 (Q17), its segmentation network; Qi et al.,
"PointNet++: Deep Hierarchical Feature Learning on Point Sets in a Metric Space", NeurIPS 2017
(Q17b); Yi et al., "A Scalable Active Framework for Region Annotation in 3D Shape Collections", ACM
Transactions on Graphics 2016 (Y16), the benchmark and its score.

Models take points (shapes, points, channels), whose first three channels are x, y, z, and the known
category of each shape (shapes,); they give logits (shapes, points, parts). All categories' parts
are numbered through, see PARTS.

Other than in the papers: widths are a quarter to a half of the papers', shapes have 256 points
instead of 2,048. PointNet has no T-Nets, and the point features of its figure 2 rather than those
of all layers. PointNet++ groups at one scale. All are trained by Adam without augmentation.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from mmlib.data.batches import Batches
from mmlib.shapes import check_finite, check_shape, check_whole
from mmlib.training import predict
from mmlib.vision_3d.recognition import PointNet, shared_mlp, turn
from mmlib.world.rooms import CLASSES
from mmlib.world.solid_samples import surface_points
from mmlib.world.solids import CATEGORIES, PART_NAMES, sample_solids

SEGMENTED = ("airplane", "chair", "guitar", "lamp", "mug", "table")  # categories of this chapter
PARTS = [f"{name}: {part}" for name in SEGMENTED for part in PART_NAMES[name]]
ALLOWED = torch.tensor([[part.startswith(name) for part in PARTS] for name in SEGMENTED])
WEIGHTS = Path(__file__).parent / "weights"
MATCHED = 64  # points by which two shapes are compared
CLOSEST = 1e-8  # the least squared distance that a weight is divided by


class PartScans(NamedTuple):
    """Points on shapes, in random order, and the part of each."""

    points: Tensor  # (shapes, points, 3)
    normals: Tensor  # (shapes, points, 3)
    category: Tensor  # (shapes,) index into SEGMENTED
    parts: Tensor  # (shapes, points) index into PARTS


def make_part_scans(
    count: int,
    *,
    generator: torch.Generator,
    points: int = 256,
    low: float = 0.0,
    high: float = 0.75,
) -> PartScans:
    """Return scans of ``count`` solids that face the viewer, their categories alike often.

    Args:
        points: of each solid.
        low, high: range of the proportions, as in ``sample_solids``. Training uses 0 to 0.75; what
            lies above is held out.
    """
    solids = sample_solids(count, generator=generator, categories=SEGMENTED, low=low, high=high)
    clouds = surface_points(solids, points, generator=generator)
    category = torch.tensor([SEGMENTED.index(CATEGORIES[i]) for i in solids.category.tolist()])
    first = ALLOWED.int().argmax(dim=1)  # the number of each category's first part
    return PartScans(
        clouds.points, clouds.normals, category, clouds.parts + first[category][:, None]
    )


def turn_scans(scans: PartScans, angle: Tensor) -> PartScans:
    """Return scans turned about the vertical by angle (shapes,), with their normals."""
    return scans._replace(points=turn(scans.points, angle), normals=turn(scans.normals, angle))


def squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """Return |a - b|² for a of first (shapes, n, 3), b of second (shapes, m, 3): (shapes, n, m)."""
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist").square()


def take(values: Tensor, index: Tensor) -> Tensor:
    """Return the rows of values (shapes, points, k) that index (shapes, ...) names: (..., k)."""
    flat = index.flatten(1)[..., None].expand(-1, -1, values.shape[-1])
    return values.gather(1, flat).unflatten(1, index.shape[1:])


def farthest_points(points: Tensor, count: int) -> Tensor:
    """Return rows (shapes, count): always the one farthest from all before (Q17b, 3.2).

    The first is row 0. Of several at the same distance the first row is taken.

    Raises:
        ValueError: there are fewer points than ``count``.
    """
    sizes = _check_points(points)
    count = check_whole(count, name="count")
    if sizes["points"] < count:
        raise ValueError(f"count is {count}, of {sizes['points']} points: ask for fewer")
    chosen = torch.zeros(len(points), count, dtype=torch.long, device=points.device)
    nearest = points.new_full(points.shape[:2], torch.inf)  # distance² to the chosen
    for i in range(1, count):
        last = take(points, chosen[:, i - 1 : i])  # (shapes, 1, 3)
        nearest = torch.minimum(nearest, (points - last).square().sum(dim=-1))
        chosen[:, i] = nearest.argmax(dim=1)
    return chosen


def ball_query(points: Tensor, centres: Tensor, radius: float, count: int) -> Tensor:
    """Return rows of ``count`` points within radius of each centre (Q17b, 3.2).

    Of more, those that come first in the list are taken; of fewer, the first is repeated, which
    changes no maximum. A centre without any point gets the nearest one.

    Args:
        points: (shapes, points, 3).
        centres: (shapes, centres, 3).

    Returns:
        (shapes, centres, count).
    """
    sizes = _check_points(points)
    _check_points(centres, name="centres")
    count = check_whole(count, name="count")
    if not radius > 0:
        raise ValueError(f"radius is {radius}, it must be larger than 0")
    apart = squared_distances(centres, points)
    outside = apart > radius**2
    rows = torch.arange(sizes["points"], device=points.device).expand_as(apart)
    found = rows.where(~outside, sizes["points"])
    found = found.topk(min(count, sizes["points"]), largest=False).values.sort(dim=-1).values
    first = found[..., :1].where(found[..., :1] < sizes["points"], apart.argmin(-1, keepdim=True))
    found = torch.where(found < sizes["points"], found, first)
    return torch.cat([found, first.expand(*found.shape[:2], count - found.shape[2])], dim=-1)


def interpolate(points: Tensor, known: Tensor, features: Tensor) -> Tensor:
    """Return features at points, from the three nearest known points (Q17b, equation 2).

    Each weighs 1 / d², the weights sum to 1. With fewer than three known points, all are used.

    Args:
        points: (shapes, points, 3).
        known: (shapes, known, 3).
        features: (shapes, known, k).
    """
    _check_points(points)
    sizes = _check_points(known, name="known")
    apart, near = squared_distances(points, known).topk(min(3, sizes["points"]), largest=False)
    weight = 1 / apart.clamp(min=CLOSEST)
    weight = weight / weight.sum(dim=-1, keepdim=True)  # (shapes, points, 3)
    return (weight[..., None] * take(features, near)).sum(dim=2)


class PointNetSegmenter(PointNet):
    """PointNet whose global feature is joined to each point's own (Q17, figure 2, below).

    Args:
        context: whether the maximum over points is taken. Without it, each point's own features
            stand in its place, so that no point knows of another; all layers stay.
    """

    def __init__(
        self,
        categories: int = len(SEGMENTED),
        parts: int = len(PARTS),
        *,
        channels: int = 3,
        context: bool = True,
    ) -> None:
        super().__init__(channels=channels)
        self.categories, self.context = categories, context
        local, whole = self.h[3].out_features, self.h[-2].num_features
        self.g = nn.Sequential(
            shared_mlp(local + whole + categories, 128, 64), nn.Linear(64, parts)
        )

    def forward(self, points: Tensor, category: Tensor) -> Tensor:
        """Return logits (shapes, points, parts)."""
        local = on_last_axis(self.h[:6], self.represent(points))  # (shapes, points, 32)
        whole = on_last_axis(self.h[6:], local)
        if self.context:
            whole = whole.amax(dim=1, keepdim=True)
        whole = whole.expand(-1, points.shape[1], -1)
        given = one_hot(category, self.categories)[:, None]
        given = given.expand(-1, points.shape[1], -1)
        return on_last_axis(self.g, torch.cat([local, whole, given], dim=-1))


def on_last_axis(layers: nn.Module, values: Tensor) -> Tensor:
    """Apply layers to each vector (..., k) alike; batch normalisation runs over all of them."""
    return layers(values.flatten(0, -2)).unflatten(0, values.shape[:-1])


class SetAbstraction(nn.Module):
    """A small PointNet around each of a few centres (Q17b, 3.2)."""

    def __init__(self, features: int, centres: int, radius: float, neighbours: int, *widths: int):
        super().__init__()
        self.centres, self.radius, self.neighbours = centres, radius, neighbours
        self.h = shared_mlp(3 + features, *widths)

    def forward(self, points: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return centres (shapes, centres, 3) and their features.

        Args:
            points: (shapes, points, 3).
            features: (shapes, points, k); k may be 0.
        """
        centres = take(points, farthest_points(points, self.centres))
        near = ball_query(points, centres, self.radius, self.neighbours)
        offset = take(points, near) - centres[:, :, None]  # (shapes, centres, near, 3)
        group = torch.cat([offset, take(features, near)], dim=-1)
        return centres, on_last_axis(self.h, group).amax(dim=2)  # equation 1


class Level(NamedTuple):
    """Sizes of a set abstraction, and the widths of the layers on the way back."""

    centres: int
    radius: float
    neighbours: int
    widths: tuple[int, ...]
    back: tuple[int, ...]


LEVELS = (
    Level(64, 0.3, 16, (32, 32, 64), (64, 64)),
    Level(16, 0.6, 16, (64, 64, 128), (64,)),
)


class PointNetPlusPlus(nn.Module):
    """Set abstractions down to the whole shape, and interpolation back (Q17b, figure 2).

    Args:
        whole: whether the last step takes in the whole shape; else only the last level's balls.
    """

    def __init__(
        self,
        categories: int = len(SEGMENTED),
        parts: int = len(PARTS),
        *,
        channels: int = 3,
        levels: Sequence[Level] = LEVELS,
        whole: bool = True,
    ) -> None:
        super().__init__()
        self.categories, self.channels = categories, channels
        widths = [channels - 3, *(level.widths[-1] for level in levels)]  # features of each set
        self.down = nn.ModuleList(
            SetAbstraction(width, *level[:3], *level.widths)
            for width, level in zip(widths, levels, strict=False)
        )
        self.whole = shared_mlp(3 + widths[-1], 128, 256) if whole else None
        skips, arriving = [3 + categories + widths[0], *widths[1:]], widths[-1]
        up = []
        if whole:
            up.append(shared_mlp(256 + widths[-1], 128))
            arriving = 128
        for skip, level in zip(skips[-2::-1], levels[::-1], strict=True):
            up.append(shared_mlp(arriving + skip, *level.back))
            arriving = level.back[-1]
        self.up = nn.ModuleList(up)
        self.output = nn.Sequential(nn.Dropout(0.3), nn.Linear(arriving, parts))

    def forward(self, points: Tensor, category: Tensor) -> Tensor:
        """Return logits (shapes, points, parts)."""
        check_shape(points, f"shapes points {self.channels}", name="points")
        check_finite(points, name="points")
        xyz, features = points[..., :3], points[..., 3:]
        given = one_hot(category, self.categories)[:, None]
        given = given.expand(-1, points.shape[1], -1)
        sets = [(xyz, torch.cat([xyz, features, given], dim=-1))]
        for abstraction in self.down:
            xyz, features = abstraction(xyz, features)
            sets.append((xyz, features))
        if self.whole is not None:
            features = on_last_axis(self.whole, torch.cat([xyz, features], dim=-1))
            features, xyz = features.amax(dim=1, keepdim=True), xyz[:, :1]  # one a shape
        else:
            sets.pop()
        for layers, (at, skip) in zip(self.up, sets[::-1], strict=True):
            features = torch.cat([interpolate(at, xyz, features), skip], dim=-1)
            xyz, features = at, on_last_axis(layers, features)
        return self.output(features)


def segmentation_loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the mean cross-entropy over points of a batch: points, category, parts."""
    points, category, parts = batch
    return cross_entropy(model(points, category).flatten(0, 1), parts.flatten())


def turned_loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the loss with every shape, and its normals, at a new random heading."""
    points, category, parts = batch
    angle = 2 * math.pi * torch.rand(len(points), device=points.device)
    turned = [turn(vectors, angle) for vectors in points.split(3, dim=-1)]
    return segmentation_loss(model, (torch.cat(turned, dim=-1), category, parts))


def segment(model: nn.Module, points: Tensor, category: Tensor, allowed: Tensor) -> Tensor:
    """Return the most probable part (shapes, points) among those that the category has.

    Args:
        allowed: (categories, parts) bool, such as ALLOWED.
    """
    batches = Batches((points, category), batch_size=32)
    logits = predict(model, batches, lambda model, batch: model(*batch))
    return logits.masked_fill(~allowed[category][:, None], -torch.inf).argmax(dim=-1)


def shape_ious(predicted: Tensor, parts: Tensor, category: Tensor, allowed: Tensor) -> Tensor:
    """Return each shape's mean IoU over all parts of its category, (shapes,) (Y16).

    A part that is neither there nor predicted counts 1.

    Args:
        predicted, parts: (shapes, points).
        category: (shapes,).
        allowed: (categories, parts) bool.
    """
    check_shape(parts, "shapes points", name="parts")
    if predicted.shape != parts.shape:
        raise ValueError(
            f"predicted has shape {tuple(predicted.shape)}, parts {tuple(parts.shape)}: both need "
            "a part for every point"
        )
    said, true = (one_hot(x, allowed.shape[1]).bool() for x in (predicted, parts))
    both = (said & true).sum(dim=1).double()  # (shapes, parts)
    either = (said | true).sum(dim=1)
    iou = torch.where(either > 0, both / either.clamp(min=1), 1.0)
    counted = allowed[category]
    return (iou * counted).sum(dim=1) / counted.sum(dim=1)


def class_ious(matrix: Tensor) -> Tensor:
    """Return the IoU of each class over all points, from a confusion matrix (true, predicted).

    A class that is neither there nor predicted has no IoU: NaN.
    """
    check_shape(matrix, "classes classes", name="matrix")
    hits = matrix.diagonal().double()
    return hits / (matrix.sum(dim=0) + matrix.sum(dim=1) - hits)


def transfer_labels(training: PartScans, test: PartScans, *, headings: int = 1) -> Tensor:
    """Return parts (shapes, points) copied from the most alike training shape of the category.

    Every training shape is turned to each of ``headings`` and stretched to the test shape's
    bounding box. The one with the smallest chamfer distance, over MATCHED points of each, lends
    every test point the part of its nearest point.
    """
    headings = check_whole(headings, name="headings")
    found = torch.empty_like(test.parts)
    angle = torch.arange(headings) * (2 * math.pi / headings)
    angle = angle.repeat_interleave(len(training.points))
    known = turn(training.points.repeat(headings, 1, 1), angle)  # (headings · shapes, points, 3)
    low, high = known.amin(dim=1, keepdim=True), known.amax(dim=1, keepdim=True)
    unit = (known - low) / (high - low).clamp(min=1e-6)
    for i, points in enumerate(test.points):
        rows = (training.category.repeat(headings) == test.category[i]).nonzero()[:, 0]
        corner, far = points.amin(dim=0), points.amax(dim=0)
        shapes = corner + unit[rows] * (far - corner)
        apart = torch.cdist(points[:MATCHED].expand(len(rows), -1, -1), shapes[:, :MATCHED])
        chamfer = apart.amin(dim=2).mean(dim=1) + apart.amin(dim=1).mean(dim=1)
        best = int(chamfer.argmin())
        near = torch.cdist(points, shapes[best]).argmin(dim=1)
        found[i] = training.parts[rows[best] % len(training.parts), near]
    return found


ROOM_LEVELS = (
    Level(256, 0.35, 16, (32, 32, 64), (64, 64)),
    Level(64, 0.8, 16, (64, 64, 128), (64,)),
)
ROOM_EPOCHS = 50  # passes over 120 rooms, before the weights were shipped
ROOM_MODELS = {
    "alone": lambda: PointNetSegmenter(1, len(CLASSES), context=False),
    "pointnet": lambda: PointNetSegmenter(1, len(CLASSES)),
    "pointnet_plus_plus": lambda: PointNetPlusPlus(1, len(CLASSES), levels=ROOM_LEVELS),
}


def load_room_model(name: str) -> nn.Module:
    """Load one of ROOM_MODELS as ``tools/weights.py`` trained it; a room is the only category."""
    model = ROOM_MODELS[name]()
    model.load_state_dict(load_file(WEIGHTS / f"rooms_{name}.safetensors"))
    return model.eval()


def trained_minutes(name: str) -> float:
    """Return how many minutes of one core a model that ships was trained for."""
    with safe_open(WEIGHTS / f"rooms_{name}.safetensors", framework="pt") as file:
        return float(file.metadata()["minutes"])


def _check_points(points: Tensor, *, name: str = "points") -> dict[str, int]:
    sizes = check_shape(points, "shapes points 3", name=name)
    check_finite(points, name=name)
    return sizes
