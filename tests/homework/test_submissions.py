"""A notebook or a Python file becomes a list of cells that plain Python can run."""

import json

import pytest

from mmlib.homework import submissions
from mmlib.homework.submissions import read_cells, without_magics


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("%pip install x\na = 1", "pass\na = 1"),
        ("  !ls -l\na = 1", "  pass\na = 1"),
        ("if True:\n    %timeit f()\n", "if True:\n    pass\n"),
        ("np.hamming?\na = 1", "pass\na = 1"),
        ("files = !ls\na = 1", "pass\na = 1"),
        ("%%time\na = 1", "\na = 1"),
        ("%%bash\nrm -rf /", ""),
        ("%%javascript\nalert(1)", ""),
    ],
)
def test_what_only_ipython_understands_is_dropped(source, expected):
    assert without_magics(source) == expected


@pytest.mark.parametrize(
    "source", ["a = (7\n  % 4)", "text = '''\n%pip\n!ls\n'''", "a != 3", "", "# what?"]
)
def test_plain_python_is_left_as_it_is(source):
    assert without_magics(source) == source


def test_only_code_cells_are_read(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["# a"]},
        {"cell_type": "code", "source": ["a = 1\n", "b = 2"]},
        {"cell_type": "raw", "source": "c = 3"},
        {"cell_type": "code", "source": "d = 4"},
    ]
    path = tmp_path / "ada.ipynb"
    path.write_text("\ufeff" + json.dumps({"cells": cells}), encoding="utf-8")
    assert read_cells(path) == ["a = 1\nb = 2", "d = 4"]


def test_a_python_file_is_one_cell(tmp_path):
    path = tmp_path / "ada.py"
    path.write_text("a = 1\n\n# %%\nb = 2\n")
    assert read_cells(path) == ["a = 1\n\n# %%\nb = 2\n"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"cells": 1}', '{"cells": [1]}', '{"cells": [{}]}', "[" * 99_999]
)
def test_no_notebook_is_refused_by_name(tmp_path, text):
    path = tmp_path / "ada.ipynb"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"ada\.ipynb cannot be read"):
        read_cells(path)


def test_a_huge_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "MAX_BYTES", 10)
    path = tmp_path / "ada.py"
    path.write_text("x" * 11)
    with pytest.raises(ValueError, match="has 11 bytes, at most 10 are read"):
        read_cells(path)
