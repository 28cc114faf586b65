"""Scenes with one sounding thing of several, and their sound mixed from takes."""

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world import soloists
from mmlib.world.scenes import KINDS, PLACES


@pytest.fixture(scope="module")
def takes():
    return soloists.record(2, generator=make_generator(1))


@pytest.fixture(scope="module")
def scenes():
    return soloists.sample_solos(60, generator=make_generator(2))


def test_takes_of_every_kind_and_place(takes):
    assert takes.things.shape == (len(KINDS), 2, 16000)
    assert takes.places.shape == (len(PLACES), 2, 1, 16000)


def test_two_or_three_things_of_different_kinds_and_one_sounds(scenes):
    assert len(scenes) == 60
    for things in scenes.things():
        assert 2 <= len(things) <= 3
        assert len({thing.kind for thing in things}) == len(things)
        assert sum(thing.sounding for thing in things) == 1


def test_another_thing_sounds_and_nothing_else_changes(scenes):
    other = soloists.another_sounds(scenes, generator=make_generator(3))
    assert (other.sounding.sum(dim=1) == 1).all()
    assert not (other.sounding & scenes.sounding).any()
    assert (other.present | ~other.sounding).all()
    assert torch.equal(other.kind, scenes.kind)


def test_absent_kinds_are_absent(scenes):
    found = soloists.absent_kinds(scenes, generator=make_generator(4))
    assert not ((scenes.kind == found[:, None]) & scenes.present).any()


def test_same_seed_same_sound_and_another_kind_another_sound(takes, scenes):
    one, two = (soloists.soundtrack(scenes, takes, generator=make_generator(5)) for _ in range(2))
    assert torch.equal(one, two)
    other = (scenes.kind[scenes.sounding] + 1) % len(KINDS)
    changed = soloists.soundtrack(scenes, takes, generator=make_generator(5), kinds=other)
    assert (changed - one).square().mean(dim=1).sqrt().min() > 0.005
    assert one.abs().max() < 1


def test_a_near_thing_is_louder(takes, scenes):
    near, far = (
        soloists.soundtrack(
            scenes.replace(depth=torch.full_like(scenes.depth, depth)),
            takes,
            generator=make_generator(5),
        )
        for depth in (0.0, 1.0)
    )
    quiet = 2 * far - near  # what is left without the thing: twice half of it is gone
    assert (near - quiet).square().mean() > 3 * (far - quiet).square().mean()


def test_silence_and_choirs_are_refused(takes, scenes):
    for sounding in (torch.zeros_like(scenes.sounding), scenes.present):
        with pytest.raises(ValueError, match="exactly one"):
            soloists.soundtrack(
                scenes.replace(sounding=sounding), takes, generator=make_generator(5)
            )
