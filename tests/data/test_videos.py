"""Clips in the MPEG-1 program stream, packed here byte by byte, and the real ones of GRID."""

import importlib
import io
import math

import numpy as np
import pytest
import soundfile
import torch

from mmlib.data.talking_faces import grid_clips, grid_words, read_alignment
from mmlib.data.videos import program_stream_sound, read_video
from mmlib.files import DataError

PACK = bytes.fromhex("000001ba210001000180 1425".replace(" ", ""))
END = bytes.fromhex("000001b9")
PICTURE = 0xE0


def packet(kind, payload, header):
    body = header + payload
    return b"\0\0\1" + bytes([kind]) + len(body).to_bytes(2, "big") + body


HEADERS = {
    "bare": b"\x0f",
    "stuffed": b"\xff\xff\xff\x0f",
    "buffer": b"\x40\x20\x0f",
    "time": bytes.fromhex("2100010001"),
    "two times": bytes.fromhex("31000100011100010001"),
    "all": b"\xff\x40\x20" + bytes.fromhex("31000100011100010001"),
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_the_sound_comes_out_as_it_was_packed(header):
    payload = bytes(range(1, 200))
    stream = PACK + packet(PICTURE, payload, b"\x0f")
    for start in (0, 100):
        stream += packet(0xC0, payload[start : start + 100], header)
        stream += PACK + packet(0xC1, b"another sound", b"\x0f")  # not the first
    assert program_stream_sound(stream + END) == payload


def test_a_packet_of_pictures_may_hold_what_looks_like_a_sound():
    inner = packet(0xC0, b"no sound", b"\x0f")
    stream = PACK + packet(PICTURE, inner, b"\x0f") + packet(0xC0, b"sound", b"\x0f") + END
    assert program_stream_sound(stream) == b"sound"
    assert program_stream_sound(stream + packet(0xC0, b"after the end", b"\x0f")) == b"sound"


@pytest.mark.parametrize("stream", [b"", b"\0\0\1", b"no video at all", PACK, PACK + END])
def test_without_sound_there_are_no_bytes(stream):
    assert program_stream_sound(stream) == b""


@pytest.mark.parametrize("kind", [0xC0, PICTURE])
def test_a_stream_cut_short_within_a_packet_is_refused(kind):
    one, last = packet(0xC0, b"first", b"\x0f"), packet(kind, b"last", b"\x0f")
    with pytest.raises(DataError, match="cut short within a packet"):
        program_stream_sound(PACK + one + last[:-2])


def tone_as_mpeg(rate=44_100, frequency=440.0):
    file = io.BytesIO()
    samples = 0.5 * np.sin(2 * math.pi * frequency * np.arange(rate) / rate)
    soundfile.write(file, samples, rate, format="MP3")
    return file.getvalue()


@pytest.fixture
def clip(tmp_path):
    """A clip of a red and of a green second, with a tone: pictures and sound, one after another."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "pictures.mpg"
    film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"PIM1"), 25.0, (64, 48))
    for frame in range(50):
        film.write(np.full((48, 64, 3), (0, 0, 200) if frame < 25 else (0, 200, 0), np.uint8))
    film.release()
    sound = tone_as_mpeg()
    packets = (packet(0xC0, sound[n : n + 2000], b"\x0f") for n in range(0, len(sound), 2000))
    both = tmp_path / "clip.mpg"
    both.write_bytes(path.read_bytes().removesuffix(END) + b"".join(packets) + END)
    return both


def test_pictures_and_sound_are_read(clip):
    video = read_video(clip)
    frames, colours, height, width = video.frames.shape
    assert (colours, height, width) == (3, 48, 64)
    assert abs(frames - 50) <= 1
    assert video.frame_rate == 25
    red, green, blue = video.frames[2].float().mean((1, 2))
    assert red > 150
    assert max(green, blue) < 60
    assert video.frames[-3].float().mean((1, 2)).argmax() == 1
    assert video.sample_rate == 44_100
    assert video.samples.dtype == torch.float32
    spectrum = torch.fft.rfft(video.samples[8820:30870]).abs()  # half a second: bins of 2 Hz
    assert abs(2 * int(spectrum.argmax()) - 440) <= 2


def test_what_is_no_clip_is_refused(tmp_path, clip):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*absent.mpg"):
        read_video(tmp_path / "absent.mpg")
    with pytest.raises(DataError, match=r"pictures.mpg holds no sound"):
        read_video(tmp_path / "pictures.mpg")
    (tmp_path / "text.mpg").write_text("This is no video.")
    with pytest.raises(DataError, match=r"text.mpg holds no pictures, or is no video"):
        read_video(tmp_path / "text.mpg")
    noise = packet(0xC0, b"this is no sound" * 20, b"\x0f") + END
    (tmp_path / "deaf.mpg").write_bytes(
        (tmp_path / "pictures.mpg").read_bytes().removesuffix(END) + noise
    )
    with pytest.raises(DataError, match=r"the sound of .*deaf.mpg is damaged"):
        read_video(tmp_path / "deaf.mpg")


def test_without_opencv_the_error_says_what_to_install(tmp_path, monkeypatch):
    def no_import(name):
        raise ImportError(f"no {name}")

    (tmp_path / "a.mpg").write_bytes(PACK)
    monkeypatch.setattr(importlib, "import_module", no_import)
    with pytest.raises(ImportError, match=r"needs OpenCV.*pip install opencv-python-headless"):
        read_video(tmp_path / "a.mpg")


def test_the_real_clips(real_data):
    pytest.importorskip("cv2")
    folder = real_data("grid")
    for clip in grid_clips(folder):
        video = read_video(clip.path)
        assert video.frames.shape == (75, 3, 288, 360)
        assert (video.frame_rate, video.sample_rate) == (25, 44_100)
        assert abs(len(video.samples) / video.sample_rate - 3) < 0.05
        assert 0.1 < video.samples.abs().max() < 1.3
    aligned = read_alignment(folder / "id2_vcd_swwp2s.align")
    words = tuple(word for word, _, _ in aligned if word != "sil")
    assert words == grid_words("swwp2s")
