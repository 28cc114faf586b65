"""Flickr8k and COCO captions: tiny files in the official formats, and what is wrong with some."""

import json

import pytest

from mmlib.data.captioned_pictures import coco_captions, flickr8k
from mmlib.data.photographs import read_picture
from mmlib.files import DataError

TOKENS = """\
1_a.jpg#0\tA dog runs .
1_a.jpg#1\tThe dog .
2_b.jpg#0\tTwo men #1 sit .
3_c.jpg.1#0\tNobody lists this picture , and it is not there .
"""


@pytest.fixture
def flickr(tmp_path, paint):
    text = tmp_path / "Flickr8k_text"
    text.mkdir()
    (text / "Flickr8k.token.txt").write_text(TOKENS)
    (text / "Flickr_8k.trainImages.txt").write_text("2_b.jpg\n1_a.jpg\n")
    for name in ("1_a.jpg", "2_b.jpg"):
        paint(tmp_path / "Flicker8k_Dataset" / name)
    return tmp_path


def test_flickr8k_is_read_in_the_order_of_its_list(flickr):
    men, dog = flickr8k("train", flickr)
    assert dog.captions == ("A dog runs .", "The dog .")
    assert men.captions == ("Two men #1 sit .",)
    assert read_picture(men.path).shape == (3, 8, 12)


def test_a_byte_order_mark_and_a_line_separator_are_no_lines(flickr):
    said = TOKENS.replace("A dog runs", "A dog\u2028runs")
    (flickr / "Flickr8k_text/Flickr8k.token.txt").write_text("\ufeff" + said, encoding="utf-8")
    _, dog = flickr8k("train", flickr)
    assert dog.captions == ("A dog\u2028runs .", "The dog .")


def test_captions_that_are_not_utf8_are_named_with_their_line(flickr):
    raw = (TOKENS + "1_a.jpg#2\tA café .\n").encode("latin-1")
    (flickr / "Flickr8k_text/Flickr8k.token.txt").write_bytes(raw)
    with pytest.raises(DataError, match=r"Flickr8k.token.txt, line 5 is not UTF-8"):
        flickr8k("train", flickr)


def test_flickr8k_says_what_is_missing(flickr):
    with pytest.raises(ValueError, match="no split is called 'val'; there are train, dev, test"):
        flickr8k("val", flickr)
    with pytest.raises(DataError, match=r"there is no .*testImages.txt: this copy lacks"):
        flickr8k("test", flickr)
    (flickr / "Flicker8k_Dataset/1_a.jpg").unlink()
    with pytest.raises(DataError, match=r"lacks 1 of the 2 files .* the first is .*1_a.jpg"):
        flickr8k("train", flickr)


def test_a_listed_picture_without_a_caption_is_refused(flickr):
    (flickr / "Flickr8k_text/Flickr8k.token.txt").write_text(TOKENS.replace("2_b", "2_c"))
    with pytest.raises(DataError, match=r"2_b.jpg has no caption"):
        flickr8k("train", flickr)


@pytest.mark.parametrize("line", ["1_a.jpg A dog", "1_a.jpg\tA dog", "#0\tA dog", "1_a.jpg#2\t "])
def test_a_line_that_is_no_caption_is_named(line, flickr):
    (flickr / "Flickr8k_text/Flickr8k.token.txt").write_text(TOKENS + line + "\n")
    with pytest.raises(DataError, match=r"token.txt, line 5 is .*it needs a name, #, a number"):
        flickr8k("train", flickr)


def test_a_damaged_photograph_is_found_when_it_is_read(flickr):
    (flickr / "Flicker8k_Dataset/1_a.jpg").write_bytes(b"half a photograph")
    _, dog = flickr8k("train", flickr)
    with pytest.raises(DataError, match=r"1_a.jpg is damaged, too large or no picture"):
        read_picture(dog.path)


def write_coco(paint, folder, annotations, images=((7, "7.jpg"), (3, "3.jpg"))):
    (folder / "annotations").mkdir(exist_ok=True)
    record = {
        "images": [{"id": number, "file_name": name, "license": 4} for number, name in images],
        "annotations": [
            {"id": i, "image_id": number, "caption": caption}
            for i, (number, caption) in enumerate(annotations)
        ],
    }
    (folder / "annotations/captions_val2017.json").write_text(json.dumps(record))
    for _, name in images:
        paint(folder / "val2017" / name)


SAID = [(7, "A bus. "), (3, "A cat."), (7, "One bus\n")]


def test_coco_is_read_by_identifier(tmp_path, paint):
    write_coco(paint, tmp_path, SAID)
    cat, bus = coco_captions("val", tmp_path)
    assert (cat.path.name, cat.captions) == ("3.jpg", ("A cat.",))
    assert (bus.path.name, bus.captions) == ("7.jpg", ("A bus.", "One bus"))


@pytest.mark.parametrize("caption", [None, 3, ["a bus"]])
def test_a_caption_of_coco_that_is_no_text_is_refused(caption, tmp_path, paint):
    write_coco(paint, tmp_path, [*SAID, (3, caption)])
    with pytest.raises(DataError, match=r"captions_val2017.json is damaged .*where a text should"):
        coco_captions("val", tmp_path)


def test_coco_says_what_is_wrong(tmp_path, paint):
    with pytest.raises(ValueError, match="no split is called 'test'; there are train, val"):
        coco_captions("test", tmp_path)
    with pytest.raises(DataError, match=r"there is no .*captions_val2017.json: this copy lacks"):
        coco_captions("val", tmp_path)
    write_coco(paint, tmp_path, [*SAID, (8, "Nobody knows this one.")])
    with pytest.raises(DataError, match="a caption of the picture 8, which its list of pictur"):
        coco_captions("val", tmp_path)
    write_coco(paint, tmp_path, SAID[:1])
    with pytest.raises(DataError, match=r"3.jpg has no caption"):
        coco_captions("val", tmp_path)
    write_coco(paint, tmp_path, SAID)
    (tmp_path / "val2017/7.jpg").unlink()
    with pytest.raises(DataError, match=r"lacks 1 of the 2 files"):
        coco_captions("val", tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"images": []}', '{"images": [{"id": 1}]}'])
def test_a_damaged_table_of_coco_is_refused(content, tmp_path, paint):
    write_coco(paint, tmp_path, SAID)
    (tmp_path / "annotations/captions_val2017.json").write_text(content)
    with pytest.raises(DataError, match=r"captions_val2017.json is damaged"):
        coco_captions("val", tmp_path)


def test_the_real_flickr8k_has_five_captions_a_picture(real_data):
    train, dev = (flickr8k(split, real_data("flickr8k")) for split in ("train", "dev"))
    assert {len(one.captions) for one in train + dev} == {5}
    assert {one.path for one in train}.isdisjoint(one.path for one in dev)
    assert read_picture(train[0].path, size=64).shape == (3, 64, 64)


def test_the_real_coco_has_five_captions_a_picture_or_more(real_data):
    folder = real_data("coco")
    split = "val" if (folder / "val2017").is_dir() else "train"
    assert min(len(one.captions) for one in coco_captions(split, folder)) >= 5
