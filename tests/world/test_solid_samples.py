"""Laws of voxels, points and meshes of solids."""

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world.cameras import orbit_cameras
from mmlib.world.solid_samples import (
    cell_middles,
    grid_distances,
    marching_mesh,
    partial_points,
    surface_points,
    voxels,
)
from mmlib.world.solids import CATEGORIES, distance, normals, part_labels, sample_solids


@pytest.fixture(scope="module")
def solids():
    drawn = sample_solids(12, generator=make_generator(0))
    return drawn[drawn.category.argsort()]


@pytest.fixture(scope="module")
def clouds(solids):
    return surface_points(solids, 600, generator=make_generator(0))


def test_cells_lie_in_the_cube_axis_by_axis():
    middles = cell_middles(4)
    assert middles.shape == (4, 4, 4, 3)
    assert middles[3, 0, 1].tolist() == [0.75, -0.75, -0.25]


def test_voxels_are_the_inside(solids):
    filled = voxels(solids, 20)
    points = cell_middles(20).reshape(1, -1, 3).expand(12, -1, -1)
    assert torch.equal(filled.flatten(1), distance(solids, points) <= 0)
    assert filled.flatten(1).any(dim=1).all()


def test_points_lie_on_the_surface_with_their_normals_and_parts(solids, clouds):
    assert clouds.points.shape == (12, 600, 3)
    assert distance(solids, clouds.points).abs().max() < 2e-3
    torch.testing.assert_close(clouds.normals.norm(dim=-1), torch.ones(12, 600))
    assert torch.equal(clouds.parts, part_labels(solids, clouds.points))
    assert torch.equal(clouds.normals, normals(solids, clouds.points))
    outwards = distance(solids, clouds.points + 0.005 * clouds.normals) > 0
    assert outwards.float().mean() > 0.98


def test_same_seed_same_points(solids, clouds):
    again = surface_points(solids, 600, generator=make_generator(0))
    assert torch.equal(again.points, clouds.points)


def area(mesh):
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    return torch.linalg.cross(b - a, c - a).norm(dim=-1) / 2


def test_all_areas_get_their_share_of_points(solids):
    """The share of each part's points is its share of the area of a fine mesh."""
    clouds = surface_points(solids, 4000, generator=make_generator(1))
    for row in (CATEGORIES.index(name) for name in ("chair", "bed", "mug", "jug", "sofa")):
        mesh = marching_mesh(solids[row], 96)
        middles = mesh.vertices[mesh.faces].mean(dim=1)
        labels = part_labels(solids[row], middles[None])[0]
        expected = torch.zeros(4).index_add(0, labels, area(mesh)) / area(mesh).sum()
        share = clouds.parts[row].bincount(minlength=4) / 4000
        assert (share - expected).abs().max() < 0.04


@pytest.mark.parametrize("row", range(12), ids=CATEGORIES)
def test_a_mesh_is_closed_faces_outwards_and_holds_the_volume(solids, row):
    mesh = marching_mesh(solids[row], 64)
    edges = torch.cat([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    forth, back = (edges[:, i] * len(mesh.vertices) + edges[:, j] for i, j in ((0, 1), (1, 0)))
    assert torch.equal(forth.sort().values, back.sort().values)  # each edge once each way
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    volume = (a * torch.linalg.cross(b, c)).sum() / 6
    points = torch.rand(1, 60_000, 3, generator=make_generator(0)) * 2 - 1
    filled = (distance(solids[row], points) <= 0).float().mean() * 8
    assert abs(volume - filled) < 0.12 * filled
    assert distance(solids[row], mesh.vertices[None]).abs().max() < 2 / 64


def test_partial_points_are_what_the_camera_sees(solids):
    cameras = orbit_cameras(torch.linspace(0, 330, 12), height=48, width=48)
    clouds = partial_points(solids, 300, cameras, generator=make_generator(0))
    assert distance(solids, clouds.points).abs().max() < 6e-3
    towards = torch.nn.functional.normalize(cameras.centre[:, None] - clouds.points, dim=-1)
    assert ((clouds.normals * towards).sum(-1) > -0.05).float().mean() > 0.99
    way = torch.linspace(0.02, 1, 50)[:, None, None, None]
    path = clouds.points + way * (cameras.centre[:, None] - clouds.points) * 0.5
    free = torch.stack([distance(solids, step) for step in path]).amin(dim=0) > -0.01
    assert free.float().mean() > 0.99


def test_noise_is_as_strong_as_asked(solids):
    cameras = orbit_cameras(torch.zeros(12), height=32, width=32)
    exact, noisy = (
        partial_points(solids, 500, cameras, generator=make_generator(0), noise=noise)
        for noise in (0.0, 0.03)
    )
    error = (noisy.points - exact.points).norm(dim=-1)
    assert 0.027 < error.pow(2).mean().sqrt() < 0.033


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: surface_points(s, 0, generator=make_generator(0)), "count is 0"),
        (lambda s: grid_distances(s, 0), "resolution is 0"),
        (lambda s: marching_mesh(s, 16), "12 solids"),
        (lambda s: marching_mesh(s[4], 1), "nothing inside"),
        (
            lambda s: partial_points(
                s, 9, orbit_cameras(torch.zeros(12)), generator=make_generator(0), noise=-1
            ),
            "noise is -1",
        ),
        (
            lambda s: partial_points(
                s, 9, orbit_cameras(torch.zeros(12), away=30.0), generator=make_generator(0)
            ),
            "sees nothing",
        ),
    ],
)
def test_bad_input_gets_one_clear_error(solids, call, message):
    with pytest.raises(ValueError, match=message):
        call(solids)
