"""How scenes are sampled: where objects are at home, how they spread, what a split allows."""

import torch
from torch import Tensor

from mmlib.shapes import check_whole
from mmlib.world.scenes import CATEGORIES, COLOURS, SCENE_CLASSES, Scenes, covered, held_out

SPLITS = ("all", "train", "held out")
COVERED = 0.5  # nearer objects cover at most this share of a sampled object's square

# How big an object is when it is near, as a share of the picture's side.
SIZES = torch.tensor(
    [0.34, 0.26, 0.46, 0.46, 0.36, 0.38, 0.36, 0.28, 0.46, 0.36], dtype=torch.float32
)
# Which categories belong where: scene classes in rows, categories in columns; 1 is ordinary.
AT_HOME = torch.tensor(
    [
        # bell bird boat car clock dog drum frog guitar horn
        [1.0, 2.0, 6.0, 0.5, 0.5, 2.0, 1.0, 0.5, 1.0, 1.0],  # beach
        [2.0, 2.0, 0.2, 0.5, 0.5, 3.0, 1.0, 2.0, 1.0, 1.0],  # meadow
        [2.0, 1.0, 0.2, 6.0, 3.0, 2.0, 1.0, 0.2, 1.0, 1.0],  # town
        [0.5, 4.0, 0.2, 0.5, 0.5, 1.0, 1.0, 4.0, 1.0, 1.0],  # forest
        [3.0, 2.0, 0.2, 1.0, 0.5, 2.0, 1.0, 0.5, 1.0, 3.0],  # mountains
    ],
    dtype=torch.float32,
)


def sample_scenes(
    count: int,
    *,
    generator: torch.Generator,
    slots: int = 4,
    least: int = 1,
    split: str = "all",
    sounding: float = 0.5,
) -> Scenes:
    """Sample scenes: scene classes alike often, night in two of five, objects where they belong.

    Objects may stand partly behind others, but nearer objects never cover more than ``COVERED`` of
    an object's square, so that whatever is present can be seen. One object in four repeats the
    category of the scene's first, so that counting means something.

    Args:
        count: how many scenes.
        generator: the source of randomness; the scenes lie on its device.
        slots: most objects in a scene; **least**: fewest (crowded-out objects may leave fewer,
            never none).
        split: ``"train"`` has no held-out colour–category pair, ``"held out"`` has nothing else,
            ``"all"`` has both.
        sounding: chance that an object makes its sound.

    Raises:
        ValueError: a number is out of its range, or the split is unknown.
    """
    _check_sampling(count, slots, least, split, sounding)
    device, shape = generator.device, (count, slots)

    def uniform(*size: int) -> Tensor:
        return torch.rand(size, generator=generator, device=device, dtype=torch.float32)

    scene_class = torch.randint(len(SCENE_CLASSES), (count,), generator=generator, device=device)
    texture = torch.randint(2**31, (count,), generator=generator, device=device)
    night, light = uniform(count) < 0.4, 0.1 + 0.8 * uniform(count)
    category, colour = _sample_pairs(scene_class, slots, split, generator)
    number = torch.randint(least, slots + 1, (count,), generator=generator, device=device)
    depth = uniform(*shape)
    size = SIZES.to(device)[category] * (1 - 0.5 * depth) * (0.9 + 0.2 * uniform(*shape))
    flies = (category == CATEGORIES.index("bird")) & (uniform(*shape) < 0.7)
    y = _stand(scene_class[:, None], category, depth, size)
    y = torch.where(flies, size / 2 + 0.02 + uniform(*shape) * (0.42 - size), y)
    scenes = Scenes(
        scene_class=scene_class, night=night, light=light, texture=texture, category=category,
        colour=colour, size=size, x=torch.full_like(size, 0.5), y=y, depth=depth,
        present=torch.arange(slots, device=device) < number[:, None],
        mirrored=uniform(*shape) < 0.5, sounding=uniform(*shape) < sounding,
    )  # fmt: skip
    return _spread(scenes, generator)


def _sample_pairs(
    scene_class: Tensor, slots: int, split: str, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw categories by scene class, a quarter repeating the first; then legal colours."""
    device, shape = scene_class.device, (len(scene_class), slots)
    weights = AT_HOME.to(device)[scene_class]  # (scenes, categories)
    category = torch.multinomial(weights, slots, replacement=True, generator=generator)
    again = torch.rand(shape, generator=generator, device=device, dtype=torch.float32) < 0.25
    category = torch.where(again, category[:, :1], category)
    pairs = torch.meshgrid(torch.arange(len(CATEGORIES)), torch.arange(len(COLOURS)), indexing="ij")
    out = held_out(*pairs).to(device)
    allowed = {"all": torch.ones_like(out), "train": ~out, "held out": out}[split]
    probabilities = allowed[category].flatten(0, 1).float()  # (scenes * slots, colours)
    colour = torch.multinomial(probabilities, 1, generator=generator).reshape(shape)
    same = torch.rand(shape, generator=generator, device=device, dtype=torch.float32) < 0.5
    return category, torch.where(again & same, colour[:, :1], colour)


def _stand(scene_class: Tensor, category: Tensor, depth: Tensor, size: Tensor) -> Tensor:
    """Return the height of the middle for feet on the ground: far feet are nearer the horizon.

    Boats on the beach float on the strip of water, everything else stays on the sand.
    """
    at_sea = scene_class == SCENE_CLASSES.index("beach")
    afloat = at_sea & (category == CATEGORIES.index("boat"))
    feet = 0.97 - 0.35 * depth
    feet = torch.where(at_sea, 0.97 - 0.22 * depth, feet)
    feet = torch.where(afloat, 0.66 - 0.08 * depth, feet)
    return feet - size / 2


def _spread(scenes: Scenes, generator: torch.Generator) -> Scenes:
    """Give every object an x inside the picture; draw again where too much would be covered."""
    margin = scenes.size / 2 + 0.01
    x = scenes.x
    crowded = torch.ones_like(scenes.night)
    for _ in range(12):
        again = torch.rand(x.shape, generator=generator, device=x.device, dtype=torch.float32)
        x = torch.where(crowded[:, None], margin + again * (1 - 2 * margin), x)
        hidden = covered(scenes.replace(x=x)) > COVERED
        crowded = hidden.any(dim=1)
    # what still does not fit leaves, the first hidden object of a scene first
    present = scenes.present
    for _ in range(scenes.slots):
        hidden = covered(scenes.replace(x=x, present=present)) > COVERED
        first = hidden & (hidden.cumsum(dim=1) == 1)
        present = present & ~first
    return scenes.replace(x=x, present=present, sounding=scenes.sounding & present)


def _check_sampling(count: int, slots: int, least: int, split: str, sounding: float) -> None:
    """Refuse requests that no scene can meet."""
    for name, value in (("count", count), ("slots", slots), ("least", least)):
        check_whole(value, name=name)
    if not 1 <= slots <= 6:
        raise ValueError(f"slots is {slots}, a scene has room for 1 to 6 objects")
    if not 1 <= least <= slots:
        raise ValueError(f"least is {least}, it must lie from 1 to slots, here {slots}")
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}, choose one of {', '.join(SPLITS)}")
    if not 0 <= sounding <= 1:
        raise ValueError(f"sounding is {sounding}, a chance lies from 0 to 1")
