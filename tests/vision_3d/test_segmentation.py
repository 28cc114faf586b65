"""Segmentation: sampling, grouping and interpolation by brute force and by KD-trees; laws."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree
from sklearn.metrics import jaccard_score
from sklearn.neighbors import KNeighborsRegressor, RadiusNeighborsTransformer

from mmlib import metrics
from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_3d import segmentation
from mmlib.vision_3d.segmentation import ALLOWED, PARTS, SEGMENTED, PointNetPlusPlus
from mmlib.world import rooms
from mmlib.world.solids import PART_NAMES

SMALL = (
    segmentation.Level(16, 0.4, 8, (16, 16), (16,)),
    segmentation.Level(4, 0.8, 4, (16, 32), (16,)),
)
MODELS = {
    "alone": lambda **o: segmentation.PointNetSegmenter(context=False, **o),
    "PointNet": segmentation.PointNetSegmenter,
    "PointNet++": lambda **o: PointNetPlusPlus(levels=SMALL, **o),
    "PointNet++, balls": lambda **o: PointNetPlusPlus(levels=SMALL, whole=False, **o),
}


@pytest.fixture(scope="module")
def scans():
    return segmentation.make_part_scans(12, generator=make_generator(0), points=64)


@pytest.fixture(scope="module")
def points():
    return torch.rand(3, 50, 3, generator=make_generator(1), dtype=torch.float64)


def make(name, **options):
    torch.manual_seed(0)
    return MODELS[name](**options).eval()


def test_scans_repeat_with_the_seed_and_have_parts_of_their_category(scans):
    again = segmentation.make_part_scans(12, generator=make_generator(0), points=64)
    assert all(torch.equal(*pair) for pair in zip(scans, again, strict=True))
    assert scans.category.bincount().tolist() == [2] * len(SEGMENTED)
    names = [PARTS[i].split(": ") for i in scans.parts.flatten().tolist()]
    categories = [SEGMENTED[i] for i in scans.category.repeat_interleave(64).tolist()]
    assert [name for name, _ in names] == categories
    assert all(part in PART_NAMES[name] for name, part in names)
    assert ALLOWED.sum(dim=1).tolist() == [len(PART_NAMES[name]) for name in SEGMENTED]


def test_turning_scans_turns_points_and_normals_alike(scans):
    turned = segmentation.turn_scans(scans, torch.linspace(-3, 3, 12))
    along = (scans.points * scans.normals).sum(-1)
    assert torch.allclose((turned.points * turned.normals).sum(-1), along, atol=1e-5)
    assert torch.equal(turned.parts, scans.parts)


def test_farthest_points_are_found_by_brute_force(points):
    found = segmentation.farthest_points(points, 12)
    for cloud, rows in zip(points.numpy(), found.tolist(), strict=True):
        chosen = [0]
        while len(chosen) < 12:
            gaps = [min(np.linalg.norm(p - cloud[c]) for c in chosen) for p in cloud]
            chosen.append(int(np.argmax(gaps)))
        assert rows == chosen


def test_farthest_points_cover_better_than_random_ones(points):
    chosen = segmentation.take(points, segmentation.farthest_points(points, 10))
    reach = segmentation.squared_distances(points, chosen).amin(dim=2).amax(dim=1)
    drawn = segmentation.squared_distances(points, points[:, :10]).amin(dim=2).amax(dim=1)
    assert (reach < drawn).all()
    assert sorted(segmentation.farthest_points(points, 50)[0].tolist()) == list(range(50))


@pytest.mark.parametrize(("radius", "count"), [(0.15, 4), (0.3, 8), (0.5, 5), (3.0, 70)])
def test_ball_query_is_brute_force_and_scipys_tree(points, radius, count):
    centres = torch.cat([points[:, :6], points[:, 6:9] + 0.05], dim=1)
    found = segmentation.ball_query(points, centres, radius, count)
    assert found.shape == (3, 9, count)
    for cloud, middles, rows in zip(points.numpy(), centres.numpy(), found, strict=True):
        tree = KDTree(cloud).query_ball_point(middles, radius)
        for middle, row, others in zip(middles, rows.tolist(), tree, strict=True):
            near = [i for i, p in enumerate(cloud) if np.linalg.norm(p - middle) <= radius]
            assert near == sorted(others)
            near = near or [int(np.linalg.norm(cloud - middle, axis=1).argmin())]
            assert row == (near + [near[0]] * count)[:count]


def test_ball_query_with_room_for_all_is_scikit_learns_radius_graph(points):
    found = segmentation.ball_query(points, points, 0.4, 50)
    for cloud, rows in zip(points.numpy(), found, strict=True):
        graph = RadiusNeighborsTransformer(mode="connectivity", radius=0.4).fit_transform(cloud)
        mine = torch.zeros(50, 50).scatter(1, rows, 1.0)
        assert np.array_equal(mine.numpy(), graph.toarray())


def test_a_ball_without_points_gets_the_nearest(points):
    far = points[:, :1] + 10
    found = segmentation.ball_query(points, far, 0.5, 3)
    nearest = segmentation.squared_distances(far, points).argmin(dim=-1, keepdim=True)
    assert torch.equal(found, nearest.expand(-1, -1, 3))


def test_interpolation_is_brute_force_and_scikit_learns(points):
    known, at = points[:, :20], points[:, 20:]
    features = torch.rand(3, 20, 5, generator=make_generator(2), dtype=torch.float64)
    found = segmentation.interpolate(at, known, features)
    for cloud, places, values, mine in zip(at, known, features, found, strict=True):
        model = KNeighborsRegressor(3, weights=lambda d: 1 / d**2).fit(places, values)
        np.testing.assert_allclose(mine.numpy(), model.predict(cloud), atol=1e-9)
        away, near = KDTree(places).query(cloud[0], 3)
        weight = away**-2.0 / (away**-2.0).sum()
        np.testing.assert_allclose(mine[0].numpy(), weight @ values.numpy()[near], atol=1e-9)


def test_interpolation_laws(points):
    known = points[:, :20]
    features = torch.rand(3, 20, 5, generator=make_generator(2), dtype=torch.float64)
    at_known = segmentation.interpolate(known, known, features)
    assert torch.allclose(at_known, features, atol=1e-4)  # a known point keeps its features
    alike = segmentation.interpolate(points, known, torch.ones_like(features))
    assert torch.allclose(alike, torch.ones_like(alike))
    one = segmentation.interpolate(points, known[:, :1], features[:, :1])
    assert torch.allclose(one, features[:, :1].expand(-1, 50, -1))


def test_an_abstraction_is_a_maximum_over_each_ball(points):
    torch.manual_seed(0)
    layer = segmentation.SetAbstraction(2, 5, 0.4, 50, 8, 6).eval().double()
    features = torch.rand(3, 50, 2, generator=make_generator(3), dtype=torch.float64)
    centres, found = layer(points, features)
    assert centres.shape == (3, 5, 3)
    for shape in range(3):
        for centre, mine in zip(centres[shape], found[shape], strict=True):
            inside = (points[shape] - centre).norm(dim=1) <= 0.4
            group = torch.cat([points[shape] - centre, features[shape]], dim=1)[inside]
            assert torch.allclose(mine, layer.h(group).amax(dim=0))
    moved, same = layer(points + 3, features)
    assert torch.allclose(moved, centres + 3)  # centres move along
    assert torch.allclose(same, found)  # and the features do not change


def naive_iou(predicted, parts, category):
    """Return the mean IoU of one shape by sets."""
    scores = []
    for part in PART_NAMES[SEGMENTED[category]]:
        number = PARTS.index(f"{SEGMENTED[category]}: {part}")
        said = {i for i, p in enumerate(predicted) if p == number}
        true = {i for i, p in enumerate(parts) if p == number}
        scores.append(len(said & true) / len(said | true) if said | true else 1.0)
    return sum(scores) / len(scores)


def test_shape_iou_is_the_mean_over_sets_and_scikit_learns(scans):
    generator = make_generator(4)
    noise = torch.rand(12, 64, len(PARTS), generator=generator)
    predicted = noise.masked_fill(~ALLOWED[scans.category][:, None], -1).argmax(dim=-1)
    predicted = predicted.where(torch.rand(12, 64, generator=generator) < 0.5, scans.parts)
    found = segmentation.shape_ious(predicted, scans.parts, scans.category, ALLOWED)
    for mine, said, true, number in zip(found, predicted, scans.parts, scans.category, strict=True):
        assert float(mine) == pytest.approx(naive_iou(said.tolist(), true.tolist(), int(number)))
        labels = ALLOWED[number].nonzero()[:, 0]
        other = jaccard_score(true, said, labels=labels, average="macro", zero_division=1.0)
        assert float(mine) == pytest.approx(other)


def test_a_part_that_is_absent_counts_one_if_it_is_not_predicted():
    first = PARTS.index("chair: seat")
    chair = torch.tensor([SEGMENTED.index("chair")])
    parts = torch.full((1, 8), first)
    assert segmentation.shape_ious(parts, parts, chair, ALLOWED) == 1
    wrong = parts.clone()
    wrong[0, :2] = first + 3  # two points are called arms, which this chair has not
    found = segmentation.shape_ious(wrong, parts, chair, ALLOWED)
    assert float(found) == pytest.approx((6 / 8 + 1 + 1 + 0) / 4)


def test_class_ious_are_scikit_learns():
    generator = make_generator(5)
    true, said = (torch.randint(4, (200,), generator=generator) for _ in range(2))
    matrix = metrics.confusion_matrix(said, true, classes=5)
    found = segmentation.class_ious(matrix)
    np.testing.assert_allclose(found[:4], jaccard_score(true, said, average=None))
    assert found[4].isnan()


@pytest.mark.parametrize("name", MODELS)
def test_answers_move_with_the_order_of_points(name, scans):
    model = make(name)
    order = torch.cat([torch.zeros(1).long(), torch.randperm(63) + 1])  # sampling starts at row 0
    plain = model(scans.points, scans.category)
    assert plain.shape == (12, 64, len(PARTS))
    if name in ("alone", "PointNet"):
        shuffled = model(scans.points[:, order], scans.category)
        assert torch.allclose(shuffled, plain[:, order], atol=1e-5)


def test_only_context_makes_points_know_of_each_other(scans):
    changed = scans.points.clone()
    changed[:, -1] = 5.0
    for name in MODELS:
        model = make(name)
        with torch.no_grad():
            before, after = (model(p, scans.category)[:, :-1] for p in (scans.points, changed))
        assert torch.allclose(before, after, atol=1e-6) == (name == "alone"), name


def test_the_papers_sizes_can_be_built():
    levels = (
        segmentation.Level(512, 0.2, 32, (64, 64, 128), (128, 128, 128)),
        segmentation.Level(128, 0.4, 64, (128, 128, 256), (256, 128)),
    )
    model = PointNetPlusPlus(16, 50, channels=6, levels=levels)
    assert model.output[-1].out_features == 50
    assert model.down[0].h[0].in_features == 3 + 3
    assert model.up[-1][0].in_features == 128 + 3 + 3 + 16


@pytest.mark.parametrize("name", MODELS)
def test_normals_are_three_more_channels(name, scans):
    model = make(name, channels=6)
    both = torch.cat([scans.points, scans.normals], dim=-1)
    assert model(both, scans.category).shape == (12, 64, len(PARTS))
    with pytest.raises(ValueError, match="need size 6"):
        model(scans.points, scans.category)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_every_weight(name, scans):
    model = make(name).train()
    batch = (scans.points, scans.category, scans.parts)
    segmentation.segmentation_loss(model, batch).backward()
    for key, weight in model.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.abs().sum() > 0, key


@pytest.mark.parametrize(("name", "steps"), [("PointNet", 60), ("PointNet++", 120)])
def test_overfits_one_batch_alike_with_the_same_seed(name, steps, scans):
    batch, losses = (scans.points, scans.category, scans.parts), []
    for _ in range(2):
        model = make(name)
        run = fit(
            model, [batch], segmentation.segmentation_loss, generator=make_generator(0),
            steps=steps, learning_rate=1e-2, progress=False,
        )  # fmt: skip
        losses.append(run.losses)
    assert losses[0] == losses[1]
    found = segmentation.segment(model, scans.points, scans.category, ALLOWED)
    assert (found == scans.parts).float().mean() > 0.9


def test_only_parts_of_the_category_are_answered(scans):
    found = segmentation.segment(make("PointNet"), scans.points, scans.category, ALLOWED)
    assert ALLOWED[scans.category].gather(1, found).all()


def test_transfer_finds_the_very_shape_however_it_is_stretched(scans):
    stretched = scans._replace(points=scans.points * torch.tensor([1.5, 0.7, 1.2]))
    assert torch.equal(segmentation.transfer_labels(scans, stretched), scans.parts)
    quarter = segmentation.turn_scans(scans, torch.full((12,), math.pi / 2))
    assert torch.equal(segmentation.transfer_labels(scans, quarter, headings=4), scans.parts)


@pytest.mark.parametrize("name", segmentation.ROOM_MODELS)
def test_shipped_models_segment_new_rooms(name):
    made = rooms.make_rooms(3, generator=make_generator(9), points=512, low=0.75)
    category = torch.zeros(3, dtype=torch.long)
    allowed = torch.ones(1, len(rooms.CLASSES), dtype=torch.bool)
    model = segmentation.load_room_model(name)
    found = segmentation.segment(model, made.points, category, allowed)
    right = float((found == made.labels).float().mean())
    assert right > (0.6 if name == "pointnet_plus_plus" else 0.3)
    assert 0 < segmentation.trained_minutes(name) < 4


@pytest.mark.parametrize("name", MODELS)
def test_bad_points_get_one_clear_error(name):
    model, category = make(name), torch.zeros(1, dtype=torch.long)
    with pytest.raises(ValueError, match="empty"):
        model(torch.zeros(1, 0, 3), category)
    with pytest.raises(ValueError, match="NaN"):
        model(torch.full((1, 40, 3), math.nan), category)
    assert model(torch.zeros(1, 40, 3), category).isfinite().all()  # all points in one place


def test_bad_options_get_one_clear_error(points, scans):
    with pytest.raises(ValueError, match="of 50 points"):
        segmentation.farthest_points(points, 51)
    with pytest.raises(ValueError, match="radius is 0"):
        segmentation.ball_query(points, points, 0, 4)
    with pytest.raises(ValueError, match="count is 0"):
        segmentation.ball_query(points, points, 0.1, 0)
    with pytest.raises(ValueError, match="a part for every point"):
        segmentation.shape_ious(scans.parts[:, :5], scans.parts, scans.category, ALLOWED)
