"""Hostile and broken submissions are contained: graded with the reason, and nothing else harmed."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from mmlib.homework import exercise, wire
from mmlib.homework.sandbox import Call, Limits, Outcome, judge, run_submission, try_out

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="macOS and Windows have only some of the limits"
)
HANGS = 600  # seconds until a test gives up waiting; it never takes that long where all is well
LIMITS = Limits(seconds=4, memory=2**30, folder_bytes=20_000_000, file_bytes=8_000_000)
RIGHT = "def right(x):\n    return 2 * x\n"
CALLS = [Call("right", [[1], [2.5]]), Call("bad", [[3]]), Call("right", [[4]])]
PLAIN = pytest.mark.parametrize("namespaces", [True, False], ids=["namespaces", "process"])


class Answer:
    """What the judge will read of an outcome."""

    def __init__(self, outcome, output):
        try:
            content = wire.loads(outcome.data or b"{}")
        except ValueError:
            content = {"problem": "the answer is no plain data"}
        self.values = content.get("values")
        self.problem = outcome.problem or content.get("problem")
        self.output = output


def run(*cells, calls=CALLS, namespaces=True, limits=LIMITS):
    cells = [{"cell_type": "code", "source": cell} for cell in cells]
    return run_bytes(json.dumps({"cells": cells}).encode(), ".ipynb", calls, namespaces, limits)


def run_bytes(source, suffix, calls=CALLS, namespaces=True, limits=LIMITS):
    outcomes, output = run_submission(source, suffix, calls, limits=limits, namespaces=namespaces)
    return [Answer(outcome, output) for outcome in outcomes]


def survivors(before):
    """Return the children of this process that were not there before."""
    me = psutil.Process()
    return [child for child in me.children(recursive=True) if child.pid not in before]


@pytest.fixture(autouse=True)
def nothing_is_left_running():
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    deadline = time.monotonic() + HANGS
    while survivors(before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not survivors(before)


@PLAIN
def test_answers_come_back_as_plain_data(namespaces):
    cells = (RIGHT, "import numpy as np\ndef bad(x):\n    return [np.arange(x), 1j, None, 'a']")
    first, second, third = run(*cells, namespaces=namespaces)
    assert first.values == [2, 5.0]
    assert third.values == [8]
    array, number, nothing, text = second.values[0]
    np.testing.assert_array_equal(array, [0, 1, 2])
    assert (number, nothing, text) == (1j, None, "a")


BROKEN = {
    "exception": ("1 / 0", "ZeroDivisionError: division by zero in cell 2, line 2"),
    "sys.exit": ("import sys; sys.exit(0)", "sys.exit"),
    "os._exit": ("import os; os._exit(0)", "ended its own process"),
    "endless loop": ("while True: pass", "stopped after 4 seconds: an endless loop?"),
    "sleeps": ("import time; time.sleep(600)", "stopped after 4 seconds"),
    "ignores signals": (
        "import signal\n    [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 3, 15)]"
        "\n    while True: pass",
        "stopped after 4 seconds",
    ),
    "huge memory": ("return bytearray(10**11)", "MemoryError"),
    "recursion": ("f = lambda: f()\n    return f()", "RecursionError"),
    "crash": ("import ctypes; ctypes.string_at(0)", "SIG"),
    "huge file": ("open('f', 'wb').write(b'0' * 10**8)", "File too large"),
    "many files": (
        "n = 0\n    while True:\n        n += 1\n        open(str(n), 'wb').write(b'0' * 10**6)",
        "wrote more than",
    ),
    "no plain data": ("return object()", "the answer holds a object"),
    "a set": ("return {1, 2}", "the answer holds a set"),
    "circular": ("a = []; a.append(a); return a", "RecursionError"),
}


@pytest.fixture(scope="module")
def broken():
    """All broken functions in one submission, a right one between any two."""
    cells, calls = [RIGHT], []
    for number, (body, _) in enumerate(BROKEN.values()):
        cells.append(f"def bad{number}(x):\n    {body}")
        calls += [Call(f"bad{number}", [[3]]), CALLS[0]]
    outcomes = run(*cells, calls=calls)
    return dict(zip(BROKEN, zip(outcomes[::2], outcomes[1::2], strict=True), strict=True))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_function_costs_only_its_own_exercise(name, broken):
    bad, next_one = broken[name]
    assert bad.values is None
    assert BROKEN[name][1] in bad.problem
    assert next_one.values == [2, 5.0]


# little memory and much time: the hoard is full long before the clock matters, on any machine
SMALL, CHUNK = Limits(seconds=60, memory=2**29), 2**24
GROW = f"for _ in range(128): hoard.append(bytearray({CHUNK}))"  # 2 GiB, should no limit hold


@PLAIN
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "local"])
def test_a_hoard_that_grows_slowly_in_a_function_meets_the_limit(kept, namespaces):
    outside, inside = ("hoard = []\n", "") if kept else ("", "hoard = []\n    ")
    hoarder = f"{outside}def bad(x):\n    {inside}{GROW}"
    before, bad, after = run(RIGHT, hoarder, limits=SMALL, namespaces=namespaces)
    assert bad.values is None
    assert bad.problem == (
        "MemoryError: the code asked for more memory than it may have in cell 2, line 3"
    )
    assert (before.values, after.values) == ([2, 5.0], [8])  # also while the hoard is kept


@PLAIN
def test_a_hoard_that_grows_slowly_in_a_cell_meets_the_limit_and_is_named(namespaces):
    right, size, missing = run(
        "hoard = []\n" + GROW,
        RIGHT + "def size(): return len(hoard)",
        calls=[CALLS[0], Call("size", [[]]), CALLS[1]],
        limits=SMALL,
        namespaces=namespaces,
    )
    assert right.values == [2, 5.0]
    assert SMALL.memory / 4 < size.values[0] * CHUNK < SMALL.memory  # it did grow until then
    assert "no function bad is defined (MemoryError" in missing.problem
    assert "in cell 1, line 2" in missing.problem


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("raise ValueError('no')", None),
        ("import sys; sys.exit(3)", None),
        ("def broken(:", None),
        ("import a_module_that_is_not_there", None),
        ("while True: pass", "endless loop? in cell 1"),
        ("import os; os._exit(7)", "ended its own process (exit code 7) in cell 1"),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL"),
    ],
)
def test_a_broken_cell_is_named(cell, reason):
    first, second, _ = run(cell, RIGHT, namespaces=False)
    if reason is None:  # the cells that follow still count
        assert first.values == [2, 5.0]
        assert "no function bad is defined (" in second.problem
        assert "cell 1" in second.problem
    else:
        assert first.values is None
        assert reason in first.problem


def test_printed_reports_and_floods_change_nothing():
    fake = """print('{"points": 16, "values": [2]}')\nprint('| student | 16 | 16 |')"""
    flood = "import sys\nfor _ in range(2000): sys.stdout.write('x' * 10000)"
    first, second, _ = run(fake, flood, RIGHT)
    assert first.values == [2, 5.0]
    assert second.problem.startswith("no function bad is defined")
    assert fake[7:20] in first.output
    assert len(first.output) <= 2000


@PLAIN
def test_forged_answer_files_are_read_as_data_only(namespaces, tmp_path):
    forge = (
        "import os, pickle, pathlib\n"
        "class Bomb:\n    def __reduce__(self): return (os.system, ('touch BOMB',))\n"
        "folder = pathlib.Path('../answers')\n"
        "for n in range(3): (folder / f'{n}.json').write_bytes(pickle.dumps(Bomb()))\n"
        "for n in ('started', 'loaded'): (folder / n).touch()\n"
        "os._exit(0)"
    )
    forge = forge.replace("BOMB", str(tmp_path / "bomb"))
    for outcome in run(forge, namespaces=namespaces):
        assert outcome.values is None
        assert outcome.problem == "the answer is no plain data"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "make",
    [
        "os.mkfifo('../answers/0.json')",
        "os.symlink('/dev/zero', '../answers/0.json')",
        "os.mkdir('../answers/0.json')",
        "os.mkfifo('../answers/cell.partial')",
    ],
)
def test_strange_files_in_place_of_answers_do_not_hang_the_grader(make):
    first, *_ = run(f"import os\n{make}\nos._exit(0)", RIGHT)
    assert first.values is None


def test_an_answer_beyond_the_limit_is_not_read():
    limits = Limits(seconds=5, answer_bytes=1000)
    forge = "open('../answers/0.json', 'w').write('0' * 2000)\nimport os; os._exit(0)"
    for cell in ("def bad(x): return [0] * 2000", forge):
        (outcome,) = run(cell, calls=CALLS[1:2], limits=limits)
        assert "larger than 1000 bytes" in outcome.problem


PATCHES = [
    "import numpy as np\nnp.allclose = np.array_equal = lambda *a, **k: True",
    "import numpy as np\nnp.asarray = lambda x: __import__('this')",
    (
        "import mmlib.homework.exercise as e\n"
        "e.Exercise = e.compare = e.agrees = lambda *a, **k: None"
    ),
    "from mmlib.homework.exercise import check\ncheck('spectrogram', len)",
    "import json\njson.dumps = lambda *a, **k: '{\"values\": [2, 5.0]}'",
    "import builtins\nbuiltins.all = builtins.any = lambda *a: True",
]


def test_patches_stay_in_the_students_process():
    judge, allclose = exercise.compare, np.allclose
    for patch in PATCHES:
        run(patch, RIGHT)
    assert exercise.compare is judge
    assert np.allclose is allclose
    assert run(RIGHT)[0].values == [2, 5.0]


EQUAL = """
import numpy as np
class Equal:
    def __eq__(self, other): return True
    def __array__(self, dtype=None, copy=None): return np.array(7.0)
class Sly(np.ndarray):
    def __eq__(self, other): return True
    def __sub__(self, other): return np.zeros(1)
class Number(int):
    def __eq__(self, other): return True
def bad(x): return [Equal(), np.zeros(2).view(Sly), Number(9)]
"""


def test_objects_that_equal_everything_lose_all_but_their_numbers():
    values = run(RIGHT, EQUAL)[1].values[0]
    assert [type(value) for value in values] == [np.ndarray] * 3
    assert [value.tolist() for value in values] == [7.0, [0.0, 0.0], 9]


SPAWN = """
import os, subprocess, sys, time
code = "import time; time.sleep(300)  # " + os.getcwd()
children = [subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
            for _ in range(5)]
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(300)
    os._exit(0)
"""


def sleepers(folder):
    """Return the processes of a run in ``folder``, wherever they hang in the tree."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if str(folder) in " ".join(process.info["cmdline"] or [])
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


QUIET = SPAWN.replace("start_new_session=True", "start_new_session=True, env={}")


@pytest.mark.parametrize("spawn", [SPAWN, QUIET], ids=["plain", "without environment"])
@PLAIN
def test_children_left_behind_are_ended(spawn, namespaces, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the command lines name it
    spy = "def bad(x): return [child.poll() is None for child in children]"
    first, second, _ = run(spawn, RIGHT, spy, namespaces=namespaces)
    assert first.values == [2, 5.0]
    assert second.values == [[True] * 5]  # they did run until then
    deadline = time.monotonic() + HANGS
    while sleepers(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not sleepers(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="no such limit for root")
def test_the_number_of_processes_is_bounded():
    fork = "import os, time\ndef bad(x):\n    for n in range(400):\n        if os.fork() == 0:"
    _, second, _ = run(RIGHT, fork + "\n            time.sleep(300)")
    assert "BlockingIOError" in second.problem


FORK = """
import os, time
def bad(x):
    for n in range(8):
        if os.fork() == 0:
            hoard = bytearray(b"1" * 2**27)
            time.sleep(300)
    time.sleep(300)
"""


@PLAIN
def test_memory_of_all_processes_together_is_bounded(namespaces):
    limits = Limits(seconds=60, memory=2**29)
    first, second, third = run(RIGHT, FORK, namespaces=namespaces, limits=limits)
    assert "processes together held more than" in second.problem
    assert (first.values, third.values) == ([2, 5.0], [8])


@PLAIN
def test_disk_in_any_folder_that_it_may_write_is_bounded(namespaces):
    fill = "n = 0\nwhile True:\n    n += 1\n    open(f'../answers/x{n}', 'wb').write(b'0' * 10**6)"
    first, *_ = run(
        fill, RIGHT, limits=Limits(seconds=60, folder_bytes=10**7), namespaces=namespaces
    )
    assert "wrote more than 10000000 bytes to disk in cell 1" in first.problem


ATTACKS = {
    "write": "open(VICTIM, 'w')",
    "remove": "os.remove(VICTIM)",
    "create": "open(VICTIM + '.new', 'w')",
    "read": "open(VICTIM)",
    "list": "os.listdir(os.path.dirname(VICTIM))",
    "the solutions": "open(SOLUTIONS)",
    "the references": "open(REFERENCES)",
    "the grader's environment": "open(f'/proc/{GRADER}/environ')",
    "all command lines": "open(f'/proc/{GRADER}/cmdline')",
    "signal": "os.kill(GRADER, 9)",
    "signal to all": "os.kill(-1, 9)",
    "limits": "resource.prlimit(GRADER, resource.RLIMIT_NOFILE, (9, 9))",
    "tcp": "socket.create_connection(('127.0.0.1', PORT), 5)",
    "udp": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', PORT))",
    "ptrace": "succeed(ctypes.CDLL(None).ptrace(16, GRADER, 0, 0))",
}
ROOT = Path(__file__).resolve().parents[2]


def protections(namespaces):
    return {
        line.rpartition(":")[0]: line[-3:] == "yes"
        for line in try_out(LIMITS, namespaces=namespaces)
    }


@PLAIN
def test_what_is_said_to_be_refused_is_refused(namespaces, tmp_path):
    (tmp_path / "victim.txt").write_text("mine")
    said = protections(namespaces)
    if not all(said[name] for name in said if name != "the number of processes is limited"):
        pytest.skip(f"not all protections on this machine: {said}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        names = {"VICTIM": str(tmp_path / "victim.txt"), "GRADER": os.getpid()}
        names |= {"PORT": server.getsockname()[1]}
        names |= {"SOLUTIONS": str(ROOT / "notebooks/homework/solutions/vqa.ipynb")}
        names |= {"REFERENCES": exercise.load("vqa")[0].reference.__code__.co_filename}
        head = "import ctypes, os, resource, socket\n"
        head += "def succeed(result):\n    if result < 0: raise PermissionError\n"
        head += "\n".join(f"{name} = {value!r}" for name, value in names.items())
        calls = [Call(f"attack{n}", [[]]) for n in range(len(ATTACKS))]
        cells = [f"def attack{n}(): {code}" for n, code in enumerate(ATTACKS.values())]
        answers = run(head, *cells, calls=calls, namespaces=namespaces)
    succeeded = [
        name
        for name, answer in zip(ATTACKS, answers, strict=True)
        if not any(e in answer.problem for e in ("PermissionError", "ProcessLookup", "unreachable"))
    ]
    assert not succeeded
    assert (tmp_path / "victim.txt").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_deleting_the_working_folder_harms_no_other_exercise():
    wipe = "import os, shutil\ndef bad(x):\n    shutil.rmtree(os.getcwd(), True)\n    return 1"
    first, second, third = run(RIGHT, wipe)
    assert (first.values, second.values, third.values) == ([2, 5.0], [1], [8])


def test_the_students_process_sees_nothing_of_the_graders_environment(monkeypatch):
    monkeypatch.setenv("A_SECRET_OF_THE_GRADER", "1")
    look = "import os, sys\ndef bad(x): return [sorted(os.environ), sys.stdin.read(), os.listdir()]"
    names, stdin, files = run(RIGHT, look)[1].values[0]
    assert "A_SECRET_OF_THE_GRADER" not in names
    assert stdin == ""
    assert files == []


def test_threads_left_running_do_not_hold_the_grader_up():
    """It would wait for longer than pytest lets a test run."""
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(9999,)).start()"
    assert run(thread, RIGHT)[0].values == [2, 5.0]


@pytest.mark.parametrize(
    "mess",
    [
        "for _ in range(1200):\n    os.mkdir('d')\n    os.chdir('d')",
        "os.makedirs('a/b')\nos.chmod('a', 0)",
    ],
    ids=["nested", "forbidden"],
)
def test_whatever_is_left_in_the_folder_is_removed(mess, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run(f"import os\n{mess}", RIGHT)[0].values == [2, 5.0]
    assert not list(tmp_path.iterdir())


def test_print_is_kept_whatever_comes_after():
    first, *_ = run("print('before')", RIGHT + "print('after')\nimport os; os._exit(0)")
    assert first.output == "before\nafter\n"
    assert run("print('in one')", RIGHT)[0].output == "in one\n"


HUGE = {
    "two million lines": (b"a\n" * 2_000_000, ".py"),
    "a regular expression's trap": (b"x = (" + b" " * 1_000_000 + b"\n%time 1", ".py"),
    "nested lists": (b"[" * 10_000_000, ".ipynb"),
    "nested brackets": (b"(" * 1_000_000, ".py"),
    "many cells": (b'{"cells": [' + b"[]," * 6_000_000 + b"[]]}", ".ipynb"),
}


@pytest.mark.parametrize(("source", "suffix"), HUGE.values(), ids=HUGE.keys())
def test_a_file_that_is_hard_to_read_harms_only_itself(source, suffix):
    before = psutil.Process().memory_info().rss
    limits = Limits(seconds=10, memory=2**30)
    first, *_ = run_bytes(source, suffix, limits=limits)
    assert first.values is None
    assert first.problem
    assert psutil.Process().memory_info().rss - before < 2**28


def test_the_missing_import_is_named_as_the_cause():
    first, second, _ = run(
        "import torch_is_not_here\nimport numpy as np", "def right(x):\n    return np.abs(2 * x)"
    )
    cause = "ModuleNotFoundError: No module named 'torch_is_not_here'"
    assert first.problem.startswith(cause)
    assert "in cell 1, line 1; therefore NameError: name 'np' is not defined" in first.problem
    assert cause in second.problem


def test_nothing_secret_is_on_a_command_line(monkeypatch):
    started = []
    popen = subprocess.Popen

    def spy(command, **options):
        started.append(" ".join(map(str, command)))
        return popen(command, **options)

    monkeypatch.setattr(subprocess, "Popen", spy)
    judge("vqa", 987654321, [Outcome(None, "none")] * 4, limits=LIMITS)
    assert started
    assert not any("987654321" in command for command in started)


def test_a_machine_that_cannot_run_submissions_says_so(monkeypatch):
    assert try_out(LIMITS)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(OSError, match=r"this machine cannot run submissions: .*exit code 1"):
        try_out(LIMITS)
