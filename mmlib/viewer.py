"""Shapes that a reader turns in the page: meshes, points and voxels.

Each view is plain HTML in the cell's output. It holds a still picture, drawn here, with its
alternative text, and the shape's numbers; in the book ``viewer.js`` replaces the picture by a view
that mouse, touch and keyboard turn. Where that script is missing, in JupyterLab or Colab or on
paper, the picture stays. x runs to the right, y up, z towards the reader.
"""

import base64
import html
import io
import json
import math

import numpy as np
from IPython.display import HTML
from PIL import Image, ImageDraw

AZIMUTH, ELEVATION = 30.0, 20.0  # where the first view looks from, degrees; viewer.js has the same
FIELD_OF_VIEW = 30.0  # degrees
WIDTH, HEIGHT = 480, 360  # of the still picture, pixels
SMOOTHER = 2  # the picture is drawn so many times larger
PLAIN = (0.34, 0.62, 0.83)  # the colour of what is given none
COLOURS = (
    np.array(  # Okabe and Ito's, which readers with any colour vision can tell apart
        [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233]]
    )
    / 255
)
_HINT = (
    '<span class="shape-hint" hidden>Drag to turn, or press the arrow keys; '
    "+ and − zoom, 0 returns.</span>"
)


def label_colours(labels) -> np.ndarray:
    """Return a colour (…, 3) for each whole number of 0 or more; after six they repeat."""
    return COLOURS[np.asarray(labels) % len(COLOURS)]


def show_mesh(vertices, faces, *, alt: str, caption: str = "", colours=None, smooth=True) -> HTML:
    """Return a mesh that the reader turns.

    Args:
        vertices: (vertices, 3), tensor or array.
        faces: (faces, 3) rows of ``vertices``, counter-clockwise as seen from outside.
        alt: what there is to see, for those who do not see it.
        colours: (vertices, 3) in 0 to 1; or none.
        smooth: whether the light varies within a face.

    Raises:
        ValueError: there is no vertex or face, a number is not finite, or a face names a vertex
            that does not exist.
    """
    vertices, faces = _numbers(vertices, "vertices"), np.asarray(faces)
    if faces.ndim != 2 or faces.shape[1:] != (3,) or not len(faces):
        raise ValueError(f"faces has shape {faces.shape}, it must be (faces, 3), 1 face or more")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError(
            f"faces name vertices {faces.min()} to {faces.max()}, there are {len(vertices)}"
        )
    return _view(vertices, colours, alt, caption, faces=faces.astype(np.uint32), smooth=smooth)


def show_points(points, *, alt: str, caption: str = "", colours=None, size: float = 0.035) -> HTML:
    """Return points (points, 3) that the reader turns.

    Args:
        alt: what there is to see, for those who do not see it.
        colours: (points, 3) in 0 to 1; or none: from blue at the bottom to orange at the top.
        size: of a point, as a share of the shape's radius.

    Raises:
        ValueError: there is no point, or a number is not finite.
    """
    points = _numbers(points, "points")
    if colours is None:
        height = points[:, 1:2] - points[:, 1].min()
        share = height / max(height.max(), 1e-9)
        colours = (1 - share) * COLOURS[0] + share * COLOURS[4]
    return _view(points, colours, alt, caption, size=size)


def show_voxels(filled, *, alt: str, caption: str = "", colour=PLAIN) -> HTML:
    """Return the filled cells of a cube from -1 to 1 as boxes that the reader turns.

    Args:
        filled: (x, y, z) true or false, tensor or array.
        alt: what there is to see, for those who do not see it.

    Raises:
        ValueError: there are not three axes, or nothing is filled.
    """
    vertices, faces = voxel_mesh(filled)
    colours = np.broadcast_to(np.asarray(colour, float), vertices.shape)
    return show_mesh(vertices, faces, alt=alt, caption=caption, colours=colours, smooth=False)


def beside(*views: HTML) -> HTML:
    """Return views side by side where there is room, below each other where there is not."""
    shapes = "".join(view.data.replace(_HINT, "") for view in views)  # one hint is enough
    return HTML(f'<div class="shape-row">{shapes}<p>{_HINT}</p></div>')


def voxel_mesh(filled) -> tuple[np.ndarray, np.ndarray]:
    """Return the faces between filled and empty cells, as vertices (v, 3) and triangles (f, 3).

    Each bare side of a filled cell gives two triangles, counter-clockwise as seen from outside.
    """
    filled = np.asarray(filled).astype(bool)
    if filled.ndim != 3 or not filled.any():
        raise ValueError(f"filled has shape {filled.shape}: give three axes and something filled")
    padded, corners = np.pad(filled, 1), []
    for axis in range(3):
        for side in (0, 1):
            bare = filled & ~np.roll(padded, 1 - 2 * side, axis)[1:-1, 1:-1, 1:-1]
            square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]][:: 2 * side - 1])
            square = np.insert(square, 0, side, axis=1)  # its first axis is across the face
            square = np.roll(square, axis, axis=1)
            corners.append((np.argwhere(bare)[:, None] + square).reshape(-1, 3))
    corners, quads = np.unique(np.concatenate(corners), axis=0, return_inverse=True)
    quads = quads.reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return corners * (2 / np.array(filled.shape)) - 1, faces


def _numbers(values, name: str) -> np.ndarray:
    """Return (rows, 3) finite numbers, or say what is wrong."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or values.shape[1:] != (3,) or not len(values):
        raise ValueError(f"{name} has shape {values.shape}, it must be (rows, 3), 1 row or more")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has numbers that are NaN or infinite: drop them first")
    return values


def _view(positions, colours, alt: str, caption: str, *, faces=None, smooth=False, size=0.0):
    """Return the figure: a still picture, the numbers for viewer.js, a caption."""
    if not alt.strip():
        raise ValueError("alt is empty: say what there is to see")
    colours = np.broadcast_to(PLAIN, positions.shape) if colours is None else np.asarray(colours)
    if colours.shape != positions.shape:
        raise ValueError(f"colours has shape {colours.shape}, positions {positions.shape}")
    middle = (positions.max(0) + positions.min(0)) / 2
    reach = np.linalg.norm(positions - middle, axis=1).max()
    positions = (positions - middle) / (reach if reach > 0 else 1)
    data = {
        "positions": _packed(np.round(positions * 32767).astype("<i2")),
        "colours": _packed(np.round(np.clip(colours, 0, 1) * 255).astype("u1")),
        "smooth": bool(smooth),
        "size": float(size),
    }
    if faces is not None:
        data["faces"] = _packed(faces.astype("<u2" if len(positions) < 65536 else "<u4"))
        data["wide"] = len(positions) >= 65536
    picture = _picture(positions, colours, faces, size)
    text, words = html.escape(alt, quote=True), html.escape(caption)
    return HTML(
        f'<figure class="shape"><img alt="{text}" width="{WIDTH}" height="{HEIGHT}" '
        f'src="data:image/png;base64,{picture}">'
        f'<script type="application/json">{json.dumps(data)}</script>'
        f"<figcaption>{words} {_HINT}</figcaption></figure>"
    )


def _packed(numbers: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode()


def _picture(positions: np.ndarray, colours: np.ndarray, faces, size: float) -> str:
    """Return a PNG in base64 of a shape in the unit ball, painted from far to near."""
    azimuth, elevation = math.radians(AZIMUTH), math.radians(ELEVATION)
    towards = np.array([math.sin(azimuth), math.tan(elevation), math.cos(azimuth)])
    towards /= np.linalg.norm(towards)
    right = np.array([math.cos(azimuth), 0, -math.sin(azimuth)])
    axes = np.stack([right, np.cross(towards, right), towards])
    away = 1.02 / math.sin(math.radians(FIELD_OF_VIEW / 2))
    seen = positions @ axes.T
    focal = HEIGHT / 2 / math.tan(math.radians(FIELD_OF_VIEW / 2)) * SMOOTHER
    scale = focal / (away - seen[:, 2])
    middle = np.array([WIDTH, HEIGHT]) * SMOOTHER / 2
    flat = middle + seen[:, :2] * [1, -1] * scale[:, None]
    picture = Image.new("RGBA", (WIDTH * SMOOTHER, HEIGHT * SMOOTHER))
    brush = ImageDraw.Draw(picture)
    if faces is None:
        for row in np.argsort(seen[:, 2]):
            radius, shade = size / 2 * scale[row], 0.8 + 0.2 * seen[row, 2]
            box = [*(flat[row] - radius), *(flat[row] + radius)]
            brush.ellipse(box, fill=_paint(colours[row] * shade))
    else:
        corners = seen[faces]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        normal *= np.where(normal[:, 2:] < 0, -1, 1)
        shade = 0.45 + 0.55 * np.clip(normal @ (np.array([0.3, 0.5, 0.8]) / 0.99), 0, 1)
        paint = colours[faces].mean(axis=1) * shade[:, None]
        for row in np.argsort(corners[:, :, 2].mean(axis=1)):
            brush.polygon([tuple(p) for p in flat[faces[row]]], fill=_paint(paint[row]))
    file = io.BytesIO()
    picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX).quantize(128).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def _paint(colour: np.ndarray) -> tuple[int, ...]:
    return (*(round(255 * float(value)) for value in np.clip(colour, 0, 1)), 255)
