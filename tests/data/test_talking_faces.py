"""The names of GRID's sentences, its folders and its alignments."""

import pytest

from mmlib.data.talking_faces import grid_clips, grid_words, read_alignment
from mmlib.files import DataError


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("bbaf2n", "bin blue at f two now"),
        ("lrwp9a", "lay red with p nine again"),
        ("lwbsza", "lay white by s zero again"),
        ("pgik1s", "place green in k one soon"),
    ],
)
def test_a_name_stands_for_six_words(code, sentence):
    assert " ".join(grid_words(code)) == sentence


@pytest.mark.parametrize("code", ["", "bbaf2", "bbaf2nn", "xbaf2n", "bbaw2n", "bbaf0n", "bbaf2x"])
def test_other_names_are_refused(code):
    with pytest.raises(ValueError, match="is no name of a GRID sentence"):
        grid_words(code)


def test_clips_are_listed_in_folders_too(tmp_path):
    with pytest.raises(DataError, match=r"has no clips"):
        grid_clips(tmp_path)
    (tmp_path / "s2").mkdir()
    for name in ("s2/id2_vcd_swwp2s.MPG", "bbaf2n.mpg", "notes.txt", "._bbaf2n.mpg"):
        (tmp_path / name).touch()
    first, second = grid_clips(tmp_path)
    assert (first.path.name, first.words[0]) == ("bbaf2n.mpg", "bin")
    assert second.words == ("set", "white", "with", "p", "two", "soon")
    (tmp_path / "holiday.mpg").touch()
    with pytest.raises(DataError, match=r"a clip that is not of GRID .*'holiday'"):
        grid_clips(tmp_path)


def test_an_alignment_is_read_in_seconds(tmp_path):
    path = tmp_path / "a.align"
    with pytest.raises(DataError, match=r"there is no .*a.align"):
        read_alignment(path)
    path.write_text("\ufeff0 12500 sil\n12500 20000 bin\n", encoding="utf-8")
    assert read_alignment(path) == [("sil", 0.0, 0.5), ("bin", 0.5, 0.8)]
    path.write_text("0 12500 sil\n12500 bin\n")
    with pytest.raises(DataError, match=r"a.align, line 2 is '12500 bin', not: begin end word"):
        read_alignment(path)
