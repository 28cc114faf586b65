"""The judge of a pitch detector: how often it is right, and how it errs when it is not."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmlib.homework.comparing import to_array
from mmlib.homework.exercises import Case, describe_call

CLOSE = 0.005  # relative error that still counts as right
ENOUGH = 0.9  # share of the tones that must be right
_SAME_CAUSE = 0.7  # share of the errors that one cause, or two, must explain for a hint to name it


def judge_pitch(cases: Sequence[Case], answers: Sequence[Any]) -> str | None:
    """Return None if enough answers are within ``CLOSE`` of the true pitch in hertz."""
    for case, answer in zip(cases, answers, strict=True):
        array = to_array(answer)
        if array.shape != () or array.dtype.kind not in "iuf" or not np.isfinite(array):
            call = describe_call("detect_pitch", case.inputs)
            return f"The answer to {call} must be one finite number, a frequency in hertz."
    truth = np.array([case.truth for case in cases])
    rate = np.array([case.inputs["rate"] for case in cases])
    answer = np.array(answers, dtype=float)
    right = np.abs(answer / truth - 1) <= CLOSE
    if right.mean() >= ENOUGH:
        return None
    return (
        _wrong_unit(truth, rate, answer, [len(case.inputs["signal"]) for case in cases])
        or _wrong_rate(rate, right)
        or _pattern(answer / truth, right)
        or _examples(truth, answer, right)
    )


def _wrong_unit(
    truth: np.ndarray, rate: np.ndarray, answer: np.ndarray, samples: list[int]
) -> str | None:
    """Recognise a right finding that was handed back in another unit."""
    readings = {
        "The answers are periods in samples: the pitch in hertz is rate / period.": rate / truth,
        "The answers are periods in seconds: the pitch in hertz is 1 / period.": 1 / truth,
        "The answers are in radians per second: divide by 2 pi for hertz.": 2 * np.pi * truth,
        "The answers are in cycles per sample: multiply by rate for hertz.": truth / rate,
        "The answers are numbers of frequency bins: bin k lies at k * rate / N hertz.": (
            truth * np.array(samples) / rate
        ),
    }
    for hint, reading in readings.items():
        if np.mean(np.abs(answer / reading - 1) < 0.06) >= 0.5:
            return hint
    if np.ptp(answer) == 0:
        return f"Every tone got the same answer, {answer[0]:.6g} Hz: it must depend on the signal."
    return None


def _wrong_rate(rate: np.ndarray, right: np.ndarray) -> str | None:
    """Recognise a detector that works at one sampling rate only."""
    shares = {int(value): right[rate == value].mean() for value in np.unique(rate)}
    good = [value for value, share in shares.items() if share >= ENOUGH]
    if len(good) == 1 and max(s for v, s in shares.items() if v not in good) < 0.2:
        return (
            f"Right at {good[0]} samples a second, wrong at all other rates: "
            "use the argument rate, not a fixed number."
        )
    return None


def _pattern(ratio: np.ndarray, right: np.ndarray) -> str | None:
    """Recognise what most of the errors have in common, or which two causes explain most."""
    missed = ratio[~right]
    multiple, part = np.rint(missed), np.rint(1 / missed)
    causes = {
        "whole multiples of the pitch: the strongest peak of a spectrum is often a harmonic, not "
        "the fundamental. Look for the spacing of the peaks.": (
            (multiple >= 2) & (multiple <= 8) & (np.abs(missed - multiple) < 0.05)
        ),
        "the pitch divided by a whole number: two periods fit the signal as well as one does. "
        "Take the shortest lag that fits nearly as well.": (
            (part >= 2) & (np.abs(missed * part - 1) < 0.04)
        ),
        f"small but above {CLOSE:.1%}: the grid of lags or frequencies is too coarse. "
        "Fit a parabola through the peak and its two neighbours.": np.abs(missed - 1) < 0.15,
    }
    found = sorted(((int(like.sum()), cause) for cause, like in causes.items()), reverse=True)
    (most, first), (fewer, second), _ = found
    share = f"{right.mean():.0%} of the tones are right, {ENOUGH:.0%} are needed."
    if most >= _SAME_CAUSE * len(missed):
        return f"{share} Most errors are {first}"
    if most + fewer >= _SAME_CAUSE * len(missed):
        return (
            f"{share} The errors have two causes. {most} of {len(missed)} are {first} "
            f"{fewer} of {len(missed)} are {second}"
        )
    return None


def _examples(truth: np.ndarray, answer: np.ndarray, right: np.ndarray) -> str:
    worst = np.argsort(-np.abs(np.log(np.abs(answer / truth) + 1e-12)))[:3]
    pairs = ", ".join(f"{truth[i]:.1f} Hz was heard as {answer[i]:.1f} Hz" for i in worst)
    return (
        f"{right.mean():.0%} of the tones are right, {ENOUGH:.0%} are needed, and the errors have "
        f"no single cause: {pairs}. Noise moves single samples and single crossings; "
        "use the whole signal, as autocorrelation does."
    )
