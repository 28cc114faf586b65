"""Batches hold every item once, in an order that the generator alone decides."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlib.data.batches import Batches
from mmlib.runtime import make_generator


@given(items=st.integers(1, 40), batch_size=st.integers(1, 50), shuffled=st.booleans())
def test_every_item_comes_once_and_stays_with_its_partner(items, batch_size, shuffled):
    x = torch.arange(items)
    generator = make_generator(0) if shuffled else None
    batches = Batches((x, x * 10), batch_size=batch_size, generator=generator)
    found = list(batches)
    assert len(found) == len(batches)
    assert all(len(a) == batch_size for a, _ in found[:-1])
    first = torch.cat([a for a, _ in found])
    assert torch.equal(torch.cat([b for _, b in found]), first * 10)
    assert torch.equal(first.sort().values, x)
    if not shuffled:
        assert torch.equal(first, x)


def test_each_epoch_has_its_order_and_the_same_seed_the_same_orders():
    def orders(seed):
        batches = Batches(torch.arange(50), batch_size=7, generator=make_generator(seed))
        return [torch.cat(list(batches)).tolist() for _ in range(2)]

    assert orders(1)[0] != orders(1)[1]
    assert orders(1) == orders(1)
    assert orders(1) != orders(2)


def test_a_dict_gives_dicts():
    (batch,) = Batches({"a": torch.zeros(3, 2), "b": torch.ones(3)}, batch_size=3)
    assert {name: tuple(t.shape) for name, t in batch.items()} == {"a": (3, 2), "b": (3,)}


def test_nothing_unequal_and_a_size_below_one_are_refused():
    with pytest.raises(ValueError, match=r"numbers of items are \{0: 0\}"):
        Batches(torch.zeros(0), batch_size=1)
    with pytest.raises(ValueError, match=r"\{'a': 2, 'b': 3\}: they must be equal"):
        Batches({"a": torch.zeros(2), "b": torch.zeros(3)}, batch_size=1)
    with pytest.raises(ValueError, match="batch_size is 0"):
        Batches(torch.zeros(2), batch_size=0)


def test_a_batch_size_of_numpy_is_a_size_and_half_an_item_is_none():
    assert len(Batches(torch.arange(5), batch_size=np.int64(2))) == 3
    for size in (0, 2.5, None, True):
        with pytest.raises(ValueError, match=r"batch_size is .*, it must be a whole number"):
            Batches(torch.arange(5), batch_size=size)
