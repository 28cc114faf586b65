"""English speech by eSpeak NG: rules for pronunciation, and voices made of formants.

J. Duddington, R. H. Dunn and others, github.com/espeak-ng/espeak-ng. It is the work of others
under the GPL, and no dependency of mmlib: ``pip install espeakng-loader`` brings the library and
its data. What is called here by ``ctypes`` stands in its header ``speak_lib.h``.

The library has one state for the whole process: one text after the other, from one thread. Phase
and tremor of the voice go on from text to text, so nothing is said twice in quite the same way; a
new process that says the same texts in the same order gives the same waves.
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmlib.data.recordings import resample

SAMPLE_RATE = 16_000
SILENCE = "SIL"
# of speak_lib.h
_SYNCHRONOUS, _PHONEME_EVENTS, _DONT_EXIT = 2, 0x0001, 0x8000  # to espeak_Initialize
_CHARACTERS, _UTF8 = 1, 1  # to espeak_Synth
_LAST_EVENT, _PHONEME_EVENT = 0, 7


class Phone(NamedTuple):
    """One sound of speech, and when it is heard."""

    name: str  # in eSpeak NG's own notation, without marks of stress; SILENCE is silence
    start: float  # seconds
    end: float


class Utterance(NamedTuple):
    """What was said."""

    wave: Tensor  # (time,) at SAMPLE_RATE, float32, full scale is 1
    phones: list[Phone]  # in order, from 0 to the end of the wave, without a gap


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):  # espeak_EVENT
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class _Library:
    """The loaded library; what it says arrives in two lists."""

    def __init__(self) -> None:
        try:
            import espeakng_loader  # not one of mmlib's dependencies
        except ImportError as error:
            raise ImportError("eSpeak NG is not here: pip install espeakng-loader") from error
        self.data = Path(espeakng_loader.get_data_path())
        self.calls = ctypes.CDLL(espeakng_loader.get_library_path())
        self.calls.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        self.calls.espeak_Synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint,
            ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        self.rate = self.calls.espeak_Initialize(
            _SYNCHRONOUS, 0, str(self.data).encode(), _PHONEME_EVENTS | _DONT_EXIT
        )
        if self.rate <= 0:
            raise RuntimeError(f"eSpeak NG does not start with its data in {self.data}")
        self.calls.espeak_ng_SetRandSeed(ctypes.c_long(0))  # else the clock
        self.samples: list[np.ndarray] = []
        self.phones: list[tuple[str, int]] = []  # the name, and the sample where it begins
        self._keep = _Callback(self._receive)  # as long as the library may call it
        self.calls.espeak_SetSynthCallback(self._keep)

    def _receive(self, wave, count: int, events) -> int:
        """Take what the library has ready; 0 asks for more."""
        if wave and count:
            self.samples.append(np.ctypeslib.as_array(wave, (count,)).copy())
        place = 0
        while events[place].type != _LAST_EVENT:
            if events[place].type == _PHONEME_EVENT:
                name = events[place].id.string.decode(errors="replace")
                self.phones.append((name, events[place].sample))
            place += 1
        return 0


_library = cache(_Library)


def _choose(voice: str, library: _Library) -> None:
    """Set the voice. The library itself says nothing of a variant that it does not have."""
    _, plus, variant = voice.partition("+")
    variants = sorted(path.name for path in (library.data / "voices" / "!v").iterdir())
    if plus and variant not in variants:
        raise ValueError(f"{voice!r}: there is no variant {variant!r}, but {', '.join(variants)}")
    if library.calls.espeak_SetVoiceByName(voice.encode()):
        raise ValueError(f"there is no voice {voice!r}: try 'en-us', 'en' or 'en-us+f2'")


def speak(text: str, voice: str = "en-us") -> Utterance:
    """Let a voice say a text.

    Args:
        text: English; punctuation becomes pauses.
        voice: a language, and after a plus one of the variants that eSpeak NG has of each voice:
            other formants, other pitch.

    Raises:
        ImportError: ``espeakng-loader`` is not installed.
        ValueError: there is no such voice, or nothing in the text can be said.
    """
    library = _library()
    _choose(voice, library)
    library.samples.clear()
    library.phones.clear()
    said = text.encode()
    library.calls.espeak_Synth(said, len(said) + 1, 0, _CHARACTERS, 0, _UTF8, None, None)
    length = sum(map(len, library.samples))
    phones = _phones(library.phones, library.rate, length)
    if all(phone.name == SILENCE for phone in phones):
        raise ValueError(f"{text!r} has nothing that can be said: give words")
    samples = torch.from_numpy(np.concatenate(library.samples)).float() / 2**15
    return Utterance(resample(samples, library.rate, SAMPLE_RATE), phones)


def _phones(events: list[tuple[str, int]], rate: int, length: int) -> list[Phone]:
    """Return phones one after the other; each lasts until the next begins, the last to the end."""
    starts = [min(start, length) for _, start in events]
    spans: list[Phone] = []
    for (name, _), start, end in zip(events, starts, [*starts[1:], length], strict=True):
        plain = name.lstrip("',%=")  # marks of stress
        if end > start:
            silent = not plain.strip("_:;|")
            spans.append(Phone(SILENCE if silent else plain, start / rate, end / rate))
    return spans
