"""Laws of sounds: levels, ends, silence, sums; and every category can be told by ear."""

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world.sampling import sample_scenes
from mmlib.world.scenes import CATEGORIES, SCENE_CLASSES
from mmlib.world.sounds import ambience, ambiences, render, stems, timbre
from mmlib.world.timbres import SAMPLE_RATE, VOICES, coloured_noise

EACH = 8


@pytest.fixture(scope="module")
def scenes():
    return sample_scenes(12, generator=make_generator(0))


@pytest.fixture(scope="module")
def played():
    return {
        category: torch.stack(
            [timbre(category, seconds=1.5, generator=make_generator(seed)) for seed in range(EACH)]
        )
        for category in CATEGORIES
    }


def bands(sounds):
    """Return (sounds, 32) log power in equal bands."""
    power = torch.fft.rfft(sounds).abs().square()
    return torch.stack([part.mean(-1) for part in power.tensor_split(32, dim=-1)], -1).log()


def centroid(sounds):
    power = torch.fft.rfft(sounds).abs().square().mean(dim=0)
    frequency = torch.fft.rfftfreq(sounds.shape[-1], 1 / SAMPLE_RATE)
    return float((power * frequency).sum() / power.sum())


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_timbre_is_loud_enough_never_clips_and_has_soft_ends(category, played):
    sounds = played[category]
    assert sounds.shape == (EACH, round(1.5 * SAMPLE_RATE))
    assert sounds.isfinite().all()
    assert sounds.abs().max() <= 0.8001
    level = sounds.square().mean(dim=1).sqrt()
    assert level.min() > 0.04
    assert level.max() < 0.13
    assert (sounds[:, [0, -1]] == 0).all()
    assert sounds[:, :8].abs().max() < 0.1
    assert sounds[:, -8:].abs().max() < 0.05
    assert sounds.mean(dim=1).abs().max() < 0.01  # no constant part


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_timbre_begins_soon_and_varies_with_the_seed(category, played):
    sounds = played[category]
    begin = (sounds.abs() > 0.05 * sounds.abs().amax(dim=1, keepdim=True)).long().argmax(dim=1)
    assert begin.max() / SAMPLE_RATE < 0.2
    assert not torch.equal(sounds[0], sounds[1])
    torch.testing.assert_close(
        sounds[2], timbre(category, seconds=1.5, generator=make_generator(2)), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("seconds", [0.25, 4.0])
def test_short_and_long_timbres(category, seconds):
    sound = timbre(category, seconds=seconds, generator=make_generator(0))
    assert sound.shape == (round(seconds * SAMPLE_RATE),)
    assert sound.isfinite().all()
    assert sound.abs().max() <= 0.8001


def test_categories_can_be_told_by_the_nearest_mean_spectrum(played):
    half = EACH // 2
    means = torch.stack([bands(played[category][:half]).mean(dim=0) for category in CATEGORIES])
    mix = torch.stack(
        [bands(played[category][half:]) for category in CATEGORIES]
    )  # (categories, sounds, bands)
    guess = torch.cdist(mix, means).argmin(dim=-1)
    right = (guess == torch.arange(len(CATEGORIES))[:, None]).float().mean()
    assert right > 0.85  # chance is one in ten


def test_deep_voices_are_deep_and_high_ones_high(played):
    for low, high in (("boat", "horn"), ("drum", "bell"), ("car", "dog"), ("guitar", "bird")):
        assert centroid(played[low]) * 1.5 < centroid(played[high])


def test_every_category_has_a_voice():
    assert tuple(VOICES) == CATEGORIES


@pytest.mark.parametrize("scene_class", SCENE_CLASSES)
def test_an_ambience_is_quiet_and_crickets_sing_at_night(scene_class):
    day, night = (
        ambience(scene_class, seconds=3, generator=make_generator(0), night=night)
        for night in (False, True)
    )
    for sound in (day, night):
        torch.testing.assert_close(sound.square().mean().sqrt(), torch.tensor(0.02))
        assert sound.abs().max() < 0.16
        assert (sound[[0, -1]] == 0).all()

    def crickets(sound):
        power = torch.fft.rfft(sound).abs().square()
        return power[3 * 4280 : 3 * 4320].sum() / power.sum()

    assert crickets(night) > 5 * crickets(day)


def test_scene_classes_sound_different():
    sounds = torch.stack(
        [
            ambience(scene_class, seconds=2, generator=make_generator(0))
            for scene_class in SCENE_CLASSES
        ]
    )
    apart = torch.cdist(bands(sounds), bands(sounds)) + 1e9 * torch.eye(len(SCENE_CLASSES))
    assert apart.min() > 3


def test_stems_sound_exactly_where_something_sounds(scenes):
    waves = stems(scenes, seconds=0.5, generator=make_generator(0))
    assert waves.shape == (12, 4, 8000)
    assert torch.equal(waves.abs().amax(dim=-1) > 0, scenes.sounding)
    assert waves.abs().max() <= 0.8001 / 4


def test_silencing_one_silences_its_stem_alone(scenes):
    before = stems(scenes, seconds=0.5, generator=make_generator(0))
    index, slot = scenes.sounding.nonzero()[3].tolist()
    sounding = scenes.sounding.clone()
    sounding[index, slot] = False
    after = stems(scenes.replace(sounding=sounding), seconds=0.5, generator=make_generator(0))
    assert before[index, slot].abs().max() > 0
    assert after[index, slot].abs().max() == 0
    after[index, slot] = before[index, slot]
    assert torch.equal(before, after)


def test_the_near_is_louder_than_the_far(scenes):
    near, far = (
        stems(
            scenes.replace(depth=torch.full_like(scenes.depth, depth)),
            seconds=0.5, generator=make_generator(0),
        )
        for depth in (0.0, 1.0)
    )  # fmt: skip
    torch.testing.assert_close(near, 2 * far)


def test_what_is_heard_is_the_sum_of_its_parts(scenes):
    mix = render(scenes, seconds=0.5, generator=make_generator(4), noise=0.003)
    generator = make_generator(4)
    parts = stems(scenes, seconds=0.5, generator=generator)
    around = ambiences(scenes, seconds=0.5, generator=generator)
    noise = 0.003 * torch.randn(12, 8000, generator=generator)
    torch.testing.assert_close(mix, parts.sum(dim=1) + around + noise)
    torch.testing.assert_close(
        mix, render(scenes, seconds=0.5, generator=make_generator(4), noise=0.003)
    )
    assert not torch.equal(mix, render(scenes, seconds=0.5, generator=make_generator(5)))


def test_a_full_mix_does_not_clip():
    crowd = sample_scenes(10, generator=make_generator(0), least=4, sounding=1.0)
    crowd = crowd.replace(depth=torch.zeros_like(crowd.depth))
    mix = render(crowd, seconds=0.5, generator=make_generator(0), noise=0.005)
    assert mix.abs().max() < 1


def test_coloured_noise_keeps_to_its_band():
    noise = coloured_noise(16000, make_generator(0), low=1000, high=2000)
    power = torch.fft.rfft(noise).abs().square()  # one hertz a step
    assert power[800:2400].sum() / power.sum() > 0.99
    torch.testing.assert_close(noise.std(), torch.tensor(1.0))


def test_bad_requests_are_refused(scenes):
    with pytest.raises(ValueError, match="category is 'cow', choose one of bell, bird"):
        timbre("cow", seconds=1, generator=make_generator(0))
    with pytest.raises(ValueError, match="scene_class is 'moon', choose one of beach"):
        ambience("moon", seconds=1, generator=make_generator(0))
    with pytest.raises(ValueError, match=r"seconds is 0\.1, a sound lasts from 0\.25"):
        stems(scenes, seconds=0.1, generator=make_generator(0))
    with pytest.raises(ValueError, match=r"noise is 1, it must lie from 0 to 0\.005"):
        render(scenes, seconds=1, generator=make_generator(0), noise=1)
