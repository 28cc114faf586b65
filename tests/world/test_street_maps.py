"""The map of the ground: cells by brute force, outlines by matplotlib, the arc by geometry."""

import math

import numpy as np
import pytest
import torch
from matplotlib.path import Path

from mmlib.runtime import make_generator
from mmlib.world import street_maps
from mmlib.world.street_maps import AIM, COLUMNS, ROWS
from mmlib.world.street_views import front_camera
from mmlib.world.streets import draw, to_road, to_vehicle

CAMERA = front_camera(height=16, width=32)


def test_a_cell_is_a_square_metre():
    points = torch.rand(200, 3, generator=make_generator(0)) * torch.tensor([40.0, 32.0, 3.0])
    points = points - torch.tensor([4.0, 16.0, 0.5])
    points[::7] = math.nan
    cells = street_maps.cell_of(points).tolist()
    for (x, y, _), cell in zip(points.tolist(), cells, strict=True):
        inside = 0 <= x < ROWS and abs(y) < COLUMNS / 2
        row, column = (math.floor(x), math.floor(y + COLUMNS / 2)) if inside else (0, -1)
        assert cell == row * COLUMNS + column
    centres = street_maps.cell_centres().flatten(0, 1)
    assert torch.equal(street_maps.cell_of(centres), torch.arange(len(centres)))


def test_boxes_take_the_cells_whose_middle_a_polygon_holds():
    streets = draw(5, generator=make_generator(3))
    there = streets.category >= 0
    found = street_maps.rasterise(streets.boxes, there)
    centres = street_maps.cell_centres().flatten(0, 1)
    for street in range(5):
        expected = torch.zeros(len(centres), dtype=torch.bool)
        for x, y, _, length, width, _, heading in streets.boxes[street][there[street]].tolist():
            sides = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * [length / 2, width / 2]
            turn = np.array(
                [[math.cos(heading), math.sin(heading)], [-math.sin(heading), math.cos(heading)]]
            )
            outline = Path(sides @ turn + [x, y])
            expected |= torch.tensor(outline.contains_points(centres.numpy()))
            if (cell := int(street_maps.cell_of(torch.tensor([x, y])))) >= 0:
                expected[cell] = True
        assert torch.equal(found[street].flatten(), expected)


def test_pursuit_steers_through_the_aim():
    streets = draw(10, generator=make_generator(1))
    curvature = street_maps.pursuit(streets)
    along, nothing = torch.full_like(curvature, AIM), torch.zeros_like(curvature)
    x, y, _ = to_vehicle(along, nothing, curvature, nothing, nothing)  # a point of the arc
    _, across = to_road(streets, torch.stack([x, y], dim=-1)[:, None])
    assert float(across.abs().max()) < 0.05  # the aim, within a few centimetres


def test_samples_are_drawn_anew_and_alike():
    data, again = (
        street_maps.samples(8, CAMERA, generator=make_generator(0), beams=12) for _ in range(2)
    )
    for one, two in zip(data, again, strict=True):
        assert torch.equal(one.nan_to_num(), two.nan_to_num())
    pictures, points, objects, known, curvature, light = data
    assert pictures.shape == (8, 3, 16, 32)
    assert points.shape[::2] == (8, 3)
    assert known[objects].all()
    assert len(curvature) == len(light) == 8


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: street_maps.rasterise(torch.rand(1, 2, 6), torch.ones(1, 2).bool()), "boxes"),
        (lambda: street_maps.samples(0, CAMERA, generator=make_generator(0)), "count is 0"),
    ],
)
def test_bad_input_is_refused(call, told):
    with pytest.raises(ValueError, match=told):
        call()
