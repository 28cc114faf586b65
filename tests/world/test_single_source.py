"""Scenes with one sounding object of several, and their sound mixed from recordings."""

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world import single_source
from mmlib.world.scenes import CATEGORIES, SCENE_CLASSES


@pytest.fixture(scope="module")
def recordings():
    return single_source.synthesise(2, generator=make_generator(1))


@pytest.fixture(scope="module")
def scenes():
    return single_source.sample_single_source(60, generator=make_generator(2))


def test_recordings_of_every_category_and_scene_class(recordings):
    assert recordings.sounds.shape == (len(CATEGORIES), 2, 16000)
    assert recordings.ambiences.shape == (len(SCENE_CLASSES), 2, 1, 16000)


def test_two_or_three_objects_of_different_categories_and_one_sounds(scenes):
    assert len(scenes) == 60
    for objects in scenes.objects():
        assert 2 <= len(objects) <= 3
        assert len({obj.category for obj in objects}) == len(objects)
        assert sum(obj.sounding for obj in objects) == 1


def test_another_object_sounds_and_nothing_else_changes(scenes):
    other = single_source.switch_source(scenes, generator=make_generator(3))
    assert (other.sounding.sum(dim=1) == 1).all()
    assert not (other.sounding & scenes.sounding).any()
    assert (other.present | ~other.sounding).all()
    assert torch.equal(other.category, scenes.category)


def test_absent_categories_are_absent(scenes):
    found = single_source.absent_categories(scenes, generator=make_generator(4))
    assert not ((scenes.category == found[:, None]) & scenes.present).any()


def test_same_seed_same_sound_and_another_category_another_sound(recordings, scenes):
    one, two = (
        single_source.soundtrack(scenes, recordings, generator=make_generator(5)) for _ in range(2)
    )
    assert torch.equal(one, two)
    other = (scenes.category[scenes.sounding] + 1) % len(CATEGORIES)
    changed = single_source.soundtrack(
        scenes, recordings, generator=make_generator(5), categories=other
    )
    assert (changed - one).square().mean(dim=1).sqrt().min() > 0.005
    assert one.abs().max() < 1


def test_a_near_object_is_louder(recordings, scenes):
    near, far = (
        single_source.soundtrack(
            scenes.replace(depth=torch.full_like(scenes.depth, depth)),
            recordings,
            generator=make_generator(5),
        )
        for depth in (0.0, 1.0)
    )
    quiet = 2 * far - near  # what is left without the object: twice half of it is gone
    assert (near - quiet).square().mean() > 3 * (far - quiet).square().mean()


def test_silence_and_choirs_are_refused(recordings, scenes):
    for sounding in (torch.zeros_like(scenes.sounding), scenes.present):
        with pytest.raises(ValueError, match="exactly one"):
            single_source.soundtrack(
                scenes.replace(sounding=sounding), recordings, generator=make_generator(5)
            )
