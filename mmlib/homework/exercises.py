"""What an exercise is, which chapters set homework, and the verdict on a list of answers."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """One call of the student's function."""

    inputs: dict[str, Any]  # the arguments, in order: numbers, strings, plain arrays
    truth: Any  # what is right; it never reaches the student's process


@dataclass(frozen=True)
class Exercise:
    """One function for the student to write, and how to judge what it returns."""

    function: str  # its name in the notebook
    title: str
    points: int
    make_cases: Callable[[np.random.Generator], list[Case]]
    judge: Callable[[Sequence[Case], Sequence[Any]], str | None]  # None, or a hint that teaches


def chapter_names() -> list[str]:
    """Return the chapters that set homework: the modules in ``mmlib/homework/chapters``."""
    folder = Path(__file__).parent / "chapters"
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def load_exercises(chapter: str) -> tuple[Exercise, ...]:
    """Return the exercises of ``chapter``, such as ``"spectrogram"``.

    Raises:
        ValueError: no such chapter sets homework.
    """
    if chapter not in chapter_names():
        known = ", ".join(chapter_names())
        raise ValueError(f"no homework is called {chapter!r}: there is {known}")
    return importlib.import_module(f"mmlib.homework.chapters.{chapter}").EXERCISES


def judge_answers(exercise: Exercise, cases: Sequence[Case], answers: Sequence[Any]) -> str | None:
    """Return None if the plain ``answers`` to ``cases`` are right, else a hint.

    Never raises, whatever the answers hold: they come from a student's process.
    """
    if not isinstance(answers, list) or len(answers) != len(cases):
        return f"{exercise.function} did not answer all of its {len(cases)} calls."
    for case, answer in zip(cases, answers, strict=True):
        if answer is None:
            call = describe_call(exercise.function, case.inputs)
            return f"{call} returned None: does the function end with a return statement?"
    try:
        with np.errstate(all="ignore"):
            return exercise.judge(cases, answers)
    except Exception as error:
        kind = type(error).__name__
        return f"The answers of {exercise.function} could not be compared ({kind}: {error})."


def describe_call(function: str, inputs: dict[str, Any]) -> str:
    """Return the call as one would write it; an array is described by its shape."""
    parts = (
        f"{name}=<array {value.shape}>" if isinstance(value, np.ndarray) else f"{name}={value!r}"
        for name, value in inputs.items()
    )
    return f"{function}({', '.join(parts)})"
