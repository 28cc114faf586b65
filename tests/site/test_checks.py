"""The check in the browser is itself checked: it finds the fault that is planted for it."""

import pytest

from tools import site_browser

WIDE, NARROW = site_browser.VIEWS
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"></head>
<body><main><h1>Page</h1><p>Text</p>{}</main></body></html>"""
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"

# name → (what is planted, in which view it shows, what the check says of it)
PLANTED = {
    "foreign": ('<script src="https://cdn.example.org/x.js"></script>', WIDE, "a third-party host"),
    "missing": ('<script src="missing.js"></script>', WIDE, "gets 404 for missing.js"),
    "warning": ('<script>console.warn("beware")</script>', WIDE, "console warning: beware"),
    "error": ('<script>throw new Error("broken")</script>', WIDE, "page error"),
    "wide": ('<div style="width: 800px">wide</div>', NARROW, "is 808 px wide on a screen of 390"),
    "unnamed": ("<button></button>", WIDE, "axe button-name"),
    "undescribed": (f'<img src="{PIXEL}">', WIDE, "axe image-alt"),
    "file name": (f'<img src="{PIXEL}" alt="a/0a1b.png">', WIDE, "described by a file name"),
    "pale": ('<p style="color: #bbb; background: #fff">pale</p>', WIDE, "axe color-contrast"),
    "dark": (
        "<style>@media (prefers-color-scheme: dark) {p {color: #333; background: #222}}</style>",
        NARROW,
        "axe color-contrast",
    ),
    "equation": (
        '<div class="math">\\(x\\)</div>',
        WIDE,
        "an equation that was not drawn: \\(x\\)",
    ),
    "widget": (
        '<script type="application/vnd.jupyter.widget-view+json">{}</script>',
        WIDE,
        "has 1 widgets, of which 0 were drawn",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_the_browser_check_finds(name, tmp_path, browser):
    planted, view, fault = PLANTED[name]
    (tmp_path / "page.html").write_text(PAGE.replace("{}", planted))
    with site_browser.serve(tmp_path) as address:
        assert fault in " ".join(site_browser.page_faults(browser, address, "page", view))


@pytest.mark.parametrize("view", site_browser.VIEWS)
def test_a_sound_page_has_no_fault(view, tmp_path, browser):
    sound = f'<p style="color: #333; background: #fff">Read me</p><img src="{PIXEL}" alt="A bell">'
    (tmp_path / "page.html").write_text(PAGE.replace("{}", sound))
    with site_browser.serve(tmp_path) as address:
        assert site_browser.page_faults(browser, address, "page", view) == []
