"""A submission, a notebook or a Python file, as the list of its code cells."""

import ast
import json
import re
from pathlib import Path

# What a student finds in place of a solution. ``tools/student.py`` writes it.
STUB = "raise NotImplementedError  # your code here"
SUFFIXES = (".ipynb", ".py")
MAX_BYTES = 20_000_000
_MAGIC = re.compile(r"^([ \t]*)(?:[%!?].*|[\w.]+\?{1,2}|[\w, ]+= *[%!].*)$", re.M)
_TIMING = re.compile(r"\A\s*%%(?:time|timeit|capture|prun)\b.*\n?")


def read_cells(path: Path) -> list[str]:
    """Return the source of each code cell; a Python file is one cell.

    Lines that only IPython understands (``%pip``, ``!ls``, ``name?``) become ``pass``; a cell in
    another language (``%%bash``) becomes empty.

    Raises:
        ValueError: the file is too large or no such notebook.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{path.name} has {size} bytes, at most {MAX_BYTES} are read")
    try:
        text = path.read_text(encoding="utf-8-sig")
        sources = [text] if path.suffix == ".py" else _code_cells(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    return [without_magics(source) for source in sources]


def _code_cells(notebook: dict) -> list[str]:
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return ["".join(cell["source"]) for cell in cells]


def without_magics(source: str) -> str:
    """Return the cell without IPython's own syntax; line numbers stay as they are."""
    timed = _TIMING.match(source)
    if timed:
        source = "\n" + source[timed.end() :]
    if source.lstrip().startswith("%%"):
        return ""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _MAGIC.sub(r"\1pass", source)
    return source
