"""Questions about scenes with their answers, by type, balanced where the answer is yes or no."""

import random
from typing import NamedTuple

import torch

from mmlib.world.scenes import COLOURS, KINDS, RELATIONS, Scenes, Thing, related
from mmlib.world.words import NUMBERS, check_inhabited, dice_from, noun, with_article

TYPES = ("existence", "colour", "count", "relation", "time")
ANSWERS = ("yes", "no", *COLOURS, *NUMBERS, "day", "night")


Facts = list[tuple[int, int, int]]  # as in scenes.related


class Question(NamedTuple):
    """A question in lower-case words, its one-word answer out of ``ANSWERS``, and its type."""

    text: str
    answer: str
    type: str


def ask(
    scenes: Scenes,
    *,
    per_scene: int = 3,
    generator: torch.Generator,
    types: tuple[str, ...] = TYPES,
) -> list[list[Question]]:
    """Ask ``per_scene`` questions about each scene, of types drawn alike often.

    A colour is asked only of a kind that is there once; a relation only between two such kinds.
    Where the scene allows no question of the drawn type, existence is asked instead.

    Raises:
        ValueError: ``per_scene`` is below 1, or a type is unknown.
    """
    if per_scene < 1:
        raise ValueError(f"per_scene is {per_scene}, ask at least 1 question a scene")
    unknown = set(types) - set(TYPES)
    if unknown or not types:
        raise ValueError(f"types holds {sorted(unknown)}, choose from {', '.join(TYPES)}")
    check_inhabited(scenes)
    dice, facts, nights = dice_from(generator), related(scenes), scenes.night.tolist()
    return [
        [_ask_one(things, night, known, dice.choice(types), dice) for _ in range(per_scene)]
        for things, night, known in zip(scenes.things(), nights, facts, strict=True)
    ]


def _ask_one(
    things: tuple[Thing, ...], night: bool, facts: Facts, kind_of_question: str, dice: random.Random
) -> Question:
    """Ask one question of a type about one scene."""
    kinds = [thing.kind for thing in things]
    single = [thing for thing in things if kinds.count(thing.kind) == 1]
    if kind_of_question == "time":
        return Question("is it day or night", "night" if night else "day", "time")
    if kind_of_question == "count":
        kind = dice.choice([*kinds, dice.choice(KINDS)])
        text = f"how many {noun(kind, dice, many=True)} are there"
        return Question(text, NUMBERS[kinds.count(kind)], "count")
    if kind_of_question == "colour" and single:
        thing = dice.choice(single)
        return Question(f"what colour is the {noun(thing.kind, dice)}", thing.colour, "colour")
    if kind_of_question == "relation":
        question = _ask_relation(single, facts, dice)
        if question:
            return question
    return _ask_existence(things, dice)


def _ask_existence(things: tuple[Thing, ...], dice: random.Random) -> Question:
    """Ask whether a kind, or a kind of a colour, is there; yes as often as no.

    Half of the questions that name a colour and get a no name a kind that is there in another
    colour, so that the kind alone does not give the answer away.
    """
    named, yes = dice.random() < 0.5, dice.random() < 0.5
    there = {(thing.colour, thing.kind) for thing in things}
    if yes:
        colour, kind = dice.choice(sorted(there))
    elif named:
        kind = dice.choice([dice.choice(KINDS), dice.choice(things).kind])
        colour = dice.choice([c for c in COLOURS if (c, kind) not in there])
    else:
        kind = dice.choice([k for k in KINDS if k not in {kind for _, kind in there}])
        colour = ""
    words = f"{colour} {noun(kind, dice)}" if named else noun(kind, dice)
    return Question(f"is there {with_article(words)}", "yes" if yes else "no", "existence")


def _ask_relation(single: list[Thing], facts: Facts, dice: random.Random) -> Question | None:
    """Ask whether one thing stands so to another; a no always has the converse for a yes."""
    slots = {thing.slot: thing for thing in single}
    true = [(i, j, r) for i, j, r in facts if i in slots and j in slots]
    if not true:
        return None
    one, other, relation = dice.choice(true)
    yes = dice.random() < 0.5
    if not yes:
        relation ^= 1  # converses stand side by side in RELATIONS
    names = [noun(slots[slot].kind, dice) for slot in (one, other)]
    text = f"is the {names[0]} {RELATIONS[relation]} the {names[1]}"
    return Question(text, "yes" if yes else "no", "relation")
