"""Streets: road users and clutter around a vehicle as oriented boxes, a lidar, rays for a camera.

All is in the vehicle's frame: x ahead, y to the left, z up, in metres; the origin is on the road,
under the lidar. A box is (x, y, z, length, width, height, heading): its middle, its size along its
own axes, and the direction of its front in radians, from x towards y. Traffic keeps to the right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.shapes import check_finite, check_shape, check_whole

CATEGORIES = ("car", "pedestrian", "cyclist")
CLUTTER = ("wall", "hedge", "pole", "bin")  # no objects to be found
LIDAR_HEIGHT = 1.7
LANE_WIDTH = 3.5
EMPTY = -1  # the category of an empty slot
GROUND, NOTHING = -1, -2  # what a ray hit, where it is neither object nor clutter
REACH = (-50.0, 50.0)  # along the road, where objects stand

# the least and greatest length, width, height and reflectivity
_SIZES = {
    "car": ((3.7, 4.8), (1.6, 1.95), (1.4, 1.75), (0.15, 0.8)),
    "pedestrian": ((0.4, 0.8), (0.45, 0.7), (1.55, 1.9), (0.2, 0.5)),
    "cyclist": ((1.6, 1.9), (0.5, 0.7), (1.6, 1.85), (0.3, 0.6)),
    "wall": ((5.0, 12.0), (0.25, 0.4), (1.8, 3.0), (0.3, 0.5)),
    "hedge": ((2.5, 6.0), (0.6, 1.0), (0.9, 1.6), (0.05, 0.2)),
    "pole": ((0.15, 0.4), (0.15, 0.4), (2.5, 5.0), (0.4, 0.9)),
    "bin": ((0.5, 0.8), (0.5, 0.8), (0.9, 1.3), (0.3, 0.9)),
}
# where they stand: weight, how far left of our lane's middle (from, to), heading against the road
# in half turns, and how far the heading strays from that (1: any)
_POSITIONS = {
    "car": (
        (0.15, -0.3, 0.3, 0, 0.03), (0.25, 3.1, 3.9, 1, 0.03), (0.27, -3.1, -2.8, 0, 0.03),
        (0.25, 6.2, 6.6, 1, 0.03), (0.08, -2.5, 6.0, 0, 1),
    ),
    "pedestrian": ((0.4, -6.2, -4.4, 0, 1), (0.4, 7.9, 9.7, 0, 1), (0.2, -2.5, 6.0, 0, 1)),
    "cyclist": (
        (0.4, -1.6, -1.0, 0, 0.05), (0.3, 4.5, 5.1, 1, 0.05), (0.15, -6.0, -4.6, 0, 0.1),
        (0.15, 8.1, 9.5, 0, 0.1),
    ),
    "wall": ((0.5, -8.2, -7.6, 0, 0.01), (0.5, 11.0, 11.8, 0, 0.01)),
    "hedge": ((0.5, -7.2, -6.7, 0, 0.02), (0.5, 10.2, 10.6, 0, 0.02)),
    "pole": ((0.5, -4.2, -4.0, 0, 1), (0.5, 7.5, 7.7, 0, 1)),
    "bin": ((0.5, -6.3, -4.4, 0, 1), (0.5, 7.8, 9.8, 0, 1)),
}  # fmt: skip
# the parts of an object as shares of its box: from, to along the length, the width and the height;
# the front is at 1
_PARTS = {
    "car": (((0, 1), (0, 1), (0, 0.58)), ((0.12, 0.64), (0.05, 0.95), (0.58, 1))),
    "pedestrian": (((0, 1), (0, 1), (0, 0.84)), ((0.25, 0.75), (0.25, 0.75), (0.84, 1))),
    "cyclist": (((0, 1), (0.38, 0.62), (0, 0.55)), ((0.28, 0.62), (0, 1), (0.4, 1))),
}
_ASPHALT, _PAINT = 0.12, 0.6  # reflectivity of the road and its lines


@dataclass(frozen=True)
class Streets:
    """A batch of streets; indexing with a number, slice, tensor or list gives another batch.

    The middle of our lane is an arc: beside the origin it is ``lane_offset`` metres to the left,
    there it runs in the direction ``lane_heading``, and turns left with ``curvature``.

    Raises:
        TypeError, ValueError: a property has the wrong type, shape or range; the error names it.
    """

    boxes: Tensor  # (streets, slots, 7)
    category: Tensor  # (streets, slots) index into CATEGORIES, or EMPTY
    clutter: Tensor  # (streets, pieces, 7)
    clutter_category: Tensor  # (streets, pieces) index into CLUTTER, or EMPTY
    reflectivity: Tensor  # (streets, slots + pieces), 0 to 1
    curvature: Tensor  # (streets,) in 1/m
    lane_offset: Tensor  # (streets,) in m
    lane_heading: Tensor  # (streets,) in radians

    def __post_init__(self) -> None:
        sizes = check_shape(self.boxes, "streets slots 7", name="boxes")
        streets, slots = sizes["streets"], sizes["slots"]
        pieces = check_shape(self.clutter, f"{streets} pieces 7", name="clutter")["pieces"]
        for name, count, names in (
            ("category", slots, CATEGORIES),
            ("clutter_category", pieces, CLUTTER),
        ):
            values = getattr(self, name)
            check_shape(values, f"{streets} {count}", name=name)
            if values.is_floating_point() or values.min() < EMPTY or values.max() >= len(names):
                raise ValueError(f"{name} must hold whole numbers from {EMPTY} to {len(names) - 1}")
        check_shape(self.reflectivity, f"{streets} {slots + pieces}", name="reflectivity")
        for field in fields(self):
            check_finite(getattr(self, field.name), name=field.name)
        for name in ("curvature", "lane_offset", "lane_heading"):
            check_shape(getattr(self, name), f"{streets}", name=name)
        for name in ("boxes", "clutter"):
            if (getattr(self, name)[..., 3:6] <= 0).any():
                raise ValueError(f"{name} has a length, width or height that is not above 0")

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> "Streets":
        index = [index] if isinstance(index, int) else index
        return Streets(*(getattr(self, field.name)[index] for field in fields(self)))


class Hits(NamedTuple):
    """What rays hit first."""

    distance: Tensor  # (streets, rays) in lengths of the direction; infinite where nothing is hit
    index: Tensor  # (streets, rays) a slot, or slots + a piece of clutter, or GROUND or NOTHING
    normal: Tensor  # (streets, rays, 3) of length 1, towards the ray's origin; 0 for NOTHING


class Scan(NamedTuple):
    """The returns of a lidar; NaN where a ray has none."""

    points: Tensor  # (streets, rays, 4) x, y, z in metres, intensity from 0 to 1
    index: Tensor  # (streets, rays) what returned the ray, as in Hits


def draw(
    count: int,
    *,
    generator: torch.Generator,
    slots: int = 12,
    pieces: int = 16,
    along: tuple[float, float] = REACH,
) -> Streets:
    """Return ``count`` streets with up to ``slots`` objects and ``pieces`` of clutter each.

    No two boxes overlap as seen from above, and none stands where the vehicle is.

    Args:
        along: where their middles lie, from and to, in metres along the road.

    Raises:
        ValueError: a number is no whole number of 1 or more, or ``along`` does not rise.
    """
    if not along[0] < along[1]:
        raise ValueError(f"along is {along}, it must rise")
    count = check_whole(count, name="count")
    slots, pieces = check_whole(slots, name="slots"), check_whole(pieces, name="pieces")
    names = (*CATEGORIES, *CLUTTER)
    weights = torch.tensor([0.55, 0.27, 0.18]), torch.tensor([0.25, 0.25, 0.3, 0.2])
    category = torch.cat(
        [
            torch.multinomial(share, count * many, True, generator=generator).view(count, many)
            + start
            for share, many, start in zip(
                weights, (slots, pieces), (0, len(CATEGORIES)), strict=True
            )
        ],
        dim=1,
    )  # (streets, slots + pieces)
    present = torch.rand(category.shape, generator=generator) < 0.8
    road = torch.rand(count, 3, generator=generator) * 2 - 1
    curvature, lane_offset, lane_heading = (road * torch.tensor([0.012, 0.4, 0.05])).unbind(1)

    tries = 10
    boxes, reflectivity = torch.zeros(*category.shape, tries, 7), torch.zeros(category.shape)
    for number, name in enumerate(names):
        rows = category == number
        many = int(rows.sum())
        size, shine = _sizes(name, many, generator)
        far, across, heading = _positions(name, (many, tries), generator)
        which = rows.nonzero()[:, 0][:, None].expand(many, tries)
        x, y, ahead = to_vehicle(
            along[0] + (along[1] - along[0]) * far,
            across,
            curvature[which],
            lane_offset[which],
            lane_heading[which],
        )
        z = (size[:, 2:] / 2).expand(many, tries)
        size = size[:, None].expand(many, tries, 3)
        heading = _wrap(ahead + heading)
        boxes[rows] = torch.cat([torch.stack([x, y, z], -1), size, heading[..., None]], dim=-1)
        reflectivity[rows] = shine
    boxes, free = _without_overlap(boxes, present)
    category = category.where(free, EMPTY)
    clutter = (category[:, slots:] - len(CATEGORIES)).clamp(min=EMPTY)
    return Streets(
        boxes[:, :slots], category[:, :slots], boxes[:, slots:], clutter,
        reflectivity, curvature, lane_offset, lane_heading,
    )  # fmt: skip


def _sizes(name: str, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return length, width and height (count, 3) and reflectivity (count,)."""
    low, high = torch.tensor(_SIZES[name]).unbind(1)
    values = low + (high - low) * torch.rand(count, 4, generator=generator)
    return values[:, :3], values[:, 3]


def _positions(
    name: str, shape: tuple[int, int], generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return each of ``shape``: a share of the way along the road, the position across it, the
    heading against it.
    """
    table = torch.tensor(_POSITIONS[name])
    row = torch.multinomial(table[:, 0], math.prod(shape), True, generator=generator)
    _, low, high, half_turns, stray = table[row].view(*shape, 5).unbind(-1)
    share, between, turned = torch.rand(3, *shape, generator=generator)
    heading = math.pi * (half_turns + stray * (2 * turned - 1))
    return share, low + (high - low) * between, heading


def _without_overlap(boxes: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each slot the first of its tries that is free, and whether there is one.

    Args:
        boxes: (streets, slots, tries, 7)
        present: (streets, slots)
    """
    own = boxes.new_tensor([0.0, 0.0, 0.8, 6.0, 2.2, 1.6, 0.0])  # our vehicle and some room
    placed = own.expand(len(boxes), 1, 7)
    taken = torch.ones(len(boxes), 1, dtype=torch.bool)
    for slot in range(boxes.shape[1]):
        clash = overlap(boxes[:, slot, :, None], placed[:, None], gap=0.3)
        free = ~(clash & taken[:, None]).any(dim=2)  # (streets, tries)
        best = free.int().argmax(dim=1)
        chosen = boxes[:, slot].gather(1, best[:, None, None].expand(-1, 1, 7))
        placed = torch.cat([placed, chosen], dim=1)
        taken = torch.cat([taken, (free.any(1) & present[:, slot])[:, None]], dim=1)
    return placed[:, 1:], taken[:, 1:]


def overlap(first: Tensor, second: Tensor, *, gap: float = 0.0) -> Tensor:
    """Return whether two boxes (..., 7) overlap, seen from above, or are closer than ``gap``.

    The theorem of separating axes: two convex shapes are apart if there is a line, here along a
    side of either, onto which they project apart.
    """
    between = second[..., :2] - first[..., :2]
    axes, reach = [], []
    for box in (first, second):
        cosine, sine = box[..., 6].cos(), box[..., 6].sin()
        axes += [torch.stack([cosine, sine], -1), torch.stack([-sine, cosine], -1)]
        reach += [box[..., 3] / 2, box[..., 4] / 2]
    apart = torch.zeros(torch.broadcast_shapes(first.shape, second.shape)[:-1], dtype=torch.bool)
    apart = apart.to(first.device)
    for axis in axes:
        extent = sum(
            half * (side * axis).sum(-1).abs() for half, side in zip(reach, axes, strict=True)
        )
        apart = apart | ((between * axis).sum(-1).abs() >= extent + gap)
    return ~apart


def to_vehicle(
    along: Tensor, across: Tensor, curvature: Tensor, lane_offset: Tensor, lane_heading: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return x, y and the lane's heading at places given by the road.

    Args:
        along: metres along the middle of our lane, from beside the vehicle; across: metres to the
            left of it; the other three as in Streets. All broadcast.
    """
    half = curvature * along / 2  # half of the angle that the arc turns by
    chord = along * torch.sinc(half / math.pi)
    turned = 2 * half
    x = chord * half.cos() - across * turned.sin()
    y = chord * half.sin() + across * turned.cos() + lane_offset
    cosine, sine = lane_heading.cos(), lane_heading.sin()
    return x * cosine - y * sine, x * sine + y * cosine, lane_heading + turned


def to_road(streets: Streets, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return metres along and to the left of the middle of our lane, (streets, points) each.

    Args:
        points: (streets, points, 2) or more: x, y, …, closer to the lane than its arc's centre.
    """
    x, y = points[..., 0], points[..., 1]
    curvature, offset, heading = (
        getattr(streets, name)[:, None] for name in ("curvature", "lane_offset", "lane_heading")
    )
    cosine, sine = heading.cos(), heading.sin()
    x, y = x * cosine + y * sine, y * cosine - x * sine - offset
    q = curvature * (x**2 + y**2) - 2 * y  # (distance to the arc's centre)² = (1 + κ q) / κ²
    across = -q / (1 + (1 + curvature * q).sqrt())
    angle = torch.atan2(curvature * x, 1 - curvature * y)
    straight = curvature.abs() < 1e-6
    along = torch.where(straight, x, angle / curvature.where(~straight, 1))
    return along, across


def turn(streets: Streets, angle: Tensor) -> Streets:
    """Return the streets turned to the left by angles (streets,) in radians, about the origin."""
    check_shape(angle, f"{len(streets)}", name="angle")
    values = {field.name: getattr(streets, field.name) for field in fields(streets)}
    cosine, sine = angle.cos()[:, None], angle.sin()[:, None]
    for name in ("boxes", "clutter"):
        x, y, z, *size, heading = values[name].unbind(-1)
        heading = _wrap(heading + angle[:, None])
        moved = [x * cosine - y * sine, x * sine + y * cosine, z, *size, heading]
        values[name] = torch.stack(moved, dim=-1)
    values["lane_heading"] = _wrap(streets.lane_heading + angle)
    return Streets(**values)


def solid_parts(streets: Streets) -> tuple[Tensor, Tensor, Tensor]:
    """Return all boxes that rays can hit: an object has two, clutter is one.

    Returns:
        boxes (streets, parts, 7); whose they are (parts,), as the index of Hits; whether they are
        there (streets, parts).
    """
    slots, pieces = streets.boxes.shape[1], streets.clutter.shape[1]
    table = torch.tensor([_PARTS[name] for name in CATEGORIES]).to(streets.boxes)
    share = table[streets.category.clamp(min=0)]  # (streets, slots, 2, 3, 2)
    whole = streets.boxes[:, :, None]  # (streets, slots, 1, 7)
    middle = (share.mean(-1) - 0.5) * whole[..., 3:6]
    cosine, sine = whole[..., 6].cos(), whole[..., 6].sin()
    x, y, z = middle.unbind(-1)
    moved = torch.stack([x * cosine - y * sine, x * sine + y * cosine, z], dim=-1)
    size = (share[..., 1] - share[..., 0]) * whole[..., 3:6]
    parts = torch.cat([whole[..., :3] + moved, size, whole[..., 6:].expand(-1, -1, 2, 1)], dim=-1)
    boxes = torch.cat([parts.flatten(1, 2), streets.clutter], dim=1)
    owner = torch.cat([torch.arange(slots).repeat_interleave(2), slots + torch.arange(pieces)])
    there = torch.cat([streets.category, streets.clutter_category], dim=1) != EMPTY
    owner = owner.to(boxes.device)
    return boxes, owner, there[:, owner]


def cast(streets: Streets, origins: Tensor, directions: Tensor) -> Hits:
    """Return what each ray hits first: a part of an object, clutter, the ground or nothing.

    A box is met by the slab method: the ray crosses the two planes of each of its three axes; it is
    inside between the last of the three entries and the first of the three exits.

    Args:
        origins, directions: (streets, rays, 3), or shapes that broadcast to it. A direction may
            have any length but 0: distances are counted in it.
    """
    for name, rays in (("origins", origins), ("directions", directions)):
        check_shape(rays, "streets rays 3", name=name)
        check_finite(rays, name=name)
    shape = (len(streets), max(origins.shape[1], directions.shape[1]), 3)
    origins, directions = origins.expand(shape), directions.expand(shape)
    down = directions[..., 2]
    nearest = torch.where((down < 0) & (origins[..., 2] > 0), -origins[..., 2] / down, math.inf)
    index = torch.where(nearest.isfinite(), GROUND, NOTHING)
    normal = torch.zeros(shape).to(origins)
    normal[..., 2] = (index == GROUND).to(normal)
    boxes, owner, there = solid_parts(streets)
    side = torch.zeros(shape[:2], dtype=torch.long, device=origins.device)  # the axis that was hit
    (ox, oy, oz), (dx, dy, dz) = origins.unbind(-1), directions.unbind(-1)
    for part, whose in enumerate(owner.tolist()):
        x, y, z, *size, heading = boxes[:, part, None].unbind(-1)  # (streets, 1) each
        cosine, sine = heading.cos(), heading.sin()
        # the ray in the box's own frame, axis by axis
        starts = (ox - x) * cosine + (oy - y) * sine, (oy - y) * cosine - (ox - x) * sine, oz - z
        ways = dx * cosine + dy * sine, dy * cosine - dx * sine, dz
        entry = torch.full_like(nearest, -math.inf)
        leave = torch.full_like(nearest, math.inf)
        axis = torch.zeros_like(side)
        for number, (start, way, full) in enumerate(zip(starts, ways, size, strict=True)):
            way = way.where(way.abs() > 1e-9, 1e-9)
            middle, half = -start / way, (full / 2 / way).abs()
            later = middle - half > entry
            entry, axis = torch.where(later, middle - half, entry), axis.where(~later, number)
            leave = torch.minimum(leave, middle + half)
        hit = (entry > 0) & (entry < leave) & (entry < nearest) & there[:, part, None]
        nearest = torch.where(hit, entry, nearest)
        index, side = index.where(~hit, whose), side.where(~hit, 3 * part + axis)
    heading = boxes[..., 6].gather(1, side // 3)  # of the part that was hit
    cosine, sine, none = heading.cos(), heading.sin(), torch.zeros_like(heading)
    axes = torch.stack(
        [cosine, sine, none, -sine, cosine, none, none, none, none + 1], dim=-1
    ).unflatten(-1, (3, 3))
    axes = axes.gather(2, (side % 3)[..., None, None].expand(-1, -1, 1, 3))[:, :, 0]
    axes = axes * -(axes * directions).sum(-1, keepdim=True).sign()  # towards the ray's origin
    normal = normal.where(index[..., None] < 0, axes)
    return Hits(nearest, index, normal)


def beam_directions(
    *,
    beams: int = 32,
    azimuths: int = 360,
    lowest: float = -22.0,
    highest: float = 3.0,
    sector: float = 360.0,
) -> Tensor:
    """Return the unit directions (beams · azimuths, 3) of a spinning lidar, beam by beam.

    Args:
        beams: rays above each other, from ``lowest`` to ``highest`` in degrees above the horizon.
        azimuths: rays beside each other, from right to left, evenly over the ``sector`` of degrees
            whose middle is ahead.
    """
    beams, azimuths = check_whole(beams, name="beams"), check_whole(azimuths, name="azimuths")
    up = torch.deg2rad(torch.linspace(lowest, highest, beams))[:, None]
    step = (torch.arange(azimuths) + 0.5) / azimuths - 0.5
    left = torch.deg2rad(sector * step)[None]
    rays = [up.cos() * left.cos(), up.cos() * left.sin(), up.sin().expand(-1, azimuths)]
    return torch.stack(rays, dim=-1).flatten(0, 1)


def scan(
    streets: Streets,
    *,
    generator: torch.Generator,
    beams: int = 32,
    azimuths: int = 360,
    lowest: float = -22.0,
    highest: float = 3.0,
    sector: float = 360.0,
    reach: float = 60.0,
    noise: float = 0.02,
    dropout: float = 0.05,
) -> Scan:
    """Return what a spinning lidar, LIDAR_HEIGHT above the origin, measures.

    A ray returns from the first surface, if that is not beyond ``reach``. The intensity is the
    surface's reflectivity times the cosine of the angle at which the ray meets it, as for a matt
    surface, with the distance made up for.

    Args:
        beams, azimuths, lowest, highest, sector: as in ``beam_directions``.
        reach: the greatest distance in metres.
        noise: standard deviation of the distance in metres; of the intensity it is 0.02.
        dropout: the share of returns that are lost.

    Raises:
        ValueError: ``noise`` is below 0, ``dropout`` is not in 0 to 1, ``reach`` not above 0.
    """
    if not (noise >= 0 and 0 <= dropout <= 1 and reach > 0):
        raise ValueError(
            f"noise is {noise}, it must be 0 or more; dropout is {dropout}, it must lie in 0 to 1; "
            f"reach is {reach}, it must be above 0"
        )
    rays = beam_directions(
        beams=beams, azimuths=azimuths, lowest=lowest, highest=highest, sector=sector
    )
    rays = rays.to(streets.boxes)
    origin = rays.new_tensor([0.0, 0.0, LIDAR_HEIGHT])
    hits = cast(streets, origin.expand(1, 1, 3), rays[None])
    shape = hits.distance.shape
    lost = torch.rand(shape, generator=generator) < dropout
    stray, shimmer = torch.randn(2, *shape, generator=generator).to(rays)
    exact = origin + hits.distance.clamp(max=reach)[..., None] * rays
    far = hits.distance + noise * stray
    cosine = -(hits.normal * rays).sum(dim=-1)
    intensity = (reflectivity(streets, hits.index, exact) * cosine + 0.02 * shimmer).clamp(0, 1)
    points = torch.cat([origin + far[..., None] * rays, intensity[..., None]], dim=-1)
    returned = (hits.distance <= reach) & ~lost.to(rays.device)
    points = points.where(returned[..., None], math.nan)
    return Scan(points, hits.index.where(returned, NOTHING))


def reflectivity(streets: Streets, index: Tensor, points: Tensor) -> Tensor:
    """Return the reflectivity (streets, rays) of what was hit: painted lines are brighter.

    Args:
        index: (streets, rays), as in Hits; points: (streets, rays, 3), where it was hit.
    """
    _, across = to_road(streets, points)
    line = torch.stack([(across - k * LANE_WIDTH).abs() for k in (-0.5, 0.5, 1.5)]).amin(0) < 0.1
    ground = torch.where(line, _PAINT, _ASPHALT)
    surface = streets.reflectivity.gather(1, index.clamp(min=0))
    return surface.where(index >= 0, ground)


def _wrap(angle: Tensor) -> Tensor:
    """Return the angle in -π to π."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
