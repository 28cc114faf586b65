"""Questions about scenes with their answers, by type, balanced where the answer is yes or no.

A question is asked only where the picture decides it, also at 64 pixels. Relations keep the margins
of ``scenes.relations``; "in front of" and "behind" are asked only of things whose feet tell it (the
nearer one's are lower by ``LOWER``); "bigger" only where one is ``BIGGER`` times as large; "on the
left" only away from the middle (``MIDDLE``); "more" never of equally many. Everything that is
present can be seen: ``sampling`` promises it, and the test counts pixels.
"""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from mmlib.world.scenes import COLOURS, KINDS, RELATIONS, Scenes, Thing, related
from mmlib.world.words import NUMBERS, check_inhabited, dice_from, noun, with_article

TYPES = ("existence", "colour", "count", "comparison", "relation", "time")
EXTRA_TYPES = ("position", "together")  # easier ones, to train with: where one is; are two there
ANSWERS = ("yes", "no", *COLOURS, *NUMBERS, "day", "night")

LOWER = 0.04  # how much lower the feet of the one in front must be, share of the picture
BIGGER = 1.3  # how many times as large the bigger one must be
MIDDLE = {"on the left": (0.0, 0.42), "on the right": (0.58, 1.0), "at the top": (0.0, 0.42),
          "at the bottom": (0.6, 1.0)}  # fmt: skip  # where a thing's middle must lie
OPPOSITES = {"on the left": "on the right", "at the top": "at the bottom"}
OPPOSITES |= {second: first for first, second in OPPOSITES.items()}
COMPARISONS = ("more", "fewer", "bigger", "smaller")
TRIES = 10  # types that are drawn for a question until the scene allows one


class Question(NamedTuple):
    """A question in lower-case words, its one-word answer out of ``ANSWERS``, and its type."""

    text: str
    answer: str
    type: str


class Topic(NamedTuple):
    """What a question is about: its type, (kind, colour or "") of what it names, and its word."""

    type: str
    named: tuple[tuple[str, str], ...] = ()
    word: str = ""  # a relation, a comparison or a position


class Sight(NamedTuple):
    """What one scene shows: its things, its relations that are clear to the eye, and the time."""

    things: tuple[Thing, ...]
    facts: set[tuple[int, int, str]]  # one slot, another slot, one of RELATIONS
    night: bool

    def of(self, kind: str, colour: str = "") -> list[Thing]:
        """Return the things of a kind, and of a colour if there is one."""
        return [t for t in self.things if t.kind == kind and colour in ("", t.colour)]


def ask(
    scenes: Scenes,
    *,
    per_scene: int = 3,
    generator: torch.Generator,
    types: Sequence[str] = TYPES,
) -> list[list[Question]]:
    """Ask ``per_scene`` questions about each scene, of types drawn alike often.

    A colour is asked only of a kind that is there once; a relation only between two such kinds.
    Where the scene allows no question of the drawn type, another is drawn; if it allows none,
    existence is asked.

    Args:
        types: out of ``TYPES`` and ``EXTRA_TYPES``; one named twice is asked twice as often.

    Raises:
        ValueError: ``per_scene`` is below 1, or a type is unknown.
    """
    if per_scene < 1:
        raise ValueError(f"per_scene is {per_scene}, ask at least 1 question a scene")
    check_types(types)
    dice = dice_from(generator)
    return [[_ask_one(sight, types, dice) for _ in range(per_scene)] for sight in sights(scenes)]


def sights(scenes: Scenes) -> list[Sight]:
    """Return what each scene shows."""
    check_inhabited(scenes)
    feet = (scenes.y + scenes.size / 2).tolist()
    found = []
    facts_of = related(scenes)
    for index, things in enumerate(scenes.things()):
        facts = set()
        for one, other, number in facts_of[index]:
            lower = feet[index][one] - feet[index][other]
            clear = {"in front of": lower >= LOWER, "behind": lower <= -LOWER}
            if clear.get(RELATIONS[number], True):
                facts.add((one, other, RELATIONS[number]))
        found.append(Sight(things, facts, bool(scenes.night[index])))
    return found


def _ask_one(sight: Sight, types: Sequence[str], dice: random.Random) -> Question:
    """Ask one question about one scene, of the first type drawn that it allows."""
    for _ in range(TRIES):
        kind_of_question = dice.choice(types)
        topic = choose(sight, kind_of_question, dice)
        if topic.type == kind_of_question:
            break
    return Question(say(topic, dice), answer(topic, sight), topic.type)


def answer(topic: Topic, sight: Sight) -> str | None:
    """Return the answer that a scene gives to a topic, or None where it leaves it open."""
    there = [sight.of(*name) for name in topic.named]
    if topic.type == "time":
        return "night" if sight.night else "day"
    if topic.type == "count":
        return NUMBERS[len(there[0])]
    if topic.type in ("existence", "together"):
        return "yes" if all(there) else "no"
    if topic.word in ("more", "fewer"):
        return _yes_or_no(len(there[0]), len(there[1]), topic.word == "more", least=1e-9)
    if any(len(things) != 1 for things in there):
        return None
    one, *others = (things[0] for things in there)
    if topic.type == "colour":
        return one.colour
    if topic.type == "position":
        return _answer_position(one, topic.word)
    if topic.type == "comparison":
        ratio = one.size / others[0].size
        return _yes_or_no(
            max(1, ratio), max(1, 1 / ratio), topic.word == "bigger", least=BIGGER - 1
        )
    if (one.slot, others[0].slot, topic.word) in sight.facts:
        return "yes"
    return "no" if (others[0].slot, one.slot, topic.word) in sight.facts else None


def _yes_or_no(one: float, other: float, more: bool, *, least: float) -> str | None:
    """Say whether one is more (or less) than the other, by at least so much, else None."""
    if abs(one - other) < least:
        return None
    return "yes" if (one > other) == more else "no"


def _answer_position(thing: Thing, word: str) -> str | None:
    """Say whether a thing stands there; None if it stands neither there nor opposite."""
    at = thing.x if word in ("on the left", "on the right") else thing.y
    for place, answer in ((word, "yes"), (OPPOSITES[word], "no")):
        if MIDDLE[place][0] <= at <= MIDDLE[place][1]:
            return answer
    return None


def say(topic: Topic, dice: random.Random) -> str:
    """Put a topic into words."""
    many = topic.type == "count" or topic.word in ("more", "fewer")
    names = [f"{colour} {noun(kind, dice, many=many)}".strip() for kind, colour in topic.named]
    listed = [with_article(name) for name in names]
    if topic.type == "time":
        return "is it day or night"
    if topic.type == "count":
        return f"how many {names[0]} are there"
    if topic.type == "colour":
        return f"what colour is the {names[0]}"
    if topic.type == "position":
        return f"is the {names[0]} {topic.word}"
    if topic.type == "existence":
        return f"is there {listed[0]}"
    if topic.type == "together":
        return f"is there {listed[0]} and {listed[1]}"
    if many:
        return f"are there {topic.word} {names[0]} than {names[1]}"
    than = " than" if topic.type == "comparison" else ""
    return f"is the {names[0]} {topic.word}{than} the {names[1]}"


def choose(sight: Sight, kind_of_question: str, dice: random.Random) -> Topic:
    """Choose what to ask a scene about; existence where the type has nothing to ask."""
    found = _CHOOSE[kind_of_question](sight, dice)
    return found or Topic("existence", (_choose_name(sight, dice.random() < 0.5, dice),))


def _choose_name(sight: Sight, there: bool, dice: random.Random) -> tuple[str, str]:
    """Choose a kind, half of the time with a colour, that is there or is not.

    Half of the coloured ones that are not there name a kind that is there in another colour, so
    that the kind alone does not give the answer away.
    """
    coloured, present = dice.random() < 0.5, {(t.kind, t.colour) for t in sight.things}
    if there:
        kind, colour = dice.choice(sorted(present))
        return kind, colour if coloured else ""
    if coloured:
        kind = dice.choice([dice.choice(KINDS), dice.choice(sight.things).kind])
        return kind, dice.choice([c for c in COLOURS if (kind, c) not in present])
    return dice.choice([k for k in KINDS if k not in {kind for kind, _ in present}]), ""


def _single(sight: Sight) -> list[Thing]:
    """Return the things whose kind is there once."""
    return [thing for thing in sight.things if len(sight.of(thing.kind)) == 1]


def _choose_count(sight: Sight, dice: random.Random) -> Topic:
    kinds = [thing.kind for thing in sight.things]
    return Topic("count", ((dice.choice([*kinds, dice.choice(KINDS)]), ""),))


def _choose_colour(sight: Sight, dice: random.Random) -> Topic | None:
    single = _single(sight)
    return Topic("colour", ((dice.choice(single).kind, ""),)) if single else None


def _choose_relation(sight: Sight, dice: random.Random) -> Topic | None:
    """Choose a relation of two kinds; a no always has the converse for a yes."""
    kinds = {thing.slot: thing.kind for thing in _single(sight)}
    true = sorted(fact for fact in sight.facts if fact[0] in kinds and fact[1] in kinds)
    if not true:
        return None
    one, other, word = dice.choice(true)
    pair = [(kinds[one], ""), (kinds[other], "")]
    return Topic("relation", tuple(pair if dice.random() < 0.5 else pair[::-1]), word)


def _choose_comparison(sight: Sight, dice: random.Random) -> Topic | None:
    """Choose to compare two numbers or two sizes; the first is the larger one half of the time."""
    word = dice.choice(COMPARISONS)
    if word in ("more", "fewer"):
        kinds = sorted({thing.kind for thing in sight.things})
        names = [(kind, "") for kind in (*kinds, *dice.sample(KINDS, 2))]
        pairs = [(one, other) for one in names[: len(kinds)] for other in names]
    else:
        names = [(t.kind, t.colour if dice.random() < 0.5 else "") for t in sight.things]
        pairs = [(one, other) for one in names for other in names]
    dice.shuffle(pairs)
    if dice.random() < 0.5:  # rather two kinds that are there: one alone gives less away
        pairs.sort(key=lambda pair: not sight.of(*pair[1]))
    for one, other in pairs:
        topic = Topic("comparison", dice.choice(((one, other), (other, one))), word)
        if one != other and answer(topic, sight):
            return topic
    return None


def _choose_position(sight: Sight, dice: random.Random) -> Topic | None:
    """Choose a thing that is clearly on one side."""
    for thing in dice.sample(sight.things, len(sight.things)):
        for word in dice.sample(tuple(MIDDLE), len(MIDDLE)):
            topic = Topic("position", ((thing.kind, ""),), word)
            if answer(topic, sight):
                return topic
    return None


def _choose_together(sight: Sight, dice: random.Random) -> Topic | None:
    """Name two different things, both there half of the time, else one of them at most."""
    first = _choose_name(sight, True, dice)
    second = _choose_name(sight, dice.random() < 0.6, dice)
    pair = (first, second) if dice.random() < 0.5 else (second, first)
    return Topic("together", pair) if first[0] != second[0] else None


_CHOOSE: dict[str, Callable[[Sight, random.Random], Topic | None]] = {
    "existence": lambda sight, dice: None,
    "colour": _choose_colour,
    "count": _choose_count,
    "comparison": _choose_comparison,
    "relation": _choose_relation,
    "time": lambda sight, dice: Topic("time"),
    "position": _choose_position,
    "together": _choose_together,
}


def check_types(types: Sequence[str]) -> None:
    """Raise ``ValueError`` unless every type is known and there is one."""
    known = (*TYPES, *EXTRA_TYPES)
    unknown = set(types) - set(known)
    if unknown or not types:
        raise ValueError(f"types holds {sorted(unknown)}, choose from {', '.join(known)}")
