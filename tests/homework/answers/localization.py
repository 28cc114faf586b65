"""Right and wrong answers to the homework on where a sound comes from, as students write them.

``RIGHT``: for each function, different ways that must pass. ``WRONG``: for each function, a word
that the hint must hold, which names the cause, and the answer that must fail.
"""

import numpy as np
import scipy.special
from sklearn.linear_model import RidgeCV
from sklearn.metrics.pairwise import cosine_similarity


def map_by_loops(cells, sound):
    found = np.zeros(cells.shape[:2])
    for r in range(cells.shape[0]):
        for c in range(cells.shape[1]):
            v = cells[r, c]
            found[r, c] = (v * sound).sum() / np.sqrt((v**2).sum() * (sound**2).sum())
    return found


def map_by_sklearn(cells, sound):
    flat = cosine_similarity(cells.reshape(-1, cells.shape[2]), sound[None])
    return flat.reshape(cells.shape[:2])


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def attended_by_scipy(cells, scores, temperature):
    return scipy.special.softmax(scores / temperature) @ cells


def attended_by_loops(cells, scores, temperature):
    odds = [np.exp(score / temperature) for score in scores]
    return sum(odd / sum(odds) * cell for odd, cell in zip(odds, cells, strict=True))


def consensus_by_loops(heat, votes, threshold):
    above = below = 0.0
    for value, vote in zip(heat.flat, votes.flat, strict=True):
        g = min(vote / 2, 1)
        above += g if value >= threshold else 0
        below += g if g > 0 else float(value >= threshold)
    return above / below


def consensus_by_arrays(heat, votes, threshold):
    g = np.clip(votes / 2, 0, 1)
    claimed = heat >= threshold
    return g[claimed].sum() / (g.sum() + np.sum(g[claimed] == 0))


def consensus_with(agreed, at_least=True, counted="unmarked"):
    def answer(heat, votes, threshold):
        g = agreed(votes)
        claimed = heat >= threshold if at_least else heat > threshold
        extra = {"unmarked": claimed & (votes == 0), "all": claimed, "none": claimed & False}
        return (g * claimed).sum() / (g.sum() + extra[counted].sum())

    return answer


def halves(votes):
    return np.minimum(votes / 2, 1)


def plain_iou(heat, votes, threshold):
    marked, claimed = votes > 0, heat >= threshold
    return np.logical_and(marked, claimed).sum() / np.logical_or(marked, claimed).sum()


def gradient_by_scipy(scores):
    rows, columns = (scipy.special.softmax(scores, axis=axis) for axis in (1, 0))
    return ((rows - np.eye(len(scores))) + (columns - np.eye(len(scores)))) / 2 / len(scores)


def gradient_by_differences(scores):
    def loss(values):
        own = np.trace(values)
        both = scipy.special.logsumexp(values, axis=1) + scipy.special.logsumexp(values, axis=0)
        return (both.sum() - 2 * own) / (2 * len(values))

    found = np.zeros_like(scores)
    for place in np.ndindex(*scores.shape):
        step = np.zeros_like(scores)
        step[place] = 1e-4
        found[place] = (loss(scores + step) - loss(scores - step)) / 2e-4
    return found


def gradient_with(rows, columns, eye, scale):
    def answer(scores):
        both = rows * scipy.special.softmax(scores, axis=1)
        both = both + columns * scipy.special.softmax(scores, axis=0)
        return scale * (both - eye * np.eye(len(scores))) / len(scores)

    return answer


def sources_by_ridge(pictures, sounds, new_pictures, new_sounds):
    whole, middle = pictures.sum(axis=1), pictures.mean(axis=(0, 1))
    model = RidgeCV(np.logspace(-2, 4, 13)).fit(sounds, whole - whole.mean(axis=0))
    return np.einsum("ncf,nf->nc", new_pictures - middle, model.predict(new_sounds)).argmax(axis=1)


def sources_by_least_squares(pictures, sounds, new_pictures, new_sounds):
    """The other way round: what sound does a cell promise?"""
    whole = pictures.sum(axis=1) - pictures.sum(axis=1).mean(axis=0)
    heard = sounds - sounds.mean(axis=0)
    covariance = heard.T @ heard / len(heard) + 0.1 * np.eye(heard.shape[1])
    promise = np.linalg.lstsq(whole, heard, rcond=None)[0]  # (features, sensors)
    wanted = np.linalg.solve(covariance, (new_sounds - sounds.mean(axis=0)).T)
    cells = (new_pictures - pictures.mean(axis=(0, 1))) @ promise
    return np.einsum("ncs,sn->nc", cells, wanted).argmax(axis=1)


def what_stands_out(pictures, sounds, new_pictures, new_sounds):
    far = ((new_pictures - pictures.mean(axis=(0, 1))) ** 2).sum(axis=2)
    return far.argmax(axis=1)


def longest(pictures, sounds, new_pictures, new_sounds):
    return (new_pictures**2).sum(axis=2).argmax(axis=1)


def pairs_forgotten(pictures, sounds, new_pictures, new_sounds):
    mixed = sounds[np.random.default_rng(0).permutation(len(sounds))]
    return sources_by_ridge(pictures, mixed, new_pictures, new_sounds)


def always_the_middle(pictures, sounds, new_pictures, new_sounds):
    return [4] * len(new_pictures)


def scores_instead(pictures, sounds, new_pictures, new_sounds):
    return new_pictures.sum(axis=2)


RIGHT = {
    "score_map": [map_by_loops, map_by_sklearn],
    "attended": [attended_by_scipy, attended_by_loops],
    "consensus_iou": [consensus_by_loops, consensus_by_arrays],
    "pairs_gradient": [gradient_by_scipy, gradient_by_differences],
    "find_sources": [sources_by_ridge, sources_by_least_squares],
}
WRONG = {
    "score_map": [
        ("dot product", lambda cells, sound: cells @ sound),
        ("the sound has not", lambda cells, sound: unit(cells) @ sound),
        ("the cells have not", lambda cells, sound: cells @ unit(sound)),
        (
            "whole grid",
            lambda cells, sound: cells / np.linalg.norm(cells) @ sound / np.linalg.norm(sound),
        ),
        (
            "squared lengths",
            lambda cells, sound: cells @ sound / (cells**2).sum(2) / (sound**2).sum(),
        ),
    ],
    "attended": [
        ("left out", lambda cells, scores, temperature: attended_by_scipy(cells, scores, 1)),
        (
            "multiplied",
            lambda cells, scores, temperature: attended_by_scipy(cells, scores, 1 / temperature),
        ),
        ("alone", lambda cells, scores, temperature: cells[np.argmax(scores)]),
        (
            "sum to one",
            lambda cells, scores, temperature: np.exp(scores / temperature) @ cells,
        ),
        ("themselves", lambda cells, scores, temperature: cells.T @ scores / temperature),
    ],
    "consensus_iou": [
        (">=", consensus_with(halves, at_least=False)),
        ("plain IoU", plain_iou),
        ("not votes / 3", consensus_with(lambda votes: votes / 3)),
        ("nobody marked", consensus_with(halves, counted="all")),
        ("cost nothing", consensus_with(halves, counted="none")),
    ],
    "pairs_gradient": [
        ("Only the pictures", gradient_with(1, 0, 1, 1)),
        ("Only the sounds", gradient_with(0, 1, 1, 1)),
        ("mean over the pairs", lambda scores: gradient_by_scipy(scores) * len(scores)),
        ("turned round", lambda scores: -gradient_by_scipy(scores)),
        ("diagonal", gradient_with(0.5, 0.5, 0, 1)),
        ("half the sum", lambda scores: 2 * gradient_by_scipy(scores)),
    ],
    "find_sources": [
        ("catches the eye", what_stands_out),
        ("longest", longest),
        ("pairs", pairs_forgotten),
        ("the same", always_the_middle),
        ("shape", scores_instead),
    ],
}
