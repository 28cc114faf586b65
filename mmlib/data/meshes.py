"""Well-known test meshes: files in the Wavefront OBJ format; and how the faces of a mesh meet.

Four of Jacobson's collection *Common 3D Test Models*, as their makers left them: some are closed,
some have holes and parts that cut each other.
"""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from mmlib.data.download import locate
from mmlib.data.modelnet import Mesh
from mmlib.files import DataError, list_files, read_lines


def read_test_meshes(folder: Path | None = None) -> dict[str, Mesh]:
    """Return the meshes by name, sorted: ``cow``, ``spot``, ``suzanne``, ``teapot``.

    Args:
        folder: where the data set lies; ``None`` asks ``download.locate``.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: a file is damaged, or there is none.
    """
    folder = locate("meshes") if folder is None else Path(folder)
    paths = list_files(folder, ".obj")
    if not paths:
        raise DataError(f"{folder} holds no file that ends in .obj: fetch the data set again")
    return {path.stem: read_obj(path) for path in paths}


def read_obj(path: Path) -> Mesh:
    """Read the triangles of a Wavefront OBJ file; a face with more corners becomes a fan of them.

    Only positions and faces are read; normals, textures and names are not. A corner ``-1`` is the
    last vertex so far, as the format has it.

    Raises:
        DataError: the file has no face, a line cannot be read, or a face names no vertex.
    """
    at: list[list[float]] = []
    fans: list[list[int]] = []
    for number, line in enumerate(read_lines(path), start=1):
        word, *values = line.split("#")[0].split() or [""]
        try:
            if word == "v":
                x, y, z = (float(value) for value in values[:3])
                at.append([x, y, z])
            elif word == "f":
                corners = [int(value.split("/")[0]) for value in values]
                first, *others = (c - 1 if c > 0 else len(at) + c if c else -1 for c in corners)
                fans += [[first, b, c] for b, c in pairwise(others)]
        except ValueError as error:
            raise DataError(f"{path}, line {number} is damaged ({error}): restore it") from error
    if not fans:
        raise DataError(f"{path} has no face: it is no mesh in the OBJ format")
    triangles, vertices = torch.tensor(fans), np.array(at, dtype=float).reshape(-1, 3)
    if triangles.min() < 0 or triangles.max() >= len(at) or not np.isfinite(vertices).all():
        raise DataError(f"{path} has a face or a number that cannot be: restore it")
    return Mesh(torch.from_numpy(vertices).float(), triangles)


class Seams(NamedTuple):
    """How the faces of a mesh meet; a closed surface has no open, crowded or clashing edge."""

    open: int  # edges of a single face: the rim of a hole
    crowded: int  # edges of three faces or more
    clashing: int  # edges that two faces pass in one direction: one of them is turned inside out
    pieces: int  # parts that share no vertex
    euler: (
        int  # vertices that a face names - edges + faces; 2 for each closed piece without a handle
    )


def weld(mesh: Mesh) -> Mesh:
    """Return the mesh with one vertex where several stood at one place; what has no area goes.

    Many files give each patch its own vertices: its faces then touch the next patch's and share
    nothing with them.
    """
    vertices, place = mesh.vertices.unique(dim=0, return_inverse=True)
    faces = place[mesh.faces]
    return Mesh(vertices, faces[(faces != faces.roll(1, dims=1)).all(dim=1)])


def count_seams(mesh: Mesh) -> Seams:
    """Return how the faces of a mesh meet."""
    faces = mesh.faces
    ways = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])  # as the faces run
    edges, shared = ways.sort(dim=1).values.unique(dim=0, return_counts=True)
    twice, times = ways.unique(dim=0, return_counts=True)
    clashing = twice[times > 1].sort(dim=1).values.unique(dim=0)
    used = faces.unique()
    start, end = torch.searchsorted(used, edges).T.numpy()
    links = coo_matrix((np.ones(len(edges)), (start, end)), shape=(len(used), len(used)))
    return Seams(
        open=int((shared == 1).sum()),
        crowded=int((shared > 2).sum()),
        clashing=len(clashing),
        pieces=connected_components(links, directed=False)[0],
        euler=len(used) - len(edges) + len(faces),
    )
