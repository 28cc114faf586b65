"""Run a submission in a process of its own: start it, watch it, end it, read its data.

The student's code is never imported, executed or unpickled here.
"""

import contextlib
import os
import secrets
import shutil
import signal
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

_MARK = "MMLIB_HOMEWORK_RUN"  # in the environment of every process of a run
_KEPT_OUTPUT = 2000


@dataclass(frozen=True)
class Limits:
    """What one submission may use."""

    seconds: float = 20.0  # for all cells together, and for each exercise
    start_seconds: float = 120.0  # for the interpreter to start, before any student's code
    memory: int = 4 * 2**30  # address space of each process, bytes
    file_bytes: int = 64 * 2**20  # one file
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
    """What a function returned for each call, or why there is nothing."""

    values: list[Any] | None
    problem: str | None
    output: str  # the beginning of what the process printed


def run_submission(
    cells: Sequence[str], calls: Sequence[Call], *, limits: Limits, namespaces: bool = True
) -> list[Outcome]:
    """Run the cells and make the calls; return one outcome a call.

    All calls share one process. If it dies or hangs, the call that it was at gets the blame and
    the rest run in a fresh process.

    Args:
        cells: Python source of each cell, in order.
        calls: what to call after the cells have run.
        limits: what the submission may use.
        namespaces: whether to use Linux namespaces where the machine allows them.
    """
    outcomes: list[Outcome] = []
    while len(outcomes) < len(calls):
        outcomes += _run_once(cells, calls[len(outcomes) :], limits, namespaces)
    return outcomes


def try_out() -> None:
    """Run a submission that is known to work.

    Raises:
        OSError: it does not, so that no submission can be run here: no student is to blame.
    """
    (outcome,) = run_submission(["def probe(): return 1"], [Call("probe", [[]])], limits=Limits())
    if outcome.values != [1]:
        raise OSError(f"this machine cannot run submissions: {outcome.problem}; {outcome.output}")


def _run_once(
    cells: Sequence[str], calls: Sequence[Call], limits: Limits, namespaces: bool
) -> list[Outcome]:
    """Make calls in one process up to the first that ends it; blame all if no call was reached."""
    with _scratch_folder() as folder:
        answers = folder / "answers"
        answers.mkdir()
        (folder / "work").mkdir()
        task = _task(cells, calls, limits)
        (folder / "task.json").write_text(wire.dumps(task), encoding="utf-8")
        end, output = _start_and_watch(folder, len(calls), limits, namespaces)
        outcomes = []
        for number in range(len(calls)):
            outcome = _read_answer(answers / f"{number}.json", limits, output)
            if outcome is None:
                break
            outcomes.append(outcome)
        if len(outcomes) < len(calls):
            loaded = (answers / "loaded").exists()
            where = "" if loaded else f" in cell {_read_number(answers / 'cell')}"
            lost = 1 if loaded else len(calls) - len(outcomes)
            outcomes += [Outcome(None, f"{end}{where}", output)] * lost
        return outcomes


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


def _task(cells: Sequence[str], calls: Sequence[Call], limits: Limits) -> dict[str, Any]:
    total = limits.start_seconds + limits.seconds * (len(calls) + 1)
    resources = {
        "memory": limits.memory,
        "seconds": int(total) + 1,
        "file_bytes": limits.file_bytes,
        "processes": limits.processes + confinement.count_threads(),
    }
    items = [{"function": call.function, "inputs": call.inputs} for call in calls]
    return {"cells": list(cells), "calls": items, "limits": resources}


def _start_and_watch(folder: Path, count: int, limits: Limits, namespaces: bool) -> tuple[str, str]:
    """Run the worker until it ends or must be ended; return why it ended and what it printed."""
    token = secrets.token_hex(16)
    prefix = confinement.namespace_command() if namespaces else []
    worker = [sys.executable, "-I", "-B", "-X", "utf8", "-m", "mmlib.homework.worker"]
    process = subprocess.Popen(
        [*prefix, *worker, str(folder / "task.json")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder / "work",
        env=_environment(folder, token),
        start_new_session=True,
    )
    kept = bytearray()
    reader = threading.Thread(target=_drain, args=(process.stdout, kept), daemon=True)
    reader.start()
    try:
        end = _watch(process, folder, count, limits)
    finally:
        _end(process, token, alone=bool(prefix))
        reader.join(timeout=5)
    return end, bytes(kept).decode("utf-8", "replace")


def _environment(folder: Path, token: str) -> dict[str, str]:
    """Return the little that Python needs; nothing of the grader's own environment goes along."""
    home = str(folder / "work")
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    system = {name: os.environ[name] for name in ("SYSTEMROOT", "TZ") if name in os.environ}
    places = dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP"), home)
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "MPLBACKEND": "Agg", _MARK: token}
    return {**system, **places, **dict.fromkeys(threads, "1"), **environment}


def _drain(stream: Any, kept: bytearray) -> None:
    """Read all that is printed, keep the beginning."""
    with stream, contextlib.suppress(OSError):
        while chunk := stream.read1(65536):
            kept += chunk[: _KEPT_OUTPUT - len(kept)]


def _watch(process: subprocess.Popen, folder: Path, count: int, limits: Limits) -> str:
    """Wait until the process ends or breaks a limit; return a sentence on how it ended."""
    marks = ["started", "loaded", *(f"{number}.json" for number in range(count))]
    deadline, reached = time.monotonic() + limits.start_seconds, 0
    while process.poll() is None:
        now = sum((folder / "answers" / mark).exists() for mark in marks)
        if now == len(marks):
            return "finished"
        if now > reached:
            deadline, reached = time.monotonic() + limits.seconds, now
        if time.monotonic() > deadline:
            return f"stopped after {limits.seconds:g} seconds: an endless loop?"
        if _folder_bytes(folder / "work") > limits.folder_bytes:
            return f"stopped: it wrote more than {limits.folder_bytes} bytes to disk"
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


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"the code ended its own process (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"the process was ended by {name}: too much memory or time, or a crash"


def _end(process: subprocess.Popen, token: str, *, alone: bool) -> None:
    """Kill the process and all that it started."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    if not alone:  # in namespaces of its own nothing survives the first process
        _kill_marked(token)


def _kill_marked(token: str) -> None:
    """Kill what left the process group but still carries the mark of this run."""
    found = True
    while found:
        found = False
        for other in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if other.environ().get(_MARK) == token and other.status() != psutil.STATUS_ZOMBIE:
                    other.kill()
                    found = True


def _read_answer(path: Path, limits: Limits, output: str) -> Outcome | None:
    """Return the outcome in ``path``, None if there is no such file. It is a stranger's data."""
    data = _read_file(path, limits.answer_bytes)
    if data is None:
        return None
    if len(data) > limits.answer_bytes:
        return Outcome(None, f"the answer is larger than {limits.answer_bytes} bytes", output)
    try:
        answer = wire.loads(data)
    except ValueError:
        return Outcome(None, "the answer is no plain data", output)
    if isinstance(answer, dict) and isinstance(answer.get("values"), list):
        return Outcome(answer["values"], None, output)
    problem = answer.get("problem") if isinstance(answer, dict) else None
    return Outcome(None, str(problem or "the answer is no plain data")[:500], output)


def _read_file(path: Path, limit: int) -> bytes | None:
    """Return the first ``limit`` + 1 bytes of a plain file, None for anything else."""
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(limit + 1)


def _read_number(path: Path) -> int:
    """Return at what cell the process was, 1 if that is not to be learned."""
    data = _read_file(path, 9) or b""
    return int(data) if data.isdigit() else 1
