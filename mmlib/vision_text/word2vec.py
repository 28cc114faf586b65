"""Word2vec: learn a vector for each word by guessing its neighbours (skip-gram).

Chapter: notebooks/vision_text/01_word2vec. Sources: Mikolov et al., "Efficient Estimation of Word
Representations in Vector Space", 2013 (skip-gram), and "Distributed Representations of Words and
Phrases and their Compositionality", 2013 (negative sampling, subsampling); cited below as M13.

There are two tables, both (vocab, dim): ``centres`` (W, the vectors that are kept) holds a word as
the one that guesses, ``contexts`` (W′) holds it as the one that is guessed. Different from the
authors' program: the pairs of an epoch are shuffled, and a batch of them is added up before the
tables move. ``train_in_blocks`` gives the work to ``mmlib.fast.skipgram``.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mmlib import metrics
from mmlib.data.corpora import WordPair
from mmlib.data.vocabulary import Vocabulary, word_lists
from mmlib.data.word_vectors import WordVectors
from mmlib.fast import skipgram
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
        centre_ids: (pairs,), or (pairs, words) for CBOW: the mean of these rows of W stands for
            the centre; −1 fills up where there are fewer words.
        context_ids: (pairs,), the rows of W′ of the true pairs.
        negative_ids: (pairs, negatives), rows of W′ drawn as noise.
    """
    rows, _ = _input_rows(centres, centre_ids)  # (pairs, dim)
    true = (contexts[context_ids] * rows).sum(1)  # (pairs,)
    noise = (contexts[negative_ids] @ rows.unsqueeze(2)).squeeze(2)  # (pairs, negatives)
    return -(F.logsigmoid(true) + F.logsigmoid(-noise).sum(1)).mean()


def negative_sampling_gradients(
    centres: Tensor, contexts: Tensor, centre_ids: Tensor, context_ids: Tensor, negative_ids: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``negative_sampling_loss`` for W and W′, each (vocab, dim), by hand.

    The error is σ(score) − label again, but only for 1 + negatives rows of W′, not for all.
    """
    ids = torch.cat([context_ids.unsqueeze(1), negative_ids], dim=1)  # (pairs, 1 + negatives)
    rows, shares = _input_rows(centres, centre_ids)  # (pairs, dim), (pairs, words)
    columns = contexts[ids]  # (pairs, 1 + negatives, dim)
    error = torch.sigmoid(columns @ rows.unsqueeze(2))  # (pairs, 1 + negatives, 1)
    error[:, 0] -= 1
    error /= len(centre_ids)
    row_gradient = shares.unsqueeze(2) * (error * columns).sum(1, keepdim=True)
    column_gradient = error * rows.unsqueeze(1)  # (pairs, 1 + negatives, dim)
    return (
        torch.zeros_like(centres).index_add_(
            0, centre_ids.clamp(min=0).flatten(), row_gradient.flatten(0, 1)
        ),
        torch.zeros_like(contexts).index_add_(0, ids.flatten(), column_gradient.flatten(0, 1)),
    )


def _input_rows(centres: Tensor, centre_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return what guesses, (pairs, dim), and each word's share in it, (pairs, words)."""
    ids = centre_ids.view(len(centre_ids), -1)  # (pairs, words); one word in skip-gram
    shares = (ids >= 0).to(centres)
    shares = shares / shares.sum(1, keepdim=True)
    return (shares.unsqueeze(1) @ centres[ids.clamp(min=0)]).squeeze(1), shares


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
    """What training needs to know; the defaults are gensim's where gensim has the setting."""

    dim: int = 100  # length of a vector
    window: int = 5  # contexts lie at most this far away; each centre draws its own reach, 1…window
    negatives: int = 5  # noise words for each true pair
    epochs: int = 5  # times through the text
    learning_rate: float = 0.025  # falls in a straight line to almost 0
    min_count: int = 5  # rarer words are left out
    subsample: float = 1e-3  # frequent words are thinned out above this share; 0 keeps all
    batch: int = 128  # pairs whose gradients are added up before the tables move

    def __post_init__(self) -> None:
        for name in ("dim", "window", "negatives", "epochs", "min_count", "batch"):
            object.__setattr__(self, name, check_whole(getattr(self, name), name=name))
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is {self.learning_rate!r}, it must be above 0")
        if not self.subsample >= 0:
            raise ValueError(f"subsample is {self.subsample!r}, it must be 0 (off) or more")


class Text(NamedTuple):
    """A text as training needs it."""

    vocabulary: Vocabulary
    tokens: Tensor  # (tokens,), numbers of words; unknown words are gone
    sentence: Tensor  # (tokens,), which sentence each stands in
    keep: Tensor  # (vocab,), the chance that an occurrence is kept
    noise: Tensor  # (vocab,), the chance to be drawn as a negative


def read(sentences: Iterable[Iterable[str]], config: Word2VecConfig) -> Text:
    """Return ``sentences``, lists of words, as numbers; most frequent words first.

    Raises:
        TypeError: a sentence is one string, or a word is not a string.
        ValueError: fewer than two words stand at least ``config.min_count`` times, or no sentence
            holds two of them, so that there is no pair to learn from.
    """
    sentences = word_lists(sentences)
    vocabulary = Vocabulary.from_sentences(sentences, min_count=config.min_count)
    if len(vocabulary) < 2:
        raise ValueError("only one word is frequent enough: lower min_count, or give more text")
    tokens, starts = vocabulary.encode_known(sentences)
    if starts.diff().max() < 2:
        raise ValueError(
            f"no sentence has two known words, so there is no pair to learn from: lower min_count "
            f"({config.min_count}), or give longer sentences"
        )
    counts = torch.tensor(vocabulary.counts)
    keep = keep_probability(counts, threshold=config.subsample).float()
    sentence = torch.repeat_interleave(starts.diff())
    return Text(vocabulary, tokens, sentence, keep, noise_distribution(counts).float())


def draw_windows(text: Text, config: Word2VecConfig, *, generator: torch.Generator) -> Tensor:
    """Thin out frequent words, draw each centre's reach, and return all windows of one epoch.

    Returns:
        (centres, 1 + 2 · window): the centre, then its contexts, −1 where there is none.
    """
    kept = torch.rand(len(text.tokens), generator=generator) < text.keep[text.tokens]
    tokens, sentence = text.tokens[kept], text.sentence[kept]
    reach = torch.randint(1, config.window + 1, (len(tokens),), generator=generator)
    columns = [tokens]
    for away in range(1, config.window + 1):
        for step in (away, -away):
            inside = (sentence == sentence.roll(step)) & (reach >= away)
            edge = slice(0, away) if step > 0 else slice(-away, None)
            inside[edge] = False  # the text is no ring
            columns.append(torch.where(inside, tokens.roll(step), -1))
    return torch.stack(columns, dim=1)


def train(
    sentences: Iterable[Iterable[str]],
    config: Word2VecConfig,
    *,
    generator: torch.Generator,
    cbow: bool = False,
    report: Callable[[float, float], None] | None = None,
) -> WordVectors:
    """Train word vectors with negative sampling: skip-gram, or CBOW (M13 §2.2 and its forerunner).

    Args:
        sentences: lists of words; no pair reaches from one sentence into the next.
        generator: on the CPU; the same seed gives the same vectors on the same machine.
        cbow: the mean of the contexts guesses the centre, instead of the centre each context.
        report: called after each epoch with (epochs done, mean loss of a pair).

    Raises:
        TypeError, ValueError: as ``read``.
        FloatingPointError: training diverged.
    """
    text = read(sentences, config)
    W = (torch.rand(len(text.keep), config.dim, generator=generator) - 0.5) / config.dim
    W_prime = torch.zeros_like(W)
    for epoch in range(config.epochs):
        windows = draw_windows(text, config, generator=generator)
        inputs, targets = _cbow_pairs(windows) if cbow else _skip_gram_pairs(windows)
        order, losses = torch.randperm(len(inputs), generator=generator), []
        for number, rows in enumerate(order.split(config.batch)):
            noise = torch.multinomial(
                text.noise, len(rows) * config.negatives, replacement=True, generator=generator
            ).view(len(rows), -1)
            pairs = W, W_prime, inputs[rows], targets[rows], noise
            if report:
                losses.append(negative_sampling_loss(*pairs))
            done = (epoch + number * config.batch / len(inputs)) / config.epochs
            rate = config.learning_rate * (1 - done) * len(rows)  # a pair's own step, added up
            gradient, gradient_prime = negative_sampling_gradients(*pairs)
            W -= rate * gradient
            W_prime -= rate * gradient_prime
        if report and losses:
            report(epoch + 1, float(torch.stack(losses).mean()))
    if not W.isfinite().all():
        raise FloatingPointError(
            f"training diverged: lower learning_rate ({config.learning_rate}) or batch "
            f"({config.batch})"
        )
    return WordVectors(text.vocabulary.words, W)


def _skip_gram_pairs(windows: Tensor) -> tuple[Tensor, Tensor]:
    """Return inputs and targets, each (pairs,): every centre with each of its contexts."""
    row, column = (windows[:, 1:] >= 0).nonzero(as_tuple=True)
    return windows[row, 0], windows[row, column + 1]


def _cbow_pairs(windows: Tensor) -> tuple[Tensor, Tensor]:
    """Return inputs (pairs, 2 · window), the contexts, and targets (pairs,), the centres."""
    windows = windows[(windows[:, 1:] >= 0).any(dim=1)]
    return windows[:, 1:], windows[:, 0]


def train_in_blocks(
    sentences: Iterable[Iterable[str]],
    config: Word2VecConfig,
    *,
    generator: torch.Generator,
    blocks: skipgram.BlockConfig | None = None,
    progress: bool = False,
) -> WordVectors:
    """Train skip-gram vectors as ``train`` does, sooner: by ``mmlib.fast.skipgram``.

    Args:
        sentences, config: as in ``train``; ``config.batch`` is not used.
        generator: on the CPU. With one thread the same seed gives the same vectors.
        blocks: how the work is cut; ``None`` takes the defaults.
        progress: show a bar.

    Raises:
        TypeError, ValueError, FloatingPointError: as ``train``.
    """
    text = read(sentences, config)
    W, _ = skipgram.train_tables(
        text.tokens,
        text.sentence,
        text.keep,
        text.noise,
        dim=config.dim,
        window=config.window,
        negatives=config.negatives,
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        blocks=blocks or skipgram.BlockConfig(),
        generator=generator,
        progress=progress,
    )
    return WordVectors(text.vocabulary.words, W)
