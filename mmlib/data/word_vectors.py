"""Words with a vector each: look one up, find its neighbours, solve analogies, save and load.

The file format is word2vec's text format, which gensim, fastText and spaCy read and write: a first
line with the number of words and the length of a vector, then one line a word.
"""

import codecs
import os
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from mmlib.data.vocabulary import Vocabulary
from mmlib.files import written_whole
from mmlib.shapes import check_finite, check_floating, check_shape, check_whole, unit_length


class WordVectors:
    """A table of vectors with a word for each row; treat it as read-only.

    Attributes:
        words: the words, row by row; in a trained table the most frequent come first.
        vectors: (words, dim), floating-point.

    Raises:
        TypeError: a word is not a string, or ``vectors`` is not a floating-point tensor.
        ValueError: the numbers of words and rows differ, a word stands twice, or a value is not
            finite.
    """

    def __init__(self, words: Iterable[str], vectors: Tensor) -> None:
        words = tuple(words)
        sizes = check_shape(vectors, "words dim", name="vectors")
        check_floating(vectors, name="vectors")
        check_finite(vectors, name="vectors")
        if len(words) != sizes["words"]:
            raise ValueError(
                f"there are {len(words)} words and {sizes['words']} vectors: each word needs one"
            )
        for row, word in enumerate(words):
            if not isinstance(word, str):
                raise TypeError(f"word {row} is {word!r}, a {type(word).__name__}, not a string")
        self.words, self.vectors = words, vectors
        self._vocabulary = Vocabulary(self.words, counts=(0,) * len(self.words))

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._vocabulary

    def __getitem__(self, word: str) -> Tensor:
        """Return the vector of ``word``: (dim,). An unknown word raises as in ``row``."""
        return self.vectors[self.row(word)]

    def row(self, word: str) -> int:
        """Return the row of ``word``.

        Raises:
            UnknownWordError: (a ``KeyError``) there is no such word; it names close ones.
        """
        return self._vocabulary.number(word)


def nearest(vectors: WordVectors, word: str, *, k: int = 10) -> list[tuple[str, float]]:
    """Return the ``k`` words whose vectors point most nearly the same way, with the cosine.

    Raises:
        UnknownWordError: ``word`` has no vector.
        ValueError: ``k`` is below 1 or above the number of other words.
    """
    return _closest(vectors, vectors[word], without=[word], k=k)


def analogy(vectors: WordVectors, a: str, b: str, c: str, *, k: int = 1) -> list[tuple[str, float]]:
    """Solve "``a`` is to ``b`` as ``c`` is to …": the words closest to b − a + c, with the cosine.

    Vectors are scaled to length one first, and the three given words are no answers, as in
    Mikolov et al. 2013 ("3CosAdd"). ``analogy(v, "man", "woman", "king")`` asks for "queen".

    Raises:
        UnknownWordError: one of the words has no vector.
        ValueError: ``k`` is below 1 or above the number of other words.
    """
    unit_a, unit_b, unit_c = unit_length(torch.stack([vectors[a], vectors[b], vectors[c]]))
    return _closest(vectors, unit_b - unit_a + unit_c, without=[a, b, c], k=k)


def _closest(
    vectors: WordVectors, target: Tensor, *, without: list[str], k: int
) -> list[tuple[str, float]]:
    rows = [vectors.row(word) for word in set(without)]
    if not 1 <= check_whole(k, name="k") <= len(vectors) - len(rows):
        raise ValueError(f"k is {k}, it must be from 1 to {len(vectors) - len(rows)}, the others")
    cosine = unit_length(vectors.vectors) @ unit_length(target)  # (words,)
    cosine[rows] = -torch.inf
    values, best = cosine.topk(k)
    return [(vectors.words[i], v) for i, v in zip(best.tolist(), values.tolist(), strict=True)]


def save_text(vectors: WordVectors, path: str | os.PathLike[str]) -> None:
    """Write ``vectors`` to ``path`` in word2vec text format; ``path`` is whole or untouched.

    Values keep nine digits, so 32-bit floats come back exactly.

    Raises:
        ValueError: a word is empty or holds white space, which the format cannot carry.
    """
    for word in vectors.words:
        if word.split() != [word]:
            raise ValueError(f"the text format cannot carry the word {word!r}: rename or drop it")
    with (
        written_whole(path) as part,
        open(part, "w", encoding="utf-8", newline="\n") as file,
    ):
        file.write(f"{len(vectors)} {vectors.vectors.shape[1]}\n")
        for word, row in zip(vectors.words, vectors.vectors.tolist(), strict=True):
            file.write(f"{word} {' '.join(f'{value:.9g}' for value in row)}\n")


def load_text(path: str | os.PathLike[str]) -> WordVectors:
    """Read vectors in word2vec text format, as ``save_text``, gensim or fastText write them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not in the format; the error names the line.
    """
    with open(path, "rb") as file:
        try:
            count, dim = _header(_decode(file.readline().removeprefix(codecs.BOM_UTF8), 1))
            words, values = _body(file, count=count, dim=dim)
        except ValueError as error:
            raise ValueError(f"{path}, {error}") from error
    return WordVectors(words, torch.from_numpy(values))


def _header(line: str) -> tuple[int, int]:
    parts = line.split()
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(
            f"line 1: {line[:60]!r} must be two whole numbers, how many words and values a word"
        )
    return int(parts[0]), int(parts[1])


def _decode(line: bytes, number: int) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"line {number} is not UTF-8 text: {error.reason}") from error


def _body(file: BinaryIO, *, count: int, dim: int) -> tuple[list[str], np.ndarray]:
    rows: dict[str, np.ndarray] = {}
    for number, line in enumerate(file, start=2):
        word, *parts = _decode(line, number).rstrip().split(" ")
        if len(rows) == count:
            raise ValueError(f"line {number}: line 1 promises {count} words, here is one more")
        if len(parts) != dim:
            raise ValueError(
                f"line {number}: {len(parts)} values after {word!r}, line 1 promises {dim}"
            )
        if word in rows:
            raise ValueError(f"line {number}: the word {word!r} stands there a second time")
        try:
            values = np.array(parts, dtype=np.float64)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
        if not (np.abs(values) <= np.finfo(np.float32).max).all():  # true of NaN as well
            raise ValueError(f"line {number}: a value of {word!r} is no finite 32-bit number")
        rows[word] = values.astype(np.float32)
    if len(rows) < count:
        raise ValueError(f"line {len(rows) + 1}: the file ends after {len(rows)} of {count} words")
    return list(rows), np.stack(list(rows.values()))
