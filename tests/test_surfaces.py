"""Meshes in batches and their scores, by SciPy's k-d tree, Euler's formula and brute force."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree

from mmlib.runtime import make_generator
from mmlib.surfaces import (
    Meshes,
    edges_of,
    icosphere,
    make_meshes,
    match,
    sample_surface,
    score_surfaces,
)
from mmlib.vision_3d.representations import chamfer
from mmlib.world import shape_views


@pytest.fixture(scope="module")
def views():
    return shape_views.make_shape_views(3, generator=make_generator(0), points=500)


def volume(vertices, faces):
    a, b, c = vertices[faces].unbind(1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def test_meshes_come_back_one_by_one():
    first, second = icosphere(0), icosphere(1, radius=2.0)
    both = make_meshes([first, second])
    for number, (vertices, faces) in enumerate((first, second)):
        assert torch.equal(both[number][0], vertices)
        assert torch.equal(both[number][1], faces)


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_icosphere_is_a_closed_sphere(level):
    vertices, faces = icosphere(level, radius=0.5)
    edges = edges_of(faces)
    assert len(faces) == 20 * 4**level
    assert len(vertices) - len(edges) + len(faces) == 2  # Euler
    assert torch.allclose(vertices.norm(dim=1), torch.tensor(0.5), atol=1e-6)
    assert 0.6 < volume(vertices, faces) / (4 / 3 * math.pi * 0.5**3) < 1
    directed = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert len(directed.unique(dim=0)) == len(directed)  # all faces are turned alike


def test_edges_are_each_there_once():
    faces = icosphere(1)[1]
    expected = {
        tuple(sorted((a, b))) for f in faces.tolist() for a, b in zip(f, f[1:] + f[:1], strict=True)
    }
    assert {tuple(e) for e in edges_of(faces).tolist()} == expected


def test_samples_lie_on_the_faces_and_are_spread_by_area():
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 3]])
    tetrahedron = (vertices, torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
    torch.manual_seed(0)
    points, normals = sample_surface(make_meshes([icosphere(1), tetrahedron, tetrahedron]), 20000)
    a, b, c = vertices[tetrahedron[1]].unbind(1)
    across = torch.linalg.cross(b - a, c - a)
    area, unit = across.norm(dim=1) / 2, across / across.norm(dim=1, keepdim=True)
    for number in (1, 2):
        close = (normals[number] @ unit.T) > 0.999
        assert torch.allclose(close.float().mean(0), area / area.sum(), atol=0.02)
        face = close.int().argmax(dim=1)
        assert ((points[number] - a[face]) * unit[face]).sum(-1).abs().max() < 1e-5
        assert points[number].min() >= -1e-6
    assert points[0].norm(dim=1).min() > 0.8


def test_gradients_of_samples_reach_the_corners():
    vertices, faces = icosphere(1)
    vertices = vertices.requires_grad_()
    points, _ = sample_surface(make_meshes([(vertices, faces)]), 2000)
    points[..., 0].sum().backward()
    # each point is a weighted mean of three corners: the weights sum to 1
    assert vertices.grad[:, 0].sum() == pytest.approx(2000, rel=1e-4)
    assert (vertices.grad[:, 0] > 0).all()


def test_matches_are_those_of_a_kd_tree(views):
    torch.manual_seed(0)
    p, u = sample_surface(make_meshes([icosphere(2, radius=0.8)] * 2), 300)
    q, w = views.points[:2], views.normals[:2]
    found = match(p, u, q, w)
    for i in range(2):
        there, to = KDTree(q[i]).query(p[i])
        back, fro = KDTree(p[i]).query(q[i])
        np.testing.assert_allclose(found.there[i], there**2, atol=1e-4)
        np.testing.assert_allclose(found.back[i], back**2, atol=1e-4)
        np.testing.assert_allclose(
            found.there_cosine[i], (u[i] * w[i][to]).sum(-1).abs(), atol=1e-4
        )
        np.testing.assert_allclose(
            found.back_cosine[i], (w[i] * u[i][fro]).sum(-1).abs(), atol=1e-4
        )
        # the first chapter's chamfer distance has no squares, and halves the sum
        plain = (found.there[i].sqrt().mean() + found.back[i].sqrt().mean()) / 2
        assert float(chamfer(p[i], q[i])) == pytest.approx(float(plain), abs=1e-4)


def test_scores_are_those_of_a_kd_tree_and_do_not_know_the_scale(views):
    p, u, q, w = (
        views.points[:2],
        views.normals[:2],
        views.points[:2, :250],
        views.normals[:2, :250],
    )
    p = p + 0.03
    found = score_surfaces(p, u, q, w)
    for i in range(2):
        scale = 10 / float((q[i].max(0).values - q[i].min(0).values).max())
        there, back = KDTree(q[i]).query(p[i])[0], KDTree(p[i]).query(q[i])[0]
        expected = ((there * scale) ** 2).mean() + ((back * scale) ** 2).mean()
        assert float(found.chamfer[i]) == pytest.approx(expected, rel=1e-3)
        for name, threshold in (("f1", 0.3), ("f1_loose", 0.5)):
            precision, recall = (np.mean(d * scale < threshold) for d in (there, back))
            f1 = 200 * precision * recall / max(precision + recall, 1e-9)
            assert float(getattr(found, name)[i]) == pytest.approx(f1, abs=0.5)
    for a, b in zip(found, score_surfaces(7 * p, u, 7 * q, w), strict=True):
        assert torch.allclose(a, b, rtol=1e-2, atol=0.5)


def test_the_truth_itself_has_full_scores(views):
    perfect = score_surfaces(views.points, views.normals, views.points, views.normals)
    assert perfect.chamfer.max() < 1e-3
    assert perfect.normal.min() > 0.99
    assert perfect.f1.min() > 99.9


def test_bad_input_gets_one_clear_error(views):
    vertices, faces = icosphere(0)
    with pytest.raises(ValueError, match="there are 12"):
        make_meshes([(vertices, faces + 1)])
    with pytest.raises(ValueError, match="NaN"):
        make_meshes([(vertices * math.nan, faces)])
    with pytest.raises(ValueError, match="empty"):
        make_meshes([])
    with pytest.raises(ValueError, match="no area"):
        sample_surface(Meshes(torch.zeros(12, 3), faces, torch.zeros(12).long()), 5)
    with pytest.raises(ValueError, match="NaN"):
        score_surfaces(views.points * math.nan, views.normals, views.points, views.normals)
