"""Scenes in words: captions, tags as people give them, and sentences for word vectors.

Everything is lower case, words are separated by single spaces, there is no punctuation. Several
words may mean the same (``SYNONYMS``); ``canonical`` leads each of them back to the name that
``scenes`` uses.
"""

import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from mmlib.world.sampling import sample_scenes
from mmlib.world.scenes import RELATIONS, SceneObject, Scenes, related

# The ways to say each category, scene class and time; the first is the canonical one.
SYNONYMS = {
    "bell": ("bell",),
    "bird": ("bird", "songbird"),
    "boat": ("boat", "ship"),
    "car": ("car", "automobile"),
    "clock": ("clock", "alarm"),
    "dog": ("dog", "hound"),
    "drum": ("drum",),
    "frog": ("frog", "toad"),
    "guitar": ("guitar",),
    "horn": ("horn", "trumpet"),
    "beach": ("beach", "shore"),
    "meadow": ("meadow", "field"),
    "town": ("town", "city"),
    "forest": ("forest", "wood"),
    "mountains": ("mountains", "hills"),
    "day": ("day", "daytime", "sunny"),
    "night": ("night", "nighttime", "dark"),
}
# What each category does when it sounds: of one, of several, going on.
SOUNDS_OF = {
    "bell": ("rings", "ring", "ringing"),
    "bird": ("sings", "sing", "singing"),
    "boat": ("hoots", "hoot", "hooting"),
    "car": ("rumbles", "rumble", "rumbling"),
    "clock": ("ticks", "tick", "ticking"),
    "dog": ("barks", "bark", "barking"),
    "drum": ("beats", "beat", "beating"),
    "frog": ("croaks", "croak", "croaking"),
    "guitar": ("strums", "strum", "strumming"),
    "horn": ("blares", "blare", "blaring"),
}
WHERE = {
    "beach": ("on the beach", "on the shore", "at the beach"),
    "meadow": ("in the meadow", "in the field", "on the meadow"),
    "town": ("in the town", "in the city"),
    "forest": ("in the forest", "in the wood"),
    "mountains": ("in the mountains", "in the hills"),
}
WHEN = {
    False: ("by day", "in the daytime", "on a sunny day", "under the sun"),
    True: ("at night", "in the nighttime", "in the dark", "under the moon"),
}
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")
FORMS = ("inventory", "activity", "relation")  # what a caption may do with what one sees
UNRELATED_TAGS = ("photo", "holiday", "nice", "2009", "camera", "square", "me", "favourite")


class View(NamedTuple):
    """One scene as a speaker takes it in."""

    objects: tuple[SceneObject, ...]
    scene_class: str
    night: bool
    facts: list[tuple[int, int, int]]  # its relations, as in scenes.related
    in_order: bool  # whether objects are named as they stand in ``objects``


def canonical(word: str) -> str:
    """Return the name that ``scenes`` uses for a word: ``"ships"`` → ``"boat"``.

    A word that is no name of a category, scene class or time comes back as it is.
    """
    for name, words in SYNONYMS.items():
        if word in words or (word.endswith("s") and word[:-1] in words):
            return name
    return word


def captions(
    scenes: Scenes,
    *,
    per_scene: int = 5,
    generator: torch.Generator,
    include_sounds: bool = False,
    forms: Sequence[str] = FORMS,
    left_to_right: bool = False,
) -> list[list[str]]:
    """Describe each scene in several differently worded sentences, all of them true.

    Args:
        scenes: what to describe.
        per_scene: how many different captions a scene gets, 1 to 10.
        generator: the source of randomness.
        include_sounds: tell also what objects sound like; without it only what can be seen.
        forms: which of ``FORMS`` to use; an inventory comes twice as often as another. A scene
            for which none of them will do gets inventories.
        left_to_right: an inventory goes from left to right; otherwise in any order.

    Raises:
        ValueError: ``per_scene`` is out of its range, or a form is unknown.
    """
    if not 1 <= per_scene <= 10:
        raise ValueError(f"per_scene is {per_scene}, ask for 1 to 10 captions a scene")
    for form in forms:
        if form not in FORMS:
            raise ValueError(f"forms holds {form!r}, choose from {', '.join(FORMS)}")
    check_inhabited(scenes)
    rng, everything = rng_from(generator), []
    nights, facts = scenes.night.tolist(), related(scenes)
    for index, objects in enumerate(scenes.objects()):
        if left_to_right:
            objects = tuple(sorted(objects, key=lambda obj: obj.x))
        view = View(
            objects, scenes.scene_class_name(index), nights[index], facts[index], left_to_right
        )
        sentences: list[str] = []
        while len(sentences) < per_scene:
            sentence = _sentence(view, rng, include_sounds, forms)
            if sentence not in sentences:
                sentences.append(sentence)
        everything.append(sentences)
    return everything


def true_tags(scenes: Scenes) -> list[set[str]]:
    """Return each scene's exact tags: categories, colours, scene class, ``day`` or ``night``."""
    tags = []
    for index, objects in enumerate(scenes.objects()):
        tags.append({obj.category for obj in objects} | {obj.colour for obj in objects})
        tags[-1] |= {scenes.scene_class_name(index), "night" if scenes.night[index] else "day"}
    return tags


def tags(
    scenes: Scenes,
    *,
    generator: torch.Generator,
    missing: float = 0.25,
    wrong: float = 0.1,
    unrelated: float = 0.3,
) -> list[list[str]]:
    """Tag each scene as people tag pictures: incomplete, in their own words, not always right.

    Args:
        missing: chance that a true tag is left out.
        wrong: chance that a tag is added that names a category, scene class or time, true or not.
        unrelated: chance that a tag is added that has nothing to do with the picture.

    Returns:
        a list of different tags for each scene, in random order; it may be empty.

    Raises:
        ValueError: a chance does not lie from 0 to 1.
    """
    for name, chance in (("missing", missing), ("wrong", wrong), ("unrelated", unrelated)):
        if not 0 <= chance <= 1:
            raise ValueError(f"{name} is {chance}, a chance lies from 0 to 1")
    rng, given = rng_from(generator), []
    for truth in true_tags(scenes):
        kept = [tag for tag in sorted(truth) if rng.random() >= missing]
        if rng.random() < wrong:
            kept.append(rng.choice(list(SYNONYMS)))
        words = {rng.choice(SYNONYMS.get(tag, (tag,))) for tag in kept}
        if rng.random() < unrelated:
            words.add(rng.choice(UNRELATED_TAGS))
        ordered = sorted(words)
        rng.shuffle(ordered)
        given.append(ordered)
    return given


def corpus(count: int, *, generator: torch.Generator) -> list[list[str]]:
    """Return ``count`` sentences about new scenes, seen and heard, each a list of words.

    Raises:
        ValueError: ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"count is {count}, ask for at least 1 sentence")
    scenes = sample_scenes(-(-count // 2), generator=generator).to("cpu")
    pairs = captions(scenes, per_scene=2, generator=generator, include_sounds=True)
    return [sentence.split() for pair in pairs for sentence in pair][:count]


def rng_from(generator: torch.Generator) -> random.Random:
    """Return Python's random numbers, seeded by the next number of ``generator``."""
    seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
    return random.Random(int(seed))


def action(obj: SceneObject, scene_class: str) -> str:
    """Return what an object is seen to do in a scene of this class: flying, sailing or standing."""
    if obj.flying:
        return "flying"
    return "sailing" if (obj.category, scene_class) == ("boat", "beach") else "standing"


def noun(category: str, rng: random.Random, *, many: bool = False) -> str:
    """Return one of the words for a category, in the plural if asked."""
    return rng.choice(SYNONYMS[category]) + ("s" if many else "")


def with_article(words: str) -> str:
    """Put ``a`` or ``an`` before words, by their first letter."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def listed(names: list[str]) -> str:
    """Join names as in speech: ``a bell``, ``a bell and a dog``, ``a bell a car and a dog``."""
    return " and ".join([" ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def check_inhabited(scenes: Scenes) -> None:
    """Raise ``ValueError`` if a scene holds nothing that one could speak of."""
    empty = ~scenes.present.any(dim=1)
    if bool(empty.any()):
        raise ValueError(
            f"scene {int(empty.nonzero()[0])} holds nothing to speak of: "
            "leave it out, scenes[scenes.present.any(dim=1)]"
        )


def _grouped(objects: Iterable[SceneObject], *by: str) -> list[list[SceneObject]]:
    """Put objects together that agree in these properties."""
    groups: dict[tuple, list[SceneObject]] = {}
    for obj in objects:
        groups.setdefault(tuple(getattr(obj, name) for name in by), []).append(obj)
    return list(groups.values())


def _name(group: list[SceneObject], rng: random.Random, *, coloured: bool = True) -> str:
    """Name a group: ``an orange ship``, ``two red birds``, ``two birds``."""
    obj, many = group[0], len(group) > 1
    words = noun(obj.category, rng, many=many)
    words = f"{obj.colour} {words}" if coloured else words
    return f"{NUMBERS[len(group)]} {words}" if many else with_article(words)


def _be(group: list[SceneObject]) -> str:
    return "is" if len(group) == 1 else "are"


def _sentence(view: View, rng: random.Random, include_sounds: bool, forms: Sequence[str]) -> str:
    """Return one true sentence about one scene, in one of several forms."""
    where, when = rng.choice(WHERE[view.scene_class]), rng.choice(WHEN[view.night])
    ways = [_inventory, _inventory] if "inventory" in forms else []
    ways += [_activity] if "activity" in forms else []
    ways += [_relation] if "relation" in forms and view.facts else []
    ways += [_sound, _sound] if include_sounds and any(obj.sounding for obj in view.objects) else []
    return rng.choice(ways or [_inventory])(view, rng, where, when)


def _inventory(view: View, rng: random.Random, where: str, when: str) -> str:
    """Say everything that is there, with colours or without."""
    coloured = rng.random() < 0.7
    groups = (
        _grouped(view.objects, "category", "colour")
        if coloured
        else _grouped(view.objects, "category")
    )
    if not view.in_order:
        rng.shuffle(groups)
    names = listed([_name(group, rng, coloured=coloured) for group in groups])
    forms = (
        f"{names} {where} {when}",
        f"{when} there {_be(groups[0])} {names} {where}",
        f"you can see {names} {where} {when}",
    )
    return rng.choice(forms)


def _activity(view: View, rng: random.Random, where: str, when: str) -> str:
    """Say what one object, or several alike, are seen to do."""
    group = rng.choice(_grouped(view.objects, "category", "colour", "flying"))
    clause = f"{_name(group, rng)} {_be(group)} {action(group[0], view.scene_class)} {where}"
    return rng.choice((f"{clause} {when}", f"{when} {clause}"))


def _sound(view: View, rng: random.Random, where: str, when: str) -> str:
    """Say what one object, or several alike, sound like."""
    group = rng.choice(_grouped([t for t in view.objects if t.sounding], "category", "colour"))
    one, several, ongoing = SOUNDS_OF[group[0].category]
    verb = rng.choice((several if len(group) > 1 else one, f"{_be(group)} {ongoing}"))
    clause = f"{_name(group, rng)} {verb} {where}"
    return rng.choice((f"{clause} {when}", f"{when} {clause}"))


def _relation(view: View, rng: random.Random, where: str, when: str) -> str:
    """Say how one object stands to another."""
    by_slot = {obj.slot: obj for obj in view.objects}
    *pair, relation = rng.choice(view.facts)
    one, other = (_name([by_slot[slot]], rng) for slot in pair)
    words = RELATIONS[relation]
    if words in ("left of", "right of") and rng.random() < 0.5:
        words = f"to the {words}"
    return f"{one} is {words} {other} {rng.choice((where, when))}"
