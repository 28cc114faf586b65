"""Solids as a camera sees them, by sphere tracing: depth, normals, parts, pictures, stereo pairs.

A ray goes on by the distance to the nearest surface until it is there: it can never pass one
(Hart, 1996). Only rays still under way are computed. Textures are value noise in space, so that
two cameras see the same spot in the same paint.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.shapes import check_shape, check_whole
from mmlib.world.cameras import Cameras, aim_cameras
from mmlib.world.solids import CATEGORIES, FLOOR, Solids, part_distances, sample_solids

HIT = 3e-4  # so near to a surface a ray has arrived
REACH = 20.0  # and so far from the camera it has missed
STEPS = 128
CLOSE = 0.01  # a ray that is still under way after STEPS has arrived if so near, else it has missed
BALL = 1.5  # every solid lies within so much of the origin
WALL = -3.2  # z of the wall behind a scene
GROUND_SLOT, WALL_SLOT, NOTHING = -1, -2, -3  # in View.slot
LIGHT = (0.45, 0.75, 0.5)  # where the light comes from
PART_SHADES = (1.0, 0.72, 0.5, 0.86)  # of a solid's paint, so that its parts can be told apart


@dataclass(frozen=True)
class SolidScenes:
    """A batch of scenes of solids, all with the same number of slots."""

    solids: Solids  # (scenes · slots), scene after scene
    position: Tensor  # (scenes, slots, 3) of the solid's origin
    heading: Tensor  # (scenes, slots) turn to the left as seen from above, radians
    size: Tensor  # (scenes, slots) how much larger than the cube from -1 to 1
    paint: Tensor  # (scenes, slots, 3) red, green, blue in 0 to 1
    texture: Tensor  # (scenes,) a whole number that picks the noise
    ground: bool  # whether there is a ground, y = 0, and a wall, z = WALL

    def __post_init__(self) -> None:
        sizes = check_shape(self.position, "scenes slots 3", name="position")
        if len(self.solids) != sizes["scenes"] * sizes["slots"]:
            raise ValueError(
                f"{len(self.solids)} solids in {sizes['scenes']} scenes of {sizes['slots']} slots"
            )

    def __len__(self) -> int:
        return len(self.position)


class View(NamedTuple):
    """What cameras see, one a scene; (scenes, height, width) each, vectors with a last axis."""

    depth: Tensor  # along the optical axis; infinite where there is nothing
    normals: Tensor  # unit length, in the world; zero where there is nothing
    slot: Tensor  # which solid, or GROUND_SLOT, WALL_SLOT, NOTHING
    parts: Tensor  # index into PART_NAMES, -1 where there is no solid
    pictures: Tensor  # (scenes, 3, height, width) in 0 to 1


class StereoPairs(NamedTuple):
    """Rectified pairs: a point of the left picture lies ``disparity`` pixels further left."""

    left: Tensor  # (scenes, 3, height, width)
    right: Tensor  # (scenes, 3, height, width)
    disparity: Tensor  # (scenes, height, width) of the left picture, in pixels
    visible: Tensor  # (scenes, height, width) whether the right camera sees the point, too
    depth: Tensor  # (scenes, height, width)


def single(solids: Solids, *, paint: tuple[float, float, float] = (0.85, 0.6, 0.35)) -> SolidScenes:
    """Return scenes of one solid each, as it is, with nothing around it."""
    knobs, count = solids.knobs, len(solids)
    return SolidScenes(
        solids,
        position=knobs.new_zeros(count, 1, 3),
        heading=knobs.new_zeros(count, 1),
        size=knobs.new_ones(count, 1),
        paint=knobs.new_tensor(paint).expand(count, 1, 3),
        texture=torch.zeros(count, dtype=torch.long, device=knobs.device),
        ground=False,
    )


def sample_solid_scenes(
    count: int,
    *,
    generator: torch.Generator,
    slots: int = 4,
    categories: tuple[str, ...] = CATEGORIES,
) -> SolidScenes:
    """Return scenes of ``slots`` solids (1 to 9) that stand on the ground and do not touch."""
    count, slots = check_whole(count, name="count"), check_whole(slots, name="slots")
    if slots > 9:
        raise ValueError(f"slots is {slots}, a scene has room for 9")
    device = generator.device
    solids = sample_solids(count * slots, generator=generator, categories=categories)
    draw = torch.rand(count, slots, 7, generator=generator, device=device)
    cell = torch.rand(count, 9, generator=generator, device=device).argsort(dim=1)[:, :slots]
    size = 0.32 + 0.14 * draw[..., 0]
    x = (cell % 3 - 1) * 1.3 + 0.2 * (draw[..., 1] - 0.5)
    z = (cell // 3 - 2) * 1.15 + 0.8 + 0.2 * (draw[..., 2] - 0.5)
    return SolidScenes(
        solids,
        position=torch.stack([x, -FLOOR * size, z], dim=-1),
        heading=2 * math.pi * draw[..., 3],
        size=size,
        paint=0.25 + 0.7 * draw[..., 4:],
        texture=torch.randint(2**31, (count,), generator=generator, device=device),
        ground=True,
    )


def scene_cameras(count: int, *, height: int = 96, width: int = 128) -> Cameras:
    """Return ``count`` like cameras that see a whole scene of ``sample_solid_scenes``."""
    eye = torch.tensor([[0.0, 1.7, 4.6]]).expand(count, 3)
    target = torch.tensor([[0.0, 0.3, -0.6]]).expand(count, 3)
    return aim_cameras(eye, target, height=height, width=width, field_of_view=45)


def view_solids(solids: Solids, cameras: Cameras) -> View:
    """Return what each of the cameras, one a solid, sees of its solid alone."""
    return view_scenes(single(solids), cameras)


def view_scenes(scenes: SolidScenes, cameras: Cameras) -> View:
    """Return what each of the cameras, one a scene, sees.

    A batch shares torch's overhead: some hundred thousand rays at a time are a good measure.

    Raises:
        ValueError: there are not as many cameras as scenes.
    """
    if len(scenes) != len(cameras):
        raise ValueError(f"{len(scenes)} scenes and {len(cameras)} cameras: give each its own")
    shape = (len(cameras), cameras.height, cameras.width)
    scene = torch.arange(len(cameras), device=cameras.centre.device)
    scene = scene.repeat_interleave(cameras.height * cameras.width)
    rays, origins = cameras.rays().reshape(-1, 3), cameras.centre[scene]
    travelled = _trace(scenes, scene, origins, rays)
    hit = travelled < REACH
    points, which = origins[hit] + travelled[hit, None] * rays[hit], scene[hit]
    forward = cameras.rotation[which, 2]
    slot, part = _what(scenes, which, points)
    normal = _normals(scenes, which, points)

    def spread(values: Tensor, nothing: float) -> Tensor:
        full = values.new_full((len(rays), *values.shape[1:]), nothing)
        full[hit] = values
        return full.unflatten(0, shape)

    colours = spread(_colours(scenes, which, points, normal, slot, part), 1.0)
    return View(
        spread(travelled[hit] * (rays[hit] * forward).sum(-1), math.inf),
        spread(normal, 0.0),
        spread(slot, NOTHING),
        spread(part, -1),
        colours.movedim(-1, 1),
    )


def view_stereo(
    scenes: SolidScenes,
    cameras: Cameras,
    baseline: float,
    *,
    noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> StereoPairs:
    """Return rectified stereo pairs: the given cameras are the left ones.

    Args:
        baseline: how far to the right the right camera stands, in the world's unit, above 0.
        noise: standard deviation of the cameras' grain; it needs a generator.

    Raises:
        ValueError: ``baseline`` is not above 0, or there is noise and no generator.
    """
    if not baseline > 0:
        raise ValueError(f"baseline is {baseline}: without one above 0 there is no disparity")
    if noise and generator is None:
        raise ValueError(f"noise is {noise} and there is no generator: give one, or no noise")
    others = cameras.moved(baseline)
    left, right = view_scenes(scenes, cameras), view_scenes(scenes, others)
    disparity = cameras.intrinsics[:, 0, 0, None, None] * baseline / left.depth
    points = cameras.unproject(left.depth.nan_to_num(posinf=REACH)).flatten(1, 2)  # (s, hw, 3)
    scene = torch.arange(len(scenes), device=points.device).repeat_interleave(points.shape[1])
    origins = others.centre[scene]
    path = points.reshape(-1, 3) - origins
    length = path.norm(dim=-1)
    travelled = _trace(scenes, scene, origins, path / length[:, None])
    unhidden = (travelled > length - 0.01).reshape_as(disparity)
    inside = torch.arange(cameras.width, device=points.device) - disparity >= 0
    pictures = [left.pictures, right.pictures]
    if noise:
        pictures = [
            (p + noise * torch.randn(p.shape, generator=generator, device=p.device)).clamp(0, 1)
            for p in pictures
        ]
    return StereoPairs(*pictures, disparity, unhidden & inside & left.depth.isfinite(), left.depth)


def _trace(scenes: SolidScenes, scene: Tensor, origins: Tensor, rays: Tensor) -> Tensor:
    """Return how far each ray travels until it hits something, REACH if nothing."""
    end = _planes(scenes, origins, rays)
    travelled = torch.zeros_like(end)
    active = torch.arange(len(rays), device=rays.device)
    for _ in range(STEPS):
        points = origins[active] + travelled[active, None] * rays[active]
        step = _solid_distances(scenes, scene[active], points).amin(dim=-1)
        travelled[active] += step
        active = active[(step > HIT) & (travelled[active] < end[active])]
        if not len(active):
            return torch.minimum(travelled, end)
    points = origins[active] + travelled[active, None] * rays[active]
    passed = _solid_distances(scenes, scene[active], points).amin(dim=-1) > CLOSE
    travelled[active[passed]] = REACH
    return torch.minimum(travelled, end)


def _planes(scenes: SolidScenes, origins: Tensor, rays: Tensor) -> Tensor:
    """Return how far each ray goes until the ground or the wall, at most REACH."""
    end = torch.full_like(rays[:, 0], REACH)
    if scenes.ground:
        for height, fall in ((origins[:, 1], -rays[:, 1]), (origins[:, 2] - WALL, -rays[:, 2])):
            end = torch.where(fall > 0, torch.minimum(end, height / fall.clamp(min=1e-9)), end)
    return end


def _distances(scenes: SolidScenes, scene: Tensor, points: Tensor) -> Tensor:
    """Return the distance of points (points, 3) to each slot, to the ground and to the wall."""
    columns = _solid_distances(scenes, scene, points)
    if not scenes.ground:
        return columns
    planes = torch.stack([points[:, 1], points[:, 2] - WALL], dim=-1)
    return torch.cat([columns, planes], dim=-1)


def _solid_distances(scenes: SolidScenes, scene: Tensor, points: Tensor) -> Tensor:
    """Return the distance of points (points, 3) to each slot, (points, slots).

    Far from a solid the distance to a ball around it stands for it: a lower bound, soon computed.
    """
    columns = []
    slots = scenes.position.shape[1]
    for slot in range(slots):
        local, size = _local(scenes, scene, slot, points)
        value = local.norm(dim=-1) - BALL
        near = (value < 0.1).nonzero()[:, 0]
        if len(near):
            parts = part_distances(scenes.solids[scene[near] * slots + slot], local[near, None])
            value = value.index_copy(0, near, parts[:, 0].amin(dim=-1))
        columns.append(value * size)
    return torch.stack(columns, dim=-1)


def _local(scenes: SolidScenes, scene: Tensor, slot: int, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return points in the own coordinates of a slot's solid, and its size."""
    x, y, z = (points - scenes.position[scene, slot]).unbind(-1)
    cosine, sine = scenes.heading[scene, slot].cos(), scenes.heading[scene, slot].sin()
    size = scenes.size[scene, slot]
    turned = torch.stack([cosine * x - sine * z, y, sine * x + cosine * z], dim=-1)
    return turned / size[:, None], size


def _what(scenes: SolidScenes, scene: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slot and the part that each point lies on."""
    slots = scenes.position.shape[1]
    slot = _distances(scenes, scene, points).argmin(dim=-1)
    part = torch.full_like(slot, -1)
    for number in range(slots):
        rows = (slot == number).nonzero()[:, 0]
        if len(rows):
            local, _ = _local(scenes, scene[rows], number, points[rows])
            solids = scenes.solids[scene[rows] * slots + number]
            part[rows] = part_distances(solids, local[:, None])[:, 0].argmin(dim=-1)
    slot[slot == slots] = GROUND_SLOT
    slot[slot == slots + 1] = WALL_SLOT
    return slot, part


def _normals(scenes: SolidScenes, scene: Tensor, points: Tensor) -> Tensor:
    """Return the unit normals (points, 3), as ``solids.normals`` does."""
    corners = points.new_tensor([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])
    around = (points[:, None] + 1e-3 * corners).flatten(0, 1)
    values = _distances(scenes, scene.repeat_interleave(4), around).amin(dim=-1)
    return torch.nn.functional.normalize(values.unflatten(0, (-1, 4)) @ corners, dim=-1)


def _colours(
    scenes: SolidScenes, scene: Tensor, points: Tensor, normal: Tensor, slot: Tensor, part: Tensor
) -> Tensor:
    """Return paint · texture · light of points, (points, 3): Lambert's law and some ambience."""
    on_solid = slot >= 0
    paint = scenes.paint[scene, slot.clamp(min=0)]
    paint = paint * paint.new_tensor(PART_SHADES)[part.clamp(min=0), None]
    ground, wall = paint.new_tensor([0.72, 0.66, 0.55]), paint.new_tensor([0.6, 0.68, 0.78])
    around = torch.where(slot[:, None] == GROUND_SLOT, ground, wall)
    paint = torch.where(on_solid[:, None], paint, around)
    light = torch.nn.functional.normalize(points.new_tensor(LIGHT), dim=0)
    shade = 0.4 + 0.6 * (normal @ light).clamp(min=0)
    if scenes.ground:
        shade = shade * (0.45 + 0.75 * _texture(points, scenes.texture[scene] + 7 * slot))
    return (paint * shade[:, None]).clamp(0, 1)


def _texture(points: Tensor, seed: Tensor) -> Tensor:
    """Return value noise (points,) in 0 to 1: three octaves, each finer and fainter."""
    value, sum_of_weights = torch.zeros_like(points[:, 0]), 0.0
    for octave, (frequency, weight) in enumerate(((4.0, 1.0), (9.3, 0.8), (21.7, 0.6))):
        value = value + weight * _noise(points * frequency, seed + 1013 * octave)
        sum_of_weights += weight
    return ((value / sum_of_weights - 0.5) * 1.6 + 0.5).clamp(0, 1)


def _noise(points: Tensor, seed: Tensor) -> Tensor:
    """Return the values of hashed lattice corners, blended smoothly, (points,) in 0 to 1."""
    corner = points.floor()
    share = points - corner
    share = share * share * (3 - 2 * share)
    corner, value = corner.long(), torch.zeros_like(points[:, 0])
    for number in range(8):
        step = torch.tensor([number & 1, number >> 1 & 1, number >> 2], device=points.device)
        weight = torch.where(step.bool(), share, 1 - share).prod(dim=-1)
        value = value + weight * _hashed(corner + step, seed)
    return value


def _hashed(corner: Tensor, seed: Tensor) -> Tensor:
    """Scramble whole coordinates (points, 3) into 0 to 1, the same on every machine."""
    primes = torch.tensor([73856093, 19349663, 83492791], device=corner.device)
    number = ((corner * primes).sum(dim=-1) + seed * 2654435) & 0xFFFFFFFF
    for _ in range(2):
        number = ((number ^ (number >> 15)) * 1274126177) & 0xFFFFFFFF
    return ((number ^ (number >> 16)) & 0xFFFF).float() / 65535
