"""Solids as voxels, as points on their surface, and as meshes; see ``solids``."""

from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.shapes import check_whole
from mmlib.world.cameras import Cameras
from mmlib.world.solid_views import view_solids
from mmlib.world.solids import Solids, distance, normals, part_labels

SHELL = 0.015  # points are drawn this near to the surface, then moved onto it
SPARE = 1.125  # of the points drawn, some end beside the surface: in the bottom of a crease
COARSE = 24  # cells along a side of the grid in which the surface is first looked for
BLOCK = 64  # solids at a time


class Clouds(NamedTuple):
    """Points on the surfaces of solids."""

    points: Tensor  # (solids, points, 3)
    normals: Tensor  # (solids, points, 3) unit length, outwards
    parts: Tensor  # (solids, points) index into PART_NAMES


class Mesh(NamedTuple):
    """One surface as triangles."""

    vertices: Tensor  # (vertices, 3)
    faces: Tensor  # (faces, 3) rows of vertices, counter-clockwise as seen from outside


def cell_middles(resolution: int, *, like: Tensor | None = None) -> Tensor:
    """Return the middles of resolution³ cells of the cube from -1 to 1, (x, y, z, 3)."""
    resolution = check_whole(resolution, name="resolution")
    middle = (torch.arange(resolution) + 0.5) * (2 / resolution) - 1
    middle = middle if like is None else middle.to(like)
    return torch.stack(torch.meshgrid(middle, middle, middle, indexing="ij"), dim=-1)


def grid_distances(solids: Solids, resolution: int) -> Tensor:
    """Return the signed distance at the middle of every cell, (solids, x, y, z)."""
    points = cell_middles(resolution, like=solids.knobs).reshape(1, -1, 3)
    parts = [solids[start : start + BLOCK] for start in range(0, len(solids), BLOCK)]
    blocks = [distance(part, points.expand(len(part), -1, -1)) for part in parts]
    return torch.cat(blocks).unflatten(1, (resolution,) * 3)


def voxels(solids: Solids, resolution: int) -> Tensor:
    """Return which cells have their middle inside the solid, (solids, x, y, z) bool."""
    return grid_distances(solids, resolution) <= 0


def surface_points(solids: Solids, count: int, *, generator: torch.Generator) -> Clouds:
    """Return ``count`` points on each solid's surface, all areas alike likely.

    Points uniform in space are drawn in the cells that the surface may cross; those within SHELL
    of it are kept and moved onto it along the normal. Only along sharp edges is the density
    slightly uneven.

    Raises:
        ValueError: ``count`` is no whole number of 1 or more.
    """
    count = check_whole(count, name="count")
    middles = cell_middles(COARSE, like=solids.knobs).reshape(-1, 3)
    near = grid_distances(solids, COARSE).flatten(1).abs() < 3**0.5 / COARSE + SHELL
    drawn = int(SPARE * count) + 8
    points = torch.cat(
        [
            _draw_on_surface(solids[row : row + 1], middles[near[row]], drawn, generator)
            for row in range(len(solids))
        ]
    )
    clouds = []
    for start in range(0, len(solids), BLOCK):
        some, at = solids[start : start + BLOCK], points[start : start + BLOCK]
        for _ in range(2):
            at = at - distance(some, at)[..., None] * normals(some, at)
        order = (distance(some, at).abs() > 1e-3).int().argsort(dim=1, stable=True)[:, :count]
        at = at.gather(1, order[..., None].expand(-1, -1, 3))
        clouds.append(Clouds(at, normals(some, at), part_labels(some, at)))
    return Clouds(*(torch.cat(tensors) for tensors in zip(*clouds, strict=True)))


def _draw_on_surface(
    solid: Solids, cells: Tensor, count: int, generator: torch.Generator
) -> Tensor:
    """Return (1, count, 3) points within SHELL of the surface, uniform in the shell."""
    kept, found = [], 0
    while found < count:
        tries = 8 * count
        pick = torch.randint(len(cells), (tries,), generator=generator, device=cells.device)
        jitter = torch.rand(tries, 3, generator=generator, device=cells.device) * 2 - 1
        points = cells[pick] + jitter / COARSE
        points = points[distance(solid, points[None])[0].abs() < SHELL]
        kept.append(points)
        found += len(points)
    return torch.cat(kept)[None, :count]


def partial_points(
    solids: Solids,
    count: int,
    cameras: Cameras,
    *,
    generator: torch.Generator,
    noise: float = 0.0,
) -> Clouds:
    """Return ``count`` points of the side of each solid that its camera sees, as a depth sensor.

    Pixels are drawn with repetition; each gives the point it sees.

    Args:
        noise: standard deviation of the error along the ray.

    Raises:
        ValueError: ``count`` or ``noise`` is out of range, or a camera sees nothing of its solid.
    """
    count = check_whole(count, name="count")
    if noise < 0:
        raise ValueError(f"noise is {noise}, a standard deviation must be 0 or more")
    view = view_solids(solids, cameras)
    seen = view.depth.isfinite().flatten(1)
    if not seen.any(dim=1).all():
        raise ValueError("a camera sees nothing of its solid: turn it towards the origin")
    pixel = torch.multinomial(seen.float(), count, replacement=True, generator=generator)
    points = cameras.unproject(view.depth).flatten(1, 2)
    error = noise * torch.randn(pixel.shape, generator=generator, device=pixel.device)
    rows = pixel[..., None].expand(-1, -1, 3)
    rays = cameras.rays().flatten(1, 2).gather(1, rows)
    return Clouds(
        points.gather(1, rows) + error[..., None] * rays,
        view.normals.flatten(1, 2).gather(1, rows),
        view.parts.flatten(1).gather(1, pixel),
    )


def marching_mesh(solid: Solids, resolution: int) -> Mesh:
    """Return the surface of one solid as a mesh: marching cubes of scikit-image.

    Args:
        solid: a batch of one.
        resolution: cells along a side of the cube; the distances are taken at their middles.

    Raises:
        ValueError: there is not one solid, or no cell's middle lies inside it.
    """
    from skimage.measure import marching_cubes  # mmlib itself does without scikit-image

    if len(solid) != 1:
        raise ValueError(f"{len(solid)} solids, a mesh is of one: index them first")
    values = grid_distances(solid, resolution)[0]
    if values.min() > 0:
        raise ValueError(f"resolution {resolution} finds nothing inside the solid: raise it")
    vertices, faces, _, _ = marching_cubes(values.cpu().numpy(), 0.0, spacing=(2 / resolution,) * 3)
    vertices = torch.from_numpy(vertices.copy()).to(solid.knobs) + 1 / resolution - 1
    return Mesh(vertices, torch.from_numpy(faces.copy()).long().to(solid.knobs.device))
