"""Laws of streets: locked by their seed, nothing overlaps, rays stop at the nearest surface."""

import math
from dataclasses import replace

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world import streets as world
from mmlib.world.streets import EMPTY, GROUND, LIDAR_HEIGHT, NOTHING, Streets


@pytest.fixture(scope="module")
def streets():
    return world.draw(12, generator=make_generator(0))


@pytest.fixture(scope="module")
def exact(streets):
    return world.scan(streets, generator=make_generator(1), noise=0.0, dropout=0.0, azimuths=180)


def empty_street(*boxes):
    """A street with cars alone, at the given boxes."""
    pole = torch.tensor([[[100.0, 100.0, 1.0, 1.0, 1.0, 2.0, 0.0]]])
    return Streets(
        torch.tensor([boxes]), torch.zeros(1, len(boxes), dtype=torch.long),
        pole, torch.full((1, 1), EMPTY), torch.ones(1, len(boxes) + 1), *torch.zeros(3, 1),
    )  # fmt: skip


def local(points, boxes):
    """Points (..., 3) in the frames of boxes (..., 7)."""
    x, y, z = (points - boxes[..., :3]).unbind(-1)
    cosine, sine = boxes[..., 6].cos(), boxes[..., 6].sin()
    return torch.stack([x * cosine + y * sine, y * cosine - x * sine, z], dim=-1)


def test_same_seed_same_streets_and_scans(streets):
    again = world.draw(12, generator=make_generator(0))
    other = world.draw(12, generator=make_generator(1))
    assert torch.equal(again.boxes, streets.boxes)
    assert torch.equal(again.category, streets.category)
    assert not torch.equal(other.boxes, streets.boxes)
    scans = [world.scan(again[:2], generator=make_generator(3), beams=8).points for _ in range(2)]
    assert torch.equal(scans[0].nan_to_num(), scans[1].nan_to_num())


def test_streets_are_locked(streets):
    """What seed 0 draws must not change unnoticed: pages have measured on it."""
    assert streets.category[0].tolist() == [2, 1, 0, -1, 1, 1, -1, 0, -1, 0, 0, 0]
    torch.testing.assert_close(
        streets.boxes[0, 0],
        torch.tensor([-34.5127, 2.8818, 0.8616, 1.8793, 0.6507, 1.7232, -2.9949]),
        atol=1e-3,
        rtol=0,
    )


def test_nothing_overlaps_and_the_vehicle_has_room(streets):
    """Fine grids of points inside each box lie in no other box."""
    boxes = torch.cat([streets.boxes, streets.clutter], dim=1)
    there = torch.cat([streets.category, streets.clutter_category], dim=1) != EMPTY
    steps = torch.linspace(-0.5, 0.5, 9)
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).reshape(-1, 2)
    for k in range(len(streets)):
        mine = boxes[k][there[k]]
        along, across = (grid * mine[:, None, 3:5]).unbind(-1)
        cosine, sine = mine[:, 6:].cos(), mine[:, 6:].sin()
        x = mine[:, :1] + along * cosine - across * sine
        y = mine[:, 1:2] + along * sine + across * cosine
        points = torch.stack([x, y, torch.zeros_like(x)], dim=-1)  # (boxes, points, 3)
        frame = local(points[:, :, None], mine[None, None])
        inside = (frame[..., :2].abs() < mine[:, 3:5] / 2 - 1e-4).all(-1).any(1)
        assert torch.equal(inside, torch.eye(len(mine), dtype=torch.bool))
        assert not ((x.abs() < 2.2) & (y.abs() < 1)).any()


def test_objects_stand_on_the_ground_with_sizes_of_their_category(streets):
    for boxes in (streets.boxes, streets.clutter):
        torch.testing.assert_close(boxes[..., 2], boxes[..., 5] / 2)
    lengths = [streets.boxes[streets.category == k][:, 3] for k in range(3)]
    assert lengths[0].min() > 3.5
    assert lengths[1].max() < 0.9
    assert lengths[2].min() > 1.5


def test_cars_go_along_the_road_mostly():
    many = world.draw(60, generator=make_generator(5))
    along, across = world.to_road(many, many.boxes)
    _, _, ahead = world.to_vehicle(
        along,
        across,
        many.curvature[:, None],
        many.lane_offset[:, None],
        many.lane_heading[:, None],
    )
    stray = (many.boxes[..., 6] - ahead).sin().abs()[many.category == 0]
    assert 0.85 < (stray < 0.1).float().mean() < 0.97


def test_objects_stand_where_they_were_asked_for():
    ahead = world.draw(20, generator=make_generator(2), along=(5.0, 30.0))
    for boxes in (ahead.boxes, ahead.clutter):
        along, _ = world.to_road(ahead, boxes)
        assert 5 - 1e-3 < along.min() < 6
        assert 29 < along.max() < 30 + 1e-3


def test_road_coordinates_and_the_vehicles_go_back_and_forth(streets):
    along, across = torch.linspace(-50, 50, 41).expand(12, -1), torch.linspace(-8, 11, 41)
    straight = replace(streets, curvature=streets.curvature * (torch.arange(12) > 3))
    pose = [getattr(straight, n)[:, None] for n in ("curvature", "lane_offset", "lane_heading")]
    x, y, ahead = world.to_vehicle(along, across, *pose)
    back = world.to_road(straight, torch.stack([x, y], dim=-1))
    torch.testing.assert_close(back[0], along, atol=1e-3, rtol=0)
    torch.testing.assert_close(back[1], across.expand(12, -1), atol=1e-3, rtol=0)
    step = [
        f - b
        for f, b in zip(world.to_vehicle(along + 0.05, across, *pose), (x, y, ahead), strict=True)
    ]
    torch.testing.assert_close(torch.atan2(step[1], step[0]), ahead, atol=2e-3, rtol=0)


def test_overlap_is_that_of_sampled_points():
    generator = make_generator(0)
    boxes = torch.rand(300, 2, 7, generator=generator) * torch.tensor([6, 6, 0, 4, 3, 1, 6.3])
    boxes[..., 3:6] += 0.5
    found = world.overlap(boxes[:, 0], boxes[:, 1])
    share = torch.rand(300, 4000, 2, generator=generator) - 0.5
    along, across = (share * boxes[:, 0, None, 3:5]).unbind(-1)
    cosine, sine = boxes[:, 0, 6:].cos(), boxes[:, 0, 6:].sin()
    x = boxes[:, 0, :1] + along * cosine - across * sine
    y = boxes[:, 0, 1:2] + along * sine + across * cosine
    frame = local(torch.stack([x, y, 0 * x], -1), boxes[:, 1, None])
    inside = (frame[..., :2].abs() < boxes[:, 1, None, 3:5] / 2).all(-1).any(1)
    assert not (inside & ~found).any()
    assert (found & ~inside).float().mean() < 0.03  # slivers that no sample met
    assert world.overlap(boxes[:, 0], boxes[:, 1], gap=1.0).sum() > found.sum()


def test_a_ray_meets_a_box_where_geometry_says():
    street = empty_street([10.0, 0.0, 1.0, 4.0, 2.0, 2.0, 0.0])
    origin = torch.tensor([[[0.0, 0.0, 0.5]]])
    ways = torch.tensor([[[1.0, 0, 0], [2.0, 0, 0], [-1.0, 0, 0], [1.0, 0, -0.1], [0, 1.0, 0]]])
    hits = world.cast(street, origin, ways)
    torch.testing.assert_close(hits.distance[0], torch.tensor([8, 4, math.inf, 5, math.inf]))
    assert hits.index[0].tolist() == [0, 0, NOTHING, GROUND, NOTHING]
    assert hits.normal[0, 0].tolist() == [-1, 0, 0]
    assert hits.normal[0, 3].tolist() == [0, 0, 1]
    turned = empty_street([10.0, 0.0, 1.0, 2.0, 4.0, 2.0, math.pi / 2])  # the same body
    again = world.cast(turned, origin, ways)
    torch.testing.assert_close(again.distance, hits.distance)
    torch.testing.assert_close(again.normal, hits.normal, atol=1e-6, rtol=0)


def test_every_return_lies_on_a_face_or_the_ground(streets, exact):
    points = exact.points[..., :3]
    ground = exact.index == GROUND
    assert points[ground][:, 2].abs().max() < 1e-3
    boxes, owner, _ = world.solid_parts(streets)
    for k in range(len(streets)):
        for what in exact.index[k].unique().tolist():
            if what < 0:
                continue
            mine = boxes[k, owner == what]  # (parts, 7)
            there = points[k, exact.index[k] == what]
            beyond = local(there[:, None], mine[None]).abs() - mine[:, 3:6] / 2
            assert beyond.amax(-1).abs().amin(-1).max() < 1e-3  # on the surface of some part


def test_nothing_lies_before_or_within_a_nearer_surface(streets, exact):
    """No point on the way from the lidar to a return lies inside a box or under the ground."""
    boxes, _, there = world.solid_parts(streets)
    eye = torch.tensor([0.0, 0.0, LIDAR_HEIGHT])
    for k in range(3):
        points = exact.points[k, exact.index[k] >= GROUND, :3][::7]
        way = torch.linspace(0.01, 0.995, 150)[:, None, None]
        path = (eye + way * (points - eye)).reshape(-1, 1, 3)
        mine = boxes[k, there[k]]
        inside = (local(path, mine[None]).abs() < mine[:, 3:6] / 2 - 2e-3).all(-1)
        assert not inside.any()
        assert path[..., 2].min() > -1e-4


def test_turning_the_street_turns_the_scan(streets, exact):
    angle = torch.full((12,), 2 * math.pi * 20 / 180)  # by 20 of 180 azimuths
    again = world.scan(
        world.turn(streets, angle), generator=make_generator(1), noise=0.0, dropout=0.0,
        azimuths=180,
    )  # fmt: skip
    rolled = exact.points.unflatten(1, (32, 180)).roll(20, dims=2).flatten(1, 2)
    x, y, z, _ = rolled.unbind(-1)
    cosine, sine = angle[0].cos(), angle[0].sin()
    expected = torch.stack([x * cosine - y * sine, x * sine + y * cosine, z], dim=-1)
    apart = (again.points[..., :3] - expected).norm(dim=-1)
    assert (apart.isnan() | (apart > 1e-2)).logical_xor(
        rolled[..., 0].isnan()
    ).float().mean() < 1e-3


def test_far_and_hidden_objects_have_fewer_points():
    near = [8.0, 0.0, 0.8, 4.0, 1.8, 1.6, 0.0]
    far = [30.0, 0.0, 0.8, 4.0, 1.8, 1.6, 0.0]
    counts = [
        (world.scan(empty_street(*boxes), generator=make_generator(0)).index == which).sum()
        for boxes, which in (([near], 0), ([far], 0), ([near, far], 1))
    ]
    assert counts[0] > 8 * counts[1] > 0
    assert counts[2] < counts[1]


def test_noise_drop_outs_and_reach_are_as_asked(streets, exact):
    noisy = world.scan(streets, generator=make_generator(2), azimuths=180, noise=0.05, dropout=0.2)
    eye = torch.tensor([0.0, 0.0, LIDAR_HEIGHT])
    kept, had = noisy.points[..., 0].isfinite(), exact.points[..., 0].isfinite()
    assert not (kept & ~had).any()
    assert abs(1 - kept.sum() / had.sum() - 0.2) < 0.01
    error = ((noisy.points - exact.points)[..., :3][kept]).norm(dim=-1)
    assert 0.047 < error.pow(2).mean().sqrt() < 0.053
    near = world.scan(streets, generator=make_generator(2), reach=15.0, noise=0.0).points
    assert (near[..., :3] - eye).norm(dim=-1).nan_to_num().max() <= 15.001
    assert (noisy.index == NOTHING).equal(~kept)


def test_intensity_depends_on_angle_and_paint():
    street = empty_street([10.0, 0.0, 1.5, 0.2, 60.0, 3.0, 0.0])  # a bright wall across
    seen = world.scan(street, generator=make_generator(0), noise=0.0, dropout=0.0)
    wall = seen.points[0, seen.index[0] == 0]
    cosine = wall[:, 0] / (wall[:, :3] - torch.tensor([0.0, 0.0, LIDAR_HEIGHT])).norm(dim=-1)
    assert (wall[:, 3] - cosine).abs().mean() < 0.03
    spots = torch.tensor([[[5.0, 0.0, 0.0], [5.0, 1.75, 0.0]]])
    index = torch.full((1, 2), GROUND)
    asphalt, line = world.reflectivity(street, index, spots)[0]
    assert line > 3 * asphalt


def test_indexing_gives_streets(streets):
    assert len(streets[3]) == 1
    assert len(streets[:5]) == 5
    assert len(streets[[1, 2]]) == 2
    assert torch.equal(streets[3].boxes[0], streets.boxes[3])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: world.draw(0, generator=make_generator(0)), "count is 0"),
        (lambda s: world.draw(1, generator=make_generator(0), along=(5, 5)), "along is"),
        (lambda s: world.scan(s, generator=make_generator(0), dropout=2), "dropout is 2"),
        (lambda s: world.scan(s, generator=make_generator(0), beams=0), "beams is 0"),
        (lambda s: world.cast(s, torch.zeros(12, 1, 3), torch.full((12, 1, 3), math.nan)), "NaN"),
        (lambda s: world.turn(s, torch.zeros(3)), "angle"),
        (lambda s: replace(s, boxes=s.boxes[..., :6]), "boxes has shape"),
        (lambda s: replace(s, boxes=s.boxes * 0), "not above 0"),
        (lambda s: replace(s, boxes=s.boxes * math.nan), "boxes has"),
        (lambda s: replace(s, category=s.category + 2), "category must hold"),
    ],
)
def test_bad_input_gets_one_clear_error(streets, call, message):
    with pytest.raises(ValueError, match=message):
        call(streets)
