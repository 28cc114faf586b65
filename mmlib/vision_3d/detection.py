"""3D detection: boxes around road users in a cloud of points, from pillars to centres.

Papers: Lang et al., "PointPillars: Fast Encoders for Object Detection from Point Clouds", CVPR 2019
(L19); Yin, Zhou & Krähenbühl, "Center-based 3D Object Detection and Tracking", CVPR 2021 (Y21).
Baselines: clusters of points with fitted rectangles (``box_clusters``), one answer everywhere.
Page: notebooks/vision_3d/03_detection.ipynb.

Points are (scenes, points, 4): x ahead, y to the left, z up in metres, intensity 0 to 1; NaN where
a ray has no return. Boxes are (x, y, z, length, width, height, heading), as in ``box_metrics``.

Other than in L19: every point counts, where the paper draws at most 100 for each of at most 12,000
pillars; pillars are 0.32 m wide, not 0.16; fewer layers. Other than in Y21: the first stage
alone, without velocity; on our coarse grid every peak has the smallest radius.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, max_pool2d, relu

from mmlib import box_metrics
from mmlib.box_clusters import Found
from mmlib.data.batches import Batches
from mmlib.runtime import make_generator
from mmlib.shapes import check_shape
from mmlib.training import History, fit, predict, warm_then_cool
from mmlib.world import streets as world
from mmlib.world.streets import CATEGORIES, EMPTY, Streets

LEAST_POINTS = 5  # an object with fewer is neither learned nor asked for
BATCH = 4  # scenes
LONG_SCENES, LONG_EPOCHS = 900, 10  # of the training whose weights ship
WEIGHTS = Path(__file__).parent / "weights" / "detector.safetensors"
CODE = 8  # numbers that describe a box at its cell: two offsets, z, three sizes, sine, cosine


class Drives(NamedTuple):
    """Scans of streets and the boxes in them."""

    points: Tensor  # (scenes, points, 4)
    boxes: Tensor  # (scenes, slots, 7)
    category: Tensor  # (scenes, slots) index into CATEGORIES, or EMPTY
    returns: Tensor  # (scenes, slots) how many points lie on each object
    streets: Streets


@dataclass(frozen=True)
class Grid:
    """The ground seen from above, cut into pillars: rows along x, columns along y."""

    x: tuple[float, float] = (0.0, 38.4)  # from, to in metres
    y: tuple[float, float] = (-12.8, 12.8)
    pillar: float = 0.32  # side in metres
    stride: int = 2  # pillars to a cell of the network's output, along x and y

    @property
    def shape(self) -> tuple[int, int]:
        """How many pillars there are, along x and along y."""
        return tuple(round((b - a) / self.pillar) for a, b in (self.x, self.y))

    @property
    def cell(self) -> float:
        """Side of an output cell in metres."""
        return self.pillar * self.stride

    def locate(self, points: Tensor, side: float) -> Tensor:
        """Return the place (..., 2) of points (..., 2 or more) in squares of ``side`` metres."""
        return (points[..., :2] - points.new_tensor([self.x[0], self.y[0]])) / side

    def inside(self, points: Tensor) -> Tensor:
        """Return which points (..., 2 or more) lie on the grid; NaN does not."""
        at, ends = self.locate(points, self.pillar), points.new_tensor(self.shape)
        return ((at >= 0) & (at < ends)).all(dim=-1)


GRID = Grid()


def make_drives(
    count: int, *, generator: torch.Generator, grid: Grid = GRID, azimuths: int = 360
) -> Drives:
    """Return scans of ``count`` new streets: 32 beams, the half circle ahead.

    Objects whose middle is off the grid, or that no point lies on, have the category EMPTY.
    """
    streets = world.draw(count, generator=generator, slots=14, pieces=14, along=(0.0, 42.0))
    scans = world.scan(streets, generator=generator, azimuths=azimuths, sector=180.0)
    slots = streets.boxes.shape[1]
    on = scans.index.where(scans.index < slots, -1) + 1  # 0 for all that is no object
    returns = torch.zeros(count, slots + 1, dtype=torch.long)
    returns.scatter_add_(1, on.clamp(min=0), torch.ones_like(on))
    returns = returns[:, 1:]
    there = grid.inside(streets.boxes) & (returns > 0)
    return Drives(
        scans.points, streets.boxes, streets.category.where(there, EMPTY), returns, streets
    )


# --- pillars (L19, 2.1) ----------------------------------------------------------------------


class Pillars(NamedTuple):
    """Points that lie on the grid, in their pillars."""

    features: Tensor  # (points, 9): x y z r, xc yc zc from the pillar's mean, xp yp from its middle
    pillar: Tensor  # (points,) which pillar of which scene, counted through


def decorate(points: Tensor, grid: Grid = GRID) -> Pillars:
    """Return all points on the grid, each with nine numbers (L19, 2.1).

    Args:
        points: (scenes, points, 4).
    """
    check_shape(points, "scenes points 4", name="points")
    rows, columns = grid.shape
    on = grid.inside(points)
    kept = points[on]  # (points, 4)
    at = grid.locate(kept, grid.pillar).floor()
    scene = on.nonzero()[:, 0]
    pillar = (scene * rows + at[:, 0].long()) * columns + at[:, 1].long()
    counted = torch.cat([kept[:, :3], torch.ones_like(kept[:, :1])], dim=1)
    total = kept.new_zeros(len(points) * rows * columns, 4)
    total.index_add_(0, pillar, counted)
    mean = (total[:, :3] / total[:, 3:].clamp(min=1))[pillar]
    middle = (at + 0.5) * grid.pillar + kept.new_tensor([grid.x[0], grid.y[0]])
    offsets = (kept[:, :3] - mean, kept[:, :2] - middle)
    return Pillars(torch.cat([kept, *offsets], dim=1), pillar)


class PillarNet(nn.Module):
    """A linear layer, batch normalisation and ReLU for each point, a maximum for each pillar."""

    def __init__(
        self, channels: int = 32, *, grid: Grid = GRID, read: tuple[int, ...] = ()
    ) -> None:
        super().__init__()
        self.grid, self.channels = grid, channels
        self.read = list(read or range(9))  # which of the nine numbers are read
        self.linear = nn.Linear(len(self.read), channels, bias=False)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, points: Tensor) -> Tensor:
        """Return the pseudo-image (scenes, channels, rows, columns), 0 where no point lies."""
        features, pillar = decorate(points, self.grid)
        h = relu(self.norm(self.linear(features[:, self.read])))  # (points, channels)
        rows, columns = self.grid.shape
        image = h.new_zeros(len(points) * rows * columns, self.channels)
        where = pillar[:, None].expand(-1, self.channels)
        image = image.scatter_reduce(0, where, h, "amax")  # h is 0 or more
        return image.unflatten(0, (len(points), rows, columns)).movedim(-1, 1)


# --- the network (L19, 2.2; Y21, 4) ----------------------------------------------------------


def _block(inputs: int, outputs: int, layers: int) -> nn.Sequential:
    """Return a 3 × 3 convolution with stride 2 and ``layers`` more, each with norm and ReLU."""
    steps = []
    for k in range(layers + 1):
        steps += [
            nn.Conv2d(outputs if k else inputs, outputs, 3, 1 if k else 2, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
    return nn.Sequential(*steps)


def _upsample(inputs: int, outputs: int, factor: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, factor, factor, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class CenterPoint(nn.Module):
    """Pillars, a 2D CNN at three scales, and heads that find the middle of each object."""

    def __init__(self, *, grid: Grid = GRID, width: int = 32, read: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.grid = grid
        self.pillars = PillarNet(width, grid=grid, read=read)
        widths = (width, 2 * width, 2 * width)
        self.down = nn.ModuleList(
            _block(i, o, 2) for i, o in zip((width, *widths), widths, strict=False)
        )
        self.up = nn.ModuleList(_upsample(c, width, 2**k) for k, c in enumerate(widths))
        self.shared = nn.Sequential(
            nn.Conv2d(3 * width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.heat, self.code = self._head(width, len(CATEGORIES)), self._head(width, CODE)
        nn.init.constant_(self.heat[-1].bias, math.log(0.02 / 0.98))  # few cells hold a middle

    @staticmethod
    def _head(width: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, outputs, 1),
        )

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return heat logits (scenes, 3, x, y) and codes (scenes, CODE, x, y)."""
        x, scales = self.pillars(points), []
        for down, up in zip(self.down, self.up, strict=True):
            x = down(x)
            scales.append(up(x))
        h = self.shared(torch.cat(scales, dim=1))
        return self.heat(h), self.code(h)


# --- what is learned (Y21, 3 and 4.1) --------------------------------------------------------


def gaussian_radius(length: float, width: float, *, least: float = 0.1) -> float:
    """Return how far a box can be off along both axes and still have an IoU of ``least``.

    Moved by r along both, it shares (l - r)(w - r); the IoU is ``least`` if that is
    2 least / (1 + least) of l w. Law & Deng, "CornerNet", ECCV 2018: the first of three cases.
    """
    total, area = length + width, length * width * (1 - least) / (1 + least)
    return (total - math.sqrt(total**2 - 4 * area)) / 2


class Targets(NamedTuple):
    """What the network should say."""

    heat: Tensor  # (scenes, categories, x, y), 1 at the middle of an object, falling off around it
    code: Tensor  # (scenes, slots, CODE)
    cell: Tensor  # (scenes, slots) the object's output cell, row by row
    there: Tensor  # (scenes, slots) whether there is an object


def make_targets(boxes: Tensor, category: Tensor, grid: Grid = GRID) -> Targets:
    """Return the targets of boxes (scenes, slots, 7) and categories (scenes, slots).

    An object is written down at the cell of its middle; the heat map of its category gets a
    Gaussian there with radius max(f(l, w), 2) cells and a standard deviation of a sixth of
    2 radius + 1. Where several reach a cell, the largest value counts.
    """
    sizes = check_shape(boxes, "scenes slots 7", name="boxes")
    check_shape(category, f"{sizes['scenes']} {sizes['slots']}", name="category")
    rows, columns = (n // grid.stride for n in grid.shape)
    there = (category != EMPTY) & grid.inside(boxes)
    at = grid.locate(boxes, grid.cell)  # (scenes, slots, 2)
    whole = at.floor().clamp(min=0).minimum(at.new_tensor([rows - 1, columns - 1]))
    code = torch.cat(
        [at - whole, boxes[..., 2:3], boxes[..., 3:6].log(),
         boxes[..., 6:].sin(), boxes[..., 6:].cos()], dim=-1,
    )  # fmt: skip
    heat = boxes.new_zeros(sizes["scenes"], len(CATEGORIES), rows, columns)
    x, y = torch.arange(rows).to(boxes), torch.arange(columns).to(boxes)
    for scene, slot in there.nonzero().tolist():
        length, width = (boxes[scene, slot, 3:5] / grid.cell).tolist()
        deviation = (2 * max(int(gaussian_radius(length, width)), 2) + 1) / 6
        i, j = whole[scene, slot]
        away = (x[:, None] - i) ** 2 + (y - j) ** 2
        bump = (-away / (2 * deviation**2)).exp()
        one = heat[scene, category[scene, slot]]
        torch.maximum(one, bump, out=one)
    cell = (whole[..., 0] * columns + whole[..., 1]).long()
    return Targets(heat, code, cell, there)


def focal_loss(logits: Tensor, heat: Tensor) -> Tensor:
    """Return the penalty-reduced focal loss, for each object (Y21 after Law & Deng 2018).

    -(1 - p)² log p where the target is 1, -(1 - target)⁴ p² log(1 - p) elsewhere.
    """
    p, middle = logits.sigmoid(), heat == 1
    hit = (1 - p) ** 2 * logsigmoid(logits)
    miss = (1 - heat) ** 4 * p**2 * logsigmoid(-logits)
    return -torch.where(middle, hit, miss).sum() / middle.sum().clamp(min=1)


def detection_loss(model: CenterPoint, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the heat map's focal loss plus the L1 loss of the codes at the true middles.

    Args:
        batch: points (scenes, points, 4), boxes (scenes, slots, 7), category.
    """
    points, boxes, category = batch
    logits, codes = model(points)
    targets = make_targets(boxes, category, model.grid)
    where = targets.cell[:, None].expand(-1, CODE, -1)
    said = codes.flatten(2).gather(2, where).mT  # (scenes, slots, CODE)
    apart = (said - targets.code).abs()[targets.there]
    return focal_loss(logits, targets.heat) + apart.sum() / max(1, len(apart))


def mirrored_loss(model: CenterPoint, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the loss with half of the scenes mirrored, left to right, as L19 augments."""
    points, boxes, category = batch
    sign = torch.randint(0, 2, (len(points), 1)).to(points) * 2 - 1
    points, boxes = points.clone(), boxes.clone()
    points[..., 1] *= sign
    boxes[..., 1] *= sign
    boxes[..., 6] *= sign
    return detection_loss(model, (points, boxes, category))


def train(
    drives: Drives,
    *,
    seed: int,
    epochs: int = 6,
    learning_rate: float = 4e-3,
    read: tuple[int, ...] = (),
    **options,
) -> tuple[CenterPoint, History]:
    """Return a detector trained on drives, and what happened.

    Args:
        read: which of the nine numbers of a point are read, all if none is said.
        options: more for ``fit``.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CenterPoint(read=read)
    batches = Batches(
        (drives.points, drives.boxes, learned(drives)),
        batch_size=BATCH,
        generator=make_generator(seed),
    )
    history = fit(
        model,
        batches,
        mirrored_loss,
        generator=make_generator(seed),
        epochs=epochs,
        learning_rate=learning_rate,
        schedule=warm_then_cool,
        **options,
    )
    return model, history


def load_detector() -> CenterPoint:
    """Return the detector that ships with mmlib, trained for longer than on its page."""
    model = CenterPoint()
    model.load_state_dict(load_file(WEIGHTS))
    return model.eval()


def training_facts() -> dict[str, str]:
    """Return on how many scenes that detector was trained, and the minutes of one core it took."""
    with safe_open(WEIGHTS, framework="pt") as file:
        return file.metadata()


# --- reading boxes off (Y21, 4) --------------------------------------------------------------


def peaks(heat: Tensor) -> Tensor:
    """Return where a heat map (..., x, y) is as high as all of its 3 × 3 cells, bool."""
    return (heat == max_pool2d(heat, 3, 1, 1)) & (heat > 0)


def decode(heat: Tensor, codes: Tensor, grid: Grid = GRID, *, least: float = 0.05) -> list[Found]:
    """Return a box for each peak of a heat map, in each scene.

    Args:
        heat: (scenes, categories, x, y), 0 to 1; codes: (scenes, CODE, x, y).
        least: the lowest peak that gives a box.
    """
    found = []
    for one, code in zip(heat, codes, strict=True):
        category, i, j = (peaks(one) & (one >= least)).nonzero().unbind(1)
        score, order = one[category, i, j].sort(descending=True)
        category, i, j = category[order], i[order], j[order]
        dx, dy, z, *size, sine, cosine = code[:, i, j].unbind(0)
        x = grid.x[0] + (i + dx) * grid.cell
        y = grid.y[0] + (j + dy) * grid.cell
        size = [part.clamp(-3, 3).exp() for part in size]
        heading = torch.atan2(sine, cosine)
        found.append(Found(torch.stack([x, y, z, *size, heading], dim=1), score, category))
    return found


def detect(model: CenterPoint, points: Tensor, *, least: float = 0.05) -> list[Found]:
    """Return what a trained model finds in points (scenes, points, 4)."""

    def answer(model: CenterPoint, batch: Tensor) -> Tensor:
        logits, codes = model(batch)
        return torch.cat([logits.sigmoid(), codes], dim=1)

    both = predict(model, Batches(points, batch_size=8), answer)
    return decode(*both.split([len(CATEGORIES), CODE], dim=1), model.grid, least=least)


# --- a baseline ------------------------------------------------------------------------------


def prior(drives: Drives, grid: Grid = GRID) -> Found:
    """Return the same answer for every scene: where objects often stand, with their usual box."""
    targets = make_targets(drives.boxes, learned(drives), grid)
    heat, codes = targets.heat.mean(dim=0), targets.heat.new_zeros(CODE, *targets.heat.shape[2:])
    mean = targets.code[targets.there].mean(dim=0)
    return decode(heat[None], codes[None] + mean[None, :, None, None], grid, least=1e-4)[0]


# --- measuring -------------------------------------------------------------------------------

THRESHOLDS = {"car": 0.7, "pedestrian": 0.5, "cyclist": 0.5}  # KITTI's least IoU


def learned(drives: Drives) -> Tensor:
    """Return the categories (scenes, slots), EMPTY where fewer than LEAST_POINTS points lie."""
    return drives.category.where(drives.returns >= LEAST_POINTS, EMPTY)


def curve(
    found: list[Found],
    drives: Drives,
    category: str,
    *,
    least: float | None = None,
    asked: Tensor | None = None,
    overlap: Callable[[Tensor, Tensor], Tensor] = box_metrics.iou_3d,
) -> box_metrics.Curve:
    """Return precision and recall of one category.

    Args:
        least: the IoU from which on a box counts as found, as in THRESHOLDS if nothing is said.
        asked: (scenes, slots) which objects are asked for, besides that LEAST_POINTS points lie
            on them; the others count neither for nor against.
    """
    k = CATEGORIES.index(category)
    asked = torch.ones_like(drives.category, dtype=torch.bool) if asked is None else asked
    asked = asked & (drives.returns >= LEAST_POINTS)
    return box_metrics.precision_recall(
        [(f.boxes[f.category == k], f.scores[f.category == k]) for f in found],
        [boxes[c == k] for boxes, c in zip(drives.boxes, drives.category, strict=True)],
        ignored=[~a[c == k] for a, c in zip(asked, drives.category, strict=True)],
        least=THRESHOLDS[category] if least is None else least,
        overlap=overlap,
    )


def ap_by_category(found: list[Found], drives: Drives, **options) -> dict[str, float]:
    """Return the average precision of each category; options as of ``curve``."""
    return {
        name: box_metrics.average_precision(curve(found, drives, name, **options))
        for name in CATEGORIES
    }
