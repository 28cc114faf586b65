"""Recognition: representations by their definitions, the papers' layers, laws of invariance."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_3d import recognition
from mmlib.vision_3d.recognition import EXTENT, MultiViewCNN, PointNet, VoxNet
from mmlib.world.cameras import orbit_cameras
from mmlib.world.solids import CATEGORIES

MODELS = {"voxels": VoxNet, "points": PointNet, "views": MultiViewCNN}


@pytest.fixture(scope="module")
def scans():
    return recognition.make_scans(24, generator=make_generator(0), points=128)


def make(name, **options):
    torch.manual_seed(0)
    return MODELS[name](**options).eval()


def test_scans_have_each_category_twice_and_repeat_with_the_seed(scans):
    again = recognition.make_scans(24, generator=make_generator(0), points=128)
    assert all(torch.equal(*pair) for pair in zip(scans, again, strict=True))
    assert scans.labels.bincount().tolist() == [2] * len(CATEGORIES)
    assert scans.points.shape == scans.normals.shape == (24, 128, 3)


def test_partial_scans_show_only_the_side_of_one_camera():
    azimuth = torch.arange(0, 360, 10.0)
    eyes = orbit_cameras(azimuth, elevation=20.0).centre
    share = {}
    for partial in (True, False):
        scans = recognition.make_scans(12, generator=make_generator(1), points=64, partial=partial)
        towards = eyes[:, None, None] - scans.points
        facing = (towards * scans.normals).sum(-1) > 0  # (azimuths, shapes, points)
        share[partial] = facing.float().mean(dim=-1).amax(dim=0)
    assert share[True].min() > 0.95
    assert share[False].max() < 0.9


def test_turning_is_scipys_rotation_about_y(scans):
    angle = torch.linspace(-4, 4, 24)
    found = recognition.turn(scans.points, angle)
    for one, points, value in zip(found, scans.points, angle, strict=True):
        expected = Rotation.from_euler("y", float(value)).apply(points.numpy())
        np.testing.assert_allclose(one.numpy(), expected, atol=1e-5)
    assert found.norm(dim=-1).sub(scans.points.norm(dim=-1)).abs().max() < 1e-5


def test_every_solid_stays_in_the_cube_however_it_is_turned(scans):
    for angle in torch.arange(0, 2 * math.pi, 0.3):
        turned = recognition.turn(scans.points, angle.expand(24))
        assert turned.abs().max() < EXTENT


def test_hit_grid_is_numpys_histogram(scans):
    found = recognition.hit_grid(scans.points, 16)
    for grid, points in zip(found, scans.points, strict=True):
        count, _ = np.histogramdd(points.numpy(), bins=16, range=[(-EXTENT, EXTENT)] * 3)
        assert np.array_equal(grid[0].numpy() > 0, count > 0)


def test_points_outside_the_grid_count_for_nothing():
    points = torch.tensor([[[5.0, 0, 0], [0, -5, 0], [0.01, 0.01, 0.01]]])
    assert recognition.hit_grid(points, 4).sum() == 1


def test_the_nearest_point_of_a_pixel_is_drawn():
    front, behind = torch.tensor([0.0, 0.0, 0.5]), torch.tensor([0.0, 0.0, -0.5])
    for order in ([front, behind], [behind, front]):
        view = recognition.depth_views(torch.stack(order)[None], views=2, size=16)[0]
        alone = recognition.depth_views(front[None, None], views=2, size=16)[0]
        assert torch.isclose(view[0].max(), alone[0].max())
    assert (alone[0] > 0).sum() == 4  # 2 × 2 pixels


def test_views_of_a_shape_turned_by_one_step_are_the_next_views(scans):
    views = recognition.depth_views(scans.points[:4].double(), views=12)
    step = torch.full((4,), 2 * math.pi / 12, dtype=torch.float64)
    turned = recognition.depth_views(recognition.turn(scans.points[:4].double(), step), views=12)
    same = (turned - views.roll(1, dims=1)).abs() < 1e-6
    assert same.float().mean() > 0.99  # but for points on the edge of a pixel


def test_shape_distribution_is_a_histogram_that_no_turn_changes(scans):
    turned = recognition.turn(scans.points, torch.linspace(0, 6, 24)) * torch.tensor([-1.0, 1, 1])
    first, second = (
        recognition.shape_distribution(points, generator=make_generator(3), bins=16)
        for points in (scans.points, turned + 7)
    )
    assert torch.allclose(first.sum(dim=1), torch.ones(24), atol=1e-5)
    assert (first - second).abs().sum(dim=1).max() < 0.01  # rounding at the edges of bins
    pick = torch.randint(128, (2, 4096), generator=make_generator(3))
    apart = (scans.points[0, pick[0]] - scans.points[0, pick[1]]).norm(dim=-1)
    expected, _ = np.histogram(apart.numpy(), bins=16, range=(0, recognition.FARTHEST))
    assert np.abs(first[0].numpy() * 4096 - expected).max() <= 2


def test_nearest_neighbour_is_scikit_learns(scans):
    from sklearn.neighbors import KNeighborsClassifier

    features = torch.rand(24, 8, generator=make_generator(2))
    model = KNeighborsClassifier(1, metric="manhattan").fit(features[:16], scans.labels[:16])
    found = recognition.nearest_neighbour(features[:16], scans.labels[:16], features[16:])
    assert found.tolist() == model.predict(features[16:]).tolist()


def test_full_size_models_have_the_papers_numbers_of_weights():
    voxnet = VoxNet(40, resolution=32)
    # 32 · 5³ + 32, 32 · 32 · 3³ + 32, 32 · 6³ · 128 + 128, 128 · 40 + 40
    assert sum(w.numel() for w in voxnet.parameters()) == 4032 + 27680 + 884864 + 5160
    pointnet = PointNet(40, widths=(64, 64, 64, 128, 1024), head=(512, 256))
    linear = [layer for layer in pointnet.modules() if isinstance(layer, torch.nn.Linear)]
    sizes = [3, 64, 64, 64, 128, 1024, 512, 256, 40]
    assert [layer.weight.shape for layer in linear] == [(b, a) for a, b in pairwise(sizes)]


def test_pointnet_does_not_know_the_order_of_points(scans):
    model = make("points")
    order = torch.randperm(128, generator=make_generator(4))
    assert torch.allclose(model(scans.points), model(scans.points[:, order]), atol=1e-5)


def test_no_model_knows_the_order_of_points_or_counts_one_twice(scans):
    order = torch.randperm(128, generator=make_generator(4))
    twice = torch.cat([scans.points[:, order], scans.points[:, :50]], dim=1)
    for name in MODELS:
        model = make(name)
        assert torch.allclose(model(scans.points), model(twice), atol=1e-4), name


def test_critical_points_alone_give_the_same_answer(scans):
    model = make("points")
    needed = recognition.critical_points(model, scans.points)
    for points, keep in zip(scans.points, needed, strict=True):
        assert 0 < keep.sum() < 128
        alone, whole = model(points[None, keep]), model(points[None])
        assert torch.allclose(alone, whole, atol=1e-5)


def test_multi_view_does_not_know_which_view_came_first(scans):
    model = make("views")
    step = torch.full((24,), 2 * math.pi / 12, dtype=torch.float64)
    double = model.double()
    first = double(scans.points.double())
    second = double(recognition.turn(scans.points.double(), step))
    assert (first - second).abs().max() < 0.05 * first.std()


def test_voxnet_is_its_layers_one_by_one(scans):
    model = make("voxels")
    layers = torch.nn.Sequential(
        model.conv1, torch.nn.LeakyReLU(0.1), model.conv2, torch.nn.LeakyReLU(0.1),
        torch.nn.MaxPool3d(2), torch.nn.Flatten(), model.dense, torch.nn.ReLU(), model.output,
    )  # fmt: skip
    expected = layers(recognition.hit_grid(scans.points, 16))
    assert torch.allclose(model(scans.points), expected, atol=1e-5)


def test_normals_are_three_more_channels(scans):
    model = make("points", channels=6)
    assert model(torch.cat([scans.points, scans.normals], dim=-1)).shape == (24, 12)
    with pytest.raises(ValueError, match="need size 6"):
        model(scans.points)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_every_weight(name, scans):
    model = make(name).train()
    recognition.recognition_loss(model, (scans.points, scans.labels)).backward()
    for key, weight in model.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", MODELS)
def test_overfits_one_batch_alike_with_the_same_seed(name, scans):
    losses = []
    for _ in range(2):
        model = make(name)
        run = fit(
            model,
            [(scans.points, scans.labels)],
            recognition.recognition_loss,
            generator=make_generator(0),
            steps=60,
            learning_rate=3e-3,
            progress=False,
        )
        losses.append(run.losses)
    assert losses[0] == losses[1]
    assert (recognition.recognise(model, scans.points) == scans.labels).float().mean() > 0.9


def test_the_turned_loss_is_the_plain_one_for_what_turns_do_not_change():
    on_axis = torch.zeros(5, 16, 3)
    on_axis[..., 1] = torch.linspace(-0.9, 0.9, 16)  # the vertical itself
    batch = (on_axis, torch.arange(5))
    for name in MODELS:
        model = make(name)
        plain = recognition.recognition_loss(model, batch)
        assert torch.isclose(recognition.turned_loss(model, batch), plain, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_bad_points_get_one_clear_error(name):
    model = make(name)
    with pytest.raises(ValueError, match="empty"):
        model(torch.zeros(2, 0, 3))
    with pytest.raises(ValueError, match="has 2 axes"):
        model(torch.zeros(5, 3))
    with pytest.raises(ValueError, match="NaN"):
        model(torch.full((1, 4, 3), math.nan))
    assert model(torch.zeros(1, 1, 3)).isfinite().all()  # one point is a cloud, too


def test_bad_options_get_one_clear_error(scans):
    with pytest.raises(ValueError, match="11 or more"):
        VoxNet(resolution=8)
    with pytest.raises(ValueError, match="standard deviation"):
        recognition.jitter(scans.points, -0.1, generator=make_generator(0))
    with pytest.raises(ValueError, match="angle"):
        recognition.turn(scans.points, torch.zeros(3))
    with pytest.raises(ValueError, match="resolution"):
        recognition.hit_grid(scans.points, 0)
