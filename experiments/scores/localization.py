"""Where the sound comes from, on new scenes of two or three things of which one sounds."""

import torch

from mmlib.runtime import make_generator
from mmlib.vision_audio import localization as loc
from mmlib.vision_audio.localization import Clips, EvaluationSet, Localizer, Maps
from mmlib.world import single_source

TITLE = "Sound source localization: pointing, cIoU and what the map does when the sound changes"
SYSTEMS = (
    "random",
    "centre",
    "saliency, no sound",
    "shuffled sounds",
    "any negatives",
    "temperature 0.1",
    "triplet",
    "contrastive",
    "1 % of boxes",
    "10 % of boxes",
    "50 % of boxes",
    "all boxes, supervised",
)
TRAIN, CHECK, TEST = 4000, 250, 400
FEWER = 400  # steps of the systems that are no better after more
MARKED = {"1 % of boxes": 0.01, "10 % of boxes": 0.1, "50 % of boxes": 0.5}


def run(seed: int) -> dict[str, float]:
    """Return all measures by "system: measure"."""
    generator = make_generator(6000 + seed)
    clips = loc.make_clips(
        TRAIN, recordings=single_source.synthesise(64, generator=generator), generator=generator
    )
    check, test_set = (
        loc.make_evaluation_set(
            count, recordings=single_source.synthesise(12, generator=generator), generator=generator
        )
        for count in (CHECK, TEST)
    )
    models = {
        name: loc.learn(**{"clips": clips} | how, seed=seed, progress=False)
        for name, how in regimes(clips, seed).items()
    }
    known, found = (answers(models, clips, one, seed) for one in (check, test_set))
    scores = {}
    for name, maps in found.items():
        threshold = loc.best_threshold(known[name].own, check.agreed)
        grades = loc.grade(maps, test_set, threshold=threshold)
        scores |= {f"{name}: {measure}": value for measure, value in grades.items()}
    return scores


def regimes(clips: Clips, seed: int) -> dict[str, dict]:
    """Return how each system is trained."""
    generator = make_generator(7000 + seed)
    order = torch.randperm(len(clips.grids), generator=generator)
    mixed = loc.shuffled(clips, loc.alike(clips.grids), generator=generator)
    found: dict[str, dict] = {
        "shuffled sounds": {"clips": mixed, "steps": FEWER},
        "any negatives": {"groups": 1, "steps": FEWER},
        "temperature 0.1": {"temperature": 0.1},
        "triplet": {"unsupervised": loc.triplet_loss},
        "contrastive": {},
    }
    for name, part in MARKED.items():
        found[name] = {"marked": order[: round(part * len(order))]}
    found["all boxes, supervised"] = {"marked": order, "pairs": False}
    return found


def answers(
    models: dict[str, Localizer], clips: Clips, test_set: EvaluationSet, seed: int
) -> dict[str, Maps]:
    """Return everybody's maps, from the simplest to the best."""
    found = loc.baselines(models["contrastive"], test_set, clips.audio[:100], seed=seed)
    return found | {name: loc.answer(model, test_set) for name, model in models.items()}
