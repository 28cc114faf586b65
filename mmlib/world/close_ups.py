"""Close-ups: pictures of one object each before a blurred backdrop, and sentences about them."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from mmlib.world import words
from mmlib.world.pictures import draw, masks
from mmlib.world.sampling import sample_scenes
from mmlib.world.scenes import CATEGORIES, COLOURS, SCENE_CLASSES, Scenes

SIDE = 32  # of a picture, in pixels
ATTRIBUTES = {
    "category": CATEGORIES,
    "colour": COLOURS,
    "scene class": SCENE_CLASSES,
    "time": ("day", "night"),
}


class CloseUps(NamedTuple):
    """Close-ups of one object each, and sentences that name all their ``ATTRIBUTES``."""

    scenes: Scenes
    pictures: Tensor  # (items, 3, 32, 32)
    sentences: list[list[str]]  # five each


def make_close_ups(count: int, *, generator: torch.Generator, split: str = "train") -> CloseUps:
    """Sample ``count`` close-ups; ``split`` as in ``sample_scenes``."""
    scenes = sample_scenes(count, generator=generator, slots=1, split=split)
    scenes = restyle(scenes, generator=generator)
    sentences = words.captions(scenes, per_scene=5, generator=generator, forms=("activity",))
    return CloseUps(scenes, photograph(scenes), sentences)


def photograph(scenes: Scenes) -> Tensor:
    """Draw the scenes with a blurred backdrop, as a lens wide open shows it: (items, 3, 32, 32)."""
    empty = scenes.replace(present=torch.zeros_like(scenes.present))
    coarse = draw(empty, size=2 * SIDE)
    for side in (4, 2 * SIDE):  # 16 pixels become one, then smoothly 16 again
        coarse = interpolate(coarse, size=(side, side), mode="bilinear", antialias=True)
    sharp = masks(scenes, size=2 * SIDE).any(dim=1, keepdim=True)  # (items, 1, 64, 64)
    return avg_pool2d(torch.where(sharp, draw(scenes, size=2 * SIDE), coarse), 2)


def restyle(scenes: Scenes, *, generator: torch.Generator) -> Scenes:
    """Return close-ups with the same attributes; all that no sentence says is drawn anew."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator, device=scenes.device)

    count = len(scenes)
    return scenes.replace(
        x=uniform(0.47, 0.53, count, 1),
        y=uniform(0.47, 0.53, count, 1),
        size=uniform(0.75, 0.85, count, 1),
        depth=torch.zeros_like(scenes.depth),
        mirrored=uniform(0, 1, count, 1) < 0.5,
        light=uniform(0.1, 0.9, count),
        texture=torch.randint(2**31, (count,), generator=generator, device=scenes.device),
    )


def attributes(scenes: Scenes) -> Tensor:
    """Return the number of each of ``ATTRIBUTES``, int64 (items, 4)."""
    first = (scenes.category[:, 0], scenes.colour[:, 0], scenes.scene_class, scenes.night.long())
    return torch.stack(first, dim=1)
