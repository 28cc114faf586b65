"""The picture of the whole course: four lines, one station a chapter, solid where it stands today.

``{course-map}`` draws ``book/map.yml`` twice, broad for a screen and tall for a phone; the style
sheet shows the one that fits and colours both, so the map follows light and dark like the text.
"""

import html
from pathlib import Path

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

MAP = "book/map.yml"
STEP = 40  # from station to station along a line
BRANCHES = {"vision_text": 40, "vision_audio": 300, "vision_3d": 560}  # part → x on the broad map


def standing_chapters(found_docs: set[str]) -> dict[str, str]:
    """Return the page of every chapter that stands, by ``part/module``."""
    standing = {}
    for page in sorted(found_docs):
        folder, _, name = page.removeprefix("notebooks/").rpartition("/")
        if page.startswith("notebooks/") and name.partition("_")[0].isdecimal():
            standing[f"{folder}/{name.partition('_')[2]}"] = page
    return standing


def read_map(env) -> tuple[dict, dict[str, str]]:
    """Return the parts and the standing chapters, and redraw when either changes."""
    path = Path(env.srcdir, MAP)
    env.note_dependency(str(path))
    env.note_dependency(str(Path(env.srcdir, "_toc.yml")))
    course = yaml.safe_load(path.read_text(encoding="utf-8"))
    parts = {name: entry for name, entry in course.items() if "chapters" in entry}
    return parts, standing_chapters(env.found_docs)


def describe(parts: dict, standing: dict[str, str]) -> str:
    """Return the map in words, for those who do not see it."""
    sentences = []
    for name, part in parts.items():
        chapters = [
            chapter["title"] + (", ready" if f"{name}/{key}" in standing else ", planned")
            for key, chapter in part["chapters"].items()
        ]
        sentences.append(f"{part['title']}: {'; '.join(chapters)}.")
    return "Map of the course. " + " ".join(sentences)


def draw_station(x: int, y: int, title: str, *, stands: bool, above: bool = False) -> str:
    """Return one chapter: a disc on the line, its title to the right of it or above."""
    state = "stands" if stands else "planned"
    dx, dy = (-8, -18) if above else (20, 5)
    return (
        f'<circle class="{state}" cx="{x}" cy="{y}" r="7"/>'
        f'<text class="{state}" x="{x + dx}" y="{y + dy}">{html.escape(title)}</text>'
    )


def draw_column(name: str, part: dict, standing: dict[str, str], *, x: int, y: int) -> str:
    """Return a part as a vertical line whose heading stands at height ``y``."""
    first = y + 36
    last = first + STEP * (len(part["chapters"]) - 1)
    stations = "".join(
        draw_station(x, first + STEP * i, chapter["title"], stands=f"{name}/{key}" in standing)
        for i, (key, chapter) in enumerate(part["chapters"].items())
    )
    return (
        f'<text class="part" x="{x + 20}" y="{y}">{html.escape(part["title"])}</text>'
        f'<path d="M{x} {y - 14}V{last}"/>{stations}'
    )


def draw_broad(parts: dict, standing: dict[str, str]) -> str:
    """Return the map for a screen: a trunk of foundations from which three branches hang."""
    trunk = parts["foundations"]
    stations = "".join(
        draw_station(
            90 + 170 * i,
            84,
            chapter["title"],
            stands=f"foundations/{key}" in standing,
            above=True,
        )
        for i, (key, chapter) in enumerate(trunk["chapters"].items())
    )
    groups = []
    for name, x in BRANCHES.items():
        column = draw_column(name, parts[name], standing, x=x, y=160)
        turn = f'<path d="M{x - 16} 84Q{x} 84 {x} 100V150"/>'
        groups.append(f'<g class="line {name}">{turn}{column}</g>')
    groups.append(
        f'<g class="line foundations"><text class="part" x="24" y="30">{trunk["title"]}</text>'
        f'<path d="M24 84H544"/>{stations}</g>'
    )
    return draw_picture("broad", 760, 160 + 36 + STEP * 7 + 24, groups)


def draw_tall(parts: dict, standing: dict[str, str]) -> str:
    """Return the map for a phone: one line after the other."""
    groups, y = [], 28
    for name, part in parts.items():
        column = draw_column(name, part, standing, x=18, y=y)
        groups.append(f'<g class="line {name}">{column}</g>')
        y += 36 + STEP * len(part["chapters"]) + 24
    return draw_picture("tall", 330, y - 30, groups)


def draw_picture(layout: str, width: int, height: int, groups: list[str]) -> str:
    """Return the SVG element around ``groups``."""
    return (
        f'<svg class="course-map {layout}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="course-map-{layout}"><title id="course-map-{layout}">ALT</title>'
        f"{''.join(groups)}</svg>"
    )


class CourseMap(SphinxDirective):
    """``course-map``: the figure with both drawings and a legend."""

    def run(self) -> list[nodes.Node]:
        """Draw from ``book/map.yml`` and the pages of the book."""
        parts, standing = read_map(self.env)
        drawings = draw_broad(parts, standing) + draw_tall(parts, standing)
        legend = (
            '<figcaption><span class="key stands"></span> stands today'
            '<span class="key planned"></span> planned</figcaption>'
        )
        alt = html.escape(describe(parts, standing))
        figure = f'<figure class="map">{drawings.replace("ALT", alt)}{legend}</figure>'
        return [nodes.raw("", figure, format="html")]


class PartChapters(SphinxDirective):
    """``part-chapters``: the chapters of one part; those that stand are links."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Render the list from ``book/map.yml``."""
        parts, standing = read_map(self.env)
        part = self.arguments[0]
        if part not in parts:
            raise self.error(f"part-chapters: no part {part!r} in {MAP}, only {', '.join(parts)}")
        listing = nodes.bullet_list(classes=["chapters"])
        for key, chapter in parts[part]["chapters"].items():
            page = standing.get(f"{part}/{key}")
            title = nodes.inline("", chapter["title"], classes=["title"])
            if page:
                title = nodes.inline("", "", self.link(page, chapter["title"]), classes=["title"])
            else:
                title += nodes.inline("", "planned", classes=["state"])
            text = nodes.paragraph("", "", title, nodes.Text(chapter["about"]))
            listing += nodes.list_item("", text)
        return [listing]

    def link(self, page: str, title: str) -> nodes.Node:
        """Return a link to ``page`` that the build checks."""
        target = addnodes.pending_xref(
            "",
            nodes.inline("", title),
            refdomain="std",
            reftype="doc",
            reftarget=f"/{page}",
            refexplicit=True,
            refwarn=True,
        )
        self.set_source_info(target)
        return target


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.add_directive("course-map", CourseMap)
    app.add_directive("part-chapters", PartChapters)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
