"""The same by other roads: scipy, librosa, torch."""

import librosa
import numpy as np
import scipy.linalg
import torch


def dft_power(frame):
    waves = scipy.linalg.dft(len(frame))[: len(frame) // 2 + 1]
    return abs(waves @ frame) ** 2


def power_spectrogram(signal, window, hop):
    signal, window = torch.tensor(signal), torch.tensor(window)
    stft = torch.stft(
        signal, len(window), hop, window=window, center=False, return_complex=True
    )  # (freqs, frames)
    return stft.abs().numpy() ** 2


def mel_filters(rate, n_fft, n_mels):
    return librosa.filters.mel(
        sr=rate, n_fft=n_fft, n_mels=n_mels, htk=True, norm=None, dtype=float
    )


def detect_pitch(signal, rate):
    pitches = librosa.yin(
        signal, fmin=75, fmax=420, sr=rate, frame_length=rate // 10, hop_length=64,
        trough_threshold=0.3, center=False,
    )  # fmt: skip
    return np.median(pitches)
