"""The digest of a notebook's code changes with what can change its outputs, with nothing else."""

import hashlib

import nbformat
import pytest

from tools.digest import _parse, _plain, code_digest

CELLS = ("%pip install -q mmlib", "from mmlib.part import top\ntop.f()")
TOP = '''"""About."""

from mmlib.part.deep import g


def f(x=1):
    """Add."""
    return g(x) + 1  # one
'''
DEEP = "import mmlib.base as base\n\n\ndef g(x):\n    return x\n"


def notebook(*sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("Text."), *cells])


@pytest.fixture
def house(tmp_path):
    """A package in which one module imports another, and that a third."""
    files = {
        "__init__": "",
        "base": "",
        "part/__init__": "",
        "part/top": TOP,
        "part/deep": DEEP,
        "part/lonely": "",
    }
    for name, text in files.items():
        (tmp_path / f"mmlib/{name}.py").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"mmlib/{name}.py").write_text(text)
    return tmp_path


def changes(house, name, before, after):
    """Return whether the digest changes when a module's text does."""
    path = house / f"mmlib/{name}.py"
    old = code_digest(notebook(*CELLS), house)
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1) if before else text + after)
    return code_digest(notebook(*CELLS), house) != old


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("part/top", "+ 1", "+ 2"),
        ("part/top", "x=1", "x=2"),
        ("part/deep", "return x", "return -x"),
        ("base", "", "x = 1"),
        ("__init__", "", "x = 1"),
        ("part/__init__", "", "x = 1"),
    ],
)
def test_code_that_is_imported_counts_however_deep(house, name, before, after):
    assert changes(house, name, before, after)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("part/top", "About.", "Something else."),
        ("part/top", '    """Add."""\n', ""),
        ("part/top", "# one", "# two"),
        ("part/top", "g(x) + 1", "(g(x)\n            + 1)"),
        ("part/lonely", "", "x = 1"),
    ],
)
def test_docstrings_comments_layout_and_other_modules_do_not(house, name, before, after):
    assert not changes(house, name, before, after)


@pytest.mark.parametrize(
    ("cell", "other", "same"),
    [
        ("x = 1", "x = 2", False),
        ("x = 1", "x=1  # one", True),
        ("%pip install one", "%pip install two", False),
        ("%%time\nx = 1", "%%time\nx = 2", False),
        ("!ls", "!ls -a", False),
        ("x = await f()", "x = await g()", False),
        ("'a'", "'b'", False),  # no docstring: the cell shows it
    ],
)
def test_the_cells_count(house, cell, other, same):
    digests = [code_digest(notebook(source), house) for source in (cell, other)]
    assert (digests[0] == digests[1]) is same


def test_every_version_of_python_finds_the_same_digest():
    """What this source gives was found with Python 3.11, 3.12 and 3.13 alike."""
    source = (
        "@cache\nclass A(B, c=1):\n    'About.'\n    x: int = 1_000\n"
        "def f(a, /, *b: int, c=None, **d): ...\n"
        "async def g():\n    async with a() as b:\n        return [x async for x in b if x]\n"
        "print(f'{a!r:>{width}} {b[\"c\"]:.2f} {{}} \\n', 1e-3, 2j, b'\\x00', ..., u'é')\n"
        "match a:\n    case [1, *b] | {'c': A(d=2)} if b: pass\n"
        "try: x = y[1:, ..., *z]\nexcept* E as e: raise F from e\n"
        "lambda *, k: (k := not k)\n"
    )
    digest = hashlib.sha256(repr(_plain(_parse(source))).encode()).hexdigest()
    assert digest == "7b56f98234ab99cdce054ef68edcded59c1b91cdfebf73c39d46bbb772d089eb"
