"""Real clips: pictures and sound of one file in the MPEG-1 program stream of older videos (.mpg).

The pictures are decoded by OpenCV, which Colab has and which is no dependency of mmlib. The sound
is MPEG-1 layer II: its packets are picked out here, and soundfile decodes them.
Source of the layout: ISO/IEC 11172-1, system layer.
"""

import importlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from mmlib.files import DataError

_PACK, _END, _FIRST_STREAM, _SOUND = 0xBA, 0xB9, 0xBB, 0xC0  # the fourth byte of a start code
_PACK_BYTES = 12  # from a pack's start code to the next one


@dataclass(frozen=True)
class Video:
    """What a camera saw and a microphone heard at the same time; both begin at zero."""

    frames: Tensor  # (frames, 3, height, width), uint8
    frame_rate: float  # frames per second
    samples: Tensor  # (time,), float32, mean of the channels, full scale is 1
    sample_rate: int  # samples per second


def read_video(path: str | os.PathLike) -> Video:
    """Read the MPEG-1 clip ``path``: all its pictures and the first of its sounds.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: there are no pictures or no sound in it, or it is cut short or damaged.
        ImportError: OpenCV is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    frames, frame_rate = _read_frames(path)
    try:
        packets = program_stream_sound(path.read_bytes())
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if not packets:
        raise DataError(f"{path} holds no sound, or is no MPEG program stream: choose another")
    try:
        samples, sample_rate = soundfile.read(io.BytesIO(packets), dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise DataError(f"the sound of {path} is damaged ({error}): fetch it again") from error
    return Video(frames, frame_rate, torch.from_numpy(samples).mean(1), sample_rate)


def program_stream_sound(stream: bytes) -> bytes:
    """Return the bytes of the first sound in an MPEG-1 program stream, without its packaging.

    Each unit of the stream opens with 00 00 01 and a byte that says what it is; a packet of sound
    number 0 with C0. Its length follows in two bytes, then a header, then the sound itself.

    Args:
        stream: the whole file.

    Raises:
        DataError: the stream ends within a packet.
    """
    sound, place = [], stream.find(b"\0\0\1")
    while 0 <= place <= len(stream) - 6:
        code, skip = stream[place + 3], 4
        if code == _END:
            break
        if code == _PACK:
            skip = _PACK_BYTES
        elif code >= _FIRST_STREAM:
            skip = 6 + int.from_bytes(stream[place + 4 : place + 6], "big")
            if place + skip > len(stream):
                raise DataError("it is cut short within a packet: replace it with a fresh copy")
            if code == _SOUND:
                sound.append(_without_header(stream[place + 6 : place + skip]))
        place = stream.find(b"\0\0\1", place + skip)
    return b"".join(sound)


def _without_header(packet: bytes) -> bytes:
    """Return what a packet carries: stuffing, buffer size and time stamps come before it."""
    packet = packet.lstrip(b"\xff")  # stuffing; the header's last byte is never FF
    if packet and packet[0] >> 6 == 0b01:  # the size of the decoder's buffer
        packet = packet[2:]
    stamps = {0b0010: 5, 0b0011: 10}  # when to play it; when to decode and when to play it
    return packet[stamps.get(packet[0] >> 4, 1) :] if packet else b""


def _read_frames(path: Path) -> tuple[Tensor, float]:
    """Return (frames, 3, height, width) in uint8, and frames per second."""
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as missing:
        raise ImportError(
            "reading the pictures of a video needs OpenCV, which Colab has: "
            "pip install opencv-python-headless"
        ) from missing
    capture, frames = cv2.VideoCapture(str(path)), []
    frame_rate = capture.get(cv2.CAP_PROP_FPS)
    while True:
        more, frame = capture.read()
        if not more:
            break
        frames.append(frame[..., ::-1])  # OpenCV gives blue, green, red
    capture.release()
    if not frames:
        raise DataError(f"{path} holds no pictures, or is no video: fetch it again")
    # (frames, height, width, 3) → (frames, 3, height, width)
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous(), frame_rate
