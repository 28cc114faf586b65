"""Read a caption back against its scene: what does it claim, and is it so?

``parse`` understands every sentence that ``words.captions`` can say, in any of its synonyms, and
nothing else. ``check_captions`` compares the claims with the scene's numbers, type by type, so that
a sentence which says something true in other words counts, and one wrong colour does not hide
behind many right words.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.world.scenes import CATEGORIES, COLOURS, RELATIONS, SceneObject, Scenes, related
from mmlib.world.words import NUMBERS, SOUNDS_OF, SYNONYMS, WHEN, WHERE, action, canonical

# What a caption may be right or wrong about. Colour is checked where the category is right, count
# where both are, an action, sound or relation where what it is said of is there.
TYPES = ("category", "colour", "count", "scene class", "time", "action", "sound", "relation")


class Mention(NamedTuple):
    """Objects that a caption names together, such as *two red birds*."""

    count: int
    colour: str | None
    category: str


class Claims(NamedTuple):
    """All that a caption claims; None where it says nothing of the sort."""

    form: str  # "inventory", "activity", "sound" or "relation"
    mentions: tuple[Mention, ...]
    scene_class: str | None
    night: bool | None
    action: str | None = None  # "flying", "sailing" or "standing"
    relation: str | None = None  # one of scenes.RELATIONS, of the first to the second mention


class CaptionScores(NamedTuple):
    """How true captions are, one row a caption."""

    parsed: Tensor  # (captions,) bool: it is a sentence of this world
    exact: Tensor  # (captions,) bool: each claim is true, and an inventory leaves nothing out
    claimed: Tensor  # (captions, types) how many claims of each of TYPES were checked
    correct: Tensor  # (captions, types) how many of them are true

    def precision(self, type: str) -> float:
        """Return the share of true ones among all claims of a type; NaN if there is none."""
        column = TYPES.index(type)
        return float(self.correct[:, column].sum() / self.claimed[:, column].sum())


def _any(words) -> str:
    return "|".join(sorted(words, key=len, reverse=True))  # long ones first: they may hold others


_SCENE_CLASS_OF = {
    phrase: scene_class for scene_class, phrases in WHERE.items() for phrase in phrases
}
_NIGHT_OF = {phrase: night for night, phrases in WHEN.items() for phrase in phrases}
_CATEGORY_OF_SOUND = {verb: category for category, verbs in SOUNDS_OF.items() for verb in verbs}
_OBJECT = re.compile(
    rf"(an?|{_any(NUMBERS[2:])}) (?:({_any(COLOURS)}) )?"
    rf"({_any(word for category in CATEGORIES for word in SYNONYMS[category])})(s?)"
)
_NAME = re.sub(r"\((?!\?)", "(?:", _OBJECT.pattern)  # the same without its groups
_WHERE, _WHEN = f"(?P<where>{_any(_SCENE_CLASS_OF)})", f"(?P<when>{_any(_NIGHT_OF)})"
_ALL = f"(?P<objects>{_NAME}(?:(?: {_NAME})* and {_NAME})?)"
_ONE = f"(?P<objects>{_NAME})"
_DOES = f"(?P<be>is|are) (?P<action>flying|sailing|standing) {_WHERE}"
_SOUNDS = f"(?:(?P<be>is|are) )?(?P<verb>{_any(_CATEGORY_OF_SOUND)}) {_WHERE}"
_FORMS = [
    (form, re.compile(pattern))
    for form, pattern in (
        ("inventory", f"(?:you can see )?{_ALL} {_WHERE} {_WHEN}"),
        ("inventory", f"{_WHEN} there (?P<be>is|are) {_ALL} {_WHERE}"),
        ("activity", f"{_ONE} {_DOES} {_WHEN}"),
        ("activity", f"{_WHEN} {_ONE} {_DOES}"),
        ("sound", f"{_ONE} {_SOUNDS} {_WHEN}"),
        ("sound", f"{_WHEN} {_ONE} {_SOUNDS}"),
        ("relation", f"(?P<objects>{_NAME} (?P<be>is) (?P<relation>(?:to the )?(?:left|right) of|"
         f"{_any(RELATIONS[2:])}) {_NAME}) (?:{_WHERE}|{_WHEN})"),
    )
]  # fmt: skip


def parse(sentence: Sequence[str]) -> Claims | None:
    """Return what a sentence, a list of words, claims; None if this world does not talk so.

    Raises:
        TypeError: ``sentence`` is one string.
    """
    if isinstance(sentence, str):
        raise TypeError(f"the sentence {sentence!r} is one string: split it into words")
    text = " ".join(sentence)
    for form, pattern in _FORMS:
        if match := pattern.fullmatch(text):
            found = match.groupdict()
            mentions = tuple(map(_mention, _OBJECT.finditer(found["objects"])))
            if None in mentions or not _well_formed(form, mentions, found):
                return None
            relation = found.get("relation")
            return Claims(
                form, mentions, _SCENE_CLASS_OF.get(found["where"]), _NIGHT_OF.get(found["when"]),
                found.get("action"), relation and relation.removeprefix("to the "),
            )  # fmt: skip
    return None


def check_captions(sentences: Iterable[Sequence[str]], scenes: Scenes) -> CaptionScores:
    """Check a caption, a list of words, of each scene.

    Raises:
        ValueError: there are not as many sentences as scenes.
        TypeError: a sentence is one string.
    """
    sentences = list(sentences)
    if len(sentences) != len(scenes):
        raise ValueError(f"there are {len(sentences)} sentences and {len(scenes)} scenes: one each")
    known, exact = torch.zeros(2, len(scenes), dtype=torch.bool)
    claimed, correct = torch.zeros(2, len(scenes), len(TYPES), dtype=torch.long)
    facts, nights = related(scenes), scenes.night.tolist()
    for row, (sentence, objects) in enumerate(zip(sentences, scenes.objects(), strict=True)):
        claims = parse(sentence)
        if claims is None:
            continue
        known[row] = True
        scene_class = scenes.scene_class_name(row)
        verdicts = _of_objects(claims, objects, scene_class)
        verdicts += (
            [("scene class", claims.scene_class == scene_class)]
            if claims.scene_class is not None
            else []
        )
        verdicts += [("time", claims.night == nights[row])] if claims.night is not None else []
        verdicts += _of_relation(claims, objects, facts[row])
        for type, true in verdicts:
            claimed[row, TYPES.index(type)] += 1
            correct[row, TYPES.index(type)] += true
        complete = claims.form != "inventory" or _names_each_once(claims.mentions, objects)
        exact[row] = complete and all(true for _, true in verdicts)
    return CaptionScores(known, exact, claimed, correct)


def matching(mention: Mention, objects: Sequence[SceneObject]) -> list[SceneObject]:
    """Return the objects that a mention may mean: of its category and, if named, its colour."""
    return [
        t for t in objects if t.category == mention.category and mention.colour in (None, t.colour)
    ]


def _names_each_once(mentions: Sequence[Mention], objects: Sequence[SceneObject]) -> bool:
    """Whether mentions leave nothing out, and name nothing twice in another object's stead."""
    named = sum(mention.count for mention in mentions)
    meant = {obj.slot for mention in mentions for obj in matching(mention, objects)}
    return named == len(meant) == len(objects)


def _mention(match: re.Match) -> Mention | None:
    """Read one name; None if article and noun, or number and plural, do not go together."""
    article, colour, word, plural = match.groups()
    count = 1 if article in ("a", "an") else NUMBERS.index(article)
    wanted = "an" if (colour or word)[0] in "aeiou" else "a"
    if (count > 1) != bool(plural) or (count == 1 and article != wanted):
        return None
    return Mention(count, colour, canonical(word))


def _well_formed(form: str, mentions: tuple[Mention, ...], found: dict) -> bool:
    """Whether the verb agrees in number, and is one that this category can do."""
    many = mentions[0].count > 1
    if form == "relation":
        return all(mention.count == 1 for mention in mentions)
    if found.get("be") is not None and (found["be"] == "are") != many:
        return False
    if form != "sound":
        return True
    one, several, ongoing = SOUNDS_OF[mentions[0].category]
    return found["verb"] == (ongoing if found["be"] else several if many else one)


def _of_objects(
    claims: Claims, objects: Sequence[SceneObject], scene_class: str
) -> list[tuple[str, bool]]:
    """Check each mention: category, colour, what it does, and how many there are."""
    verdicts = []
    for mention in claims.mentions:
        there = any(obj.category == mention.category for obj in objects)
        meant = matching(mention, objects)
        verdicts.append(("category", there))
        if there and mention.colour is not None:
            verdicts.append(("colour", bool(meant)))
        if not meant or claims.form == "relation":  # "a dog is behind a car" is said of one dog
            continue
        if claims.form == "activity":
            meant = [obj for obj in meant if action(obj, scene_class) == claims.action]
            verdicts.append(("action", bool(meant)))
        if claims.form == "sound":
            meant = [obj for obj in meant if obj.sounding]
            verdicts.append(("sound", bool(meant)))
        if meant:
            verdicts.append(("count", len(meant) == mention.count))
    return verdicts


def _of_relation(
    claims: Claims, objects: Sequence[SceneObject], facts: list[tuple[int, int, int]]
) -> list[tuple[str, bool]]:
    """Check a relation: does it hold between any two objects that may be meant?"""
    if claims.relation is None:
        return []
    one, other = (matching(mention, objects) for mention in claims.mentions)
    pairs = [(a.slot, b.slot) for a in one for b in other if a.slot != b.slot]
    wanted = RELATIONS.index(claims.relation)
    if not (one and other):
        return []
    return [("relation", any((*pair, wanted) in facts for pair in pairs))]
