"""What goes wrong with gradients through a softmax and through a choice."""

from collections.abc import Callable

import numpy as np

from mmlib.homework.comparing import Mistake


def _softmax(scores: np.ndarray) -> np.ndarray:
    odds = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def _through(weights: np.ndarray, by_weight: np.ndarray) -> np.ndarray:
    """Return the gradient by the scores from the one by the weights, both (time, cells)."""
    return weights * (by_weight - (weights * by_weight).sum(axis=-1, keepdims=True))


def _coverage(
    by_weight: Callable = lambda total: -2 * (1 - total),
    back: Callable = _through,
    axis: int = 0,
) -> Callable[..., np.ndarray]:
    """Return the gradient of the penalty with one of its parts changed."""

    def formula(scores):
        weights = _softmax(scores)
        slope = by_weight(weights.sum(axis=axis, keepdims=True))
        return back(weights, np.broadcast_to(slope, weights.shape))

    return formula


COVERAGE_GRADIENT = (
    Mistake(
        _coverage(back=lambda weights, slope: slope),
        "This is the gradient with respect to the weights: lead it back through the softmax to the "
        "scores.",
    ),
    Mistake(
        _coverage(back=lambda weights, slope: weights * (1 - weights) * slope),
        "A score moves its own weight only, by a(1 - a). In a softmax it also lowers all other "
        "weights of the row: subtract the row's mean slope, weighted by the weights.",
    ),
    Mistake(
        _coverage(back=lambda weights, slope: weights * slope),
        "The softmax's sum is forgotten: if one weight grows, the others of the row shrink. "
        "Subtract the row's mean slope, weighted by the weights.",
    ),
    Mistake(
        _coverage(by_weight=lambda total: 2 * (1 - total)),
        "The sign is wrong: in (1 - sum)^2 the sum has a minus, so a factor -1 comes out.",
    ),
    Mistake(
        _coverage(by_weight=lambda total: -(1 - total)),
        "A factor 2 is missing: the derivative of x^2 is 2x.",
    ),
    Mistake(
        _coverage(axis=1),
        "The weights were added over the cells, where the sum is always 1, so the penalty is 0. "
        "Add the weights that one cell gets over time.",
    ),
    Mistake(
        _coverage(by_weight=lambda total: -2 * (1 - total) / total.size),
        "The penalty is a sum over the cells, not a mean.",
    ),
    Mistake(
        lambda scores: _through(_softmax(scores.T).T, -2 * (1 - _softmax(scores.T).T.sum(axis=0))),
        "The softmax runs over time: at each time the weights of all cells must add up to 1.",
    ),
)


def _estimates(scores: np.ndarray, rewards: np.ndarray, baseline: float) -> np.ndarray:
    """Return the estimate for each choice, (choice, cells)."""
    return (rewards - baseline)[:, None] * (np.eye(len(scores)) - _softmax(scores))


def _moments(
    estimate: Callable = _estimates,
    chance_of: Callable = _softmax,
    spread: Callable = lambda chance, values: chance @ (values - chance @ values) ** 2,
) -> Callable[..., np.ndarray]:
    """Return mean and variance with one of their parts changed."""

    def formula(scores, rewards, baseline):
        chance, values = chance_of(scores), estimate(scores, rewards, baseline)
        return np.stack([chance @ values, spread(chance, values)])

    return formula


def _slope_of_probability(scores, rewards, baseline):
    chance = _softmax(scores)
    return _estimates(scores, rewards, baseline) * chance[:, None]


def _without_probability(scores, rewards, baseline):
    return (rewards - baseline)[:, None] * np.eye(len(scores))


def _mean_shifted(scores, rewards, baseline):
    mean, variance = _moments()(scores, rewards, baseline)
    return np.stack([mean - baseline, variance])


REINFORCE = (
    Mistake(
        _moments(lambda s, r, b: _estimates(s, r, 0)),
        "The baseline is not used. The mean is right without it, which is its point, but the "
        "variance is not: subtract it from the reward.",
    ),
    Mistake(
        _moments(lambda s, r, b: _estimates(s, r, -b)),
        "The baseline was added: subtract it from the reward.",
    ),
    Mistake(
        _moments(chance_of=lambda scores: np.full(len(scores), 1 / len(scores))),
        "All choices count the same: weigh each by its probability.",
    ),
    Mistake(
        _moments(_without_probability),
        "The derivative of ln p[i] with respect to the scores is 1 at i minus p: the softmax's "
        "sum, minus p, is missing.",
    ),
    Mistake(
        _moments(_slope_of_probability),
        "This differentiates p[i], not ln p[i]. The choice itself brings the factor p[i], for "
        "likely cells are chosen more often.",
    ),
    Mistake(
        _moments(lambda *inputs: -_estimates(*inputs)),
        "The sign is wrong: the reward is to grow, so this gradient points uphill.",
    ),
    Mistake(
        _moments(spread=lambda chance, values: chance @ values**2),
        "This is the mean of the squares: the variance also subtracts the square of the mean.",
    ),
    Mistake(
        _moments(spread=lambda chance, values: np.sqrt(chance @ (values - chance @ values) ** 2)),
        "This is the standard deviation: the variance is its square.",
    ),
    Mistake(
        _moments(spread=lambda chance, values: values.var(axis=0)),
        "The variance takes all choices to be equally likely: weigh each by its probability.",
    ),
    Mistake(
        _mean_shifted,
        "The baseline was subtracted from the mean as well: it belongs to the reward only.",
    ),
)
