"""The judge of open exercises whose answers are many classes: how often right, and how they err.

Any method may be used, so the answers are not compared one by one with a formula. Enough of them
must be right. If they are not, and mostly the same as those of a weaker method, its hint is given.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmlib.homework.comparing import Mistake, to_array
from mmlib.homework.exercises import Case

_ALIKE = 0.9  # share of the answers that must be those of a weaker method, for its hint


def judge_classes(
    cases: Sequence[Case],
    answers: Sequence[Any],
    *,
    enough: float,
    mistakes: Sequence[Mistake],
    advice: str,
) -> str | None:
    """Return None if the share ``enough`` of all answers is right, else a hint.

    Args:
        cases: the truth of each is an array of classes, (items,).
        answers: of each case, what should be such an array.
        enough: the share of all items that must be right.
        mistakes: weaker methods, from the inputs of a case to (items,) classes.
        advice: what to say of errors that are none of the weaker methods'.
    """
    classes = []
    for case, answer in zip(cases, answers, strict=True):
        problem = _malformed(answer, items=len(case.truth))
        if problem:
            return problem
        classes.append(to_array(answer))
    found, truth = np.concatenate(classes), np.concatenate([case.truth for case in cases])
    share = np.mean(found == truth)
    if share >= enough:
        return None
    said = f"{share:.0%} of the answers are right, {enough:.0%} are needed."
    if all((array == array[0]).all() for array in classes):
        return f"{said} In every task all answers are the same: they must depend on the inputs."
    return f"{said} {_weaker_method(cases, found, mistakes) or advice}"


def _malformed(answer: Any, *, items: int) -> str | None:
    """Say what keeps the answer from being one class for each item."""
    try:
        array = to_array(answer)
    except ValueError as error:
        return f"The list of answers {error}."
    if array.shape != (items,):
        return f"The answers have shape {array.shape}, they should have shape ({items},)."
    if array.dtype.kind not in "iu":
        return f"The answers have type {array.dtype}, they should be whole numbers."
    return None


def _weaker_method(
    cases: Sequence[Case], found: np.ndarray, mistakes: Sequence[Mistake]
) -> str | None:
    """Return the hint of the weaker method that answers most alike, if it is alike enough."""
    alike = [
        np.mean(np.concatenate([mistake.formula(**case.inputs) for case in cases]) == found)
        for mistake in mistakes
    ]
    best = int(np.argmax(alike))
    return mistakes[best].hint if alike[best] >= _ALIKE else None
