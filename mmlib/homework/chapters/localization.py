"""Homework on localising sounds: attention by cosine, the triplet loss, consensus IoU, its AUC."""

import numpy as np

from mmlib.homework.exercise import exercise


def _unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _softmax(scores):
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


def _grids(rng):
    """Rows and columns differ in number; the sound is like one of the cells."""
    cases = []
    for rows, columns, dim in ((2, 3, 4), (3, 2, 3), (4, 4, 5)):
        cells = rng.normal(size=(rows, columns, dim)) * rng.uniform(0.3, 3, (rows, columns, 1))
        cases.append({"cells": cells, "sound": 2 * cells[-1, 0] + rng.normal(size=dim)})
    return cases


@exercise(
    points=2,
    title="Where the sound attends",
    inputs=_grids,
    hints={
        "The cells were not scaled to length 1.": {"scale_cells": lambda cells: cells},
        "The sound was not scaled to length 1.": {"scale_sound": lambda sound: sound},
        "The ReLU is missing: negative cosines count as 0.": {"relu": lambda scores: scores},
        "The softmax is missing: the weights must sum to 1.": {"normalise": lambda scores: scores},
        "The softmax runs within each row: it runs over all cells of the picture.": {
            "normalise": lambda scores: np.stack([_softmax(row) for row in scores])
        },
    },
)
def attention_map(
    cells, sound, *, scale_cells=_unit, scale_sound=_unit, normalise=_softmax,
    relu=lambda scores: np.maximum(0, scores),
):  # fmt: skip
    """Return the softmax over the cells of ReLU(cosine), (rows, columns)."""
    return normalise(relu(scale_cells(cells) @ scale_sound(sound)))


def _triplets(rng):
    """Distances near and far; in the last batch their exponentials overflow."""
    cases = []
    for batch, dim, scale in ((1, 3, 1), (4, 4, 1), (6, 3, 1), (3, 4, 1000)):
        z, own, other = scale * rng.normal(size=(3, batch, dim))
        other[0] = z[0] + rng.normal(size=dim)  # at least one pair is told apart wrongly
        cases.append({"attended": z, "own": own, "other": other})
    return cases


def _shares(near, far):
    half = np.tanh((near - far) / 2) / 2  # never overflows
    return 0.5 + half, 0.5 - half


def _overflowing(near, far):
    return np.exp(near) / (np.exp(near) + np.exp(far)), np.exp(far) / (np.exp(near) + np.exp(far))


@exercise(
    points=3,
    title="The triplet loss of the unsupervised network",
    inputs=_triplets,
    hints={
        "Exponentials of large distances overflow: subtract the larger first.": {
            "shares": _overflowing
        },
        "Own and other sound are swapped: the own sound's share must become 0.": {"swap": True},
        "The distances are norms, not squares.": {"distance": lambda x: (x**2).sum(axis=1)},
        "The other sound's share is missing: add (d - 1)² of it.": {"of_other": 0},
        "The shares were not squared.": {"power": 1},
        "The batch was added up: take the mean.": {"mean": np.sum},
    },
)
def triplet_loss(
    attended, own, other, *, shares=_shares, swap=False, of_other=1, power=2, mean=np.mean,
    distance=lambda x: np.linalg.norm(x, axis=1),
):  # fmt: skip
    """Return the mean of d₊² + (d₋ - 1)², d being the softmax of both distances."""
    d_own, d_other = shares(distance(attended - own), distance(attended - other))
    if swap:
        d_own, d_other = d_other, d_own
    return mean(d_own**power + of_other * np.abs(d_other - 1) ** power)


def _votes(rng):
    """Boxes of three people that overlap in part; a heat map that is exact at the threshold."""
    cases = []
    for size in (5, 6, 8, 9):
        votes = np.zeros((size, size), dtype=int)
        for _ in range(3):
            top, left = rng.integers(0, size - 3, 2)
            votes[top : top + 3, left : left + 3] += 1
        heat = np.round(rng.random((size, size)) * 0.6 + 0.3 * (votes > 0), 1)
        cases.append({"heat": heat, "votes": votes, "threshold": 0.5})
    return cases


@exercise(
    points=3,
    title="Consensus IoU",
    inputs=_votes,
    hints={
        "A pixel that one person marked counts half: g = min(1, votes / 2).": {"needed": 1},
        "Two people are enough: g is at most 1.": {"most": np.inf},
        "The claimed pixels that nobody marked are missing in the denominator.": {"false": 0},
        "Add to the denominator only claimed pixels without a vote.": {
            "nobody": lambda votes: votes >= 0
        },
        "Values equal to the threshold are claimed, too.": {"claim": np.greater},
    },
)
def consensus_iou(
    heat, votes, threshold, *, needed=2, most=1, false=1, claim=np.greater_equal,
    nobody=lambda votes: votes == 0,
):  # fmt: skip
    """Return Σ_A g / (Σ g + the number of claimed pixels that nobody marked), one number."""
    agreed, claimed = np.minimum(votes / needed, most), claim(heat, threshold)
    false_claims = false * (claimed & nobody(votes)).sum()
    return agreed[claimed].sum() / (agreed.sum() + false_claims)


@exercise(
    points=2,
    title="The success curve and its area",
    inputs=lambda rng: [{"ious": rng.beta(2, 2, size=n)} for n in (3, 10, 25, 40)],
    hints={
        "These are rectangles: use trapezoids.": {"area": lambda success: success.sum() / 20},
        "These are failures: success is at or above the threshold.": {"succeeds": np.less},
        "The success is asked for at the threshold 0.5.": {"at": 6},
        "The mean IoU is no success rate: count the pictures at or above 0.5.": lambda ious: (
            ious.mean(),
            localization_auc(ious)[1],
        ),
    },
)
def localization_auc(
    ious, *, succeeds=np.greater_equal, at=10,
    area=lambda success: (success[1:] + success[:-1]).sum() / 2 / 20,
):  # fmt: skip
    """Return the success rate at 0.5 and the area under it for 0, 0.05, …, 1."""
    success = succeeds(ious, 0.05 * np.arange(21)[:, None]).mean(axis=1)
    return success[at], area(success)
