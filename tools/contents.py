"""Make what follows from book/map.yml: python tools/contents.py [--check]

_toc.yml, the list of chapters in README.md and the map in mmlib/__init__.py are made from the map
and from what stands. ``--check`` writes nothing and exits 1 if one of them is out of date.
"""

import re
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
README = re.compile(r"(?<=<!-- made by make contents -->\n\n).*?(?=\n\n<!-- until here -->)", re.S)
PACKAGE = re.compile(r"(?<=\n\n)floor 1\n.*?(?=\n\nNothing is re-exported)", re.S)


@dataclass(frozen=True)
class Chapter:
    """A chapter that stands; its pages are sources without suffix, the first one first."""

    part: str
    topic: str
    title: str
    about: str
    pages: tuple[str, ...]


def read_map(root: Path) -> dict:
    """Return book/map.yml."""
    return yaml.safe_load((root / "book" / "map.yml").read_text(encoding="utf-8"))


def parts(course: dict) -> dict[str, dict]:
    """Return the parts of the lecture, name → title and chapters, in order."""
    return {name: entry for name, entry in course.items() if "chapters" in entry}


def chapters(root: Path) -> list[Chapter]:
    """Return the chapters that stand, in lecture order."""
    found = []
    for part, entry in parts(read_map(root)).items():
        for number, (topic, facts) in enumerate(entry["chapters"].items(), 1):
            name = f"notebooks/{part}/{number:02}_{topic}"
            more = sorted(root.glob(f"{name}_*.ipynb"))
            if (root / f"{name}.ipynb").is_file():
                pages = name, *(p.relative_to(root).with_suffix("").as_posix() for p in more)
                found.append(Chapter(part, topic, facts["title"], facts["about"], pages))
    return found


def make_toc(root: Path) -> str:
    """Return _toc.yml."""
    course, standing = read_map(root), chapters(root)
    captions = []
    for name, entry in course.items():
        if name in ("labs", "homework"):
            pages = topic_pages(root, f"notebooks/{name}", course)
        elif "chapters" in entry:
            about = {"file": f"book/parts/{name}", "title": "About this part"}
            pages = [about] if (root / f"{about['file']}.md").is_file() else []
            pages += [nested(chapter.pages) for chapter in standing if chapter.part == name]
        else:
            pages = (
                [{"file": f"book/{page}"} for page in entry["pages"]] if name != "floors" else []
            )
        if pages:
            captions.append({"caption": entry["title"], "chapters": pages})
    toc = {"format": "jb-book", "root": "book/intro", "parts": captions}
    return "# made by make contents from book/map.yml\n" + yaml.safe_dump(toc, sort_keys=False)


def pages(root: Path) -> list[str]:
    """Return the source of every page of the book, without suffix, in its order."""

    def walk(entry: object) -> list[str]:
        if isinstance(entry, list):
            return [name for item in entry for name in walk(item)]
        if not isinstance(entry, dict):
            return []
        own = [entry[key] for key in ("root", "file") if key in entry]
        return own + [name for value in entry.values() for name in walk(value)]

    return walk(yaml.safe_load(make_toc(root)))


def nested(pages: tuple[str, ...]) -> dict:
    """Return the entry of a chapter; its further pages stand below the first."""
    first, *more = ({"file": page} for page in pages)
    return first | ({"sections": more} if more else {})


def topic_pages(root: Path, folder: str, course: dict) -> list[dict]:
    """Return the labs or the homework that exist; solutions stand below their homework."""
    found = []
    for part in parts(course).values():
        for topic, facts in part["chapters"].items():
            solutions = f"{folder}/solutions/{topic}"
            entry = {"file": f"{folder}/{topic}"}
            if (root / f"{solutions}.ipynb").is_file():
                entry["sections"] = [{"file": solutions, "title": f"Solutions: {facts['title']}"}]
            if (root / f"{entry['file']}.ipynb").is_file():
                found.append(entry)
    return found


def make_readme(root: Path) -> str:
    """Return README.md with the chapters that stand, their labs and their homework."""
    rows = []
    for chapter in chapters(root):
        folders = {"lab": "notebooks/labs", "homework": "notebooks/homework"}
        files = {name: f"{folder}/{chapter.topic}.ipynb" for name, folder in folders.items()}
        more = [f"[{name}]({file})" for name, file in files.items() if (root / file).is_file()]
        links = f" ({', '.join(more)})" if more else ""
        title = f"[{chapter.title}]({chapter.pages[0]}.ipynb)"
        row = f"- {title} – {chapter.about.removesuffix('.')}{links}."
        rows.append(textwrap.fill(row, 100, subsequent_indent="  ", break_on_hyphens=False))
    text = (root / "README.md").read_text(encoding="utf-8")
    return README.sub(lambda _: "\n".join(rows), text)


def make_package_map(root: Path) -> str:
    """Return mmlib/__init__.py with the floors and the chapters that stand."""
    floors, standing = read_map(root)["floors"], chapters(root)
    towers = {c.part: ", ".join(d.topic for d in standing if d.part == c.part) for c in standing}
    texts = []
    for number, units in enumerate([*floors, towers], 1):
        rows = [wrapped(unit, text) for unit, text in units.items() if exists(root, unit)]
        texts += ["\n".join([f"floor {number}", *rows])] if rows else []
    path = root / "mmlib" / "__init__.py"
    return PACKAGE.sub(lambda _: "\n\n".join(texts), path.read_text(encoding="utf-8"))


def exists(root: Path, unit: str) -> bool:
    """Whether mmlib has the module or the folder of modules ``unit``."""
    return (root / "mmlib" / unit).is_dir() or (root / "mmlib" / f"{unit}.py").is_file()


def wrapped(unit: str, text: str) -> str:
    """Return one row of the package's map, no wider than a line of code."""
    return textwrap.fill(
        text,
        100,
        initial_indent=f"    {unit:19}",
        subsequent_indent=" " * 23,
        break_long_words=False,
    )


MADE = {"_toc.yml": make_toc, "README.md": make_readme, "mmlib/__init__.py": make_package_map}


def main(arguments: list[str]) -> int:
    """Write the files that are out of date, or with ``--check`` only name them."""
    texts = {ROOT / name: make(ROOT) for name, make in MADE.items()}
    stale = [path for path, text in texts.items() if path.read_text(encoding="utf-8") != text]
    for path in stale:
        if "--check" not in arguments:
            path.write_text(texts[path], encoding="utf-8")
        print(f"{'out of date' if '--check' in arguments else 'wrote'}: {path.relative_to(ROOT)}")
    return int("--check" in arguments and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
