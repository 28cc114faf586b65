"""Solids: a dozen categories of objects made of named parts, as signed distance functions.

A solid fits into the cube from -1 to 1: x to the right, y up, z towards the viewer; it stands on
y = ``FLOOR`` and faces the viewer. Its ``knobs``, numbers in 0 to 1, set its proportions. The
distance to every part is known at every point, so the inside, the surface, its normals and which
part a point belongs to are exact. See ``solid_samples`` for voxels, points and meshes,
``solid_views`` for depth, shaded views and stereo pairs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from mmlib.shapes import check_finite, check_shape, check_whole
from mmlib.world.solid_forms import Point, box, capsule, cone, cylinder, ring

FLOOR = -0.9  # a solid stands here
KNOBS = 10  # proportions of a solid
FAR = 9.0  # the distance to a part that a solid has not
STEP = 1e-3  # for the slope of a distance


class Knobs:
    """Hands out the proportions of solids, one column of (solids, KNOBS) after the other."""

    def __init__(self, values: Tensor) -> None:
        self._columns = iter(values.unbind(-1))

    def between(self, low: float, high: float) -> Tensor:
        """Return the next proportion, spread over ``low`` to ``high``."""
        return low + (high - low) * next(self._columns)[..., None]

    def chosen(self, share: float) -> Tensor:
        """Return for a ``share`` of the solids True."""
        return next(self._columns)[..., None] < share


Parts = list[Tensor]


def _chair(p: Point, k: Knobs) -> Parts:
    wide, deep = k.between(0.36, 0.5), k.between(0.36, 0.48)
    seat_at, back_at = k.between(-0.35, -0.1), k.between(0.5, 0.9)
    thick, leg = k.between(0.04, 0.08), k.between(0.035, 0.06)
    arms = k.chosen(0.4)
    seat = box(p.moved(y=seat_at), (wide, thick, deep), rounded=0.03)
    tall = (back_at - seat_at) / 2
    back = box(p.moved(y=seat_at + tall, z=0.05 - deep), (wide, tall, 0.05), rounded=0.03)
    long = (seat_at - FLOOR) / 2
    one = p.mirrored("xz").moved(x=wide - leg, y=FLOOR + long, z=deep - leg)
    legs = cylinder(one, leg, long)
    arm = box(p.mirrored().moved(x=wide - 0.04, y=seat_at + 0.3), (0.04, 0.04, deep), rounded=0.02)
    post = p.mirrored().moved(x=wide - 0.04, y=seat_at + 0.15, z=deep - 0.06)
    arm = torch.minimum(arm, cylinder(post, 0.035, 0.15))
    return [seat, back, legs, torch.where(arms, arm, FAR)]


def _sofa(p: Point, k: Knobs) -> Parts:
    wide, deep, low = k.between(0.6, 0.9), k.between(0.35, 0.5), k.between(-0.62, -0.45)
    back_at, arm_at = k.between(-0.1, 0.3), k.between(-0.35, -0.1)
    thick = k.between(0.08, 0.14)
    tall = (low - FLOOR) / 2
    seat = box(p.moved(y=FLOOR + tall), (wide - thick, tall, deep), rounded=0.04)
    tall = (back_at - FLOOR) / 2
    back = box(p.moved(y=FLOOR + tall, z=thick - deep), (wide, tall, thick), rounded=0.04)
    tall = (arm_at - FLOOR) / 2
    arms = p.mirrored().moved(x=wide - thick, y=FLOOR + tall)
    return [seat, back, box(arms, (thick, tall, deep), rounded=0.04)]


def _table(p: Point, k: Knobs) -> Parts:
    wide, deep, top_at = k.between(0.55, 0.9), k.between(0.4, 0.7), k.between(-0.3, 0.2)
    leg, round_one = k.between(0.035, 0.07), k.chosen(0.35)
    thick = k.between(0.035, 0.06)
    board = p.moved(y=top_at)
    top = torch.where(
        round_one, cylinder(board, deep, thick), box(board, (wide, thick, deep), rounded=0.02)
    )
    long = (top_at - FLOOR) / 2
    four = cylinder(
        p.mirrored("xz").moved(x=wide - 2 * leg, y=FLOOR + long, z=deep - 2 * leg), leg, long
    )
    one = cylinder(p.moved(y=FLOOR + long), 1.3 * leg, long)
    one = torch.minimum(one, cylinder(p.moved(y=FLOOR + 0.04), 0.6 * deep, 0.04))
    return [top, torch.where(round_one, one, four)]


def _bed(p: Point, k: Knobs) -> Parts:
    wide, long = k.between(0.4, 0.65), k.between(0.75, 0.92)
    low, head_at = k.between(-0.65, -0.5), k.between(-0.35, 0.1)
    thick, leg = k.between(0.08, 0.14), k.between(0.04, 0.07)
    mattress = box(p.moved(y=low), (wide, thick, long), rounded=0.05)
    tall = (head_at - low) / 2
    headboard = box(p.moved(y=low + tall, z=0.05 - long), (wide, tall + 0.05, 0.05), rounded=0.02)
    half = (low - FLOOR) / 2
    legs = p.mirrored("xz").moved(x=wide - leg, y=FLOOR + half, z=long - leg)
    return [mattress, headboard, cylinder(legs, leg, half)]


def _shelf(p: Point, k: Knobs) -> Parts:
    wide, deep, top = k.between(0.35, 0.6), k.between(0.18, 0.32), k.between(0.4, 0.9)
    thick, three = k.between(0.035, 0.055), k.chosen(0.5)
    tall = (top - FLOOR) / 2
    sides = box(p.mirrored().moved(x=wide, y=FLOOR + tall), (thick, tall, deep), rounded=0.01)
    middle = p.moved(y=FLOOR + tall)
    board = (wide, thick, deep)
    outer = box(middle.mirrored("xy").moved(y=tall - thick), board, rounded=0.01)
    gap = torch.where(three, 0.0, (tall - thick) / 3)
    inner = box(middle.mirrored("xy").moved(y=gap), board, rounded=0.01)
    back = box(p.moved(y=FLOOR + tall, z=0.035 - deep), (wide, tall, 0.035))
    return [sides, torch.minimum(outer, inner), back]


def _lamp(p: Point, k: Knobs) -> Parts:
    foot, pole, top = k.between(0.25, 0.42), k.between(0.03, 0.05), k.between(0.6, 0.9)
    low, high, tall = k.between(0.32, 0.55), k.between(0.15, 0.3), k.between(0.18, 0.32)
    base = cone(p.moved(y=FLOOR + 0.06), (foot, 0.7 * foot), 0.06)
    long = (top - tall - FLOOR) / 2
    stem = cylinder(p.moved(y=FLOOR + long), pole, long)
    at = p.moved(y=top - tall)
    shade = cone(at, (low, high), tall)
    inside = cone(at.moved(y=-0.07), (low - 0.06, high - 0.06), tall)  # open below, closed above
    return [base, stem, torch.maximum(shade, -inside)]


def _mug(p: Point, k: Knobs) -> Parts:
    wide, tall, taper = k.between(0.4, 0.58), k.between(0.45, 0.75), k.between(0.8, 1.0)
    wall, tube = k.between(0.06, 0.09), k.between(0.05, 0.08)
    loop, stretch = k.between(0.18, 0.26), k.between(0.0, 0.14)
    at = p.moved(y=FLOOR + tall, x=-0.15)
    radii = (wide * taper, wide)
    cavity = cone(at.moved(y=2 * wall), (radii[0] - wall, radii[1] - wall), tall)
    outer = cone(at, radii, tall)
    middle = (radii[0] + radii[1]) / 2
    handle = ring(at.moved(x=middle + 0.04), loop, tube, stretch=stretch)
    return [torch.maximum(outer, -cavity), torch.maximum(handle, -outer - wall / 2)]


def _bottle(p: Point, k: Knobs) -> Parts:
    wide, tall, top = k.between(0.2, 0.36), k.between(0.35, 0.55), k.between(0.6, 0.92)
    slim, slope = k.between(0.08, 0.13), k.between(0.1, 0.25)
    body = cylinder(p.moved(y=FLOOR + tall), wide, tall)
    at = p.moved(y=FLOOR + 2 * tall)
    shoulder = cone(at.moved(y=slope - 0.02), (wide - 0.02, slim), slope + 0.02)
    start = FLOOR + 2 * tall + 2 * slope
    end = torch.maximum(start + 0.12, top)
    neck = cylinder(p.moved(y=(start + end) / 2 - 0.01), slim, (end - start) / 2 + 0.01)
    cap = cylinder(p.moved(y=end), slim + 0.03, 0.06)
    return [body, torch.minimum(shoulder, neck), cap]


def _jug(p: Point, k: Knobs) -> Parts:
    wide, tall, taper = k.between(0.34, 0.48), k.between(0.45, 0.65), k.between(0.55, 0.8)
    tube, loop = k.between(0.045, 0.07), k.between(0.2, 0.28)
    rise, reach = k.between(0.25, 0.5), k.between(0.25, 0.36)
    at = p.moved(y=FLOOR + tall)
    body = cone(at, (wide, wide * taper), tall)
    lid = cone(at.moved(y=tall + 0.03), (wide * taper - 0.02, 0.08), 0.06)
    lid = torch.minimum(lid, capsule(at.moved(y=tall + 0.11), (0.0, 0.06, 0.0), 0.06))
    middle = wide * (1 + taper) / 2
    handle = ring(at.moved(x=-middle), loop, tube)
    spout = capsule(at.moved(x=middle - 0.08, y=-0.2 * tall), (reach, rise, 0.0), 1.1 * tube)
    return [body, handle, spout, lid]


def _car(p: Point, k: Knobs) -> Parts:
    long, wide = k.between(0.72, 0.92), k.between(0.34, 0.44)
    wheel, tall = k.between(0.14, 0.2), k.between(0.13, 0.2)
    roof, half, shift = k.between(0.14, 0.24), k.between(0.3, 0.55), k.between(-0.2, 0.1)
    up = FLOOR + wheel + tall
    body = box(p.moved(y=up), (long, tall, wide), rounded=0.06)
    at = p.moved(x=shift, y=up + tall + roof - 0.04)
    cabin = box(at, (half, roof, 0.88 * wide), rounded=0.08)
    one = p.mirrored("xz").moved(x=0.6 * long, y=FLOOR + wheel, z=wide)
    return [body, cabin, cylinder(one.rolling(), wheel, 0.07)]


def _airplane(p: Point, k: Knobs) -> Parts:
    long, thick = k.between(0.7, 0.9), k.between(0.1, 0.16)
    span, chord, sweep = k.between(0.65, 0.92), k.between(0.12, 0.2), k.between(0.0, 0.35)
    tail, fin = k.between(0.25, 0.4), k.between(0.25, 0.4)
    at = p.moved(y=FLOOR + thick)
    reach = long - thick
    fuselage = capsule(at.moved(x=-reach), (2 * reach, 0.0, 0.0), thick)  # its nose at x > 0
    side = at.mirrored("z")
    wing = side.moved(x=0.1).swept(sweep).moved(z=span / 2)
    wings = box(wing, (chord, 0.035, span / 2), rounded=0.02)
    rear = side.moved(x=0.12 - reach).swept(0.35).moved(z=tail / 2)
    upright = at.moved(x=0.12 - reach).rolling().swept(0.35).rolling().moved(y=(thick + fin) / 2)
    plates = torch.minimum(
        box(rear, (0.1, 0.03, tail / 2), rounded=0.02),
        box(upright, (0.11, (thick + fin) / 2, 0.03), rounded=0.02),
    )
    return [fuselage, wings, plates]


def _guitar(p: Point, k: Knobs) -> Parts:
    low, high = k.between(0.36, 0.46), k.between(0.24, 0.33)
    thick, apart = k.between(0.09, 0.14), k.between(0.38, 0.5)
    top, slim, head = k.between(0.55, 0.75), k.between(0.045, 0.06), k.between(0.09, 0.13)
    bowl = p.moved(y=FLOOR + low).rolling()
    upper = p.moved(y=FLOOR + low + apart).rolling()
    body = torch.minimum(cylinder(bowl, low, thick), cylinder(upper, high, thick))
    start = FLOOR + low + apart
    rod = p.moved(y=(start + top) / 2, z=thick)
    neck = box(rod, (slim, (top - start) / 2, 0.045), rounded=0.02)
    plate = box(p.moved(y=top + 0.1, z=thick), (head, 0.13, 0.04), rounded=0.02)
    return [body, neck, plate]


_FORMS: dict[str, tuple[Callable[[Point, Knobs], Parts], tuple[str, ...]]] = {
    "airplane": (_airplane, ("fuselage", "wings", "tail")),
    "bed": (_bed, ("mattress", "headboard", "legs")),
    "bottle": (_bottle, ("body", "neck", "cap")),
    "car": (_car, ("body", "cabin", "wheels")),
    "chair": (_chair, ("seat", "back", "legs", "arms")),
    "guitar": (_guitar, ("body", "neck", "head")),
    "jug": (_jug, ("body", "handle", "spout", "lid")),
    "lamp": (_lamp, ("base", "pole", "shade")),
    "mug": (_mug, ("body", "handle")),
    "shelf": (_shelf, ("sides", "boards", "back")),
    "sofa": (_sofa, ("seat", "back", "arms")),
    "table": (_table, ("top", "legs")),
}
CATEGORIES = tuple(_FORMS)
PART_NAMES = {category: names for category, (_, names) in _FORMS.items()}
MOST_PARTS = max(len(names) for names in PART_NAMES.values())


@dataclass(frozen=True)
class Solids:
    """A batch of solids; indexing with a number, slice, tensor or list gives another batch.

    Raises:
        TypeError, ValueError: a property has the wrong type, shape or range; the error names it.
    """

    category: Tensor  # (solids,) index into CATEGORIES
    knobs: Tensor  # (solids, KNOBS) the proportions, in 0 to 1

    def __post_init__(self) -> None:
        sizes = check_shape(self.knobs, f"solids {KNOBS}", name="knobs")
        check_shape(self.category, "solids", name="category")
        if len(self.category) != sizes["solids"] or self.category.is_floating_point():
            raise ValueError(
                f"category has shape {tuple(self.category.shape)}, dtype {self.category.dtype}; "
                f"it needs ({sizes['solids']},) whole numbers"
            )
        check_finite(self.knobs, name="knobs")
        if self.knobs.min() < 0 or self.knobs.max() > 1:
            raise ValueError("knobs must lie in 0 to 1: clamp them first")
        if self.category.min() < 0 or self.category.max() >= len(CATEGORIES):
            raise ValueError(f"category must lie in 0 to {len(CATEGORIES) - 1}")

    def __len__(self) -> int:
        return len(self.category)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> "Solids":
        index = [index] if isinstance(index, int) else index
        return Solids(*(getattr(self, field.name)[index] for field in fields(self)))

    @property
    def names(self) -> list[str]:
        """The category of each solid in words."""
        return [CATEGORIES[number] for number in self.category.tolist()]


def sample_solids(
    count: int,
    *,
    generator: torch.Generator,
    categories: Sequence[str] = CATEGORIES,
    low: float = 0.0,
    high: float = 1.0,
) -> Solids:
    """Return ``count`` solids, their categories alike often, their knobs uniform in low to high.

    Proportions that training never sees are drawn with another range, such as 0.8 to 1.

    Raises:
        ValueError: ``count`` is no whole number of 1 or more, a category is not one of CATEGORIES,
            or not 0 ≤ low ≤ high ≤ 1.
    """
    count = check_whole(count, name="count")
    if unknown := [name for name in categories if name not in CATEGORIES] or not categories:
        raise ValueError(f"categories has {unknown}, they must be among {', '.join(CATEGORIES)}")
    if not 0 <= low <= high <= 1:
        raise ValueError(f"low is {low}, high {high}: they must be 0 ≤ low ≤ high ≤ 1")
    device = generator.device
    among = torch.tensor([CATEGORIES.index(name) for name in categories], device=device)
    order = torch.randperm(count, generator=generator, device=device)
    knobs = torch.rand(count, KNOBS, generator=generator, device=device)
    return Solids(among[order % len(among)], low + (high - low) * knobs)


def part_distances(solids: Solids, points: Tensor) -> Tensor:
    """Return the signed distance of each point to each part of its solid.

    Args:
        points: (solids, points, 3), each solid's own.

    Returns:
        (solids, points, MOST_PARTS), in the order of PART_NAMES; FAR where there is no such part.
    """
    sizes = check_shape(points, "solids points 3", name="points")
    if sizes["solids"] != len(solids):
        raise ValueError(f"points are of {sizes['solids']} solids, there are {len(solids)}")
    result = points.new_full((*points.shape[:2], MOST_PARTS), FAR)
    for number in solids.category.unique().tolist():
        rows = (solids.category == number).nonzero()[:, 0]
        knobs = Knobs(solids.knobs[rows].to(points))
        parts = _FORMS[CATEGORIES[number]][0](Point(*points[rows].unbind(-1)), knobs)
        for part, values in enumerate(parts):
            result[rows, :, part] = values
    return result


def distance(solids: Solids, points: Tensor) -> Tensor:
    """Return the signed distance (solids, points) of points (solids, points, 3) to their solid."""
    return part_distances(solids, points).amin(dim=-1)


def part_labels(solids: Solids, points: Tensor) -> Tensor:
    """Return the nearest part (solids, points), an index into PART_NAMES, of each point."""
    return part_distances(solids, points).argmin(dim=-1)


def normals(solids: Solids, points: Tensor) -> Tensor:
    """Return the unit direction (solids, points, 3) in which the distance grows fastest.

    Four differences over the corners of a tetrahedron, STEP long, stand for the gradient.
    """
    corners = points.new_tensor([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])
    around = points[:, :, None] + STEP * corners  # (solids, points, 4, 3)
    values = distance(solids, around.flatten(1, 2)).unflatten(1, (-1, 4))
    return torch.nn.functional.normalize(values @ corners, dim=-1)
