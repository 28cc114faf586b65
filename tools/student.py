"""Make the student notebooks from the solutions: ``python tools/student.py [--check]``.

notebooks/homework/solutions/*.ipynb becomes notebooks/homework/*.ipynb: cells tagged ``solution``
are left out, lines between ``# BEGIN SOLUTION`` and ``# END SOLUTION`` become one that raises, and
outputs go. A cell on how to start in Colab comes second. ``--check`` writes nothing and exits 1
when a student notebook is out of date.
"""

import argparse
import copy
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
STUB = "raise NotImplementedError  # your code here"  # what a student finds in place of a solution
FOLDER = ROOT / "notebooks" / "homework"
_SOLUTION = re.compile(r"^([ \t]*)# BEGIN SOLUTION\n.*?^[ \t]*# END SOLUTION", re.S | re.M)
_START = """\
**Where to work.** In JupyterLab, open this notebook from your copy of the book. In Colab, first run
`%pip install -q "mmlib @ git+{address}@main"` in a cell of its own. The solutions have
[their own page]({solutions}), for afterwards."""


def student_version(notebook: nbformat.NotebookNode, *, start: str) -> nbformat.NotebookNode:
    """Return a solutions notebook without its solutions and outputs.

    Args:
        notebook: the solutions notebook; it is left as it is.
        start: Markdown that is put second, on how to start.

    Raises:
        ValueError: no cell holds a solution, or one is begun and not ended.
    """
    student = copy.deepcopy(notebook)
    student.cells = [cell for cell in student.cells if "solution" not in _tags(cell)]
    taken = 0
    for cell in student.cells:
        if cell.cell_type == "code":
            cell.source, count = _SOLUTION.subn(rf"\1{STUB}", cell.source)
            cell.outputs, cell.execution_count = [], None
            taken += count
        if "SOLUTION" in cell.source:
            raise ValueError(f"cell {cell.id} has BEGIN SOLUTION or END SOLUTION without the other")
    if not taken:
        raise ValueError("no cell holds # BEGIN SOLUTION … # END SOLUTION: nothing to leave out")
    student.metadata.pop("executed", None)
    student.cells.insert(1, nbformat.v4.new_markdown_cell(start, id="start"))
    return student


def _tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def render(source: Path) -> str:
    """Return the text of the student notebook made from the solutions notebook ``source``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    start = _START.format(
        address=project["urls"]["Homepage"],
        solutions=f"solutions/{source.name}",
    )
    student = student_version(nbformat.read(source, 4), start=start)
    nbformat.validate(student)
    return nbformat.writes(student) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the student notebooks, or with ``--check`` say which are out of date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if out of date")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="default: notebooks/homework")
    options = parser.parse_args(arguments)
    texts = {
        options.folder / source.name: render(source)
        for source in sorted((options.folder / "solutions").glob("*.ipynb"))
    }
    stale = [
        path
        for path, text in texts.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if options.check:
        for path in stale:
            print(f"{path.name} is out of date: run python tools/student.py", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(texts[path], encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
