"""The law of ``fast.spectra``: equal to the chapter, whatever signal, cut and blocks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlib.fast import spectra
from mmlib.runtime import make_generator
from mmlib.vision_audio import spectrogram
from mmlib.vision_audio.spectrogram import Framing


def noise(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=make_generator(0), dtype=dtype)


@given(
    axes=st.sampled_from([(), (1,), (3,), (2, 2)]),
    extra=st.integers(0, 200),
    hop=st.integers(1, 80),
    n_fft=st.integers(8, 65),
    center=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    block=st.integers(1, 40),
    span=st.sampled_from([None, 10.0]),
)
@settings(max_examples=75, deadline=None)
def test_equal_to_the_chapter(axes, extra, hop, n_fft, center, dtype, block, span):
    """Also for the shortest signal allowed, for steps through memory, and whatever the blocks."""
    framing = Framing(window_length=8, n_fft=n_fft, hop=hop, center=center)
    time = (1 if center else n_fft) + extra
    signal = noise(*axes, 2 * time, dtype=dtype)[..., ::2]
    filters = noise(3, n_fft // 2 + 1, dtype=dtype).square()
    window, cut = spectrogram.frame_window(framing, like=signal), {"hop": hop, "center": center}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spectra, "BLOCK", block)
        power = spectra.power_spectrogram(signal, window, **cut)
        level = spectra.log_mel(signal, window, filters, span=span, **cut)
    torch.testing.assert_close(power, spectrogram.power_spectrogram(signal, framing))
    torch.testing.assert_close(level, spectrogram.log_mel(signal, framing, filters, span=span))


def test_defaults_are_the_chapters():
    framing, signal = Framing(), noise(2, 20_000)
    filters = spectrogram.mel_filters(framing, 40)
    window = spectrogram.frame_window(framing, like=signal)
    ours = spectra.log_mel(1e-4 * signal, window, filters, hop=framing.hop)
    torch.testing.assert_close(ours, spectrogram.log_mel(1e-4 * signal, framing, filters))
    silence = spectra.log_mel(0 * signal, window, filters, hop=framing.hop)
    torch.testing.assert_close(silence, spectrogram.log_mel(0 * signal, framing, filters))


@pytest.mark.parametrize(("rows", "count"), [(1, 6001), (64, 401), (3, 1024), (5, 1), (2, 1025)])
def test_blocks_hold_every_frame_once_and_none_too_many(rows, count):
    seen = torch.zeros(rows, count)
    for some, first, end in spectra._blocks(rows, count):
        assert 0 < seen[some, first:end].numel() <= spectra.BLOCK
        seen[some, first:end] += 1
    assert (seen == 1).all()


def test_threads_are_given_back_and_gradients_are_not_kept():
    threads = torch.get_num_threads()
    power = spectra.power_spectrogram(noise(900).requires_grad_(), noise(64), hop=32)
    assert torch.get_num_threads() == threads
    assert not power.requires_grad


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        (torch.zeros(2, 0), "signal is empty"),
        (torch.tensor([0.0, float("nan")]), "1 of 2 values"),
        (torch.zeros(60), "60 samples.*needs 64"),
        (torch.zeros(64, device="meta"), "meta"),
    ],
)
def test_bad_input_is_refused(signal, message):
    with pytest.raises(ValueError, match=message):
        spectra.power_spectrogram(signal, torch.ones(64), hop=32, center=False)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float16])
def test_other_numbers_are_refused(dtype):
    with pytest.raises(TypeError, match="float"):
        spectra.power_spectrogram(torch.zeros(64, dtype=dtype), torch.ones(64), hop=32)
