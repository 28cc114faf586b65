"""Mesh R-CNN: cubify, the graph convolution and the losses by brute force; laws of the network."""

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from skimage.measure import label, mesh_surface_area

from mmlib import viewer
from mmlib.runtime import make_generator
from mmlib.surfaces import (
    edges_of,
    icosphere,
    make_meshes,
    sample_surface,
    score_surfaces,
)
from mmlib.training import fit
from mmlib.vision_3d import mesh
from mmlib.vision_3d.mesh import MeshRCNN
from mmlib.vision_3d.representations import fill_mesh, voxel_iou
from mmlib.world import shape_views

MODELS = {"cells": {}, "sphere": {"sphere": True}, "voxels only": {"stages": 0}}


@pytest.fixture(scope="module")
def views():
    return shape_views.make_shape_views(6, generator=make_generator(0), points=500)


@pytest.fixture(scope="module")
def batch(views):
    return views.inputs[:, :3], views.occupancy, views.points, views.normals


def make(name, **options):
    torch.manual_seed(0)
    return MeshRCNN(**MODELS[name], **options).eval()


def volume(vertices, faces):
    a, b, c = vertices[faces].unbind(1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


# ---- cubify


def brute_cubes(filled):
    """Count the triangles of all cubes by their corners, without those between two cubes."""
    squares = Counter()
    for cell in np.argwhere(filled):
        for axis, side in product(range(3), (0, 1)):
            corners = [
                tuple(cell + np.insert(np.array(c), axis, side)) for c in product((0, 1), repeat=2)
            ]
            squares[frozenset(corners)] += 1
    return {square for square, count in squares.items() if count == 1}


def test_cubify_is_brute_force():
    filled = torch.rand(3, 4, 5, 3, generator=make_generator(0)) < 0.4
    found = mesh.cubify(filled)
    for number in range(3):
        vertices, faces = found[number]
        squares = brute_cubes(filled[number].numpy())
        assert len(faces) == 2 * len(squares)
        used = {tuple(v) for v in vertices.int().tolist()}
        assert used == set().union(*squares)
        assert len(used) == len(vertices)
        for triangle in vertices[faces].int().tolist():
            assert any({tuple(p) for p in triangle} <= square for square in squares)
        assert volume(vertices, faces) == pytest.approx(int(filled[number].sum()), abs=1e-3)
        area = mesh_surface_area(vertices.numpy(), faces.numpy())
        assert area == pytest.approx(len(squares), abs=1e-3)


def test_cubify_is_the_viewers_mesh_of_voxels():
    filled = torch.rand(1, 5, 5, 5, generator=make_generator(1)) < 0.3
    vertices, faces = mesh.cubify(filled)[0]
    other, triangles = viewer.voxel_mesh(filled[0])
    assert len(faces) == len(triangles)
    mine = {tuple(v) for v in (vertices * 0.4 - 1).double().numpy().round(5)}
    assert mine == {tuple(v) for v in other.round(5)}


def test_a_single_cell_is_a_cube_turned_outwards():
    filled = torch.zeros(1, 3, 3, 3, dtype=torch.bool)
    filled[0, 1, 1, 1] = True
    vertices, faces = mesh.cubify(filled)[0]
    assert (len(vertices), len(faces), len(edges_of(faces))) == (8, 12, 18)
    assert volume(vertices, faces) == pytest.approx(1)


def test_cubes_of_a_face_connected_shape_can_be_filled_again():
    filled = torch.zeros(1, 6, 6, 6, dtype=torch.bool)
    filled[0, 1:5, 1:3, 1:5] = True  # an L, no two cubes touch in an edge alone
    filled[0, 1:3, 1:5, 1:5] = True
    vertices, faces = mesh.cubify(filled)[0]
    assert torch.equal(fill_mesh(vertices / 3 - 1, faces, 6), filled[0])


def test_pieces_of_a_mesh_are_those_of_the_grid():
    filled = torch.rand(1, 6, 6, 6, generator=make_generator(2)) < 0.15
    faces = mesh.cubify(filled).faces
    pieces = list(range(int(faces.max()) + 1))
    for a, b in edges_of(faces).tolist() * 8:
        pieces[a] = pieces[b] = min(pieces[a], pieces[b])
    assert len(set(pieces)) == label(filled[0].numpy(), connectivity=3).max()


def test_fill_keeps_the_most_probable_cell():
    p = torch.full((2, 3, 3, 3), 0.01)
    p[0, 1, 1, 1] = 0.05
    p[1, 0, 0, :2] = 0.9
    filled = mesh.fill(p)
    assert filled[0].nonzero().tolist() == [[1, 1, 1]]
    assert filled[1].sum() == 2


# ---- graph convolution and alignment


def test_graph_convolution_is_its_sum_and_knows_no_numbering():
    torch.manual_seed(0)
    layer, faces = mesh.GraphConv(5, 4), icosphere(1)[1]
    f, edges = torch.randn(42, 5), edges_of(faces)
    found = layer(f, edges)
    neighbours = torch.zeros(42, 42)
    for a, b, c in faces.tolist():
        neighbours[[a, b, b, c, c, a], [b, a, c, b, a, c]] = 1
    expected = layer.W0(f) + neighbours @ layer.W1(f)
    assert torch.allclose(found, expected, atol=1e-5)
    order = torch.randperm(42)
    back = order.argsort()
    assert torch.allclose(layer(f[order], back[edges]), found[order], atol=1e-5)


def test_alignment_is_scipys_interpolation():
    torch.manual_seed(0)
    parts = [icosphere(0, radius=0.5), icosphere(1, radius=0.9)]
    meshes = make_meshes(parts)
    maps = [torch.randn(2, 3, 32, 32), torch.randn(2, 2, 8, 8)]
    found = mesh.align(maps, meshes)
    for number in range(2):
        pixel = shape_views.project(parts[number][0])
        at = [((pixel + 0.5) / 32 * m.shape[-1] - 0.5).flip(1).T.numpy() for m in maps]
        expected = [
            map_coordinates(channel.numpy(), where, order=1, mode="nearest")
            for m, where in zip(maps, at, strict=True)
            for channel in m[number]
        ]
        mine = found[meshes.owner == number].T.numpy()
        np.testing.assert_allclose(mine, np.stack(expected), atol=1e-4)


def test_meshes_of_a_batch_do_not_see_each_other(batch):
    model = make("cells")
    for weight in model.stages.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    together = model(batch[0])
    for number in (0, 3):
        alone = model(batch[0][number : number + 1])
        assert torch.allclose(alone.logits[0], together.logits[number], atol=1e-4)
        first, second = alone.stages[-1][0], together.stages[-1][number]
        assert torch.equal(first[1], second[1])
        assert torch.allclose(first[0], second[0], atol=1e-4)


def test_before_training_a_stage_moves_nothing(batch):
    stages = make("sphere")(batch[0]).stages
    assert len(stages) == 3
    assert torch.equal(stages[0].vertices, stages[-1].vertices)


# ---- sampling and losses


def test_a_surface_on_the_truth_has_the_least_loss():
    sphere = icosphere(3, radius=0.5)
    torch.manual_seed(0)
    points, normals = sample_surface(make_meshes([sphere]), 4000)
    losses = {
        r: mesh.surface_losses(make_meshes([icosphere(3, radius=r)]), points, normals)
        for r in (0.4, 0.5, 0.7)
    }
    assert losses[0.5]["chamfer"] < 0.003 < losses[0.4]["chamfer"] < losses[0.7]["chamfer"]
    assert losses[0.5]["normal"] < -1.95
    assert losses[0.4]["edge"] < losses[0.5]["edge"] < losses[0.7]["edge"]
    a, b = sphere[0][edges_of(sphere[1])].unbind(1)
    assert float(losses[0.5]["edge"]) == pytest.approx(float(((a - b) ** 2).sum(1).mean()))


def test_flipped_faces_change_no_loss_and_a_hole_is_measured(views):
    vertices, faces = icosphere(2, radius=0.6)
    results = []
    for triangles in (faces, faces.flip(1)):
        torch.manual_seed(0)
        some = make_meshes([(vertices, triangles)])
        results.append(mesh.surface_losses(some, views.points[:1], views.normals[:1]))
    # the points drawn differ a little, since a face's first corner is another
    assert float(results[0]["chamfer"]) == pytest.approx(float(results[1]["chamfer"]), rel=0.2)
    assert float(results[0]["normal"]) == pytest.approx(float(results[1]["normal"]), abs=0.1)
    open_one = make_meshes([(vertices, faces[40:])])
    assert mesh.surface_losses(open_one, views.points[:1], views.normals[:1])["chamfer"].isfinite()


def test_voxel_loss_is_the_cross_entropy_by_its_formula():
    logits = torch.randn(2, 3, 3, 3, generator=make_generator(0))
    truth = torch.rand(2, 3, 3, 3, generator=make_generator(1)) < 0.3
    p = logits.sigmoid()
    by_hand = -torch.where(truth, p.log(), (1 - p).log()).mean()
    assert torch.isclose(mesh.voxel_loss(logits, truth), by_hand, atol=1e-6)


# ---- scores and baselines


def test_retrieval_takes_the_most_probable_training_shape(views):
    logits = 8 * views.occupancy.float() - 4 + 0.5 * torch.randn(6, 16, 16, 16)
    order = torch.randperm(6)
    found = mesh.retrieve(logits, views.occupancy[order])
    assert torch.equal(order[found], torch.arange(6))
    losses = torch.tensor(
        [[mesh.voxel_loss(one, other) for other in views.occupancy] for one in logits]
    )
    assert torch.equal(mesh.retrieve(logits, views.occupancy), losses.argmin(dim=1))


def test_the_nearest_training_shape_has_the_largest_iou(views):
    order = torch.randperm(6, generator=make_generator(3))
    found = mesh.most_alike(views.occupancy, views.occupancy[order][1:])
    for number, pick in enumerate(found.tolist()):
        ious = [voxel_iou(views.occupancy[number], other) for other in views.occupancy[order][1:]]
        assert ious[pick] == max(ious)


def test_the_mean_of_like_shapes_is_that_shape(views):
    assert torch.equal(mesh.mean_shape(views.occupancy[[2, 2, 2]]), views.occupancy[2])


# ---- training


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_every_weight(name, batch):
    model = make(name).train()
    for stage in model.stages:  # begin elsewhere than at 0, where the first layers get nothing
        torch.nn.init.normal_(stage.offset.weight, std=0.1)
    mesh.mesh_loss(model, batch).backward()
    for key, weight in model.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", ["cells", "sphere"])
def test_overfits_one_batch_alike_with_the_same_seed(name, batch):
    few = tuple(part[:2] for part in batch)
    losses = []
    for _ in range(2):
        model = make(name)
        options = {"generator": make_generator(0), "progress": False}
        if name == "cells":  # early cubes are not worth refining
            options["learning_rate"] = 1e-2
            cells = fit(model, [few], mesh.voxel_only_loss, steps=60, **options).losses
            assert cells[-1] < 0.15 * cells[0]
        options["learning_rate"] = 3e-3
        losses.append(fit(model, [few], mesh.mesh_loss, steps=40, **options).losses)
    assert losses[0] == losses[1]
    assert losses[0][-1] < 0.7 * losses[0][0]


@pytest.mark.parametrize("name", ["cells", "sphere"])
def test_what_ships_moves_its_start_to_the_surface(name, views, batch):
    with torch.no_grad():
        stages = mesh.load_shipped(name)(batch[0]).stages
    torch.manual_seed(0)
    f1 = [
        score_surfaces(*sample_surface(some, 500), views.points, views.normals).f1_loose.mean()
        for some in (stages[0], stages[-1])
    ]
    assert f1[1] > f1[0] + 5
    assert mesh.trained_minutes(name) > 0


# ---- bad input


def test_bad_input_gets_one_clear_error():
    with pytest.raises(ValueError, match="2 of 2 grids are empty"):
        mesh.cubify(torch.zeros(2, 3, 3, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="NaN"):
        make("cells")(torch.full((1, 3, 32, 32), math.nan))
    with pytest.raises(ValueError, match="need size 32"):
        make("cells")(torch.zeros(1, 3, 48, 48))
    with pytest.raises(ValueError, match="NaN"):
        mesh.fill(torch.full((1, 3, 3, 3), math.nan))
