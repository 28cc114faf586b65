"""Feedback in the notebook: ``check("spectrogram", frame_count)``.

It runs in the student's own process and helps the student; marks are given by
``mmlib.homework.grade``, with other numbers and in another process.
"""

import copy
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from mmlib.homework import wire
from mmlib.homework.exercises import Case, Exercise, describe_call, judge_answers, load_exercises

SEED = 0  # the same numbers each time, so that a mistake can be studied


def check(chapter: str, function: Callable[..., Any]) -> None:
    """Print whether ``function`` solves the exercise of its name, else a hint.

    Args:
        chapter: the chapter's name, such as ``"spectrogram"``.
        function: the student's function; its name says which exercise it answers.

    Raises:
        ValueError: no such chapter, or the chapter has no exercise of that name.
    """
    name = getattr(function, "__name__", repr(function))
    exercise = _find(load_exercises(chapter), chapter, name)
    cases = exercise.make_cases(np.random.default_rng(SEED))
    hint = _call_all(exercise, cases, function)
    points = f"{exercise.points} point" + "s" * (exercise.points != 1)
    if hint is None:
        _say(True, f"{exercise.function}: right on all {len(cases)} inputs ({points}).")
    else:
        _say(False, f"{exercise.function}: {hint}")


def _find(exercises: tuple[Exercise, ...], chapter: str, name: str) -> Exercise:
    for exercise in exercises:
        if exercise.function == name:
            return exercise
    known = ", ".join(exercise.function for exercise in exercises)
    raise ValueError(f"{chapter} has no exercise for a function called {name}: it has {known}")


def _call_all(exercise: Exercise, cases: list[Case], function: Callable) -> str | None:
    """Call the function on every case; return a hint or None."""
    answers = []
    for case in cases:
        call = describe_call(exercise.function, case.inputs)
        try:
            answer = function(*copy.deepcopy(list(case.inputs.values())))
        except NotImplementedError:
            return "not answered yet."
        except Exception as error:
            return f"{call} stopped with {type(error).__name__}: {error}"
        try:
            answers.append(wire.loads(wire.dumps(wire.plain(answer))))
        except (TypeError, ValueError) as error:
            return f"{call}: {error}."
    return judge_answers(exercise, cases, answers)


def _say(right: bool, sentence: str) -> None:
    mark, word = ("\N{WHITE HEAVY CHECK MARK}", "PASS") if right else ("\N{CROSS MARK}", "NOT YET")
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    line = f"{mark} {sentence}"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        line = f"{word}: {sentence}".encode(encoding, "replace").decode(encoding)
    print(f"{line}\n", end="")  # in one piece, so that a notebook stores one output
