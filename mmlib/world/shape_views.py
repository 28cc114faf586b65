"""One picture of one solid each, and all that is true about it: for the shape behind a picture.

Coordinates: the *camera's frame* has the camera's axes, x to the right, y down, z forward, and its
origin at the world's, AWAY in front of the camera: p = R p_world. A point p is seen at the pixel

    u = f p_x / (p_z + AWAY) + c        v = f p_y / (p_z + AWAY) + c

Cells: the truncated pyramid that the picture sees between depths AWAY - DEEP and AWAY + DEEP is cut
into GRID³ cells, by equal steps of pixels to the right and down, and of depth. So a column of cells
lies behind one patch of the picture.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mmlib.shapes import check_shape, check_whole
from mmlib.world.cameras import Cameras, orbit_cameras
from mmlib.world.solid_samples import surface_points
from mmlib.world.solid_views import single, view_scenes
from mmlib.world.solids import Solids, distance, sample_solids

CATEGORIES = ("car", "chair", "mug")
SIZE = 32  # pixels a side
AWAY = 6.0  # from the camera to the middle of the solid
FIELD_OF_VIEW = 24.0  # degrees
FOCAL = SIZE / 2 / math.tan(math.radians(FIELD_OF_VIEW / 2))  # pixels
MIDDLE = (SIZE - 1) / 2  # pixels
GRID = 16  # cells a side
DEEP = 1.2  # the cells reach so far before and behind the middle
TOUCH = 0.03  # a cell is filled if its middle lies inside the solid or so near to it
GRAIN = 0.04  # standard deviation of the camera's noise
CHANNELS = {"picture": (0, 1, 2), "mask": (3,), "depth": (4,), "normals": (5, 6, 7)}


class ShapeViews(NamedTuple):
    """Pictures of solids and the truth behind them, in the camera's frame."""

    inputs: Tensor  # (views, 8, SIZE, SIZE): picture, mask, depth, normals, in order of CHANNELS
    occupancy: Tensor  # (views, GRID, GRID, GRID) bool; to the right, down, forward
    points: Tensor  # (views, points, 3) on the surface
    normals: Tensor  # (views, points, 3) there, outwards
    category: Tensor  # (views,) index into CATEGORIES
    rotation: Tensor  # (views, 3, 3) R, from the world's axes to the camera's
    solids: Solids


def make_shape_views(
    count: int, *, generator: torch.Generator, points: int = 1000, low: float = 0.0,
    high: float = 1.0,
) -> ShapeViews:  # fmt: skip
    """Return views of ``count`` solids of the three CATEGORIES.

    The cameras stand to the front right, 0° to 90° around and 15° to 35° up. Paint and background
    are drawn anew for every picture; mask, depth and normals are exact. Depth is given as
    (AWAY - depth) / DEEP, 0 where there is no solid.

    Args:
        points: of each surface.
        low, high: range of the proportions, as in ``sample_solids``.
    """
    count = check_whole(count, name="count")
    solids = sample_solids(count, generator=generator, categories=CATEGORIES, low=low, high=high)
    draw = torch.rand(count, 2, generator=generator)
    cameras = orbit_cameras(
        90 * draw[:, 0], elevation=15 + 20 * draw[:, 1], away=AWAY, height=SIZE, width=SIZE,
        field_of_view=FIELD_OF_VIEW,
    )  # fmt: skip
    paint = 0.25 + 0.7 * torch.rand(count, 1, 3, generator=generator)
    view = view_scenes(replace(single(solids), paint=paint), cameras)
    mask = view.depth.isfinite()[:, None]  # (views, 1, SIZE, SIZE)
    depth = torch.where(mask, (AWAY - view.depth[:, None]) / DEEP, 0.0)
    normals = _turned(view.normals.flatten(1, 2), cameras.rotation)
    normals = normals.unflatten(1, (SIZE, SIZE)).movedim(-1, 1)
    around = torch.rand(count, 3, 4, 4, generator=generator)
    around = interpolate(around, (SIZE, SIZE), mode="bilinear", align_corners=True)
    noise = GRAIN * torch.randn(view.pictures.shape, generator=generator)
    pictures = (torch.where(mask, view.pictures, around) + noise).clamp(0, 1)
    cloud = surface_points(solids, points, generator=generator)
    known = [CATEGORIES.index(name) for name in solids.names]
    return ShapeViews(
        torch.cat([pictures, mask.float(), depth, normals], dim=1),
        _occupancy(solids, cameras),
        _turned(cloud.points, cameras.rotation),
        _turned(cloud.normals, cameras.rotation),
        torch.tensor(known),
        cameras.rotation,
        solids,
    )


def select(views: ShapeViews, names: tuple[str, ...]) -> Tensor:
    """Return the channels of the inputs (views, channels, SIZE, SIZE) that ``names`` names.

    Raises:
        ValueError: there is no name, or one that is not in CHANNELS.
    """
    if unknown := [name for name in names if name not in CHANNELS] or not names:
        raise ValueError(f"names has {unknown}, they must be among {', '.join(CHANNELS)}")
    return views.inputs[:, [channel for name in names for channel in CHANNELS[name]]]


def project(points: Tensor) -> Tensor:
    """Return the pixels (..., 2) at which points (..., 3) of the camera's frame are seen."""
    return FOCAL * points[..., :2] / (points[..., 2:] + AWAY) + MIDDLE


def from_grid(coordinates: Tensor) -> Tensor:
    """Return the points (..., 3) of the camera's frame at grid coordinates (..., 3).

    Args:
        coordinates: to the right, down and forward, in cells: the first cell begins at 0, its
            middle is 0.5, the last one ends at GRID.
    """
    pixel = coordinates[..., :2] * (SIZE / GRID) - 0.5
    z = (coordinates[..., 2:] * (2 / GRID) - 1) * DEEP
    return torch.cat([(pixel - MIDDLE) * (z + AWAY) / FOCAL, z], dim=-1)


def grid_middles() -> Tensor:
    """Return the middles of all cells in the camera's frame, (GRID, GRID, GRID, 3)."""
    at = torch.arange(GRID) + 0.5
    return from_grid(torch.stack(torch.meshgrid(at, at, at, indexing="ij"), dim=-1))


def to_world(points: Tensor, rotation: Tensor) -> Tensor:
    """Return points (points, 3) of the camera's frame in the world: x right, y up, z towards us."""
    check_shape(points, "points 3", name="points")
    return points @ rotation


def _turned(vectors: Tensor, rotation: Tensor) -> Tensor:
    """Return vectors (views, vectors, 3) of the world in the cameras' axes."""
    return vectors @ rotation.mT


def _occupancy(solids: Solids, cameras: Cameras) -> Tensor:
    """Return which cells are filled, (views, GRID, GRID, GRID) bool."""
    middles = grid_middles().reshape(-1, 3)
    filled = [
        distance(solids[i : i + 64], middles @ cameras.rotation[i : i + 64]) <= TOUCH
        for i in range(0, len(solids), 64)
    ]
    return torch.cat(filled).unflatten(1, (GRID, GRID, GRID))
