"""Show, attend and tell: a caption written word by word, attending to the picture before each.

Book: ``notebooks/vision_text/06_attention``. Source: Xu et al., "Show, Attend and Tell: Neural
Image Caption Generation with Visual Attention", ICML 2015; equations cited as X15. The scores come
from a small network of two layers, as in Bahdanau et al., ICLR 2015.

The picture is a grid of features, one vector a cell (its *annotation*). Before each word the
decoder gives every cell a weight, all of one picture summing to one: its *attention map*. The
*context vector* is the weighted sum of the annotations. That is soft attention, and everything in
it has a derivative. Hard attention draws one cell from the map instead, and needs REINFORCE.

Six things are not in the paper; each can be switched off. A sum over cells forgets where they
lie, so each annotation also holds its cell's *coordinates*. A softmax weighs and does not count, so
it also holds the *feature norm* of the cell and the *self-similarity* of the picture there, how
like the cell is to the one most like it elsewhere. The *position history*, the coordinates of the
last context vectors, has a short way to the next word, through one hidden layer: *left of* is the
sign of a difference of two of them, *behind* needs a difference that is small, and through the LSTM
both are learned far too slowly. With *coverage* the decoder can attend less, or more, to what it
has spoken of already; what that is, each word settles by Bayes' rule: before *a blue* it may have
attended to a dog and a bell that are both blue, and *dog* leaves the dog. And in X15 (eq. 1 and 4)
the query of word t knows the state h_{t-1}, which has read the words up to t - 2 only: here it also
knows word t - 1, the *last-word query*.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmlib.data.captions import PAD, START
from mmlib.shapes import check_floating, check_shape, check_whole
from mmlib.vision_text.captioning import Picture

SHARP = 3.0  # on the learned weights of the scores, so that maps grow sharp sooner
Selection = Callable[[Tensor], Tensor]  # maps → how much each cell is used
CONSTANT = slice(2, 5)  # the parts of a State that come from the picture and never change


class State(NamedTuple):
    """What the decoder carries from word to word; the first axis of all is ``batch``."""

    hidden: Tensor  # (batch, hidden)
    cell: Tensor  # (batch, hidden), the LSTM's memory
    annotations: Tensor  # (batch, cells, features), the picture
    keys: Tensor  # (batch, cells, attention), twice its part of the scores, computed once
    traits: Tensor  # (batch, cells, traits), what a word is held against, computed once
    history: Tensor  # (batch, 2 · (history + 1)), where the last maps lay, the newest first
    past: Tensor  # (batch, cells), how much each cell was spoken of so far
    map: Tensor  # (batch, cells), the last attention map


class Unrolled(NamedTuple):
    """What went on in teacher forcing; ``time`` counts the words to be guessed, END included."""

    hidden: Tensor  # (batch, time, hidden): all of this is 0 where there is no word
    seen: Tensor  # (batch, time, features), the gated context vector
    history: Tensor  # (batch, time, 2 · (history + 1))
    maps: Tensor  # (batch, time, cells)
    used: Tensor  # (batch, time, cells): the maps, or what the decoder's ``select`` made of them


@dataclass(frozen=True)
class AttentionConfig:
    """The size and the parts of an ``AttentionDecoder``."""

    vocab: int  # words it can say, with those that begin, end and fill captions
    features: int = 128  # of a cell of the picture's grid
    embedding: int = 96  # of a word
    hidden: int = 160  # of the LSTM
    attention: int = 32  # hidden units of the network that scores cells
    coordinates: bool = True  # each cell also knows where it lies
    history: int = 4  # earlier context vectors whose coordinates help to choose the word
    history_units: int = 48  # hidden units between the history and the words
    self_similarity: bool = True  # each cell also knows its feature norm and its likeness elsewhere
    coverage: bool = True  # what was spoken of before attracts attention, or repels it
    traits: int = 16  # of a cell, by which a word settles what it speaks of; needs coverage
    last_word_query: bool = True  # the last word is part of the query; in X15 only the state is
    gate: bool = True  # X15 section 4.2.1: β, how much the picture counts at all

    def __post_init__(self) -> None:
        for name in ("vocab", "features", "embedding", "hidden", "attention", "history_units"):
            object.__setattr__(self, name, check_whole(getattr(self, name), name=name))
        for name in ("history", "traits"):
            object.__setattr__(self, name, check_whole(getattr(self, name), name=name, least=0))

    @property
    def offered(self) -> int:
        """How many numbers an annotation has: features, norm and likeness, coordinates."""
        return self.features + 2 * self.self_similarity + 2 * self.coordinates

    @property
    def asked(self) -> int:
        """How many numbers say where to attend and how much: the query, γ and β."""
        return self.attention + self.coverage + 1

    @property
    def settled(self) -> int:
        """By how many traits a word is held against a cell."""
        return self.traits if self.coverage else 0

    @property
    def positions(self) -> int:
        """How many maps are remembered with their coordinates, the current one included."""
        return self.history + 1 if self.coordinates and self.history else 0


def additive_scores(keys: Tensor, query: Tensor, weights: Tensor) -> Tensor:
    """Return the score of every cell, e_i = w · tanh(key_i + query) (X15 eq. 4).

    Args:
        keys: (pictures, cells, attention), what each cell offers.
        query: (batch, attention), what the decoder looks for; batch is a multiple of pictures,
            where several sentences are written about each, those of one picture together.
        weights: (attention,), w.

    Returns:
        (batch, cells).

    Raises:
        ValueError: the shapes do not fit.
    """
    sizes = check_shape(keys, "pictures cells attention", name="keys")
    check_shape(query, f"batch {sizes['attention']}", name="query")
    check_shape(weights, str(sizes["attention"]), name="weights")
    return _scores_of_doubled(2 * keys, 2 * query, weights)


def _scores_of_doubled(keys: Tensor, query: Tensor, weights: Tensor) -> Tensor:
    """Return ``additive_scores``, given twice the keys and twice the query.

    tanh(x) = 2 σ(2x) - 1, and torch computes σ several times as fast as tanh. Keys are doubled once
    a picture, not once a word.
    """
    compared = keys[:, None] + _by_picture(query, len(keys))[:, :, None]
    compared = compared.sigmoid_()  # (pictures, sentences, cells, attention)
    return (compared @ (2 * weights) - weights.sum()).flatten(0, 1)


def context_vector(annotations: Tensor, weights: Tensor) -> Tensor:
    """Return Σ_i α_i annotation_i, the weighted sum over the cells (X15 eq. 13).

    Args:
        annotations: (pictures, cells, features).
        weights: (batch, cells), a softmax of scores (X15 eq. 5), or 1 for one cell; batch is a
            multiple of pictures, as in ``additive_scores``.

    Returns:
        (batch, features).

    Raises:
        ValueError: the shapes do not fit.
    """
    sizes = check_shape(annotations, "pictures cells features", name="annotations")
    check_shape(weights, f"batch {sizes['cells']}", name="weights")
    return torch.bmm(_by_picture(weights, len(annotations)), annotations).flatten(0, 1)


def posterior(maps: Tensor, fits: Tensor) -> Tensor:
    """Return what was spoken of, by Bayes' rule: p_i = map_i exp(fit_i) / Σ_j map_j exp(fit_j).

    The map is the prior: where the decoder looked before it chose a word. exp(fit) is the word's
    likelihood, up to a factor: how well it suits each cell.

    Args:
        maps: (batch, cells), each summing to one, or all 0 where nothing was said.
        fits: (batch, cells).

    Returns:
        (batch, cells), each summing to one; all 0 where the map is.

    Raises:
        ValueError: the shapes do not fit.
    """
    sizes = check_shape(maps, "batch cells", name="maps")
    check_shape(fits, f"{sizes['batch']} {sizes['cells']}", name="fits")
    joint = maps * (fits - fits.amax(dim=1, keepdim=True)).exp()
    return joint / joint.sum(dim=1, keepdim=True).clamp(min=1e-12)


def _by_picture(rows: Tensor, pictures: int) -> Tensor:
    """Return rows (batch, size) as (pictures, sentences, size)."""
    if len(rows) % pictures:
        raise ValueError(
            f"there are {len(rows)} sentences and {pictures} pictures: give each picture as many"
        )
    return rows.unflatten(0, (pictures, -1))


def doubly_stochastic(maps: Tensor) -> Tensor:
    """Return Σ_i (1 - Σ_t map_ti)², averaged over the batch: every cell deserves some attention.

    Each map sums to one over the cells; this asks the maps of a caption to sum to about one over
    time too (X15 eq. 14, without its λ).

    Args:
        maps: (batch, time, cells), 0 where there is no word.
    """
    check_shape(maps, "batch time cells", name="maps")
    return (1 - maps.sum(dim=1)).square().sum(dim=1).mean()


def coordinates(rows: int, columns: int) -> Tensor:
    """Return where the cells of a grid lie, (rows · columns, 2): across and down from the middle.

    The unit is one cell: then a step to the next cell weighs as much as a feature, whose variance
    over a cell is 1. With coordinates from -1 to 1 positions are learned far too slowly.
    """
    across = torch.arange(columns) - (columns - 1) / 2
    down = torch.arange(rows) - (rows - 1) / 2
    return torch.stack([across.repeat(rows), down.repeat_interleave(columns)], dim=1)


def feature_norm(annotations: Tensor) -> Tensor:
    """Return by how much each annotation is longer than the median of its picture, at least 0.

    (Where more than half of a picture is nearly empty, half of the mean replaces the median.)

    Where there is nothing but sky or grass, annotations have about the same length; where an
    object is, more of the encoder's features respond.

    Args:
        annotations: (batch, cells, features), as the image encoder gives them.

    Returns:
        (batch, cells): 0 for a cell that is not longer, 1 for one twice as long.
    """
    length = annotations.norm(dim=2)
    usual = torch.maximum(length.median(dim=1).values, length.mean(dim=1) / 2)[:, None]
    return (length / usual.clamp(min=1e-12) - 1).clamp(min=0)


def likeness(annotations: Tensor, *, rows: int, columns: int) -> Tensor:
    """Return how like each annotation is to the one most like it that is not of a neighbour.

    The context vector of two objects that are alike is that of one of them: a softmax
    weighs, it does not count (Zhang et al., ICLR 2018). This compares all cells with each other,
    once a picture, and so knows of the other.

    Args:
        annotations: (batch, rows · columns, features).

    Returns:
        (batch, cells), max cos⁴ over all cells that do not touch this one, 0 to 1. The fourth power
        leaves little of two objects that agree in category or colour only.
    """
    where = coordinates(rows, columns).to(annotations)
    near = (where[:, None] - where).abs().amax(dim=2) <= 1
    unit = functional.normalize(annotations, dim=2)
    alike = (unit @ unit.mT).clamp(min=0).masked_fill(near, 0)  # (batch, cells, cells)
    return alike.amax(dim=2) ** 4


class AttentionDecoder(nn.Module):
    """Writes captions, attending to the grid of a picture's features before each word (X15).

    It follows the protocol of ``captioning``: ``start``, ``step`` and the call with whole captions,
    so that everything there that writes or scores captions works with it.

    Args:
        select: makes of a map how much each cell is used, such as ``sample_cell(generator)`` or
            ``argmax_cell``; None takes the map itself, which is soft attention. It may be set
            anew at any time.
    """

    def __init__(self, config: AttentionConfig, *, select: Selection | None = None) -> None:
        super().__init__()
        self.config, self.select = config, select
        hidden, offered = config.hidden, config.offered
        read = 2 * (config.features + 2) if config.self_similarity else config.features
        self.begin = nn.Linear(read, 2 * hidden)
        self.key = nn.Linear(offered, config.attention)
        self.score = nn.Linear(config.attention, 1, bias=False)
        # one product serves the LSTM's gates, the query, γ and β: all of them read the last state
        self.from_hidden = nn.Linear(hidden, 4 * hidden + config.asked)
        with torch.no_grad():
            self.from_hidden.bias[hidden : 2 * hidden] += 1  # at first, remember
        self.embedding = nn.Embedding(config.vocab, config.embedding)
        if config.settled:
            self.trait = nn.Linear(config.features, config.settled)
        heard = config.asked * config.last_word_query + config.settled
        self.from_word = nn.Linear(config.embedding, 4 * hidden + heard, bias=False)
        with torch.no_grad():  # at first, a word suits every cell alike
            self.from_word.weight[len(self.from_word.weight) - config.settled :] = 0
        self.from_context = nn.Linear(offered, 4 * hidden, bias=False)
        # X15 eq. 7, with a tanh: the next word from the last one, the state and the context vector
        self.word_says = nn.Linear(config.embedding, config.embedding, bias=False)
        self.state_says = nn.Linear(hidden, config.embedding)
        self.context_says = nn.Linear(offered, config.embedding, bias=False)
        self.out = nn.Linear(config.embedding, config.vocab)
        if config.positions:
            self.history_says = nn.Sequential(
                nn.Linear(2 * config.positions, config.history_units),
                nn.ReLU(),
                nn.Linear(config.history_units, config.vocab, bias=False),
            )

    def start(self, pictures: Tensor) -> tuple[Picture, tuple[Tensor, ...]]:
        """Take in the pictures; see ``captioning.Decoder`` and ``begin_state``."""
        state = self.begin_state(pictures)
        return state[CONSTANT], state[:2] + state[5:]

    def begin_state(self, pictures: Tensor) -> State:
        """Take in pictures (batch, features, rows, columns), grids of features.

        Everything that needs the picture alone is computed here, once. The LSTM begins with what
        the mean annotation says (X15 section 3.1.2) and, with ``self_similarity``, a mean that
        weights a cell by its norm.

        Raises:
            ValueError, TypeError: the shape or the type is another.
        """
        axes = f"batch {self.config.features} rows columns"
        sizes = check_shape(pictures, axes, name="pictures")
        check_floating(pictures, name="pictures")
        raw = pictures.flatten(2).mT  # (batch, cells, features)
        annotations = functional.layer_norm(raw, raw.shape[2:])
        overview = annotations.mean(dim=1)
        if self.config.self_similarity:
            strong = feature_norm(raw)
            alike = likeness(annotations, rows=sizes["rows"], columns=sizes["columns"])
            # 2 and 4 make both about as large as a feature
            extra = torch.stack([2 * strong, 4 * strong.clamp(max=1) * alike], dim=2)
            annotations = torch.cat([annotations, extra], dim=2)
            by_strength = context_vector(annotations, strong / strong.shape[1])
            overview = torch.cat([annotations.mean(dim=1), by_strength], dim=1)
        hidden, cell = torch.tanh(self.begin(overview)).chunk(2, dim=1)
        if self.config.coordinates:
            where = coordinates(sizes["rows"], sizes["columns"]).to(annotations)
            where = where.expand(len(annotations), -1, -1)
            annotations = torch.cat([annotations, where], dim=2)
        traits = annotations.new_zeros(*annotations.shape[:2], 0)
        if self.config.settled:
            traits = torch.tanh(self.trait(annotations[..., : self.config.features]))
        nowhere = annotations.new_zeros(annotations.shape[:2])
        history = annotations.new_zeros(len(annotations), 2 * self.config.positions)
        keys = 2 * self.key(annotations)
        return State(hidden, cell, annotations, keys, traits, history, nowhere, nowhere)

    def step(
        self, words: Tensor, state: tuple[Tensor, ...], picture: Picture
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Take the last words (batch,); see ``captioning.Decoder`` and ``next_state``."""
        logits, whole = self.next_state(words, State(*state[:2], *picture, *state[2:]))
        return logits, whole[:2] + whole[5:]

    def next_state(self, words: Tensor, state: State) -> tuple[Tensor, State]:
        """Take the last words (batch,); return the logits of the next (batch, vocab) and the state.

        The state's ``map`` is the attention with which it expects the next word.
        """
        embedded = self.embedding(words)
        state, seen, _ = self._advance(self.from_word(embedded), State(*state))
        return self._deep(embedded, state.hidden, seen, state.history), state

    def forward(self, pictures: Tensor, captions: Tensor, at: Tensor | None = None) -> Tensor:
        """Return the logits of every next word, the true words before it given.

        Args:
            pictures: (batch, features, rows, columns).
            captions: (batch, time), from ``encode_captions``.
            at: (batch, time - 1) bool, where logits are wanted; None: everywhere. Where the next
                word is ``PAD`` they mean nothing.

        Returns:
            (batch, time - 1, vocab), or (positions, vocab) where ``at`` is true.

        Raises:
            ValueError: shapes do not fit, or a caption says nothing.
        """
        unrolled = self.unroll(pictures, captions)
        return self.say(captions, unrolled, at)

    def unroll(self, pictures: Tensor, captions: Tensor) -> Unrolled:
        """Go through whole captions with teacher forcing; arguments and errors as in ``forward``.

        The longest captions come first within, so that those which have ended cost nothing more.
        """
        check_shape(captions, f"{len(pictures)} time", name="captions")
        if captions.is_floating_point() or bool((captions[:, 0] != START).any()):
            raise ValueError("captions must be whole numbers, each row from START on")
        lengths, order = (captions[:, 1:] != PAD).sum(dim=1).sort(descending=True, stable=True)
        if int(lengths[-1]) == 0:
            raise ValueError(f"caption {int(order[-1])} says nothing, not even END: leave it out")
        state = self.begin_state(pictures[order])
        driven = self.from_word(self.embedding(captions[order, :-1]))  # all words in one product
        steps, now, columns = captions.shape[1] - 1, [], [[] for _ in Unrolled._fields]
        for time, word in enumerate(driven[:, : int(lengths[0])].unbind(dim=1)):
            left = int((lengths > time).sum())  # captions that go on
            if left < len(state.hidden):
                state = State(*(part[:left] for part in state))
            state, seen, used = self._advance(word[:left], state)
            parts = (state.hidden, seen, state.history, state.map, used)
            for column, part in zip(columns, parts, strict=True):
                column.append(part)
            now.append(order[:left] * steps + time)  # the position of each caption's word
        return Unrolled(
            *(_spread(column, torch.cat(now), (len(order), steps)) for column in columns)
        )

    def say(self, captions: Tensor, unrolled: Unrolled, at: Tensor | None = None) -> Tensor:
        """Return the logits after what was unrolled; the layer over the vocabulary comes once."""
        parts = (self.embedding(captions[:, :-1]), *unrolled[:3])
        return self._deep(*(parts if at is None else (part[at] for part in parts)))

    def _advance(self, driven: Tensor, state: State) -> tuple[State, Tensor, Tensor]:
        """Look and remember, given what the last word says to gates, query and traits.

        Returns:
            the next state, the gated context vector, and how much each cell was used.
        """
        driven, sought = driven.tensor_split([driven.shape[1] - self.config.settled], dim=1)
        drive = self.from_hidden(state.hidden)
        unheard = drive.shape[1] - driven.shape[1]  # how much of it the last word says nothing to
        drive = drive + (functional.pad(driven, (0, unheard)) if unheard else driven)
        sizes = [4 * self.config.hidden, self.config.attention, int(self.config.coverage), 1]
        gates, query, gamma, beta = drive.split(sizes, dim=1)
        scores = _scores_of_doubled(state.keys, 2 * query, SHARP * self.score.weight[0])  # eq. 4
        past = state.past
        if self.config.coverage:
            past = past + self._spoken_of(state, sought)
            scores = scores + gamma * past
        maps = scores.softmax(dim=1)  # X15 eq. 5
        used = maps if self.select is None else self.select(maps)
        seen = context_vector(state.annotations, used)
        history = torch.cat([seen[:, -2:], state.history], dim=1)[:, : 2 * self.config.positions]
        if self.config.gate:
            seen = torch.sigmoid(beta) * seen
        gates = gates + self.from_context(seen)  # X15 eq. 1
        let_in, keep, new, show = gates.chunk(4, dim=1)  # torch's order
        cell = torch.sigmoid(keep) * state.cell + torch.sigmoid(let_in) * torch.tanh(new)
        hidden = torch.sigmoid(show) * torch.tanh(cell)
        state = state._replace(hidden=hidden, cell=cell, history=history, past=past, map=maps)
        return state, seen, used

    def _spoken_of(self, state: State, sought: Tensor) -> Tensor:
        """Return what the last word spoke of, (batch, cells); ``sought`` are the traits it fits."""
        if not self.config.settled:
            return state.map
        return posterior(state.map, context_vector(state.traits.mT, sought))

    def _deep(self, embedded: Tensor, hidden: Tensor, seen: Tensor, history: Tensor) -> Tensor:
        """Return logits (..., vocab) from the last word, state, context (X15 eq. 7), history."""
        said = self.word_says(embedded) + self.state_says(hidden) + self.context_says(seen)
        logits = self.out(torch.tanh(said))
        return logits + self.history_says(history) if self.config.positions else logits


def _spread(parts: list[Tensor], position: Tensor, shape: tuple[int, int]) -> Tensor:
    """Put rows (positions, size) where they belong in (*shape, size); the rest is 0."""
    packed = torch.cat(parts)
    empty = packed.new_zeros(shape[0] * shape[1], packed.shape[1])
    return empty.index_copy(0, position, packed).unflatten(0, shape)


def attention_loss(
    decoder: AttentionDecoder, batch: tuple[Tensor, Tensor], *, balance: float = 0.0
) -> Tensor:
    """Return the mean cross-entropy plus ``balance`` · ``doubly_stochastic`` (X15).

    With ``balance`` 0 it is ``captioning.caption_loss``.

    Args:
        batch: pictures (batch, features, rows, columns) and captions (batch, time).
    """
    pictures, captions = batch
    targets, unrolled = captions[:, 1:], decoder.unroll(pictures, captions)
    real = targets != PAD
    entropy = functional.cross_entropy(decoder.say(captions, unrolled, real), targets[real])
    return entropy + balance * doubly_stochastic(unrolled.maps) if balance else entropy


def sample_cell(generator: torch.Generator) -> Selection:
    """Return a selection that draws one cell from each map: hard attention."""

    def select(maps: Tensor) -> Tensor:
        cell = torch.multinomial(maps.detach(), 1, generator=generator)
        return torch.zeros_like(maps).scatter(1, cell, 1.0)

    return select


def argmax_cell(maps: Tensor) -> Tensor:
    """Use the cell with the largest weight and nothing else."""
    return torch.zeros_like(maps).scatter(1, maps.argmax(dim=1, keepdim=True), 1.0)


def hard_loss(
    decoder: AttentionDecoder,
    batch: tuple[Tensor, Tensor],
    *,
    baseline: float | Tensor = 0.0,
    entropy: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Return a loss whose gradient is that of hard attention, estimated by REINFORCE.

    A draw s of cells has probability p(s) = Π_t map_t[s_t]. The mean of log p(words | s) over draws
    is to grow, and a draw has no derivative. But its gradient is the mean, over draws, of
    ∇ log p(words | s) + (log p(words | s) - b) ∇ log p(s), whatever number b is (Williams 1992; X15
    eq. 12). A b near what is usual makes the estimate less noisy.

    Args:
        decoder: its ``select`` draws the cells, such as ``sample_cell(generator)``.
        batch: pictures and captions.
        baseline: b, a number or one for each caption.
        entropy: how much the maps are kept from settling too early, λ_e.

    Returns:
        the loss, a scalar with the gradient's sign turned (its value means nothing), and
        log p(words | s) of each caption, (batch,), without gradient.
    """
    pictures, captions = batch
    targets, unrolled = captions[:, 1:], decoder.unroll(pictures, captions)
    real = targets != PAD
    logits = decoder.say(captions, unrolled, real)
    each = torch.zeros(targets.shape, dtype=logits.dtype, device=logits.device)
    each[real] = -functional.cross_entropy(logits, targets[real], reduction="none")
    likelihood = each.sum(dim=1)  # (batch,), log p(words | s)
    maps = unrolled.maps[real]  # (positions, cells)
    log_chosen = torch.zeros_like(each)
    log_chosen[real] = (maps * unrolled.used[real]).sum(dim=1).log()
    surplus = likelihood.detach() - baseline
    gain = (likelihood + surplus * log_chosen.sum(dim=1)).mean()
    if entropy:
        gain = gain - entropy * torch.special.xlogy(maps, maps).sum() / len(captions)
    return -gain, likelihood.detach()


def attention_maps(decoder: AttentionDecoder, pictures: Tensor, words: Tensor) -> Tensor:
    """Return where the decoder looked for each of ``words``, such as those of ``greedy``.

    Args:
        words: (batch, time), without ``START``.

    Returns:
        (batch, time, rows, columns), each map summing to one; beyond ``END`` they mean nothing.
    """
    last, maps = torch.full_like(words[:, 0], START), []
    with torch.no_grad():
        picture, state = decoder.start(pictures)
        for word in words.unbind(dim=1):
            _, state = decoder.step(last, state, picture)
            maps.append(state[-1])
            last = word
    return torch.stack(maps, dim=1).unflatten(2, (pictures.shape[2], -1))


def peaks(maps: Tensor, *, size: int = 64) -> Tensor:
    """Return the pixel at which each map points: the top of the landscape that it makes.

    Each cell's weight is spread over the picture by a Gaussian bell one cell wide around the
    cell's middle, as X15 draw their maps (appendix: upsampling and a Gaussian filter). So a map
    that looks at two neighbouring cells alike points between them.

    Args:
        maps: (..., rows, columns).
        size: side of the picture in pixels.

    Returns:
        int64 (..., 2): row and column of the pixel. A flat map points anywhere: it has no peak.
    """
    sizes = check_shape(maps, "... rows columns", name="maps")
    spread = []
    for count in (sizes["rows"], sizes["columns"]):
        cell = size / count
        middles = (torch.arange(count, device=maps.device) + 0.5) * cell
        away = torch.arange(size, device=maps.device)[:, None] + 0.5 - middles
        spread.append(torch.exp(-((away / cell) ** 2) / 2).to(maps.dtype))  # (size, count)
    landscape = spread[0] @ maps @ spread[1].T  # (..., size, size)
    top = landscape.flatten(-2).argmax(dim=-1)
    return torch.stack([top // size, top % size], dim=-1)


def points_at(maps: Tensor, seen: Tensor) -> Tensor:
    """Say of each map whether its peak lies on a pixel of a mask.

    Args:
        maps: (items, rows, columns).
        seen: bool (items, size, size), such as the mask of the object that a word names, or all
            masks of the objects that it may name, together.

    Returns:
        bool (items,).

    Raises:
        TypeError, ValueError: ``seen`` is not boolean, or the shapes do not fit.
    """
    items = check_shape(maps, "items rows columns", name="maps")["items"]
    size = check_shape(seen, f"{items} size size", name="seen")["size"]
    if seen.dtype != torch.bool:
        raise TypeError(f"seen has dtype {seen.dtype}, it must be torch.bool: compare it first")
    row, column = peaks(maps, size=size).unbind(dim=-1)
    return seen[torch.arange(items, device=seen.device), row, column]


def ideal_maps(seen: Tensor, *, rows: int, columns: int) -> Tensor:
    """Return maps (items, rows, columns) that weigh each cell by its share of a mask, as a ceiling.

    Args:
        seen: bool (items, size, size), none of them empty.
    """
    share = functional.adaptive_avg_pool2d(seen[:, None].float(), (rows, columns))[:, 0]
    return share / share.sum(dim=(1, 2), keepdim=True)
