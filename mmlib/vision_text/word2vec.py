"""Word2vec: learn a vector for each word by guessing its neighbours (skip-gram).

Chapter: notebooks/vision_text/01_word2vec. Sources: Mikolov et al., "Efficient Estimation of Word
Representations in Vector Space", 2013 (skip-gram), and "Distributed Representations of Words and
Phrases and their Compositionality", 2013 (negative sampling, subsampling); cited below as M13.

There are two tables, both (vocab, dim): ``centres`` (W, the vectors that are kept) holds a word as
the one that guesses, ``contexts`` (W′) holds it as the one that is guessed. The first half of this
module is the idea, pair by pair; ``train`` is the same idea with matrix products, many pairs at a
time.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from mmlib import metrics
from mmlib.data.corpora import WordPair
from mmlib.data.vocabulary import Vocabulary, word_lists
from mmlib.data.word_vectors import WordVectors
from mmlib.runtime import worker_threads
from mmlib.shapes import check_whole

Token = TypeVar("Token")


def skip_gram_pairs(tokens: Iterable[Token], *, window: int) -> list[tuple[Token, Token]]:
    """Return every (centre, context) pair of ``tokens`` at most ``window`` places apart."""
    window, tokens = check_whole(window, name="window"), list(tokens)
    return [
        (centre, tokens[j])
        for i, centre in enumerate(tokens)
        for j in range(max(0, i - window), min(len(tokens), i + window + 1))
        if j != i
    ]


def one_hot(words: Iterable[str], vocabulary: Iterable[str]) -> Tensor:
    """Return (words, vocab): a 1 where the word stands in ``vocabulary``, 0 elsewhere.

    Raises:
        ValueError: a word is not in ``vocabulary``.
    """
    words, vocabulary = list(words), list(vocabulary)
    unknown = [word for word in words if word not in vocabulary]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not among the {len(vocabulary)} words")
    rows = torch.tensor([vocabulary.index(word) for word in words])
    return F.one_hot(rows, len(vocabulary)).float()


def full_softmax_loss(
    centres: Tensor, contexts: Tensor, centre_ids: Tensor, context_ids: Tensor
) -> Tensor:
    """Return the mean of −log p(context | centre), softmax over the whole vocabulary (M13 eq. 2).

    Args:
        centres, contexts: W and W′, each (vocab, dim).
        centre_ids, context_ids: (pairs,), rows of the two tables.
    """
    scores = centres[centre_ids] @ contexts.T  # (pairs, vocab)
    return F.cross_entropy(scores, context_ids)


def full_softmax_gradients(
    centres: Tensor, contexts: Tensor, centre_ids: Tensor, context_ids: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``full_softmax_loss`` for W and W′, each (vocab, dim), by hand.

    The error of a pair is "what was predicted minus what was there", p − one-hot(context). It
    pulls the centre's row along W′ and every row of W′ along the centre.
    """
    rows = centres[centre_ids]  # (pairs, dim)
    error = torch.softmax(rows @ contexts.T, dim=1)  # (pairs, vocab)
    error -= F.one_hot(context_ids, len(contexts))
    error /= len(centre_ids)
    centre_gradient = torch.zeros_like(centres).index_add_(0, centre_ids, error @ contexts)
    return centre_gradient, error.T @ rows


def negative_sampling_loss(
    centres: Tensor, contexts: Tensor, centre_ids: Tensor, context_ids: Tensor, negative_ids: Tensor
) -> Tensor:
    """Return the mean of −log σ(u·v) − Σ log σ(−n·v) over pairs (M13 eq. 4).

    Args:
        centres, contexts: W and W′, each (vocab, dim).
        centre_ids, context_ids: (pairs,), rows of the true pairs.
        negative_ids: (pairs, negatives), rows of W′ drawn as noise.
    """
    rows = centres[centre_ids].unsqueeze(2)  # (pairs, dim, 1)
    true = (contexts[context_ids].unsqueeze(1) @ rows).flatten(1)  # (pairs, 1)
    noise = (contexts[negative_ids] @ rows).flatten(1)  # (pairs, negatives)
    return -(F.logsigmoid(true).sum(1) + F.logsigmoid(-noise).sum(1)).mean()


def negative_sampling_gradients(
    centres: Tensor, contexts: Tensor, centre_ids: Tensor, context_ids: Tensor, negative_ids: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``negative_sampling_loss`` for W and W′, each (vocab, dim), by hand.

    The error is σ(score) − label again, but only for 1 + negatives rows of W′, not for all.
    """
    ids = torch.cat([context_ids.unsqueeze(1), negative_ids], dim=1)  # (pairs, 1 + negatives)
    rows, columns = centres[centre_ids], contexts[ids]  # (pairs, dim), (pairs, 1 + negatives, dim)
    error = torch.sigmoid(columns @ rows.unsqueeze(2))  # (pairs, 1 + negatives, 1)
    error[:, 0] -= 1
    error /= len(centre_ids)
    column_gradient = (error * rows.unsqueeze(1)).flatten(0, 1)
    return (
        torch.zeros_like(centres).index_add_(0, centre_ids, (error * columns).sum(1)),
        torch.zeros_like(contexts).index_add_(0, ids.flatten(), column_gradient),
    )


def noise_distribution(counts: Tensor, *, power: float = 0.75) -> Tensor:
    """Return (vocab,): each word's chance to be drawn as a negative, ∝ count^0.75 (M13 §2.2)."""
    weights = counts.double() ** power
    return weights / weights.sum()


def keep_probability(counts: Tensor, *, threshold: float) -> Tensor:
    """Return (vocab,): the chance that one occurrence of each word is kept in training.

    With f the word's share of the text and t the threshold this is min(1, √(t/f) + t/f), as
    word2vec's C code and gensim compute it; the paper prints √(t/f) (M13 §2.3). A threshold of 0
    keeps everything.
    """
    if threshold == 0:
        return torch.ones(len(counts), dtype=torch.double)
    ratio = threshold * counts.sum() / counts.double()
    return (ratio.sqrt() + ratio).clamp(max=1)


def similarity_score(vectors: WordVectors, pairs: Iterable[WordPair]) -> float:
    """Return Spearman's correlation of cosine and human judgement, over pairs with known words.

    Raises:
        ValueError: fewer than two of the pairs are known.
    """
    pairs = list(pairs)
    known = [pair for pair in pairs if pair.first in vectors and pair.second in vectors]
    if len(known) < 2:
        raise ValueError(f"{len(known)} of {len(pairs)} pairs are known, a correlation needs two")
    rows = torch.tensor([[vectors.row(p.first), vectors.row(p.second)] for p in known])
    human = torch.tensor([pair.similarity for pair in known])
    return metrics.word_similarity(vectors.vectors, rows, human)


def analogy_hits_by_group(
    vectors: WordVectors, questions: dict[str, list[tuple[str, str, str, str]]]
) -> dict[str, Tensor]:
    """Return bool (known questions,) for each group: whether "a is to b as c is to …" gave d.

    Questions with an unknown word are left out, and so are groups in which none is left.
    """
    hits = {}
    for group, asked in questions.items():
        known = [[vectors.row(w) for w in q] for q in asked if all(w in vectors for w in q)]
        if known:
            hits[group] = metrics.analogy_hits(vectors.vectors, torch.tensor(known))
    return hits


@dataclass(frozen=True)
class Word2VecConfig:
    """What ``train`` needs to know; the defaults are gensim's where gensim has the setting."""

    dim: int = 100  # length of a vector
    window: int = 5  # contexts lie at most this far away; each centre draws its own reach, 1…window
    negatives: int = 5  # noise words for each true pair
    epochs: int = 5  # times through the text
    learning_rate: float = 0.025  # falls in a straight line to a thousandth of this
    min_count: int = 5  # rarer words are left out
    subsample: float = 1e-3  # frequent words are thinned out above this share; 0 keeps all
    threads: int = 2  # 1: exactly reproducible; more: they write into the same tables unlocked
    block: int = 16  # neighbouring centres that share their contexts and their negatives
    shared: int = 24  # negatives drawn for a block; each counts for many pairs, fewer are faster
    batch: int = 64  # blocks whose gradients are summed before the tables move
    cap: float = 128.0  # a word moves at most as far as this many of its pairs in a batch say

    def __post_init__(self) -> None:
        whole = ("dim", "window", "negatives", "epochs", "min_count", "threads")
        for name in (*whole, "block", "shared", "batch"):
            object.__setattr__(self, name, check_whole(getattr(self, name), name=name))
        for name in ("learning_rate", "cap"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}, it must be above 0")
        if not self.subsample >= 0:
            raise ValueError(f"subsample is {self.subsample!r}, it must be 0 (off) or more")


def shared_negative_loss(rows: Tensor, columns: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return the negative-sampling loss of whole blocks, summed: M13 eq. 4 with shared negatives.

    A block is a run of neighbouring centres. They share one set of columns: every word within
    reach of the run, then the negatives. Each negative stands for many draws, hence weights.

    Args:
        rows: (blocks, block, dim), vectors W of the centres.
        columns: (blocks, columns, dim), vectors W′ of the words around them and of the negatives.
        labels: (blocks, block, columns), 1 where centre and column are a true pair, else 0.
        weights: the same shape, how often the cell counts: 1 for a true pair, 0 for a word out of
            reach, pairs of the centre × negatives / shared for a negative.
    """
    scores = rows @ columns.mT  # (blocks, block, columns)
    return -(labels * F.logsigmoid(scores) + (weights - labels) * F.logsigmoid(-scores)).sum()


def shared_negative_steps(
    rows: Tensor, columns: Tensor, labels: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the downhill direction, minus the gradient of ``shared_negative_loss``, by hand.

    One matrix product gives all scores of a block, two more carry the errors back to the rows and
    to the columns: the same shapes as ``rows`` and ``columns``.
    """
    error = torch.bmm(rows, columns.mT).sigmoid_().mul_(weights)  # (blocks, block, columns)
    torch.sub(labels, error, out=error)
    return torch.bmm(error, columns), torch.bmm(error.mT, rows)


def train(
    sentences: Iterable[Iterable[str]],
    config: Word2VecConfig,
    *,
    generator: torch.Generator,
    progress: bool = False,
    report: Callable[[float, float], None] | None = None,
) -> WordVectors:
    """Train skip-gram vectors with negative sampling on ``sentences``; most frequent words first.

    Args:
        sentences: lists of words; no pair reaches from one sentence into the next.
        generator: on the CPU. With ``config.threads == 1`` the same seed gives the same vectors
            bit for bit on the same machine.
        progress: show a bar.
        report: called about a hundred times with (share done, loss of a pair).

    Raises:
        TypeError: a sentence is one string, or a word is not a string.
        ValueError: fewer than two words stand at least ``config.min_count`` times, or no sentence
            keeps two of them, so that there is no pair to learn from.
        FloatingPointError: training diverged.
    """
    sentences = word_lists(sentences)
    vocabulary = Vocabulary.from_sentences(sentences, min_count=config.min_count)
    trainer = _Trainer(vocabulary, sentences, config, generator)
    seeds = torch.randint(2**62, (config.threads,), generator=generator).tolist()
    with tqdm(total=100, unit="%", disable=not progress, leave=False) as bar:

        def tell(done: float, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update(int(100 * done) - bar.n)
            if report:
                report(done, loss)

        with worker_threads(config.threads) as run:
            try:
                run(lambda shard: trainer.work(shard, seeds[shard], tell), range(config.threads))
            finally:
                trainer.stop.set()  # Ctrl-C may come while this thread waits for the others
    if not torch.isfinite(trainer.centres).all():
        raise FloatingPointError(
            f"training diverged: lower learning_rate ({config.learning_rate}) or cap ({config.cap})"
        )
    if not trainer.contexts.any():  # they begin at 0, and the first pair moves them
        raise ValueError(
            f"no pair was left to learn from: lower min_count ({config.min_count}), raise "
            f"subsample ({config.subsample}), or give longer sentences"
        )
    return WordVectors(vocabulary.words, trainer.centres)


class _Trainer:
    """The two tables, and the threads' shared work on them."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        sentences: Sequence[Sequence[str]],
        config: Word2VecConfig,
        generator: torch.Generator,
    ) -> None:
        if len(vocabulary) < 2:
            raise ValueError("only one word is frequent enough: lower min_count, or give more text")
        self.config = config
        self.tokens, starts = vocabulary.encode_known(sentences)
        self.sentences = torch.repeat_interleave(starts.diff())  # (tokens,), each one's sentence
        counts = torch.tensor(vocabulary.counts)
        self.keep = keep_probability(counts, threshold=config.subsample).float()
        self.deck = torch.multinomial(
            noise_distribution(counts), 2**20, replacement=True, generator=generator
        )  # negatives, drawn once and dealt from random places
        self.centres = (torch.rand(len(counts), config.dim, generator=generator) - 0.5) / config.dim
        self.contexts = torch.zeros(len(counts), config.dim)
        self.labels, self.weights = _cells(config)
        self.stop = threading.Event()  # one thread has failed, or the user has had enough

    def work(self, shard: int, seed: int, tell: Callable[[float, float], None]) -> None:
        """Do one thread's share; if anything goes wrong in it, the other threads stop too."""
        try:
            self._work(shard, torch.Generator().manual_seed(seed), tell)
        except BaseException:
            self.stop.set()
            raise

    def _work(
        self, shard: int, generator: torch.Generator, tell: Callable[[float, float], None]
    ) -> None:
        """Train on every ``threads``-th sentence, from number ``shard`` on; shard 0 reports."""
        mine = self.sentences % self.config.threads == shard
        tokens, sentences = self.tokens[mine], self.sentences[mine]
        told = -1
        for epoch in range(self.config.epochs):
            batches = list(self._batches(tokens, sentences, generator))
            for number, (around, cells) in enumerate(batches):
                if self.stop.is_set():
                    return
                done = (epoch + number / len(batches)) / self.config.epochs
                negatives = self._deal(generator)
                if shard == 0 and int(100 * done) > told:
                    told = int(100 * done)
                    tell(done, self._loss(around, cells, negatives))
                rate = self.config.learning_rate * (1 - done)
                self._step(around, cells, negatives, rate=rate)

    def _batches(
        self, tokens: Tensor, sentences: Tensor, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Thin out frequent words, draw each centre's reach, cut into batches.

        Yields:
            around: the batch's centres with ``window`` words on either side.
            cells: for each centre its row in the tables of labels and weights.
        """
        block, window, size = self.config.block, self.config.window, self.config.batch
        kept = torch.rand(len(tokens), generator=generator) < self.keep[tokens]
        tokens, sentences = tokens[kept], sentences[kept]
        place, lengths = torch.arange(len(tokens)), torch.bincount(sentences)
        end = lengths.cumsum(0)[sentences]
        reach = torch.randint(1, window + 1, (len(tokens),), generator=generator)
        left = torch.minimum(place - end + lengths[sentences], reach)
        right = torch.minimum(end - 1 - place, reach)
        cells = (place % block * (window + 1) + left) * (window + 1) + right
        missing = -len(tokens) % (block * size)  # cell 0 has no weight
        tokens, cells = F.pad(tokens, (window, missing + window)), F.pad(cells, (0, missing))
        for at in range(0, len(cells), block * size):
            yield tokens[at : at + block * size + 2 * window], cells[at : at + block * size]

    def _deal(self, generator: torch.Generator) -> Tensor:
        """Return the next negatives: (blocks, shared)."""
        shape = (self.config.batch, self.config.shared)
        most = len(self.deck) - shape[0] * shape[1]
        at = int(torch.randint(most + 1, (), generator=generator))
        return self.deck[at : at + shape[0] * shape[1]].view(shape)

    def _gather(self, around: Tensor, cells: Tensor, negatives: Tensor) -> tuple[Tensor, ...]:
        """Return row and column words, their vectors, labels and weights, block by block."""
        block, window, dim = self.config.block, self.config.window, self.config.dim
        row_ids = around[window : len(around) - window]  # (blocks · block,)
        neighbours = around.unfold(0, block + 2 * window, block)  # (blocks, block + 2 window)
        column_ids = torch.cat([neighbours, negatives], dim=1).flatten()
        shape = (len(negatives), block, -1)
        return (
            row_ids,
            column_ids,
            self.centres.index_select(0, row_ids).view(len(negatives), -1, dim),
            self.contexts.index_select(0, column_ids).view(len(negatives), -1, dim),
            self.labels.index_select(0, cells).view(shape),
            self.weights.index_select(0, cells).view(shape),
        )

    def _loss(self, around: Tensor, cells: Tensor, negatives: Tensor) -> float:
        *_, rows, columns, labels, weights = self._gather(around, cells, negatives)
        return float(shared_negative_loss(rows, columns, labels, weights) / labels.sum())

    def _step(self, around: Tensor, cells: Tensor, negatives: Tensor, *, rate: float) -> None:
        """Move both tables downhill on one batch, in place."""
        row_ids, column_ids, rows, columns, labels, weights = self._gather(around, cells, negatives)
        row_steps, column_steps = shared_negative_steps(rows, columns, labels, weights)
        self._move(self.centres, row_ids, row_steps, weights.sum(2), rate)
        self._move(self.contexts, column_ids, column_steps, weights.sum(1), rate)

    def _move(self, table: Tensor, ids: Tensor, steps: Tensor, terms: Tensor, rate: float) -> None:
        """Add ``steps`` to the rows ``ids``; a word with more than ``cap`` terms is slowed down.

        All its terms look at the same old vector, so that a frequent word would overshoot.
        """
        total = torch.zeros(len(table)).index_add_(0, ids, terms.flatten())
        scale = (self.config.cap / total.index_select(0, ids)).clamp_(max=1).mul_(rate)
        table.index_add_(0, ids, steps.flatten(0, 1).mul_(scale.unsqueeze(1)))


def _cells(config: Word2VecConfig) -> tuple[Tensor, Tensor]:
    """Return labels and weights, (cells, columns), of a centre at every place with every reach.

    Row (place · (window + 1) + left) · (window + 1) + right belongs to a centre at ``place`` in its
    block that sees ``left`` words to its left and ``right`` to its right. Looking the rows up is
    faster than comparing distances anew for every centre.
    """
    reach = torch.arange(config.window + 1)
    place, left, right = (
        grid.reshape(-1, 1)
        for grid in torch.meshgrid(torch.arange(config.block), reach, reach, indexing="ij")
    )
    offset = torch.arange(config.block + 2 * config.window) - config.window - place
    labels = ((offset >= -left) & (offset <= right) & (offset != 0)).float()
    noise = (left + right) * (config.negatives / config.shared)
    return (
        F.pad(labels, (0, config.shared)),
        torch.cat([labels, noise.expand(-1, config.shared)], dim=1),
    )
