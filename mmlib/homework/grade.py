"""Grade a folder of submissions: ``python -m mmlib.homework.grade FOLDER --report report.json``.

Each ``.ipynb`` or ``.py`` in the folder is one submission. The report is written anew after each
of them, as JSON and, beside it, as Markdown, so that nothing is lost when something goes wrong.
"""

import argparse
import contextlib
import hashlib
import json
import os
import secrets
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mmlib.files import written_whole
from mmlib.homework import confinement
from mmlib.homework.exercise import chapter_names, draw
from mmlib.homework.sandbox import Call, Limits, judge, read_plain, run_submission, try_out

SUFFIXES = (".ipynb", ".py")
MAX_BYTES = 20_000_000
_SYSTEM_FILES = ("thumbs.db", "desktop.ini", "__macosx", "__pycache__")
_ESCAPES = {ord(character): f"\\{character}" for character in "\\`*_[]|<>&#~"}


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
    """What one submission earned; all texts are escaped."""

    name: str
    chapter: str
    marks: tuple[Mark, ...]
    notes: tuple[str, ...] = ()
    output: str = ""  # the beginning of what the student's code printed

    @property
    def points(self) -> int:
        return sum(mark.points for mark in self.marks)

    @property
    def possible(self) -> int:
        return sum(mark.possible for mark in self.marks)


@dataclass
class Report:
    """What a folder of submissions earned so far, and how to grade it once more alike."""

    protections: list[str]
    skipped: dict[str, str]  # name → reason
    submissions: list[Graded] = field(default_factory=list)
    state: str = "running"
    seed: int | None = None  # unknown to the file until all are graded: students' code may read it


def grade_bytes(
    name: str,
    source: bytes,
    chapter: str,
    *,
    seed: int,
    limits: Limits,
    notes: Sequence[str] = (),
    namespaces: bool = True,
) -> Graded:
    """Grade one submission.

    Args:
        name: its file's name, for the report; the ending says what it is.
        source: the file's bytes.
        chapter: whose homework it is.
        seed: of the hidden inputs.
        limits: what the student's code may use.
        notes: what the report should say of it besides.
        namespaces: whether to use Linux namespaces where the machine allows them.
    """
    exercises = draw(chapter, seed)
    calls = [
        Call(exercise.name, [exercise.arguments(case) for case in cases])
        for exercise, cases in exercises
    ]
    suffix = Path(name).suffix.lower()
    outcomes, output = run_submission(source, suffix, calls, limits=limits, namespaces=namespaces)
    messages = judge(chapter, seed, outcomes, limits=limits)
    marks = [
        Mark(e.name, e.title, 0 if message else e.points, e.points, escaped(message or ""))
        for (e, _), message in zip(exercises, messages, strict=True)
    ]
    lines = "\n".join(map(escaped, output.split("\n")))
    return Graded(escaped(name), chapter, tuple(marks), tuple(map(escaped, notes)), lines)


def find_submissions(
    folder: Path, chapter: str | None
) -> tuple[list[tuple[Path, str]], dict[str, str]]:
    """Return the submissions of ``folder`` with their chapters, and why the rest is none.

    Raises:
        ValueError: there is no submission.
    """
    found, skipped = [], {}
    for path in sorted(folder.iterdir()):
        whose = chapter or path.stem.lower()
        reason = _why_not(path)
        if not reason and whose not in chapter_names():
            reason = f"name the chapter: --chapter {' or --chapter '.join(chapter_names())}"
        if reason:
            skipped[escaped(path.name)] = reason
        else:
            found.append((path, whose))
    if not found:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in skipped.items())
        raise ValueError(f"{folder} holds no submission, no {' or '.join(SUFFIXES)}{reasons}")
    return found, skipped


def _why_not(path: Path) -> str:
    """Return why a path is no submission, an empty text if it is one."""
    if path.name.startswith((".", "~$")) or path.name.lower() in _SYSTEM_FILES:
        return "a hidden or system file"
    if path.is_symlink():
        return "a symbolic link, not followed"
    if path.is_dir():
        return "a folder, not looked into"
    if path.suffix.lower() not in SUFFIXES:
        return f"neither {' nor '.join(SUFFIXES)}"
    if not path.is_file():
        return "no plain file"
    if path.stat().st_size > MAX_BYTES:
        return f"too large: {path.stat().st_size} bytes, at most {MAX_BYTES} are read"
    return "" if os.access(path, os.R_OK) else "not readable"


def grade_folder(
    found: Sequence[tuple[Path, str]], *, seed: int, limits: Limits, namespaces: bool = True
) -> Iterator[Graded]:
    """Grade submissions one after the other, each with what else the folder has of it."""
    stems = Counter(path.stem.lower() for path, _ in found)
    seen: dict[bytes, str] = {}
    for path, chapter in found:
        source = read_plain(path, MAX_BYTES) or b""
        notes = []
        if stems[path.stem.lower()] > 1:
            notes.append(f"{path.stem} stands in {stems[path.stem.lower()]} files: each is graded")
        twin = seen.setdefault(hashlib.sha256(source).digest(), path.name)
        if twin != path.name:
            notes.append(f"the same file, byte for byte, as {twin}")
        yield grade_bytes(
            path.name, source, chapter, seed=seed, limits=limits, notes=notes, namespaces=namespaces
        )


def escaped(text: str) -> str:
    """Return a stranger's text with all characters that act, instead of being seen, spelt out.

    Line ends become spaces. Lone surrogates, of file names that are no UTF-8, are spelt out, too.
    """
    text = " ".join(text.splitlines()).expandtabs(4)
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def to_json(report: Report) -> str:
    """Return the report as JSON text."""
    content = asdict(report)
    for item, graded in zip(content["submissions"], report.submissions, strict=True):
        item |= {"points": graded.points, "possible": graded.possible}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def to_markdown(report: Report) -> str:
    """Return the report as Markdown: a table of scores, then what each submission has to fix."""
    lines = ["# Homework", "", "| submission | chapter | points | of |", "|---|---|--:|--:|"]
    for graded in report.submissions:
        row = (_cell(graded.name), graded.chapter, graded.points, graded.possible)
        lines.append("| {} | {} | {} | {} |".format(*row))
    for graded in report.submissions:
        lines += ["", f"## {_cell(graded.name)}", ""]
        lines += [*(f"- {_cell(note)}" for note in graded.notes), ""] if graded.notes else []
        lines += ["| exercise | points | of | what to fix |", "|---|--:|--:|---|"]
        for mark in graded.marks:
            message = _cell(mark.message) or "right"
            lines.append(f"| `{mark.function}` | {mark.points} | {mark.possible} | {message} |")
        if graded.output.strip():
            lines += ["", "It printed:", ""]
            lines += [f"    {line}" for line in graded.output.rstrip().split("\n")]
    if report.skipped:
        lines += ["", "## Not graded", ""]
        lines += [f"- {_cell(name)}: {reason}" for name, reason in report.skipped.items()]
    lines += ["", "## How this was graded", "", f"- state: {report.state}"]
    lines += [
        f"- seed of the hidden inputs: {'not yet written' if report.seed is None else report.seed}"
    ]
    lines += [f"- {sentence}" for sentence in report.protections]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Return escaped text so that Markdown shows it as it stands."""
    return text.translate(_ESCAPES)


def _write(report: Report, path: Path | None) -> None:
    for where, text in ((path, to_json), (path and path.with_suffix(".md"), to_markdown)):
        if where:
            with written_whole(where) as file:
                file.write_text(text(report), encoding="utf-8")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mmlib.homework.grade", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with one .ipynb or .py a student")
    parser.add_argument("--chapter", choices=chapter_names(), help="default: the file's own name")
    parser.add_argument("--report", type=Path, help="where to write the JSON; Markdown beside it")
    parser.add_argument("--seconds", type=float, default=Limits.seconds, help="for each exercise")
    parser.add_argument("--memory", type=float, default=Limits.memory / 2**30, help="in GiB")
    parser.add_argument(
        "--seed-stdin",
        action="store_true",
        help="read the seed of the hidden inputs, from an earlier report, from standard input; "
        "never from the command line, which students' code could read. Default: a fresh one",
    )
    parser.add_argument(
        "--require-full", action="store_true", help="exit 1 unless all have full marks"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 when the grading itself went well."""
    options = _parse(arguments)
    confinement.hide_memory()
    limits = Limits(seconds=options.seconds, memory=int(options.memory * 2**30))
    try:
        seed = int(sys.stdin.readline()) if options.seed_stdin else secrets.randbits(32)
        found, skipped = find_submissions(options.folder, options.chapter)
        report = Report(try_out(limits), skipped)
        _write(report, options.report)  # a wrong path is met before any work is done
    except (OSError, ValueError) as error:
        print(f"not graded: {escaped(str(error))}", file=sys.stderr)
        return 2
    try:
        for graded in grade_folder(found, seed=seed, limits=limits):
            report.submissions.append(graded)
            print(f"{graded.name}: {graded.points} of {graded.possible}", file=sys.stderr)
            with contextlib.suppress(OSError):  # the last attempt says what is wrong
                _write(report, options.report)
        report.state = "complete"
    except (OSError, KeyboardInterrupt) as error:
        why = escaped(str(error)) or "interrupted"
        report.state = f"incomplete, {len(report.submissions)} of {len(found)} graded: {why}"
    report.seed = seed
    print(to_markdown(report))
    try:
        _write(report, options.report)
    except OSError as error:
        print(f"the report stands above, it could not be written: {error}", file=sys.stderr)
        return 2
    for sentence in report.protections:
        if sentence.endswith("NO"):
            print(f"warning: on this machine {sentence}", file=sys.stderr)
    if report.state != "complete":
        print(report.state, file=sys.stderr)
        return 2
    full = all(graded.points == graded.possible for graded in report.submissions)
    return 1 if options.require_full and not full else 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may lack the signs of a text
    sys.exit(main())
