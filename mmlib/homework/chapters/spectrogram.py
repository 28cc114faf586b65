"""Homework on sound and its spectrogram: from the power of a frame to the pitch of a tone."""

import numpy as np

from mmlib.homework.exercise import exercise, scored


@exercise(
    points=2,
    title="The power of each frequency",
    inputs=lambda rng: [{"frame": rng.normal(size=n)} for n in (8, 9, *rng.integers(10, 64, 4))],
    hints={
        "This is the magnitude |X[k]|: power is its square.": {"power": np.abs},
        "Only the cosines are counted, the real part.": {"power": lambda x: x.real**2},
        "The complex number itself was squared: square np.abs(X).": {"power": lambda x: x**2},
        "The upper half mirrors the lower: keep k = 0 to N // 2.": {"transform": np.fft.fft},
    },
)
def dft_power(frame, *, transform=np.fft.rfft, power=lambda x: np.abs(x) ** 2):
    """Return |X[k]|² for k = 0 … N // 2."""
    return power(transform(frame))


def _signals(rng):
    """Signals that end with the last frame, and signals with a rest."""
    cases = []
    for size, hop, rest in ((64, 16, 0), (50, 20, 11), (33, 33, 5)):
        signal = rng.normal(size=size + hop * int(rng.integers(4, 9)) + rest)
        cases.append({"signal": signal, "window": np.hamming(size + 1)[:-1], "hop": hop})
    return cases


@exercise(
    points=3,
    title="A spectrogram from its parts",
    inputs=_signals,
    hints={
        "The window was not applied: multiply each frame by it before the transform.": {"times": 0},
        "The window was applied twice.": {"times": 2},
        "These are magnitudes: a power spectrogram holds their squares.": {"power": np.abs},
        "Frame m starts at sample m * hop.": {"step": lambda window, hop: len(window)},
        "The last frame is missing where it ends with the signal: range needs + 1.": {"last": 0},
        "The upper half of the frequencies mirrors the lower: use rfft.": {"transform": np.fft.fft},
        "The signal was padded with zeros: it must not be padded.": {
            "pad": lambda signal, window: np.pad(signal, len(window) // 2)
        },
    },
)
def power_spectrogram(
    signal, window, hop, *, times=1, power=lambda x: np.abs(x) ** 2, transform=np.fft.rfft,
    step=lambda window, hop: hop, last=1, pad=lambda signal, window: signal,
):  # fmt: skip
    """Return the power of each windowed frame, (freqs, frames)."""
    signal = pad(signal, window)
    starts = range(0, len(signal) - len(window) + last, step(window, hop))
    frames = np.stack([signal[m : m + len(window)] for m in starts])  # (frames, N)
    return power(transform(frames * window**times)).T


def _mel(hertz):
    return 2595 * np.log10(1 + hertz / 700)


def _hertz(mel):
    return 700 * (10 ** (mel / 2595) - 1)


@exercise(
    points=4,
    title="A bank of mel filters",
    inputs=lambda rng: [
        {"rate": rate, "n_fft": n_fft, "n_mels": int(mels + rng.integers(6))}
        for rate, n_fft, mels in ((16000, 400, 10), (8000, 256, 8), (22050, 1024, 18))
    ],
    hints={
        "The corners are evenly spaced in mel, not in hertz.": {
            "corners_at": lambda top, count: np.linspace(0, top, count)
        },
        "The highest frequency is half the sampling rate.": {"top": 1.0},
        "There are negative weights: outside its triangle a filter is 0.": {"least": -np.inf},
        "Each triangle was scaled to equal area (norm='slaney'): here each peak has height 1.": {
            "scale": lambda filters, left, right: filters * 2 / (right - left)
        },
        "The sides are straight over mel: only the corners come from mel, the sides are straight "
        "over hertz.": {"axis": _mel},
    },
)
def mel_filters(
    rate, n_fft, n_mels, *, top=0.5, least=0.0, axis=lambda hertz: hertz,
    corners_at=lambda top, count: _hertz(np.linspace(0, _mel(top), count)),
    scale=lambda filters, left, right: filters,
):  # fmt: skip
    """Return triangles of height 1, evenly spaced in HTK mel up to rate / 2, (mels, freqs)."""
    corners = axis(corners_at(top * rate, n_mels + 2))[:, None]
    left, peak, right = corners[:-2], corners[1:-1], corners[2:]  # each (mels, 1)
    freqs = axis(np.arange(n_fft // 2 + 1) * rate / n_fft)
    sides = np.minimum((freqs - left) / (peak - left), (right - freqs) / (right - peak))
    return scale(np.maximum(sides, least), left, right)


def _tones(rng):
    """A quarter of a second of eight harmonics in noise; in every second the first is faint."""
    cases = []
    for number in range(40):
        rate, pitch = (8000, 11025, 16000)[number % 3], float(np.exp(rng.uniform(4.4, 6)))
        levels = rng.uniform(0.4, 1, 8) * np.r_[0.1 if number % 2 else 1, np.ones(7)]
        angles = 2 * np.pi * pitch * np.outer(np.arange(rate // 4) / rate, np.arange(1, 9))
        tone = np.sin(angles + rng.uniform(0, 2 * np.pi, 8)) @ levels  # (samples,)
        noise = rng.normal(size=tone.shape) * 0.2 * np.std(tone)
        cases.append({"signal": tone + noise, "rate": rate, "truth": pitch})
    return cases


def _strongest(signal, rate):
    return np.abs(np.fft.rfft(signal))[1:].argmax() * rate / len(signal) + rate / len(signal)


@exercise(
    points=5,
    title="The pitch of a tone",
    inputs=_tones,
    judge=scored(
        at_least=0.9,
        measure=lambda case, answer: abs(answer / case["truth"] - 1) < 0.005,
        baselines={
            "The strongest peak of a spectrum is often a harmonic, not the fundamental: look for "
            "the spacing of the peaks.": _strongest,
            "These are periods in seconds: return 1 / period.": {
                "unit": lambda lag, rate: lag / rate
            },
            "Lags are whole samples, too coarse for high pitches: fit a parabola through the peak "
            "and its two neighbours.": {"refine": 0},
            "Two periods fit the signal as well as one does: take the shortest lag that fits "
            "nearly as well.": {"near": 1.0},
        },
        advice="Noise moves single samples and single zero crossings: use the whole signal, as "
        "autocorrelation does.",
    ),
)
def detect_pitch(signal, rate, *, near=0.8, refine=1, unit=lambda lag, rate: rate / lag):
    """Return the pitch in hertz, by the first high peak of the autocorrelation."""
    samples = len(signal)
    power = np.abs(np.fft.rfft(signal, 2 * samples)) ** 2
    alike = np.fft.irfft(power)[:samples] / (samples - np.arange(samples))
    lags = np.arange(rate // 420, rate // 75)
    peaks = lags[(alike[lags] > alike[lags - 1]) & (alike[lags] > alike[lags + 1])]
    lag = peaks[alike[peaks] >= near * alike[peaks].max()][0]
    before, here, after = alike[lag - 1 : lag + 2]
    return unit(lag + refine * (before - after) / (before - 2 * here + after) / 2, rate)
