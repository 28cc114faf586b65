"""Every answer is checked by reading the question's text against the scene."""

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world.questions import ANSWERS, TYPES, ask
from mmlib.world.sampling import sample_scenes
from mmlib.world.scenes import APART, COLOURS, KINDS, RELATIONS
from mmlib.world.words import NUMBERS, canonical


@pytest.fixture(scope="module")
def scenes():
    return sample_scenes(400, generator=make_generator(0))


@pytest.fixture(scope="module")
def asked(scenes):
    return ask(scenes, per_scene=6, generator=make_generator(1))


def answer_by_reading(text, things, night):
    """Answer from the words of the question alone."""
    words = [canonical(word) for word in text.split()]
    kinds = [word for word in words if word in KINDS]
    colours = [word for word in words if word in COLOURS]
    named = [t for t in things if t.kind in kinds and t.colour in (colours or COLOURS)]
    if text.startswith("how many"):
        return NUMBERS[len(named)]
    if text.startswith("what colour"):
        (thing,) = named
        return thing.colour
    if text == "is it day or night":
        return "night" if night else "day"
    if text.startswith("is there"):
        return "yes" if named else "no"
    (one,) = (t for t in things if t.kind == kinds[0])
    (other,) = (t for t in things if t.kind == kinds[1])
    right, down, reach = one.x - other.x, one.y - other.y, (one.size + other.size) / 2
    true = {
        "left of": right < -APART,
        "right of": right > APART,
        "above": abs(right) < reach and down <= -reach,
        "below": abs(right) < reach and down >= reach,
        "in front of": abs(right) < reach and abs(down) < reach and one.depth < other.depth,
        "behind": abs(right) < reach and abs(down) < reach and one.depth > other.depth,
    }
    return "yes" if true[next(name for name in RELATIONS if name in text)] else "no"


def test_every_answer_is_right(scenes, asked):
    for things, night, questions in zip(scenes.things(), scenes.night, asked, strict=True):
        for question in questions:
            assert question.answer in ANSWERS
            assert question.answer == answer_by_reading(question.text, things, night), question


def test_all_types_and_yes_as_often_as_no(asked):
    flat = [question for questions in asked for question in questions]
    assert {question.type for question in flat} == set(TYPES)
    for kind in ("existence", "relation"):
        answers = [q.answer == "yes" for q in flat if q.type == kind]
        assert len(answers) > 100
        assert 0.4 < sum(answers) / len(answers) < 0.6
    assert {q.answer for q in flat if q.type == "colour"} == set(COLOURS)
    assert {"zero", "one", "two", "three"} <= {q.answer for q in flat if q.type == "count"}


def test_a_colour_in_a_no_may_belong_to_a_kind_that_is_there(scenes, asked):
    traps = 0
    for things, questions in zip(scenes.things(), asked, strict=True):
        for question in questions:
            words = {canonical(word) for word in question.text.split()}
            here = words & {thing.kind for thing in things}
            traps += question.type == "existence" and question.answer == "no" and bool(here)
    assert traps > 20


def test_types_can_be_chosen_and_articles_fit(scenes):
    for questions in ask(scenes, generator=make_generator(0), types=("existence", "time")):
        for question in questions:
            assert question.type in ("existence", "time")
            _, _, after = question.text.partition("is there ")
            if after:
                article, word = after.split()[:2]
                assert article == ("an" if word[0] in "aeiou" else "a")


def test_same_seed_same_questions(scenes):
    one, same, other = (ask(scenes, generator=make_generator(seed)) for seed in (3, 3, 4))
    assert one == same
    assert one != other


def test_bad_requests_are_refused(scenes):
    with pytest.raises(ValueError, match="per_scene is 0"):
        ask(scenes, per_scene=0, generator=make_generator(0))
    with pytest.raises(ValueError, match="types holds \\['why'\\], choose from existence"):
        ask(scenes, generator=make_generator(0), types=("why",))
    nothing = scenes[:3].replace(present=torch.zeros(3, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="scene 0 holds nothing"):
        ask(nothing, generator=make_generator(0))
