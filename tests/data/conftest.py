"""The real data sets, where ``MMLIB_DATA`` has them, and small pictures to read."""

import os

import numpy as np
import pytest
from PIL import Image

from mmlib.data.download import is_present, locate


@pytest.fixture
def real_data():
    """Return a function from a data set's name to its folder; skips where it is absent."""

    def find(name):
        if "MMLIB_DATA" not in os.environ or not is_present(name):
            pytest.skip(f"{name} is not here: set MMLIB_DATA to the folder that has it")
        return locate(name)

    return find


@pytest.fixture
def paint():
    """Return a function that writes a picture of random colours and returns them."""

    def write(path, height=8, width=12, seed=0, **options):
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, **options)
        return pixels

    return write
