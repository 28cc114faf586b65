"""Meshes of ModelNet: files in the Object File Format, sorted by category and split.

Wu et al., "3D ShapeNets: A Deep Representation for Volumetric Shapes", CVPR 2015. The archive holds
``ModelNet10/<category>/<train or test>/<category>_0001.off``. In some files of ModelNet the numbers
of vertices and faces stand right behind the word OFF, without a line break.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmlib.data.download import locate
from mmlib.files import DataError, read_text


class Mesh(NamedTuple):
    """One surface as triangles."""

    vertices: Tensor  # (vertices, 3)
    faces: Tensor  # (faces, 3) rows of vertices


def modelnet_files(split: str, folder: Path | None = None) -> dict[str, list[Path]]:
    """Return the files of a split by category, both sorted; categories without a file are left out.

    Args:
        split: ``"train"`` or ``"test"``.
        folder: where the data set lies; ``None`` asks ``download.locate``.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        ValueError: there is no such split.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split is {split!r}, it must be 'train' or 'test'")
    folder = locate("modelnet10") if folder is None else Path(folder)
    found: dict[str, list[Path]] = {}
    for path in sorted((folder / "ModelNet10").glob(f"*/{split}/*.off")):
        if not path.name.startswith("."):  # such as macOS leaves in archives
            found.setdefault(path.parts[-3], []).append(path)
    return found


def read_off(path: Path) -> Mesh:
    """Read a mesh; a face with more than three corners becomes a fan of triangles.

    Raises:
        DataError: the file is no mesh in this format, is cut off, or a face names no vertex.
    """
    text = read_text(path)
    head, _, rest = text.partition("OFF")
    if head.strip() or not rest:
        raise DataError(f"{path} does not begin with OFF: it is no file in the Object File Format")
    lines = [line.split("#")[0].split() for line in rest.splitlines()]
    rows = [line for line in lines if line]
    try:
        vertices, faces = int(rows[0][0]), int(rows[0][1])
        at = np.array([row[:3] for row in rows[1 : 1 + vertices]], dtype=float)
        corners = [[int(x) for x in row] for row in rows[1 + vertices : 1 + vertices + faces]]
        fans = [(row[1], row[i], row[i + 1]) for row in corners for i in range(2, row[0])]
    except (IndexError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}): restore it") from error
    if at.shape != (vertices, 3) or len(corners) != faces or not fans:
        raise DataError(
            f"{path} announces {vertices} vertices and {faces} faces, and has {len(at)} and "
            f"{len(corners)}: restore it"
        )
    triangles = torch.tensor(fans)
    if triangles.min() < 0 or triangles.max() >= vertices or not np.isfinite(at).all():
        raise DataError(f"{path} has a face or a number that cannot be: restore it")
    return Mesh(torch.from_numpy(at).float(), triangles)
