"""What a camera behind the windscreen sees of a street: by day, by night, in fog.

The vehicle's frame is that of ``world.streets``: x ahead, y to the left, z up, in metres. It takes
the world's place in ``world.cameras``: R and t carry it into the camera's frame, x to the right, y
down, z forward. Lines painted on the road exist only in the picture's colours.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmlib.shapes import check_finite, check_shape, check_whole
from mmlib.world.cameras import Cameras
from mmlib.world.streets import (
    EMPTY,
    GROUND,
    LANE_WIDTH,
    NOTHING,
    Hits,
    Streets,
    cast,
    scan,
    to_road,
    turn,
)

LIGHTS = ("day", "night", "fog")
_NEAREST = 0.7  # metres by which a box is taken for larger when rays are sorted by direction
_SUN = (-0.45, 0.55, 0.7)  # towards the sun
_PAINTS = (  # of cars, then of clothes
    (0.75, 0.12, 0.10), (0.12, 0.22, 0.60), (0.85, 0.85, 0.82), (0.10, 0.10, 0.12),
    (0.55, 0.57, 0.60), (0.10, 0.35, 0.20), (0.85, 0.60, 0.10), (0.45, 0.15, 0.45),
)  # fmt: skip
_CLUTTER = ((0.62, 0.42, 0.34), (0.20, 0.38, 0.14), (0.45, 0.45, 0.47), (0.20, 0.30, 0.26))
_ASPHALT, _PAVEMENT, _LINE = (0.30, 0.30, 0.32), (0.52, 0.50, 0.47), (0.92, 0.92, 0.88)
_ROAD = (-4.1, 7.6)  # from its right to its left kerb, in metres left of our lane's middle


class StreetView(NamedTuple):
    """A picture, and what the program that drew it knows."""

    pictures: Tensor  # (streets, 3, height, width) in 0 to 1
    depth: Tensor  # (streets, height, width) along the optical axis, in metres; infinite: the sky
    index: Tensor  # (streets, height, width) what is seen, as in streets.Hits


def front_camera(
    *, height: int = 32, width: int = 96, field_of_view: float = 90.0, pitch: float = 7.0
) -> Cameras:
    """Return one camera that looks ahead, half a metre before the lidar and 1.5 m above the road.

    Args:
        height, width: of the picture in pixels.
        field_of_view: the angle that the picture's width takes in, in degrees.
        pitch: by how many degrees it looks down.

    Raises:
        ValueError: a size is no whole number of 1 or more, or the angle is not in 1 to 170.
    """
    height, width = check_whole(height, name="height"), check_whole(width, name="width")
    if not 1 <= field_of_view <= 170:
        raise ValueError(f"field_of_view is {field_of_view}, it must be 1 to 170 degrees")
    focal = width / 2 / math.tan(math.radians(field_of_view) / 2)
    intrinsics = torch.tensor(
        [[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]]
    )
    down, level = math.sin(math.radians(pitch)), math.cos(math.radians(pitch))
    rotation = torch.tensor([[0.0, -1.0, 0.0], [-down, 0.0, -level], [level, 0.0, -down]])
    translation = -rotation @ torch.tensor([0.5, 0.0, 1.5])
    return Cameras(intrinsics[None], rotation[None], translation[None], height, width)


def yawed(cameras: Cameras, degrees: float) -> Cameras:
    """Return the cameras turned to the left about the vertical through each one's centre."""
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = cameras.rotation.new_tensor([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    rotation = cameras.rotation @ turn.T
    translation = -(rotation @ cameras.centre[..., None])[..., 0]
    return replace(cameras, rotation=rotation, translation=translation)


def ahead(streets: Streets, *, low: float = -60.0, high: float = 60.0) -> tuple[Streets, Tensor]:
    """Return the streets without what lies outside a sector: rays into the sector meet the same.

    Args:
        low, high: the sector, in degrees to the left of straight ahead, seen from the origin.

    Returns:
        streets with as few slots and pieces as possible; for each of these (streets, slots +
        pieces) its number in the streets given.
    """
    middle, half = math.radians(low + high) / 2, math.radians(high - low) / 2
    groups, order = [], []
    for boxes, category in (
        (streets.boxes, streets.category),
        (streets.clutter, streets.clutter_category),
    ):
        away = boxes[..., :2].norm(dim=-1)
        radius = boxes[..., 3:5].norm(dim=-1) / 2 + _NEAREST
        spread = torch.asin((radius / away.clamp(min=1e-6)).clamp(max=1))
        angle = torch.atan2(boxes[..., 1], boxes[..., 0]) - middle
        angle = torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
        inside = (category != EMPTY) & ((angle.abs() <= half + spread) | (away <= radius))
        first = inside.int().argsort(dim=1, descending=True, stable=True)
        first = first[:, : max(1, int(inside.sum(dim=1).max()))]
        groups += [
            boxes.gather(1, first[..., None].expand(-1, -1, 7)),
            category.where(inside, EMPTY).gather(1, first),
        ]
        order.append(first)
    number = torch.cat([order[0], order[1] + streets.boxes.shape[1]], dim=1)
    shine = streets.reflectivity.gather(1, number)
    road = (streets.curvature, streets.lane_offset, streets.lane_heading)
    return Streets(*groups, shine, *road), number


def view(
    streets: Streets,
    cameras: Cameras,
    *,
    generator: torch.Generator,
    light: Tensor | None = None,
    noise: float = 0.02,
) -> StreetView:
    """Return what a camera sees of each street.

    Cars and clothes get a colour from ``generator``, matt surfaces are lit by the sun, painted
    lines cover the share of a pixel that their width is of it. At night only headlights shine,
    which reach some 10 m; fog turns everything grey with distance.

    Args:
        cameras: one for all, within half a metre of the origin seen from above and level with
            the horizon, or nearly so.
        light: (streets,) index into LIGHTS; ``None``: day.
        noise: standard deviation of the pixels' noise.

    Raises:
        ValueError: there is more than one camera, ``light`` has another shape or an unknown
            number, or ``noise`` is negative.
    """
    if len(cameras) != 1:
        raise ValueError(f"there are {len(cameras)} cameras: give one that all streets share")
    if not noise >= 0:
        raise ValueError(f"noise is {noise}, it must be 0 or more")
    light = torch.zeros(len(streets), dtype=torch.long) if light is None else light
    check_shape(light, f"{len(streets)}", name="light")
    if light.is_floating_point() or light.min() < 0 or light.max() >= len(LIGHTS):
        raise ValueError(f"light must hold whole numbers from 0 to {len(LIGHTS) - 1}")
    rays = cameras.rays()[0].flatten(0, 1).to(streets.boxes)  # (pixels, 3)
    origin = cameras.centre.to(streets.boxes)
    hits = cast_by_columns(streets, cameras, rays, origin)
    forward = (rays @ cameras.rotation[0, 2].to(rays))[None]
    depth = hits.distance * forward
    slots = streets.boxes.shape[1]
    choice = torch.randint(len(_PAINTS), (len(streets), slots), generator=generator)
    paint = torch.tensor(_PAINTS)[choice]
    paint = torch.cat([paint, torch.tensor(_CLUTTER)[streets.clutter_category.clamp(min=0)]], dim=1)
    paint = paint.to(rays) * (0.8 + 0.4 * streets.reflectivity[..., None])
    seen = hits.index.clamp(min=0)[..., None].expand(-1, -1, 3)
    colours = paint.gather(1, seen)
    where = (origin + hits.distance.nan_to_num(posinf=0.0)[..., None] * rays).contiguous()
    phase = 6 * torch.rand(len(streets), 1, generator=generator).to(rays)
    ground = _ground(streets, where, depth / cameras.intrinsics[0, 0, 0], phase)
    colours = torch.where((hits.index == GROUND)[..., None], ground, colours)
    pictures = _lit(colours, hits, rays, light.to(rays.device))
    grain = noise * torch.randn(pictures.shape, generator=generator).to(pictures)
    size = (cameras.height, cameras.width)
    pictures = (pictures + grain).clamp(0, 1).unflatten(1, size).movedim(-1, 1).contiguous()
    return StreetView(pictures, depth.unflatten(1, size), hits.index.unflatten(1, size))


def scan_ahead(
    streets: Streets, *, sector: float = 100.0, strips: int = 5, azimuths: int = 100, **options
) -> Tensor:
    """Return the points (streets, rays, 4) of ``streets.scan`` in a sector ahead, sooner.

    Each of the strips of the sector meets its own boxes only.

    Args:
        sector: its angle in degrees; azimuths: rays beside each other in it, a multiple of strips.
        options: as for ``streets.scan``.

    Raises:
        ValueError: ``azimuths`` is no multiple of ``strips``.
    """
    if azimuths % strips:
        raise ValueError(f"azimuths is {azimuths}, it must be a multiple of {strips} strips")
    width, found = sector / strips, []
    for number in range(strips):
        middle = (number + 0.5) * width - sector / 2
        near, _ = ahead(streets, low=middle - width / 2, high=middle + width / 2)
        angle = torch.full((len(streets),), math.radians(middle)).to(streets.boxes)
        points = scan(
            turn(near, -angle), sector=width, azimuths=azimuths // strips, **options
        ).points
        cosine, sine = math.cos(math.radians(middle)), math.sin(math.radians(middle))
        x, y, *rest = points.unbind(dim=-1)
        found.append(torch.stack([x * cosine - y * sine, x * sine + y * cosine, *rest], dim=-1))
    return torch.cat(found, dim=1)


def cast_by_columns(
    streets: Streets, cameras: Cameras, rays: Tensor, origin: Tensor, *, strips: int = 8
) -> Hits:
    """Return ``streets.cast`` of all pixels, sooner: each strip of columns meets its own boxes."""
    check_finite(rays, name="rays")
    grid = rays.unflatten(0, (cameras.height, cameras.width))
    parts = []
    for columns in grid.tensor_split(min(strips, cameras.width), dim=1):
        angle = torch.rad2deg(torch.atan2(columns[..., 1], columns[..., 0]))
        near, number = ahead(streets, low=float(angle.min()), high=float(angle.max()))
        hits = cast(near, origin[None], columns.flatten(0, 1)[None])
        back = number.gather(1, hits.index.clamp(min=0))
        hits = hits._replace(index=torch.where(hits.index >= 0, back, hits.index))
        parts.append([part.unflatten(1, columns.shape[:2]) for part in hits])
    return Hits(*(torch.cat(part, dim=2).flatten(1, 2) for part in zip(*parts, strict=True)))


def _ground(streets: Streets, where: Tensor, footprint: Tensor, phase: Tensor) -> Tensor:
    """Return the ground's colour (streets, rays, 3) at points.

    Args:
        footprint: (streets, rays) a pixel's width there in metres.
        phase: (streets, 1) where a dash begins, in metres.
    """
    along, across = to_road(streets, where)
    covered = torch.zeros_like(along)
    footprint = footprint.clamp(1e-3, 1e3)
    for line, dashed in ((-0.5, False), (0.5, True), (1.5, False)):
        aside = (across - line * LANE_WIDTH).abs()
        share = ((0.1 + footprint / 2 - aside) / footprint).clamp(min=0)
        share = share.minimum((0.2 / footprint).clamp(max=1))
        if dashed:
            share = share * (torch.remainder(along + phase, 6.0) < 3.0)
        covered = covered.maximum(share)
    road = (across > _ROAD[0]) & (across < _ROAD[1])
    plain = torch.where(road[..., None], where.new_tensor(_ASPHALT), where.new_tensor(_PAVEMENT))
    return plain + covered[..., None] * (where.new_tensor(_LINE) - plain)


def _lit(colours: Tensor, hits: Hits, rays: Tensor, light: Tensor) -> Tensor:
    """Return the colours (streets, rays, 3) under each street's light."""
    sun = normalize(rays.new_tensor(_SUN), dim=0)
    shade = 0.55 + 0.45 * (hits.normal @ sun).clamp(min=0)
    up = rays[None, :, 2:].clamp(0, 1)
    sky = torch.cat([0.75 - 0.5 * up, 0.84 - 0.3 * up, 0.95 - 0.05 * up], dim=-1)
    nothing = (hits.index == NOTHING)[..., None]
    day = torch.where(nothing, sky, colours * shade[..., None])
    beam = 0.06 + 0.9 / (1 + (hits.distance / 7).square())
    night = torch.where(nothing, sky * 0.04, colours * beam[..., None])
    clear = torch.exp(-hits.distance / 7)[..., None]
    fog = clear * day.where(~nothing, 0.0) + (1 - clear) * 0.72
    which = light[:, None, None]
    return torch.where(which == 0, day, torch.where(which == 1, night, fog))
