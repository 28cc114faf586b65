"""Scores of learned speech units: how many are in use, what they stand for, how alike two are."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

Phone = tuple[str, float, float]  # its name, from when and until when it lasts, in seconds


def perplexity(units: Tensor) -> float:
    """Return e to the entropy (in nats) of how often each unit (steps,) occurs; 1 or more."""
    p = torch.bincount(units).double() / len(units)
    return float(torch.special.entr(p).sum().exp())


def phones_by_unit(
    units: Sequence[Tensor], phones: Sequence[list[Phone]], *, seconds: float
) -> dict[int, Counter]:
    """Return for each unit how often it meets each phone, in steps.

    Args:
        units: of each utterance (steps,).
        phones: of each utterance; a step after the last one counts as the last.
        seconds: that a step lasts; the phone in its middle counts.
    """
    met: dict[int, Counter] = defaultdict(Counter)
    for row, spans in zip(units, phones, strict=True):
        for step, unit in enumerate(row.tolist()):
            middle = (step + 0.5) * seconds
            now = (name for name, start, end in spans if start <= middle < end)
            met[unit][next(now, spans[-1][0])] += 1
    return met


def purity(units: Sequence[Tensor], phones: Sequence[list[Phone]], *, seconds: float) -> float:
    """Return the share of steps whose phone is the one that their unit meets most often.

    Arguments as in ``phones_by_unit``.
    """
    met = phones_by_unit(units, phones, seconds=seconds).values()
    return sum(max(counts.values()) for counts in met) / sum(counts.total() for counts in met)


def edit_distance(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the Levenshtein distance of two sequences, divided by the longer one's length."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        left, row[0] = row[0], i
        for j, b in enumerate(second, start=1):
            left, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, left + (a != b))
    return row[-1] / max(len(first), len(second), 1)
