"""Grade a folder of submissions: ``python -m mmlib.homework.grade FOLDER --report report.json``.

Each ``.ipynb`` or ``.py`` in the folder is one submission, its name the student's. The report is
written as JSON and, beside it, as Markdown.
"""

import argparse
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmlib.files import written_whole
from mmlib.homework import confinement
from mmlib.homework.exercises import (
    Case,
    Exercise,
    chapter_names,
    judge_answers,
    load_exercises,
)
from mmlib.homework.report import Graded, Mark, Report, to_json, to_markdown
from mmlib.homework.sandbox import Call, Limits, Outcome, run_submission, try_out
from mmlib.homework.submissions import SUFFIXES, read_cells


def grade_file(
    path: Path,
    chapter: str,
    *,
    seed: int,
    limits: Limits,
    namespaces: bool = True,
) -> Graded:
    """Grade one submission.

    Args:
        path: a notebook or a Python file.
        chapter: whose homework it is.
        seed: of the hidden inputs.
        limits: what the student's code may use.
        namespaces: whether to use Linux namespaces where the machine allows them.

    Raises:
        ValueError: no such chapter sets homework.
    """
    exercises = load_exercises(chapter)
    rng = np.random.default_rng(seed)
    cases = [exercise.make_cases(rng) for exercise in exercises]
    calls = [
        Call(exercise.function, [list(case.inputs.values()) for case in made])
        for exercise, made in zip(exercises, cases, strict=True)
    ]
    try:
        cells = read_cells(path)
    except (OSError, ValueError) as error:
        marks = tuple(_mark(exercise, "the submission cannot be read") for exercise in exercises)
        return Graded(path.stem, chapter, marks, note=str(error))
    outcomes = run_submission(cells, calls, limits=limits, namespaces=namespaces)
    marks = tuple(map(_judge, exercises, cases, outcomes))
    return Graded(path.stem, chapter, marks, output=outcomes[-1].output)


def _judge(exercise: Exercise, cases: list[Case], outcome: Outcome) -> Mark:
    hint = outcome.problem
    if outcome.problem is None:
        hint = judge_answers(exercise, cases, outcome.values)
    return _mark(exercise, hint)


def _mark(exercise: Exercise, hint: str | None) -> Mark:
    points = exercise.points if hint is None else 0
    return Mark(exercise.function, exercise.title, points, exercise.points, hint or "")


def grade_folder(
    folder: Path, *, chapter: str | None, seed: int, limits: Limits, namespaces: bool = True
) -> Report:
    """Grade every submission in ``folder``, in the order of their names.

    Args:
        folder: where the submissions lie; folders inside it are not looked at.
        chapter: whose homework they are. None: each file is named like its chapter.
        seed: of the hidden inputs.
        limits: what each submission may use.
        namespaces: whether to use Linux namespaces where the machine allows them.

    Raises:
        ValueError: the folder holds no submission, or it is not known whose homework one is.
        OSError: this machine cannot run submissions.
    """
    paths = sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES and path.is_file())
    if not paths:
        raise ValueError(f"{folder} holds no submission: it needs files {' or '.join(SUFFIXES)}")
    unknown = [path.name for path in paths if chapter is None and path.stem not in chapter_names()]
    if unknown:
        raise ValueError(
            f"whose homework is {unknown[0]}? Name the chapter: "
            f"--chapter {' or --chapter '.join(chapter_names())}"
        )
    try_out()
    graded = [
        grade_file(path, chapter or path.stem, seed=seed, limits=limits, namespaces=namespaces)
        for path in paths
    ]
    return Report(seed, tuple(confinement.describe()), tuple(graded))


def _write(path: Path, text: str) -> None:
    with written_whole(path) as file:
        file.write_text(text, encoding="utf-8")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mmlib.homework.grade", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with one .ipynb or .py a student")
    parser.add_argument("--chapter", choices=chapter_names(), help="default: the file's own name")
    parser.add_argument("--report", type=Path, help="where to write the JSON; Markdown beside it")
    parser.add_argument("--seed", type=int, help="of the hidden inputs; default: a fresh one")
    parser.add_argument("--seconds", type=float, default=Limits.seconds, help="for each exercise")
    parser.add_argument("--memory", type=float, default=Limits.memory / 2**30, help="in GiB")
    parser.add_argument(
        "--require-full", action="store_true", help="exit 1 unless all have full marks"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 when the grading itself went well."""
    options = _parse(arguments)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    limits = Limits(seconds=options.seconds, memory=int(options.memory * 2**30))
    try:
        report = grade_folder(options.folder, chapter=options.chapter, seed=seed, limits=limits)
        if options.report:
            _write(options.report, to_json(report))
            _write(options.report.with_suffix(".md"), to_markdown(report))
    except (OSError, ValueError) as error:
        print(f"not graded: {error}", file=sys.stderr)
        return 2
    print(to_markdown(report))
    full = all(graded.points == graded.possible for graded in report.submissions)
    return 1 if options.require_full and not full else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # a terminal may lack the signs of a student's text
    sys.exit(main())
