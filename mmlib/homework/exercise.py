"""What an exercise is: one reference function, random inputs, and the hints that teach.

A chapter's module in ``mmlib.homework.chapters`` decorates its reference functions::

    @exercise(points=1, title="…", inputs=lambda rng: [{"x": rng.normal(size=3)}],
              hints={"Divided twice.": {"power": 2}})
    def norm(x, *, power=1): ...

The keyword-only parameters of a reference are its knobs. A hint is a wrong setting of knobs, or a
wrong function: if all of a student's wrong answers agree with it, its sentence is the verdict.
``check`` is the feedback in the notebook; marks are given by ``mmlib.homework.grade``, with other
inputs, outside the student's process.
"""

import copy
import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmlib.homework import wire

SEED = 0  # of the notebook's check: the same numbers each time, so that a mistake can be studied
TOLERANCE = 1e-5  # of the largest value: single precision is precise enough
_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "iuf", "c": "iufc"}  # what may stand for what
_ALIKE = 0.9  # share of the answers that a weaker method must give as well, for its hint

Inputs = dict[str, Any]
Judge = Callable[["Exercise", Sequence[Inputs], Sequence[Any]], str | None]


@dataclass(frozen=True)
class Exercise:
    """One function for the student to write; calling it calls the reference."""

    reference: Callable[..., Any]
    points: int
    title: str
    inputs: Callable[[np.random.Generator], list[Inputs]]
    hints: dict[str, Callable[..., Any]]  # sentence → the function that makes this mistake
    judge: Judge

    def __call__(self, *args: Any, **knobs: Any) -> Any:
        return self.reference(*args, **knobs)

    @property
    def name(self) -> str:
        """The name that the student's function must have."""
        return self.reference.__name__

    @property
    def parameters(self) -> list[str]:
        """The student's arguments, in order."""
        parameters = inspect.signature(self.reference).parameters.values()
        return [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]

    def arguments(self, case: Inputs) -> list[Any]:
        """Return what the student's function is called with; the rest of a case is the judge's."""
        return [case[name] for name in self.parameters]

    def verdict(self, cases: Sequence[Inputs], answers: Any) -> str | None:
        """Return None if the plain ``answers`` are right, else a hint. Never raises."""
        if not isinstance(answers, list) or len(answers) != len(cases):
            return f"{self.name} did not answer all of its {len(cases)} calls."
        for case, answer in zip(cases, answers, strict=True):
            if answer is None:
                return f"{self.call(case)} returned None: does it end with a return statement?"
        try:
            with np.errstate(all="ignore"):
                return self.judge(self, cases, answers)
        except Exception as error:  # answers come from a stranger: whatever is in them
            return f"The answers could not be compared ({type(error).__name__}: {error})."

    def call(self, case: Inputs) -> str:
        """Return the call as one would write it; an array is described by its shape."""
        parts = (
            f"{name}=<array {value.shape}>" if isinstance(value, np.ndarray) else f"{name}={value}"
            for name, value in zip(self.parameters, self.arguments(case), strict=True)
        )
        return f"{self.name}({', '.join(parts)})"


def exercise(
    *,
    points: int,
    title: str,
    inputs: Callable[[np.random.Generator], list[Inputs]],
    hints: dict[str, dict[str, Any] | Callable[..., Any]] | None = None,
    judge: Judge | None = None,
) -> Callable[[Callable[..., Any]], Exercise]:
    """Make an exercise of a reference function.

    Args:
        points: what it is worth.
        title: its heading in the notebook.
        inputs: draws the cases, each a dictionary of the arguments by name.
        hints: sentence → wrong settings of knobs, or a function that makes the mistake.
        judge: of an open exercise, see ``scored``. None: answers are compared with the reference.
    """

    def decorate(reference: Callable[..., Any]) -> Exercise:
        wrong = {
            hint: partial(reference, **how) if isinstance(how, dict) else how
            for hint, how in (hints or getattr(judge, "baselines", {})).items()
        }
        return Exercise(reference, points, title, inputs, wrong, judge or compare)

    return decorate


def load(chapter: str) -> tuple[Exercise, ...]:
    """Return the exercises of ``chapter``, such as ``"spectrogram"``, in their order.

    Raises:
        ValueError: no such chapter sets homework.
    """
    if chapter not in chapter_names():
        raise ValueError(
            f"no homework is called {chapter!r}: there is {', '.join(chapter_names())}"
        )
    module = importlib.import_module(f"mmlib.homework.chapters.{chapter}")
    return tuple(value for value in vars(module).values() if isinstance(value, Exercise))


def chapter_names() -> list[str]:
    """Return the chapters that set homework: the modules in ``mmlib/homework/chapters``."""
    return sorted(p.stem for p in (Path(__file__).parent / "chapters").glob("[!_]*.py"))


def draw(chapter: str, seed: int) -> list[tuple[Exercise, list[Inputs]]]:
    """Return the exercises of ``chapter``, each with cases that depend on ``seed`` only."""
    rng = np.random.default_rng(seed)
    return [(item, item.inputs(rng)) for item in load(chapter)]


def compare(exercise: Exercise, cases: Sequence[Inputs], answers: Sequence[Any]) -> str | None:
    """Return None if every answer agrees with the reference, else the hint that explains it."""
    pairs = [
        _parts(exercise(*exercise.arguments(case)), answer)
        for case, answer in zip(cases, answers, strict=True)
    ]
    wrong = [number for number, pair in enumerate(pairs) if not _all_agree(*pair)]
    if not wrong:
        return None
    for hint, mistake in exercise.hints.items():
        explained = (
            _all_agree(*_parts(mistake(*exercise.arguments(cases[i])), answers[i])) for i in wrong
        )
        if all(explained):
            return hint
    call, (truths, given) = exercise.call(cases[wrong[0]]), pairs[wrong[0]]
    if len(given) != len(truths):
        return (
            f"The answer to {call} must be {len(truths)} arrays: return them with a comma between."
        )
    part = [agrees(*pair) for pair in zip(truths, given, strict=True)].index(False)
    which = f"Value {part + 1} of the answer" if len(truths) > 1 else "The answer"
    same_part = [(t[part], g[part]) for t, g in (pairs[i] for i in wrong) if len(g) == len(t)]
    return _describe(f"{which} to {call}", same_part)


def scored(
    *,
    at_least: float,
    measure: Callable[[Inputs, np.ndarray], Any],
    baselines: dict[str, dict[str, Any] | Callable[..., Any]],
    advice: str,
) -> Judge:
    """Return the judge of an open exercise: any method may be used, enough must be right.

    Args:
        at_least: the mean score that passes.
        measure: from a case and its answer to a score from 0 to 1, or to one for each item.
        baselines: hint → a weaker method that falls short: settings of knobs, or a function.
        advice: what to say of errors that are none of the baselines'.
    """

    def judge(exercise: Exercise, cases: Sequence[Inputs], answers: Sequence[Any]) -> str | None:
        arrays = [_array(answer) for answer in answers]
        for case, array in zip(cases, arrays, strict=True):
            truth = np.asarray(exercise(*exercise.arguments(case)))
            if not _same_form(truth, array) or not np.isfinite(array).all():
                return _describe(f"The answer to {exercise.call(case)}", [(truth, array)])
        score = np.mean([np.mean(measure(*pair)) for pair in zip(cases, arrays, strict=True)])
        if score >= at_least:
            return None
        said = f"{score:.0%} of the answers are right, {at_least:.0%} are needed."
        for hint, method in exercise.hints.items():
            alike = [
                np.mean(np.isclose(array, method(*exercise.arguments(case)), rtol=1e-2))
                for case, array in zip(cases, arrays, strict=True)
            ]
            if np.mean(alike) >= _ALIKE:
                return f"{said} {hint}"
        return f"{said} {advice}"

    judge.baselines = baselines
    return judge


def agrees(truth: np.ndarray, answer: np.ndarray) -> bool:
    """Say whether ``answer`` has the shape, the kind of number and the values of ``truth``.

    What is NaN or infinite in ``truth``, as a mistake may make it, must be so in ``answer``.
    """
    if not _same_form(truth, answer):
        return False
    finite = np.isfinite(truth)
    if not np.array_equal(truth[~finite], answer[~finite], equal_nan=True):
        return False
    largest = np.max(np.abs(truth[finite]), initial=0)
    return bool(np.all(np.abs(answer[finite] - truth[finite]) <= TOLERANCE * largest))


def _same_form(truth: np.ndarray, answer: np.ndarray) -> bool:
    return truth.shape == answer.shape and answer.dtype.kind in _KINDS[truth.dtype.kind]


def _all_agree(truths: list[np.ndarray], answers: list[np.ndarray]) -> bool:
    return len(truths) == len(answers) and all(map(agrees, truths, answers))


def _parts(truth: Any, answer: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return truth and answer as arrays: one each, or one for each value of a tuple."""
    if not isinstance(truth, tuple):
        return [np.asarray(truth)], [_array(answer)]
    several = isinstance(answer, list | tuple) or np.ndim(answer) > 0  # rows of an array will do
    values = list(answer) if several else [answer]
    return [np.asarray(part) for part in truth], [_array(part) for part in values]


def _array(answer: Any) -> np.ndarray:
    """Return an answer as an array of numbers, or as one of objects if it is none."""
    try:
        return np.asarray(answer)
    except ValueError:  # a list whose rows differ in length
        return np.asarray(None)


def _describe(what: str, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    """Describe how answers differ from truths: form first, then values."""
    for truth, answer in pairs:
        if answer.dtype.kind not in wire.NUMERIC:
            return f"{what} is not made of numbers, or its rows differ in length."
        if answer.shape != truth.shape:
            if truth.ndim == 2 and agrees(truth, answer.T):
                return f"{what} has its axes swapped: transpose it to shape {truth.shape}."
            return f"{what} has shape {answer.shape}, it should have shape {truth.shape}."
        if answer.dtype.kind not in _KINDS[truth.dtype.kind]:
            kind = {"i": "whole (use // for /, int())", "b": "True or False"}
            should = kind.get(truth.dtype.kind, "real (take np.abs first)")
            return f"{what} has type {answer.dtype}, it should be {should}."
    if not np.isfinite(pairs[0][1]).all():
        return f"{what} holds NaN or infinite values: a division by zero, or a log of zero?"
    truth, answer = (np.concatenate([pair[k].ravel() for pair in pairs]) for k in (0, 1))
    factor = np.vdot(truth, answer) / max(np.vdot(truth, truth), 1e-300)
    several = truth.size > 1 and truth.dtype.kind == "f" and abs(factor) > 1e-9
    if several and agrees(truth, answer / factor):
        return f"Right up to a constant: every wrong value is {factor:.4g} times what it should be."
    truth, answer = pairs[0]
    where = np.unravel_index(np.argmax(np.abs(answer - truth)), truth.shape)
    at = f" at index {tuple(map(int, where))}" if where else ""
    return f"{what} is {answer[where]:.6g}{at}, it should be {truth[where]:.6g}."


def check(chapter: str, function: Callable[..., Any]) -> None:
    """Print whether ``function`` solves the exercise of its name, else a hint.

    Raises:
        ValueError: no such chapter, or the chapter has no exercise of that name.
    """
    name = getattr(function, "__name__", repr(function))
    exercises = {item.name: item for item in load(chapter)}
    if name not in exercises:
        known = ", ".join(exercises)
        raise ValueError(f"{chapter} has no exercise for a function called {name}: it has {known}")
    item = exercises[name]
    cases = item.inputs(np.random.default_rng(SEED))
    hint = _try(item, cases, function)
    points = f"{item.points} point" + "s" * (item.points != 1)
    right = f"{name}: right on all {len(cases)} inputs ({points})."
    _say(hint is None, right if hint is None else f"{name}: {hint}")


def _try(item: Exercise, cases: list[Inputs], function: Callable[..., Any]) -> str | None:
    """Call the function on copies of every case; return a hint or None."""
    answers = []
    for case in cases:
        try:
            answer = wire.plain(function(*copy.deepcopy(item.arguments(case))))
        except NotImplementedError:
            return "not answered yet."
        except Exception as error:
            return f"{item.call(case)} stopped with {type(error).__name__}: {error}"
        answers.append(wire.loads(wire.dumps(answer)))
    return item.verdict(cases, answers)


def _say(right: bool, sentence: str) -> None:
    mark, word = ("\N{WHITE HEAVY CHECK MARK}", "PASS") if right else ("\N{CROSS MARK}", "NOT YET")
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        f"{mark} {sentence}".encode(encoding)
    except UnicodeEncodeError:  # a terminal without the signs
        mark, sentence = f"{word}:", sentence.encode(encoding, "replace").decode(encoding)
    print(f"{mark} {sentence}\n", end="")  # in one piece, so that a notebook stores one output
