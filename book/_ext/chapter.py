"""The card at the head of every chapter: what you need, reading time, run time, Colab.

    ```{chapter-card}
    :needs: Python and NumPy; what a sine wave is
    ```

The reading time is counted from the page, the run time comes from ``book/run_times.json``
(seconds, written by ``make notebooks``), the Colab address from ``repository.url`` in
``_config.yml``: none is typed.
"""

import html
import json
import math
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

LOGGER = logging.getLogger(__name__)
RUN_TIMES = "book/run_times.json"
WORDS_PER_MINUTE = 180  # careful reading of a technical text
CODE_LINES_PER_MINUTE = 20  # a line of code is read about three seconds


class chapter_card(nodes.General, nodes.Element):
    """Stands for the card until the whole page has been read."""


class ChapterCard(SphinxDirective):
    """``chapter-card``: the box of facts under a chapter's title."""

    option_spec: ClassVar = {"needs": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Leave a placeholder that knows what the chapter needs."""
        if "needs" not in self.options:
            raise self.error("chapter-card has no :needs: line: say what a reader must know first")
        self.env.note_dependency(str(Path(self.env.srcdir, RUN_TIMES)))
        card = chapter_card(needs=self.options["needs"], docname=self.env.docname)
        self.set_source_info(card)
        return [card]


def reading_minutes(document: nodes.document) -> int:
    """Return the minutes that reading the prose and the code of ``document`` takes."""
    words = lines = 0
    for text in document.findall(nodes.Text):
        ancestors = list(parents(text))
        if any("cell_output" in node.get("classes", []) for node in ancestors):
            continue
        if any(isinstance(node, nodes.literal_block) for node in ancestors):
            lines += sum(1 for line in text.astext().splitlines() if line.strip())
        else:
            words += len(text.astext().split())
    return max(1, math.ceil(words / WORDS_PER_MINUTE + lines / CODE_LINES_PER_MINUTE))


def parents(node: nodes.Node):
    """Yield the elements around ``node``, innermost first."""
    while node.parent is not None:
        node = node.parent
        yield node


def spoken_time(seconds: float) -> str:
    """Return ``seconds`` rounded as one would say it: ``"30 seconds"``, ``"2 minutes"``."""
    if seconds < 95:
        tens = max(10, 10 * math.ceil(seconds / 10))
        return f"{tens} seconds"
    return f"{math.ceil(seconds / 60)} minutes"


def read_run_time(source: Path, page: str) -> str:
    """Return how long ``page`` ran, from the file of run times: seconds by notebook.

    Raises:
        ValueError: the file is missing or does not know the page.
    """
    times = json.loads(source.read_text(encoding="utf-8")) if source.exists() else {}
    if page not in times:
        raise ValueError(
            f"{RUN_TIMES} does not know {page}: execute it with `make notebooks` or `make labs`"
        )
    return f"about {spoken_time(times[page])} on a CPU"


def colab_address(options: dict, page: str) -> str:
    """Return where Colab opens ``page``, from the theme's repository options."""
    repository = options["repository_url"].removeprefix("https://github.com/").strip("/")
    return (
        f"{options['launch_buttons']['colab_url']}/github/{repository}/blob/"
        f"{options['repository_branch']}/{page}"
    )


class FillCards(SphinxPostTransform):
    """Turn the placeholder into the card, now that the page can be counted."""

    default_priority = 5
    formats = ("html",)

    def run(self, **kwargs) -> None:
        """Fill every card of this page."""
        for card in list(self.document.findall(chapter_card)):
            card.replace_self(nodes.raw("", self.card_html(card), format="html"))

    def card_html(self, card: chapter_card) -> str:
        """Return the card as HTML."""
        env = self.env
        page = Path(env.doc2path(card["docname"])).relative_to(env.srcdir).as_posix()
        facts = [
            ("What you need", html.escape(card["needs"])),
            ("Reading", f"about {reading_minutes(self.document)} minutes"),
        ]
        try:
            facts.append(("Running", read_run_time(Path(env.srcdir, RUN_TIMES), page)))
        except ValueError as error:
            LOGGER.warning(str(error), location=card)
        rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
        address = html.escape(colab_address(self.app.config.html_theme_options, page))
        return (
            f'<aside class="chapter-card" aria-label="About this chapter"><dl>{rows}</dl>'
            f'<a class="chapter-card-open" href="{address}">Open in Colab</a></aside>'
        )


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.add_node(chapter_card)
    app.add_directive("chapter-card", ChapterCard)
    app.add_post_transform(FillCards)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
