"""Results: what was measured, when, on which machine, with which code; stored for the book."""

import functools
import json
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import psutil

from mmlib.files import written_whole

HERE = Path(__file__).parent
RESULTS = HERE / "results"
Cell = str | float | list[float] | None  # text, number, [mean, half of its interval], nothing


class Table(NamedTuple):
    """``columns`` of {"key", "label", "digits"?}, ``rows`` of {key: Cell}, sentences below it."""

    columns: list[dict]
    rows: list[dict[str, Cell]]
    notes: list[str]


def store(name: str, title: str, table: Table, **more: object) -> None:
    """Print the table of ``name`` ("scores/vqa") and write it to its file.

    Args:
        more: what else to keep in the file; ``commit`` takes the place of the present one.
    """
    result = {
        "title": title,
        "command": f"python -m experiments {name.replace('/', ' ')}",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "commit": commit(),
        **table._asdict(),
        **more,
    }
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished:
        unfinished.write_text(dump(result), encoding="utf-8")
    print("\n".join([title, *lines(table), *table.notes]))


def dump(result: dict) -> str:
    """Return JSON that has one row, one column or one seed a line."""

    def block(value: object) -> str:
        if isinstance(value, list) and value:
            return "[\n  " + ",\n  ".join(map(line, value)) + "\n ]"
        if isinstance(value, dict) and value:
            pairs = (f"{line(key)}: {line(one)}" for key, one in value.items())
            return "{\n  " + ",\n  ".join(pairs) + "\n }"
        return line(value)

    line = functools.partial(json.dumps, ensure_ascii=False)
    entries = [f" {line(key)}: {block(value)}" for key, value in result.items()]
    return "{\n" + ",\n".join(entries) + "\n}\n"


def load(name: str) -> dict:
    """Return what is stored of ``name``, or an empty dictionary."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def lines(table: Table) -> list[str]:
    """Return the table as text."""
    cells = [[column["label"] for column in table.columns]]
    cells += [
        [text(row.get(c["key"]), c.get("digits", 0)) for c in table.columns] for row in table.rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in cells]


def text(cell: Cell, digits: int) -> str:
    """Return a cell as text, numbers rounded."""
    if isinstance(cell, list):
        return " ± ".join(f"{number:.{digits}f}" for number in cell)
    return f"{cell:,.{digits}f}" if isinstance(cell, int | float) else cell or "–"


def machine() -> str:
    """Return the processor, its cores and the system in words."""
    info = Path("/proc/cpuinfo")
    names = [
        line.split(":", 1)[1].strip()
        for line in (info.read_text() if info.exists() else "").splitlines()
        if line.startswith("model name")
    ]
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, {psutil.cpu_count()} cores, {platform.system()}"


def commit() -> str:
    """Return the commit that stands here, with "+" if the code differs from it; "" without git."""
    here = {"cwd": HERE, "capture_output": True, "text": True}
    code = ["../mmlib", "scores", "speed"]
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], **here)
    changed = subprocess.run(["git", "status", "--porcelain", "--", *code], **here).stdout
    return found.stdout.strip() + ("+" if changed.strip() else "")


def versions(*packages: str) -> str:
    """Return "Python 3.11.7, torch 2.11.0." for a note under the table."""
    found = [f"{name} {metadata.version(name)}" for name in packages]
    return ", ".join([f"Python {platform.python_version()}", *found]) + "."
