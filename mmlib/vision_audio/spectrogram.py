"""Sound as numbers: waveform, spectrum, spectrogram, mel and MFCC, and the way back.

Built step by step in notebooks/vision_audio/01_spectrogram.ipynb.

Shapes: a signal is (..., time); a spectrogram is (..., freqs, frames); any leading axes are a
batch. Units: samples are amplitudes without unit, frequencies are in hertz, powers are squared
magnitudes of the windowed discrete Fourier transform (no 1/N), levels are in decibels.

Sources: Allen & Rabiner (1977) for the short-time Fourier transform; Davis & Mermelstein (1980)
for MFCC; Griffin & Lim (1984) and Perraudin, Balazs & Søndergaard (2013) for the inversion.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mmlib import plotting
from mmlib.runtime import worker_threads
from mmlib.shapes import check_finite, check_floating, check_shape, check_whole

FLOOR = 1e-10  # the smallest power that a level is given for: -100 dB
SPAN = 80.0  # how far below the loudest of a spectrogram a level may fall, in decibels
BLOCK = 1024  # frames worked on at a time: they stay in the cache, and threads seldom switch


@dataclass(frozen=True, kw_only=True)
class Framing:
    """How a signal is cut into overlapping windows, each of which gets one Fourier transform."""

    sample_rate: int = 16_000  # samples a second
    window_length: int = 400  # samples under the window: 25 ms
    hop: int = 160  # samples from one window to the next: 10 ms
    n_fft: int = 512  # points of each transform: the window is padded with zeros to this length
    window: str = "hamming"  # one of WINDOWS
    padding: str = "constant"  # at both ends, n_fft // 2: "constant" (zeros), "reflect" or "none"

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
        if self.padding not in ("constant", "reflect", "none"):
            raise ValueError(
                f"padding is {self.padding!r}, it must be 'constant', 'reflect' or 'none'"
            )

    @property
    def overhang(self) -> int:
        """How many samples the padding adds at either end."""
        return 0 if self.padding == "none" else self.n_fft // 2

    @property
    def freqs(self) -> Tensor:
        """The centre of each frequency bin in hertz, (n_fft // 2 + 1,)."""
        return torch.arange(self.n_fft // 2 + 1) * (self.sample_rate / self.n_fft)

    def seconds(self, frames: int) -> Tensor:
        """The middle of each of ``frames`` windows in seconds, (frames,)."""
        first = self.n_fft / 2 if self.padding == "none" else 0
        return (torch.arange(frames) * self.hop + first) / self.sample_rate


def _raised_cosine(floor: float):
    """Return the window function w(t) = floor - (1 - floor) cos(2 pi t / length)."""
    return lambda t, length: floor - (1 - floor) * torch.cos(2 * math.pi * t / length)


WINDOWS = {
    "rectangular": lambda t, length: torch.ones_like(t),
    "hann": _raised_cosine(0.5),
    "hamming": _raised_cosine(0.54),
    "blackman": lambda t, length: (
        _raised_cosine(0.42)(t, length)
        + 0.08 * (torch.cos(4 * math.pi * t / length) + torch.cos(2 * math.pi * t / length))
    ),
}


def make_window(name: str, length: int, *, like: Tensor | None = None) -> Tensor:
    """Return the periodic window ``name`` with ``length`` samples, on the device of ``like``."""
    window = WINDOWS[name](torch.arange(length, dtype=torch.float64), length)
    return window.to(torch.get_default_dtype()) if like is None else window.to(like)


def cut_frames(signal: Tensor, framing: Framing) -> Tensor:
    """Cut a signal into overlapping frames, a view of the (padded) signal without a copy.

    Args:
        signal: (..., time), floating point.

    Returns:
        (..., frames, n_fft).

    Raises:
        ValueError: the signal is empty, holds NaN, or is shorter than one frame.
    """
    count = _count_frames(signal, framing)
    rows = signal.reshape(-1, signal.shape[-1])
    frames = _cut_some(rows, framing, 0, count)  # (batch, frames, n_fft)
    return frames.unflatten(0, signal.shape[:-1]) if signal.dim() > 1 else frames[0]


def _count_frames(signal: Tensor, framing: Framing) -> int:
    """Return how many frames the signal gives, if it is fit to be cut."""
    time = check_shape(signal, "... time", name="signal")["time"]
    check_floating(signal, name="signal", bits=32)
    check_finite(signal, name="signal")
    least = {"none": framing.n_fft, "reflect": framing.overhang + 1, "constant": 1}
    if time < least[framing.padding]:
        raise ValueError(
            f"signal has {time} samples, n_fft {framing.n_fft} with padding "
            f"{framing.padding!r} needs {least[framing.padding]}: pad it first"
        )
    return (time + 2 * framing.overhang - framing.n_fft) // framing.hop + 1


def _cut_some(rows: Tensor, framing: Framing, first: int, end: int) -> Tensor:
    """Cut the frames from ``first`` to before ``end`` out of signals (batch, time).

    Only what these frames need is padded, and only at the ends of the signals.
    """
    time = rows.shape[-1]
    start = first * framing.hop - framing.overhang
    stop = (end - 1) * framing.hop + framing.n_fft - framing.overhang
    before, behind = max(0, -start), max(0, stop - time)
    begin = max(0, start - 1)  # to reflect k samples takes k + 1
    piece = rows[:, begin : stop + 1]
    if before or behind:
        piece = functional.pad(piece, (before, behind), mode=framing.padding)
    piece = piece[:, max(0, start) - begin :]
    return piece.unfold(-1, framing.n_fft, framing.hop)[:, : end - first]  # (batch, frames, n_fft)


def frame_window(framing: Framing, *, like: Tensor | None = None) -> Tensor:
    """Return the window in the middle of ``n_fft`` samples, zeros at both sides, (n_fft,)."""
    window = make_window(framing.window, framing.window_length, like=like)
    left = (framing.n_fft - framing.window_length) // 2
    return functional.pad(window, (left, framing.n_fft - framing.window_length - left))


def stft(signal: Tensor, framing: Framing) -> Tensor:
    """Return the short-time Fourier transform of a signal.

    X[k, m] = sum over t of signal[t + m hop] window[t] exp(-2 pi i k t / n_fft)

    Args:
        signal: (..., time), floating point.

    Returns:
        complex (..., freqs, frames), freqs = n_fft // 2 + 1.

    Raises:
        TypeError, ValueError: as ``cut_frames``.
    """
    frames = cut_frames(signal, framing)  # (..., frames, n_fft)
    spectra = torch.fft.rfft(frames * frame_window(framing, like=signal))  # (..., frames, freqs)
    return spectra.transpose(-1, -2)


def power_spectrogram(signal: Tensor, framing: Framing, *, filters: Tensor | None = None) -> Tensor:
    """Return |STFT|², or that seen through a bank of filters.

    Args:
        signal: (..., time), floating point.
        filters: (bands, freqs), such as ``mel_filters``; None: the power itself.

    Returns:
        (..., freqs, frames), or (..., bands, frames) with filters.

    Raises:
        TypeError, ValueError: as ``cut_frames``; the filters do not fit the framing.
    """
    return _by_blocks(signal, framing, _check_filters(filters, framing, like=signal))


def log_mel(
    signal: Tensor, framing: Framing, filters: Tensor, *, span: float | None = SPAN
) -> Tensor:
    """Return the power seen through ``filters`` in decibels: ``to_decibels`` of the above.

    Args:
        signal: (..., time), floating point.
        filters: (bands, freqs), as from ``mel_filters``.
        span: as in ``to_decibels``.

    Returns:
        (..., bands, frames).
    """
    _check_span(span)
    filters = _check_filters(filters, framing, like=signal)
    return _by_blocks(signal, framing, filters, lambda level: _cut_off(level, span), floor=FLOOR)


def _check_filters(filters: Tensor | None, framing: Framing, *, like: Tensor) -> Tensor | None:
    if filters is None:
        return None
    check_shape(filters, f"bands {framing.n_fft // 2 + 1}", name="filters")
    return filters.to(like)


def _by_blocks(
    signal: Tensor,
    framing: Framing,
    filters: Tensor | None,
    finish: Callable[[Tensor], Tensor] = lambda power: power,
    *,
    floor: float | None = None,
) -> Tensor:
    """Return the power, seen through filters if any, in decibels if a floor is given, ``finish``ed.

    On the CPU, without gradients, frames are taken in blocks that fit a core's cache, by as many
    Python threads as torch has threads. All else is done while torch has one thread, too: a second
    one of OpenMP, once woken, spins on for a while and would take a core from ours.

    Args:
        finish: from (..., bands, frames) to the result.
    """
    learning = signal.requires_grad or (filters is not None and filters.requires_grad)
    if (learning and torch.is_grad_enabled()) or signal.device.type != "cpu":
        windowed = cut_frames(signal, framing) * frame_window(framing, like=signal)
        power = _power(windowed, filters)  # (..., frames, bands)
        return finish((power if floor is None else _decibels(power, floor)).transpose(-1, -2))
    with worker_threads() as run:
        window = frame_window(framing, like=signal)
        count, rows = _count_frames(signal, framing), signal.reshape(-1, signal.shape[-1])
        bands = framing.n_fft // 2 + 1 if filters is None else len(filters)
        done = signal.new_empty(len(rows), count, bands)

        def fill(block: tuple[slice, int, int]) -> None:
            some, first, end = block
            frames = _cut_some(rows[some], framing, first, end)
            _fill(done[some, first:end], frames * window, filters, floor)

        run(fill, _blocks(len(rows), count))
        return finish(done.reshape(*signal.shape[:-1], count, bands).transpose(-1, -2))


def _blocks(rows: int, count: int) -> list[tuple[slice, int, int]]:
    """Divide ``count`` frames of each of ``rows`` signals: which rows, first frame, one past it."""
    many = max(1, BLOCK // count)  # short signals share a block, a long one has several
    size = math.ceil(count / math.ceil(count / BLOCK))  # of equal length
    starts = range(0, count, size)
    some = [slice(row, row + many) for row in range(0, rows, many)]
    return [(s, start, min(start + size, count)) for s in some for start in starts]


def _power(windowed: Tensor, filters: Tensor | None) -> Tensor:
    """Windowed frames (..., frames, n_fft) → power (..., frames, freqs or bands)."""
    power = torch.view_as_real(torch.fft.rfft(windowed)).square().sum(-1)
    return power if filters is None else power @ filters.T


def _fill(done: Tensor, windowed: Tensor, filters: Tensor | None, floor: float | None) -> None:
    """Write ``_power``, or its decibels, into ``done`` (rows, frames, bands) with few copies."""
    parts = torch.view_as_real(torch.fft.rfft(windowed)).square_()  # (rows, frames, freqs, 2)
    if filters is None:
        torch.add(parts[..., 0], parts[..., 1], out=done)
    else:
        torch.matmul(parts[..., 0] + parts[..., 1], filters.T, out=done)
    if floor is not None:
        done.clamp_min_(floor).log10_().mul_(10)


def to_decibels(
    power: Tensor, *, reference: float = 1.0, floor: float = FLOOR, span: float | None = SPAN
) -> Tensor:
    """Return 10 log10(power / reference), cut off ``span`` decibels below each item's maximum.

    Args:
        power: (..., freqs, frames), 0 or more.
        reference: the power that becomes 0 dB.
        floor: powers below this are taken as this, so that silence has a finite level.
        span: how far below the loudest of its (freqs, frames) a level may fall; None: no cut.

    Raises:
        ValueError: a power or ``span`` is negative or not a number, or ``reference`` or ``floor``
            is not above 0.
    """
    check_shape(power, "... freqs frames", name="power")
    _check_span(span)
    if not (reference > 0 and floor > 0):
        raise ValueError(f"reference is {reference} and floor {floor}: both must be above 0")
    if not (power >= 0).all():
        raise ValueError(
            "power has negative or NaN entries: pass |STFT|², not the STFT or decibels"
        )
    level = _decibels(power, floor) - 10 * math.log10(max(floor, reference))
    return _cut_off(level, span)


def _decibels(power: Tensor, floor: float) -> Tensor:
    return 10 * torch.log10(power.clamp_min(floor))


def _check_span(span: float | None) -> None:
    if span is not None and not span >= 0:
        raise ValueError(f"span is {span} dB, it must be 0 or more, or None for no cut")


def _cut_off(level: Tensor, span: float | None) -> Tensor:
    """Raise what lies more than ``span`` below the maximum of its (bands, frames)."""
    if span is None:
        return level
    return torch.maximum(level, level.amax((-2, -1), keepdim=True) - span)


def hz_to_mel(hertz: Tensor, *, scale: str = "slaney") -> Tensor:
    """Return the mel value of frequencies in hertz.

    "htk": 2595 log10(1 + f / 700). "slaney": f / (200/3) up to 1000 Hz, above it 27 mel for each
    factor 6.4 (Slaney's Auditory Toolbox, librosa's default).
    """
    if _check_scale(scale) == "htk":
        return 2595 * torch.log10(1 + hertz / 700)
    curved = 15 + 27 * torch.log(hertz.clamp_min(1000) / 1000) / math.log(6.4)
    return torch.where(hertz < 1000, hertz * 3 / 200, curved)


def mel_to_hz(mel: Tensor, *, scale: str = "slaney") -> Tensor:
    """Return the frequency in hertz of mel values: the inverse of ``hz_to_mel``."""
    if _check_scale(scale) == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    return torch.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel.clamp_min(15) - 15) / 27))


def _check_scale(scale: str) -> str:
    if scale not in ("slaney", "htk"):
        raise ValueError(f"scale is {scale!r}, it must be 'slaney' or 'htk'")
    return scale


def mel_filters(
    framing: Framing,
    bands: int = 64,
    *,
    low: float = 0.0,
    high: float | None = None,
    scale: str = "slaney",
    equal_area: bool = True,
) -> Tensor:
    """Return a bank of triangles, evenly spaced and half overlapping on the mel scale.

    Args:
        bands: how many triangles.
        low, high: the outer feet of the first and last triangle in hertz; high defaults to half
            the sample rate.
        scale: "slaney" or "htk", as in ``hz_to_mel``.
        equal_area: True: every triangle has area 1 in hertz; False: every peak is 1.

    Returns:
        (bands, freqs), 0 or more.

    Raises:
        ValueError: ``bands`` is below 1, the frequencies are out of order, or a triangle is so
            narrow that it holds no frequency bin.
    """
    bands = check_whole(bands, name="bands")
    half_rate = framing.sample_rate / 2
    high = half_rate if high is None else high
    if not 0 <= low < high <= half_rate:
        raise ValueError(
            f"low is {low} Hz and high {high} Hz: they must satisfy "
            f"0 <= low < high <= {half_rate} Hz, half the sample rate"
        )
    ends = hz_to_mel(torch.tensor([low, high], dtype=torch.float64), scale=scale)
    feet = mel_to_hz(torch.linspace(*ends.tolist(), bands + 2, dtype=torch.float64), scale=scale)
    left, peak, right = (feet[i : i + bands, None] for i in range(3))  # (bands, 1) each
    freqs = framing.freqs.double()
    filters = torch.minimum(
        (freqs - left) / (peak - left), (right - freqs) / (right - peak)
    ).clamp_min(0)  # (bands, freqs)
    hollow = (filters.amax(1) == 0).nonzero().flatten().tolist()
    if hollow:
        raise ValueError(
            f"{len(hollow)} of {bands} bands hold no frequency bin, the first is band {hollow[0]}: "
            f"use fewer bands or a larger n_fft than {framing.n_fft}"
        )
    if equal_area:
        filters = filters * 2 / (right - left)
    return filters.to(torch.get_default_dtype())


def dct_matrix(coefficients: int, bands: int) -> Tensor:
    """Return the first rows of the orthonormal discrete cosine transform (type II).

    Returns:
        (coefficients, bands); with coefficients = bands its transpose is its inverse.
    """
    if not 1 <= check_whole(coefficients, name="coefficients") <= bands:
        raise ValueError(
            f"coefficients is {coefficients}, it must lie between 1 and the {bands} bands"
        )
    k = torch.arange(coefficients, dtype=torch.float64)[:, None]
    rows = torch.cos(math.pi / bands * k * (torch.arange(bands) + 0.5)) * math.sqrt(2 / bands)
    rows[0] /= math.sqrt(2)
    return rows.to(torch.get_default_dtype())


def mfcc(signal: Tensor, framing: Framing, filters: Tensor, *, coefficients: int = 13) -> Tensor:
    """Return mel-frequency cepstral coefficients: the cosine transform of the log-mel spectrum.

    Args:
        signal: (..., time).
        filters: (bands, freqs), as from ``mel_filters``.

    Returns:
        (..., coefficients, frames).
    """
    filters = _check_filters(filters, framing, like=signal)

    def finish(level: Tensor) -> Tensor:  # (..., bands, frames) → (..., coefficients, frames)
        return dct_matrix(coefficients, len(filters)).to(level) @ _cut_off(level, SPAN)

    return _by_blocks(signal, framing, filters, finish, floor=FLOOR)


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
        ValueError: the frames do not cover ``time`` samples.
    """
    shape = check_shape(spectrum, f"... {framing.n_fft // 2 + 1} frames", name="spectrum")
    frames = torch.fft.irfft(spectrum.transpose(-1, -2), n=framing.n_fft)  # (..., frames, n_fft)
    window = frame_window(framing, like=frames)
    weights = (window**2).expand(shape["frames"], -1)
    start = 0 if framing.padding == "none" else framing.n_fft // 2
    total = _overlap_add(frames * window, framing.hop)[..., start : start + time]
    weight = _overlap_add(weights, framing.hop)[..., start : start + time]
    bare = (weight < 1e-8).nonzero().flatten().tolist()
    if weight.shape[-1] < time or bare:
        remedy = "lower the hop or ask for fewer samples"
        if bare[:1] == [0]:  # a window that begins at 0
            remedy = "the first sample lies under no window: make the STFT with padding='constant'"
        raise ValueError(
            f"{shape['frames']} frames with hop {framing.hop} and window {framing.window_length} "
            f"do not cover {time} samples: {remedy}"
        )
    return total / weight


def _overlap_add(frames: Tensor, hop: int) -> Tensor:
    """(..., frames, length) → (..., (frames - 1) hop + length): add each frame at its place."""
    count, length = frames.shape[-2:]
    columns = frames.reshape(-1, count, length).transpose(1, 2)  # (batch, length, frames)
    total = (count - 1) * hop + length
    summed = functional.fold(columns, (1, total), (1, length), stride=(1, hop))
    return summed.reshape(*frames.shape[:-2], total)


def griffin_lim(
    power: Tensor,
    framing: Framing,
    *,
    time: int,
    generator: torch.Generator,
    rounds: int = 32,
    momentum: float = 0.99,
) -> Tensor:
    """Return a signal whose power spectrogram comes close to ``power``, which holds no phase.

    Start with random phases; again and again go to the time axis and back, and keep the phases
    found there but the magnitudes given here. With momentum 0 this is Griffin & Lim (1984); the
    default is the faster variant of Perraudin, Balazs & Søndergaard (2013).

    Args:
        power: (..., freqs, frames), 0 or more.
        time: how many samples the signal has.
        rounds: how often to go back and forth.

    Returns:
        (..., time).
    """
    if rounds < 1 or not 0 <= momentum < 1:
        raise ValueError(
            f"rounds is {rounds} and momentum {momentum}: rounds must be 1 or more, "
            "momentum at least 0 and below 1"
        )
    magnitude = power.clamp_min(0).sqrt()
    turn = torch.rand(power.shape, generator=generator, device=power.device, dtype=power.dtype)
    phase, last = torch.polar(torch.ones_like(magnitude), 2 * math.pi * turn), 0
    for _ in range(rounds):
        consistent = stft(istft(magnitude * phase, framing, time=time), framing)
        phase = torch.sgn(consistent - momentum / (1 + momentum) * last)
        last = consistent
    return istft(magnitude * phase, framing, time=time)


def summarise(features: Tensor) -> Tensor:
    """Return mean and standard deviation over time: one vector for a clip of any length.

    Args:
        features: (..., bands, frames).

    Returns:
        (..., 2 bands): the means, then the deviations.
    """
    check_shape(features, "... bands frames", name="features")
    return torch.cat([features.mean(-1), features.std(-1, correction=0)], -1)


def explore(
    signal: Tensor,
    *,
    sample_rate: int,
    window_ms: float = 25,
    hop_ms: float = 10,
    window: str = "hamming",
    highest: float | None = None,
) -> plotting.Figure:
    """Draw a signal's spectrogram for settings in milliseconds: what the chapter's controls call.

    Args:
        signal: (time,).
        highest: the highest frequency drawn, in hertz; None: half the sample rate.
    """
    window_length = max(2, round(sample_rate * window_ms / 1000))
    framing = Framing(
        sample_rate=sample_rate,
        window_length=window_length,
        hop=max(1, round(sample_rate * hop_ms / 1000)),
        n_fft=max(1024, 2 ** math.ceil(math.log2(window_length))),
        window=window,
    )
    level = to_decibels(power_spectrogram(signal, framing))
    keep = framing.freqs <= (highest or sample_rate / 2)
    figure, ax = plotting.new_figure(height=3)
    title = f"{window} window of {window_ms:.0f} ms every {hop_ms:.0f} ms"
    seconds = framing.seconds(level.shape[1])
    plotting.draw_spectrogram(
        ax, level[keep], seconds=seconds, freqs=framing.freqs[keep], title=title
    )
    return plotting.finished(figure)
