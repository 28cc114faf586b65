"""Real sounds: one audio file in and out, ESC-50, the free spoken digits, and fair splits.

Built on soundfile. ESC-50: K. J. Piczak, ACM Multimedia 2015. Free Spoken Digit Dataset:
Z. Jackson et al., 2018. The addresses, licences and citations stand in ``catalogue``.
"""

import csv
import io
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from scipy.signal import resample_poly
from torch import Tensor

from mmlib.data.download import locate
from mmlib.files import DataError, check_present, list_files, read_text, written_whole
from mmlib.shapes import check_finite, check_floating, check_shape, check_whole

# formats in which a file that was cut short is told from a whole one, but for MP3
_FORMATS = {"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3"}
# what libsndfile notes of a file that is shorter than it says, such as "data : 9 (should be 5)"
_CUT = re.compile(r"^ *(?:data|SSND|riff|Data Size) *: (\d+) \(should be (\d+)\)", re.MULTILINE)
_CUT_RF64 = "does not match value from 'ds64' chunk"
_UNKNOWN = 2**31 - 2**16  # bytes, about: what a program writes which does not know the length yet


def read_audio(
    path: str | os.PathLike, *, sample_rate: int | None = None, mono: bool = True
) -> tuple[Tensor, int]:
    """Read the audio file ``path``: WAV (also RF64 and W64), AIFF, AU, CAF, FLAC, OGG or MP3.

    A file that was cut short is refused; only an MP3 file does not say how long it is. A WAV file
    from a pipe, which says that it is endless, is read to its end.

    Args:
        path: the file.
        sample_rate: resample to this many samples per second (polyphase filter of
            ``scipy.signal.resample_poly``); ``None`` leaves the rate as it is in the file.
        mono: return the mean of the channels.

    Returns:
        the samples, float32, full scale is 1: (time,), or (channels, time) if ``mono`` is false;
        and their sample rate in Hz.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file is empty, cut short, damaged or of another format, or holds NaN.
        ValueError: ``sample_rate`` is no whole number of 1 or more.
    """
    path = Path(path)
    if sample_rate is not None:
        sample_rate = check_whole(sample_rate, name="sample_rate")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    samples, rate = _decode(path)
    if mono:
        samples = samples.mean(dim=0)
    if sample_rate is not None and sample_rate != rate:
        samples = resample(samples, rate, sample_rate)
        rate = sample_rate
    return samples, rate


def _decode(path: Path) -> tuple[Tensor, int]:
    """Return all channels of a file, (channels, time) in float32, and the sample rate."""
    remedy = "replace it with a fresh copy"
    try:
        with soundfile.SoundFile(path) as file:
            samples, rate = file.read(dtype="float32", always_2d=True), file.samplerate
            name, notes = file.format, file.extra_info
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise DataError(f"{path} is damaged or no audio file ({error}): {remedy}") from error
    if name not in _FORMATS:
        raise DataError(f"{path} has the format {name}, not one of {sorted(_FORMATS)}: convert it")
    sizes = [(int(announced), int(found)) for announced, found in _CUT.findall(notes)]
    cut = any(found < size and (size < _UNKNOWN or found >= _UNKNOWN) for size, found in sizes)
    if cut or _CUT_RF64 in notes or (name == "OGG" and not _ends(path)):
        raise DataError(f"{path} is cut short, it says that it is longer: {remedy}")
    if len(samples) == 0:
        raise DataError(f"{path} holds no samples: {remedy}")
    samples = torch.from_numpy(samples.T.copy())
    try:
        check_finite(samples, name=str(path))
    except ValueError as error:
        raise DataError(str(error)) from error
    return samples, rate


def _ends(path: Path) -> bool:
    """Whether the last page of an Ogg file is whole and marked as the last (RFC 3533, 6)."""
    content = path.read_bytes()
    page = content[content.rfind(b"OggS") :]
    head = 27 + page[26] if len(page) > 26 else len(page) + 1  # what stands before the data
    return len(page) >= head + sum(page[27:head]) and bool(page[5] & 4)


def resample(samples: Tensor, rate: int, new_rate: int) -> Tensor:
    """Return ``samples`` (..., time) taken ``new_rate`` instead of ``rate`` times a second.

    Raises:
        ValueError: a rate is no whole number of 1 or more, or ``samples`` is empty.
    """
    check_shape(samples, "... time", name="samples")
    check_floating(samples, name="samples", bits=32)
    rate, new_rate = check_whole(rate, name="rate"), check_whole(new_rate, name="new_rate")
    common = math.gcd(rate, new_rate)
    changed = resample_poly(samples.cpu().numpy(), new_rate // common, rate // common, axis=-1)
    return torch.from_numpy(changed).to(samples)


def write_audio(path: str | os.PathLike, samples: Tensor, rate: int) -> None:
    """Write ``samples`` to ``path`` with 16 bits each; the ending (.wav, .flac) names the format.

    The file appears whole or not at all.

    Args:
        path: the file; one that is there is replaced.
        samples: (time,) or (channels, time), between -1 and 1.
        rate: samples per second.

    Raises:
        ValueError: ``samples`` is empty, not finite, or louder than full scale, or ``rate`` is no
            whole number of 1 or more.
        OSError: the disk refused.
    """
    rate = check_whole(rate, name="rate")
    check_shape(samples, "... time", name="samples")
    check_floating(samples, name="samples", bits=32)
    check_finite(samples, name="samples")
    peak = float(samples.abs().max())
    if peak > 1:
        raise ValueError(f"samples reach {peak:.3g}, full scale is 1: divide them by their maximum")
    with written_whole(path) as file:
        soundfile.write(file, samples.detach().cpu().numpy().T, rate, subtype="PCM_16")


@dataclass(frozen=True)
class Esc50Clip:
    """One clip of ESC-50: 5 seconds of an everyday sound."""

    path: Path
    fold: int  # of the official five, 1 to 5; clips of one source share a fold
    target: int  # the class as a number, 0 to 49
    category: str  # the class in words, such as "crying_baby"
    esc10: bool  # belongs to the ten-class subset ESC-10
    source: str  # the Freesound recording that the clip was cut from


def esc50_clips(folder: Path | None = None) -> list[Esc50Clip]:
    """List the clips of ESC-50 in the order of its table ``meta/esc50.csv``.

    The sounds are ``audio/*.wav`` as the official archive has them; where that folder is absent,
    ``audio-flac/*.flac`` with the same stems.

    Args:
        folder: where the data set lies; ``None`` asks ``download.locate``.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: the table, a column or a sound that it names is missing, or a row is damaged.
    """
    folder = locate("esc50") if folder is None else folder
    table = folder / "meta" / "esc50.csv"
    official = (folder / "audio").is_dir()
    clips = []
    rows = csv.DictReader(io.StringIO(read_text(table), newline=""), strict=True)
    try:
        for row in rows:
            path = folder / "audio" / row["filename"]
            if not official:
                path = folder / "audio-flac" / Path(row["filename"]).with_suffix(".flac")
            clips.append(
                Esc50Clip(
                    path=path,
                    fold=int(row["fold"]),
                    target=int(row["target"]),
                    category=row["category"],
                    esc10=row["esc10"] == "True",
                    source=row["src_file"],
                )
            )
    except KeyError as missing:
        raise DataError(f"{table} has no column {missing}: restore it") from missing
    except (ValueError, TypeError, csv.Error) as error:  # a short row ends in None
        where = f"{table}, line {rows.line_num}"
        raise DataError(f"{where} is damaged ({error}): restore it") from error
    check_present([clip.path for clip in clips], folder)
    return clips


@dataclass(frozen=True)
class SpokenDigit:
    """One recording of the Free Spoken Digit Dataset: one digit, 8 kHz."""

    path: Path
    digit: int
    speaker: str
    index: int  # 0 to 49, counts a speaker's recordings of one digit

    @property
    def is_test(self) -> bool:
        """Belongs to the official test part, which is indices 0 to 4."""
        return self.index < 5


def spoken_digits(folder: Path | None = None) -> list[SpokenDigit]:
    """List the recordings of the Free Spoken Digit Dataset, by digit, speaker and index.

    Args:
        folder: where the data set lies; ``None`` asks ``download.locate``.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: there is no recording named ``digit_speaker_index.wav``.
    """
    folder = locate("free-spoken-digit-dataset") if folder is None else folder
    found = []
    for path in list_files(folder / "recordings", ".wav"):
        if named := re.fullmatch(r"(\d)_([^_]+)_(\d+)", path.stem):
            found.append(SpokenDigit(path, int(named[1]), named[2], int(named[3])))
    if not found:
        raise DataError(f"{folder} has no recordings/digit_speaker_index.wav: restore it")
    return sorted(found, key=lambda one: (one.digit, one.speaker, one.index))
