"""Emoji with their names: the pictures of Noto Emoji, the names and keywords of emojilib.

Pictures are ``png/72/emoji_u<code points>.png``, names and keywords ``emoji-en-US.json`` or, in a
copy that is cut down, ``names.csv``. The addresses, licences and citations stand in ``catalogue``.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

from mmlib.data.download import locate
from mmlib.files import DataError, read_lines, read_text

_VARIATION = "\ufe0f"  # asks for the coloured picture; file names leave it out


@dataclass(frozen=True)
class Emoji:
    """One emoji: a picture of 72 × 72 pixels, its name, and words that go with it."""

    character: str
    name: str  # such as "red apple"
    keywords: tuple[str, ...]
    path: Path


def noto_emoji(folder: Path | None = None) -> list[Emoji]:
    """Return the emoji that have both a name and a picture, in the order of the list of names.

    Args:
        folder: where the data set lies; ``None`` asks ``download.locate``.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: the list of names is missing or damaged, or no name has a picture.
    """
    folder = locate("noto-emoji") if folder is None else Path(folder)
    table = folder / "names.csv"
    named = _from_csv(table) if table.is_file() else _from_json(folder / "emoji-en-US.json")
    found = [
        Emoji(character, name.replace("_", " ").strip(), keywords, folder / _file_of(character))
        for character, name, keywords in named
    ]
    present = [one for one in found if one.path.is_file()]
    if not present:
        raise DataError(f"{folder} has no picture of its {len(found)} names: fetch it again")
    return present


def _file_of(character: str) -> Path:
    """Return the place of an emoji's picture: the code points in hexadecimal, four digits each."""
    codes = "_".join(f"{ord(point):04x}" for point in character.replace(_VARIATION, ""))
    return Path("png") / "72" / f"emoji_u{codes}.png"


def _from_csv(path: Path) -> list[tuple[str, str, tuple[str, ...]]]:
    try:
        rows = list(csv.DictReader(read_lines(path)))
        return [(r["emoji"], r["name"], tuple(r["keywords"].split("|"))) for r in rows]
    except (KeyError, AttributeError) as error:
        raise DataError(f"{path} lacks a column ({error}): fetch it again") from error


def _from_json(path: Path) -> list[tuple[str, str, tuple[str, ...]]]:
    try:
        words = json.loads(read_text(path)).items()
        return [(character, first, tuple(more)) for character, (first, *more) in words]
    except (AttributeError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is damaged ({error}): fetch it again") from error
