"""Scenes as pictures, with exact masks and boxes.

Objects are drawn from far to near over the backdrop of their scene class. Every object is painted
only in the patch of pixels that can hold it; patches of one category are computed together.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.shapes import check_shape, check_whole
from mmlib.world.backdrops import paint_backdrops
from mmlib.world.figures import FIGURES, Parts
from mmlib.world.scenes import CATEGORIES, Scenes

# The paints of the objects, in the order of scenes.COLOURS: red, green, blue in 0 to 1.
PAINTS = torch.tensor(
    [
        [0.86, 0.17, 0.15],  # red
        [0.97, 0.50, 0.08],  # orange
        [0.99, 0.84, 0.16],  # yellow
        [0.18, 0.64, 0.29],  # green
        [0.14, 0.38, 0.84],  # blue
        [0.52, 0.25, 0.72],  # purple
        [0.99, 0.57, 0.73],  # pink
        [0.97, 0.97, 0.97],  # white
    ],
    dtype=torch.float32,
)
MOONLIT = (0.66, 0.70, 0.88)  # what night leaves of an object's red, green, blue
REACH = 1.16  # a patch reaches this much beyond the object's square, for its shadow
BLOCK = 1024 * 64 * 64  # pixels drawn at a time: enough that torch's own overhead is small


class Patches(NamedTuple):
    """Where the objects of one category may leave paint: k square patches of one size."""

    category: int
    scene: Tensor  # (k,) which scene
    slot: Tensor  # (k,) which object of it
    top: Tensor  # (k,) the patch's first row in the picture
    left: Tensor  # (k,) its first column
    side: int
    u: Tensor  # (k, 1, side) the figure's coordinates at the pixels' middles
    v: Tensor  # (k, side, 1)
    pixels: Tensor  # (k, 1, 1) how many pixels the figure's unit is long


def draw(
    scenes: Scenes,
    *,
    size: int = 64,
    noise: float = 0.02,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw the scenes.

    Args:
        scenes: what to draw.
        size: the pictures' side in pixels, 16 or more.
        noise: standard deviation of the camera's grain, which is alike in the three colours. It
            needs a generator.
        generator: the source of the noise, on the scenes' device; None draws without noise.

    Returns:
        (scenes, 3, size, size) red, green, blue in [0, 1], on the scenes' device.

    Raises:
        ValueError: ``size`` or ``noise`` is out of its range.
    """
    _check_size(size)
    if not 0 <= noise <= 1:
        raise ValueError(f"noise is {noise}, a standard deviation of brightness lies from 0 to 1")
    pictures = torch.empty(len(scenes), 3, size, size, device=scenes.device)
    step = max(1, BLOCK // size**2)
    for start in range(0, len(scenes), step):
        block = pictures[start : start + step]
        _draw_block(block, scenes[start : start + step])
        if generator is not None and noise > 0:
            shape = (len(block), 1, size, size)
            grain = torch.randn(shape, generator=generator, device=block.device)
            block.add_(grain, alpha=noise)
        block.clamp_(0, 1)
    return pictures


def masks(scenes: Scenes, *, size: int = 64) -> Tensor:
    """Say which pixels show which object: their middle lies in its outline and in no nearer one.

    Returns:
        (scenes, slots, size, size) bool; no pixel belongs to two objects.
    """
    _check_size(size)
    alone = outlines(scenes, size=size)
    order = scenes.depth.argsort(dim=1, stable=True)  # near to far
    shuffled = alone.gather(1, order[:, :, None, None].expand_as(alone))
    taken = torch.zeros_like(alone[:, 0])
    for rank in range(scenes.slots):
        seen = shuffled[:, rank] & ~taken
        taken |= shuffled[:, rank]
        shuffled[:, rank] = seen
    back = order.argsort(dim=1)
    return shuffled.gather(1, back[:, :, None, None].expand_as(alone))


def outlines(scenes: Scenes, *, size: int = 64) -> Tensor:
    """Say which pixels each object would show if nothing stood before it.

    Returns:
        (scenes, slots, size, size) bool.
    """
    _check_size(size)
    alone = torch.zeros(len(scenes), scenes.slots, size, size, dtype=torch.bool)
    alone = alone.to(scenes.device)
    for patch in _patches(scenes, size):
        inside = _union(FIGURES[CATEGORIES[patch.category]](patch.u, patch.v)) <= 0
        windows = alone.unfold(2, patch.side, 1).unfold(3, patch.side, 1)
        windows[patch.scene, patch.slot, patch.top, patch.left] = inside
    return alone


def cell_shares(masks: Tensor, rows: int, columns: int) -> Tensor:
    """Return grids that weigh each cell by its share of a mask: (items, rows, columns).

    Args:
        masks: (items, height, width) bool, none of them empty.

    Returns:
        each grid sums to 1.

    Raises:
        ValueError: a mask is empty.
    """
    check_shape(masks, "items height width", name="masks")
    if not bool(masks.flatten(1).any(dim=1).all()):
        raise ValueError("a mask is empty: there is nothing to share out, leave it out")
    share = torch.nn.functional.adaptive_avg_pool2d(masks[:, None].float(), (rows, columns))[:, 0]
    return share / share.sum(dim=(1, 2), keepdim=True)


def boxes(seen: Tensor) -> Tensor:
    """Return the tight box around each mask.

    Args:
        seen: (..., height, width) bool, such as ``masks`` returns.

    Returns:
        (..., 4) int64: left, top, right, bottom in pixels; right and bottom are one past the
        last, so that right - left is the width. All 0 where a mask is empty.

    Raises:
        TypeError: ``seen`` is not boolean.
    """
    if seen.dtype != torch.bool:
        raise TypeError(f"seen has dtype {seen.dtype}, it must be torch.bool: compare it first")
    edges = []
    for across in (seen.any(dim=-2), seen.any(dim=-1)):  # columns, then rows
        first = across.long().argmax(dim=-1)
        last = across.shape[-1] - across.flip(-1).long().argmax(dim=-1)
        edges.append((first, torch.where(across.any(dim=-1), last, 0)))
    (left, right), (top, bottom) = edges
    return torch.stack([left, top, right, bottom], dim=-1)


def _draw_block(block: Tensor, scenes: Scenes) -> None:
    """Fill ``block`` (scenes, 3, size, size) with the scenes."""
    paint_backdrops(block, scenes)
    ranks = scenes.depth.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    painted = []
    for patch in _patches(scenes, block.shape[-1]):
        light, clear = _paint(patch, scenes)
        numbers = (patch.scene, ranks[patch.scene, patch.slot], patch.top, patch.left)
        painted += zip(*(n.tolist() for n in numbers), light.unbind(), clear.unbind(), strict=True)
    painted.sort(key=lambda obj: obj[:2])  # one picture after another, each from far to near
    for scene, _, top, left, light, clear in painted:
        side = light.shape[-1]
        block[scene, :, top : top + side, left : left + side].mul_(clear).add_(light)


def _patches(scenes: Scenes, size: int) -> Iterator[Patches]:
    """Yield the patches of each category present, the smaller half apart from the larger."""
    for category in range(len(CATEGORIES)):
        scene, slot = (scenes.present & (scenes.category == category)).nonzero(as_tuple=True)
        order = scenes.size[scene, slot].argsort(stable=True)
        for half in order.chunk(2):
            if len(half):
                yield _patch(scenes, category, scene[half], slot[half], size)


def _patch(scenes: Scenes, category: int, scene: Tensor, slot: Tensor, size: int) -> Patches:
    """Lay the patches of these objects over the picture, moved inside where they stick out."""
    x, y, extent = (t[scene, slot] for t in (scenes.x, scenes.y, scenes.size))
    side = min(int((extent.max() * size * REACH).ceil()) + 1, size)
    left = ((x - extent * REACH / 2) * size).floor().long().clamp(0, size - side)
    top = ((y - extent * REACH / 2) * size).floor().long().clamp(0, size - side)
    steps = torch.arange(side, device=x.device) + 0.5
    u = ((left[:, None] + steps) / size - x[:, None]) / (extent[:, None] / 2)
    v = ((top[:, None] + steps) / size - y[:, None]) / (extent[:, None] / 2)
    u = torch.where(scenes.mirrored[scene, slot, None], -u, u)
    pixels = (extent * size / 2)[:, None, None]
    return Patches(category, scene, slot, top, left, side, u[:, None], v[:, :, None], pixels)


def _paint(patch: Patches, scenes: Scenes) -> tuple[Tensor, Tensor]:
    """Paint the objects of one category.

    Returns:
        their light, (k, 3, side, side), and how much of what is behind them shines through,
        (k, 1, side, side).
    """
    pixels, parts = patch.pixels, FIGURES[CATEGORIES[patch.category]](patch.u, patch.v)
    union = _union(parts)
    own = PAINTS.to(union.device)[scenes.colour[patch.scene, patch.slot]]  # (k, 3)
    tint = torch.where(scenes.night[patch.scene, None], own.new_tensor(MOONLIT), own.new_ones(3))
    light = union.new_zeros(len(union), 3, *union.shape[1:])
    for distance, paint in _merged(parts):
        cover = distance.mul_(-pixels).add_(0.5).clamp_(0, 1)
        colour = (paint.own * own + own.new_tensor(paint[1:])) * tint
        light.lerp_(colour[:, :, None, None], cover[:, None])
    cover = (0.5 - union * pixels).clamp_(0, 1)
    rim = union.add_((0.6 / pixels).clamp(min=0.05)).mul_(pixels).add_(0.5).clamp_(0, 1)
    shade = _shade(patch, scenes).mul_(rim.mul_(-0.58).add_(1)).mul_(cover)
    clear = (1 - cover).mul_(1 - _shadow(patch, scenes))
    return light.mul_(shade[:, None]), clear[:, None]


def _shade(patch: Patches, scenes: Scenes) -> Tensor:
    """Return (k, side, side): lighter above and on the side of the sun or moon."""
    side = (scenes.light[patch.scene] - scenes.x[patch.scene, patch.slot])[:, None, None]
    flip = 1 - 2.0 * scenes.mirrored[patch.scene, patch.slot][:, None, None]
    return patch.u * (0.16 * side * flip) + (1.04 - 0.16 * patch.v)


def _merged(parts: Parts) -> Parts:
    """Join neighbouring parts of one paint, so that they are painted in one go."""
    joined: Parts = []
    for distance, paint in parts:
        if joined and joined[-1][1] == paint:
            torch.minimum(joined[-1][0], distance, out=joined[-1][0])
        else:
            joined.append((distance, paint))
    return joined


def _shadow(patch: Patches, scenes: Scenes) -> Tensor:
    """Return (k, side, side): how dark the ground is under an object's feet; nothing in the air."""
    far = (patch.u / 0.9) ** 2 + ((patch.v - 0.98) / 0.15) ** 2
    lifted = scenes.flying()[patch.scene, patch.slot][:, None, None]
    return far.neg_().add_(1.1).clamp_(0, 0.4).mul_(~lifted)


def _union(parts: Parts) -> Tensor:
    """Return the distance to the outline of all parts together."""
    outline = parts[0][0].clone()
    for distance, _ in parts[1:]:
        torch.minimum(outline, distance, out=outline)
    return outline


def _check_size(size: int) -> None:
    """Refuse a picture too small to show anything."""
    check_whole(size, name="size", least=16)
