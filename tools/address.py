"""Carry the repository's address from _config.yml to the files that cannot read it.

``repository.url`` in ``_config.yml`` is the one place where it is written by hand. README.md,
CONTRIBUTING.md, CITATION.cff, pyproject.toml and the notebooks (Colab links, the install line with
the version) follow. ``--check`` changes nothing and exits 1 if any of them disagrees.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
NAME = r"[\w-]+/[\w.-]*\w"
# What belongs to this repository wherever it stands, whatever name it carries there now.
COLAB = re.compile(rf"(colab\.research\.google\.com/github/){NAME}(/blob/)[\w.-]+/")
INSTALL = re.compile(rf"(mmlib(?:\[[\w,]+\])? @ git\+https://github\.com/){NAME}@v[\w.]+")
CLONE = re.compile(r"(git clone https://github\.com/)[\w-]+/[\w.-]*?\w(\.git)?(?![\w-]|\.\w)")
DECLARED = re.compile(
    rf'^((?:Homepage|Source|Issues|repository-code|url)\s*[=:]\s*"?https://github\.com/){NAME}',
    re.MULTILINE,
)


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


def previous_name(root: Path) -> str | None:
    """Return the ``owner/name`` that pyproject.toml still carries."""
    urls = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    found = re.match(rf"https://github\.com/({NAME})", urls["Homepage"])
    return found[1] if found else None


def rewrite(text: str, *, name: str, branch: str, version: str, previous: str | None) -> str:
    """Return ``text`` with every address of this repository set to ``name``."""
    text = COLAB.sub(rf"\g<1>{name}\g<2>{branch}/", text)
    text = INSTALL.sub(rf"\g<1>{name}@v{version}", text)
    text = CLONE.sub(rf"\g<1>{name}\g<2>", text)
    text = DECLARED.sub(rf"\g<1>{name}", text)
    if previous:
        text = re.sub(rf"(github\.com/){re.escape(previous)}(?![\w-])", rf"\g<1>{name}", text)
        old, new = (slug.partition("/") for slug in (previous, name))
        pages = f"https://{new[0]}.github.io/{new[2]}"
        text = text.replace(f"https://{old[0]}.github.io/{old[2]}", pages)
    return text


def followers(root: Path) -> list[Path]:
    """Return the files that carry the address and cannot read it."""
    fixed = ("README.md", "CONTRIBUTING.md", "CITATION.cff", "pyproject.toml")
    notebooks = sorted(
        path
        for path in (root / "notebooks").rglob("*.ipynb")
        if ".ipynb_checkpoints" not in path.parts
    )
    return [root / name for name in fixed if (root / name).exists()] + notebooks


def carry(root: Path, *, check: bool) -> list[Path]:
    """Rewrite the files that disagree with ``_config.yml``, or only return them if ``check``."""
    name, branch = read_config(root)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    facts = {"name": name, "branch": branch, "version": project["version"]}
    facts["previous"] = previous_name(root)
    changed = []
    for path in followers(root):
        old = path.read_text(encoding="utf-8")
        new = rewrite(old, **facts)
        if new != old:
            changed.append(path)
            if not check:
                path.write_text(new, encoding="utf-8")
    return changed


def main() -> int:
    """Run the command; the exit status is 1 if ``--check`` finds a disagreement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="change nothing, exit 1 if any differs"
    )
    check = parser.parse_args().check
    changed = carry(ROOT, check=check)
    for path in changed:
        print(f"{'differs' if check else 'rewritten'}: {path.relative_to(ROOT)}")
    return int(check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
