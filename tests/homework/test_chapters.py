"""Every chapter's homework: right answers pass, wrong ones fail, each with its own hint."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from mmlib.homework import wire
from mmlib.homework.exercises import chapter_names, judge_answers, load_exercises

ANSWERS = Path(__file__).parent / "answers"


def load_answers(chapter):
    spec = importlib.util.spec_from_file_location(f"answers_{chapter}", ANSWERS / f"{chapter}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLES = {chapter: load_answers(chapter) for chapter in chapter_names()}
EXERCISES = [
    pytest.param(chapter, exercise, id=f"{chapter}-{exercise.function}")
    for chapter in TABLES
    for exercise in load_exercises(chapter)
]
RIGHT = [
    pytest.param(*param.values, answer, id=f"{param.id}-{number}")
    for param in EXERCISES
    for number, answer in enumerate(TABLES[param.values[0]].RIGHT[param.values[1].function])
]
WRONG = [
    pytest.param(*param.values, cause, answer, id=f"{param.id}-{cause}")
    for param in EXERCISES
    for cause, answer in TABLES[param.values[0]].WRONG[param.values[1].function]
]


def judge(exercise, function, *, seed):
    cases = exercise.make_cases(np.random.default_rng(seed))
    answers = [wire.plain(function(*case.inputs.values())) for case in cases]
    return judge_answers(exercise, cases, wire.loads(wire.dumps(answers)))


@pytest.mark.parametrize(("chapter", "exercise", "answer"), RIGHT)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_right_answer_passes_however_it_is_written(chapter, exercise, answer, seed):
    assert judge(exercise, answer, seed=seed) is None


@pytest.mark.parametrize(("chapter", "exercise", "cause", "answer"), WRONG)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_wrong_answer_fails_with_a_hint_that_names_the_cause(
    chapter, exercise, cause, answer, seed
):
    hint = judge(exercise, answer, seed=seed)
    assert hint is not None
    assert cause in hint


@pytest.mark.parametrize(("chapter", "exercise"), EXERCISES)
def test_each_wrong_answer_has_its_own_hint(chapter, exercise):
    table = TABLES[chapter].WRONG[exercise.function]
    hints = [judge(exercise, answer, seed=0) for _, answer in table]
    assert len(set(hints)) == len(hints)


@pytest.mark.parametrize(("chapter", "exercise"), EXERCISES)
def test_the_table_holds_two_right_and_five_wrong_answers(chapter, exercise):
    assert len(TABLES[chapter].RIGHT[exercise.function]) >= 2
    assert len(TABLES[chapter].WRONG[exercise.function]) >= 5


@pytest.mark.parametrize("chapter", chapter_names())
def test_a_chapter_sets_four_to_six_exercises_from_easy_to_open(chapter):
    exercises = load_exercises(chapter)
    points = [exercise.points for exercise in exercises]
    assert 4 <= len(exercises) <= 6
    assert points == sorted(points)
    assert len({exercise.function for exercise in exercises}) == len(exercises)


@pytest.mark.parametrize(("chapter", "exercise"), EXERCISES)
def test_same_seed_same_cases(chapter, exercise):
    first, again, other = (
        wire.dumps([case.inputs for case in exercise.make_cases(np.random.default_rng(seed))])
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize(("chapter", "exercise"), EXERCISES)
@pytest.mark.parametrize(
    "rubbish",
    ["", "text", [], {}, {"a": 1}, [[1], [1, 2]], True, 1e308, -1, 10**400, np.zeros((3, 0, 2))],
    ids=repr,
)
def test_rubbish_is_judged_wrong_and_never_raises(chapter, exercise, rubbish):
    cases = exercise.make_cases(np.random.default_rng(0))
    assert judge_answers(exercise, cases, [rubbish] * len(cases))


@pytest.mark.parametrize(("chapter", "exercise"), EXERCISES)
def test_too_few_answers_are_judged_wrong(chapter, exercise):
    cases = exercise.make_cases(np.random.default_rng(0))
    assert "did not answer" in judge_answers(exercise, cases, [cases[0].truth])
    assert "did not answer" in judge_answers(exercise, cases, "not a list")


def test_an_unknown_chapter_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match=r"no homework is called 'cooking': .*spectrogram"):
        load_exercises("cooking")
