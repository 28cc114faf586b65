"""Laws of reading: all that the world says is true, and any lie planted in it is found."""

import random
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlib.runtime import make_generator
from mmlib.world.reading import TYPES, Claims, Mention, check_captions, parse
from mmlib.world.sampling import sample_scenes
from mmlib.world.scenes import CATEGORIES, COLOURS, RELATIONS, SCENE_CLASSES, related
from mmlib.world.words import NUMBERS, SYNONYMS, WHEN, WHERE, canonical, captions

SCENES = sample_scenes(60, generator=make_generator(0))
CAPTIONS = captions(SCENES, per_scene=8, generator=make_generator(1), include_sounds=True)


def test_each_sentence_of_the_world_is_read_and_exact():
    for number in range(8):
        judged = check_captions((text[number].split() for text in CAPTIONS), SCENES)
        assert judged.parsed.all()
        assert judged.exact.all()
        assert torch.equal(judged.claimed, judged.correct)


def test_every_form_and_type_comes_up():
    sentences = [sentence.split() for text in CAPTIONS for sentence in text]
    assert {parse(s).form for s in sentences} == {"inventory", "activity", "sound", "relation"}
    owners = [row for row in range(len(CAPTIONS)) for _ in range(8)]
    assert (check_captions(sentences, SCENES[owners]).claimed.sum(dim=0) > 20).all()


def test_what_a_sentence_claims():
    text = "two red hounds and a toad in the wood under the moon"
    assert parse(text.split()) == Claims(
        "inventory", (Mention(2, "red", "dog"), Mention(1, None, "frog")), "forest", True
    )
    text = "on a sunny day an orange ship is sailing at the beach"
    assert parse(text.split()) == Claims(
        "activity", (Mention(1, "orange", "boat"),), "beach", False, action="sailing"
    )
    text = "a red dog is to the left of a blue car in the city"
    assert parse(text.split()) == Claims(
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
def test_what_is_no_sentence_is_not_parsed(sentence):
    assert parse(sentence.split()) is None


def wrong(rng, right, options):
    return rng.choice([option for option in options if option != right])


def lie(sentence, scene, rng):
    """Return the sentence with one lie planted, and the type of the lie; None where none fits."""
    objects, scene_class = scene.objects()[0], scene.scene_class_name(0)
    categories = {obj.category for obj in objects}
    for type in rng.sample(("category", "colour", "count", "scene class", "time", "relation"), 6):
        words = sentence.split()
        if type == "scene class" and (at := re.search("|".join(WHERE[scene_class]), sentence)):
            other = rng.choice(WHERE[wrong(rng, scene_class, SCENE_CLASSES)])
            return sentence.replace(at[0], other), type
        night = bool(scene.night[0])
        if type == "time" and (at := re.search("|".join(WHEN[night]), sentence)):
            return sentence.replace(at[0], rng.choice(WHEN[not night])), type
        nouns = [n for n, w in enumerate(words) if canonical(w) in CATEGORIES]
        noun = rng.choice(nouns)
        if type == "category" and parse(words).form != "sound":  # a clock that barks is not parsed
            other = rng.choice([category for category in CATEGORIES if category not in categories])
            plural = "s" if words[noun] not in SYNONYMS[canonical(words[noun])] else ""
            words[noun] = rng.choice(SYNONYMS[other]) + plural
            return mended(words), type
        if type == "colour" and words[noun - 1] in COLOURS:
            category = canonical(words[noun])
            taken = {obj.colour for obj in objects if obj.category == category}
            words[noun - 1] = rng.choice([c for c in COLOURS if c not in taken])
            return mended(words), type
        if type == "count" and words[0] in NUMBERS[2:]:
            words[0] = wrong(rng, words[0], NUMBERS[2:])
            return " ".join(words), type
        claims = parse(words)
        if type == "relation" and claims.relation:
            names = [(m.colour, m.category) for m in claims.mentions]
            slots = [[t.slot for t in objects if (t.colour, t.category) == name] for name in names]
            true = {r for a, b, r in related(scene)[0] if a in slots[0] and b in slots[1]}
            false = [r for n, r in enumerate(RELATIONS) if n not in true]
            words = re.sub("to the ", "", sentence)
            return words.replace(claims.relation, rng.choice(false)), type
    return None


def mended(words):
    """Put the right article before every word that changed."""
    for n, word in enumerate(words[:-1]):
        if word in ("a", "an") and words[n + 1] != "sunny":
            words[n] = "an" if words[n + 1][0] in "aeiou" else "a"
    return " ".join(words)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(CAPTIONS) - 1), st.integers(0, 7), st.integers(0, 10**6))
def test_a_planted_lie_is_found_and_its_type_named(row, number, seed):
    planted = lie(CAPTIONS[row][number], SCENES[row], random.Random(seed))
    if planted is None:
        return
    text, type = planted
    judged = check_captions([text.split()], SCENES[row])
    assert judged.parsed.all(), text
    assert not judged.exact.any(), text
    column = TYPES.index(type)
    assert judged.correct[0, column] < judged.claimed[0, column], (text, type)


def test_an_inventory_must_name_everything():
    row = int((SCENES.present.sum(dim=1) == 2).nonzero()[0])
    scene = SCENES[row]
    one = scene.objects()[0][0]
    alone = scene.replace(present=torch.arange(4)[None] == one.slot)
    (text,) = captions(alone, per_scene=1, generator=make_generator(0), forms=("inventory",))
    assert check_captions([text[0].split()], alone).exact.all()
    assert not check_captions([text[0].split()], scene).exact.any()


def test_naming_one_object_twice_does_not_make_up_for_another():
    different = [len({(t.category, t.colour) for t in objects}) for objects in SCENES.objects()]
    row = next(n for n, objects in enumerate(SCENES.objects()) if len(objects) == different[n] == 3)
    scene, names = SCENES[row], []
    for obj in scene.objects()[0]:
        names.append(f"{'an' if obj.colour == 'orange' else 'a'} {obj.colour} {obj.category}")
    end = f"{WHERE[scene.scene_class_name(0)][0]} {WHEN[bool(scene.night[0])][0]}"
    honest = f"{names[0]} {names[1]} and {names[2]} {end}"
    double = f"{names[0]} {names[1]} and {names[1]} {end}"
    assert check_captions([honest.split()], scene).exact.all()
    assert check_captions([double.split()], scene).parsed.all()
    assert not check_captions([double.split()], scene).exact.any()


def test_nothing_stands_beside_itself():
    scene = SCENES[int((SCENES.present.sum(dim=1) == 1).nonzero()[0])]
    (obj,) = scene.objects()[0]
    name = f"{'an' if obj.colour == 'orange' else 'a'} {obj.colour} {obj.category}"
    when = WHEN[bool(scene.night[0])][0]
    judged = check_captions([f"{name} is behind {name} {when}".split()], scene)
    assert judged.precision("relation") == 0
    assert not judged.exact.any()


def test_shares_count_claims_not_captions():
    row = int((SCENES.present.sum(dim=1) == 2).nonzero()[0])
    lies = [["nothing", "said"], CAPTIONS[row][0].split()]
    judged = check_captions(lies, SCENES[[row, row]])
    assert judged.parsed.tolist() == [False, True]
    assert judged.precision("category") == 1
    assert torch.isnan(torch.tensor(check_captions(lies[:1], SCENES[row]).precision("category")))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="there are 1 sentences and 2 scenes"):
        check_captions([["a"]], SCENES[:2])
    with pytest.raises(TypeError, match="is one string: split it"):
        parse("a dog")
