"""What a student of sound learned from unlabelled videos, measured with few labels on new sounds.

Two questions about a second of sound: which of ten kinds is the louder of two that sound, and which
of five places is it. All rows are read by the same linear classifier.
"""

import torch
from torch import Tensor

from mmlib.foundations.pretraining import load_image_classifier
from mmlib.probe import few_label_scores
from mmlib.runtime import make_generator
from mmlib.vision_audio import soundnet, spectrogram
from mmlib.vision_audio.soundnet import LabelledSounds, SoftTargets, SoundNet, Videos
from mmlib.world.scenes import CATEGORIES, SCENE_CLASSES

TITLE = "SoundNet: accuracy with 1, 5 and 20 labelled sounds of each class"
SYSTEMS = (
    "chance",
    "13 MFCC",
    "log-mel",
    "untrained, pool1",
    "untrained, pool5",
    "shuffled frames, pool5",
    "object teacher only, pool5",
    "scene teacher only, pool5",
    "SoundNet, pool1",
    "SoundNet, pool5",
    "ceiling, true sound labels, pool5",
)
LABELS, DRAWS = (1, 5, 20), 5  # labelled sounds of each class, and how often they are drawn anew
VIDEOS, KNOWN, NEW = 3000, 400, 500
Features = dict[str, tuple[Tensor, Tensor]]  # of the sounds to label, and of those to measure on


def run(seed: int) -> dict[str, float]:
    """Return accuracies by "system: question, labels of each class"."""
    generator = make_generator(5000 + seed)
    recordings = soundnet.synthesise(40, generator=generator)
    videos = soundnet.make_videos(VIDEOS, recordings=recordings, generator=generator)
    taught = soundnet.teach(load_image_classifier(), videos.pictures)
    quizzes = [
        soundnet.sound_mixtures(
            count,
            recordings=soundnet.synthesise(16, generator=generator, seconds=1.5),
            generator=generator,
        )
        for count in (KNOWN, NEW)
    ]
    features: Features = baselines(*quizzes)
    students = targets(videos, taught, generator)
    features |= layers(new_student(seed), *quizzes, name="untrained")
    for name, (lesson, weights) in students.items():
        student = new_student(seed)
        soundnet.train(
            student,
            videos.waves,
            lesson,
            steps=soundnet.STEPS,
            generator=make_generator(seed),
            progress=False,
            **weights,
        )
        features |= layers(student, *quizzes, name=name)
    return score(features, *quizzes, seed)


def new_student(seed: int) -> SoundNet:
    """Return a student with the first weights of ``seed``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SoundNet()


def targets(videos: Videos, taught: SoftTargets, generator: torch.Generator) -> dict:
    """Return what each student is trained on, and by which teachers."""
    order = torch.randperm(len(videos.waves), generator=generator)
    sounding = soundnet.sound_targets(videos.scenes)
    return {
        "shuffled frames": (SoftTargets(*(part[order] for part in taught)), {}),
        "object teacher only": (taught, {"scenes": 0}),
        "scene teacher only": (taught, {"objects": 0}),
        "SoundNet": (taught, {}),
        "ceiling, true sound labels": (sounding, {}),
    }


def baselines(known: LabelledSounds, new: LabelledSounds) -> Features:
    """Return the features of the chapter on sound."""
    framing = spectrogram.Framing()
    filters = spectrogram.mel_filters(framing, 40)
    ways = {"13 MFCC": spectrogram.mfcc, "log-mel": spectrogram.log_mel}
    return {
        name: tuple(
            spectrogram.summarise(way(test.waves, framing, filters)) for test in (known, new)
        )
        for name, way in ways.items()
    }


def layers(student: SoundNet, known: LabelledSounds, new: LabelledSounds, *, name: str) -> Features:
    """Return what the student's ``pool5`` makes of the sounds; of two of them ``pool1`` too."""
    found = [soundnet.layer_features(student, test.waves) for test in (known, new)]
    chosen = ("pool1", "pool5") if name in ("untrained", "SoundNet") else ("pool5",)
    return {f"{name}, {layer}": tuple(part[layer] for part in found) for layer in chosen}


def score(
    features: Features, known: LabelledSounds, new: LabelledSounds, seed: int
) -> dict[str, float]:
    """Return the mean accuracy over the draws of few labels for each system and question."""
    asked = {
        "object": ("loudest", len(CATEGORIES)),
        "scene": ("scene_class", len(SCENE_CLASSES)),
    }
    columns = {
        f"{q}, {n}": (key, classes, n) for q, (key, classes) in asked.items() for n in LABELS
    }
    scores = {f"chance: {column}": 1 / c for column, (_, c, _) in columns.items()}
    for name, (train, test) in features.items():
        for column, (key, _, count) in columns.items():
            found = few_label_scores(
                train,
                getattr(known, key),
                test,
                getattr(new, key),
                count=count,
                draws=DRAWS,
                generator=make_generator(seed),
            )
            scores[f"{name}: {column}"] = float(found.mean())
    return scores
