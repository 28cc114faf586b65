"""What pages show: numbers arrive in the book, sounds can be decoded, bad input is refused."""

import base64
import io
import math
import re

import numpy as np
import pytest
import soundfile
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from PIL import Image

from mmlib import page, plotting


def test_glue_is_what_myst_nb_writes():
    from myst_nb import glue as theirs

    InteractiveShell.instance()
    shown = []
    for call in (lambda: page.glue("score", 0.5), lambda: theirs("score", 0.5, display=False)):
        with capture_output() as captured:
            call()
        (output,) = captured.outputs
        shown.append((output.data, output.metadata["scrapbook"]))
    assert shown[0] == shown[1]


def test_glue_takes_scalars_of_torch_and_numpy_as_plain_numbers():
    InteractiveShell.instance()
    with capture_output() as captured:
        page.glue("a", torch.tensor(2.5))
        page.glue("b", np.float32(2.5))
        page.glue("c", "word")
    texts = [output.data[f"{page.GLUE}text/plain"] for output in captured.outputs]
    assert texts == ["2.5", "2.5", "word"]


def test_glue_says_how_closely_the_value_must_be_found_again():
    InteractiveShell.instance()
    with capture_output() as captured:
        page.glue("exact", 2.5)
        page.glue("trained", 2.5, within=0.1)
        page.glue("seconds", 2.5, within=None)
    assert [output.metadata["within"] for output in captured.outputs] == [1e-3, 0.1, None]


@pytest.mark.parametrize("within", [-0.1, math.nan])
def test_glue_refuses_a_tolerance_that_nothing_can_meet(within):
    with pytest.raises(ValueError, match="within is"):
        page.glue("x", 1, within=within)


@pytest.mark.parametrize(
    "text", ["17,732", "3,093,136", "word", "0.5", "1, 2", "[1]", "None", "it's", "'quoted'", "a b"]
)
def test_a_glued_text_is_shown_as_it_is(text):
    from myst_nb.core.variables import format_plain_text

    InteractiveShell.instance()
    with capture_output() as captured:
        page.glue("text", text)
    (output,) = captured.outputs
    assert format_plain_text(output.data[f"{page.GLUE}text/plain"], "") == text


def test_a_glued_figure_is_the_figure_as_a_png():
    InteractiveShell.instance()
    figure, _ = plotting.new_figure(width=2, height=1)
    with capture_output() as captured:
        page.glue_figure("finished", figure)
    (output,) = captured.outputs
    assert output.metadata == {"scrapbook": {"name": "finished", "mime_prefix": page.GLUE}}
    picture = Image.open(io.BytesIO(base64.b64decode(output.data[f"{page.GLUE}image/png"])))
    assert picture.size == (200, 100)


def decode(player):
    data = re.search(r"base64,([^\"]+)", player.data)[1]
    return soundfile.read(io.BytesIO(base64.b64decode(data)))


def test_a_player_plays_the_sound_at_its_own_loudness():
    signal = 0.25 * torch.sin(torch.arange(800) / 5)
    samples, rate = decode(page.sound(signal, sample_rate=8000, transcript="a tone"))
    assert rate == 8000
    np.testing.assert_allclose(samples, signal, atol=1e-4)


def test_a_sound_that_would_clip_is_scaled_down():
    samples, _ = decode(page.sound([0.0, 4.0, -2.0], sample_rate=8000, transcript="loud"))
    np.testing.assert_allclose(samples, [0, 1, -0.5], atol=1e-4)


def test_a_transcript_cannot_break_out_of_the_page():
    player = page.sound([0.0, 1.0], sample_rate=8000, transcript='"><script>')
    assert "<script>" not in player.data


@pytest.mark.parametrize(
    ("signal", "message"),
    [([[0.0]], r"shape \(1, 1\)"), ([], "needs one axis"), ([0.0, np.nan], "NaN")],
)
def test_a_bad_sound_is_refused(signal, message):
    with pytest.raises(ValueError, match=message):
        page.sound(signal, sample_rate=8000, transcript="x")


def test_a_table_shows_three_digits_and_escapes_bars():
    text = page.table(
        ["name", "score"],
        [["a|b", 0.123456], ["c", torch.tensor(2.0)], ["d", 7], ["e", 150.2], ["f", math.nan]],
    ).data
    assert text.splitlines() == [
        "| name | score |",
        "| :-- | --: |",
        r"| a\|b | 0.123 |",
        "| c | 2.00 |",
        "| d | 7 |",
        "| e | 150 |",
        "| f | – |",
    ]


@pytest.mark.parametrize(
    ("column", "side"),
    [
        ([1, 0.5], "--:"),
        (["0.72 (0.70 to 0.74)", "–", "-3"], "--:"),
        (["12 of 20", "1,532", ".5"], "--:"),
        (["dog 0.98, bell 0.88"], ":--"),
        (["yes", 1], ":--"),
        ([], ":--"),
    ],
)
def test_numbers_stand_to_the_right_and_words_to_the_left(column, side):
    text = page.table(["name", "value"], [["row", cell] for cell in column]).data
    assert text.splitlines()[1] == f"| :-- | {side} |"


def test_a_scrub_holds_every_picture_and_shows_the_first():
    figures = [plotting.finished(plotting.new_figure()[0]) for _ in range(3)]
    text = page.scrub(figures, labels=["one", "two", "three"], name="step").data
    assert re.findall(r'<div( hidden)?><img alt="(\w+)"', text) == [
        ("", "one"),
        (" hidden", "two"),
        (" hidden", "three"),
    ]
    assert "<output>one</output>" in text
    assert "<audio" not in text
    with pytest.raises(ValueError, match="3 figures and 2 labels"):
        page.scrub(figures, labels=["one", "two"], name="step")


def test_a_scrub_plays_a_sound_for_each_picture():
    figures = [plotting.finished(plotting.new_figure()[0]) for _ in range(2)]
    waves = [torch.zeros(100), torch.ones(100) / 2]
    text = page.scrub(figures, labels=["quiet", "loud"], name="step", sounds=waves).data
    assert re.findall(r'<audio controls preload="metadata" aria-label="(\w+)"', text) == [
        "quiet",
        "loud",
    ]
    with pytest.raises(ValueError, match="2 figures and 1 sounds"):
        page.scrub(figures, labels=["quiet", "loud"], name="step", sounds=waves[:1])


def test_rows_that_can_be_read_once_only_are_all_shown():
    rows = [["a", 1], ["b", 2]]
    assert (
        page.table(["name", "value"], iter(rows)).data == page.table(["name", "value"], rows).data
    )


@pytest.mark.parametrize("rate", [16000.0, 0, None, "16000"])
def test_a_sample_rate_that_is_no_whole_number_is_refused(rate):
    with pytest.raises(ValueError, match=r"sample_rate is .*, it must be a whole number"):
        page.sound(np.zeros(9), sample_rate=rate, transcript="silence")
    assert "audio" in page.sound(np.zeros(9), sample_rate=np.int64(8000), transcript="silence").data
