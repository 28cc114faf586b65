"""What students plausibly write instead of the right formula, and the sentence that helps."""

import numpy as np

from mmlib.homework.comparing import Mistake

FRAME_COUNT = (
    Mistake(
        lambda samples, window, hop: 1 + (samples - window) // hop,
        "Right unless the signal is shorter than the window: then no window fits, "
        "so the count is 0, never negative.",
    ),
    Mistake(
        lambda samples, window, hop: (samples - window) // hop,
        "One too few: (samples - window) // hop counts the hops, "
        "and the first window needs no hop.",
    ),
    Mistake(
        lambda samples, window, hop: samples // hop,
        "This counts how often the hop fits into the signal. Near the end a hop still fits where "
        "a whole window no longer does: take the window's length off first.",
    ),
    Mistake(
        lambda samples, window, hop: 1 + samples // hop,
        "This is the count for a signal padded by half a window at both ends, as librosa does by "
        "default. Here nothing is padded: every window must lie inside the signal.",
    ),
    Mistake(
        lambda samples, window, hop: samples // window,
        "This cuts the signal into pieces side by side. Windows overlap: the next one starts "
        "hop samples later, not window samples later.",
    ),
    Mistake(
        lambda samples, window, hop: 1 - (window - samples) // hop,
        "An incomplete window at the end is counted too: round down, not up.",
    ),
    Mistake(
        lambda samples, window, hop: 1 + (samples - window) / hop,
        "The count has a fraction: a window that fits by half does not count, so divide with //.",
    ),
)

HAMMING = (
    Mistake(
        lambda length: np.hamming(length),
        "This is the symmetric window, whose last value equals its first: it divides by N - 1. "
        "The periodic one divides by N, since value N would be value 0 of the next period.",
    ),
    Mistake(
        lambda length: _raised_cosine(length, 0.5, 0.5),
        "This is the Hann window, 0.5 - 0.5 cos: it falls to 0 at the edge. "
        "Hamming's weights are 0.54 and 0.46.",
    ),
    Mistake(
        lambda length: _raised_cosine(length, 0.54, -0.46),
        "The sign of the cosine is wrong: the window must be small at its edges and "
        "large in its middle; yours is upside down.",
    ),
    Mistake(
        lambda length: _raised_cosine(length, 0.46, 0.54),
        "The two weights are swapped: 0.54 is the constant, 0.46 multiplies the cosine. "
        "A window is never negative.",
    ),
    Mistake(
        lambda length: 0.54 - 0.46 * np.cos(np.pi * np.arange(length) / length),
        "The window only rises: over the N samples the cosine must turn once in full, "
        "2 pi n / N, not half.",
    ),
    Mistake(
        lambda length: 0.54 - 0.46 * np.cos(np.arange(length) / length),
        "The factor 2 pi is missing: np.cos takes radians, and one full turn is 2 pi.",
    ),
    Mistake(
        lambda length: np.roll(_raised_cosine(length, 0.54, 0.46), -1),
        "Shifted by one sample: n counts from 0 to N - 1, and the value at n = 0 is 0.08.",
    ),
)


def _raised_cosine(length: int, constant: float, weight: float) -> np.ndarray:
    return constant - weight * np.cos(2 * np.pi * np.arange(length) / length)


DFT_POWER = (
    Mistake(
        lambda frame: np.abs(np.fft.rfft(frame)),
        "This is the magnitude |X[k]|: power is its square.",
    ),
    Mistake(
        lambda frame: np.abs(np.fft.fft(frame)) ** 2,
        "All N frequencies are there. For a real signal the upper half mirrors the lower: "
        "keep k = 0 to N // 2, both included.",
    ),
    Mistake(
        lambda frame: np.abs(np.fft.rfft(frame)[:-1]) ** 2,
        "The last frequency is missing: k runs from 0 to N // 2 with N // 2 included, "
        "which makes N // 2 + 1 values.",
    ),
    Mistake(
        lambda frame: np.abs(np.fft.rfft(frame)) ** 2 / len(frame),
        "Divided by N: the definition here has no factor in front of the sum.",
    ),
    Mistake(
        lambda frame: np.abs(np.fft.rfft(frame) / len(frame)) ** 2,
        "Divided by N squared: X[k] is a sum over the frame, not a mean.",
    ),
    Mistake(
        lambda frame: np.fft.rfft(frame).real ** 2,
        "Only the cosines are counted, the real part of X[k]. Power adds the squares of "
        "real and imaginary part.",
    ),
    Mistake(
        lambda frame: np.fft.rfft(frame).imag ** 2,
        "Only the sines are counted, the imaginary part of X[k]. Power adds the squares of "
        "imaginary and real part.",
    ),
    Mistake(
        lambda frame: np.fft.rfft(frame) ** 2,
        "The complex number itself was squared, which turns it. Power is the square of its "
        "length: np.abs(X) ** 2.",
    ),
    Mistake(
        lambda frame: np.fft.rfft(frame),
        "These are the X[k] themselves, still complex: return their squared lengths.",
    ),
)


def _spectra(frames: np.ndarray) -> np.ndarray:
    return np.abs(np.fft.rfft(frames)).T ** 2


def _frames(signal: np.ndarray, length: int, hop: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(signal, length)[::hop]


def _padded(mode: str):
    def formula(signal, window, hop):
        signal = np.pad(signal, len(window) // 2, mode=mode)
        return _spectra(_frames(signal, len(window), hop) * window)

    return formula


_PADDED = (
    "There are too many frames: the signal was padded at both ends (center=True in torch.stft and "
    "librosa). Here only windows that lie whole inside the signal count."
)

POWER_SPECTROGRAM = (
    Mistake(
        lambda signal, window, hop: _spectra(_frames(signal, len(window), hop)),
        "The window was not applied: multiply each frame by the weights before its transform.",
    ),
    Mistake(
        lambda signal, window, hop: _spectra(_frames(signal, len(window), hop) * window**2),
        "The window was applied twice.",
    ),
    Mistake(
        lambda signal, window, hop: np.sqrt(_spectra(_frames(signal, len(window), hop) * window)),
        "These are magnitudes: a power spectrogram holds their squares.",
    ),
    Mistake(
        lambda signal, window, hop: np.fft.rfft(_frames(signal, len(window), hop) * window).T,
        "This is the short-time Fourier transform, still complex: take |X| squared.",
    ),
    Mistake(
        lambda signal, window, hop: _spectra(_frames(signal, len(window), len(window)) * window),
        "The frames stand side by side: frame m starts at sample m * hop, so that they overlap.",
    ),
    Mistake(
        lambda signal, window, hop: _spectra(
            _frames(
                signal[: (len(signal) - len(window) - 1) // hop * hop + len(window)],
                len(window),
                hop,
            )
            * window
        ),
        "The last frame is missing where it ends exactly with the signal: the start "
        "samples - window is still allowed, so range needs + 1.",
    ),
    Mistake(
        lambda signal, window, hop: (
            np.abs(np.fft.fft(_frames(signal, len(window), hop) * window).T) ** 2
        ),
        "The upper half of the frequencies mirrors the lower: use rfft, which keeps "
        "window // 2 + 1 of them.",
    ),
    Mistake(_padded("reflect"), _PADDED),
    Mistake(_padded("constant"), _PADDED),
)


def _hz(mel: np.ndarray) -> np.ndarray:
    return 700 * (10 ** (mel / 2595) - 1)


def _mel(hertz: np.ndarray) -> np.ndarray:
    return 2595 * np.log10(1 + hertz / 700)


def _edges(rate: float, n_mels: int) -> np.ndarray:
    """Return the corners of the triangles in hertz, (n_mels + 2,)."""
    return _hz(np.linspace(0, _mel(rate / 2), n_mels + 2))


def _triangles(edges: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the unclipped triangles with corners ``edges`` at ``points``, (mels, points)."""
    left, peak, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.minimum((points - left) / (peak - left), (right - points) / (right - peak))


def _freqs(rate: float, n_fft: int) -> np.ndarray:
    return np.arange(n_fft // 2 + 1) * rate / n_fft


def _right_mel(rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    return _triangles(_edges(rate, n_mels), _freqs(rate, n_fft)).clip(0)


def _linear_mel(rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    return _triangles(np.linspace(0, rate / 2, n_mels + 2), _freqs(rate, n_fft)).clip(0)


def _unit_area_mel(rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    edges = _edges(rate, n_mels)
    return _right_mel(rate, n_fft, n_mels) * (2 / (edges[2:] - edges[:-2]))[:, None]


def _unit_sum_mel(rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    filters = _right_mel(rate, n_fft, n_mels)
    return filters / filters.sum(axis=1, keepdims=True)


def _straight_in_mel(rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    return _triangles(_mel(_edges(rate, n_mels)), _mel(_freqs(rate, n_fft))).clip(0)


def _rounded_to_bins(rate: int, n_fft: int, n_mels: int, *, extra: int = 0) -> np.ndarray:
    bins = np.floor((n_fft + extra) * _edges(rate, n_mels) / rate)
    return np.nan_to_num(_triangles(bins, np.arange(n_fft // 2 + 1)), nan=1.0).clip(0)


def _up_to_the_rate(rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    return _triangles(_edges(2 * rate, n_mels), _freqs(rate, n_fft)).clip(0)


_ROUNDED = (
    "The corners were rounded to whole frequency bins. Keep them in hertz and evaluate each "
    "triangle at the bins' own frequencies k * rate / n_fft."
)

MEL_FILTERS = (
    Mistake(
        _linear_mel,
        "The corners are evenly spaced in hertz. Space them evenly in mel, "
        "then turn them into hertz: low filters come out narrow, high ones wide.",
    ),
    Mistake(
        _unit_area_mel,
        "Each triangle was scaled to equal area (norm='slaney'). Here every peak has height 1.",
    ),
    Mistake(
        _unit_sum_mel,
        "Each filter was divided by its sum. Here every peak has height 1.",
    ),
    Mistake(
        _straight_in_mel,
        "The sides are straight on the mel axis. Only the corners come from the mel scale: "
        "the sides are straight lines over hertz.",
    ),
    Mistake(
        lambda rate, n_fft, n_mels: _triangles(_edges(rate, n_mels), _freqs(rate, n_fft)),
        "There are negative weights: outside its triangle a filter is 0, so clip at 0.",
    ),
    Mistake(
        _up_to_the_rate,
        "The filters reach up to the sampling rate. The highest frequency in sampled sound is "
        "half of it, rate / 2.",
    ),
    Mistake(_rounded_to_bins, _ROUNDED),
    Mistake(lambda **inputs: _rounded_to_bins(**inputs, extra=1), _ROUNDED),
)
