"""eSpeak NG: it can be repeated, is cut into phones, and is understood by another program."""

import shutil
import subprocess
import sys
from itertools import pairwise

import pytest
import torch

pytest.importorskip("espeakng_loader")

from mmlib.data.espeak import SAMPLE_RATE, SILENCE, speak
from mmlib.speech_recogniser import recogniser, word_recall
from mmlib.vision_audio.speech2face import pitch_of
from mmlib.world.short_captions import CAPTION_RULE

TEXT = "a red bird in the forest"


def test_phones_cover_the_wave_without_a_gap():
    wave, phones = speak(TEXT + ", and a dog")
    assert wave.dtype == torch.float32
    assert wave.abs().max() <= 1
    assert phones[0].start == 0
    assert abs(phones[-1].end - len(wave) / SAMPLE_RATE) < 2 / SAMPLE_RATE
    assert all(one.end == next_one.start for one, next_one in pairwise(phones))


def test_a_pause_is_silent_and_a_vowel_is_not():
    wave, phones = speak("red. bird.")
    level = {}
    for phone in phones:
        part = wave[int(phone.start * SAMPLE_RATE) : int(phone.end * SAMPLE_RATE)]
        level.setdefault(phone.name, []).append(float(part.square().mean()))
    assert max(level[SILENCE]) < 0.01 * max(level["E"])
    order = [phone.name for phone in phones if phone.name != SILENCE]
    assert order == ["r", "E", "d", "b", "3:", "d"]


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="the program espeak-ng is not here")
@pytest.mark.parametrize("text", [TEXT, "two children climb", "the dog jumps over a white fence"])
def test_the_phones_are_those_that_the_program_writes(text):
    """Against the program: its mnemonics, which stand without separators, but for allophones."""
    command = ["espeak-ng", "-v", "en-us", "-q", "-x", "--sep=_", text]
    written = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    theirs = [one.lstrip("',%=") for word in written.split() for one in word.split("_") if one]
    ours = [phone.name for phone in speak(text).phones if phone.name != SILENCE]
    same = sum(a[0] == b[0] for a, b in zip(ours, theirs, strict=False))
    assert len(ours) == pytest.approx(len(theirs), abs=1)
    assert same >= 0.8 * len(theirs)


def test_a_female_variant_is_higher():
    low, high = (speak(TEXT, voice).wave for voice in ("en-us", "en-us+f2"))
    assert pitch_of(high[None]) > 1.3 * pitch_of(low[None])


def test_a_new_process_says_the_same():
    program = (
        "import hashlib; from mmlib.data.espeak import speak\n"
        "waves = [speak('one dog', v).wave.numpy().tobytes() for v in ('en-us', 'en-us+f2') * 2]\n"
        "print(hashlib.sha256(b''.join(waves)).hexdigest())"
    )
    command = [sys.executable, "-c", program]
    first, second = (subprocess.check_output(command, text=True) for _ in range(2))
    assert len(first.strip()) == 64
    assert first == second


@pytest.mark.parametrize("text", ["", "  ", "..."])
def test_nothing_to_say_is_refused(text):
    with pytest.raises(ValueError, match="nothing that can be said"):
        speak(text)


@pytest.mark.parametrize(
    ("voice", "message"),
    [
        ("martian", "no voice 'martian'"),
        ("en-us+f99", r"no variant 'f99', but .*f1, f2"),
        ("en-us+../x", "no variant"),
    ],
)
def test_a_voice_that_is_not_there_is_refused(voice, message):
    with pytest.raises(ValueError, match=message):
        speak(TEXT, voice)


def test_without_the_package_the_error_names_it(monkeypatch):
    from mmlib.data import espeak

    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ImportError, match="pip install espeakng-loader"):
        espeak._Library()


@pytest.mark.slow
def test_pocketsphinx_understands_it_and_not_backwards():
    """PocketSphinx, trained on people; the grammar is that of the chapter's captions."""
    pytest.importorskip("pocketsphinx")
    truth = [("red", "bird", "forest"), ("blue", "car", "town"), ("pink", "clock", "meadow"),
             ("green", "frog", "mountains"), ("white", "boat", "beach")]  # fmt: skip
    where = {"beach": "on the beach", "forest": "in the forest", "town": "in the town",
             "meadow": "in the meadow", "mountains": "in the mountains"}  # fmt: skip
    waves = [speak(f"a {a} {b} {where[c]}", "en-us+f2").wave for a, b, c in truth]
    listen = recogniser(CAPTION_RULE)
    assert word_recall([listen(wave) for wave in waves], truth).mean() > 0.7
    assert word_recall([listen(wave.flip(0)) for wave in waves], truth).mean() < 0.4
