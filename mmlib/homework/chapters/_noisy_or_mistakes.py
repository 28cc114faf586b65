"""What goes wrong with a noisy-or and its loss, and the sentence that helps."""

from collections.abc import Callable

import numpy as np

from mmlib.homework.comparing import Breakdown, Mistake


def _loss_of(probability_of: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    """Return the loss with another pooling of the cells' probabilities."""

    def formula(logits, present):
        p = probability_of(1 / (1 + np.exp(-logits)))
        return -np.log(np.where(present == 1, p, 1 - p))

    return formula


def _no_and_yes(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the losses of each word if it is absent, and if it is present."""
    absent = np.logaddexp(0, logits).sum(axis=1)
    return absent, -np.log(-np.expm1(-absent))


def _right_loss(logits: np.ndarray, present: np.ndarray) -> np.ndarray:
    return np.where(present == 1, *_no_and_yes(logits)[::-1])


def _clipped(limit: float) -> Callable[..., np.ndarray]:
    return lambda logits, present: np.minimum(_right_loss(logits, present), limit)


def _every_cell(logits: np.ndarray, present: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, np.where(present[:, None] == 1, -logits, logits)).sum(axis=1)


_CLIPPED = (
    "A small number was added to the probability, or it was kept away from 0 and 1. That caps the "
    "loss, and with it the gradient, just where the network is most wrong: work with logarithms."
)
NOISY_OR_LOSS = (
    Mistake(
        _loss_of(lambda p: p.max(axis=1)),
        "The largest probability was taken. Noisy-or lets all cells speak: multiply the "
        "probabilities that each says no.",
    ),
    Mistake(
        _loss_of(lambda p: p.mean(axis=1)),
        "The cells were averaged: a bird in one cell of many would hardly count. The word is "
        "absent only if every cell says no.",
    ),
    Mistake(
        _loss_of(lambda p: p.prod(axis=1)),
        "This is the probability that the word is in every cell. It is to be in at least one: "
        "1 minus the probability that it is in none.",
    ),
    Mistake(
        lambda logits, present: np.logaddexp(0, np.where(present == 1, -1, 1) * logits.sum(axis=1)),
        "The logits were added and one sigmoid taken: cells that say no then silence the one that "
        "says yes. Pool the probabilities, not the logits.",
    ),
    Mistake(
        _every_cell,
        "Every cell was told the label. The label is for the whole picture: a present word need "
        "not be in every cell.",
    ),
    Mistake(
        lambda logits, present: _right_loss(logits, 1 - present),
        "The two labels are swapped: a present word costs -ln p, an absent one -ln(1 - p).",
    ),
    Mistake(
        lambda logits, present: present * _no_and_yes(logits)[1],
        "Absent words cost nothing here, so a network that says yes to everything would be "
        "perfect: an absent word costs -ln(1 - p).",
    ),
    Mistake(
        lambda logits, present: np.exp(-_no_and_yes(logits)[1]),
        "This is the probability p: return the loss, minus the logarithm of what was right.",
    ),
    Mistake(
        lambda logits, present: -_right_loss(logits, present),
        "The sign is wrong: a loss is minus a logarithm of a probability, so it is not negative.",
    ),
    Mistake(
        lambda logits, present: _right_loss(logits, present).mean(),
        "This is the mean over the words: return the loss of each word.",
    ),
    *(Mistake(_clipped(-np.log(epsilon)), _CLIPPED) for epsilon in 10.0 ** -np.arange(5, 17)),
    Mistake(_clipped(100), _CLIPPED),
)
NOISY_OR_BREAKDOWNS = (
    Breakdown(
        lambda case: case.inputs["logits"].max() < -30,
        "Infinite for a present word where all cells say no: 1 - p is so near 1 that p = 1 - (1 - "
        "p) is rounded to 0. With s = -ln(1 - p), p is 1 - exp(-s), which is -np.expm1(-s).",
    ),
    Breakdown(
        lambda case: case.inputs["logits"].max() > 30,
        "Not finite for an absent word where cells are certain: 1 - sigmoid(z) is rounded to 0, or "
        "exp(z) overflows. Use -ln(1 - sigmoid(z)) = ln(1 + exp(z)), np.logaddexp(0, z).",
    ),
    Breakdown(
        lambda case: True,
        "Right while the cells doubt, not finite where they are certain, both of yes and of no. "
        "Add the logarithms -ln(1 - sigmoid(z)) = np.logaddexp(0, z); never form 1 - p.",
    ),
)
