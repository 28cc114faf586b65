"""The judge that most exercises use: compare with the truth, and name the mistake.

A plausible mistake is a function too. If all the student's wrong answers agree with what the
mistaken formula gives, its hint tells the cause. What no listed mistake explains is described as
it is seen: shape, kind of number, a constant factor, the number that differs most.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmlib.homework.exercises import Case, describe_call
from mmlib.homework.wire import NUMERIC

TOLERANCE = 1e-5  # of the largest value: single precision is precise enough


@dataclass(frozen=True)
class Mistake:
    """A wrong formula that students plausibly write, and the sentence that corrects it."""

    formula: Callable[..., Any]  # takes the same arguments as the student's function
    hint: str


@dataclass(frozen=True)
class Breakdown:
    """Inputs at which a formula that is right on paper overflows, and the sentence that helps."""

    happens: Callable[[Case], bool]
    hint: str


def compare(
    cases: Sequence[Case], answers: Sequence[Any], *, mistakes: Sequence[Mistake] = ()
) -> str | None:
    """Return None if every answer agrees with its case's truth, else a hint.

    A whole number in the truth demands a whole number; a real truth refuses complex answers.
    """
    arrays = []
    for case, answer in zip(cases, answers, strict=True):
        try:
            arrays.append(to_array(answer))
        except ValueError as error:
            return f"{describe_call('The answer to ', case.inputs)} {error}."
    truths = [np.asarray(case.truth) for case in cases]
    if all(map(agrees, truths, arrays)):
        return None
    wrong = [
        (case, array)
        for case, truth, array in zip(cases, truths, arrays, strict=True)
        if not agrees(truth, array)
    ]
    for mistake in mistakes:
        if all(agrees(np.asarray(mistake.formula(**case.inputs)), array) for case, array in wrong):
            return mistake.hint
    return _describe(cases, truths, arrays)


def compare_extremes(
    cases: Sequence[Case],
    answers: Sequence[Any],
    *,
    mistakes: Sequence[Mistake] = (),
    breakdowns: Sequence[Breakdown],
) -> str | None:
    """Compare the finite answers; if these are right and others are not finite, tell what broke.

    Adding to the list of mistakes would not do: no answer agrees with one that is not finite.
    """
    broken = [_is_broken(answer) for answer in answers]
    kept = [i for i, is_broken in enumerate(broken) if not is_broken]
    hint = compare([cases[i] for i in kept], [answers[i] for i in kept], mistakes=mistakes)
    if hint is not None or not any(broken):
        return hint
    failed = [case for case, is_broken in zip(cases, broken, strict=True) if is_broken]
    for breakdown in breakdowns if kept else ():
        if all(map(breakdown.happens, failed)):
            return breakdown.hint
    return compare(cases, answers)


def _is_broken(answer: Any) -> bool:
    try:
        return not np.isfinite(to_array(answer)).all()
    except ValueError:
        return False


def to_array(answer: Any) -> np.ndarray:
    """Return a plain answer as an array of numbers.

    Raises:
        ValueError: the answer is text, a dictionary, or a list whose rows differ in length.
    """
    try:
        array = np.asarray(answer)
    except ValueError:
        raise ValueError("is a list whose rows differ in length") from None
    if array.dtype.kind not in NUMERIC:
        raise ValueError("is not made of numbers")
    return array


def agrees(truth: np.ndarray, answer: np.ndarray) -> bool:
    """Say whether ``answer`` has the shape, the kind of number and the values of ``truth``."""
    if truth.shape != answer.shape or not _same_kind(truth, answer):
        return False
    if not (np.isfinite(answer).all() and np.isfinite(truth).all()):
        return False  # a mistaken formula may overflow: what is infinite agrees with nothing
    return bool(np.all(np.abs(answer - truth) <= TOLERANCE * np.max(np.abs(truth), initial=0)))


def _same_kind(truth: np.ndarray, answer: np.ndarray) -> bool:
    kinds = {"i": "iu", "f": "iuf", "c": "iufc"}
    return answer.dtype.kind in kinds[truth.dtype.kind]


def _describe(cases: Sequence[Case], truths: list, answers: list) -> str:
    """Describe how the answers differ, at the first one that does."""
    first = next(i for i, pair in enumerate(zip(truths, answers, strict=True)) if not agrees(*pair))
    truth, answer = truths[first], answers[first]
    call = describe_call("", cases[first].inputs)
    if answer.shape != truth.shape:
        return _describe_shape(truth, answer, call)
    if not _same_kind(truth, answer):
        return _describe_kind(truth, answer, call)
    if not np.isfinite(answer).all():
        count = int((~np.isfinite(answer)).sum())
        return (
            f"{count} of {answer.size} values are NaN or infinite for {call}: "
            "look for a division by zero or the logarithm of zero."
        )
    factor = _constant_factor(truths, answers)
    if factor is not None:
        return f"Right up to a constant: every value is {factor:.4g} times what it should be."
    where = np.unravel_index(np.argmax(np.abs(answer - truth)), truth.shape)
    at = f" at index {tuple(map(int, where))}" if where else ""
    return f"For {call}{at} the answer is {answer[where]:.6g}, it should be {truth[where]:.6g}."


def _describe_shape(truth: np.ndarray, answer: np.ndarray, call: str) -> str:
    if truth.ndim == 2 and agrees(truth, answer.T):
        return (
            f"The axes are swapped: the values are right, but the shape is {answer.shape} and "
            f"should be {truth.shape}; transpose the result."
        )
    return f"The answer to {call} has shape {answer.shape}, it should be {truth.shape}."


def _describe_kind(truth: np.ndarray, answer: np.ndarray, call: str) -> str:
    if answer.dtype.kind == "c":
        return (
            f"The answer to {call} is complex, it should be real: a power is a squared "
            "absolute value, so take np.abs before you square."
        )
    return (
        f"The answer to {call} has type {answer.dtype}, it should be a whole number: "
        "use // instead of / and return an int."
    )


def _constant_factor(truths: list, answers: list) -> float | None:
    """Return the one number by which all answers differ from the truths, if there is one."""
    if any(t.shape != a.shape or t.dtype.kind != "f" for t, a in zip(truths, answers, strict=True)):
        return None
    truth = np.concatenate([array.ravel() for array in truths])
    answer = np.concatenate([array.ravel() for array in answers])
    factor = float(truth @ answer / (truth @ truth))
    return factor if factor and agrees(truth, answer / factor) else None
