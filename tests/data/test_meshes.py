"""Small files in the Wavefront OBJ format, and how their faces meet."""

from collections import Counter

import pytest
import torch

from mmlib.data.meshes import Seams, count_seams, read_obj, read_test_meshes, weld
from mmlib.data.modelnet import Mesh
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


def apart(mesh):
    """Return the mesh with three vertices of its own for each face."""
    return Mesh(
        mesh.vertices[mesh.faces].flatten(0, 1), torch.arange(3 * len(mesh.faces)).view(-1, 3)
    )


@pytest.fixture
def pyramid(tmp_path):
    return read_obj(written(tmp_path, PYRAMID))


def test_a_closed_mesh_has_no_seam(pyramid):
    assert count_seams(pyramid) == Seams(open=0, crowded=0, clashing=0, pieces=1, euler=2)


def test_welding_joins_faces_that_only_touch(pyramid):
    loose = apart(pyramid)
    assert count_seams(loose) == Seams(open=18, crowded=0, clashing=0, pieces=6, euler=6)
    whole = weld(loose)
    assert count_seams(whole) == count_seams(pyramid)
    assert volume(whole) == pytest.approx(1 / 3)


def test_welding_drops_faces_without_area(pyramid):
    vertices = torch.cat([pyramid.vertices, pyramid.vertices[:1]])
    thin = Mesh(vertices, torch.cat([pyramid.faces, torch.tensor([[0, 5, 1]])]))
    assert len(weld(thin).faces) == len(pyramid.faces)


def test_a_missing_face_leaves_its_edges_open(pyramid):
    torn = Mesh(pyramid.vertices, pyramid.faces[1:])
    assert count_seams(torn) == Seams(open=3, crowded=0, clashing=0, pieces=1, euler=1)


def test_a_turned_face_clashes_with_its_neighbours(pyramid):
    faces = pyramid.faces.clone()
    faces[2] = faces[2].flip(0)
    assert count_seams(Mesh(pyramid.vertices, faces))[:3] == (0, 0, 3)


def test_a_wing_on_a_closed_mesh_makes_an_edge_crowded(pyramid):
    vertices = torch.cat([pyramid.vertices, torch.tensor([[0.0, 0.0, -1.0]])])
    winged = Mesh(vertices, torch.cat([pyramid.faces, torch.tensor([[0, 1, 5]])]))
    seams = count_seams(winged)
    assert (seams.open, seams.crowded, seams.pieces) == (2, 1, 1)


def test_vertices_without_a_face_and_two_pieces_are_counted_apart(pyramid):
    vertices = torch.cat([pyramid.vertices, torch.zeros(3, 3), pyramid.vertices + 5])
    both = Mesh(vertices, torch.cat([pyramid.faces, pyramid.faces + 8]))
    assert count_seams(both) == Seams(open=0, crowded=0, clashing=0, pieces=2, euler=4)


@pytest.mark.parametrize("seed", range(5))
def test_counts_are_those_of_brute_force(seed):
    generator = torch.Generator().manual_seed(seed)
    faces = torch.stack([torch.randperm(7, generator=generator)[:3] for _ in range(12)])
    ways = Counter()
    for a, b, c in faces.tolist():
        ways.update([(a, b), (b, c), (c, a)])
    edges = Counter()
    for way, times in ways.items():
        edges[frozenset(way)] += times
    seams = count_seams(Mesh(torch.rand(7, 3, generator=generator), faces))
    assert seams.open == sum(times == 1 for times in edges.values())
    assert seams.crowded == sum(times > 2 for times in edges.values())
    assert seams.clashing == len({frozenset(way) for way, times in ways.items() if times > 1})
    assert seams.euler == len({v for edge in edges for v in edge}) - len(edges) + 12
