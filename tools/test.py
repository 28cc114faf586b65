"""Run every check that CI runs: python tools/test.py

One step after the other, each with its time; all are run even if one fails, and the exit status is
0 only if all passed. What was skipped is said again in the end, with the reason. No time is too
long. ``python tools/test.py NAME ...`` runs only the steps named.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTEST = [sys.executable, "-m", "pytest", "-q"]
TWO = ["-n", "2"]  # processes
STEPS = {  # name → (what it checks, command)
    "lint": ("code style", [sys.executable, "-m", "ruff", "check", "."]),
    "format": ("code layout", [sys.executable, "-m", "ruff", "format", "--check", "."]),
    "unit": (
        "package, architecture, environment, homework",
        [*PYTEST, *TWO, "--dist", "loadscope", "tests", "--ignore=tests/site"],
    ),
    "site": (
        "the built book, in a browser",
        [*PYTEST, *TWO, "tests/site"],
    ),
    "notebooks": (
        "chapters, labs and homework, executed again, two at a time",
        [*PYTEST, *TWO, "--dist", "loadscope", "notebooks"],  # conftest.py says how
    ),
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        print(f"no step {unknown[0]!r}: the steps are {', '.join(STEPS)}")
        return 2
    results, skipped = [], []
    for name in names or STEPS:
        what, command = STEPS[name]
        print(f"▸ {name}: {what}", flush=True)
        start = time.perf_counter()
        code, lines = run(command)
        results.append((name, code, time.perf_counter() - start))
        skipped += [line for line in lines if line.startswith("SKIPPED")]
    if skipped:
        print("\n".join(["What was skipped, and why:", *skipped]))
    for name, code, seconds in results:
        print(f"{'FAILED' if code else 'passed'} {name:10} {seconds:5.0f} s")
    print(f"in all {sum(seconds for *_, seconds in results) / 60:.1f} minutes")
    return max(code for _, code, _ in results)


def run(command: list[str]) -> tuple[int, list[str]]:
    """Run a command with one thread a process; return its exit status and the lines it printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if sys.stdout.isatty():
        environment |= {"FORCE_COLOR": "1"}  # the command itself writes to a pipe
    lines = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(re.sub(r"\x1b\[[\d;]*m", "", line.rstrip()))
    return process.returncode, lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
