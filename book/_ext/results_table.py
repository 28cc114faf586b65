"""Tables and pictures of measurements, from the files that ``python -m experiments`` writes.

    ```{results-table} scores/vqa
    :picture: all
    ```

reads ``experiments/results/scores/vqa.json``; ``:picture:`` names the column that is also drawn. A
missing or malformed file fails the build: no page can show a number that was not measured.
"""

import html
import json
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

LOGGER = logging.getLogger(__name__)
FOLDER = "experiments/results"
NEEDED = ("title", "command", "machine", "date", "commit", "columns", "rows")


def load_result(path: Path) -> dict:
    """Return the result in ``path``.

    Raises:
        ValueError: the file is missing or lacks something that the table needs.
    """
    name = f"{path.parent.name}/{path.name}"
    if not path.exists():
        command = f"python -m experiments {path.parent.name} {path.stem}"
        raise ValueError(f"{FOLDER}/{name} is missing: run `{command}` and commit it")
    result = json.loads(path.read_text(encoding="utf-8"))
    for key in NEEDED:
        if not result.get(key):
            raise ValueError(f"{name} has no {key}: measure it again")
    for row in result["rows"]:
        lacking = [c["key"] for c in result["columns"] if c["key"] not in row]
        if lacking:
            raise ValueError(f"{name}: the row {row} lacks {', '.join(lacking)}")
    return result


def cell_text(value: object, digits: int) -> str:
    """Return ``value`` as the table shows it: numbers grouped and rounded, texts as they are."""
    if isinstance(value, int | float):
        return f"{value:,.{digits}f}".replace(",", "\u202f")
    return "–" if value is None else str(value)


def build_table(result: dict) -> nodes.table:
    """Return the docutils table of one result; a column that holds a number is set flush right."""
    columns = result["columns"]
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in columns), cols=len(columns))
    head, body = nodes.row(), nodes.tbody()
    rows = [nodes.row() for _ in result["rows"]]
    for column in columns:
        values = [row[column["key"]] for row in result["rows"]]
        numeric = any(isinstance(value, int | float | list) for value in values)
        classes = ["number"] if numeric else []
        head += nodes.entry("", nodes.paragraph("", column["label"]), classes=classes)
        for row, value in zip(rows, values, strict=True):
            row += nodes.entry("", build_cell(value, column.get("digits", 0)), classes=classes)
    body += rows
    group += [nodes.thead("", head), body]
    return nodes.table("", nodes.title("", result["title"]), group, classes=["results"])


def build_cell(value: object, digits: int) -> nodes.paragraph:
    """Return what stands in a cell; half an interval stands small below its mean."""
    if not isinstance(value, list):
        return nodes.paragraph("", cell_text(value, digits))
    mean, reach = (cell_text(number, digits) for number in value)
    return nodes.paragraph("", mean, nodes.inline("", f" ± {reach}", classes=["spread"]))


def draw(result: dict, label: str) -> str:
    """Return a column as a picture in HTML: a line a system, a dot with its interval on it.

    Raises:
        ValueError: there is no such column.
    """
    names = [column["label"] for column in result["columns"]]
    if label not in names[1:]:
        raise ValueError(f"no column {label!r} to draw: choose from {', '.join(names[1:])}")
    name, key = (result["columns"][i]["key"] for i in (0, names.index(label)))
    digits = result["columns"][names.index(label)].get("digits", 0)
    values = [(row[name], row[key]) for row in result["rows"] if row[key] is not None]
    points = [(who, *(v if isinstance(v, list) else (v, 0))) for who, v in values]
    low = min([0.0, *(mean - reach for _, mean, reach in points if mean < 0)])
    high = max([1.0, *(mean + reach for _, mean, reach in points if mean > 1)])

    def percent(value: float) -> str:
        """Return the position of a value; what lies outside is cut off at the edge."""
        return f"{100 * (min(max(value, low), high) - low) / (high - low):.1f}%"

    def width(mean: float, reach: float) -> str:
        start, end = max(mean - reach, low), min(mean + reach, high)
        return percent(low + end - start)

    lines = "".join(
        f'<span class="who">{html.escape(who)}</span><span class="track">'
        f'<i style="left:{percent(mean - reach)};width:{width(mean, reach)}"></i>'
        f'<b style="left:{percent(mean)}"></b></span><span>{mean:.{min(digits, 2)}f}</span>'
        for who, mean, reach in points
    )
    bars = "; the bar is the 95 % interval" if any(reach for *_, reach in points) else ""
    words = "; ".join(f"{who} {mean:.{min(digits, 2)}f}" for who, mean, _ in points)
    return (
        f'<figure class="dots"><div role="img" aria-label="{html.escape(f"{label}: {words}")}">'
        f"{lines}</div><figcaption>The column “{html.escape(label)}”, from {low:.3g} on the left "
        f"to {high:.3g} on the right{bars}.</figcaption></figure>"
    )


class ResultsTable(SphinxDirective):
    """``results-table``: one result file as a table, with how it was measured."""

    required_arguments = 1
    option_spec: ClassVar = {"picture": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Render the table, or warn, which the build makes an error."""
        path = Path(self.env.srcdir, FOLDER, f"{self.arguments[0]}.json")
        self.env.note_dependency(str(path))
        try:
            result = load_result(path)
            picture = draw(result, self.options["picture"]) if self.options else ""
        except ValueError as error:
            LOGGER.warning(str(error), location=self.get_location())
            return []
        measured = nodes.paragraph("", "Measured with ", classes=["measured"])
        measured += nodes.literal("", result["command"])
        measured += nodes.Text(
            f" on {result['machine']}, {result['date']}, commit {result['commit']}. "
        )
        measured += nodes.Text(" ".join(result.get("notes", [])))
        return [nodes.raw("", picture, format="html"), build_table(result), measured]


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.add_directive("results-table", ResultsTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
