"""What each category looks like: parts painted one over another, in the unit square of an object.

A figure's coordinates run from -1 to 1, u to the right and v down; it faces right and stands on
v = 1. Each part is a signed distance and a paint; the figure's outline is the union of its parts.
"""

from collections.abc import Callable
from math import cos, pi, sin
from typing import NamedTuple

from torch import Tensor

from mmlib.world.distances import box, capsule, circle, convex, ellipse, profile, turned
from mmlib.world.scenes import CATEGORIES


class Paint(NamedTuple):
    """``own`` times the object's colour plus the rest of this red, green, blue."""

    own: float
    red: float = 0.0
    green: float = 0.0
    blue: float = 0.0


Parts = list[tuple[Tensor, Paint]]

OWN = Paint(1.0)
DARKER = Paint(0.72)
PALER = Paint(0.62, 0.38, 0.38, 0.38)
INK = Paint(0.0, 0.14, 0.12, 0.17)
CREAM = Paint(0.0, 0.98, 0.95, 0.86)
GLASS = Paint(0.0, 0.74, 0.89, 0.96)
BRASS = Paint(0.0, 0.80, 0.60, 0.24)
WOOD = Paint(0.0, 0.50, 0.32, 0.19)
BEAK = Paint(0.0, 0.98, 0.62, 0.12)
GREY = Paint(0.0, 0.62, 0.63, 0.68)
LAMP = Paint(0.0, 1.0, 0.93, 0.62)


def bell(u: Tensor, v: Tensor) -> Parts:
    """A flared bell on a ring, with its clapper below."""
    ring = circle(u, v, at=(0.0, -0.78), radius=0.13).abs_().sub_(0.06)

    def flare(height: Tensor) -> Tensor:
        drop = (height + 0.68) / 1.3  # 0 at the crown, 1 at the lip
        return 0.26 + 0.52 * drop.clamp(min=0).sqrt() * 0.55 + 0.28 * drop**4

    return [
        (circle(u, v, at=(0.0, 0.78), radius=0.19), BRASS),
        (ring, BRASS),
        (profile(u, v, width=flare, top=-0.68, bottom=0.62), OWN),
        (capsule(u, v, start=(-0.24, -0.35), end=(-0.36, 0.2), radius=0.055), PALER),
        (box(u, v, at=(0.0, 0.62), half=(0.9, 0.1), rounded=0.1), DARKER),
        (box(u, v, at=(0.0, 0.3), half=(0.56, 0.035)), DARKER),
    ]


def bird(u: Tensor, v: Tensor) -> Parts:
    """A plump bird with a raised wing."""
    v = v - 0.22
    return [
        (convex(u, v, corners=((-0.96, 0.0), (-0.4, 0.12), (-0.35, 0.5), (-0.98, 0.36))), DARKER),
        (convex(u, v, corners=((0.62, -0.12), (0.98, 0.06), (0.62, 0.2))), BEAK),
        (ellipse(u, v, at=(-0.08, 0.3), radii=(0.6, 0.42), turn=-0.15), OWN),
        (circle(u, v, at=(0.45, 0.0), radius=0.3), OWN),
        (ellipse(u, v, at=(0.08, 0.46), radii=(0.36, 0.2), turn=-0.2), PALER),
        (
            convex(u, v, corners=((-0.62, -0.98), (-0.1, -0.62), (0.2, 0.16), (-0.32, 0.26))),
            DARKER,
        ),
        (circle(u, v, at=(0.53, -0.06), radius=0.1), CREAM),
        (circle(u, v, at=(0.56, -0.05), radius=0.06), INK),
    ]


def boat(u: Tensor, v: Tensor) -> Parts:
    """A sailing boat with two sails and a pennant."""
    hull = convex(u, v, corners=((-0.92, 0.42), (0.98, 0.36), (0.62, 0.92), (-0.66, 0.92)))
    return [
        (capsule(u, v, start=(0.0, -0.9), end=(0.0, 0.5), radius=0.045), WOOD),
        (convex(u, v, corners=((0.03, -0.98), (0.4, -0.87), (0.03, -0.76))), BEAK),
        (convex(u, v, corners=((-0.08, -0.8), (-0.08, 0.28), (-0.78, 0.28))), OWN),
        (convex(u, v, corners=((0.1, -0.7), (0.74, 0.26), (0.1, 0.26))), CREAM),
        (hull, OWN),
        (box(u, v, at=(0.02, 0.49), half=(0.84, 0.06), turn=-0.03), CREAM),
        (circle(u, v, at=(-0.28, 0.7), radius=0.09), GLASS),
        (circle(u, v, at=(0.08, 0.7), radius=0.09), GLASS),
        (circle(u, v, at=(0.44, 0.7), radius=0.09), GLASS),
    ]


def car(u: Tensor, v: Tensor) -> Parts:
    """A small car."""
    roof = ((-0.42, -0.38), (0.22, -0.38), (0.56, 0.16), (-0.7, 0.16))
    front = ((0.02, -0.24), (0.2, -0.24), (0.42, 0.12), (0.02, 0.12))
    return [
        (convex(u, v, corners=roof).sub_(0.07), OWN),
        (convex(u, v, corners=((-0.36, -0.24), (-0.1, -0.24), (-0.1, 0.12), (-0.54, 0.12))), GLASS),
        (convex(u, v, corners=front), GLASS),
        (box(u, v, at=(0.0, 0.4), half=(0.97, 0.31), rounded=0.2), OWN),
        (box(u, v, at=(0.0, 0.58), half=(0.95, 0.07), rounded=0.05), DARKER),
        (capsule(u, v, start=(-0.08, 0.32), end=(0.04, 0.32), radius=0.03), INK),
        (circle(u, v, at=(0.83, 0.34), radius=0.11), LAMP),
        (circle(u, v, at=(-0.52, 0.68), radius=0.29), INK),
        (circle(u, v, at=(0.52, 0.68), radius=0.29), INK),
        (circle(u, v, at=(-0.52, 0.68), radius=0.14), GREY),
        (circle(u, v, at=(0.52, 0.68), radius=0.14), GREY),
    ]


def clock(u: Tensor, v: Tensor) -> Parts:
    """An alarm clock with two bells on top."""
    ticks = [
        (
            circle(u, v, at=(0.48 * sin(pi * h / 6), 0.12 - 0.48 * cos(pi * h / 6)), radius=0.045),
            INK,
        )
        for h in (0, 3, 6, 9)
    ]
    return [
        (capsule(u, v, start=(-0.4, 0.6), end=(-0.6, 0.92), radius=0.08), INK),
        (capsule(u, v, start=(0.4, 0.6), end=(0.6, 0.92), radius=0.08), INK),
        (capsule(u, v, start=(0.0, -0.85), end=(0.0, -0.5), radius=0.06), INK),
        (ellipse(u, v, at=(-0.5, -0.66), radii=(0.34, 0.24), turn=-0.7), BRASS),
        (ellipse(u, v, at=(0.5, -0.66), radii=(0.34, 0.24), turn=0.7), BRASS),
        (circle(u, v, at=(0.0, 0.12), radius=0.82), OWN),
        (circle(u, v, at=(0.0, 0.12), radius=0.6), CREAM),
        *ticks,
        (capsule(u, v, start=(0.0, 0.12), end=(-0.22, -0.12), radius=0.055), INK),
        (capsule(u, v, start=(0.0, 0.12), end=(0.3, -0.16), radius=0.04), INK),
        (circle(u, v, at=(0.0, 0.12), radius=0.075), INK),
    ]


def dog(u: Tensor, v: Tensor) -> Parts:
    """A dog from the side, tail up."""
    legs = [
        (capsule(u, v, start=(at, 0.45), end=(at + lean, 0.9), radius=0.1), paint)
        for at, lean, paint in ((-0.48, 0.1, DARKER), (0.16, 0.1, DARKER))
    ]
    near = [
        (capsule(u, v, start=(at, 0.45), end=(at, 0.9), radius=0.1), OWN) for at in (-0.66, 0.34)
    ]
    return [
        (capsule(u, v, start=(-0.68, 0.12), end=(-0.9, -0.42), radius=0.1, tip=0.06), OWN),
        *legs,
        (capsule(u, v, start=(-0.52, 0.28), end=(0.22, 0.24), radius=0.3), OWN),
        *near,
        (capsule(u, v, start=(0.26, 0.18), end=(0.42, -0.3), radius=0.22), OWN),
        (capsule(u, v, start=(0.5, -0.38), end=(0.82, -0.24), radius=0.2, tip=0.13), OWN),
        (circle(u, v, at=(0.42, -0.46), radius=0.31), OWN),
        (ellipse(u, v, at=(0.2, -0.36), radii=(0.15, 0.36), turn=0.25), DARKER),
        (box(u, v, at=(0.38, -0.04), half=(0.25, 0.06), rounded=0.05, turn=0.35), BEAK),
        (circle(u, v, at=(0.9, -0.3), radius=0.09), INK),
        (circle(u, v, at=(0.54, -0.5), radius=0.06), INK),
    ]


def drum(u: Tensor, v: Tensor) -> Parts:
    """A drum with its two sticks."""
    cords = [
        (capsule(u, v, start=(at - 0.13, 0.33 - 0.33 * s), end=(at + 0.13, 0.33 + 0.33 * s),
                 radius=0.03), INK)
        for at, s in ((-0.65, 1), (-0.39, -1), (-0.13, 1), (0.13, -1), (0.39, 1), (0.65, -1))
    ]  # fmt: skip
    side = box(u, v, at=(0.0, 0.26), half=(0.86, 0.46))
    return [
        (ellipse(u, v, at=(0.0, 0.72), radii=(0.88, 0.26)), BRASS),
        (side, OWN),
        (ellipse(u, v, at=(0.0, 0.62), radii=(0.86, 0.25)), OWN),
        *cords,
        (ellipse(u, v, at=(0.0, -0.2), radii=(0.92, 0.32)), BRASS),
        (ellipse(u, v, at=(0.0, -0.24), radii=(0.84, 0.25)), CREAM),
        (capsule(u, v, start=(-0.86, -0.9), end=(-0.1, -0.3), radius=0.05), WOOD),
        (capsule(u, v, start=(0.86, -0.9), end=(0.1, -0.3), radius=0.05), WOOD),
        (circle(u, v, at=(-0.12, -0.32), radius=0.11), WOOD),
        (circle(u, v, at=(0.12, -0.32), radius=0.11), WOOD),
    ]


def frog(u: Tensor, v: Tensor) -> Parts:
    """A frog that looks at you."""
    both = (-1, 1)
    grin = ellipse(u, v, at=(0.0, 0.02), radii=(0.5, 0.3)).abs_().sub_(0.035)
    thighs = [ellipse(u, v, at=(0.62 * s, 0.66), radii=(0.36, 0.3), turn=0.5 * s) for s in both]
    return [
        *[(thigh, DARKER) for thigh in thighs],
        (ellipse(u, v, at=(0.0, 0.46), radii=(0.62, 0.5)), OWN),
        (ellipse(u, v, at=(0.0, 0.62), radii=(0.38, 0.32)), PALER),
        *[(ellipse(u, v, at=(0.44 * s, 0.9), radii=(0.28, 0.09)), OWN) for s in both],
        (ellipse(u, v, at=(0.0, -0.12), radii=(0.8, 0.48)), OWN),
        *[(circle(u, v, at=(0.46 * s, -0.58), radius=0.3), OWN) for s in both],
        *[(circle(u, v, at=(0.46 * s, -0.6), radius=0.2), CREAM) for s in both],
        *[(circle(u, v, at=(0.46 * s, -0.57), radius=0.12), INK) for s in both],
        (grin.maximum(0.08 - v), INK),
    ]


def guitar(u: Tensor, v: Tensor) -> Parts:
    """A guitar standing upright, leaning a little."""
    u, v = turned(u * 0.95, v * 0.95 - 0.02, 0.28)
    waist = ellipse(u, v, at=(0.0, 0.1), radii=(0.38, 0.34))
    body = waist.minimum(ellipse(u, v, at=(0.0, 0.54), radii=(0.52, 0.42)))
    return [
        (box(u, v, at=(0.0, -0.5), half=(0.085, 0.5)), WOOD),
        (box(u, v, at=(0.0, -0.84), half=(0.15, 0.13), rounded=0.05), INK),
        (body, OWN),
        (body + 0.09, PALER),
        (circle(u, v, at=(0.0, 0.2), radius=0.17), INK),
        (box(u, v, at=(0.0, -0.2), half=(0.085, 0.28)), WOOD),
        (box(u, v, at=(0.0, 0.62), half=(0.22, 0.05)), WOOD),
        (box(u, v, at=(0.0, -0.1), half=(0.025, 0.72)), CREAM),
    ]


def horn(u: Tensor, v: Tensor) -> Parts:
    """A trumpet that points up."""
    u, v = turned(u, v - 0.36, -0.5)

    def flare(along: Tensor) -> Tensor:
        return 0.1 + 0.34 * ((along - 0.25) / 0.65).clamp(min=0) ** 2

    loop = box(u, v, at=(-0.1, 0.2), half=(0.5, 0.24), rounded=0.2).abs_().sub_(0.085)
    valves = [
        (box(u, v, at=(at, 0.1), half=(0.07, 0.34), rounded=0.04), PALER)
        for at in (-0.28, -0.08, 0.12)
    ]
    return [
        (loop, DARKER),
        *valves,
        (profile(v, u, width=flare, top=-0.9, bottom=0.9), OWN),
        (ellipse(u, v, at=(0.9, 0.0), radii=(0.1, 0.43)), PALER),
        (ellipse(u, v, at=(0.91, 0.0), radii=(0.05, 0.3)), DARKER),
        (box(u, v, at=(-0.92, 0.0), half=(0.05, 0.13), rounded=0.03), BRASS),
    ]


FIGURES: dict[str, Callable[[Tensor, Tensor], Parts]] = dict(
    zip(CATEGORIES, (bell, bird, boat, car, clock, dog, drum, frog, guitar, horn), strict=True)
)
