"""Labels of scenes, for classifiers: which words hold, what sounds, which held-out pair it is.

``WORDS`` are the categories, the colours and the coloured categories ("red bird") that occur in the
training split; the pairs that ``scenes.held_out`` keeps away are not among them.
"""

import torch
from torch import Tensor

from mmlib.world import pictures, sampling, sounds
from mmlib.world.scenes import CATEGORIES, COLOURS, Scenes, held_out

_PAIRS = [
    (category, colour) for category in range(len(CATEGORIES)) for colour in range(len(COLOURS))
]
# The colour–category pairs that occur in training, as indices into CATEGORIES and COLOURS.
TRAIN_PAIRS = tuple(p for p in _PAIRS if not held_out(*map(torch.tensor, p)))
HELD_OUT_PAIRS = tuple(p for p in _PAIRS if p not in TRAIN_PAIRS)  # the others
WORDS = (
    *CATEGORIES,
    *COLOURS,
    *(f"{COLOURS[colour]} {CATEGORIES[category]}" for category, colour in TRAIN_PAIRS),
)


def word_labels(scenes: Scenes) -> Tensor:
    """Return which of ``WORDS`` hold for each scene, (scenes, words), 0 or 1 as float."""
    lookup = torch.full((len(CATEGORIES), len(COLOURS)), len(WORDS))
    for number, (category, colour) in enumerate(TRAIN_PAIRS):
        lookup[category, colour] = len(CATEGORIES) + len(COLOURS) + number
    labels = torch.zeros(len(scenes), len(WORDS) + 1, device=scenes.device)  # last: nothing
    columns = (
        scenes.category,
        len(CATEGORIES) + scenes.colour,
        lookup.to(scenes.device)[scenes.category, scenes.colour],
    )
    for column in columns:
        labels.scatter_(1, torch.where(scenes.present, column, len(WORDS)), 1.0)
    return labels[:, :-1]


def sound_labels(scenes: Scenes) -> Tensor:
    """Return which categories sound in each scene, (scenes, categories), 0 or 1 as float."""
    labels = torch.zeros(len(scenes), len(CATEGORIES) + 1, device=scenes.device)
    labels.scatter_(1, torch.where(scenes.sounding, scenes.category, len(CATEGORIES)), 1.0)
    return labels[:, :-1]


def held_out_objects(count: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return pictures of one object each, of pairs that no training shows, and which pair it is.

    Returns:
        (count, 3, 64, 64) pictures and (count,) indices into ``HELD_OUT_PAIRS``.
    """
    scenes = sampling.sample_scenes(count, generator=generator, slots=1, split="held out")
    lookup = torch.full((len(CATEGORIES), len(COLOURS)), -1)
    for number, pair in enumerate(HELD_OUT_PAIRS):
        lookup[pair] = number
    return pictures.draw(scenes, generator=generator), lookup[scenes.category, scenes.colour][:, 0]


def sound_mixtures(count: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return a second of sound each, (count, 16000), and how many categories it holds, 0 to 3."""
    scenes = sampling.sample_scenes(count, generator=generator, slots=3, sounding=0.75)
    waves = sounds.render(scenes, seconds=1.0, generator=generator)
    return waves, sound_labels(scenes).sum(dim=1).long()
