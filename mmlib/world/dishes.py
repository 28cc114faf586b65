"""Dishes: a recipe in words, and the plate that comes of it.

A dish is seven facts. Three are ingredients: the main vegetable, a second one, a topping. Four are
steps: how the vegetables are cut and cooked, how the topping is cut and cooked. All seven show in
the picture; the list of ingredients tells the first three, the instructions tell the other four and
name no ingredient. So neither part of the recipe is enough to know the plate by. Nor is a bag of
words: "slice the vegetables, chop the topping" has the words of "chop the vegetables, slice the
topping".

What else a recipe says (salt, "lay the table") and what else a picture shows (the table, where
the pieces lie) is drawn at random. The held-out split is compositional, as that of the scenes: a
dish is held out when the sum of the numbers of its ingredients and of its steps is a multiple
of 5.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.shapes import check_shape, check_whole

VEGETABLES = ("tomato", "carrot", "pepper", "broccoli", "beetroot", "mushroom")
TOPPINGS = ("cheese", "egg", "prawns", "beans")
CUTS = ("whole", "sliced", "chopped")
COOKING = ("boiled", "fried", "baked", "burnt")

INGREDIENTS = tuple(itertools.product(itertools.permutations(range(6), 2), range(4)))
STEPS = tuple(itertools.product(range(3), range(4), range(3), range(4)))
SPLITS = ("train", "held out")

# red, green, blue of the raw ingredients: outside, inside
PAINTS = torch.tensor(
    [
        [[0.86, 0.13, 0.10], [0.95, 0.42, 0.32]],  # tomato
        [[0.95, 0.47, 0.08], [1.00, 0.66, 0.25]],  # carrot
        [[0.97, 0.82, 0.10], [1.00, 0.93, 0.55]],  # pepper
        [[0.13, 0.46, 0.16], [0.50, 0.72, 0.35]],  # broccoli
        [[0.45, 0.06, 0.30], [0.62, 0.14, 0.42]],  # beetroot
        [[0.68, 0.54, 0.42], [0.90, 0.82, 0.72]],  # mushroom
        [[0.97, 0.95, 0.84], [1.00, 0.98, 0.92]],  # cheese
        [[0.98, 0.98, 0.97], [0.99, 0.74, 0.12]],  # egg
        [[0.97, 0.55, 0.45], [0.99, 0.76, 0.70]],  # prawns
        [[0.22, 0.12, 0.10], [0.40, 0.26, 0.22]],  # beans
    ],
    dtype=torch.float32,
)
LENGTHS = torch.tensor([1.0, 2.2, 1.3, 1.1, 1.0, 1.2, 1.2, 1.0, 1.8, 1.6])  # of a whole piece
# what cooking does to a colour: the colour that is mixed in, and how much of it
COOKED = torch.tensor(
    [[0.90, 0.86, 0.70], [0.74, 0.48, 0.16], [0.50, 0.28, 0.10], [0.07, 0.05, 0.04]]
)
SHARE = torch.tensor([0.35, 0.35, 0.45, 0.68])
VESSELS = torch.tensor(
    [[0.88, 0.80, 0.58], [0.93, 0.91, 0.88], [0.80, 0.62, 0.32], [0.62, 0.55, 0.48]]
)
RADII = (0.24, 0.16, 0.085)  # of a piece that is whole, sliced, chopped; the plate's is 0.92
PIECES = ((4, 2, 3), (8, 4, 6), (18, 9, 12))  # main, second, topping, by the cut
BLOCK = 256  # pictures drawn at a time


class Recipe(NamedTuple):
    """A recipe in words."""

    title: str
    ingredients: tuple[str, ...]  # the main vegetable stands before the second
    instructions: tuple[str, ...]  # in the order in which they are done


@dataclass(frozen=True)
class Dishes:
    """A batch of dishes: int64 (dishes,) each, an index into the words of its fact.

    Indexing with a slice, a tensor or a list of rows gives another batch.
    """

    main: Tensor  # VEGETABLES
    second: Tensor  # VEGETABLES, another than main
    topping: Tensor  # TOPPINGS
    cut: Tensor  # CUTS, of both vegetables
    cooking: Tensor  # COOKING, of both vegetables
    topping_cut: Tensor  # CUTS
    topping_cooking: Tensor  # COOKING

    def __len__(self) -> int:
        return len(self.main)

    def __getitem__(self, rows: slice | list | Tensor) -> "Dishes":
        return Dishes(*self.facts()[rows].T)

    def facts(self) -> Tensor:
        """Return all seven facts in the order above, (dishes, 7)."""
        return torch.stack([getattr(self, field.name) for field in fields(self)], dim=1)

    def category(self) -> Tensor:
        """Return what a telling title says, how the main vegetable is cooked: 0 to 23."""
        return self.main * len(COOKING) + self.cooking


CATEGORIES = tuple(f"{cooking} {main}" for main in VEGETABLES for cooking in COOKING)
_INGREDIENTS = torch.tensor([[*pair, topping] for pair, topping in INGREDIENTS])
_STEPS = torch.tensor(STEPS)


def make_dishes(ingredients: Tensor, steps: Tensor) -> Dishes:
    """Return the dishes with these numbers of ``INGREDIENTS`` and ``STEPS``, both (dishes,)."""
    check_shape(ingredients, "dishes", name="ingredients")
    check_shape(steps, "dishes", name="steps")
    return Dishes(*_INGREDIENTS[ingredients].T, *_STEPS[steps].T)


def sample_dishes(count: int, *, generator: torch.Generator, split: str = "train") -> Dishes:
    """Sample ``count`` different dishes of a split.

    Raises:
        ValueError: the split is unknown or has fewer dishes than ``count``.
    """
    check_whole(count, name="count")
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}, choose one of {', '.join(SPLITS)}")
    ingredients, steps = torch.meshgrid(
        torch.arange(len(INGREDIENTS)), torch.arange(len(STEPS)), indexing="ij"
    )
    out = (ingredients + steps) % 5 == 0
    ingredients, steps = (n[out if split == "held out" else ~out] for n in (ingredients, steps))
    if count > len(steps):
        raise ValueError(f"count is {count}, there are {len(steps)} different dishes: {split}")
    rows = torch.randperm(len(steps), generator=generator)[:count]
    return make_dishes(ingredients[rows], steps[rows])


NAMES = {
    "tomato": ("tomatoes", "plum_tomatoes"),
    "carrot": ("carrots", "baby_carrots"),
    "pepper": ("peppers", "yellow_peppers"),
    "broccoli": ("broccoli", "broccoli_florets"),
    "beetroot": ("beetroot", "beets"),
    "mushroom": ("mushrooms", "button_mushrooms"),
    "cheese": ("cheese", "feta"),
    "egg": ("eggs", "free-range_eggs"),
    "prawns": ("prawns", "shrimps"),
    "beans": ("black_beans", "kidney_beans"),
}
HIDDEN = ("salt", "olive_oil", "garlic", "water", "sugar", "vinegar", "thyme")  # nobody sees them
DISHES = {
    "boiled": ("soup", "broth"),
    "fried": ("stir-fry", "pan"),
    "baked": ("bake", "gratin"),
    "burnt": ("char-grill", "barbecue"),
}
PLAIN_TITLES = ("sunday supper", "what we had at home", "grandmother's favourite", "quick dinner")
PARTS = ("vegetables", "topping")
CUTTING = (
    ("leave the {} whole", "keep the {} in one piece"),
    ("slice the {}", "cut the {} into slices"),
    ("chop the {}", "cut the {} into small cubes"),
)
COOKS = (
    ("simmer the {} in water", "boil the {} until soft"),
    ("fry the {} in hot oil", "stir the {} in a pan"),
    ("bake the {} until brown", "roast the {} in the oven"),
    ("grill the {} until dark", "leave the {} over the fire"),
)
DRAWS = 32  # random numbers that one recipe may use
ASIDES = ("season to taste", "wash your hands", "turn on the radio", "lay the table")


def write(dishes: Dishes, *, generator: torch.Generator) -> list[Recipe]:
    """Write a recipe for each dish, in one of many wordings.

    Half of the titles say what the dish is; the others say nothing. The main vegetable is listed
    before the second; the topping and one to three ingredients that nobody sees stand anywhere.
    """
    draws = torch.rand(len(dishes), DRAWS, generator=generator).tolist()
    return [_write(*row) for row in zip(dishes.facts().tolist(), draws, strict=True)]


def _write(facts: list[int], draws: list[float]) -> Recipe:
    main, second, topping, *steps = facts
    left = iter(draws)

    def one_of(options: Sequence[str]) -> str:
        return options[int(next(left) * len(options))]

    vegetable = VEGETABLES[main]
    title = f"{vegetable} {one_of(DISHES[COOKING[steps[1]]])}"
    if next(left) < 0.5:
        title = one_of(PLAIN_TITLES)
    listed = [one_of(NAMES[vegetable]), one_of(NAMES[VEGETABLES[second]])]
    hidden = sorted(HIDDEN, key=lambda _: next(left))[: 1 + int(next(left) * 3)]
    for name in (one_of(NAMES[TOPPINGS[topping]]), *hidden):
        listed.insert(int(next(left) * (len(listed) + 1)), name)
    told = []
    for wordings, numbers in ((CUTTING, steps[::2]), (COOKS, steps[1::2])):
        both = [one_of(wordings[n]).format(part) for part, n in zip(PARTS, numbers, strict=True)]
        told += both[::-1] if next(left) < 0.5 else both
    told.insert(int(next(left) * 5), one_of(ASIDES))
    return Recipe(title, tuple(listed), tuple(told))


def draw(
    dishes: Dishes, *, generator: torch.Generator, size: int = 64, noise: float = 0.02
) -> Tensor:
    """Photograph each dish from above.

    Args:
        generator: draws the table, the light, where the pieces lie, and the camera's noise.
        size: the pictures' side in pixels, 16 or more.
        noise: standard deviation of the camera's noise.

    Returns:
        (dishes, 3, size, size) red, green, blue in [0, 1].

    Raises:
        ValueError: ``size`` or ``noise`` is out of its range.
    """
    check_whole(size, name="size", least=16)
    if not 0 <= noise <= 1:
        raise ValueError(f"noise is {noise}, a standard deviation of brightness lies from 0 to 1")
    pictures = []
    for start in range(0, len(dishes), BLOCK):
        block = dishes[start : start + BLOCK]
        canvas = _lay_table(block, size, generator)
        turn = 6.2832 * torch.rand(len(canvas), generator=generator)
        for part in ("main", "second", "topping"):
            _strew(canvas, block, part, turn, generator)
        canvas *= 0.85 + 0.3 * torch.rand(len(canvas), 1, 1, 1, generator=generator)
        canvas += noise * torch.randn(canvas.shape, generator=generator)
        pictures.append(canvas.clamp_(0, 1))
    return torch.cat(pictures)


def _axis(size: int) -> Tensor:
    """Return the middles of the pixels, -1 to 1."""
    return (torch.arange(size) + 0.5) / size * 2 - 1


def _lay_table(dishes: Dishes, size: int, generator: torch.Generator) -> Tensor:
    """Return the table with a plate or, for what is boiled, a bowl of broth."""
    count, at = len(dishes), _axis(size)
    wood = torch.tensor([0.45, 0.32, 0.22]) * (
        0.6 + 0.8 * torch.rand(count, 1, generator=generator)
    )
    canvas = wood[:, :, None, None].repeat(1, 1, size, size)
    reach = (at[:, None].square() + at.square()).sqrt()
    broth = VESSELS[dishes.cooking]
    own = PAINTS[dishes.main, 0]
    broth = torch.where((dishes.cooking == 0)[:, None], broth.lerp(own, 0.35), broth)
    white = torch.tensor([0.94, 0.94, 0.93]).expand(count, 3)
    for radius, paint in ((0.96, white * 0.9), (0.92, white), (0.78, broth)):
        cover = ((radius - reach) * size / 2 + 0.5).clamp(0, 1)
        canvas.lerp_(paint[:, :, None, None], cover)
    return canvas


def _strew(
    canvas: Tensor, dishes: Dishes, part: str, turn: Tensor, generator: torch.Generator
) -> None:
    """Paint the pieces of one ingredient, piece after piece, on all dishes."""
    column = ("main", "second", "topping").index(part)
    cuts = dishes.topping_cut if part == "topping" else dishes.cut
    for cut in range(len(CUTS)):
        rows = (cuts == cut).nonzero()[:, 0]
        if len(rows):
            for _ in range(PIECES[cut][column]):
                _paint(canvas, dishes, rows, cut, part, turn[rows], generator)


def _paint(
    canvas: Tensor,
    dishes: Dishes,
    rows: Tensor,
    cut: int,
    part: str,
    turn: Tensor,
    generator: torch.Generator,
) -> None:
    """Paint one piece on each of these rows of the canvas (pictures, 3, size, size)."""
    count, size = len(rows), canvas.shape[-1]
    draws = torch.rand(5, count, generator=generator)
    x, y = _position(part, turn, draws[:2])
    number = getattr(dishes, part)[rows] + (len(VEGETABLES) if part == "topping" else 0)
    radius = RADII[cut] * (0.85 + 0.3 * draws[2])
    long = radius * (LENGTHS[number] if cut == 0 else 1.0)
    side = min(size, int(RADII[cut] * 1.15 * (2.2 if cut == 0 else 1.45) * size) + 3)
    left, top = (
        ((at + 1) / 2 * size - side / 2).round().long().clamp(0, size - side) for at in (x, y)
    )
    steps = torch.arange(side)
    u = _axis(size)[left[:, None] + steps][:, None, :] - x[:, None, None]
    v = _axis(size)[top[:, None] + steps][:, :, None] - y[:, None, None]
    angle = (6.2832 * draws[3])[:, None, None]
    u, v = u * angle.cos() + v * angle.sin(), v * angle.cos() - u * angle.sin()
    long, radius = long[:, None, None], radius[:, None, None]
    if cut == 2:  # a cube
        distance = torch.maximum(u.abs(), v.abs()) - radius
    else:
        distance = ((u / long).square() + (v / radius).square()).sqrt().sub(1) * radius
    outside, inside = _colours(dishes, rows, number, part, draws[4])
    core = ((-0.4 * radius - distance) * size / 2 + 0.5).clamp(0, 1)[:, None]
    core = core * (0.2 if cut == 0 and part != "topping" else 1.0)
    rim = 1 - 0.35 * ((distance + 0.06) * size / 2 + 0.5).clamp(0, 1)[:, None]
    light = outside[:, :, None, None].lerp(inside[:, :, None, None], core) * rim
    cover = (0.5 - distance * size / 2).clamp(0, 1)[:, None]
    windows = canvas.unfold(2, side, 1).unfold(3, side, 1)
    under = windows[rows, :, top, left]
    windows[rows, :, top, left] = under.lerp(light, cover)


def _position(part: str, turn: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Return where a piece lies: the topping in one half, the vegetables in the other."""
    reach, angle = 0.62 * draws[0].sqrt(), 6.2832 * draws[1]
    x, y = reach * angle.cos(), reach * angle.sin()
    x = (0.08 + x.abs()) * (1 if part == "topping" else -1)
    return x * turn.cos() - y * turn.sin(), x * turn.sin() + y * turn.cos()


def _colours(
    dishes: Dishes, rows: Tensor, number: Tensor, part: str, draw: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the outer and the inner colour of a piece after cooking, (pieces, 3) each."""
    cooking = (dishes.topping_cooking if part == "topping" else dishes.cooking)[rows]
    share = SHARE[cooking][:, None] * (0.8 + 0.4 * draw[:, None])
    outside, inside = (c.lerp(COOKED[cooking], share) for c in PAINTS[number].unbind(dim=1))
    return outside, inside
