"""The pinhole camera: intrinsics, extrinsics, and the ray through every pixel.

World: x to the right, y up, z towards the viewer. Camera, as in Hartley & Zisserman (2004) and
OpenCV: x to the right, y down, z forward, the centre at the origin. Picture: u to the right, v
down, in pixels; the middle of the first pixel is (0, 0).

    x_camera = R x_world + t        λ (u, v, 1) = K x_camera        P = K [R | t]
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mmlib.shapes import check_finite, check_shape, check_whole


@dataclass(frozen=True)
class Cameras:
    """A batch of pinhole cameras that all take pictures of one size."""

    intrinsics: Tensor  # K (cameras, 3, 3), in pixels
    rotation: Tensor  # R (cameras, 3, 3)
    translation: Tensor  # t (cameras, 3)
    height: int  # of the picture, in pixels
    width: int

    def __post_init__(self) -> None:
        sizes = check_shape(self.intrinsics, "cameras 3 3", name="intrinsics")
        for name, axes in (("rotation", f"{sizes['cameras']} 3 3"), ("translation", "cameras 3")):
            check_shape(getattr(self, name), axes, name=name)
            check_finite(getattr(self, name), name=name)
        check_finite(self.intrinsics, name="intrinsics")
        if len(self.translation) != sizes["cameras"]:
            raise ValueError(
                f"translation is of {len(self.translation)} cameras, "
                f"intrinsics of {sizes['cameras']}"
            )

    def __len__(self) -> int:
        return len(self.intrinsics)

    @property
    def matrix(self) -> Tensor:
        """The projection matrix P = K [R | t], (cameras, 3, 4)."""
        return self.intrinsics @ torch.cat([self.rotation, self.translation[:, :, None]], dim=-1)

    @property
    def centre(self) -> Tensor:
        """Where each camera stands in the world, -Rᵀ t, (cameras, 3)."""
        return -(self.rotation.mT @ self.translation[:, :, None])[..., 0]

    def pixels(self) -> Tensor:
        """Return (u, v, 1) of every pixel's middle, (height, width, 3)."""
        like = {"dtype": self.intrinsics.dtype, "device": self.intrinsics.device}
        v, u = torch.meshgrid(
            torch.arange(self.height, **like), torch.arange(self.width, **like), indexing="ij"
        )
        return torch.stack([u, v, torch.ones_like(u)], dim=-1)

    def rays(self) -> Tensor:
        """Return the unit direction in the world of every pixel, (cameras, height, width, 3)."""
        back = (self.rotation.mT @ torch.linalg.inv(self.intrinsics))[:, None, None]
        directions = (back @ self.pixels()[None, ..., None])[..., 0]
        return torch.nn.functional.normalize(directions, dim=-1)

    def unproject(self, depth: Tensor) -> Tensor:
        """Return the world's points (cameras, height, width, 3) at a depth z in every pixel.

        Args:
            depth: (cameras, height, width) along the optical axis.
        """
        check_shape(depth, f"{len(self)} {self.height} {self.width}", name="depth")
        back = torch.linalg.inv(self.intrinsics)[:, None, None]
        seen = (back @ self.pixels()[None, ..., None])[..., 0] * depth[..., None]
        return (seen - self.translation[:, None, None]) @ self.rotation[:, None]

    def moved(self, right: float) -> "Cameras":
        """Return the cameras moved to their own right: with these, rectified stereo pairs."""
        step = self.translation.new_tensor([right, 0.0, 0.0])
        return replace(self, translation=self.translation - step)


def aim_cameras(
    centre: Tensor, target: Tensor, *, height: int, width: int, field_of_view: float = 40.0
) -> Cameras:
    """Return upright cameras at ``centre`` that have ``target`` in the middle of their picture.

    Args:
        centre, target: (cameras, 3) in the world.
        field_of_view: the angle that the picture's width takes in, in degrees.

    Raises:
        ValueError: centre and target coincide or lie above each other, or the angle is not in
            1 to 170.
    """
    check_shape(centre, "cameras 3", name="centre")
    check_shape(target, f"{len(centre)} 3", name="target")
    height, width = check_whole(height, name="height"), check_whole(width, name="width")
    if not 1 <= field_of_view <= 170:
        raise ValueError(f"field_of_view is {field_of_view}, it must be 1 to 170 degrees")
    forward = torch.nn.functional.normalize(target - centre, dim=-1)
    right = torch.linalg.cross(forward, forward.new_tensor([[0.0, 1.0, 0.0]]).expand_as(forward))
    if (right.norm(dim=-1) < 1e-4).any():
        raise ValueError(
            "centre and target coincide or lie above each other: move the centre sideways"
        )
    right = torch.nn.functional.normalize(right, dim=-1)
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1)
    focal = width / 2 / math.tan(math.radians(field_of_view) / 2)
    intrinsics = centre.new_tensor(
        [[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]]
    )
    translation = -(rotation @ centre[:, :, None])[..., 0]
    return Cameras(intrinsics.expand(len(centre), 3, 3), rotation, translation, height, width)


def orbit_cameras(
    azimuth: Tensor,
    *,
    elevation: Tensor | float = 25.0,
    away: float = 4.0,
    height: int = 64,
    width: int = 64,
    field_of_view: float = 34.0,
) -> Cameras:
    """Return cameras on a ball around the origin, all aimed at it.

    Args:
        azimuth: (cameras,) in degrees; at 0 a camera stands in front, at z > 0.
        elevation: (cameras,) or one for all: the angle above the ground, in degrees, -89 to 89.
        away: their distance from the origin.
    """
    check_shape(azimuth, "cameras", name="azimuth")
    around = torch.deg2rad(azimuth)
    up = torch.deg2rad(torch.as_tensor(elevation).to(azimuth)).expand_as(around)
    centre = torch.stack([up.cos() * around.sin(), up.sin(), up.cos() * around.cos()], dim=-1)
    return aim_cameras(
        away * centre,
        torch.zeros_like(centre),
        height=height,
        width=width,
        field_of_view=field_of_view,
    )
