"""What goes wrong when a student learns from a teacher's distribution, and what helps."""

from collections.abc import Callable

import numpy as np

from mmlib.homework.comparing import Mistake


def _softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def _gradient(
    error: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda z, p: _softmax(z) - p,
    count: Callable[[int, int], int] = lambda batch, steps: batch * steps,
) -> Callable[..., np.ndarray]:
    """Return the gradient with another error, of logits and teacher, or another count."""

    def formula(features, weights, teacher):
        wrong = error(features @ weights, teacher[:, None])
        return np.einsum("btd,btc->dc", features, wrong) / count(*features.shape[:2])

    return formula


def _steps_first(features, weights, teacher):
    mean = features.mean(axis=1)
    return mean.T @ (_softmax(mean @ weights) - teacher) / len(teacher)


def _squared(logits: np.ndarray, teacher: np.ndarray) -> np.ndarray:
    said = _softmax(logits)
    wrong = 2 * (said - teacher)
    return said * (wrong - (wrong * said).sum(axis=-1, keepdims=True))


STUDENT_GRADIENT = (
    Mistake(
        _gradient(lambda z, p: p - _softmax(z)),
        "The sign is turned: this points downhill, the gradient points uphill.",
    ),
    Mistake(
        _gradient(count=lambda batch, steps: 1),
        "All steps of all clips were added up: the loss is their mean.",
    ),
    Mistake(
        _gradient(count=lambda batch, steps: batch),
        "Only the clips were averaged: divide by the number of steps too.",
    ),
    Mistake(
        _gradient(count=lambda batch, steps: steps),
        "Only the steps were averaged: divide by the number of clips too.",
    ),
    Mistake(
        _gradient(lambda z, p: z - p),
        "The logits were compared with the teacher: first the softmax, then the difference.",
    ),
    Mistake(
        _gradient(lambda z, p: (_softmax(z) - p) * _softmax(z) * (1 - _softmax(z))),
        "q (1 - q) is the slope of a sigmoid. With the softmax under a logarithm, everything "
        "cancels to q - p.",
    ),
    Mistake(
        _gradient(_squared),
        "This is the gradient of a squared difference; the loss is the divergence.",
    ),
    Mistake(
        _steps_first,
        "The features were averaged over the steps first: every step answers by itself, and the "
        "losses are averaged, not the features.",
    ),
    Mistake(
        lambda features, weights, teacher: _gradient()(features, weights, teacher).T,
        "The axes are swapped: the gradient has the shape of the weights.",
    ),
)


def _nearest_mean(known: np.ndarray, names: np.ndarray, new: np.ndarray) -> np.ndarray:
    classes = np.unique(names)
    means = np.stack([known[names == name].mean(axis=0) for name in classes])
    return classes[((new[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)]


def _student(sounds: np.ndarray, teacher: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the linear function from sounds to what the teacher says, by least squares."""
    centre, middle = sounds.mean(axis=0), teacher.mean(axis=0)
    table, *_ = np.linalg.lstsq(sounds - centre, teacher - middle, rcond=None)
    return lambda heard: (heard - centre) @ table + middle


def _by_raw_sounds(sounds, teacher, few_sounds, few_names, new_sounds):
    return _nearest_mean(few_sounds, few_names, new_sounds)


def _by_raw_neighbour(sounds, teacher, few_sounds, few_names, new_sounds):
    apart = ((new_sounds[:, None] - few_sounds) ** 2).sum(axis=2)
    return few_names[apart.argmin(axis=1)]


def _by_scaled_sounds(sounds, teacher, few_sounds, few_names, new_sounds):
    size = sounds.std(axis=0)
    return _nearest_mean(few_sounds / size, few_names, new_sounds / size)


def _teachers_number(sounds, teacher, few_sounds, few_names, new_sounds):
    return _student(sounds, teacher)(new_sounds).argmax(axis=1)


NAME_SOUNDS = (
    Mistake(
        _by_raw_sounds,
        "The new sounds were compared with the few as they are. Most of what one hears there has "
        "nothing to do with the name. Let a student of the teacher say what counts, and compare "
        "what it says.",
    ),
    Mistake(
        _by_raw_neighbour,
        "The names are those of the nearest sound as it is heard: loud things that do not matter "
        "decide what is near. Compare what a student of the teacher makes of the sounds.",
    ),
    Mistake(
        _by_scaled_sounds,
        "Scaling each number does not help: what hides the sounds is spread over all of them. "
        "Learn from the teacher which directions count.",
    ),
    Mistake(
        _teachers_number,
        "These are the numbers of the teacher's classes. The names are others: the few named "
        "sounds tell which.",
    ),
)
ADVICE = (
    "Two steps: fit a linear function from the sounds to what the teacher says of their pictures "
    "(least squares will do). Then describe the few and the new sounds by it, and give each new "
    "one the name whose mean is nearest."
)
