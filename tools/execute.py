"""Execute notebooks and store their outputs without churn: python tools/execute.py FILE.ipynb ...

Without a name, those are executed whose outputs are stale: their code, or code they import, has
changed since. Only what changed changes in the file: no timing metadata, no widget state, generated
ids replaced by stable ones, and a figure, table or number that came out the same is written the
same. A cell tagged ``live`` (a control that needs a kernel) is run, its output is not stored. The
run time of each notebook goes to book/run_times.json, rounded up, for the card at the top of its
page: the seconds of processor time, which are what it takes on an idle machine.
"""

import argparse
import asyncio
import hashlib
import json
import math
import os
import queue
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # also when it is run as a command

from tools.digest import code_digest  # noqa: E402

NOTEBOOKS = ROOT / "notebooks"
RUN_TIMES = ROOT / "book" / "run_times.json"
HANGS = 1800  # seconds for one cell; nbclient without a limit can wait for ever on a widget
SLICE = 1.0  # seconds
HEX = re.compile(r"\b[0-9a-f]{32}\b")


@dataclass(frozen=True)
class Run:
    """What one execution gave: the notebook with its outputs, and the seconds it computed."""

    notebook: nbformat.NotebookNode
    seconds: float


def execute(path: Path) -> Run:
    """Run a notebook top to bottom in a fresh kernel, with one thread, in its own folder.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, 4)
    client = NotebookClient(
        notebook,
        timeout=HANGS,
        record_timing=False,
        # the kernel talks to this process alone, over the loopback: it need not warn of that
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    digest = code_digest(notebook)
    seconds = asyncio.run(_run_cells(client, notebook))
    _clean(notebook, digest)
    return Run(notebook, seconds)


async def _run_cells(client: NotebookClient, notebook) -> float:
    """Run all cells; return the processor time of the kernel in seconds."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    async with client.async_setup_kernel(env=environment):
        for channel in (client.kc.shell_channel, client.kc.iopub_channel):
            channel.get_msg = _asking_again(channel.get_msg)
        for index, cell in enumerate(notebook.cells):
            await client.async_execute_cell(cell, index)
        return sum(psutil.Process(client.km.provisioner.pid).cpu_times()[:4])  # children, too


def _asking_again(get_msg: Callable) -> Callable:
    """Wait for a message in short slices: a wait can miss a message that has already come.

    Seen with pyzmq 27: now and then a cell's reply lay there unread until the whole timeout had
    passed. A new wait finds it at once.
    """

    async def patient(timeout: float | None = None):
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            try:
                return await get_msg(timeout=max(0.0, min(left, SLICE)))
            except queue.Empty:
                if left <= SLICE:
                    raise

    return patient


def _clean(notebook, digest: str) -> None:
    """Drop what needs a kernel or differs from run to run."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "executed": {"code_sha256": digest},
    }
    count = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        if "live" in cell.metadata.get("tags", []):
            cell.outputs = []
        cell.outputs = _without_bars(cell.outputs)
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = count


def _without_bars(outputs: list) -> list:
    """Return the outputs without progress bars that wiped themselves away in the end."""
    errors = [o for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    lines = "".join(output.text for output in errors).split("\n")
    left = [line.rstrip("\r").rsplit("\r", 1)[-1].strip() for line in lines]  # as a terminal would
    return outputs if any(left) else [o for o in outputs if not any(o is e for e in errors)]


def stale() -> list[Path]:
    """Return the notebooks, but for students' ones, whose stored outputs other code has made."""
    found = (path for path in sorted(NOTEBOOKS.glob("**/*.ipynb")) if is_executed(path))
    return [path for path in found if is_stale(path)]


def is_executed(path: Path) -> bool:
    """Say whether a notebook is one that is executed: not homework that is still to be done."""
    return path.parent.name != "homework" and ".ipynb_checkpoints" not in path.parts


def is_stale(path: Path) -> bool:
    """Say whether other code than that of now has made a notebook's stored outputs."""
    notebook = nbformat.read(path, 4)
    return notebook.metadata.get("executed", {}).get("code_sha256") != code_digest(notebook)


def dump(notebook, salt: str) -> str:
    """Return the notebook as text with generated ids numbered in reading order."""
    new: dict[str, str] = {}

    def stable(match):
        return new.setdefault(match[0], hashlib.md5(f"{salt}{len(new)}".encode()).hexdigest())

    for cell in notebook.cells:
        if cell.cell_type == "code":
            text = json.dumps(cell.outputs)
            cell.outputs = [nbformat.from_dict(one) for one in json.loads(HEX.sub(stable, text))]
    lines = json.loads(nbformat.writes(notebook))  # sources as lists of lines, as on disk
    return json.dumps(lines, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def store(path: Path, run: Run) -> None:
    """Write the executed notebook and its run time, each only if it changed."""
    _replace(path, dump(run.notebook, path.name))
    times = json.loads(RUN_TIMES.read_text()) if RUN_TIMES.exists() else {}
    name = path.resolve().relative_to(ROOT).as_posix()
    known = times.get(name, 0)
    if not 0.6 * known <= run.seconds <= known:  # a little faster or slower is noise
        times[name] = 10 * math.ceil(run.seconds / 10)
    _replace(RUN_TIMES, json.dumps(times, indent=1, sort_keys=True) + "\n")


def _replace(path: Path, text: str) -> None:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    part = path.with_suffix(".partial")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: those that are stale")
    for path in parser.parse_args().notebooks or stale():
        print(f"{path} ...", end=" ", flush=True)
        run = execute(path)
        store(path, run)
        print(f"{run.seconds:.0f} s")


if __name__ == "__main__":
    main()
