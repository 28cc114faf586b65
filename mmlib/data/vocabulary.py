"""Words to numbers and back."""

import difflib
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mmlib.files import read_text, written_whole
from mmlib.shapes import check_whole


def word_lists(sentences: Iterable[Iterable[str]]) -> list[Sequence[str]]:
    """Return ``sentences`` as a list of lists of words, so that an iterator can be read twice.

    Raises:
        TypeError: a sentence is one string or cannot be iterated, or a word is not a string.
    """
    lists = []
    for number, sentence in enumerate(sentences):
        if isinstance(sentence, str):
            raise TypeError(f"sentence {number}, {sentence!r}, is one string: split it into words")
        if not isinstance(sentence, Iterable):
            raise TypeError(f"sentence {number} is {sentence!r}, not a list of words: drop it")
        words = sentence if isinstance(sentence, list | tuple) else list(sentence)
        for word in words:
            if not isinstance(word, str):
                raise TypeError(f"sentence {number} has the word {word!r}, not a string: drop it")
        lists.append(words)
    return lists


class UnknownWordError(KeyError):
    """A word that the vocabulary lacks; the message names the words most like it."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show it in quotation marks


@dataclass(frozen=True)
class Vocabulary:
    """A fixed list of different words; a word's number is its place in the list."""

    words: tuple[str, ...]
    counts: tuple[int, ...]  # how often each word was seen
    unknown: str | None = None  # the word that stands for every other one, if there is one

    def __post_init__(self) -> None:
        if not self.words:
            raise ValueError("a vocabulary needs one word at least: is min_count too high?")
        if len(self.counts) != len(self.words):
            raise ValueError(f"there are {len(self.words)} words and {len(self.counts)} counts")
        for word in self.words:
            if not isinstance(word, str):
                raise TypeError(f"the word {word!r} is not a string")
        if len(self._number_of) != len(self.words):
            raise ValueError(
                f"the word {Counter(self.words).most_common(1)[0][0]!r} is there twice"
            )
        if self.unknown is not None and self.unknown not in self._number_of:
            raise ValueError(f"the unknown word {self.unknown!r} is not one of the words")

    @classmethod
    def from_sentences(
        cls,
        sentences: Iterable[Iterable[str]],
        *,
        min_count: int = 1,
        max_size: int | None = None,
        unknown: str | None = None,
    ) -> "Vocabulary":
        """Collect the words of ``sentences``, the most frequent first, equals in code point order.

        Args:
            sentences: lists of words.
            min_count: leave out words seen less often than this.
            max_size: keep at most this many words, ``unknown`` included.
            unknown: a word such as ``"<unk>"``, which gets number 0, stands for all that are left
                out and has their count. Without it, an unknown word is an error.

        Raises:
            TypeError: a sentence is one string and not a list of words, or a word is no string.
            ValueError: no word is left, or ``min_count`` or ``max_size`` is no whole number.
        """
        min_count = check_whole(min_count, name="min_count", least=0)
        max_size = None if max_size is None else check_whole(max_size, name="max_size")
        seen = Counter(chain.from_iterable(word_lists(sentences)))
        marked = seen.pop(unknown, 0)  # the text may use the unknown word itself
        ranked = sorted(seen.items(), key=lambda item: (-item[1], item[0]))
        room = None if max_size is None else max(0, max_size - (unknown is not None))
        kept = [(word, count) for word, count in ranked[:room] if count >= min_count]
        if unknown is not None:
            left_out = seen.total() - sum(count for _, count in kept)
            kept.insert(0, (unknown, left_out + marked))
        return cls(tuple(word for word, _ in kept), tuple(count for _, count in kept), unknown)

    @cached_property
    def _number_of(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._number_of

    def number(self, word: str) -> int:
        """Return the number of ``word``, or that of ``unknown`` where there is one.

        Raises:
            TypeError: ``word`` is not a string.
            UnknownWordError: the vocabulary has neither.
        """
        if not isinstance(word, str):
            raise TypeError(f"{word!r} is not a string: a vocabulary numbers words")
        found = self._number_of.get(word)
        if found is not None:
            return found
        if self.unknown is not None:
            return self._number_of[self.unknown]
        close = difflib.get_close_matches(word, self.words, n=3)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "nothing is like it"
        raise UnknownWordError(
            f"the word {word!r} is not among the {len(self)} words of the vocabulary: {hint}"
        )

    def encode(self, words: Sequence[str]) -> Tensor:
        """Return the numbers of ``words``, int64 (words,).

        Raises:
            TypeError: ``words`` is one string.
            UnknownWordError: a word is unknown and the vocabulary has no ``unknown``.
        """
        if isinstance(words, str):
            raise TypeError(f"{words!r} is one string: encode takes a list of words")
        return torch.tensor([self.number(word) for word in words], dtype=torch.int64)

    def encode_known(self, sentences: Iterable[Iterable[str]]) -> tuple[Tensor, Tensor]:
        """Return a whole corpus as one long row of numbers; unknown words are dropped.

        Returns:
            tokens: int64 (tokens,), the sentences one after the other.
            starts: int64 (sentences + 1,); sentence ``i`` is ``tokens[starts[i]:starts[i + 1]]``.
                A sentence of which nothing is left is empty.
        """
        sentences = word_lists(sentences)
        numbers = map(self._number_of.get, chain.from_iterable(sentences), repeat(-1))
        numbers = torch.from_numpy(np.fromiter(numbers, np.int64))  # (words,), -1 is unknown
        known = numbers >= 0
        ends = torch.tensor([0, *map(len, sentences)]).cumsum(0)  # (sentences + 1,) in words
        before = functional.pad(known.cumsum(0), (1, 0))  # (words + 1,) known ones so far
        return numbers[known], before[ends]

    def decode(self, numbers: Tensor | Sequence[int]) -> list[str]:
        """Return the words that have these numbers.

        Raises:
            ValueError: a number is not whole, below 0 or too large.
        """
        numbers = numbers.tolist() if isinstance(numbers, Tensor) else numbers
        numbers = [check_whole(number, name="a number", least=0) for number in numbers]
        for number in numbers:
            if number >= len(self):
                raise ValueError(
                    f"no word has the number {number}: they go from 0 to {len(self) - 1}"
                )
        return [self.words[number] for number in numbers]

    def save(self, path: str | os.PathLike) -> None:
        """Write the vocabulary to ``path`` as JSON text, whole or not at all."""
        record = {"unknown": self.unknown, "words": self.words, "counts": self.counts}
        with written_whole(path) as file:
            file.write_text(json.dumps(record, ensure_ascii=False, indent=0), encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Vocabulary":
        """Read what ``save`` wrote.

        Raises:
            ValueError: the file is damaged or no vocabulary.
        """
        try:
            record = json.loads(read_text(path))
            return cls(tuple(record["words"]), tuple(record["counts"]), record["unknown"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is damaged or no vocabulary ({error}): save it anew"
            ) from error
