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
    framing = Framing(window_length=12, n_fft=16, hop=5, window="hann", center=False)
    signal = noise(60)
    window = np.zeros(16)
    window[2:14] = scipy.signal.get_window("hann", 12)
    expected = stft_from_the_definition(signal.numpy(), window, 5)
    torch.testing.assert_close(spectrogram.stft(signal, framing), expected)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("window", ["hann", "hamming", "blackman"])
def test_stft_is_torch_and_librosa(center, window):
    framing = Framing(window_length=320, hop=100, window=window, center=center)
    signal = noise(3, 4000)
    ours = spectrogram.stft(signal, framing)
    by_torch = torch.stft(
        signal,
        512,
        100,
        320,
        getattr(torch, f"{window}_window")(320, dtype=torch.float64),
        center=center,
        pad_mode="constant",
        return_complex=True,
    )
    by_librosa = librosa.stft(
        signal.numpy(), n_fft=512, hop_length=100, win_length=320, window=window, center=center
    )
    assert relative(ours, by_torch) < 1e-12
    assert relative(ours, by_librosa) < 1e-12


@pytest.mark.parametrize("name", sorted(spectrogram.WINDOWS))
def test_windows_are_scipys(name):
    theirs = scipy.signal.get_window({"rectangular": "boxcar"}.get(name, name), 50)
    ours = spectrogram.make_window(name, 50, like=noise(1))
    np.testing.assert_allclose(ours, theirs, atol=1e-15)


@pytest.mark.parametrize("center", [True, False])
def test_filters_and_the_signal_can_be_learned(center):
    framing = Framing(window_length=16, n_fft=16, hop=8, center=center)
    signal, filters = noise(2, 24), noise(3, 9, seed=1).square()
    both = signal.requires_grad_(), filters.requires_grad_()
    for feature in (
        lambda x, f: spectrogram.log_mel(x, framing, f, span=None),
        lambda x, f: spectrogram.mfcc(x, framing, f, coefficients=2),
    ):
        assert torch.autograd.gradcheck(feature, both)


def test_power_is_the_squared_magnitude_with_all_leading_axes():
    signal = noise(2, 3, 9000)
    power = spectrogram.power_spectrogram(signal, DEFAULT)
    assert power.shape == (2, 3, 257, 57)
    torch.testing.assert_close(power, spectrogram.stft(signal, DEFAULT).abs().square())


@pytest.mark.parametrize("number", [int, np.int64, np.int32])
def test_sizes_may_be_numpys(number):
    framing = Framing(sample_rate=number(8000), window_length=number(200), n_fft=number(256))
    filters = spectrogram.mel_filters(framing, number(20))
    assert spectrogram.mfcc(noise(900), framing, filters, coefficients=number(3)).shape == (3, 6)


def test_power_of_a_batch_is_the_power_of_each():
    signal = noise(4, 3000)
    together = spectrogram.power_spectrogram(signal, DEFAULT)
    apart = torch.stack([spectrogram.power_spectrogram(one, DEFAULT) for one in signal])
    torch.testing.assert_close(together, apart, rtol=0, atol=0)


def test_parseval():
    """Energy is the same on both sides: the mean over all n_fft bins is the frame's energy."""
    framing = Framing(center=False, window="rectangular", window_length=512)
    signal = noise(512)
    power = spectrogram.power_spectrogram(signal, framing)[:, 0]
    both_sides = power[0] + 2 * power[1:-1].sum() + power[-1]
    torch.testing.assert_close(both_sides / 512, signal.square().sum())


def test_linear_and_shifted_by_a_hop():
    framing = Framing(center=False)
    x, y = noise(4000), noise(4000, seed=1)
    both = spectrogram.stft(2 * x - 3 * y, framing)
    apart = 2 * spectrogram.stft(x, framing) - 3 * spectrogram.stft(y, framing)
    torch.testing.assert_close(both, apart)
    later = spectrogram.stft(x[160:], framing)
    torch.testing.assert_close(later, spectrogram.stft(x, framing)[:, 1 : 1 + later.shape[1]])


def test_mel_scale_is_librosas_and_its_own_inverse():
    hertz = torch.linspace(0, 8000, 400, dtype=torch.float64)
    mel = spectrogram.hz_to_mel(hertz)
    np.testing.assert_allclose(mel, librosa.hz_to_mel(hertz.numpy(), htk=True))
    torch.testing.assert_close(spectrogram.mel_to_hz(mel), hertz)


@pytest.mark.parametrize(("rate", "n_fft", "bands"), [(16000, 512, 40), (8000, 256, 40)])
def test_mel_filters_are_librosas_and_torchaudios(rate, n_fft, bands):
    ours = spectrogram.mel_filters(Framing(sample_rate=rate, window_length=200, n_fft=n_fft), bands)
    by_librosa = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=bands, htk=True, norm=None)
    by_torchaudio = torchaudio.functional.melscale_fbanks(
        n_fft // 2 + 1, 0.0, rate / 2, bands, rate
    ).T
    np.testing.assert_allclose(ours, by_librosa, atol=1e-6)
    np.testing.assert_allclose(ours, by_torchaudio, atol=2e-5)


def test_mel_triangles_sum_to_one_between_the_outer_peaks():
    filters = spectrogram.mel_filters(DEFAULT, 30)
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
    sizes = {"n_fft": 512, "hop_length": 160, "win_length": 400, "n_mels": 40}
    mel = {"sr": 16000, "htk": True, "norm": None, **sizes}
    by_librosa = librosa.power_to_db(librosa.feature.melspectrogram(y=signal.numpy(), **mel))
    assert relative(spectrogram.log_mel(signal, framing, filters), by_librosa) < 1e-6
    by_librosa = librosa.feature.mfcc(S=by_librosa, n_mfcc=20)
    by_torchaudio = torchaudio.transforms.MFCC(
        16000, 20, melkwargs={**sizes, "pad_mode": "constant"}
    ).to(dtype)(signal)
    assert relative(ours, by_librosa) < 1e-6
    assert relative(ours, by_torchaudio) < 1e-5


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
    n_fft=st.sampled_from([400, 401, 512]),
)
@settings(max_examples=25, deadline=None)
def test_reconstruction_is_perfect(time, hop, window, n_fft):
    framing = Framing(hop=hop, window=window, n_fft=n_fft)
    signal = noise(2, time)
    covered = time - time % hop  # past the last frame's middle there may be no window
    back = spectrogram.istft(spectrogram.stft(signal, framing), framing, time=covered)
    torch.testing.assert_close(back, signal[..., :covered], atol=1e-9, rtol=0)


@pytest.mark.parametrize("window", sorted(spectrogram.WINDOWS))
@pytest.mark.parametrize("fault", [{"center": False}, {"hop": 401}, {"hop": 400, "center": False}])
def test_what_istft_advises_helps(window, fault):
    """A signal whose frames do not cover it is refused; the error's three remedies suffice."""
    signal = noise(2000)
    bad = Framing(window=window, **fault)
    with pytest.raises(ValueError, match=r"leave \d+ of 2000 samples uncovered, the first at \d+"):
        spectrogram.istft(spectrogram.stft(signal, bad), bad, time=2000)
    good = Framing(window=window, hop=200, center=True)
    back = spectrogram.istft(spectrogram.stft(signal, good), good, time=2000)
    torch.testing.assert_close(back, signal)


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
    "200 samples.*needs 512: pad it": lambda: spectrogram.stft(noise(200), Framing(center=False)),
    "signal is empty": lambda: spectrogram.stft(noise(2, 0), DEFAULT),
    "1 of 2 values": lambda: spectrogram.stft(torch.tensor([0.0, math.nan]), DEFAULT),
    "more than n_fft 512": lambda: Framing(window_length=600),
    "hop is 0": lambda: Framing(hop=0),
    "hop is 2.5": lambda: Framing(hop=2.5),
    "sample_rate is 16000.0": lambda: Framing(sample_rate=16000.0),
    "hop is True": lambda: Framing(hop=True),
    "'triangle'.*hamming": lambda: Framing(window="triangle"),
    "bands hold no frequency bin": lambda: spectrogram.mel_filters(DEFAULT, 200),
    "bands is 0": lambda: spectrogram.mel_filters(DEFAULT, 0),
    "14.*13 bands": lambda: spectrogram.dct_matrix(14, 13),
    "coefficients is 0": lambda: spectrogram.dct_matrix(0, 13),
    "negative": lambda: spectrogram.to_decibels(-torch.ones(2, 2)),
    "span is -3": lambda: spectrogram.to_decibels(torch.ones(2, 2), span=-3),
    "span is nan": lambda: spectrogram.to_decibels(torch.ones(2, 2), span=math.nan),
    "need size 257": lambda: spectrogram.log_mel(noise(600), DEFAULT, noise(4, 9)),
    "of 9999 samples uncovered": lambda: spectrogram.istft(
        torch.zeros(257, 3, dtype=torch.cfloat), DEFAULT, time=9999
    ),
    "rounds is 0": lambda: spectrogram.griffin_lim(
        torch.ones(257, 9), DEFAULT, time=9, generator=make_generator(0), rounds=0
    ),
    "momentum is 1": lambda: spectrogram.griffin_lim(
        torch.ones(257, 9), DEFAULT, time=9, generator=make_generator(0), momentum=1
    ),
}


@pytest.mark.parametrize("message", BAD_INPUT)
def test_bad_input_is_refused_with_the_numbers(message):
    with pytest.raises(ValueError, match=message):
        BAD_INPUT[message]()


@pytest.mark.parametrize("dtype", [torch.int64, torch.float16, torch.bfloat16, torch.cfloat])
def test_a_signal_of_other_numbers_is_refused(dtype):
    with pytest.raises(TypeError, match=rf"{dtype}.*float"):
        spectrogram.stft(torch.zeros(600, dtype=dtype), DEFAULT)


def test_summary_is_mean_and_deviation_and_forgets_the_order():
    features = noise(2, 5, 30)
    summary = spectrogram.summarise(features)
    np.testing.assert_allclose(summary[:, :5], features.numpy().mean(-1))
    np.testing.assert_allclose(summary[:, 5:], features.numpy().std(-1))
    torch.testing.assert_close(spectrogram.summarise(features.flip(-1)), summary)
