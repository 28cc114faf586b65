"""Power, log-mel and MFCC: ``fast.spectra`` against the chapter, librosa, torchaudio and scipy.

One signal of a minute, and a batch of 64 clips of four seconds, float32 at 16 kHz; 512-point
transforms of 25 ms Hann windows every 10 ms, 64 mel bands, 20 coefficients, all alike. Each
result is compared with librosa's before it is timed.
"""

from collections.abc import Callable

import librosa
import numpy as np
import scipy.signal
import torch
import torchaudio
from torch import Tensor

from experiments.record import Table, versions
from experiments.timing import interleave
from mmlib.fast import spectra
from mmlib.runtime import make_generator
from mmlib.vision_audio import spectrogram
from mmlib.vision_audio.spectrogram import Framing

TITLE = "Sound features: time of fast.spectra, and how many times longer the others take"
ROUNDS = 31
RATE, BANDS, COEFFICIENTS = 16_000, 64, 20
FRAMING = Framing(window="hann")
FILTERS = spectrogram.mel_filters(FRAMING, BANDS)
DCT = spectrogram.dct_matrix(COEFFICIENTS, BANDS)
WINDOW = spectrogram.frame_window(FRAMING)
CUT = {"n_fft": FRAMING.n_fft, "win_length": FRAMING.window_length, "hop_length": FRAMING.hop}
MEL = {"n_mels": BANDS, "pad_mode": "constant", **CUT}
THEIR_MEL = {"sr": RATE, "n_mels": BANDS, "htk": True, "norm": None, **CUT}  # librosa's
THEIR_POWER = torchaudio.transforms.Spectrogram(
    FRAMING.n_fft, FRAMING.window_length, FRAMING.hop, power=2, pad_mode="constant"
)
THEIR_LOG_MEL = torch.nn.Sequential(
    torchaudio.transforms.MelSpectrogram(RATE, **MEL),
    torchaudio.transforms.AmplitudeToDB(top_db=80),
)
THEIR_MFCC = torchaudio.transforms.MFCC(RATE, COEFFICIENTS, melkwargs=MEL)
SCIPY = scipy.signal.ShortTimeFFT(
    scipy.signal.get_window("hann", FRAMING.window_length).astype("float32"),
    FRAMING.hop,
    RATE,
    mfft=FRAMING.n_fft,
)
SIGNALS = {"one signal of 60 s": (60 * RATE,), "64 clips of 4 s": (64, 4 * RATE)}
AGREE = 1e-6  # the largest difference to librosa, relative in norm


def fast_log_mel(signal: Tensor) -> Tensor:
    return spectra.log_mel(signal, WINDOW, FILTERS, hop=FRAMING.hop)


def librosa_log_mel(clip: np.ndarray) -> np.ndarray:
    return librosa.power_to_db(librosa.feature.melspectrogram(y=clip, **THEIR_MEL))


def librosa_mfcc(clip: np.ndarray) -> np.ndarray:
    return librosa.feature.mfcc(S=librosa_log_mel(clip), n_mfcc=COEFFICIENTS)


def contestants(signal: Tensor) -> dict[str, dict[str, Callable]]:
    """Return, for each feature, who computes it and how."""
    clips = signal.numpy()
    return {
        "power": {
            "fast": lambda: spectra.power_spectrogram(signal, WINDOW, hop=FRAMING.hop),
            "chapter": lambda: spectrogram.power_spectrogram(signal, FRAMING),
            "librosa": lambda: np.abs(librosa.stft(clips, **CUT)) ** 2,
            "torchaudio": lambda: THEIR_POWER(signal),
            "scipy": lambda: np.abs(SCIPY.stft(clips)) ** 2,
        },
        "log-mel": {
            "fast": lambda: fast_log_mel(signal),
            "chapter": lambda: spectrogram.log_mel(signal, FRAMING, FILTERS),
            "librosa": lambda: librosa_log_mel(clips),
            "torchaudio": lambda: THEIR_LOG_MEL(signal),
        },
        "MFCC": {
            "fast": lambda: DCT @ fast_log_mel(signal),
            "chapter": lambda: spectrogram.mfcc(
                signal, FRAMING, FILTERS, coefficients=COEFFICIENTS
            ),
            "librosa": lambda: librosa_mfcc(clips),
            "torchaudio": lambda: THEIR_MFCC(signal),
        },
    }


def difference(signal: Tensor, feature: str, ours: Tensor) -> float:
    """Return how far ``ours`` is from librosa, clip by clip as its cut-off demands, relative."""
    alone = {
        "power": lambda clip: np.abs(librosa.stft(clip, **CUT)) ** 2,
        "log-mel": librosa_log_mel,
        "MFCC": librosa_mfcc,
    }[feature]
    clips = signal.reshape(-1, signal.shape[-1]).numpy()
    theirs = torch.from_numpy(np.stack([alone(clip) for clip in clips])).reshape(ours.shape)
    return float((ours - theirs).norm() / theirs.norm())


def run(rounds: int) -> Table:
    """Time all features of all signals."""
    rows = []
    for name, shape in SIGNALS.items():
        signal = torch.randn(shape, generator=make_generator(0))
        for feature, entrants in contestants(signal).items():
            off = difference(signal, feature, entrants["fast"]())
            if off > AGREE:
                raise AssertionError(f"{feature} of {name} is {off:.1e} off librosa's")
            # a result is dropped before the next call, as in a training loop
            calls = {
                who: (lambda number, call=call: call() is None) for who, call in entrants.items()
            }
            runs = interleave(calls, rounds=rounds)
            ours = runs["fast"].median
            row = {"signal": name, "feature": feature, "fast": 1000 * ours}
            for who in ("chapter", "librosa", "torchaudio", "scipy"):
                row[who] = runs[who].median / ours if who in runs else None
            rows.append({**row, "difference": f"{off:.0e}"})
    return Table(
        columns=[
            {"key": "signal", "label": "Signal"},
            {"key": "feature", "label": "Feature"},
            {"key": "fast", "label": "fast.spectra (ms)", "digits": 1},
            {"key": "chapter", "label": "chapter ×", "digits": 1},
            {"key": "librosa", "label": "librosa ×", "digits": 1},
            {"key": "torchaudio", "label": "torchaudio ×", "digits": 1},
            {"key": "scipy", "label": "scipy ×", "digits": 1},
            {"key": "difference", "label": "difference to librosa"},
        ],
        rows=rows,
        notes=[
            f"Medians over {rounds} interleaved rounds, torch with {torch.get_num_threads()} "
            "threads, each result dropped before the next call; the difference is relative, in "
            "norm.",
            versions("torch", "torchaudio", "librosa", "scipy", "numpy"),
        ],
    )
