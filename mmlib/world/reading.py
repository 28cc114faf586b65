"""Read a caption back against its scene: what does it claim, and is it so?

``read`` understands every sentence that ``words.captions`` can say, in any of its synonyms, and
nothing else. ``judge`` compares the claims with the scene's numbers, type by type, so that a
sentence which says something true in other words counts, and one wrong colour does not hide
behind many right words.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.world.scenes import COLOURS, KINDS, RELATIONS, Scenes, Thing, related
from mmlib.world.words import NUMBERS, SOUNDS_OF, SYNONYMS, WHEN, WHERE, canonical, deed

# What a caption may be right or wrong about. Colour is judged where the kind is right, count
# where both are, a deed, sound or relation where what it is said of is there.
TYPES = ("kind", "colour", "count", "place", "time", "deed", "sound", "relation")


class Mention(NamedTuple):
    """Things that a caption names together, such as *two red birds*."""

    count: int
    colour: str | None
    kind: str


class Claims(NamedTuple):
    """All that a caption claims; None where it says nothing of the sort."""

    form: str  # "inventory", "activity", "sound" or "relation"
    mentions: tuple[Mention, ...]
    place: str | None
    night: bool | None
    deed: str | None = None  # "flying", "sailing" or "standing"
    relation: str | None = None  # one of scenes.RELATIONS, of the first to the second mention


class Judged(NamedTuple):
    """How true captions are, one row a caption."""

    read: Tensor  # (captions,) bool: it is a sentence of this world
    exact: Tensor  # (captions,) bool: each claim is true, and an inventory leaves nothing out
    said: Tensor  # (captions, types) how many claims of each of TYPES were judged
    right: Tensor  # (captions, types) how many of them are true

    def share_right(self, type: str) -> float:
        """Return the share of true ones among all claims of a type; NaN if there is none."""
        column = TYPES.index(type)
        return float(self.right[:, column].sum() / self.said[:, column].sum())


def _any(words) -> str:
    return "|".join(sorted(words, key=len, reverse=True))  # long ones first: they may hold others


_PLACE_OF = {phrase: place for place, phrases in WHERE.items() for phrase in phrases}
_NIGHT_OF = {phrase: night for night, phrases in WHEN.items() for phrase in phrases}
_KIND_OF_SOUND = {verb: kind for kind, verbs in SOUNDS_OF.items() for verb in verbs}
_THING = re.compile(
    rf"(an?|{_any(NUMBERS[2:])}) (?:({_any(COLOURS)}) )?"
    rf"({_any(word for kind in KINDS for word in SYNONYMS[kind])})(s?)"
)
_NAME = re.sub(r"\((?!\?)", "(?:", _THING.pattern)  # the same without its groups
_WHERE, _WHEN = f"(?P<where>{_any(_PLACE_OF)})", f"(?P<when>{_any(_NIGHT_OF)})"
_ALL = f"(?P<things>{_NAME}(?:(?: {_NAME})* and {_NAME})?)"
_ONE = f"(?P<things>{_NAME})"
_DOES = f"(?P<be>is|are) (?P<deed>flying|sailing|standing) {_WHERE}"
_SOUNDS = f"(?:(?P<be>is|are) )?(?P<verb>{_any(_KIND_OF_SOUND)}) {_WHERE}"
_FORMS = [
    (form, re.compile(pattern))
    for form, pattern in (
        ("inventory", f"(?:you can see )?{_ALL} {_WHERE} {_WHEN}"),
        ("inventory", f"{_WHEN} there (?P<be>is|are) {_ALL} {_WHERE}"),
        ("activity", f"{_ONE} {_DOES} {_WHEN}"),
        ("activity", f"{_WHEN} {_ONE} {_DOES}"),
        ("sound", f"{_ONE} {_SOUNDS} {_WHEN}"),
        ("sound", f"{_WHEN} {_ONE} {_SOUNDS}"),
        ("relation", f"(?P<things>{_NAME} (?P<be>is) (?P<relation>(?:to the )?(?:left|right) of|"
         f"{_any(RELATIONS[2:])}) {_NAME}) (?:{_WHERE}|{_WHEN})"),
    )
]  # fmt: skip


def read(sentence: Sequence[str]) -> Claims | None:
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
            mentions = tuple(map(_mention, _THING.finditer(found["things"])))
            if None in mentions or not _well_formed(form, mentions, found):
                return None
            relation = found.get("relation")
            return Claims(
                form, mentions, _PLACE_OF.get(found["where"]), _NIGHT_OF.get(found["when"]),
                found.get("deed"), relation and relation.removeprefix("to the "),
            )  # fmt: skip
    return None


def judge(sentences: Sequence[Sequence[str]], scenes: Scenes) -> Judged:
    """Judge a caption, a list of words, of each scene.

    Raises:
        ValueError: there are not as many sentences as scenes.
        TypeError: a sentence is one string.
    """
    if len(sentences) != len(scenes):
        raise ValueError(f"there are {len(sentences)} sentences and {len(scenes)} scenes: one each")
    known, exact = torch.zeros(2, len(scenes), dtype=torch.bool)
    said, right = torch.zeros(2, len(scenes), len(TYPES), dtype=torch.long)
    facts, nights = related(scenes), scenes.night.tolist()
    for row, (sentence, things) in enumerate(zip(sentences, scenes.things(), strict=True)):
        claims = read(sentence)
        if claims is None:
            continue
        known[row] = True
        place = scenes.place_name(row)
        verdicts = _of_things(claims, things, place)
        verdicts += [("place", claims.place == place)] if claims.place is not None else []
        verdicts += [("time", claims.night == nights[row])] if claims.night is not None else []
        verdicts += _of_relation(claims, things, facts[row])
        for type, true in verdicts:
            said[row, TYPES.index(type)] += 1
            right[row, TYPES.index(type)] += true
        complete = claims.form != "inventory" or _names_each_once(claims.mentions, things)
        exact[row] = complete and all(true for _, true in verdicts)
    return Judged(known, exact, said, right)


def matching(mention: Mention, things: Sequence[Thing]) -> list[Thing]:
    """Return the things that a mention may mean: of its kind and, if it names one, its colour."""
    return [t for t in things if t.kind == mention.kind and mention.colour in (None, t.colour)]


def _names_each_once(mentions: Sequence[Mention], things: Sequence[Thing]) -> bool:
    """Whether mentions leave nothing out, and tell of nothing twice in another thing's stead."""
    told = sum(mention.count for mention in mentions)
    meant = {thing.slot for mention in mentions for thing in matching(mention, things)}
    return told == len(meant) == len(things)


def _mention(match: re.Match) -> Mention | None:
    """Read one name; None if article and noun, or number and plural, do not go together."""
    article, colour, word, plural = match.groups()
    count = 1 if article in ("a", "an") else NUMBERS.index(article)
    wanted = "an" if (colour or word)[0] in "aeiou" else "a"
    if (count > 1) != bool(plural) or (count == 1 and article != wanted):
        return None
    return Mention(count, colour, canonical(word))


def _well_formed(form: str, mentions: tuple[Mention, ...], found: dict) -> bool:
    """Whether the verb agrees in number, and is one that this kind can do."""
    many = mentions[0].count > 1
    if form == "relation":
        return all(mention.count == 1 for mention in mentions)
    if found.get("be") is not None and (found["be"] == "are") != many:
        return False
    if form != "sound":
        return True
    one, several, ongoing = SOUNDS_OF[mentions[0].kind]
    return found["verb"] == (ongoing if found["be"] else several if many else one)


def _of_things(claims: Claims, things: Sequence[Thing], place: str) -> list[tuple[str, bool]]:
    """Judge each mention: kind, colour, what it does, and how many there are."""
    verdicts = []
    for mention in claims.mentions:
        there = any(thing.kind == mention.kind for thing in things)
        meant = matching(mention, things)
        verdicts.append(("kind", there))
        if there and mention.colour is not None:
            verdicts.append(("colour", bool(meant)))
        if not meant or claims.form == "relation":  # "a dog is behind a car" is said of one dog
            continue
        if claims.form == "activity":
            meant = [thing for thing in meant if deed(thing, place) == claims.deed]
            verdicts.append(("deed", bool(meant)))
        if claims.form == "sound":
            meant = [thing for thing in meant if thing.sounding]
            verdicts.append(("sound", bool(meant)))
        if meant:
            verdicts.append(("count", len(meant) == mention.count))
    return verdicts


def _of_relation(
    claims: Claims, things: Sequence[Thing], facts: list[tuple[int, int, int]]
) -> list[tuple[str, bool]]:
    """Judge a relation: does it hold between any two things that may be meant?"""
    if claims.relation is None:
        return []
    one, other = (matching(mention, things) for mention in claims.mentions)
    pairs = [(a.slot, b.slot) for a in one for b in other if a.slot != b.slot]
    wanted = RELATIONS.index(claims.relation)
    if not (one and other):
        return []
    return [("relation", any((*pair, wanted) in facts for pair in pairs))]
