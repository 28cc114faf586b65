"""Plain data goes over the wire unchanged; anything else is refused; reading never runs code."""

import json
import math
import pickle

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.homework import wire

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
DTYPES = st.sampled_from(["bool", "int8", "uint16", "int64", "float32", "float64", "complex128"])
ARRAYS = DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0)))
TREES = st.recursive(
    SCALARS | ARRAYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def same(first, second):
    if isinstance(first, np.ndarray):
        return (
            isinstance(second, np.ndarray)
            and first.dtype == second.dtype
            and np.array_equal(first, second, equal_nan=True)
        )
    if isinstance(first, float) and math.isnan(first):
        return math.isnan(second)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    return type(first) is type(second) and first == second


@given(TREES.filter(lambda tree: not (isinstance(tree, dict) and "ndarray" in tree)))
def test_what_goes_in_comes_out(tree):
    assert same(tree, wire.loads(wire.dumps(wire.plain(tree))))


@pytest.mark.parametrize("value", [object(), {1}, b"bytes", len, np.array(["text"]), [1, [set()]]])
def test_what_is_not_plain_is_refused(value):
    with pytest.raises(TypeError, match="it must be numbers or an array of numbers"):
        wire.plain(value)


class Sly(np.ndarray):
    def __eq__(self, other):
        return True


def test_a_subclass_keeps_only_its_numbers():
    value = wire.plain(np.arange(3.0).view(Sly))
    assert type(value) is np.ndarray
    assert value.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "text",
    [
        pickle.dumps([1]),
        b"\xff\xfe",
        "",
        "{",
        "[" * 100_000,
        '{"ndarray": 1}',
        '{"ndarray": ["|O8", [1], "AAAAAAAAAAA="]}',
        '{"ndarray": ["<f8", [1000000000000], "AAAAAAAAAAA="]}',
        '{"ndarray": ["<f8", [1], "AAAA"]}',
        '{"ndarray": ["<f8", ["1"], "AAAAAAAAAAA="]}',
        '{"ndarray": ["<f8,O", [1], "AAAAAAAAAAA="]}',
        '{"ndarray": ["<f99", [1], "AAAAAAAAAAA="]}',
        json.dumps({"ndarray": [["<f8"], [1], "AAAAAAAAAAA="]}),
        "1" * 5000,
    ],
)
def test_rubbish_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        wire.loads(text)
