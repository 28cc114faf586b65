"""Laws of a vocabulary: there and back, order, what is unknown, and its file."""

import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlib.data.vocabulary import UnknownWordError, Vocabulary

FOX = [["the", "quick", "brown", "fox"], ["the", "lazy", "dog"], ["the", "quick", "dog"]]
SENTENCES = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=8), max_size=8)


@given(sentences=SENTENCES, min_count=st.integers(1, 3), max_size=st.none() | st.integers(1, 5))
def test_words_are_the_most_frequent_ones_in_order(sentences, min_count, max_size):
    counts = Counter(word for sentence in sentences for word in sentence)
    wanted = sorted((w for w in counts if counts[w] >= min_count), key=lambda w: (-counts[w], w))
    wanted = wanted[:max_size]
    if not wanted:
        with pytest.raises(ValueError, match="one word at least: is min_count too high"):
            Vocabulary.from_sentences(sentences, min_count=min_count, max_size=max_size)
        return
    vocabulary = Vocabulary.from_sentences(sentences, min_count=min_count, max_size=max_size)
    assert list(vocabulary.words) == wanted
    assert list(vocabulary.counts) == [counts[word] for word in wanted]


@given(sentences=SENTENCES, max_size=st.integers(1, 6))
def test_with_an_unknown_word_no_token_is_lost(sentences, max_size):
    vocabulary = Vocabulary.from_sentences(sentences, max_size=max_size, unknown="<unk>")
    assert len(vocabulary) <= max_size
    assert vocabulary.words[0] == "<unk>"
    assert sum(vocabulary.counts) == sum(map(len, sentences))
    for sentence in sentences:
        back = vocabulary.decode(vocabulary.encode(sentence))
        assert back == [word if word in vocabulary else "<unk>" for word in sentence]


def test_encoding_and_decoding_undo_each_other():
    vocabulary = Vocabulary.from_sentences(FOX)
    assert vocabulary.words == ("the", "dog", "quick", "brown", "fox", "lazy")
    numbers = vocabulary.encode(FOX[0])
    assert numbers.dtype == torch.int64
    assert numbers.tolist() == [0, 2, 3, 4]
    assert vocabulary.decode(numbers) == FOX[0]


def test_a_corpus_becomes_one_row_with_its_sentence_starts():
    vocabulary = Vocabulary.from_sentences(FOX, min_count=2)
    tokens, starts = vocabulary.encode_known([*FOX, ["zebra"]])
    rows = [tokens[a:b] for a, b in itertools.pairwise(starts)]
    assert [vocabulary.decode(row) for row in rows] == [
        ["the", "quick"],
        ["the", "dog"],
        ["the", "quick", "dog"],
        [],
    ]


def test_a_text_that_has_the_unknown_word_in_it():
    vocabulary = Vocabulary.from_sentences([["<unk>", "a", "a", "b"]], min_count=2, unknown="<unk>")
    assert vocabulary.words == ("<unk>", "a")
    assert vocabulary.counts == (2, 2)


def test_an_unknown_word_is_named_with_those_like_it():
    vocabulary = Vocabulary.from_sentences(FOX)
    with pytest.raises(UnknownWordError) as caught:
        vocabulary.encode(["the", "quik"])
    assert str(caught.value).startswith("the word 'quik' is not among the 6 words of the vocab")
    assert "did you mean 'quick'" in str(caught.value)
    with pytest.raises(KeyError, match="nothing is like it"):
        vocabulary.number("zzzz")


@pytest.mark.parametrize("number", [-1, 6, 0.7, float("nan"), None])
def test_a_number_without_a_word_is_refused(number):
    with pytest.raises(ValueError, match=f"number (is )?{number}"):
        Vocabulary.from_sentences(FOX).decode([number])


@pytest.mark.parametrize("word", [None, float("nan"), 3, ["fox"]])
def test_what_is_no_word_is_refused(word):
    vocabulary = Vocabulary.from_sentences(FOX)
    with pytest.raises(TypeError, match="is not a string"):
        vocabulary.encode([word])
    with pytest.raises(TypeError, match=r"sentence 1 has the word .*, not a string"):
        Vocabulary.from_sentences([["a"], [word]])
    with pytest.raises(TypeError, match="is not a string"):
        Vocabulary((word,), (1,))


@pytest.mark.parametrize("setting", [{"min_count": None}, {"min_count": 1.5}, {"max_size": 0}])
def test_a_count_that_is_no_whole_number_is_refused(setting):
    (name,) = setting
    with pytest.raises(ValueError, match=rf"{name} is .*, it must be a whole number"):
        Vocabulary.from_sentences(FOX, **setting)


def test_sentences_that_can_be_read_once_only_are_numbered_alike():
    vocabulary = Vocabulary.from_sentences(iter(sentence) for sentence in FOX)
    assert vocabulary == Vocabulary.from_sentences(FOX)
    once = vocabulary.encode_known(iter(sentence) for sentence in FOX)
    assert all(map(torch.equal, once, vocabulary.encode_known(FOX)))


def test_one_string_is_not_a_list_of_words():
    with pytest.raises(TypeError, match="split it into words"):
        Vocabulary.from_sentences(["the quick"])
    with pytest.raises(TypeError, match="encode takes a list of words"):
        Vocabulary.from_sentences(FOX).encode("the")


def test_what_contradicts_itself_is_refused():
    with pytest.raises(ValueError, match="'b' is there twice"):
        Vocabulary(("a", "b", "b"), (1, 1, 1))
    with pytest.raises(ValueError, match="2 words and 1 counts"):
        Vocabulary(("a", "b"), (1,))
    with pytest.raises(ValueError, match="'<unk>' is not one of the words"):
        Vocabulary(("a",), (1,), unknown="<unk>")


@pytest.mark.parametrize("unknown", [None, "<unk>"])
def test_saving_and_loading_gives_the_same_vocabulary(unknown, tmp_path):
    vocabulary = Vocabulary.from_sentences([["naïve", "two words", "a\nb"]], unknown=unknown)
    vocabulary.save(tmp_path / "words.json")
    assert Vocabulary.load(tmp_path / "words.json") == vocabulary


@pytest.mark.parametrize("content", ["", '{"words": ["a"]}', '{"words": 3, "counts": 3}', "[]"])
def test_a_damaged_file_is_named(content, tmp_path):
    (tmp_path / "words.json").write_text(content)
    with pytest.raises(ValueError, match=r"words.json is damaged or no vocabulary"):
        Vocabulary.load(tmp_path / "words.json")
