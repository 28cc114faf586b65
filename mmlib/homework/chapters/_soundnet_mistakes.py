"""What goes wrong with sizes, divergences and a first layer, and the sentence that helps."""

from collections.abc import Callable

import numpy as np

from mmlib.homework.comparing import Breakdown, Mistake


def _lengths(step: Callable[[int, int, int], int]) -> Callable[..., np.ndarray]:
    """Return the lengths with another rule for one layer: step(time, kernel, stride)."""

    def formula(time, kernels, strides):
        lengths = []
        for kernel, stride in zip(kernels, strides, strict=True):
            time = step(time, kernel, stride)
            lengths.append(time)
        return np.array(lengths)

    return formula


_right = _lengths(lambda time, kernel, stride: (time + 2 * (kernel // 2) - kernel) // stride + 1)

LAYER_LENGTHS = (
    Mistake(
        _lengths(lambda time, kernel, stride: (time - kernel) // stride + 1),
        "The padding is missing: half a kernel of zeros stands at both ends.",
    ),
    Mistake(
        _lengths(lambda time, kernel, stride: (time + kernel // 2 - kernel) // stride + 1),
        "Zeros were counted at one end only: half a kernel stands at each of the two.",
    ),
    Mistake(
        _lengths(lambda time, kernel, stride: (time + 2 * (kernel // 2) - kernel) // stride),
        "One step is missing in each layer: the first position counts too, hence + 1.",
    ),
    Mistake(
        _lengths(
            lambda time, kernel, stride: -(-(time + 2 * (kernel // 2) - kernel) // stride) + 1
        ),
        "Rounded up: a kernel that would hang over the end gives no step. Round down.",
    ),
    Mistake(
        _lengths(lambda time, kernel, stride: time // stride),
        "This only divides by the strides: where kernels have even width the padding adds a step.",
    ),
    Mistake(
        lambda time, kernels, strides: np.array(
            [_right(time, [k], [s])[0] for k, s in zip(kernels, strides, strict=True)]
        ),
        "Each layer was given the waveform itself: it hears what the layer before has made.",
    ),
    Mistake(
        lambda time, kernels, strides: _right(time, kernels, strides)[-1:],
        "This is the last layer's length alone: return one number for each layer.",
    ),
    Mistake(
        lambda time, kernels, strides: _right(time, kernels, strides)[::-1],
        "The order is turned round: the first number belongs to the first layer.",
    ),
)


def _softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def _log(values: np.ndarray) -> np.ndarray:
    return np.log(np.where(values > 0, values, 1.0))


def _rows(of_rows: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[..., float]:
    """Return the mean over the batch of what ``of_rows(p, q)`` gives for each class, summed."""

    def formula(teacher, logits):
        return float(np.mean(np.sum(of_rows(teacher, _softmax(logits)), axis=1)))

    return formula


_exact = _rows(lambda p, q: p * (_log(p) - np.log(q)))

DIVERGENCE = (
    Mistake(
        _rows(lambda p, q: q * (np.log(q) - np.log(np.maximum(p, 1e-300)))),
        "Teacher and student are exchanged: weigh by what the teacher says, p, not by q.",
    ),
    Mistake(
        _rows(lambda p, q: -p * np.log(q)),
        "This is the cross-entropy. The divergence is 0 if the student says the same: add the "
        "teacher's part, Σ p log p.",
    ),
    Mistake(
        lambda teacher, logits: _exact(teacher, logits) * len(teacher),
        "The rows were added up: take their mean over the batch.",
    ),
    Mistake(
        lambda teacher, logits: _exact(teacher, logits) / teacher.shape[1],
        "The mean went over the classes too: add over the classes, average over the batch only.",
    ),
    Mistake(
        lambda teacher, logits: _exact(teacher, logits) / np.log(2),
        "These are bits: take the natural logarithm.",
    ),
    Mistake(
        lambda teacher, logits: -_exact(teacher, logits),
        "The sign is turned: a divergence is never negative.",
    ),
    Mistake(
        lambda teacher, logits: float(np.mean(np.sum(teacher * (_log(teacher) - logits), axis=1))),
        "The logits were taken for logarithms of probabilities: their softmax is missing.",
    ),
    Mistake(
        lambda teacher, logits: float(
            np.mean(np.sum(teacher * (_log(teacher) - np.log(_softmax(logits.T).T)), axis=1))
        ),
        "The softmax went over the batch: each row of classes must sum to 1.",
    ),
)
DIVERGENCE_BREAKDOWNS = (
    Breakdown(
        lambda case: bool((case.inputs["teacher"] == 0).any()),
        "Not finite where the teacher is sure: what has probability 0 adds nothing, since p log p "
        "goes to 0. Leave these terms out before you take a logarithm.",
    ),
)


def _heard(
    *,
    turn: bool = False,
    left: int | None = None,
    right: int | None = None,
    bias: float = 1.0,
    rectify: Callable[[np.ndarray], np.ndarray] = lambda x: np.maximum(0, x),
    every: Callable[[int], int] = lambda stride: stride,
) -> Callable[..., np.ndarray]:
    """Return the first layer with one thing done differently."""

    def formula(wave, filters, biases, stride):
        kernel = filters.shape[1]
        ends = (kernel // 2 if left is None else left, kernel // 2 if right is None else right)
        padded = np.pad(wave, ends)
        weights = filters[:, ::-1] if turn else filters
        frames = np.lib.stride_tricks.sliding_window_view(padded, kernel)[:: every(stride)]
        return rectify(weights @ frames.T + bias * biases[:, None])

    return formula


HEAR = (
    Mistake(
        _heard(turn=True),
        "The filters are turned round. What networks call a convolution is a correlation: the "
        "first weight meets the first sample (np.convolve flips, np.correlate does not).",
    ),
    Mistake(
        _heard(left=0, right=0),
        "The padding is missing: half a kernel of zeros stands before and behind the wave.",
    ),
    Mistake(
        _heard(right=0),
        "The wave is padded at its beginning only: the end needs half a kernel of zeros too.",
    ),
    Mistake(
        _heard(bias=0.0),
        "The biases are missing: each filter has one, the same at all steps.",
    ),
    Mistake(
        _heard(rectify=lambda x: x),
        "The ReLU is missing: what is negative becomes 0.",
    ),
    Mistake(
        _heard(rectify=np.abs),
        "Negative values were turned positive: a ReLU makes them 0.",
    ),
    Mistake(
        _heard(every=lambda stride: 1),
        "A step was made at every sample: move on by the stride.",
    ),
    Mistake(
        lambda wave, filters, biases, stride: _heard()(wave, filters, biases, stride).T,
        "The axes are swapped: channels first, then steps.",
    ),
)
