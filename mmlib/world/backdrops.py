"""Skies and grounds: what stands behind the objects, by scene class, light and time of day.

All texture is value noise on lattices of hashed whole numbers, so that it depends on nothing but
the scene: the same clouds and hills at every picture size and on every machine.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mmlib.world.scenes import HORIZON, SCENE_CLASSES, Scenes

NIGHT = (0.34, 0.40, 0.62)  # what moonlight leaves of a landscape's red, green, blue
WINDOW = (1.0, 0.84, 0.45)

# sky above, sky at the horizon; by day
SKIES = {
    "beach": ((0.30, 0.62, 0.93), (0.80, 0.93, 0.98)),
    "meadow": ((0.36, 0.66, 0.95), (0.86, 0.94, 0.97)),
    "town": ((0.46, 0.66, 0.86), (0.90, 0.91, 0.90)),
    "forest": ((0.42, 0.70, 0.86), (0.88, 0.95, 0.88)),
    "mountains": ((0.25, 0.53, 0.90), (0.83, 0.91, 0.98)),
}
DUSK, NIGHT_SKY = (1.0, 0.74, 0.52), ((0.03, 0.05, 0.15), (0.15, 0.19, 0.38))
# the far layer, the ground where it is dark and where it is light
LANDS = {
    "beach": ((0.16, 0.48, 0.66), (0.86, 0.74, 0.52), (0.97, 0.90, 0.71)),
    "meadow": ((0.42, 0.62, 0.46), (0.32, 0.56, 0.22), (0.58, 0.77, 0.35)),
    "town": ((0.52, 0.53, 0.62), (0.52, 0.52, 0.55), (0.68, 0.67, 0.67)),
    "forest": ((0.13, 0.36, 0.25), (0.30, 0.33, 0.17), (0.47, 0.49, 0.25)),
    "mountains": ((0.45, 0.49, 0.62), (0.40, 0.50, 0.30), (0.64, 0.70, 0.46)),
}


def paint_backdrops(pictures: Tensor, scenes: Scenes) -> None:
    """Fill ``pictures`` (scenes, 3, size, size) with the scenes, their objects left out."""
    for scene_class, name in enumerate(SCENE_CLASSES):
        here = (scenes.scene_class == scene_class).nonzero()[:, 0]
        if len(here):
            pictures.index_copy_(0, here, _landscape(scenes[here], name, pictures.shape[-1]))


def _landscape(scenes: Scenes, scene_class: str, size: int) -> Tensor:
    """Return one scene class's backdrops: sky and far layer above the horizon, ground below."""
    middles = (torch.arange(size, device=scenes.device) + 0.5) / size
    split = int((middles < HORIZON).sum())
    picture = torch.empty(len(scenes), 3, size, size, device=scenes.device)
    sky, ground = picture[:, :, :split], picture[:, :, split:]
    _paint_sky(sky, scenes, SKIES[scene_class], middles[:split], middles)
    far, dark, light = (scenes.light.new_tensor(rgb) for rgb in LANDS[scene_class])
    moon = scenes.light.new_tensor(NIGHT)
    tint = torch.where(scenes.night[:, None], moon, torch.ones_like(moon))[:, :, None, None]
    FAR_LAYERS[scene_class](sky, scenes, far[:, None, None] * tint, middles[:split], middles)
    grass = _ground_noise(scenes, middles[split:], middles)
    torch.addcmul(dark[:, None, None], (light - dark)[:, None, None], grass[:, None], out=ground)
    if scene_class in FOREGROUNDS:
        FOREGROUNDS[scene_class](ground, scenes, middles[split:], middles)
    ground.mul_(tint)
    return picture


def _paint_sky(sky: Tensor, scenes: Scenes, colours: tuple, y: Tensor, x: Tensor) -> None:
    """Fill the sky in place: a gradient, sun or moon with its glow, clouds, stars."""
    night = scenes.night[:, None]
    low = (y / HORIZON)[:, None] ** 1.3
    edge = (2 * scenes.light - 1)[:, None].abs()  # 0 at noon, towards 1 when the sun is low
    day_top, day_low = (scenes.light.new_tensor(rgb) for rgb in colours)
    dark_top, dark_low = (scenes.light.new_tensor(rgb) for rgb in NIGHT_SKY)
    day_low = torch.lerp(day_low, scenes.light.new_tensor(DUSK), (edge**2).clamp(max=0.8))
    top = torch.where(night, dark_top, day_top)[:, :, None, None]
    bottom = torch.where(night, dark_low, day_low)[:, :, None, None]
    sky[:] = torch.lerp(top, bottom, low)
    clouds = noise(scenes, 3, 5, y / HORIZON, x, salt=1)
    clouds.lerp_(noise(scenes, 9, 13, y / HORIZON, x, salt=2), 0.4)
    clouds.lerp_(noise(scenes, 17, 27, y / HORIZON, x, salt=3), 0.16)
    clouds.sub_(0.52).mul_(4.5).clamp_(0, 0.85).mul_(1.25 - y[:, None] / HORIZON)
    clouds = clouds.mul_(1 - 0.75 * scenes.night.float()[:, None, None]).clamp_(max=1)[:, None]
    dark = scenes.night.nonzero()[:, 0]
    if len(dark):
        stars = noise(scenes[dark], 40, 72, y / HORIZON, x, salt=4)
        sky[dark] += stars.sub_(0.95).mul_(26).clamp_(0, 1)[:, None]
    _paint_sun(sky, scenes, y, x, edge)
    sky.lerp_(torch.where(night, 0.45, 1.0)[:, :, None, None].expand_as(sky), clouds)


def _paint_sun(sky: Tensor, scenes: Scenes, y: Tensor, x: Tensor, edge: Tensor) -> None:
    """Paint the sun, or a crescent moon, with a glow around it."""
    height = (0.09 + 0.2 * edge**2)[..., None]
    across, down = x - scenes.light[:, None, None], y[:, None] - height
    night, size = scenes.night[:, None, None], len(x)
    square = across * across + down * down  # (scenes, rows, columns)
    disc = square.sqrt().sub_(0.055).mul_(-size).add_(0.5).clamp_(0, 1)
    bite = torch.where(night, across - 0.025, 9) ** 2 + (down + 0.012) ** 2
    disc.mul_(bite.sqrt_().sub_(0.048).mul_(size).add_(0.5).clamp_(0, 1))
    glow = square.mul_(torch.where(night, 2000, 800)).add_(1.75).reciprocal_()
    shine = scenes.light.new_tensor((1.0, 0.97, 0.80))[:, None, None]
    sky.lerp_(shine.expand_as(sky), torch.maximum(disc, glow, out=glow)[:, None])


def _ridge(scenes: Scenes, points: int, x: Tensor, *, salt: int, smooth: bool = True) -> Tensor:
    """Return (scenes, columns) noise along the horizon in 0 to 1."""
    heights = lattice(scenes.texture, 1, points, salt=salt)[:, 0]
    return heights @ weights(x, points, smooth=smooth).T


def _rise(sky: Tensor, height: Tensor, colour: Tensor, y: Tensor, *, haze: float = 0.0) -> Tensor:
    """Paint in place what rises ``height`` (scenes, columns) above the horizon; give its cover."""
    size = height.shape[1]
    cover = ((y[:, None] - (HORIZON - height[:, None])) * size + 0.5).clamp_(0, 1)
    if haze:
        colour = torch.lerp(colour, sky[:, :, -1:, :1], haze)
    sky.lerp_(colour.expand_as(sky), cover[:, None])
    return cover


def _far_beach(sky: Tensor, scenes: Scenes, colour: Tensor, y: Tensor, x: Tensor) -> None:
    """A low headland at one end of the horizon."""
    side = torch.where(scenes.texture[:, None] % 2 == 0, x, 1 - x)
    headland = (side - 0.5).clamp(min=0) * 0.16 * (0.6 + _ridge(scenes, 9, x, salt=11))
    _rise(sky, headland, colour * 0.8, y, haze=0.4)


def _far_meadow(sky: Tensor, scenes: Scenes, colour: Tensor, y: Tensor, x: Tensor) -> None:
    """Two rows of soft hills."""
    _rise(sky, 0.06 + 0.13 * _ridge(scenes, 4, x, salt=12), colour, y, haze=0.35)
    _rise(sky, 0.01 + 0.09 * _ridge(scenes, 5, x, salt=13), colour, y)


def _far_town(sky: Tensor, scenes: Scenes, colour: Tensor, y: Tensor, x: Tensor) -> None:
    """A row of houses, their windows lit at night."""
    _rise(sky, 0.12 + 0.22 * _blocks(scenes, 9, x, salt=14), colour, y, haze=0.5)
    height = 0.06 + 0.2 * _blocks(scenes, 11, x, salt=15)
    house = _rise(sky, height, colour * 0.82, y)
    column, row = (x * 44) % 1, ((HORIZON - y) * 34) % 1
    pane = ((column - 0.5).abs() < 0.27)[None, :] & ((row - 0.45).abs() < 0.3)[:, None]
    inside = house * (y[:, None] - (HORIZON - height[:, None]) > 0.02)
    home = lattice(scenes.texture, 18, 44, salt=16)
    home = home[:, ((HORIZON - y) * 34).long()][:, :, (x * 44).long().clamp(max=43)]
    lit = torch.where(scenes.night[:, None, None], home > 0.55, home > 0.2) * pane * inside
    day, night = scenes.light.new_tensor((0.80, 0.88, 0.93)), scenes.light.new_tensor(WINDOW)
    glass = torch.where(scenes.night[:, None], night, day)[:, :, None, None]
    sky.lerp_(glass.expand_as(sky), (lit * 0.85)[:, None])


def _blocks(scenes: Scenes, houses: int, x: Tensor, *, salt: int) -> Tensor:
    """Return (scenes, columns) heights in 0 to 1 that are level over each house."""
    heights = lattice(scenes.texture, 1, houses, salt=salt)[:, 0]
    return heights[:, (x * houses).long().clamp(max=houses - 1)]


def _far_forest(sky: Tensor, scenes: Scenes, colour: Tensor, y: Tensor, x: Tensor) -> None:
    """Two rows of firs."""
    for trees, salt, haze, low, high in ((13, 17, 0.45, 0.14, 0.2), (10, 18, 0.0, 0.03, 0.2)):
        shift = lattice(scenes.texture, 1, 1, salt=salt + 50)[:, 0]
        tip = 1 - 2 * ((x * trees + shift) % 1 - 0.5).abs()  # (scenes, columns)
        tiers = 0.75 * tip + 0.25 * ((tip * 4) % 1)
        tall = low + high * _ridge(scenes, trees, x, salt=salt)
        _rise(sky, tall * (0.35 + 0.65 * tiers), colour, y, haze=haze)


def _far_mountains(sky: Tensor, scenes: Scenes, colour: Tensor, y: Tensor, x: Tensor) -> None:
    """Peaks with snow, lower hills before them."""
    peaks = 0.12 + 0.24 * _ridge(scenes, 6, x, salt=19, smooth=False)
    peaks = peaks + 0.05 * _ridge(scenes, 17, x, salt=20, smooth=False)
    _rise(sky, peaks, torch.lerp(colour, colour.new_ones(()), 0.75), y)
    rock = (0.22 + 0.06 * _ridge(scenes, 25, x, salt=21, smooth=False)).minimum(peaks)
    _rise(sky, rock, colour, y, haze=0.15)
    green = colour * colour.new_tensor((0.75, 1.0, 0.62))[:, None, None]
    _rise(sky, 0.03 + 0.08 * _ridge(scenes, 5, x, salt=22), green, y)


def _near_beach(ground: Tensor, scenes: Scenes, y: Tensor, x: Tensor) -> None:
    """The sea, with waves, up to a winding line of foam."""
    shore = 0.675 + 0.03 * _ridge(scenes, 5, x, salt=23)  # (scenes, columns)
    depth = shore[:, None] - y[:, None]
    deep, shallow = (0.10, 0.40, 0.62), (0.42, 0.77, 0.80)
    water = torch.lerp(
        ground.new_tensor(shallow)[:, None, None], ground.new_tensor(deep)[:, None, None],
        (depth * 5.5).clamp(0, 1)[:, None],
    )  # fmt: skip
    waves = noise(scenes, 40, 7, (y - HORIZON) * 2, x, salt=24)
    water.add_(waves.sub_(0.5).mul_(0.22)[:, None])
    ground.lerp_(water, (depth * len(x) + 0.5).clamp_(0, 1)[:, None])
    foam = (1 - (depth.abs() - 0.004).clamp_(min=0) * 110).clamp_(0, 0.9)
    ground.lerp_(torch.ones_like(ground), foam[:, None])


def _near_meadow(ground: Tensor, scenes: Scenes, y: Tensor, x: Tensor) -> None:
    """Small flowers."""
    flowers = noise(scenes, 24, 40, (y - HORIZON) * 2, x, salt=25).sub_(0.945).mul_(30).clamp_(0, 1)
    bloom = torch.where(
        scenes.texture[:, None] % 2 == 0, ground.new_tensor((1.0, 0.95, 0.75)),
        ground.new_tensor((0.95, 0.72, 0.86)),
    )  # fmt: skip
    ground.lerp_(bloom[:, :, None, None].expand_as(ground), flowers[:, None])


def _near_town(ground: Tensor, scenes: Scenes, y: Tensor, x: Tensor) -> None:
    """A pale pavement and a road with a dashed line."""
    size = len(x)
    road = ((y - 0.58) * size + 0.5).clamp(0, 1) * ((0.86 - y) * size + 0.5).clamp(0, 1)
    ground.mul_(1 - 0.38 * road[:, None])
    line = ((0.008 - (y - 0.72).abs()) * size + 0.5).clamp(0, 1)
    dash = ((0.25 - ((x * 6) % 1 - 0.5).abs()) * size / 6 + 0.5).clamp(0, 1)
    ground.lerp_(torch.ones_like(ground), 0.75 * line[:, None] * dash)


def _ground_noise(scenes: Scenes, y: Tensor, x: Tensor) -> Tensor:
    """Return (scenes, rows, columns) in 0 to 1: grain that grows towards the viewer."""
    near = (y - HORIZON) / (1 - HORIZON)
    rows = 1.25 * (1 - 1 / (1 + 4 * near))  # perspective: most rows lie close to the horizon
    grain = noise(scenes, 12, 5, rows, x, salt=31)
    grain.lerp_(noise(scenes, 36, 40, rows, x, salt=32), 0.4)
    return grain.mul_(0.75).add_(0.3 * near[:, None]).clamp_(0, 1)


def noise(scenes: Scenes, rows: int, columns: int, y: Tensor, x: Tensor, *, salt: int) -> Tensor:
    """Return smooth noise in 0 to 1 from a lattice of ``rows`` by ``columns`` random values.

    Args:
        y: (height,) and **x**: (width,), where to read it, in shares of the lattice.

    Returns:
        (scenes, height, width)
    """
    values = lattice(scenes.texture, rows, columns, salt=salt)
    return weights(y, rows) @ (values @ weights(x, columns).T)


def weights(at: Tensor, points: int, *, smooth: bool = True) -> Tensor:
    """Return (positions, points): how much each lattice point counts at each position in 0 to 1."""
    reach = at[:, None] * (points - 1) - torch.arange(points, device=at.device)
    near = (1 - reach.abs()).clamp(min=0)
    return near * near * (3 - 2 * near) if smooth else near


def lattice(texture: Tensor, rows: int, columns: int, *, salt: int) -> Tensor:
    """Return (scenes, rows, columns) values in 0 to 1, picked by texture and salt out of a table.

    Raises:
        ValueError: more values than a row of the table holds.
    """
    if rows * columns > TABLE.shape[1]:
        raise ValueError(f"{rows} by {columns} values, a lattice has at most {TABLE.shape[1]}")
    picked = _hashed(texture + salt * 7919) % len(TABLE)
    values = TABLE.to(texture.device)[:, : rows * columns][picked]
    return values.reshape(-1, rows, columns)


def _hashed(numbers: Tensor) -> Tensor:
    """Scramble whole numbers into 0 to 2³² - 1, the same on every machine."""
    for _ in range(2):
        numbers = numbers & 0xFFFFFFFF
        numbers = ((numbers ^ (numbers >> 15)) * 1274126177) & 0xFFFFFFFF
    return numbers ^ (numbers >> 16)


TABLE = (_hashed(torch.arange(1, 127 * 2880 + 1).reshape(127, 2880)) & 0xFFFF).float() / 65535
FarLayer = Callable[[Tensor, Scenes, Tensor, Tensor, Tensor], None]
FAR_LAYERS: dict[str, FarLayer] = {
    "beach": _far_beach,
    "meadow": _far_meadow,
    "town": _far_town,
    "forest": _far_forest,
    "mountains": _far_mountains,
}
FOREGROUNDS: dict[str, Callable[[Tensor, Scenes, Tensor, Tensor], None]] = {
    "beach": _near_beach,
    "meadow": _near_meadow,
    "town": _near_town,
}
