"""What goes wrong with the gates of an LSTM and with a step of beam search."""

from collections.abc import Callable, Sequence

import numpy as np

from mmlib.homework.comparing import Mistake


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def _lstm(
    *,
    order: Sequence[int] = (0, 1, 2, 3),
    swapped: bool = False,
    with_bias: bool = True,
    candidate: Callable = np.tanh,
    renew: Callable = lambda admit, forget, new, cell: forget * cell + admit * new,
    show: Callable = lambda gate, cell, old: gate * np.tanh(cell),
) -> Callable[..., np.ndarray]:
    """Return the step with one of its parts changed."""

    def formula(word, hidden, cell, weights, bias):
        read = np.concatenate([hidden, word] if swapped else [word, hidden])
        gates = (weights @ read + bias * with_bias).reshape(4, -1)[list(order)]
        admit, forget, gate = _sigmoid(gates[[0, 1, 3]])
        after = renew(admit, forget, candidate(gates[2]), cell)
        return np.stack([show(gate, after, cell), after])

    return formula


LSTM_STEP = (
    Mistake(
        _lstm(order=(1, 0, 2, 3)),
        "Admit and forget are swapped: the first quarter of the rows is i, the second f.",
    ),
    Mistake(
        _lstm(order=(0, 1, 3, 2)),
        "The last two quarters are swapped: the third is the candidate, the fourth the gate o.",
    ),
    Mistake(
        _lstm(swapped=True),
        "Word and hidden state are swapped: the columns of the weights belong to the word first.",
    ),
    Mistake(_lstm(with_bias=False), "The bias is missing."),
    Mistake(
        _lstm(candidate=_sigmoid),
        "The candidate went through a sigmoid, as gates do. It is a value, not a gate: use tanh, "
        "so that the cell can go down as well as up.",
    ),
    Mistake(
        _lstm(candidate=lambda values: values),
        "The candidate has no tanh: without it the cell could grow without limit in one step.",
    ),
    Mistake(
        _lstm(renew=lambda admit, forget, new, cell: cell + admit * new),
        "Nothing is forgotten: multiply the old cell by the gate f.",
    ),
    Mistake(
        _lstm(renew=lambda admit, forget, new, cell: forget * cell + new),
        "All of the candidate is written: multiply it by the gate i.",
    ),
    Mistake(
        _lstm(renew=lambda admit, forget, new, cell: (1 - admit) * cell + admit * new),
        "The cell forgets 1 - i, as a GRU does: the LSTM has the gate f for it.",
    ),
    Mistake(
        _lstm(show=lambda gate, cell, old: gate * cell),
        "The cell was shown as it is: the hidden state is o times tanh of the cell.",
    ),
    Mistake(
        _lstm(show=lambda gate, cell, old: gate * np.tanh(old)),
        "The hidden state shows the old cell: renew the cell first.",
    ),
    Mistake(
        lambda **inputs: _lstm()(**inputs)[::-1],
        "The two results are swapped: the hidden state comes first, then the cell.",
    ),
)


def _ranked(total: np.ndarray, beam: int) -> np.ndarray:
    best = np.argsort(-total, axis=None)[:beam]
    return np.stack(np.unravel_index(best, total.shape), axis=1)


def _onward(finished: np.ndarray, log_probs: np.ndarray, end: int) -> np.ndarray:
    stay = np.where(np.arange(log_probs.shape[1]) == end, 0, -np.inf)
    return np.where(finished[:, None] == 1, stay, log_probs)


def _beam(total_of: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Return the step that ranks ``total_of(scores, finished, log_probs, end)``."""

    def formula(scores, finished, log_probs, end):
        return _ranked(total_of(scores[:, None], finished, log_probs, end), len(scores))

    return formula


def _right_beam(scores, finished, log_probs, end):
    return scores + _onward(finished, log_probs, end)


def _end_costs(scores, finished, log_probs, end):
    paid = np.where(np.arange(log_probs.shape[1]) == end, log_probs, -np.inf)
    return scores + np.where(finished[:, None] == 1, paid, log_probs)


def _dropped(scores, finished, log_probs, end):
    return scores + np.where(finished[:, None] == 1, -np.inf, log_probs)


def _one_each(scores, finished, log_probs, end):
    words = (scores[:, None] + _onward(finished, log_probs, end)).argmax(axis=1)
    return np.stack([np.arange(len(scores)), words], axis=1)


def _one_each_ranked(scores, finished, log_probs, end):
    pairs = _one_each(scores, finished, log_probs, end)
    total = scores + _onward(finished, log_probs, end)[tuple(pairs.T)]
    return pairs[np.argsort(-total)]


def _wrong_division(scores, finished, log_probs, end):
    total = _right_beam(scores[:, None], finished, log_probs, end)
    best = np.argsort(-total, axis=None)[: len(scores)]
    return np.stack(np.divmod(best, len(scores)), axis=1)


_ONE_EACH = (
    "Each sentence got one continuation. A good sentence may have several and a bad one none: "
    "rank all continuations of all sentences together."
)
BEAM_STEP = (
    Mistake(
        _beam(_end_costs),
        "Finished sentences pay for end again in every step: they stay as they are, at no cost.",
    ),
    Mistake(
        _beam(lambda scores, finished, log_probs, end: scores + log_probs),
        "Finished sentences go on: nothing may follow end. Such a sentence stays as it is, with "
        "the word end and no change of its score.",
    ),
    Mistake(
        _beam(_dropped),
        "Finished sentences are gone: they stay in the beam, with the word end and their score, as "
        "long as no continuation pushes them out.",
    ),
    Mistake(
        _beam(lambda s, finished, log_probs, end: _onward(finished, log_probs, end)),
        "The scores so far are not used: add them, or a bad beginning weighs nothing.",
    ),
    Mistake(
        _beam(lambda s, finished, log_probs, end: -s * _onward(finished, log_probs, end)),
        "Scores and log-probabilities were multiplied: probabilities multiply, so their logarithms "
        "add up.",
    ),
    Mistake(_one_each, _ONE_EACH),
    Mistake(_one_each_ranked, _ONE_EACH),
    Mistake(
        lambda **inputs: _beam(_right_beam)(**inputs)[::-1],
        "The worst comes first: put the best continuation first.",
    ),
    Mistake(
        lambda **inputs: _beam(_right_beam)(**inputs)[:, ::-1],
        "The two columns are swapped: the number of the sentence comes first, then the word.",
    ),
    Mistake(
        _wrong_division,
        "A place in the flat table was divided by the beam's width: a row has vocab places, so "
        "divide by that.",
    ),
)
