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
    dim=16, window=3, epochs=15, min_count=1, subsample=0.0, threads=1, batch=4, learning_rate=0.05
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


def block_inputs(seed=0):
    """Rows and columns of three blocks with the labels and weights of real reaches."""
    config = Word2VecConfig(dim=6, window=2, block=4, shared=3, negatives=5)
    labels, weights = word2vec._cells(config)
    cells = ids(3, 4, seed=seed, high=9) + 9 * torch.arange(4)
    draw = {"generator": make_generator(seed), "dtype": torch.float64}
    rows = torch.randn(3, 4, 6, **draw).requires_grad_()
    columns = torch.randn(3, 4 + 4 + 3, 6, **draw).requires_grad_()
    return rows, columns, labels[cells].double(), weights[cells].double()


def test_block_steps_are_autograd():
    rows, columns, labels, weights = block_inputs()
    loss = word2vec.shared_negative_loss(rows, columns, labels, weights)
    gradients = torch.autograd.grad(loss, (rows, columns))
    with torch.no_grad():
        steps = word2vec.shared_negative_steps(rows, columns, labels, weights)
    torch.testing.assert_close(steps, tuple(-gradient for gradient in gradients))


def test_block_loss_is_negative_sampling_where_nothing_is_shared():
    """One centre a block, as many negatives as a pair has: the blocks are the pairs of eq. 4."""
    generator = make_generator(0)
    rows, columns = (
        torch.randn(8, 1, 5, generator=generator),
        torch.randn(8, 4, 5, generator=generator),
    )
    labels = torch.tensor([1.0, 0, 0, 0]).expand(8, 1, 4)
    ours = word2vec.shared_negative_loss(rows, columns, labels, torch.ones(8, 1, 4)) / 8
    at = torch.arange(8)
    negatives = at[:, None] * 4 + torch.arange(1, 4)
    theirs = word2vec.negative_sampling_loss(
        rows[:, 0], columns.flatten(0, 1), at, at * 4, negatives
    )
    torch.testing.assert_close(ours, theirs)


def test_batches_hold_exactly_the_pairs_of_the_text():
    """With every reach drawn full, labels ≠ 0 name skip_gram_pairs of each sentence, no more."""
    config = Word2VecConfig(window=1, block=4, batch=2, shared=2, min_count=1, subsample=0.0)
    sentences = [list(text) for text in ("abcde", "f", "gh", "ijklmnopqr")]
    vocabulary = word2vec.Vocabulary.from_sentences(sentences)
    trainer = word2vec._Trainer(vocabulary, sentences, config, make_generator(0))
    found = []
    for around, cells in trainer._batches(trainer.tokens, trainer.sentences, make_generator(1)):
        row_ids, column_ids, *_, labels, weights = trainer._gather(
            around, cells, torch.zeros(2, 2, dtype=torch.long)
        )
        blocks, rows, columns = labels.nonzero().unbind(1)
        contexts = column_ids.view(2, -1)[blocks, columns]
        found += zip(row_ids.view(2, 4)[blocks, rows].tolist(), contexts.tolist(), strict=True)
        assert float(weights[..., -2:].sum()) == pytest.approx(5 * float(labels.sum()))
    pairs = [pair for s in sentences for pair in skip_gram_pairs(s, window=1)]
    names = vocabulary.words
    assert sorted((names[a], names[b]) for a, b in found) == sorted(pairs)


def test_reach_is_drawn_evenly_up_to_the_window():
    config = Word2VecConfig(window=4, min_count=1, subsample=0.0)
    sentences = [["a", "b"] * 20_000]
    vocabulary = word2vec.Vocabulary.from_sentences(sentences)
    trainer = word2vec._Trainer(vocabulary, sentences, config, make_generator(0))
    pairs = sum(
        float(trainer.labels[cells].sum())
        for _, cells in trainer._batches(trainer.tokens, trainer.sentences, make_generator(1))
    )
    assert pairs / 40_000 == pytest.approx(2 * 2.5, rel=0.02)


@pytest.mark.parametrize("threads", [1, 2])
def test_synonyms_become_neighbours(threads, two_torch_threads):
    sentences = twin_sentences()
    random = WordVectors(
        sorted({word for s in sentences for word in s}),
        torch.randn(len({word for s in sentences for word in s}), 16, generator=make_generator(0)),
    )
    losses = []
    config = Word2VecConfig(**{**vars(TINY), "threads": threads})
    vectors = train(
        sentences,
        config,
        generator=make_generator(0),
        report=lambda done, loss: losses.append((done, loss)),
    )
    assert twins_found(random) < 0.3
    assert twins_found(vectors) > 0.9
    assert losses[-1][1] < 0.75 * losses[0][1]
    assert [done for done, _ in losses] == sorted(done for done, _ in losses)
    assert torch.get_num_threads() == 2


@pytest.fixture
def two_torch_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_same_seed_same_vectors(two_torch_threads):
    sentences = twin_sentences(sentences=100)
    config = Word2VecConfig(**{**vars(TINY), "epochs": 3})
    first, again, other = (
        train(sentences, config, generator=make_generator(seed)) for seed in (1, 1, 2)
    )
    assert first.words == again.words
    assert torch.equal(first.vectors, again.vectors)
    assert not torch.equal(first.vectors, other.vectors)
    assert torch.get_num_threads() == 2


def test_without_the_cap_a_frequent_word_flies_off():
    """Nine words in ten are one word; its steps in a batch all start from the same old vector."""
    generator = make_generator(0)
    rare = torch.randint(40, (20_000,), generator=generator)
    often = torch.rand(20_000, generator=generator) < 0.9
    text = ["the" if o else f"word{r}" for o, r in zip(often.tolist(), rare.tolist(), strict=True)]
    sentences = [text[i : i + 20] for i in range(0, len(text), 20)]
    config = {**vars(TINY), "batch": 64, "epochs": 5}
    vectors = train(sentences, Word2VecConfig(**config), generator=make_generator(0))
    assert float(vectors.vectors.norm(dim=1).max()) < 10
    config["cap"] = float("inf")
    with pytest.raises(FloatingPointError, match=r"diverged: lower learning_rate.*or cap \(inf\)"):
        train(sentences, Word2VecConfig(**config), generator=make_generator(0))


def test_a_failing_report_stops_every_thread(two_torch_threads):
    def fail(done, loss):
        if done > 0:
            raise RuntimeError("full")

    config = Word2VecConfig(**{**vars(TINY), "threads": 2, "epochs": 1_000})
    with pytest.raises(RuntimeError, match="full"):
        train(twin_sentences(sentences=50), config, generator=make_generator(0), report=fail)
    assert torch.get_num_threads() == 2


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


def test_thinning_out_every_pair_is_refused():
    config = Word2VecConfig(**{**vars(TINY), "subsample": 1e-12})
    with pytest.raises(ValueError, match=r"raise subsample \(1e-12\)"):
        train([["a", "b"]] * 50, config, generator=make_generator(0))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"dim": 0}, "dim is 0, it must be a whole number of 1 or more"),
        ({"threads": 1.5}, r"threads is 1\.5"),
        ({"window": True}, "window is True"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0, it must be above 0"),
        ({"cap": float("nan")}, "cap is nan"),
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
