"""Laws of sampling: locked by its seed, within its bounds, true to its split."""

from dataclasses import fields

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world.sampling import COVERED, sample_scenes
from mmlib.world.scenes import CATEGORIES, SCENE_CLASSES, covered, held_out

MANY = 3000


@pytest.fixture(scope="module")
def scenes():
    return sample_scenes(MANY, generator=make_generator(1))


def same(one, other):
    return all(torch.equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))


def test_same_seed_same_scenes_other_seed_others(scenes):
    assert same(scenes, sample_scenes(MANY, generator=make_generator(1)))
    assert not same(scenes, sample_scenes(MANY, generator=make_generator(2)))


def test_sampling_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    sample_scenes(10, generator=make_generator(0))
    assert torch.equal(before, torch.get_rng_state())


def test_the_training_split_and_the_held_out_split_share_no_pair():
    for split, wanted in (("train", False), ("held out", True)):
        drawn = sample_scenes(MANY, generator=make_generator(0), split=split)
        out = held_out(drawn.category, drawn.colour)[drawn.present]
        assert (out == wanted).all()
    drawn = sample_scenes(MANY, generator=make_generator(0), split="train")
    assert drawn.category[drawn.present].unique().numel() == len(CATEGORIES)


def test_both_splits_are_mixed_in_all(scenes):
    share = held_out(scenes.category, scenes.colour)[scenes.present].float().mean()
    assert 0.15 < share < 0.25


def test_nothing_is_hidden_and_nobody_sticks_out(scenes):
    assert (covered(scenes) <= COVERED).all()
    assert (covered(scenes)[scenes.present] > 0.05).float().mean() > 0.1  # yet objects do overlap
    half, here = scenes.size / 2, scenes.present
    for middle in (scenes.x, scenes.y):
        assert ((middle - half)[here] > 0).all()
        assert ((middle + half)[here] < 1).all()


def test_numbers_of_objects_and_repeats(scenes):
    numbers = scenes.present.sum(dim=1)
    assert numbers.min() >= 1
    assert set(numbers.tolist()) == {1, 2, 3, 4}
    alike = (scenes.category[:, 1:] == scenes.category[:, :1]) & scenes.present[:, 1:]
    assert 0.2 < alike[scenes.present[:, 1:]].float().mean() < 0.5


def test_scene_classes_are_drawn_alike_and_categories_are_at_home(scenes):
    assert (scenes.scene_class.bincount() / MANY - 1 / len(SCENE_CLASSES)).abs().max() < 0.04
    boats = (scenes.category == CATEGORIES.index("boat")) & scenes.present
    beach = scenes.scene_class == SCENE_CLASSES.index("beach")
    assert boats[beach].float().mean() > 5 * boats[~beach].float().mean()


def test_sounding_follows_its_chance():
    for chance in (0.0, 1.0):
        drawn = sample_scenes(50, generator=make_generator(0), sounding=chance)
        assert torch.equal(drawn.sounding, drawn.present & bool(chance))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count is 0"),
        ({"count": 2.0}, r"count is 2\.0, it must be a whole number"),
        ({"slots": None}, "slots is None, it must be a whole number"),
        ({"slots": 7}, "slots is 7, a scene has room for 1 to 6"),
        ({"least": 5}, "least is 5, it must lie from 1 to slots, here 4"),
        ({"split": "test"}, "split is 'test', choose one of all, train, held out"),
        ({"sounding": 1.5}, "sounding is 1.5"),
    ],
)
def test_bad_requests_are_refused(options, message):
    options = {"count": 5} | options
    with pytest.raises(ValueError, match=message):
        sample_scenes(options.pop("count"), generator=make_generator(0), **options)


def test_sampling_does_not_depend_on_the_default_dtype():
    expected = sample_scenes(3, generator=make_generator(0))
    torch.set_default_dtype(torch.float64)
    try:
        scenes = sample_scenes(3, generator=make_generator(0))
    finally:
        torch.set_default_dtype(torch.float32)
    assert scenes.size.dtype == torch.float32
    assert torch.allclose(scenes.size, expected.size)
