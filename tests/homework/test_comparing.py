"""Answers that are not finite: what broke is told only where the rest is right."""

import numpy as np
import pytest

from mmlib.homework.comparing import Breakdown, Mistake, compare, compare_extremes
from mmlib.homework.exercises import Case

CASES = [Case({"x": x}, np.array([x, 2.0 * x])) for x in (1.0, 2.0, 900.0, -900.0)]
TRUTHS = [case.truth for case in CASES]
BREAKDOWNS = (
    Breakdown(lambda case: case.inputs["x"] > 500, "overflow"),
    Breakdown(lambda case: case.inputs["x"] < -500, "underflow"),
)
MISTAKES = (Mistake(lambda x: np.array([x, x]), "forgot the 2"),)


def hint(answers):
    return compare_extremes(CASES, answers, mistakes=MISTAKES, breakdowns=BREAKDOWNS)


def with_nan(*places):
    return [truth * np.nan if i in places else truth for i, truth in enumerate(TRUTHS)]


def test_right_answers_pass():
    assert hint(TRUTHS) is None


@pytest.mark.parametrize(("places", "said"), [((2,), "overflow"), ((3,), "underflow")])
def test_what_broke_is_told(places, said):
    assert hint(with_nan(*places)) == said


@pytest.mark.parametrize("places", [(2, 3), (0,), (0, 1, 2, 3)])
def test_what_no_breakdown_explains_is_described(places):
    assert "NaN or infinite" in hint(with_nan(*places))


def test_a_mistake_in_the_finite_answers_comes_first():
    answers = [np.array([case.inputs["x"]] * 2) for case in CASES]
    answers[2] = np.array([np.inf, 1.0])
    assert hint(answers) == "forgot the 2"


def test_an_answer_that_is_no_array_of_numbers_is_named():
    assert "not made of numbers" in hint([*with_nan(2)[:3], "text"])


def test_a_mistaken_formula_that_overflows_explains_nothing():
    infinite = Mistake(lambda x: np.array([np.inf, np.inf]), "overflows")
    hint = compare(CASES, [2 * truth for truth in TRUTHS], mistakes=(infinite,))
    assert hint.startswith("Right up to a constant")
