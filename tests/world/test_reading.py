"""Laws of reading: all that the world says is true, and any lie planted in it is found."""

import random
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlib.runtime import make_generator
from mmlib.world.reading import TYPES, Claims, Mention, judge, read
from mmlib.world.sampling import sample_scenes
from mmlib.world.scenes import COLOURS, KINDS, PLACES, RELATIONS, related
from mmlib.world.words import NUMBERS, SYNONYMS, WHEN, WHERE, canonical, captions

SCENES = sample_scenes(60, generator=make_generator(0))
TOLD = captions(SCENES, per_scene=8, generator=make_generator(1), heard=True)


def test_each_sentence_of_the_world_is_read_and_exact():
    for number in range(8):
        judged = judge([told[number].split() for told in TOLD], SCENES)
        assert judged.read.all()
        assert judged.exact.all()
        assert torch.equal(judged.said, judged.right)


def test_every_form_and_type_comes_up():
    sentences = [sentence.split() for told in TOLD for sentence in told]
    assert {read(s).form for s in sentences} == {"inventory", "activity", "sound", "relation"}
    owners = [row for row in range(len(TOLD)) for _ in range(8)]
    assert (judge(sentences, SCENES[owners]).said.sum(dim=0) > 20).all()


def test_what_a_sentence_claims():
    told = "two red hounds and a toad in the wood under the moon"
    assert read(told.split()) == Claims(
        "inventory", (Mention(2, "red", "dog"), Mention(1, None, "frog")), "forest", True
    )
    told = "on a sunny day an orange ship is sailing at the beach"
    assert read(told.split()) == Claims(
        "activity", (Mention(1, "orange", "boat"),), "beach", False, deed="sailing"
    )
    told = "a red dog is to the left of a blue car in the city"
    assert read(told.split()) == Claims(
        "relation", (Mention(1, "red", "dog"), Mention(1, "blue", "car")), "town", None,
        relation="left of",
    )  # fmt: skip


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        "a",
        "a red dog",
        "a dog red on the beach at night",
        "an dog on the beach at night",
        "a orange dog on the beach at night",
        "two dog on the beach at night",
        "a dogs on the beach at night",
        "a dog on the beach at night at night",
        "a dog and on the beach at night",
        "at night there are a dog on the beach",
        "two dogs is standing on the beach by day",
        "a dog barking on the beach by day",
        "a dog rings on the beach by day",
        "a red dog is left of on the beach",
        "<unk> dog on the beach at night",
    ],
)
def test_what_is_no_sentence_is_not_read(sentence):
    assert read(sentence.split()) is None


def wrong(dice, right, options):
    return dice.choice([option for option in options if option != right])


def lie(sentence, scene, dice):
    """Return the sentence with one lie planted, and the type of the lie; None where none fits."""
    things, place = scene.things()[0], scene.place_name(0)
    kinds = {thing.kind for thing in things}
    for type in dice.sample(("kind", "colour", "count", "place", "time", "relation"), 6):
        words = sentence.split()
        if type == "place" and (at := re.search("|".join(WHERE[place]), sentence)):
            other = dice.choice(WHERE[wrong(dice, place, PLACES)])
            return sentence.replace(at[0], other), type
        night = bool(scene.night[0])
        if type == "time" and (at := re.search("|".join(WHEN[night]), sentence)):
            return sentence.replace(at[0], dice.choice(WHEN[not night])), type
        nouns = [n for n, w in enumerate(words) if canonical(w) in KINDS]
        place_of = dice.choice(nouns)
        if type == "kind" and read(words).form != "sound":  # a clock that barks is not read
            other = dice.choice([kind for kind in KINDS if kind not in kinds])
            plural = "s" if words[place_of] not in SYNONYMS[canonical(words[place_of])] else ""
            words[place_of] = dice.choice(SYNONYMS[other]) + plural
            return mended(words), type
        if type == "colour" and words[place_of - 1] in COLOURS:
            kind = canonical(words[place_of])
            taken = {thing.colour for thing in things if thing.kind == kind}
            words[place_of - 1] = dice.choice([c for c in COLOURS if c not in taken])
            return mended(words), type
        if type == "count" and words[0] in NUMBERS[2:]:
            words[0] = wrong(dice, words[0], NUMBERS[2:])
            return " ".join(words), type
        claims = read(words)
        if type == "relation" and claims.relation:
            names = [(m.colour, m.kind) for m in claims.mentions]
            slots = [[t.slot for t in things if (t.colour, t.kind) == name] for name in names]
            true = {r for a, b, r in related(scene)[0] if a in slots[0] and b in slots[1]}
            false = [r for n, r in enumerate(RELATIONS) if n not in true]
            said = re.sub("to the ", "", sentence)
            return said.replace(claims.relation, dice.choice(false)), type
    return None


def mended(words):
    """Put the right article before every word that changed."""
    for n, word in enumerate(words[:-1]):
        if word in ("a", "an") and words[n + 1] != "sunny":
            words[n] = "an" if words[n + 1][0] in "aeiou" else "a"
    return " ".join(words)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(TOLD) - 1), st.integers(0, 7), st.integers(0, 10**6))
def test_a_planted_lie_is_found_and_its_type_named(row, number, seed):
    planted = lie(TOLD[row][number], SCENES[row], random.Random(seed))
    if planted is None:
        return
    told, type = planted
    judged = judge([told.split()], SCENES[row])
    assert judged.read.all(), told
    assert not judged.exact.any(), told
    column = TYPES.index(type)
    assert judged.right[0, column] < judged.said[0, column], (told, type)


def test_an_inventory_must_name_everything():
    row = int((SCENES.present.sum(dim=1) == 2).nonzero()[0])
    scene = SCENES[row]
    one = scene.things()[0][0]
    alone = scene.replace(present=torch.arange(4)[None] == one.slot)
    (told,) = captions(alone, per_scene=1, generator=make_generator(0), forms=("inventory",))
    assert judge([told[0].split()], alone).exact.all()
    assert not judge([told[0].split()], scene).exact.any()


def test_naming_one_thing_twice_does_not_make_up_for_another():
    different = [len({(t.kind, t.colour) for t in things}) for things in SCENES.things()]
    row = next(n for n, things in enumerate(SCENES.things()) if len(things) == different[n] == 3)
    scene, names = SCENES[row], []
    for thing in scene.things()[0]:
        names.append(f"{'an' if thing.colour == 'orange' else 'a'} {thing.colour} {thing.kind}")
    end = f"{WHERE[scene.place_name(0)][0]} {WHEN[bool(scene.night[0])][0]}"
    honest = f"{names[0]} {names[1]} and {names[2]} {end}"
    double = f"{names[0]} {names[1]} and {names[1]} {end}"
    assert judge([honest.split()], scene).exact.all()
    assert judge([double.split()], scene).read.all()
    assert not judge([double.split()], scene).exact.any()


def test_nothing_stands_beside_itself():
    scene = SCENES[int((SCENES.present.sum(dim=1) == 1).nonzero()[0])]
    (thing,) = scene.things()[0]
    name = f"{'an' if thing.colour == 'orange' else 'a'} {thing.colour} {thing.kind}"
    when = WHEN[bool(scene.night[0])][0]
    judged = judge([f"{name} is behind {name} {when}".split()], scene)
    assert judged.share_right("relation") == 0
    assert not judged.exact.any()


def test_shares_count_claims_not_captions():
    row = int((SCENES.present.sum(dim=1) == 2).nonzero()[0])
    lies = [["nothing", "said"], TOLD[row][0].split()]
    judged = judge(lies, SCENES[[row, row]])
    assert judged.read.tolist() == [False, True]
    assert judged.share_right("kind") == 1
    assert torch.isnan(torch.tensor(judge(lies[:1], SCENES[row]).share_right("kind")))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="there are 1 sentences and 2 scenes"):
        judge([["a"]], SCENES[:2])
    with pytest.raises(TypeError, match="is one string: split it"):
        read("a dog")
