"""What goes wrong with maps, attention and pairs, and the sentence that helps."""

import numpy as np

from mmlib.homework.comparing import Mistake


def _softmax(values: np.ndarray, axis: int = -1) -> np.ndarray:
    odds = np.exp(values - values.max(axis=axis, keepdims=True))
    return odds / odds.sum(axis=axis, keepdims=True)


def _units(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


SCORE_MAP = (
    Mistake(
        lambda cells, sound: cells @ sound,
        "That is the dot product. A cosine also divides by both lengths.",
    ),
    Mistake(
        lambda cells, sound: _units(cells) @ sound,
        "The cells have length 1, the sound has not: divide by the sound's length, too.",
    ),
    Mistake(
        lambda cells, sound: cells @ _units(sound),
        "The sound has length 1, the cells have not: divide by the length of each cell, too.",
    ),
    Mistake(
        lambda cells, sound: cells @ sound / (np.linalg.norm(cells) * np.linalg.norm(sound)),
        "All cells were divided by one length, that of the whole grid: each has its own (axis=-1).",
    ),
    Mistake(
        lambda cells, sound: cells @ sound / ((cells**2).sum(-1) * (sound**2).sum()),
        "Divided by squared lengths: take the square root of each sum of squares.",
    ),
)
ATTENDED = (
    Mistake(
        lambda cells, scores, temperature: _softmax(scores) @ cells,
        "The temperature was left out: divide the scores by it before the softmax.",
    ),
    Mistake(
        lambda cells, scores, temperature: _softmax(scores * temperature) @ cells,
        "The scores were multiplied by the temperature: divide, so that a low one makes it sharp.",
    ),
    Mistake(
        lambda cells, scores, temperature: cells[scores.argmax()],
        "That is the cell with the highest score alone: all cells count, weighted by the softmax.",
    ),
    Mistake(
        lambda cells, scores, temperature: np.exp(scores / temperature) @ cells,
        "The weights do not sum to one: divide them by their sum.",
    ),
    Mistake(
        lambda cells, scores, temperature: scores / temperature @ cells,
        "The scores themselves were taken as weights: take their softmax.",
    ),
)


def _agreed(votes: np.ndarray) -> np.ndarray:
    return np.minimum(votes / 2, 1)


CONSENSUS_IOU = (
    Mistake(
        lambda heat, votes, threshold: (
            (_agreed(votes) * (heat > threshold)).sum()
            / (_agreed(votes).sum() + ((heat > threshold) & (votes == 0)).sum())
        ),
        "A pixel exactly at the threshold is claimed, too: use >=.",
    ),
    Mistake(
        lambda heat, votes, threshold: (
            ((votes > 0) & (heat >= threshold)).sum() / ((votes > 0) | (heat >= threshold)).sum()
        ),
        "That is the plain IoU with everything that anybody marked: weigh pixels by agreement.",
    ),
    Mistake(
        lambda heat, votes, threshold: (
            (votes / 3 * (heat >= threshold)).sum()
            / (votes.sum() / 3 + ((heat >= threshold) & (votes == 0)).sum())
        ),
        "Two votes of three are enough for a full pixel: min(1, votes / 2), not votes / 3.",
    ),
    Mistake(
        lambda heat, votes, threshold: (
            (_agreed(votes) * (heat >= threshold)).sum()
            / (_agreed(votes).sum() + (heat >= threshold).sum())
        ),
        "Below the line only those claimed pixels are added that nobody marked.",
    ),
    Mistake(
        lambda heat, votes, threshold: (
            (_agreed(votes) * (heat >= threshold)).sum() / _agreed(votes).sum()
        ),
        "False claims cost nothing here: add the claimed pixels that nobody marked below the line.",
    ),
)


def _gradient(rows: float, columns: float, eye: float, scale: float):
    def formula(scores: np.ndarray) -> np.ndarray:
        both = rows * _softmax(scores, 1) + columns * _softmax(scores, 0)
        return (both - eye * np.eye(len(scores))) * scale / len(scores)

    return formula


PAIRS_GRADIENT = (
    Mistake(
        _gradient(1, 0, 1, 1),
        "Only the pictures look for their sounds here: add the sounds that look for pictures.",
    ),
    Mistake(
        _gradient(0, 1, 1, 1),
        "Only the sounds look for their pictures here: add the pictures that look for sounds.",
    ),
    Mistake(
        lambda scores: _gradient(1, 1, 2, 0.5)(scores) * len(scores),
        "The loss is a mean over the pairs: divide by their number.",
    ),
    Mistake(
        _gradient(1, 1, 2, -0.5),
        "The sign is turned round: the score of a right pair must rise, so its gradient is "
        "negative.",
    ),
    Mistake(
        _gradient(1, 1, 0, 0.5),
        "The right pairs are missing: subtract 1 from each probability on the diagonal.",
    ),
    Mistake(
        _gradient(1, 1, 2, 1),
        "Twice too large: the loss is half the sum of the two directions.",
    ),
)


def _looked_for(pictures, sounds, new_pictures, new_sounds) -> np.ndarray:
    """Return the brightest cell: what stands out most, whatever is heard."""
    middle = pictures.mean(axis=(0, 1))
    return np.linalg.norm(new_pictures - middle, axis=2).argmax(axis=1)


FIND_SOURCES = (
    Mistake(
        _looked_for,
        "That is what catches the eye, whatever is heard: the sound must decide between things.",
    ),
    Mistake(
        lambda pictures, sounds, new_pictures, new_sounds: np.linalg.norm(
            new_pictures, axis=2
        ).argmax(axis=1),
        "That is the cell with the longest vector: neither background nor sound was considered.",
    ),
)
ADVICE = (
    "Learn from the pairs what a sound predicts about its picture, and take the cell that agrees "
    "with it most. Subtract means first."
)
