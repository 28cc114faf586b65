"""Questions about scenes with their answers, by type, balanced where the answer is yes or no.

A question is asked only where the picture decides it, also at 64 pixels. Relations keep the margins
of ``scenes.relations``; "in front of" and "behind" are asked only of things whose feet tell it (the
nearer one's are lower by ``LOWER``); "bigger" only where one is ``BIGGER`` times as large; "on the
left" only away from the middle (``MIDDLE``); "more" never of equally many. Everything that is
present can be seen: ``sampling`` promises it, and the test counts pixels.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

import torch

from mmlib.world.sampling import COVERED, sample_scenes
from mmlib.world.scenes import COLOURS, KINDS, RELATIONS, Scenes, Thing, covered, held_out, related
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
    Where the scene allows no question of the drawn type, existence is asked instead.

    Args:
        types: out of ``TYPES`` and ``EXTRA_TYPES``; one that is there twice is asked twice as often.

    Raises:
        ValueError: ``per_scene`` is below 1, or a type is unknown.
    """
    if per_scene < 1:
        raise ValueError(f"per_scene is {per_scene}, ask at least 1 question a scene")
    _check_types(types)
    dice = dice_from(generator)
    return [
        [_ask_one(sight, dice.choice(types), dice) for _ in range(per_scene)]
        for sight in _sights(scenes)
    ]


def balanced_pairs(
    count: int,
    *,
    generator: torch.Generator,
    slots: int = 3,
    split: str = "train",
    types: Sequence[str] = TYPES,
) -> tuple[Scenes, Scenes, list[Question], list[Question]]:
    """Return pairs of like scenes with one question that has another answer for each.

    The second scene is the first with one fact changed: a colour, a kind, a place, or the time. A
    model that hears only the question gives both the same answer and is right on one of the two at
    most (Goyal et al., CVPR 2017, section 3, ask people for such pictures).

    Args:
        count: how many pairs, types alike often (rarely fewer of a type that suits few scenes).
        slots, split: as in ``sampling.sample_scenes``.

    Returns:
        the scenes, their twins, the questions with the scenes' answers and with the twins'.

    Raises:
        ValueError: ``count`` is below 1, or a type is unknown.
    """
    if count < 1:
        raise ValueError(f"count is {count}, ask for at least 1 pair")
    _check_types(types)
    dice, found = dice_from(generator), []
    while len(found) < count:
        scenes = sample_scenes(2 * count, generator=generator, slots=slots, split=split)
        topics = [
            _choose(sight, types[number % len(types)], dice)
            for number, sight in enumerate(_sights(scenes))
        ]
        twins = _change_one_fact(scenes, topics, split, dice)
        legal = (covered(twins) <= COVERED).all(dim=1).tolist()
        pairs = zip(_sights(scenes), _sights(twins), topics, legal, strict=True)
        for number, (sight, twin, topic, fits) in enumerate(pairs):
            answers = (_answer(topic, sight), _answer(topic, twin))
            if fits and topic.type in types and None not in answers and answers[0] != answers[1]:
                found.append((scenes[number], twins[number], topic, answers))
    return _paired(found[:count], dice)


def _paired(found: list, dice: random.Random) -> tuple:
    """Put pairs that were found one by one into one batch each of scenes, twins and questions."""
    texts = [_say(topic, dice) for *_, topic, _ in found]
    asked = [
        [Question(text, answers[side], topic.type)
         for text, (*_, topic, answers) in zip(texts, found, strict=True)]
        for side in (0, 1)
    ]  # fmt: skip
    fields = Scenes.__dataclass_fields__
    batches = [
        Scenes(**{f: torch.cat([getattr(pair[side], f) for pair in found]) for f in fields})
        for side in (0, 1)
    ]
    return *batches, *asked


def _sights(scenes: Scenes) -> list[Sight]:
    """Return what each scene shows."""
    check_inhabited(scenes)
    feet = (scenes.y + scenes.size / 2).tolist()
    sights = []
    facts_of = related(scenes)
    for index, things in enumerate(scenes.things()):
        facts = set()
        for one, other, number in facts_of[index]:
            lower = feet[index][one] - feet[index][other]
            clear = {"in front of": lower >= LOWER, "behind": lower <= -LOWER}
            if clear.get(RELATIONS[number], True):
                facts.add((one, other, RELATIONS[number]))
        sights.append(Sight(things, facts, bool(scenes.night[index])))
    return sights


def _ask_one(sight: Sight, kind_of_question: str, dice: random.Random) -> Question:
    """Ask one question of a type about one scene."""
    topic = _choose(sight, kind_of_question, dice)
    return Question(_say(topic, dice), _answer(topic, sight), topic.type)


def _answer(topic: Topic, sight: Sight) -> str | None:
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
        return _yes_or_no(max(1, ratio), max(1, 1 / ratio), topic.word == "bigger", least=BIGGER - 1)
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


def _say(topic: Topic, dice: random.Random) -> str:
    """Put a topic into words."""
    many = topic.type == "count" or topic.word in ("more", "fewer")
    names = [
        f"{colour} {noun(kind, dice, many=many)}".strip() for kind, colour in topic.named
    ]
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


def _choose(sight: Sight, kind_of_question: str, dice: random.Random) -> Topic:
    """Choose what to ask a scene about; existence where the type has nothing to ask."""
    found = {
        "time": lambda: Topic("time"),
        "count": lambda: _choose_count(sight, dice),
        "colour": lambda: _choose_colour(sight, dice),
        "comparison": lambda: _choose_comparison(sight, dice),
        "relation": lambda: _choose_relation(sight, dice),
        "position": lambda: _choose_position(sight, dice),
        "together": lambda: _choose_together(sight, dice),
        "existence": lambda: None,
    }[kind_of_question]()
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
    topics, words = [], dice.sample(COMPARISONS, len(COMPARISONS))
    if words[0] in ("more", "fewer"):
        kinds = sorted({thing.kind for thing in sight.things})
        rivals = [*kinds, *dice.sample(KINDS, 2)]
        names = [((kind, ""), (rival, "")) for kind in kinds for rival in rivals]
    else:
        named = [(t.kind, t.colour if dice.random() < 0.5 else "") for t in sight.things]
        names = [(one, other) for one in named for other in named]
    for pair in names:
        topic = Topic("comparison", pair if dice.random() < 0.5 else pair[::-1], words[0])
        if pair[0] != pair[1] and _answer(topic, sight):
            topics.append(topic)
    return dice.choice(topics) if topics else None


def _choose_position(sight: Sight, dice: random.Random) -> Topic | None:
    topics = [Topic("position", ((t.kind, ""),), word) for t in _single(sight) for word in MIDDLE]
    topics = [topic for topic in topics if _answer(topic, sight)]
    return dice.choice(topics) if topics else None


def _choose_together(sight: Sight, dice: random.Random) -> Topic | None:
    """Name two different things, both there half of the time, else one of them at most."""
    first = _choose_name(sight, True, dice)
    second = _choose_name(sight, dice.random() < 0.6, dice)
    pair = (first, second) if dice.random() < 0.5 else (second, first)
    return Topic("together", pair) if first[0] != second[0] else None


def _change_one_fact(
    scenes: Scenes, topics: list[Topic], split: str, dice: random.Random
) -> Scenes:
    """Return each scene with one thing's colour, kind or place changed, or its time.

    What is changed fits the topic's type; whether that changes the answer is for others to see.
    """
    kind, colour, night = scenes.kind.clone(), scenes.colour.clone(), scenes.night.clone()
    x, y, size, depth = (t.clone() for t in (scenes.x, scenes.y, scenes.size, scenes.depth))
    for row, (topic, things) in enumerate(zip(topics, scenes.things(), strict=True)):
        slot = dice.choice(things).slot
        if topic.type == "time":
            night[row] = ~night[row]
        elif topic.type in ("relation", "position") or topic.word in ("bigger", "smaller"):
            other = dice.choice(things).slot  # the two change places
            for where in (x, y, size, depth):
                where[row, [slot, other]] = where[row, [other, slot]]
        elif topic.type == "colour" or dice.random() < 0.3:
            colour[row, slot] = dice.randrange(len(COLOURS))
        else:
            kind[row, slot] = KINDS.index(dice.choice([*(k for k, _ in topic.named), *KINDS[:4]]))
        wrong = held_out(kind[row, slot], colour[row, slot]) != (split == "held out")
        if split != "all" and bool(wrong):  # such a pair is not of this split: leave all as it was
            kind[row], colour[row] = scenes.kind[row], scenes.colour[row]
    return scenes.replace(kind=kind, colour=colour, night=night, x=x, y=y, size=size, depth=depth)


def _check_types(types: Sequence[str]) -> None:
    known = (*TYPES, *EXTRA_TYPES)
    unknown = set(types) - set(known)
    if unknown or not types:
        raise ValueError(f"types holds {sorted(unknown)}, choose from {', '.join(known)}")
