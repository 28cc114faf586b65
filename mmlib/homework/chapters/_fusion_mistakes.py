"""What goes wrong where a picture and a question meet, and the sentence that helps."""

from collections.abc import Callable

import numpy as np

from mmlib.homework.comparing import Mistake


def _relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(0, values)


def _normal(grid: np.ndarray, axis: tuple[int, ...] = (1, 2)) -> np.ndarray:
    deviation = np.sqrt(grid.var(axis=axis, keepdims=True) + 1e-5)
    return (grid - grid.mean(axis=axis, keepdims=True)) / deviation


def _modulated(
    *,
    normalise: Callable = _normal,
    one: float = 1,
    swapped: bool = False,
    end: Callable = lambda normal, scale, shift: _relu(scale * normal + shift),
) -> Callable[..., np.ndarray]:
    """Return the block with one of its parts changed."""

    def formula(grid, question, to_scale, to_shift):
        tables = (to_shift, to_scale) if swapped else (to_scale, to_shift)
        scale, shift = ((question @ table)[:, None, None] for table in tables)
        return end(normalise(grid), one + scale, shift)

    return formula


FILM = (
    Mistake(
        _modulated(one=0),
        "The scale is 1 plus what the question says: with the 1 missing, a question that says "
        "nothing would erase the picture.",
    ),
    Mistake(
        _modulated(swapped=True),
        "Scale and shift are swapped: to_scale gives the factor, to_shift what is added.",
    ),
    Mistake(
        _modulated(normalise=lambda grid: grid),
        "The channels were not normalised: bring each to mean 0 and variance 1 over its places, so "
        "that the question alone sets its size.",
    ),
    Mistake(
        _modulated(normalise=lambda grid: _normal(grid, (0,))),
        "Each place was normalised over the channels: normalise each channel over its places, axes "
        "1 and 2.",
    ),
    Mistake(
        _modulated(normalise=lambda grid: _normal(grid, (0, 1, 2))),
        "The whole grid was normalised with one mean and variance: each channel has its own.",
    ),
    Mistake(
        _modulated(end=lambda normal, scale, shift: scale * normal + shift),
        "The ReLU at the end is missing: without it the block is linear in the picture.",
    ),
    Mistake(
        _modulated(end=lambda normal, scale, shift: scale * _relu(normal) + shift),
        "The ReLU comes too early: modulate first, so that the shift decides what is cut off.",
    ),
    Mistake(
        _modulated(end=lambda normal, scale, shift: _relu(scale * (normal + shift))),
        "The shift was added before the scale: multiply first, then add.",
    ),
)


def _hops(
    *,
    score_by: Callable = lambda first, now: now,
    onward: Callable = lambda first, now, seen: now + seen,
    table_of: Callable = lambda hop: hop,
    hops: slice = slice(None),
    weigh: Callable = lambda scores: (
        np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    ),
) -> Callable[..., np.ndarray]:
    """Return stacked attention with one of its parts changed."""

    def formula(grid, question, to_grid, to_question, to_score):
        now = question
        for hop in range(len(to_grid))[hops]:
            k = table_of(hop)
            bent = np.tanh(grid @ to_grid[k] + score_by(question, now) @ to_question[k])
            now = onward(question, now, weigh(bent @ to_score[k]) @ grid)
        return now

    return formula


STACKED_ATTENTION = (
    Mistake(
        _hops(score_by=lambda first, now: first),
        "Each hop asks the first question again: what was seen must change where the next hop "
        "looks, so score with the question as it is by now.",
    ),
    Mistake(
        _hops(onward=lambda first, now, seen: seen),
        "The question is lost after a hop: add what was seen to it.",
    ),
    Mistake(
        _hops(onward=lambda first, now, seen: first + seen),
        "What was seen was added to the first question, and earlier hops are forgotten: add it to "
        "the question as it is by now.",
    ),
    Mistake(
        _hops(table_of=lambda hop: 0),
        "All hops use the tables of the first: hop k has its own, to_grid[k] and so on.",
    ),
    Mistake(
        _hops(hops=slice(None, 1)),
        "Only one hop was made: go through all of them.",
    ),
    Mistake(
        _hops(hops=slice(None, None, -1)),
        "The hops come from the last to the first: begin with hop 0.",
    ),
    Mistake(
        _hops(weigh=lambda scores: scores),
        "The scores are used as weights: put them through a softmax over the cells.",
    ),
    Mistake(
        _hops(weigh=lambda scores: np.full(len(scores), 1 / len(scores))),
        "All cells weigh the same: the question has no say in where to look.",
    ),
)


def _gradient(slope: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Return the gradient where ``slope(upstream, seen, read)`` is that before the first tanh."""

    def formula(pictures, questions, to_picture, to_question, upstream):
        seen, read = np.tanh(pictures @ to_picture), np.tanh(questions @ to_question)
        return pictures.T @ slope(upstream, seen, read)

    return formula


def _right_slope(upstream, seen, read):
    return upstream * read * (1 - seen**2)


def _of_other_table(pictures, questions, to_picture, to_question, upstream):
    return _gradient(_right_slope)(questions, pictures, to_question, to_picture, upstream)


FUSION_GRADIENT = (
    Mistake(
        _gradient(lambda upstream, seen, read: upstream * (1 - seen**2)),
        "The other stream is missing: the derivative of a * b with respect to a is b, so the "
        "question gates what the picture learns.",
    ),
    Mistake(
        _gradient(lambda upstream, seen, read: upstream * read),
        "The tanh is forgotten: on the way back multiply by its derivative, 1 - tanh^2.",
    ),
    Mistake(
        _gradient(lambda upstream, seen, read: upstream * read * (1 - seen)),
        "The derivative of the tanh is 1 - a^2, not 1 - a, where a is its value.",
    ),
    Mistake(
        _gradient(lambda upstream, seen, read: upstream * read * seen * (1 - seen)),
        "This is the derivative of a sigmoid: that of the tanh is 1 - a^2, where a is its value.",
    ),
    Mistake(
        _gradient(lambda upstream, seen, read: upstream * read * (1 - read**2)),
        "The tanh of the question's stream was differentiated: the table of the picture's stream "
        "stands inside the picture's tanh.",
    ),
    Mistake(
        _gradient(lambda upstream, seen, read: upstream * seen * (1 - seen**2)),
        "The picture's own stream was put in as the factor: the derivative of a * b with respect "
        "to a is b.",
    ),
    Mistake(
        lambda **inputs: _gradient(_right_slope)(**inputs) / len(inputs["pictures"]),
        "The batch was averaged: upstream belongs to the loss as it is, so add the examples up.",
    ),
    Mistake(
        _of_other_table,
        "This is the gradient with respect to to_question: to_picture is asked for.",
    ),
)
