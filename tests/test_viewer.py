"""Views of shapes: numbers arrive, still pictures show something, bad input is refused."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from mmlib import viewer

CUBE = np.ones((1, 1, 1), dtype=bool)


def parts(view):
    data = json.loads(re.search(r"<script[^>]*>(.*?)</script>", view.data).group(1))
    image = base64.b64decode(re.search(r'base64,([^"]+)"', view.data).group(1))
    return data, np.asarray(Image.open(io.BytesIO(image)).convert("RGBA"))


def numbers(text, kind):
    return np.frombuffer(base64.b64decode(text), dtype=kind)


def test_a_mesh_arrives_in_the_unit_ball_with_its_faces_and_colours():
    vertices = torch.tensor([[0.0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4]])
    faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    colours = viewer.label_colours(range(4))
    data, picture = parts(viewer.show_mesh(vertices, faces, alt="A tent", colours=colours))
    positions = numbers(data["positions"], "<i2").reshape(-1, 3) / 32767
    assert np.linalg.norm(positions, axis=1).max() == pytest.approx(1, abs=1e-3)
    edge = np.linalg.norm(positions[1] - positions[0])
    assert np.allclose(np.linalg.norm(positions[2:] - positions[0], axis=1), edge, atol=1e-3)
    assert numbers(data["faces"], "<u2").reshape(-1, 3).tolist() == faces.tolist()
    assert np.allclose(numbers(data["colours"], "u1").reshape(-1, 3) / 255, colours, atol=0.003)
    assert picture.shape == (viewer.HEIGHT, viewer.WIDTH, 4)
    assert 0.05 < (picture[..., 3] > 0).mean() < 0.9


def test_points_and_voxels_are_pictured():
    points = np.random.default_rng(0).normal(size=(200, 3))
    for view in (
        viewer.show_points(points, alt="A cloud"),
        viewer.show_voxels(CUBE, alt="A cube"),
    ):
        _, picture = parts(view)
        assert (picture[..., 3] > 0).mean() > 0.02


def test_what_is_higher_is_pictured_higher_and_right_is_right():
    base = np.random.default_rng(0).normal(size=(100, 3)) * 0.05
    marks = {"up": ([0, 1, 0], 1, [1, 0, 0]), "right": ([1, 0, 0], 0, [0, 0, 1])}
    for where, axis, colour in marks.values():
        points = np.concatenate([base, base + where])
        colours = np.repeat([[0.5, 0.5, 0.5], colour], 100, axis=0)
        _, picture = parts(viewer.show_points(points, alt="Two clouds", colours=colours))
        solid = picture[..., 3] > 200
        grey = solid & (np.ptp(picture[..., :3].astype(int), axis=-1) < 20)
        marked = solid & ~grey
        shift = np.argwhere(marked).mean(0) - np.argwhere(grey).mean(0)
        assert (shift[0] < -50) if axis else (shift[1] > 50)


def test_voxels_bare_their_outer_sides_only():
    """A brick of a × b × c cells has 2 (ab + bc + ca) bare sides; its volume comes out."""
    filled = np.zeros((5, 6, 7), dtype=bool)
    filled[1:3, 1:4, 2:6] = True
    vertices, faces = viewer.voxel_mesh(filled)
    assert len(faces) == 2 * 2 * (2 * 3 + 3 * 4 + 4 * 2)
    cells = (vertices + 1) / 2 * filled.shape
    a, b, c = cells[faces].transpose(1, 0, 2)
    assert np.einsum("ij,ij->", a, np.cross(b, c)) / 6 == pytest.approx(24)


def test_text_is_escaped():
    view = viewer.show_points(np.eye(3), alt='a "quoted" <b>', caption="<i>")
    assert 'alt="a &quot;quoted&quot; &lt;b&gt;"' in view.data
    assert "<i>" not in view.data


def test_views_stand_beside_each_other():
    view = viewer.show_voxels(CUBE, alt="A cube")
    assert viewer.beside(view, view).data.count("<figure") == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: viewer.show_points(np.zeros((0, 3)), alt="x"), "1 row or more"),
        (lambda: viewer.show_points(np.full((2, 3), np.nan), alt="x"), "NaN"),
        (lambda: viewer.show_points(np.eye(3), alt=" "), "alt is empty"),
        (lambda: viewer.show_points(np.eye(3), alt="x", colours=np.eye(2)), "colours has shape"),
        (lambda: viewer.show_mesh(np.eye(3), np.array([[0, 1, 3]]), alt="x"), "there are 3"),
        (lambda: viewer.show_mesh(np.eye(3), np.zeros((0, 3), int), alt="x"), "1 face or more"),
        (lambda: viewer.show_voxels(~CUBE, alt="x"), "something filled"),
    ],
)
def test_bad_input_gets_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_single_point_is_shown():
    data, _ = parts(viewer.show_points(np.ones((1, 3)), alt="A point"))
    assert numbers(data["positions"], "<i2").tolist() == [0, 0, 0]
