"""Speakers' faces, and how the mouth moves with what they say.

What a voice can tell of a face is in its shape: jaw, face length, nose and lines follow the length
of the vocal tract and the age, with some chance. Hair, skin and glasses are drawn freely: no voice
knows them. The mouth follows the phones by the dominance model of M. Cohen and D. Massaro,
*Modeling coarticulation in synthetic visual speech*, 1993: every phone pulls at the lips before
and after its time. So the lips round before an "oo" is heard.

Lengths are in half sides of the picture, u to the right and v down, both from -1 to 1; a mouth's
outline is in half widths of the mouth at rest.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.shapes import check_shape, check_whole
from mmlib.world.timbres import SAMPLE_RATE
from mmlib.world.voices import Speaker, Utterance

FPS = 25  # frames a second
TIED = ("jaw", "length", "nose", "lines")  # what follows from tract length and age
FREE = ("hair", "style", "skin", "glasses")  # what does not
HAIR = ((0.13, 0.10, 0.09), (0.38, 0.22, 0.12), (0.80, 0.62, 0.32), (0.60, 0.25, 0.10))
STYLES = ("short", "long", "bald")
SKIN = ((0.96, 0.80, 0.68), (0.36, 0.22, 0.15))  # lightest, darkest
LIPS = ("opening", "width", "rounding", "tuck", "tongue")  # the columns of a mouth track
POINTS = 20  # landmarks of a mouth: 12 outside, 8 inside, in the order of the 68-point scheme
INNER = 0.84  # the inner corners' place on the way to the outer ones
_OUTER_AT = (-1.0, -0.68, -0.24, 0.0, 0.24, 0.68, 1.0)  # of the landmarks, in half widths
_INNER_AT = (-1.0, -0.45, 0.0, 0.45, 1.0)
_MOUTH_ROOM = 0.33  # half the side of a mouth region
# What each phone wants of the lips, and how strongly: opening, width, rounding, tuck, tongue. The
# second row of a diphthong is where it goes.
_VOWELS = {
    "IY": [(0.25, 0.85, 0, 0, 0)],
    "IH": [(0.34, 0.5, 0, 0, 0)],
    "EH": [(0.5, 0.4, 0, 0, 0)],
    "AE": [(0.7, 0.45, 0, 0, 0)],
    "AA": [(0.95, 0, 0, 0, 0)],
    "AO": [(0.72, -0.2, 0.6, 0, 0)],
    "UH": [(0.36, -0.1, 0.6, 0, 0)],
    "UW": [(0.24, -0.3, 1, 0, 0)],
    "AH": [(0.55, 0, 0.05, 0, 0)],
    "ER": [(0.36, 0, 0.45, 0, 0)],
    "EY": [(0.5, 0.5, 0, 0, 0), (0.3, 0.75, 0, 0, 0)],
    "AY": [(0.9, 0.1, 0, 0, 0), (0.35, 0.65, 0, 0, 0)],
    "OW": [(0.58, -0.1, 0.7, 0, 0), (0.3, -0.3, 0.95, 0, 0)],
    "AW": [(0.9, 0, 0.1, 0, 0), (0.32, -0.2, 0.9, 0, 0)],
    "OY": [(0.62, -0.2, 0.8, 0, 0), (0.35, 0.6, 0, 0, 0)],
}
_CONSONANTS = {  # target, dominance
    "P B M": ((0, 0, 0, 0, 0), (6, 0.4, 0.3, 2, 2)),
    "F V": ((0.1, 0.2, 0, 1, 0), (4, 0.6, 0.4, 6, 2)),
    "W": ((0.14, -0.3, 1, 0, 0), (4, 2, 6, 1, 1)),
    "R": ((0.26, 0, 0.6, 0, 0), (1.5, 0.6, 2, 1, 1)),
    "CH JH SH ZH": ((0.2, 0, 0.65, 0, 0), (3, 1, 3, 1, 1)),
    "TH DH": ((0.24, 0.2, 0, 0, 1), (2, 0.5, 0.4, 1, 6)),
    "L": ((0.34, 0.2, 0, 0, 0.8), (1.5, 0.5, 0.4, 1, 6)),
    "T D N": ((0.2, 0.25, 0, 0, 0.4), (1.5, 0.5, 0.25, 1, 3)),
    "S Z": ((0.12, 0.4, 0, 0, 0), (3, 1, 0.4, 1, 2)),
    "Y": ((0.22, 0.7, 0, 0, 0), (2, 2, 1.5, 1, 1)),
    "K G NG": ((0.3, 0.15, 0, 0, 0), (0.6, 0.3, 0.2, 1, 1)),
    "HH": ((0.35, 0, 0, 0, 0), (0.15, 0.1, 0.1, 0.5, 0.5)),
    "SIL": ((0, 0, 0, 0, 0), (1.5, 0.8, 0.8, 1, 1)),
}
_VISEMES = {name: (targets, (1.0, 1.0, 1.0, 1.0, 1.0)) for name, targets in _VOWELS.items()} | {
    name: ([target], weight)
    for names, (target, weight) in _CONSONANTS.items()
    for name in names.split()
}


@dataclass(frozen=True)
class Face:
    """One person's face at rest."""

    jaw: float  # how square, 0 pointed to 1
    length: float  # half the head's height
    nose: float  # its length
    lines: float  # 0 smooth to 1 deeply lined
    mouth: float  # half its width at rest
    hair: int  # position in ``HAIR``
    style: int  # position in ``STYLES``
    skin: float  # 0 lightest to 1 darkest
    glasses: bool


@dataclass(frozen=True)
class Pose:
    """Where the head is; each number, or one a frame (frames,)."""

    right: float | Tensor = 0.0  # of the middle
    down: float | Tensor = 0.0
    roll: float | Tensor = 0.0  # radians, clockwise
    yaw: float | Tensor = 0.0  # radians, to the picture's right
    scale: float | Tensor = 1.0


@dataclass(frozen=True)
class Light:
    """How a face is lit; each number, or one a frame (frames,)."""

    side: float | Tensor = 0.0  # -1 from the left to 1 from the right
    level: float | Tensor = 1.0  # factor on the brightness


def face_of(speaker: Speaker, generator: torch.Generator) -> Face:
    """Draw a face for a speaker: its shape goes with tract length and age, the rest is free.

    About 15 % of the variance of each tied attribute among the world's speakers is chance.
    """
    chance = torch.randn(5, generator=generator).clamp(-2, 2).tolist()
    free = torch.rand(4, generator=generator).tolist()
    tract, age = (speaker.tract - 15.7) / 1.4, (speaker.age - 18) / 62
    jaw, length, nose, lines, mouth = (
        tract + 0.45 * chance[0],
        tract + 0.45 * chance[1],
        0.9 * tract + 0.6 * (age - 0.5) + 0.45 * chance[2],
        age + 0.12 * chance[3],
        0.3 * tract + 0.9 * chance[4],
    )
    return Face(
        jaw=_within(0.5 + 0.2 * jaw, 0, 1),
        length=_within(0.72 + 0.035 * length, 0.6, 0.86),
        nose=_within(0.25 + 0.03 * nose, 0.14, 0.36),
        lines=_within(lines, 0, 1),
        mouth=_within(0.235 + 0.015 * mouth, 0.18, 0.29),
        hair=int(free[0] * len(HAIR)),
        style=int(free[1] * len(STYLES)),
        skin=free[2],
        glasses=free[3] < 0.3,
    )


def sample_pose(frames: int, *, generator: torch.Generator, amount: float = 1.0) -> Pose:
    """Draw a head that starts somewhere near the middle and moves slowly: (frames,) numbers each.

    Raises:
        ValueError: ``frames`` is no whole number of 1 or more.
    """
    frames = check_whole(frames, name="frames")
    time = torch.arange(frames) / FPS
    phase, speed, at = torch.rand(3, 5, 1, generator=generator)
    sway = 0.5 * torch.sin(2 * torch.pi * (phase + (0.1 + 0.3 * speed) * time)) + 2 * at - 1
    width = amount * torch.tensor([0.05, 0.04, 0.06, 0.2, 0.04])[:, None]
    right, down, roll, yaw, grow = width * sway
    return Pose(right, down, roll, yaw, 1 + grow)


def mouth_track(utterance: Utterance, *, fps: float = FPS) -> Tensor:
    """Return how the lips move while something is said, (frames, 5): see ``LIPS``.

    Frame f stands for the time from f / fps to (f + 1) / fps and shows its middle. Opening,
    rounding, tuck (of the lower lip behind the teeth) and tongue lie from 0 to 1, the width from
    -1, narrow, to 1, spread. Each is the mean of the phones' targets, weighted by their dominance,
    ``strength · exp(-(distance in time / reach)²)``; before its phone rounding reaches further.

    Raises:
        ValueError: a phone is not known, ``fps`` is not positive, or the wave is shorter than a
            frame.
    """
    if not fps > 0:
        raise ValueError(f"fps is {fps}, it must be positive, such as {FPS}")
    frames = int(len(utterance.wave) * fps / SAMPLE_RATE)
    if frames < 1:
        raise ValueError(f"the wave has {len(utterance.wave)} samples: one frame needs more")
    middles, reaches, targets, strengths = [], [], [], []
    for name, start, end in utterance.phones:
        if name not in _VISEMES:
            raise ValueError(f"phone {name!r} is not known, such are {', '.join(_VISEMES)}")
        aims, strength = _VISEMES[name]
        soft = 1.0 if name in _VOWELS else 0.65  # a consonant is over sooner
        for number, aim in enumerate(aims):
            middles.append(start + (end - start) * (number + 0.5) / len(aims))
            reaches.append(soft * (0.03 + 0.5 * (end - start) / len(aims)))
            targets.append(aim)
            strengths.append(strength)
    time = (torch.arange(frames) + 0.5) / fps
    away = time[:, None] - torch.tensor(middles)  # (frames, targets), negative before its time
    ahead = torch.tensor([1.0, 1.2, 1.9, 1.0, 1.0])  # how much further a phone reaches before it
    reach = torch.tensor(reaches)[:, None] * torch.where(away[..., None] < 0, ahead, 1.0)
    pull = torch.tensor(strengths).log() - (away.abs()[..., None] / reach).square()
    track = (pull.softmax(dim=1) * torch.tensor(targets, dtype=torch.float32)).sum(dim=1)
    track[:, 0] = (1.08 * track[:, 0] - 0.05).clamp(0, 1)  # lips that almost touch do touch
    return track


def mouth_outline(track: Tensor) -> Tensor:
    """Return the lips' landmarks, (frames, 40): x, y of 20 points, x to the right and y down.

    Points 0 to 11 run around the outside, from the corner on the left over the upper lip and back
    along the lower one; 12 to 19 around the inside alike. The origin is the middle between the
    corners, the unit half the width of the mouth at rest.

    Raises:
        ValueError: ``track`` is not (frames, 5).
    """
    check_shape(track, f"frames {len(LIPS)}", name="track")
    outer, inner = (torch.tensor(at, dtype=track.dtype) for at in (_OUTER_AT, _INNER_AT))
    half, lips = _half_width(track), _curves(track, outer)
    inside = _curves(track, INNER * inner)
    x = torch.cat([outer, outer.flip(0)[1:-1], INNER * inner, INNER * inner.flip(0)[1:-1]]) * half
    y = torch.cat(
        [
            lips.top,
            lips.bottom.flip(-1)[:, 1:-1],
            inside.inner_top,
            inside.inner_bottom.flip(-1)[:, 1:-1],
        ],
        dim=-1,
    )
    return torch.stack([x, y], dim=-1).flatten(1)


def draw(
    face: Face | Sequence[Face],
    mouth: Tensor | None = None,
    *,
    size: int = 64,
    pose: Pose | None = None,
    light: Light | None = None,
) -> Tensor:
    """Draw a face with each of the mouths, or each of several faces with its own.

    Args:
        face: one face for all frames, or one a frame.
        mouth: (frames, 5) as ``mouth_track`` returns; None: closed and at rest.
        size: the pictures' side in pixels, 16 or more.
        pose: where the head is; None: straight, in the middle.
        light: None: even.

    Returns:
        (frames, 3, size, size) red, green, blue in [0, 1].

    Raises:
        ValueError: sizes do not fit together, or ``size`` is too small.
    """
    scene = _scene(face, mouth, pose, light)
    check_whole(size, name="size", least=16)
    steps = (2 * torch.arange(size) + 1) / size - 1
    frames = len(scene.mouth)
    u = steps.expand(frames, size, size)
    return _paint(scene, u, u.transpose(1, 2), pixels=size / 2)


def mouth_frames(
    face: Face | Sequence[Face],
    mouth: Tensor,
    *,
    size: int = 24,
    pose: Pose | None = None,
    light: Light | None = None,
) -> Tensor:
    """Draw only the region around the mouth, as a face tracker would cut it out: it does not move.

    The head's shift and scale are taken out, roll and yaw are not.

    Args:
        as ``draw``; ``size`` 8 or more.

    Returns:
        (frames, 3, size, size) in [0, 1].

    Raises:
        ValueError: as ``draw``.
    """
    scene = _scene(face, mouth, pose, light)
    check_whole(size, name="size", least=8)
    steps = ((2 * torch.arange(size) + 1) / size - 1) * _MOUTH_ROOM
    still = {"right": torch.zeros(1, 1, 1), "down": torch.zeros(1, 1, 1)}
    scene = scene._replace(pose=scene.pose | still | {"scale": torch.ones(1, 1, 1)})
    middle = _mouth_height(scene.face)
    u = steps.expand(len(scene.mouth), size, size)
    v = u.transpose(1, 2) + middle + 0.04
    return _paint(scene, u - middle * scene.pose["roll"].sin(), v, pixels=size / 2 / _MOUTH_ROOM)


class _Scene(NamedTuple):
    """All that is to be drawn, every number as (frames or 1, 1, 1)."""

    face: dict[str, Tensor]
    mouth: Tensor  # (frames, 5)
    pose: dict[str, Tensor]
    light: dict[str, Tensor]


class _Curves(NamedTuple):
    """The heights of the lips' four edges at some places across the mouth, y down."""

    top: Tensor
    inner_top: Tensor
    inner_bottom: Tensor
    bottom: Tensor


def _scene(face, mouth: Tensor | None, pose: Pose | None, light: Light | None) -> _Scene:
    people = [face] if isinstance(face, Face) else list(face)
    mouth = torch.zeros(len(people), len(LIPS)) if mouth is None else mouth
    frames = check_shape(mouth, f"frames {len(LIPS)}", name="mouth")["frames"]
    if len(people) not in (1, frames):
        raise ValueError(f"{len(people)} faces for {frames} mouths: give one face, or one a mouth")
    columns = zip(*map(astuple, people), strict=True)
    names = [field.name for field in fields(Face)]

    def column(values) -> Tensor:
        values = torch.as_tensor(values, dtype=torch.float32).reshape(-1, 1, 1)
        if len(values) not in (1, frames):
            raise ValueError(f"pose or light has {len(values)} frames, the mouth {frames}")
        return values

    return _Scene(
        {name: column(values) for name, values in zip(names, columns, strict=True)},
        mouth.float(),
        {name: column(value) for name, value in vars(pose or Pose()).items()},
        {name: column(value) for name, value in vars(light or Light()).items()},
    )


def _half_width(track: Tensor) -> Tensor:
    """Return half the mouth's width, (frames, 1)."""
    opening, width, rounding, *_ = track.unbind(dim=-1)
    return (1 + 0.15 * width - 0.36 * rounding - 0.06 * opening)[:, None]


def _curves(track: Tensor, at: Tensor) -> _Curves:
    """Return the edges' heights (frames, …) at places ``at`` (…) or (frames, …), in half widths."""
    columns = (slice(None), *[None] * max(1, at.dim() - 1))
    opening, _, rounding, tuck, _ = (column[columns] for column in track.unbind(dim=-1))
    bump = (1 - at.square()).clamp(min=0) ** 0.7
    inside = (1 - (at / INNER).square()).clamp(min=0) ** 0.6
    bow = 1 - 0.2 * torch.exp(-((at / 0.16) ** 2))
    gap = 0.9 * opening
    inner_top, inner_bottom = -0.3 * gap * inside, (0.7 * gap - 0.1 * tuck) * inside
    upper, lower = 0.2 + 0.1 * rounding, 0.27 + 0.1 * rounding - 0.13 * tuck
    return _Curves(
        -(0.3 * gap + upper * bow) * bump,
        torch.minimum(inner_top, inner_bottom),
        torch.maximum(inner_top, inner_bottom),
        (0.7 * gap + lower - 0.1 * tuck) * bump,
    )


def _mouth_height(face: dict[str, Tensor]) -> Tensor:
    """Return where the middle of the mouth is, below the middle of the head."""
    return 0.55 * face["length"] + 0.25 * (face["nose"] - 0.25)


def _paint(scene: _Scene, u: Tensor, v: Tensor, *, pixels: float) -> Tensor:
    """Paint the pixels at u, v (frames, height, width); a unit is ``pixels`` pixels long."""
    face, pose, opening = scene.face, scene.pose, scene.mouth[:, 0, None, None]
    picture = torch.stack([0.62 - 0.1 * v, 0.68 - 0.1 * v, 0.74 - 0.1 * v], dim=1)
    u, v, pixels = (u - pose["right"]) / pose["scale"], v - pose["down"], pixels * pose["scale"]
    v = v / pose["scale"]
    sine, cosine = pose["roll"].sin(), pose["roll"].cos()
    u, v = u * cosine + v * sine, v * cosine - u * sine
    light, dark = torch.tensor(SKIN)
    skin = light + face["skin"] * (dark - light)  # (frames or 1, 1, 3)
    hair = torch.tensor(HAIR)[face["hair"].long().flatten()][:, None]
    high, wide = face["length"], 0.8 * 0.72 + 0.1 * (face["jaw"] - 0.5)
    turned = u - 0.35 * pose["yaw"].sin()  # what lies in front moves more

    def put(distance: Tensor, paint, amount: Tensor | float = 1.0) -> None:
        cover = (0.5 - distance * pixels).clamp(0, 1) * amount
        paint = torch.as_tensor(paint, dtype=torch.float32).reshape(-1, 3, 1, 1)
        picture.add_(cover[:, None] * (paint - picture))

    bald, long = face["style"] == 2, face["style"] == 1
    head = _superellipse(u, v, wide, high, 2.2)
    chin = high + 0.1 * opening
    head = torch.where(v > 0, _superellipse(u, v, wide, chin, 1.9 + 0.9 * face["jaw"]), head)
    locks = _superellipse(u, v - 0.15, wide + 0.14, high + 0.14, 2.6)
    put(torch.maximum(locks, v - 0.75), hair, long.float())
    put(_superellipse(u, v - 1.25, 0.3 + 0 * wide, 0.7 + 0 * high, 4.0), 0.85 * skin)
    put(_superellipse(u, v - 1.55, 0.95 + 0 * wide, 0.6 + 0 * high, 2.0), (0.3, 0.36, 0.45))
    for side in (-1, 1):
        put(_superellipse(u - side * wide, v - 0.03, 0.08 + 0 * wide, 0.15 + 0 * high, 2.0), skin)
    put(head, skin)
    cap = _superellipse(u, v, wide + 0.05, high + 0.06, 2.2)
    brow = -0.5 * high + 0.16 * (u / wide).square() - 0.02
    put(torch.maximum(cap, v - brow), hair, (~bald).float())
    for side in (-1, 1):
        _paint_iris(put, turned - side * 0.42 * wide, v + 0.08, side, hair=hair, skin=skin)
    middle = _mouth_height(face)
    tip = face["nose"]
    ridge = _superellipse(turned - 0.02, v - tip / 2 + 0.02, 0.035 + 0 * tip, tip / 2, 2.0)
    put(ridge, 0.88 * skin)
    put(
        _superellipse(turned, v - tip, 0.075 + 0.2 * (tip - 0.25), 0.035 + 0 * tip, 2.0), 0.8 * skin
    )
    for number in range(3):  # the forehead's lines, and those from nose to mouth
        put(
            (v + 0.36 * high - 0.055 * number).abs() - 0.008,
            0.7 * skin,
            _fade(turned, 0.3) * face["lines"],
        )
    for side in (-1, 1):
        slant = side * turned - 0.13 - 0.5 * (v - tip)
        put(slant.abs() - 0.012, 0.7 * skin, _fade(v - (tip + middle) / 2, 0.12) * face["lines"])
    _paint_mouth(put, scene.mouth, turned / face["mouth"], (v - middle) / face["mouth"], face, skin)
    for side in (-1, 1):
        ring = _superellipse(
            turned - side * 0.42 * wide, v + 0.07, 0.19 + 0 * wide, 0.15 + 0 * high, 2.6
        )
        put(ring.abs() - 0.018, (0.08, 0.08, 0.1), face["glasses"])
    put(
        torch.maximum((v + 0.09).abs() - 0.016, turned.abs() - 0.06),
        (0.08, 0.08, 0.1),
        face["glasses"],
    )
    shade = (1 + 0.28 * scene.light["side"] * u - 0.06 * v) * scene.light["level"]
    return (picture * shade[:, None]).clamp(0, 1)


def _paint_iris(put, u: Tensor, v: Tensor, side: int, *, hair: Tensor, skin: Tensor) -> None:
    one = torch.ones(1, 1, 1)
    put(_superellipse(u, v, 0.115 * one, 0.06 * one, 2.0), (0.97, 0.97, 0.95))
    put(_superellipse(u, v, 0.052 * one, 0.052 * one, 2.0), (0.2, 0.15, 0.12))
    brow = (v + 0.15 - 0.25 * u.abs() * (side * u > 0)).abs() - 0.024
    put(torch.maximum(brow, u.abs() - 0.14), 0.5 * hair + 0.15 * skin)


def _paint_mouth(put, mouth: Tensor, x: Tensor, y: Tensor, face: dict, skin: Tensor) -> None:
    """Paint lips, the dark inside, teeth and tongue; x, y in half widths of the mouth at rest."""
    unit, tongue = face["mouth"], mouth[:, 4, None, None]
    half = _half_width(mouth)[..., None]
    curves = _curves(mouth, (x / half).clamp(-1, 1))
    lips = torch.maximum(torch.maximum(curves.top - y, y - curves.bottom), x.abs() - half)
    red = 0.62 * skin + torch.tensor([0.16, 0.0, 0.02])
    put(lips * unit, red)
    inside = torch.maximum(curves.inner_top - y, y - curves.inner_bottom)
    inside = torch.maximum(inside, x.abs() - INNER * half)
    put(inside * unit, (0.16, 0.04, 0.05))
    teeth = y - curves.inner_top - 0.4 * (curves.inner_bottom - curves.inner_top).clamp(max=0.36)
    put(torch.maximum(inside, teeth) * unit, (0.95, 0.94, 0.9))
    lick = _superellipse(
        x, y - curves.inner_bottom + 0.02, 0.55 * half, 0.16 * torch.ones_like(half), 2.0
    )
    put(torch.maximum(inside, lick) * unit, (0.82, 0.42, 0.42), 0.3 + 0.7 * tongue)
    seam = torch.maximum((y - curves.inner_bottom).abs() - 0.035, x.abs() - 0.9 * half)
    put(seam * unit, 0.55 * red, (1 - 6 * mouth[:, 0, None, None]).clamp(min=0))  # lips that touch


def _superellipse(u: Tensor, v: Tensor, wide: Tensor, high: Tensor, power) -> Tensor:
    """Return about the distance to |u / wide|^power + |v / high|^power = 1, exact at the edge."""
    x, y = (u / wide).abs().clamp(min=1e-4), (v / high).abs().clamp(min=1e-4)
    reach = (x**power + y**power) ** (1 / power)
    slope = ((x / reach) ** (power - 1) / wide).square()
    slope = slope + ((y / reach) ** (power - 1) / high).square()
    return (reach - 1) / slope.sqrt()


def _fade(away: Tensor, reach: float) -> Tensor:
    """Return 1 near 0, 0 beyond ``reach``."""
    return (2 - 2 * away.abs() / reach).clamp(0, 1)


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
