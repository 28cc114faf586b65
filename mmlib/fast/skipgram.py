"""Skip-gram with negative sampling, the same result sooner: many centres share one matrix product.

Plain training (``mmlib.vision_text.word2vec.train``) looks up 1 + negatives rows for every pair.
Here a *block* of neighbouring centres shares one set of columns: every word within reach of the
block, then negatives drawn once for all. One matrix product gives all scores of a block, two
more carry the errors back; threads work on the same two tables without locks, as in the authors'
program (Mikolov et al. 2013; "Hogwild", Recht et al. 2011). Law: with one centre, one context and
its own negatives a block is the formula of the paper (tests/fast/test_skipgram.py).
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from mmlib.runtime import worker_threads
from mmlib.shapes import check_whole


@dataclass(frozen=True)
class BlockConfig:
    """How the work is cut."""

    threads: int = 2  # 1: exactly reproducible; more: they write into the same tables unlocked
    block: int = 16  # neighbouring centres that share their contexts and their negatives
    shared: int = 24  # negatives drawn for a block; each counts for many pairs, fewer are faster
    batch: int = 64  # blocks whose gradients are summed before the tables move
    cap: float = 128.0  # a word moves at most as far as this many of its pairs in a batch say

    def __post_init__(self) -> None:
        for name in ("threads", "block", "shared", "batch"):
            object.__setattr__(self, name, check_whole(getattr(self, name), name=name))
        if not self.cap > 0:
            raise ValueError(f"cap is {self.cap!r}, it must be above 0")


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


def train_tables(
    tokens: Tensor,
    sentence: Tensor,
    keep: Tensor,
    noise: Tensor,
    *,
    dim: int,
    window: int,
    negatives: int,
    epochs: int,
    learning_rate: float,
    blocks: BlockConfig,
    generator: torch.Generator,
    progress: bool = False,
    report: Callable[[float, float], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Train the two tables of skip-gram.

    Args:
        tokens: (tokens,), the text as numbers of words.
        sentence: (tokens,), which sentence each token stands in, rising.
        keep: (vocab,), the chance that an occurrence is kept.
        noise: (vocab,), the chance to be drawn as a negative.
        dim, window, negatives, epochs, learning_rate: as in ``word2vec.Word2VecConfig``.
        blocks: how the work is cut.
        generator: on the CPU.
        progress: show a bar.
        report: called about a hundred times with (share done, loss of a pair).

    Returns:
        W and W′, each (vocab, dim).

    Raises:
        FloatingPointError: training diverged.
    """
    job = _Job(tokens, sentence, keep, window, negatives, epochs, learning_rate, blocks)
    trainer = _Trainer(job, noise, dim, generator)
    seeds = torch.randint(2**62, (blocks.threads,), generator=generator).tolist()
    with tqdm(total=100, unit="%", disable=not progress, leave=False) as bar:

        def tell(done: float, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update(int(100 * done) - bar.n)
            if report:
                report(done, loss)

        with worker_threads(blocks.threads) as run:
            try:
                run(lambda shard: trainer.work(shard, seeds[shard], tell), range(blocks.threads))
            finally:
                trainer.stop.set()  # Ctrl-C may come while this thread waits for the others
    if not torch.isfinite(trainer.centres).all():
        raise FloatingPointError(
            f"training diverged: lower learning_rate ({learning_rate}) or cap ({blocks.cap})"
        )
    return trainer.centres, trainer.contexts


@dataclass(frozen=True)
class _Job:
    """What ``train_tables`` was asked to do."""

    tokens: Tensor
    sentence: Tensor
    keep: Tensor
    window: int
    negatives: int
    epochs: int
    learning_rate: float
    blocks: BlockConfig


class _Trainer:
    """The two tables, and the threads' shared work on them."""

    def __init__(self, job: _Job, noise: Tensor, dim: int, generator: torch.Generator) -> None:
        self.job, self.dim = job, dim
        self.deck = torch.multinomial(
            noise, 2**20, replacement=True, generator=generator
        )  # negatives, drawn once and dealt from random places
        self.centres = (torch.rand(len(noise), dim, generator=generator) - 0.5) / dim
        self.contexts = torch.zeros(len(noise), dim)
        self.labels, self.weights = _cells(job)
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
        mine = self.job.sentence % self.job.blocks.threads == shard
        tokens, sentences = self.job.tokens[mine], self.job.sentence[mine]
        told = -1
        for epoch in range(self.job.epochs):
            batches = list(self._batches(tokens, sentences, generator))
            for number, (around, cells) in enumerate(batches):
                if self.stop.is_set():
                    return
                done = (epoch + number / len(batches)) / self.job.epochs
                negatives = self._deal(generator)
                if shard == 0 and int(100 * done) > told:
                    told = int(100 * done)
                    tell(done, self._loss(around, cells, negatives))
                rate = self.job.learning_rate * (1 - done)
                self._step(around, cells, negatives, rate=rate)

    def _batches(
        self, tokens: Tensor, sentences: Tensor, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Thin out frequent words, draw each centre's reach, cut into batches.

        Yields:
            around: the batch's centres with ``window`` words on either side.
            cells: for each centre its row in the tables of labels and weights.
        """
        block, window, size = self.job.blocks.block, self.job.window, self.job.blocks.batch
        kept = torch.rand(len(tokens), generator=generator) < self.job.keep[tokens]
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
        shape = (self.job.blocks.batch, self.job.blocks.shared)
        most = len(self.deck) - shape[0] * shape[1]
        at = int(torch.randint(most + 1, (), generator=generator))
        return self.deck[at : at + shape[0] * shape[1]].view(shape)

    def _gather(self, around: Tensor, cells: Tensor, negatives: Tensor) -> tuple[Tensor, ...]:
        """Return row and column words, their vectors, labels and weights, block by block."""
        block, window, dim = self.job.blocks.block, self.job.window, self.dim
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
        scale = (self.job.blocks.cap / total.index_select(0, ids)).clamp_(max=1).mul_(rate)
        table.index_add_(0, ids, steps.flatten(0, 1).mul_(scale.unsqueeze(1)))


def _cells(job: _Job) -> tuple[Tensor, Tensor]:
    """Return labels and weights, (cells, columns), of a centre at every place with every reach.

    Row (place · (window + 1) + left) · (window + 1) + right belongs to a centre at ``place`` in its
    block that sees ``left`` words to its left and ``right`` to its right. Looking the rows up is
    faster than comparing distances anew for every centre.
    """
    reach = torch.arange(job.window + 1)
    place, left, right = (
        grid.reshape(-1, 1)
        for grid in torch.meshgrid(torch.arange(job.blocks.block), reach, reach, indexing="ij")
    )
    offset = torch.arange(job.blocks.block + 2 * job.window) - job.window - place
    labels = ((offset >= -left) & (offset <= right) & (offset != 0)).float()
    noise = (left + right) * (job.negatives / job.blocks.shared)
    return (
        F.pad(labels, (0, job.blocks.shared)),
        torch.cat([labels, noise.expand(-1, job.blocks.shared)], dim=1),
    )
