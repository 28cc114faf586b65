"""Real sounds: one audio file in and out, ESC-50, the free spoken digits, and fair splits.

Built on soundfile. ESC-50: K. J. Piczak, ACM Multimedia 2015. Free Spoken Digit Dataset:
Z. Jackson et al., 2018. The addresses, licences and citations stand in ``catalogue``.
"""

import csv
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from scipy.signal import resample_poly
from torch import Tensor

from mmlib.data.download import locate
from mmlib.files import written_whole
from mmlib.shapes import check_finite, check_floating, check_shape


class RecordingError(ValueError):
    """An audio file, or the table of a data set, that cannot be read."""


def read_audio(
    path: str | os.PathLike, *, sample_rate: int | None = None, mono: bool = True
) -> tuple[Tensor, int]:
    """Read the audio file ``path`` (WAV, FLAC, OGG and what else libsndfile knows).

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
        RecordingError: the file is empty, cut short, damaged or no audio, or holds NaN.
    """
    path = Path(path)
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
            # libsndfile reads a WAV file that was cut short without complaint, but notes it
            short = re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
            samples, rate = file.read(dtype="float32", always_2d=True), file.samplerate
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise RecordingError(f"{path} is damaged or no audio file ({error}): {remedy}") from error
    if short and int(short[1]) > int(short[2]):
        raise RecordingError(
            f"{path} is cut short: it has {short[2]} of the {short[1]} bytes it announces: {remedy}"
        )
    if len(samples) == 0:
        raise RecordingError(f"{path} holds no samples: {remedy}")
    samples = torch.from_numpy(samples.T.copy())
    try:
        check_finite(samples, name=str(path))
    except ValueError as error:
        raise RecordingError(str(error)) from error
    return samples, rate


def resample(samples: Tensor, rate: int, new_rate: int) -> Tensor:
    """Return ``samples`` (..., time) taken ``new_rate`` instead of ``rate`` times a second.

    Raises:
        ValueError: a rate is not above 0, or ``samples`` is empty.
    """
    check_shape(samples, "... time", name="samples")
    check_floating(samples, name="samples")
    if rate <= 0 or new_rate <= 0:
        raise ValueError(f"cannot resample from {rate} to {new_rate} Hz: both must be above 0")
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
        ValueError: ``samples`` is empty, not finite, or louder than full scale.
        OSError: the disk refused.
    """
    check_shape(samples, "... time", name="samples")
    check_floating(samples, name="samples")
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
        RecordingError: a column or a sound that the table names is missing.
    """
    folder = locate("esc50") if folder is None else folder
    table = folder / "meta" / "esc50.csv"
    official = (folder / "audio").is_dir()
    clips = []
    with table.open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            try:
                name = Path(row["filename"])
                path = folder / "audio" / name
                if not official:
                    path = folder / "audio-flac" / name.with_suffix(".flac")
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
                raise RecordingError(f"{table} has no column {missing}: restore it") from missing
    _check_present([clip.path for clip in clips], folder)
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
        RecordingError: there is no recording named ``digit_speaker_index.wav``.
    """
    folder = locate("free-spoken-digit-dataset") if folder is None else folder
    found = []
    for path in (folder / "recordings").glob("*.wav"):
        if named := re.fullmatch(r"(\d)_([^_]+)_(\d+)", path.stem):
            found.append(SpokenDigit(path, int(named[1]), named[2], int(named[3])))
    if not found:
        raise RecordingError(f"{folder} has no recordings/digit_speaker_index.wav: restore it")
    return sorted(found, key=lambda one: (one.digit, one.speaker, one.index))


def _check_present(paths: Sequence[Path], folder: Path) -> None:
    missing = [path for path in paths if not path.is_file()]
    if missing or not paths:
        first = f", the first is {missing[0]}" if missing else ""
        raise RecordingError(
            f"{folder} lacks {len(missing)} of the {len(paths)} sounds in its table{first}: "
            "remove the folder and fetch it again"
        )
