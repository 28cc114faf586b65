"""What SoundNet's student learned from unlabelled videos, measured with few labels on new sounds.

Which of four categories that no teacher knows is in a second of sound, beside another object; the
same for the six that the object teacher does know; and which ambience it is: one of two scene
classes that no teacher knows, by day or by night. Every row is read by the same linear classifier.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from mmlib.probe import few_label_scores
from mmlib.runtime import make_generator
from mmlib.vision_audio import soundnet, spectrogram
from mmlib.vision_audio.soundnet import SMALL, SoftTargets, SoundNet, SoundNetConfig
from mmlib.world import single_source, videos
from mmlib.world.labels import sound_labels
from mmlib.world.scenes import CATEGORIES, SCENE_CLASSES, Scenes
from mmlib.world.videos import LabelledSounds

TITLE = "SoundNet: accuracy with few labelled sounds of each class"
SYSTEMS = (
    "chance",
    "13 MFCC",
    "log-mel",
    "untrained, pool1",
    "untrained, pool5",
    "untrained, its best layer",
    "shuffled pictures, pool5",
    "object teacher only, pool5",
    "scene teacher only, pool5",
    "SoundNet, pool1",
    "SoundNet, pool5",
    "SoundNet, its best layer",
    "ceiling, true sound labels, pool5",
)
QUESTIONS = {  # column: (question, labelled sounds of each class)
    "new, 1": ("new", 1), "new, 5": ("new", 5), "new, 20": ("new", 20),
    "known, 5": ("known", 5), "ambience, 20": ("ambience", 20),
}  # fmt: skip
VIDEOS, KNOWN, ASKED, DRAWS = 3000, 300, 500, 5
EVERYTHING = SoundNetConfig(SMALL.layers, len(CATEGORIES), len(SCENE_CLASSES), SMALL.kernel)


def run(seed: int) -> dict[str, float]:
    """Return accuracies by "system: column"."""
    generator = make_generator(5000 + seed)
    recordings = single_source.synthesise(40, generator=generator, seconds=3.0)
    made = videos.make_videos(VIDEOS, recordings=recordings, generator=generator)
    taught = soundnet.soft_targets(soundnet.load_teachers(), made.pictures)
    order = torch.randperm(VIDEOS, generator=generator)
    shuffled = SoftTargets(*(part[order] for part in taught))
    probes = {
        "new": probe(soundnet.NEW_CATEGORIES, generator),
        "known": probe(soundnet.KNOWN_CATEGORIES, generator),
    }
    students = {
        "untrained": (SMALL, None, {}),
        "shuffled pictures": (SMALL, shuffled, {}),
        "object teacher only": (SMALL, taught, {"scenes": 0}),
        "scene teacher only": (SMALL, taught, {"objects": 0}),
        "SoundNet": (SMALL, taught, {}),
        "ceiling, true sound labels": (EVERYTHING, true_targets(made.scenes), {}),
    }
    scores = {
        f"chance: {column}": 1 / {"new": 4, "known": 6, "ambience": 4}[question]
        for column, (question, _) in QUESTIONS.items()
    }
    for name, features in baselines(probes).items():
        scores |= score(name, features, probes, seed)
    for name, (config, targets, weights) in students.items():
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            student = SoundNet(config)
        if targets is not None:
            soundnet.train(
                student, made.waves, targets, steps=soundnet.STEPS,
                generator=make_generator(seed), progress=False, **weights,
            )  # fmt: skip
        scores |= score_student(name, student, probes, seed)
    return scores


def probe(
    categories: tuple[str, ...], generator: torch.Generator
) -> tuple[LabelledSounds, LabelledSounds]:
    """Return sounds to label and sounds to ask about, each from recordings of their own."""
    return tuple(
        videos.label_sounds(
            count,
            categories=categories,
            scene_classes=soundnet.NEW_SCENES,
            recordings=single_source.synthesise(12, generator=generator, seconds=1.5),
            generator=generator,
        )
        for count in (KNOWN, ASKED)
    )


def true_targets(scenes: Scenes) -> SoftTargets:
    """Return what sounds, evenly, and the true scene class: what no picture shows."""
    sounding = sound_labels(scenes)
    sounding = torch.where(sounding.sum(dim=1, keepdim=True) == 0, 1.0, sounding)
    around = one_hot(scenes.scene_class, len(SCENE_CLASSES)).float()
    return SoftTargets(sounding / sounding.sum(dim=1, keepdim=True), around)


def baselines(probes: dict) -> dict[str, dict[str, tuple[Tensor, Tensor]]]:
    """Return the features of the chapter on sound, by name and probe."""
    framing = spectrogram.Framing()
    filters = spectrogram.mel_filters(framing, 40)
    ways = {"13 MFCC": spectrogram.mfcc, "log-mel": spectrogram.log_mel}
    return {
        name: {
            key: tuple(spectrogram.summarise(way(p.waves, framing, filters)) for p in parts)
            for key, parts in probes.items()
        }
        for name, way in ways.items()
    }


def score_student(name: str, student: SoundNet, probes: dict, seed: int) -> dict[str, float]:
    """Return the scores of ``pool5``; of the untrained and of SoundNet also pool1 and the best."""
    found = {
        key: [soundnet.layer_features(student, part.waves) for part in parts]
        for key, parts in probes.items()
    }
    every = name in ("untrained", "SoundNet")
    layers = next(iter(found.values()))[0] if every else ("pool5",)
    by_layer = {
        layer: score(
            "x", {key: tuple(f[layer] for f in pair) for key, pair in found.items()}, probes, seed
        )
        for layer in layers
    }
    rows = {f"{name}, {layer}": by_layer[layer] for layer in ("pool1", "pool5") if layer in layers}
    if every:
        rows[f"{name}, its best layer"] = {
            key: max(row[key] for row in by_layer.values()) for key in by_layer["pool5"]
        }
    return {
        key.replace("x:", f"{row}:", 1): value
        for row, values in rows.items()
        for key, value in values.items()
    }


def score(
    name: str, features: dict[str, tuple[Tensor, Tensor]], probes: dict, seed: int
) -> dict[str, float]:
    """Return the mean accuracy over the draws of few labels for each column."""
    scores = {}
    for column, (question, count) in QUESTIONS.items():
        known, asked = probes["new" if question == "ambience" else question]
        which = "ambience" if question == "ambience" else "category"
        train, test = features["new" if question == "ambience" else question]
        found = few_label_scores(
            train, getattr(known, which), test, getattr(asked, which), count=count,
            draws=DRAWS, generator=make_generator(seed),
        )  # fmt: skip
        scores[f"{name}: {column}"] = float(found.mean())
    return scores
