"""Homework on pretraining: receptive field, learning-rate schedule, a step, noisy-or."""

import numpy as np

from mmlib.homework.exercise import exercise


@exercise(
    points=1,
    title="The receptive field of one cell",
    inputs=lambda rng: [
        {"kernels": rng.integers(1, 8, n).tolist(), "strides": rng.integers(1, 4, n).tolist()}
        for n in (1, 2, 3, 3, 4, 5)
    ],
    hints={
        "The strides were ignored: they move outputs apart.": {"spread": lambda apart, stride: 1},
        "Only the stride just below counts here: strides multiply.": {
            "spread": lambda apart, stride: stride
        },
        "A layer's own stride counts only for the layers above it.": {"own": True},
        "A kernel of width k adds k - 1 distances, not k.": {"less": 0},
        "The field starts with one pixel, before any layer.": {"first": 0},
    },
)
def receptive_field(
    kernels, strides, *, spread=lambda apart, stride: apart * stride, own=False, less=1, first=1
):
    """Return how many pixels wide the receptive field of the last layer's cells is."""
    pixels, apart = first, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        after = spread(apart, stride)
        pixels += (kernel - less) * (after if own else apart)
        apart = after
    return pixels


@exercise(
    points=2,
    title="A learning rate that warms up and cools down",
    inputs=lambda rng: [
        {"step": int(step), "steps": 100, "warmup": int(warmup), "peak": float(rng.uniform(0.1, 1))}
        for warmup in rng.integers(8, 20, 3)
        for step in (0, warmup // 2, warmup - 1, warmup, 50, *rng.integers(51, 99, 2), 99)
    ],
    hints={
        "The first step has the rate 0 and learns nothing: step 0 has peak / warmup.": {"first": 0},
        "The warm-up is missing.": {"warm": False},
        "The cosine starts at step 0: it starts where the warm-up ends.": {"start": 0},
        "The rate falls in a straight line: it follows a cosine.": {"cool": lambda part: 1 - part},
        "Half a wave leads from the peak to 0, not a whole one.": {
            "cool": lambda part: (1 + np.cos(2 * np.pi * part)) / 2
        },
        "1 + cos runs from 2 to 0: halve it.": {"cool": lambda part: 1 + np.cos(np.pi * part)},
    },
)
def learning_rate(
    step, steps, warmup, peak, *, first=1, warm=True, start=1,
    cool=lambda part: (1 + np.cos(np.pi * part)) / 2,
):  # fmt: skip
    """Return the rate of one step: linear to ``peak``, then half a cosine down to 0."""
    if warm and step < warmup:
        return peak * (step + first) / warmup
    return peak * cool((step - start * warmup) / (steps - start * warmup))


def _softmax(logits, axis=1):
    weights = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return weights / weights.sum(axis=axis, keepdims=True)


def _batches(rng):
    return [
        {
            "weights": rng.normal(size=(dim, classes)),
            "features": rng.normal(size=(batch, dim)),
            "labels": rng.integers(classes, size=batch),
            "rate": float(rng.uniform(0.1, 2)),
        }
        for batch, dim, classes in ((1, 3, 2), (5, 5, 5), (8, 4, 3))
    ]


@exercise(
    points=3,
    title="One step of gradient descent",
    inputs=_batches,
    hints={
        "The step goes uphill: subtract the gradient.": {"sign": 1},
        "This is the gradient: return the weights after the step.": lambda weights, *others: (
            (weights - sgd_step(weights, *others)) / others[-1]
        ),
        "The learning rate is missing.": lambda weights, features, labels, rate: sgd_step(
            weights, features, labels, 1.0
        ),
        "The loss is a mean: divide by the batch's size.": {"mean": False},
        "The true classes are missing: subtract 1 where c is the true class.": {"label": 0},
        "The softmax is missing: the error is probability minus truth.": {
            "softmax": lambda logits: logits
        },
        "The softmax runs over the examples: it runs over the classes.": {
            "softmax": lambda logits: _softmax(logits, axis=0)
        },
    },
)
def sgd_step(weights, features, labels, rate, *, sign=-1, mean=True, label=1, softmax=_softmax):
    """Return the weights of a linear classifier after one step on the cross-entropy."""
    error = softmax(features @ weights)
    error[np.arange(len(labels)), labels] -= label
    return weights + sign * rate * features.T @ error / (len(labels) if mean else 1)


def _grids(rng):
    """Moderate logits; then cells that are all but certain, rightly and wrongly."""
    present = np.array([1, 0, 1, 0, 1])
    cases = [{"logits": rng.normal(-1, 1.5, size=(5, n)), "present": present} for n in (3, 4, 9)]
    certain = rng.normal(size=(5, 4)) + np.array([-200, 900, -40, -40, 5])[:, None]
    return [*cases, {"logits": certain, "present": present}]


def _naive(logits, present, *, clip=0.0):
    p = 1 - np.prod(1 - 1 / (1 + np.exp(-logits)), axis=1)
    return -np.log(np.clip(np.where(present == 1, p, 1 - p), clip, 1))


@exercise(
    points=3,
    title="Somewhere in the picture",
    inputs=_grids,
    hints={
        "Where cells are all but certain the loss is infinite: 1 - p was rounded. Compute "
        "-log(1 - p) as a sum of np.logaddexp(0, z), and p from it by np.expm1.": _naive,
        "Probabilities were clipped: the loss must not be cut off.": lambda logits, present: _naive(
            logits, present, clip=1e-12
        ),
        "The words' truth is reversed: 1 means that the word is present.": {"present_is": 0},
        "Absent words are treated as present ones: their loss is -log(1 - p).": {"absent": False},
        "The best cell decides here: the noisy-or multiplies over all cells.": {"pool": np.max},
        "The cells' losses were averaged: -log(1 - p) is their sum.": {"pool": np.mean},
    },
)
def noisy_or_loss(logits, present, *, pool=np.sum, present_is=1, absent=True):
    """Return the cross-entropy of each word under a noisy-or over the cells, (words,)."""
    if_absent = pool(np.logaddexp(0, logits), axis=1)  # -log(1 - p)
    if_present = -np.log(-np.expm1(-if_absent))
    return np.where(present == present_is, if_present, if_absent) if absent else if_present
