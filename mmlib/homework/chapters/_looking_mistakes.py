"""What goes wrong with where attention looks: how it is measured, and how it is learned."""

from collections.abc import Callable

import numpy as np

from mmlib.homework.comparing import Mistake


def _peaks(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.divmod(maps.reshape(len(maps), -1).argmax(axis=1), maps.shape[2])


def _pointing(
    *,
    peaks: Callable = _peaks,
    offset: Callable = lambda size: size // 2,
    counted: Callable = lambda masks: masks.any(axis=(1, 2)),
    total: Callable = np.mean,
) -> Callable[..., float]:
    """Return the accuracy with one of its parts changed."""

    def formula(maps, masks):
        size = masks.shape[1] // maps.shape[1]
        row, column = (place * size + offset(size) for place in peaks(maps))
        hits = masks[np.arange(len(maps)), row, column]
        return float(total(hits[counted(masks)]))

    return formula


def _shares(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return the share of each cell that lies inside the mask, (words, rows, columns)."""
    words, rows, columns = maps.shape
    size = masks.shape[1] // rows
    return masks.reshape(words, rows, size, columns, size).mean(axis=(2, 4))


def _touching(maps, masks):
    shares = _shares(maps, masks)[np.arange(len(maps)), *_peaks(maps)]
    return float((shares > 0)[masks.any(axis=(1, 2))].mean())


def _mass(maps, masks):
    return float((maps * _shares(maps, masks)).sum(axis=(1, 2))[masks.any(axis=(1, 2))].mean())


POINTING_ACCURACY = (
    Mistake(
        _pointing(counted=lambda masks: np.ones(len(masks), bool)),
        "Words without a mask were counted as misses: there is nothing to point at, so leave them "
        "out of the mean.",
    ),
    Mistake(
        _pointing(offset=lambda size: 0),
        "The corner of the cell was looked up: take its centre pixel, half a cell further down "
        "and to the right.",
    ),
    Mistake(
        _touching,
        "A cell counts as soon as the mask touches it. That is too kind to coarse grids: only its "
        "centre pixel counts.",
    ),
    Mistake(
        _mass,
        "This is the share of the weight that lies inside the masks: pointing asks for the peak "
        "only.",
    ),
    Mistake(
        _pointing(peaks=lambda maps: _peaks(maps)[::-1]),
        "Row and column of the peak are swapped: the first axis of a map goes down.",
    ),
    Mistake(
        _pointing(peaks=lambda maps: _peaks(-maps)),
        "This looks where the weight is smallest: take the largest.",
    ),
    Mistake(
        _pointing(total=np.sum),
        "This is the number of hits: divide by the number of words that count.",
    ),
)


def _said(says_yes: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Return how probable each cell would make the true answer, (pictures, cells)."""
    return np.where(answers[:, None] == 1, says_yes, 1 - says_yes)


def _scores(questions: np.ndarray, table: np.ndarray, grids: np.ndarray) -> np.ndarray:
    return np.einsum("pd,pcd->pc", questions @ table, grids)


def _no_learning(questions, grids, says_yes, answers, new_questions, new_grids):
    return _scores(new_questions, np.eye(questions.shape[1]), new_grids).argmax(axis=1)


def _loudest(questions, grids, says_yes, answers, new_questions, new_grids):
    best = _said(says_yes, answers).argmax(axis=1)
    target = grids[np.arange(len(grids)), best]
    table = np.linalg.lstsq(questions, target, rcond=None)[0]
    return _scores(new_questions, table, new_grids).argmax(axis=1)


def _one_round(questions, grids, says_yes, answers, new_questions, new_grids):
    said = _said(says_yes, answers)
    surplus = said - said.mean(axis=1, keepdims=True)
    table = questions.T @ np.einsum("pc,pcd->pd", surplus, grids)
    return _scores(new_questions, table, new_grids).argmax(axis=1)


def _from_questions_only(questions, grids, says_yes, answers, new_questions, new_grids):
    table = questions.T @ grids.mean(axis=1)
    return _scores(new_questions, table, new_grids).argmax(axis=1)


LEARN_TO_LOOK = (
    Mistake(
        _no_learning,
        "Questions were compared with the cells as they are. The two speak different languages: "
        "learn the table M between them.",
    ),
    Mistake(
        _loudest,
        "The cell that gives the true answer most loudly was taken for the one that is asked "
        "about. About half of the cells give that answer: let all of them share the credit, then "
        "shift it to those that the table prefers, and repeat.",
    ),
    Mistake(
        _one_round,
        "All cells that give the true answer got the same credit, which is a good first round. "
        "With the table that it gives, look again: credit those more that it prefers, and repeat.",
    ),
    Mistake(
        _from_questions_only,
        "All cells of a picture got the same credit. Two of them go with the question, and only "
        "the answers tell which one was asked about.",
    ),
)
ADVICE = (
    "Start with M = 0, follow the gradient, and watch the likelihood of the answers: it must rise "
    "in every step. Take smaller steps if it falls, more of them if it still rises."
)
