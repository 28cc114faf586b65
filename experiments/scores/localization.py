"""Where the sound comes from, on new scenes of two or three objects of which one sounds."""

import torch

from mmlib.runtime import make_generator
from mmlib.vision_audio import localization as loc
from mmlib.vision_audio.localization import Clips, EvaluationSet, Maps
from mmlib.world import single_source

TITLE = "Sound source localization: pointing, cIoU and what the map does when the sound changes"
SYSTEMS = (
    "random",
    "centre box",
    "saliency, no sound",
    "unsupervised",
    "unsupervised, three times the steps",
    "10 % of boxes alone",
    "pairs + 1 % of boxes",
    "pairs + 10 % of boxes",
    "pairs + 50 % of boxes",
    "all boxes, supervised",
    "contrastive, any negatives",
    "triplet, alike pictures",
    "contrastive, alike pictures",
    "contrastive, alike + 10 % of boxes",
)
TRAIN, CHECK, TEST = 4000, 200, 400


def data(seed: int) -> tuple[Clips, EvaluationSet, EvaluationSet]:
    """Return clips to learn from, to choose the threshold on, and to be tested on."""
    generator = make_generator(6000 + seed)
    recordings = single_source.synthesise(64, generator=generator)
    clips = loc.make_clips(TRAIN, recordings=recordings, generator=generator)
    recordings = single_source.synthesise(12, generator=generator)
    check, test = (
        loc.make_evaluation_set(count, recordings=recordings, generator=generator)
        for count in (CHECK, TEST)
    )
    return clips, check, test


def regimes(clips: Clips, seed: int) -> dict[str, dict]:
    """Return how each trained system is trained; all but one take the same number of steps."""
    order = torch.randperm(len(clips.grids), generator=make_generator(7000 + seed))
    group, tenth = loc.appearance_groups(clips.grids), order[: len(order) // 10]
    contrastive = {"unsupervised": loc.contrastive_loss}
    return {
        "saliency, no sound": {"marked": order, "pairs": False},
        "unsupervised": {},
        "unsupervised, three times the steps": {"steps": 3 * loc.STEPS},
        "10 % of boxes alone": {"marked": tenth, "pairs": False},
        "pairs + 1 % of boxes": {"marked": order[: len(order) // 100]},
        "pairs + 10 % of boxes": {"marked": tenth},
        "pairs + 50 % of boxes": {"marked": order[: len(order) // 2]},
        "all boxes, supervised": {"marked": order, "pairs": False},
        "contrastive, any negatives": contrastive,
        "triplet, alike pictures": {"group": group},
        "contrastive, alike pictures": contrastive | {"group": group},
        "contrastive, alike + 10 % of boxes": contrastive | {"group": group, "marked": tenth},
    }


def run(seed: int) -> dict[str, float]:
    """Return all measures by "system: measure"."""
    clips, check, test = data(seed)
    rows, generator = clips.grids.shape[2], make_generator(8000 + seed)
    deaf = clips._replace(audio=torch.zeros_like(clips.audio))
    scores = {}

    def note(name: str, known: Maps, found: Maps) -> None:
        threshold = loc.best_threshold(known.own, check.agreed)
        grades = loc.grade(found, test, threshold=threshold)
        scores.update({f"{name}: {measure}": value for measure, value in grades.items()})

    def noise(count: int) -> Maps:
        drawn = torch.rand(3, count, rows, rows, generator=generator)
        return Maps(*(loc.enlarge(part, loc.SIDE) for part in drawn))

    note("random", noise(CHECK), noise(TEST))
    note("centre box", *(Maps(*[loc.centre_box(count)] * 3) for count in (CHECK, TEST)))
    for name, how in regimes(clips, seed).items():
        silent = name == "saliency, no sound"
        model, _ = loc.train(deaf if silent else clips, seed=seed, progress=False, **how)
        note(name, *(loc.answer(model, one, deaf=silent) for one in (check, test)))
    return scores
