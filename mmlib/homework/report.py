"""A folder's marks as JSON for machines and as a Markdown table for people."""

import json
from dataclasses import asdict, dataclass

_ESCAPES = {ord(character): f"\\{character}" for character in "\\`*[]|<>&"}


@dataclass(frozen=True)
class Mark:
    """What one exercise earned."""

    function: str
    title: str
    points: int
    possible: int
    message: str  # empty when right


@dataclass(frozen=True)
class Graded:
    """What one submission earned."""

    name: str
    chapter: str
    marks: tuple[Mark, ...]
    note: str = ""  # why nothing could be graded
    output: str = ""  # the beginning of what the student's code printed

    @property
    def points(self) -> int:
        return sum(mark.points for mark in self.marks)

    @property
    def possible(self) -> int:
        return sum(mark.possible for mark in self.marks)


@dataclass(frozen=True)
class Report:
    """What a folder of submissions earned, and how to grade it once more alike."""

    seed: int
    contained: tuple[str, ...]
    submissions: tuple[Graded, ...]


def to_json(report: Report) -> str:
    """Return the report as JSON text."""
    content = asdict(report)
    for item, graded in zip(content["submissions"], report.submissions, strict=True):
        item |= {"points": graded.points, "possible": graded.possible}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def to_markdown(report: Report) -> str:
    """Return the report as Markdown: one table of scores, then what each submission has to mend."""
    lines = ["# Homework", "", "| submission | chapter | points | of |", "|---|---|--:|--:|"]
    for graded in report.submissions:
        name, chapter = _inline(graded.name), _inline(graded.chapter)
        lines.append(f"| {name} | {chapter} | {graded.points} | {graded.possible} |")
    for graded in report.submissions:
        lines += ["", f"## {_inline(graded.name)}", ""]
        lines += [_inline(graded.note)] if graded.note else _exercise_table(graded)
    lines += ["", "## How this was graded", "", f"- seed of the hidden inputs: {report.seed}"]
    lines += [f"- {sentence}" for sentence in report.contained]
    return "\n".join(lines) + "\n"


def _exercise_table(graded: Graded) -> list[str]:
    lines = ["| exercise | points | of | what to mend |", "|---|--:|--:|---|"]
    for mark in graded.marks:
        message = _inline(mark.message) or "right"
        lines.append(f"| `{mark.function}` | {mark.points} | {mark.possible} | {message} |")
    return lines


def _inline(text: str) -> str:
    """Return a stranger's text so that it stays within its line and cell, and makes no links."""
    return " ".join(text.split()).translate(_ESCAPES)
