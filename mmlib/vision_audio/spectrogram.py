"""Sound and its spectrum: waveform, spectrogram, mel and MFCC, and the way back.

Pages: notebooks/vision_audio/01_spectrogram.ipynb; 01_spectrogram_inversion.ipynb: the way back.

Shapes: a signal is (..., time); a spectrogram is (..., freqs, frames); any leading axes are a
batch. Units: samples are amplitudes without unit, frequencies are in hertz, powers are squared
magnitudes of the windowed discrete Fourier transform (no 1/N), levels are in decibels.

Sources: Allen & Rabiner (1977) for the short-time Fourier transform; Stevens, Volkmann & Newman
(1937) for mel; Davis & Mermelstein (1980) for MFCC; Griffin & Lim (1984) and Perraudin, Balazs &
Søndergaard (2013) for the inversion. ``mmlib.fast.spectra`` computes the same sooner.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mmlib.shapes import check_finite, check_floating, check_shape, check_whole

FLOOR = 1e-10  # the smallest power that a level is given for: -100 dB
SPAN = 80.0  # how far below the loudest of a spectrogram a level may fall, in decibels
WINDOWS = {  # a: w[n] = sum of a[j] cos(2 pi j n / L)
    "rectangular": (1.0,),
    "hann": (0.5, -0.5),
    "hamming": (0.54, -0.46),
    "blackman": (0.42, -0.5, 0.08),
}


@dataclass(frozen=True, kw_only=True)
class Framing:
    """How a signal is cut into overlapping frames, each of which gets one Fourier transform."""

    sample_rate: int = 16_000  # R: samples in a second
    window_length: int = 400  # L: samples under the window, 25 ms
    hop: int = 160  # H: samples from one frame to the next, 10 ms
    n_fft: int = 512  # N: points of each transform; zeros pad the window to this length
    window: str = "hamming"  # one of WINDOWS
    center: bool = True  # zeros pad the signal, so that frame m is centred on sample m H

    def __post_init__(self):
        for name in ("sample_rate", "window_length", "hop", "n_fft"):
            object.__setattr__(self, name, check_whole(getattr(self, name), name=name))
        if self.window_length > self.n_fft:
            raise ValueError(
                f"window_length is {self.window_length}, more than n_fft {self.n_fft}: "
                "raise n_fft to the next power of two"
            )
        if self.window not in WINDOWS:
            raise ValueError(f"window is {self.window!r}, it must be one of {sorted(WINDOWS)}")

    @property
    def freqs(self) -> Tensor:
        """The centre of each frequency bin in hertz, (n_fft // 2 + 1,)."""
        return torch.arange(self.n_fft // 2 + 1) * (self.sample_rate / self.n_fft)

    def seconds(self, frames: int) -> Tensor:
        """The middle of each of ``frames`` frames in seconds, (frames,)."""
        first = 0 if self.center else self.n_fft / 2
        return (torch.arange(frames) * self.hop + first) / self.sample_rate


def make_window(name: str, length: int, *, like: Tensor | None = None) -> Tensor:
    """Return the periodic window ``name`` (a key of WINDOWS), (length,), on ``like``'s device."""
    turn = 2 * math.pi / length * torch.arange(length, dtype=torch.float64)
    window = sum(a * torch.cos(j * turn) for j, a in enumerate(WINDOWS[name]))
    return window.to(torch.get_default_dtype()) if like is None else window.to(like)


def frame_window(framing: Framing, *, like: Tensor | None = None) -> Tensor:
    """Return the window in the middle of ``n_fft`` samples, zeros at both sides, (n_fft,)."""
    window = make_window(framing.window, framing.window_length, like=like)
    spare = framing.n_fft - framing.window_length
    return functional.pad(window, (spare // 2, spare - spare // 2))


def cut_frames(signal: Tensor, framing: Framing) -> Tensor:
    """Cut a signal (..., time) into overlapping frames (..., frames, n_fft).

    Raises:
        TypeError: the signal is not of single or double precision.
        ValueError: it is empty, holds NaN, or is shorter than one frame.
    """
    check_shape(signal, "... time", name="signal")
    check_floating(signal, name="signal", bits=32)
    check_finite(signal, name="signal")
    if framing.center:
        signal = functional.pad(signal, (framing.n_fft // 2, framing.n_fft // 2))
    if signal.shape[-1] < framing.n_fft:
        raise ValueError(
            f"signal has {signal.shape[-1]} samples, a frame needs {framing.n_fft}: "
            "pad it first, or use center=True"
        )
    return signal.unfold(-1, framing.n_fft, framing.hop)  # (..., frames, n_fft)


def stft(signal: Tensor, framing: Framing) -> Tensor:
    """Return the short-time Fourier transform of a signal.

    X[k, m] = sum over n of signal[n + m H] window[n] exp(-2 pi i k n / N), n = 0 ... N - 1

    Args:
        signal: (..., time), floating point.

    Returns:
        complex (..., freqs, frames), freqs = n_fft // 2 + 1.

    Raises:
        TypeError, ValueError: as ``cut_frames``.
    """
    frames = cut_frames(signal, framing)  # (..., frames, n_fft)
    weighted = frames * frame_window(framing, like=signal)
    return torch.fft.rfft(weighted).transpose(-1, -2)  # (..., freqs, frames)


def power_spectrogram(signal: Tensor, framing: Framing) -> Tensor:
    """Return |STFT|² of a signal (..., time): (..., freqs, frames). Raises as ``cut_frames``."""
    return torch.view_as_real(stft(signal, framing)).square().sum(-1)


def to_decibels(power: Tensor, *, span: float | None = SPAN) -> Tensor:
    """Return 10 log10(power), cut off ``span`` decibels below each item's maximum.

    Args:
        power: (..., freqs, frames), 0 or more; below FLOOR it is taken as FLOOR.
        span: how far below the loudest of its (freqs, frames) a level may fall; None: no cut.

    Raises:
        ValueError: a power is negative or not a number, or the span is negative.
    """
    check_shape(power, "... freqs frames", name="power")
    if not (power >= 0).all():
        raise ValueError(
            "power has negative or NaN entries: pass |STFT|², not the STFT or decibels"
        )
    level = 10 * torch.log10(power.clamp_min(FLOOR))
    if span is None:
        return level
    if not span >= 0:
        raise ValueError(f"span is {span} dB, it must be 0 or more, or None for no cut")
    return torch.maximum(level, level.amax((-2, -1), keepdim=True) - span)


def hz_to_mel(hertz: Tensor) -> Tensor:
    """Return the mel value of frequencies in hertz, by the formula of the HTK toolkit."""
    return 2595 * torch.log10(1 + hertz / 700)


def mel_to_hz(mel: Tensor) -> Tensor:
    """Return the frequency in hertz of mel values: the inverse of ``hz_to_mel``."""
    return 700 * (10 ** (mel / 2595) - 1)


def mel_filters(framing: Framing, bands: int) -> Tensor:
    """Return a bank of triangles, evenly spaced on the mel scale from 0 to half the sample rate.

    Each begins and ends at its neighbours' peaks, which are 1: as torchaudio's ``melscale_fbanks``
    by default, and librosa's ``mel`` with ``htk=True, norm=None``.

    Returns:
        (bands, freqs), 0 or more.

    Raises:
        ValueError: a triangle is so narrow that it holds no frequency bin.
    """
    check_whole(bands, name="bands")
    top = hz_to_mel(torch.tensor(framing.sample_rate / 2, dtype=torch.float64))
    feet = mel_to_hz(torch.linspace(0, top.item(), bands + 2, dtype=torch.float64))[:, None]
    left, peak, right = feet[:-2], feet[1:-1], feet[2:]  # (bands, 1) each
    freqs = framing.freqs.double()
    rising, falling = (freqs - left) / (peak - left), (right - freqs) / (right - peak)
    filters = torch.minimum(rising, falling).clamp_min(0)  # (bands, freqs)
    hollow = (filters.amax(1) == 0).nonzero().flatten().tolist()
    if hollow:
        raise ValueError(
            f"{len(hollow)} of {bands} bands hold no frequency bin, the first is band {hollow[0]}: "
            f"use fewer bands or a larger n_fft than {framing.n_fft}"
        )
    return filters.to(torch.get_default_dtype())


def log_mel(
    signal: Tensor, framing: Framing, filters: Tensor, *, span: float | None = SPAN
) -> Tensor:
    """Return the power in each mel band, in decibels.

    Args:
        signal: (..., time), floating point.
        filters: (bands, freqs), as from ``mel_filters``.
        span: as in ``to_decibels``.

    Returns:
        (..., bands, frames).
    """
    check_shape(filters, f"bands {framing.n_fft // 2 + 1}", name="filters")
    return to_decibels(filters.to(signal) @ power_spectrogram(signal, framing), span=span)


def dct_matrix(coefficients: int, bands: int) -> Tensor:
    """Return the first rows of the orthonormal discrete cosine transform (type II).

    Returns:
        (coefficients, bands); with coefficients = bands its transpose is its inverse.
    """
    check_whole(coefficients, name="coefficients")
    if coefficients > bands:
        raise ValueError(f"coefficients is {coefficients}, it must be at most the {bands} bands")
    j = torch.arange(coefficients, dtype=torch.float64)[:, None]
    rows = torch.cos(math.pi / bands * j * (torch.arange(bands) + 0.5)) * math.sqrt(2 / bands)
    rows[0] /= math.sqrt(2)
    return rows.to(torch.get_default_dtype())


def mfcc(
    signal: Tensor, framing: Framing, filters: Tensor, *, coefficients: int = 13
) -> Tensor:  # fmt: skip
    """Return mel-frequency cepstral coefficients: the cosine transform of ``log_mel``.

    Returns:
        (..., coefficients, frames).
    """
    level = log_mel(signal, framing, filters)  # (..., bands, frames)
    return dct_matrix(coefficients, len(filters)).to(level) @ level


def summarise(features: Tensor) -> Tensor:
    """Return mean and standard deviation over time: one vector for a clip of any length.

    Args:
        features: (..., bands, frames).

    Returns:
        (..., 2 bands): the means, then the deviations.
    """
    check_shape(features, "... bands frames", name="features")
    return torch.cat([features.mean(-1), features.std(-1, correction=0)], -1)


def istft(spectrum: Tensor, framing: Framing, *, time: int) -> Tensor:
    """Return the signal whose STFT is closest to ``spectrum`` in the least-squares sense.

    Each frame goes back to the time axis, is windowed again and added where it came from; the sum
    is divided by the sum of squared windows (Griffin & Lim 1984, eq. 6). If ``spectrum`` is the
    STFT of a signal, this is that signal.

    Args:
        spectrum: complex (..., freqs, frames).
        time: how many samples the signal has.

    Returns:
        (..., time).

    Raises:
        ValueError: a sample is under no window, or only where the window is 0.
    """
    shape = check_shape(spectrum, f"... {framing.n_fft // 2 + 1} frames", name="spectrum")
    columns = spectrum.transpose(-1, -2)  # (..., frames, freqs)
    frames = torch.fft.irfft(columns, n=framing.n_fft)  # (..., frames, n_fft)
    window = frame_window(framing, like=frames)
    start = framing.n_fft // 2 if framing.center else 0
    total = overlap_add(frames * window, framing.hop)[..., start : start + time]
    weight = overlap_add(window.square().expand(shape["frames"], -1), framing.hop)
    _check_covered(weight[start:], framing, time)
    return total / weight[start : start + time]


def _check_covered(weight: Tensor, framing: Framing, time: int) -> None:
    covered = functional.pad(weight, (0, time))[:time] > 1e-11  # the limit of torch.istft
    if not covered.all():
        raise ValueError(
            f"with hop {framing.hop} and a {framing.window} window of {framing.window_length} the "
            f"frames leave {int((~covered).sum())} of {time} samples uncovered, the first at "
            f"{int((~covered).nonzero()[0])}: use center=True, a hop of at most half the window, "
            "and the time of the signal that was transformed"
        )


def overlap_add(frames: Tensor, hop: int) -> Tensor:
    """(..., frames, length) → (..., (frames - 1) hop + length): add each frame at its place."""
    count, length = frames.shape[-2:]
    columns = frames.reshape(-1, count, length).transpose(1, 2)  # (batch, length, frames)
    total = (count - 1) * hop + length
    summed = functional.fold(columns, (1, total), (1, length), stride=(1, hop))
    return summed.reshape(*frames.shape[:-2], total)


def griffin_lim(
    power: Tensor, framing: Framing, *, time: int, generator: torch.Generator,
    rounds: int = 32, momentum: float = 0.99,
) -> Tensor:  # fmt: skip
    """Return a signal whose power spectrogram comes close to ``power``, which holds no phase.

    With momentum 0 this is Griffin & Lim (1984); the default is the faster variant of Perraudin,
    Balazs & Søndergaard (2013), and momentum is their alpha.

    Args:
        power: (..., freqs, frames), 0 or more.
        time: how many samples the signal has.
        rounds: how often to go to the time axis and back.

    Returns:
        (..., time).
    """
    check_whole(rounds, name="rounds")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}, it must be at least 0 and below 1")
    magnitude = power.clamp_min(0).sqrt()
    like = {"device": power.device, "dtype": power.dtype}
    angle = torch.rand(power.shape, generator=generator, **like)
    phase, last = torch.polar(torch.ones_like(magnitude), 2 * math.pi * angle), 0
    for _ in range(rounds):
        consistent = stft(istft(magnitude * phase, framing, time=time), framing)
        phase = torch.sgn(consistent - momentum / (1 + momentum) * last)
        last = consistent
    return istft(magnitude * phase, framing, time=time)
