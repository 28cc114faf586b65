"""Gradients against autograd, formulas against gensim, and a trainer that learns what it should."""

from contextlib import nullcontext

import gensim.models
import numpy as np
import pytest
import torch

from mmlib.data.corpora import WordPair
from mmlib.data.word_vectors import WordVectors, analogy
from mmlib.runtime import make_generator
from mmlib.vision_text import word2vec
from mmlib.vision_text.word2vec import Word2VecConfig, skip_gram_pairs, train

TINY = Word2VecConfig(
    dim=16, window=3, epochs=15, min_count=1, subsample=0.0, batch=32, learning_rate=0.05
)
TOPICS = 12


def twin_sentences(*, sentences=600, seed=0):
    """Each topic has a pair of synonyms, which share their contexts but never a sentence."""
    generator = make_generator(seed)
    found = []
    for _ in range(sentences):
        topic, twin = (int(torch.randint(n, (), generator=generator)) for n in (TOPICS, 2))
        around = torch.randint(5, (6,), generator=generator).tolist()
        words = [f"context{topic}x{place}" for place in around]
        found.append([*words[:3], f"synonym{topic}x{twin}", *words[3:]])
    return found


def twins_found(vectors):
    """The share of the synonyms whose nearest synonym is their twin; chance is 1 in 23."""
    names = [f"synonym{topic}x{twin}" for topic in range(TOPICS) for twin in range(2)]
    unit = torch.nn.functional.normalize(torch.stack([vectors[name] for name in names]), dim=1)
    cosine = (unit @ unit.T).fill_diagonal_(-1)
    return float(
        (cosine.argmax(1) == torch.arange(2 * TOPICS).view(-1, 2).flip(1).flatten()).float().mean()
    )


@pytest.fixture
def tables():
    generator = make_generator(0)
    draw = {"generator": generator, "dtype": torch.float64}
    centres = torch.randn(9, 5, **draw).requires_grad_()
    contexts = torch.randn(9, 5, **draw).requires_grad_()
    return centres, contexts


def ids(*shape, seed, high=9):
    return torch.randint(high, shape, generator=make_generator(seed))


def test_pairs_of_the_quick_brown_fox():
    tokens = ["the", "quick", "brown", "fox", "jumps"]
    pairs = skip_gram_pairs(tokens, window=2)
    assert pairs[:5] == [
        ("the", "quick"),
        ("the", "brown"),
        ("quick", "the"),
        ("quick", "brown"),
        ("quick", "fox"),
    ]
    far = [(a, b) for i, a in enumerate(tokens) for j, b in enumerate(tokens) if 0 < abs(i - j) < 3]
    assert pairs == far
    assert skip_gram_pairs(["alone"], window=2) == []
    with pytest.raises(ValueError, match="window is 0, it must be a whole number"):
        skip_gram_pairs(tokens, window=0)


def test_one_hot_times_a_table_picks_a_row():
    vocabulary, table = ["fox", "the", "quick"], torch.arange(12.0).view(3, 4)
    rows = word2vec.one_hot(["quick", "fox"], vocabulary)
    assert torch.equal(rows @ table, table[[2, 0]])
    with pytest.raises(ValueError, match="'dog' is not among the 3 words"):
        word2vec.one_hot(["dog"], vocabulary)


def test_full_softmax_by_hand_is_autograd(tables):
    pairs = ids(20, seed=1), ids(20, seed=2)
    loss = word2vec.full_softmax_loss(*tables, *pairs)
    expected = torch.autograd.grad(loss, tables)
    with torch.no_grad():
        torch.testing.assert_close(word2vec.full_softmax_gradients(*tables, *pairs), expected)


def test_full_softmax_from_the_definition(tables):
    (a, b), (c, d) = [(3, 1), (4, 4)]
    with torch.no_grad():
        losses = []
        for centre, context in ((a, b), (c, d)):
            scores = torch.stack([torch.dot(tables[0][centre], row) for row in tables[1]])
            losses.append(-torch.log(scores[context].exp() / scores.exp().sum()))
        ours = word2vec.full_softmax_loss(*tables, torch.tensor([a, c]), torch.tensor([b, d]))
        torch.testing.assert_close(ours, sum(losses) / 2)


def test_negative_sampling_by_hand_is_autograd(tables):
    pairs = ids(20, seed=1), ids(20, seed=2), ids(20, 3, seed=3)
    loss = word2vec.negative_sampling_loss(*tables, *pairs)
    expected = torch.autograd.grad(loss, tables)
    with torch.no_grad():
        torch.testing.assert_close(word2vec.negative_sampling_gradients(*tables, *pairs), expected)


def test_negative_sampling_from_the_definition(tables):
    with torch.no_grad():
        v, u, noise = tables[0][2], tables[1][5], tables[1][[1, 7]]
        expected = -torch.sigmoid(u @ v).log() - torch.sigmoid(-noise @ v).log().sum()
        picked = torch.tensor([2]), torch.tensor([5]), torch.tensor([[1, 7]])
        torch.testing.assert_close(word2vec.negative_sampling_loss(*tables, *picked), expected)


def bags(seed):
    """Contexts of different numbers, filled up with -1."""
    found = ids(20, 4, seed=seed)
    return torch.where(torch.arange(4) < 1 + ids(20, 1, seed=seed + 1, high=4), found, -1)


def test_cbow_by_hand_is_autograd_and_its_definition(tables):
    pairs = bags(4), ids(20, seed=2), ids(20, 3, seed=3)
    loss = word2vec.negative_sampling_loss(*tables, *pairs)
    expected = torch.autograd.grad(loss, tables)
    with torch.no_grad():
        torch.testing.assert_close(word2vec.negative_sampling_gradients(*tables, *pairs), expected)
        losses = []
        for bag, target, noise in zip(*pairs, strict=True):
            mean = tables[0][bag[bag >= 0]].mean(0)
            losses.append(-torch.sigmoid(tables[1][target] @ mean).log())
            losses[-1] -= torch.sigmoid(-tables[1][noise] @ mean).log().sum()
        torch.testing.assert_close(loss, sum(losses) / 20)


def test_cbow_of_one_word_is_skip_gram(tables):
    centres, targets, noise = ids(20, seed=1), ids(20, seed=2), ids(20, 3, seed=3)
    once = word2vec.negative_sampling_loss(*tables, centres, targets, noise)
    padded = torch.stack([centres, torch.full_like(centres, -1)], dim=1)
    torch.testing.assert_close(
        word2vec.negative_sampling_loss(*tables, padded, targets, noise), once
    )


def test_windows_hold_exactly_the_pairs_of_the_text():
    """With every reach drawn full (window 1), the windows are skip_gram_pairs of each sentence."""
    config = Word2VecConfig(window=1, min_count=1, subsample=0.0)
    sentences = [list(text) for text in ("abcde", "f", "gh", "ijklmnopqr")]
    text = word2vec.read(sentences, config)
    windows = word2vec.draw_windows(text, config, generator=make_generator(0))
    names = text.vocabulary.words
    found = [
        (names[row[0]], names[context])
        for row in windows.tolist()
        for context in row[1:]
        if context >= 0
    ]
    pairs = [pair for s in sentences for pair in skip_gram_pairs(s, window=1)]
    assert sorted(found) == sorted(pairs)


def test_reach_is_drawn_evenly_up_to_the_window():
    config = Word2VecConfig(window=4, min_count=1, subsample=0.0)
    text = word2vec.read([["a", "b"] * 20_000], config)
    windows = word2vec.draw_windows(text, config, generator=make_generator(1))
    assert int((windows[:, 1:] >= 0).sum()) / 40_000 == pytest.approx(2 * 2.5, rel=0.02)


@pytest.fixture
def in_gensim():
    """A gensim model that has counted words, with the settings of the formulas under test."""
    sentences = [["a"] * 500 + ["b"] * 80 + ["c"] * 20 + ["d"] * 3]
    model = gensim.models.Word2Vec(sample=1e-2, min_count=1, ns_exponent=0.75, negative=5)
    model.build_vocab(sentences)
    return model, torch.tensor([500, 80, 20, 3])


def test_keep_probability_is_gensims(in_gensim):
    model, counts = in_gensim
    theirs = [model.wv.get_vecattr(word, "sample_int") / (2**32 - 1) for word in "abcd"]
    ours = word2vec.keep_probability(counts, threshold=1e-2)
    assert ours.tolist() == pytest.approx(theirs, abs=1e-6)
    assert word2vec.keep_probability(counts, threshold=0).tolist() == [1] * 4


def test_noise_distribution_is_gensims(in_gensim):
    model, counts = in_gensim
    theirs = torch.tensor(model.cum_table.astype("float64") / model.cum_table[-1])
    ours = word2vec.noise_distribution(counts).cumsum(0)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("cbow", [False, True])
def test_synonyms_become_neighbours(cbow):
    sentences, losses = twin_sentences(), []
    known = sorted({word for s in sentences for word in s})
    random = torch.randn(len(known), 16, generator=make_generator(0))
    vectors = train(
        sentences,
        TINY,
        generator=make_generator(0),
        cbow=cbow,
        report=lambda epoch, loss: losses.append(loss),
    )
    assert twins_found(WordVectors(known, random)) < 0.3
    assert twins_found(vectors) > 0.9
    assert len(losses) == TINY.epochs
    assert losses[-1] < losses[0]


def test_same_seed_same_vectors():
    sentences = twin_sentences(sentences=100)
    config = Word2VecConfig(**{**vars(TINY), "epochs": 3})
    first, again, other = (
        train(sentences, config, generator=make_generator(seed)) for seed in (1, 1, 2)
    )
    assert first.words == again.words
    assert torch.equal(first.vectors, again.vectors)
    assert not torch.equal(first.vectors, other.vectors)


def test_a_learning_rate_that_is_too_high_is_named():
    config = Word2VecConfig(**{**vars(TINY), "learning_rate": 1e30})
    with pytest.raises(FloatingPointError, match=r"lower learning_rate \(1e\+30\)"):
        train(twin_sentences(sentences=50), config, generator=make_generator(0))


def test_words_are_sorted_by_frequency_and_rare_ones_left_out():
    sentences = [["b", "a", "b", "c"], ["b", "a"]]
    config = Word2VecConfig(**{**vars(TINY), "min_count": 2})
    assert train(sentences, config, generator=make_generator(0)).words == ("b", "a")


@pytest.mark.parametrize(
    ("sentences", "error", "message"),
    [
        ([], ValueError, "needs one word at least: is min_count too high"),
        ([["once", "only"]], ValueError, "needs one word at least"),
        ([["same", "same", "same"]], ValueError, "only one word is frequent enough"),
        (["the quick brown fox"], TypeError, "is one string"),
        ([[1, 2, 1, 2]], TypeError, "not a string"),
        ([["a", None]], TypeError, "sentence 0 has the word None, not a string"),
        ([["a", float("nan")]], TypeError, "sentence 0 has the word nan, not a string"),
        ([["a"], None], TypeError, "sentence 1 is None, not a list of words"),
        ([["a"], ["b"]] * 3, ValueError, r"no pair .*: lower min_count \(2\), .* longer sentences"),
        ([["a", "b"], ["x"], ["a"], ["b"], ["y"]], None, ""),
    ],
)
def test_a_corpus_that_teaches_nothing_is_refused(sentences, error, message):
    config = Word2VecConfig(**{**vars(TINY), "min_count": 2})
    with pytest.raises(error, match=message) if error else nullcontext():
        train(sentences, config, generator=make_generator(0))


def test_text_that_can_be_read_once_only_teaches_the_same():
    sentences = twin_sentences(sentences=20)
    once = train(sentences, TINY, generator=make_generator(0))
    again = train((iter(s) for s in sentences), TINY, generator=make_generator(0))
    assert again.words == once.words
    assert torch.equal(again.vectors, once.vectors)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"dim": 0}, "dim is 0, it must be a whole number of 1 or more"),
        ({"batch": 1.5}, r"batch is 1\.5"),
        ({"window": True}, "window is True"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0, it must be above 0"),
        ({"subsample": -1.0}, r"subsample is -1\.0"),
    ],
)
def test_a_bad_setting_is_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        Word2VecConfig(**setting)


@pytest.fixture
def capitals():
    """Countries and capitals a fixed step apart, and one capital that is out of place."""
    countries = torch.eye(4)
    capitals = countries + torch.tensor([0, 0, 0, 0.5])
    capitals[2] = torch.tensor([0, -1.0, 0, 0])
    names = [*"ABCD", *"abcd"]
    return WordVectors(names, torch.cat([countries, capitals]))


def test_analogy_hits_are_what_solving_one_by_one_gives(capitals):
    groups = {
        "right": [("A", "a", "B", "b"), ("B", "b", "A", "a")],
        "wrong": [("A", "a", "C", "c"), ("A", "a", "unknown", "b")],
        "unknown": [("X", "a", "B", "b")],
    }
    hits = word2vec.analogy_hits_by_group(capitals, groups)
    assert {group: found.tolist() for group, found in hits.items()} == {
        "right": [True, True],
        "wrong": [False],
    }
    for group, found in hits.items():
        for (a, b, c, d), hit in zip(groups[group], found.tolist(), strict=False):
            assert (analogy(capitals, a, b, c)[0][0] == d) is hit


def test_similarity_score_is_gensims(tmp_path):
    vectors = WordVectors(list("abcdef"), torch.randn(6, 4, generator=make_generator(0)))
    pairs = [WordPair(*pair) for pair in [("a", "b", 9.0), ("c", "d", 2.5), ("e", "f", 4.0)]]
    pairs += [WordPair("a", "f", 1.0), WordPair("a", "unknown", 5.0), WordPair("b", "e", 7.0)]
    lines = [f"{pair.first}\t{pair.second}\t{pair.similarity}\n" for pair in pairs]
    (tmp_path / "pairs.tsv").write_text("".join(lines))
    keyed = gensim.models.KeyedVectors(4)
    keyed.add_vectors(list(vectors.words), vectors.vectors.numpy())
    theirs = keyed.evaluate_word_pairs(tmp_path / "pairs.tsv")[1].statistic
    assert word2vec.similarity_score(vectors, pairs) == pytest.approx(theirs)
    with pytest.raises(ValueError, match="1 of 2 pairs are known, a correlation needs two"):
        word2vec.similarity_score(vectors, pairs[3:5])


def test_whole_numbers_of_numpy_are_settings():
    assert Word2VecConfig(dim=np.int64(7)).dim == 7
