"""The student notebooks are made from the solutions, and are up to date."""

import itertools
from pathlib import Path

import nbformat
import pytest

from mmlib.homework.exercise import chapter_names, load
from tools import student
from tools.student import STUB

ROOT = Path(__file__).resolve().parents[2]
HOMEWORK = ROOT / "notebooks" / "homework"


def solved(*sources, **metadata):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    for cell in cells:
        cell.outputs = [nbformat.v4.new_output("stream", text="secret")]
        cell.execution_count = 3
    hidden = nbformat.v4.new_markdown_cell("why", metadata={"tags": ["solution"]})
    notebook = nbformat.v4.new_notebook(cells=[*cells, hidden])
    notebook.metadata["executed"] = {"code_sha256": "0"}
    return notebook


SOLVED = (
    "def f(x):\n    # BEGIN SOLUTION\n    y = x\n    return y\n    # END SOLUTION\n\n\ncheck(f)"
)


def test_solutions_outputs_and_tagged_cells_go():
    notebook = solved("import numpy", SOLVED)
    before = nbformat.writes(notebook)
    made = student.student_version(notebook, start="Start here.")
    assert [cell.source for cell in made.cells] == [
        "import numpy",
        "Start here.",
        f"def f(x):\n    {STUB}\n\n\ncheck(f)",
    ]
    assert "secret" not in nbformat.writes(made)
    assert "executed" not in made.metadata
    assert nbformat.writes(notebook) == before


def test_two_solutions_in_one_cell_both_go():
    made = student.student_version(solved(f"{SOLVED}\n{SOLVED}"), start="")
    assert made.cells[0].source.count(STUB) == 2
    assert "return y" not in made.cells[0].source


@pytest.mark.parametrize("source", [SOLVED + "\n# BEGIN SOLUTION", "# END SOLUTION\n" + SOLVED])
def test_half_a_marker_is_refused(source):
    with pytest.raises(ValueError, match="without the other"):
        student.student_version(solved(source), start="")


def test_a_notebook_without_solutions_is_refused():
    with pytest.raises(ValueError, match="nothing to leave out"):
        student.student_version(solved("a = 1"), start="")


def test_check_tells_a_stale_notebook_and_writes_nothing(tmp_path, capsys):
    (tmp_path / "solutions").mkdir()
    nbformat.write(solved(SOLVED), tmp_path / "solutions" / "sound.ipynb")
    arguments = ["--folder", str(tmp_path)]
    assert student.main([*arguments, "--check"]) == 1
    assert not (tmp_path / "sound.ipynb").exists()
    assert student.main(arguments) == 0
    assert student.main([*arguments, "--check"]) == 0
    (tmp_path / "sound.ipynb").write_text("{}")
    assert student.main([*arguments, "--check"]) == 1
    assert "sound.ipynb is out of date: run python tools/student.py" in capsys.readouterr().err


def test_the_student_notebooks_are_current():
    assert student.main(["--check"]) == 0


def test_every_chapter_has_its_notebooks_and_every_notebook_its_chapter():
    for folder in (HOMEWORK, HOMEWORK / "solutions"):
        assert sorted(path.stem for path in folder.glob("*.ipynb")) == chapter_names()


@pytest.mark.parametrize("chapter", chapter_names())
def test_the_notebook_sets_each_exercise_with_its_points(chapter):
    cells = nbformat.read(HOMEWORK / f"{chapter}.ipynb", 4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for exercise in load(chapter):
        points = f"{exercise.points} point" + "s" * (exercise.points != 1)
        head = f"{exercise.name}({', '.join(exercise.parameters)})"
        assert f'check("{chapter}", {exercise.name})' in code
        assert f"def {head}:" in code
        assert f"{exercise.title} ({points}" in prose
        assert f"**Make this check pass:** `{head}`" in prose


@pytest.mark.parametrize("chapter", chapter_names())
def test_cells_are_short_and_prose_stands_between(chapter):
    cells = nbformat.read(HOMEWORK / "solutions" / f"{chapter}.ipynb", 4).cells
    for before, cell in itertools.pairwise(cells):
        assert {before.cell_type, cell.cell_type} != {"code"}
        assert len(cell.source.splitlines()) <= 20
        assert cell.cell_type == "code" or len(cell.source.split()) <= 170


@pytest.mark.parametrize("chapter", chapter_names())
def test_every_stored_check_of_the_solutions_passes(chapter):
    """That they still do is seen when the notebook is executed again, by ``pytest notebooks``."""
    cells = nbformat.read(HOMEWORK / "solutions" / f"{chapter}.ipynb", 4).cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    texts = [output.text for output in outputs if output.output_type == "stream"]
    lines = "".join(texts).splitlines()
    assert len(lines) == len(load(chapter))
    assert all(line.startswith("✅") for line in lines)
