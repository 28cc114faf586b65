"""Real English as lists of words, and the questions that word vectors are examined with.

One simple rule makes the words, the rule of the text8 corpus: lower case, accents dropped, and
only the letters a to z count, so that ``don't`` becomes ``don t``. Digits go. A sentence ends at
``.``, ``!`` or ``?`` before white space, and at a blank line.
"""

import bz2
import math
import re
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmlib.data.download import DataSetError, locate
from mmlib.files import DataError, list_files, read_lines, read_text

Sentences = list[list[str]]

_JUDGEMENT = ("simlex999", "human (mean)")  # the headings of how alike people found two words

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n\s*\n")


def tokenise(text: str) -> list[str]:
    """Return the words of ``text``: lower case, accents dropped, runs of the letters a to z.

    The marker ``<unk>`` of WikiText is no word and is dropped.
    """
    plain = unicodedata.normalize("NFKD", text.replace("<unk>", " ").lower())
    plain = re.sub("[\u0300-\u036f]", "", plain)
    return [sys.intern(word) for word in re.findall("[a-z]+", plain)]


def split_sentences(text: str) -> Sentences:
    """Return the sentences of ``text``, each a list of words; those without a word are dropped."""
    return [words for part in _SENTENCE_END.split(text) if (words := tokenise(part))]


def wikipedia(folder: Path | None = None) -> Sentences:
    """Return 106 articles of the English Wikipedia, Anarchism to Algorithm.

    Reads ``articles.txt``; where there is only the dump excerpt as it was downloaded, gensim
    takes the markup out of it, and lines of less than twenty words (lists, headings) go.

    Raises:
        DataSetError: the data set is neither here nor to be had, or gensim is not installed.
        DataError: a file is missing or damaged.
    """
    folder = locate("wikipedia") if folder is None else folder
    ready = folder / "articles.txt"
    if ready.exists():
        return split_sentences(read_text(ready))
    try:
        from gensim.corpora import wikicorpus
    except ImportError as error:
        raise DataSetError(
            "wikipedia: gensim takes the markup out of the articles: pip install gensim"
        ) from error
    sentences, file = [], folder / "enwiki-shortened.xml.bz2"
    try:
        with bz2.open(file) as dump:
            for _, text, _ in wikicorpus.extract_pages(dump, filter_namespaces=("0",)):
                lines = wikicorpus.filter_wiki(text).split("\n")
                sentences += split_sentences("\n".join(x for x in lines if len(x.split()) >= 20))
    except (OSError, EOFError, SyntaxError) as error:  # a SyntaxError is that of the XML
        raise DataError(f"{file} is missing or damaged ({error}): fetch it again") from error
    return sentences


def wikitext2(folder: Path | None = None) -> Sentences:
    """Return WikiText-2: those of its parts train, valid and test that are there."""
    folder = locate("wikitext-2") if folder is None else folder
    parts = [folder / f"{part}.txt" for part in ("train", "valid", "test")]
    return _read(folder, [part for part in parts if part.exists()], split_sentences)


def speeches(folder: Path | None = None) -> Sentences:
    """Return the inaugural and State of the Union addresses of the presidents of the US."""
    folder = locate("us-presidential-speeches") if folder is None else folder
    parts = (folder / "inaugural", folder / "state_union")
    files = [file for part in parts for file in list_files(part, ".txt")]
    return _read(folder, files, split_sentences)


def captions(folder: Path | None = None) -> Sentences:
    """Return the English captions of Multi30K, training and validation, one sentence a line."""
    folder = locate("multi30k-captions") if folder is None else folder
    files = list_files(folder / "data/task2/raw", ".en.gz")
    held_in = [path for path in files if path.name.casefold().startswith(("train", "val"))]
    return _read(folder, held_in, lambda text: split_sentences(text.replace("\n", "\n\n")))


CORPORA: dict[str, Callable[[Path | None], Sentences]] = {
    "wikipedia": wikipedia,
    "wikitext-2": wikitext2,
    "us-presidential-speeches": speeches,
    "multi30k-captions": captions,
}


def english_corpus() -> Sentences:
    """Return the four real corpora, one after the other.

    Raises:
        DataSetError: one of them is neither here nor to be had.
    """
    return [sentence for read in CORPORA.values() for sentence in read(None)]


def _read(folder: Path, paths: list[Path], split: Callable[[str], Sentences]) -> Sentences:
    if not paths:
        raise DataError(f"{folder} holds none of the corpus's files: remove it, fetch it again")
    return [sentence for path in paths for sentence in split(read_text(path, otherwise="latin-1"))]


@dataclass(frozen=True)
class WordPair:
    """Two words and how alike people found them, 0 to 10."""

    first: str
    second: str
    similarity: float


def word_pairs(name: str, folder: Path | None = None) -> list[WordPair]:
    """Return the word pairs of ``"wordsim353"`` (relatedness) or ``"simlex999"`` (similarity).

    Words are in lower case, as in the corpora. The columns stand between tabs or commas, the words
    in the first two; a line of headings may say which holds the judgement (``SimLex999`` or
    ``Human (mean)``), else it is the third.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: the file is missing, or a line is not two words and a number.
        ValueError: ``name`` is neither.
    """
    files = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}
    if name not in files:
        raise ValueError(f"no word pairs are called {name!r}; there are {' and '.join(files)}")
    folder = locate("word-similarity-eval") if folder is None else folder
    path, pairs, column = folder / files[name], [], 2
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.lower().split("\t" if "\t" in line else ",")]
        if not pairs and cells[0] in ("word1", "word 1"):
            column = next((i for i, cell in enumerate(cells) if cell in _JUDGEMENT), column)
            continue
        try:
            first, second, similarity = cells[0], cells[1], float(cells[column])
        except (IndexError, ValueError):
            first, second, similarity = "", "", math.nan
        if not (first and second and math.isfinite(similarity)):
            raise DataError(f"{path}, line {number} is {line!r}; it needs two words and a number")
        pairs.append(WordPair(first, second, similarity))
    return pairs


def analogy_questions(folder: Path | None = None) -> dict[str, list[tuple[str, str, str, str]]]:
    """Return the analogies of Mikolov et al. 2013 by group: (a, b, c, d), a is to b as c is to d.

    Words are in lower case, as in the corpora.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: the file is missing, a line is not four words, or one stands before any group.
    """
    folder = locate("word-similarity-eval") if folder is None else folder
    path, groups, questions = folder / "questions-words.txt", {}, None
    for number, line in enumerate(read_lines(path), start=1):
        words = tuple(line.lower().split())
        if line.startswith(":"):
            questions = groups.setdefault(line[1:].strip(), [])
        elif words and (len(words) != 4 or questions is None):
            raise DataError(
                f"{path}, line {number} is {line!r}; it needs four words, below the name of a "
                "group such as ': family'"
            )
        elif words:
            questions.append(words)
    return groups
