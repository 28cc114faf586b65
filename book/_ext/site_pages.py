"""Every built page stands on its own: no request to a foreign host, no accessibility slip.

What Jupyter Book, matplotlib and the theme put into a page and no setting takes out is taken out or
mended here, as the page is written. ``tests/site`` looks at the result in a real browser.
"""

import html
import re
from collections.abc import Callable

from chapter import parents  # a module beside this one
from docutils import nodes
from sphinx.application import Sphinx

# (what the tools write, what stands in the page instead)
REPAIRS = [
    # matplotlib's to_jshtml asks a foreign host for icons that the theme already brings
    (re.compile(r"<link[^>]*font-awesome[^>]*>"), ""),
    (re.compile(r'<img id="(_anim_img\w+)"(?! alt)'), r'<img id="\1" alt="Frame of the animation"'),
    (
        re.compile(r'<input id="(_anim_slider\w+)"'),
        r'<input id="\1" aria-label="Frame of the animation"',
    ),
    # a fixed label hides the summary's own words from a screen reader
    (re.compile(r'<summary aria-label="Toggle hidden content">'), "<summary>"),
    # a list role whose children are not list items
    (re.compile(r'<div role="list" class="citation-list">'), '<div class="citation-list">'),
]
NAMELESS_SOUND = re.compile(r"<audio(?=[\s>])(?![^>]*aria-label)")
# Bibliography entries carry a role that wants a parent which the line above took away.
CITATION = re.compile(r'(<div class="citation"[^>]*?) role="doc-biblioentry"')


def mend(body: str) -> str:
    """Return the page's ``body`` with every entry of ``REPAIRS`` applied."""
    for pattern, replacement in REPAIRS:
        body = pattern.sub(replacement, body)
    return CITATION.sub(r"\1", body)


def without_thebe(files: list) -> list:
    """Return script or style ``files`` without thebe's, which Jupyter Book always adds, twice."""

    def mentions_thebe(file: object) -> bool:
        body = (getattr(file, "attributes", None) or {}).get("body") or ""
        return "thebe" in f"{getattr(file, 'filename', file)}{body}".lower()

    return [file for file in files if not mentions_thebe(file)]


def with_named_toggles(make_tree: Callable[..., object]) -> Callable[..., str]:
    """Return the theme's tree maker with words on its bare arrows."""

    def make_named(*args: object, **options: object) -> str:
        label = '<summary aria-label="Show or hide the chapters of this part">'
        return str(make_tree(*args, **options)).replace("<summary>", label)

    return make_named


def clean_page(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Mend one page just before it is written."""
    for key in ("script_files", "css_files"):
        context[key] = without_thebe(context.get(key, []))
    if context.get("body"):
        context["body"] = mend(context["body"])
    if "generate_toctree_html" in context:
        context["generate_toctree_html"] = with_named_toggles(context["generate_toctree_html"])


def name_sounds(app: Sphinx, doctree: nodes.document) -> None:
    """Give every sound player without a name its figure's caption as its name."""
    for player in list(doctree.findall(nodes.raw)):
        if not NAMELESS_SOUND.search(player.astext()):
            continue
        figure = next((node for node in parents(player) if isinstance(node, nodes.figure)), None)
        captions = list(figure.findall(nodes.caption)) if figure else []
        label = html.escape(captions[0].astext() if captions else "Sound", quote=True)
        text = NAMELESS_SOUND.sub(f'<audio aria-label="{label}"', player.astext())
        player.replace_self(nodes.raw("", text, format="html"))


def setup(app: Sphinx) -> dict:
    """Register with Sphinx, after everything that adds to a page."""
    app.connect("html-page-context", clean_page, priority=900)
    app.connect("doctree-read", name_sounds)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
