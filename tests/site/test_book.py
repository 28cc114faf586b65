"""The book as its readers meet it: every page, in a real browser, and every link in it."""

import json
import subprocess
import sys
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from urllib.parse import unquote

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


class Places(HTMLParser):
    """The links of a page and the places on it to which links can lead."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.places: set[str | None] = set()
        self.links: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list) -> None:
        given = dict(attrs)
        self.places.add(given.get("id"))
        if tag == "a":
            self.places.add(given.get("name"))
            self.links.append(given.get("href") or "")


def dead_links(folder: Path) -> list[str]:
    """Return what LinkChecker says of the links inside a site, and those to a lost place."""
    with site_browser.serve(folder) as address:
        command = [sys.executable, "-m", "linkcheck", "--no-status", address]
        done = subprocess.run(command, capture_output=True, text=True)
    sound = "0 warnings found. 0 errors found." in done.stdout
    return lost_places(folder) + [done.stdout + done.stderr] * (not sound)


def lost_places(folder: Path) -> list[str]:
    """Return the links to a place on a page where no such place is.

    LinkChecker's AnchorCheck reads a page anew for each link to it, which takes many minutes.
    """
    pages, faults = {path: Places(path) for path in folder.rglob("*.html")}, []
    for path, page in pages.items():
        for link in page.links:
            file, _, place = map(unquote, link.partition("#"))
            there = (path.parent / file).resolve() if file else path
            if place and there in pages and place not in pages[there].places:
                faults.append(f"{path.relative_to(folder)}: nothing is at {link}")
    return faults


def test_every_link_inside_the_book_leads_somewhere(book):
    assert dead_links(book.resolve()) == []


def test_a_dead_link_is_found(tmp_path):
    page = '<p id="here"><a href="index.html#{}">x</a> <a href="{}">y</a> <a href="#{}">z</a></p>'
    for place, file, own, sound in (
        ("here", "index.html", "here", True),
        ("lost", "index.html", "here", False),
        ("here", "lost.html", "here", False),
        ("here", "index.html", "lost", False),
    ):
        (tmp_path / "index.html").write_text(page.format(place, file, own))
        assert (dead_links(tmp_path.resolve()) == []) == sound


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
