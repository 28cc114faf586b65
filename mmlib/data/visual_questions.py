"""Questions about pictures: as numbers for a model; easy-VQA and NLVR in their official layouts.

easy-VQA: V. Zhou, 2019. NLVR: A. Suhr, M. Lewis, J. Yeh, Y. Artzi, ACL 2017. The addresses,
licences and citations stand in ``catalogue``.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mmlib.data.download import locate
from mmlib.data.photographs import check_split
from mmlib.data.vocabulary import Vocabulary
from mmlib.files import DataError, check_present, check_text, read_lines, read_text

PAD = "<pad>"  # number 0: there is no word here


@dataclass(frozen=True)
class PictureQuestion:
    """A question about one picture, and its answer."""

    question: str
    answer: str
    picture: Path


@dataclass(frozen=True)
class PictureStatement:
    """A sentence that is true or false of each of these pictures."""

    sentence: str
    true: bool
    pictures: tuple[Path, ...]  # the same three boxes in different orders
    identifier: str  # those with the same part before "-" were written together


def easy_vqa(split: str, folder: Path | None = None) -> list[PictureQuestion]:
    """Return the questions of easy-VQA's ``"train"`` or ``"test"`` part, in the file's order.

    Args:
        split: "train" or "test"; no picture is in both.
        folder: where the data set lies; ``None`` asks ``download.locate``.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: the questions are damaged, or a picture is missing.
        ValueError: ``split`` is neither.
    """
    check_split(split, ("train", "test"))
    folder = locate("easy-VQA") if folder is None else folder
    part = folder / "easy_vqa" / "data" / split
    table, images = part / "questions.json", part / "images"
    try:
        found = [
            PictureQuestion(check_text(asked), check_text(answer), images / f"{int(number)}.png")
            for asked, answer, number in json.loads(read_text(table))
        ]
    except DataError:
        raise
    except (ValueError, TypeError) as error:
        raise DataError(f"{table} is damaged ({error}): fetch it again") from error
    check_present([one.picture for one in found], folder)
    return found


def easy_vqa_answers(folder: Path | None = None) -> tuple[str, ...]:
    """Return the answers that easy-VQA knows, in the order of its list.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: the list is missing.
    """
    folder = locate("easy-VQA") if folder is None else folder
    path = folder / "easy_vqa" / "data" / "answers.txt"
    return tuple(answer.strip() for answer in read_lines(path) if answer.strip())


def nlvr(split: str, folder: Path | None = None) -> list[PictureStatement]:
    """Return the statements of one part of NLVR, each with those of its six pictures that are here.

    Reads ``nlvr/<split>/<split>.json`` and ``nlvr/<split>/images/<directory>/*.png``.

    Args:
        split: "train", "dev", "test" or "hidden".
        folder: where the data set lies; ``None`` asks ``download.locate``.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: the table is missing or damaged, or a statement has no picture.
        ValueError: ``split`` is none of these.
    """
    check_split(split, ("train", "dev", "test", "hidden"))
    folder = locate("nlvr") if folder is None else folder
    table = folder / "nlvr" / split / f"{split}.json"
    found = []
    for number, line in enumerate(read_lines(table), start=1):
        try:
            found.append(_statement(json.loads(line), table.parent / "images", split))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{table}, line {number} is damaged ({error!r})") from error
    for one in found:
        if not one.pictures:
            raise DataError(f"{folder} has no picture of {one.identifier}: fetch it again")
    return found


def _statement(record: dict, images: Path, split: str) -> PictureStatement:
    identifier, label = record["identifier"], record["label"]
    if label not in ("true", "false"):
        raise ValueError(f"the label is {label!r}, neither true nor false")
    files = (images / record["directory"] / f"{split}-{identifier}-{k}.png" for k in range(6))
    pictures = tuple(file for file in files if file.is_file())
    return PictureStatement(check_text(record["sentence"]), label == "true", pictures, identifier)


def tokens_of(text: str) -> list[str]:
    """Return the words of a question as a person types it: ``"Is it Day?"`` → is, it, day."""
    return re.findall(r"[a-z0-9']+", text.lower())


def question_vocabulary(texts: Iterable[str]) -> Vocabulary:
    """Return ``PAD`` and all words of these questions in alphabetical order."""
    words = sorted({word for text in texts for word in tokens_of(text)})
    return Vocabulary((PAD, *words), (0,) * (1 + len(words)))


def encode_questions(texts: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Tensor:
    """Return int64 (scenes, questions, words): the numbers of the words, then zeros.

    Args:
        texts: for each scene equally many questions.

    Raises:
        UnknownWordError: a word is not in the vocabulary; the message suggests others.
        ValueError: the scenes have different numbers of questions, or a question has no word.
    """
    counts = {len(asked) for asked in texts}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"the scenes have {sorted(counts)} questions: give each equally many")
    rows = [vocabulary.encode(tokens_of(text)) for asked in texts for text in asked]
    if not all(map(len, rows)):
        raise ValueError("a question has no word: ask in words")
    return pad_sequence(rows, batch_first=True).unflatten(0, (len(texts), -1))
