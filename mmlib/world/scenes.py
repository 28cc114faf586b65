"""What there is: a batch of scenes as tensors, the words for it, and what is held out.

A picture's corner is (0, 0): x runs to the right, y runs down, both from 0 to 1. An object sits in
a square of side ``size`` around (x, y). Depth runs from 0 (near) to 1 (far): far objects are
smaller, stand higher on the ground and are covered by nearer ones.

The held-out split is compositional: a colour–category pair is held out when the sum of its two
indices is a multiple of 5. That is one pair in five; every category and every colour is still seen
in training, only not together.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from numbers import Integral
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.shapes import check_finite, check_shape

CATEGORIES = ("bell", "bird", "boat", "car", "clock", "dog", "drum", "frog", "guitar", "horn")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
SCENE_CLASSES = ("beach", "meadow", "town", "forest", "mountains")
RELATIONS = ("left of", "right of", "above", "below", "in front of", "behind")

HORIZON = 0.5  # the height at which the ground begins
APART = 0.15  # how far two middles must lie apart to be left or right of each other


class SceneObject(NamedTuple):
    """One object of one scene, in words and numbers; ``slot`` is its position in the tensors."""

    slot: int
    category: str
    colour: str
    size: float
    x: float
    y: float
    depth: float
    sounding: bool
    flying: bool


@dataclass(frozen=True)
class Scenes:
    """A batch of scenes, one tensor a property; nothing in it changes after it is made.

    Indexing with a number, a slice, or a tensor or list of indices gives another batch (a number
    gives a batch of one); ``objects()`` reads the scenes in words.

    Raises:
        TypeError, ValueError: a property has the wrong type, shape or range; the error names it.
    """

    scene_class: Tensor  # (scenes,) index into SCENE_CLASSES
    night: Tensor  # (scenes,) bool
    light: Tensor  # (scenes,) where the sun or the moon stands, 0 left to 1 right
    texture: Tensor  # (scenes,) a whole number that picks clouds, grass and hills
    present: Tensor  # (scenes, slots) bool: an absent slot holds nothing
    category: Tensor  # (scenes, slots) index into CATEGORIES
    colour: Tensor  # (scenes, slots) index into COLOURS
    size: Tensor  # (scenes, slots) side of the object's square, share of the picture
    x: Tensor  # (scenes, slots) middle of the square
    y: Tensor  # (scenes, slots)
    depth: Tensor  # (scenes, slots) 0 near to 1 far
    mirrored: Tensor  # (scenes, slots) bool: faces left instead of right
    sounding: Tensor  # (scenes, slots) bool

    def __post_init__(self) -> None:
        sizes = check_shape(self.present, "scenes slots", name="present")
        for field in fields(self):
            value = getattr(self, field.name)
            one_a_scene = field.name in ("scene_class", "night", "light", "texture")
            check_shape(value, "scenes" if one_a_scene else "scenes slots", name=field.name)
            shape = (sizes["scenes"],) if one_a_scene else tuple(self.present.shape)
            if tuple(value.shape) != shape:
                raise ValueError(
                    f"{field.name} has shape {tuple(value.shape)}, present needs {shape} of it"
                )
            _check_dtype(value, name=field.name)
        for name, words in (
            ("scene_class", SCENE_CLASSES),
            ("category", CATEGORIES),
            ("colour", COLOURS),
        ):
            _check_range(getattr(self, name), 0, len(words) - 1, name=name)
        for name in ("light", "x", "y", "depth", "size"):
            _check_range(getattr(self, name), 0, 1, name=name)
        if bool((self.size == 0).any()):
            raise ValueError("size holds 0: an object needs a size, mark it absent instead")

    def __len__(self) -> int:
        return len(self.scene_class)

    def __getitem__(self, index: int | slice | list | Tensor) -> "Scenes":
        if isinstance(index, Integral):  # also one of NumPy
            if not -len(self) <= index < len(self):
                raise IndexError(f"scene {index} of {len(self)}: the last is {len(self) - 1}")
            index = [index]
        return Scenes(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def __iter__(self) -> Iterator["Scenes"]:
        return (self[index] for index in range(len(self)))

    @property
    def slots(self) -> int:
        """How many objects a scene has room for."""
        return self.present.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        return self.scene_class.device

    def to(self, device: torch.device | str) -> "Scenes":
        """Return the same scenes on ``device``."""
        return Scenes(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def replace(self, **changes: Tensor) -> "Scenes":
        """Return the scenes with some properties changed, such as ``night=~scenes.night``."""
        return replace(self, **changes)

    def flying(self) -> Tensor:
        """Return (scenes, slots) bool: the birds whose feet are off the ground."""
        return (
            self.present & (self.category == CATEGORIES.index("bird")) & (self.y < HORIZON - 0.05)
        )

    def scene_class_name(self, index: int) -> str:
        """Return the scene class of one scene, such as ``"beach"``."""
        return SCENE_CLASSES[int(self.scene_class[index])]

    def objects(self) -> list[tuple[SceneObject, ...]]:
        """Return what each scene holds, in the order of its slots."""
        names = ("category", "colour", "size", "x", "y", "depth", "sounding")
        columns = [getattr(self, name).tolist() for name in names] + [self.flying().tolist()]
        return [
            tuple(
                SceneObject(slot, CATEGORIES[category], COLOURS[colour], *rest)
                for slot, (category, colour, *rest) in enumerate(zip(*rows, strict=True))
                if here[slot]
            )
            for here, *rows in zip(self.present.tolist(), *columns, strict=True)
        ]


def held_out(category: Tensor, colour: Tensor) -> Tensor:
    """Whether colour–category pairs are held out of training: their indices sum to a multiple of 5.

    Args:
        category, colour: indices into ``CATEGORIES`` and ``COLOURS``, of equal shape.
    """
    return (category + colour) % 5 == 0


def relations(scenes: Scenes) -> Tensor:
    """Say which object stands how to which, as exact facts about the scene's numbers.

    ``left of`` and ``right of``: the middles lie more than ``APART`` apart. ``above`` and
    ``below``: one square ends where the other has not begun, and they overlap sideways. ``in
    front of`` and ``behind``: the squares overlap and one is nearer. Each relation is the other's
    converse; none holds for an absent object or between an object and itself.

    Returns:
        (scenes, slots, slots, relations) bool, last axis in the order of ``RELATIONS``:
        ``[n, i, j, 0]`` says that object i is left of object j.
    """
    x, y, size = scenes.x, scenes.y, scenes.size
    right = x[:, :, None] - x[:, None, :]  # (scenes, slots, slots), i's minus j's
    down = y[:, :, None] - y[:, None, :]
    farther = scenes.depth[:, :, None] - scenes.depth[:, None, :]
    reach = (size[:, :, None] + size[:, None, :]) / 2
    beside, level = right.abs() < reach, down.abs() < reach
    facts = [
        right < -APART,
        right > APART,
        beside & (down <= -reach),
        beside & (down >= reach),
        beside & level & (farther < 0),
        beside & level & (farther > 0),
    ]
    both = scenes.present[:, :, None] & scenes.present[:, None, :]
    return torch.stack(facts, dim=-1) & both[..., None]


def related(scenes: Scenes) -> list[list[tuple[int, int, int]]]:
    """List each scene's ``relations``: (one slot, another slot, index into ``RELATIONS``)."""
    listed: list[list[tuple[int, int, int]]] = [[] for _ in range(len(scenes))]
    for scene, one, other, relation in relations(scenes).nonzero().tolist():
        listed[scene].append((one, other, relation))
    return listed


def share_of_pairs(scenes: Scenes, relation: str) -> float:
    """Return for which share of the pairs of different objects, in either order, a relation holds.

    So often whoever says nothing but ``relation`` is right.

    Raises:
        ValueError: ``relation`` is none of ``RELATIONS``, or no scene holds two objects.
    """
    if relation not in RELATIONS:
        raise ValueError(f"relation is {relation!r}, choose one of {', '.join(RELATIONS)}")
    there = scenes.present.sum(dim=1)
    pairs = int((there * (there - 1)).sum())
    if not pairs:
        raise ValueError("no scene holds two objects: nothing can stand in a relation")
    return int(relations(scenes)[..., RELATIONS.index(relation)].sum()) / pairs


def covered(scenes: Scenes) -> Tensor:
    """Bound the share of each object's square that nearer objects cover.

    Returns:
        (scenes, slots), the sum over nearer objects of the overlap of the two squares divided by
        the object's own; 0 for an absent object. The share truly covered is never larger.
    """
    half = scenes.size / 2

    def overlap(middle: Tensor) -> Tensor:
        low, high = middle - half, middle + half
        low = torch.maximum(low[:, :, None], low[:, None, :])
        return (torch.minimum(high[:, :, None], high[:, None, :]) - low).clamp(min=0)

    area = overlap(scenes.x) * overlap(scenes.y)  # (scenes, slots, slots)
    nearer = scenes.depth[:, :, None] > scenes.depth[:, None, :]  # j is nearer than i
    both = scenes.present[:, :, None] & scenes.present[:, None, :]
    return (area * (nearer & both)).sum(dim=2) / scenes.size**2


def _check_dtype(value: Tensor, *, name: str) -> None:
    """Refuse a property whose tensor holds the wrong sort of number."""
    if name in ("night", "present", "mirrored", "sounding"):
        wanted = torch.bool
    elif name in ("scene_class", "texture", "category", "colour"):
        wanted = torch.int64
    else:
        wanted = torch.float32
    if value.dtype != wanted:
        raise TypeError(f"{name} has dtype {value.dtype}, it must be {wanted}: convert it first")


def _check_range(value: Tensor, low: int, high: int, *, name: str) -> None:
    """Refuse values outside ``low`` to ``high``, both included."""
    check_finite(value, name=name)
    worst = value[(value < low) | (value > high)]
    if worst.numel():
        raise ValueError(f"{name} holds {worst[0].item():g}, it must lie from {low} to {high}")
