"""The book as its readers meet it: every page, in a real browser, and every link in it."""

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
import yaml

from tools import contents, site_browser

ROOT = Path(__file__).resolve().parents[2]
PAGES = contents.pages(ROOT)
CARDED = [p for p in PAGES if p.startswith("notebooks/") and "homework" not in p]
CHAPTERS = [p for p in CARDED if "labs" not in p]
WIDE, NARROW = site_browser.VIEWS


@pytest.fixture(scope="module")
def address(book):
    with site_browser.serve(book) as base:
        yield base


@pytest.mark.parametrize(
    ("page", "view"),
    [(page, WIDE) for page in [*PAGES, "search", "genindex"]]
    + [(page, NARROW) for page in CHAPTERS],
)
def test_a_page_in_the_browser(page, view, address, browser):
    assert site_browser.page_faults(browser, address, page, view) == []


def dead_links(address: str, folder: Path) -> str:
    """Return what LinkChecker says of the links inside a site, those to a place on a page too."""
    settings = folder / "linkchecker.ini"
    settings.write_text("[AnchorCheck]\n")
    command = [sys.executable, "-m", "linkcheck", "--config", str(settings), "--no-status", address]
    done = subprocess.run(command, capture_output=True, text=True)
    return "" if "0 warnings found. 0 errors found." in done.stdout else done.stdout + done.stderr


def test_every_link_inside_the_book_leads_somewhere(address, tmp_path):
    assert dead_links(address, tmp_path) == ""


def test_a_dead_link_is_found(tmp_path):
    page = '<p id="here"><a href="index.html#{}">x</a> <a href="{}">y</a></p>'
    with site_browser.serve(tmp_path) as address:
        for place, file, sound in (
            ("here", "index.html", True),
            ("lost", "index.html", False),
            ("here", "lost.html", False),
        ):
            (tmp_path / "index.html").write_text(page.format(place, file))
            assert (dead_links(address, tmp_path) == "") == sound


def test_every_chapter_and_lab_has_its_card_and_its_way_to_colab(book):
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    slug = config["repository"]["url"].removeprefix("https://github.com/")
    for name in CARDED:
        page = (book / f"{name}.html").read_text()
        link = f"https://colab.research.google.com/github/{slug}/blob/main/{name}.ipynb"
        assert f'class="chapter-card-open" href="{link}"' in page, f"{name} has no chapter-card"


def unknown_keys(config: dict, known: dict, place: str = "") -> list[str]:
    """Return the keys of ``config`` that ``known`` lacks: Jupyter Book silently ignores them."""
    faults = []
    for key, value in config.items():
        if key not in known:
            faults.append(f"{place}{key}")
        elif isinstance(value, dict) and isinstance(known[key], dict):
            faults += unknown_keys(value, known[key], f"{place}{key}.")
    return faults


def test_config_has_no_unknown_key():
    package = resources.files("jupyter_book")
    known = yaml.safe_load(package.joinpath("default_config.yml").read_text())
    for key in json.loads(package.joinpath("config_schema.json").read_text())["properties"]:
        known.setdefault(key, None)
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert not unknown_keys(config, known)
    faulty = {**config, "autor": "", "html": {"favicom": ""}}
    assert unknown_keys(faulty, known) == ["html.favicom", "autor"]
