"""Laws of a fair split, on groupings of many kinds."""

from collections import defaultdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlib.data.splits import folds_by_source
from mmlib.runtime import make_generator

# items as (label, source of that label): each source has one label, as in ESC-50
ITEMS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=60)


def sources_of_labels(labels, sources):
    found = defaultdict(set)
    for label, source in zip(labels, sources, strict=True):
        found[label].add(source)
    return found


@given(items=ITEMS, folds=st.integers(2, 5), seed=st.integers(0, 1000))
def test_folds_share_no_source_and_are_even(items, folds, seed):
    labels = [label for label, _ in items]
    if len(set(items)) < folds:
        with pytest.raises(ValueError, match=f"folds is {folds}; it must be 2 or more and at most"):
            folds_by_source(items, labels, folds=folds, generator=make_generator(seed))
        return
    fold = folds_by_source(items, labels, folds=folds, generator=make_generator(seed)).tolist()
    fold_of = dict(zip(items, fold, strict=True))
    assert [fold_of[source] for source in items] == fold
    for some in [set(items), *sources_of_labels(labels, items).values()]:
        counts = [sum(fold_of[source] == k for source in some) for k in range(folds)]
        assert max(counts) - min(counts) <= 1


def test_speakers_who_say_every_digit_are_dealt_out_too():
    speakers = [speaker for speaker in "abcde" for _ in range(10)]
    digits = list(range(10)) * 5
    fold = folds_by_source(speakers, digits, folds=5, generator=make_generator(1))
    assert fold.bincount().tolist() == [10] * 5


def test_same_seed_same_folds_and_another_seed_another():
    sources, labels = list(range(200)), [i % 5 for i in range(200)]
    draws = [
        folds_by_source(sources, labels, folds=4, generator=make_generator(seed))
        for seed in (7, 7, 8)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    once = folds_by_source(iter(sources), iter(labels), folds=4, generator=make_generator(7))
    assert torch.equal(once, draws[0])


def test_unequal_lengths_no_items_and_half_a_fold_are_refused():
    for sources, labels in (([1, 2], [0]), ([], [])):
        with pytest.raises(ValueError, match=f"there are {len(sources)} sources and"):
            folds_by_source(sources, labels, folds=2, generator=make_generator(0))
    with pytest.raises(ValueError, match=r"folds is 2\.5, it must be a whole number"):
        folds_by_source([1, 2, 3], [0, 0, 0], folds=2.5, generator=make_generator(0))
