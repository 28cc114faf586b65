"""What each category sounds like: additive, frequency-modulated and noise synthesis.

A voice strikes notes: every note is a row of one matrix (notes, time), shaped by its envelope and
added into the sound at its start. Partials stay below 7.5 kHz, so that nothing folds back.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

SAMPLE_RATE = 16000
HIGHEST = 7500.0  # Hz, the highest partial
TAU = 2 * math.pi


def bell(samples: int, generator: torch.Generator) -> Tensor:
    """Strikes whose partials are not multiples of one pitch; the high ones die first."""
    starts = _starts(samples, generator, every=1.1, jitter=0.15)
    pitch = 560 * 2 ** _uniform(1, generator, low=-0.35, high=0.35)
    ratios = (0.5, 1.0, 1.2, 1.5, 2.0, 2.67, 3.76, 5.1)
    levels = (0.5, 1.0, 0.7, 0.4, 0.6, 0.35, 0.25, 0.12)
    time = _time(2.2)
    note = sum(
        level * torch.sin(TAU * pitch * ratio * time) * torch.exp(-time * (1.1 + 0.9 * ratio))
        for ratio, level in zip(ratios, levels, strict=True)
    )
    return _strike(samples, starts, _soft(note, attack=0.002).expand(len(starts), -1))


def bird(samples: int, generator: torch.Generator) -> Tensor:
    """Short whistles that glide up and down, in phrases."""
    starts = _starts(samples, generator, every=0.21, jitter=0.06)
    kept = _uniform(len(starts), generator) < 0.75
    kept[0] = True
    starts = starts[kept]
    time = _time(0.15)
    middle = _uniform(len(starts), generator, low=2800, high=4600)[:, None]
    glide = _uniform(len(starts), generator, low=-1300, high=1300)[:, None]
    wave = 140 * torch.sin(TAU * 32 * time)
    phase = TAU * torch.cumsum(middle + glide * (time / 0.15 - 0.5) + wave, dim=-1) / SAMPLE_RATE
    return _strike(samples, starts, torch.sin(phase) * torch.sin(math.pi * time / 0.15) ** 2)


def boat(samples: int, generator: torch.Generator) -> Tensor:
    """A ship's horn: two deep tones that beat against each other, swelling slowly."""
    starts = _starts(samples, generator, every=1.9, jitter=0.2)
    pitch = 105 * 2 ** _uniform(1, generator, low=-0.3, high=0.3)
    time = _time(1.5)
    note = _harmonics(pitch, time, fall=1.3, most=9) + _harmonics(
        pitch * 1.26, time, fall=1.4, most=7
    )
    return _strike(samples, starts, (note * _swell(time, 0.18)).expand(len(starts), -1))


def car(samples: int, generator: torch.Generator) -> Tensor:
    """An engine: low harmonics that follow a wandering speed, rough with noise."""
    time = torch.arange(samples) / SAMPLE_RATE
    speed = 62 * 2 ** _uniform(1, generator, low=-0.25, high=0.25)
    wander = 1 + 0.1 * torch.sin(TAU * 0.45 * time + TAU * _uniform(1, generator))
    phase = TAU * torch.cumsum(speed * wander, dim=-1) / SAMPLE_RATE
    firing = sum(torch.sin(n * phase + n * n) / n**0.6 for n in range(1, 13))
    puffs = (0.6 + 0.4 * torch.cos(phase)) * coloured_noise(samples, generator, low=80, high=900)
    return firing / 3 + 0.8 * puffs


def clock(samples: int, generator: torch.Generator) -> Tensor:
    """Tick and tock: two short, high, woody clicks in turn."""
    starts = _starts(samples, generator, every=0.4, jitter=0.0)
    pitch = 2300 * 2 ** _uniform(1, generator, low=-0.2, high=0.2)
    time, turn = _time(0.12), (torch.arange(len(starts)) % 2)[:, None]
    tone = pitch * torch.where(turn == 0, 1.0, 0.76)
    note = torch.sin(TAU * tone * time) + 0.6 * torch.sin(TAU * tone * 1.58 * time)
    return _strike(samples, starts, _soft(note * torch.exp(-time * 60), attack=0.001))


def dog(samples: int, generator: torch.Generator) -> Tensor:
    """Barks in pairs: a rough voice that jumps up and falls through two formants."""
    starts = _starts(samples, generator, every=0.75, jitter=0.12)
    starts = torch.cat([starts, starts + round(0.27 * SAMPLE_RATE)])
    pitch = 330 * 2 ** _uniform(1, generator, low=-0.35, high=0.35)
    time = _time(0.2)
    bend = 0.75 + 0.6 * torch.sin(math.pi * (time / 0.2) ** 0.6)
    phase = TAU * torch.cumsum(pitch * bend, dim=-1) / SAMPLE_RATE
    voice = torch.zeros_like(time)
    for n in range(1, 10):
        height = n * pitch
        formants = 1 / (1 + ((height - 650) / 260) ** 2) + 0.5 / (1 + ((height - 1500) / 350) ** 2)
        voice = voice + formants * torch.sin(n * phase)
    rough = 0.35 * coloured_noise(len(time), generator, low=400, high=2500)
    note = (voice + rough) * torch.sin(math.pi * time / 0.2) ** 0.7 * torch.exp(-time * 6)
    return _strike(samples, starts, _soft(note, attack=0.01).expand(len(starts), -1))


def drum(samples: int, generator: torch.Generator) -> Tensor:
    """A skin whose pitch falls after the stroke, and the stick's short noise."""
    starts = _starts(samples, generator, every=0.42, jitter=0.02)
    pitch = 95 * 2 ** _uniform(1, generator, low=-0.3, high=0.3)
    time = _time(0.5)
    phase = TAU * torch.cumsum(pitch * (1 + 1.1 * torch.exp(-time * 28)), dim=-1) / SAMPLE_RATE
    skin = torch.sin(phase) + 0.45 * torch.sin(1.59 * phase) + 0.25 * torch.sin(2.3 * phase)
    stick = coloured_noise(len(time), generator, low=300, high=2500) * torch.exp(-time * 70)
    note = _soft(skin * torch.exp(-time * 9) + 0.5 * stick, attack=0.002)
    loud = 1 - 0.45 * (torch.arange(len(starts)) % 4 != 0)
    return _strike(samples, starts, note * loud[:, None])


def frog(samples: int, generator: torch.Generator) -> Tensor:
    """Croaks: a train of pulses, each ringing in the throat."""
    starts = _starts(samples, generator, every=0.62, jitter=0.1)
    throat = 820 * 2 ** _uniform(1, generator, low=-0.25, high=0.25)
    rate = 38 * 2 ** _uniform(1, generator, low=-0.2, high=0.2)
    time = _time(0.36)
    since = (time * rate) % 1 / rate  # seconds since the last pulse
    ring = torch.sin(TAU * throat * since) + 0.6 * torch.sin(TAU * 2.1 * throat * since)
    note = ring * torch.exp(-since * 110) * torch.sin(math.pi * time / 0.36) ** 0.5
    return _strike(samples, starts, _soft(note, attack=0.01).expand(len(starts), -1))


def guitar(samples: int, generator: torch.Generator) -> Tensor:
    """Plucked strings, one after another up a chord."""
    starts = _starts(samples, generator, every=0.28, jitter=0.01)
    root = 165 * 2 ** _uniform(1, generator, low=-0.3, high=0.3)
    steps = torch.tensor([0.0, 7.0, 12.0, 16.0, 19.0, 16.0, 12.0, 7.0])
    pitch = root * 2 ** (steps[torch.arange(len(starts)) % 8] / 12)[:, None]
    time, note = _time(1.4), 0.0
    for n in range(1, 13):
        pluck = math.sin(n * math.pi * 0.19) / n
        audible = (n * pitch < HIGHEST).float()
        fade = torch.exp(-time * (1.8 + 0.16 * n * n))
        note = note + pluck * audible * fade * torch.sin(TAU * n * pitch * time)
    return _strike(samples, starts, _soft(note, attack=0.002))


def horn(samples: int, generator: torch.Generator) -> Tensor:
    """A trumpet's fanfare: the louder the brighter."""
    starts = _starts(samples, generator, every=0.45, jitter=0.02)
    root = 392 * 2 ** _uniform(1, generator, low=-0.25, high=0.25)
    steps = torch.tensor([0.0, 0.0, 4.0, 7.0, 4.0, 7.0, 12.0, 7.0])
    pitch = root * 2 ** (steps[torch.arange(len(starts)) % 8] / 12)[:, None]
    time = _time(0.42)
    swell, note = _swell(time, 0.05), 0.0
    shake = 0.12 * torch.sin(TAU * 5.5 * time)
    for n in range(1, 13):
        audible = (n * pitch < HIGHEST).float()
        formant = math.exp(-(((n - 3.5) / 4.5) ** 2))
        note = note + formant * audible * swell ** (1 + n / 4) * torch.sin(
            n * (TAU * pitch * time + shake)
        )
    return _strike(samples, starts, note)


VOICES: dict[str, Callable[[int, torch.Generator], Tensor]] = {
    voice.__name__: voice for voice in (bell, bird, boat, car, clock, dog, drum, frog, guitar, horn)
}


def coloured_noise(
    samples: int, generator: torch.Generator, *, low: float, high: float, tilt: float = 0.0
) -> Tensor:
    """Return (samples,) noise between two frequencies in Hz, of standard deviation 1.

    Above ``low`` its amplitude falls as frequency to the power of ``-tilt``.
    """
    length = max(samples, 1024)
    spectrum = torch.fft.rfft(torch.randn(length, generator=generator))
    frequency = torch.fft.rfftfreq(length, 1 / SAMPLE_RATE)
    band = torch.sigmoid((frequency - low) / (0.1 * low)) * torch.sigmoid(
        (high - frequency) / (0.1 * high)
    )
    noise = torch.fft.irfft(spectrum * band * (frequency / low).clamp(min=1) ** -tilt, n=length)
    return (noise / noise.std())[:samples]


def _uniform(
    count: int, generator: torch.Generator, *, low: float = 0.0, high: float = 1.0
) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


def _time(seconds: float) -> Tensor:
    """Return a note's time axis in seconds."""
    return torch.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _starts(samples: int, generator: torch.Generator, *, every: float, jitter: float) -> Tensor:
    """Return the first sample of each note: the first within a tenth of a second, then regular."""
    first = 0.02 + 0.08 * torch.rand(1, generator=generator)
    beats = first + every * torch.arange(1 + int(samples / SAMPLE_RATE / every))
    beats[1:] += jitter * (2 * torch.rand(len(beats) - 1, generator=generator) - 1)
    return (beats * SAMPLE_RATE).long()


def _strike(samples: int, starts: Tensor, notes: Tensor) -> Tensor:
    """Add the notes (notes, time) into a sound of ``samples``, each at its start."""
    sound = torch.zeros(samples)
    for start, note in zip(starts.tolist(), notes, strict=True):
        room = max(0, min(len(note), samples - start))
        sound[start : start + room] += note[:room]
    return sound


def _harmonics(pitch: Tensor, time: Tensor, *, fall: float, most: int) -> Tensor:
    """Return the first harmonics of a pitch, falling as their number to the power ``-fall``."""
    return sum(torch.sin(TAU * n * pitch * time) / n**fall for n in range(1, most + 1))


def _swell(time: Tensor, attack: float) -> Tensor:
    """Return an envelope that rises and falls as a raised cosine over ``attack`` seconds."""
    left = (time / attack).clamp(max=1)
    right = ((time[-1] - time) / attack).clamp(max=1)
    return torch.sin(math.pi / 2 * left) ** 2 * torch.sin(math.pi / 2 * right) ** 2


def _soft(note: Tensor, *, attack: float) -> Tensor:
    """Raise the start of notes (..., time) over ``attack`` seconds and end them at zero."""
    time = torch.arange(note.shape[-1]) / SAMPLE_RATE
    return note * (time / attack).clamp(max=1) * ((time[-1] - time) / 0.03).clamp(max=1)
