"""What goes wrong with few labels: tests that leak, and features that are not looked at first."""

from collections.abc import Callable

import numpy as np

from mmlib.homework.comparing import Mistake


def _chosen(labels: np.ndarray, shots: int, among: np.ndarray | None = None) -> np.ndarray:
    """Return which pictures are the first ``shots`` of their class, (pictures,) bool."""
    among = np.ones(len(labels), bool) if among is None else among
    earlier = np.tril((labels[:, None] == labels) & among, -1).sum(axis=1)
    return among & (earlier < shots)


def _marks(chosen: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    return np.where(chosen, 1, np.where(left_out, -1, 0))


def _split(choose: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Return the split with another choice of the pictures to train on."""

    def formula(labels, scenes, shots):
        chosen = choose(labels, scenes, shots)
        return _marks(chosen, np.isin(scenes, scenes[chosen]))

    return formula


def _first_of_scene(values: np.ndarray) -> np.ndarray:
    return np.isin(np.arange(len(values)), np.unique(values, return_index=True)[1])


def _all_of_scenes(labels, scenes, shots):
    return np.isin(scenes, scenes[_chosen(labels, shots)]).astype(int)


def _same_class_only(labels, scenes, shots):
    chosen = _chosen(labels, shots)
    pairs = scenes * (labels.max() + 1) + labels
    return _marks(chosen, np.isin(pairs, pairs[chosen]))


FEW_SHOT_SPLIT = (
    Mistake(
        lambda labels, scenes, shots: _chosen(labels, shots).astype(int),
        "The test leaks: it holds pictures of scenes that were trained on. Leave those out, with "
        "the mark -1.",
    ),
    Mistake(
        _all_of_scenes,
        "Whole scenes went into training, so some classes have more than their shots. The other "
        "pictures of a chosen scene are used for nothing: mark them -1.",
    ),
    Mistake(
        _same_class_only,
        "Only pictures of the same scene and class were left out. A scene leaks through its other "
        "classes too: light, place and background are the same.",
    ),
    Mistake(
        _split(lambda labels, scenes, shots: _chosen(labels, shots + 1)),
        "One picture too many of each class: a class takes pictures while it has fewer than shots.",
    ),
    Mistake(
        _split(lambda labels, scenes, shots: np.arange(len(labels)) < shots),
        "These are the first pictures of all: count each class on its own.",
    ),
    Mistake(
        _split(lambda labels, scenes, shots: _chosen(labels[::-1], shots)[::-1]),
        "These are the last pictures of each class: go through them from the first on.",
    ),
    Mistake(
        _split(lambda labels, scenes, shots: _chosen(labels, shots, _first_of_scene(scenes))),
        "A scene gave only one picture to training. It may give several: take the first pictures "
        "of each class, whatever their scenes.",
    ),
    Mistake(
        lambda labels, scenes, shots: -_split(lambda y, s, n: _chosen(y, n))(labels, scenes, shots),
        "The marks are turned around: 1 is for training, -1 for what is left out.",
    ),
    Mistake(
        lambda labels, scenes, shots: np.flatnonzero(_chosen(labels, shots)),
        "These are the places of the training pictures: return one mark for each picture.",
    ),
)


def _squared_distance(queries: np.ndarray, features: np.ndarray) -> np.ndarray:
    return ((queries[:, None] - features) ** 2).sum(axis=2)  # (queries, items)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _centres(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    names = np.unique(labels)
    return names, np.stack([features[labels == name].mean(axis=0) for name in names])


def _nearest_example(features, labels, queries):
    return labels[_squared_distance(queries, features).argmin(axis=1)]


def _nearest_centre(features, labels, queries):
    names, centres = _centres(features, labels)
    return names[_squared_distance(queries, centres).argmin(axis=1)]


def _cosine(features, labels, queries):
    names, centres = _centres(features, labels)
    return names[(_unit(queries) @ _unit(centres).T).argmax(axis=1)]


def _nearest_cosine(features, labels, queries):
    return labels[(_unit(queries) @ _unit(features).T).argmax(axis=1)]


def _scaled(method: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Return the method after each column was brought to mean 0 and deviation 1."""

    def formula(features, labels, queries):
        mean, deviation = queries.mean(axis=0), queries.std(axis=0)
        return method((features - mean) / deviation, labels, (queries - mean) / deviation)

    return formula


def _place_of_name(features, labels, queries):
    return np.searchsorted(np.unique(labels), _scaled(_nearest_centre)(features, labels, queries))


def _place_of_example(features, labels, queries):
    return _scaled(lambda x, y, q: _squared_distance(q, x).argmin(axis=1))(
        features, labels, queries
    )


def _farthest(features, labels, queries):
    names, centres = _centres(features, labels)
    return names[_squared_distance(queries, centres).argmax(axis=1)]


_SIZE = (
    "Look at the columns first: some are ten times as large as others and tell nothing about the "
    "class, so they decide {what}. Bring all columns to the same size."
)
FEW_SHOT_CLASSES = (
    Mistake(_nearest_example, _SIZE.format(what="which example is the nearest")),
    Mistake(_nearest_centre, _SIZE.format(what="which centre is the nearest")),
    Mistake(_cosine, _SIZE.format(what="every angle to a centre, too")),
    Mistake(_nearest_cosine, _SIZE.format(what="every angle to an example, too")),
    Mistake(
        _place_of_name,
        "These are the places of the classes in a sorted list: return the label that stands there.",
    ),
    Mistake(
        _place_of_example,
        "These are the places of the nearest examples: return their labels.",
    ),
    Mistake(
        _scaled(_farthest),
        "These are the farthest classes: take the smallest distance.",
    ),
)
ADVICE = (
    "Compare a query with the mean of each class's examples, after all columns were brought to the "
    "same size, and treat queries exactly as you treat examples."
)
