"""Homework on Boltzmann machines: free energy, CD, replicated softmax, mean field."""

import numpy as np

from mmlib.homework.exercise import exercise


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _machine(rng, visible, hidden):
    weights = {"W": rng.normal(size=(visible, hidden))}
    return weights | {"b": rng.normal(size=visible), "a": rng.normal(size=hidden)}


def _binary(rng):
    cases = []
    for batch, visible, hidden in ((1, 3, 2), (4, 5, 3), (6, 4, 4)):
        v = rng.integers(0, 2, (batch, visible)).astype(float)
        cases.append({"v": v, **_machine(rng, visible, hidden)})
    return cases


@exercise(
    points=2,
    title="The free energy",
    inputs=_binary,
    hints={
        "The visible biases are missing: F(v) begins with -b·v.": {"visible": 0},
        "The sign is turned: F(v) is minus a logarithm.": {"sign": -1},
        "Sum log(1 + exp(x)) over the hidden units: the 1 stands for h = 0.": {"term": lambda x: x},
        "The hidden biases are missing from x = vW + a.": {"hidden": 0},
        "One value for each row of v: do not sum over the rows.": {"axis": None},
    },
)
def free_energy(
    v, W, b, a, *, visible=1, hidden=1, sign=1, axis=1, term=lambda x: np.logaddexp(0, x)
):  # fmt: skip
    """Return F(v) = -b·v - Σ log(1 + exp(vW + a)), (batch,)."""
    found = visible * (v * b).sum(axis=axis) + term(v @ W + hidden * a).sum(axis=axis)
    return -sign * found


def _chains(rng):
    cases = []
    for case in _binary(rng):
        chain = rng.integers(0, 2, case["v"].shape).astype(float)
        cases.append({"v": case["v"], "chain": chain, "W": case["W"], "a": case["a"]})
    cases[0]["chain"] = 1 - cases[0]["v"]
    return cases


@exercise(
    points=2,
    title="The gradient of contrastive divergence",
    inputs=_chains,
    hints={
        "The sign is turned: data minus model raises the likelihood.": {"sign": -1},
        "Divide both sums by the number of rows.": {"mean": False},
        "The hidden probabilities of the chain must come from the chain.": {"own": False},
        "Use probabilities σ(vW + a) for h, not the input vW + a itself.": {
            "activate": lambda x: x
        },
        "The bias a belongs into the hidden probabilities.": {"bias": 0},
    },
)
def cd_gradient(v, chain, W, a, *, sign=1, mean=True, own=True, bias=1, activate=_sigmoid):
    """Return ⟨v h⟩ of the data minus ⟨v h⟩ of the chain's end, (visible, hidden)."""
    rows = len(v) if mean else 1
    data, model = (activate(x @ W + bias * a) for x in (v, chain))
    return sign * (v.T @ data - chain.T @ (model if own else data)) / rows


def _topics(rng):
    cases = []
    for batch, words, hidden in ((1, 3, 2), (4, 6, 3), (5, 5, 5)):
        machine = _machine(rng, words, hidden)
        h = rng.integers(0, 2, (batch, hidden)).astype(float)
        total = rng.integers(2, 9, batch).astype(float)
        cases.append({"h": h, "W": machine["W"], "b": machine["b"], "total": total})
    return cases


@exercise(
    points=2,
    title="Expected word counts of a replicated softmax",
    inputs=_topics,
    hints={
        "These are probabilities: M words give M times as much.": {"words": np.ones_like},
        "The biases b of the words are missing.": {"bias": 0},
        "All words come from one softmax, not from a logistic function each.": {"normalise": False},
        "The softmax goes over the words of each row (axis 1).": {"axis": 0},
    },
)
def expected_counts(h, W, b, total, *, words=np.array, bias=1, normalise=True, axis=1):
    """Return M softmax(hWᵀ + b), (batch, words)."""
    field = h @ W.T + bias * b
    weight = np.exp(field - field.max(axis=axis, keepdims=True)) if normalise else _sigmoid(field)
    share = weight / weight.sum(axis=axis, keepdims=True) if normalise else weight
    return words(total)[:, None] * share


def _deep(rng):
    cases = []
    for batch, visible, first, second, steps in ((1, 3, 2, 2, 1), (4, 4, 3, 2, 3), (3, 5, 4, 4, 2)):
        lower, upper = _machine(rng, visible, first), _machine(rng, first, second)
        v = rng.integers(0, 2, (batch, visible)).astype(float)
        cases.append({"v": v, "W1": lower["W"], "W2": upper["W"], "steps": steps})
        cases[-1] |= {"c1": lower["a"], "c2": upper["a"]}
    return cases


@exercise(
    points=3,
    title="Mean field in a deep Boltzmann machine",
    inputs=_deep,
    hints={
        "The first hidden layer also gets input from the second: add μ2 W2ᵀ.": {"above": 0},
        "Begin with μ2 = ½, not with zeros.": {"start": 0.0},
        "Update μ1 first, then μ2 from the new μ1.": {"simultaneous": True},
        "Repeat both updates so often as steps says.": {"most": 1},
        "These are inputs: the logistic function is missing.": {"activate": lambda x: x},
    },
)
def mean_field(
    v, W1, W2, c1, c2, steps, *, above=1, start=0.5, simultaneous=False, most=None,
    activate=_sigmoid,
):  # fmt: skip
    """Return μ1 (batch, first) and μ2 (batch, second) after so many steps."""
    mu1, mu2 = (np.full((len(v), size), start) for size in W2.shape)
    for _ in range(min(steps, most or steps)):
        old = mu1
        mu1 = activate(v @ W1 + above * mu2 @ W2.T + c1)
        mu2 = activate((old if simultaneous else mu1) @ W2 + c2)
    return mu1, mu2
