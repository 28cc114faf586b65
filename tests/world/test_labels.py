"""Labels are true of their scenes, and name no pair that is held out."""

import torch

from mmlib.runtime import make_generator
from mmlib.world import sampling
from mmlib.world.labels import (
    HELD_OUT_PAIRS,
    TRAIN_PAIRS,
    WORDS,
    held_out_objects,
    sound_labels,
    sound_mixtures,
    word_labels,
)
from mmlib.world.scenes import CATEGORIES, COLOURS, held_out


def test_labels_name_what_is_there_and_nothing_else():
    scenes = sampling.sample_scenes(60, generator=make_generator(0))
    found = word_labels(scenes)
    for row, objects in zip(found, scenes.objects(), strict=True):
        true = {obj.category for obj in objects} | {obj.colour for obj in objects}
        true |= {f"{obj.colour} {obj.category}" for obj in objects}
        assert {w for w, on in zip(WORDS, row, strict=True) if on} == true & set(WORDS)
    heard = sound_labels(scenes)
    for row, objects in zip(heard, scenes.objects(), strict=True):
        true = {obj.category for obj in objects if obj.sounding}
        assert {k for k, on in zip(CATEGORIES, row, strict=True) if on} == true


def test_no_word_names_a_pair_that_is_held_out():
    for category, colour in HELD_OUT_PAIRS:
        assert held_out(torch.tensor(category), torch.tensor(colour))
        assert f"{COLOURS[colour]} {CATEGORIES[category]}" not in WORDS
    assert len(HELD_OUT_PAIRS) + len(TRAIN_PAIRS) == len(CATEGORIES) * len(COLOURS)


def test_held_out_objects_and_mixtures_are_labelled_truly():
    drawn, pairs = held_out_objects(20, generator=make_generator(3))
    scenes = sampling.sample_scenes(20, generator=make_generator(3), slots=1, split="held out")
    categories, colours = zip(*(HELD_OUT_PAIRS[pair] for pair in pairs), strict=True)
    assert list(categories) == scenes.category[:, 0].tolist()
    assert list(colours) == scenes.colour[:, 0].tolist()
    assert drawn.shape == (20, 3, 64, 64)
    waves, count = sound_mixtures(5, generator=make_generator(3))
    assert waves.shape == (5, 16_000)
    assert count.shape == (5,)
    assert int(count.max()) <= 3
