"""The process in which a submission is read, run and called, and the one that judges its answers.

Started by ``mmlib.homework.sandbox``; what to do comes through standard input. The student's
process leaves data and no verdict: nothing that a student changes in it decides a mark. The judge's
process holds no student's code; it reads what the first one left, within limits as well.
"""

import json
import os
import sys
import traceback
import types
from pathlib import Path
from typing import Any

import mmlib.homework
from mmlib.homework import wire
from mmlib.homework.cells import Session, read_cells
from mmlib.homework.confinement import confine


def main() -> None:
    """Do what standard input says."""
    request = wire.loads(sys.stdin.buffer.read())
    folder = Path(request["folder"])
    (run_student if request["role"] == "student" else run_judge)(request, folder)
    sys.stdout.flush()
    os._exit(0)  # whatever threads are left


def run_student(request: dict[str, Any], folder: Path) -> None:
    """Run the cells and make the calls; leave one file a call in the folder ``answers``."""
    confine(folder, request["limits"])
    answers, calls = folder / "answers", request["calls"]
    silent = types.ModuleType("mmlib.homework.exercise")
    silent.check = lambda *_: None  # here no one reads it
    sys.modules["mmlib.homework.exercise"] = mmlib.homework.exercise = silent
    sys.modules["mmlib.homework.chapters"] = None
    session = Session()
    sys.modules["__main__"] = session.module
    _write(answers / "started", "")
    problems: list[str] = []
    try:
        cells = read_cells(folder / request["file"])
    except BaseException as error:
        cells, problems = [], [f"the submission cannot be read: {_explain(error)}"]
    for number, cell in enumerate(cells, start=1):
        _write(answers / "cell", str(number))
        try:
            session.run(cell, f"cell {number}")
        except BaseException as error:  # the next cell runs all the same, as in a notebook
            place = f"cell {number}"
            text = _explain(error)
            problems.append(text if place in text else f"{text} in {place}")
    _write(answers / "loaded", "")
    for number, call in enumerate(calls):
        answer = _answer(call, session.names, problems)
        if len(answer) > request["answer_bytes"]:
            most = request["answer_bytes"]
            answer = wire.dumps({"problem": f"the answer is larger than {most} bytes"})
        _write(answers / f"{number}.json", answer)


def _answer(call: dict[str, Any], names: dict[str, Any], problems: list[str]) -> str:
    """Call one function on all of its inputs; return the answers, or the problem, as JSON."""
    try:
        function = names[call["function"]]
    except KeyError:
        why = f" ({problems[0]})" if problems else ""
        return wire.dumps({"problem": f"no function {call['function']} is defined{why}"})
    try:
        return wire.dumps({"values": [wire.plain(function(*inputs)) for inputs in call["inputs"]]})
    except NotImplementedError:
        return wire.dumps({"problem": "not answered yet"})
    except BaseException as error:
        text = _explain(error)
        if isinstance(error, NameError) and problems:  # the consequence of a cell that stopped
            text = f"{problems[0]}; therefore {text}"
        return wire.dumps({"problem": text})


def _explain(error: BaseException) -> str:
    """Return the error in a line, with the place in the student's code."""
    try:
        text = f"{type(error).__name__}: {str(error)[:400]}"
    except BaseException:  # its own text raises
        text = type(error).__name__
    if isinstance(error, SystemExit):
        text = "the code ends the program (sys.exit)"
    elif isinstance(error, MemoryError):
        text = "MemoryError: the code asked for more memory than it may have"
    elif isinstance(error, ModuleNotFoundError):
        text += " (the grader has numpy, and no more than the homework asks for)"
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if "cell " in frame[0]]
    if places and not isinstance(error, SyntaxError):
        text += f" in {places[-1].filename}, line {places[-1].lineno}"
    return text


def run_judge(request: dict[str, Any], folder: Path) -> None:
    """Print a list with the message of each exercise as JSON: None for a right one."""
    from mmlib.homework.exercise import draw

    drawn = draw(request["chapter"], request["seed"])
    confine(folder, request["limits"])
    messages = []
    for number, (exercise, cases) in enumerate(drawn):
        message = request["problems"][number]
        if message is None:
            try:
                answer = wire.loads((folder / f"{number}.json").read_bytes())
                message = str(answer["problem"])[:800] if "problem" in answer else None
                values = answer.get("values")
            except (ValueError, TypeError, AttributeError, MemoryError):
                message = "the answer is no plain data"
        if message is None:
            message = exercise.verdict(cases, values)
        messages.append(message)
    print(json.dumps(messages))


def _write(path: Path, text: str) -> None:
    """Write atomically: who watches the folder never sees half a file."""
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
