"""Scores of units against scikit-learn's contingency table, nltk and counts by hand."""

import nltk
import numpy as np
import pytest
import torch
from sklearn.metrics.cluster import contingency_matrix

from mmlib.runtime import make_generator
from mmlib.unit_metrics import edit_distance, perplexity, phones_by_unit, purity

SECONDS = 0.02
PHONES = [
    [("S", 0.0, 0.05), ("AH", 0.05, 0.13), ("N", 0.13, 0.3)],
    [("AH", 0.0, 0.11), ("S", 0.11, 0.24)],
]


@pytest.fixture
def units():
    order = make_generator(0)
    return [torch.randint(3, (count,), generator=order) for count in (15, 12)]


def test_purity_is_that_of_the_contingency_table(units):
    names = []
    for row, phones in zip(units, PHONES, strict=True):
        for step in range(len(row)):
            middle = SECONDS * step + SECONDS / 2
            names.append(next(name for name, start, end in phones if start <= middle < end))
    table = contingency_matrix(torch.cat(units).numpy(), names)
    by_hand = table.max(axis=1).sum() / table.sum()
    assert purity(units, PHONES, seconds=SECONDS) == pytest.approx(by_hand)
    alone = [torch.zeros_like(row) for row in units]
    assert purity(alone, PHONES, seconds=SECONDS) <= by_hand


def test_phones_are_counted_by_the_middle_of_a_step():
    met = phones_by_unit([torch.tensor([4, 4, 1, 4])], [[("A", 0, 2.4), ("B", 2.4, 3)]], seconds=1)
    assert met == {4: {"A": 2, "B": 1}, 1: {"B": 1}}  # the last step comes after the last phone


def test_perplexity_counts_codes_that_are_used_alike():
    assert perplexity(torch.arange(12) % 4) == pytest.approx(4)
    assert perplexity(torch.zeros(5, dtype=torch.long)) == pytest.approx(1)


def test_the_edit_distance_is_nltks():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = (rng.integers(4, size=rng.integers(1, 9)).tolist() for _ in range(2))
        theirs = nltk.edit_distance(a, b) / max(len(a), len(b))
        assert edit_distance(a, b) == pytest.approx(theirs)
