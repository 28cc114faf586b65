"""Small files in the Object File Format, in the layout of ModelNet10."""

import pytest
import torch

from mmlib.data.modelnet import modelnet_files, read_off
from mmlib.files import DataError

PYRAMID = """OFF
# a pyramid with a square floor
5 5 8
0 0 0
1 0 0
1 1 0
0 1 0
0.5 0.5 1e0

4 3 2 1 0
3 0 1 4
3 1 2 4
3 2 3 4 255 0 0
3 3 0 4
"""


@pytest.fixture
def folder(tmp_path):
    for place in ("bed/train/bed_0002", "bed/train/bed_0001", "bed/test/bed_0003", "sofa/test/s_1"):
        path = tmp_path / "ModelNet10" / f"{place}.off"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PYRAMID)
        (path.parent / "._hidden.off").write_text("not a mesh")
    return tmp_path


def test_files_are_found_by_split_and_category(folder):
    assert list(modelnet_files("train", folder)) == ["bed"]
    assert [path.stem for path in modelnet_files("train", folder)["bed"]] == [
        "bed_0001",
        "bed_0002",
    ]
    assert list(modelnet_files("test", folder)) == ["bed", "sofa"]
    with pytest.raises(ValueError, match="split is 'val'"):
        modelnet_files("val", folder)


def volume(mesh):
    """Return the volume inside a closed mesh; it is positive if faces look outwards."""
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def test_a_square_becomes_two_triangles_of_the_same_surface(folder):
    mesh = read_off(modelnet_files("test", folder)["bed"][0])
    assert mesh.vertices.shape == (5, 3)
    assert mesh.faces[:2].tolist() == [[3, 2, 1], [3, 1, 0]]
    assert len(mesh.faces) == 6
    assert volume(mesh) == pytest.approx(1 / 3)


def test_the_numbers_may_follow_off_without_a_break(tmp_path):
    path = tmp_path / "one.off"
    path.write_text(PYRAMID.replace("OFF\n# a pyramid with a square floor\n", "OFF"))
    assert volume(read_off(path)) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not begin with OFF"),
        ("PLY\n" + PYRAMID, "does not begin with OFF"),
        ("OFF\n", "is damaged"),
        (PYRAMID.replace("1 1 0", "1 x 0"), "is damaged"),
        (PYRAMID[:60], "announces 5 vertices"),
        (PYRAMID.replace("3 0 1 4", "3 0 1 5"), "cannot be"),
        (PYRAMID.replace("1e0", "nan"), "cannot be"),
    ],
)
def test_a_damaged_file_gets_one_clear_error(tmp_path, text, message):
    path = tmp_path / "bad.off"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_off(path)
