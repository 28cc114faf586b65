"""What goes wrong with receptive fields and with steps, and the sentence that helps."""

from collections.abc import Callable

import numpy as np

from mmlib.homework.comparing import Mistake


def _field(
    kernels: list[int],
    strides: list[int],
    *,
    start: int = 1,
    less: int = 1,
    skips: bool = True,
    own_stride: bool = False,
) -> int:
    """Return the receptive field with one of its rules changed."""
    pixels, apart = start, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        step = apart * stride if own_stride else apart
        pixels += (kernel - less) * step
        apart *= stride if skips else 1
    return pixels


RECEPTIVE_FIELD = (
    Mistake(
        lambda kernels, strides: _field(kernels, strides, skips=False),
        "The strides are ignored: after a stride of 2, neighbouring cells lie 2 pixels apart, so a "
        "later kernel reaches twice as far.",
    ),
    Mistake(
        lambda kernels, strides: _field(kernels, strides, own_stride=True),
        "A layer's own stride was counted too early: it says how far apart the layer's outputs "
        "lie, so it widens the layers after it, not the layer itself.",
    ),
    Mistake(
        lambda kernels, strides: _field(kernels, strides, less=0),
        "Each layer adds too much: a kernel of width k reaches k - 1 cells beyond the one that "
        "is already counted.",
    ),
    Mistake(
        lambda kernels, strides: _field(kernels, strides, start=0),
        "One pixel is missing: without any layer a cell is a pixel and sees 1, not 0.",
    ),
    Mistake(
        lambda kernels, strides: _field(kernels[::-1], strides[::-1]),
        "The layers are taken from the last to the first: kernels[0] is the one that looks at the "
        "picture.",
    ),
    Mistake(
        lambda kernels, strides: int(np.prod(kernels)),
        "The kernels were multiplied. Windows of neighbouring cells overlap: widths add up, and "
        "only the distances between cells multiply.",
    ),
    Mistake(
        lambda kernels, strides: int(np.prod(strides)),
        "This is how far apart neighbouring cells lie. What a cell sees is wider, for the windows "
        "overlap.",
    ),
    Mistake(
        lambda kernels, strides: _field(kernels, strides) ** 2,
        "This is an area: return the width in pixels.",
    ),
)


def _error(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return _softmax(logits) - _one_hot(logits, labels)


def _softmax(logits: np.ndarray, axis: int = 1) -> np.ndarray:
    odds = np.exp(logits - logits.max())
    return odds / odds.sum(axis=axis, keepdims=True)


def _one_hot(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.eye(logits.shape[1])[labels]


def _step(error_of: Callable[..., np.ndarray] = _error) -> Callable[..., np.ndarray]:
    """Return the step with another error of the logits."""

    def formula(weights, features, labels, rate):
        error = error_of(features @ weights, labels)
        return weights - rate * features.T @ error / len(labels)

    return formula


def _one_after_another(weights, features, labels, rate):
    for row, label in zip(features, labels, strict=True):
        weights = _step()(weights, row[None], label[None], rate)
    return weights


def _only_gradient(weights, features, labels, rate):
    return (weights - _step()(weights, features, labels, rate)) / rate


SGD_STEP = (
    Mistake(
        _step(lambda logits, labels: -_error(logits, labels)),
        "The step goes uphill: the gradient points to where the loss grows, so subtract it.",
    ),
    Mistake(
        _only_gradient,
        "This is the gradient: return the weights after the step, weights - rate * gradient.",
    ),
    Mistake(
        lambda weights, features, labels, rate: _step()(
            weights, features, labels, rate * len(labels)
        ),
        "The batch was summed: the loss is the mean over the examples, so divide by their number, "
        "or a larger batch takes a larger step.",
    ),
    Mistake(
        lambda weights, features, labels, rate: _step()(
            weights, features, labels, rate / weights.shape[1]
        ),
        "The gradient is also divided by the number of classes: the mean runs over the examples "
        "only.",
    ),
    Mistake(
        _step(lambda logits, labels: 1 / (1 + np.exp(-logits)) - _one_hot(logits, labels)),
        "Each class has a sigmoid of its own. Here the classes exclude each other: use a softmax, "
        "whose probabilities add up to 1.",
    ),
    Mistake(
        _step(lambda logits, labels: _softmax(logits, axis=0) - _one_hot(logits, labels)),
        "The softmax runs over the examples: it must run over the classes, so that each row adds "
        "up to 1.",
    ),
    Mistake(
        _step(lambda logits, labels: _softmax(logits)),
        "The labels are not used: subtract 1 from each example's probability of its true class.",
    ),
    Mistake(
        _step(lambda logits, labels: logits - _one_hot(logits, labels)),
        "The logits were compared with the labels, which is the gradient of a squared error. Turn "
        "them into probabilities first.",
    ),
    Mistake(
        _one_after_another,
        "The weights were changed after each example. One step uses the same weights for the whole "
        "batch.",
    ),
)


def _adam(
    start: np.ndarray,
    gradients: np.ndarray,
    rate: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    weights: tuple[float, float] = (0.1, 0.001),
    corrected: tuple[bool, bool] = (True, True),
    late: int = 0,
    divide: Callable = lambda mean, square: mean / (np.sqrt(square) + 1e-8),
    keep: bool = False,
) -> np.ndarray:
    """Return Adam's parameters with one of its rules changed."""
    parameters, mean, square = start, 0.0, 0.0
    for step, gradient in enumerate(gradients, start=1 + late):
        mean = betas[0] * mean + weights[0] * gradient
        square = betas[1] * square + weights[1] * gradient**2
        hats = [
            value / (1 - beta**step) if is_corrected else value
            for value, beta, is_corrected in zip((mean, square), betas, corrected, strict=True)
        ]
        mean, square = hats if keep else (mean, square)
        parameters = parameters - rate * divide(*hats)
    return parameters


def _with(**changed) -> Callable[..., np.ndarray]:
    return lambda start, gradients, rate: _adam(start, gradients, rate, **changed)


ADAM = (
    Mistake(
        _with(corrected=(False, False)),
        "The two averages start at 0 and were not corrected for it: divide m by 1 - 0.9^t and v by "
        "1 - 0.999^t.",
    ),
    Mistake(
        _with(corrected=(True, False)),
        "Only m was corrected. v starts at 0 as well and takes a thousand steps to warm up: divide "
        "it by 1 - 0.999^t.",
    ),
    Mistake(
        _with(corrected=(False, True)),
        "Only v was corrected. m starts at 0 as well: divide it by 1 - 0.9^t.",
    ),
    Mistake(
        _with(keep=True),
        "The corrected averages were carried on to the next step. Keep m and v as they are and "
        "correct copies of them.",
    ),
    Mistake(
        _with(late=1),
        "The correction counts one step too many: in the first step t is 1.",
    ),
    Mistake(
        _with(betas=(0.999, 0.9), weights=(0.001, 0.1)),
        "The two factors are swapped: m forgets fast, with 0.9, and v slowly, with 0.999.",
    ),
    Mistake(
        _with(divide=lambda mean, square: mean / (square + 1e-8)),
        "The root is missing: v is an average of squares, and the step is divided by its root.",
    ),
    Mistake(
        _with(divide=lambda mean, square: mean / np.sqrt(square + 1e-8)),
        "Wrong where gradients are tiny: epsilon is added to the root of v, not under the root.",
    ),
    Mistake(
        _with(divide=lambda mean, square: mean / np.sqrt(square)),
        "Wrong where gradients are tiny: add epsilon = 1e-8 to the root of v. It keeps a gradient "
        "of almost nothing from making a full step.",
    ),
    Mistake(
        _with(weights=(1.0, 1.0)),
        "m and v grow like sums: a new gradient enters with weight 1 - 0.9, its square with "
        "1 - 0.999, so that they are averages.",
    ),
    Mistake(
        _with(divide=lambda mean, square: -mean / (np.sqrt(square) + 1e-8)),
        "The steps go uphill: subtract them.",
    ),
    Mistake(
        lambda start, gradients, rate: start - rate * gradients.sum(axis=0),
        "This is plain gradient descent: Adam averages the gradients and divides by their usual "
        "size.",
    ),
)
