"""Small files in the Wavefront OBJ format."""

import pytest
import torch

from mmlib.data.meshes import read_obj, read_test_meshes
from mmlib.files import DataError

PYRAMID = """# a pyramid with a square floor
mtllib none.mtl
v 0 0 0
v 1 0 0 1.0
v 1 1 0
v 0 1 0
v 0.5 0.5 1e0
vt 0 0
vn 0 0 -1
g floor
f 4/1/1 3/1/1 2/1/1 1/1/1

f 1 2 5 # the front
f 2//1 3//1 5//1
f -3/1 -2/1 -1/1
f 4 1 5
"""


def volume(mesh):
    """Return the volume inside a closed mesh; it is positive if faces look outwards."""
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def written(folder, text, name="pyramid.obj"):
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_all_ways_to_name_a_corner_give_the_same_solid(tmp_path, ending):
    path = tmp_path / "pyramid.obj"
    path.write_bytes(PYRAMID.replace("\n", ending).encode())
    mesh = read_obj(path)
    assert mesh.vertices.shape == (5, 3)
    assert mesh.vertices.dtype == torch.float32
    assert mesh.faces.tolist() == [[3, 2, 1], [3, 1, 0], [0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]
    assert volume(mesh) == pytest.approx(1 / 3)


def test_a_relative_corner_counts_from_where_it_stands(tmp_path):
    text = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\nv 0 0 1\nf -4 -3 -1\n"
    assert read_obj(written(tmp_path, text)).faces.tolist() == [[0, 1, 2], [0, 1, 3]]


def test_meshes_of_a_folder_are_read_by_name(tmp_path):
    written(tmp_path, PYRAMID, "b.obj")
    written(tmp_path, PYRAMID, "a.OBJ")
    written(tmp_path, "no mesh", "._a.obj")
    assert list(read_test_meshes(tmp_path)) == ["a", "b"]


def test_a_folder_without_a_mesh_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no file that ends in \.obj"):
        read_test_meshes(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no face"),
        ("v 0 0 0\nv 1 0 0\nf 1 2\n", "has no face"),
        (PYRAMID.replace("v 1 1 0", "v 1 x 0"), "line 5 is damaged"),
        (PYRAMID.replace("v 1 1 0", "v 1 1"), "line 5 is damaged"),
        (PYRAMID.replace("f 1 2 5", "f 1 2 /5"), "line 13 is damaged"),
        (PYRAMID.replace("f 4 1 5", "f"), "line 16 is damaged"),
        (PYRAMID.replace("f 4 1 5", "f 4 1 6"), "cannot be"),
        (PYRAMID.replace("f 4 1 5", "f 4 1 0"), "cannot be"),
        (PYRAMID.replace("f 4 1 5", "f 4 1 -6"), "cannot be"),
        (PYRAMID.replace("1e0", "inf"), "cannot be"),
    ],
)
def test_a_damaged_file_gets_one_clear_error(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_obj(written(tmp_path, text))
