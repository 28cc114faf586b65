"""Mentions against the masks that the world draws, openings against its facts."""

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world import mentions, pictures
from mmlib.world.sampling import sample_scenes
from mmlib.world.scenes import CATEGORIES, COLOURS


def a_red_bird_left_of_a_blue_dog():
    scenes = sample_scenes(1, generator=make_generator(0), slots=3, least=3, split="train")
    two = torch.tensor([[True, True, False]])
    category = torch.tensor([[CATEGORIES.index("bird"), CATEGORIES.index("dog"), 0]])
    colour = torch.tensor([[COLOURS.index("red"), COLOURS.index("blue"), 0]])
    x, size = torch.tensor([[0.25, 0.75, 0.5]]), torch.full((1, 3), 0.3)
    return scenes.replace(
        present=two, sounding=two & False, category=category, colour=colour, x=x, size=size,
        y=torch.full((1, 3), 0.7), depth=torch.full((1, 3), 0.5),
    )  # fmt: skip


def test_a_noun_means_the_objects_of_its_category_and_colour():
    scenes = a_red_bird_left_of_a_blue_dog()
    sentence = "a red songbird and two blue dogs and a green bird and a clock"
    found = mentions.find_mentions(iter([sentence.split()]), scenes)
    assert found.position.tolist() == [2, 6]  # there is no green bird and no clock
    assert torch.equal(found.masks, pictures.masks(scenes)[0, :2])
    assert torch.equal(found.caption, torch.zeros(2, dtype=torch.int64))


def test_openings_ask_of_each_single_object_that_stands_in_a_relation():
    scenes = a_red_bird_left_of_a_blue_dog()
    rows, openings = mentions.relation_openings(scenes)
    assert rows.tolist() == [0, 0]
    assert openings == [["a", "red", "bird", "is"], ["a", "blue", "dog", "is"]]
    alike = torch.zeros(1, 3, dtype=torch.int64)
    pairs = scenes.replace(category=alike, colour=alike)
    assert mentions.relation_openings(pairs)[1] == []


def test_refuses_other_numbers_of_captions_and_captions_that_name_nothing():
    scenes = a_red_bird_left_of_a_blue_dog()
    with pytest.raises(ValueError, match="there are 2 captions and 1 scenes: one each"):
        mentions.find_mentions([["a", "bird"], ["a", "dog"]], scenes)
    with pytest.raises(ValueError, match="no caption names an object that is there"):
        mentions.find_mentions([["a", "clock"]], scenes)
