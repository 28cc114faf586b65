"""Execute notebooks and store their outputs without churn: python tools/execute.py FILE.ipynb ...

Only what changed changes in the file: no timing metadata, no widget state, generated ids replaced
by stable ones, and a figure, table or number that came out the same is written the same. A cell
tagged ``live`` (a control that needs a kernel) is run but its output is not stored. The run time
of each notebook goes to book/run_times.json, rounded up, for the card at the top of its page.

Every processor rounds in its own way, and training amplifies it. So a kernel computes with one
thread, and no wider than AVX2: what one x86 machine stores, another finds again. (With one thread
each, two at a time take less than one after the other.)
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
import torch
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
RUN_TIMES = ROOT / "book" / "run_times.json"
CELL_TIMEOUT = 300  # seconds; nbclient without one can wait for ever on a widget
SLICE = 1.0  # seconds
NARROW = {  # AVX2 for PyTorch, and for the two libraries that multiply matrices for it
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
HEX = re.compile(r"\b[0-9a-f]{32}\b")
PEAK = (  # the kernel's peak memory in bytes; ru_maxrss is in kilobytes on Linux, bytes on macOS
    "import resource as _r, sys as _s; "
    "print(_r.getrusage(_r.RUSAGE_SELF).ru_maxrss * (1 if _s.platform == 'darwin' else 1024))"
)


@dataclass(frozen=True)
class Run:
    """What one execution gave: the notebook with its outputs, seconds taken, peak bytes."""

    notebook: nbformat.NotebookNode
    seconds: float
    peak_bytes: int


def execute(path: Path) -> Run:
    """Run a notebook top to bottom in a fresh kernel, in its own folder.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, 4)
    notebook.metadata.pop("widgets", None)
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        record_timing=False,
        # the kernel talks to this process alone, over the loopback: it need not warn of that
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    seconds, peak_bytes = asyncio.run(_run_cells(client, notebook))
    _clean(notebook)
    return Run(notebook, seconds, peak_bytes)


def kernel_environment() -> dict[str, str]:
    """Return the environment of a notebook's kernel: this process's, and how it is to round.

    Only a processor with AVX-512 is told to do without; others would not know what is asked.
    """
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return {
        **os.environ,
        **(NARROW if wide else {}),
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


async def _run_cells(client: NotebookClient, notebook) -> tuple[float, int]:
    """Run all cells; return the seconds they took and the kernel's peak memory in bytes."""
    start = time.perf_counter()
    async with client.async_setup_kernel(env=kernel_environment()):
        for channel in (client.kc.shell_channel, client.kc.iopub_channel):
            channel.get_msg = _asking_again(channel.get_msg)
        for index, cell in enumerate(notebook.cells):
            await client.async_execute_cell(cell, index)
        seconds = time.perf_counter() - start
        notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
        await client.async_execute_cell(notebook.cells[-1], len(notebook.cells) - 1)
    return seconds, int(notebook.cells.pop().outputs[0]["text"])


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


def _clean(notebook) -> None:
    """Drop what needs a kernel or differs from run to run."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "executed": {"code_sha256": code_hash(notebook)},
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


def code_hash(notebook) -> str:
    """Return the digest of the notebook's code: it tells stale outputs from true ones."""
    code = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(code.encode()).hexdigest()


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
    parser.add_argument("notebooks", nargs="+", type=Path)
    for path in parser.parse_args().notebooks:
        print(f"{path} ...", end=" ", flush=True)
        run = execute(path)
        store(path, run)
        print(f"{run.seconds:.0f} s, {run.peak_bytes / 1e9:.2f} GB at the peak")


if __name__ == "__main__":
    sys.exit(main())
