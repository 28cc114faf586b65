"""Videos of the synthetic world: one picture of a scene and a few seconds of its sound.

A picture and a sound belong together because they come from the same scene; nothing says which
moment of the sound belongs to which part of the picture. All sounds are brought to one level, so
that loudness says nothing. To mix recorded sounds is many times quicker than to synthesise each
anew as in ``sounds.render``.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.world import pictures, sampling
from mmlib.world.scenes import CATEGORIES, SCENE_CLASSES, Scenes
from mmlib.world.single_source import Recordings

SAMPLE_RATE = 16_000
LEVEL = 0.1  # the root mean square of every sound
NOISE = (0.002, 0.02)  # standard deviation of the microphone's noise, drawn anew for each sound


class Videos(NamedTuple):
    """Pictures and sounds of the same scenes. Only the scenes know what is in them."""

    scenes: Scenes
    pictures: Tensor  # (videos, 3, 64, 64)
    waves: Tensor  # (videos, time)


def make_videos(
    count: int, *, recordings: Recordings, generator: torch.Generator, seconds: float = 2.0
) -> Videos:
    """Make videos of one to three objects, of which each sounds with a chance of 0.6.

    Raises:
        ValueError: as ``soundtrack``.
    """
    scenes = sampling.sample_scenes(count, generator=generator, slots=3, sounding=0.6)
    drawn = pictures.draw(scenes, generator=generator)
    gains = scenes.sounding * scenes.present / ((1 + scenes.depth) * scenes.slots)
    waves = soundtrack(scenes, recordings, gains, seconds=seconds, generator=generator)
    return Videos(scenes, drawn, waves)


def soundtrack(
    scenes: Scenes,
    recordings: Recordings,
    gains: Tensor,
    *,
    seconds: float,
    generator: torch.Generator,
) -> Tensor:
    """Mix what sounds in each scene, its ambience and a microphone's noise, at one level.

    Every recording begins at a random moment; the noise is drawn between ``NOISE``, evenly on a
    logarithmic scale.

    Args:
        gains: (scenes, slots), the factor on each object's recording; 0 for a silent one.

    Returns:
        (scenes, seconds · 16000), each of root mean square ``LEVEL``.

    Raises:
        ValueError: the recordings are shorter than ``seconds``.
    """
    time, recorded = round(seconds * SAMPLE_RATE), recordings.sounds.shape[2]
    if time > recorded:
        raise ValueError(
            f"{time} samples are asked for, the recordings have {recorded}: make longer ones"
        )
    shape = scenes.present.shape
    which = torch.randint(recordings.sounds.shape[1], shape, generator=generator)
    where = torch.randint(recordings.ambiences.shape[2], shape[:1], generator=generator)
    start = torch.randint(recorded - time + 1, (shape[0], shape[1] + 1), generator=generator)
    low, high = NOISE
    noise = low * (high / low) ** torch.rand(len(scenes), 1, generator=generator)
    waves = torch.randn(len(scenes), time, generator=generator) * noise
    for index, wave in enumerate(waves):
        scene_class, night = int(scenes.scene_class[index]), int(scenes.night[index])
        begin = int(start[index, -1])
        wave += recordings.ambiences[scene_class, night, where[index], begin : begin + time]
        for slot in gains[index].nonzero()[:, 0].tolist():
            begin = int(start[index, slot])
            own = recordings.sounds[scenes.category[index, slot], which[index, slot]]
            wave.add_(own[begin : begin + time], alpha=float(gains[index, slot]))
    return waves.mul_(LEVEL / waves.square().mean(dim=1, keepdim=True).sqrt())


class LabelledSounds(NamedTuple):
    """Sounds without pictures, and what there is to name."""

    waves: Tensor  # (sounds, time)
    category: Tensor  # (sounds,) position in the categories that were asked for
    ambience: Tensor  # (sounds,) 2 · position in the scene classes asked for, + 1 at night
    other: Tensor  # (sounds,) index into CATEGORIES of what else sounds


def label_sounds(
    count: int,
    *,
    categories: tuple[str, ...],
    scene_classes: tuple[str, ...],
    recordings: Recordings,
    generator: torch.Generator,
    seconds: float = 1.0,
) -> LabelledSounds:
    """Return sounds of one of ``categories`` each, mixed with one of the other categories.

    Which of the two is the louder one is chance, within 6 decibels, and says nothing about the
    label. Around them is the ambience of one of ``scene_classes``, by day or by night.

    Raises:
        ValueError: ``categories`` holds them all, or as ``soundtrack``.
    """
    others = torch.tensor([n for n, name in enumerate(CATEGORIES) if name not in categories])
    if not len(others):
        raise ValueError(f"all {len(categories)} categories are asked for: leave one to mix in")

    def draw(size: int) -> Tensor:
        return torch.randint(size, (count,), generator=generator)

    label, around, night = draw(len(categories)), draw(len(scene_classes)), draw(2)
    asked = torch.tensor([CATEGORIES.index(name) for name in categories])[label]
    places = torch.tensor([SCENE_CLASSES.index(name) for name in scene_classes])[around]
    scenes = sampling.sample_scenes(count, generator=generator, slots=2)
    both = torch.stack([asked, others[draw(len(others))]], dim=1)
    scenes = scenes.replace(category=both, scene_class=places, night=night.bool())
    decibels = 6 * torch.rand(count, 2, generator=generator) - 3
    gains = 0.4 * 10 ** (decibels / 20)
    waves = soundtrack(scenes, recordings, gains, seconds=seconds, generator=generator)
    return LabelledSounds(waves, label, 2 * around + night, both[:, 1])
