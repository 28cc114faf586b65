"""Neighbours against brute force, files against gensim, and every way a file can be broken."""

import gensim.models
import numpy as np
import pytest
import torch

from mmlib.data.vocabulary import UnknownWordError
from mmlib.data.word_vectors import WordVectors, analogy, load_text, nearest, save_text
from mmlib.runtime import make_generator

WORDS = ("queen", "king", "man", "woman", "Zürich", "naïve")


@pytest.fixture
def vectors():
    return WordVectors(WORDS, torch.randn(len(WORDS), 7, generator=make_generator(0)))


@pytest.fixture
def in_gensim(vectors):
    keyed = gensim.models.KeyedVectors(7)
    keyed.add_vectors(list(WORDS), vectors.vectors.numpy())
    return keyed


def test_words_may_be_read_once_only(vectors):
    assert WordVectors(iter(WORDS), vectors.vectors).words == WORDS


def test_looks_words_up(vectors):
    assert len(vectors) == len(WORDS)
    assert "king" in vectors
    assert "kong" not in vectors
    assert vectors.row("man") == 2
    assert torch.equal(vectors["man"], vectors.vectors[2])


def test_an_unknown_word_is_refused_and_close_ones_named(vectors):
    with pytest.raises(UnknownWordError, match=r"'womann' is not among the 6 words.*'woman'"):
        vectors["womann"]
    with pytest.raises(KeyError, match="'xylophone'"):
        nearest(vectors, "xylophone", k=1)


def test_nearest_is_gensims(vectors, in_gensim):
    for word in WORDS:
        ours, theirs = nearest(vectors, word, k=5), in_gensim.most_similar(word, topn=5)
        assert [w for w, _ in ours] == [w for w, _ in theirs]
        assert [s for _, s in ours] == pytest.approx([s for _, s in theirs], abs=1e-6)


def test_analogy_is_gensims(vectors, in_gensim):
    ours = analogy(vectors, "man", "woman", "king", k=3)
    theirs = in_gensim.most_similar(positive=["woman", "king"], negative=["man"], topn=3)
    assert [w for w, _ in ours] == [w for w, _ in theirs]
    assert [s for _, s in ours] == pytest.approx([s for _, s in theirs], abs=1e-6)


def test_analogy_solves_a_parallelogram_and_never_answers_with_the_question():
    man, king = torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0])
    step = torch.tensor([0, 0, 0.9])
    table = torch.stack([king + step, king, man, man + step])
    vectors = WordVectors(WORDS[:4], table)
    assert analogy(vectors, "man", "woman", "king")[0][0] == "queen"
    assert analogy(vectors, "man", "man", "king", k=1)[0][0] != "king"


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e-9, 1e30])
def test_neighbours_and_analogies_are_the_same_at_every_scale(vectors, scale):
    tiny = WordVectors(WORDS, (scale * vectors.vectors.double()).float())
    rough = 0.3 if scale < 1e-40 else 1e-6  # so near to zero few bits are left
    for ours, expected in (
        (nearest(tiny, "king", k=5), nearest(vectors, "king", k=5)),
        (analogy(tiny, "man", "woman", "king"), analogy(vectors, "man", "woman", "king")),
    ):
        assert [score for _, score in ours] == pytest.approx([s for _, s in expected], abs=rough)


def test_vectors_of_half_precision_are_compared_with_more(vectors):
    half = WordVectors(WORDS, (1000 * vectors.vectors).half())  # a square does not fit 16 bits
    assert [w for w, _ in nearest(half, "king", k=5)] == [
        w for w, _ in nearest(vectors, "king", k=5)
    ]


@pytest.mark.parametrize("k", [0, 6, 2.5])
def test_k_out_of_range(vectors, k):
    with pytest.raises(ValueError, match=f"k is {k}, it must be"):
        nearest(vectors, "king", k=k)


@pytest.mark.parametrize(
    ("words", "table", "error", "message"),
    [
        (("a", "b"), torch.zeros(3, 2), ValueError, "2 words and 3 vectors"),
        (("a", "a"), torch.zeros(2, 2), ValueError, "'a' is there twice"),
        (("a", 3), torch.zeros(2, 2), TypeError, "word 1 is 3, a int"),
        (("a", "b"), torch.zeros(2, 2, dtype=torch.long), TypeError, "floating-point"),
        (("a", "b"), torch.tensor([[0.0], [torch.nan]]), ValueError, "NaN or infinite"),
        (("a", "b"), torch.zeros(2), ValueError, "has 1 axes"),
    ],
)
def test_a_bad_table_is_refused(words, table, error, message):
    with pytest.raises(error, match=message):
        WordVectors(words, table)


def test_saving_and_loading_changes_nothing(vectors, tmp_path):
    save_text(vectors, tmp_path / "vectors.txt")
    loaded = load_text(tmp_path / "vectors.txt")
    assert loaded.words == vectors.words
    assert torch.equal(loaded.vectors, vectors.vectors)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.txt"]


def test_gensim_opens_our_file_and_we_open_gensims(vectors, in_gensim, tmp_path):
    save_text(vectors, tmp_path / "ours.txt")
    keyed = gensim.models.KeyedVectors.load_word2vec_format(str(tmp_path / "ours.txt"))
    assert tuple(keyed.index_to_key) == WORDS
    assert np.array_equal(keyed.vectors, vectors.vectors.numpy())
    in_gensim.save_word2vec_format(str(tmp_path / "theirs.txt"))
    loaded = load_text(tmp_path / "theirs.txt")
    assert loaded.words == WORDS
    assert torch.equal(loaded.vectors, vectors.vectors)


@pytest.mark.parametrize("word", ["", "New York", "a\n", "a\xa0b"])
def test_a_word_that_the_format_cannot_carry_leaves_the_old_file(vectors, tmp_path, word):
    path = tmp_path / "vectors.txt"
    save_text(vectors, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="cannot carry the word"):
        save_text(WordVectors([word], torch.zeros(1, 2)), path)
    assert path.read_bytes() == before


def test_no_folder_to_save_in(vectors, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        save_text(vectors, tmp_path / "missing" / "vectors.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "line 1: '' must be two whole numbers"),
        (b"king 0.5 0.5\n", "line 1: 'king 0.5"),
        (b"2 -3\n", "line 1: '2 -3"),
        (b"2 2\na 1 2\n", "line 2: the file ends after 1 of 2 words"),
        (b"1 2\na 1 2\nb 1 2\n", "line 3: line 1 promises 1 words, here is one more"),
        (b"2 2\na 1 2\nb 1\n", "line 3: 1 values after 'b', line 1 promises 2"),
        (b"2 2\na 1 2\n\n", "line 3: 0 values after ''"),
        (b"2 2\na 1 2\na 3 4\n", "line 3: the word 'a' stands there a second time"),
        (b"2 2\na 1 2\nb 1 x\n", "line 3: could not convert string to float: 'x'"),
        (b"2 2\na 1 2\nb 1 nan\n", "line 3: a value of 'b' is no finite"),
        (b"2 2\na 1 2\nb 1 1e99\n", "line 3: a value of 'b' is no finite"),
        (b"1 1\n\xff 1\n", "not UTF-8"),
    ],
)
def test_a_damaged_file_is_refused_and_the_line_named(tmp_path, text, message):
    path = tmp_path / "damaged.txt"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=rf"damaged\.txt.*{message}"):
        load_text(path)


def test_a_byte_order_mark_and_a_carriage_return_are_no_words(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf2 1\r\na 1\r\nb 2\r\n")
    assert load_text(tmp_path / "a.txt").words == ("a", "b")


def test_a_line_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "a.txt").write_bytes("2 1\na 1\né 2\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a.txt, line 3 is not UTF-8"):
        load_text(tmp_path / "a.txt")


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_text(tmp_path / "none.txt")
