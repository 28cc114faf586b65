"""The house rules of DESIGN and STYLE, read off the code; each is tried on a planted fault."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from tools import contents

ROOT = Path(__file__).resolve().parent.parent
LONGEST_CELL = 20  # lines of code
LONGEST_PROSE = 170  # words


def floors(root: Path) -> dict[str, int]:
    """Return the floor of every unit of mmlib; the parts, with the chapters, are the top floor."""
    course = contents.read_map(root)
    levels = [*course["floors"], contents.parts(course)]
    return {unit: level for level, units in enumerate(levels, 1) for unit in units}


def package_imports(path: Path) -> set[str]:
    """Return the dotted names that a file imports, such as mmlib.world.scenes or torch."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import, write it out"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def import_faults(root: Path) -> list[str]:
    """Return every import that goes up, sideways between units, or out of turn."""
    order = [f"{c.part}.{c.topic}" for c in contents.chapters(root)]
    faults = []
    for path in sorted((root / "mmlib").rglob("*.py")):
        place = path.relative_to(root / "mmlib").with_suffix("").parts
        for name in package_imports(path):
            if name.split(".")[0] == "matplotlib" and place != ("plotting",):
                faults.append(f"{path}: only plotting imports matplotlib")
            target = tuple(name.split(".")[1:])
            allowed = name.split(".")[0] != "mmlib" or may_import(
                place, target, floors(root), order
            )
            if target and not allowed:
                faults.append(f"{path}: may not import {name}")
    return faults


def may_import(place: tuple, target: tuple, floor: dict[str, int], order: list[str]) -> bool:
    """Whether the module at ``place`` may import ``target``, both as parts of a dotted path."""
    here, there, top = place[0], target[0], max(floor.values())
    if here not in floor or there not in floor:
        return False
    if floor[here] == floor[there] == top:  # an earlier chapter
        later, earlier = (".".join(path[:2]) for path in (place, target))
        return earlier in order and later in order and order.index(earlier) < order.index(later)
    same_unit = here == there and len(place) > 1
    return floor[there] < floor[here] or same_unit


def stray_files(root: Path) -> list[str]:
    """Return the missing files of a chapter, and what the map does not know."""
    standing, pages = contents.chapters(root), contents.pages(root)
    faults = []
    for chapter in standing:
        for needed in (
            f"mmlib/{chapter.part}/{chapter.topic}.py",
            f"tests/{chapter.part}/test_{chapter.topic}.py",
            f"mmlib/homework/chapters/{chapter.topic}.py",
            f"notebooks/homework/solutions/{chapter.topic}.ipynb",
        ):
            if not (root / needed).is_file():
                faults.append(f"{needed} is missing")
    for path in sorted((root / "mmlib").iterdir()):
        if path.stem not in {"__init__", "__pycache__", *floors(root)}:
            faults.append(f"{path}: stands on no floor")
    known = {(chapter.part, chapter.topic) for chapter in standing}
    for part in contents.parts(contents.read_map(root)):
        for path in sorted((root / "mmlib" / part).glob("[!_]*.py")):
            if (part, path.stem) not in known:
                faults.append(f"{path}: no chapter of the map that stands")
    for path in [*root.glob("book/**/*.md"), *root.glob("notebooks/**/*.ipynb")]:
        name = path.relative_to(root).with_suffix("").as_posix()
        if name not in pages and ".ipynb_checkpoints" not in path.parts:
            faults.append(f"{name}: has no place on book/map.yml")
    return faults


def reexports(root: Path) -> list[str]:
    """Return every __init__.py that holds more than its docstring and the version."""
    faults = []
    for path in sorted((root / "mmlib").rglob("__init__.py")):
        for node in ast.parse(path.read_text()).body:
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            version = isinstance(node, ast.Assign) and node.targets[0].id == "__version__"
            if not docstring and not version:
                faults.append(f"{path}: line {node.lineno}, only a docstring belongs here")
    return faults


def public_names(root: Path) -> set[str]:
    """Return every public function and class that mmlib defines at the top of a module."""
    return {
        node.name
        for path in (root / "mmlib").rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    }


def notebook_faults(path: Path, names: set[str]) -> list[str]:
    """Return what is wrong with a chapter's or lab's cells."""
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.source.strip()]
    faults, before = [], None
    for number, cell in enumerate(cells):
        where = f"{path.name}, cell {number}"
        if cell.cell_type == "markdown":
            if (
                len(re.sub(r"\$.*?\$|\(.*?\)", " ", cell.source, flags=re.S).split())
                > LONGEST_PROSE
            ):
                faults.append(f"{where}: more than {LONGEST_PROSE} words")
            faults += [f"{where}: {fault}" for fault in lost_lines(cell.source)]
        else:
            faults += [f"{where}: {fault}" for fault in code_faults(cell, names)]
            faults += [f"{where}: {fault}" for fault in figure_faults(cell)]
            if before == "code":
                faults.append(f"{where}: two code cells with no prose between them")
        before = cell.cell_type
    return faults


def lost_lines(prose: str) -> list[str]:
    """Return what MyST takes for a comment or a break, so that no reader ever sees it."""
    shown = re.sub(r"^(```|~~~).*?^\1", "", prose, flags=re.M | re.S)
    return [f"the page loses {line!r}" for line in re.findall(r"^ *(?:%|\+\+\+).*", shown, re.M)]


def code_faults(cell, names: set[str]) -> list[str]:
    """Return what is wrong with one code cell."""
    lines = cell.source.splitlines()
    plain = "\n".join(re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in lines)
    faults = [] if len(lines) <= LONGEST_CELL else [f"{len(lines)} lines of code"]
    for node in ast.walk(ast.parse(plain)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names:
            faults.append(f"defines {node.name}, which mmlib has")
        if isinstance(node, ast.Import | ast.ImportFrom) and "matplotlib" in ast.unparse(node):
            faults.append("imports matplotlib: mmlib.plotting draws")
    return faults


def figure_faults(cell) -> list[str]:
    """Return what a cell's figures and sounds leave unsaid to those who do not see or hear them."""
    meta, faults = cell.metadata.get("mystnb", {}), []
    data = [output.get("data", {}) for output in cell.outputs]
    if any(key.startswith("image/") for one in data for key in one):
        alt, caption = (
            meta.get("image", {}).get("alt", ""),
            meta.get("figure", {}).get("caption", ""),
        )
        if len(alt.split()) < 3:
            faults.append(f"its figure has no alternative text that says something: {alt!r}")
        if not caption.strip():
            faults.append("its figure has no caption")
    sounds = ["".join(one.get("text/html", "")) for one in data if "<audio" in str(one)]
    if any("aria-label=" not in sound for sound in sounds) and "figure" not in meta:
        faults.append("its sound has no transcript")
    return faults


def book_notebooks(root: Path) -> list[Path]:
    return sorted(
        path
        for path in (root / "notebooks").rglob("*.ipynb")
        if "homework" not in path.parts and ".ipynb_checkpoints" not in path.parts
    )


def test_imports_go_down():
    assert not import_faults(ROOT)


def test_one_chapter_is_five_files():
    assert contents.chapters(ROOT)
    assert not stray_files(ROOT)


@pytest.mark.parametrize("name", contents.MADE)
def test_what_is_made_from_the_map_is_up_to_date(name):
    fresh = contents.MADE[name](ROOT) == (ROOT / name).read_text(encoding="utf-8")
    assert fresh, f"{name} is not what book/map.yml and the files say: run make contents"


def test_nothing_is_reexported():
    assert not reexports(ROOT)


@pytest.mark.parametrize("path", book_notebooks(ROOT), ids=lambda path: path.stem)
def test_notebook_cells(path):
    assert not notebook_faults(path, public_names(ROOT))


MAP = """
vision_text:
  title: Text
  chapters: {first: {title: First, about: "1."}, planned: {title: Planned, about: "2."}}
vision_audio:
  title: Sound
  chapters: {second: {title: Second, about: "3."}}
homework: {title: Homework}
floors:
  - {shapes: checks, plotting: draws}
  - {fast: sooner}
  - {world: a place, training: a loop, homework: exercises}
"""


@pytest.fixture
def house(tmp_path):
    """A small house in which all is well."""
    files = {
        "book/map.yml": MAP,
        "book/intro.md": "",
        "mmlib/__init__.py": '"""Map."""\n__version__ = "1"\n',
        "mmlib/shapes.py": "import torch\n",
        "mmlib/plotting.py": "import matplotlib.pyplot as plt\n",
        "mmlib/fast/second.py": "from mmlib import shapes\n",
        "mmlib/world/scenes.py": "from mmlib.shapes import check_shape\n",
        "mmlib/world/words.py": "from mmlib.world import scenes\n",
        "mmlib/vision_text/first.py": "from mmlib.world import scenes\n\n\ndef known(): ...\n",
        "mmlib/vision_audio/second.py": "from mmlib.vision_text.first import known\n",
    }
    for name, place in (("first", "vision_text"), ("second", "vision_audio")):
        files[f"notebooks/{place}/01_{name}.ipynb"] = ""
        files[f"tests/{place}/test_{name}.py"] = ""
        files[f"mmlib/homework/chapters/{name}.py"] = ""
        files[f"notebooks/homework/solutions/{name}.ipynb"] = ""
        files[f"notebooks/homework/{name}.ipynb"] = ""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_sound_house_has_no_faults(house):
    assert import_faults(house) == stray_files(house) == reexports(house) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("mmlib/shapes.py", "import mmlib.world.scenes"),
        ("mmlib/shapes.py", "from mmlib import training"),
        ("mmlib/shapes.py", "from mmlib import plotting"),
        ("mmlib/fast/second.py", "from mmlib.vision_audio import second"),
        ("mmlib/fast/second.py", "from mmlib.world import scenes"),
        ("mmlib/world/scenes.py", "from mmlib.vision_text.first import known"),
        ("mmlib/world/scenes.py", "from mmlib import training"),
        ("mmlib/world/scenes.py", "from mmlib import lost"),
        ("mmlib/world/scenes.py", "import matplotlib.pyplot"),
        ("mmlib/vision_text/first.py", "from mmlib.vision_audio import second"),
        ("mmlib/vision_text/first.py", "def f():\n    from mmlib.vision_audio import second"),
    ],
)
def test_a_planted_import_is_found(house, file, line):
    with (house / file).open("a") as stream:
        stream.write(line + "\n")
    assert len(import_faults(house)) == 1


@pytest.mark.parametrize(
    "missing",
    [
        "mmlib/vision_text/first.py",
        "tests/vision_audio/test_second.py",
        "mmlib/homework/chapters/second.py",
        "notebooks/homework/solutions/second.ipynb",
    ],
)
def test_a_missing_piece_is_found(house, missing):
    (house / missing).unlink()
    assert stray_files(house) == [f"{missing} is missing"]


@pytest.mark.parametrize(
    "extra",
    [
        "mmlib/vision_text/planned.py",
        "mmlib/vision_text/third.py",
        "mmlib/extras.py",
        "book/lost.md",
        "notebooks/vision_text/02_second.ipynb",
        "notebooks/labs/third.ipynb",
    ],
)
def test_an_extra_file_is_found(house, extra):
    (house / extra).parent.mkdir(parents=True, exist_ok=True)
    (house / extra).write_text("")
    assert len(stray_files(house)) == 1


def test_a_notebook_makes_its_chapter_stand(house):
    (house / "notebooks/vision_text/02_planned.ipynb").write_text("")
    (house / "notebooks/vision_text/02_planned_more.ipynb").write_text("")
    pages = contents.pages(house)
    assert pages[2:4] == [
        "notebooks/vision_text/02_planned",
        "notebooks/vision_text/02_planned_more",
    ]
    assert pages[-1] == "notebooks/homework/solutions/second"
    assert len(stray_files(house)) == 4


def test_a_reexport_is_found(house):
    (house / "mmlib/__init__.py").write_text("from mmlib.shapes import check_shape\n")
    assert len(reexports(house)) == 1


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (["a = 1", "b = 2"], "no prose between"),
        (["\n".join(f"a{n} = 1" for n in range(21))], "21 lines"),
        (["def known(): pass"], "defines known"),
        (["import matplotlib.pyplot as plt"], "imports matplotlib"),
    ],
)
def test_a_faulty_notebook_is_found(tmp_path, cells, fault):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbformat.write(notebook, tmp_path / "faulty.ipynb")
    (found,) = notebook_faults(tmp_path / "faulty.ipynb", {"known"})
    assert fault in found


@pytest.mark.parametrize(
    ("data", "mystnb", "faults"),
    [
        ({"image/png": "aaaa"}, {}, ["no alternative text", "no caption"]),
        ({"image/png": "aaaa"}, {"image": {"alt": "A bell that fades"}}, ["no caption"]),
        (
            {"image/png": "aaaa"},
            {"image": {"alt": "plot.png"}, "figure": {"caption": "A bell."}},
            ["no alternative text"],
        ),
        (
            {"image/png": "aaaa"},
            {"image": {"alt": "A bell that fades"}, "figure": {"caption": "A bell."}},
            [],
        ),
        ({"text/html": "<audio controls></audio>"}, {}, ["no transcript"]),
        ({"text/html": '<audio aria-label="A bell"></audio>'}, {}, []),
    ],
)
def test_an_undescribed_figure_or_sound_is_found(data, mystnb, faults):
    output = nbformat.v4.new_output("display_data", data=data)
    cell = nbformat.v4.new_code_cell("draw()", metadata={"mystnb": mystnb}, outputs=[output])
    found = figure_faults(cell)
    assert len(found) == len(faults)
    assert all(fault in text for fault, text in zip(faults, found, strict=True))


@pytest.mark.parametrize(
    ("prose", "lost"),
    [
        ("It is 20\n% and more.", 1),
        ("Above\n\n+++ below", 1),
        ("It is 20 %\nand more.", 0),
        ("```\n%pip install x\n```\nIn a fence", 0),
    ],
)
def test_prose_that_the_page_would_lose_is_found(tmp_path, prose, lost):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(prose)])
    nbformat.write(notebook, tmp_path / "page.ipynb")
    assert len(notebook_faults(tmp_path / "page.ipynb", set())) == lost


def test_pages_lose_no_prose():
    pages = sorted((ROOT / "book").rglob("*.md"))
    assert pages
    prose = [page.read_text() for page in pages]
    for path in sorted((ROOT / "notebooks" / "homework").rglob("*.ipynb")):
        prose += [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "markdown"]
    assert not [fault for text in prose for fault in lost_lines(text)]


def test_long_prose_is_found(tmp_path):
    prose = nbformat.v4.new_markdown_cell("word " * (LONGEST_PROSE + 1))
    nbformat.write(nbformat.v4.new_notebook(cells=[prose]), tmp_path / "long.ipynb")
    assert notebook_faults(tmp_path / "long.ipynb", set())
