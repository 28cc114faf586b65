"""Homework on sound and its spectrogram: from counting frames to the pitch of a tone.

The references are numpy's, written apart from ``mmlib.vision_audio.spectrogram``; the tests hold
them equal to scipy and librosa. The mistakes that the hints explain stand in
``_spectrogram_mistakes``.
"""

from functools import partial

import numpy as np

from mmlib.homework.chapters import _spectrogram_mistakes as mistakes
from mmlib.homework.comparing import compare
from mmlib.homework.exercises import Case, Exercise
from mmlib.homework.pitch import judge_pitch


def _frame_count(samples: int, window: int, hop: int) -> int:
    """Return how many windows lie whole inside the signal."""
    return 0 if samples < window else 1 + (samples - window) // hop


def _hamming(length: int) -> np.ndarray:
    """Return the periodic Hamming window, (length,)."""
    return 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(length) / length)


def _dft_power(frame: np.ndarray) -> np.ndarray:
    """Return |X[k]|² for k = 0 … N // 2, (freqs,)."""
    return np.abs(np.fft.rfft(frame)) ** 2


def _power_spectrogram(signal: np.ndarray, window: np.ndarray, hop: int) -> np.ndarray:
    """Return the power of each windowed frame, (freqs, frames)."""
    frames = np.lib.stride_tricks.sliding_window_view(signal, len(window))[::hop]
    return np.abs(np.fft.rfft(frames * window)).T ** 2


def _mel_filters(rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Return triangles of height 1, evenly spaced in HTK mel from 0 to rate / 2, (mels, freqs)."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, n_mels + 2) / 2595) - 1)
    left, peak, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]  # each (mels, 1)
    freqs = np.arange(n_fft // 2 + 1) * rate / n_fft
    return np.clip(
        np.minimum((freqs - left) / (peak - left), (right - freqs) / (right - peak)), 0, 1
    )


def _frame_count_cases(rng: np.random.Generator) -> list[Case]:
    """Any lengths, and on purpose: an exact fit, a rest, a signal shorter than the window."""
    triples = [(window, window, 3) for window in (5, 8)]
    for window, hop in zip(rng.integers(20, 400, 6), rng.integers(3, 19, 6), strict=True):
        count = rng.integers(2, 50)
        triples += [
            (window + count * hop, window, hop),
            (window + count * hop + hop - 1, window, hop),
        ]
        triples += [(window // 2 - 1, window, max(1, hop // 2)), (window - 1, window, hop)]
    return [
        Case({"samples": int(s), "window": int(w), "hop": int(h)}, int(_frame_count(s, w, h)))
        for s, w, h in triples
    ]


def _hamming_cases(rng: np.random.Generator) -> list[Case]:
    lengths = [4, 5, 400, *map(int, rng.integers(6, 600, 5))]
    return [Case({"length": length}, _hamming(length)) for length in lengths]


def _dft_power_cases(rng: np.random.Generator) -> list[Case]:
    lengths = [8, 9, *map(int, rng.integers(10, 64, 4))]
    frames = [rng.normal(size=length) for length in lengths]
    return [Case({"frame": frame}, _dft_power(frame)) for frame in frames]


def _power_spectrogram_cases(rng: np.random.Generator) -> list[Case]:
    cases = []
    for window, hop, count, rest in ((64, 16, 9, 0), (50, 20, 7, 11), (33, 33, 4, 5)):
        signal = rng.normal(size=window + hop * (count + int(rng.integers(5))) + rest)
        weights = _hamming(window)
        truth = _power_spectrogram(signal, weights, hop)
        cases.append(Case({"signal": signal, "window": weights, "hop": hop}, truth))
    return cases


def _mel_filters_cases(rng: np.random.Generator) -> list[Case]:
    settings = [(16000, 400, 12), (8000, 256, 10), (22050, 1024, int(rng.integers(18, 30)))]
    return [
        Case({"rate": rate, "n_fft": n_fft, "n_mels": mels}, _mel_filters(rate, n_fft, mels))
        for rate, n_fft, mels in settings
    ]


def _detect_pitch_cases(rng: np.random.Generator) -> list[Case]:
    """A quarter of a second of eight harmonics in noise; in every second the first is faint."""
    cases = []
    for number in range(40):
        rate = (8000, 11025, 16000)[number % 3]
        pitch = float(np.exp(rng.uniform(np.log(80), np.log(400))))
        harmonics = np.arange(1, 9)
        levels = rng.uniform(0.4, 1, 8)
        levels[0] *= 0.1 if number % 2 else 1
        angles = 2 * np.pi * pitch * np.outer(np.arange(rate // 4) / rate, harmonics)
        tone = np.sin(angles + rng.uniform(0, 2 * np.pi, 8)) @ levels  # (samples,)
        noise = rng.normal(size=tone.shape) * 0.2 * np.sqrt(np.mean(tone**2))
        cases.append(Case({"signal": tone + noise, "rate": rate}, pitch))
    return cases


EXERCISES = (
    Exercise(
        "frame_count",
        "How many windows fit",
        1,
        _frame_count_cases,
        partial(compare, mistakes=mistakes.FRAME_COUNT),
    ),
    Exercise(
        "hamming",
        "A window from its formula",
        1,
        _hamming_cases,
        partial(compare, mistakes=mistakes.HAMMING),
    ),
    Exercise(
        "dft_power",
        "The power of each frequency",
        2,
        _dft_power_cases,
        partial(compare, mistakes=mistakes.DFT_POWER),
    ),
    Exercise(
        "power_spectrogram",
        "A spectrogram from its parts",
        3,
        _power_spectrogram_cases,
        partial(compare, mistakes=mistakes.POWER_SPECTROGRAM),
    ),
    Exercise(
        "mel_filters",
        "A bank of mel filters",
        4,
        _mel_filters_cases,
        partial(compare, mistakes=mistakes.MEL_FILTERS),
    ),
    Exercise("detect_pitch", "The pitch of a tone", 5, _detect_pitch_cases, judge_pitch),
)
