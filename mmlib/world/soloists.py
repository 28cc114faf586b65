"""Scenes in which one thing of several sounds, and their sound, mixed from recorded takes.

To mix recorded sounds is many times quicker than to synthesise each anew as in ``sounds.listen``.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from mmlib.world import pictures, sampling, sounds
from mmlib.world.scenes import KINDS, PLACES, Scenes

SECONDS = 1.0
SIDE = 96  # pixels of a picture: larger than 64, so that neighbours lie further apart
NOISE = (0.002, 0.01)  # standard deviation of the microphone's noise, drawn anew for each sound


class Takes(NamedTuple):
    """Sounds recorded one by one, to be mixed into many scenes."""

    things: Tensor  # (kinds, takes, time)
    places: Tensor  # (places, 2, takes, time): by day, by night


def record(takes: int, *, generator: torch.Generator) -> Takes:
    """Record each kind ``takes`` times and each place a quarter as often, by day and by night."""
    things = [
        sounds.timbre(kind, seconds=SECONDS, generator=generator)
        for kind in KINDS
        for _ in range(takes)
    ]
    around = [
        sounds.ambience(place, seconds=SECONDS, generator=generator, night=night)
        for place in PLACES
        for night in (False, True)
        for _ in range(max(1, takes // 4))
    ]
    return Takes(
        torch.stack(things).unflatten(0, (len(KINDS), takes)),
        torch.stack(around).unflatten(0, (len(PLACES), 2, -1)),
    )


def sample_solos(count: int, *, generator: torch.Generator) -> Scenes:
    """Sample scenes with two or three things, all of different kinds, of which one sounds."""
    found: list[Scenes] = []
    while sum(map(len, found)) < count:
        scenes = sampling.sample_scenes(2 * count + 20, generator=generator, slots=3, least=2)
        kinds = torch.where(scenes.present, scenes.kind, -1 - torch.arange(scenes.slots))
        pairs = (kinds[:, :, None] == kinds[:, None, :]).sum(dim=(1, 2))
        found.append(scenes[(pairs == scenes.slots) & (scenes.present.sum(dim=1) >= 2)])
    scenes = _joined(found)[:count]
    return sounding(scenes, torch.multinomial(scenes.present.float(), 1, generator=generator)[:, 0])


def sounding(scenes: Scenes, slot: Tensor) -> Scenes:
    """Return the scenes with only the thing in ``slot`` (scenes,) sounding."""
    return scenes.replace(sounding=one_hot(slot, scenes.slots).bool() & scenes.present)


def another_sounds(scenes: Scenes, *, generator: torch.Generator) -> Scenes:
    """Return the scenes with another thing of each sounding; nothing else changes."""
    silent = (scenes.present & ~scenes.sounding).float()
    return sounding(scenes, torch.multinomial(silent, 1, generator=generator)[:, 0])


def absent_kinds(scenes: Scenes, *, generator: torch.Generator) -> Tensor:
    """Return for each scene a kind that is not in it, (scenes,)."""
    there = one_hot(scenes.kind, len(KINDS)) * scenes.present[..., None]
    return torch.multinomial(1.0 - there.amax(dim=1), 1, generator=generator)[:, 0]


def soundtrack(
    scenes: Scenes, takes: Takes, *, generator: torch.Generator, kinds: Tensor | None = None
) -> Tensor:
    """Mix what sounds in each scene, its place's ambience and a microphone's noise: a second each.

    As in ``sounds.listen``, a near thing is louder.

    Args:
        scenes: one thing of each sounds.
        kinds: (scenes,), which kind is heard instead; None: the one that sounds.

    Returns:
        (scenes, time) at 16 kHz.

    Raises:
        ValueError: in some scene not exactly one thing sounds.
    """
    if not bool((scenes.sounding.sum(dim=1) == 1).all()):
        raise ValueError("in some scenes not exactly one thing sounds: use sounding() first")
    count = len(scenes)
    kinds = scenes.kind[scenes.sounding] if kinds is None else kinds
    which = torch.randint(takes.things.shape[1], (count,), generator=generator)
    where = torch.randint(takes.places.shape[2], (count,), generator=generator)
    gain = 1 / ((1 + scenes.depth[scenes.sounding]) * scenes.slots)
    waves = takes.things[kinds, which]  # a copy; all in place from here on: there may be thousands
    waves *= gain[:, None]
    waves += takes.places[scenes.place, scenes.night.long(), where]
    low, high = NOISE
    level = low * (high / low) ** torch.rand(count, 1, generator=generator)
    noise = torch.randn(waves.shape, generator=generator)
    noise *= level
    waves += noise
    return waves


def truth(scenes: Scenes, *, side: int = SIDE) -> Tensor:
    """Say which pixels lie in the tight box around what is seen of the sounding thing.

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
