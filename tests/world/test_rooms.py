"""Laws of rooms: everything stands where it is said to stand, and is labelled as what it is."""

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world import rooms
from mmlib.world.solids import CATEGORIES, distance


@pytest.fixture(scope="module")
def some():
    return rooms.make_rooms(6, generator=make_generator(0), points=600)


def test_same_seed_same_rooms_another_seed_others(some):
    again = rooms.make_rooms(6, generator=make_generator(0), points=600)
    other = rooms.make_rooms(6, generator=make_generator(1), points=600)
    assert torch.equal(some.points, again.points)
    assert torch.equal(some.labels, again.labels)
    assert not torch.equal(some.half, other.half)


def test_points_of_an_object_lie_on_the_solid_that_stands_there(some):
    size = torch.tensor([rooms.SIZE[name] for name in some.solids.names]).view(6, 5)
    for room in range(6):
        for slot in range(5):
            mine = some.slots[room] == slot
            local = some.points[room, mine] - some.position[room, slot]
            angle = some.heading[room, slot]
            turn = torch.tensor(
                [[angle.cos(), 0, angle.sin()], [0, 1, 0], [-angle.sin(), 0, angle.cos()]]
            )
            local = local @ turn / size[room, slot]  # turned back
            solid = some.solids[room * 5 + slot]
            assert mine.sum() == int(rooms.SHARE * 600 / 5)
            assert distance(solid, local[None]).abs().max() < 2e-3
            normals = (some.normals[room, mine] @ turn)[None]
            outwards = distance(solid, local[None] + 0.01 * normals) > 0
            assert outwards.float().mean() > 0.95
            name = CATEGORIES[int(solid.category)]
            assert some.labels[room, mine].unique().tolist() == [rooms.CLASSES.index(name)]


def test_objects_stand_on_the_floor_between_the_walls(some):
    assert some.points[..., 1].min() > -1e-2
    inside = some.points[..., [0, 2]].abs() <= some.half[:, None] + 1e-2
    assert inside.all()
    lowest = [some.points[r][some.slots[r] == s][:, 1].min() for r in range(6) for s in range(5)]
    assert max(lowest) < 0.25


def test_floor_and_walls_are_where_the_room_ends(some):
    floor, wall = (some.labels == number for number in (0, 1))
    assert torch.equal(floor | wall, some.slots == -1)
    assert some.points[floor][:, 1].abs().max() == 0
    assert torch.equal(some.normals[floor], torch.tensor([0.0, 1, 0]).expand(floor.sum(), 3))
    edge = (some.half[:, None] - some.points[..., [0, 2]].abs()).abs().amin(dim=-1)
    assert edge[wall].max() < 1e-6
    assert (some.points * some.normals)[wall][:, [0, 2]].sum(dim=-1).max() < 0  # inwards


def test_floor_and_walls_have_their_share_of_points():
    one = rooms.make_rooms(1, generator=make_generator(3), points=40_000, objects=1)
    wide, deep = one.half[0].double()
    walls = 4 * rooms.HEIGHT * (wide + deep)
    shell = one.labels[0][one.slots[0] == -1]
    expected = walls / (walls + 4 * wide * deep)
    assert abs((shell == 1).double().mean() - expected) < 0.02


def test_most_objects_do_not_touch():
    many = rooms.make_rooms(20, generator=make_generator(4), points=500)
    closest = []
    for room in range(20):
        points = [many.points[room][many.slots[room] == slot] for slot in range(5)]
        closest += [
            float(torch.cdist(points[i], points[j]).min()) for i in range(5) for j in range(i)
        ]
    assert sum(gap > 0.05 for gap in closest) / len(closest) > 0.9


def test_held_out_proportions_are_held_out():
    low = rooms.make_rooms(4, generator=make_generator(5), points=100, high=0.75)
    high = rooms.make_rooms(4, generator=make_generator(5), points=100, low=0.75)
    assert low.solids.knobs.max() <= 0.75 <= high.solids.knobs.min()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": 9}, "points is 9, it must be a whole number of 10"),
        ({"objects": 0}, "objects is 0"),
        ({"low": 0.9, "high": 0.1}, "low is 0.9"),
    ],
)
def test_bad_input_gets_one_clear_error(options, message):
    with pytest.raises(ValueError, match=message):
        rooms.make_rooms(1, generator=make_generator(0), **options)
