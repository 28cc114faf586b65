"""Homework on modality bias: overfitting, its ratio, the best weights and the blended loss."""

import numpy as np

from mmlib.homework.exercise import exercise


@exercise(
    points=1,
    title="How much was learned, how much memorised",
    inputs=lambda rng: [
        {"train": np.sort(rng.uniform(0, 1, n))[::-1].copy(), "validation": rng.uniform(1, 3, n)}
        for n in (3, 4, 6)
    ],
    hints={
        "G is what the validation loss fell by: before minus after.": {"sign": -1},
        "O is the growth of the gap: subtract the gap before training.": {"before": 0},
        "The gap is validation minus training, so that it is large when a model memorises.": {
            "gap": -1
        },
        "G is measured on the validation loss, not on the training loss.": {"learned": True},
    },
)
def gain_and_overfitting(train, validation, *, sign=1, before=1, gap=1, learned=False):
    """Return np.array([G, O]) between the first and the last entry of two curves of losses."""
    apart = gap * (validation - train)
    fell = train if learned else validation
    return np.array([sign * (fell[0] - fell[-1]), apart[-1] - before * apart[0]])


@exercise(
    points=2,
    title="The expected squared ratio",
    inputs=lambda rng: [
        {"weights": w / w.sum(), "along": rng.uniform(0.5, 2, len(w)), "off": off}
        for w in (rng.uniform(0.1, 1, 2), rng.uniform(0.1, 1, 3))
        for off in (rng.normal(size=(5, len(w))),)
    ],
    hints={
        "Square before taking the mean: draws of either sign must not cancel.": {"late": True},
        "The mean goes over the draws; do not sum them.": {"over": np.sum},
        "Overfitting stands above, generalisation below the line.": {"turned": True},
        "Square the whole ratio, its denominator too.": {"below": 1},
    },
)
def squared_ogr(weights, along, off, *, late=False, over=np.mean, turned=False, below=2):
    """Return the mean over draws of (off · w)² / (along · w)²."""
    above, under = off @ weights, along @ weights
    if late:
        return (over(above) / under) ** 2
    if turned:
        return over(under**2 / above**2)
    return over(above**2) / under**below


@exercise(
    points=2,
    title="The best weights",
    inputs=lambda rng: [
        {"gain": rng.uniform(0.2, 2, n) * sign, "overfitting": rng.uniform(0.2, 2, n)}
        for n, sign in ((2, 1.0), (3, 1.0), (3, np.array([1.0, -1.0, 1.0])))
    ],
    hints={
        "The overfitting is squared.": {"power": 1},
        "Divide by the sum: the weights must sum to 1.": {"norm": False},
        "A head whose validation loss rose has a negative G: give it weight 0.": {"low": -np.inf},
        "Large overfitting must make a weight small: divide by it.": {"power": -2},
    },
)
def blend_weights(gain, overfitting, *, power=2, norm=True, low=0.0):
    """Return max(G, 0) / O², divided by the sum."""
    weights = np.maximum(gain, low) / overfitting**power
    return weights / weights.sum() if norm else weights


def _batches(rng):
    return [
        {
            "logits": rng.normal(size=(heads, 4, classes)),
            "labels": rng.integers(0, classes, 4),
            "weights": rng.dirichlet(np.ones(heads)),
        }
        for heads, classes in ((2, 3), (3, 5))
    ]


@exercise(
    points=3,
    title="The blended loss",
    inputs=_batches,
    hints={
        "The weights multiply the losses of the heads, not their logits.": {"blend_logits": True},
        "All heads got the same weight here: use the weights.": {"equal": True},
        "A loss is minus the logarithm of the right class's probability.": {"sign": 1},
        "Take the mean over the items of the batch, not the sum.": {"over": np.sum},
    },
)
def blended_loss(
    logits, labels, weights, *, blend_logits=False, equal=False, sign=-1, over=np.mean
):  # fmt: skip
    """Return Σ_k w_k L_k, L_k the mean cross-entropy of head k; logits (heads, items, classes)."""
    if blend_logits:
        logits, weights = np.tensordot(weights, logits, axes=1)[None], np.ones(1)
    if equal:
        weights = np.full(len(weights), 1 / len(weights))
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    right = logs[:, np.arange(len(labels)), labels]  # (heads, items)
    return weights @ (sign * over(right, axis=1))
