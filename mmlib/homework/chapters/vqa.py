"""Homework on visual question answering: fusion, the official accuracy, attention hops, FiLM."""

import numpy as np

from mmlib.homework.exercise import exercise


def _softmax(scores):
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def _fusions(rng):
    cases = []
    for batch, dim, hidden in ((1, 3, 4), (5, 4, 4), (8, 5, 3)):
        cases.append(
            dict(zip(("image", "question"), rng.normal(size=(2, batch, dim)), strict=True))
        )
        cases[-1] |= {"image_weight": rng.normal(size=(dim, hidden))}
        cases[-1] |= {"question_weight": rng.normal(size=(dim, hidden))}
    return cases


@exercise(
    points=2,
    title="Point-wise fusion of two streams",
    inputs=_fusions,
    hints={
        "The image was not normalised: divide each row by its length.": {
            "normalise": lambda rows: rows
        },
        "The tanh is missing after the two linear maps.": {"activation": lambda rows: rows},
        "The streams were added: multiply them number by number.": {"fuse": np.add},
    },
)
def fuse(
    image, question, image_weight, question_weight, *, activation=np.tanh, fuse=np.multiply,
    normalise=lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True),
):  # fmt: skip
    """Return tanh(v / |v| P) ⊙ tanh(q Q), (batch, hidden)."""
    return fuse(activation(normalise(image) @ image_weight), activation(question @ question_weight))


def _votes(rng):
    """The answer was given by nobody, by each number of people up to five, and by all ten."""
    cases = []
    for given in (0, 1, 2, 3, 4, 5, 10):
        answer, *others = rng.permutation(["yes", "no", "two", "red", "a bird"]).tolist()
        humans = [answer] * given + rng.choice(others, 10 - given).tolist()
        cases.append({"answer": answer, "humans": rng.permutation(humans).tolist()})
    return [*cases, *({"answer": "a", "humans": ["a"] * n + ["b"] * (10 - n)} for n in (3, 4))]


@exercise(
    points=2,
    title="The official VQA accuracy",
    inputs=_votes,
    hints={
        "This is min(n / 3, 1) with all ten people: the official score leaves each of them out in "
        "turn and averages, so three who agree are not quite enough.": {"left_out": 0},
        "The score is not limited: with three others or more who agree it is 1.": {"most": np.inf},
        "This is the share of people who agree: three others are enough for full marks.": (
            lambda answer, humans: humans.count(answer) / len(humans)
        ),
        "Fewer than three count for nothing here: two others are worth two thirds.": (
            lambda answer, humans: float(humans.count(answer) >= 3)
        ),
        "One who agrees is worth a third, not a full point.": {"needed": 1},
    },
)
def vqa_accuracy(answer, humans, *, left_out=1, most=1.0, needed=3):
    """Return the mean over the people left out of min(1, agreeing others / 3)."""
    same = np.array([human == answer for human in humans])
    return float(np.mean(np.minimum(most, (same.sum() - left_out * same) / needed)))


def _hops(rng):
    cases = []
    for cells, dim in ((5, 3), (6, 4), (9, 4)):
        image_weight, query_weight = rng.normal(size=(2, dim, dim))
        cases.append({"cells": 2 * rng.normal(size=(cells, dim)), "query": rng.normal(size=dim)})
        cases[-1] |= {"image_weight": image_weight, "query_weight": query_weight}
        cases[-1]["score"] = 2 * rng.normal(size=dim)
    return cases


@exercise(
    points=3,
    title="One hop of a stacked attention",
    inputs=_hops,
    hints={
        "The query was not added to the context vector: u' = u + v.": {"residual": 0},
        "The tanh is missing.": {"activation": lambda x: x},
        "The softmax over the cells is missing.": {"weigh": lambda scores: scores},
        "The context vector is the plain mean of the cells: use the attention weights.": {
            "weigh": lambda scores: np.full_like(scores, 1 / len(scores))
        },
        "Only the cell of the largest weight was taken: this is hard attention.": {
            "weigh": lambda scores: np.eye(len(scores))[scores.argmax()]
        },
        "The two weight matrices are swapped.": lambda cells, query, image, text, score: (
            attention_hop(cells, query, text, image, score)
        ),
    },
)
def attention_hop(
    cells, query, image_weight, query_weight, score, *, activation=np.tanh, weigh=_softmax,
    residual=1,
):  # fmt: skip
    """Return the refined query u + Σ pᵢ vᵢ, (dim,)."""
    hidden = activation(cells @ image_weight + query @ query_weight)  # (cells, hidden)
    return residual * query + weigh(hidden @ score) @ cells


def _maps(rng):
    cases = []
    for channels, dim, rows, columns in ((3, 4, 2, 3), (4, 4, 3, 3), (5, 3, 4, 2)):
        spread, offset = rng.uniform(0.5, 3, (2, channels, 1, 1))
        gamma, beta = rng.normal(size=(2, dim, channels))
        features = offset + spread * rng.normal(size=(channels, rows, columns))
        cases.append({"features": features, "question": rng.normal(size=dim)})
        cases[-1] |= {"to_gamma": gamma, "to_beta": beta}
    return cases


@exercise(
    points=3,
    title="Feature-wise linear modulation",
    inputs=_maps,
    hints={
        "The features were not normalised before they are modulated.": {"normalise": False},
        "Normalise each channel over its places, not each place.": {"axes": 0},
        "The scale is gamma here: it must be 1 + gamma.": {"one": 0},
        "The ReLU is missing.": {"activation": lambda x: x},
        "gamma and beta are swapped.": lambda features, question, to_gamma, to_beta: film(
            features, question, to_beta, to_gamma
        ),
    },
)
def film(
    features, question, to_gamma, to_beta, *, normalise=True, axes=(1, 2), one=1,
    activation=lambda x: np.maximum(0, x),
):  # fmt: skip
    """Return ReLU((1 + γ) ⊙ normalised features + β), (channels, rows, columns)."""
    mean, variance = (f(axis=axes, keepdims=True) for f in (features.mean, features.var))
    normal = (features - mean) / np.sqrt(variance + 1e-5) if normalise else features
    gamma, beta = (question @ table for table in (to_gamma, to_beta))
    return activation((one + gamma)[:, None, None] * normal + beta[:, None, None])
