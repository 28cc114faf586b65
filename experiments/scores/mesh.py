"""The shape behind one picture: chamfer distance and F1 on 96 new solids of three categories.

All networks learn from the same 900 views for about the same time. The rows that end in *true* get
the exact mask, depth or normals as further channels, in training and in the test.
"""

import torch
from torch import Tensor

from mmlib.runtime import make_generator
from mmlib.surfaces import Meshes, sample_surface, score_surfaces
from mmlib.vision_3d import mesh
from mmlib.world import shape_views
from mmlib.world.shape_views import ShapeViews, make_shape_views, select
from mmlib.world.solid_samples import surface_points

TITLE = "From one picture to a mesh"
TRAIN, TEST, POINTS = 900, 96, 2000
SPHERE = mesh.Plan(0, 80)  # takes as long as PAGE
INPUTS = {
    "mask alone": ("mask",),
    "Mesh R-CNN": ("picture",),
    "with mask true": ("picture", "mask"),
    "with depth true": ("picture", "depth"),
    "with normals true": ("picture", "normals"),
    "with all three true": ("picture", "mask", "depth", "normals"),
}
SYSTEMS = (
    "mean shape",
    "another picture",
    "cubes at 0.2",
    "cubes, best threshold",
    "sphere, refined",
    "retrieval",
    *INPUTS,
    "nearest training shape",
    "true cells as cubes",
    "truth, sampled again",
)


def run(seed: int) -> dict[str, float]:
    """Return "system: measure" after the page's training."""
    views = make_shape_views(TRAIN, generator=make_generator(7000 + seed))
    test = make_shape_views(TEST, generator=make_generator(8000 + seed), points=POINTS)
    scores = {}
    for name, names in INPUTS.items():
        model, _ = mesh.train(views, seed=seed, names=names, progress=False)
        found = predict(model, select(test, names))
        scores |= judge(name, found.stages[-1], test)
        if name == "Mesh R-CNN":
            scores |= around(model, found, views, test)
    model, _ = mesh.train(views, seed=seed, sphere=True, plan=SPHERE, progress=False)
    found = predict(model, select(test, ("picture",)))
    return scores | judge("sphere, refined", found.stages[-1], test) | bounds(views, test)


def shipped() -> dict[str, float]:
    """Return what the networks that ship reach."""
    views = make_shape_views(mesh.LONG_VIEWS, generator=make_generator(31))  # tools/weights.py
    test = make_shape_views(TEST, generator=make_generator(8000), points=POINTS)
    scores = {}
    for short, name in (("cells", "Mesh R-CNN"), ("sphere", "sphere, refined")):
        model = mesh.load_shipped(short)
        found = predict(model, select(test, ("picture",)))
        scores |= judge(name, found.stages[-1], test)
        if short == "cells":
            scores |= around(model, found, views, test)
    return scores


def predict(model: mesh.MeshRCNN, inputs: Tensor) -> mesh.Prediction:
    """Return a trained network's answers."""
    with torch.no_grad():
        return model.eval()(inputs)


def judge(name: str, meshes: Meshes, test: ShapeViews) -> dict[str, float]:
    """Return the three measures of predicted meshes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        points, normals = sample_surface(meshes, POINTS)
    return measures(name, points, normals, test)


def measures(name: str, points: Tensor, normals: Tensor, test: ShapeViews) -> dict[str, float]:
    """Return the three measures of clouds, means over the test views."""
    found = score_surfaces(points, normals, test.points, test.normals)
    parts = {"chamfer": found.chamfer, "F1 at 0.3": found.f1, "F1 at 0.5": found.f1_loose}
    return {f"{name}: {measure}": float(values.mean()) for measure, values in parts.items()}


def around(
    model: mesh.MeshRCNN, found: mesh.Prediction, views: ShapeViews, test: ShapeViews
) -> dict[str, float]:
    """Return the rows that use the same trained network."""
    scores = judge("cubes at 0.2", found.stages[0], test)
    known = predict(model, select(views, ("picture",))[:64])
    best = max((0.2, 0.3, 0.4, 0.5), key=lambda t: _known_f1(known.logits, t, views))
    scores |= judge("cubes, best threshold", cubes(found.logits, best), test)
    other = predict(model, select(test, ("picture",)).roll(1, dims=0))
    scores |= judge("another picture", other.stages[-1], test)
    chosen = mesh.retrieve(found.logits, views.occupancy)
    return scores | measures("retrieval", views.points[chosen], views.normals[chosen], test)


def _known_f1(logits: Tensor, threshold: float, views: ShapeViews) -> float:
    first = ShapeViews(*(part[: len(logits)] for part in views))
    return judge("cubes", cubes(logits, threshold), first)["cubes: F1 at 0.5"]


def cubes(logits: Tensor, threshold: float) -> Meshes:
    """Return cells above a threshold as meshes in the camera's frame."""
    found = mesh.cubify(mesh.fill(logits.sigmoid(), threshold))
    return found._replace(vertices=shape_views.from_grid(found.vertices))


def bounds(views: ShapeViews, test: ShapeViews) -> dict[str, float]:
    """Return the rows without a network."""
    mean = mesh.mean_shape(views.occupancy).expand(len(test.inputs), -1, -1, -1)
    scores = judge("mean shape", cubes(40 * mean.float() - 20, 0.5), test)
    scores |= judge("true cells as cubes", cubes(40 * test.occupancy.float() - 20, 0.5), test)
    near = mesh.most_alike(test.occupancy, views.occupancy)
    scores |= measures("nearest training shape", views.points[near], views.normals[near], test)
    again = surface_points(test.solids, POINTS, generator=make_generator(9))
    turned = (part @ test.rotation.mT for part in (again.points, again.normals))
    return scores | measures("truth, sampled again", *turned, test)
