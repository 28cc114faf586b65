"""VGG-Sound Source and Flickr-SoundNet: tiny files in the official formats, and damaged ones."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlib.data.sounding_boxes import (
    consensus_map,
    flickr_sound_source,
    flickr_test_names,
    vgg_sound_source,
)
from mmlib.files import DataError

TABLE = [
    {"file": "aaa_000032", "class": "elk bugling", "bbox": [[0.4, 0.25, 0.6, 0.75]]},
    {"file": "bbb_000030", "class": "people running",
     "bbox": [[0.0, 0.0, 0.5, 1.0], [0.5, 0.25, -2.8e16, 0.9]]},
]  # fmt: skip
XML = """<?xml version="1.0"?>
<annotation>
  <annotator><bbox><class>car</class><xmin>0</xmin><ymin>0</ymin><xmax>128</xmax><ymax>128</ymax>
  </bbox></annotator>
  <annotator><bbox><class>car</class><xmin>64</xmin><ymin>0</ymin><xmax>192</xmax><ymax>128</ymax>
  </bbox></annotator>
  <annotator><bbox><class>man</class><xmin>64</xmin><ymin>64</ymin><xmax>128</xmax><ymax>256</ymax>
  </bbox></annotator>
</annotation>
"""


def write_table(folder, content):
    (folder / "vggss").mkdir()
    (folder / "vggss/vggss.json").write_text(
        content if isinstance(content, str) else json.dumps(content)
    )
    return folder


def test_the_table_is_read_and_its_wild_numbers_are_moved_to_the_edge(tmp_path):
    elk, runners = vgg_sound_source(write_table(tmp_path, TABLE))
    assert (elk.name, elk.category) == ("aaa_000032", "elk bugling")
    assert torch.allclose(elk.boxes, torch.tensor([[0.4, 0.25, 0.6, 0.75]]).double())
    assert runners.boxes.tolist() == [[0.0, 0.0, 0.5, 1.0], [0.5, 0.25, 0.0, 0.9]]
    painted = consensus_map(runners.boxes, size=8)  # the second box has lost its area
    assert painted[:, :4].min() == 1
    assert painted[:, 4:].max() == 0


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1]",
        [{"file": "a", "class": "b"}],
        [{"file": "a", "class": "b", "bbox": []}],
        [{"file": "a", "class": "b", "bbox": [[0.1, 0.2, 0.3]]}],
        [{"file": "a", "class": "b", "bbox": [[0.1, 0.2, 0.3, "x"]]}],
        '[{"file": "a", "class": "b", "bbox": [[0, 0, 1, NaN]]}]',
    ],
)
def test_a_damaged_table_is_refused(tmp_path, content):
    with pytest.raises(DataError, match=r"vggss.json is damaged .*fetch it again"):
        vgg_sound_source(write_table(tmp_path, content))


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"there is no .*vggss.json"):
        vgg_sound_source(tmp_path)


def test_three_annotators_in_xml_agree_by_the_papers_rule(tmp_path):
    path = tmp_path / "2432219254.xml"
    path.write_text(XML)
    read = flickr_sound_source(path)
    assert read.name == "2432219254"
    assert len(read.boxes) == 3
    painted = consensus_map(read.boxes, size=4, agree=2)
    expected = [
        [0.5, 1.0, 0.5, 0.0],  # one, two, one annotator
        [0.5, 1.0, 0.5, 0.0],  # three are worth no more than two
        [0.0, 0.5, 0.0, 0.0],
        [0.0, 0.5, 0.0, 0.0],
    ]
    assert painted.tolist() == expected


@pytest.mark.parametrize(
    "content",
    ["", "<annotation>", "<annotation/>", "<a><bbox><class>b</class><xmin>1</xmin></bbox></a>",
     XML.replace("<xmax>128", "<xmax>wide")],
)  # fmt: skip
def test_damaged_xml_is_refused(tmp_path, content):
    (tmp_path / "1.xml").write_text(content)
    with pytest.raises(DataError, match=r"1.xml is missing or damaged"):
        flickr_sound_source(tmp_path / "1.xml")
    with pytest.raises(DataError, match=r"2.xml is missing"):
        flickr_sound_source(tmp_path / "2.xml")


def test_the_test_list_is_read(tmp_path):
    with pytest.raises(DataError, match=r"there is no .*test_list.txt"):
        flickr_test_names(tmp_path)
    (tmp_path / "flickr-soundnet").mkdir()
    (tmp_path / "flickr-soundnet/test_list.txt").write_text("2432219254.png\n2542659118.png\n")
    assert flickr_test_names(tmp_path) == ["2432219254", "2542659118"]


def paint_slowly(boxes, size, agree):
    """Count for each pixel, by itself, in how many boxes it lies."""
    painted = np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            inside = sum(
                int(size * left) <= column < int(size * right)
                and int(size * top) <= row < int(size * bottom)
                for left, top, right, bottom in boxes
            )
            painted[row, column] = min(1, inside / agree)
    return painted


edges = st.floats(0, 1, allow_subnormal=False)


@given(st.lists(st.tuples(edges, edges, edges, edges), min_size=1, max_size=4), st.integers(1, 3))
def test_the_map_is_that_of_a_loop_over_pixels(boxes, agree):
    painted = consensus_map(torch.tensor(boxes, dtype=torch.float64), size=9, agree=agree)
    assert np.allclose(painted, paint_slowly(boxes, 9, agree))


@pytest.mark.parametrize(
    ("boxes", "options", "message"),
    [
        (torch.zeros(0, 4), {}, "boxes is empty"),
        (torch.zeros(2, 3), {}, "need size 4 where it has 3"),
        (torch.tensor([[0.0, 0.0, 128.0, 1.0]]), {}, "from 0 to 128.*divide pixels"),
        (torch.tensor([[0.0, 0.0, float("nan"), 1.0]]), {}, "boxes"),
        (torch.zeros(1, 4), {"size": 0}, "size is 0, it must be"),
        (torch.zeros(1, 4), {"agree": 0}, "agree is 0, it must be"),
    ],
)
def test_wrong_boxes_are_refused(boxes, options, message):
    with pytest.raises(ValueError, match=message):
        consensus_map(boxes, **options)


def test_the_real_annotations(real_data):
    folder = real_data("sound-localization-annotations")
    clips = vgg_sound_source(folder)
    assert len({clip.name for clip in clips}) == len(clips) > 0
    assert len(set(flickr_test_names(folder))) == len(flickr_test_names(folder))
    assert {clip.name for clip in clips} == set(
        (folder / "vggss" / "vggss_test.csv").read_text().split()
    )
