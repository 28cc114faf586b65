"""One address, carried everywhere: tools/address.py."""

from pathlib import Path

import pytest

from tools import address

ROOT = Path(__file__).resolve().parent.parent
FACTS = {"name": "new/book", "branch": "main", "previous": "old/course"}


def test_the_repository_agrees_with_its_config():
    assert not address.carry(ROOT, check=True), "run: python tools/address.py"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '"mmlib @ git+https://github.com/x/y@v0.1.0"',
            '"mmlib @ git+https://github.com/new/book@main"',
        ),
        ("git clone https://github.com/old/course", "git clone https://github.com/new/book"),
        ("see https://github.com/old/course/issues", "see https://github.com/new/book/issues"),
        ("https://github.com/karolpiczak/ESC-50", "https://github.com/karolpiczak/ESC-50"),
        ("https://github.com/old/course-notes", "https://github.com/old/course-notes"),
    ],
)
def test_rewrite(before, after):
    assert address.rewrite(before, **FACTS) == after
    assert address.rewrite(after, **FACTS) == after


def write_house(root: Path, url: str) -> None:
    (root / "_config.yml").write_text(f"repository:\n  url: {url}\n  branch: main\n")
    (root / "pyproject.toml").write_text(
        '[project]\nversion = "1.0"\n[project.urls]\nHomepage = "https://github.com/old/course"\n'
    )
    (root / "README.md").write_text("git clone https://github.com/old/course\n")


def test_check_finds_and_carry_mends(tmp_path):
    write_house(tmp_path, "https://github.com/new/book")
    names = ["README.md", "pyproject.toml"]
    assert [path.name for path in address.carry(tmp_path, check=True)] == names
    assert "old/course" in (tmp_path / "README.md").read_text()
    assert [path.name for path in address.carry(tmp_path, check=False)] == names
    assert "new/book" in (tmp_path / "README.md").read_text()
    assert not address.carry(tmp_path, check=True)


def test_an_address_elsewhere_is_refused(tmp_path):
    write_house(tmp_path, "https://gitlab.com/new/book")
    with pytest.raises(ValueError, match=r"must be https://github\.com/OWNER/NAME"):
        address.carry(tmp_path, check=True)
