"""Refocusing: matching by brute force, the lens by rays, blur by laws, scores by scikit-image."""

import itertools

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mmlib.runtime import make_generator
from mmlib.vision_3d import refocus
from mmlib.world import solid_views

LENS = {"focus": 10.0, "aperture": 0.6}


def numbers(*shape, seed=0):
    return torch.rand(shape, generator=make_generator(seed))


SMALL = numbers(1, 3, 8, 8)


@pytest.fixture(scope="module")
def scene():
    """Return a scene, its camera and its stereo pair, 48 × 64 pixels."""
    scenes = solid_views.sample_solid_scenes(1, generator=make_generator(5))
    cameras = solid_views.scene_cameras(1, height=48, width=64)
    return scenes, cameras, solid_views.view_stereo(scenes, cameras, 1.0)


def test_census_says_which_neighbours_are_darker():
    picture = numbers(1, 3, 6, 7)
    found, grey = refocus.census(picture), picture.mean(1)[0]
    places = [p for p in itertools.product(range(-2, 3), repeat=2) if p != (0, 0)]
    for number, (down, right) in enumerate(places):
        for y, x in itertools.product(range(2, 4), range(2, 5)):
            assert found[0, number, y, x] == (grey[y + down, x + right] < grey[y, x])


def test_the_census_does_not_change_with_exposure():
    picture = numbers(1, 3, 8, 8)
    assert torch.equal(refocus.census(picture), refocus.census(0.5 * picture + 0.25))


def test_costs_compare_pixel_with_pixel():
    left, right = numbers(2, 3, 8, 9), numbers(2, 3, 8, 9, seed=1)
    costs = refocus.cost_volume(left, right, 4)
    one, two = refocus.census(left), refocus.census(right)
    for d, y, x in itertools.product(range(4), range(8), range(9)):
        expected = (one[1, :, y, x] != two[1, :, y, x - d]).sum() if x >= d else 24
        assert costs[1, d, y, x] == expected


def test_a_path_ends_at_the_least_energy_of_all_disparities():
    """Along one line the recursion is dynamic programming: it equals trying everything."""
    p1, p2, costs = 0.4, 1.1, 3 * numbers(1, 4, 1, 6)
    found = refocus.path_costs(costs, (0, 1), p1=p1, p2=p2)[0, :, 0]

    def energy(disparities):
        steps = [abs(a - b) for a, b in itertools.pairwise(disparities)]
        change = sum(p1 if step == 1 else p2 if step else 0 for step in steps)
        return change + sum(float(costs[0, d, 0, x]) for x, d in enumerate(disparities))

    for end in range(4):
        least = min(energy((*rest, end)) for rest in itertools.product(range(4), repeat=5))
        taken = sum(float(found[:, x].min()) for x in range(5))  # what was subtracted on the way
        assert float(found[end, 5]) + taken == pytest.approx(least, abs=1e-5)


def test_a_path_in_every_direction_is_the_recursion_pixel_by_pixel():
    costs = 5 * numbers(1, 3, 5, 6)
    for down, right in [(1, 0), (-1, 0), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)]:
        found = refocus.path_costs(costs, (down, right), p1=0.5, p2=2.0)[0]
        for y, x in itertools.product(range(5), range(6)):
            before = y - down, x - right
            if not (0 <= before[0] < 5 and 0 <= before[1] < 6):
                assert torch.equal(found[:, y, x], costs[0, :, y, x])
                continue
            last = found[:, before[0], before[1]]
            for d in range(3):
                ways = [float(last[d]), float(last.min()) + 2.0]
                ways += [float(last[e]) + 0.5 for e in (d - 1, d + 1) if 0 <= e < 3]
                expected = float(costs[0, d, y, x]) + min(ways) - float(last.min())
                assert float(found[d, y, x]) == pytest.approx(expected, abs=1e-5)


def test_aggregation_is_the_sum_over_directions_and_turns_with_the_picture():
    costs = numbers(1, 4, 6, 6)
    whole = refocus.aggregate(costs, p1=0.3, p2=0.9)
    turned = refocus.aggregate(costs.rot90(1, (2, 3)), p1=0.3, p2=0.9)
    assert torch.allclose(whole.rot90(1, (2, 3)), turned, atol=1e-5)
    assert (refocus.aggregate(costs, p1=0.3, p2=0.9, paths=4) < whole + 1e-6).all()


def test_a_parabola_finds_the_lowest_point_between_two_disparities():
    d = torch.arange(8.0)
    costs = (d - 3.3).square()[None, :, None, None].expand(1, 8, 2, 2)
    assert torch.allclose(refocus.best_disparity(costs), torch.tensor(3.3), atol=1e-5)


def test_holes_take_the_farther_neighbour_of_their_row():
    disparity = torch.tensor([[[5.0, 9.0, 0.0, 0.0, 2.0], [0.0, 0.0, 4.0, 0.0, 0.0]]])
    known = torch.tensor([[[1, 1, 0, 0, 1], [0, 0, 1, 0, 0]]]).bool()
    expected = [[[5.0, 9.0, 2.0, 2.0, 2.0], [4.0] * 5]]
    assert refocus.fill_occluded(disparity, known).tolist() == expected


def test_a_shifted_picture_is_matched():
    left = numbers(1, 3, 24, 40)
    right = torch.cat([left[..., 6:], numbers(1, 3, 24, 6, seed=2)], dim=-1)
    costs = refocus.aggregate(refocus.cost_volume(left, right, 12))
    assert (refocus.best_disparity(costs)[:, 3:-3, 10:-10].round() == 6).all()
    assert refocus.seen_twice(costs)[:, :, 10:-10].all()


def test_what_a_nearer_thing_hides_is_not_seen_twice():
    """A square at disparity 12 stands before a wall at 2: it hides ten columns of the wall."""
    wall, square = numbers(1, 3, 40, 72), numbers(1, 3, 20, 20, seed=1)
    left, right = wall[..., :70].clone(), wall[..., 2:].clone()
    left[..., 10:30, 36:56], right[..., 10:30, 24:44] = square, square
    costs = refocus.aggregate(refocus.cost_volume(left, right, 16))
    twice = refocus.seen_twice(costs)[0, 14:26].double()
    hidden, seen = twice[:, 27:35], twice[:, [*range(18, 25), *range(38, 54), *range(58, 68)]]
    assert float(seen.mean()) > 0.95
    assert float(hidden.mean()) < 0.3
    found = refocus.match_stereo(left, right, 16)[0, 14:26, 27:35]
    assert float((found < 6).double().mean()) > 0.95  # filled from the wall, not from the square


def test_stereo_finds_the_depth_of_a_scene(scene):
    pair = scene[2]
    raw = refocus.best_disparity(refocus.cost_volume(pair.left, pair.right, 32))
    found = refocus.match_stereo(pair.left, pair.right, 32)
    smooth = refocus.share_within(found, pair.disparity, pair.visible)
    assert smooth > 0.9
    assert smooth > refocus.share_within(raw, pair.disparity, pair.visible)


# --- the lens --------------------------------------------------------------------------------


@pytest.mark.parametrize("diameter", [3.7, 9.0, 14.0])
def test_a_disc_is_even_and_sums_to_one(diameter):
    kernel = refocus.disc(diameter)
    assert float(kernel.sum()) == pytest.approx(1)
    assert torch.allclose(kernel, kernel.T)
    assert torch.allclose(kernel, kernel.flip(0))
    area = np.pi / 4 * diameter**2
    assert float(1 / kernel.max()) == pytest.approx(area, rel=0.05)


def test_a_disc_of_one_pixel_blurs_nothing():
    picture = numbers(1, 3, 6, 6)
    for diameter in (0.0, 0.4, 1.0):
        assert torch.allclose(refocus.blur(picture, diameter), picture, atol=1e-6)


def test_what_is_in_focus_stays_and_a_pinhole_blurs_nothing():
    picture = numbers(1, 3, 12, 14)
    flat = torch.full((1, 12, 14), 5.0)
    for method in (refocus.gather_blur, refocus.layered_blur):
        assert torch.allclose(method(picture, flat, focus=5.0, aperture=2.0), picture, atol=1e-5)
        depth = 4 + numbers(1, 12, 14, seed=1)
        found = method(picture, depth, focus=0.0, aperture=0.0)
        assert torch.allclose(found, picture, atol=1e-4)


def test_a_flat_scene_out_of_focus_gets_one_disc():
    picture, flat = numbers(1, 3, 16, 16), torch.full((1, 16, 16), 8.0)
    expected = refocus.blur(picture, 4.0)
    for method in (refocus.gather_blur, refocus.layered_blur):
        assert torch.allclose(method(picture, flat, focus=6.0, aperture=2.0), expected, atol=1e-4)


def test_only_layers_keep_a_sharp_thing_out_of_the_blur_around_it():
    """A white bar in focus before a black wall: the wall's blur must not drag white in."""
    picture, disparity = torch.zeros(1, 3, 24, 24), torch.full((1, 24, 24), 2.0)
    picture[..., 10:14], disparity[..., 10:14] = 1.0, 10.0
    lens = {"focus": 10.0, "aperture": 1.0}
    halo = refocus.gather_blur(picture, disparity, **lens)[..., 8].mean()
    layered = refocus.layered_blur(picture, disparity, **lens)
    assert float(halo) > 0.2
    assert float(layered[..., 8].mean()) < 0.02
    assert torch.allclose(layered[..., 10:14], torch.tensor(1.0), atol=1e-3)


def test_layers_are_nearest_to_the_rays_through_a_lens(scene):
    scenes, cameras, pair = scene
    truth = refocus.thin_lens(scenes, cameras, baseline=1.0, points=24, **LENS)
    pinhole = solid_views.view_scenes(scenes, cameras).pictures
    found = [
        refocus.psnr(picture, truth)
        for picture in (
            pinhole,
            refocus.gather_blur(pinhole, pair.disparity, **LENS),
            refocus.layered_blur(pinhole, pair.disparity, **LENS),
        )
    ]
    assert found[0] + 2 < found[1] < found[2]


def test_a_lens_without_size_is_the_pinhole_camera(scene):
    scenes, cameras, _ = scene
    found = refocus.thin_lens(scenes, cameras, baseline=1.0, focus=9.0, aperture=0.0, points=1)
    assert torch.allclose(found, solid_views.view_scenes(scenes, cameras).pictures, atol=1e-5)


def test_the_lens_is_covered_evenly():
    points = refocus.lens_points(400)
    assert float(points.norm(dim=1).max()) < 0.5
    assert torch.allclose(points.mean(dim=0), torch.zeros(2), atol=0.01)
    assert float((points.norm(dim=1) < 0.25).double().mean()) == pytest.approx(0.25, abs=0.01)


# --- one picture, and the scores -------------------------------------------------------------


def test_a_factor_costs_nothing_when_the_loss_ignores_scale():
    truth = numbers(2, 6, 6)
    assert float(refocus.scale_invariant_loss(truth + 0.7, truth, share=1.0)) < 1e-6
    found = float(refocus.scale_invariant_loss(truth + 0.7, truth, share=0.5))
    assert found == pytest.approx(0.5 * 0.49, abs=1e-5)


def test_the_depth_network_keeps_the_size_and_every_weight_learns():
    torch.manual_seed(0)
    network = refocus.DepthNet(8)
    picture = numbers(2, 3, 16, 24)
    depth = network(picture)
    assert depth.shape == (2, 16, 24)
    refocus.scale_invariant_loss(depth, numbers(2, 16, 24)).backward()
    assert all(bool(weight.grad.abs().sum() > 0) for weight in network.parameters())


def test_scores_are_those_of_scikit_image():
    one, two = numbers(2, 3, 20, 24), numbers(2, 3, 20, 24, seed=1) * 0.6
    pairs = [(a.double().numpy(), b.double().numpy()) for a, b in zip(one, two, strict=True)]
    theirs = np.mean(
        [structural_similarity(a, b, channel_axis=0, data_range=1.0) for a, b in pairs]
    )
    assert refocus.ssim(one.double(), two.double()) == pytest.approx(theirs, abs=1e-6)
    noise = peak_signal_noise_ratio(two.numpy(), one.numpy(), data_range=1.0)
    assert refocus.psnr(one, two) == pytest.approx(noise, abs=1e-3)


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (
            lambda: refocus.cost_volume(numbers(1, 3, 8, 8), numbers(1, 3, 8, 9), 4),
            ValueError,
            "crop",
        ),
        (lambda: refocus.cost_volume(SMALL, SMALL, 9), ValueError, "8 columns"),
        (lambda: refocus.aggregate(numbers(1, 4, 5, 5), p1=2, p2=1), ValueError, "0 < p1 < p2"),
        (lambda: refocus.aggregate(numbers(1, 4, 5, 5), paths=5), ValueError, "4 or 8"),
        (lambda: refocus.census(numbers(1, 1, 8, 8)), ValueError, "pictures"),
        (lambda: refocus.census(SMALL * torch.nan), ValueError, "pictures"),
        (
            lambda: refocus.layered_blur(SMALL, numbers(1, 8, 7), **LENS),
            ValueError,
            "disparity",
        ),
        (
            lambda: refocus.layered_blur(SMALL, numbers(1, 8, 8), layers=1, **LENS),
            ValueError,
            "2 or more",
        ),
        (
            lambda: refocus.blur_diameter(numbers(3), focus=1.0, aperture=-1.0),
            ValueError,
            "aperture is -1.0",
        ),
        (lambda: refocus.DepthNet(8)(numbers(1, 3, 12, 16)), ValueError, "multiples of 8"),
    ],
)
def test_bad_input_is_refused(call, error, told):
    with pytest.raises(error, match=told):
        call()
