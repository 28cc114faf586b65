"""Homework on attention: additive attention, the gate, the doubly stochastic term, REINFORCE."""

import numpy as np

from mmlib.homework.exercise import exercise


def _softmax(scores, axis=-1):
    weights = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return weights / weights.sum(axis=axis, keepdims=True)


def _annotations(rng):
    """All sizes but the number of cells are equal: a swap changes no shape."""
    return [
        {
            "cells": 2 * rng.normal(size=(cells, dim)),
            "hidden": rng.normal(size=dim),
            "cell_weight": rng.normal(size=(dim, dim)),
            "hidden_weight": rng.normal(size=(dim, dim)),
            "score": 2 * rng.normal(size=dim),
        }
        for cells, dim in ((2, 3), (5, 4), (9, 3), (6, 5))
    ]


@exercise(
    points=2,
    title="Additive attention and its context vector",
    inputs=_annotations,
    hints={
        "Without the tanh the hidden state adds the same number to all scores, and the softmax "
        "does not notice: take tanh of the sum.": {"activation": lambda x: x},
        "The hidden state was left out of the scores.": {"query": 0},
        "The softmax over the cells is missing.": {"weigh": lambda scores: scores},
        "The weights are exp(e) without the division by their sum.": {"weigh": np.exp},
        "The projected cells were summed up: sum the annotation vectors, the projections serve the "
        "scores only.": {"values": lambda cells, weight: cells @ weight},
        "The two weight matrices are swapped.": lambda cells, hidden, a, h, score: attend(
            cells, hidden, h, a, score
        ),
    },
)
def attend(
    cells, hidden, cell_weight, hidden_weight, score, *, activation=np.tanh, query=1,
    weigh=_softmax, values=lambda cells, weight: cells,
):  # fmt: skip
    """Return the context vector Σ αᵢ aᵢ, (dim,)."""
    energies = activation(cells @ cell_weight + query * hidden @ hidden_weight) @ score
    return weigh(energies) @ values(cells, cell_weight)


def _gates(rng):
    return [
        {
            "context": rng.normal(size=dim),
            "hidden": rng.normal(size=dim),
            "weight": rng.normal(size=dim),
            "bias": float(rng.normal()),
        }
        for dim in (2, 3, 4, 5)
    ]


@exercise(
    points=1,
    title="The gate of the context vector",
    inputs=_gates,
    hints={
        "The sigmoid is missing: the gate must lie between 0 and 1.": {"squash": lambda x: x},
        "The gate is a sigmoid, not a tanh.": {"squash": np.tanh},
        "The bias is missing.": {"use_bias": 0},
        "The context vector was multiplied by 1 - beta.": {"squash": lambda x: 1 / (1 + np.exp(x))},
        "The hidden state decides on the gate, not the context vector.": {"of_context": True},
    },
)
def gated_context(
    context, hidden, weight, bias, *, squash=lambda x: 1 / (1 + np.exp(-x)), use_bias=1,
    of_context=False,
):  # fmt: skip
    """Return β ẑ with β = σ(h · w + b), (dim,)."""
    return squash((context if of_context else hidden) @ weight + use_bias * bias) * context


@exercise(
    points=3,
    title="The gradient of the doubly stochastic term",
    inputs=lambda rng: [
        {"scores": 2 * rng.normal(size=shape)} for shape in ((1, 3), (2, 4), (4, 4), (6, 3))
    ],
    hints={
        "The factor 2 of the square's derivative is missing.": {"factor": -1},
        "The sign is wrong: the derivative of (1 - x)² is -2 (1 - x).": {"factor": 2},
        "Lead the slopes back through the softmax.": {"back": lambda w, slope: slope + 0 * w},
        "The mean slope is missing.": {"back": lambda weights, slope: weights * slope},
        "The softmax runs over time: it runs over the cells.": {"axis": 0},
        "Compare the sum over time with 1, not each weight.": {"total": lambda weights: weights},
    },
)
def coverage_gradient(
    scores, *, factor=-2, axis=1, total=lambda weights: weights.sum(axis=0),
    back=lambda w, slope: w * (slope - (w * slope).sum(axis=1, keepdims=True)),
):  # fmt: skip
    """Return the gradient of Σᵢ (1 - Σₜ αₜᵢ)² by the scores, (time, cells)."""
    weights = _softmax(scores, axis)
    return back(weights, factor * (1 - total(weights)))


@exercise(
    points=3,
    title="Hard attention and its baseline",
    inputs=lambda rng: [
        {
            "scores": rng.normal(size=cells),
            "rewards": rng.normal(3, 1, size=cells),
            "baseline": float(rng.normal(2, 1)),
        }
        for cells in (2, 3, 5, 6)
    ],
    hints={
        "The baseline was not subtracted from the reward.": {"use_baseline": 0},
        "The baseline was added: subtract it from the reward.": {"use_baseline": -1},
        "Weigh each choice by its probability.": {"weigh": lambda p: np.full_like(p, 1 / len(p))},
        "The sign is wrong: the derivative of ln p_i by e_i is 1 - p_i.": {"sign": -1},
        "The 1 for k = i is missing.": {"own": 0},
        "This is the mean of the squares: the variance is about the mean.": {"centre": 0},
        "This is the standard deviation: the variance is its square.": {"power": 0.5},
    },
)
def reinforce(
    scores, rewards, baseline, *, use_baseline=1, weigh=lambda p: p, sign=1, own=1, centre=1,
    power=1,
):  # fmt: skip
    """Return the exact mean and variance of REINFORCE's gradient estimate, both (cells,)."""
    p = _softmax(scores)
    gain = (rewards - use_baseline * baseline)[:, None]
    estimates = sign * gain * (own * np.eye(len(p)) - p)  # (choice, cells)
    mean = weigh(p) @ estimates
    return mean, (weigh(p) @ (estimates - centre * mean) ** 2) ** power
