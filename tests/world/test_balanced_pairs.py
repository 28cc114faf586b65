"""Twins: every fact but one alike, answers that differ and are those that the text demands."""

from collections import Counter

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world.balanced_pairs import balanced_pairs
from mmlib.world.questions import TYPES
from mmlib.world.sampling import COVERED
from mmlib.world.scenes import covered, held_out

PAIRS = 120


@pytest.fixture(scope="module")
def pairs():
    return balanced_pairs(PAIRS, generator=make_generator(2), split="train")


def test_every_type_alike_often_and_every_pair_answers_apart(pairs):
    assert Counter(question.type for question in pairs.questions) == dict.fromkeys(TYPES, 20)
    assert len(pairs.scenes) == len(pairs.others) == PAIRS
    for question, other in zip(pairs.questions, pairs.other_questions, strict=True):
        assert (question.text, question.type) == (other.text, other.type)
        assert question.answer != other.answer


def test_the_words_of_the_easy_types_say_what_changed(pairs):
    """The time, a colour, a number: read off the scenes directly."""
    changes = zip(pairs.scenes, pairs.others, pairs.questions, pairs.other_questions, strict=True)
    for one, two, question, other in changes:
        if question.type == "time":
            assert (question.answer == "night") == bool(one.night) != bool(two.night)
        if question.type == "colour":
            colours = [{t.colour for t in scene.objects()[0]} for scene in (one, two)]
            assert question.answer in colours[0]
            assert other.answer in colours[1]
        if question.type in ("existence", "comparison", "relation"):
            assert {question.answer, other.answer} == {"yes", "no"}


def test_one_fact_differs_and_the_rest_is_alike(pairs):
    one, two = pairs.scenes, pairs.others
    for name in ("scene_class", "light", "texture", "present", "mirrored", "sounding"):
        assert torch.equal(getattr(one, name), getattr(two, name))
    facts = sum((getattr(one, n) != getattr(two, n)).sum(dim=1) for n in ("category", "colour"))
    moved = (one.x != two.x).any(dim=1).long() + (one.night != two.night).long()
    assert set((facts + moved).tolist()) == {1}


def test_balanced_pairs_are_scenes_that_could_have_been_sampled(pairs):
    two = pairs.others
    assert not held_out(two.category, two.colour)[two.present].any()
    assert float(covered(two)[two.present].max()) <= COVERED


def test_other_splits_have_pairs_too():
    pairs = balanced_pairs(6, generator=make_generator(0), split="held out")
    assert held_out(pairs.others.category, pairs.others.colour)[pairs.others.present].all()
    assert {question.type for question in pairs.questions} == set(TYPES)


def test_same_seed_same_pairs():
    one, same, other = (
        balanced_pairs(3, generator=make_generator(seed), types=TYPES[:3]) for seed in (4, 4, 5)
    )
    assert one.questions == same.questions != other.questions
    assert torch.equal(one.others.x, same.others.x)


def test_bad_requests_are_refused():
    with pytest.raises(ValueError, match="count is 0, ask for at least 1 pair"):
        balanced_pairs(0, generator=make_generator(0))
    with pytest.raises(ValueError, match="types holds \\['why'\\], choose from existence"):
        balanced_pairs(3, generator=make_generator(0), types=("why",))
