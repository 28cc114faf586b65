"""The ground ahead of a vehicle as a map of cells, what stands on it, and the arc to steer.

The vehicle's frame is that of ``world.streets``: x ahead, y to the left, z up, in metres. A map is
(batch, ..., ROWS, COLUMNS): row 0 is the nearest to the vehicle, column 0 the farthest to the
right; a cell is one metre wide. The driver who gives the truth knows the lane (pure pursuit:
Coulter, "Implementation of the Pure Pursuit Path Tracking Algorithm", CMU 1992).
"""

import torch
from torch import Tensor

from mmlib.shapes import check_shape, check_whole
from mmlib.world.cameras import Cameras
from mmlib.world.street_views import scan_ahead, view
from mmlib.world.streets import EMPTY, Streets, draw, to_vehicle

ROWS, COLUMNS = 32, 24  # cells of one metre: 32 m ahead, 12 m to either side
AIM = 15.0  # metres along the lane to the point that the driver aims at

Samples = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


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


def samples(count: int, cameras: Cameras, *, generator: torch.Generator, **lidar) -> Samples:
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
