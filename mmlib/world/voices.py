"""Speakers and what they say: source–filter synthesis at 16 kHz, with the exact phone timings.

The glottis makes pulses and breath; the vocal tract between it and the lips is a chain of
resonances, the formants, which glide from the shape of one phone to that of the next; what is
narrow enough in the mouth hisses. G. Fant, *Acoustic Theory of Speech Production*, 1960;
D. H. Klatt, *Software for a cascade/parallel formant synthesizer*, JASA 67(3), 1980. Differs from
Klatt's: the filter is applied frame by frame to spectra, not as difference equations.

A longer tract lowers all formants in the same proportion; the pitch is the glottis's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmlib.runtime import one_torch_thread
from mmlib.shapes import check_whole
from mmlib.world.phones import (
    DURATIONS,
    PHONES,
    REFERENCE_TRACT,
    SILENCE,
    VOWELS,
    Band,
    Part,
    pronounce,
)
from mmlib.world.timbres import SAMPLE_RATE

LOUDNESS, PEAK = 0.1, 0.8  # root mean square of what is said, unless its peaks would pass PEAK
_HOP, _WINDOW, _FFT = 128, 256, 1024  # samples: 8, 16 and 64 ms
_FREQUENCIES = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE)
_DELAY = np.exp(-2j * np.pi * _FREQUENCIES / SAMPLE_RATE).astype(np.complex64)  # of one sample
_HIGHER = (
    3500.0,
    4500.0,
    5500.0,
    6500.0,
    7500.0,
)  # Hz: F4 and above, as of a bare tube
_BANDWIDTHS = (70.0, 90.0, 140.0, 200.0, 250.0, 300.0, 350.0, 400.0)  # hertz, of F1 and so on
# seconds: how sluggish the tract is, the glottis, and the pitch
_GLIDE, _SWITCH, _ACCENT = 0.022, 0.006, 0.05
_LIMITS = {  # what a speaker can be
    "pitch": (60, 400),
    "tract": (11, 20),
    "breathiness": (0, 1),
    "rate": (0.5, 2),
    "age": (18, 90),
}


@dataclass(frozen=True)
class Speaker:
    """What a voice owes to its body and habits.

    Raises:
        ValueError: a property lies outside of what can be synthesised.
    """

    pitch: float  # hertz, the geometric mean of the fundamental frequency
    tract: float  # centimetres from the glottis to the lips
    breathiness: float  # 0 pressed to 1 whispery
    rate: float  # 1 is usual, 2 twice as fast
    age: float  # years: an old voice is less steady

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}, a speaker's lies from {low} to {high}")

    @property
    def low(self) -> bool:
        """Whether the voice is of the lower of the two groups, those that adult men have."""
        return self.pitch < 155


class Phone(NamedTuple):
    """One phone, in ARPAbet without stress, from ``start`` to ``end`` in seconds."""

    name: str
    start: float
    end: float


class Utterance(NamedTuple):
    """What is said, and when: the phones tile the wave from 0 to its end without a gap."""

    wave: Tensor  # (time,) at SAMPLE_RATE, peak at most 0.8
    phones: list[Phone]


def speakers(count: int, generator: torch.Generator) -> list[Speaker]:
    """Draw speakers: each of the low or of the high group, with even chance.

    Within a group, tract and pitch vary, and those with a longer tract tend to have a lower pitch.
    The groups' means are those of Peterson and Barney's men and women; older speakers are slower
    and breathier.

    Raises:
        ValueError: ``count`` is no whole number of 1 or more.
    """
    count = check_whole(count, name="count")
    low = torch.rand(count, generator=generator) < 0.5
    age = 18 + 62 * torch.rand(count, generator=generator)
    body, larynx, breath, haste = torch.randn(4, count, generator=generator).clamp(-2, 2)
    tract = torch.where(low, 16.9 + 0.65 * body, 14.5 + 0.55 * body)
    spread = 0.09 * larynx - 0.05 * body
    pitch = torch.where(low, 115 * spread.exp(), 210 * (0.8 * spread).exp())
    aged = ((age - 50) / 30).clamp(min=0)
    breathiness = (0.3 + 0.13 * breath + 0.2 * aged).clamp(0.02, 0.98)
    rate = 1.05 + 0.09 * haste - 0.15 * aged
    columns = zip(*(x.tolist() for x in (pitch, tract, breathiness, rate, age)), strict=True)
    return [Speaker(*column) for column in columns]


@one_torch_thread()
def speak(words: str | Sequence[str], speaker: Speaker, *, generator: torch.Generator) -> Utterance:
    """Let a speaker say words of the world's captions, in one breath.

    Two calls with another generator differ as two readings by one person do: in durations,
    stress and melody, in the jitter of the pulses and in the noise.

    Args:
        words: a caption, or its words; see ``phones.pronounce``.
        speaker: who speaks.
        generator: the source of randomness, on the CPU.

    Raises:
        ValueError: there is no word, one has no known pronunciation, or the generator is not on
            the CPU.
    """
    words = words.split() if isinstance(words, str) else list(words)
    if not words:
        raise ValueError("words is empty: there is nothing to say")
    if generator.device.type != "cpu":
        raise ValueError(f"the generator is on {generator.device}: speech is made on the CPU")
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    plan = _plan(words, speaker, rng)
    phones = [Phone(p.name, p.start / SAMPLE_RATE, p.end / SAMPLE_RATE) for p in plan]
    wave = _synthesise(plan, speaker, rng)
    gain = min(LOUDNESS / np.sqrt(np.square(wave).mean()), PEAK / np.abs(wave).max())
    return Utterance(torch.from_numpy((gain * wave).astype(np.float32)), phones)


class _Planned(NamedTuple):
    """One phone of the plan, in samples."""

    name: str
    start: int
    end: int
    accent: float  # octaves above the melody


def _plan(words: list[str], speaker: Speaker, rng: np.random.Generator) -> list[_Planned]:
    """Spell the words, and give each phone its time and accent."""
    names, seconds, accents = [SILENCE], [DURATIONS[SILENCE]], [0.0]
    for place, word in enumerate(words):
        spelling = pronounce(word)
        unstressed = 0.75 if any(phone.endswith("1") for phone in spelling) else 0.62
        for position, marked in enumerate(spelling):
            name, stressed = marked.rstrip("1"), marked.endswith("1")
            factor = unstressed if name in VOWELS and not stressed else 1.0
            if place == len(words) - 1 and position >= len(spelling) - 2:
                factor *= 1.3  # the end of a phrase is drawn out
            factor *= np.exp(0.08 * np.clip(rng.normal(), -2, 2)) / speaker.rate
            names.append(name)
            seconds.append(DURATIONS[name] * factor)
            accents.append(rng.uniform(0.08, 0.3) if stressed else 0.0)
    seconds.append(DURATIONS[SILENCE])
    edges = np.round(np.cumsum([0.0, *seconds]) * SAMPLE_RATE).astype(int).tolist()
    return list(map(_Planned, [*names, SILENCE], edges[:-1], edges[1:], [*accents, 0.0]))


def _synthesise(plan: list[_Planned], speaker: Speaker, rng: np.random.Generator) -> np.ndarray:
    """Return the wave (time,): glottis through tract, and what hisses in the mouth."""
    samples = plan[-1].end
    frames = samples // _HOP + 1
    parts, ends = [], []  # of all phones in a row
    for phone in plan:
        shares = np.cumsum([part.share for part in PHONES[phone.name]])
        parts += PHONES[phone.name]
        ends += np.round(phone.start + (phone.end - phone.start) * shares).astype(int).tolist()
    which = np.searchsorted(ends[:-1], np.arange(frames) * _HOP, side="right")  # (frames,)
    levels = np.array([(p.voice, p.breath, p.band.level if p.band else 0.0) for p in parts])
    voice, breath, hiss = (
        _at_samples(column, samples) for column in _smooth(levels[which], _SWITCH).T
    )
    pulses, cycle = _pulses(_melody(plan, speaker, rng), speaker, rng)
    noise = rng.normal(size=(2, samples))
    open_glottis = 0.6 + 0.4 * np.cos(2 * np.pi * cycle)  # breath comes in puffs, too
    leak = 0.25 * speaker.breathiness * voice * open_glottis
    glottis = voice * pulses + (0.3 * breath + leak) * noise[0]
    return _filtered(glottis, _tract(parts, which, speaker)) + _filtered(
        hiss * noise[1], _mouth(parts, which, speaker)
    )


def _melody(plan: list[_Planned], speaker: Speaker, rng: np.random.Generator) -> np.ndarray:
    """Return the fundamental frequency (time,) in hertz; its mean over vowels is the speaker's.

    It falls slowly along the phrase and quickly at its end, and rises on stressed vowels.
    """
    samples = plan[-1].end
    accents, vowel = np.zeros(samples // _HOP + 1), np.zeros(samples, bool)
    for phone in plan:
        accents[phone.start // _HOP : phone.end // _HOP] = phone.accent
        vowel[phone.start : phone.end] = phone.name in VOWELS
    time = np.linspace(0, 1, samples)
    slope = rng.uniform(0.12, 0.24)
    octaves = _at_samples(_smooth(accents[:, None], _ACCENT)[:, 0], samples) - slope * time
    octaves -= 0.2 * ((time - 0.85) / 0.15).clip(min=0)
    return speaker.pitch * 2 ** (octaves - octaves[vowel].mean())


def _pulses(
    pitch: np.ndarray, speaker: Speaker, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivative of the glottal flow (time,), and where in its cycle each sample lies.

    The flow is Rosenberg's pulse: it rises as a raised cosine and falls faster. Its difference from
    sample to sample is the derivative's mean over the sample, so that little folds back.
    """
    unsteady = 0.006 + 0.006 * max(0.0, (speaker.age - 50) / 40)
    index = (np.cumsum(pitch) / SAMPLE_RATE).astype(int)  # which pulse
    jitter, shimmer = rng.normal(size=(2, index[-1] + 1)).clip(-2.5, 2.5)
    cycle = np.cumsum(pitch * (1 + unsteady * jitter[index])) / SAMPLE_RATE % 1
    rise = 0.38 + 0.12 * speaker.breathiness  # shares of the cycle
    fall = 0.14 + 0.1 * speaker.breathiness
    flow = np.where(
        cycle < rise,
        0.5 - 0.5 * np.cos(np.pi * cycle / rise),
        np.cos(0.5 * np.pi * ((cycle - rise) / fall).clip(max=1)),
    )
    change = np.diff(flow, prepend=flow[0]) * (1 + 4 * unsteady * shimmer[index])
    return change / np.sqrt(np.square(change).mean()), cycle


def _tract(parts: list[Part], which: np.ndarray, speaker: Speaker) -> np.ndarray:
    """Return the response of the vocal tract (frames, frequencies), complex; 1 at 0 Hz."""
    scale = REFERENCE_TRACT / speaker.tract
    targets = _filled(np.array([part.formants for part in parts]))
    formants = np.exp(_smooth(np.log(targets)[which], _GLIDE)) * scale  # (frames, 3)
    widths = np.array(_BANDWIDTHS) * (1 + 0.5 * speaker.breathiness)
    response = np.ones((1, len(_FREQUENCIES)), np.complex64)
    for formant, width in zip(_HIGHER, widths[3:], strict=True):
        if formant * scale < 0.42 * SAMPLE_RATE:  # nearer to half of it, a pole meets its image
            response = response * _resonance(np.array([[formant * scale]]), width)
    for column in range(3):
        response = response * _resonance(formants[:, column : column + 1], widths[column])
    nasal = np.array([part.nasal for part in parts])[which]
    closed = np.isfinite(nasal)
    if closed.any():  # the mouth is a side branch that swallows one frequency
        zero = _resonance(nasal[closed, None] * scale, 300.0)
        response[closed] *= _resonance(np.array([[1.2 * 1000 * scale]]), 500.0) / zero
    tilt = 1 / (1 + 1j * _FREQUENCIES / (2500 - 1500 * speaker.breathiness))
    return response * tilt.astype(np.complex64)


def _resonance(formant: np.ndarray, width: float) -> np.ndarray:
    """Return a digital resonator's response, Klatt's equation (2): two poles, 1 at 0 Hz."""
    radius = np.exp(-np.pi * width / SAMPLE_RATE)
    first = 2 * radius * np.cos(2 * np.pi * formant / SAMPLE_RATE)  # (frames, 1)
    first = first.astype(np.float32)
    return (1 - first + radius**2) / (1 - first * _DELAY + radius**2 * _DELAY**2)


def _mouth(parts: list[Part], which: np.ndarray, speaker: Speaker) -> np.ndarray:
    """Return the shape of the noise made in the mouth (frames, frequencies), of power one."""
    scale = REFERENCE_TRACT / speaker.tract
    bands = [part.band or Band(3000, 1.0, 0.0) for part in parts]
    octaves = np.log2(np.maximum(_FREQUENCIES, 50))
    centres = np.log2([min(band.centre * scale, 7200) for band in bands])[:, None]
    shapes = np.exp(-0.5 * np.square((octaves - centres) / [[band.width] for band in bands]))
    shapes /= np.sqrt(np.square(shapes).mean(axis=1, keepdims=True))
    return shapes.astype(np.float32)[which]


def _filled(targets: np.ndarray) -> np.ndarray:
    """Fill what a part leaves open, NaN, with the next part's target, else the one before.

    Silence before and after speech, and a phrase without any target, aim at the neutral tube.
    """
    filled = targets.copy()
    for row in range(len(filled) - 2, -1, -1):
        filled[row] = np.where(np.isnan(filled[row]), filled[row + 1], filled[row])
    for row in range(1, len(filled)):
        filled[row] = np.where(np.isnan(filled[row]), filled[row - 1], filled[row])
    return filled


def _smooth(steps: np.ndarray, seconds: float) -> np.ndarray:
    """Round off steps (frames, columns) by a Gaussian of this standard deviation."""
    deviation = seconds * SAMPLE_RATE / _HOP
    reach = max(1, round(3 * deviation))
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / deviation))
    padded = np.pad(steps, ((reach, reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    return windows @ (kernel / kernel.sum())


def _at_samples(values: np.ndarray, samples: int) -> np.ndarray:
    """Interpolate from frames to samples."""
    return np.interp(np.arange(samples) / _HOP, np.arange(len(values)), values)


def _filtered(source: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Filter (time,) by a response for each frame (frames, frequencies): overlap and add."""
    frames = len(response)
    padded = np.zeros((frames + _FFT // _HOP + 4) * _HOP)
    padded[_WINDOW // 2 : _WINDOW // 2 + len(source)] = source
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:frames]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
    windows = (windows * hann * (2 * _HOP / _WINDOW)).astype(np.float32)
    spectra = np.fft.rfft(windows, _FFT)
    pieces = np.fft.irfft(spectra * response, _FFT).reshape(frames, -1, _HOP)
    out = np.zeros((frames + _FFT // _HOP, _HOP))
    for shift in range(_FFT // _HOP):
        out[shift : shift + frames] += pieces[:, shift]
    return out.reshape(-1)[_WINDOW // 2 : _WINDOW // 2 + len(source)]
