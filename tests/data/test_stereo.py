"""Stereo pairs in the layout of the Middlebury set."""

import numpy as np
import pytest
import torch
from PIL import Image

from mmlib.data.stereo import middlebury_pair
from mmlib.files import DataError


@pytest.fixture
def folder(tmp_path):
    """Return a data set of one pair of 2 × 6 pixels: a thing at disparity 2 before a wall at 1."""
    ours = np.array([[1, 1, 1, 2, 2, 1], [0, 1, 1, 1, 1, 1]]) * 4
    theirs = np.array([[1, 2, 2, 1, 1, 0], [1, 1, 1, 1, 1, 0]]) * 4
    pictures = np.arange(2 * 6 * 3, dtype=np.uint8).reshape(2, 6, 3)
    (tmp_path / "cones").mkdir()
    for name, values in (("im2", pictures), ("im6", pictures), ("disp2", ours), ("disp6", theirs)):
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / "cones" / f"{name}.png")
    return tmp_path


def test_a_grey_value_is_four_times_the_disparity(folder):
    pair = middlebury_pair(folder=folder)
    assert pair.left.shape == pair.right.shape == (3, 2, 6)
    assert torch.allclose(pair.disparity[0], torch.tensor([1.0, 1, 1, 2, 2, 1]))
    assert pair.known.tolist() == [[True] * 6, [False] + [True] * 5]


def test_what_the_right_picture_shows_nearer_or_not_at_all_is_not_seen(folder):
    seen = middlebury_pair(folder=folder).seen
    assert seen.tolist() == [[False, True, True, True, True, True], [False] + [True] * 5]


def test_a_pair_must_be_whole_and_of_one_size(folder):
    with pytest.raises(DataError, match=r"teddy lacks im2.png, im6.png"):
        middlebury_pair("teddy", folder)
    Image.new("L", (5, 2)).save(folder / "cones" / "disp6.png")
    with pytest.raises(DataError, match="differ in size"):
        middlebury_pair(folder=folder)
