"""Rooms: solids that stand on a floor between four walls, as labelled points.

A room is measured in metres: x to the right, y up from the floor at 0, z towards the viewer, the
middle of the floor at the origin. Furniture keeps the proportions of ``solids``, at its own SIZE,
turned by any angle. See ``solid_samples`` for points on single solids.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.shapes import check_whole
from mmlib.world.solid_samples import surface_points
from mmlib.world.solids import CATEGORIES, FLOOR, Solids, sample_solids

SIZE = {"bed": 1.0, "chair": 0.5, "lamp": 0.8, "shelf": 1.0, "sofa": 0.9, "table": 0.75}
CLASSES = ("floor", "wall", *SIZE)
HEIGHT = 2.4  # of the walls, metres
SHORTEST, LONGEST = 1.9, 2.6  # half of a wall's length, metres
TRIES = 40  # positions tried for each object; the one that leaves most room is kept
SHARE = 0.6  # of the points lie on objects


class Rooms(NamedTuple):
    """Points in rooms, in random order, and what stands there."""

    points: Tensor  # (rooms, points, 3) metres
    normals: Tensor  # (rooms, points, 3) unit length, into the room
    labels: Tensor  # (rooms, points) index into CLASSES
    slots: Tensor  # (rooms, points) which object, -1 for floor and walls
    solids: Solids  # (rooms · objects), room after room
    position: Tensor  # (rooms, objects, 3) of the solid's origin
    heading: Tensor  # (rooms, objects) turn to the left as seen from above, radians
    half: Tensor  # (rooms, 2) half of the room's width and depth


def make_rooms(
    count: int,
    *,
    generator: torch.Generator,
    points: int = 1024,
    objects: int = 5,
    low: float = 0.0,
    high: float = 1.0,
) -> Rooms:
    """Return ``count`` rooms, each with ``objects`` pieces of furniture.

    Every object has the same number of points, together SHARE of all; floor and walls share the
    rest by area. An object is placed so that it stays between the walls, and away from the others
    as far as TRIES random positions allow.

    Args:
        points: of a room; at least two for each object.
        low, high: range of the proportions, as in ``sample_solids``.

    Raises:
        ValueError: a number is out of range.
    """
    count, objects = check_whole(count, name="count"), check_whole(objects, name="objects")
    points = check_whole(points, name="points", least=2 * objects)
    each = int(SHARE * points / objects)
    solids = sample_solids(
        count * objects, generator=generator, categories=tuple(SIZE), low=low, high=high
    )
    clouds = surface_points(solids, each, generator=generator)
    size = torch.tensor([SIZE[name] for name in solids.names])[:, None, None]
    heading = 2 * torch.pi * torch.rand(count, objects, generator=generator)
    local = _turned(clouds.points * size, heading.flatten())  # (rooms · objects, each, 3)
    half = SHORTEST + (LONGEST - SHORTEST) * torch.rand(count, 2, generator=generator)
    reach = local[..., [0, 2]].abs().amax(dim=1).unflatten(0, (count, objects))
    at = _positions(reach, half, generator)  # (rooms, objects, 2)
    up = -FLOOR * size.view(count, objects)
    position = torch.stack([at[..., 0], up, at[..., 1]], dim=-1)
    on_objects = local.unflatten(0, (count, objects)) + position[:, :, None]
    turned = _turned(clouds.normals, heading.flatten()).unflatten(0, (count, objects))
    shell, inwards, is_wall = _shell(half, points - objects * each, generator)
    kinds = [CLASSES.index(CATEGORIES[number]) for number in solids.category.tolist()]
    labels = torch.tensor(kinds).view(count, objects, 1).expand(-1, -1, each)
    slots = torch.arange(objects).view(1, -1, 1).expand(count, -1, each)
    order = torch.rand(count, points, generator=generator).argsort(dim=1)
    rows = order[..., None].expand(-1, -1, 3)
    return Rooms(
        torch.cat([on_objects.flatten(1, 2), shell], dim=1).gather(1, rows),
        torch.cat([turned.flatten(1, 2), inwards], dim=1).gather(1, rows),
        torch.cat([labels.flatten(1), is_wall.long()], dim=1).gather(1, order),
        torch.cat([slots.flatten(1), torch.full_like(is_wall, -1, dtype=torch.long)], dim=1).gather(
            1, order
        ),
        solids,
        position,
        heading,
        half,
    )


def _turned(vectors: Tensor, angle: Tensor) -> Tensor:
    """Return vectors (items, points, 3) turned to the left about the vertical by angle (items,)."""
    x, y, z = vectors.unbind(-1)
    cosine, sine = angle.cos()[:, None], angle.sin()[:, None]
    return torch.stack([cosine * x + sine * z, y, cosine * z - sine * x], dim=-1)


def _positions(reach: Tensor, half: Tensor, generator: torch.Generator) -> Tensor:
    """Return x and z (rooms, objects, 2) of objects that reach so far along x and z."""
    rooms, objects = reach.shape[:2]
    free = (half[:, None] - reach).clamp(min=0)
    tries = 2 * torch.rand(rooms, objects, TRIES, 2, generator=generator) - 1
    tries = tries * free[:, :, None]  # (rooms, objects, TRIES, 2)
    placed = tries[:, :, 0].clone()
    for i in range(1, objects):
        gap = (tries[:, i, :, None] - placed[:, None, :i]).abs()  # (rooms, TRIES, i, 2)
        gap = (gap - reach[:, None, i : i + 1] - reach[:, None, :i]).amax(dim=-1)  # of the boxes
        best = gap.amin(dim=-1).argmax(dim=-1)  # (rooms,)
        placed[:, i] = tries[torch.arange(rooms), i, best]
    return placed


def _shell(half: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return points on floor and walls, their normals, and whether they are on a wall."""
    wide, deep = half[:, :1], half[:, 1:]
    areas = torch.cat([4 * wide * deep, *[2 * HEIGHT * deep] * 2, *[2 * HEIGHT * wide] * 2], dim=1)
    face = torch.multinomial(areas, count, replacement=True, generator=generator)
    random = torch.rand(len(half), count, 3, generator=generator)
    x, z = wide * (2 * random[..., 0] - 1), deep * (2 * random[..., 1] - 1)
    y = torch.where(face == 0, 0.0, HEIGHT * random[..., 2])
    x = torch.where(face == 1, -wide, torch.where(face == 2, wide, x))
    z = torch.where(face == 3, -deep, torch.where(face == 4, deep, z))
    inwards = half.new_tensor([[0, 1, 0], [1, 0, 0], [-1, 0, 0], [0, 0, 1], [0, 0, -1]])
    return torch.stack([x, y, z], dim=-1), inwards[face], face > 0
