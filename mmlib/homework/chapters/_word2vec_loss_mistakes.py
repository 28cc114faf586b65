"""What goes wrong with the losses of word2vec and their gradients, and the sentence that helps."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mmlib.homework.comparing import Breakdown, Mistake


def _loss(scores: np.ndarray, target: int) -> np.floating:
    return -_log_softmax(scores)[target]


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    scores = scores - scores.max()
    return scores - np.log(np.exp(scores).sum())


def _scores(centres: np.ndarray, contexts: np.ndarray, centre_id: int, **_: int) -> np.ndarray:
    return contexts @ centres[centre_id]


def _with_epsilon(epsilon: float) -> Callable:
    def formula(context_id: int, **rest: Any) -> np.floating:
        return -np.log(np.exp(_log_softmax(_scores(**rest))[context_id]) + epsilon)

    return formula


SOFTMAX_LOSS = (
    Mistake(
        lambda context_id, **rest: -_loss(_scores(**rest), context_id),
        "The sign is wrong: the loss is minus the logarithm, so that it is never negative.",
    ),
    Mistake(
        lambda context_id, **rest: np.exp(-_loss(_scores(**rest), context_id)),
        "This is the probability itself: the loss is minus its logarithm.",
    ),
    Mistake(
        lambda context_id, **rest: -_scores(**rest)[context_id],
        "This is minus the score: to be a probability it must be compared with the scores of "
        "all words, the sum under the fraction.",
    ),
    Mistake(
        lambda context_id, **rest: np.logaddexp(0, -_scores(**rest)[context_id]),
        "This is the logistic loss of one score, as negative sampling uses it. Here the softmax "
        "runs over all words.",
    ),
    Mistake(
        lambda centres, contexts, centre_id, context_id: _loss(
            centres @ contexts[centre_id], context_id
        ),
        "The two tables are swapped: the centre's row comes from centres, W, and all the rows that "
        "it is compared with from contexts, W'.",
    ),
    Mistake(
        lambda centres, contexts, centre_id, context_id: _loss(
            contexts @ centres[context_id], centre_id
        ),
        "The two words are swapped: this is the probability of the centre, given the context.",
    ),
    Mistake(
        lambda centres, contexts, centre_id, context_id: _loss(
            centres @ centres[centre_id], context_id
        ),
        "Both vectors come from centres, W. As a context a word has another vector, its row of "
        "contexts, W'.",
    ),
    Mistake(
        lambda context_id, **rest: _loss(_scores(**rest), context_id) / np.log(2),
        "The logarithm is to base 2: use the natural one, np.log.",
    ),
    Mistake(
        lambda context_id, **rest: -_log_softmax(_scores(**rest)).mean(),
        "This is the mean over all words: only the context's own probability counts.",
    ),
    Mistake(
        lambda context_id, **rest: -_log_softmax(_scores(**rest)),
        "These are the losses of all words: return the one of the context.",
    ),
    *(
        Mistake(
            _with_epsilon(epsilon),
            "A small number was added inside the logarithm. It caps the loss where the probability "
            "is tiny: write log p as score - log(sum), and nothing needs to be added.",
        )
        for epsilon in (1e-300, 1e-20, 1e-16, 1e-15, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)
    ),
)
_TOO_LARGE = 700  # exp of more has no place in a 64-bit float, exp of less than minus that is 0


SOFTMAX_BREAKDOWNS = (
    Breakdown(
        lambda case: case.truth > _TOO_LARGE,
        "Infinite where the context is very unlikely: its probability is rounded to 0 before "
        "the logarithm is taken. Write log p as score - log(sum) and never form p.",
    ),
    Breakdown(
        lambda case: True,
        "Right for small scores, NaN or infinite for large ones: np.exp overflows. Subtract the "
        "largest score from all of them first; the probabilities stay the same.",
    ),
)


def _sigmoid(scores: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-scores))


def _gradients(
    error_of: Callable[[np.ndarray], np.ndarray],
    back: Callable[..., tuple] = lambda error, columns, centre: (
        error @ columns,
        np.outer(error, centre),
    ),
) -> Callable:
    """Return the formula with another error of the scores, or another way back from the errors."""

    def formula(centre: np.ndarray, context: np.ndarray, negatives: np.ndarray) -> np.ndarray:
        columns = np.vstack([context, negatives])
        return np.vstack(back(error_of(columns @ centre), columns, centre))

    return formula


def _error(scores: np.ndarray) -> np.ndarray:
    return _sigmoid(scores) - _label(scores)


def _label(scores: np.ndarray) -> np.ndarray:
    return np.eye(len(scores))[0]


def _softmax_error(scores: np.ndarray) -> np.ndarray:
    return np.exp(_log_softmax(scores)) - _label(scores)


def _mean_error(scores: np.ndarray) -> np.ndarray:
    return _error(scores) / np.where(_label(scores) == 1, 1, len(scores) - 1)


def _negated_negatives(scores: np.ndarray) -> np.ndarray:
    signs = 2 * _label(scores) - 1
    return _sigmoid(signs * scores) - _label(scores)


def _squared_error(scores: np.ndarray) -> np.ndarray:
    """Return the derivative of minus the sum of sigmoids, without their logarithms."""
    return _sigmoid(scores) * _sigmoid(-scores) * (1 - 2 * _label(scores))


NEGATIVE_SAMPLING_GRADIENTS = (
    Mistake(
        _gradients(lambda scores: -_error(scores)),
        "The sign is wrong: this is the way downhill, minus the gradient.",
    ),
    Mistake(
        _gradients(_sigmoid),
        "The context is treated as noise: its error is sigmoid(score) - 1, since its label is 1.",
    ),
    Mistake(
        _gradients(lambda scores: _sigmoid(scores) - 1),
        "The negatives are treated as true contexts: their label is 0, "
        "so their error is sigmoid(score) alone.",
    ),
    Mistake(
        _gradients(_mean_error),
        "The negatives are averaged: the loss has their sum.",
    ),
    Mistake(
        _gradients(_negated_negatives),
        "The error of a negative is sigmoid(score), not sigmoid(-score): the derivative of "
        "-log sigmoid(-x) is sigmoid(x).",
    ),
    Mistake(
        _gradients(_squared_error),
        "The logarithm was forgotten: this differentiates sigmoid, not log sigmoid. "
        "With the logarithm the error is simply sigmoid(score) - label.",
    ),
    Mistake(
        _gradients(_softmax_error),
        "A softmax runs over the context and the negatives. In negative sampling each score has "
        "a sigmoid of its own.",
    ),
    Mistake(
        _gradients(_error, lambda e, columns, centre: (e[0] * columns[0], np.outer(e, centre))),
        "The centre's gradient has the context's share only: each negative adds its error times "
        "its vector.",
    ),
    Mistake(
        _gradients(_error, lambda e, columns, centre: (e[1:] @ columns[1:], np.outer(e, centre))),
        "The centre's gradient has the negatives' share only: the context adds its error times "
        "its vector.",
    ),
    Mistake(
        _gradients(_error, lambda e, columns, centre: (e @ columns, e[:, None] * columns)),
        "Contexts and negatives are moved along their own vectors: the derivative of n . v "
        "by n is v, the centre.",
    ),
    Mistake(
        _gradients(_error, lambda e, columns, centre: (e.sum() * centre, np.outer(e, centre))),
        "The centre is moved along itself: the derivative of n . v with respect to v is n, the "
        "other vector.",
    ),
    Mistake(
        _gradients(_error, lambda e, columns, centre: (np.outer(e, centre), e @ columns)),
        "The rows are in another order: the centre's gradient comes first, then the context's, "
        "then the negatives'.",
    ),
)
