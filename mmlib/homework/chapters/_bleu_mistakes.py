"""What goes wrong with BLEU, and the sentence that helps."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from mmlib.homework.comparing import Mistake


def _grams(words: Sequence[str], n: int) -> Counter:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _clipped(found: Counter, others: list[Counter]) -> float:
    matches = sum(min(count, max(o[gram] for o in others)) for gram, count in found.items())
    return matches / max(1, found.total())


def _brevity(length: int, lengths: list[int]) -> float:
    nearest = min(lengths, key=lambda other: (abs(other - length), other))
    return np.exp(min(0, 1 - nearest / length))


def _geometric(precisions: list[float]) -> float:
    return float(np.prod(precisions) ** (1 / len(precisions)))


def _variant(
    precision: Callable[[Counter, list[Counter]], float] = _clipped,
    brevity: Callable[[int, list[int]], float] = _brevity,
    combine: Callable[[list[float]], float] = _geometric,
    words_of: Callable[[str], Sequence[str]] = str.split,
) -> Callable[..., float]:
    """Return BLEU with one of its parts changed."""

    def formula(candidate, references, order):
        words, others = words_of(candidate), [words_of(reference) for reference in references]
        precisions = [
            precision(_grams(words, n), [_grams(other, n) for other in others])
            for n in range(1, order + 1)
        ]
        return brevity(len(words), [len(other) for other in others]) * combine(precisions)

    return formula


def _unclipped(found: Counter, others: list[Counter]) -> float:
    return sum(count for gram, count in found.items() if any(o[gram] for o in others)) / max(
        1, found.total()
    )


def _added_up(found: Counter, others: list[Counter]) -> float:
    matches = sum(min(count, sum(o[gram] for o in others)) for gram, count in found.items())
    return matches / max(1, found.total())


def _different(found: Counter, others: list[Counter]) -> float:
    return sum(any(o[gram] for o in others) for gram in found) / max(1, len(found))


def _against(which: Callable[[list[int]], float]) -> Callable[[int, list[int]], float]:
    return lambda length, lengths: float(np.exp(min(0, 1 - which(lengths) / length)))


def _upside_down(length: int, lengths: list[int]) -> float:
    return float(np.exp(min(0, 1 - length / min(lengths, key=lambda x: (abs(x - length), x)))))


def _rewarding(length: int, lengths: list[int]) -> float:
    return float(np.exp(1 - min(lengths, key=lambda x: (abs(x - length), x)) / length))


BLEU = (
    Mistake(
        _variant(precision=_unclipped),
        "Matches are not clipped: 'the the the' would be perfect. An n-gram counts at most as "
        "often as in the one reference that has it most often.",
    ),
    Mistake(
        _variant(precision=_added_up),
        "The references' counts were added up. An n-gram is clipped at its largest count in a "
        "single reference.",
    ),
    Mistake(
        _variant(precision=lambda found, others: _clipped(found, others[:1])),
        "Only the first reference is used: an n-gram may match any of them.",
    ),
    Mistake(
        _variant(precision=_different),
        "Different n-grams were counted, as in a set: an n-gram that stands twice counts twice.",
    ),
    Mistake(
        _variant(brevity=_against(max)),
        "The penalty compares with the longest reference: take the one nearest in length.",
    ),
    Mistake(
        _variant(brevity=_against(min)),
        "The penalty compares with the shortest reference: take the one nearest in length.",
    ),
    Mistake(
        _variant(brevity=lambda length, lengths: 1.0),
        "The brevity penalty is missing: precision alone is best served by saying little.",
    ),
    Mistake(
        _variant(brevity=_against(np.mean)),
        "The penalty compares with the mean length: take the one reference nearest in length.",
    ),
    Mistake(
        _variant(brevity=_upside_down),
        "The penalty falls on sentences that are too long: these lose precision anyway. It is "
        "exp(1 - r / c) for a candidate of c words that is shorter than r.",
    ),
    Mistake(
        _variant(brevity=_rewarding),
        "A long candidate gets a bonus: the penalty is 1 where the candidate is not too short.",
    ),
    Mistake(
        _variant(combine=lambda precisions: float(np.mean(precisions))),
        "The precisions were averaged as a sum: BLEU takes their geometric mean, the root of the "
        "product, which is 0 if one of them is.",
    ),
    Mistake(
        _variant(combine=lambda precisions: float(np.prod(precisions))),
        "The root is missing: the geometric mean of n precisions is the n-th root of their "
        "product.",
    ),
    Mistake(
        _variant(combine=lambda precisions: precisions[-1]),
        "Only the longest n-grams count: take all orders from 1 up.",
    ),
    Mistake(
        _variant(words_of=list),
        "The sentences were compared letter by letter: split them into words.",
    ),
)
