"""Hostile and broken submissions are contained: graded with the reason, and nothing else harmed."""

import errno
import os
import sys
import tempfile
import time

import numpy as np
import psutil
import pytest

from mmlib.homework import confinement, exercises
from mmlib.homework.sandbox import Call, Limits, run_submission, try_out

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="macOS and Windows have only some of the limits"
)
LIMITS = Limits(seconds=1.5, memory=2**30, folder_bytes=20_000_000, file_bytes=8_000_000)
RIGHT = "def right(x):\n    return 2 * x\n"
CALLS = [Call("right", [[1], [2.5]]), Call("bad", [[3]]), Call("right", [[4]])]
PLAIN = pytest.mark.parametrize("namespaces", [True, False], ids=["namespaces", "process"])


def run(*cells, calls=CALLS, namespaces=True, limits=LIMITS):
    return run_submission(cells, calls, limits=limits, namespaces=namespaces)


def survivors(before):
    """Return the children of this process that were not there before."""
    me = psutil.Process()
    return [child for child in me.children(recursive=True) if child.pid not in before]


@pytest.fixture(autouse=True)
def nothing_is_left_running():
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    deadline = time.monotonic() + 5
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
    "endless loop": ("while True: pass", "stopped after 1.5 seconds: an endless loop?"),
    "sleeps": ("import time; time.sleep(600)", "stopped after 1.5 seconds"),
    "ignores signals": (
        "import signal\n    [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 3, 15)]"
        "\n    while True: pass",
        "stopped after 1.5 seconds",
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
    (outcome,) = run("def bad(x): return [0] * 2000", calls=CALLS[1:2], limits=limits)
    assert "larger than 1000 bytes" in outcome.problem


PATCHES = [
    "import numpy as np\nnp.allclose = np.array_equal = lambda *a, **k: True",
    "import numpy as np\nnp.asarray = lambda x: __import__('this')",
    (
        "import mmlib.homework.exercises as e, mmlib.homework.comparing as c\n"
        "e.judge_answers = c.compare = c.agrees = lambda *a, **k: None"
    ),
    "from mmlib.homework.checks import check\ncheck('spectrogram', len)",
    "import json\njson.dumps = lambda *a, **k: '{\"values\": [2, 5.0]}'",
    "import builtins\nbuiltins.all = builtins.any = lambda *a: True",
]


def test_patches_stay_in_the_students_process():
    judge, allclose = exercises.judge_answers, np.allclose
    for patch in PATCHES:
        run(patch, RIGHT)
    assert exercises.judge_answers is judge
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


@PLAIN
def test_children_left_behind_are_ended(namespaces, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the command lines name it
    spy = "def bad(x): return [child.poll() is None for child in children]"
    first, second, _ = run(SPAWN, RIGHT, spy, namespaces=namespaces)
    assert first.values == [2, 5.0]
    assert second.values == [[True] * 5]  # they did run until then
    deadline = time.monotonic() + 5
    while sleepers(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not sleepers(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="no such limit for root")
def test_the_number_of_processes_is_bounded():
    fork = "import os, time\ndef bad(x):\n    for n in range(400):\n        if os.fork() == 0:"
    _, second, _ = run(RIGHT, fork + "\n            time.sleep(300)")
    assert "BlockingIOError" in second.problem


@pytest.mark.skipif(not confinement.landlock_version(), reason="this kernel has no Landlock")
@PLAIN
def test_nothing_outside_can_be_written_or_removed(namespaces, tmp_path):
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    tricks = (f"open({str(victim)!r}, 'w')", f"__import__('os').remove({str(victim)!r})")
    for trick in (*tricks, f"open({str(tmp_path / 'new')!r}, 'w')"):
        _, second, _ = run(RIGHT, f"def bad(x): {trick}", namespaces=namespaces)
        assert "PermissionError" in second.problem
    assert victim.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [victim]


@pytest.mark.skipif(confinement.landlock_version() < 6, reason="no Landlock that scopes signals")
def test_the_grader_cannot_be_signalled():
    pid = os.getpid()
    _, second, _ = run(RIGHT, f"def bad(x): __import__('os').kill({pid}, 9)", namespaces=False)
    assert "PermissionError" in second.problem


REACH = """
import os, socket
def bad(x):
    try:
        os.kill({pid}, 0)
    except ProcessLookupError:
        unreachable = True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        return [unreachable, line.connect_ex(("192.0.2.1", 9))]
"""


@pytest.mark.skipif(not confinement.namespace_command(), reason="no namespaces on this machine")
def test_in_namespaces_there_is_no_network_and_no_other_process():
    _, second, _ = run(RIGHT, REACH.replace("{pid}", str(os.getpid())))
    unreachable, error = second.values[0]
    assert unreachable
    assert error == errno.ENETUNREACH


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
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(300,)).start()"
    begin = time.monotonic()
    assert run(thread, RIGHT)[0].values == [2, 5.0]
    assert time.monotonic() - begin < 30


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


def test_a_machine_that_cannot_run_submissions_says_so(monkeypatch):
    try_out()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(OSError, match=r"this machine cannot run submissions: .*exit code 1"):
        try_out()
