"""The book's words: every term of the glossary is in use, no retired name is left in mmlib."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from tools import contents

ROOT = Path(__file__).resolve().parent.parent
GLOSSARY = Path("book") / "notation.md"


def tables(page: str, head: str) -> list[list[str]]:
    """Return the rows, lists of cells, of all tables whose first column is called ``head``."""
    rows, inside = [], False
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[0] == head:
            inside = True
        elif inside and not set(cells[0]) <= set("-: "):
            rows.append(cells)
    return rows


def titles(root: Path) -> dict[str, bool]:
    """Return each chapter's title and whether it stands, and the book's other pages, which do."""
    course, standing = contents.read_map(root), {c.topic for c in contents.chapters(root)}
    found = {
        chapter["title"]: topic in standing
        for part in contents.parts(course)
        for topic, chapter in course[part]["chapters"].items()
    }
    return found | {
        path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# "): True
        for path in (root / "book").glob("*.md")
    }


def book_text(root: Path) -> str:
    """Return the prose of all pages but the glossary, in lower case."""
    pages = [p for p in sorted((root / "book").rglob("*.md")) if p != root / GLOSSARY]
    text = [path.read_text(encoding="utf-8") for path in pages]
    for path in sorted((root / "notebooks").rglob("*.ipynb")):
        cells = nbformat.read(path, 4).cells
        text += [cell.source for cell in cells if cell.cell_type == "markdown"]
    return " ".join(" ".join(text).lower().split())


def glossary_faults(root: Path) -> list[str]:
    """Return every row that is not whole, twice there, or whose term no page uses."""
    known, text = titles(root), book_text(root)
    rows = tables((root / GLOSSARY).read_text(encoding="utf-8"), "term")
    terms = [row[0].lower() for row in rows]
    faults = [f"{term}: twice in the glossary" for term in terms if terms.count(term) > 1]
    for row in rows:
        if len(row) != 5 or not all(row):
            faults.append(f"{row[0]}: needs symbol, other names, Korean and chapter, or a dash")
            continue
        linked = re.fullmatch(r"\[(.+)\]\((.+)\)", row[4])
        title = linked[1] if linked else row[4]
        if title not in known:
            faults.append(f"{row[0]}: there is no chapter {title!r}")
        elif linked and not (root / "book" / linked[2]).is_file():
            faults.append(f"{row[0]}: there is no {linked[2]}")
        elif known[title] and not re.search(rf"(?<!\w){re.escape(row[0].lower())}", text):
            faults.append(f"{row[0]}: no page uses it")
    return faults


def retired_names(root: Path) -> list[tuple[str, ...]]:
    """Return the retired names as words; one with a remark in brackets is free elsewhere."""
    rows = tables((root / GLOSSARY).read_text(encoding="utf-8"), "retired")
    names = [name.strip() for row in rows for name in row[0].split(",")]
    return [tuple(name.split()) for name in names if "(" not in name]


def words_of(name: str) -> list[str]:
    """Split snake and camel case: ``load_ImageNetEye`` → load, image, net, eye."""
    return [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def defined_names(path: Path) -> set[str]:
    """Return the functions, classes, parameters and fields that a module defines."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {part.target.id for part in node.body if isinstance(part, ast.AnnAssign)}
        if isinstance(node, ast.arg):
            names.add(node.arg)
    return names


def name_faults(root: Path) -> list[str]:
    """Return every definition in mmlib that bears a retired name as words of its own."""
    retired, faults = retired_names(root), []
    for path in sorted((root / "mmlib").rglob("*.py")):
        for name in sorted(defined_names(path)):
            words = words_of(name)
            runs = {tuple(words[i:j]) for i in range(len(words)) for j in range(i, len(words) + 1)}
            faults += [
                f"{path.relative_to(root)}: {name} bears the retired name {' '.join(old)!r}"
                for old in retired
                if old in runs
            ]
    return faults


def test_every_term_is_in_use():
    assert not glossary_faults(ROOT)


def test_no_retired_name_is_left():
    assert retired_names(ROOT)
    assert not name_faults(ROOT)


@pytest.fixture
def small(tmp_path):
    """A book of one page and one module, with a glossary of one term, all of it in order."""
    for folder in ("book", "mmlib", "notebooks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "book" / "map.yml").write_text((ROOT / "book" / "map.yml").read_text())
    (tmp_path / "book" / "intro.md").write_text("# Intro\n\nAn image\nencoder.\n")
    (tmp_path / "book" / "notation.md").write_text(
        "# Words\n\n"
        "| term | symbol, code | also called | Korean | chapter |\n|---|---|---|---|---|\n"
        "| image encoder | – | backbone | 이미지 인코더 | [Intro](intro.md) |\n\n"
        "| retired | now |\n|---|---|\n| eye, from nothing | image encoder |\n"
        "| judge (a loss) | – |\n"
    )
    (tmp_path / "mmlib" / "sight.py").write_text("def eyelid(judge, *, nothing): ...\n")
    assert glossary_faults(tmp_path) == name_faults(tmp_path) == []
    return tmp_path


@pytest.mark.parametrize(
    "code",
    ["class ImageEye: ...", "def load_eye(): ...", "def f(eye): ...", "lambda *, an_eye: 0",
     "class A:\n    eye: int", "class EYE: ...", "def train_from_nothing(): ...",
     "async def f(*eye): ..."],
)  # fmt: skip
def test_a_retired_name_is_found(small, code):
    (small / "mmlib" / "more.py").write_text(code)
    assert len(name_faults(small)) == 1


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("| image encoder |", "| audio encoder |", "no page uses it"),
        ("이미지 인코더", "", "needs symbol"),
        ("| backbone ", "", "needs symbol"),
        ("[Intro](intro.md)", "[Intro](outro.md)", "there is no outro.md"),
        ("[Intro](intro.md)", "Outro", "there is no chapter"),
    ],
)
def test_a_row_that_is_not_so_is_found(small, old, new, fault):
    path = small / GLOSSARY
    path.write_text(path.read_text().replace(old, new))
    (found,) = glossary_faults(small)
    assert fault in found


def test_a_term_of_a_planned_chapter_may_wait(small):
    path = small / GLOSSARY
    page = path.read_text()
    path.write_text(
        page.replace("| retired", "| term |\n|---|\n| voxel | – | – | – | Driving |\n\n| retired")
    )
    assert not glossary_faults(small)
