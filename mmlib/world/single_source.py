"""Scenes in which one object of several sounds, and their sound, mixed from recordings.

To mix recorded sounds is many times quicker than to synthesise each anew as in ``sounds.render``.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from mmlib.shapes import check_whole
from mmlib.world import pictures, sampling, sounds
from mmlib.world.scenes import CATEGORIES, SCENE_CLASSES, Scenes

SECONDS = 1.0
SIDE = 96  # pixels of a picture: larger than 64, so that neighbours lie further apart
NOISE = (0.002, 0.01)  # standard deviation of the microphone's noise, drawn anew for each sound


class Recordings(NamedTuple):
    """Sounds recorded one by one, to be mixed into many scenes."""

    sounds: Tensor  # (categories, recordings, time)
    ambiences: Tensor  # (scene classes, 2, recordings, time): by day, by night


def synthesise(count: int, *, generator: torch.Generator, seconds: float = SECONDS) -> Recordings:
    """Make ``count`` sounds of each category, a quarter as many ambiences by day and by night."""
    count = check_whole(count, name="count")
    own = [
        sounds.timbre(category, seconds=seconds, generator=generator)
        for category in CATEGORIES
        for _ in range(count)
    ]
    around = [
        sounds.ambience(scene_class, seconds=seconds, generator=generator, night=night)
        for scene_class in SCENE_CLASSES
        for night in (False, True)
        for _ in range(max(1, count // 4))
    ]
    return Recordings(
        torch.stack(own).unflatten(0, (len(CATEGORIES), count)),
        torch.stack(around).unflatten(0, (len(SCENE_CLASSES), 2, -1)),
    )


def sample_single_source(count: int, *, generator: torch.Generator) -> Scenes:
    """Sample scenes with two or three objects, all of different categories, of which one sounds."""
    found: list[Scenes] = []
    while sum(map(len, found)) < count:
        scenes = sampling.sample_scenes(2 * count + 20, generator=generator, slots=3, least=2)
        categories = torch.where(scenes.present, scenes.category, -1 - torch.arange(scenes.slots))
        pairs = (categories[:, :, None] == categories[:, None, :]).sum(dim=(1, 2))
        found.append(scenes[(pairs == scenes.slots) & (scenes.present.sum(dim=1) >= 2)])
    scenes = _joined(found)[:count]
    return sounding(scenes, torch.multinomial(scenes.present.float(), 1, generator=generator)[:, 0])


def sounding(scenes: Scenes, slot: Tensor) -> Scenes:
    """Return the scenes with only the object in ``slot`` (scenes,) sounding."""
    return scenes.replace(sounding=one_hot(slot, scenes.slots).bool() & scenes.present)


def switch_source(scenes: Scenes, *, generator: torch.Generator) -> Scenes:
    """Return the scenes with another object of each sounding; nothing else changes."""
    silent = (scenes.present & ~scenes.sounding).float()
    return sounding(scenes, torch.multinomial(silent, 1, generator=generator)[:, 0])


def absent_categories(scenes: Scenes, *, generator: torch.Generator) -> Tensor:
    """Return for each scene a category that is not in it, (scenes,)."""
    there = one_hot(scenes.category, len(CATEGORIES)) * scenes.present[..., None]
    return torch.multinomial(1.0 - there.amax(dim=1), 1, generator=generator)[:, 0]


def soundtrack(
    scenes: Scenes,
    recordings: Recordings,
    *,
    generator: torch.Generator,
    categories: Tensor | None = None,
) -> Tensor:
    """Mix what sounds in each scene, its ambience and a microphone's noise: a second each.

    As in ``sounds.render``, a near object is louder.

    Args:
        scenes: one object of each sounds.
        categories: (scenes,), which category is heard instead; None: the one that sounds.

    Returns:
        (scenes, time) at 16 kHz.

    Raises:
        ValueError: in some scene not exactly one object sounds.
    """
    if not bool((scenes.sounding.sum(dim=1) == 1).all()):
        raise ValueError("in some scenes not exactly one object sounds: use sounding() first")
    count = len(scenes)
    categories = scenes.category[scenes.sounding] if categories is None else categories
    which = torch.randint(recordings.sounds.shape[1], (count,), generator=generator)
    where = torch.randint(recordings.ambiences.shape[2], (count,), generator=generator)
    gain = 1 / ((1 + scenes.depth[scenes.sounding]) * scenes.slots)
    waves = recordings.sounds[
        categories, which
    ]  # a copy; in place from here on: there may be thousands
    waves *= gain[:, None]
    waves += recordings.ambiences[scenes.scene_class, scenes.night.long(), where]
    low, high = NOISE
    level = low * (high / low) ** torch.rand(count, 1, generator=generator)
    noise = torch.randn(waves.shape, generator=generator)
    noise *= level
    waves += noise
    return waves


def ground_truth(scenes: Scenes, *, side: int = SIDE) -> Tensor:
    """Say which pixels lie in the tight box around what is seen of the sounding object.

    Returns:
        (scenes, side, side) bool.
    """
    found = []
    for start in range(0, len(scenes), 500):
        part = scenes[start : start + 500]
        boxes = pictures.boxes(pictures.masks(part, size=side)[part.sounding])
        found.append(_painted(boxes.double(), side))
    return torch.cat(found)


def consensus(scenes: Scenes, *, generator: torch.Generator, side: int = SIDE) -> Tensor:
    """Let three annotators draw a box each, none quite exactly, and return what they agree on.

    Every edge is off by a twentieth of the box's side, as a standard deviation. A pixel that two
    of the three chose counts as certain, one that a single one chose as a half (S18 section 4.1).

    Returns:
        (scenes, side, side) in 0 to 1.
    """
    boxes = pictures.boxes(pictures.masks(scenes, size=side)[scenes.sounding]).double()
    lengths = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    votes = torch.zeros(len(scenes), side, side)
    for _ in range(3):
        shaken = torch.randn(boxes.shape, generator=generator) * lengths / 20
        votes += _painted((boxes + shaken).round().clamp(0, side), side)
    return (votes / 2).clamp(max=1)


def _painted(boxes: Tensor, side: int) -> Tensor:
    """Return (boxes, side, side) bool: the pixels inside each box."""
    at = torch.arange(side)
    left, top, right, bottom = (edge[:, None] for edge in boxes.unbind(dim=1))
    across, down = (at >= left) & (at < right), (at >= top) & (at < bottom)
    return across[:, None, :] & down[:, :, None]


def _joined(parts: list[Scenes]) -> Scenes:
    """Return one batch of several."""
    names = Scenes.__dataclass_fields__
    return Scenes(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})
