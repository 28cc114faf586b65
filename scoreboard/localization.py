"""Where the sound comes from, on new scenes of two or three things of which one sounds."""

import torch

from mmlib.runtime import make_generator
from mmlib.vision_audio import localization as loc
from mmlib.vision_audio.localization import (
    AlikeBatches,
    Clips,
    Exam,
    Localizer,
    LocalizerConfig,
    Maps,
)
from mmlib.world import soloists

TITLE = "Sound source localization: pointing, cIoU and what the map does when the sound changes"
TRAIN, CHECK, TEST = 2500, 300, 500
MARKED = {"1 % of boxes": 0.01, "10 % of boxes": 0.1, "50 % of boxes": 0.5}


def run(seed: int) -> dict[str, float]:
    """Return all measures by "system: measure"."""
    generator = make_generator(6000 + seed)
    clips = loc.film(TRAIN, takes=soloists.record(32, generator=generator), generator=generator)
    check, exam = (
        loc.make_exam(count, takes=soloists.record(12, generator=generator), generator=generator)
        for count in (CHECK, TEST)
    )
    models = {name: trained(clips, seed, **how) for name, how in regimes(clips, seed).items()}
    scores = {}
    known, found = (answers(models, clips, one, seed) for one in (check, exam))
    for name, maps in found.items():
        scores |= graded(name, known[name], maps, check, exam)
    return scores


def answers(models: dict[str, Localizer], clips: Clips, exam: Exam, seed: int) -> dict[str, Maps]:
    """Return everybody's maps, from the simplest to the best."""
    found = untrained(exam, seed) | saliencies(models, clips, exam)
    return found | {name: loc.answer(model, exam) for name, model in models.items()}


def regimes(clips: Clips, seed: int) -> dict[str, dict]:
    """Return how each system is trained."""
    generator = make_generator(7000 + seed)
    order = torch.randperm(len(clips.grids), generator=generator)
    mixed = loc.shuffled(clips, loc.alike(clips.grids), generator=generator)
    found: dict[str, dict] = {
        "shuffled sounds": {"clips": mixed},
        "any negatives": {"groups": 1},
        "temperature 0.1": {"temperature": 0.1},
        "triplet": {"unsupervised": loc.triplet_loss},
        "contrastive": {},
    }
    for name, part in MARKED.items():
        found[name] = {"marked": order[: round(part * len(order))]}
    found["all boxes, supervised"] = {"marked": order, "pairs": False}
    return found


def trained(clips: Clips, seed: int, **how) -> Localizer:
    """Return a localizer trained in one of the ``regimes``."""
    unsupervised = how.pop("unsupervised", loc.contrastive_loss)
    config = LocalizerConfig(temperature=how.pop("temperature", LocalizerConfig.temperature))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Localizer(config)
    generator = make_generator(seed)
    batches = AlikeBatches(how.pop("clips", clips), generator=generator, **how)
    loc.train(
        model,
        batches,
        steps=loc.STEPS,
        generator=generator,
        unsupervised=unsupervised,
        progress=False,
    )
    return model


def untrained(exam: Exam, seed: int) -> dict[str, Maps]:
    """Return the answers of two who neither look nor listen."""
    count, rows = len(exam.boxes), exam.clips.grids.shape[2]
    noise = torch.rand(3, count, rows, rows, generator=make_generator(seed))
    return {
        "random": Maps(*(loc.enlarge(part, loc.SIDE) for part in noise)),
        "centre": Maps(*[loc.centred(count)] * 3),
    }


def saliencies(models: dict[str, Localizer], clips: Clips, exam: Exam) -> dict[str, Maps]:
    """Return what catches the eye of the contrastive model, whatever sounds."""
    found = loc.saliency(models["contrastive"], exam.clips.grids, clips.heard[:100])
    return {"saliency, no sound": Maps(found, found, found)}


def graded(name: str, known: Maps, maps: Maps, check: Exam, exam: Exam) -> dict[str, float]:
    """Return the measures of one system, its threshold chosen on ``check``."""
    threshold = loc.best_threshold(known.own, check.agreed)
    found = loc.grade(maps, exam, threshold=threshold)
    return {f"{name}: {measure}": value for measure, value in found.items()}
