"""Time contestants against each other fairly, and store what the book's performance page shows."""

import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil

from mmlib.files import written_whole

RESULTS = Path(__file__).parent / "results"


@dataclass
class Runs:
    """What one contestant took and returned, round by round, the warm-up left out."""

    seconds: list[float] = field(default_factory=list)
    results: list[object] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return statistics.median(self.seconds)


def interleave(contestants: dict[str, Callable[[int], object]], *, rounds: int) -> dict[str, Runs]:
    """Run every contestant once a round, one after the other, so that noise falls on all alike.

    A contestant is called with the number of the round. Round 0 warms up and is not counted.
    """
    runs = {name: Runs() for name in contestants}
    for number in range(rounds + 1):
        for name, work in contestants.items():
            start = time.perf_counter()
            result = work(number)
            seconds = time.perf_counter() - start
            if number > 0:
                runs[name].seconds.append(seconds)
                runs[name].results.append(result)
    return runs


def machine() -> str:
    """Return the processor, its cores and the system in words."""
    names = [
        line.split(":", 1)[1].strip()
        for line in (
            Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
        ).splitlines()
        if line.startswith("model name")
    ]
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, {psutil.cpu_count()} cores, {platform.system()}"


def versions(*packages: str) -> str:
    """Return "Python 3.11.7, torch 2.11.0, …" for a note under the table."""
    found = [f"Python {platform.python_version()}"]
    return ", ".join(found + [f"{name} {metadata.version(name)}" for name in packages])


def store(
    name: str,
    *,
    title: str,
    columns: Sequence[dict],
    rows: Sequence[dict],
    notes: Sequence[str],
    command: str = "",
    folder: Path = RESULTS,
    more: dict | None = None,
) -> None:
    """Print the table and write it to ``<folder>/<name>.json``, from where book/_ext renders it.

    Args:
        command: what measured it, ``python -m benchmarks.<name>`` if nothing is said.
        more: what else to keep in the file.
    """
    result = {
        "title": title,
        "command": command or f"python -m benchmarks.{name}",
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
        "columns": list(columns),
        "rows": list(rows),
        "notes": list(notes),
        **(more or {}),
    }
    folder.mkdir(exist_ok=True)
    with written_whole(folder / f"{name}.json") as unfinished:
        text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
        unfinished.write_text(text, encoding="utf-8")
    print("\n".join([title, *_lines(columns, rows), *notes]))


def _lines(columns: Sequence[dict], rows: Sequence[dict]) -> list[str]:
    def text(value: object, digits: int) -> str:
        if value is None:
            return "–"
        return f"{value:,.{digits}f}" if isinstance(value, int | float) else str(value)

    cells = [[column["label"] for column in columns]]
    cells += [[text(row[c["key"]], c.get("digits", 0)) for c in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
