"""The digest of the code that makes a notebook's outputs: it tells stale outputs from true ones.

The code is that of the notebook and of the modules of ``mmlib`` that it imports, and that they
import in turn. It is taken from the syntax trees without docstrings, so that a comment, a docstring
or another layout changes nothing, and neither does another version of Python.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_digest(notebook: NotebookNode, root: Path = ROOT) -> str:
    """Return the digest of a notebook's code and of what it imports from ``root``/mmlib."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    trees = [_parse(TransformerManager().transform_cell(source)) for source in sources]
    digest = hashlib.sha256(repr([_plain(tree.body) for tree in trees]).encode())
    for path, source in sorted(_reached(trees, root).items()):
        name = path.relative_to(root).as_posix()
        digest.update(f"\0{name}\0{_module(source)[1]}".encode())
    return digest.hexdigest()


def _parse(source: str) -> ast.Module:
    """Return the syntax tree of a cell, which may wait for something at its top level."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return compile(source, "<cell>", "exec", flags, dont_inherit=True)


def _plain(node):
    """Return a syntax tree as tuples of what every version of Python says of it alike.

    Fields that are empty are left out: newer versions have more of them.
    """
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        fields["body"] = fields["body"][1:]
    if isinstance(node, ast.JoinedStr):  # 3.12 sees an empty text where others see nothing
        fields["values"] = [v for v in node.values if getattr(v, "value", None) != ""]
    named = ((name, fields[name]) for name in sorted(fields) if fields[name] not in (None, []))
    return type(node).__name__, *((name, _plain(value)) for name, value in named)


@cache
def _module(source: str) -> tuple[ast.Module, str]:
    """Return the syntax tree of a module and its digest."""
    tree = ast.parse(source)
    return tree, hashlib.sha256(repr(_plain(tree)).encode()).hexdigest()


def _reached(trees: list[ast.Module], root: Path) -> dict[Path, str]:
    """Return the sources of mmlib that the trees import, directly or through each other."""
    found: dict[Path, str] = {}
    waiting = list(trees)
    while waiting:
        for name in _imported(waiting.pop()):
            for path in _files(name, root):
                if path not in found:
                    found[path] = path.read_text(encoding="utf-8")
                    waiting.append(_module(found[path])[0])
    return found


def _imported(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted names that a tree imports, absolutely, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files(name: str, root: Path) -> Iterator[Path]:
    """Yield the files that Python runs to import the dotted ``name``, if it is one of mmlib."""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1 if parts[0] == "mmlib" else 0):
        place = root.joinpath(*parts[:depth])
        yield from (p for p in (place / "__init__.py", place.with_suffix(".py")) if p.is_file())
