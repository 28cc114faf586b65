"""Laws of scenes: what a batch holds, how its objects stand to each other, what is held out."""

from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world.sampling import sample_scenes
from mmlib.world.scenes import (
    APART,
    CATEGORIES,
    COLOURS,
    RELATIONS,
    covered,
    held_out,
    related,
    relations,
    share_of_pairs,
)


@pytest.fixture(scope="module")
def scenes():
    return sample_scenes(200, generator=make_generator(0))


def facts_by_hand(objects):
    """Read the relations off one scene's objects, one pair at a time."""
    facts = set()
    for a in objects:
        for b in objects:
            if a.slot == b.slot:
                continue
            right, down, reach = a.x - b.x, a.y - b.y, (a.size + b.size) / 2
            true = {
                "left of": right < -APART,
                "right of": right > APART,
                "above": abs(right) < reach and down <= -reach,
                "below": abs(right) < reach and down >= reach,
                "in front of": abs(right) < reach and abs(down) < reach and a.depth < b.depth,
                "behind": abs(right) < reach and abs(down) < reach and a.depth > b.depth,
            }
            facts |= {(a.slot, b.slot, RELATIONS.index(name)) for name in true if true[name]}
    return facts


def test_relations_agree_with_reading_pair_by_pair(scenes):
    for objects, listed in zip(scenes.objects(), related(scenes), strict=True):
        assert set(listed) == facts_by_hand(objects)


@pytest.mark.parametrize("number", range(len(RELATIONS)))
def test_the_share_of_pairs_counts_every_pair_of_two_objects_in_both_orders(scenes, number):
    pairs = hits = 0
    for objects in scenes.objects():
        pairs += len([(a, b) for a in objects for b in objects if a is not b])
        hits += sum(fact == number for _, _, fact in facts_by_hand(objects))
    assert share_of_pairs(scenes, RELATIONS[number]) == hits / pairs


def test_the_share_of_pairs_refuses_an_unknown_relation_and_scenes_without_pairs(scenes):
    with pytest.raises(ValueError, match="relation is 'beside', choose one of left of"):
        share_of_pairs(scenes, "beside")
    alone = sample_scenes(3, generator=make_generator(1), slots=1, least=1)
    with pytest.raises(ValueError, match="no scene holds two objects"):
        share_of_pairs(alone, "left of")


def test_relations_are_each_others_converse_and_all_occur(scenes):
    facts = relations(scenes)
    for first in (0, 2, 4):
        assert torch.equal(facts[..., first], facts[..., first + 1].transpose(1, 2))
    assert facts.flatten(0, 2).any(dim=0).all()
    assert not facts.diagonal(dim1=1, dim2=2).any()


def test_one_pair_in_five_is_held_out_and_everything_is_seen_in_training():
    pairs = torch.meshgrid(torch.arange(len(CATEGORIES)), torch.arange(len(COLOURS)), indexing="ij")
    out = held_out(*pairs)
    assert out.sum().item() * 5 == out.numel()
    assert (~out).any(dim=0).all()
    assert (~out).any(dim=1).all()
    assert out.any(dim=0).all()
    assert out.any(dim=1).all()


def test_covered_is_the_overlap_of_squares_with_nearer_ones():
    one = sample_scenes(1, generator=make_generator(0), slots=2)
    two = one.replace(
        present=torch.tensor([[True, True]]),
        x=torch.tensor([[0.5, 0.6]]),
        y=torch.tensor([[0.5, 0.5]]),
        size=torch.tensor([[0.2, 0.4]]),
        depth=torch.tensor([[0.9, 0.1]]),
    )
    # the far square spans 0.4 to 0.6, the near one 0.4 to 0.8: the far one is wholly covered
    torch.testing.assert_close(covered(two), torch.tensor([[1.0, 0.0]]))
    apart = two.replace(x=torch.tensor([[0.2, 0.6]]))
    torch.testing.assert_close(covered(apart), torch.zeros(1, 2))


def test_indexing_gives_the_same_scenes_in_any_form(scenes):
    assert len(scenes[3]) == 1
    assert len(scenes[-1]) == 1
    assert scenes[3].objects() == scenes[[3]].objects() == scenes[3:4].objects()
    assert scenes[3].objects() == [scenes.objects()[3]]
    assert scenes[torch.tensor([5, 3])].objects() == [scenes.objects()[5], scenes.objects()[3]]
    assert [one.objects()[0] for one in scenes] == scenes.objects()
    assert scenes.to("cpu").objects() == scenes.objects()


def test_a_batch_is_frozen_and_replace_leaves_it_alone(scenes):
    with pytest.raises(FrozenInstanceError):
        scenes.night = ~scenes.night
    before = scenes.night.clone()
    assert torch.equal(scenes.replace(night=~scenes.night).night, ~before)
    assert torch.equal(scenes.night, before)


def test_only_birds_fly(scenes):
    flying = [obj for objects in scenes.objects() for obj in objects if obj.flying]
    assert {obj.category for obj in flying} == {"bird"}
    assert all(obj.y < 0.45 for obj in flying)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"night": torch.zeros(200)}, TypeError, "night has dtype torch.float32"),
        (
            {"category": torch.full((200, 4), 10)},
            ValueError,
            "category holds 10, it must lie from 0 to 9",
        ),
        ({"x": torch.full((200, 4), -0.5)}, ValueError, "x holds -0.5, it must lie from 0 to 1"),
        ({"y": torch.full((200, 4), torch.nan)}, ValueError, "y has 800 of 800 values"),
        ({"size": torch.zeros(200, 4)}, ValueError, "size holds 0"),
        ({"depth": torch.zeros(200, 3)}, ValueError, r"depth has shape \(200, 3\)"),
        ({"scene_class": torch.zeros(199).long()}, ValueError, r"scene_class has shape \(199,\)"),
        ({"light": [0.5]}, TypeError, "light is a list"),
    ],
)
def test_a_wrong_property_is_refused_by_name(scenes, change, error, message):
    with pytest.raises(error, match=message):
        scenes.replace(**change)


def test_a_scene_out_of_range_is_refused(scenes):
    with pytest.raises(IndexError, match="scene 200 of 200: the last is 199"):
        scenes[200]
    with pytest.raises(ValueError, match="present is empty"):
        scenes[[]]


def test_every_property_has_one_row_a_scene(scenes):
    assert all(len(getattr(scenes, field.name)) == len(scenes) for field in fields(scenes))


def test_one_scene_is_taken_by_a_whole_number_of_numpy(scenes):
    assert scenes[np.int64(3)].objects() == scenes[3].objects()
