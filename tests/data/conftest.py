"""The real data sets, where ``MMLIB_DATA`` has them."""

import os

import pytest

from mmlib.data.download import is_present, locate


@pytest.fixture
def real_data():
    """Return a function from a data set's name to its folder; skips where it is absent."""

    def find(name):
        if "MMLIB_DATA" not in os.environ or not is_present(name):
            pytest.skip(f"{name} is not here: set MMLIB_DATA to the folder that has it")
        return locate(name)

    return find
