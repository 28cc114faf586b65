"""Faults of the built book that need no browser, and of notebooks that will become pages.

Every function takes files or folders and returns a list of faults in words; an empty list is good.
"""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import nbformat
import yaml

FILE_NAME = re.compile(r"(^|/)[\w.-]+\.(png|jpe?g|gif|svg|webp)$|^[0-9a-f]{16,}$", re.IGNORECASE)
EMPTY_WORDS = {"image", "img", "figure", "picture", "plot", "graph", "alt"}


@dataclass
class Page(HTMLParser):
    """What a page links to, what can be linked to in it, and its pictures."""

    ids: set[str] = field(default_factory=set)
    targets: list[str] = field(default_factory=list)
    images: list[dict[str, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids.update(value for key in ("id", "name") if (value := found.get(key)))
        self.targets += [value for key in ("href", "src") if (value := found.get(key))]
        if found.get("http-equiv", "").lower() == "refresh":
            self.targets.append(found["content"].partition("url=")[2])
        if tag == "img":
            self.images.append(found)


def read_pages(folder: Path) -> dict[str, Page]:
    """Return the parsed pages of a built book by their path in it."""
    pages = {}
    for path in sorted(folder.rglob("*.html")):
        name = path.relative_to(folder).as_posix()
        if not name.startswith(("_static/", "_sources/")):
            pages[name] = Page()
            pages[name].feed(path.read_text(encoding="utf-8"))
    return pages


def link_faults(folder: Path) -> list[str]:
    """Return every link, script, style and picture inside the book that leads nowhere."""
    pages, faults = read_pages(folder), []
    for name, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            path = unquote(urljoin(name, parts.path)) if parts.path else name
            path = f"{path}index.html" if path.endswith("/") else path
            if not (folder / path).is_file():
                faults.append(f"{name}: {target} leads to no file")
            elif path in pages and unquote(parts.fragment) not in {"", *pages[path].ids}:
                faults.append(f"{name}: {target} leads to no place in {path}")
    return sorted(set(faults))


def alt_fault(alt: str | None) -> str | None:
    """Return what is wrong with an alternative text, or None."""
    if alt is None or not alt.strip():
        return "has no alternative text"
    if FILE_NAME.search(alt.strip()):
        return f"has a file name as alternative text: {alt}"
    if alt.strip().lower().rstrip(".") in EMPTY_WORDS:
        return f"has an alternative text that says nothing: {alt}"
    return None


def image_faults(folder: Path) -> list[str]:
    """Return every picture that says nothing to those who do not see it."""
    faults = []
    for name, page in read_pages(folder).items():
        for image in page.images:
            decorative = image.get("role") == "presentation" and image.get("alt") == ""
            fault = None if decorative else alt_fault(image.get("alt"))
            if fault:
                faults.append(f"{name}: {image.get('src', 'a picture')[:60]} {fault}")
    return faults


def figure_faults(path: Path) -> list[str]:
    """Return every figure of a notebook that lacks alternative text or a caption."""
    faults = []
    for number, cell in enumerate(nbformat.read(path, 4).cells):
        outputs = cell.get("outputs", []) if cell.cell_type == "code" else []
        if any(key.startswith("image/") for out in outputs for key in out.get("data", {})):
            meta = cell.metadata.get("mystnb", {})
            fault = alt_fault(meta.get("image", {}).get("alt"))
            if fault:
                faults.append(f"{path.name}, cell {number}: its figure {fault}")
            if not meta.get("figure", {}).get("caption", "").strip():
                faults.append(f"{path.name}, cell {number}: its figure has no caption")
        for output in outputs:
            html = "".join(output.get("data", {}).get("text/html", ""))
            named = "aria-label=" in html or cell.metadata.get("mystnb", {}).get("figure")
            if "<audio" in html and not named:
                faults.append(f"{path.name}, cell {number}: its sound has no transcript")
    return faults


def toc_files(root: Path) -> list[str]:
    """Return the sources that ``_toc.yml`` lists, without their suffix."""

    def walk(entry: object) -> list[str]:
        if isinstance(entry, list):
            return [name for item in entry for name in walk(item)]
        if not isinstance(entry, dict):
            return []
        own = [entry[key] for key in ("root", "file") if key in entry]
        return own + [name for value in entry.values() for name in walk(value)]

    return walk(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")))


def toc_faults(root: Path) -> list[str]:
    """Return listed pages that do not exist and existing pages that are not listed."""
    listed = set(toc_files(root))
    sources = {
        path.relative_to(root).with_suffix("").as_posix()
        for pattern in ("book/**/*.md", "notebooks/**/*.ipynb")
        for path in root.glob(pattern)
        if ".ipynb_checkpoints" not in path.parts
    }
    faults = [f"_toc.yml lists {name}, which does not exist" for name in listed - sources]
    return sorted(faults + [f"{name} is not in _toc.yml" for name in sources - listed])


def carded(root: Path) -> list[str]:
    """Return the pages that need a card: chapters and labs, not homework."""
    names = [name for name in toc_files(root) if name.startswith("notebooks/")]
    return [name for name in names if not name.startswith("notebooks/homework/")]


def card_faults(root: Path, folder: Path) -> list[str]:
    """Return the notebooks whose page lacks the card with its reading and run time."""
    faults = []
    for name in carded(root):
        text = (folder / f"{name}.html").read_text(encoding="utf-8")
        if 'class="chapter-card"' not in text or "<dt>Running</dt>" not in text:
            faults.append(f"{name}: no chapter-card with a run time")
    return faults
