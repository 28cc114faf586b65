"""A submission, a notebook or a Python file: read it, and run its cells as a notebook would.

Only the student's own process does so. IPython's syntax is translated by IPython itself and met by
a stand-in for its shell: ``%time`` runs its statement, ``!ls`` and all other magics do nothing.
"""

import ast
import asyncio
import importlib.util
import inspect
import json
import linecache
import types
from pathlib import Path
from typing import Any

_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_RUN_ONCE = ("time", "capture", "prun")  # magics that only watch or time what they run


def read_cells(path: Path) -> list[str]:
    """Return the source of each code cell; a Python file is one cell.

    Raises:
        ValueError: it is no notebook, or its text cannot be decoded.
    """
    data = path.read_bytes()
    try:
        if path.suffix == ".py":
            return [importlib.util.decode_source(data)]
        cells = json.loads(data.decode("utf-8-sig"))["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SyntaxError) as error:
        what = "Python file" if path.suffix == ".py" else "notebook of format 4"
        raise ValueError(f"no {what}: {type(error).__name__}: {error}") from error


def to_python(source: str) -> str:
    """Return a cell in plain Python: unchanged if it is, else translated by IPython."""
    try:
        compile(source, "cell", "exec", _FLAGS | ast.PyCF_ONLY_AST)
    except (SyntaxError, ValueError):
        if importlib.util.find_spec("IPython") is None:
            return source
        from IPython.core.inputtransformer2 import TransformerManager

        return TransformerManager().transform_cell(source)
    return source


class Session:
    """Names in which cells run one after the other; one event loop for those that await."""

    def __init__(self) -> None:
        self.module = types.ModuleType("__main__")
        self.names = vars(self.module)
        self.names.update(display=print, get_ipython=lambda: self._shell)
        self._shell, self.runner = Shell(self), asyncio.Runner()  # the runner starts when used

    def run(self, source: str, file: str = "cell") -> Any:
        """Run a cell; of a single expression return the value."""
        source = to_python(source)
        if "IPython" in source:
            self._stand_in()
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        try:
            code = compile(source, file, "eval", _FLAGS, dont_inherit=True)
        except (SyntaxError, ValueError):
            code = compile(source, file, "exec", _FLAGS, dont_inherit=True)
        value = eval(code, self.names)
        if code.co_flags & inspect.CO_COROUTINE:
            value = self.runner.run(value)
        return value

    def _stand_in(self) -> None:
        """Let ``from IPython import get_ipython`` bring the stand-in, too."""
        if importlib.util.find_spec("IPython"):
            import IPython

            IPython.get_ipython = IPython.core.getipython.get_ipython = self.names["get_ipython"]


class Shell:
    """What ``get_ipython()`` returns: it runs what is timed and ignores everything else."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def run_line_magic(self, name: str, line: str, *_: Any) -> Any:
        return self._session.run(line) if name == "time" and line.strip() else None

    def run_cell_magic(self, name: str, line: str, cell: str) -> Any:
        return self._session.run(cell) if name in _RUN_ONCE else None

    def getoutput(self, *_: Any, **__: Any) -> list[str]:
        return []

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None
