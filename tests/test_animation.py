"""An animation holds every frame, its sound and its words, and refuses what it cannot show."""

import base64
import io
import re

import numpy as np
import pytest
import soundfile
from PIL import Image

from mmlib import animation

SOUND = {"fps": 25, "signal": np.zeros(1600), "sample_rate": 16_000, "alt": "a", "transcript": "b"}


def test_every_frame_lies_in_its_place():
    levels = np.linspace(0, 1, 23, dtype=np.float32)
    pictures = np.broadcast_to(levels[:, None, None, None], (23, 3, 16, 24))
    shown = animation.talking(pictures, **SOUND).data
    data = re.search(r"data:image/jpeg;base64,([^\"]+)", shown)[1]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) / 255
    assert sheet.shape == (3 * 16, 10 * 24, 3)
    for number, level in enumerate(levels):
        row, column = divmod(number, 10)
        found = sheet[16 * row + 8, 24 * column + 12]
        assert np.allclose(found, level, atol=0.03)


def test_it_has_a_sound_words_for_both_and_starts_at_its_poster():
    shown = animation.talking(
        np.zeros((23, 3, 8, 8)),
        **SOUND | {"alt": 'a "face"', "transcript": "it says <b>"},
        poster=12,
    ).data
    data = re.search(r"data:audio/wav;base64,([^\"]+)", shown)[1]
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert (len(samples), rate) == (1600, 16_000)
    assert "a &quot;face&quot;" in shown
    assert "<figcaption>it says &lt;b&gt;</figcaption>" in shown
    assert "translate(-20.0%,-33.33" in shown  # column 2 of 10, row 1 of 3
    assert "Math.min(22," in shown


@pytest.mark.parametrize(
    ("pictures", "options", "message"),
    [
        (np.zeros((3, 8, 8)), {}, r"pictures has shape \(3, 8, 8\)"),
        (np.zeros((0, 3, 8, 8)), {}, r"pictures has shape \(0, 3, 8, 8\)"),
        (np.zeros((2, 3, 8, 8)), {"poster": 2}, "poster is 2, the frames are 0 to 1"),
    ],
)
def test_bad_input_is_refused(pictures, options, message):
    with pytest.raises(ValueError, match=message):
        animation.talking(pictures, **SOUND, **options)
