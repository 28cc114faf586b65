"""Balanced pairs: two scenes alike but for one fact, and a question that they answer apart.

Goyal et al., "Making the V in VQA Matter", CVPR 2017, section 3, asked people for such pictures: a
model that hears only the question is right on one of the two at most.
"""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.world.questions import (
    TYPES,
    Question,
    Topic,
    answer,
    check_types,
    choose,
    say,
    scene_graphs,
)
from mmlib.world.sampling import COVERED, sample_scenes
from mmlib.world.scenes import CATEGORIES, COLOURS, HORIZON, Scenes, covered, held_out
from mmlib.world.words import rng_from


class BalancedPairs(NamedTuple):
    """Scenes, their counterparts, and the same questions with the answers of each."""

    scenes: Scenes
    others: Scenes
    questions: list[Question]
    other_questions: list[Question]


def balanced_pairs(
    count: int,
    *,
    generator: torch.Generator,
    slots: int = 3,
    split: str = "all",
    types: Sequence[str] = TYPES,
) -> BalancedPairs:
    """Return ``count`` pairs of like scenes with a question that each answers differently.

    The second scene is the first with one fact changed: the time, one object's colour or category,
    or the positions of two objects. Nothing leaves the ground that does not fly, so that "above"
    and "below" are rare.

    Args:
        slots, split: as in ``sampling.sample_scenes``.
        types: of the questions, all alike often.

    Raises:
        ValueError: ``count`` is below 1, or a type is unknown.
    """
    if count < 1:
        raise ValueError(f"count is {count}, ask for at least 1 pair")
    check_types(types)
    rng, found = rng_from(generator), []
    for number, question_type in enumerate(types):
        share = count // len(types) + (number < count % len(types))
        least = min(slots, 2 if question_type in ("relation", "comparison") else 1)
        while share:
            scenes = sample_scenes(
                4 * share + 20, generator=generator, slots=slots, least=least, split=split
            )
            pairs = list(_pairs(scenes, question_type, split, rng))[:share]
            found += pairs
            share -= len(pairs)
    firsts, seconds, topics, answers = zip(*found, strict=True)
    texts = [say(topic, rng) for topic in topics]
    asked = [
        [Question(*row) for row in zip(texts, side, (t.type for t in topics), strict=True)]
        for side in zip(*answers, strict=True)
    ]
    return BalancedPairs(_joined(firsts), _joined(seconds), *asked)


def _pairs(
    scenes: Scenes, question_type: str, split: str, rng: random.Random
) -> Iterator[tuple[Scenes, Scenes, Topic, tuple[str, str]]]:
    """Yield those scenes that get another answer by one change, with it and the question."""
    before = scene_graphs(scenes)
    topics = [choose(graph, question_type, rng) for graph in before]
    changed = _change_one_fact(scenes, topics, rng)
    legal = _legal(changed, split).tolist()
    pairs = zip(before, scene_graphs(changed), topics, legal, strict=True)
    for number, (graph, other, topic, fits) in enumerate(pairs):
        answers = (answer(topic, graph), answer(topic, other))
        apart = None not in answers and answers[0] != answers[1]
        if fits and apart and topic.type == question_type:
            yield scenes[number], changed[number], topic, answers


def _change_one_fact(scenes: Scenes, topics: list[Topic], rng: random.Random) -> Scenes:
    """Return each scene with one fact changed that fits its topic.

    Whether that changes the answer, and whether the scene is a possible one, is for others to see.
    """
    category, colour, night = scenes.category.clone(), scenes.colour.clone(), scenes.night.clone()
    x, *rest = (t.clone() for t in (scenes.x, scenes.y, scenes.size, scenes.depth))
    for row, (topic, objects) in enumerate(zip(topics, scenes.objects(), strict=True)):
        one, other = rng.choice(objects).slot, rng.choice(objects).slot
        if topic.type == "time":
            night[row] = ~night[row]
        elif topic.type == "relation" or topic.word in ("bigger", "smaller"):
            sideways = "left" in topic.word or "right" in topic.word
            for where in [x] if sideways else [x, *rest]:  # the two change places
                where[row, [one, other]] = where[row, [other, one]]
        elif topic.type == "colour" or rng.random() < 0.3:
            colour[row, one] = rng.randrange(len(COLOURS))
        else:
            named = [CATEGORIES.index(category) for category, _ in topic.named]
            category[row, one] = rng.choice([*named, rng.randrange(len(CATEGORIES))])
    y, size, depth = rest
    return scenes.replace(
        category=category, colour=colour, night=night, x=x, y=y, size=size, depth=depth
    )


def _legal(scenes: Scenes, split: str) -> Tensor:
    """Say which scenes might have been sampled: pairs of the split, all visible, all on the ground.

    Returns:
        (scenes,) bool.
    """
    out = held_out(scenes.category, scenes.colour)
    wrong = {"all": torch.zeros_like(out), "train": out, "held out": ~out}[split]
    aloft = (scenes.y + scenes.size / 2 < HORIZON) & (scenes.category != CATEGORIES.index("bird"))
    outside = (scenes.x - 0.5).abs() + scenes.size / 2 > 0.5
    wrong = wrong | aloft | outside | (covered(scenes) > COVERED)
    return ~(wrong & scenes.present).any(dim=1)


def _joined(scenes: Sequence[Scenes]) -> Scenes:
    """Return one batch of many."""
    names = Scenes.__dataclass_fields__
    return Scenes(**{name: torch.cat([getattr(s, name) for s in scenes]) for name in names})
