"""Carry the repository's address from _config.yml to the files that cannot read it.

``repository`` in ``_config.yml`` is the one place where address and branch are written by hand.
README.md, CITATION.cff, pyproject.toml and the notebooks (the line that installs mmlib in Colab)
follow. ``--check`` changes nothing and exits 1 if any of them disagrees.
"""

import re
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
NAME = r"[\w-]+/[\w.-]*\w"
INSTALL = re.compile(rf"(mmlib(?:\[[\w,]+\])? @ git\+https://github\.com/){NAME}@[\w.-]*\w")


def read_config(root: Path) -> tuple[str, str]:
    """Return ``owner/name`` of the repository and its branch.

    Raises:
        ValueError: the address is not one on GitHub.
    """
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]
    found = re.fullmatch(rf"https://github\.com/({NAME})", config["url"])
    if not found:
        raise ValueError(
            f"repository.url is {config['url']!r}, it must be https://github.com/OWNER/NAME"
        )
    return found[1], config["branch"]


def previous_name(root: Path) -> str:
    """Return the ``owner/name`` that pyproject.toml still carries."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Homepage"].removeprefix("https://github.com/")


def rewrite(text: str, *, name: str, branch: str, previous: str) -> str:
    """Return ``text`` with every address of this repository set to ``name``."""
    text = INSTALL.sub(rf"\g<1>{name}@{branch}", text)
    return re.sub(rf"(github\.com/){re.escape(previous)}(?![\w-])", rf"\g<1>{name}", text)


def carry(root: Path, *, check: bool) -> list[Path]:
    """Rewrite the files that disagree with ``_config.yml``, or only return them if ``check``."""
    name, branch = read_config(root)
    previous, changed = previous_name(root), []
    fixed = [root / file for file in ("README.md", "CITATION.cff", "pyproject.toml")]
    for path in [*fixed, *sorted((root / "notebooks").rglob("*.ipynb"))]:
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        new = rewrite(old, name=name, branch=branch, previous=previous)
        if new != old:
            changed.append(path)
            if not check:
                path.write_text(new, encoding="utf-8")
    return changed


if __name__ == "__main__":
    CHECK = "--check" in sys.argv[1:]
    CHANGED = carry(ROOT, check=CHECK)
    for one in CHANGED:
        print(f"{'differs' if CHECK else 'rewritten'}: {one.relative_to(ROOT)}")
    sys.exit(CHECK and bool(CHANGED))
