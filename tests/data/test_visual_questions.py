"""easy-VQA and NLVR: tiny files in the official formats, and what is wrong with some."""

import json

import pytest
import torch

from mmlib.data.photographs import read_picture
from mmlib.data.visual_questions import (
    PAD,
    easy_vqa,
    easy_vqa_answers,
    encode_questions,
    nlvr,
    question_vocabulary,
    tokens_of,
)
from mmlib.data.vocabulary import UnknownWordError
from mmlib.files import DataError

QUESTIONS = [["what is the red shape?", "circle", 0], ["is there a circle?", "yes", 0]]


@pytest.fixture
def easy(tmp_path, paint):
    data = tmp_path / "easy_vqa/data"
    paint(data / "test/images/0.png")
    (data / "test/questions.json").write_text(json.dumps(QUESTIONS))
    (data / "answers.txt").write_text("circle\nyes\nno\n")
    return tmp_path


def test_easy_vqa_is_read(easy):
    shape, there = easy_vqa("test", easy)
    assert (shape.question, shape.answer) == ("what is the red shape?", "circle")
    assert there.picture == shape.picture
    assert read_picture(shape.picture).shape == (3, 8, 12)
    assert easy_vqa_answers(easy) == ("circle", "yes", "no")


def test_easy_vqa_says_what_is_wrong(easy):
    data = easy / "easy_vqa/data"
    with pytest.raises(ValueError, match="no split is called 'val'; there are train, test"):
        easy_vqa("val", easy)
    with pytest.raises(DataError, match=r"there is no .*train.questions.json"):
        easy_vqa("train", easy)
    (data / "test/questions.json").write_text(json.dumps([*QUESTIONS, ["one more?", "no", 4]]))
    with pytest.raises(DataError, match=r"lacks 1 of the 2 files .*4.png"):
        easy_vqa("test", easy)
    (data / "answers.txt").unlink()
    with pytest.raises(DataError, match=r"there is no .*answers.txt"):
        easy_vqa_answers(easy)


@pytest.mark.parametrize(
    "content", ["", "[[1, 2]]", '[["a", "b", "c"]]', "[3]", '[[null, "b", 1]]']
)
def test_damaged_questions_are_refused(content, easy):
    (easy / "easy_vqa/data/test/questions.json").write_text(content)
    with pytest.raises(DataError, match=r"questions.json is damaged"):
        easy_vqa("test", easy)


RECORD = {
    "sentence": "There is a tower .",
    "label": "true",
    "identifier": "12-3",
    "directory": "5",
    "structured_rep": [[], [], []],
}


def write_nlvr(folder, *records):
    (folder / "nlvr/dev").mkdir(parents=True, exist_ok=True)
    lines = [
        one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in records
    ]
    (folder / "nlvr/dev/dev.json").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_nlvr_is_read_with_the_pictures_that_are_here(tmp_path, paint):
    said = "There is\u2028a tower ."
    write_nlvr(
        tmp_path, RECORD, {**RECORD, "label": "false", "identifier": "12-4", "sentence": said}
    )
    for name in ("12-3-0", "12-3-4", "12-4-1"):
        paint(tmp_path / f"nlvr/dev/images/5/dev-{name}.png")
    true, false = nlvr("dev", tmp_path)
    assert (true.true, false.true, true.identifier) == (True, False, "12-3")
    assert (true.sentence, false.sentence) == ("There is a tower .", said)
    assert [path.name for path in true.pictures] == ["dev-12-3-0.png", "dev-12-3-4.png"]


def test_nlvr_says_what_is_wrong(tmp_path):
    write_nlvr(tmp_path, RECORD)
    with pytest.raises(DataError, match=r"has no picture of 12-3"):
        nlvr("dev", tmp_path)
    with pytest.raises(DataError, match=r"there is no .*train.json: this copy lacks that part"):
        nlvr("train", tmp_path)
    with pytest.raises(ValueError, match="no split is called 'val'; there are train, dev, test, h"):
        nlvr("val", tmp_path)


@pytest.mark.parametrize(
    "bad", ["", "{}", "[1]", {**RECORD, "label": "maybe"}, {**RECORD, "sentence": None}]
)
def test_a_damaged_line_is_named(bad, tmp_path):
    write_nlvr(tmp_path, RECORD, bad, RECORD)
    with pytest.raises(DataError, match=r"dev.json, line 2 is damaged"):
        nlvr("dev", tmp_path)


def test_the_real_easy_vqa_is_whole(real_data):
    folder = real_data("easy-VQA")
    train, test = (easy_vqa(split, folder) for split in ("train", "test"))
    assert len(train) + len(test) == 48_248  # as its authors say
    assert {one.answer for one in train} == set(easy_vqa_answers(folder))
    assert read_picture(test[0].picture).shape == (3, 64, 64)


def test_the_real_nlvr_is_about_half_true(real_data):
    for split in ("dev", "test"):
        statements = nlvr(split, real_data("nlvr"))
        assert 0.5 < sum(one.true for one in statements) / len(statements) < 0.6


def test_questions_become_numbers_and_come_back():
    assert tokens_of("Is it Day, or night?") == ["is", "it", "day", "or", "night"]
    vocabulary = question_vocabulary(["Is it day or night?", "is there a dog"])
    assert vocabulary.words[0] == PAD
    assert list(vocabulary.words[1:]) == sorted(vocabulary.words[1:])
    numbers = encode_questions([["Is it day or night?"], ["is it NIGHT"]], vocabulary)
    assert numbers.shape == (2, 1, 5)
    assert numbers.dtype == torch.int64
    assert vocabulary.decode(numbers[0, 0]) == ["is", "it", "day", "or", "night"]
    assert vocabulary.decode(numbers[1, 0]) == ["is", "it", "night", PAD, PAD]


def test_what_is_no_question_is_refused():
    vocabulary = question_vocabulary(["is it day or night"])
    with pytest.raises(UnknownWordError, match=r"'nihgt' is not among .* did you mean 'night'"):
        encode_questions([["is it nihgt"]], vocabulary)
    with pytest.raises(ValueError, match="a question has no word: ask in words"):
        encode_questions([["?!"]], vocabulary)
    with pytest.raises(ValueError, match=r"the scenes have \[1, 2\] questions: give each equally"):
        encode_questions([["is it day"], ["is it day", "is it night"]], vocabulary)
