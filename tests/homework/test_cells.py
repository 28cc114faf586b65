"""A notebook or a Python file becomes cells, and cells run as they do in a notebook."""

import json

import IPython
import pytest

from mmlib.homework.cells import Session, read_cells, to_python


@pytest.fixture
def session(monkeypatch):
    for module in (IPython, IPython.core.getipython):  # a session puts its stand-in there
        monkeypatch.setattr(module, "get_ipython", module.get_ipython)
    session = Session()
    yield session
    session.runner.close()


@pytest.mark.parametrize(
    "source", ["a = (7\n  % 4)", "text = '''\n%pip\n!ls\n'''", "a != 3", "", "# what?", "await f()"]
)
def test_plain_python_is_left_as_it_is(source):
    assert to_python(source) == source


RUNS = {
    "a pip line": "%pip install x\na = 1",
    "a shell command": "!ls -l\na = 1",
    "a command over two lines": "!echo one \\\n  two\na = 1",
    "inside a block": "if True:\n    !ls\n    a = 1",
    "help": "len?\na = 1",
    "help at length": "a = 1\nlen??",
    "a timed statement": "%time a = 1",
    "a timed value": "a = %time 1",
    "a timed cell": "%%time\na = 1",
    "a captured cell": "%%capture out\na = 1",
    "a timed cell with a command": "%%time\n!ls\na = 1",
    "magic that has a result": "files = !ls\na = 1 + len(files)",
    "a modulo at the start of a line, beside magic": "%matplotlib inline\na = (7\n% 6)",
    "magic in a text, beside magic": "!ls\na = len('''\n%x\n!''') - 4",
    "await": "import asyncio\nawait asyncio.sleep(0)\na = 1",
    "await for": "async def f():\n    yield 1\nasync for a in f():\n    pass",
    "a shell of one's own": "get_ipython().run_line_magic('matplotlib', 'inline')\na = 1",
    "the shell's import": "from IPython import get_ipython\nget_ipython().system('ls')\na = 1",
    "a shell that times": "get_ipython().run_cell_magic('time', '', 'a = 1')",
    "display": "from IPython.display import display\ndisplay(1)\na = 1",
    "an indented cell": "    a = 1\n    b = 2",
    "a prompt": ">>> a = 1",
}


@pytest.mark.parametrize("source", RUNS.values(), ids=RUNS.keys())
def test_cells_run_as_in_a_notebook(source, session):
    session.run(source)
    assert session.names["a"] == 1


@pytest.mark.parametrize("source", ["%%bash\nrm -rf /", "%%javascript\na = 1", "%%timeit\na = 1"])
def test_other_languages_do_nothing(source, session):
    session.run(source)
    assert "a" not in session.names


def test_cells_share_one_event_loop(session):
    session.run("import asyncio\ntask = asyncio.ensure_future(asyncio.sleep(0, 3))\nawait task")
    session.run("queue = asyncio.Queue()\nawait queue.put(5)")
    session.run("a = await queue.get() + task.result()")
    assert session.names["a"] == 8


def test_what_is_no_python_is_a_syntax_error_with_its_cell(session):
    with pytest.raises(SyntaxError) as error:
        session.run("a = 1\ndef f(:", "cell 3")
    assert error.value.filename == "cell 3"


def test_without_ipython_plain_cells_still_run(monkeypatch, session):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    session.run("a = 1")
    assert session.names["a"] == 1
    with pytest.raises(SyntaxError, match="invalid syntax"):
        session.run("%time a = 2")


CELLS = [
    {"cell_type": "markdown", "source": ["# a"]},
    {"cell_type": "code", "source": ["a = 1\n", "b = 2"]},
    {"cell_type": "raw", "source": "c = 3"},
    {"cell_type": "code", "source": "d = 4"},
]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_only_code_cells_are_read(tmp_path, mark):
    path = tmp_path / "ada.ipynb"
    path.write_text(mark + json.dumps({"cells": CELLS}), encoding="utf-8")
    assert read_cells(path) == ["a = 1\nb = 2", "d = 4"]


@pytest.mark.parametrize(
    "data",
    [
        "a = 'é'\r\nb = 2\r\n".encode(),
        "\ufeffa = 'é'\nb = 2\n".encode(),
        "# -*- coding: latin-1 -*-\na = 'é'\nb = 2\n".encode("latin-1"),
    ],
)
def test_a_python_file_is_one_cell_in_its_own_encoding(tmp_path, session, data):
    (tmp_path / "ada.py").write_bytes(data)
    (source,) = read_cells(tmp_path / "ada.py")
    session.run(source)
    assert (session.names["a"], session.names["b"]) == ("é", 2)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"cells": 1}', '{"cells": [1]}', '{"cells": [{}]}', "[" * 99_999]
)
def test_what_is_no_notebook_is_refused(tmp_path, text):
    (tmp_path / "ada.ipynb").write_text(text)
    with pytest.raises(ValueError, match="no notebook of format 4"):
        read_cells(tmp_path / "ada.ipynb")


def test_undecodable_text_is_refused(tmp_path):
    (tmp_path / "ada.py").write_bytes(b"a = '\xe9'")
    with pytest.raises(ValueError, match="no Python file"):
        read_cells(tmp_path / "ada.py")
