"""The entries of the catalogue are complete and consistent."""

import re
from pathlib import PurePosixPath

import pytest

from mmlib.data.catalogue import DATA_SETS, find_data_set


@pytest.mark.parametrize("name", DATA_SETS)
def test_an_entry_says_all_that_a_user_must_know(name):
    data_set = DATA_SETS[name]
    assert data_set.name == name == PurePosixPath(name).name
    assert data_set.licence
    assert data_set.citation
    assert data_set.megabytes > 0
    paths = [source.path for source in data_set.sources]
    assert len(set(paths)) == len(paths) > 0
    for source in data_set.sources:
        assert source.url.startswith("https://")
        assert source.sha256 is None or re.fullmatch("[0-9a-f]{64}", source.sha256)
        assert not PurePosixPath(source.path).is_absolute()
        assert ".." not in PurePosixPath(source.path).parts


def test_an_unknown_name_is_refused_with_the_list_of_names():
    with pytest.raises(ValueError, match=r"no data set is called 'esc60'; there are esc50, free"):
        find_data_set("esc60")
