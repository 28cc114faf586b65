"""The book as its readers meet it: every page, in a real browser, and every link in it."""

import json
from importlib import resources
from pathlib import Path

import pytest
import yaml

from tools import site_browser, site_static

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.site


def test_every_page_in_the_browser(book, browser):
    faults = site_browser.browser_faults(book)
    assert not faults, "\n".join(faults)


def test_every_link_inside_the_book_leads_somewhere(book):
    faults = site_static.link_faults(book)
    assert not faults, "\n".join(faults)


def test_every_picture_says_what_it_shows(book):
    faults = site_static.image_faults(book)
    assert not faults, "\n".join(faults)


def test_every_chapter_has_its_card(book):
    assert not site_static.card_faults(ROOT, book)


def test_the_address_reaches_the_colab_links(book):
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    slug = config["repository"]["url"].removeprefix("https://github.com/")
    assert site_static.carded(ROOT)
    for name in site_static.carded(ROOT):
        link = f"https://colab.research.google.com/github/{slug}/blob/main/{name}.ipynb"
        assert f'class="chapter-card-open" href="{link}"' in (book / f"{name}.html").read_text()


def test_toc_and_sources_agree():
    assert not site_static.toc_faults(ROOT)


@pytest.mark.parametrize(
    "path",
    [p for p in sorted((ROOT / "notebooks").rglob("*.ipynb")) if "homework" not in p.parts],
    ids=lambda path: path.stem,
)
def test_every_figure_has_alternative_text_and_caption(path):
    assert not site_static.figure_faults(path)


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
