"""Every answer is checked by reading the question's text against the scene, or its pixels."""

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world import pictures
from mmlib.world.questions import ANSWERS, TYPES, ask
from mmlib.world.sampling import sample_scenes
from mmlib.world.scenes import APART, CATEGORIES, COLOURS, RELATIONS
from mmlib.world.words import NUMBERS, canonical


@pytest.fixture(scope="module")
def scenes():
    return sample_scenes(1000, generator=make_generator(0))


@pytest.fixture(scope="module")
def asked(scenes):
    return ask(scenes, per_scene=9, generator=make_generator(1))


def names_in(text):
    """Return the (colour or None, category) that a text names, in order."""
    found, colour = [], None
    for word in map(canonical, text.split()):
        if word in CATEGORIES:
            found.append((colour, word))
        colour = word if word in COLOURS else None
    return found


def answer_by_reading(text, objects, night):
    """Answer from the words of the question alone."""
    named = [
        [t for t in objects if t.category == category and colour in (None, t.colour)]
        for colour, category in names_in(text)
    ]
    if text.startswith("how many"):
        return NUMBERS[len(named[0])]
    if text.startswith("what colour"):
        ((obj,),) = named
        return obj.colour
    if text == "is it day or night":
        return "night" if night else "day"
    if text.startswith("is there"):
        return "yes" if all(named) else "no"
    if text.startswith("are there"):
        first, second = map(len, named)
        return "yes" if (first > second if "more" in text else first < second) else "no"
    (one,), (other,) = named
    return "yes" if holds(text, one, other) else "no"


def holds(text, one, other):
    """Whether what a text says of one object and another is so."""
    right, down, reach = one.x - other.x, one.y - other.y, (one.size + other.size) / 2
    return {
        "left of": right < -APART,
        "right of": right > APART,
        "above": abs(right) < reach and down <= -reach,
        "below": abs(right) < reach and down >= reach,
        "in front of": abs(right) < reach and abs(down) < reach and one.depth < other.depth,
        "behind": abs(right) < reach and abs(down) < reach and one.depth > other.depth,
        "bigger": one.size > other.size,
        "smaller": one.size < other.size,
    }[next(name for name in (*RELATIONS, "bigger", "smaller") if name in text)]


def test_every_answer_is_right(scenes, asked):
    for objects, night, questions in zip(scenes.objects(), scenes.night, asked, strict=True):
        for question in questions:
            assert question.answer in ANSWERS
            assert question.answer == answer_by_reading(question.text, objects, night), question


def test_all_types_and_yes_as_often_as_no(asked):
    flat = [question for questions in asked for question in questions]
    assert {question.type for question in flat} == set(TYPES)
    for category in ("existence", "relation", "comparison"):
        answers = [q.answer == "yes" for q in flat if q.type == category]
        assert len(answers) > 100
        assert 0.4 < sum(answers) / len(answers) < 0.6
    assert {q.answer for q in flat if q.type == "colour"} == set(COLOURS)
    assert {"zero", "one", "two", "three"} <= {q.answer for q in flat if q.type == "count"}
    for word in ("more", "fewer", "bigger", "smaller", *RELATIONS):
        answers = {q.answer for q in flat if f" {word} " in f"{q.text} "}
        assert answers == {"yes", "no"}, word


def test_a_colour_in_a_no_may_belong_to_a_category_that_is_there(scenes, asked):
    traps = 0
    for objects, questions in zip(scenes.objects(), asked, strict=True):
        for question in questions:
            words = {canonical(word) for word in question.text.split()}
            here = words & {obj.category for obj in objects}
            traps += question.type == "existence" and question.answer == "no" and bool(here)
    assert traps > 20


def test_what_is_asked_can_be_seen(scenes, asked):
    """In pixels of a small picture: everything shows, and what is compared differs clearly."""
    seen = pictures.masks(scenes, size=64)
    assert int(seen.flatten(2).sum(dim=2)[scenes.present].min()) >= 12
    edges = pictures.boxes(pictures.outlines(scenes, size=64))
    for edge, objects, questions in zip(edges.tolist(), scenes.objects(), asked, strict=True):
        for question in questions:
            named = [
                [t for t in objects if t.category == category and colour in (None, t.colour)]
                for colour, category in names_in(question.text)
            ]
            if question.type not in ("relation", "comparison") or "there" in question.text:
                continue
            boxes = [edge[obj.slot] for (obj,) in named]
            sides = [max(right - left, low - top) for left, top, right, low in boxes]
            if question.type == "comparison":
                assert max(sides) / min(sides) > 1.1, question
            elif "front" in question.text or "behind" in question.text:
                front = ("front" in question.text) == (question.answer == "yes")
                near, far = boxes if front else boxes[::-1]
                assert near[3] - far[3] >= 1, question  # lower feet, by a pixel at least
            elif "left" in question.text or "right" in question.text:
                middles = [(left + right) / 2 for left, _, right, _ in boxes]
                assert abs(middles[0] - middles[1]) > 6, question


def test_types_can_be_chosen_and_articles_fit(scenes):
    for questions in ask(scenes, generator=make_generator(0), types=("existence", "time")):
        for question in questions:
            assert question.type in ("existence", "time")
            _, _, after = question.text.partition("is there ")
            if after:
                article, word = after.split()[:2]
                assert article == ("an" if word[0] in "aeiou" else "a")


def test_where_a_type_has_nothing_to_ask_another_is_drawn():
    """One object alone stands in no relation; the time can be asked of any scene."""
    alone = sample_scenes(50, generator=make_generator(2), slots=1)
    flat = [q for asked in ask(alone, generator=make_generator(3), types=("relation", "time"))
            for q in asked]  # fmt: skip
    assert sum(q.type == "time" for q in flat) >= len(flat) - 3  # ten draws, all of them relations
    assert {q.type for q in flat} <= {"time", "existence"}
    instead = ask(alone, generator=make_generator(3), types=("relation",))
    assert {q.type for asked in instead for q in asked} == {"existence"}


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
