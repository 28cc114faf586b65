"""Homework on pretraining: from what one cell sees to recognising a class by three examples.

The references are numpy's, written apart from ``mmlib.foundations.pretraining``; the tests hold
them equal to torch's autograd, its Adam and its convolutions. The mistakes that the hints explain
stand in ``_pretraining_mistakes``, ``_noisy_or_mistakes`` and ``_few_shot_mistakes``.
"""

from functools import partial

import numpy as np

from mmlib.homework.chapters import _few_shot_mistakes as few_shot_mistakes
from mmlib.homework.chapters import _noisy_or_mistakes as noisy_or_mistakes
from mmlib.homework.chapters import _pretraining_mistakes as mistakes
from mmlib.homework.classifying import judge_classes
from mmlib.homework.comparing import compare, compare_extremes
from mmlib.homework.exercises import Case, Exercise

TASKS, CLASSES, SHOTS, QUERIES = 5, 6, 3, 80  # of the open exercise
ENOUGH = 0.85  # share of the queries that must be right there
_COLUMNS, _TELLING = 24, 16  # of a feature vector; how many of them depend on the class


def _receptive_field(kernels: list[int], strides: list[int]) -> int:
    """Return how many pixels wide the part of the picture is that one cell depends on."""
    pixels, apart = 1, 1  # apart: pixels between neighbouring cells of the layer so far
    for kernel, stride in zip(kernels, strides, strict=True):
        pixels += (kernel - 1) * apart
        apart *= stride
    return pixels


def _few_shot_split(labels: np.ndarray, scenes: np.ndarray, shots: int) -> np.ndarray:
    """Return 1 for the first pictures of each class, −1 for others of their scenes, else 0."""
    earlier = np.tril(labels[:, None] == labels, -1).sum(axis=1)  # of the same class
    chosen = earlier < shots
    return chosen.astype(int) - (~chosen & np.isin(scenes, scenes[chosen]))


def _sgd_step(
    weights: np.ndarray, features: np.ndarray, labels: np.ndarray, rate: float
) -> np.ndarray:
    """Return the weights after one step on the mean cross-entropy, (features, classes)."""
    logits = features @ weights
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = odds / odds.sum(axis=1, keepdims=True)
    error[np.arange(len(labels)), labels] -= 1
    return weights - rate * features.T @ error / len(labels)


def _noisy_or_loss(logits: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return −ln p where the word is present and −ln(1 − p) where not, (words,)."""
    absent = np.logaddexp(0, logits).sum(axis=1)  # −ln(1 − p)
    return np.where(present == 1, -np.log(-np.expm1(-absent)), absent)


def _adam(start: np.ndarray, gradients: np.ndarray, rate: float) -> np.ndarray:
    """Return the parameters after a step for each row of ``gradients``, (parameters,)."""
    parameters, mean, square = start, 0.0, 0.0
    for step, gradient in enumerate(gradients, start=1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        length = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        parameters = parameters - rate * mean / (1 - 0.9**step) / length
    return parameters


def _receptive_field_cases(rng: np.random.Generator) -> list[Case]:
    """Stacks of three to five layers, strides in any order; then one layer, and none that skips."""
    stacks = [(rng.integers(3, 8, n), rng.integers(1, 4, n)) for n in (3, 4, 5, 3, 4, 5)]
    for _, strides in stacks:
        strides[0], strides[-1] = rng.permutation([2, 3])
    stacks += [(rng.integers(3, 8, 1), np.array([2])), (rng.integers(3, 8, 3), np.ones(3, int))]
    return [
        Case({"kernels": kernels, "strides": strides}, _receptive_field(kernels, strides))
        for pair in stacks
        for kernels, strides in [(pair[0].tolist(), pair[1].tolist())]
    ]


def _few_shot_split_cases(rng: np.random.Generator) -> list[Case]:
    """Scenes show several classes and several pictures each; class 2 is too rare in the last."""
    cases = []
    for pictures, shots in ((40, 2), (60, 3), (80, 1), (60, 4)):
        labels = rng.integers(4, size=pictures)
        scenes = rng.permutation(np.arange(pictures) // 3)
        labels[-4:] = labels[:4] = np.arange(4)
        if shots == 4:
            labels[5:-5][labels[5:-5] == 2] = 1
        inputs = {"labels": labels, "scenes": scenes, "shots": shots}
        cases.append(Case(inputs, _few_shot_split(**inputs)))
    return cases


def _sgd_step_cases(rng: np.random.Generator) -> list[Case]:
    cases = []
    for batch, width, classes in ((1, 3, 2), (5, 4, 3), (16, 6, 5), (4, 4, 4)):
        features, weights = rng.normal(size=(batch, width)), rng.normal(size=(width, classes))
        labels, rate = rng.integers(classes, size=batch), round(rng.uniform(0.2, 0.9), 2)
        inputs = {"weights": weights, "features": features, "labels": labels, "rate": rate}
        cases.append(Case(inputs, _sgd_step(**inputs)))
    return cases


def _noisy_or_loss_cases(rng: np.random.Generator) -> list[Case]:
    """Cells that doubt; cells all but certain of no, of words that are there; and of yes."""
    cases = []
    for low, high, words in ((-3, 1, 8), (-2, 0, 6), (-200, -40, 5), (40, 90, 5), (800, 990, 3)):
        logits = rng.uniform(low, high, size=(words, int(rng.integers(3, 9))))
        present = rng.permutation(np.arange(words) % 2)
        if abs(high) > 10:
            present[:] = high < 0
        inputs = {"logits": logits, "present": present}
        cases.append(Case(inputs, _noisy_or_loss(**inputs)))
    return cases


def _adam_cases(rng: np.random.Generator) -> list[Case]:
    """Parameters with gradients of very different size; in the last so small that ε counts."""
    cases = []
    for steps, width, size in ((1, 3, 1), (2, 4, 1), (7, 3, 1), (40, 5, 1), (5, 3, 1e-7)):
        drift = rng.normal(size=width) * 10.0 ** rng.integers(-2, 2, width)
        gradients = size * drift * rng.normal(1, 0.8, size=(steps, width))
        rate = round(rng.uniform(0.02, 0.2), 3)
        inputs = {"start": rng.normal(size=width) * 0.2, "gradients": gradients, "rate": rate}
        cases.append(Case(inputs, _adam(**inputs)))
    return cases


def _few_shot_classes_cases(rng: np.random.Generator) -> list[Case]:
    """Vectors as a pretrained network gives them: some columns are large and tell nothing."""
    cases = []
    for _ in range(TASKS):
        telling = rng.permutation(_COLUMNS) < _TELLING
        centres = rng.normal(size=(CLASSES, _COLUMNS)) * telling
        size = np.where(telling, rng.uniform(0.3, 1.5, _COLUMNS), rng.uniform(5, 12, _COLUMNS))
        offset = 2 * size * rng.normal(size=_COLUMNS)
        shown = rng.permutation(np.arange(CLASSES).repeat(SHOTS))
        asked = rng.integers(CLASSES, size=QUERIES)
        features, queries = (
            (centres[which] + rng.normal(0, 0.6, (len(which), _COLUMNS))) * size + offset
            for which in (shown, asked)
        )
        names = rng.choice(90, CLASSES, replace=False)
        inputs = {"features": features, "labels": names[shown], "queries": queries}
        cases.append(Case(inputs, names[asked]))
    return cases


EXERCISES = (
    Exercise(
        "receptive_field",
        "What one cell sees",
        1,
        _receptive_field_cases,
        partial(compare, mistakes=mistakes.RECEPTIVE_FIELD),
    ),
    Exercise(
        "few_shot_split",
        "A test that has not been seen",
        2,
        _few_shot_split_cases,
        partial(compare, mistakes=few_shot_mistakes.FEW_SHOT_SPLIT),
    ),
    Exercise(
        "sgd_step",
        "One step downhill",
        2,
        _sgd_step_cases,
        partial(compare, mistakes=mistakes.SGD_STEP),
    ),
    Exercise(
        "noisy_or_loss",
        "Somewhere in the picture",
        3,
        _noisy_or_loss_cases,
        partial(
            compare_extremes,
            mistakes=noisy_or_mistakes.NOISY_OR_LOSS,
            breakdowns=noisy_or_mistakes.NOISY_OR_BREAKDOWNS,
        ),
    ),
    Exercise("adam", "Adam by hand", 3, _adam_cases, partial(compare, mistakes=mistakes.ADAM)),
    Exercise(
        "few_shot_classes",
        "Know it again after three examples",
        5,
        _few_shot_classes_cases,
        partial(
            judge_classes,
            enough=ENOUGH,
            mistakes=few_shot_mistakes.FEW_SHOT_CLASSES,
            advice=few_shot_mistakes.ADVICE,
        ),
    ),
)
