"""Pictures of single solids and the truth behind them: one frame for all of it."""

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world import shape_views
from mmlib.world.shape_views import AWAY, CATEGORIES, DEEP, FOCAL, GRID, MIDDLE, SIZE
from mmlib.world.solids import distance


@pytest.fixture(scope="module")
def views():
    return shape_views.make_shape_views(9, generator=make_generator(0), points=300)


def channel(views, name):
    return shape_views.select(views, (name,))


def test_the_same_seed_gives_the_same_views_with_each_category_alike_often(views):
    again = shape_views.make_shape_views(9, generator=make_generator(0), points=300)
    for a, b in zip(views[:-1], again[:-1], strict=True):
        assert torch.equal(a, b)
    assert views.category.bincount().tolist() == [3] * len(CATEGORIES)
    assert [CATEGORIES[i] for i in views.category] == views.solids.names


def test_surface_points_lie_on_the_solid_in_the_world(views):
    world = views.points @ views.rotation
    assert distance(views.solids, world).abs().max() < 2e-3
    assert torch.allclose(
        shape_views.to_world(views.points[0], views.rotation[0]), world[0], atol=1e-5
    )


def test_the_depth_of_a_pixel_is_a_point_on_the_surface(views):
    mask, depth = channel(views, "mask")[:, 0] > 0, channel(views, "depth")[:, 0]
    view, v, u = mask.nonzero().unbind(1)
    z = -depth[mask] * DEEP  # in the camera's frame
    point = torch.stack([(u - MIDDLE) * (z + AWAY), (v - MIDDLE) * (z + AWAY), z * FOCAL], 1)
    point = point / FOCAL
    assert torch.allclose(shape_views.project(point), torch.stack([u, v], dim=1).float(), atol=1e-4)
    for number in range(len(views.inputs)):
        some = point[view == number] @ views.rotation[number]
        assert distance(views.solids[number], some[None]).abs().max() < 0.02
        # the camera sees only what faces it
        normal = channel(views, "normals")[number][:, mask[number]].T
        towards = -(point[view == number] + torch.tensor([0, 0, AWAY]))
        assert ((normal * towards).sum(-1) > -0.05).float().mean() > 0.98
    assert (depth[~mask] == 0).all()
    assert (channel(views, "normals").norm(dim=1)[~mask] == 0).all()


def test_the_background_is_drawn_anew_and_the_object_stays_inside(views):
    picture, mask = channel(views, "picture"), channel(views, "mask")[:, 0] > 0
    assert picture.min() >= 0
    assert picture.max() <= 1
    corner = picture[:, :, 0, 0]
    assert torch.pdist(corner).min() > 0.01
    border = torch.ones(SIZE, SIZE, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    assert not mask[:, border].any()


def test_a_column_of_cells_lies_behind_one_patch_of_the_picture():
    middles = shape_views.grid_middles()
    pixel = shape_views.project(middles)
    patch = SIZE / GRID
    expected = (torch.arange(GRID) + 0.5) * patch - 0.5
    assert torch.allclose(
        pixel[..., 0], expected[:, None, None].expand(GRID, GRID, GRID), atol=1e-3
    )
    assert torch.allclose(
        pixel[..., 1], expected[None, :, None].expand(GRID, GRID, GRID), atol=1e-3
    )
    ends = shape_views.from_grid(torch.tensor([[0.0, 0, 0], [GRID, GRID, GRID]]))
    assert ends[:, 2].tolist() == pytest.approx([-DEEP, DEEP])


def test_filled_cells_are_near_the_inside_and_reach_the_whole_solid(views):
    middles = shape_views.grid_middles().reshape(-1, 3)
    inside = distance(views.solids, middles @ views.rotation)
    assert torch.equal(views.occupancy.flatten(1), inside <= shape_views.TOUCH)
    # no surface point lies outside the grid
    pixel = shape_views.project(views.points)
    assert pixel.min() > -0.5
    assert pixel.max() < SIZE - 0.5
    assert views.points[..., 2].abs().max() < DEEP


def test_bad_counts_get_one_clear_error():
    with pytest.raises(ValueError, match="count"):
        shape_views.make_shape_views(0, generator=make_generator(0))
    with pytest.raises(ValueError, match="must be among picture"):
        shape_views.select(None, ("colour",))
    with pytest.raises(ValueError, match="has 1 axes"):
        shape_views.to_world(torch.zeros(3), torch.eye(3))


def test_selected_channels_come_in_the_order_of_their_names(views):
    both = shape_views.select(views, ("depth", "picture"))
    assert torch.equal(both[:, :1], channel(views, "depth"))
    assert torch.equal(both[:, 1:], views.inputs[:, :3])
