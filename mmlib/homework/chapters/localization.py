"""Homework on where a sound comes from: from a map of cosines to a localiser of one's own.

The references are numpy's, written apart from ``mmlib.vision_audio.localization``; the tests hold
them equal to torch's layers and autograd. The mistakes that the hints explain stand in
``_localization_mistakes``.
"""

from functools import partial

import numpy as np

from mmlib.homework.chapters import _localization_mistakes as mistakes
from mmlib.homework.classifying import judge_classes
from mmlib.homework.comparing import compare
from mmlib.homework.exercises import Case, Exercise

WORLDS, CLIPS, NEW = 2, 800, 120  # of the open exercise
CELLS, FEATURES, KINDS, SENSORS, THINGS = 9, 20, 6, 24, 3
ENOUGH = 0.85  # share of the cells that must be right there


def _score_map(cells: np.ndarray, sound: np.ndarray) -> np.ndarray:
    """Return the cosine of every cell with the sound, (rows, columns)."""
    lengths = np.linalg.norm(cells, axis=-1) * np.linalg.norm(sound)
    return cells @ sound / lengths


def _attended(cells: np.ndarray, scores: np.ndarray, temperature: float) -> np.ndarray:
    """Return the sum of the cells, weighted by the softmax of their scores, (dim,)."""
    odds = np.exp((scores - scores.max()) / temperature)
    return odds / odds.sum() @ cells


def _consensus_iou(heat: np.ndarray, votes: np.ndarray, threshold: float) -> float:
    """Return the consensus IoU, where two votes make a pixel certain."""
    agreed, claimed = np.minimum(votes / 2, 1), heat >= threshold
    return float((agreed * claimed).sum() / (agreed.sum() + (claimed & (votes == 0)).sum()))


def _pairs_gradient(scores: np.ndarray) -> np.ndarray:
    """Return the gradient of the mean cross-entropy of both directions by the scores, (n, n)."""
    count = len(scores)
    odds = np.exp(scores - scores.max())
    by_row, by_column = odds / odds.sum(1, keepdims=True), odds / odds.sum(0, keepdims=True)
    return (by_row + by_column - 2 * np.eye(count)) / (2 * count)


def _score_map_cases(rng: np.random.Generator) -> list[Case]:
    """As many rows as columns as dimensions in one case: a swap of axes changes no shape there."""
    cases = []
    for rows, columns, dim in ((2, 3, 4), (4, 4, 4), (3, 5, 6)):
        sizes = rng.uniform(0.5, 3, (rows, columns, 1))
        inputs = {"cells": sizes * rng.normal(size=(rows, columns, dim))}
        inputs["sound"] = 2 * rng.normal(size=dim)
        cases.append(Case(inputs, _score_map(**inputs)))
    return cases


def _attended_cases(rng: np.random.Generator) -> list[Case]:
    cases = []
    for cells, dim, temperature in ((3, 3, 0.5), (6, 4, 0.2), (9, 9, 2.0)):
        inputs = {"cells": rng.normal(size=(cells, dim)), "scores": rng.uniform(-1, 1, cells)}
        inputs["temperature"] = temperature
        cases.append(Case(inputs, _attended(**inputs)))
    return cases


def _consensus_iou_cases(rng: np.random.Generator) -> list[Case]:
    """Three boxes that partly overlap; a few values lie exactly at the threshold."""
    cases = []
    for side, threshold in ((6, 0.5), (8, 0.4), (10, 0.6)):
        votes = np.zeros((side, side), int)
        for _ in range(3):
            top, left = rng.integers(0, side // 3, 2)
            votes[top : top + side // 2, left : left + side // 2 + 1] += 1
        heat = np.clip(0.35 * (votes > 0) + 0.65 * rng.random((side, side)), 0, 1)
        heat[1, :] = threshold
        inputs = {"heat": heat, "votes": votes, "threshold": threshold}
        cases.append(Case(inputs, _consensus_iou(**inputs)))
    return cases


def _pairs_gradient_cases(rng: np.random.Generator) -> list[Case]:
    cases = []
    for count in (2, 4, 7):
        inputs = {"scores": 2 * rng.normal(size=(count, count))}
        cases.append(Case(inputs, _pairs_gradient(**inputs)))
    return cases


def _find_sources_cases(rng: np.random.Generator) -> list[Case]:
    """Three things of different kinds in nine cells, one sounds; nobody says which or where."""
    return [_one_world(rng) for _ in range(WORLDS)]


def _one_world(rng: np.random.Generator) -> Case:
    looks = 4 * rng.normal(size=(KINDS, FEATURES)) / np.sqrt(FEATURES)
    timbres = 2 * rng.normal(size=(KINDS, SENSORS))
    hum = rng.normal(size=(4, SENSORS))
    middle = 3 * rng.normal(size=FEATURES)

    def film(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        kinds = np.argsort(rng.random((count, KINDS)), axis=1)[:, :THINGS]
        where = np.argsort(rng.random((count, CELLS)), axis=1)[:, :THINGS]
        pictures = middle + 0.3 * rng.normal(size=(count, CELLS, FEATURES))
        size = rng.uniform(0.8, 1.3, (count, THINGS, 1))
        pictures[np.arange(count)[:, None], where] += size * looks[kinds]
        sounds = timbres[kinds[:, 0]] + rng.normal(size=(count, len(hum))) @ hum
        return pictures, sounds + 0.3 * rng.normal(size=sounds.shape), where[:, 0]

    pictures, sounds, _ = film(CLIPS)
    new_pictures, new_sounds, truth = film(NEW)
    inputs = {"pictures": pictures, "sounds": sounds}
    return Case(inputs | {"new_pictures": new_pictures, "new_sounds": new_sounds}, truth)


EXERCISES = (
    Exercise(
        "score_map",
        "A map of cosines",
        2,
        _score_map_cases,
        partial(compare, mistakes=mistakes.SCORE_MAP),
    ),
    Exercise(
        "attended",
        "What the sound sees",
        2,
        _attended_cases,
        partial(compare, mistakes=mistakes.ATTENDED),
    ),
    Exercise(
        "consensus_iou",
        "Three people, one map",
        3,
        _consensus_iou_cases,
        partial(compare, mistakes=mistakes.CONSENSUS_IOU),
    ),
    Exercise(
        "pairs_gradient",
        "What a batch of pairs teaches",
        4,
        _pairs_gradient_cases,
        partial(compare, mistakes=mistakes.PAIRS_GRADIENT),
    ),
    Exercise(
        "find_sources",
        "A localiser of your own",
        5,
        _find_sources_cases,
        partial(
            judge_classes, enough=ENOUGH, mistakes=mistakes.FIND_SOURCES, advice=mistakes.ADVICE
        ),
    ),
)
