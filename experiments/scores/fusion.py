"""Naming an object from its sound and its picture: one modality, joint training, blended gradients.

All networks learn from the same 400 objects with the same number of epochs; dropout has the best of
three probabilities by validation, early stopping the best epoch.
"""

import torch

from mmlib.foundations import fusion
from mmlib.runtime import make_generator

TITLE = "Sound and picture: joint training, what limits overfitting, and Gradient-Blending"
SYSTEMS = (
    "chance",
    "vision only",
    "audio only",
    "joint, early fusion",
    "joint, mid fusion",
    "joint, late fusion",
    "joint, early stopping",
    "joint, dropout",
    "equal losses",
    "Gradient-Blending, offline",
    "Gradient-Blending, online",
)
EPOCHS, SUPER_EPOCH = 20, 5
ALONE = {"audio only": [1.0, 0, 0], "vision only": [0, 1.0, 0], "joint, late fusion": [0, 0, 1.0]}


def run(seed: int) -> dict[str, float]:
    """Return the test accuracy, and the joint networks' with a modality shuffled."""
    task = fusion.make_task(generator=make_generator(100 + seed))
    scores = {"chance: accuracy": float(task.test[1].bincount().max() / len(task.test[1]))}

    def fresh(network=fusion.LateFusion, **options):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return network(**options)

    def train(model, weights, **options):
        generator = make_generator(200 + seed)
        fusion.train_heads(model, task, weights, epochs=EPOCHS, generator=generator, **options)
        return model

    def score(name, model, head=-1):
        scores[f"{name}: accuracy"] = fusion.accuracies(model, task.test)[head]
        if "only" in name:
            return
        for k, modality in enumerate(fusion.MODALITIES):
            mixed = fusion.shuffled(task.test, k, generator=make_generator(300 + seed))
            scores[f"{name}: {modality} shuffled"] = fusion.accuracies(model, mixed)[head]

    for name, weights in ALONE.items():
        score(name, train(fresh(), weights), head=weights.index(1.0))
    score("joint, early fusion", train(fresh(fusion.EarlyFusion), [1.0]))
    score("joint, mid fusion", train(fresh(fusion.MidFusion), [1.0]))
    score("joint, early stopping", train(fresh(), [0, 0, 1.0], keep_best=True))
    dropped = [train(fresh(dropout=p), [0, 0, 1.0]) for p in (0.3, 0.5, 0.7)]
    best = max(dropped, key=lambda model: fusion.accuracies(model, task.validation)[-1])
    score("joint, dropout", best)
    score("equal losses", train(fresh(), [1 / 3] * 3))
    for name, length in (("offline", EPOCHS), ("online", SUPER_EPOCH)):
        model, generator = fresh(), make_generator(200 + seed)
        weights = fusion.blend(model, task, epochs=EPOCHS, super_epoch=length, generator=generator)
        score(f"Gradient-Blending, {name}", model)
    return scores
