"""Signed distances in the plane: negative inside a form, zero on its edge, positive outside.

Every function takes the coordinates ``u`` (to the right) and ``v`` (down) and returns distances in
the shape that the two broadcast to: with ``u`` (..., 1, width) and ``v`` (..., height, 1) most of
the arithmetic happens on a row and a column, not on every pixel. ``minimum`` of two distances is
the union of two forms, ``maximum`` their intersection. Formulas: Inigo Quilez, "2D distance
functions". An ellipse, a convex polygon and a profile return a close bound away from the edge; on
the edge all are exact, which is what masks and smooth edges need.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def circle(u: Tensor, v: Tensor, *, at: tuple[float, float], radius: float) -> Tensor:
    """Distance to a disc."""
    du, dv = u - at[0], v - at[1]
    return (du * du + dv * dv).sqrt_().sub_(radius)


def ellipse(
    u: Tensor, v: Tensor, *, at: tuple[float, float], radii: tuple[float, float], turn: float = 0.0
) -> Tensor:
    """Distance to an ellipse, turned clockwise by ``turn`` radians."""
    du, dv = turned(u - at[0], v - at[1], turn)
    du, dv = du / radii[0], dv / radii[1]
    reach = (du * du + dv * dv).sqrt_()
    du, dv = du.div_(radii[0]), dv.div_(radii[1])
    slope = (du * du + dv * dv).sqrt_().clamp_(min=1e-6)
    return (reach - 1).mul_(reach).div_(slope)


def box(
    u: Tensor,
    v: Tensor,
    *,
    at: tuple[float, float],
    half: tuple[float, float],
    rounded: float = 0.0,
    turn: float = 0.0,
) -> Tensor:
    """Distance to a rectangle with half sides ``half``, its corners rounded by a radius."""
    du, dv = turned(u - at[0], v - at[1], turn)
    du = du.abs().sub_(half[0] - rounded)
    dv = dv.abs().sub_(half[1] - rounded)
    inside = torch.maximum(du, dv).clamp_(max=0)
    du, dv = du.clamp_(min=0), dv.clamp_(min=0)
    return (du * du + dv * dv).sqrt_().add_(inside).sub_(rounded)


def capsule(
    u: Tensor,
    v: Tensor,
    *,
    start: tuple[float, float],
    end: tuple[float, float],
    radius: float,
    tip: float | None = None,
) -> Tensor:
    """Distance to a line from ``start`` to ``end`` with round ends; ``tip`` is the end's radius."""
    du, dv = u - start[0], v - start[1]
    eu, ev = end[0] - start[0], end[1] - start[1]
    along = (du * eu + dv * ev).div_(eu * eu + ev * ev).clamp_(0, 1)
    du, dv = torch.sub(du, along, alpha=eu), torch.sub(dv, along, alpha=ev)
    distance = du.mul_(du).addcmul_(dv, dv).sqrt_().sub_(radius)
    return distance if tip is None else distance.sub_(along, alpha=tip - radius)


def convex(u: Tensor, v: Tensor, *, corners: Sequence[tuple[float, float]]) -> Tensor:
    """Distance to a convex polygon whose corners run clockwise as seen (v points down)."""
    distance = None
    for (au, av), (bu, bv) in zip(corners, [*corners[1:], corners[0]], strict=True):
        length = math.hypot(bu - au, bv - av)
        nu, nv = (bv - av) / length, (au - bu) / length  # the edge's normal, outwards
        edge = (u * nu).sub_(au * nu + av * nv) + v * nv
        distance = edge if distance is None else torch.maximum(distance, edge)
    return distance


def profile(
    u: Tensor, v: Tensor, *, width: Callable[[Tensor], Tensor], top: float, bottom: float
) -> Tensor:
    """Distance to a form as wide as ``width(v)`` to either side of u = 0, from top to bottom."""
    side = (u.abs() - width(v.clamp(top, bottom))).mul_(0.85)
    return torch.maximum(side, (v - (top + bottom) / 2).abs_().sub_((bottom - top) / 2))


def turned(u: Tensor, v: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    """Return coordinates in which a form turned clockwise by ``angle`` radians lies straight."""
    if angle == 0.0:
        return u, v
    cosine, sine = math.cos(angle), math.sin(angle)
    return u * cosine + v * sine, v * cosine - u * sine
