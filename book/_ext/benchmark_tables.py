"""Tables of measurements, from the files that ``make bench`` and ``make scoreboard`` write.

    ```{benchmark-table} word2vec
    ```

    ```{scoreboard-table} vqa
    ```

read ``benchmarks/results/word2vec.json`` and ``scoreboard/results/vqa.json``; a missing or
malformed file fails the build: no page can show a number that was not measured. The file holds

    title, command, machine, date    texts; title becomes the caption
    columns                          [{"key", "label", "digits"?}, …]
    rows                             [{key: text or number, …}, …]
    notes                            optional list of sentences under the table
"""

import json
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

LOGGER = logging.getLogger(__name__)
SPREAD = " ± "
TEXTS = ("title", "command", "machine", "date")


def load_result(path: Path) -> dict:
    """Return the benchmark result in ``path``.

    Raises:
        ValueError: the file is missing or lacks something that the table needs.
    """
    place = "/".join(path.parts[-3:])
    command = "make scoreboard" if place.startswith("scoreboard") else "make bench"
    if not path.exists():
        raise ValueError(f"{place} is missing: run `{command}` and commit it")
    result = json.loads(path.read_text(encoding="utf-8"))
    for key in (*TEXTS, "columns", "rows"):
        if not result.get(key):
            raise ValueError(f"{place} has no {key}: run `{command}` again")
    for row in result["rows"]:
        lacking = [c["key"] for c in result["columns"] if c["key"] not in row]
        if lacking:
            raise ValueError(f"{place}: the row {row} lacks {', '.join(lacking)}")
    return result


def cell_text(value: object, digits: int | None) -> str:
    """Return ``value`` as the table shows it: numbers grouped and rounded, texts as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(value)
    return f"{value:,.{digits or 0}f}".replace(",", "\u202f")


def is_number(value: object) -> bool:
    """Whether a cell holds a number, or a mean with its interval: "0.72 ± 0.01"."""
    return isinstance(value, int | float) or SPREAD in str(value)


def build_table(result: dict) -> nodes.table:
    """Return the docutils table of one result; a column that holds a number is set flush right."""
    columns = result["columns"]
    keys = [column["key"] for column in columns]
    numeric = [any(is_number(row[key]) for row in result["rows"]) for key in keys]
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in columns), cols=len(columns))
    group += nodes.thead("", build_row([column["label"] for column in columns], numeric))
    body = nodes.tbody()
    for row in result["rows"]:
        texts = [cell_text(row[column["key"]], column.get("digits")) for column in columns]
        body += build_row(texts, numeric)
    group += body
    return nodes.table("", nodes.title("", result["title"]), group, classes=["benchmark"])


def build_row(texts: list[str], numeric: list[bool]) -> nodes.row:
    """Return one table row."""
    classes = [["number"] if flag else [] for flag in numeric]
    return nodes.row(
        "",
        *(
            nodes.entry("", build_cell(text), classes=kind)
            for text, kind in zip(texts, classes, strict=True)
        ),
    )


def build_cell(text: str) -> nodes.paragraph:
    """Return what stands in a cell; an interval stands small below its mean."""
    mean, between, spread = text.partition(SPREAD)
    cell = nodes.paragraph("", mean)
    if between:
        cell += nodes.inline("", SPREAD + spread, classes=["spread"])
    return cell


class BenchmarkTable(SphinxDirective):
    """``benchmark-table``: one result file as a table, with how it was measured."""

    required_arguments = 1
    folder = "benchmarks/results"

    def run(self) -> list[nodes.Node]:
        """Render the table, or warn, which the build makes an error."""
        path = Path(self.env.srcdir, self.folder, f"{self.arguments[0]}.json")
        self.env.note_dependency(str(path))
        try:
            result = load_result(path)
        except ValueError as error:
            LOGGER.warning(str(error), location=self.get_location())
            return []
        measured = nodes.paragraph("", "Measured with ", classes=["measured"])
        measured += nodes.literal("", result["command"])
        measured += nodes.Text(f" on {result['machine']}, {result['date']}. ")
        measured += nodes.Text(" ".join(result.get("notes", [])))
        return [build_table(result), measured]


class ScoreboardTable(BenchmarkTable):
    """``scoreboard-table``: the scores of one chapter's systems over several seeds."""

    folder = "scoreboard/results"


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.add_directive("benchmark-table", BenchmarkTable)
    app.add_directive("scoreboard-table", ScoreboardTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
