"""Videos: what sounds is what is mixed, at one level; labels follow from nothing but the sound."""

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world import sampling, single_source, videos
from mmlib.world.scenes import CATEGORIES, SCENE_CLASSES
from mmlib.world.single_source import Recordings

NEW, AROUND = CATEGORIES[6:], SCENE_CLASSES[3:]


@pytest.fixture(scope="module")
def recordings():
    return single_source.synthesise(4, generator=make_generator(0), seconds=1.5)


def tones(count):
    """Recordings that name themselves: a sine of its own number of turns a second for each."""
    turns = 2 * torch.pi * torch.arange(24_000) / 16_000
    own = torch.stack([torch.sin((100 + n) * turns) for n in range(10)])
    around = torch.stack([torch.sin((200 + n) * turns) for n in range(10)])
    return Recordings(
        own[:, None].expand(-1, count, -1), around.reshape(5, 2, 1, -1).expand(-1, -1, count, -1)
    )


def heard(waves):
    """Return the power at each frequency in hertz."""
    return torch.fft.rfft(waves).abs().square()  # a second each: bins are 1 Hz apart


def labelled(count, recordings, seed=0):
    return videos.label_sounds(
        count, categories=NEW, scene_classes=AROUND, recordings=recordings,
        generator=make_generator(seed),
    )  # fmt: skip


def test_recordings_are_what_was_asked_for(recordings):
    assert recordings.sounds.shape == (10, 4, 24_000)
    assert recordings.ambiences.shape == (5, 2, 1, 24_000)


def test_every_sound_has_the_same_level(recordings):
    made = videos.make_videos(20, recordings=recordings, generator=make_generator(1), seconds=1)
    for waves in (made.waves, labelled(20, recordings).waves):
        level = waves.square().mean(dim=1).sqrt()
        torch.testing.assert_close(level, torch.full((20,), videos.LEVEL))
        assert waves.abs().max() < 2


def test_only_what_sounds_is_heard():
    made = videos.make_videos(30, recordings=tones(2), generator=make_generator(2), seconds=1)
    power = heard(made.waves)
    floor = 50 * power[:, 1000:].mean(dim=1)
    for row, least, objects in zip(power, floor, made.scenes.objects(), strict=True):
        sounding = {t.category for t in objects if t.sounding}
        found = {CATEGORIES[n] for n in range(10) if row[100 + n] > least}
        assert found == sounding


def test_the_ambience_is_that_of_the_scene_by_day_or_by_night():
    made = videos.make_videos(20, recordings=tones(2), generator=make_generator(3), seconds=1)
    found = heard(made.waves)[:, 200:210].argmax(dim=1)
    assert torch.equal(found, 2 * made.scenes.scene_class + made.scenes.night)


def test_a_larger_gain_is_louder():
    scenes = sampling.sample_scenes(1, generator=make_generator(0), slots=2, least=2)
    scenes = scenes.replace(category=torch.tensor([[3, 8]]))
    gains = torch.tensor([[0.5, 0.25]])
    waves = videos.soundtrack(scenes, tones(1), gains, seconds=1.0, generator=make_generator(0))
    power = heard(waves)[0]
    assert float(power[103] / power[108]) == pytest.approx(4, rel=0.05)


def test_labels_name_what_is_mixed_and_the_other_is_never_asked_for():
    test = labelled(60, tones(2))
    power = heard(test.waves)
    loud = power[:, 100:110].topk(2, dim=1).indices.sort(dim=1).values
    assert torch.equal(loud[:, 1] - 6, test.category)
    assert torch.equal(loud[:, 0], test.other)
    assert (test.other < 6).all()
    around = power[:, 200:210].argmax(dim=1)
    assert torch.equal(around - 6, test.ambience)


def test_loudness_says_nothing_about_the_label():
    test = labelled(400, tones(2))
    power = heard(test.waves)[:, 100:110]
    asked = power.gather(1, test.category[:, None] + 6)[:, 0]
    louder = asked > power[:, :6].amax(dim=1)
    assert 0.4 < louder.float().mean() < 0.6
    ratio = 10 * torch.log10(asked / power[:, :6].amax(dim=1))
    assert ratio.abs().max() < 6.5  # decibels


def test_same_seed_same_videos_and_same_sounds(recordings):
    for make in (
        lambda seed: videos.make_videos(
            3, recordings=recordings, generator=make_generator(seed), seconds=1
        )[1:],
        lambda seed: labelled(3, recordings, seed),
    ):
        first, second, other = make(1), make(1), make(2)
        assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
        assert not torch.equal(first[0], other[0])


def test_bad_requests_are_refused(recordings):
    with pytest.raises(ValueError, match="80000 samples are asked for, the recordings have 24000"):
        videos.make_videos(2, recordings=recordings, generator=make_generator(0), seconds=5)
    with pytest.raises(ValueError, match="all 10 categories are asked for: leave one"):
        videos.label_sounds(
            2, categories=CATEGORIES, scene_classes=AROUND, recordings=recordings,
            generator=make_generator(0),
        )  # fmt: skip
