"""The student's process: run the cells, call the functions, hand back plain data.

Started by ``mmlib.homework.sandbox`` with the path of a task. What it writes is data and no
verdict: nothing here, nor anything that a student changes in here, decides a mark.
"""

import linecache
import os
import sys
import traceback
import types
from pathlib import Path
from typing import Any

import mmlib.homework
from mmlib.homework import wire
from mmlib.homework.confinement import forbid_writing_outside, limit_resources


def main(task_path: Path) -> None:
    """Run the task at ``task_path``; leave one file an exercise in the folder ``answers``."""
    task = wire.loads(task_path.read_bytes())
    answers = task_path.parent / "answers"
    limit_resources(**task["limits"])
    forbid_writing_outside(task_path.parent)
    _silence_checks()
    _write(answers / "started", "")
    names: dict[str, Any] = {"__name__": "__main__", "display": print}
    problems = []
    for number, cell in enumerate(task["cells"], start=1):
        _write(answers / "cell", str(number))
        problem = _run_cell(number, cell, names)
        if problem:
            problems.append(problem)
    _write(answers / "loaded", "")
    for number, call in enumerate(task["calls"]):
        _write(answers / f"{number}.json", _answer(call, names, problems))
    os._exit(0)  # whatever threads are left


def _silence_checks() -> None:
    """Give notebooks a ``check`` that does nothing: here no one reads it."""
    silent = types.ModuleType("mmlib.homework.checks")
    silent.check = lambda *_: None
    sys.modules["mmlib.homework.checks"] = mmlib.homework.checks = silent
    sys.modules["mmlib.homework.chapters"] = None


def _run_cell(number: int, source: str, names: dict[str, Any]) -> str | None:
    """Run one cell; return what stopped it, if anything did. The next cell runs all the same."""
    file = f"cell {number}"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    try:
        exec(compile(source, file, "exec"), names)
    except BaseException as error:
        return _explain(error)
    return None


def _answer(call: dict[str, Any], names: dict[str, Any], problems: list[str]) -> str:
    """Call one function on all of its inputs; return the answers, or the problem, as JSON."""
    function = names.get(call["function"])
    if function is None:
        why = f" ({problems[0]})" if problems else ""
        return wire.dumps({"problem": f"no function {call['function']} is defined{why}"})
    try:
        values = [wire.plain(function(*inputs)) for inputs in call["inputs"]]
        return wire.dumps({"values": values})
    except NotImplementedError:
        return wire.dumps({"problem": "not answered yet"})
    except BaseException as error:
        return wire.dumps({"problem": _explain(error)})


def _explain(error: BaseException) -> str:
    """Return the error in a line, with the place in the student's code."""
    if isinstance(error, SystemExit):
        text = "the code ends the program (sys.exit)"
    elif isinstance(error, MemoryError):
        text = "MemoryError: the code asked for more memory than it may have"
    else:
        text = f"{type(error).__name__}: {error}"
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if "cell " in frame[0]]
    if places and not isinstance(error, SyntaxError):
        text += f" in {places[-1].filename}, line {places[-1].lineno}"
    return text[:500]


def _write(path: Path, text: str) -> None:
    """Write atomically: who watches the folder never sees half a file."""
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
