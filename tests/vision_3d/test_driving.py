"""Driving: sums by brute force, projection by OpenCV, arcs by geometry, sensors that fail."""

import math
from functools import partial
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_3d import driving
from mmlib.vision_3d.representations import project
from mmlib.world import street_maps, street_views
from mmlib.world.street_maps import COLUMNS, ROWS, cell_of

CAMERA = street_views.front_camera(height=16, width=32)
LOSS = partial(driving.loss, cameras=CAMERA)


def numbers(*shape, seed=0):
    return torch.rand(shape, generator=make_generator(seed))


@pytest.fixture(scope="module")
def data():
    return street_maps.samples(8, CAMERA, generator=make_generator(0), beams=12)


def driver(seed=0, **options):
    torch.manual_seed(seed)
    return driving.Driver(**options)


def random_points(count=200, seed=0):
    """Return points in and around the map, some of them missing."""
    size = torch.tensor([ROWS + 8.0, COLUMNS + 8.0, 3.0])
    points = numbers(2, count, 3, seed=seed) * size - torch.tensor([4.0, size[1] / 2, 0.5])
    points[:, ::7] = math.nan
    return points


def test_slices_say_where_points_are_at_which_height():
    points, edges = random_points(), driving.SLICES.tolist()
    found = driving.slices(points)
    expected = torch.zeros_like(found)
    for number, cloud in enumerate(points.tolist()):
        for x, y, z in cloud:
            cell = int(cell_of(torch.tensor([x, y])))
            for level, (low, high) in enumerate(pairwise(edges)):
                if cell >= 0 and low < z <= high:
                    expected[number, level, cell // COLUMNS, cell % COLUMNS] = 1
    assert torch.equal(found, expected)
    shuffled = points[:, torch.randperm(points.shape[1], generator=make_generator(1))]
    assert torch.equal(driving.slices(shuffled), found)
    assert not driving.slices(points * math.nan).any()


# --- lift, splat, shoot ----------------------------------------------------------------------


def test_the_frustum_projects_back_onto_its_pixels():
    points = driving.frustum(CAMERA, stride=2)[0]  # (D, h, w, 3)
    for number, depth in enumerate(driving.DEPTHS.tolist()):
        flat = points[number].flatten(0, 1)
        pixels = project(flat, CAMERA.matrix[0]).unflatten(0, points.shape[1:3])
        assert torch.allclose(pixels[3, 5], torch.tensor([10.5, 6.5]), atol=1e-3)
        turn, _ = cv2.Rodrigues(CAMERA.rotation[0].double().numpy())
        matrix, move = CAMERA.intrinsics[0].double().numpy(), CAMERA.translation[0].double().numpy()
        theirs, _ = cv2.projectPoints(flat.double().numpy(), turn, move, matrix, None)
        assert np.allclose(pixels.flatten(0, 1).numpy(), theirs[:, 0], atol=1e-3)
        along = flat @ CAMERA.rotation[0].T + CAMERA.translation[0]
        assert torch.allclose(along[:, 2], torch.tensor(depth), atol=1e-4)


def test_lift_shares_a_pixel_out_over_the_depths():
    depth, context = numbers(2, 15, 3, 4), numbers(2, 5, 3, 4, seed=1)
    lifted = driving.lift(depth, context)
    assert torch.allclose(lifted.sum(dim=2), context, atol=1e-5)
    one, d, y, x = 1, 7, 2, 3
    share = math.exp(depth[one, d, y, x]) / float(depth[one, :, y, x].exp().sum())
    assert torch.allclose(lifted[one, :, d, y, x], share * context[one, :, y, x], atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_splat_adds_up_what_falls_into_a_cell(seed):
    features, points = numbers(2, 3, 60, seed=seed), random_points(60, seed=seed + 1)
    cells = cell_of(points)
    found = driving.splat(features, cells).flatten(2)
    expected = torch.zeros_like(found)
    for batch in range(2):
        for point, cell in enumerate(cells[batch].tolist()):
            if cell >= 0:
                expected[batch, :, cell] += features[batch, :, point]
    assert torch.allclose(found, expected, atol=1e-5)


def test_arcs_lie_on_circles_that_touch_the_x_axis():
    curvatures = torch.tensor([-0.02, 0.0, 0.01])
    points = driving.arcs(curvatures)
    assert torch.allclose(points[1, :, 1], torch.zeros(driving.LENGTH))
    for number in (0, 2):
        middle = torch.tensor([0.0, 1 / float(curvatures[number])])
        away = (points[number] - middle).norm(dim=1)
        assert torch.allclose(away, middle.norm(), rtol=1e-4)
    step = (points[:, 1:] - points[:, :-1]).norm(dim=2)
    assert torch.allclose(step, torch.tensor(1.0), atol=1e-3)


def test_a_path_costs_what_lies_under_it():
    centres = street_maps.cell_centres()
    plane = (0.3 * centres[..., 0] - 0.7 * centres[..., 1] + 2)[None]  # linear: read exactly
    paths = driving.arcs(driving.CURVATURES)
    expected = (0.3 * paths[..., 0] - 0.7 * paths[..., 1] + 2).sum(dim=1)
    assert torch.allclose(driving.path_cost(plane, paths)[0], expected, rtol=1e-4)


# --- the network -----------------------------------------------------------------------------


SYSTEMS = ({}, {"lidar": False}, {"camera": False}, {"early": True}, {"drop": 0.3})


@pytest.mark.parametrize("options", SYSTEMS)
def test_every_weight_learns(data, options):
    model = driver(**options)
    LOSS(model, data).backward()
    assert all(bool(weight.grad.abs().sum() > 0) for weight in model.parameters())


def test_it_overfits_one_batch_and_the_same_seed_does_the_same(data):
    few = tuple(part[:3] for part in data)
    runs = []
    for _ in range(2):
        model = driver()
        history = fit(
            model, [few], LOSS, generator=make_generator(0), steps=60, learning_rate=1e-2,
            progress=False,
        )  # fmt: skip
        runs.append(history.losses)
    assert runs[0] == runs[1]
    assert runs[0][-1] < 0.25 * runs[0][0]
    objects, templates = driving.predict_all(model, few, CAMERA)
    assert driving.best_iou(objects, few[2], few[3]) > 0.8
    assert float(driving.steering_error(driving.steer(templates), few[4]).mean()) < 0.3


def test_a_sensor_that_a_driver_lacks_changes_nothing(data):
    pictures, points, *rest = data
    for options, other in (
        ({"lidar": False}, (pictures, points * math.nan, *rest)),
        ({"camera": False}, (1 - pictures, points, *rest)),
    ):
        model = driver(**options)
        for one, two in zip(
            driving.predict_all(model, data, CAMERA),
            driving.predict_all(model, other, CAMERA),
            strict=True,
        ):
            assert torch.equal(one, two)
        both = driver()
        changed = (
            driving.predict_all(both, other, CAMERA)[0] - driving.predict_all(both, data, CAMERA)[0]
        )
        assert changed.abs().max() > 0


def test_missing_returns_are_padding(data):
    pictures, points, *rest = data
    more = torch.cat([points, torch.full_like(points[:, :50], math.nan)], dim=1)
    for model in (driver(), driver(early=True)):
        one = driving.predict_all(model, data, CAMERA)
        two = driving.predict_all(model, (pictures, more, *rest), CAMERA)
        assert torch.allclose(one[0], two[0], atol=1e-6)


def test_late_fusion_is_the_mean(data):
    camera, lidar = driver(lidar=False), driver(1, camera=False)
    found = driving.predict_all(driving.LateFusion(camera, lidar), data, CAMERA)
    parts = [driving.predict_all(model, data, CAMERA) for model in (camera, lidar)]
    for number in range(2):
        mean = (parts[0][number] + parts[1][number]) / 2
        assert torch.allclose(found[number], mean, atol=1e-5)


def test_sensor_dropout_leaves_one_sensor_and_rests_in_evaluation():
    drop = driving.SensorDropout(0.3)
    pictures, points = numbers(4000, 3, 2, 2) + 0.1, numbers(4000, 5, 3)
    torch.manual_seed(0)
    blind, deaf = drop(pictures, points)
    black = (blind == 0).flatten(1).all(dim=1)
    silent = deaf.isnan().flatten(1).all(dim=1)
    assert not (black & silent).any()
    assert float(black.double().mean()) == pytest.approx(0.3, abs=0.03)
    assert float(silent.double().mean()) == pytest.approx(0.3, abs=0.03)
    assert torch.equal(blind[~black], pictures[~black])
    same = drop.eval()(pictures, points)
    assert same[0] is pictures
    assert same[1] is points


def test_the_depth_picture_holds_the_nearest_point_that_opencv_projects():
    points = random_points()[:, :, :3]
    points[..., 0] = points[..., 0].abs() + 1.5
    found = driving.depth_picture(points, CAMERA)
    turn, _ = cv2.Rodrigues(CAMERA.rotation[0].double().numpy())
    matrix, move = CAMERA.intrinsics[0].double().numpy(), CAMERA.translation[0].double().numpy()
    for number in range(2):
        cloud = points[number][~points[number].isnan().any(dim=1)]
        pixels, _ = cv2.projectPoints(cloud.double().numpy(), turn, move, matrix, None)
        depth = (cloud @ CAMERA.rotation[0].T + CAMERA.translation[0])[:, 2]
        expected = torch.zeros(16, 32)
        for (u, v), z in zip(pixels[:, 0].round().astype(int), depth.tolist(), strict=True):
            if z > 0 and 0 <= u < 32 and 0 <= v < 16:
                expected[v, u] = max(float(expected[v, u]), 1 / z)
        assert torch.allclose(found[number, 0], expected, atol=1e-4)


# --- measuring -------------------------------------------------------------------------------


def test_the_best_threshold_is_the_best_of_all():
    scores = numbers(2, 5, 6).mul(8).round()  # with ties
    truth, known = numbers(2, 5, 6, seed=1) < 0.4, numbers(2, 5, 6, seed=2) < 0.8
    tried = []
    for level in scores.unique():
        found = scores >= level
        both, either = found & truth & known, (found | truth) & known
        tried.append(int(both.sum()) / int(either.sum()))
    assert driving.best_iou(scores, truth, known) == pytest.approx(max(tried))
    assert driving.best_iou(truth.double(), truth, known) == 1


def test_the_loss_ignores_cells_that_do_not_count(data):
    model = driver()
    pictures, points, objects, known, *rest = data
    other = torch.where(known, objects, ~objects)
    assert (other != objects).any()
    assert LOSS(model, data) == LOSS(model, (pictures, points, other, known, *rest))


def test_wheels_turn_left_for_arcs_to_the_left():
    radius = driving.WHEELBASE / math.tan(math.radians(10))
    assert float(driving.wheel_angle(torch.tensor(1 / radius))) == pytest.approx(10, abs=1e-4)
    peaked = torch.full((1, len(driving.CURVATURES)), -100.0)
    peaked[0, -1] = 0.0
    assert torch.allclose(driving.steer(peaked), driving.CURVATURES[-1:])


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: driving.SensorDropout(0.6), "share is 0.6"),
        (lambda: driving.Driver(camera=False, lidar=False), "camera or a lidar"),
        (lambda: driving.Driver(lidar=False, early=True), "both for early"),
        (lambda: driver()(numbers(1, 3, 8, 8), numbers(1, 4, 3), CAMERA), "pictures"),
    ],
)
def test_bad_input_is_refused(call, told):
    with pytest.raises(ValueError, match=told):
        call()
