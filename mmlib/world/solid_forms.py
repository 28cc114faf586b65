"""Signed distances in space: negative inside a form, zero on its surface, positive outside.

Every function takes a ``Point`` of coordinates that broadcast with each other and with all sizes,
and returns distances in that shape: a size may be a number, or a tensor with one value a solid.
x runs to the right, y up, z towards the viewer. ``minimum`` of two distances is the union of two
forms, ``maximum(a, -b)`` what b leaves of a. Formulas: Inigo Quilez, "Distance functions". All are
exact; a union is exact outside, a difference on its surface and a lower bound elsewhere.
"""

from typing import NamedTuple

import torch
from torch import Tensor

Size = Tensor | float


class Point(NamedTuple):
    """Coordinates of points, each in any shape that broadcasts with the others."""

    x: Tensor
    y: Tensor
    z: Tensor

    def moved(self, x: Size = 0.0, y: Size = 0.0, z: Size = 0.0) -> "Point":
        """Return the points as seen from (x, y, z)."""
        return Point(self.x - x, self.y - y, self.z - z)

    def mirrored(self, axes: str = "x") -> "Point":
        """Return the points with ``axes`` taken positive: a form at x > 0 appears at -x, too."""
        return Point(
            *(
                value.abs() if axis in axes else value
                for axis, value in zip("xyz", self, strict=True)
            )
        )

    def rolling(self) -> "Point":
        """Return the points turned so that a form that stands along y lies along z."""
        return Point(self.x, self.z, self.y)

    def swept(self, angle: Size) -> "Point":
        """Return the points turned about y, so that a form along z leans towards -x."""
        cosine, sine = _turn(angle, self.x)
        return Point(cosine * self.x + sine * self.z, self.y, cosine * self.z - sine * self.x)


def _turn(angle: Size, like: Tensor) -> tuple[Tensor, Tensor]:
    angle = torch.as_tensor(angle, dtype=like.dtype, device=like.device)
    return angle.cos(), angle.sin()


def _root(squares: Tensor) -> Tensor:
    """Return the square root; at 0, where it has no slope, the slope is 0 instead of infinite."""
    return squares.clamp(min=1e-18).sqrt()


def box(p: Point, half: tuple[Size, Size, Size], *, rounded: float = 0.0) -> Tensor:
    """Distance to a box with half sides ``half``, its edges rounded by a radius."""
    x, y, z = (value.abs() - (side - rounded) for value, side in zip(p, half, strict=True))
    inside = torch.maximum(torch.maximum(x, y), z).clamp(max=0)
    x, y, z = x.clamp(min=0), y.clamp(min=0), z.clamp(min=0)
    return _root(x * x + y * y + z * z) + inside - rounded


def cone(p: Point, radii: tuple[Size, Size], half: Size) -> Tensor:
    """Distance to a cut-off cone around y with ``radii`` at y = -half and y = half."""
    bottom, top = radii
    across = _root(p.x * p.x + p.z * p.z)
    at_cap = torch.where(p.y < 0, torch.zeros_like(across) + bottom, torch.zeros_like(across) + top)
    cap_u, cap_v = (across - at_cap).clamp(min=0), p.y.abs() - half
    lean = top - bottom  # the side runs from (bottom, -half) to (top, half)
    along = ((across - bottom) * lean + (p.y + half) * 2 * half) / (lean * lean + 4 * half * half)
    along = along.clamp(0, 1)
    side_u, side_v = across - bottom - lean * along, p.y + half - 2 * half * along
    inside = (side_u < 0) & (cap_v < 0)
    nearest = torch.minimum(cap_u * cap_u + cap_v * cap_v, side_u * side_u + side_v * side_v)
    nearest = _root(nearest)
    return torch.where(inside, -nearest, nearest)


def cylinder(p: Point, radius: Size, half: Size) -> Tensor:
    """Distance to a cylinder around y that reaches from -half to half."""
    u, v = _root(p.x * p.x + p.z * p.z) - radius, p.y.abs() - half
    inside = torch.maximum(u, v).clamp(max=0)
    u, v = u.clamp(min=0), v.clamp(min=0)
    return _root(u * u + v * v) + inside


def capsule(p: Point, end: tuple[Size, Size, Size], radius: Size) -> Tensor:
    """Distance to a line from the origin to ``end`` with round ends."""
    dot = p.x * end[0] + p.y * end[1] + p.z * end[2]
    along = (dot / (end[0] * end[0] + end[1] * end[1] + end[2] * end[2])).clamp(0, 1)
    x, y, z = p.x - along * end[0], p.y - along * end[1], p.z - along * end[2]
    return _root(x * x + y * y + z * z) - radius


def ring(p: Point, radius: Size, thickness: Size, *, stretch: Size = 0.0) -> Tensor:
    """Distance to a torus around z, its tube ``thickness``, pulled apart by stretch along y."""
    y = (p.y.abs() - stretch).clamp(min=0)
    u = _root(p.x * p.x + y * y) - radius
    return _root(u * u + p.z * p.z) - thickness
