"""The command that grades a folder: marks, reports, exit codes, whatever the folder holds."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from mmlib.homework import grade
from mmlib.homework.exercises import chapter_names, load_exercises
from mmlib.homework.sandbox import Limits

HOMEWORK = Path(__file__).resolve().parents[2] / "notebooks" / "homework"
LIMITS = Limits(seconds=20)


def full_marks(chapter):
    return sum(exercise.points for exercise in load_exercises(chapter))


@pytest.mark.parametrize("chapter", chapter_names())
@pytest.mark.parametrize("namespaces", [True, False], ids=["namespaces", "process"])
def test_the_reference_solution_gets_full_marks(chapter, namespaces):
    path = HOMEWORK / "solutions" / f"{chapter}.ipynb"
    graded = grade.grade_file(path, chapter, seed=11, limits=LIMITS, namespaces=namespaces)
    assert [mark.message for mark in graded.marks] == [""] * len(graded.marks)
    assert graded.points == graded.possible == full_marks(chapter)


@pytest.mark.parametrize("chapter", chapter_names())
def test_the_untouched_student_notebook_gets_zero(chapter):
    path = HOMEWORK / f"{chapter}.ipynb"
    graded = grade.grade_file(path, chapter, seed=11, limits=LIMITS)
    assert {mark.message for mark in graded.marks} == {"not answered yet"}
    assert (graded.points, graded.possible) == (0, full_marks(chapter))


def solution():
    """Return the reference solution of the sound chapter as Python source."""
    notebook = nbformat.read(HOMEWORK / "solutions" / "spectrogram.ipynb", 4)
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


ALWAYS_EQUAL = """
import numpy as np
class Equal:
    def __eq__(self, other): return True
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
class Sly(np.ndarray):
    def __eq__(self, other): return np.ones(1, bool)
    def __sub__(self, other): return np.zeros(1)
    def __le__(self, other): return np.ones(1, bool)
def frame_count(*a): return Equal()
def hamming(length): return np.zeros(length).view(Sly)
def dft_power(frame): return np.zeros(len(frame) // 2 + 1).view(Sly)
power_spectrogram = mel_filters = detect_pitch = Equal()
"""
CHEATS = """
import sys
import numpy as np
from mmlib.homework import checks, comparing, exercises, grade, pitch
for module in (checks, comparing, exercises, grade, pitch):
    for name in dir(module):
        if callable(getattr(module, name)) and not name.startswith("__"):
            setattr(module, name, lambda *a, **k: None)
np.allclose = np.array_equal = np.all = lambda *a, **k: True
sys.modules["torch"] = sys.modules["mmlib"]
print('{"points": 16, "possible": 16}')
print("| cheat | spectrogram | 16 | 16 |", file=sys.stderr)
def frame_count(*a): return 0
hamming = dft_power = power_spectrogram = mel_filters = detect_pitch = frame_count
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Grade a class of all kinds with the command, as a teacher would."""
    if not sys.platform.startswith("linux"):
        pytest.skip("macOS and Windows have only some of the limits")
    folder = tmp_path_factory.mktemp("class")
    right = solution()
    submissions = {
        "a_right": right,
        "b_syntax": "def frame_count(:",
        "c_loop": "while True: pass\n" + right,
        "d_exit": "import sys; sys.exit()\n" + right,
        "e_raise": "raise RuntimeError('at import')\n" + right,
        "f_one_loop": right + "\ndef hamming(length):\n    while True: pass\n",
        "g_equal": ALWAYS_EQUAL,
        "h_cheats": CHEATS,
        "i_memory": "hoard = bytearray(10**12)\n" + right,
        "j|pipe <b>": "def hamming(n): raise ValueError('| x | 16 |\\n# forged <b>`')",
        "z_right": right,
    }
    for name, source in submissions.items():
        (folder / f"{name}.py").write_text(source)
    (folder / "k_broken.ipynb").write_text('{"cells": 3}')
    shutil.copy(HOMEWORK / "spectrogram.ipynb", folder / "l_untouched.ipynb")
    (folder / "notes.txt").write_text("no submission")
    result = subprocess.run(
        [
            *(sys.executable, "-m", "mmlib.homework.grade", folder, "--chapter", "spectrogram"),
            *("--report", folder / "report.json", "--seed", "3", "--seconds", "5", "--memory", "1"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    return {
        "stdout": result.stdout,
        "markdown": (folder / "report.md").read_text(),
        **json.loads((folder / "report.json").read_text()),
    }


POINTS = {
    "a_right": (16, None),
    "b_syntax": (0, "SyntaxError"),
    "c_loop": (0, "endless loop? in cell 1"),
    "d_exit": (0, "sys.exit"),
    "e_raise": (0, "RuntimeError: at import in cell 1, line 1"),
    "f_one_loop": (15, "endless loop?"),
    "g_equal": (0, "the answer holds a Equal"),
    "h_cheats": (0, "Every tone got the same answer"),
    "i_memory": (0, "MemoryError"),
    "k_broken": (0, "cannot be read"),
    "l_untouched": (0, "not answered yet"),
    "z_right": (16, None),
}


def test_every_submission_is_in_the_report(report):
    names = [item["name"] for item in report["submissions"]]
    assert names == sorted([*POINTS, "j|pipe <b>"])
    assert report["seed"] == 3


@pytest.mark.parametrize("name", POINTS)
def test_each_gets_what_it_earned_with_the_reason(report, name):
    points, reason = POINTS[name]
    (item,) = [item for item in report["submissions"] if item["name"] == name]
    assert (item["points"], item["possible"]) == (points, 16)
    assert f"| {name} | spectrogram | {points} | 16 |" in report["markdown"]
    messages = [mark["message"] for mark in item["marks"]]
    if reason:
        assert any(reason in message for message in messages)
    assert sum(not message for message in messages) == (6 if points == 16 else points // 3)


def test_a_strangers_text_cannot_forge_a_row(report):
    rows = report["markdown"].splitlines()
    assert r"| j\|pipe \<b\> | spectrogram | 0 | 16 |" in rows
    assert not [row for row in rows if row.startswith("# forged")]
    assert r"ValueError: \| x \| 16 \| # forged \<b\>\`" in report["markdown"]


def test_the_command_prints_the_table_that_it_writes(report):
    assert report["stdout"].strip() == report["markdown"].strip()
    for sentence in report["contained"]:
        assert f"- {sentence}" in report["markdown"]


def submit(folder, source, name="spectrogram.py"):
    (folder / name).write_text(source)
    return str(folder)


def test_the_file_name_says_the_chapter_and_full_marks_can_be_required(tmp_path, capsys):
    folder = submit(tmp_path, "def hamming(n): return 1")
    assert grade.main([folder]) == 0
    assert grade.main([folder, "--require-full"]) == 1
    submit(tmp_path, solution())
    assert grade.main([folder, "--require-full"]) == 0
    assert "| spectrogram | spectrogram | 16 | 16 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ada.py", "whose homework is ada.py? Name the chapter: --chapter"),
        ("a.txt", "no submission"),
    ],
)
def test_a_folder_that_cannot_be_graded_is_an_error(tmp_path, capsys, name, message):
    assert grade.main([submit(tmp_path, "", name)]) == 2
    assert message in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_an_error(tmp_path, capsys):
    folder = submit(tmp_path, "import os; os._exit(0)")
    assert grade.main([folder, "--report", str(tmp_path / "gone" / "report.json")]) == 2
    assert "there is no folder" in capsys.readouterr().err
