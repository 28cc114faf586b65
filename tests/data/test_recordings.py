"""Audio files in and out, and the tables of the two sound data sets."""

import math

import numpy as np
import pytest
import soundfile
import torch

from mmlib.data.recordings import (
    esc50_clips,
    read_audio,
    resample,
    spoken_digits,
    write_audio,
)
from mmlib.files import DataError
from mmlib.runtime import make_generator


def tone(frequency, rate, seconds=0.5):
    time = torch.arange(int(seconds * rate)) / rate
    return 0.5 * torch.sin(2 * math.pi * frequency * time)


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_what_is_written_is_read_within_half_a_step_of_16_bits(ending, tmp_path):
    samples = tone(440, 8000)
    write_audio(tmp_path / f"a.{ending}", samples, 8000)
    read, rate = read_audio(tmp_path / f"a.{ending}")
    assert rate == 8000
    assert read.dtype == torch.float32
    assert (read - samples).abs().max() <= 1 / 32768
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{ending}"]


def test_mono_is_the_mean_of_the_channels(tmp_path):
    stereo = torch.stack([tone(440, 8000), tone(660, 8000)])
    write_audio(tmp_path / "a.wav", stereo, 8000)
    both, _ = read_audio(tmp_path / "a.wav", mono=False)
    mono, _ = read_audio(tmp_path / "a.wav")
    assert both.shape == (2, 4000)
    assert torch.allclose(mono, (both[0] + both[1]) / 2)


@pytest.mark.parametrize(("rate", "new_rate"), [(44100, 16000), (8000, 16000), (16000, 16000)])
def test_a_resampled_tone_is_the_tone_sampled_anew(rate, new_rate, tmp_path):
    write_audio(tmp_path / "a.wav", tone(440, rate), rate)
    read, read_rate = read_audio(tmp_path / "a.wav", sample_rate=new_rate)
    assert read_rate == new_rate
    inside = slice(new_rate // 20, -new_rate // 20)  # away from the filter's run-in
    assert torch.allclose(read[inside], tone(440, new_rate)[inside], atol=2e-3)


def test_a_tone_above_half_the_new_rate_is_removed_not_folded():
    low = resample(tone(7000, 16000), 16000, 8000)
    assert low[400:-400].abs().max() < 0.01


def test_resampling_leaves_dtype_and_leading_axes():
    batch = torch.zeros(2, 3, 100, dtype=torch.float64)
    changed = resample(batch, 10, 20)
    assert (changed.dtype, changed.shape) == (torch.float64, (2, 3, 200))
    with pytest.raises(ValueError, match="new_rate is 0, it must be a whole number"):
        resample(batch, 10, 0)


def damage(path, how):
    whole = path.read_bytes()
    if how == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    if how == "empty":
        path.write_bytes(b"")
    if how == "text":
        path.write_text("this is not a sound")
    if how == "zeros":
        path.write_bytes(whole[:1000] + bytes(len(whole) - 1000))


@pytest.mark.parametrize(
    ("ending", "how"),
    [(e, how) for e in ("wav", "flac") for how in ("cut", "empty", "text")] + [("flac", "zeros")],
)
def test_a_damaged_file_is_one_clear_error_that_names_it(ending, how, tmp_path):
    path = tmp_path / f"clip.{ending}"
    write_audio(path, torch.rand(8000, generator=make_generator(0)), 8000)
    damage(path, how)
    with pytest.raises(DataError, match=rf"clip.{ending} is .*: replace it with a fresh copy"):
        read_audio(path)


HALVED = {
    "WAV": "PCM_16", "WAVEX": "FLOAT", "RF64": "PCM_24", "W64": "PCM_16", "AIFF": "PCM_16",
    "AU": "FLOAT", "CAF": "PCM_16", "FLAC": "PCM_16", "OGG": "VORBIS",
}  # fmt: skip


@pytest.mark.parametrize("kind", HALVED)
def test_a_file_that_was_cut_short_is_refused_in_every_format(kind, tmp_path):
    path = tmp_path / "a"
    samples = torch.randn(30_000, generator=make_generator(0)) / 5
    soundfile.write(path, samples, 8000, format=kind, subtype=HALVED[kind])
    read, _ = read_audio(path)
    assert len(read) == 30_000
    whole = path.read_bytes()
    for share in (0.99, 0.5):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(DataError, match=r"a is .*: replace it with a fresh copy"):
            read_audio(path)


def test_opus_in_ogg_is_read_whole_or_refused(tmp_path):
    path = tmp_path / "a.ogg"
    soundfile.write(path, np.zeros(48_000), 48_000, format="OGG", subtype="OPUS")
    assert len(read_audio(path)[0]) == 48_000
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"a.ogg is (cut short|damaged)"):
        read_audio(path)


@pytest.mark.parametrize("kind", ["PVF", "IRCAM", "NIST"])
def test_a_format_that_does_not_tell_its_length_is_refused(kind, tmp_path):
    soundfile.write(tmp_path / "a", np.zeros(80), 8000, format=kind, subtype="PCM_16")
    with pytest.raises(DataError, match=rf"a has the format {kind}, not one of .*: convert it"):
        read_audio(tmp_path / "a")


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0xFFFFFFFF - 36, 0x7FFFFFFF - 36])
def test_a_wave_file_from_a_pipe_is_read_to_its_end(size, tmp_path):
    samples = tone(440, 8000)
    write_audio(tmp_path / "a.wav", samples, 8000)
    piped = bytearray((tmp_path / "a.wav").read_bytes())
    piped[4:8] = piped[40:44] = size.to_bytes(4, "little")  # of the file and of its data
    (tmp_path / "piped.wav").write_bytes(piped)
    read, _ = read_audio(tmp_path / "piped.wav")
    assert torch.equal(read, read_audio(tmp_path / "a.wav")[0])


@pytest.mark.parametrize("rate", [16000.0, 0, "16000", None])
def test_a_sample_rate_that_is_no_whole_number_is_refused(rate, tmp_path):
    samples = tone(440, 8000)
    write_audio(tmp_path / "a.wav", samples, 8000)
    with pytest.raises(ValueError, match=r"rate is .*, it must be a whole number of 1 or more"):
        resample(samples, 8000, rate)
    with pytest.raises(ValueError, match=r"rate is .*, it must be a whole number of 1 or more"):
        write_audio(tmp_path / "b.wav", samples, rate)
    if rate is not None:
        with pytest.raises(ValueError, match=r"sample_rate is .*, it must be a whole number"):
            read_audio(tmp_path / "a.wav", sample_rate=rate)


def test_whole_numbers_of_numpy_are_sample_rates(tmp_path):
    write_audio(tmp_path / "a.wav", tone(440, 8000), np.int64(8000))
    assert read_audio(tmp_path / "a.wav", sample_rate=np.int32(16000))[1] == 16000


@pytest.mark.parametrize("dtype", [torch.half, torch.bfloat16])
def test_half_precision_is_refused_with_the_remedy(dtype, tmp_path):
    with pytest.raises(TypeError, match=r"32 bits or more: convert it with samples.float"):
        resample(torch.zeros(9, dtype=dtype), 8000, 16000)
    with pytest.raises(TypeError, match=r"32 bits or more: convert it with samples.float"):
        write_audio(tmp_path / "a.wav", torch.zeros(9, dtype=dtype), 8000)


def test_no_samples_and_nan_and_no_file_are_refused(tmp_path):
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    with pytest.raises(DataError, match=r"none.wav holds no samples"):
        read_audio(tmp_path / "none.wav")
    soundfile.write(tmp_path / "nan.wav", np.array([0, np.nan]), 8000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"nan.wav has 1 of 2 values that are NaN"):
        read_audio(tmp_path / "nan.wav")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*gone.wav"):
        read_audio(tmp_path / "gone.wav")


def test_writing_refuses_what_would_clip_or_is_not_finite(tmp_path):
    with pytest.raises(ValueError, match=r"samples reach 1\.5, full scale is 1"):
        write_audio(tmp_path / "a.wav", torch.tensor([0.0, -1.5]), 8000)
    with pytest.raises(ValueError, match="NaN"):
        write_audio(tmp_path / "a.wav", torch.tensor([0.0, math.nan]), 8000)
    with pytest.raises(TypeError, match="floating-point"):
        write_audio(tmp_path / "a.wav", torch.tensor([0, 1]), 8000)
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    write_audio(path, tone(440, 8000), 8000)
    before = path.read_bytes()

    def full(file, *args, **kwargs):
        file.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(soundfile, "write", full)
    with pytest.raises(OSError, match="No space left"):
        write_audio(path, tone(660, 8000), 8000)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


HEADER = "filename,fold,target,category,esc10,src_file,take"


def make_esc50(folder, sounds):
    (folder / "meta").mkdir()
    (folder / "meta/esc50.csv").write_text(
        f"\ufeff{HEADER}\n1-100-A-0.wav,1,0,dog,True,100,A\n2-200-A-3.wav,2,3,cow,False,200,A\n"
    )
    (folder / sounds).mkdir()
    for stem in ("1-100-A-0", "2-200-A-3"):
        ending = "flac" if "flac" in sounds else "wav"
        write_audio(folder / sounds / f"{stem}.{ending}", torch.zeros(10), 44100)


@pytest.mark.parametrize("sounds", ["audio", "audio-flac"])
def test_the_esc50_table_is_read(sounds, tmp_path):
    make_esc50(tmp_path, sounds)
    dog, cow = esc50_clips(tmp_path)
    assert (dog.fold, dog.target, dog.category, dog.esc10, dog.source) == (1, 0, "dog", True, "100")
    assert (cow.fold, cow.target, cow.category, cow.esc10, cow.source) == (
        2,
        3,
        "cow",
        False,
        "200",
    )
    assert read_audio(dog.path)[1] == 44100


def test_a_missing_sound_and_a_missing_column_are_named(tmp_path):
    make_esc50(tmp_path, "audio")
    (tmp_path / "audio/2-200-A-3.wav").unlink()
    with pytest.raises(DataError, match=r"lacks 1 of the 2 files .*2-200-A-3.wav"):
        esc50_clips(tmp_path)
    for row in ("a.wav,1", "a.wav,one,0,dog,True,100,A", "a.wav,1,", "a\0.wav"):
        (tmp_path / "meta/esc50.csv").write_text(f"{HEADER}\n{row}\n")
        with pytest.raises(DataError, match=r"esc50.csv, line 2 is damaged"):
            esc50_clips(tmp_path)
    (tmp_path / "meta/esc50.csv").write_bytes(f"{HEADER}\né.wav,1\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"esc50.csv, line 2 is not UTF-8"):
        esc50_clips(tmp_path)
    (tmp_path / "meta/esc50.csv").write_text("filename,fold\na.wav,1\n")
    with pytest.raises(DataError, match="has no column 'target'"):
        esc50_clips(tmp_path)


def test_spoken_digits_are_read_from_their_names(tmp_path):
    (tmp_path / "recordings").mkdir()
    with pytest.raises(DataError, match="has no recordings/digit_speaker_index"):
        spoken_digits(tmp_path)
    for name in ("7_ann_10.wav", "7_ann_4.WAV", "0_bob_5.wav", "readme.wav", "._0_bob_5.wav"):
        (tmp_path / "recordings" / name).touch()
    found = [(one.digit, one.speaker, one.index, one.is_test) for one in spoken_digits(tmp_path)]
    assert found == [(0, "bob", 5, False), (7, "ann", 4, True), (7, "ann", 10, False)]


def test_the_real_esc50_is_read_and_its_folds_share_no_source(real_data):
    clips = esc50_clips(real_data("esc50"))
    for clip in clips[:3]:
        samples, rate = read_audio(clip.path)
        assert (rate, len(samples)) == (44100, 5 * 44100)
    fold_of = {clip.source: clip.fold for clip in clips}
    assert all(fold_of[clip.source] == clip.fold for clip in clips)  # as its authors say


def test_the_real_spoken_digits_are_read(real_data):
    digits = spoken_digits(real_data("free-spoken-digit-dataset"))
    assert {one.digit for one in digits} == set(range(10))
    assert 10 * sum(one.is_test for one in digits) == len(digits)
    samples, rate = read_audio(digits[0].path)
    assert rate == 8000
    assert samples.abs().max() > 0
