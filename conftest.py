"""How pytest executes the notebooks again: ``pytest notebooks``, or some of them by name.

nbval runs the cells, each a test, in a fresh kernel for each notebook. It is told here not to
compare outputs as they are; what must come out again is checked after each cell instead:

- a number that ``page.glue`` gave to the prose lies within its tolerance of the stored one;
- nothing is printed to the error stream, such as a warning;
- a homework's solution passes its check.

Nothing here depends on how fast the machine is: the time limits only end what hangs.
"""

import itertools
import json
import math
import os
import queue
import time
from collections import Counter, deque
from pathlib import Path

import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

from mmlib.page import GLUE

HERE = Path(__file__).resolve().parent
RUN_TIMES = HERE / "book" / "run_times.json"
HANGS = 1800  # seconds for one cell
SLICE = 1.0  # seconds
NO_DATA = (
    "the labs need real data: set MMLIB_DATA to the folder it lies in, or to an empty one, into "
    "which it is then downloaded, with licences and sizes said first: MMLIB_DATA=~/data make test"
)


def pytest_configure(config):
    os.environ["OMP_NUM_THREADS"] = "1"  # two threads in each of two processes stall each other
    config.option.nbval_lax = True
    config.option.nbval_current_env = True
    config.option.nbval_cell_timeout = HANGS
    config.option.loadscopereorder = False  # of pytest-xdist: as collected, the longest first


def pytest_ignore_collect(collection_path):
    """Leave out the homework that students are still to write."""
    notebook = collection_path.suffix == ".ipynb"
    return True if notebook and collection_path.parent.name == "homework" else None


def pytest_collection_modifyitems(items):
    """Put the longest notebooks first; skip the labs where there is no data."""
    times = json.loads(RUN_TIMES.read_text()) if RUN_TIMES.exists() else {}

    items.sort(key=lambda item: -times.get(item.nodeid.split("::")[0], 0))  # stable
    for item in items:
        if isinstance(item, IPyNbCell):
            item.add_marker(pytest.mark.timeout(0))
            if item.path.parent.name == "labs" and "MMLIB_DATA" not in os.environ:
                item.add_marker(pytest.mark.skip(reason=NO_DATA))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    if not isinstance(item, IPyNbCell):
        return (yield)
    item.output_timeout = HANGS
    listen_well(item.parent)
    result = yield
    faults = noise(item.test_outputs)
    if "live" not in item.cell.metadata.get("tags", []):  # the output of those is not stored
        faults += differing(glued(item.cell.outputs), glued(item.test_outputs))
    if item.path.parent.name == "solutions":
        faults += failed_checks(item.test_outputs)
    if faults:
        item.raise_cell_error("Cell ran, but:\n" + "\n".join(faults))
    return result


def pytest_terminal_summary(terminalreporter):
    """Say how long each notebook took; no time is too long."""
    seconds = Counter()
    for report in itertools.chain(*terminalreporter.stats.values()):
        name, is_cell, _ = getattr(report, "nodeid", "").partition(".ipynb::")
        if is_cell:
            seconds[name] += getattr(report, "duration", 0)
    if seconds:
        terminalreporter.section("seconds of each notebook")
        for name, took in seconds.most_common():
            terminalreporter.line(f"{took:6.0f} {name}.ipynb")
        terminalreporter.line(f"{seconds.total():6.0f} in all")


def listen_well(notebook: IPyNbFile) -> None:
    """Wait for a kernel's messages in short slices, so that none is lost and no death overlooked.

    While a cell runs, nbval waits for its reply alone. Its outputs meanwhile fill a queue, and what
    finds no room there is dropped; and a kernel that died would never reply.
    """
    kernel = notebook.kernel
    if hasattr(kernel, "outputs"):
        return
    kernel.outputs, ask = deque(), kernel.get_message

    def get_message(stream, timeout=None):
        deadline = time.monotonic() + (HANGS if timeout is None else timeout)
        while True:
            if stream == "iopub" and kernel.outputs:
                return kernel.outputs.popleft()
            try:
                return ask(stream, timeout=min(SLICE, max(0, deadline - time.monotonic())))
            except queue.Empty:
                if not kernel.is_alive():
                    raise RuntimeError("the kernel died; is there memory enough?") from None
                if time.monotonic() >= deadline:
                    raise
            while stream == "shell":
                try:
                    kernel.outputs.append(ask("iopub", timeout=0))
                except queue.Empty:
                    break

    kernel.get_message = get_message


def glued(outputs: list) -> dict[str, tuple[str, float | None]]:
    """Return the text and the tolerance of what the outputs give to the prose, by name."""
    return {
        output.metadata["scrapbook"]["name"]: (
            output.data.get(f"{GLUE}text/plain", "a figure"),
            output.metadata.get("within"),
        )
        for output in outputs
        if "scrapbook" in output.get("metadata", {})
    }


def differing(stored: dict, fresh: dict) -> list[str]:
    """Return how what was glued now differs from what is stored, beyond the tolerance of now."""
    faults = [f"{name} is stored, but not glued any more" for name in stored.keys() - fresh.keys()]
    faults += [f"{name} is glued, but not stored" for name in fresh.keys() - stored.keys()]
    for name in stored.keys() & fresh.keys():
        (old, _), (new, within) = stored[name], fresh[name]
        if within is not None and not agree(old, new, within):
            faults.append(f"{name} was {old} and is now {new}, not within {within:g}")
    return faults


def agree(old: str, new: str, within: float) -> bool:
    """Say whether two texts are equal, or numbers that are within the tolerance."""
    try:
        before, after = float(old), float(new)
    except ValueError:
        return old == new
    if math.isfinite(before) and math.isfinite(after):
        return abs(after - before) <= within * max(1, abs(before))
    return str(before) == str(after)


def noise(outputs: list) -> list[str]:
    """Return what stands on the error stream once progress bars have wiped themselves away."""
    texts = [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in "".join(texts).split("\n")]
    return [f"printed to the error stream: {line}" for line in lines if line.strip()]


def failed_checks(outputs: list) -> list[str]:
    """Return what a homework's checks said of solutions that do not pass."""
    texts = [o.text for o in outputs if o.output_type == "stream" and o.name == "stdout"]
    return [line for line in "".join(texts).splitlines() if not line.startswith("✅")]
