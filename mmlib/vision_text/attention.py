"""Show, attend and tell: before each word the decoder attends to the picture again.

Chapter: notebooks/vision_text/06_attention. Paper: K. Xu et al., "Show, Attend and Tell: Neural
Image Caption Generation with Visual Attention", ICML 2015; its equations are cited as X15. The
scores are those of Bahdanau et al., ICLR 2015.

The picture is a grid of features from a frozen image encoder, (batch, features, rows, columns); the
vectors of its cells are the *annotations*, (batch, cells, features). Before each word a softmax
over the cells gives the *attention weights* α, (batch, cells). The *context vector* is the sum of
the annotations weighted by α (soft attention), or the annotation of one cell, drawn with the
probabilities α (hard attention).

Different from the paper: annotations are standardised and the encoder is small and stays frozen; no
dropout; the loss is divided by the number of words. Two additions that are not in the paper stand
together below: ``add_coordinates`` and ``LastWordDecoder``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mmlib.data.captions import PAD, START
from mmlib.data.vocabulary import Vocabulary
from mmlib.metrics import peak_in
from mmlib.shapes import check_floating, check_shape
from mmlib.vision_text.captioning import Picture, State

WEIGHTS = Path(__file__).parent / "weights" / "soft_attention.safetensors"
Selection = Callable[[Tensor], Tensor]  # α (batch, cells) → the weights that are used, same shape


def additive_scores(keys: Tensor, query: Tensor, w: Tensor) -> Tensor:
    """Return the score of every cell, e_i = w · tanh(key_i + query) (X15 eq. 4).

    Args:
        keys: (batch, cells, attention), what each annotation offers.
        query: (batch, attention), what the decoder looks for.
        w: (attention,).

    Returns:
        (batch, cells).

    Raises:
        ValueError: the shapes do not fit.
    """
    sizes = check_shape(keys, "batch cells attention", name="keys")
    check_shape(query, f"{sizes['batch']} {sizes['attention']}", name="query")
    check_shape(w, str(sizes["attention"]), name="w")
    return torch.tanh(keys + query[:, None]) @ w


def context_vector(annotations: Tensor, weights: Tensor) -> Tensor:
    """Return Σ_i α_i a_i, (batch, features) (X15 eq. 13; with a single weight of 1, eq. 9).

    Args:
        annotations: (batch, cells, features).
        weights: (batch, cells), α.

    Raises:
        ValueError: the shapes do not fit.
    """
    sizes = check_shape(annotations, "batch cells features", name="annotations")
    check_shape(weights, f"{sizes['batch']} {sizes['cells']}", name="weights")
    return (weights[:, None] @ annotations)[:, 0]


@dataclass(frozen=True)
class AttentionConfig:
    """The sizes of an ``AttentionDecoder``."""

    vocab: int  # K, words it can write, markers included
    features: int = 128  # D, of an annotation
    embedding: int = 128  # m, of a word
    hidden: int = 256  # n, units of the LSTM
    attention: int = 128  # hidden units of the network that gives scores


class Unrolled(NamedTuple):
    """What came out of teacher forcing; ``time`` counts the words to be guessed."""

    logits: Tensor  # (batch, time, vocab)
    weights: Tensor  # (batch, time, cells), α
    selected: Tensor  # (batch, time, cells), the weights that were used


class AttentionDecoder(nn.Module):
    """A ``captioning.Decoder`` that attends to the annotations before each word (X15 section 3).

    Its state is h and c of the LSTM, the last α, and the weights that were used.

    Args:
        select: φ of X15 eq. 6, as the weights that it gives the annotations. None uses α itself,
            which is soft attention; ``sample_cell(generator)`` is hard attention.
    """

    def __init__(self, config: AttentionConfig, *, select: Selection | None = None) -> None:
        super().__init__()
        self.config, self.select = config, select
        features, embedding, hidden = config.features, config.embedding, config.hidden
        self.norm = nn.BatchNorm1d(features, affine=False)  # each feature: mean 0, variance 1
        self.initial_h = nn.Linear(features, hidden)  # f_init,h
        self.initial_c = nn.Linear(features, hidden)  # f_init,c
        self.embed = nn.Embedding(config.vocab, embedding, padding_idx=PAD)  # E
        self.key = nn.Linear(features, config.attention)
        self.query = nn.Linear(hidden, config.attention, bias=False)
        self.score = nn.Linear(config.attention, 1, bias=False)  # w
        self.gate = nn.Linear(hidden, 1)  # f_β
        self.lstm = nn.LSTMCell(embedding + features, hidden)
        self.from_h = nn.Linear(hidden, embedding, bias=False)  # L_h
        self.from_z = nn.Linear(features, embedding, bias=False)  # L_z
        self.output = nn.Linear(embedding, config.vocab)  # L_o

    def start(self, pictures: Tensor) -> tuple[Picture, State]:
        """Take in pictures (batch, features, rows, columns): annotations and keys, first state.

        Raises:
            ValueError, TypeError: the shape or the type of the pictures is another.
        """
        check_shape(pictures, f"batch {self.config.features} rows columns", name="pictures")
        check_floating(pictures, name="pictures")
        annotations = self.norm(pictures.flatten(2)).mT  # (batch, cells, features)
        mean = annotations.mean(dim=1)
        h, c = torch.tanh(self.initial_h(mean)), torch.tanh(self.initial_c(mean))
        nothing = annotations.new_zeros(annotations.shape[:2])  # no weights yet
        return (annotations, self.key(annotations)), (h, c, nothing, nothing)

    def step(self, words: Tensor, state: State, picture: Picture) -> tuple[Tensor, State]:
        """Take the last words (batch,); return logits (batch, vocab) of the next, the new state."""
        (h, c, *_), (annotations, keys) = state, picture
        y = self.embed(words)  # E y_{t-1}
        scores = additive_scores(keys, self.make_query(h, y), self.score.weight[0])  # X15 eq. 4
        alpha = scores.softmax(dim=1)  # X15 eq. 5
        selected = alpha if self.select is None else self.select(alpha)
        beta = torch.sigmoid(self.gate(h))
        z = beta * context_vector(annotations, selected)  # X15 eq. 13 with the gate β
        h, c = self.lstm(torch.cat([y, z], dim=1), (h, c))  # X15 eq. 1 to 3
        logits = self.output(y + self.from_h(h) + self.from_z(z))  # X15 eq. 7
        return logits, (h, c, alpha, selected)

    def make_query(self, h: Tensor, y: Tensor) -> Tensor:
        """Return what the keys are compared with, (batch, attention): in the paper h alone asks."""
        return self.query(h)

    def unroll(self, pictures: Tensor, captions: Tensor) -> Unrolled:
        """Go through whole captions with ``teacher_forcing``, and keep the weights as well."""
        check_shape(captions, f"{len(pictures)} time", name="captions")
        picture, state = self.start(pictures)
        steps = []
        for words in captions[:, :-1].unbind(dim=1):
            logits, state = self.step(words, state, picture)
            steps.append((logits, *state[2:]))
        return Unrolled(*(torch.stack(each, dim=1) for each in zip(*steps, strict=True)))


def log_likelihood(logits: Tensor, targets: Tensor) -> Tensor:
    """Return log p of each caption, (batch,); ``PAD`` counts nothing.

    Args:
        logits: (batch, time, vocab).
        targets: (batch, time), the words.
    """
    each = cross_entropy(logits.mT, targets, ignore_index=PAD, reduction="none")  # (batch, time)
    return -each.sum(dim=1)


def doubly_stochastic(weights: Tensor) -> Tensor:
    """Return Σ_i (1 - Σ_t α_ti)², (batch,): each cell should get attention of about 1 in all.

    Args:
        weights: (batch, time, cells), α, and 0 where there is no word.
    """
    check_shape(weights, "batch time cells", name="weights")
    return (1 - weights.sum(dim=1)).square().sum(dim=1)


def attention_loss(
    decoder: AttentionDecoder, batch: tuple[Tensor, Tensor], *, balance: float = 1.0
) -> Tensor:
    """Return -log p(y | a) + λ Σ_i (1 - Σ_t α_ti)² (X15 eq. 14), divided by the number of words.

    Args:
        batch: pictures (batch, features, rows, columns) and captions (batch, time).
        balance: λ.
    """
    pictures, captions = batch
    unrolled, targets = decoder.unroll(pictures, captions), captions[:, 1:]
    real = targets != PAD
    term = doubly_stochastic(unrolled.weights * real[:, :, None])
    return (balance * term - log_likelihood(unrolled.logits, targets)).sum() / real.sum()


def sample_cell(generator: torch.Generator, *, expected: float = 0.0) -> Selection:
    """Return a selection that draws one cell with the probabilities α (X15 eq. 8 and 9).

    Args:
        generator: draws.
        expected: probability for each picture that α itself, what is expected of a draw, is used
            instead: in the paper 0.5 while training, for less noise (X15 section 4.1).
    """

    def select(weights: Tensor) -> Tensor:
        p = weights.detach().to(generator.device)  # while ``fit`` trains, weights may be on a GPU
        cell = torch.multinomial(p, 1, generator=generator)
        drawn = torch.zeros_like(p).scatter(1, cell, 1.0).to(weights.device)
        soft = torch.rand(len(p), 1, generator=generator, device=p.device) < expected
        return torch.where(soft.to(weights.device), weights, drawn)

    return select


def argmax_cell(weights: Tensor) -> Tensor:
    """Use the cell with the largest weight and nothing else."""
    return torch.zeros_like(weights).scatter(1, weights.argmax(dim=1, keepdim=True), 1.0)


class HardLoss:
    """The loss of hard attention: its gradient is estimated by REINFORCE (X15 section 4.1).

    The cells s that were drawn have the probability p(s) = Π_t α_t[s_t]. The mean of log p(y | s)
    over all draws is a lower bound of log p(y) (X15 eq. 10). Its gradient is the mean of
    ∇ log p(y | s) + (log p(y | s) - b) ∇ log p(s) (X15 eq. 11), whatever number b is. The decoder
    must ``sample_cell``.

    Args:
        reward: λ_r, a factor on the second part.
        entropy: λ_e, a weight of the entropy of α, which keeps α from settling too early.
        baseline: b at first. After each batch b ← 0.9 b + 0.1 log p(y | s).
    """

    def __init__(self, *, reward: float = 1.0, entropy: float = 0.0, baseline: float = 0.0) -> None:
        self.reward, self.entropy, self.baseline = reward, entropy, baseline

    def __call__(self, decoder: AttentionDecoder, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return a number with the negative of that gradient, divided by the number of words."""
        pictures, captions = batch
        unrolled, targets = decoder.unroll(pictures, captions), captions[:, 1:]
        real = targets != PAD
        bound = log_likelihood(unrolled.logits, targets)  # (batch,), log p(y | s)
        log_alpha = unrolled.weights.clamp(min=1e-20).log()
        log_drawn = (unrolled.selected.detach() * log_alpha).sum(dim=2)  # (batch, time)
        log_drawn = (log_drawn * real).sum(dim=1)  # (batch,), log p(s)
        spread = torch.special.entr(unrolled.weights).sum(dim=2)  # (batch, time), H
        surplus = bound.detach() - self.baseline
        gain = bound + self.reward * surplus * log_drawn
        gain = gain + self.entropy * (spread * real).sum(dim=1)
        self.baseline = 0.9 * self.baseline + 0.1 * float(bound.detach().mean())
        return -gain.sum() / real.sum()


def add_coordinates(grids: Tensor) -> Tensor:
    """Append to each cell where its middle lies: x and y, from -1 to 1 over the picture.

    Not in the paper: a weighted sum of annotations forgets where they were.

    Args:
        grids: (batch, features, rows, columns).

    Returns:
        (batch, features + 2, rows, columns).
    """
    check_shape(grids, "batch features rows columns", name="grids")
    axes = [(2 * torch.arange(n) + 1) / n - 1 for n in grids.shape[2:]]  # (rows,), (columns,)
    y, x = torch.meshgrid(*axes, indexing="ij")
    place = torch.stack([x, y]).to(grids).expand(len(grids), -1, -1, -1)
    return torch.cat([grids, place], dim=1)


class LastWordDecoder(AttentionDecoder):
    """The query knows the last word, too. Not in the paper: there h_{t-1} has read y_{t-2} last."""

    def __init__(self, config: AttentionConfig, *, select: Selection | None = None) -> None:
        super().__init__(config, select=select)
        self.word_query = nn.Linear(config.embedding, config.attention, bias=False)

    def make_query(self, h: Tensor, y: Tensor) -> Tensor:
        """Return what the keys are compared with, (batch, attention)."""
        return self.query(h) + self.word_query(y)


@torch.no_grad()
def attention_maps(decoder: AttentionDecoder, pictures: Tensor, words: Tensor) -> Tensor:
    """Return where the decoder attended for each of ``words``, such as those of ``greedy``.

    Args:
        words: (batch, time), without ``START``.

    Returns:
        (batch, time, rows, columns), each map summing to one; beyond ``END`` they mean nothing.
    """
    captions = torch.cat([torch.full_like(words[:, :1], START), words], dim=1)
    weights = decoder.unroll(pictures, captions).weights
    return weights.unflatten(2, pictures.shape[2:])


def points_at(maps: Tensor, seen: Tensor) -> Tensor:
    """Say of each map whether its peak lies on a pixel of a mask.

    Each cell's weight is spread over the picture by a Gaussian bell one cell wide around the cell's
    middle, as Xu et al. (ICML 2015) draw attention: upsampling and a Gaussian filter. So the peak
    of a map that weighs two neighbouring cells alike lies between them.

    Args:
        maps: (items, rows, columns).
        seen: bool (items, size, size), such as the mask of the object that a word names, or the
            masks of all objects that it may name, together.

    Returns:
        bool (items,).

    Raises:
        TypeError, ValueError: ``seen`` is not boolean, or the shapes do not fit.
    """
    sizes = check_shape(maps, "items rows columns", name="maps")
    size = check_shape(seen, f"{sizes['items']} size size", name="seen")["size"]
    if seen.dtype != torch.bool:
        raise TypeError(f"seen has dtype {seen.dtype}, it must be torch.bool: compare it first")
    bells = []
    for count in (sizes["rows"], sizes["columns"]):
        middles = (torch.arange(count) + 0.5) * size / count
        away = (torch.arange(size)[:, None] + 0.5 - middles) * count / size  # in cells
        bells.append(torch.exp(-(away**2) / 2).to(maps))  # (size, count)
    landscape = bells[0] @ maps @ bells[1].T  # (items, size, size)
    return peak_in(landscape, seen)


def load_shipped() -> tuple[AttentionDecoder, Vocabulary, float]:
    """Return a soft decoder trained for longer than on its page, its words, minutes of training.

    Raises:
        FileNotFoundError: the weights are not there; the error says how to make them.
    """
    if not WEIGHTS.is_file():
        raise FileNotFoundError(f"{WEIGHTS} is not there: make weights trains it")
    with safe_open(WEIGHTS, framework="pt") as file:
        facts = file.metadata()
    words = tuple(facts["words"].split())
    decoder = AttentionDecoder(AttentionConfig(len(words)))
    decoder.load_state_dict(load_file(WEIGHTS))
    vocabulary = Vocabulary(words, (1,) * len(words))  # how often they occurred is not kept
    return decoder.eval(), vocabulary, float(facts["minutes"])
