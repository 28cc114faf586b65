"""The checks of the book are themselves checked: each finds the fault that is planted for it."""

from pathlib import Path

import nbformat
import pytest

from tools import site_browser, site_static

pytestmark = pytest.mark.site

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"></head>
<body><main><h1>Page</h1><p id="here">Text</p>{}</main></body></html>"""
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
WIDGET = '<script type="application/vnd.jupyter.widget-view+json">{}</script>'

# Of five words that look alike the first, the third and the last are measured. name → five blocks,
# of which only the second is hard to read, for a reason that its look need not show.
STYLE = """<style>.five {color: #333} .five p {margin: 0} .dark {background: #444}
.pale {color: #bbb} .white {background: #fff; width: 60px; white-space: nowrap}</style>"""
WORD, DARK = "<p>word</p>", '<div class="dark" style="{}"></div>'
RELATIVE = '<div style="position: relative">{}</div>'
SPILL = """<div class="dark"><div class="white">
<i style="display: inline-block; width: {}px"></i><span>word</span></div></div>"""
BLOCK, HIGH = RELATIVE.format(WORD), "height: 60px"
ALIKE = {
    "coloured": (WORD, '<p class="pale">word</p>'),
    "ground": (f"<div>{WORD}</div>", f'<div class="dark">{WORD}</div>'),
    "under": (
        BLOCK,
        RELATIVE.format(DARK.format("position: absolute; inset: 0; z-index: -1") + WORD),
    ),
    "pulled": (WORD, DARK.format(HIGH) + '<p style="margin: -40px 0 40px">word</p>'),
    "moved": (WORD, DARK.format(HIGH) + '<p style="position: relative; top: -40px">word</p>'),
    "shifted": (WORD, DARK.format(HIGH) + '<p style="transform: translateY(-40px)">word</p>'),
    "spilled": (SPILL.format(0), SPILL.format(80)),
    "letter": ('<p class="pale">x</p>', '<p class="pale">word</p>'),
    "disabled": (
        '<p class="pale" aria-disabled="true">word</p>',
        '<p class="pale">word</p>',
    ),
}


def five(others: str, second: str) -> str:
    return f'{STYLE}<div class="five">{others}{second}{3 * others}</div>'


# name → (what is planted, what the browser check says of it)
PLANTED = {
    "foreign": ('<script src="https://cdn.example.org/x.js"></script>', "asks a foreign host"),
    "missing": ('<script src="missing.js"></script>', "gets 404 for missing.js"),
    "warning": ('<script>console.warn("beware")</script>', "console warning: beware"),
    "error": ('<script>throw new Error("broken")</script>', "page error"),
    "wide": ('<div style="width: 2000px">wide</div>', "is 2008 px wide on a screen of"),
    "unnamed": ("<button></button>", "axe button-name"),
    "pale": ('<p style="color: #bbb; background: #fff">pale</p>', "axe color-contrast"),
    "dark": (
        "<style>@media (prefers-color-scheme: dark) {p {color: #333; background: #222}}</style>",
        "(dark) axe color-contrast",
    ),
    **{name: (five(*blocks), "axe color-contrast") for name, blocks in ALIKE.items()},
    "code": (  # of words that look alike some are measured, anew for each scheme
        f"<pre>{5 * '<span>alike</span> '}<span>pale in the dark</span></pre>"
        "<style>@media (prefers-color-scheme: dark) {pre span:last-child {color: #ccc}}</style>",
        "(dark) axe color-contrast",
    ),
    "nested": (
        '<pre><span>a</span> <span style="background: #333"><span>on dark</span></span></pre>',
        "axe color-contrast",
    ),
    "equation": ('<div class="math">\\(x\\)</div>', "an equation that was not drawn: \\(x\\)"),
    "widget": (WIDGET, "has 1 widgets, of which 0 were drawn"),
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory, browser) -> list[str]:
    folder = tmp_path_factory.mktemp("planted")
    sound = {"sound": ("", ""), "alike": (five(WORD, WORD), "")}
    for name, (fault, _) in {**sound, **PLANTED}.items():
        (folder / f"{name}.html").write_text(PAGE.format(fault))
    return site_browser.browser_faults(folder)


@pytest.mark.parametrize("name", PLANTED)
def test_the_browser_check_finds(name, seen):
    mine = [fault for fault in seen if fault.startswith(f"{name}.html")]
    assert any(PLANTED[name][1] in fault for fault in mine), mine


def test_a_sound_page_has_no_fault(seen):
    assert not [fault for fault in seen if fault.startswith(("sound.html", "alike.html"))]


def test_without_a_browser_the_check_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="install the package chromium"):
        site_browser.browser_faults(tmp_path)


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ('<a href="nowhere.html">x</a>', "nowhere.html leads to no file"),
        ('<a href="other.html#lost">x</a>', "leads to no place in other.html"),
        ('<a href="#lost">x</a>', "leads to no place in page.html"),
        ('<link rel="stylesheet" href="style/lost.css">', "leads to no file"),
        ('<meta http-equiv="Refresh" content="0; url=lost.html">', "lost.html leads to no file"),
        ('<a href="other.html#here">x</a><a href="https://example.org/lost">x</a>', None),
    ],
)
def test_the_link_check_finds(tmp_path, link, fault):
    (tmp_path / "page.html").write_text(PAGE.format(link))
    (tmp_path / "other.html").write_text(PAGE.format(""))
    faults = site_static.link_faults(tmp_path)
    assert [fault in found for found in faults] == [True] if fault else not faults


@pytest.mark.parametrize(
    ("attributes", "fault"),
    [
        ("", "no alternative text"),
        ('alt=""', "no alternative text"),
        ('alt="../_images/0a1b2c.png"', "a file name"),
        ('alt="Figure"', "says nothing"),
        ('alt="" role="presentation"', None),
        ('alt="A bell that fades"', None),
    ],
)
def test_the_picture_check_finds(tmp_path, attributes, fault):
    (tmp_path / "page.html").write_text(PAGE.format(f'<img src="{PIXEL}" {attributes}>'))
    faults = site_static.image_faults(tmp_path)
    assert [fault in found for found in faults] == [True] if fault else not faults


def write_notebook(path: Path, data: dict, metadata: dict) -> Path:
    output = nbformat.v4.new_output("display_data", data=data)
    cell = nbformat.v4.new_code_cell("draw()", metadata=metadata, outputs=[output])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    return path


@pytest.mark.parametrize(
    ("data", "mystnb", "faults"),
    [
        ({"image/png": "aaaa"}, {}, ["no alternative text", "no caption"]),
        ({"image/png": "aaaa"}, {"image": {"alt": "A bell that fades"}}, ["no caption"]),
        (
            {"image/png": "aaaa"},
            {"image": {"alt": "plot.png"}, "figure": {"caption": "A bell."}},
            ["a file name"],
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
def test_the_figure_check_finds(tmp_path, data, mystnb, faults):
    path = write_notebook(tmp_path / "chapter.ipynb", data, {"mystnb": mystnb})
    found = site_static.figure_faults(path)
    assert len(found) == len(faults)
    assert all(fault in text for fault, text in zip(faults, found, strict=True))


def test_the_toc_check_finds_missing_and_unlisted_pages(tmp_path):
    for folder in ("book", "notebooks/labs", "notebooks/homework"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("book/intro.md", "notebooks/labs/lost.ipynb", "notebooks/homework/own.ipynb"):
        (tmp_path / file).touch()
    toc = "root: book/intro\nparts:\n- chapters:\n  - file: book/gone\n"
    (tmp_path / "_toc.yml").write_text(toc)
    faults = site_static.toc_faults(tmp_path)
    assert faults == [
        "_toc.yml lists book/gone, which does not exist",
        "notebooks/homework/own is not in _toc.yml",
        "notebooks/labs/lost is not in _toc.yml",
    ]


def test_the_card_check_finds_a_chapter_without_a_run_time(tmp_path):
    (tmp_path / "_toc.yml").write_text("root: notebooks/vision_audio/01_sound\n")
    page = tmp_path / "notebooks/vision_audio/01_sound.html"
    page.parent.mkdir(parents=True)
    page.write_text(PAGE.format('<aside class="chapter-card"></aside>'))
    assert "no chapter-card with a run time" in site_static.card_faults(tmp_path, tmp_path)[0]
    page.write_text(PAGE.format('<aside class="chapter-card"><dt>Running</dt></aside>'))
    assert not site_static.card_faults(tmp_path, tmp_path)
