"""Laws, brute force and independent libraries for the sound chapter's module."""

import math

import librosa
import numpy as np
import pytest
import scipy.fft
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlib.runtime import make_generator
from mmlib.vision_audio import spectrogram
from mmlib.vision_audio.spectrogram import Framing

DEFAULT = Framing()


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=make_generator(seed), dtype=dtype)


def relative(ours, theirs):
    theirs = torch.as_tensor(theirs)
    return float((ours - theirs).norm() / theirs.norm())


def stft_from_the_definition(signal, window, hop):
    """The sum of the docstring, in loops, one frame after the other."""
    n = len(window)
    columns = []
    for start in range(0, len(signal) - n + 1, hop):
        column = []
        for k in range(n // 2 + 1):
            terms = (
                signal[start + t] * window[t] * np.exp(-2j * math.pi * k * t / n) for t in range(n)
            )
            column.append(sum(terms))
        columns.append(column)
    return torch.tensor(np.array(columns)).T


def test_stft_is_its_definition():
    framing = Framing(window_length=12, n_fft=16, hop=5, window="hann", padding="none")
    signal = noise(60)
    window = np.zeros(16)
    window[2:14] = scipy.signal.get_window("hann", 12)
    expected = stft_from_the_definition(signal.numpy(), window, 5)
    torch.testing.assert_close(spectrogram.stft(signal, framing), expected)


@pytest.mark.parametrize("padding", ["constant", "reflect", "none"])
@pytest.mark.parametrize("window", ["hann", "hamming", "blackman"])
def test_stft_is_torch_and_librosa(padding, window):
    framing = Framing(window_length=320, hop=100, window=window, padding=padding)
    signal = noise(3, 4000)
    ours = spectrogram.stft(signal, framing)
    by_torch = torch.stft(
        signal,
        512,
        100,
        320,
        getattr(torch, f"{window}_window")(320, dtype=torch.float64),
        center=padding != "none",
        pad_mode="reflect" if padding == "none" else padding,
        return_complex=True,
    )
    by_librosa = librosa.stft(
        signal.numpy(),
        n_fft=512,
        hop_length=100,
        win_length=320,
        window=window,
        center=padding != "none",
        pad_mode="reflect" if padding == "none" else padding,
    )
    assert relative(ours, by_torch) < 1e-12
    assert relative(ours, by_librosa) < 1e-12


@pytest.mark.parametrize("name", sorted(spectrogram.WINDOWS))
def test_windows_are_scipys(name):
    theirs = scipy.signal.get_window({"rectangular": "boxcar"}.get(name, name), 50)
    ours = spectrogram.make_window(name, 50, like=noise(1))
    np.testing.assert_allclose(ours, theirs, atol=1e-15)


@given(
    batch=st.integers(1, 3),
    time=st.integers(600, 2500),
    hop=st.integers(1, 200),
    padding=st.sampled_from(["constant", "reflect", "none"]),
)
@settings(max_examples=25, deadline=None)
def test_power_in_blocks_is_the_squared_stft(batch, time, hop, padding):
    framing = Framing(hop=hop, padding=padding)
    signal = noise(batch, time)
    expected = spectrogram.stft(signal, framing).abs().square()
    torch.testing.assert_close(spectrogram.power_spectrogram(signal, framing), expected)


def padded_first(signal, framing):
    """Cut frames the plain way: pad the whole signal, then slide over it."""
    half = 0 if framing.padding == "none" else framing.n_fft // 2
    mode = "constant" if framing.padding == "none" else framing.padding
    rows = torch.nn.functional.pad(signal.reshape(-1, signal.shape[-1]), (half, half), mode=mode)
    return rows.reshape(*signal.shape[:-1], -1).unfold(-1, framing.n_fft, framing.hop)


@given(
    axes=st.sampled_from([(), (1,), (3,), (2, 2)]),
    extra=st.integers(0, 200),
    hop=st.integers(1, 80),
    n_fft=st.integers(8, 65),
    padding=st.sampled_from(["constant", "reflect", "none"]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    block=st.integers(1, 40),
)
@settings(max_examples=75, deadline=None)
def test_frames_cut_in_blocks_are_those_of_the_padded_whole(
    axes, extra, hop, n_fft, padding, dtype, block
):
    """Also for the shortest signal allowed, for steps through memory, and whatever the blocks."""
    framing = Framing(window_length=8, n_fft=n_fft, hop=hop, padding=padding)
    time = {"constant": 1, "reflect": n_fft // 2 + 1, "none": n_fft}[padding] + extra
    signal = noise(*axes, 2 * time, dtype=dtype)[..., ::2]
    expected = padded_first(signal, framing)
    assert torch.equal(spectrogram.cut_frames(signal, framing), expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spectrogram, "BLOCK", block)
        power = spectrogram.power_spectrogram(signal, framing)
    spectra = torch.fft.rfft(expected * spectrogram.frame_window(framing, like=signal))
    torch.testing.assert_close(power, spectra.abs().square().transpose(-1, -2))
    tracked = spectrogram.power_spectrogram(signal.clone().requires_grad_(), framing)
    torch.testing.assert_close(power, tracked.detach())


@pytest.mark.parametrize(("rows", "count"), [(1, 6001), (64, 401), (3, 1024), (5, 1), (2, 1025)])
def test_blocks_hold_every_frame_once_and_none_too_many(rows, count):
    seen = torch.zeros(rows, count)
    for some, first, end in spectrogram._blocks(rows, count):
        assert 0 < seen[some, first:end].numel() <= spectrogram.BLOCK
        seen[some, first:end] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("padding", ["constant", "reflect", "none"])
def test_filters_and_the_signal_can_be_learned(padding):
    framing = Framing(window_length=16, n_fft=16, hop=8, padding=padding)
    signal, filters = noise(2, 24), noise(3, 9, seed=1).square()
    both = signal.requires_grad_(), filters.requires_grad_()
    features = [
        lambda x, f: spectrogram.power_spectrogram(x, framing, filters=f),
        lambda x, f: spectrogram.log_mel(x, framing, f, span=None),
        lambda x, f: spectrogram.mfcc(x, framing, f, coefficients=2),
    ]
    for feature in features:
        assert torch.autograd.gradcheck(feature, both)
        with torch.no_grad():
            torch.testing.assert_close(feature(*both), feature(*(t.detach() for t in both)))


def test_power_keeps_leading_axes_gradients_and_the_thread_count():
    signal = noise(2, 3, 9000)
    threads = torch.get_num_threads()
    plain = spectrogram.power_spectrogram(signal, DEFAULT)
    assert plain.shape == (2, 3, 257, 57)
    assert torch.get_num_threads() == threads
    tracked = spectrogram.power_spectrogram(signal.requires_grad_(), DEFAULT)
    torch.testing.assert_close(tracked.detach(), plain)
    short = noise(80).requires_grad_()
    small = Framing(window_length=16, n_fft=16, hop=8)
    assert torch.autograd.gradcheck(lambda x: spectrogram.power_spectrogram(x, small), short)


def test_power_of_a_batch_is_the_power_of_each():
    signal = noise(4, 3000)
    together = spectrogram.power_spectrogram(signal, DEFAULT)
    apart = torch.stack([spectrogram.power_spectrogram(one, DEFAULT) for one in signal])
    torch.testing.assert_close(together, apart, rtol=0, atol=0)


def test_parseval():
    """Energy is the same on both sides: the mean over all n_fft bins is the frame's energy."""
    framing = Framing(padding="none", window="rectangular", window_length=512)
    signal = noise(512)
    power = spectrogram.power_spectrogram(signal, framing)[:, 0]
    both_sides = power[0] + 2 * power[1:-1].sum() + power[-1]
    torch.testing.assert_close(both_sides / 512, signal.square().sum())


def test_linear_and_shifted_by_a_hop():
    framing = Framing(padding="none")
    x, y = noise(4000), noise(4000, seed=1)
    both = spectrogram.stft(2 * x - 3 * y, framing)
    apart = 2 * spectrogram.stft(x, framing) - 3 * spectrogram.stft(y, framing)
    torch.testing.assert_close(both, apart)
    later = spectrogram.stft(x[160:], framing)
    torch.testing.assert_close(later, spectrogram.stft(x, framing)[:, 1 : 1 + later.shape[1]])


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_mel_scale_is_librosas_and_its_own_inverse(scale):
    hertz = torch.linspace(0, 8000, 400, dtype=torch.float64)
    mel = spectrogram.hz_to_mel(hertz, scale=scale)
    np.testing.assert_allclose(mel, librosa.hz_to_mel(hertz.numpy(), htk=scale == "htk"))
    torch.testing.assert_close(spectrogram.mel_to_hz(mel, scale=scale), hertz)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("equal_area", [True, False])
def test_mel_filters_are_librosas_and_torchaudios(scale, equal_area):
    ours = spectrogram.mel_filters(DEFAULT, 40, low=20, scale=scale, equal_area=equal_area)
    norm = "slaney" if equal_area else None
    by_librosa = librosa.filters.mel(
        sr=16000, n_fft=512, n_mels=40, fmin=20, htk=scale == "htk", norm=norm
    )
    by_torchaudio = torchaudio.functional.melscale_fbanks(
        257, 20.0, 8000.0, 40, 16000, norm=norm, mel_scale=scale
    ).T
    np.testing.assert_allclose(ours, by_librosa, atol=1e-6)
    np.testing.assert_allclose(ours, by_torchaudio, atol=2e-5)


def test_mel_triangles_sum_to_one_between_the_outer_peaks():
    filters = spectrogram.mel_filters(DEFAULT, 30, scale="htk", equal_area=False)
    peaks = filters.argmax(1)
    torch.testing.assert_close(
        filters.sum(0)[peaks[0] : peaks[-1]].min().round(decimals=4), torch.tensor(1.0)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_mel_and_mfcc_are_librosas_and_torchaudios(dtype):
    signal = noise(8000, dtype=dtype)
    framing = Framing(window="hann")
    filters = spectrogram.mel_filters(framing, 40)
    ours = spectrogram.mfcc(signal, framing, filters, coefficients=20)
    settings_ = {"n_fft": 512, "hop_length": 160, "win_length": 400, "n_mels": 40}
    by_librosa = librosa.feature.mfcc(y=signal.numpy(), sr=16000, n_mfcc=20, **settings_)
    by_torchaudio = torchaudio.transforms.MFCC(
        16000,
        20,
        melkwargs={**settings_, "norm": "slaney", "mel_scale": "slaney", "pad_mode": "constant"},
    ).to(dtype)(signal)
    assert relative(ours, by_librosa) < 1e-6
    assert relative(ours, by_torchaudio) < 1e-5
    level = spectrogram.log_mel(signal, framing, filters)
    power = spectrogram.power_spectrogram(signal, framing, filters=filters)
    torch.testing.assert_close(level, spectrogram.to_decibels(power))
    by_librosa = librosa.power_to_db(
        librosa.feature.melspectrogram(y=signal.numpy(), sr=16000, **settings_)
    )
    assert relative(level, by_librosa) < 1e-6


def test_dct_is_scipys_and_orthonormal():
    matrix = spectrogram.dct_matrix(12, 12)
    expected = scipy.fft.dct(np.eye(12), type=2, norm="ortho", axis=0)
    np.testing.assert_allclose(matrix, expected, atol=1e-7)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(12), atol=1e-6, rtol=0)


def test_decibels_of_silence_and_the_cut():
    power = torch.tensor([[1.0, 1e-3], [0.0, 100.0]])
    torch.testing.assert_close(
        spectrogram.to_decibels(power, span=None), torch.tensor([[0.0, -30.0], [-100.0, 20.0]])
    )
    torch.testing.assert_close(
        spectrogram.to_decibels(power, span=40), torch.tensor([[0.0, -20.0], [-20.0, 20.0]])
    )


@given(
    time=st.integers(600, 3000),
    hop=st.integers(1, 200),
    window=st.sampled_from(["hamming", "rectangular"]),
    padding=st.sampled_from(["constant", "reflect"]),
)
@settings(max_examples=25, deadline=None)
def test_reconstruction_is_perfect(time, hop, window, padding):
    framing = Framing(hop=hop, window=window, padding=padding)
    signal = noise(2, time)
    covered = time - time % hop  # past the last frame's middle there may be no window
    back = spectrogram.istft(spectrogram.stft(signal, framing), framing, time=covered)
    torch.testing.assert_close(back, signal[..., :covered], atol=1e-9, rtol=0)


def test_istft_is_torchs():
    window = torch.hamming_window(400, dtype=torch.float64)
    spectrum = torch.randn(2, 257, 30, dtype=torch.complex128, generator=make_generator(0))
    spectrum[:, 0].imag = 0
    spectrum[:, -1].imag = 0
    theirs = torch.istft(spectrum, 512, 160, 400, window, length=4000)
    ours = spectrogram.istft(spectrum, DEFAULT, time=4000)
    torch.testing.assert_close(ours, theirs)


def inconsistency(signal, power, framing):
    """How far a signal's magnitudes are from the wanted ones, relative."""
    return relative(spectrogram.power_spectrogram(signal, framing).sqrt(), power.sqrt())


def test_griffin_lim_comes_closer_each_round_and_beats_random_phase():
    time = torch.arange(8000, dtype=torch.float64) / 16000
    signal = torch.sin(2 * math.pi * (300 + 600 * time) * time) * torch.hann_window(8000)
    power = spectrogram.power_spectrogram(signal, DEFAULT)

    def error(rounds, momentum):
        found = spectrogram.griffin_lim(
            power, DEFAULT, time=8000, generator=make_generator(0), rounds=rounds, momentum=momentum
        )
        return inconsistency(found, power, DEFAULT)

    slow = [error(rounds, 0.0) for rounds in (1, 4, 16, 64)]
    assert slow == sorted(slow, reverse=True)
    assert error(64, 0.99) < slow[-1] < slow[0] / 2
    by_librosa = librosa.griffinlim(
        power.sqrt().numpy(), n_iter=64, hop_length=160, win_length=400, n_fft=512,
        window="hamming", momentum=0.99, length=8000, random_state=0,
    )  # fmt: skip
    theirs = inconsistency(torch.from_numpy(by_librosa), power, DEFAULT)
    assert error(64, 0.99) < 1.5 * theirs


def test_griffin_lim_is_repeatable():
    power = spectrogram.power_spectrogram(noise(2000), DEFAULT)
    once, again, other = (
        spectrogram.griffin_lim(power, DEFAULT, time=2000, generator=make_generator(seed), rounds=3)
        for seed in (0, 0, 1)
    )
    assert torch.equal(once, again)
    assert not torch.allclose(once, other)


BAD_INPUT = {
    "200 samples.*needs 512: pad it": lambda: spectrogram.stft(noise(200), Framing(padding="none")),
    "200 samples.*needs 257": lambda: spectrogram.stft(noise(200), Framing(padding="reflect")),
    "signal is empty": lambda: spectrogram.stft(noise(2, 0), DEFAULT),
    "1 of 2 values": lambda: spectrogram.stft(torch.tensor([0.0, math.nan]), DEFAULT),
    "more than n_fft 512": lambda: Framing(window_length=600),
    "hop is 0": lambda: Framing(hop=0),
    "hop is 2.5": lambda: Framing(hop=2.5),
    "'triangle'.*hamming": lambda: Framing(window="triangle"),
    "'zeros'.*'constant'": lambda: Framing(padding="zeros"),
    "9000 Hz.*8000": lambda: spectrogram.mel_filters(DEFAULT, 40, high=9000),
    "bands hold no frequency bin": lambda: spectrogram.mel_filters(DEFAULT, 200),
    "bands is 0, it must be": lambda: spectrogram.mel_filters(DEFAULT, 0),
    "coefficients is 2.5": lambda: spectrogram.dct_matrix(2.5, 13),
    "span is -1 dB": lambda: spectrogram.to_decibels(torch.ones(2, 2), span=-1),
    "span is nan dB": lambda: spectrogram.log_mel(
        noise(600), DEFAULT, spectrogram.mel_filters(DEFAULT), span=math.nan
    ),
    "reference is 0 and floor": lambda: spectrogram.to_decibels(torch.ones(2, 2), reference=0),
    "sample_rate is 16000.0": lambda: Framing(sample_rate=16000.0),
    "'bark'": lambda: spectrogram.mel_filters(DEFAULT, scale="bark"),
    "14.*13 bands": lambda: spectrogram.dct_matrix(14, 13),
    "negative": lambda: spectrogram.to_decibels(-torch.ones(2, 2)),
    "need size 257": lambda: spectrogram.power_spectrogram(
        noise(600), DEFAULT, filters=noise(4, 9)
    ),
    "do not cover 9999": lambda: spectrogram.istft(
        torch.zeros(257, 3, dtype=torch.cfloat), DEFAULT, time=9999
    ),
    "rounds is 0": lambda: spectrogram.griffin_lim(
        torch.ones(257, 9), DEFAULT, time=9, generator=make_generator(0), rounds=0
    ),
}


@pytest.mark.parametrize("message", BAD_INPUT)
def test_bad_input_is_refused_with_the_numbers(message):
    with pytest.raises(ValueError, match=message):
        BAD_INPUT[message]()


@pytest.mark.parametrize("dtype", [torch.int64, torch.half, torch.bfloat16])
def test_a_signal_of_whole_numbers_or_half_precision_is_refused(dtype):
    with pytest.raises(TypeError, match=rf"{dtype}.*32 bits or more.*float"):
        spectrogram.stft(torch.ones(600, dtype=dtype), DEFAULT)


def test_whole_numbers_of_numpy_make_a_framing():
    assert Framing(hop=np.int64(160)) == DEFAULT


@pytest.mark.parametrize("window", ["hann", "blackman"])
def test_what_a_window_hides_at_the_ends_comes_back_with_the_remedy(window):
    signal = noise(4000)
    bare = Framing(window=window, padding="none")
    with pytest.raises(ValueError, match=r"do not cover 3000 samples.*padding='constant'"):
        spectrogram.istft(spectrogram.stft(signal, bare), bare, time=3000)
    padded = Framing(window=window, padding="constant")
    back = spectrogram.istft(spectrogram.stft(signal, padded), padded, time=4000)
    torch.testing.assert_close(back, signal, rtol=0, atol=1e-5)


def test_summary_is_mean_and_deviation_and_forgets_the_order():
    features = noise(2, 5, 30)
    summary = spectrogram.summarise(features)
    np.testing.assert_allclose(summary[:, :5], features.numpy().mean(-1))
    np.testing.assert_allclose(summary[:, 5:], features.numpy().std(-1))
    torch.testing.assert_close(spectrogram.summarise(features.flip(-1)), summary)


@pytest.mark.parametrize(("window_ms", "hop_ms"), [(2, 1), (25, 10), (200, 50)])
def test_the_controls_draw_a_figure_for_every_setting(window_ms, hop_ms):
    figure = spectrogram.explore(
        noise(8000), sample_rate=16000, window_ms=window_ms, hop_ms=hop_ms, highest=4000
    )
    picture, _ = figure.axes
    assert f"{window_ms} ms every {hop_ms} ms" in picture.get_title()
    assert picture.get_ylim()[1] == pytest.approx(4000, abs=20)
