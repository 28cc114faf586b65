"""Close-ups: what a sentence names stays, the rest is drawn anew; the backdrop is blurred."""

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world import close_ups
from mmlib.world.scenes import held_out
from mmlib.world.words import canonical


@pytest.fixture(scope="module")
def data():
    return close_ups.make_close_ups(40, generator=make_generator(0))


def test_same_seed_same_close_ups(data):
    again = close_ups.make_close_ups(40, generator=make_generator(0))
    assert torch.equal(data.pictures, again.pictures)
    assert data.sentences == again.sentences
    assert data.pictures.shape == (40, 3, close_ups.SIDE, close_ups.SIDE)
    assert 0 <= float(data.pictures.min()) <= float(data.pictures.max()) <= 1


def test_every_sentence_names_all_attributes(data):
    numbers = close_ups.attributes(data.scenes).tolist()
    for row, sentences in zip(numbers, data.sentences, strict=True):
        names = {v[i] for v, i in zip(close_ups.ATTRIBUTES.values(), row, strict=True)}
        assert len(set(sentences)) == 5
        for sentence in sentences:
            said = {canonical(word) for word in sentence.split()}
            said |= {"day"} & {"day"} if "sun" in said else set()
            said |= {"night"} if "moon" in said else set()
            assert names <= said


def test_splits_hold_out_pairs(data):
    unseen = close_ups.make_close_ups(40, generator=make_generator(1), split="held out")
    for scenes, out in ((data.scenes, False), (unseen.scenes, True)):
        assert bool((held_out(scenes.category, scenes.colour) == out).all())


def test_restyled_scenes_keep_their_attributes_and_look_different(data):
    other = close_ups.restyle(data.scenes, generator=make_generator(2))
    assert torch.equal(close_ups.attributes(other), close_ups.attributes(data.scenes))
    apart = (close_ups.photograph(other) - data.pictures).abs().flatten(1).amax(dim=1)
    assert float(apart.min()) > 0.1


def test_the_object_is_sharp_and_the_backdrop_is_smooth(data):
    """Neighbouring pixels of a backdrop differ little: it has no detail; objects have edges."""
    empty = data.scenes.replace(present=torch.zeros_like(data.scenes.present))
    steps = [
        pictures.diff(dim=3).abs().flatten(1).amax(dim=1)
        for pictures in (close_ups.photograph(empty), data.pictures)
    ]
    assert float(steps[0].max()) < 0.1
    assert float(steps[1].min()) > 0.1
