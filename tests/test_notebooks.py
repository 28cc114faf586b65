"""What the re-execution of notebooks finds, and that storing outputs makes no churn.

The notebooks themselves are executed by ``pytest notebooks``, which ``conftest.py`` prepares. Here
notebooks with planted faults are executed in the same way, in a folder of their own.
"""

import asyncio
import json
import os
import queue
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import nbformat
import pytest

from tools import execute

ROOT = Path(__file__).resolve().parent.parent
BAR = "import sys, tqdm\nfor _ in tqdm.tqdm(range(3), leave=False, file=sys.stderr): pass"
GLUE = "from mmlib import page\npage.glue('x', {})"


def cell(source: str, *, stored: str | None = None, tags=()) -> nbformat.NotebookNode:
    """Return a cell; ``stored`` is what its last execution glued as x."""
    outputs = []
    if stored is not None:
        named = {"scrapbook": {"name": "x", "mime_prefix": "application/papermill.record/"}}
        data = {"application/papermill.record/text/plain": stored}
        outputs = [nbformat.v4.new_output("display_data", data, metadata=named)]
    return nbformat.v4.new_code_cell(
        source, outputs=outputs, execution_count=1, metadata={"tags": list(tags)}
    )


def write(path: Path, *cells) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [cell(one) if isinstance(one, str) else one for one in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


CASES = {  # what it is → (the cell, a part of the message that must come, or None if all is well)
    "an untouched number": (cell(GLUE.format("0.5"), stored="0.5"), None),
    "another last digit": (cell(GLUE.format("0.5004"), stored="0.5"), None),
    "an exact number that moved": (
        cell(GLUE.format("0.52"), stored="0.5"),
        "x was 0.5 and is now 0.52, not within 0.001",
    ),
    "a trained number": (cell(GLUE.format("0.52, within=0.1"), stored="0.5"), None),
    "a large one, relative to itself": (cell(GLUE.format("520, within=0.1"), stored="500"), None),
    "a trained number that drifted": (
        cell(GLUE.format("0.52, within=0.01"), stored="0.5"),
        "x was 0.5 and is now 0.52, not within 0.01",
    ),
    "a time": (cell(GLUE.format("50.0, within=None"), stored="0.5"), None),
    "a word": (cell(GLUE.format("'king'"), stored="king"), None),
    "another word": (cell(GLUE.format("'queen'"), stored="king"), "x was king and is now queen"),
    "no number any more": (cell(GLUE.format("float('nan')"), stored="0.5"), "is now nan"),
    "still no number": (cell(GLUE.format("float('nan')"), stored="nan"), None),
    "a name that is missing": (cell("1", stored="0.5"), "x is stored, but not glued any more"),
    "a name that is new": (cell(GLUE.format("0.5")), "x is glued, but not stored"),
    "a live cell": (cell(GLUE.format("0.5"), tags=["live"]), None),
    "a failing assertion": (cell("assert 1 + 1 == 3"), "AssertionError"),
    "an error that is meant": (cell("1 / 0", tags=["raises-exception"]), None),
    "a warning": (cell("import warnings\nwarnings.warn('careful')"), "careful"),
    "text on stderr": (cell("import sys\nprint('oh', file=sys.stderr)"), "error stream: oh"),
    "a bar that wiped itself away": (cell(BAR), None),
    "a bar, and text": (cell(f"{BAR}\nprint('oh', file=sys.stderr)"), "error stream: oh"),
    "a bar that stays": (cell(BAR.replace("False", "True")), "error stream: 100%"),
    "more time than pytest gives to a test": (cell("import time\ntime.sleep(2)"), None),
    "more output than a queue holds": (
        cell("for i in range(5000): print(i, flush=True)\n" + GLUE.format("1"), stored="1"),
        None,
    ),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> list[tuple[str, str, str]]:
    """Return (notebook, cell, message or "") in the order in which pytest executed them."""
    folder = tmp_path_factory.mktemp("book")
    shutil.copy(ROOT / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\ntimeout = 1\nfilterwarnings = error\n")
    write(folder / "a_short.ipynb", "x = 1", "assert x == 1")
    write(folder / "planted.ipynb", *(case for case, _ in CASES.values()))
    write(folder / "dead.ipynb", "import os\nos._exit(1)")
    write(folder / "labs/real.ipynb", "1", "2")
    write(folder / "homework/one.ipynb", "raise NotImplementedError")
    right, wrong = "print('✅ f: right')", "print('❌ f: wrong')"
    write(folder / "homework/solutions/one.ipynb", right, wrong, "print('odd')")
    (folder / "book").mkdir()
    (folder / "book/run_times.json").write_text('{"planted.ipynb": 90, "dead.ipynb": 10}')
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("MMLIB_DATA", None)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--junitxml=all.xml"]
    subprocess.run(command, cwd=folder, env=environment, capture_output=True)
    return [
        (
            case.get("classname").removesuffix(".ipynb").replace(".", "/"),
            case.get("name"),
            found(case),
        )
        for case in ET.parse(folder / "all.xml").iter("testcase")
    ]


def found(case: ET.Element) -> str:
    """Return what a test case says of its failure; nothing if it passed."""
    return " ".join(f"{child.tag} {child.get('message')} {child.text}" for child in case)


@pytest.mark.parametrize(("index", "name"), list(enumerate(CASES)), ids=list(CASES))
def test_what_a_cell_does_is_judged(outcomes, index, name):
    (message,) = [m for book, c, m in outcomes if (book, c) == ("planted", f"Cell {index}")]
    wanted = CASES[name][1]
    assert message == "" if wanted is None else wanted in message


def test_a_kernel_that_dies_is_no_endless_wait(outcomes):
    (message,) = [message for book, _, message in outcomes if book == "dead"]
    assert "the kernel died" in message


def test_a_lab_without_data_is_skipped_and_says_what_to_do(outcomes):
    messages = [message for book, _, message in outcomes if book == "labs/real"]
    assert len(messages) == 2
    assert all(m.startswith("skipped") and "set MMLIB_DATA to" in m for m in messages)


def test_solutions_pass_their_checks_and_homework_to_be_done_is_left_alone(outcomes):
    messages = [message for book, _, message in outcomes if book == "homework/solutions/one"]
    assert messages[0] == ""
    assert "❌ f: wrong" in messages[1]
    assert "odd" in messages[2]
    assert not [book for book, *_ in outcomes if book == "homework/one"]


def test_the_longest_notebooks_come_first_and_cells_stay_in_order(outcomes):
    books = list(dict.fromkeys(book for book, *_ in outcomes))
    assert books[:3] == ["planted", "dead", "a_short"]
    cells = [name for book, name, _ in outcomes if book == "planted"]
    assert cells == [f"Cell {index}" for index in range(len(CASES))]


def test_executing_twice_writes_the_same_bytes(tmp_path):
    source = GLUE.format("0.5") + "\nimport ipywidgets\nipywidgets.IntSlider()"
    path = write(tmp_path / "calm.ipynb", source)
    once, again = (execute.dump(execute.execute(path).notebook, "calm") for _ in range(2))
    assert once == again
    assert json.loads(once)["cells"][0]["outputs"][0]["metadata"]["scrapbook"]["name"] == "x"


def test_a_notebook_computes_with_one_thread_and_its_processor_time_is_measured(tmp_path):
    source = "import torch\nprint(torch.get_num_threads())"
    run = execute.execute(write(tmp_path / "one.ipynb", source))
    assert run.notebook.cells[0].outputs[0].text == "1\n"
    assert run.seconds > 0


def test_an_executed_notebook_is_stale_once_its_code_changes(tmp_path):
    path = write(tmp_path / "one.ipynb", "x = 1")
    assert execute.is_stale(path)
    text = execute.dump(execute.execute(path).notebook, "one")
    path.write_text(text)
    assert not execute.is_stale(path)
    path.write_text(text.replace("x = 1", "x = 2"))
    assert execute.is_stale(path)


def test_a_failing_cell_stores_nothing(tmp_path):
    path = write(tmp_path / "failing.ipynb", "assert 1 + 1 == 3")
    before = path.read_text()
    with pytest.raises(Exception, match="AssertionError"):
        execute.execute(path)
    assert path.read_text() == before


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
    path = write(tmp_path / "live.ipynb", cell("print(1)", tags=["live"]))
    assert execute.execute(path).notebook.cells[0].outputs == []


def test_a_bar_that_wipes_itself_away_is_not_stored_but_a_warning_is(tmp_path):
    path = write(tmp_path / "bar.ipynb", BAR, f"{BAR}\nprint('careful', file=sys.stderr)")
    calm, loud = execute.execute(path).notebook.cells
    assert not calm.outputs
    assert "careful" in "".join(output.text for output in loud.outputs)
