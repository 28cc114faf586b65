"""Homework on attention: from a softmax with a mask to learning where to look.

The references are numpy's, written apart from ``mmlib.vision_text.attention``; the tests hold them
equal to torch's autograd and to sampling. The mistakes that the hints explain stand in
``_attention_mistakes``, ``_looking_mistakes`` and ``_reinforce_mistakes``.
"""

from functools import partial

import numpy as np

from mmlib.homework.chapters import _attention_mistakes as mistakes
from mmlib.homework.chapters import _looking_mistakes as looking_mistakes
from mmlib.homework.chapters import _reinforce_mistakes as reinforce_mistakes
from mmlib.homework.classifying import judge_classes
from mmlib.homework.comparing import compare, compare_extremes
from mmlib.homework.exercises import Case, Exercise

WORLDS, ASKED, NEW, CELLS = 2, 200, 150, 12  # of the open exercise; pictures to learn from, and new
ENOUGH = 0.9  # share of the new pictures in which the right cell must be found
_DIM, _BLUR = 8, 0.5  # of a question's vector; how far the cell asked about is from its meaning


def _softmax(scores: np.ndarray) -> np.ndarray:
    odds = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def _masked_softmax(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the softmax of each row over the cells whose mask is 1, (batch, cells)."""
    return _softmax(np.where(mask == 1, scores, -np.inf))


def _attend(
    grid: np.ndarray,
    hidden: np.ndarray,
    to_grid: np.ndarray,
    to_hidden: np.ndarray,
    to_score: np.ndarray,
) -> np.ndarray:
    """Return the weighted sum of the cells, (features,)."""
    scores = np.tanh(grid @ to_grid + hidden @ to_hidden) @ to_score  # (cells,)
    return _softmax(scores) @ grid


def _pointing_accuracy(maps: np.ndarray, masks: np.ndarray) -> float:
    """Return the share of the words with a mask whose peak cell has its centre inside."""
    size, columns = masks.shape[1] // maps.shape[1], maps.shape[2]
    row, column = np.divmod(maps.reshape(len(maps), -1).argmax(axis=1), columns)
    middle = size // 2
    hits = masks[np.arange(len(maps)), row * size + middle, column * size + middle]
    return float(hits[masks.any(axis=(1, 2))].mean())


def _coverage_gradient(scores: np.ndarray) -> np.ndarray:
    """Return the gradient of Σᵢ (1 − Σₜ αₜᵢ)² by the scores, (time, cells)."""
    weights = _softmax(scores)
    by_weight = -2 * (1 - weights.sum(axis=0))  # (cells,)
    return weights * (by_weight - (weights @ by_weight)[:, None])


def _reinforce(
    scores: np.ndarray, rewards: np.ndarray, baseline: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of the REINFORCE estimate over all choices, both (cells,)."""
    chance = _softmax(scores)
    estimates = (rewards - baseline)[:, None] * (np.eye(len(scores)) - chance)  # (choice, cells)
    mean = chance @ estimates
    return mean, chance @ (estimates - mean) ** 2


def _masked_softmax_cases(rng: np.random.Generator) -> list[Case]:
    """Scores of ordinary size; all far up; all far down; and a masked one far above the others."""
    cases = []
    for batch, cells, shift in ((3, 5, 0), (2, 8, 0), (4, 6, 0), (2, 4, 1500), (2, 5, -1500)):
        scores = rng.normal(0, 2, size=(batch, cells)) + shift
        mask = (rng.random((batch, cells)) < 0.6).astype(int)
        mask[:, 0], mask[:, 1], mask[:, 2] = 1, 0, 1
        cases.append((scores, rng.permuted(mask, axis=1)))
    scores, mask = rng.normal(size=(2, 6)), np.array([[1, 1, 0, 1, 0, 1], [0, 1, 1, 0, 1, 1]])
    cases.append((np.where(mask == 1, scores, scores + 1500), mask))
    return [
        Case({"scores": scores, "mask": mask}, _masked_softmax(scores, mask))
        for scores, mask in cases
    ]


def _attend_cases(rng: np.random.Generator) -> list[Case]:
    """All sizes but the number of cells are equal, so that a swap changes numbers, not shapes."""
    cases = []
    for cells, dim in ((6, 3), (9, 4), (4, 5)):
        to_grid, to_hidden = rng.normal(size=(2, dim, dim))
        inputs = {"grid": rng.normal(size=(cells, dim)), "hidden": rng.normal(size=dim)}
        inputs |= {"to_grid": to_grid, "to_hidden": to_hidden, "to_score": 2 * rng.normal(size=dim)}
        cases.append(Case(inputs, _attend(**inputs)))
    return cases


def _pointing_accuracy_cases(rng: np.random.Generator) -> list[Case]:
    """Masks are boxes, some of them a part of a cell; a fifth of the words have none."""
    cases = []
    for words, side, size in ((60, 4, 8), (80, 5, 6), (70, 7, 4)):
        pixels = np.arange(side * size)
        low = rng.integers(0, side * size - 2, size=(words, 2, 1))
        high = low + rng.integers(size // 2, 2 * size, size=(words, 2, 1))
        inside = (pixels >= low) & (pixels < high)  # (words, 2, pixels)
        masks = (inside[:, 0, :, None] & inside[:, 1, None, :]).astype(int)
        masks[rng.random(words) < 0.2] = 0
        shares = masks.reshape(words, side, size, side, size).mean(axis=(2, 4))
        maps = rng.dirichlet(np.full(side * side, 0.3), words).reshape(words, side, side)
        maps = 0.5 * maps + 0.3 * shares + 0.05 * rng.random(maps.shape)
        maps /= maps.sum(axis=(1, 2), keepdims=True)
        inputs = {"maps": maps, "masks": masks}
        cases.append(Case(inputs, _pointing_accuracy(**inputs)))
    return cases


def _coverage_gradient_cases(rng: np.random.Generator) -> list[Case]:
    return [
        Case({"scores": scores}, _coverage_gradient(scores))
        for shape in ((2, 3), (5, 4), (3, 9))
        for scores in [rng.normal(0, 1.5, size=shape)]
    ]


def _reinforce_cases(rng: np.random.Generator) -> list[Case]:
    cases = []
    for cells in (2, 4, 6, 9):
        rewards = rng.normal(1, 1, size=cells).round(2)
        baseline = round(float(rng.uniform(0.3, 1.5)), 2)
        inputs = {"scores": rng.normal(size=cells), "rewards": rewards, "baseline": baseline}
        cases.append(Case(inputs, np.stack(_reinforce(**inputs))))
    return cases


def _learn_to_look_cases(rng: np.random.Generator) -> list[Case]:
    """In each world a hidden rotation leads from a question to the cell that it asks about.

    Another rotation leads to a cell that has nothing to do with the answer.
    """
    cases = []
    for _ in range(WORLDS):
        rotations = np.linalg.qr(rng.normal(size=(2, _DIM, _DIM)))[0]
        questions, grids, looked = _ask(rng, rotations, ASKED)
        yes = rng.integers(2, size=(ASKED, CELLS))  # what each cell would answer
        inputs = {"questions": questions, "grids": grids}
        inputs["says_yes"] = 1 / (1 + np.exp(-rng.normal(6 * yes - 3, 1)))
        inputs["answers"] = yes[np.arange(ASKED), looked]
        inputs["new_questions"], inputs["new_grids"], looked = _ask(rng, rotations, NEW)
        cases.append(Case(inputs, looked))
    return cases


def _ask(
    rng: np.random.Generator, rotations: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return questions, grids (count, cells, dim), and the cell that each asks about."""
    questions = _unit(rng.normal(size=(count, _DIM)))
    grids = _unit(rng.normal(size=(count, CELLS, _DIM)))
    looked, decoy = rng.permuted(np.tile(np.arange(CELLS), (count, 1)), axis=1).T[:2]
    for cell, rotation in zip((looked, decoy), rotations, strict=True):
        blur = _unit(rng.normal(size=(count, _DIM)))
        grids[np.arange(count), cell] = _unit(questions @ rotation + _BLUR * blur)
    return questions, grids, looked


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


EXERCISES = (
    Exercise(
        "masked_softmax",
        "Weights only where one may look",
        1,
        _masked_softmax_cases,
        partial(
            compare_extremes,
            mistakes=mistakes.MASKED_SOFTMAX,
            breakdowns=mistakes.MASKED_SOFTMAX_BREAKDOWNS,
        ),
    ),
    Exercise(
        "attend",
        "One glimpse",
        2,
        _attend_cases,
        partial(compare, mistakes=mistakes.ATTEND),
    ),
    Exercise(
        "pointing_accuracy",
        "Does it look at the thing?",
        2,
        _pointing_accuracy_cases,
        partial(compare, mistakes=looking_mistakes.POINTING_ACCURACY),
    ),
    Exercise(
        "coverage_gradient",
        "Look everywhere in the end",
        3,
        _coverage_gradient_cases,
        partial(compare, mistakes=reinforce_mistakes.COVERAGE_GRADIENT),
    ),
    Exercise(
        "reinforce",
        "Learn from a choice",
        3,
        _reinforce_cases,
        partial(compare, mistakes=reinforce_mistakes.REINFORCE),
    ),
    Exercise(
        "learn_to_look",
        "Nobody says where",
        5,
        _learn_to_look_cases,
        partial(
            judge_classes,
            enough=ENOUGH,
            mistakes=looking_mistakes.LEARN_TO_LOOK,
            advice=looking_mistakes.ADVICE,
        ),
    ),
)
