"""Detection: pillars by loops, targets that decode to the boxes, losses by hand, the baseline."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from mmlib import box_clusters, box_metrics
from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_3d import detection
from mmlib.vision_3d.detection import GRID, CenterPoint, Grid, PillarNet
from mmlib.world.streets import CATEGORIES, EMPTY

SMALL = Grid(x=(0.0, 12.8), y=(-6.4, 6.4), pillar=0.4)


@pytest.fixture(scope="module")
def drives():
    return detection.make_drives(6, generator=make_generator(0), azimuths=120)


def car(x=10.0, y=2.0, heading=0.3, length=4.0):
    return [x, y, 0.8, length, 1.8, 1.6, heading]


def test_drives_repeat_with_the_seed_and_count_their_returns(drives):
    again = detection.make_drives(6, generator=make_generator(0), azimuths=120)
    assert torch.equal(again.points.nan_to_num(), drives.points.nan_to_num())
    assert torch.equal(again.boxes, drives.boxes)
    known = drives.category != EMPTY
    assert (drives.returns[known] > 0).all()
    assert GRID.inside(drives.boxes)[known].all()
    for scene in range(6):
        for slot in known[scene].nonzero()[:, 0].tolist():
            box = drives.boxes[scene, slot]
            x, y, z = (drives.points[scene, :, :3] - box[:3]).unbind(1)
            along = x * box[6].cos() + y * box[6].sin()
            across = y * box[6].cos() - x * box[6].sin()
            within = torch.stack([along, across, z], 1).abs() <= box[3:6] / 2 + 0.1
            assert within.all(1).sum() >= 0.9 * drives.returns[scene, slot]


def test_decorated_points_by_loops():
    points = torch.rand(2, 300, 4, generator=make_generator(0)) * 12 - torch.tensor([0.0, 6, 0, 0])
    points[0, :40] = math.nan
    pillars = detection.decorate(points, SMALL)
    rows, columns = SMALL.shape
    expected, groups = [], {}
    for scene in range(2):
        for p in points[scene].tolist():
            if math.isnan(p[0]) or not (0 <= p[0] < 12.8 and -6.4 <= p[1] < 6.4):
                continue
            i, j = int(p[0] / 0.4), int((p[1] + 6.4) / 0.4)
            groups.setdefault((scene * rows + i) * columns + j, []).append(p)
            expected.append(((scene * rows + i) * columns + j, i, j, p))
    assert pillars.pillar.tolist() == [which for which, *_ in expected]
    for row, (which, i, j, p) in zip(pillars.features, expected, strict=True):
        mean = np.mean(groups[which], axis=0)[:3]
        middle = [(i + 0.5) * 0.4, (j + 0.5) * 0.4 - 6.4]
        values = [*p, *(np.array(p[:3]) - mean), p[0] - middle[0], p[1] - middle[1]]
        np.testing.assert_allclose(row.numpy(), values, atol=1e-4)


def test_the_pseudo_image_is_a_maximum_over_each_pillars_points(drives):
    torch.manual_seed(0)
    net = PillarNet(8).eval()
    with torch.no_grad():
        image = net(drives.points)
        features, pillar = detection.decorate(drives.points)
        h = torch.relu(net.norm(net.linear(features)))
    flat = image.movedim(1, -1).flatten(0, 2)
    for which in pillar.unique()[::97].tolist():
        torch.testing.assert_close(flat[which], h[pillar == which].amax(dim=0))
    empty = torch.ones(len(flat), dtype=torch.bool)
    empty[pillar] = False
    assert empty.any()
    assert (flat[empty] == 0).all()


def test_order_repetition_and_missing_returns_change_nothing(drives):
    """Padding with NaN, shuffling; what is seen twice moves only the mean of its pillar."""
    torch.manual_seed(0)
    model = CenterPoint(width=8).eval()
    order = torch.randperm(drives.points.shape[1], generator=make_generator(1))
    padded = torch.cat([drives.points[:, order], torch.full((6, 50, 4), math.nan)], dim=1)
    with torch.no_grad():
        first, second = model(drives.points), model(padded)
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_a_scene_without_points_gets_an_answer():
    model = CenterPoint(width=8, grid=SMALL).eval()
    heat, code = model(torch.full((1, 5, 4), math.nan))
    assert heat.shape == (1, len(CATEGORIES), 16, 16)
    assert code.shape == (1, detection.CODE, 16, 16)
    assert heat.isfinite().all()


def test_targets_decode_to_the_boxes(drives):
    """The grid can say every box: peaks of the targets, read off, are what went in."""
    targets = detection.make_targets(drives.boxes, drives.category)
    rows, columns = targets.heat.shape[2:]
    codes = torch.zeros(6, rows * columns, detection.CODE)
    for scene in range(6):
        there = targets.there[scene]
        codes[scene, targets.cell[scene, there]] = targets.code[scene, there]
    codes = codes.mT.unflatten(2, (rows, columns))
    found = detection.decode(targets.heat, codes, least=0.99)
    for answer, boxes, category in zip(found, drives.boxes, drives.category, strict=True):
        true = boxes[category != EMPTY]
        assert len(answer.boxes) == len(true)
        for k in range(len(CATEGORIES)):
            overlap = box_metrics.iou_3d(answer.boxes[answer.category == k], boxes[category == k])
            assert (overlap.amax(dim=1) > 0.999).all() if overlap.numel() else True
        apart = (answer.boxes[:, None, 6] - true[:, 6]).cos()  # the heading, with its direction
        near = torch.cdist(answer.boxes[:, :2], true[:, :2]).argmin(dim=1)
        assert (apart[torch.arange(len(true)), near] > 0.9999).all()


def test_the_heat_map_is_a_gaussian_at_the_middle():
    boxes = torch.tensor([[car(x=4.2, y=1.0), [20.0, 0, 1, 1, 1, 1, 0]]])
    targets = detection.make_targets(boxes, torch.tensor([[0, EMPTY]]), SMALL)
    heat = targets.heat[0, 0]
    assert heat[5, 9] == 1  # 4.2 / 0.8, (1.0 + 6.4) / 0.8
    deviation = 5 / 6
    assert math.isclose(heat[7, 8], math.exp(-(2**2 + 1**2) / (2 * deviation**2)), rel_tol=1e-5)
    assert targets.heat[0, 1:].abs().max() == 0
    assert targets.there.tolist() == [[True, False]]


def test_the_radius_leaves_the_iou_that_was_asked_for():
    for length, width in ((5.6, 2.2), (30.0, 12.0)):
        r = detection.gaussian_radius(length, width)
        box = torch.tensor([[0.0, 0, 0, length, width, 1, 0]], dtype=torch.float64)
        moved = box + torch.tensor([r, r, 0, 0, 0, 0, 0], dtype=torch.float64)
        assert math.isclose(box_metrics.iou_bev(box, moved), 0.1, abs_tol=1e-6)


def test_focal_loss_by_loops():
    generator = make_generator(0)
    logits = torch.randn(1, 2, 4, 5, generator=generator)
    heat = torch.rand(1, 2, 4, 5, generator=generator)
    heat[0, 0, 1, 1] = heat[0, 1, 2, 3] = 1.0
    total = 0.0
    for p, y in zip(logits.sigmoid().flatten().tolist(), heat.flatten().tolist(), strict=True):
        if y == 1:
            total -= (1 - p) ** 2 * math.log(p)
        else:
            total -= (1 - y) ** 4 * p**2 * math.log(1 - p)
    assert math.isclose(detection.focal_loss(logits, heat), total / 2, rel_tol=1e-4)
    sure = torch.where(heat == 1, 30.0, -30.0)
    assert detection.focal_loss(sure, heat) < 1e-6


def test_the_code_is_learned_at_the_middles_alone():
    class Fixed(nn.Module):
        grid = SMALL

        def __init__(self, code):
            super().__init__()
            self.code = code

        def forward(self, points):
            return torch.full((1, 3, 16, 16), -20.0), self.code

    boxes, category = torch.tensor([[car(x=4.2, y=1.0)]]), torch.tensor([[0]])
    right = torch.randn(1, detection.CODE, 16, 16, generator=make_generator(0))
    right[0, :, 5, 9] = detection.make_targets(boxes, category, SMALL).code[0, 0]
    wrong = right.clone()
    wrong[0, 2, 5, 9] += 0.5
    points = torch.zeros(1, 1, 4)
    losses = [
        detection.detection_loss(Fixed(code), (points, boxes, category)) for code in (right, wrong)
    ]
    assert math.isclose(losses[1] - losses[0], 0.5, abs_tol=1e-4)


def test_peaks_are_cells_that_no_neighbour_exceeds():
    heat = torch.rand(2, 3, 9, 7, generator=make_generator(0))
    found = detection.peaks(heat)
    padded = torch.nn.functional.pad(heat, (1, 1, 1, 1), value=-1)
    for n, k, i, j in np.ndindex(2, 3, 9, 7):
        around = padded[n, k, i : i + 3, j : j + 3]
        assert bool(found[n, k, i, j]) == bool(heat[n, k, i, j] == around.max())
    assert not detection.peaks(torch.zeros(1, 1, 4, 4)).any()


def test_gradients_reach_every_parameter(drives):
    torch.manual_seed(0)
    model = CenterPoint(width=8)
    detection.detection_loss(model, (drives.points, drives.boxes, drives.category)).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name


def test_overfits_two_scenes_and_repeats():
    drives = detection.make_drives(2, generator=make_generator(3), azimuths=180)
    category = drives.category.where(drives.returns >= 5, EMPTY)
    batch = (drives.points, drives.boxes, category)
    models = []
    for steps in (60, 3, 3):
        torch.manual_seed(0)
        model = CenterPoint(width=16)
        options = {"steps": steps, "learning_rate": 5e-3, "generator": make_generator(0)}
        history = fit(model, [batch], detection.detection_loss, progress=False, **options)
        models.append(model)
        if steps == 60:
            assert history.losses[-1] < 0.25 * history.losses[0]
            found = detection.detect(model, drives.points, least=0.3)
    for a, b in zip(models[1].parameters(), models[2].parameters(), strict=True):
        assert torch.equal(a, b)
    for answer, boxes, names in zip(found, drives.boxes, category, strict=True):
        overlap = box_metrics.iou_bev(boxes[names != EMPTY], answer.boxes)
        assert (overlap.amax(dim=1) > 0.3).float().mean() > 0.7


def test_half_of_the_scenes_are_mirrored(drives):
    seen = []

    class Watch(nn.Module):
        grid = GRID

        def forward(self, points):
            seen.append(points)
            shape = (len(points), 3, 60, 40)
            return torch.zeros(shape), torch.zeros(len(points), detection.CODE, 60, 40)

    torch.manual_seed(1)
    batch = (drives.points, drives.boxes, drives.category)
    detection.mirrored_loss(Watch(), batch)
    sign = (seen[0][..., 1] / drives.points[..., 1]).nanmedian(dim=1).values
    assert set(sign.tolist()) == {-1.0, 1.0}
    for column in (0, 2, 3):
        assert torch.equal(
            seen[0][..., column].nan_to_num(), drives.points[..., column].nan_to_num()
        )


def test_clustering_learns_names_and_repeats(drives):
    category = drives.category.where(drives.returns >= 5, EMPTY)
    found = [
        box_clusters.Clustering().fit(drives.points, drives.boxes, category).detect(drives.points)
        for _ in range(2)
    ]
    for one, two, true, names in zip(*found, drives.boxes, category, strict=True):
        assert torch.equal(one.boxes, two.boxes)
        assert (one.scores.diff() <= 0).all()
        overlap = box_metrics.iou_bev(true[names == 0], one.boxes[one.category == 0])
        if overlap.numel():
            assert overlap.amax() > 0.3


def test_clusters_of_one_scene_are_not_enough_to_learn_from(drives):
    names = torch.full_like(drives.category, EMPTY)
    with pytest.raises(ValueError, match="categories \\[3\\] only"):
        box_clusters.Clustering().fit(drives.points, drives.boxes, names)


def test_the_prior_is_one_answer_where_objects_often_stand(drives):
    answer = detection.prior(drives)
    assert len(answer.boxes) > 3
    assert GRID.inside(answer.boxes).all()
    mean = drives.boxes[drives.category == 0][:, 3:6].mean(0)
    assert (answer.boxes[answer.category == 0][0, 3:6] / mean - 1).abs().max() < 0.5


def test_the_truth_scores_one_and_objects_with_few_points_do_not_count(drives):
    def said(kept):
        scores = [torch.ones(int(k.sum())) for k in kept]
        return [
            box_clusters.Found(boxes[k], s, names[k])
            for boxes, s, names, k in zip(drives.boxes, scores, drives.category, kept, strict=True)
        ]

    every = drives.category != EMPTY
    assert set(detection.ap_by_category(said(every), drives).values()) == {1.0}
    enough = every & (drives.returns >= detection.LEAST_POINTS)
    assert set(detection.ap_by_category(said(enough), drives).values()) == {1.0}
    assert (every & ~enough).any()
    near = drives.boxes[..., 0] < 15
    curve = detection.curve(said(every & near), drives, "car", asked=near)
    assert box_metrics.average_precision(curve) == 1
    assert curve.truths == int((enough & near & (drives.category == 0)).sum())


def test_what_ships_loads_and_finds_cars():
    drives = detection.make_drives(12, generator=make_generator(77))
    found = detection.detect(detection.load_detector(), drives.points)
    assert detection.ap_by_category(found, drives, least=0.25)["car"] > 0.7
    assert int(detection.training_facts()["scenes"]) > 100


def test_training_reads_only_what_it_is_told_to_read():
    drives = detection.make_drives(2, generator=make_generator(3), azimuths=60)
    model, history = detection.train(drives, seed=0, epochs=1, read=(0, 1, 2), progress=False)
    assert history.steps == 1
    other = drives.points.clone()
    other[..., 3] = 1 - other[..., 3]
    model.eval()
    with torch.no_grad():
        assert torch.equal(model(drives.points)[0], model(other)[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: detection.decorate(torch.zeros(3, 4)), "points has 2 axes"),
        (lambda: detection.decorate(torch.zeros(2, 5, 3)), "need size 4"),
        (lambda: detection.make_targets(torch.zeros(2, 3, 7), torch.zeros(2, 4)), "category has"),
        (lambda: detection.make_drives(0, generator=make_generator(0)), "count is 0"),
    ],
)
def test_bad_input_gets_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
