"""The checks at the door: what fits passes with its sizes, what does not is named."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlib.shapes import check_finite, check_floating, check_shape, check_whole, unit_length


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


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), torch.tensor(3)])
def test_whole_numbers_of_all_libraries_are_whole_numbers(value):
    found = check_whole(value, name="size", least=3)
    assert (type(found), found) == (int, 3)
    with pytest.raises(ValueError, match=r"size is .*3.*, it must be a whole number of 4 or more"):
        check_whole(value, name="size", least=4)


@pytest.mark.parametrize("value", [True, np.True_, 3.0, np.float64(3), "3", None, math.nan])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(ValueError, match=r"size is .*, it must be a whole number of 1 or more"):
        check_whole(value, name="size")


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e-9, 1, 1e38])
def test_length_one_is_one_at_every_scale(scale):
    x = torch.tensor([[0.0, 3, -4], [0, 0, 0], [0, 0, 2]]) / 4
    expected = torch.tensor([[0, 0.6, -0.8], [0, 0, 0], [0, 0, 1]])
    rough = 0.1 if scale < 1e-40 else 1e-6  # so near to zero few bits are left
    torch.testing.assert_close(unit_length(x * scale), expected, rtol=0, atol=rough)
    torch.testing.assert_close(unit_length(x.T * scale, dim=0), expected.T, rtol=0, atol=rough)


def test_length_one_of_half_precision_has_32_bits():
    found = unit_length(torch.full((3,), 60000.0).half())  # whose square is infinite in 16 bits
    torch.testing.assert_close(found, torch.full((3,), 3**-0.5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused_where_32_bits_are_needed(dtype):
    with pytest.raises(TypeError, match=rf"x has dtype {dtype}, .* of 32 bits or more: .*x.float"):
        check_floating(torch.zeros(2, dtype=dtype), name="x", bits=32)
    check_floating(torch.zeros(2), name="x", bits=32)


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
