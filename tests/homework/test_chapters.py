"""Every chapter's homework: the reference is right, the solution passes, each mistake is named."""

import importlib.util
from pathlib import Path

import nbformat
import numpy as np
import pytest

from mmlib.homework import wire
from mmlib.homework.exercise import chapter_names, draw, load

ROOT = Path(__file__).resolve().parents[2]
SEEDS = (0, 1, 2)
EXERCISES = {
    f"{chapter}-{exercise.name}": (chapter, number)
    for chapter in chapter_names()
    for number, exercise in enumerate(load(chapter))
}
HINTS = {
    f"{name}-{hint}": (chapter, number, hint)
    for name, (chapter, number) in EXERCISES.items()
    for hint in load(chapter)[number].hints
}
each_exercise = pytest.mark.parametrize(
    ("chapter", "number"), EXERCISES.values(), ids=EXERCISES.keys()
)


def verdict(chapter, number, function, seed):
    """Judge a function as the grader does, on plain data that went over the wire."""
    exercise, cases = draw(chapter, seed)[number]
    with np.errstate(all="ignore"):  # a mistake may overflow
        answers = [wire.plain(function(*exercise.arguments(case))) for case in cases]
    return exercise.verdict(cases, wire.loads(wire.dumps(answers)))


def independent(chapter):
    """Return the module with another implementation of each exercise."""
    path = Path(__file__).parent / "references" / f"{chapter}.py"
    spec = importlib.util.spec_from_file_location(f"reference_{chapter}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def solutions(chapter):
    """Run the code of the solutions notebook; return its names."""
    path = ROOT / "notebooks" / "homework" / "solutions" / f"{chapter}.ipynb"
    names = {}
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
    return names


@pytest.mark.parametrize(("chapter", "number", "hint"), HINTS.values(), ids=HINTS.keys())
def test_each_mistake_gets_its_own_hint(chapter, number, hint):
    for seed in SEEDS:
        mistake = load(chapter)[number].hints[hint]
        answer = verdict(chapter, number, mistake, seed)
        assert answer is not None
        assert answer.endswith(hint)


@each_exercise
def test_the_reference_and_an_independent_one_pass(chapter, number):
    exercise = load(chapter)[number]
    other = getattr(independent(chapter), exercise.name)
    for seed in SEEDS:
        assert verdict(chapter, number, exercise.reference, seed) is None
        assert verdict(chapter, number, other, seed) is None


@pytest.mark.parametrize("chapter", chapter_names())
def test_the_solutions_pass_in_the_notebook_and_with_other_numbers(chapter, capsys):
    names = solutions(chapter)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(load(chapter))
    assert all(line.startswith("\N{WHITE HEAVY CHECK MARK}") for line in lines)
    for number, exercise in enumerate(load(chapter)):
        assert verdict(chapter, number, names[exercise.name], seed=7) is None


@pytest.mark.parametrize("chapter", chapter_names())
def test_a_chapter_sets_three_to_five_exercises(chapter):
    exercises = load(chapter)
    assert 3 <= len(exercises) <= 5
    assert len({exercise.name for exercise in exercises}) == len(exercises)
    assert all(len(exercise.hints) >= 3 for exercise in exercises)


@each_exercise
def test_inputs_depend_on_the_seed_alone_and_are_left_as_they_are(chapter, number):
    exercise, first = draw(chapter, 3)[number]
    for case in first:
        exercise.reference(*exercise.arguments(case))
    again, other = (draw(chapter, seed)[number][1] for seed in (3, 4))
    assert wire.dumps(wire.plain(first)) == wire.dumps(wire.plain(again))
    assert wire.dumps(wire.plain(first)) != wire.dumps(wire.plain(other))


RUBBISH = ["", "text", [], {}, [[1], [1, 2]], True, 1e308, -1, 10**400, np.zeros((3, 0, 2))]


@each_exercise
def test_rubbish_is_judged_wrong_and_never_raises(chapter, number):
    exercise, cases = draw(chapter, 0)[number]
    for rubbish in RUBBISH:
        assert exercise.verdict(cases, [rubbish] * len(cases))
    assert "did not answer" in exercise.verdict(cases, [1])
    assert "did not answer" in exercise.verdict(cases, "not a list")
    assert "returned None" in exercise.verdict(cases, [None] * len(cases))
