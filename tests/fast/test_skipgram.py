"""Blocks against the formula of the paper and against autograd; threads that learn and stop."""

import pytest
import torch

from mmlib.fast import skipgram
from mmlib.fast.skipgram import BlockConfig
from mmlib.runtime import make_generator
from mmlib.vision_text import word2vec
from mmlib.vision_text.word2vec import Word2VecConfig, skip_gram_pairs

TOPICS = 12


@pytest.fixture
def two_torch_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def paired_text(seed=0):
    """A text in which words 2t and 2t + 1 share their contexts but never a sentence."""
    generator = make_generator(seed)
    topic = torch.randint(TOPICS, (600, 1), generator=generator)
    twin = torch.randint(2, (600, 1), generator=generator)
    around = 2 * TOPICS + 5 * topic + torch.randint(5, (600, 6), generator=generator)
    tokens = torch.cat([around[:, :3], 2 * topic + twin, around[:, 3:]], dim=1)
    return tokens.flatten(), torch.arange(600).repeat_interleave(7)


def train(tokens, sentence, *, threads=1, epochs=15, seed=0, report=None, **blocks):
    words = int(tokens.max()) + 1
    return skipgram.train_tables(
        tokens,
        sentence,
        torch.ones(words),
        torch.bincount(tokens) ** 0.75,
        dim=16,
        window=3,
        negatives=5,
        epochs=epochs,
        learning_rate=0.05,
        blocks=BlockConfig(**{"batch": 4, "threads": threads, **blocks}),
        generator=make_generator(seed),
        report=report,
    )


def twins_found(vectors):
    unit = torch.nn.functional.normalize(vectors[: 2 * TOPICS], dim=1)
    cosine = (unit @ unit.T).fill_diagonal_(-1)
    twin = torch.arange(2 * TOPICS).view(-1, 2).flip(1).flatten()
    return float((cosine.argmax(1) == twin).float().mean())


def job(*, sentences, window, negatives=5, **blocks):
    config = Word2VecConfig(window=window, min_count=1, subsample=0.0)
    text = word2vec.read(sentences, config)
    made = skipgram._Job(
        text.tokens, text.sentence, text.keep, window, negatives, 1, 0.1, BlockConfig(**blocks)
    )
    return text, skipgram._Trainer(made, text.noise, 6, make_generator(0))


def test_block_steps_are_autograd():
    _, trainer = job(sentences=[["a", "b"]], window=2, block=4, shared=3)
    cells = torch.randint(9, (3, 4), generator=make_generator(1)) + 9 * torch.arange(4)
    labels, weights = trainer.labels[cells].double(), trainer.weights[cells].double()
    draw = {"generator": make_generator(0), "dtype": torch.float64}
    rows = torch.randn(3, 4, 6, **draw).requires_grad_()
    columns = torch.randn(3, 4 + 4 + 3, 6, **draw).requires_grad_()
    loss = skipgram.shared_negative_loss(rows, columns, labels, weights)
    gradients = torch.autograd.grad(loss, (rows, columns))
    with torch.no_grad():
        steps = skipgram.shared_negative_steps(rows, columns, labels, weights)
    torch.testing.assert_close(steps, tuple(-gradient for gradient in gradients))


def test_block_loss_is_negative_sampling_where_nothing_is_shared():
    """One centre a block, as many negatives as a pair has: the blocks are the pairs of eq. 4."""
    generator = make_generator(0)
    rows, columns = (torch.randn(8, n, 5, generator=generator) for n in (1, 4))
    labels = torch.tensor([1.0, 0, 0, 0]).expand(8, 1, 4)
    ours = skipgram.shared_negative_loss(rows, columns, labels, torch.ones(8, 1, 4)) / 8
    at = torch.arange(8)
    negatives = at[:, None] * 4 + torch.arange(1, 4)
    theirs = word2vec.negative_sampling_loss(
        rows[:, 0], columns.flatten(0, 1), at, at * 4, negatives
    )
    torch.testing.assert_close(ours, theirs)


def test_batches_hold_exactly_the_pairs_of_the_text():
    """With every reach drawn full, labels ≠ 0 name skip_gram_pairs of each sentence, no more."""
    sentences = [list(text) for text in ("abcde", "f", "gh", "ijklmnopqr")]
    text, trainer = job(sentences=sentences, window=1, block=4, batch=2, shared=2)
    found = []
    for around, cells in trainer._batches(text.tokens, text.sentence, make_generator(1)):
        row_ids, column_ids, *_, labels, weights = trainer._gather(
            around, cells, torch.zeros(2, 2, dtype=torch.long)
        )
        blocks, rows, columns = labels.nonzero().unbind(1)
        contexts = column_ids.view(2, -1)[blocks, columns]
        found += zip(row_ids.view(2, 4)[blocks, rows].tolist(), contexts.tolist(), strict=True)
        assert float(weights[..., -2:].sum()) == pytest.approx(5 * float(labels.sum()))
    pairs = [pair for s in sentences for pair in skip_gram_pairs(s, window=1)]
    names = text.vocabulary.words
    assert sorted((names[a], names[b]) for a, b in found) == sorted(pairs)


@pytest.mark.parametrize("threads", [1, 2])
def test_synonyms_become_neighbours(threads, two_torch_threads):
    told = []
    vectors, _ = train(*paired_text(), threads=threads, report=lambda *x: told.append(x))
    assert twins_found(torch.randn(100, 16, generator=make_generator(0))) < 0.3
    assert twins_found(vectors) > 0.9
    assert told[-1][1] < 0.75 * told[0][1]
    assert told == sorted(told, key=lambda one: one[0])
    assert torch.get_num_threads() == 2


def test_same_seed_same_vectors():
    text = paired_text()
    first, again, other = (train(*text, epochs=2, seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_without_the_cap_a_frequent_word_flies_off():
    """Nine words in ten are one word; its steps in a batch all start from the same old vector."""
    generator = make_generator(0)
    rare = 1 + torch.randint(40, (20_000,), generator=generator)
    tokens = torch.where(torch.rand(20_000, generator=generator) < 0.9, 0, rare)
    sentence = torch.arange(20_000) // 20
    vectors, _ = train(tokens, sentence, batch=64, epochs=5)
    assert float(vectors.norm(dim=1).max()) < 10
    with pytest.raises(FloatingPointError, match=r"lower learning_rate.*or cap \(inf\)"):
        train(tokens, sentence, batch=64, epochs=5, cap=float("inf"))


def test_a_failing_report_stops_every_thread(two_torch_threads):
    def fail(done, loss):
        if done > 0:
            raise RuntimeError("full")

    with pytest.raises(RuntimeError, match="full"):
        train(*paired_text(), threads=2, epochs=1_000, report=fail)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"threads": 1.5}, r"threads is 1\.5"), ({"cap": float("nan")}, "cap is nan")],
)
def test_a_bad_setting_is_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        BlockConfig(**setting)
