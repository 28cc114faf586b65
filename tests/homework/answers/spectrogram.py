"""Right and wrong answers to the homework on sound, as students would write them.

``RIGHT``: for each function, different ways that must pass. ``WRONG``: for each function, a word
that the hint must hold, which names the cause, and the answer that must fail.
"""

import cmath
import math

import numpy as np
import scipy.signal


def count_by_walking(samples, window, hop):
    count, start = 0, 0
    while start + window <= samples:
        count, start = count + 1, start + hop
    return count


def count_by_range(samples, window, hop):
    return len(range(0, samples - window + 1, hop))


def hamming_in_a_loop(length):
    values = []
    for n in range(length):
        values.append(0.54 - 0.46 * math.cos(2 * math.pi * n / length))
    return values


def hamming_by_trimming(length):
    return np.hamming(length + 1)[:-1].astype(np.float32)


def power_by_definition(frame):
    size = len(frame)
    power = np.zeros(size // 2 + 1)
    for k in range(size // 2 + 1):
        total = 0
        for n in range(size):
            total += frame[n] * cmath.exp(-2j * math.pi * k * n / size)
        power[k] = abs(total) ** 2
    return power


def power_by_matrix(frame):
    size = len(frame)
    angles = 2 * np.pi * np.outer(np.arange(size // 2 + 1), np.arange(size)) / size
    return (np.cos(angles) @ frame) ** 2 + (np.sin(angles) @ frame) ** 2


def spectrogram_in_a_loop(signal, window, hop):
    columns, start = [], 0
    while start + len(window) <= len(signal):
        columns.append(np.abs(np.fft.rfft(signal[start : start + len(window)] * window)) ** 2)
        start += hop
    return np.stack(columns, axis=1)


def spectrogram_by_indexing(signal, window, hop):
    count = 1 + (len(signal) - len(window)) // hop
    index = np.arange(len(window))[:, None] + hop * np.arange(count)
    spectrum = np.fft.rfft(signal[index] * window[:, None], axis=0)
    return (spectrum * spectrum.conj()).real


def mel_in_loops(rate, n_fft, n_mels):
    top = 2595 * math.log10(1 + rate / 1400)
    corners = [700 * (10 ** (i * top / (n_mels + 1) / 2595) - 1) for i in range(n_mels + 2)]
    filters = np.zeros((n_mels, n_fft // 2 + 1))
    for m in range(n_mels):
        for k in range(n_fft // 2 + 1):
            f = k * rate / n_fft
            if corners[m] < f <= corners[m + 1]:
                filters[m, k] = (f - corners[m]) / (corners[m + 1] - corners[m])
            elif corners[m + 1] < f < corners[m + 2]:
                filters[m, k] = (corners[m + 2] - f) / (corners[m + 2] - corners[m + 1])
    return filters


def mel_by_interpolation(rate, n_fft, n_mels):
    top = 1127.01048 * np.log1p(rate / 2 / 700)  # the same scale with natural logarithms
    corners = 700 * np.expm1(np.linspace(0, top, n_mels + 2) / 1127.01048)
    freqs = np.linspace(0, rate / 2, n_fft // 2 + 1)
    return [np.interp(freqs, corners[m : m + 3], [0, 1, 0]) for m in range(n_mels)]


def autocorrelation(signal, rate):
    """Of each lag, averaged over the samples that overlap."""
    samples = len(signal)
    power = np.abs(np.fft.rfft(signal, 2 * samples)) ** 2
    return np.fft.irfft(power)[:samples] / (samples - np.arange(samples))


def pitch_by_autocorrelation(signal, rate):
    similar = autocorrelation(signal, rate)
    low, high = int(rate / 420), int(rate / 75)
    peaks, _ = scipy.signal.find_peaks(similar[: high + 2])
    peaks = peaks[peaks >= low]
    lag = peaks[similar[peaks] > 0.8 * similar[peaks].max()][0]
    before, here, after = similar[lag - 1 : lag + 2]
    return rate / (lag + 0.5 * (before - after) / (before - 2 * here + after))


def pitch_by_comb(signal, rate):
    size = 1 << 17
    level = np.abs(np.fft.rfft(signal * np.hanning(len(signal)), size))
    pitches = np.geomspace(75, 420, 1200)
    on = np.rint(np.outer(pitches, np.arange(1, 9)) * size / rate).astype(int)
    between = np.rint(np.outer(pitches, np.arange(1, 9) - 0.5) * size / rate).astype(int)
    last = len(level) - 1
    score = level[np.minimum(on, last)].sum(1) - level[np.minimum(between, last)].sum(1)
    return float(pitches[score.argmax()])


RIGHT = {
    "frame_count": [count_by_walking, count_by_range],
    "hamming": [hamming_in_a_loop, hamming_by_trimming],
    "dft_power": [power_by_definition, power_by_matrix],
    "power_spectrogram": [spectrogram_in_a_loop, spectrogram_by_indexing],
    "mel_filters": [mel_in_loops, mel_by_interpolation],
    "detect_pitch": [pitch_by_autocorrelation, pitch_by_comb],
}


def loud_bin(signal, rate):
    return int(np.abs(np.fft.rfft(signal)).argmax())


def crossings(signal, rate):
    return np.count_nonzero(np.diff(signal > 0)) * rate / len(signal) / 2


def longest_lag(signal, rate):
    similar = autocorrelation(signal, rate)
    lag = rate // 60
    return rate / (lag + similar[lag : rate // 20].argmax())


def whole_lag(signal, rate):
    return round(rate / pitch_by_autocorrelation(signal, rate))


def best_whole_lag(signal, rate):
    """Of the lags from 400 Hz down to 80 Hz the best, as np.correlate has it."""
    similar = np.correlate(signal, signal, "full")[len(signal) - 1 :]
    first = int(rate / 400)
    return rate / (first + similar[first : int(rate / 80) + 1].argmax())


def triangles(corners, points):
    rows = [np.interp(points, corners[m : m + 3], [0, 1, 0]) for m in range(len(corners) - 2)]
    return np.array(rows)


def mel_corners(rate, n_mels):
    return 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 1400), n_mels + 2) / 2595) - 1)


def to_mel(hertz):
    return 2595 * np.log10(1 + hertz / 700)


def mel_negative(rate, n_fft, n_mels):
    corners, rows = mel_corners(rate, n_mels), []
    freqs = np.linspace(0, rate / 2, n_fft // 2 + 1)
    for left, peak, right in zip(corners, corners[1:], corners[2:], strict=False):
        rows.append(np.minimum((freqs - left) / (peak - left), (freqs - right) / (peak - right)))
    return np.array(rows)


def mel_unit_area(rate, n_fft, n_mels):
    corners = mel_corners(rate, n_mels)
    return mel_in_loops(rate, n_fft, n_mels) / ((corners[2:] - corners[:-2]) / 2).reshape(-1, 1)


def mel_unit_sum(rate, n_fft, n_mels):
    filters = mel_in_loops(rate, n_fft, n_mels)
    return np.array([row / row.sum() for row in filters])


def mel_on_bins(rate, n_fft, n_mels):
    """As in a widely copied tutorial."""
    bins = np.floor((n_fft + 1) * mel_corners(rate, n_mels) / rate).astype(int)
    filters = np.zeros((n_mels, n_fft // 2 + 1))
    for m in range(1, n_mels + 1):
        for k in range(bins[m - 1], bins[m]):
            filters[m - 1, k] = (k - bins[m - 1]) / (bins[m] - bins[m - 1])
        for k in range(bins[m], bins[m + 1]):
            filters[m - 1, k] = (bins[m + 1] - k) / (bins[m + 1] - bins[m])
    return filters


def centred(signal, window, hop):
    return spectrogram_in_a_loop(np.pad(signal, len(window) // 2, mode="reflect"), window, hop)


def two_sided(signal, window, hop):
    starts = range(0, len(signal) - len(window) + 1, hop)
    return np.array([abs(np.fft.fft(signal[s : s + len(window)] * window)) ** 2 for s in starts]).T


def without_last(signal, window, hop):
    starts = range(0, len(signal) - len(window), hop)
    return np.array([abs(np.fft.rfft(signal[s : s + len(window)] * window)) ** 2 for s in starts]).T


WRONG = {
    "frame_count": [
        ("take the window's length off", lambda s, w, h: s // h),
        ("first window needs no hop", lambda s, w, h: max(0, (s - w) // h)),
        ("padded", lambda s, w, h: s // h + 1),
        ("side by side", lambda s, w, h: s // w),
        ("round down", lambda s, w, h: math.ceil((s - w) / h) + 1),
        ("never negative", lambda s, w, h: (s - w) // h + 1),
        ("fraction", lambda s, w, h: (s - w) / h + 1),
        ("whole number", lambda s, w, h: float(count_by_walking(s, w, h))),
        ("not made of numbers", lambda s, w, h: str(count_by_walking(s, w, h))),
    ],
    "hamming": [
        ("symmetric", lambda n: np.hamming(n)),
        ("Hann", lambda n: 0.5 * (1 - np.cos(2 * np.pi * np.arange(n) / n))),
        ("upside down", lambda n: 0.54 + 0.46 * np.cos(2 * np.pi * np.arange(n) / n)),
        ("swapped", lambda n: 0.46 - 0.54 * np.cos(2 * np.pi * np.arange(n) / n)),
        ("only rises", lambda n: 0.54 - 0.46 * np.cos(np.pi * np.arange(n) / n)),
        ("radians", lambda n: 0.54 - 0.46 * np.cos(np.arange(n) / n)),
        ("from 0", lambda n: 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(1, n + 1) / n)),
        ("shape", lambda n: np.array(hamming_in_a_loop(n + 1))),
        ("NaN", lambda n: np.array(hamming_in_a_loop(n)) * np.nan),
        ("up to a constant", lambda n: np.array(hamming_in_a_loop(n)) / 0.54),
        ("return statement", lambda n: None),
    ],
    "dft_power": [
        ("magnitude", lambda x: power_by_matrix(x) ** 0.5),
        ("mirrors", lambda x: np.abs(np.fft.fft(x)) ** 2),
        ("last frequency", lambda x: (np.abs(np.fft.fft(x)) ** 2)[: len(x) // 2]),
        ("Divided by N:", lambda x: power_by_matrix(x) / len(x)),
        ("Divided by N squared", lambda x: power_by_matrix(x) / len(x) ** 2),
        ("real part of X", lambda x: np.fft.rfft(x).real ** 2),
        ("imaginary part of X", lambda x: np.fft.rfft(x).imag ** 2),
        ("complex number itself", lambda x: np.fft.rfft(x) ** 2),
        ("still complex", lambda x: np.fft.rfft(x)),
        ("is complex", lambda x: power_by_matrix(x).astype(complex)),
    ],
    "power_spectrogram": [
        ("swapped", lambda x, w, h: spectrogram_in_a_loop(x, w, h).T),
        ("not applied", lambda x, w, h: spectrogram_in_a_loop(x, np.ones(len(w)), h)),
        ("twice", lambda x, w, h: spectrogram_in_a_loop(x, w * w, h)),
        ("magnitudes", lambda x, w, h: np.sqrt(spectrogram_in_a_loop(x, w, h))),
        ("side by side", lambda x, w, h: spectrogram_in_a_loop(x, w, len(w))),
        ("center=True", centred),
        ("mirrors", two_sided),
        ("needs + 1", without_last),
    ],
    "mel_filters": [
        (
            "evenly spaced in hertz",
            lambda r, n, m: triangles(
                np.linspace(0, r / 2, m + 2), np.linspace(0, r / 2, n // 2 + 1)
            ),
        ),
        ("equal area", mel_unit_area),
        ("divided by its sum", mel_unit_sum),
        (
            "straight on the mel axis",
            lambda r, n, m: triangles(
                to_mel(mel_corners(r, m)), to_mel(np.linspace(0, r / 2, n // 2 + 1))
            ),
        ),
        ("negative", mel_negative),
        (
            "rate / 2",
            lambda r, n, m: triangles(mel_corners(2 * r, m), np.linspace(0, r / 2, n // 2 + 1)),
        ),
        ("whole frequency bins", mel_on_bins),
        ("swapped", lambda r, n, m: mel_in_loops(r, n, m).T),
    ],
    "detect_pitch": [
        ("harmonic", lambda x, r: loud_bin(x, r) * r / len(x)),
        ("frequency bins", lambda x, r: round(pitch_by_comb(x, r) * len(x) / r)),
        ("periods in samples", whole_lag),
        ("periods in seconds", lambda x, r: 1 / pitch_by_comb(x, r)),
        ("radians per second", lambda x, r: 2 * np.pi * pitch_by_comb(x, r)),
        ("cycles per sample", lambda x, r: pitch_by_comb(x, r) / r),
        ("argument rate", lambda x, r: pitch_by_autocorrelation(x, r) * 8000 / r),
        ("two periods", longest_lag),
        ("parabola", lambda x, r: r / whole_lag(x, r)),
        ("two causes", best_whole_lag),
        ("single crossings", crossings),
        ("same answer", lambda x, r: 200.0),
        ("one finite number", lambda x, r: [pitch_by_comb(x, r)]),
    ],
}
