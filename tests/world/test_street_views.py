"""What the camera sees of a street: the same rays as without short cuts, lines only in colours."""

from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world import street_views
from mmlib.world.streets import GROUND, NOTHING, Streets, cast, draw, scan

CAMERA = street_views.front_camera()


@pytest.fixture(scope="module")
def streets():
    return draw(6, generator=make_generator(0))


def look(streets, seed=1, **options):
    return street_views.view(streets, CAMERA, generator=make_generator(seed), **options)


def emptied(streets):
    """Return the same roads without anything on them."""
    gone = {n: torch.full_like(getattr(streets, n), -1) for n in ("category", "clutter_category")}
    return replace(streets, **gone)


def test_what_stands_outside_a_sector_does_not_matter(streets):
    rays = CAMERA.rays()[0].flatten(0, 1)
    whole = cast(streets, CAMERA.centre[None], rays[None])
    found = street_views.cast_by_columns(streets, CAMERA, rays, CAMERA.centre)
    assert torch.equal(found.index, whole.index)
    assert torch.allclose(found.distance, whole.distance, rtol=1e-4)
    assert torch.allclose(found.normal, whole.normal, atol=1e-5)


def test_a_sector_keeps_its_boxes_and_numbers_them(streets):
    near, number = street_views.ahead(streets, low=-20, high=50)
    everything = torch.cat([streets.boxes, streets.clutter], dim=1)
    kept = torch.cat([near.boxes, near.clutter], dim=1)
    assert torch.equal(kept, everything.gather(1, number[..., None].expand(-1, -1, 7)))
    x, y = streets.boxes[..., 0], streets.boxes[..., 1]
    angle = torch.rad2deg(torch.atan2(y, x))
    middle_inside = (streets.category >= 0) & (angle > -20) & (angle < 50)
    assert ((near.category >= 0).sum(1) >= middle_inside.sum(1)).all()
    assert near.boxes.shape[1] <= streets.boxes.shape[1]


def test_the_lidar_in_strips_is_the_lidar(streets):
    """Without noise both scan the same surfaces along the same rays, in another order."""
    options = {"beams": 8, "noise": 0.0, "dropout": 0.0}
    found = street_views.scan_ahead(
        streets, sector=80.0, azimuths=40, generator=make_generator(0), **options
    )
    whole = scan(streets, sector=80.0, azimuths=40, generator=make_generator(0), **options).points
    found = found.unflatten(1, (5, 8, 8)).transpose(1, 2).flatten(1, 3)  # beam by beam
    assert torch.equal(found.isnan(), whole.isnan())
    off = (found - whole).nan_to_num()[..., :3].norm(dim=-1)
    assert float((off < 1e-2).double().mean()) > 0.999  # a ray may pass an edge on either side


def test_depth_is_that_of_the_point_that_opencv_projects_there(streets):
    seen = look(streets)
    rows, columns = torch.tensor([20, 25, 30]), torch.tensor([10, 50, 80])
    points = CAMERA.unproject(seen.depth[:1])[0, rows, columns]
    turn, _ = cv2.Rodrigues(CAMERA.rotation[0].double().numpy())
    matrix, move = CAMERA.intrinsics[0].double().numpy(), CAMERA.translation[0].double().numpy()
    pixels, _ = cv2.projectPoints(points.double().numpy(), turn, move, matrix, None)
    expected = torch.stack([columns, rows], dim=1).numpy()
    assert np.allclose(pixels[:, 0], expected, atol=1e-2)


def test_the_camera_stands_upright_and_looks_ahead():
    rotation = CAMERA.rotation[0]
    assert torch.allclose(rotation @ rotation.T, torch.eye(3), atol=1e-6)
    assert torch.linalg.det(rotation) == pytest.approx(1)
    assert torch.allclose(CAMERA.centre[0], torch.tensor([0.5, 0.0, 1.5]), atol=1e-6)
    middle = CAMERA.rays()[0].mean(dim=(0, 1))
    assert middle[0] > 0.6
    assert abs(float(middle[1])) < 1e-5
    assert CAMERA.rays()[0, 0, 0, 1] > 0  # left in the picture is left on the road


def test_a_turn_to_the_left_moves_the_view_and_not_the_camera():
    turned = street_views.yawed(CAMERA, 90.0)
    assert torch.allclose(turned.centre, CAMERA.centre, atol=1e-5)
    x, y, z = CAMERA.rays().unbind(-1)
    assert torch.allclose(turned.rays(), torch.stack([-y, x, z], dim=-1), atol=1e-5)


def test_lines_change_colours_and_no_shape(streets):
    """The camera sees where the lane is, the rays of both sensors hit the same surfaces."""
    moved = replace(streets, lane_offset=streets.lane_offset + 0.8)
    one, two = look(streets, noise=0.0), look(moved, noise=0.0)
    assert torch.equal(one.depth, two.depth)
    ground = one.index == GROUND
    changed = (one.pictures != two.pictures).any(dim=1)
    assert changed[ground].any()
    assert not changed[~ground].any()


def test_nothing_is_seen_above_the_horizon_of_an_empty_road(streets):
    seen = look(emptied(streets))
    up = (CAMERA.rays()[..., 2] >= 0).expand_as(seen.index)
    assert (seen.index[up] == NOTHING).all()
    assert (seen.index[~up] == GROUND).all()
    assert seen.depth[up].isinf().all()


def test_night_and_fog_blind_the_camera(streets):
    """Far away little contrast is left; near by there is some."""
    spread = []
    for number in range(3):
        light = torch.full((len(streets),), number)
        pictures = look(streets, light=light, noise=0.0).pictures
        spread.append(float(pictures[:, :, 10:14].std(dim=-1).mean()))
    assert spread[0] > 2 * spread[1]
    assert spread[0] > 2 * spread[2]


def test_the_same_seed_gives_the_same_picture(streets):
    one, two, other = look(streets), look(streets), look(streets, seed=2)
    assert torch.equal(one.pictures, two.pictures)
    assert not torch.equal(one.pictures, other.pictures)
    assert float(one.pictures.min()) >= 0
    assert float(one.pictures.max()) <= 1


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda s: look(s, light=torch.zeros(2, dtype=torch.long)), "light"),
        (lambda s: look(s, light=torch.full((6,), 3)), "0 to 2"),
        (lambda s: look(s, noise=-1.0), "noise is -1.0"),
        (lambda s: street_views.front_camera(field_of_view=180), "1 to 170"),
        (lambda s: street_views.front_camera(height=0), "height is 0"),
        (lambda s: street_views.scan_ahead(s, azimuths=7, generator=make_generator(0)), "multiple"),
    ],
)
def test_bad_input_is_refused(streets, call, told):
    with pytest.raises(ValueError, match=told):
        call(streets)


def test_more_than_one_camera_is_refused(streets):
    two = {f.name: getattr(CAMERA, f.name) for f in fields(CAMERA)}
    two |= {n: two[n].repeat(2, *[1] * (two[n].ndim - 1)) for n in list(two)[:3]}
    with pytest.raises(ValueError, match="2 cameras"):
        street_views.view(streets, type(CAMERA)(**two), generator=make_generator(0))


def test_streets_are_streets(streets):
    assert isinstance(street_views.ahead(streets)[0], Streets)
