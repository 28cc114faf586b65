"""Run every check that CI runs: python tools/test.py

One step after the other, each with its time; all are run even if one fails, and the exit status is
0 only if all passed. ``python tools/test.py NAME ...`` runs only the steps named.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTEST = [sys.executable, "-m", "pytest", "-q"]
TWO = ["-n", "2"]  # processes
NOTEBOOKS = ["tests/test_notebooks.py", "tests/homework/test_student.py"]
STEPS = {  # name → (what it checks, command); to find all tests takes seconds, so files are named
    "lint": ("code style", [sys.executable, "-m", "ruff", "check", "."]),
    "format": ("code layout", [sys.executable, "-m", "ruff", "format", "--check", "."]),
    "unit": (
        "package, architecture, environment, homework",
        [*PYTEST, *TWO, "--dist", "loadscope", "-m", "not notebook and not lab and not site"],
    ),
    "site": (
        "the built book, in a browser",
        [*PYTEST, *TWO, "--dist", "loadfile", "tests/site", "-m", "site"],
    ),
    "notebooks": (
        "chapters, labs and homework, executed again, two at a time",
        [*PYTEST, *TWO, "--maxschedchunk", "1", *NOTEBOOKS, "-m", "notebook or lab"],
    ),
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        print(f"no step {unknown[0]!r}: the steps are {', '.join(STEPS)}")
        return 2
    results = []
    for name in names or STEPS:
        what, command = STEPS[name]
        print(f"▸ {name}: {what}", flush=True)
        single = {"OMP_NUM_THREADS": "1"} if TWO[0] in command else {}  # one for each process
        start = time.perf_counter()
        code = subprocess.run(command, cwd=ROOT, env={**os.environ, **single}).returncode
        results.append((name, code, time.perf_counter() - start))
    print(
        "\n".join(
            f"{'FAILED' if code else 'passed'} {name:10} {s:5.0f} s" for name, code, s in results
        )
    )
    print(f"in all {sum(seconds for *_, seconds in results) / 60:.1f} minutes")
    return max(code for _, code, _ in results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
