"""What goes wrong with masks and with a glimpse, and the sentence that helps."""

from collections.abc import Callable

import numpy as np

from mmlib.homework.comparing import Breakdown, Mistake


def _softmax(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    odds = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return odds / odds.sum(axis=axis, keepdims=True)


def _hidden(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.where(mask == 1, scores, -np.inf)


MASKED_SOFTMAX = (
    Mistake(
        lambda scores, mask: _softmax(scores) * mask,
        "The masked weights were set to 0 after the softmax, so a row no longer adds up to 1: "
        "divide it by its sum, or mask the scores before.",
    ),
    Mistake(
        lambda scores, mask: _softmax(scores * mask),
        "The masked scores were set to 0. A score of 0 is not *never*, for e^0 is 1: set them to "
        "minus infinity.",
    ),
    Mistake(
        lambda scores, mask: _softmax(scores),
        "The mask is not used: the masked cells get weight.",
    ),
    Mistake(
        lambda scores, mask: _softmax(_hidden(scores, 1 - mask)),
        "The mask is turned around: a cell with mask 1 may be looked at.",
    ),
    Mistake(
        lambda scores, mask: np.nan_to_num(_softmax(_hidden(scores, mask), axis=0)),
        "The softmax runs over the batch: each row must add up to 1.",
    ),
    Mistake(
        lambda scores, mask: scores * mask / (scores * mask).sum(axis=1, keepdims=True),
        "The scores themselves were divided by their sum: scores can be negative, so take their "
        "exponentials first.",
    ),
    Mistake(
        lambda scores, mask: np.exp(scores) * mask,
        "The exponentials do not add up to 1: divide each row by its sum.",
    ),
)
MASKED_SOFTMAX_BREAKDOWNS = (
    Breakdown(
        lambda case: (
            case.inputs["scores"].max()
            > 700 + case.inputs["scores"][case.inputs["mask"] == 1].max()
        ),
        "NaN where a masked score is far above the others: the largest score was taken over all "
        "cells, and next to it the rest is rounded to 0. Mask first, then take the largest.",
    ),
    Breakdown(
        lambda case: True,
        "Right for small scores, NaN for large ones: np.exp overflows, or all of a row is rounded "
        "to 0. Subtract each row's largest score first; the weights stay the same.",
    ),
)


def _glimpse(
    *,
    bend: Callable = np.tanh,
    weigh: Callable = _softmax,
    read: Callable = lambda grid, projected: grid,
    listens: bool = True,
) -> Callable[..., np.ndarray]:
    """Return attention with one of its parts changed."""

    def formula(grid, hidden, to_grid, to_hidden, to_score):
        projected = grid @ to_grid
        scores = bend(projected + listens * (hidden @ to_hidden)) @ to_score
        return weigh(scores) @ read(grid, projected)

    return formula


def _hardest(scores: np.ndarray) -> np.ndarray:
    return np.eye(len(scores))[scores.argmax()]


def _weights(grid, hidden, to_grid, to_hidden, to_score):
    return _softmax(np.tanh(grid @ to_grid + hidden @ to_hidden) @ to_score)


ATTEND = (
    Mistake(
        _glimpse(bend=lambda values: values),
        "The tanh is missing. Without it the hidden state adds the same to all scores, which a "
        "softmax ignores: the decoder could not choose where to look.",
    ),
    Mistake(
        _glimpse(listens=False),
        "The hidden state has no say: it is not used, or added after the tanh, where it moves all "
        "scores alike, which a softmax ignores. Every word would get the same glimpse.",
    ),
    Mistake(
        _glimpse(weigh=lambda scores: scores),
        "The scores are used as weights: put them through a softmax, so that they are positive and "
        "add up to 1.",
    ),
    Mistake(
        _glimpse(weigh=lambda scores: 1 / (1 + np.exp(-scores))),
        "Each cell has a sigmoid of its own: the cells compete, so the weights must be a softmax.",
    ),
    Mistake(
        _glimpse(weigh=_hardest),
        "Only the best cell was taken, which is hard attention: soft attention is a mean of all "
        "cells by their weights.",
    ),
    Mistake(
        _glimpse(weigh=lambda scores: np.full(len(scores), 1 / len(scores))),
        "All cells weigh the same: this is the mean of the grid, without attention.",
    ),
    Mistake(
        _glimpse(read=lambda grid, projected: projected),
        "The projected cells were averaged: the projection only serves the scores, what is read "
        "are the features themselves.",
    ),
    Mistake(
        _weights,
        "These are the weights: return the glimpse, the sum of the cells times their weights.",
    ),
)
