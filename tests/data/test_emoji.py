"""Emoji with names, in the layouts of Noto Emoji and emojilib."""

import json

import pytest

from mmlib.data.emoji import noto_emoji
from mmlib.files import DataError

APPLE, HASH, HEART = "🍎", "#️⃣", "❤️"
FILES = ("emoji_u1f34e.png", "emoji_u0023_20e3.png", "emoji_u2764.png")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "png" / "72").mkdir(parents=True)
    for name in FILES:
        (tmp_path / "png" / "72" / name).write_bytes(b"a picture")
    words = {c: [n, "more"] for c, n in ((APPLE, "red_apple"), (HASH, "hash"), (HEART, "heart"))}
    (tmp_path / "emoji-en-US.json").write_text(json.dumps(words))
    return tmp_path


def test_a_name_meets_its_picture_by_code_point(folder):
    found = noto_emoji(folder)
    assert [one.name for one in found] == ["red apple", "hash", "heart"]
    assert tuple(one.path.name for one in found) == FILES
    assert found[0].keywords == ("more",)


def test_both_layouts_say_the_same(folder):
    first = noto_emoji(folder)
    rows = [f"{one.path.name},{one.character},{one.name},more" for one in first]
    (folder / "names.csv").write_text("\n".join(["file,emoji,name,keywords", *rows]))
    (folder / "emoji-en-US.json").unlink()
    assert noto_emoji(folder) == first


def test_a_name_without_a_picture_is_left_aside(folder):
    (folder / "png" / "72" / FILES[1]).unlink()
    assert [one.character for one in noto_emoji(folder)] == [APPLE, HEART]


def test_damage_is_said(folder):
    table = folder / "emoji-en-US.json"
    for text in ("[1, 2]", "{", '{"🍎": []}'):
        table.write_text(text)
        with pytest.raises(DataError, match="is damaged"):
            noto_emoji(folder)
    table.unlink()
    with pytest.raises(DataError, match="there is no"):
        noto_emoji(folder)
    (folder / "names.csv").write_text("emoji,name\n🍎,red apple")
    with pytest.raises(DataError, match="lacks a column"):
        noto_emoji(folder)
    (folder / "names.csv").write_text("emoji,name,keywords\nx,an x,letter")
    with pytest.raises(DataError, match="no picture of its 1 names"):
        noto_emoji(folder)
