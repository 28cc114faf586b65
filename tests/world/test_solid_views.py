"""Laws of views: depth is where the ray meets the surface, a stereo pair shows the same spots."""

import pytest
import torch
from torch.nn import functional

from mmlib.runtime import make_generator
from mmlib.world.cameras import orbit_cameras
from mmlib.world.solid_views import (
    GROUND_SLOT,
    NOTHING,
    WALL,
    WALL_SLOT,
    sample_solid_scenes,
    scene_cameras,
    single,
    view_scenes,
    view_solids,
    view_stereo,
)
from mmlib.world.solids import distance, part_labels, sample_solids


@pytest.fixture(scope="module")
def solids():
    drawn = sample_solids(12, generator=make_generator(0))
    return drawn[drawn.category.argsort()]


@pytest.fixture(scope="module")
def cameras():
    return orbit_cameras(torch.linspace(0, 330, 12), height=20, width=20)


@pytest.fixture(scope="module")
def view(solids, cameras):
    return view_solids(solids, cameras)


@pytest.fixture(scope="module")
def scenes():
    return sample_solid_scenes(3, generator=make_generator(0))


@pytest.fixture(scope="module")
def pairs(scenes):
    return view_stereo(scenes, scene_cameras(3), 0.2)


def test_a_view_holds_together(view):
    seen = view.depth.isfinite()
    assert seen.flatten(1).any(dim=1).all()
    assert torch.equal(seen, view.slot == 0)
    assert torch.equal(~seen, view.slot == NOTHING)
    assert torch.equal(seen, view.parts >= 0)
    torch.testing.assert_close(view.normals.norm(dim=-1), seen.float(), atol=1e-3, rtol=0)
    assert view.pictures.shape == (12, 3, 20, 20)
    assert view.pictures.min() >= 0
    assert view.pictures.max() <= 1
    assert (view.pictures.amin(dim=1)[~seen] == 1).all()


def test_depth_is_the_first_point_inside_along_the_ray(solids, cameras, view):
    """Brute force: many points along every ray."""
    rays = cameras.rays().flatten(1, 2)
    along = torch.linspace(2.6, 5.4, 560)
    first = torch.full(rays.shape[:2], torch.inf)
    for way in along.flip(0):
        inside = distance(solids, cameras.centre[:, None] + way * rays) <= 0
        first = torch.where(inside, way, first)
    forward = cameras.rotation[:, 2, None]
    brute = (first * (rays * forward).sum(-1)).unflatten(1, (20, 20))
    both = brute.isfinite() & view.depth.isfinite()
    assert (brute.isfinite() == view.depth.isfinite()).float().mean() > 0.99
    assert ((brute - view.depth)[both].abs() < 0.01).float().mean() > 0.98


def test_what_is_seen_lies_on_the_surface_with_its_part(solids, cameras, view):
    seen = view.depth.isfinite().flatten(1)
    points = cameras.unproject(view.depth.nan_to_num(posinf=9)).flatten(1, 2)
    assert distance(solids, points)[seen].abs().max() < 6e-3
    same = part_labels(solids, points) == view.parts.flatten(1)
    assert same[seen].float().mean() > 0.98


def test_a_view_is_the_same_alone_and_in_a_batch(solids, cameras, view):
    alone = view_solids(solids[3:4], orbit_cameras(torch.tensor([90.0]), height=20, width=20))
    torch.testing.assert_close(alone.depth[0], view.depth[3], atol=2e-3, rtol=0)


def test_ground_and_wall_lie_where_they_should(scenes):
    cameras = scene_cameras(3)
    view = view_scenes(scenes, cameras)
    points = cameras.unproject(view.depth)
    assert points[view.slot == GROUND_SLOT][:, 1].abs().max() < 2e-3
    assert (points[view.slot == WALL_SLOT][:, 2] - WALL).abs().max() < 2e-3
    for slot in range(4):
        assert (view.slot == slot).any()


def test_solids_of_a_scene_do_not_touch():
    scenes = sample_solid_scenes(50, generator=make_generator(1), slots=9)
    gap = torch.cdist(scenes.position[..., ::2], scenes.position[..., ::2])
    widest = 1.15 * (scenes.size[:, :, None] + scenes.size[:, None])
    assert (gap + 9 * torch.eye(9) > widest - 0.05).all()


def test_same_seed_same_scenes(scenes, pairs):
    again = sample_solid_scenes(3, generator=make_generator(0))
    assert torch.equal(again.position, scenes.position)
    assert torch.equal(again.paint, scenes.paint)
    torch.testing.assert_close(view_scenes(again, scene_cameras(3)).pictures, pairs.left)


def test_disparity_finds_the_same_spot_in_the_right_picture(pairs):
    height, width = pairs.disparity.shape[1:]
    rows = torch.arange(height)[None, :, None].expand_as(pairs.disparity)
    columns = torch.arange(width) - pairs.disparity
    grid = torch.stack([2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1], dim=-1)
    found = functional.grid_sample(pairs.right, grid, align_corners=True)
    error = (found - pairs.left).abs().mean(dim=1)
    assert error[pairs.visible].mean() < 0.02
    assert 0.7 < pairs.visible.float().mean() < 1
    shuffled = (pairs.right - pairs.left).abs().mean(dim=1)
    assert error[pairs.visible].mean() < 0.4 * shuffled[pairs.visible].mean()


def test_disparity_is_focal_length_times_baseline_over_depth(pairs):
    focal = scene_cameras(1).intrinsics[0, 0, 0]
    torch.testing.assert_close(pairs.disparity * pairs.depth, focal * 0.2 * torch.ones(3, 96, 128))


def test_grain_is_as_strong_as_asked_and_not_the_same_in_both(scenes, pairs):
    noisy = view_stereo(scenes, scene_cameras(3), 0.2, noise=0.03, generator=make_generator(0))
    error = noisy.left - pairs.left
    middle = (pairs.left - 0.5).abs() < 0.3
    assert 0.027 < error[middle].std() < 0.033
    assert not torch.equal(error, noisy.right - pairs.right)
    assert torch.equal(noisy.disparity, pairs.disparity)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: view_scenes(s, scene_cameras(2)), "3 scenes and 2 cameras"),
        (lambda s: view_stereo(s, scene_cameras(3), 0.0), "baseline is 0"),
        (lambda s: view_stereo(s, scene_cameras(3), 0.1, noise=0.1), "no generator"),
        (lambda s: sample_solid_scenes(2, generator=make_generator(0), slots=10), "room for 9"),
    ],
)
def test_bad_input_gets_one_clear_error(scenes, call, message):
    with pytest.raises(ValueError, match=message):
        call(scenes)


def test_a_single_solid_stands_as_it_is(solids):
    scenes = single(solids)
    assert not scenes.ground
    assert scenes.position.abs().max() == 0
