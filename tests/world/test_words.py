"""Laws of words: captions and tags say only what is so, in many ways, in correct English."""

import re

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world.reading import parse
from mmlib.world.sampling import sample_scenes
from mmlib.world.scenes import CATEGORIES, COLOURS, RELATIONS, SCENE_CLASSES
from mmlib.world.words import (
    NUMBERS,
    SOUNDS_OF,
    SYNONYMS,
    UNRELATED_TAGS,
    canonical,
    captions,
    corpus,
    tags,
    true_tags,
)

NOUN = re.compile(
    rf"\b(an?|{'|'.join(NUMBERS)})(?: ({'|'.join(COLOURS)}))? "
    rf"({'|'.join(word for category in CATEGORIES for word in SYNONYMS[category])})(s?)\b"
)
VERBS = {verb: category for category, verbs in SOUNDS_OF.items() for verb in verbs}


@pytest.fixture(scope="module")
def scenes():
    return sample_scenes(150, generator=make_generator(0))


@pytest.fixture(scope="module")
def texts(scenes):
    return captions(scenes, per_scene=6, generator=make_generator(1), include_sounds=True)


def mentions(caption):
    """Parse a caption's objects: (number, colour or None, category)."""
    for article, colour, word, plural in NOUN.findall(caption):
        number = 1 if article in ("a", "an") else NUMBERS.index(article)
        assert (number > 1) == bool(plural), caption
        yield number, colour or None, canonical(word)


def test_captions_name_only_what_is_there_in_its_colour_and_number(scenes, texts):
    for objects, sentences in zip(scenes.objects(), texts, strict=True):
        for caption in sentences:
            found = list(mentions(caption))
            assert found, caption
            for number, colour, category in found:
                like = [t for t in objects if t.category == category and colour in (None, t.colour)]
                assert number <= len(like), caption


def test_captions_tell_scene_class_and_time_truly(scenes, texts):
    for index, sentences in enumerate(texts):
        for caption in sentences:
            names = {canonical(word) for word in caption.split()}
            assert names & set(SCENE_CLASSES) <= {scenes.scene_class_name(index)}
            night = bool(names & {"night", "moon"})
            day = bool(names & {"day", "sun"})
            assert not (night and not scenes.night[index]), caption
            assert not (day and scenes.night[index]), caption


def test_captions_tell_actions_and_sounds_truly(scenes, texts):
    count = 0
    for objects, sentences in zip(scenes.objects(), texts, strict=True):
        for caption in sentences:
            if "flying" in caption:
                assert any(obj.flying for obj in objects), caption
            for verb in set(caption.split()) & set(VERBS):
                count += 1
                assert any(t.category == VERBS[verb] and t.sounding for t in objects), caption
    assert count > 50


def test_captions_tell_relations_truly(scenes, texts):
    """Read `a red dog is behind a blue car` and look for such a pair in the numbers."""
    seen = set()
    for objects, sentences in zip(scenes.objects(), texts, strict=True):
        for caption in sentences:
            relation = next((r for r in RELATIONS if r in caption), None)
            if relation is None:
                continue
            seen.add(relation)
            (_, *one), (_, *other) = mentions(caption)
            sign = {"left of": -1, "right of": 1, "above": -1, "below": 1}.get(relation)
            axis = "x" if "of" in relation and "front" not in relation else "y"
            if sign is None:
                sign, axis = (-1 if relation == "in front of" else 1), "depth"
            assert any(
                sign * (getattr(a, axis) - getattr(b, axis)) > 0
                for a in objects for b in objects
                if [a.colour, a.category] == one and [b.colour, b.category] == other
            ), caption  # fmt: skip
    assert seen == set(RELATIONS)


def test_captions_of_a_scene_differ_and_sight_tells_no_sound(scenes):
    for sentences in captions(scenes[:40], per_scene=10, generator=make_generator(0)):
        assert len(set(sentences)) == 10
        assert not {word for caption in sentences for word in caption.split()} & set(VERBS)


def test_captions_take_the_forms_that_are_asked_for(scenes):
    some = scenes[:60]
    for forms in (("inventory",), ("activity",), ("inventory", "activity")):
        texts = captions(some, per_scene=4, generator=make_generator(0), forms=forms)
        assert {parse(caption.split()).form for each in texts for caption in each} == set(forms)
    texts = captions(some, per_scene=4, generator=make_generator(0), forms=("relation",))
    for each, alone in zip(texts, (some.present.sum(dim=1) == 1).tolist(), strict=True):
        if alone:  # nothing can be said of one object's relations
            assert {parse(caption.split()).form for caption in each} == {"inventory"}


def test_inventories_go_from_left_to_right_if_asked(scenes):
    forms = ("inventory",)
    texts = captions(scenes, generator=make_generator(0), forms=forms, left_to_right=True)
    for objects, each in zip(scenes.objects(), texts, strict=True):
        for caption in each:
            named = list(mentions(caption))
            scene_classes = [
                min(t.x for t in objects if t.category == category and colour in (None, t.colour))
                for _, colour, category in named
            ]
            assert scene_classes == sorted(scene_classes), caption


def test_articles_and_spelling(texts):
    for caption in (caption for sentences in texts for caption in sentences):
        assert re.fullmatch(r"[a-z]+( [a-z]+)*", caption), caption
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", caption), caption
        assert not re.search(r"\b(\w+) \1\b|to the (above|below|in|behind)", caption), caption
        if match := re.match(rf"(an?|{'|'.join(NUMBERS)}) (\w+ ){{1,2}}(is|are)\b", caption):
            assert (match[3] == "is") == (match[1] in ("a", "an")), caption


def test_same_seed_same_words(scenes):
    for speak in (captions, tags):
        one, same, other = (speak(scenes, generator=make_generator(s)) for s in (3, 3, 4))
        assert one == same
        assert one != other


def test_true_tags_are_the_scenes_facts(scenes):
    for index, (objects, truth) in enumerate(zip(scenes.objects(), true_tags(scenes), strict=True)):
        assert truth & set(CATEGORIES) == {obj.category for obj in objects}
        assert truth & set(COLOURS) == {obj.colour for obj in objects}
        assert truth & set(SCENE_CLASSES) == {scenes.scene_class_name(index)}
        assert ("night" in truth) == bool(scenes.night[index]) != ("day" in truth)


def test_tags_without_faults_are_the_truth_in_other_words(scenes):
    options = {"missing": 0.0, "wrong": 0.0, "unrelated": 0.0}
    given = tags(scenes, generator=make_generator(0), **options)
    assert [{canonical(tag) for tag in some} for some in given] == true_tags(scenes)
    words = {tag for some in given for tag in some}
    assert {"boat", "ship", "car", "automobile"} <= words


def test_tags_faults_follow_their_chances(scenes):
    truth = true_tags(scenes)
    given = tags(scenes, generator=make_generator(0), missing=0.5, wrong=0.0, unrelated=1.0)
    kept = sum(len({canonical(t) for t in g} & true) for g, true in zip(given, truth, strict=True))
    assert 0.42 < kept / sum(map(len, truth)) < 0.58
    assert all(len(set(some) & set(UNRELATED_TAGS)) == 1 for some in given)
    given = tags(scenes, generator=make_generator(0), missing=1.0, wrong=1.0, unrelated=0.0)
    assert {len(some) for some in given} == {1}
    mistaken = [canonical(g[0]) not in true for g, true in zip(given, truth, strict=True)]
    assert sum(mistaken) > 75


def test_the_corpus_uses_synonyms_alike_and_both_numbers():
    sentences = corpus(4001, generator=make_generator(0))
    assert len(sentences) == 4001
    assert sentences == corpus(4001, generator=make_generator(0))
    counts = {}
    for word in (word for sentence in sentences for word in sentence):
        counts[word] = counts.get(word, 0) + 1
    for category in CATEGORIES:
        for word in SYNONYMS[category]:
            assert counts[word] > 0.6 * counts[category], word
            assert counts[f"{word}s"] >= 5, word
        assert all(counts.get(verb, 0) for verb in SOUNDS_OF[category][::2]), category


def test_canonical_leads_back_to_the_name():
    assert [canonical(w) for w in ("ships", "toad", "city", "hills")] == [
        "boat", "frog", "town", "mountains"
    ]  # fmt: skip
    assert canonical("the") == "the"


def test_no_word_means_two_objects():
    words = [word for names in SYNONYMS.values() for word in names]
    assert len(words) == len(set(words))


def test_bad_requests_are_refused(scenes):
    with pytest.raises(ValueError, match="per_scene is 0, ask for 1 to 10"):
        captions(scenes, per_scene=0, generator=make_generator(0))
    with pytest.raises(ValueError, match="forms holds 'poem', choose from inventory"):
        captions(scenes, forms=("poem",), generator=make_generator(0))
    with pytest.raises(ValueError, match="wrong is 2, a chance lies from 0 to 1"):
        tags(scenes, generator=make_generator(0), wrong=2)
    with pytest.raises(ValueError, match="count is 0"):
        corpus(0, generator=make_generator(0))
    nothing = scenes[:3].replace(present=torch.zeros(3, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="scene 0 holds nothing to speak of"):
        captions(nothing, generator=make_generator(0))
