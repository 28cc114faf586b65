"""The checks at the door: what fits passes with its sizes, what does not is named."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlib.shapes import check_finite, check_floating, check_shape


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_sizes_come_back_by_name(sizes):
    names = ["batch", "time", "freqs", "mels"][: len(sizes)]
    found = check_shape(torch.zeros(sizes), " ".join(names), name="x")
    assert found == dict(zip(names, sizes, strict=True))


@given(leading=st.lists(st.integers(1, 3), max_size=3))
def test_dots_admit_any_leading_axes(leading):
    assert check_shape(torch.zeros(*leading, 5), "... time", name="x") == {"time": 5}


def test_a_number_and_a_repeated_name_demand_sizes():
    assert check_shape(torch.zeros(2, 3), "batch 3", name="x")["batch"] == 2
    assert check_shape(torch.zeros(4, 4), "n n", name="x") == {"n": 4}
    with pytest.raises(ValueError, match="need size 3 where it has 2"):
        check_shape(torch.zeros(2, 2), "batch 3", name="x")
    with pytest.raises(ValueError, match="need size 4 where it has 5"):
        check_shape(torch.zeros(4, 5), "n n", name="x")


@pytest.mark.parametrize(
    ("shape", "axes", "message"),
    [
        ((2,), "batch time", r"signal has 1 axes, shape \(2,\); it needs 2: \(batch, time\)"),
        ((2, 3, 4), "batch time", "signal has 3 axes"),
        ((), "... time", "signal has 0 axes.* it needs at least 1"),
        ((2, 0), "batch time", r"signal is empty, shape \(2, 0\)"),
        ((0, 3), "... time", "signal is empty"),
    ],
)
def test_a_wrong_number_of_axes_and_an_empty_axis_are_named(shape, axes, message):
    with pytest.raises(ValueError, match=message):
        check_shape(torch.zeros(shape), axes, name="signal")


def test_what_is_no_tensor_is_refused_with_the_remedy():
    with pytest.raises(TypeError, match=r"signal is a list.*torch.as_tensor\(signal\)"):
        check_shape([1, 2], "time", name="signal")


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_only_real_floating_point_numbers_pass(dtype):
    with pytest.raises(TypeError, match=rf"x has dtype {dtype}, .*x.float\(\)"):
        check_floating(torch.zeros(2, dtype=dtype), name="x")
    check_floating(torch.zeros(2, dtype=torch.bfloat16), name="x")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_counted_and_placed(bad):
    x = torch.zeros(2, 3)
    check_finite(x, name="x")
    x[1, 0] = x[1, 2] = bad
    with pytest.raises(ValueError, match=r"x has 2 of 6 values .* the first at index \(1, 0\)"):
        check_finite(x, name="x")
