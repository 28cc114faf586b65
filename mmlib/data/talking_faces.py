"""GRID: people who say sentences of six words into a camera.

M. Cooke, J. Barker, S. Cunningham, X. Shao, JASA 120(5), 2006. The address, licence and citation
stand in ``catalogue``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from mmlib.data.download import locate
from mmlib.files import DataError, list_files, read_lines

RATE = 25_000  # of an alignment's times: steps per second
_DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# the corpus's grammar: the letter of a file's name → the word; a letter of the alphabet is itself
_GRAMMAR = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},  # w is too long a word
    {"z": "zero"} | {str(number): _DIGITS[number] for number in range(1, 10)},
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)


@dataclass(frozen=True)
class GridClip:
    """One clip of GRID, three seconds of one face."""

    path: Path
    words: tuple[str, ...]  # the six that are said


def grid_words(code: str) -> tuple[str, ...]:
    """Return the six words that a name such as "bbaf2n" stands for: bin blue at f two now.

    Raises:
        ValueError: the grammar of GRID has no such name.
    """
    if len(code) != len(_GRAMMAR) or any(
        letter not in words for letter, words in zip(code, _GRAMMAR, strict=True)
    ):
        raise ValueError(f"{code!r} is no name of a GRID sentence, such as 'bbaf2n'")
    return tuple(words[letter] for letter, words in zip(code, _GRAMMAR, strict=True))


def grid_clips(folder: Path | None = None) -> list[GridClip]:
    """List the clips ``*.mpg`` of GRID that lie in ``folder``, by name.

    A name ends in the six letters of the sentence; what stands before them says who speaks.

    Args:
        folder: where the data set lies; ``None`` asks ``download.locate``.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: there are no clips, or one has a name that is none of GRID's.
    """
    folder = locate("grid") if folder is None else folder
    paths = list_files(folder, ".mpg", deep=True)
    if not paths:
        raise DataError(f"{folder} has no clips *.mpg: remove the folder and fetch it again")
    try:
        return [GridClip(path, grid_words(path.stem.split("_")[-1].lower())) for path in paths]
    except ValueError as error:
        raise DataError(f"{folder} has a clip that is not of GRID ({error}): remove it") from error


def read_alignment(path: Path) -> list[tuple[str, float, float]]:
    """Return the words of a GRID alignment in order, each with its begin and end in seconds.

    ``sil`` is silence; ``sp`` a short pause.

    Raises:
        DataError: the file is missing, or a line is not ``begin end word``.
    """
    words = []
    for number, line in enumerate(read_lines(path), start=1):
        match = re.fullmatch(r"(\d+) (\d+) (\w+)", line.strip())
        if match is None:
            raise DataError(f"{path}, line {number} is {line!r}, not: begin end word")
        words.append((match[3], int(match[1]) / RATE, int(match[2]) / RATE))
    return words
