"""Power and log-mel spectrograms in blocks: ``mmlib.vision_audio.spectrogram``, sooner.

The chapter's code writes every intermediate result of the whole signal to memory: padded signal,
windowed frames, complex spectra, powers, band powers, levels. Here frames are taken in blocks that
fit a core's cache, and only the last result of each block is written; the blocks are shared out to
as many Python threads as torch has threads. No gradients, and on the CPU only.

Shapes as in the chapter: a signal (..., time) gives (..., freqs or bands, frames).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from mmlib.runtime import worker_threads
from mmlib.shapes import check_finite, check_floating, check_shape

BLOCK = 1024  # frames at a time
FLOOR, SPAN = 1e-10, 80.0  # the chapter's


def power_spectrogram(signal: Tensor, window: Tensor, *, hop: int, center: bool = True) -> Tensor:
    """Return |STFT|² of a signal.

    Args:
        signal: (..., time), float32 or float64, on the CPU.
        window: (n_fft,), as from the chapter's ``frame_window``.
        hop: samples from one frame to the next.
        center: whether n_fft // 2 zeros are put at both ends.

    Returns:
        (..., freqs, frames), without a gradient.

    Raises:
        TypeError, ValueError: as the chapter's ``cut_frames``; a signal that is not on the CPU.
    """
    return _by_blocks(signal, window, None, hop=hop, center=center)


def log_mel(
    signal: Tensor,
    window: Tensor,
    filters: Tensor,
    *,
    hop: int,
    center: bool = True,
    span: float | None = SPAN,
) -> Tensor:
    """Return the power in each band of ``filters`` (bands, freqs) in decibels.

    Args:
        span: how far below its (bands, frames)' loudest a level may fall; None: no cut.

    Returns:
        (..., bands, frames); everything else as ``power_spectrogram``.
    """
    check_shape(filters, f"bands {len(window) // 2 + 1}", name="filters")
    level = _by_blocks(signal, window, filters.to(signal), hop=hop, center=center)
    if span is None:
        return level
    return torch.maximum(level, level.amax((-2, -1), keepdim=True) - span)


@torch.no_grad()
def _by_blocks(
    signal: Tensor, window: Tensor, filters: Tensor | None, *, hop: int, center: bool
) -> Tensor:
    """Return the power, or with filters the level in each band, (..., freqs or bands, frames)."""
    time = check_shape(signal, "... time", name="signal")["time"]
    check_floating(signal, name="signal", bits=32)
    if signal.device.type != "cpu":
        raise ValueError(f"signal is on {signal.device}: move it to the CPU, or use the chapter's")
    check_finite(signal, name="signal")
    n_fft, window = len(window), window.to(signal)
    overhang = n_fft // 2 if center else 0
    if time + 2 * overhang < n_fft:
        raise ValueError(f"signal has {time} samples, a frame needs {n_fft}: pad it first")
    count = (time + 2 * overhang - n_fft) // hop + 1
    rows = signal.reshape(-1, time)
    done = signal.new_empty(len(rows), count, n_fft // 2 + 1 if filters is None else len(filters))

    def fill(block: tuple[slice, int, int]) -> None:
        some, first, end = block
        start, stop = first * hop - overhang, (end - 1) * hop + n_fft - overhang
        piece = rows[some, max(0, start) : stop]
        piece = functional.pad(piece, (max(0, -start), max(0, stop - time)))  # only at the ends
        _finish(done[some, first:end], piece.unfold(-1, n_fft, hop) * window, filters)

    with worker_threads() as run:
        run(fill, _blocks(len(rows), count))
    return done.reshape(*signal.shape[:-1], count, -1).transpose(-1, -2)


def _finish(done: Tensor, windowed: Tensor, filters: Tensor | None) -> None:
    """Write the power or the levels of frames into ``done`` (rows, frames, freqs or bands)."""
    parts = torch.view_as_real(torch.fft.rfft(windowed)).square_()  # (rows, frames, freqs, 2)
    if filters is None:
        torch.add(parts[..., 0], parts[..., 1], out=done)
    else:
        torch.matmul(parts[..., 0] + parts[..., 1], filters.T, out=done)
        done.clamp_min_(FLOOR).log10_().mul_(10)


def _blocks(rows: int, count: int) -> list[tuple[slice, int, int]]:
    """Divide ``count`` frames of each of ``rows`` signals: which rows, first frame, one past it."""
    many = max(1, BLOCK // count)  # short signals share a block, a long one has several
    size = math.ceil(count / math.ceil(count / BLOCK))  # of equal length
    starts = range(0, count, size)
    some = [slice(row, row + many) for row in range(0, rows, many)]
    return [(s, start, min(start + size, count)) for s in some for start in starts]
