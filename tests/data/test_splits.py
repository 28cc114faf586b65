"""Laws of a fair split, on groupings of many kinds."""

from collections import defaultdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlib.data.splits import folds_by_source, split_by_source
from mmlib.runtime import make_generator

# items as (label, source of that label): each source has one label, as in ESC-50
ITEMS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=60)


def sources_of_labels(labels, sources):
    found = defaultdict(set)
    for label, source in zip(labels, sources, strict=True):
        found[label].add(source)
    return found


@given(items=ITEMS, test_fraction=st.floats(0.05, 0.95), seed=st.integers(0, 1000))
def test_no_source_on_both_sides_and_every_label_in_training(items, test_fraction, seed):
    labels, sources = [label for label, _ in items], items
    found = sources_of_labels(labels, sources)
    generator = make_generator(seed)
    if max(map(len, found.values())) == 1:
        with pytest.raises(ValueError, match="every label has one source only"):
            split_by_source(sources, labels, test_fraction=test_fraction, generator=generator)
        return
    train, test = split_by_source(sources, labels, test_fraction=test_fraction, generator=generator)
    assert sorted(torch.cat([train, test]).tolist()) == list(range(len(items)))
    assert {sources[i] for i in train}.isdisjoint(sources[i] for i in test)
    assert {labels[i] for i in train} == set(labels)
    assert {labels[i] for i in test} == {label for label in found if len(found[label]) > 1}


def test_the_test_part_has_its_share_of_the_sources_of_each_label():
    labels = [i % 3 for i in range(600)]
    sources = [i // 2 * 3 + i % 3 for i in range(600)]
    found = sources_of_labels(labels, sources)
    _, test = split_by_source(sources, labels, test_fraction=0.25, generator=make_generator(0))
    tested = sources_of_labels([labels[i] for i in test], [sources[i] for i in test])
    for label in found:
        assert len(tested[label]) == round(0.25 * len(found[label]))


def test_speakers_who_say_every_digit_are_split_too():
    speakers = [speaker for speaker in "abcde" for _ in range(10)]
    digits = list(range(10)) * 5
    train, test = split_by_source(speakers, digits, test_fraction=0.4, generator=make_generator(1))
    assert len({speakers[i] for i in test}) == 2
    assert len(train) == 30


def test_same_seed_same_split_and_another_seed_another():
    sources, labels = list(range(200)), [i % 5 for i in range(200)]
    draws = [
        split_by_source(sources, labels, test_fraction=0.3, generator=make_generator(seed))[1]
        for seed in (7, 7, 8)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


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


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2, float("nan")])
def test_a_fraction_outside_its_range_is_refused(fraction):
    with pytest.raises(ValueError, match=r"test_fraction is .* between 0 and 1"):
        split_by_source([1, 2], [0, 0], test_fraction=fraction, generator=make_generator(0))


def test_unequal_lengths_and_no_items_are_refused():
    for sources, labels in (([1, 2], [0]), ([], [])):
        with pytest.raises(ValueError, match=f"there are {len(sources)} sources and"):
            split_by_source(sources, labels, test_fraction=0.5, generator=make_generator(0))
