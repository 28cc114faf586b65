"""Run a submission in a process of its own: start it, watch it, end it, carry its answers away.

Nothing of the student's is read or parsed here: its bytes are moved to the limited process, and the
bytes that it leaves to another limited process, which judges them.
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from mmlib.homework import confinement, wire

ROOT = Path(__file__).resolve().parents[2]
_START = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); import mmlib.homework.worker as worker; "
    "sys.path.pop(0); worker.main()"
)
_NAMESPACES = ["--user", "--map-current-user", "--pid", "--fork", "--kill-child", "--net", "--ipc"]
_KEPT_OUTPUT, _JUDGED_BYTES = 2000, 2**20


@dataclass(frozen=True)
class Limits:
    """What one submission may use."""

    seconds: float = 20.0  # for reading it and all cells together, and for each exercise
    start_seconds: float = 120.0  # for the interpreter to start, before any student's code
    memory: int = 4 * 2**30  # address space of a process, and what all hold together, bytes
    file_bytes: int = 32 * 2**20  # one file
    folder_bytes: int = 256 * 2**20  # all files in its folder
    answer_bytes: int = 16 * 2**20  # what one exercise hands back
    processes: int = 64  # beyond what the user already runs


@dataclass(frozen=True)
class Call:
    """One exercise: a function's name and the positional arguments of each call."""

    function: str
    inputs: list[list[Any]]


@dataclass(frozen=True)
class Outcome:
    """What a function left for the judge, or why there is nothing."""

    data: bytes | None
    problem: str | None


def run_submission(
    source: bytes,
    suffix: str,
    calls: Sequence[Call],
    *,
    limits: Limits,
    namespaces: bool = True,
) -> tuple[list[Outcome], str]:
    """Run a submission and make the calls; return an outcome for each call, and what was printed.

    All calls share one process. If it dies or hangs, the call that it was at gets the blame and
    the rest run in a fresh process. Meanwhile this process must start no others: whatever appears
    below it belongs to the run and is ended with it.

    Args:
        source: the bytes of the notebook or the Python file.
        suffix: ``".ipynb"`` or ``".py"``.
        calls: what to call after the cells have run.
        limits: what the submission may use.
        namespaces: whether to use Linux namespaces where the machine allows them.
    """
    outcomes: list[Outcome] = []
    printed: list[str] = []
    while len(outcomes) < len(calls):
        more, output = _run_once(source, suffix, calls[len(outcomes) :], limits, namespaces)
        outcomes += more
        printed.append(output)
    return outcomes, printed[0]


def try_out(limits: Limits, *, namespaces: bool = True) -> list[str]:
    """Run a submission that attacks its limits; return a sentence on each: did it hold here?

    Raises:
        OSError: no submission can be run on this machine: no student is to blame.
    """
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        outside = Path(folder, "outside")
        outside.touch()
        where = [str(outside), server.getsockname()[1], os.getpid()]
        call = Call("probe", [[*where, limits.memory, limits.file_bytes]])
        source = Path(__file__).with_name("probe.py").read_bytes()
        (outcome,), output = run_submission(
            source, ".py", [call], limits=limits, namespaces=namespaces
        )
    try:
        held = wire.loads(outcome.data or b"")["values"][0]
    except (ValueError, KeyError):
        why = f"{outcome.problem or outcome.data!r}; {output}"
        raise OSError(f"this machine cannot run submissions: {why}") from None
    held = {"time is limited": True} | held
    return [f"{sentence}: {'yes' if kept else 'NO'}" for sentence, kept in held.items()]


def _run_once(
    source: bytes, suffix: str, calls: Sequence[Call], limits: Limits, namespaces: bool
) -> tuple[list[Outcome], str]:
    """Make calls in one process up to the first that ends it; blame all if no call was reached."""
    with _scratch_folder() as folder:
        answers = folder / "answers"
        answers.mkdir()
        (folder / "work").mkdir()
        (folder / f"submission{suffix}").write_bytes(source)
        request = {"role": "student", "file": f"submission{suffix}"}
        request["answer_bytes"] = limits.answer_bytes
        request["calls"] = [{"function": c.function, "inputs": c.inputs} for c in calls]
        marks = ["started", "loaded", *(f"{number}.json" for number in range(len(calls)))]
        end, output = _run_worker(request, folder, marks, limits, namespaces)
        outcomes = []
        for number in range(len(calls)):
            data = read_plain(answers / f"{number}.json", limits.answer_bytes + 1)
            if data is None:
                break
            too_large = f"the answer is larger than {limits.answer_bytes} bytes"
            fits = len(data) <= limits.answer_bytes
            outcomes.append(Outcome(data, None) if fits else Outcome(None, too_large))
        if len(outcomes) < len(calls):
            loaded = (answers / "loaded").exists()
            at = read_plain(answers / "cell", 9) or b""
            where = f" in cell {int(at)}" if not loaded and at.isdigit() else ""
            lost = 1 if loaded else len(calls) - len(outcomes)
            outcomes += [Outcome(None, f"{end}{where}")] * lost
        return outcomes, output.decode("utf-8", "replace")


def judge(
    chapter: str, seed: int, outcomes: Sequence[Outcome], *, limits: Limits
) -> list[str | None]:
    """Return the message for each exercise, None for a right one, from a process of its own."""
    with _scratch_folder() as folder:
        (folder / "work").mkdir()
        (folder / "answers").mkdir()
        for number, outcome in enumerate(outcomes):
            (folder / f"{number}.json").write_bytes(outcome.data or b"")
        request = {"role": "judge", "chapter": chapter, "seed": seed}
        request["problems"] = [outcome.problem for outcome in outcomes]
        end, output = _run_worker(request, folder, [], limits, False, keep=_JUDGED_BYTES)
        try:
            messages = json.loads(output.splitlines()[-1])
        except (ValueError, IndexError):
            messages = [outcome.problem or f"could not be judged: {end}" for outcome in outcomes]
        return messages


@contextlib.contextmanager
def _scratch_folder() -> Iterator[Path]:
    """Yield a fresh folder; remove it afterwards, whatever a stranger has left in it."""
    folder = Path(tempfile.mkdtemp(prefix="homework-")).resolve()
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError, RecursionError):
            shutil.rmtree(folder)
        if folder.exists() and os.name == "posix":  # nested too deep for Python, or not permitted
            for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
                subprocess.run([*command, str(folder)], capture_output=True, check=False)


def _run_worker(
    request: dict[str, Any],
    folder: Path,
    marks: Sequence[str],
    limits: Limits,
    namespaces: bool,
    *,
    keep: int = _KEPT_OUTPUT,
) -> tuple[str, bytes]:
    """Run the worker until it ends or must be ended; return why it ended and what it printed."""
    seconds = limits.start_seconds + limits.seconds * max(2, len(marks))
    request = request | {"folder": str(folder), "limits": _resources(limits, int(seconds) + 1)}
    prefix = namespace_command() if namespaces else ()
    confinement.adopt_orphans()
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    process = subprocess.Popen(
        [*prefix, sys.executable, "-I", "-B", "-u", "-X", "utf8", "-c", _START],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder / "work",
        env=_environment(folder),
        start_new_session=True,
    )
    kept = bytearray()
    feeder = threading.Thread(target=_feed, args=(process.stdin, request), daemon=True)
    reader = threading.Thread(target=_drain, args=(process.stdout, kept, keep), daemon=True)
    feeder.start()
    reader.start()
    try:
        end = _watch(process, folder, marks, limits, before)
    finally:
        _end(process, before)
        reader.join(timeout=5)
    return end, bytes(kept)


def _resources(limits: Limits, seconds: int) -> dict[str, int]:
    me, threads = psutil.Process().username(), 0
    for other in psutil.process_iter(["username", "num_threads"]):
        threads += (other.info["num_threads"] or 0) if other.info["username"] == me else 0
    return {
        "memory": limits.memory,
        "seconds": seconds,
        "file_bytes": limits.file_bytes,
        "processes": limits.processes + threads,  # the system counts those that the user runs
    }


def _environment(folder: Path) -> dict[str, str]:
    """Return the little that Python needs; nothing of the grader's own environment goes along."""
    home = str(folder / "work")
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    system = {name: os.environ[name] for name in ("SYSTEMROOT", "TZ") if name in os.environ}
    places = dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP", "IPYTHONDIR"), home)
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "MPLBACKEND": "Agg"}
    return {**system, **places, **dict.fromkeys(threads, "1"), **environment}


def _feed(stream: Any, request: dict[str, Any]) -> None:
    with contextlib.suppress(OSError), stream:
        stream.write(wire.dumps(request).encode())


def _drain(stream: Any, kept: bytearray, most: int) -> None:
    """Read all that is printed, keep the beginning."""
    with stream, contextlib.suppress(OSError):
        while chunk := stream.read1(65536):
            kept += chunk[: most - len(kept)]


def _watch(
    process: subprocess.Popen, folder: Path, marks: Sequence[str], limits: Limits, before: set[int]
) -> str:
    """Wait until the process ends or breaks a limit; return a sentence on how it ended."""
    deadline, reached, turn = time.monotonic() + limits.start_seconds, 0, 0
    while process.poll() is None:
        now = sum((folder / "answers" / mark).exists() for mark in marks)
        if now > reached:
            deadline, reached = time.monotonic() + limits.seconds, now
        if marks and now == len(marks):
            with contextlib.suppress(subprocess.TimeoutExpired):  # let it print what it has to
                process.wait(timeout=1)
            return "finished"
        if time.monotonic() > deadline:
            return f"stopped after {limits.seconds:g} seconds: an endless loop?"
        if turn % 10 == 0 and _folder_bytes(folder) > limits.folder_bytes:
            return f"stopped: it wrote more than {limits.folder_bytes} bytes to disk"
        if turn % 10 == 0 and _memory(before) > limits.memory:
            return f"stopped: its processes together held more than {limits.memory} bytes"
        turn += 1
        time.sleep(0.02)
    return _describe_exit(process.returncode)


def _folder_bytes(folder: Path) -> int:
    """Return the bytes of all files below ``folder``; what it cannot reach does not count."""
    total, folders = 0, [str(folder)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def _memory(before: set[int]) -> int:
    total = 0
    for process in _started_since(before):
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def _started_since(before: set[int]) -> list[psutil.Process]:
    """Return the processes below this one that were not there before: those of the run."""
    with contextlib.suppress(psutil.Error):
        below = psutil.Process().children(recursive=True)
        return [child for child in below if child.pid not in before]
    return []


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"the code ended its own process (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"the process was ended by {name}: too much memory or time, or a crash"


def _end(process: subprocess.Popen, before: set[int]) -> None:
    """Kill the process and all that it started, also what has left its session."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.Error):
            alive = [p for p in _started_since(before) if p.status() != psutil.STATUS_ZOMBIE]
            for action in ("suspend", "kill"):  # first all stand still, so that none forks away
                for other in alive:
                    with contextlib.suppress(psutil.Error):
                        getattr(other, action)()
            if not alive:
                break
    process.kill()
    process.wait()
    for orphan in _started_since(before) if os.name == "posix" else ():
        with contextlib.suppress(OSError):
            os.waitpid(orphan.pid, os.WNOHANG)


@functools.cache
def namespace_command() -> tuple[str, ...]:
    """Return the command that starts a process in namespaces of its own, or () without them."""
    unshare = shutil.which("unshare")
    if not unshare:
        return ()
    command = (unshare, *_NAMESPACES)
    trial = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if trial.returncode == 0 else ()


def read_plain(path: Path, most: int) -> bytes | None:
    """Return the first ``most`` bytes of a plain file, None for a link, a folder, a pipe."""
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(most)
