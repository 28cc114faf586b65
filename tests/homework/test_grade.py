"""The command that grades a folder: marks, reports, exit codes, whatever the folder holds."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from mmlib.homework import grade
from mmlib.homework.exercise import chapter_names, load
from mmlib.homework.sandbox import Limits

HOMEWORK = Path(__file__).resolve().parents[2] / "notebooks" / "homework"
LIMITS = Limits(seconds=20)
POSSIBLE = sum(exercise.points for exercise in load("spectrogram"))


def grade_notebook(path, namespaces=True):
    return grade.grade_bytes(
        path.name, path.read_bytes(), path.stem, seed=11, limits=LIMITS, namespaces=namespaces
    )


@pytest.mark.parametrize("chapter", chapter_names())
def test_solutions_get_full_marks_and_the_untouched_notebook_none(chapter):
    for namespaces in (True, False):
        graded = grade_notebook(HOMEWORK / "solutions" / f"{chapter}.ipynb", namespaces)
        assert [mark.message for mark in graded.marks] == [""] * len(load(chapter))
        assert graded.points == graded.possible == sum(e.points for e in load(chapter))
    untouched = grade_notebook(HOMEWORK / f"{chapter}.ipynb")
    assert {mark.message for mark in untouched.marks} == {"not answered yet"}
    assert (untouched.points, untouched.possible) == (0, graded.possible)


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
def dft_power(frame): return np.zeros(len(frame) // 2 + 1).view(Sly)
power_spectrogram = mel_filters = detect_pitch = Equal()
"""
CHEATS = """
import sys
import numpy as np
from mmlib.homework import exercise, wire, worker
for module in (exercise, wire, worker):
    for name in dir(module):
        if callable(getattr(module, name)) and not name.startswith("__"):
            setattr(module, name, lambda *a, **k: None)
np.allclose = np.array_equal = np.all = lambda *a, **k: True
print('{"points": 14, "possible": 14}')
print("| cheat | spectrogram | 14 | 14 |", file=sys.stderr)
def dft_power(*a): return 0
power_spectrogram = mel_filters = detect_pitch = dft_power
"""
COPIES = """
from importlib import import_module
import sys
sys.modules.pop("mmlib.homework.chapters", None)
sys.modules.pop("mmlib.homework.exercise", None)
from mmlib.homework.chapters.spectrogram import *
"""
REDRAWS = r"""
raise ValueError("\r\x1b[2K\x1b[1A| z_right.py | spectrogram | 14 | 14 |\u202e\ud800\u2028x")
"""
SUBMISSIONS = {  # name → source, points, a reason that stands in the report
    "a_right.py": (solution(), POSSIBLE, ""),
    "b_syntax.py": ("def dft_power(:", 0, "SyntaxError"),
    "c_loop.py": ("while True: pass\n" + solution(), 0, "endless loop? in cell 1"),
    "d_exit.py": ("import sys; sys.exit()\n" + solution(), 0, "sys.exit"),
    "e_raise.py": (
        "raise RuntimeError('at import')\n" + solution(),
        0,
        "RuntimeError: at import in cell 1, line 1",
    ),
    "f_one_loop.py": (
        solution() + "\ndef dft_power(frame):\n    while True: pass\n",
        POSSIBLE - 2,
        "endless loop?",
    ),
    "g_equal.py": (ALWAYS_EQUAL, 0, "the answer holds a Equal"),
    "h_cheats.py": (CHEATS, 0, "ended its own process (exit code"),
    "i_memory.py": ("hoard = bytearray(10**12)\n" + solution(), 0, "MemoryError"),
    "j|pipe <b>.py": (
        "def dft_power(n): raise ValueError('| x | 14 |\\n# forged <b>`')",
        0,
        "ValueError: | x | 14 | # forged <b>`",
    ),
    "k_broken.ipynb": ('{"cells": 3}', 0, "cannot be read"),
    "l_redraws.py": (REDRAWS, 0, r"\x1b[2K\x1b[1A| z_right.py"),
    "m_copies.py": (COPIES, 0, "no function dft_power is defined"),
    "n_shouts.PY": (solution(), POSSIBLE, ""),
    "o_caf\udce9.py": ("print('said \x07')\n" + solution(), POSSIBLE, ""),
    "z_right.py": (solution(), POSSIBLE, ""),
}
SKIPPED = {
    "notes.txt": "neither .ipynb nor .py",
    "._a_right.py": "a hidden or system file",
    ".DS_Store": "a hidden or system file",
    ".ipynb_checkpoints": "a hidden or system file",
    "__MACOSX": "a hidden or system file",
    "Thumbs.db": "a hidden or system file",
    "p_link.py": "a symbolic link, not followed",
    "q_folder.py": "a folder, not looked into",
    "r_pipe.py": "no plain file",
    "s_large.py": "too large: 20000001 bytes, at most 20000000 are read",
}


def fill(folder):
    """Put a class of all kinds into ``folder``."""
    for name, (source, *_) in SUBMISSIONS.items():
        (folder / name).write_text(source, encoding="utf-8")
    shutil.copy(HOMEWORK / "spectrogram.ipynb", folder / "y_untouched.ipynb")
    for name in ("notes.txt", "._a_right.py", ".DS_Store", "Thumbs.db"):
        (folder / name).write_text("no submission")
    for name in (".ipynb_checkpoints", "__MACOSX", "q_folder.py"):
        (folder / name).mkdir()
        (folder / name / "a.py").write_text("no submission")
    (folder / "p_link.py").symlink_to(folder / "a_right.py")
    os.mkfifo(folder / "r_pipe.py")
    with (folder / "s_large.py").open("wb") as file:
        file.truncate(20_000_001)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Grade a class with the command, as a teacher would."""
    if not sys.platform.startswith("linux"):
        pytest.skip("macOS and Windows have only some of the limits")
    folder = tmp_path_factory.mktemp("class")
    fill(folder)
    report = tmp_path_factory.mktemp("report") / "report.json"
    result = subprocess.run(
        [
            *(sys.executable, "-m", "mmlib.homework.grade", folder, "--chapter", "spectrogram"),
            *("--report", report, "--seed-stdin", "--seconds", "5", "--memory", "1"),
        ],
        input="3\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in report.parent.iterdir()) == ["report.json", "report.md"]
    return {
        "stdout": result.stdout,
        "stderr": result.stderr,
        "markdown": report.with_suffix(".md").read_text(encoding="utf-8"),
        **json.loads(report.read_text(encoding="utf-8")),
    }


def test_every_submission_is_in_the_report_and_the_rest_with_its_reason(report):
    names = [item["name"] for item in report["submissions"]]
    assert names == sorted(map(grade.escaped, [*SUBMISSIONS, "y_untouched.ipynb"]))
    assert report["skipped"] == SKIPPED
    assert (report["seed"], report["state"]) == (3, "complete")


@pytest.mark.parametrize("name", SUBMISSIONS)
def test_each_gets_what_it_earned_with_the_reason(report, name):
    _, points, reason = SUBMISSIONS[name]
    (item,) = [item for item in report["submissions"] if item["name"] == grade.escaped(name)]
    assert (item["points"], item["possible"]) == (points, POSSIBLE)
    assert f"{grade.escaped(name)}: {points} of {POSSIBLE}\n" in report["stderr"]
    messages = [mark["message"] for mark in item["marks"]]
    assert all(messages) if points == 0 else not all(messages)
    assert any(reason in message for message in messages)


def test_a_strangers_text_cannot_forge_or_redraw_a_row(report):
    rows = report["markdown"].splitlines()
    assert r"| j\|pipe \<b\>.py | spectrogram | 0 | 14 |" in rows
    assert not [row for row in rows if row.startswith(("# forged", "| z\\_right.py | 14"))]
    assert r"ValueError: \| x \| 14 \| \# forged \<b\>\`" in report["markdown"]
    for text in (report["stdout"], report["stderr"], report["markdown"]):
        assert all(c.isprintable() or c == "\n" for c in text)


def test_duplicates_are_named_and_print_is_kept(report):
    items = {item["name"]: item for item in report["submissions"]}
    assert items["z_right.py"]["notes"] == ["the same file, byte for byte, as a_right.py"]
    assert items[r"o_caf\udce9.py"]["output"].startswith("said \\x07\n")
    assert items["h_cheats.py"]["points"] == 0
    assert '    {"points": 14, "possible": 14}' in report["markdown"].splitlines()


def test_the_command_prints_the_report_that_it_writes(report):
    assert report["stdout"].strip() == report["markdown"].strip()
    for sentence in report["protections"]:
        assert f"- {sentence}" in report["markdown"]
        assert ("warning: on this machine " + sentence in report["stderr"]) == (
            sentence.endswith("NO")
        )


def submit(folder, source, name="spectrogram.py"):
    (folder / name).write_text(source)
    return str(folder)


def test_the_file_name_says_the_chapter_and_full_marks_can_be_required(tmp_path, capsys):
    folder = submit(tmp_path, "def dft_power(n): return 1", "Spectrogram.py")
    submit(tmp_path, "", "ada.py")
    assert grade.main([folder]) == 0
    assert grade.main([folder, "--require-full"]) == 1
    assert "- ada.py: name the chapter: --chapter" in capsys.readouterr().out
    submit(tmp_path, solution(), "Spectrogram.py")
    assert grade.main([folder, "--require-full"]) == 0
    assert "| Spectrogram.py | spectrogram | 14 | 14 |" in capsys.readouterr().out


def test_one_student_with_two_files_is_told(tmp_path, capsys):
    submit(tmp_path, solution())
    shutil.copy(HOMEWORK / "spectrogram.ipynb", tmp_path)
    assert grade.main([str(tmp_path)]) == 0
    assert "- spectrogram stands in 2 files: each is graded" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "message"),
    [("ada.py", "ada.py: name the chapter: --chapter"), ("a.txt", "a.txt: neither .ipynb nor")],
)
def test_a_folder_without_submissions_is_an_error(tmp_path, capsys, name, message):
    assert grade.main([submit(tmp_path, "", name)]) == 2
    assert message in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_met_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(grade, "grade_folder", None)
    folder = submit(tmp_path, solution())
    assert grade.main([folder, "--report", str(tmp_path / "gone" / "report.json")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_a_report_that_can_no_longer_be_written_is_printed(tmp_path, capsys, monkeypatch):
    folder, gone = submit(tmp_path, solution()), tmp_path / "gone"
    gone.mkdir()
    graded = list(
        grade.grade_folder([(tmp_path / "spectrogram.py", "spectrogram")], seed=1, limits=LIMITS)
    )

    def lose_the_folder(*_, **__):
        shutil.rmtree(gone)
        return graded

    monkeypatch.setattr(grade, "grade_folder", lose_the_folder)
    assert grade.main([folder, "--report", str(gone / "report.json")]) == 2
    out, err = capsys.readouterr()
    assert "| spectrogram.py | spectrogram | 14 | 14 |" in out
    assert "the report stands above, it could not be written" in err


@pytest.fixture
def interruptible():
    """Let programs be interrupted also where the tests run in the background, deaf to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_loses_nothing_that_was_graded(tmp_path, sent, interruptible):
    (tmp_path / "class").mkdir()
    submit(tmp_path / "class", solution(), "a.py")
    submit(tmp_path / "class", "while True: pass", "b.py")
    path = tmp_path / "report.json"
    command = [sys.executable, "-m", "mmlib.homework.grade", tmp_path / "class", "--report", path]
    command += ["--chapter", "spectrogram", "--seconds", "600"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr.readline() == "a.py: 14 of 14\n"
        while "a.py" not in path.read_text():  # written at once, without the seed
            pass
        assert json.loads(path.read_text())["seed"] is None
        run.send_signal(sent)
        try:
            out, _ = run.communicate(timeout=60)
        finally:
            run.kill()  # what did not stop must not be waited for
    assert run.returncode == 2
    written = json.loads(path.read_text())
    assert written["state"] == "incomplete, 1 of 2 graded: interrupted"
    assert written["seed"] is not None
    assert [(item["name"], item["points"]) for item in written["submissions"]] == [("a.py", 14)]
    assert "| a.py | spectrogram | 14 | 14 |" in out


def test_the_seed_makes_the_same_inputs_again(tmp_path, capsys, monkeypatch):
    first = "def dft_power(frame):\n    print(frame[0])\n    return 0"
    folder, printed = submit(tmp_path, first), []
    for seed in ("5", "5", "6"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(seed))
        assert grade.main([folder, "--seed-stdin"]) == 0
        printed.append(capsys.readouterr().out.partition("It printed:")[2].split()[0])
    assert printed[0] == printed[1] != printed[2]


def test_the_workflow_installs_what_the_grader_imports():
    workflow = (HOMEWORK.parents[1] / ".github/workflows/homework.yml").read_text()
    for package in ("numpy", "psutil", "ipython"):
        assert package in workflow
    code = "import sys; import mmlib.homework.grade, mmlib.homework.exercise as e\n"
    code += "[e.load(c) for c in e.chapter_names()]\n"
    code += "assert not {'torch', 'scipy', 'IPython', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
