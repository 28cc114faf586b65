"""Every command of the page *Scaling up* is run, on the CPU and with few scenes."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "book" / "scaling_up.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```", PAGE, re.M | re.S)
COMMANDS = [re.findall(r"^\$ (.*)", block.replace("\\\n", " "), re.M) for block in BLOCKS]
SMALL = "--scenes 64 --batch-size 16 --epochs 10"  # the last word counts: this replaces the page's
CPU = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
# the timeout is against hangs
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def start():
    """Return a function that starts a command of the page; what still runs at the end is ended."""
    runs = []

    def start(command: str, folder: Path, *, port: int = 0, more: str = "", **environment: str):
        words = f"{command} {SMALL} {more}".replace("29400", str(port)).split()
        words = [str(ROOT / word) if word.endswith(".py") else word for word in words]
        module = {"python": [], "accelerate": ["-m", "accelerate.commands.accelerate_cli"]}
        run = subprocess.Popen(
            [sys.executable, *module[words[0]], *words[1:]],
            cwd=folder,
            env=os.environ | CPU | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        runs.append(run)
        return run

    yield start
    for run in runs:
        if run.poll() is None:
            run.terminate()


def finish(run: subprocess.Popen) -> str:
    out, err = run.communicate()
    assert run.returncode == 0, err
    return out


def losses(out: str) -> str:
    return re.search(r"^loss .*", out, re.M)[0]


@pytest.fixture(scope="module")
def alone(start, tmp_path_factory) -> str:
    """What the page's first command prints: one process on one device."""
    ((command,), *_) = COMMANDS
    out = finish(start(command, tmp_path_factory.mktemp("alone")))
    assert "1 processes, 40 steps" in out
    return out


def test_the_page_has_the_commands_that_are_tested_here():
    assert [len(lines) for lines in COMMANDS] == [1, 1, 1, 2, 1]


def test_mixed_precision_is_the_option_of_the_command_or_the_environment(start, alone, tmp_path):
    (command,) = COMMANDS[1]
    by_option = losses(finish(start(command, tmp_path)))
    environment = {"ACCELERATE_MIXED_PRECISION": "bf16"}
    assert "%env ACCELERATE_MIXED_PRECISION=" in PAGE
    by_environment = losses(finish(start(COMMANDS[0][0], tmp_path, **environment)))
    assert by_option == by_environment != losses(alone)


def test_two_processes_on_one_machine_and_on_two_do_the_same(start, tmp_path):
    (command,) = COMMANDS[2]
    one_machine = finish(start(command, tmp_path))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    runs = [start(command, tmp_path, port=port) for command in COMMANDS[3]]
    two_machines = "".join(finish(run) for run in runs)
    assert "2 processes, 40 steps" in one_machine
    assert "2 processes, 40 steps" in two_machines
    assert losses(one_machine) == losses(two_machines)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_the_run_that_is_cut_off_goes_on(start, alone, tmp_path):
    (command,) = COMMANDS[4]
    run = start(command, tmp_path, more="--checkpoint-every 5")
    while run.poll() is None and not list(tmp_path.glob("runs/classifier/step-*")):
        time.sleep(0.02)
    run.kill()
    assert "steps" not in run.communicate()[0]
    assert run.returncode == -signal.SIGKILL
    assert losses(finish(start(command, tmp_path))) == losses(alone)
