"""Homework on SoundNet: from the sizes of its layers to a student that teaches itself.

The references are numpy's, written apart from ``mmlib.vision_audio.soundnet``; the tests hold them
equal to torch's layers and autograd and to scipy. The mistakes that the hints explain stand in
``_soundnet_mistakes`` and ``_student_mistakes``.
"""

from functools import partial

import numpy as np

from mmlib.homework.chapters import _soundnet_mistakes as mistakes
from mmlib.homework.chapters import _student_mistakes as student_mistakes
from mmlib.homework.classifying import judge_classes
from mmlib.homework.comparing import compare, compare_extremes
from mmlib.homework.exercises import Case, Exercise

WORLDS, VIDEOS, KINDS, NEW = 2, 600, 8, 120  # of the open exercise
ENOUGH = 0.85  # share of the names that must be right there
_SENSORS = 40  # numbers that describe a sound there


def _layer_lengths(time: int, kernels: list[int], strides: list[int]) -> np.ndarray:
    """Return the steps after each layer that is padded by half its kernel at both ends."""
    lengths = []
    for kernel, stride in zip(kernels, strides, strict=True):
        time = (time + 2 * (kernel // 2) - kernel) // stride + 1
        lengths.append(time)
    return np.array(lengths)


def _divergence(teacher: np.ndarray, logits: np.ndarray) -> float:
    """Return the mean over the batch of KL(teacher ‖ softmax(logits)), with 0 log 0 = 0."""
    student = _softmax(logits)
    sure = np.where(teacher > 0, teacher, 1.0)
    return float(np.mean(np.sum(teacher * (np.log(sure) - np.log(student)), axis=1)))


def _softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def _hear(wave: np.ndarray, filters: np.ndarray, biases: np.ndarray, stride: int) -> np.ndarray:
    """Return the rectified strided correlation with zero padding, (channels, steps)."""
    kernel = filters.shape[1]
    padded = np.pad(wave, kernel // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, kernel)[::stride]
    return np.maximum(0, filters @ frames.T + biases[:, None])


def _student_gradient(features: np.ndarray, weights: np.ndarray, teacher: np.ndarray) -> np.ndarray:
    """Return the gradient of the mean divergence, over batch and steps, by the head's weights."""
    error = _softmax(features @ weights) - teacher[:, None]  # (batch, steps, classes)
    batch, steps = error.shape[:2]
    return np.einsum("btd,btc->dc", features, error) / (batch * steps)


def _layer_lengths_cases(rng: np.random.Generator) -> list[Case]:
    """Odd and even kernels, several strides, lengths that do not divide."""
    cases = []
    for layers in (1, 2, 3, 4, 7):
        kernels = [int(k) for k in rng.choice([4, 5, 8, 9, 16, 33], layers)]
        kernels[0], kernels[-1] = (8, 5) if layers > 1 else (16, 16)
        strides = [int(s) for s in rng.choice([2, 3, 4], layers)]
        time = int(rng.integers(20_000, 60_000)) * 2 + 1
        inputs = {"time": time, "kernels": kernels, "strides": strides}
        cases.append(Case(inputs, _layer_lengths(**inputs)))
    return cases


def _divergence_cases(rng: np.random.Generator) -> list[Case]:
    """Teachers that doubt, and one that is sure: it gives some classes no chance at all."""
    cases = []
    for batch, classes, sure in ((1, 3, False), (4, 5, False), (6, 4, False), (3, 5, True)):
        teacher = _softmax(2 * rng.normal(size=(batch, classes)))
        if sure:
            teacher[:, rng.permutation(classes)[:2]] = 0
            teacher /= teacher.sum(axis=1, keepdims=True)
        inputs = {"teacher": teacher, "logits": 2 * rng.normal(size=(batch, classes))}
        cases.append(Case(inputs, _divergence(**inputs)))
    return cases


def _hear_cases(rng: np.random.Generator) -> list[Case]:
    cases = []
    for time, channels, kernel, stride in ((20, 2, 4, 2), (41, 3, 6, 3), (33, 5, 8, 4)):
        inputs = {"wave": rng.normal(size=time), "filters": rng.normal(size=(channels, kernel))}
        inputs |= {"biases": rng.normal(size=channels), "stride": stride}
        cases.append(Case(inputs, _hear(**inputs)))
    return cases


def _student_gradient_cases(rng: np.random.Generator) -> list[Case]:
    """Features are as many as classes in one case: a swap of axes changes no shape there."""
    cases = []
    for batch, steps, dim, classes in ((1, 2, 3, 4), (4, 3, 4, 4), (5, 2, 6, 3)):
        inputs = {"features": rng.normal(size=(batch, steps, dim))}
        inputs |= {"weights": rng.normal(size=(dim, classes))}
        inputs["teacher"] = _softmax(2 * rng.normal(size=(batch, classes)))
        cases.append(Case(inputs, _student_gradient(**inputs)))
    return cases


def _name_sounds_cases(rng: np.random.Generator) -> list[Case]:
    """Loud nuisance hides what sounds; the teacher, who sees, is unsure and names nothing."""
    return [_one_world(rng) for _ in range(WORLDS)]


def _one_world(rng: np.random.Generator) -> Case:
    timbres = rng.normal(size=(KINDS, _SENSORS))
    nuisance = rng.normal(size=(14, _SENSORS))
    offset = 10 * rng.normal(size=_SENSORS)

    def sounds(kinds: np.ndarray) -> np.ndarray:
        loud = 3 * rng.normal(size=(len(kinds), len(nuisance))) @ nuisance
        return offset + timbres[kinds] + loud + 0.3 * rng.normal(size=(len(kinds), _SENSORS))

    sounding, beside = rng.integers(KINDS, size=(2, VIDEOS))
    seen = np.eye(KINDS)[sounding] + (rng.random(VIDEOS) < 0.5)[:, None] * np.eye(KINDS)[beside]
    blurred = seen + 0.15 * rng.random((VIDEOS, KINDS))
    names = rng.permutation(KINDS)
    shown, asked = rng.permutation(np.arange(KINDS).repeat(2)), rng.integers(KINDS, size=NEW)
    inputs = {
        "sounds": sounds(sounding),
        "teacher": blurred / blurred.sum(axis=1, keepdims=True),
        "few_sounds": sounds(shown),
        "few_names": names[shown],
        "new_sounds": sounds(asked),
    }
    return Case(inputs, names[asked])


EXERCISES = (
    Exercise(
        "layer_lengths",
        "How long a sound is inside",
        2,
        _layer_lengths_cases,
        partial(compare, mistakes=mistakes.LAYER_LENGTHS),
    ),
    Exercise(
        "divergence",
        "How far from the teacher",
        2,
        _divergence_cases,
        partial(
            compare_extremes,
            mistakes=mistakes.DIVERGENCE,
            breakdowns=mistakes.DIVERGENCE_BREAKDOWNS,
        ),
    ),
    Exercise(
        "hear", "The first layer, by hand", 3, _hear_cases, partial(compare, mistakes=mistakes.HEAR)
    ),
    Exercise(
        "student_gradient",
        "What the student is told",
        4,
        _student_gradient_cases,
        partial(compare, mistakes=student_mistakes.STUDENT_GRADIENT),
    ),
    Exercise(
        "name_sounds",
        "A student of your own",
        5,
        _name_sounds_cases,
        partial(
            judge_classes,
            enough=ENOUGH,
            mistakes=student_mistakes.NAME_SOUNDS,
            advice=student_mistakes.ADVICE,
        ),
    ),
)
