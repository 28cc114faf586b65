"""What README, CONTRIBUTING and the workflows say is true: their paths, commands, names, versions.

Each check is a function that takes a folder and returns faults in words, and each is tried on a
planted fault.
"""

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

import mmlib

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE-PROSE")
FOLDERS = (
    "book",
    "mmlib",
    "notebooks",
    "experiments",
    "tests",
    "tools",
    r"\.ci",
    r"\.github",
)
FILE = re.compile(r"(\.?[\w<>*-]+/)*[\w<>*.-]+\.(bib|cff|ipynb|md|sh|svg|toml|txt|yml)")
INSIDE = re.compile(rf"(?<![\w/.])({'|'.join(FOLDERS)})/[\w<>*./-]*")


def code(page: str) -> str:
    """Return the code in a page of Markdown, spans and indented blocks, one to a line."""
    blocks = re.findall(r"^ {4,}\S.*$", page, flags=re.M)
    return "\n".join(blocks + re.findall(r"`+([^`\n]+)`+", page))


def links(page: str) -> list[str]:
    """Return where the links and pictures of a page lead, inside this repository."""
    targets = re.findall(r"\]\(([^)\s]+)\)", page)
    return [urlsplit(target).path for target in targets if not urlsplit(target).scheme]


def missing(paths: set[str], root: Path) -> list[str]:
    """Return the paths that lead nowhere; ``<part>`` may stand for any name."""
    patterns = {path: re.sub(r"<\w+>", "*", path.rstrip("/.")) for path in sorted(paths)}
    return [f"{path} does not exist" for path in patterns if not any(root.glob(patterns[path]))]


def files_in(text: str) -> set[str]:
    """Return the words of ``text`` that are file names."""
    words = {word.strip("\"',;()") for word in text.split()}
    return {word for word in words if FILE.fullmatch(word)}


def command_faults(text: str, root: Path) -> list[str]:
    """Return the paths, make targets and modules that ``text`` uses and that do not exist."""
    faults = missing({match[0] for match in INSIDE.finditer(text)}, root)
    targets = re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), flags=re.M)
    lines = re.findall(r"^\s*make ((?:[a-z]+ ?)+)", text, flags=re.M)
    wanted = {word for line in lines for word in line.split()}
    faults += [f"make {name}: no such target" for name in sorted(wanted - set(targets))]
    for name in re.findall(r"-m ((?:mmlib|experiments)[\w.]*)", text):
        place = root / name.replace(".", "/")
        if not any(path.is_file() for path in (place.with_suffix(".py"), place / "__main__.py")):
            faults.append(f"python -m {name}: no such module")
    return faults


def name_faults(text: str, root: Path) -> list[str]:
    """Return the dotted names of mmlib in ``text`` that are neither a module nor defined in one."""
    faults = []
    for name in sorted(set(re.findall(r"(?<![\w/])mmlib(?:\.[a-z_]\w*)+", text))):
        *place, last = name.split(".")
        unit, module = root.joinpath(*place, last), root.joinpath(*place).with_suffix(".py")
        defined = rf"^(def|class) {last}\b|^{last} ="
        if not (
            unit.is_dir()
            or unit.with_suffix(".py").is_file()
            or (module.is_file() and re.search(defined, module.read_text("utf-8"), flags=re.M))
        ):
            faults.append(f"{name} does not exist")
    return faults


def page_faults(path: Path, root: Path) -> list[str]:
    """Return all that a page says and that is not so."""
    page = path.read_text(encoding="utf-8")
    dead = [f"link to {link}" for link in links(page) if not (root / link).exists()]
    # LICENSE-PROSE is plain text: the paths stand among its words
    text = code(page) if path.suffix == ".md" else page
    faults = dead + missing(files_in(text), root) + command_faults(text, root)
    return list(dict.fromkeys(faults + name_faults(text, root)))


def version_faults(root: Path, version: str) -> list[str]:
    """Return the places that do not know ``version``."""
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    faults = [
        f"CITATION.cff has no {key}"
        for key in ("cff-version", "message", "title", "authors", "repository-code")
        if not citation.get(key)
    ]
    if citation.get("version") != version:
        faults.append(f"CITATION.cff has version {citation.get('version')}, mmlib {version}")
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## {re.escape(version)}( |$)", changes, flags=re.M):
        faults.append(f"CHANGELOG.md has no heading for {version}")
    return faults


def workflow_faults(path: Path, root: Path) -> list[str]:
    """Return what is loose in a workflow: rights, time limits, versions, commands."""
    flow = yaml.safe_load(path.read_text(encoding="utf-8"))
    faults = [] if flow.get("permissions") == {"contents": "read"} else ["more than may be read"]
    for name, job in flow["jobs"].items():
        for used in [job, *job.get("steps", [])]:
            faults += [f"{name}: {fault}" for fault in use_faults(used.get("uses", ""), root)]
            found = command_faults(used.get("run", ""), root)
            faults += [f"{name}: {fault}" for fault in found]
        if "uses" not in job and "timeout-minutes" not in job:
            faults.append(f"{name}: no time limit")
    return faults


def use_faults(used: str, root: Path) -> list[str]:
    """Return what is wrong with an action or a workflow that is called."""
    if used.startswith("./"):
        return [] if (root / used).is_file() else [f"{used} does not exist"]
    return (
        [] if not used or re.fullmatch(r"actions/[\w-]+@v\d+", used) else [f"{used} is not pinned"]
    )


def hook_faults(root: Path) -> list[str]:
    """Return the hooks before a commit that call a tool that does not exist."""
    settings = yaml.safe_load((root / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in settings["repos"] for hook in repo["hooks"]]
    away = [hook["id"] for hook in hooks if not hook["entry"].startswith(".venv/bin/")]
    faults = [f"{name} is not from the locked environment" for name in away]
    return faults + [fault for hook in hooks for fault in command_faults(hook["entry"], root)]


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_is_so(name):
    assert not page_faults(ROOT / name, ROOT)


def test_one_version_everywhere():
    assert not version_faults(ROOT, mmlib.__version__)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_tight_and_calls_what_exists(path):
    assert not workflow_faults(path, ROOT)


def test_lines_end_alike_in_every_text_that_is_ours():
    listed = subprocess.run(["git", "ls-files", "--eol"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no clone: git does not say how lines end")
    lines = listed.stdout.splitlines()
    assert not [
        line for line in lines if re.match(r"i/(crlf|mixed)", line) and "vendor" not in line
    ]
    vendored = [line for line in lines if "book/_static/vendor/" in line]
    assert vendored
    assert all("attr/-text" in line for line in vendored)


def test_the_hooks_use_the_locked_environment():
    assert not hook_faults(ROOT)


@pytest.fixture
def house(tmp_path):
    """A small repository in which all is well."""
    files = {
        "Makefile": "book: x\n\techo\ntest:\n\techo\n",
        "README.md": "See [one](notebooks/vision_text/01_one.ipynb), `tools/one.py`, `make test`.\n"
        "\n    make book\n    .venv/bin/python -m mmlib.shapes `mmlib.shapes.check_shape`\n",
        "tools/one.py": "",
        "mmlib/shapes.py": "def check_shape(): ...\n",
        "notebooks/vision_text/01_one.ipynb": "",
        "CHANGELOG.md": "# Changelog\n\n## 1.0 (today)\n",
        "CITATION.cff": "cff-version: 1.2.0\nmessage: m\ntitle: t\nauthors: [name: a]\n"
        "repository-code: r\nversion: '1.0'\n",
        ".pre-commit-config.yaml": "repos:\n- repo: local\n  hooks:\n"
        "  - {id: one, entry: .venv/bin/python tools/one.py --check}\n",
        "flow.yml": "permissions:\n  contents: read\njobs:\n  one:\n    timeout-minutes: 5\n"
        "    steps:\n    - uses: actions/checkout@v4\n    - run: make test; python tools/one.py\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def all_faults(house: Path) -> list[str]:
    return (
        page_faults(house / "README.md", house)
        + version_faults(house, "1.0")
        + workflow_faults(house / "flow.yml", house)
        + hook_faults(house)
    )


def test_a_sound_repository_has_no_faults(house):
    assert all_faults(house) == []


@pytest.mark.parametrize(
    ("file", "before", "after", "fault"),
    [
        ("README.md", "tools/one.py", "tools/two.py", "tools/two.py does not exist"),
        ("README.md", "tools/one.py", "lost.yml", "lost.yml does not exist"),
        ("README.md", "tools/one.py", "tests/<part>/x.py", "tests/<part>/x.py does not exist"),
        ("README.md", "make test", "make toast", "make toast: no such target"),
        ("README.md", "make book", "make look", "make look: no such target"),
        ("README.md", "-m mmlib.shapes", "-m mmlib.lost", "python -m mmlib.lost: no such module"),
        ("README.md", "check_shape", "check_shade", "mmlib.shapes.check_shade does not exist"),
        ("README.md", "[one](", "[one](lost.md) [one](", "link to lost.md"),
        ("CITATION.cff", "1.0", "0.9", "CITATION.cff has version 0.9, mmlib 1.0"),
        ("CITATION.cff", "title: t", "", "CITATION.cff has no title"),
        ("CHANGELOG.md", "1.0", "1.0.1", "CHANGELOG.md has no heading for 1.0"),
        (".pre-commit-config.yaml", "one.py", "two.py", "tools/two.py does not exist"),
        (".pre-commit-config.yaml", ".venv/bin/", "", "one is not from the locked environment"),
        ("flow.yml", "contents: read", "contents: write", "more than may be read"),
        ("flow.yml", "timeout-minutes: 5", "needs: x", "one: no time limit"),
        ("flow.yml", "checkout@v4", "checkout@main", "actions/checkout@main is not pinned"),
        ("flow.yml", "make test", "make toast", "one: make toast: no such target"),
        ("flow.yml", "tools/one.py", "tools/two.py", "one: tools/two.py does not exist"),
        ("flow.yml", "actions/checkout@v4", "./lost.yml", "one: ./lost.yml does not exist"),
    ],
)
def test_a_planted_fault_is_found(house, file, before, after, fault):
    text = (house / file).read_text()
    assert before in text
    (house / file).write_text(text.replace(before, after))
    assert any(fault in found for found in all_faults(house))
