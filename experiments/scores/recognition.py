"""Naming solids from scans of 1,024 points: whole and turned, sparse, noisy, from one side.

All networks learn from the same 720 whole scans, turned by a random angle in every step unless the
row says otherwise; none is trained for the other columns but the one that learns from one side.
"""

import math
from functools import partial

import torch
from torch import Tensor, nn

from experiments.training import trained
from mmlib.probe import linear_probe
from mmlib.runtime import make_generator
from mmlib.vision_3d import recognition
from mmlib.vision_3d.recognition import MultiViewCNN, PointNet, Scans, VoxNet
from mmlib.world.solids import CATEGORIES

TITLE = "Recognising solids from voxels, points and views"
TRAIN, TEST = 720, 360
NETWORKS = {  # how to make it, points, epochs, learning rate
    "VoxNet, 12³ cells": (partial(VoxNet, resolution=12), 1024, 12, 2e-3),
    "VoxNet": (VoxNet, 1024, 12, 2e-3),
    "VoxNet, 24³ cells": (partial(VoxNet, resolution=24), 1024, 8, 2e-3),
    "VoxNet, never turned": (VoxNet, 1024, 12, 2e-3),
    "VoxNet, learns from one side": (VoxNet, 1024, 12, 2e-3),
    "PointNet": (PointNet, 256, 5, 3e-3),
    "PointNet with normals": (partial(PointNet, channels=6), 256, 5, 3e-3),
    "multi-view": (MultiViewCNN, 1024, 7, 2e-3),
}
SYSTEMS = ("chance", "D2, linear", "D2, nearest", *NETWORKS)


def with_normals(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the loss of points with normals (shapes, points, 6), both turned by one angle."""
    both, labels = batch
    angle = 2 * math.pi * torch.rand(len(both), device=both.device)
    turned = [recognition.turn(part, angle) for part in both.split(3, dim=-1)]
    return recognition.recognition_loss(model, (torch.cat(turned, dim=-1), labels))


def run(seed: int) -> dict[str, float]:
    """Return the accuracy by "system: test"."""
    generator = make_generator(6000 + seed)
    whole, half = (
        recognition.make_scans(TRAIN, generator=generator, partial=side) for side in (False, True)
    )
    tests = make_tests(generator)
    scores = {f"chance: {key}": 1 / len(CATEGORIES) for key in tests}

    def keep(name: str, answers) -> None:
        for key, scans in tests.items():
            right = torch.as_tensor(answers(scans)) == scans.labels
            scores[f"{name}: {key}"] = float(right.float().mean())

    def d2(scans: Scans) -> Tensor:
        pairs = make_generator(seed)
        return recognition.shape_distribution(scans.points, generator=pairs)

    known = d2(whole)
    keep("D2, linear", lambda scans: linear_probe(known, whole.labels, d2(scans))[0])
    keep("D2, nearest", lambda scans: recognition.nearest_neighbour(known, whole.labels, d2(scans)))
    for name, (make, points, epochs, rate) in NETWORKS.items():
        normals = "normals" in name

        def read(scans: Scans, points: int = points, normals: bool = normals) -> Tensor:
            both = (scans.points, scans.normals) if normals else (scans.points,)
            return torch.cat(both, dim=-1)[:, :points]

        training = half if "one side" in name else whole
        loss = with_normals if normals else recognition.turned_loss
        loss = recognition.recognition_loss if "never" in name else loss
        data = (read(training), training.labels)
        options = {"batch_size": 32, "epochs": epochs, "learning_rate": rate}
        model = trained(make, data, loss, seed=seed, **options)
        keep(name, lambda scans, model=model, read=read: recognition.recognise(model, read(scans)))
    return scores


def make_tests(generator: torch.Generator) -> dict[str, Scans]:
    """Return new scans by the name of their test."""
    whole, side = (
        recognition.make_scans(TEST, generator=generator, partial=side) for side in (False, True)
    )
    angle = 2 * math.pi * torch.rand(TEST, generator=generator)
    turned, side = (
        Scans(recognition.turn(s.points, angle), recognition.turn(s.normals, angle), s.labels)
        for s in (whole, side)
    )
    sparse = Scans(turned.points[:, :32], turned.normals[:, :32], turned.labels)
    noisy = recognition.jitter(turned.points, 0.1, generator=generator)
    return {
        "whole": turned,
        "32 points": sparse,
        "noise 0.1": Scans(noisy, turned.normals, turned.labels),
        "one side": side,
    }
