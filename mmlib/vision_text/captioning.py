"""Show and Tell: a picture becomes a sentence, word by word.

Chapter: notebooks/vision_text/05_captioning. Paper: O. Vinyals et al., "Show and Tell: A Neural
Image Caption Generator", CVPR 2015; its equations are cited as V15. The picture comes as a grid of
features from a frozen image encoder, (batch, features, rows, columns); captions are rows of word
numbers (``data.captions``). Different from the paper: a layer between the LSTM's output and the
softmax of V15 eq. 9, biases, and means over words instead of sums in V15 eq. 13.

``ShowAndTell`` is one ``Decoder``. Teacher forcing, the loss and all searches below work with any.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mmlib.data.captions import END, PAD, START
from mmlib.foundations.pretraining import pooled
from mmlib.shapes import check_floating, check_shape, check_whole

Picture = tuple[Tensor, ...]  # what comes from the picture and never changes
State = tuple[Tensor, ...]  # what changes from word to word


class Decoder(Protocol):
    """What writes a caption one word after the other; all tensors have the first axis ``batch``."""

    def start(self, pictures: Tensor) -> tuple[Picture, State]:
        """Take in pictures (batch, features, rows, columns)."""

    def step(self, words: Tensor, state: State, picture: Picture) -> tuple[Tensor, State]:
        """Take the last words (batch,); return logits (batch, vocab) of the next, the new state."""


class LSTMCell(nn.Module):
    """One step of a long short-term memory, V15 eq. 4 to 8, with the gates in torch's order.

    Args:
        inputs: length of x.
        hidden: number of units.
        squash: applied to the memory c before the gate o lets it out. Printed is m = o ⊙ c, without
            any; ``torch.tanh`` makes the cell that of torch and of most papers.
    """

    def __init__(
        self, inputs: int, hidden: int, *, squash: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        super().__init__()
        self.from_input = nn.Linear(inputs, 4 * hidden)  # W_ix, W_fx, W_cx, W_ox and biases
        self.from_output = nn.Linear(hidden, 4 * hidden, bias=False)  # W_im, W_fm, W_cm, W_om
        self.squash = squash or nn.Identity()

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the next output m and memory c, (batch, hidden) each, for x (batch, inputs)."""
        m, c = state
        i, f, g, o = (self.from_input(x) + self.from_output(m)).chunk(4, dim=-1)
        i, f, o = torch.sigmoid(i), torch.sigmoid(f), torch.sigmoid(o)  # V15 eq. 4, 5, 6
        c = f * c + i * torch.tanh(g)  # V15 eq. 7
        return o * self.squash(c), c  # V15 eq. 8


class ShowAndTell(nn.Module):
    """The picture is the LSTM's first input, as if it were a word (V15 section 3.1).

    Args:
        vocab: number of words, markers included.
        features: of a cell of the image encoder's grid.
        embedding: length of a word's vector, and of the picture's.
        hidden: units of the LSTM.
        dropout: share of the picture's vector and of m that is left out in training.
        squash: of the ``LSTMCell``.
    """

    def __init__(
        self,
        vocab: int,
        *,
        features: int = 128,
        embedding: int = 128,
        hidden: int = 256,
        dropout: float = 0.1,
        squash: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.features, self.hidden = features, hidden
        self.norm = nn.BatchNorm1d(2 * features)
        self.image = nn.Linear(2 * features, embedding)
        self.embed = nn.Embedding(vocab, embedding, padding_idx=PAD)
        self.cell = LSTMCell(embedding, hidden, squash=squash)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, vocab)

    def encode(self, pictures: Tensor) -> Tensor:
        """Return CNN(I), (batch, embedding): mean and maximum of the grid, through one layer.

        Raises:
            ValueError, TypeError: the shape or the type of the pictures is another.
        """
        check_shape(pictures, f"batch {self.features} rows columns", name="pictures")
        check_floating(pictures, name="pictures")
        return self.image(self.dropout(self.norm(pooled(pictures))))

    def start(self, pictures: Tensor) -> tuple[Picture, State]:
        """Show the LSTM the pictures; see ``Decoder``."""
        x = self.encode(pictures)  # V15 eq. 10
        nothing = x.new_zeros(len(x), self.hidden)
        return (), self.cell(x, (nothing, nothing))

    def step(self, words: Tensor, state: State, picture: Picture = ()) -> tuple[Tensor, State]:
        """Read the last words, expect the next; see ``Decoder``."""
        x = self.embed(words)  # V15 eq. 11
        m, c = self.cell(x, state)  # V15 eq. 12
        return self.output(self.dropout(m)), (m, c)


class PictureInMemory(ShowAndTell):
    """A variation: the picture sets m and c outright and need not pass the gates."""

    def __init__(self, vocab: int, **options) -> None:
        super().__init__(vocab, **options)
        self.image = nn.Linear(2 * self.features, 2 * self.hidden)

    def start(self, pictures: Tensor) -> tuple[Picture, State]:
        """Show the LSTM the pictures; see ``Decoder``."""
        return (), torch.tanh(self.encode(pictures)).chunk(2, dim=1)


class PictureAtEveryStep(ShowAndTell):
    """A variation that the paper found worse: each word's vector comes with the picture's."""

    def __init__(self, vocab: int, **options) -> None:
        super().__init__(vocab, **options)
        embedding = self.embed.embedding_dim
        self.cell = LSTMCell(2 * embedding, self.hidden, squash=self.cell.squash)

    def start(self, pictures: Tensor) -> tuple[Picture, State]:
        """Keep the picture for each step; see ``Decoder``."""
        x = self.encode(pictures)
        nothing = x.new_zeros(len(x), self.hidden)
        return (x,), (nothing, nothing)

    def step(self, words: Tensor, state: State, picture: Picture) -> tuple[Tensor, State]:
        """Read the last words and the picture; see ``Decoder``."""
        m, c = self.cell(torch.cat([self.embed(words), *picture], dim=1), state)
        return self.output(self.dropout(m)), (m, c)


def teacher_forcing(decoder: Decoder, pictures: Tensor, captions: Tensor) -> Tensor:
    """Return the logits of every next word, the true words before it given.

    Args:
        pictures: (batch, features, rows, columns).
        captions: (batch, time), each from ``START`` on.

    Returns:
        (batch, time - 1, vocab): at position t the logits of word t + 1.

    Raises:
        ValueError: there are not as many captions as pictures, or they do not begin with START.
    """
    check_shape(captions, f"{len(pictures)} time", name="captions")
    if captions.is_floating_point() or captions.shape[1] < 2 or (captions[:, 0] != START).any():
        raise ValueError(
            f"captions have dtype {captions.dtype} and shape {tuple(captions.shape)}; they must be "
            "whole numbers, each row from START on: make them with encode_captions"
        )
    picture, state = decoder.start(pictures)
    logits = []
    for words in captions[:, :-1].unbind(dim=1):
        of_next, state = decoder.step(words, state, picture)
        logits.append(of_next)
    return torch.stack(logits, dim=1)


def caption_loss(decoder: Decoder, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return -log p of the true next word, V15 eq. 13, averaged over all words but padding.

    Args:
        batch: pictures (batch, features, rows, columns) and captions (batch, time).
    """
    pictures, captions = batch
    logits = teacher_forcing(decoder, pictures, captions)  # (batch, time - 1, vocab)
    return cross_entropy(logits.flatten(0, 1), captions[:, 1:].flatten(), ignore_index=PAD)


class Generated(NamedTuple):
    """Sentences that a decoder has found."""

    words: Tensor  # (batch, time) int64: the words, END, then PAD
    log_probability: Tensor  # (batch,) of all words but those it was given, END included


def next_word_log_probability(logits: Tensor, *, must_end: bool = False) -> Tensor:
    """Return log p (batch, vocab) of what may come next: a word or END; never PAD or START.

    With ``must_end`` only END may; it keeps its probability.

    Raises:
        ValueError: the logits hold NaN, which no search can compare.
    """
    forbidden = torch.zeros(logits.shape[-1], dtype=torch.bool, device=logits.device)
    forbidden[[PAD, START]] = True
    log_p = logits.masked_fill(forbidden, -torch.inf).log_softmax(dim=-1)
    if log_p.isnan().any():
        raise ValueError(
            "the decoder's logits hold NaN or an infinity: its training has diverged, train it "
            "anew with a lower learning rate"
        )
    if must_end:
        forbidden[:] = True
        forbidden[END] = False
        log_p = log_p.masked_fill(forbidden, -torch.inf)
    return log_p


def greedy(
    decoder: Decoder, pictures: Tensor, *, longest: int = 20, begin: Tensor | None = None
) -> Generated:
    """Take the most probable word, again and again; arguments and errors as in ``write``."""
    return write(decoder, pictures, lambda p: p.argmax(dim=1), longest=longest, begin=begin)


def sample(
    decoder: Decoder,
    pictures: Tensor,
    *,
    generator: torch.Generator,
    temperature: float = 1.0,
    longest: int = 20,
    begin: Tensor | None = None,
) -> Generated:
    """Draw each word from p^(1 / temperature), rescaled; below 1 it favours the likely words.

    Other arguments and errors as in ``write``.

    Raises:
        ValueError: ``temperature`` is not positive and finite.
    """
    if not 0 < temperature < torch.inf:
        raise ValueError(
            f"temperature is {temperature}, it must be above 0 and finite; greedy is its limit"
        )

    def draw(log_p: Tensor) -> Tensor:
        return torch.multinomial((log_p / temperature).softmax(1), 1, generator=generator)[:, 0]

    return write(decoder, pictures, draw, longest=longest, begin=begin)


@torch.no_grad()
def write(
    decoder: Decoder,
    pictures: Tensor,
    choose: Callable[[Tensor], Tensor],
    *,
    longest: int,
    begin: Tensor | None = None,
) -> Generated:
    """Let ``choose`` pick each next word from log-probabilities (batch, vocab), until all ended.

    Args:
        longest: words that a sentence gets at most, those of ``begin`` not counted; then it ends.
        begin: (words,) or (batch, words), with what the sentences begin: they are only finished.

    Raises:
        ValueError: ``longest`` is below 1, ``begin`` holds a marker, or logits hold NaN.
    """
    check_whole(longest, name="longest")
    picture, state, words = _begin(decoder, pictures, begin)
    total, ended = pictures.new_zeros(len(pictures)), torch.zeros_like(words[:, 0], dtype=bool)
    for position in range(longest + 1):
        logits, state = decoder.step(words[:, -1], state, picture)
        log_p = next_word_log_probability(logits, must_end=position == longest)
        chosen = choose(log_p)
        total += log_p.gather(1, chosen[:, None])[:, 0].masked_fill(ended, 0)
        words = torch.cat([words, chosen.masked_fill(ended, PAD)[:, None]], dim=1)
        ended = ended | (chosen == END)
        if ended.all():
            break
    return Generated(words[:, 1:], total)


@torch.no_grad()
def beam_search(
    decoder: Decoder,
    pictures: Tensor,
    *,
    beam: int = 3,
    longest: int = 20,
    begin: Tensor | None = None,
) -> Generated:
    """Keep the ``beam`` most probable beginnings of a sentence, word by word; return the best.

    A finished sentence stays in the beam with its probability, and competes with what the others
    become (V15 section 3.1, "Inference").

    Args:
        beam: beginnings kept a picture; 1 is greedy.
        longest, begin: as in ``write``.

    Raises:
        ValueError: ``beam`` is below 1, or as in ``write``.
    """
    check_whole(longest, name="longest")
    batch, beam = len(pictures), check_whole(beam, name="beam")
    picture, state, words = _begin(decoder, pictures, begin)
    rows = torch.arange(batch, device=words.device).repeat_interleave(beam)
    picture, state, words = _take(picture, rows), _take(state, rows), words[rows]
    total = pictures.new_full((batch, beam), -torch.inf)  # log p of each sentence so far
    total[:, 0] = 0  # all places of a beam are alike at first: one is enough
    for position in range(longest + 1):
        logits, state = decoder.step(words[:, -1], state, picture)
        log_p = next_word_log_probability(logits, must_end=position == longest)
        ended = ((words == END) | (words == PAD)).any(dim=1)
        log_p[ended] = -torch.inf
        log_p[ended, PAD] = 0  # the one continuation of a finished sentence, at no cost
        every = total[:, :, None] + log_p.unflatten(0, (batch, beam))  # (batch, beam, vocab)
        total, chosen = every.flatten(1).topk(beam)  # beginnings and words compete together
        parent, word = chosen // log_p.shape[1], chosen % log_p.shape[1]
        rows = (torch.arange(batch, device=words.device)[:, None] * beam + parent).flatten()
        state, words = _take(state, rows), torch.cat([words[rows], word.view(-1, 1)], dim=1)
        if ((words == END).any(dim=1) | total.flatten().isinf()).all():
            break
    return Generated(words.unflatten(0, (batch, beam))[:, 0, 1:], total[:, 0])


def _take(parts: tuple[Tensor, ...], rows: Tensor) -> tuple[Tensor, ...]:
    return tuple(part[rows] for part in parts)


def _begin(
    decoder: Decoder, pictures: Tensor, begin: Tensor | None
) -> tuple[Picture, State, Tensor]:
    """Read the pictures and all but the last of START and ``begin``; return those words, too."""
    picture, state = decoder.start(pictures)
    words = torch.full((len(pictures), 1), START, device=pictures.device)
    if begin is not None:
        begin = begin.expand(len(pictures), -1)
        if begin.is_floating_point() or begin.min() <= END:
            raise ValueError(f"begin is {begin.tolist()}: give numbers of words, no markers")
        words = torch.cat([words, begin], dim=1)
    for read in words[:, :-1].unbind(dim=1):
        _, state = decoder.step(read, state, picture)
    return picture, state, words


def consensus_captions(
    sentences: Sequence[Sequence[str]], candidates: Sequence[Sequence[int]], *, closest: int = 5
) -> list[Sequence[str]]:
    """Return for each picture the candidate that the other candidates are most like.

    The baseline of J. Devlin et al., "Exploring Nearest Neighbor Approaches for Image Captioning",
    2015: candidates are the captions of the nearest training pictures. Likeness is CIDEr, the
    cosine of two sentences' n-grams weighted by tf-idf, averaged over n = 1 to 4.

    Args:
        sentences: all captions of the training pictures, lists of words.
        candidates: for each picture which of them to choose from, one or more.
        closest: how many of the others count, those that are most like it.
    """

    def ngrams(n: int) -> Callable:
        return lambda words: list(zip(*(words[start:] for start in range(n)), strict=False))

    orders = range(1, 1 + min(4, max(map(len, sentences))))
    each = [TfidfVectorizer(analyzer=ngrams(n)).fit_transform(sentences) for n in orders]
    vectors = hstack(each).tocsr()  # a product of two rows is the sum of their cosines
    chosen = []
    for rows in candidates:
        alike = (vectors[rows] @ vectors[rows].T).toarray()
        np.fill_diagonal(alike, 0)
        support = np.sort(alike, axis=1)[:, -closest:].sum(axis=1)
        chosen.append(sentences[rows[support.argmax()]])
    return chosen
