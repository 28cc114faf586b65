"""Scenes as waveforms at 16 kHz: each category has its timbre, each scene class its ambience.

Levels are chosen so that no mix can clip: stems share the range, whatever else sounds.
"""

import torch
from torch import Tensor

from mmlib.runtime import one_torch_thread
from mmlib.world.scenes import CATEGORIES, SCENE_CLASSES, Scenes
from mmlib.world.timbres import SAMPLE_RATE, VOICES, coloured_noise

LOUDNESS, PEAK = 0.12, 0.8  # a timbre's root mean square, unless its peaks would pass PEAK
QUIET = 0.02  # an ambience's root mean square
SHORTEST = 0.25  # seconds


@one_torch_thread()
def timbre(category: str, *, seconds: float, generator: torch.Generator) -> Tensor:
    """Synthesise one object's sound; pitch, rhythm and noise vary with the generator.

    Returns:
        (time,) at ``SAMPLE_RATE``; it starts and ends at 0, its peak is at most 0.8.

    Raises:
        ValueError: the category is unknown, the sound too short, or the generator not on the CPU.
    """
    if category not in VOICES:
        raise ValueError(f"category is {category!r}, choose one of {', '.join(CATEGORIES)}")
    samples = _samples(seconds, generator)
    sound = _faded(VOICES[category](samples, generator))
    gain = min(LOUDNESS / float(sound.square().mean().sqrt()), PEAK / float(sound.abs().max()))
    return sound * gain


@one_torch_thread()
def ambience(
    scene_class: str, *, seconds: float, generator: torch.Generator, night: bool = False
) -> Tensor:
    """Synthesise a scene class: waves, wind, traffic, leaves; at night crickets join in.

    Returns:
        (time,) at ``SAMPLE_RATE``, of root mean square 0.02; it starts and ends at 0.

    Raises:
        ValueError: the class is unknown, the sound too short, or the generator not on the CPU.
    """
    if scene_class not in SCENE_CLASSES:
        raise ValueError(
            f"scene_class is {scene_class!r}, choose one of {', '.join(SCENE_CLASSES)}"
        )
    samples = _samples(seconds, generator)
    low, high, tilt, rate, swing = {
        "beach": (150, 3500, 0.5, 0.25, 0.8),  # slow waves
        "meadow": (200, 1800, 0.9, 0.4, 0.3),
        "town": (50, 500, 1.0, 0.15, 0.2),  # far traffic
        "forest": (1200, 6000, 0.4, 0.6, 0.5),  # leaves
        "mountains": (300, 800, 0.2, 0.3, 0.7),  # whistling wind
    }[scene_class]
    time = torch.arange(samples) / SAMPLE_RATE
    turn = torch.rand(2, generator=generator)
    sound = coloured_noise(samples, generator, low=low, high=high, tilt=tilt)
    sound = sound * (1 - swing / 2 + swing / 2 * torch.sin(6.2832 * (rate * time + turn[0])))
    if night:
        trill = (torch.sin(6.2832 * 14 * time) > 0).float() * (torch.sin(6.2832 * time) > -0.3)
        smooth = torch.nn.functional.avg_pool1d(trill[None, None], 161, 1, 80)[0, 0]
        sound = sound + 0.5 * smooth * torch.sin(6.2832 * 4300 * time + turn[1])
    sound = _faded(sound)
    return sound * (QUIET / sound.square().mean().sqrt())


@one_torch_thread()
def stems(scenes: Scenes, *, seconds: float, generator: torch.Generator) -> Tensor:
    """Return what each object of each scene adds to the sound.

    A near object is louder than a far one. A stem depends on its own slot alone: silence one, and
    the others stay as they are.

    Returns:
        (scenes, slots, time), 0 for objects that do not sound; each peak is at most 0.8 / slots,
        so that no sum of stems clips.

    Raises:
        ValueError: the sound is too short, or the generator is not on the CPU.
    """
    samples = _samples(seconds, generator)
    seeds = torch.randint(2**62, scenes.present.shape, generator=generator)
    waves = torch.zeros(len(scenes), scenes.slots, samples)
    for index, objects in enumerate(scenes.objects()):
        for obj in objects:
            if obj.sounding:
                own = torch.Generator().manual_seed(int(seeds[index, obj.slot]))
                gain = 1 / ((1 + obj.depth) * scenes.slots)
                sound = timbre(obj.category, seconds=seconds, generator=own)
                waves[index, obj.slot] = gain * sound
    return waves.to(scenes.device)


@one_torch_thread()
def ambiences(scenes: Scenes, *, seconds: float, generator: torch.Generator) -> Tensor:
    """Return (scenes, time): the ambience of each scene's class and time of day."""
    nights = scenes.night.tolist()
    return torch.stack(
        [
            ambience(
                scenes.scene_class_name(index), seconds=seconds, generator=generator, night=night
            )
            for index, night in enumerate(nights)
        ]
    ).to(scenes.device)


@one_torch_thread()
def render(
    scenes: Scenes, *, seconds: float, generator: torch.Generator, noise: float = 0.002
) -> Tensor:
    """Return what a microphone hears: stems, ambience and its own noise, drawn in this order.

    Args:
        noise: standard deviation of the microphone's noise, 0 to 0.005.

    Returns:
        (scenes, time) at ``SAMPLE_RATE``; within -1 and 1.

    Raises:
        ValueError: a number is out of its range, or the generator is not on the CPU.
    """
    if not 0 <= noise <= 0.005:
        raise ValueError(f"noise is {noise}, it must lie from 0 to 0.005 or the mix may clip")
    mix = stems(scenes, seconds=seconds, generator=generator).sum(dim=1)
    mix = mix + ambiences(scenes, seconds=seconds, generator=generator)
    return mix + noise * torch.randn(mix.shape, generator=generator).to(mix.device)


def _samples(seconds: float, generator: torch.Generator) -> int:
    """Return the number of samples; refuse what cannot be synthesised."""
    if not SHORTEST <= seconds <= 600:
        raise ValueError(f"seconds is {seconds}, a sound lasts from {SHORTEST} to 600 seconds")
    if generator.device.type != "cpu":
        raise ValueError(f"the generator is on {generator.device}: sounds are made on the CPU")
    return round(seconds * SAMPLE_RATE)


def _faded(sound: Tensor) -> Tensor:
    """Let the first 5 and the last 20 milliseconds rise from and fall to 0."""
    count = torch.arange(len(sound))
    rise, fall = count / (0.005 * SAMPLE_RATE), count.flip(0) / (0.02 * SAMPLE_RATE)
    return sound * rise.clamp(max=1) * fall.clamp(max=1)
