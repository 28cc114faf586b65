"""The judge of many classes: the share that must be right, and the weaker method that is named."""

import re
from functools import partial

import numpy as np
import pytest

from mmlib.homework.classifying import judge_classes
from mmlib.homework.comparing import Mistake
from mmlib.homework.exercises import Case

TRUTH = np.arange(20) % 4
CASES = [Case({"x": TRUTH + shift}, TRUTH) for shift in (0, 1)]
judge = partial(
    judge_classes,
    enough=0.8,
    mistakes=(Mistake(lambda x: x * 0 + 7, "seven"), Mistake(lambda x: (x + 1) % 4, "one off")),
    advice="look again",
)


def wrong_in(count, *, value=9):
    return np.where(np.arange(20) < count, value, TRUTH)


def test_the_share_counts_over_all_cases():
    assert judge(CASES, [TRUTH, wrong_in(8)]) is None
    assert "78% of the answers are right, 80% are needed. look again" in judge(
        CASES, [TRUTH, wrong_in(9)]
    )


def test_a_weaker_method_is_named_if_nearly_all_agrees():
    off = [(case.inputs["x"] + 1) % 4 for case in CASES]
    off[0][:4] = 8
    assert judge(CASES, off).endswith("one off")
    off[0][:5] = 8
    assert judge(CASES, off).endswith("look again")


def test_one_answer_for_all_is_told():
    assert "all answers are the same" in judge(CASES, [TRUTH * 0 + 2, TRUTH * 0 + 3])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (TRUTH[1:], r"have shape \(19,\), they should have shape \(20,\)"),
        (TRUTH * 1.0, "float64, they should be whole numbers"),
        ("bird", "not made of numbers"),
        ([[1], [1, 2]], "rows differ in length"),
    ],
)
def test_a_malformed_answer_is_told(answer, said):
    assert re.search(said, judge(CASES, [TRUTH, answer]))
