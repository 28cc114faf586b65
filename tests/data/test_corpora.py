"""From raw text to sentences of words, the corpora's files, and the examination questions."""

import bz2
import gzip
import sys

import pytest

from mmlib.data.corpora import (
    CORPORA,
    analogy_questions,
    captions,
    speeches,
    split_sentences,
    tokenise,
    wikipedia,
    wikitext2,
    word_pairs,
)
from mmlib.data.download import DataSetError
from mmlib.files import DataError


def test_words_are_runs_of_the_letters_a_to_z():
    assert tokenise("Don't say ‘naïve’ 3 times: it's <unk> well-known.") == (
        ["don", "t", "say", "naive", "times", "it", "s", "well", "known"]
    )


def test_a_sentence_ends_at_a_stop_or_a_blank_line():
    text = 'One two. "Three four?" Five\nsix version 1.5 seven\n\n = Title = \n \nEight'
    assert [" ".join(words) for words in split_sentences(text)] == [
        "one two",
        "three four",
        "five six version seven",
        "title",
        "eight",
    ]


def test_text_in_utf8_and_latin1_is_read_in_order_of_the_files(tmp_path):
    (tmp_path / "inaugural").mkdir()
    (tmp_path / "state_union").mkdir()
    (tmp_path / "state_union/1.txt").write_bytes("Our café.".encode("latin-1"))
    (tmp_path / "inaugural/2.txt").write_text("Their café.", encoding="utf-8")
    assert speeches(tmp_path) == [["their", "cafe"], ["our", "cafe"]]


def test_captions_are_one_sentence_a_line_and_the_test_part_stays_away(tmp_path):
    folder = tmp_path / "data/task2/raw"
    folder.mkdir(parents=True)
    for name, text in (("train.1", "A dog\nTwo cats run"), ("test_2016.1", "Secret")):
        (folder / f"{name}.en.gz").write_bytes(gzip.compress(text.encode()))
    assert captions(tmp_path) == [["a", "dog"], ["two", "cats", "run"]]


def test_wikitext_is_read_from_the_parts_that_are_there(tmp_path):
    (tmp_path / "valid.txt").write_text(" = A = \n \n The <unk> is well @-@ known . \n")
    assert wikitext2(tmp_path) == [["a"], ["the", "is", "well", "known"]]


def test_an_empty_folder_is_named(tmp_path):
    for read in (speeches, captions, wikitext2):
        with pytest.raises(DataError, match=rf"{tmp_path.name} holds none of the corpus"):
            read(tmp_path)


PAGE = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/"><page><title>Cat</title>
<ns>0</ns><id>1</id><revision><id>2</id><text>'''Cats''' are [[animal|small animals]] that live
{{citation}}</text></revision></page></mediawiki>"""


def test_wikipedia_markup_is_taken_out_of_the_downloaded_dump(tmp_path):
    pytest.importorskip("gensim")
    line = " ".join(["they sleep all day and hunt at night"] * 3)
    page = PAGE.replace("that live", f"that live {line}.\n* a short list entry")
    (tmp_path / "enwiki-shortened.xml.bz2").write_bytes(bz2.compress(page.encode()))
    assert wikipedia(tmp_path) == [f"cats are small animals that live {line}".split()]
    (tmp_path / "articles.txt").write_text("Ready text goes first.")
    assert wikipedia(tmp_path) == [["ready", "text", "goes", "first"]]


def test_without_gensim_the_dump_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim.corpora", None)
    with pytest.raises(DataSetError, match="pip install gensim"):
        wikipedia(tmp_path)


def test_word_pairs_and_analogies_are_read_in_lower_case(tmp_path):
    (tmp_path / "wordsim353.tsv").write_text("# Word 1\tWord 2\tHuman\nFBI\tcrime\t6.94\n")
    (pair,) = word_pairs("wordsim353", tmp_path)
    assert (pair.first, pair.second, pair.similarity) == ("fbi", "crime", 6.94)
    (tmp_path / "questions-words.txt").write_text(
        ": family\nboy girl King Queen\n: gram\na b c d\n"
    )
    assert analogy_questions(tmp_path) == {
        "family": [("boy", "girl", "king", "queen")],
        "gram": [("a", "b", "c", "d")],
    }
    with pytest.raises(ValueError, match="there are wordsim353 and simlex999"):
        word_pairs("wordsim", tmp_path)


@pytest.mark.parametrize("name", CORPORA)
def test_the_real_corpora_are_english(name, real_data):
    sentences = CORPORA[name](real_data(name))
    words = [word for sentence in sentences for word in sentence]
    assert len(words) > 300_000
    assert words.count("the") / len(words) > 0.02


def test_the_real_questions_are_all_there(real_data):
    folder = real_data("word-similarity-eval")
    assert len(word_pairs("wordsim353", folder)) == 353
    assert len(word_pairs("simlex999", folder)) == 999
    groups = analogy_questions(folder)
    assert (len(groups), sum(map(len, groups.values()))) == (14, 19544)


SIMLEX = "word1\tword2\tPOS\tSimLex999\tconc(w1)\nold\tNew\tA\t1.58\t2.72\nsmart\tclever\tA\t9\t3\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("simlex999.txt", SIMLEX),
        ("simlex999.txt", "\ufeff" + SIMLEX.replace("\n", "\r\n")),
        ("wordsim353.tsv", "Word 1\tWord 2\tHuman (mean)\nold\tnew\t1.58\nsmart\tclever\t9.0\n"),
        (
            "wordsim353.tsv",
            "Word 1,Word 2,Human (mean),1,2\nold,new,1.58,1,2\nsmart,clever,9,9,9\n",
        ),
        ("wordsim353.tsv", "# no headings\nold\tnew\t1.58\n\nsmart\tclever\t9"),
    ],
)
def test_word_pairs_are_read_in_every_official_layout(name, text, tmp_path):
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    pairs = word_pairs(name.partition(".")[0], tmp_path)
    assert [(p.first, p.second, p.similarity) for p in pairs] == [
        ("old", "new", 1.58),
        ("smart", "clever", 9),
    ]


@pytest.mark.parametrize("line", ["old\tnew", "old\tnew\tmuch", "old\tnew\tnan", "\tnew\t1", "old"])
def test_a_damaged_line_of_word_pairs_is_named(line, tmp_path):
    (tmp_path / "wordsim353.tsv").write_text(f"# Word 1\tWord 2\tHuman\na\tb\t1\n{line}\n")
    with pytest.raises(DataError, match=r"wordsim353.tsv, line 3 is .*two words and a number"):
        word_pairs("wordsim353", tmp_path)


@pytest.mark.parametrize("text", ["a b c d\n", ": family\na b c\n", ": family\na b c d e\n"])
def test_a_damaged_line_of_analogies_is_named(text, tmp_path):
    (tmp_path / "questions-words.txt").write_text(text)
    with pytest.raises(DataError, match=r"questions-words.txt, line [12] is .*needs four words"):
        analogy_questions(tmp_path)


def test_a_truncated_or_missing_corpus_is_named(tmp_path):
    folder = tmp_path / "data/task2/raw"
    folder.mkdir(parents=True)
    (folder / "train.1.en.gz").write_bytes(gzip.compress(b"a dog\n" * 999)[:-9])
    with pytest.raises(DataError, match=r"train.1.en.gz is damaged"):
        captions(tmp_path)
    pytest.importorskip("gensim")
    whole = bz2.compress(PAGE.encode())
    for broken in (whole[:-30], b"no bz2", bz2.compress(PAGE.encode()[:-30])):
        (tmp_path / "enwiki-shortened.xml.bz2").write_bytes(broken)
        with pytest.raises(DataError, match=r"enwiki-shortened.xml.bz2 is missing or damaged"):
            wikipedia(tmp_path)


def test_names_in_upper_case_are_read_and_the_systems_own_files_are_not(tmp_path):
    folder = tmp_path / "data/task2/raw"
    folder.mkdir(parents=True)
    (folder / "TRAIN.1.EN.GZ").write_bytes(gzip.compress(b"A dog"))
    (folder / "._train.1.en.gz").write_bytes(b"no gzip")
    assert captions(tmp_path) == [["a", "dog"]]
    (tmp_path / "inaugural").mkdir()
    (tmp_path / "inaugural/1.TXT").write_text("A speech.")
    (tmp_path / "inaugural/._1.txt").write_text("a secret")
    assert speeches(tmp_path) == [["a", "speech"]]
