"""Two views of a point against OpenCV; representations against brute force, SciPy, scikit-image."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from skimage.measure import find_contours

from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_3d import representations as ours
from mmlib.world.cameras import orbit_cameras
from mmlib.world.solid_samples import cell_middles, marching_mesh, surface_points, voxels
from mmlib.world.solid_views import view_solids
from mmlib.world.solids import CATEGORIES, distance, sample_solids


@pytest.fixture(scope="module")
def mug():
    return sample_solids(1, generator=make_generator(0), categories=("mug",))


@pytest.fixture(scope="module")
def mesh(mug):
    return marching_mesh(mug, 48)


def pair(seed=0, count=30, noise=0.0):
    """Points, two cameras and the points' pixels in both, in double precision."""
    draw = torch.randn(count, 3, generator=make_generator(seed)).double() * 0.5
    cameras = [orbit_cameras(torch.tensor([angle]).double(), width=640, height=480)
               for angle in (10.0, 35.0)]  # fmt: skip
    pixels = [ours.project(draw, camera.matrix[0]) for camera in cameras]
    shake = torch.randn(2, count, 2, generator=make_generator(seed + 100)).double()
    return draw, cameras, [p + noise * s for p, s in zip(pixels, shake, strict=True)]


def test_homogeneous_coordinates_come_back_at_any_scale():
    points = torch.randn(5, 3, generator=make_generator(0))
    scaled = ours.to_homogeneous(points) * torch.tensor([[2.0], [-1], [0.5], [7], [-3]])
    torch.testing.assert_close(ours.from_homogeneous(scaled), points)


def test_projection_is_opencvs():
    points, cameras, pixels = pair()
    for camera, found in zip(cameras, pixels, strict=True):
        theirs, _ = cv2.projectPoints(
            points.numpy(), cv2.Rodrigues(camera.rotation[0].numpy())[0],
            camera.translation[0].numpy(), camera.intrinsics[0].numpy(), None,
        )  # fmt: skip
        np.testing.assert_allclose(found, theirs[:, 0], atol=1e-9)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_triangulation_is_opencvs(noise):
    points, cameras, pixels = pair(noise=noise)
    found = ours.triangulate(*pixels, *(camera.matrix[0] for camera in cameras))
    theirs = cv2.triangulatePoints(
        *(camera.matrix[0].numpy() for camera in cameras), *(p.T.numpy() for p in pixels)
    )
    np.testing.assert_allclose(found, (theirs[:3] / theirs[3]).T, rtol=1e-6, atol=1e-8)
    if not noise:
        torch.testing.assert_close(found, points)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_the_eight_point_method_is_opencvs(noise):
    _, _, pixels = pair(noise=noise)
    F = ours.eight_point(*pixels)
    theirs, _ = cv2.findFundamentalMat(*(p.numpy() for p in pixels), cv2.FM_8POINT)
    theirs = torch.from_numpy(theirs / np.linalg.norm(theirs))
    sign = torch.sign((F * theirs).sum())
    torch.testing.assert_close(F * sign, theirs, atol=1e-6, rtol=1e-3)
    assert abs(torch.linalg.det(F)) < 1e-12


def test_exact_pairs_give_the_cameras_own_matrix():
    _, cameras, pixels = pair()
    F, truth = ours.eight_point(*pixels), ours.fundamental(*cameras)
    torch.testing.assert_close(F * torch.sign((F * truth).sum()), truth, atol=1e-8, rtol=1e-4)
    assert ours.epipolar_distance(truth, *pixels).max() < 1e-8


def test_normalising_helps_where_pixels_are_noisy():
    worse = 0
    for seed in range(10):
        _, _, exact = pair(seed, count=20)
        _, _, noisy = pair(seed, count=20, noise=0.5)
        error = [
            ours.epipolar_distance(ours.eight_point(*noisy, normalise=normalise), *exact).mean()
            for normalise in (True, False)
        ]
        worse += error[1] > 2 * error[0]
    assert worse >= 7


def test_a_normalised_set_has_mean_zero_and_mean_distance_root_two():
    _, _, (pixels, _) = pair()
    moved = ours.from_homogeneous(ours.to_homogeneous(pixels) @ ours.normaliser(pixels).T)
    torch.testing.assert_close(moved.mean(0), torch.zeros(2).double(), atol=1e-12, rtol=0)
    assert moved.norm(dim=1).mean() == pytest.approx(2**0.5)


def test_chamfer_is_brute_force_and_scipys():
    first, second = (torch.randn(n, 3, generator=make_generator(n)).double() for n in (40, 25))
    brute = [
        sum(min(float((a - b).norm()) for b in others) for a in points) / len(points)
        for points, others in ((first, second), (second, first))
    ]
    theirs = [cKDTree(q).query(p)[0].mean() for p, q in ((first, second), (second, first))]
    assert float(ours.chamfer(first, second)) == pytest.approx(sum(brute) / 2)
    assert sum(theirs) == pytest.approx(sum(brute))
    assert ours.chamfer(first, second) == ours.chamfer(second, first)
    assert ours.chamfer(first, first.flip(0)) == 0


def test_overlap_counts_cells():
    first, second = (torch.zeros(2, 2, 2, dtype=torch.bool) for _ in range(2))
    first[0], second[:, 0] = True, True
    assert ours.voxel_iou(first, second) == 2 / 6
    assert ours.voxel_iou(first, first) == 1


def segments(lines):
    return {frozenset(tuple(np.round(end, 5)) for end in line) for line in lines}


@pytest.mark.parametrize("seed", range(4))
def test_marching_squares_is_scikit_images(seed):
    """Random values: all sixteen patterns, the ambiguous ones too."""
    values = np.random.default_rng(seed).normal(size=(17, 23))
    theirs = [line for path in find_contours(values, 0.1) for line in pairwise(path)]
    found = ours.marching_squares(torch.from_numpy(values), 0.1)
    assert segments(found.numpy()) == segments(theirs)
    assert len(found) == len(theirs)


def test_carving_keeps_the_shape_and_more_views_carve_more(mug):
    shares = []
    for count in (1, 4, 12):
        cameras = orbit_cameras(
            torch.arange(count) * 140.0,
            elevation=torch.tensor([30.0, 75.0, -40.0] * 4)[:count],
            height=96,
            width=96,
        )
        views = view_solids(mug[torch.zeros(count, dtype=torch.long)], cameras)
        carved = ours.carve(views.depth, cameras, 32)
        truth = voxels(mug, 32)[0]
        deep = (distance(mug, cell_middles(32).reshape(1, -1, 3)) < -0.03).reshape(32, 32, 32)
        assert carved[deep].all()
        shares.append(ours.voxel_iou(carved, truth))
    assert shares[0] < shares[1] < shares[2]


def test_points_on_a_mesh_get_a_share_of_their_faces_area():
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 3]])
    faces = torch.tensor([[0, 1, 2], [0, 1, 3]])
    points = ours.sample_mesh(vertices, faces, 4000, generator=make_generator(0))
    flat = points[:, 2] == 0
    assert abs(flat.float().mean() - 0.25) < 0.03
    middle = torch.tensor([[1 / 3, 1 / 3, 0], [1 / 3, 0, 1]])
    found = torch.stack([points[flat].mean(0), points[~flat].mean(0)])
    torch.testing.assert_close(found, middle, atol=0.05, rtol=0)


def test_the_inside_of_a_mesh_is_the_inside_of_its_shape(mug, mesh):
    filled, truth = ours.fill_mesh(*mesh, 24), voxels(mug, 24)[0]
    away = distance(mug, cell_middles(24).reshape(1, -1, 3)).reshape(24, 24, 24).abs() > 0.02
    assert torch.equal(filled[away], truth[away])
    turned = mesh.faces.clone()
    turned[::2] = turned[::2].flip(1)
    assert torch.equal(ours.fill_mesh(mesh.vertices, turned, 24), filled)


def test_fitted_knobs_give_the_shape_again(mug):
    points = surface_points(mug, 400, generator=make_generator(0)).points[0]
    found = ours.fit_knobs(points, CATEGORIES.index("mug"), generator=make_generator(1), steps=200)
    assert distance(found, points[None]).abs().mean() < 0.01


def test_the_network_overfits_one_batch_and_the_same_seed_gives_the_same(mug):
    points = torch.rand(400, 3, generator=make_generator(0)) * 2 - 1
    batch = (points, distance(mug, points[None])[0])
    results = []
    for _ in range(2):
        torch.manual_seed(0)
        model = ours.ImplicitShape()
        before = ours.implicit_loss(model, batch)
        fit(model, [batch], ours.implicit_loss, generator=make_generator(0), steps=300,
            learning_rate=3e-3, progress=False)  # fmt: skip
        results.append(ours.implicit_loss(model, batch))
    assert results[0] < 0.25 * before
    assert results[0] == results[1]


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    model = ours.ImplicitShape()
    points = torch.rand(200, 3, generator=make_generator(0)) * 0.1
    ours.implicit_loss(model, (points, torch.zeros(200))).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_the_loss_does_not_care_far_from_the_surface():
    class Far(torch.nn.Module):
        def forward(self, points):
            return torch.full((len(points),), 0.5)

    truth = torch.tensor([0.3, 0.9, -0.3])
    assert ours.implicit_loss(Far(), (torch.zeros(3, 3), truth)) == pytest.approx(0.2 / 3)


P = torch.eye(3, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: ours.project(torch.tensor([[0.0, 0, -1]]), P), "1 of 1 points lie behind"),
        (lambda m: ours.triangulate(torch.ones(3, 2), torch.ones(3, 2), P, P), "baseline"),
        (lambda m: ours.eight_point(torch.ones(7, 2), torch.ones(7, 2)), "7 pairs"),
        (lambda m: ours.chamfer(torch.zeros(0, 3), torch.ones(1, 3)), "first is empty"),
        (lambda m: ours.chamfer(torch.ones(1, 3) * torch.nan, torch.ones(1, 3)), "NaN"),
        (lambda m: ours.voxel_iou(torch.ones(2), torch.ones(3)), "must be equal"),
        (lambda m: ours.fill_mesh(m.vertices, m.faces[1:], 8), "3 of .* edges"),
        (lambda m: ours.marching_squares(torch.full((3, 3), torch.nan)), "NaN"),
    ],
)
def test_bad_input_gets_one_clear_error(mesh, call, message):
    with pytest.raises(ValueError, match=message):
        call(mesh)


def test_pairs_on_one_plane_are_refused():
    points, cameras, _ = pair()
    points[:, 2] = 0
    pixels = [ours.project(points, camera.matrix[0]) for camera in cameras]
    with pytest.raises(ValueError, match="one plane"):
        ours.eight_point(*pixels)


def test_one_point_is_its_own_distance_away():
    assert ours.chamfer(torch.zeros(1, 3), torch.tensor([[3.0, 4, 0]])) == 5
