"""Every notebook is executed again: it runs, in its time and memory, with the numbers it stores.

A number that the prose shows must come out within ``TOLERANCE`` of the stored one; a name that
starts with ``seconds_`` or ``speed_`` is a timing and need only be there.
"""

import asyncio
import json
import math
import os
import queue
import time
from pathlib import Path

import nbformat
import pytest
import torch
from torch.nn.functional import conv2d

from mmlib.page import GLUE
from tools import execute

ROOT = Path(__file__).resolve().parent.parent
RUN_TIMES = json.loads(execute.RUN_TIMES.read_text())
SECONDS, LAB_SECONDS = 90, 600  # what a chapter, and what a lab may take on idle cores
ROUNDS, IDLE = 60, 0.5  # of ``fixed_work``, and its seconds on idle cores
SLOWEST = 3.0  # times as slow as that: on a machine that is busier still, nothing can be timed
BYTES = 2e9
TOLERANCE = 0.05  # relative; other processors round other ways, and training amplifies it


def glued(notebook) -> dict[str, str]:
    """Return the numbers that the notebook gives to its prose."""
    return {
        output.metadata["scrapbook"]["name"]: output.data[GLUE + "text/plain"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "scrapbook" in output.get("metadata", {}) and GLUE + "text/plain" in output.data
    }


def as_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def differing(stored: dict[str, str], fresh: dict[str, str]) -> list[str]:
    """Return the names whose value came out different."""
    faults = [f"{name}: stored or fresh only" for name in stored.keys() ^ fresh.keys()]
    for name in stored.keys() & fresh.keys():
        if name.startswith(("seconds_", "speed_")):
            continue
        old, new = as_number(stored[name]), as_number(fresh[name])
        close = math.isclose(old, new, rel_tol=TOLERANCE, abs_tol=0.02)
        if not (close or stored[name] == fresh[name]):
            faults.append(f"{name}: stored {stored[name]}, now {fresh[name]}")
    return faults


def noisy(notebook) -> list[str]:
    """Return what a notebook printed to its error stream: warnings, progress bars."""
    return [
        output.text
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr"
    ]


def fixed_work() -> float:
    """Return how long a fixed piece of training takes now on one thread, on idle cores 1."""
    pictures, weights = torch.ones(64, 16, 32, 32), torch.ones(16, 16, 3, 3, requires_grad=True)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    start = time.perf_counter()
    for _ in range(ROUNDS):
        conv2d(pictures, weights).sum().backward()
    torch.set_num_threads(before)
    return (time.perf_counter() - start) / IDLE


def slowness(*samples: float) -> float:
    """Return how many times slower than an idle one the machine was at its busiest, 1 to SLOWEST.

    A neighbour on the same host can halve its pace: that is no fault of the notebook.
    """
    return min(SLOWEST, max(1.0, *samples))


def is_lab(path: Path) -> bool:
    return path.parent.name == "labs"


def cases() -> list:
    """Return all but homework, the longest first: of two workers, neither waits long in the end."""
    notebooks = ROOT / "notebooks"
    paths = [p for p in notebooks.glob("*/*.ipynb") if p.parent.name != "homework"]
    paths.sort(key=lambda p: (-RUN_TIMES.get(p.relative_to(ROOT).as_posix(), 0), p))
    marked = []
    for path in paths:
        kind, timeout = (pytest.mark.lab, 900) if is_lab(path) else (pytest.mark.notebook, 600)
        marks = [kind, pytest.mark.timeout(timeout)]
        name = path.relative_to(notebooks).with_suffix("").as_posix()
        marked.append(pytest.param(path, id=name, marks=marks))
    return marked


@pytest.mark.parametrize("path", cases())
def test_notebook(path):
    if is_lab(path) and "MMLIB_DATA" not in os.environ:
        pytest.skip("MMLIB_DATA names no folder with the real data that the labs need")
    stored = nbformat.read(path, 4)
    assert stored.metadata["executed"]["code_sha256"] == execute.code_hash(stored), (
        f"{path.name}: its code changed after its outputs were stored: run make notebooks"
    )
    before = fixed_work()
    run = execute.execute(path)
    slow = slowness(before, fixed_work())
    print(f"{path.name}: {run.seconds:.0f} s on a machine {slow:.1f} times as slow as an idle one")
    assert not noisy(run.notebook)
    assert not differing(glued(stored), glued(run.notebook))
    assert run.seconds <= (LAB_SECONDS if is_lab(path) else SECONDS) * slow
    assert run.peak_bytes <= BYTES


def test_only_a_slow_machine_is_given_more_time():
    assert slowness(0.5, 0.9) == 1
    assert math.isclose(slowness(1, 2.5), 2.5)
    assert slowness(1, 100) == SLOWEST


def write(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_a_failing_assertion_is_found(tmp_path):
    with pytest.raises(Exception, match="AssertionError"):
        execute.execute(write(tmp_path / "failing.ipynb", "assert 1 + 1 == 3"))


def test_a_number_that_drifts_is_found():
    assert differing({"score": "0.91"}, {"score": "0.92"}) == []
    assert differing({"seconds_fit": "3"}, {"seconds_fit": "30"}) == []
    assert differing({"score": "0.91"}, {"score": "0.61"}) == ["score: stored 0.91, now 0.61"]
    assert differing({"word": "king"}, {"word": "queen"}) == ["word: stored king, now queen"]
    assert differing({"score": "0.9"}, {}) == ["score: stored or fresh only"]


def test_a_kernel_rounds_as_on_other_machines(tmp_path):
    """With 512 bits or other threads it would add up in another order."""
    asked = "import torch\nprint(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())"
    path = write(tmp_path / "rounds.ipynb", asked)
    told = execute.execute(path).notebook.cells[0].outputs[0].text
    assert "AVX512" not in told
    assert told.split()[-1] == "1"


def test_executing_twice_writes_the_same_bytes(tmp_path):
    source = (
        "from mmlib import page\npage.glue('x', 0.5)\nimport ipywidgets\nipywidgets.IntSlider()"
    )
    path = write(tmp_path / "calm.ipynb", source)
    once, again = (execute.dump(execute.execute(path).notebook, "calm") for _ in range(2))
    assert once == again
    assert glued(nbformat.reads(once, 4)) == {"x": "0.5"}


def test_a_message_that_a_wait_has_missed_is_found_by_the_next():
    waits = []

    async def get_msg(timeout):
        waits.append(timeout)
        if len(waits) < 3:
            raise queue.Empty
        return "reply"

    assert asyncio.run(execute._asking_again(get_msg)(timeout=300)) == "reply"
    assert max(waits) <= execute.SLICE
    waits.clear()
    with pytest.raises(queue.Empty):
        asyncio.run(execute._asking_again(get_msg)(timeout=0))


def test_a_live_cell_runs_but_stores_nothing(tmp_path):
    path = write(tmp_path / "live.ipynb", "print(1)")
    notebook = nbformat.read(path, 4)
    notebook.cells[0].metadata["tags"] = ["live"]
    nbformat.write(notebook, path)
    assert execute.execute(path).notebook.cells[0].outputs == []


def test_a_bar_that_wipes_itself_away_is_not_stored_but_a_warning_is(tmp_path):
    bar = "import sys, tqdm\nfor _ in tqdm.tqdm(range(3), leave=False, file=sys.stderr): pass"
    calm = execute.execute(write(tmp_path / "bar.ipynb", bar)).notebook
    assert not noisy(calm)
    loud = write(tmp_path / "loud.ipynb", f"{bar}\nprint('careful', file=sys.stderr)")
    assert "careful" in "".join(noisy(execute.execute(loud).notebook))
