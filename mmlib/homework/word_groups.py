"""A made-up language with hidden groups of words, and the judge of vectors learnt from it.

The groups stand in a ring. A word of one group is usually followed by any word of the next, so
that words of a group can stand for one another. Each word also brings two small words along, one
on either side, as German nouns bring *der*, *die* or *das*. The small words are frequent and say
nothing about the group.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmlib.homework.comparing import to_array
from mmlib.homework.exercises import Case

GROUPS, MEMBERS = 10, 8
SMALL = 4  # small words that go before a word, and as many that go after one
SENTENCES, SLOTS = 1200, 4  # a slot is three words: small, word, small
SURPRISE = 0.1  # how often a small word, or the next group, is drawn at random
MOST_COLUMNS = 32
ENOUGH = 0.9  # share of the words whose nearest neighbour must be of their own group
_DIVERGED = 1e6  # no count of a pair, nor any vector learnt from so short a text, is so large
_SAME_CAUSE = 0.5  # share of the errors that must look alike for a hint to name their cause


@dataclass(frozen=True)
class Language:
    """What the student does not see; all are indexed by word number."""

    group: np.ndarray  # (vocab,), -1 for a small word
    before: np.ndarray  # (vocab,), the small word that goes before each word
    after: np.ndarray  # (vocab,), the small word that goes after it


def make_language(rng: np.random.Generator) -> Language:
    """Draw which numbers the words have and which small words go with each."""
    numbers = rng.permutation(GROUPS * MEMBERS + 2 * SMALL)
    words, small = numbers[: GROUPS * MEMBERS], numbers[GROUPS * MEMBERS :]
    group = np.full(len(numbers), -1)
    group[words] = np.arange(len(words)) // MEMBERS
    return Language(
        group,
        before=rng.choice(small[:SMALL], len(numbers)),
        after=rng.choice(small[SMALL:], len(numbers)),
    )


def make_text(language: Language, rng: np.random.Generator) -> np.ndarray:
    """Return sentences in the language, one a row: (SENTENCES, 3 * SLOTS) word numbers."""
    members = np.stack([np.flatnonzero(language.group == g) for g in range(GROUPS)])
    commonness = 1 / np.sqrt(1 + np.arange(MEMBERS))
    commonness /= commonness.sum()
    group, columns = rng.integers(GROUPS, size=SENTENCES), []
    for _ in range(SLOTS):
        word = members[group, rng.choice(MEMBERS, SENTENCES, p=commonness)]
        for around in (language.before, language.after):
            surprise = rng.random(SENTENCES) < SURPRISE
            columns.append(np.where(surprise, rng.choice(around, SENTENCES), around[word]))
        columns.insert(-1, word)
        surprise = rng.random(SENTENCES) < SURPRISE
        group = np.where(surprise, rng.integers(GROUPS, size=SENTENCES), (group + 1) % GROUPS)
    return np.stack(columns, axis=1)


def nearest_words(vectors: np.ndarray) -> np.ndarray:
    """Return (vocab,): the other word of the largest cosine; ``vectors`` is (vocab, columns)."""
    cosine = _cosines(vectors)
    np.fill_diagonal(cosine, -np.inf)
    return cosine.argmax(axis=1)


def judge_vectors(cases: Sequence[Case], answers: Sequence[Any]) -> str | None:
    """Return None if, over all languages, enough words have a neighbour of their own group."""
    vectors = []
    for case, answer in zip(cases, answers, strict=True):
        problem = _malformed(answer, vocab=case.inputs["vocab"])
        if problem:
            return problem
        vectors.append(to_array(answer).astype(float))
    languages = [case.truth for case in cases]
    pairs = [_pairs(*both) for both in zip(languages, vectors, strict=True)]
    share = np.concatenate([pair.same_group for pair in pairs]).mean()
    if share >= ENOUGH:
        return None
    said = f"{share:.0%} of the words have a neighbour of their group, {ENOUGH:.0%} are needed."
    texts = [case.inputs["sentences"] for case in cases]
    return f"{said} {_order(languages, vectors, texts) or _cause(languages, vectors, pairs, share)}"


@dataclass(frozen=True)
class _Pairs:
    """How each word of a group and its nearest neighbour are related: bool arrays, (words,)."""

    same_group: np.ndarray
    same_small: np.ndarray  # both small words are the same
    linked: np.ndarray  # the one's group follows the other's
    small: np.ndarray  # the neighbour is a small word


def _pairs(language: Language, vectors: np.ndarray) -> _Pairs:
    word = np.flatnonzero(language.group >= 0)
    other = nearest_words(vectors)[word]
    mine, its = language.group[word], language.group[other]
    return _Pairs(
        same_group=mine == its,
        same_small=(language.before[word] == language.before[other])
        & (language.after[word] == language.after[other])
        & (its >= 0),
        linked=(((mine - its) % GROUPS == 1) | ((its - mine) % GROUPS == 1)) & (its >= 0),
        small=its < 0,
    )


def _malformed(answer: Any, *, vocab: int) -> str | None:
    """Say what keeps the answer from being a table of vectors."""
    try:
        table = to_array(answer)
    except ValueError as error:
        return f"The table of vectors {error}."
    if table.ndim != 2 or len(table) != vocab:
        return (
            f"The table has shape {table.shape}, it needs one row for each of the {vocab} words: "
            f"shape ({vocab}, columns)."
        )
    if table.dtype.kind not in "iuf":
        return f"The table has type {table.dtype}, it must hold real numbers."
    if not 2 <= table.shape[1] <= MOST_COLUMNS:
        return (
            f"The table has {table.shape[1]} columns, it must have from 2 to {MOST_COLUMNS}: "
            "rows as long as the vocabulary must be compressed, as a singular value "
            "decomposition or a trained table W does."
        )
    if not np.isfinite(table).all():
        return (
            "There are NaN or infinite values in the table. If you took logarithms, two words that "
            "never meet have the count 0, and log 0 is minus infinity; if you trained, the steps "
            "were too large."
        )
    empty = np.flatnonzero(~table.any(axis=1))
    if len(empty):
        return f"{len(empty)} words, such as word {empty[0]}, have the vector 0, without direction."
    return None


def _order(
    languages: list[Language], vectors: list[np.ndarray], texts: list[np.ndarray]
) -> str | None:
    """Recognise good vectors in rows of another order than the words' numbers."""
    for name, order_of in (("their frequency", _by_count), ("their first appearance", _by_place)):
        shares = []
        for language, table, text in zip(languages, vectors, texts, strict=True):
            sorted_back = table.copy()
            sorted_back[order_of(text, len(table))] = table
            shares.append(_pairs(language, sorted_back).same_group.mean())
        if np.mean(shares) >= ENOUGH:
            return f"The rows are in the order of {name}: row i must belong to word i."
    return None


def _by_count(text: np.ndarray, vocab: int) -> np.ndarray:
    return np.argsort(-np.bincount(text.ravel(), minlength=vocab), kind="stable")


def _by_place(text: np.ndarray, vocab: int) -> np.ndarray:
    words, places = np.unique(text, return_index=True)
    missing = np.setdiff1d(np.arange(vocab), words)
    return np.concatenate([words[np.argsort(places)], missing])


def _cause(
    languages: list[Language], vectors: list[np.ndarray], pairs: list[_Pairs], share: float
) -> str:
    """Say what most of the wrong neighbours have in common."""
    wrong = ~np.concatenate([pair.same_group for pair in pairs])
    same_small, linked, small = (
        np.concatenate([getattr(pair, name) for pair in pairs])[wrong].mean()
        for name in ("same_small", "linked", "small")
    )
    longest = max(float(np.abs(table).max()) for table in vectors)
    if longest > _DIVERGED:
        return (
            f"There are values as large as {longest:.0e}: training diverged. Take smaller steps, "
            "and note that a frequent word takes many steps at once if pairs are summed."
        )
    if min(np.median(_cosines(table)) for table in vectors) > 0.95:
        return (
            "All vectors point nearly the same way. True pairs alone pull every word towards "
            "every other: something must push apart, negatives or a comparison with chance."
        )
    if same_small >= _SAME_CAUSE:
        told = np.mean([_told_apart(*both) for both in zip(languages, vectors, strict=True)])
        return _DROWNED if told > 0.57 else _NARROW
    if linked >= _SAME_CAUSE:
        return (
            "Most wrong neighbours are words that stand beside the word. Two words of a group "
            "stand in each other's place, so they seldom meet: compare which words they meet."
        )
    if small >= _SAME_CAUSE:
        return (
            "Most wrong neighbours are the small words, which meet everyone. Compare words by "
            "whom they meet, each meeting measured against chance."
        )
    if share < 0.2:
        return (
            "Vectors drawn at random do about as well: is the table trained at all, and "
            "or is this how it was filled at the start?"
        )
    return (
        "The groups begin to show, and the errors have no single cause: try a window of 3 to 5, "
        "fewer columns, or, if you train, more steps."
    )


_DROWNED = (
    "Most wrong neighbours share their small words, which are so frequent that they drown the "
    "rest: measure each count against chance (PPMI), or thin the small words out. The window must "
    "also reach the next word that matters, 3 places on."
)
_NARROW = (
    "Most wrong neighbours share their small words, and of the groups nothing is seen: the window "
    "is too narrow. Between two words that matter stand two small ones, so it must be 3 or more."
)


def _told_apart(language: Language, vectors: np.ndarray) -> float:
    """Return how often a pair of one group is closer than a pair of two groups, 0.5 by chance.

    What the small words explain of the vectors is first taken out of them.
    """
    word = np.flatnonzero(language.group >= 0)
    kinds = [values[word][:, None] for values in (language.before, language.after)]
    small = np.hstack([kind == np.unique(kind) for kind in kinds]).astype(float)
    rest = vectors[word] - small @ np.linalg.lstsq(small, vectors[word], rcond=None)[0]
    cosine = _cosines(rest)
    same = language.group[word][:, None] == language.group[word]
    close, far = cosine[same & ~np.eye(len(word), dtype=bool)], cosine[~same]
    return float((close[:, None] > far).mean())


def _cosines(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T
