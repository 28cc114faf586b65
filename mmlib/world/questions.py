"""Questions about scenes with their answers, by type, balanced where the answer is yes or no.

A question is asked only where the picture decides it, also at 64 pixels. Relations keep the margins
of ``scenes.relations``; "in front of" and "behind" are asked only of objects whose feet tell it
(the nearer one's are lower by ``LOWER``); "bigger" only where one is ``BIGGER`` times as large;
"more" never of equally many. Everything that is present can be seen: ``sampling`` promises it, and
the test counts pixels.
"""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from mmlib.world.scenes import CATEGORIES, COLOURS, RELATIONS, SceneObject, Scenes, related
from mmlib.world.words import NUMBERS, check_inhabited, noun, rng_from, with_article

TYPES = ("existence", "colour", "count", "comparison", "relation", "time")
ANSWERS = ("yes", "no", *COLOURS, *NUMBERS, "day", "night")

LOWER = 0.04  # how much lower the feet of the one in front must be, share of the picture
BIGGER = 1.3  # how many times as large the bigger one must be
COMPARISONS = ("more", "fewer", "bigger", "smaller")
TRIES = 10  # types that are drawn for a question until the scene allows one


class Question(NamedTuple):
    """A question in lower-case words, its one-word answer out of ``ANSWERS``, and its type."""

    text: str
    answer: str
    type: str


class Topic(NamedTuple):
    """What a question is about: its type, (category, colour or "") of what it names, its word."""

    type: str
    named: tuple[tuple[str, str], ...] = ()
    word: str = ""  # a relation or a comparison


class SceneGraph(NamedTuple):
    """What one scene shows: its objects, its clearly visible relations, and the time."""

    objects: tuple[SceneObject, ...]
    facts: set[tuple[int, int, str]]  # one slot, another slot, one of RELATIONS
    night: bool

    def of(self, category: str, colour: str = "") -> list[SceneObject]:
        """Return the objects of a category, and of a colour if there is one."""
        return [t for t in self.objects if t.category == category and colour in ("", t.colour)]


def ask(
    scenes: Scenes,
    *,
    per_scene: int = 3,
    generator: torch.Generator,
    types: Sequence[str] = TYPES,
) -> list[list[Question]]:
    """Ask ``per_scene`` questions about each scene, of types drawn alike often.

    A colour is asked only of a category that is there once, a relation only between two of those.
    Where the scene allows no question of the drawn type, another is drawn; if it allows none,
    existence is asked.

    Args:
        types: out of ``TYPES``; one named twice is asked twice as often.

    Raises:
        ValueError: ``per_scene`` is below 1, or a type is unknown.
    """
    if per_scene < 1:
        raise ValueError(f"per_scene is {per_scene}, ask at least 1 question a scene")
    check_types(types)
    rng = rng_from(generator)
    return [
        [_ask_one(graph, types, rng) for _ in range(per_scene)] for graph in scene_graphs(scenes)
    ]


def scene_graphs(scenes: Scenes) -> list[SceneGraph]:
    """Return what each scene shows."""
    check_inhabited(scenes)
    feet = (scenes.y + scenes.size / 2).tolist()
    found = []
    facts_of = related(scenes)
    for index, objects in enumerate(scenes.objects()):
        facts = set()
        for one, other, number in facts_of[index]:
            lower = feet[index][one] - feet[index][other]
            clear = {"in front of": lower >= LOWER, "behind": lower <= -LOWER}
            if clear.get(RELATIONS[number], True):
                facts.add((one, other, RELATIONS[number]))
        found.append(SceneGraph(objects, facts, bool(scenes.night[index])))
    return found


def _ask_one(graph: SceneGraph, types: Sequence[str], rng: random.Random) -> Question:
    """Ask one question about one scene, of the first type drawn that it allows."""
    for _ in range(TRIES):
        question_type = rng.choice(types)
        topic = choose(graph, question_type, rng)
        if topic.type == question_type:
            break
    return Question(say(topic, rng), answer(topic, graph), topic.type)


def answer(topic: Topic, graph: SceneGraph) -> str | None:
    """Return the answer that a scene gives to a topic, or None where it leaves it open."""
    there = [graph.of(*name) for name in topic.named]
    if topic.type == "time":
        return "night" if graph.night else "day"
    if topic.type == "count":
        return NUMBERS[len(there[0])]
    if topic.type == "existence":
        return "yes" if there[0] else "no"
    if topic.word in ("more", "fewer"):
        return _yes_or_no(len(there[0]), len(there[1]), topic.word == "more", least=1e-9)
    if any(len(objects) != 1 for objects in there):
        return None
    one, *others = (objects[0] for objects in there)
    if topic.type == "colour":
        return one.colour
    if topic.type == "comparison":
        ratio = one.size / others[0].size
        return _yes_or_no(
            max(1, ratio), max(1, 1 / ratio), topic.word == "bigger", least=BIGGER - 1
        )
    if (one.slot, others[0].slot, topic.word) in graph.facts:
        return "yes"
    return "no" if (others[0].slot, one.slot, topic.word) in graph.facts else None


def _yes_or_no(one: float, other: float, more: bool, *, least: float) -> str | None:
    """Say whether one is more (or less) than the other, by at least so much, else None."""
    if abs(one - other) < least:
        return None
    return "yes" if (one > other) == more else "no"


def say(topic: Topic, rng: random.Random) -> str:
    """Put a topic into words."""
    many = topic.type == "count" or topic.word in ("more", "fewer")
    names = [
        f"{colour} {noun(category, rng, many=many)}".strip() for category, colour in topic.named
    ]
    if topic.type == "time":
        return "is it day or night"
    if topic.type == "count":
        return f"how many {names[0]} are there"
    if topic.type == "colour":
        return f"what colour is the {names[0]}"
    if topic.type == "existence":
        return f"is there {with_article(names[0])}"
    if many:
        return f"are there {topic.word} {names[0]} than {names[1]}"
    than = " than" if topic.type == "comparison" else ""
    return f"is the {names[0]} {topic.word}{than} the {names[1]}"


def choose(graph: SceneGraph, question_type: str, rng: random.Random) -> Topic:
    """Choose what to ask a scene about; existence where the type has nothing to ask."""
    found = _CHOOSE[question_type](graph, rng)
    return found or Topic("existence", (_choose_name(graph, rng.random() < 0.5, rng),))


def _choose_name(graph: SceneGraph, there: bool, rng: random.Random) -> tuple[str, str]:
    """Choose a category, half of the time with a colour, that is there or is not.

    Half of the coloured ones that are not there name a category that is there in another colour,
    so that the category alone does not give the answer away.
    """
    coloured, present = rng.random() < 0.5, {(t.category, t.colour) for t in graph.objects}
    if there:
        category, colour = rng.choice(sorted(present))
        return category, colour if coloured else ""
    if coloured:
        category = rng.choice([rng.choice(CATEGORIES), rng.choice(graph.objects).category])
        return category, rng.choice([c for c in COLOURS if (category, c) not in present])
    return rng.choice([k for k in CATEGORIES if k not in {category for category, _ in present}]), ""


def _single(graph: SceneGraph) -> list[SceneObject]:
    """Return the objects whose category is there once."""
    return [obj for obj in graph.objects if len(graph.of(obj.category)) == 1]


def _choose_count(graph: SceneGraph, rng: random.Random) -> Topic:
    categories = [obj.category for obj in graph.objects]
    return Topic("count", ((rng.choice([*categories, rng.choice(CATEGORIES)]), ""),))


def _choose_colour(graph: SceneGraph, rng: random.Random) -> Topic | None:
    single = _single(graph)
    return Topic("colour", ((rng.choice(single).category, ""),)) if single else None


def _choose_relation(graph: SceneGraph, rng: random.Random) -> Topic | None:
    """Choose a relation of two categories; a no always has the converse for a yes."""
    categories = {obj.slot: obj.category for obj in _single(graph)}
    true = sorted(fact for fact in graph.facts if fact[0] in categories and fact[1] in categories)
    if not true:
        return None
    one, other, word = rng.choice(true)
    pair = [(categories[one], ""), (categories[other], "")]
    return Topic("relation", tuple(pair if rng.random() < 0.5 else pair[::-1]), word)


def _choose_comparison(graph: SceneGraph, rng: random.Random) -> Topic | None:
    """Choose to compare two numbers or two sizes; the first is the larger one half of the time."""
    word = rng.choice(COMPARISONS)
    if word in ("more", "fewer"):
        categories = sorted({obj.category for obj in graph.objects})
        names = [(category, "") for category in (*categories, *rng.sample(CATEGORIES, 2))]
        pairs = [(one, other) for one in names[: len(categories)] for other in names]
    else:
        names = [(t.category, t.colour if rng.random() < 0.5 else "") for t in graph.objects]
        pairs = [(one, other) for one in names for other in names]
    rng.shuffle(pairs)
    if rng.random() < 0.5:  # rather two categories that are there: one alone gives less away
        pairs.sort(key=lambda pair: not graph.of(*pair[1]))
    for one, other in pairs:
        topic = Topic("comparison", rng.choice(((one, other), (other, one))), word)
        if one != other and answer(topic, graph):
            return topic
    return None


_CHOOSE: dict[str, Callable[[SceneGraph, random.Random], Topic | None]] = {
    "existence": lambda graph, rng: None,
    "colour": _choose_colour,
    "count": _choose_count,
    "comparison": _choose_comparison,
    "relation": _choose_relation,
    "time": lambda graph, rng: Topic("time"),
}


def check_types(types: Sequence[str]) -> None:
    """Raise ``ValueError`` unless every type is known and there is one."""
    unknown = set(types) - set(TYPES)
    if unknown or not types:
        raise ValueError(f"types holds {sorted(unknown)}, choose from {', '.join(TYPES)}")
