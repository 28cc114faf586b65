"""Run systems with several seeds and store what the book shows: python -m scoreboard [NAME ...]

A seed that was run with the code as it is now is not run again, so a run that was broken off goes
on where it was.
"""

import argparse
import ast
import hashlib
import importlib
import json
import time
from pathlib import Path

from benchmarks.timing import store, versions
from mmlib.metrics import mean_and_interval

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PARTS = ("foundations", "vision_text", "vision_audio", "vision_3d")
JUDGES = ("reading", "text_metrics")  # modules that say how good a sentence is
SYSTEMS = sorted(path.stem for path in HERE.glob("[!_]*.py"))


def code_digest(name: str) -> str:
    """Return a digest of what scores depend on most: the system's module, its chapters', judges."""
    digest = hashlib.sha256()
    for path in sorted(sources(HERE / f"{name}.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def sources(path: Path) -> set[Path]:
    """Return a module of the scoreboard, those that it imports, all their chapters and judges."""
    found = {path}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ImportFrom):
            continue
        for dotted in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
            other = HERE.parent.joinpath(*dotted.split(".")).with_suffix(".py")
            if other.is_file() and other.parent == HERE:
                found |= sources(other)
            elif other.is_file() and (other.parent.name in PARTS or other.stem in JUDGES):
                found.add(other)
    return found


def earlier_runs(name: str) -> dict[str, dict[str, float]]:
    """Return the scores of the seeds that were run with the code as it is now."""
    path = RESULTS / f"{name}.json"
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return stored.get("runs", {}) if stored.get("code") == code_digest(name) else {}


def table_of(runs: dict[str, dict[str, float]]) -> tuple[list[dict], list[dict]]:
    """Return columns and rows: the mean of each score and half its 95 % interval."""
    rows: dict[str, dict[str, str]] = {}
    columns = []
    for key in next(iter(runs.values())):
        row, column = (part.strip() for part in key.rsplit(":", 1))
        columns += [column] if column not in columns else []
        values = [scores[key] for scores in runs.values()]
        if len(values) > 1:
            found = mean_and_interval(values)
            text = f"{found.value:.3f} ± {found.high - found.value:.3f}"
        else:
            text = f"{values[0]:.3f}"
        rows.setdefault(row, {"row": row})[column] = text
    head = [{"key": "row", "label": "system"}]
    head += [{"key": column, "label": column} for column in columns]
    filled = [{**dict.fromkeys(columns), **cells} for cells in rows.values()]
    return head, filled


def score(name: str, seeds: int) -> None:
    """Run one system with seeds 0 to ``seeds`` - 1 and store its table after each."""
    system = importlib.import_module(f"scoreboard.{name}")
    runs = earlier_runs(name)
    for seed in range(seeds):
        if str(seed) not in runs:
            start = time.perf_counter()
            runs[str(seed)] = system.run(seed)
            print(f"{name}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
        columns, rows = table_of(runs)
        store(
            name,
            title=system.TITLE,
            columns=columns,
            rows=rows,
            notes=[
                f"Mean of {len(runs)} seeds ± half of its 95 % interval.",
                versions("torch") + ".",
            ],
            command="make scoreboard",
            folder=RESULTS,
            more={"code": code_digest(name), "runs": runs},
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SYSTEMS))
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    if asked.seeds < 1:
        parser.error(f"--seeds is {asked.seeds}: run 1 at least")
    unknown = [name for name in asked.names if name not in SYSTEMS]
    if unknown:
        parser.error(f"no system {unknown[0]!r}: choose from {', '.join(SYSTEMS)}")
    for name in asked.names or SYSTEMS:
        score(name, asked.seeds)


if __name__ == "__main__":
    main()
