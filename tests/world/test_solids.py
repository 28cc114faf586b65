"""Laws of solids: locked by their seed, made of their parts, true distances."""

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world.solid_forms import Point, box, capsule, cone, cylinder, ring
from mmlib.world.solids import (
    CATEGORIES,
    FAR,
    FLOOR,
    KNOBS,
    PART_NAMES,
    Solids,
    distance,
    normals,
    part_distances,
    part_labels,
    sample_solids,
)


@pytest.fixture(scope="module")
def solids():
    return sample_solids(60, generator=make_generator(0))


def cube(count, solids, *, seed=1):
    return torch.rand(solids, count, 3, generator=make_generator(seed)) * 2.4 - 1.2


def test_same_seed_same_solids_other_seed_others(solids):
    same, other = (sample_solids(60, generator=make_generator(seed)) for seed in (0, 1))
    assert torch.equal(solids.knobs, same.knobs)
    assert torch.equal(solids.category, same.category)
    assert not torch.equal(solids.knobs, other.knobs)


def test_proportions_are_locked():
    """The distance to the origin with all knobs at a half: a changed proportion is noticed."""
    solids = Solids(torch.arange(12), torch.full((12, KNOBS), 0.5))
    expected = [0.64, 0.465, -0.04, 0.06, 0.165, -0.115, -0.2, -0.04, 0.2464, 0.0733, 0.205, 0.0025]
    found = distance(solids, torch.zeros(12, 1, 3))[:, 0]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=0)


def test_categories_are_alike_often_and_can_be_chosen(solids):
    assert solids.category.bincount().tolist() == [5] * len(CATEGORIES)
    drawn = sample_solids(9, generator=make_generator(0), categories=("mug", "jug"), low=0.8)
    assert set(drawn.names) == {"mug", "jug"}
    assert drawn.knobs.min() >= 0.8


def test_a_distance_never_grows_faster_than_the_way(solids):
    one, other = cube(400, 60), cube(400, 60, seed=2)
    other = one + 0.1 * (other - one)
    change = (distance(solids, one) - distance(solids, other)).abs()
    assert (change <= (one - other).norm(dim=-1) + 1e-5).all()


def test_every_solid_fits_and_stands_on_the_floor(solids):
    points = cube(20_000, 1).expand(60, -1, -1)
    inside = distance(solids, points) <= 0
    assert inside.any(dim=1).all()
    assert points[inside].abs().max() < 1
    assert points[inside][:, 1].min() >= FLOOR - 1e-6
    under = points.clone()
    under[..., 1] = FLOOR + 0.001
    assert (distance(solids, under) <= 0).any(dim=1).all()


def test_every_part_has_a_surface_of_its_own(solids):
    points = cube(40_000, 1).expand(60, -1, -1)
    near = distance(solids, points).abs() < 0.05
    labels = part_labels(solids, points)
    for row, name in enumerate(solids.names):
        seen = set(labels[row][near[row]].tolist())
        optional = {3} if name == "chair" else set()  # its arms
        assert set(range(len(PART_NAMES[name]))) - optional <= seen


def test_a_solid_is_the_union_of_its_parts_and_others_are_far(solids):
    points = cube(100, 60)
    parts = part_distances(solids, points)
    assert torch.equal(parts.amin(dim=-1), distance(solids, points))
    for row, name in enumerate(solids.names):
        assert (parts[row, :, len(PART_NAMES[name]) :] == FAR).all()


def test_a_solid_is_the_same_alone_and_in_a_batch(solids):
    points = cube(100, 60)
    torch.testing.assert_close(distance(solids, points)[7:9], distance(solids[7:9], points[7:9]))


def test_normals_are_the_gradient(solids):
    points = cube(300, 60).double().requires_grad_()
    (slope,) = torch.autograd.grad(distance(solids, points).sum(), points)
    ours = normals(solids, points.detach())
    agree = (ours * torch.nn.functional.normalize(slope, dim=-1)).sum(-1)
    assert (agree > 0.999).double().mean() > 0.97  # not where two parts are alike near


FORMS = {
    "box": lambda p: box(p, (0.5, 0.3, 0.4)),
    "rounded box": lambda p: box(p, (0.5, 0.3, 0.4), rounded=0.1),
    "cone": lambda p: cone(p, (0.6, 0.2), 0.5),
    "cylinder": lambda p: cylinder(p, 0.5, 0.4),
    "capsule": lambda p: capsule(p, (0.4, 0.3, 0.2), 0.25),
    "ring": lambda p: ring(p, 0.4, 0.15, stretch=0.2),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_form_is_as_far_as_its_nearest_point_inside(form):
    """Outside, the distance is that to the nearest of many points that are inside."""
    axis = torch.linspace(-0.9, 0.9, 61)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    inside = grid[form(Point(*grid.unbind(-1))) <= 0]
    points = cube(300, 1)[0]
    values = form(Point(*points.unbind(-1)))
    outside = values > 0
    brute = torch.cdist(points[outside], inside).amin(dim=1)
    assert ((brute - values[outside]) > -1e-5).all()
    assert ((brute - values[outside]) < 0.04).all()  # the grid is 0.03 wide


def test_a_cylinder_is_a_straight_cone():
    p = Point(*cube(500, 1)[0].unbind(-1))
    torch.testing.assert_close(cone(p, (0.4, 0.4), 0.3), cylinder(p, 0.4, 0.3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: sample_solids(0, generator=make_generator(0)), "count is 0"),
        (lambda s: sample_solids(3, generator=make_generator(0), categories=("cup",)), "cup"),
        (lambda s: sample_solids(3, generator=make_generator(0), low=0.5, high=0.1), "low is"),
        (lambda s: Solids(s.category, s.knobs + 1), "0 to 1"),
        (lambda s: Solids(s.category, s.knobs * torch.nan), "NaN"),
        (lambda s: Solids(s.category + 12, s.knobs), "0 to 11"),
        (lambda s: Solids(s.category[:3], s.knobs), "whole numbers"),
        (lambda s: distance(s, torch.zeros(2, 5, 3)), "of 2 solids"),
        (lambda s: distance(s, torch.zeros(60, 5, 2)), "need size 3"),
    ],
)
def test_bad_input_gets_one_clear_error(solids, call, message):
    with pytest.raises(ValueError, match=message):
        call(solids)
