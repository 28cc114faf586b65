"""Homework on speech to face: the input, two terms of the loss, pitch, and what chance can do."""

import numpy as np

from mmlib.homework.exercise import exercise


def _spectra(rng):
    shapes = ((1, 1), (4, 3), (9, 2), (5, 7))
    return [{"spectrum": rng.normal(size=s) * 9 + 1j * rng.normal(size=s)} for s in shapes]


@exercise(
    points=2,
    title="The power-law compression of a spectrum",
    inputs=_spectra,
    hints={
        "The sign is lost: compress the size, then give the sign back.": {"sign": np.ones_like},
        "This compresses the magnitude: compress real and imaginary part each by itself.": (
            lambda spectrum: np.stack(
                [
                    spectrum.real / np.abs(spectrum) ** 0.7,
                    spectrum.imag / np.abs(spectrum) ** 0.7,
                ]
            )
        ),
        "The power is 0.3, not the square root.": {"power": 0.5},
        "Real part first, imaginary part second.": {"order": -1},
    },
)
def compressed(spectrum, *, sign=np.sign, power=0.3, order=1):
    """Return sgn(x) |x|^0.3 of the real and the imaginary part, (2, freqs, frames)."""
    parts = np.stack([spectrum.real, spectrum.imag][::order])
    return sign(parts) * np.abs(parts) ** power


def _features(rng):
    return [
        {"v_f": rng.normal(size=(n, d)) + 0.3, "v_s": 3 * rng.normal(size=(n, d))}
        for n, d in ((1, 2), (3, 5), (6, 4), (2, 9))
    ]


@exercise(
    points=2,
    title="Only the direction of a feature counts",
    inputs=_features,
    hints={
        "The features were not brought to length one.": {"unit": lambda v: v},
        "The lengths were taken over the whole batch: each row has its own.": {
            "unit": lambda v: v / np.linalg.norm(v)
        },
        "This is the distance: the term is its square.": {"power": 0.5},
        "Averaged over the numbers of a feature: add them, and average over the clips.": {
            "add": np.mean
        },
    },
)
def direction_term(
    v_f, v_s, *, unit=lambda v: v / np.linalg.norm(v, axis=1, keepdims=True), power=1, add=np.sum
):
    """Return the mean over clips of the squared distance between the two unit vectors."""
    squares = (unit(v_f) - unit(v_s)) ** 2
    return float(np.mean(add(squares, axis=1) ** power))


def _softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@exercise(
    points=3,
    title="Distillation at a temperature",
    inputs=lambda rng: [
        {"a": 4 * rng.normal(size=(n, k)), "b": 4 * rng.normal(size=(n, k)), "temperature": t}
        for n, k, t in ((1, 2, 2.0), (3, 5, 2.0), (4, 7, 5.0), (2, 500, 0.5))
    ],
    hints={
        "The temperature is missing.": {"soft": lambda x, t: _softmax(x)},
        "Multiplied by the temperature: divide.": {"soft": lambda x, t: _softmax(x * t)},
        "a gives the targets and b is to follow them, not the other way round.": {"swap": True},
        "This is the divergence: the term is the cross-entropy, without the entropy of a.": {
            "less": 1
        },
        "The sign is wrong: a loss is to become small.": {"sign": 1},
    },
)
def distilled(a, b, temperature, *, soft=lambda x, t: _softmax(x / t), swap=False, less=0, sign=-1):
    """Return -Σ_i p_i(a) log p_i(b), the mean over the rows of a and b (clips, identities)."""
    p, q = soft(a, temperature), soft(b, temperature)
    if swap:
        p, q = q, p
    rows = sign * (p * np.log(q)).sum(axis=1) + less * (p * np.log(p)).sum(axis=1)
    return float(rows.mean())


def _voiced(rng):
    """Frames of two to six periods; the second harmonic is strong, as in many a vowel."""
    cases = []
    for rate, seconds in ((8000, 0.025), (16000, 0.03), (8000, 0.04)) * 4:
        pitch, time = rng.uniform(85, 150), np.arange(int(rate * seconds)) / rate
        weights = rng.uniform(0.2, 0.5, size=6) * [1, 3, 1, 1, 1, 1]
        frame = sum(w * np.cos(2 * np.pi * k * pitch * time) for k, w in enumerate(weights, 1))
        window = np.hanning(len(frame))
        cases.append({"frame": frame * window, "rate": rate, "low": 70, "high": 400})
    return cases


def _circular(frame):
    return np.fft.irfft(np.abs(np.fft.rfft(frame)) ** 2, len(frame))


def _linear(frame):
    return np.fft.irfft(np.abs(np.fft.rfft(frame, 2 * len(frame))) ** 2)[: len(frame)]


@exercise(
    points=3,
    title="The pitch of a frame by its autocorrelation",
    inputs=_voiced,
    hints={
        "Lag 0 always wins: search from rate / high to rate / low only.": {"first": 0},
        "This is the lag: the pitch is the rate divided by it.": {"invert": False},
        "The end of the frame met its beginning: pad it with zeros to twice its length.": {
            "correlate": _circular
        },
        "A frame that fades correlates less at long lags: divide by its window's.": {"even": 0},
    },
)
def frame_pitch(frame, rate, low, high, *, first=1, invert=True, correlate=_linear, even=1):
    """Return the pitch in hertz of a frame that was multiplied by ``np.hanning``.

    Its autocorrelation is divided by the window's, and is highest at the lag of the pitch, which is
    sought from rate // high to rate // low, both among them.
    """
    start = first * (rate // high)
    lags = np.arange(start, rate // low + 1)
    window = _linear(np.hanning(len(frame))) if even else np.ones(len(frame))
    best = lags[np.argmax(correlate(frame)[lags] / window[lags])]
    return float(rate / best if invert and best else best)
