"""Parts of shapes with proportions that nobody learned from: mean IoU; and classes in whole rooms.

All learn from the same 360 shapes. The networks make the page's 12 passes over them, three of them
36 as well; shapes are turned by a random angle in every step unless the row says otherwise. Nothing
is trained for the other columns. Normals are exact, so with noise in the points the rows that read
them could not be compared: they have no score there. *Rooms* are measured once, with the networks
that ship.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

from experiments.training import trained
from mmlib.metrics import confusion_matrix
from mmlib.runtime import make_generator
from mmlib.vision_3d import segmentation
from mmlib.vision_3d.recognition import jitter
from mmlib.vision_3d.segmentation import (
    ALLOWED,
    PARTS,
    SEGMENTED,
    PartScans,
    PointNetPlusPlus,
    PointNetSegmenter,
)
from mmlib.world.rooms import CLASSES, make_rooms

TITLE = "Parts of unseen shapes and classes in unseen rooms: mean IoU"
TRAIN, TEST, ROOMS = 360, 240, 30
NETWORKS = {  # how to make it, what it reads, passes over the training shapes
    "each point alone": (partial(PointNetSegmenter, context=False), ("points",), 12),
    "PointNet, never turned": (PointNetSegmenter, ("points",), 12),
    "PointNet, normals alone": (PointNetSegmenter, ("normals",), 12),
    "PointNet": (PointNetSegmenter, ("points",), 12),
    "PointNet with normals": (partial(PointNetSegmenter, channels=6), ("points", "normals"), 12),
    "PointNet++": (PointNetPlusPlus, ("points",), 12),
    "each point alone, 36 passes": (
        partial(PointNetSegmenter, context=False),
        ("points",),
        36,
    ),
    "PointNet, 36 passes": (PointNetSegmenter, ("points",), 36),
    "PointNet++, 36 passes": (PointNetPlusPlus, ("points",), 36),
}
SYSTEMS = ("most frequent part", "nearest points", *NETWORKS, "most alike shape")
Answer = Callable[[PartScans], Tensor]  # scans → parts (shapes, points)


def run(seed: int) -> dict[str, float]:
    """Return the mean IoU by "system: test"."""
    generator = make_generator(8200 + seed)
    training = segmentation.make_part_scans(TRAIN, generator=generator)
    tests = make_tests(generator)
    answers: dict[str, Answer] = {
        "most frequent part": most_frequent(training),
        "nearest points": nearest_points(training, generator),
        "most alike shape": partial(segmentation.transfer_labels, training, headings=12),
    }
    for name, (make, names, epochs) in NETWORKS.items():
        loss = segmentation.segmentation_loss if "never" in name else segmentation.turned_loss
        answers[name] = answers_of(make, names, training, seed, epochs=epochs, loss=loss)
    scores = {}
    for name in SYSTEMS:
        for key, scans in tests.items():
            if key == "noise 0.05" and "normals" in name:
                continue
            ious = segmentation.shape_ious(
                answers[name](scans), scans.parts, scans.category, ALLOWED
            )
            scores[f"{name}: {key}"] = float(ious.mean())
    return scores


def make_tests(generator: torch.Generator) -> dict[str, PartScans]:
    """Return new scans, all of whose proportions are unseen, by the name of their test."""
    facing = segmentation.make_part_scans(TEST, generator=generator, low=0.75, high=1.0)
    angle = 2 * math.pi * torch.rand(TEST, generator=generator)
    turned = segmentation.turn_scans(facing, angle)
    sparse = turned._replace(
        points=turned.points[:, :64], normals=turned.normals[:, :64], parts=turned.parts[:, :64]
    )
    noisy = turned._replace(points=jitter(turned.points, 0.05, generator=generator))
    return {"turned": turned, "facing": facing, "64 points": sparse, "noise 0.05": noisy}


def most_frequent(training: PartScans) -> Answer:
    """Return what gives all points the category's most frequent part."""
    counts = torch.zeros(len(SEGMENTED), len(PARTS))
    where = (training.category[:, None].expand_as(training.parts), training.parts)
    best = counts.index_put_(where, torch.ones(()), accumulate=True).argmax(dim=1)
    return lambda scans: best[scans.category][:, None].expand_as(scans.parts)


def nearest_points(training: PartScans, generator: torch.Generator) -> Answer:
    """Return the vote of the five nearest training points; each shape is turned once."""
    angle = 2 * math.pi * torch.rand(TRAIN, generator=generator)
    once = segmentation.turn_scans(training, angle)
    voters = []
    for category in range(len(SEGMENTED)):
        rows = once.category == category
        points, parts = once.points[rows].flatten(0, 1), once.parts[rows].flatten()
        voters.append(KNeighborsClassifier(5).fit(points, parts))

    def answer(scans: PartScans) -> Tensor:
        found = torch.empty_like(scans.parts)
        for category, voter in enumerate(voters):
            rows = scans.category == category
            votes = torch.as_tensor(voter.predict(scans.points[rows].flatten(0, 1)))
            found[rows] = votes.unflatten(0, scans.parts[rows].shape)
        return found

    return answer


def answers_of(
    make: Callable[[], nn.Module],
    names: tuple[str, ...],
    training: PartScans,
    seed: int,
    *,
    epochs: int,
    loss: Callable,
) -> Answer:
    """Return the answers of a network that is trained as on the page."""

    def read(scans: PartScans) -> Tensor:
        return torch.cat([getattr(scans, name) for name in names], dim=-1)

    data = (read(training), training.category, training.parts)
    options = {"batch_size": 16, "epochs": epochs, "learning_rate": 3e-3}
    model = trained(make, data, loss, seed=seed, **options)
    return lambda scans: segmentation.segment(model, read(scans), scans.category, ALLOWED)


def shipped() -> dict[str, float]:
    """Return the mean IoU over the classes of rooms of the networks that ship."""
    rooms = make_rooms(ROOMS, generator=make_generator(8290), low=0.75)
    category, allowed = torch.zeros(ROOMS, dtype=torch.long), torch.ones(1, len(CLASSES)).bool()
    names = ("each point alone", "PointNet", "PointNet++")
    scores = {}
    for short, name in zip(segmentation.ROOM_MODELS, names, strict=True):
        model = segmentation.load_room_model(short)
        found = segmentation.segment(model, rooms.points, category, allowed)
        matrix = confusion_matrix(found.flatten(), rooms.labels.flatten(), classes=len(CLASSES))
        scores[f"{name}: rooms"] = float(segmentation.class_ious(matrix).mean())
    return scores
