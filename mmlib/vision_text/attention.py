"""Show, attend and tell: a caption written word by word, each word with a look at the picture.

Book: ``notebooks/vision_text/06_attention``. Source: Xu et al., "Show, Attend and Tell: Neural
Image Caption Generation with Visual Attention", ICML 2015; equations cited as X15. The scores come
from a small network of two layers, as in Bahdanau et al., ICLR 2015.

The picture is a grid of features, one vector a cell (its *annotation*). Before each word the
decoder gives every cell a weight, all of one picture summing to one: its *map*. The *glimpse* is
the weighted sum of the annotations. That is soft attention, and everything in it has a derivative.
Hard attention draws one cell from the map instead, and needs REINFORCE to learn where to look.

Three things are not in the paper; each can be switched off. A sum over cells forgets where they
lie, so each annotation also holds its cell's coordinates. The coordinates of the last few glimpses,
the *trail*, have a short, linear way to the next word: *left of* is the sign of a difference of two
of them, and through the LSTM it is learned far too slowly. And in X15 (eq. 1 and 4) the look before
word t knows the state h_{t-1}, which has heard the words up to t - 2 only: here the query hears
word t - 1, too. Without it the decoder, having said *a red*, looks for what it has not yet heard.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmlib.shapes import check_floating, check_shape
from mmlib.vision_text.captioning import PAD, check_captions, trace
from mmlib.world import pictures as pictures_of
from mmlib.world.scenes import COLOURS, Scenes, related
from mmlib.world.words import canonical, with_article

Look = Callable[[Tensor], Tensor]  # from maps (batch, cells) to how much each cell is looked at


class State(NamedTuple):
    """What the decoder carries from word to word; the first axis of all is ``batch``."""

    hidden: Tensor  # (batch, hidden)
    cell: Tensor  # (batch, hidden), the LSTM's memory
    annotations: Tensor  # (batch, cells, features), the picture
    keys: Tensor  # (batch, cells, attention), its part of the scores, computed once
    trail: Tensor  # (batch, 2 · (trail + 1)), where the last looks lay, the newest first
    map: Tensor  # (batch, cells), where the last look went


class Unrolled(NamedTuple):
    """What went on in teacher forcing; ``time`` counts the words to be guessed, END included."""

    hidden: Tensor  # (batch, time, hidden): all of this is 0 where there is no word
    seen: Tensor  # (batch, time, features), the gated glimpse
    trail: Tensor  # (batch, time, 2 · (trail + 1))
    maps: Tensor  # (batch, time, cells)
    looks: Tensor  # (batch, time, cells): the maps, or what the decoder's ``look`` made of them


@dataclass(frozen=True)
class AttentionConfig:
    """The size and the parts of an ``AttentionDecoder``."""

    vocab: int  # words it can say, with those that begin, end and fill captions
    features: int = 128  # of a cell of the picture's grid
    embedding: int = 96  # of a word
    hidden: int = 192  # of the LSTM
    attention: int = 64  # hidden units of the network that scores cells
    coordinates: bool = True  # each cell also knows where it lies
    trail: int = 4  # earlier looks whose coordinates help to choose the word; needs coordinates
    hears: bool = True  # the last word helps to choose where to look; in X15 only the state does
    gate: bool = True  # X15 section 4.2.1: β, how much the decoder looks at all

    def __post_init__(self) -> None:
        for name in ("vocab", "features", "embedding", "hidden", "attention"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}, it must be a whole number of 1 or more")
        if isinstance(self.trail, bool) or not isinstance(self.trail, int) or self.trail < 0:
            raise ValueError(f"trail is {self.trail!r}, it must be a whole number of 0 or more")

    @property
    def places(self) -> int:
        """How many looks are remembered with their coordinates, the current one included."""
        return self.trail + 1 if self.coordinates and self.trail else 0


def additive_scores(keys: Tensor, query: Tensor, weights: Tensor) -> Tensor:
    """Return the score of every cell, e_i = w · tanh(key_i + query) (X15 eq. 4).

    Args:
        keys: (batch, cells, attention), what each cell offers.
        query: (batch, attention), what the decoder looks for.
        weights: (attention,), w.

    Returns:
        (batch, cells).

    Raises:
        ValueError: the shapes do not fit.
    """
    sizes = check_shape(keys, "batch cells attention", name="keys")
    check_shape(query, f"{sizes['batch']} {sizes['attention']}", name="query")
    check_shape(weights, str(sizes["attention"]), name="weights")
    return torch.tanh(keys + query[:, None]) @ weights


def glimpse(annotations: Tensor, looks: Tensor) -> Tensor:
    """Return Σ_i look_i annotation_i, the weighted sum over the cells (X15 eq. 13).

    Args:
        annotations: (batch, cells, features).
        looks: (batch, cells), such as a softmax of scores (X15 eq. 5), or 1 for one cell.

    Returns:
        (batch, features).

    Raises:
        ValueError: the shapes do not fit.
    """
    sizes = check_shape(annotations, "batch cells features", name="annotations")
    check_shape(looks, f"{sizes['batch']} {sizes['cells']}", name="looks")
    return torch.bmm(looks[:, None], annotations)[:, 0]


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
    over a cell is 1. With coordinates from -1 to 1 places are learned far too slowly.
    """
    across = torch.arange(columns) - (columns - 1) / 2
    down = torch.arange(rows) - (rows - 1) / 2
    return torch.stack([across.repeat(rows), down.repeat_interleave(columns)], dim=1)


class AttentionDecoder(nn.Module):
    """Writes captions, looking at the grid of a picture's features before each word (X15).

    It follows the protocol of ``captioning``: ``start``, ``step`` and the call with whole captions,
    so that everything there that writes or scores captions works with it.

    Args:
        look: makes of a map how much each cell is looked at, such as ``look_at_one(generator)`` or
            ``look_at_peak``; None looks as the map says, which is soft attention. It may be set
            anew at any time.
    """

    def __init__(self, config: AttentionConfig, *, look: Look | None = None) -> None:
        super().__init__()
        self.config, self.look = config, look
        hidden, offered = config.hidden, config.features + 2 * config.coordinates
        self.begin = nn.Linear(config.features, 2 * hidden)
        self.key = nn.Linear(offered, config.attention)
        self.score = nn.Linear(config.attention, 1, bias=False)
        # one product serves the LSTM's gates, the query and β: all of them read the last state
        self.from_hidden = nn.Linear(hidden, 4 * hidden + config.attention + 1)
        with torch.no_grad():
            self.from_hidden.bias[hidden : 2 * hidden] += 1  # at first, remember
        self.embedding = nn.Embedding(config.vocab, config.embedding)
        heard = config.attention * config.hears
        self.from_word = nn.Linear(config.embedding, 4 * hidden + heard, bias=False)
        self.from_glimpse = nn.Linear(offered, 4 * hidden, bias=False)
        # X15 eq. 7, with a tanh: the next word from the last one, the state and the glimpse
        self.word_says = nn.Linear(config.embedding, config.embedding, bias=False)
        self.state_says = nn.Linear(hidden, config.embedding)
        self.glimpse_says = nn.Linear(offered, config.embedding, bias=False)
        self.out = nn.Linear(config.embedding, config.vocab)
        if config.places:
            self.trail_says = nn.Linear(2 * config.places, config.vocab, bias=False)

    def start(self, pictures: Tensor) -> State:
        """Take in pictures (batch, features, rows, columns), the grids of an eye.

        Everything that needs the picture alone is computed here, once. The LSTM begins with what
        the mean annotation says (X15 section 3.1.2).

        Raises:
            ValueError, TypeError: the shape or the type is another.
        """
        axes = f"batch {self.config.features} rows columns"
        sizes = check_shape(pictures, axes, name="pictures")
        check_floating(pictures, name="pictures")
        annotations = pictures.flatten(2).mT  # (batch, cells, features)
        annotations = functional.layer_norm(annotations, annotations.shape[2:])
        hidden, cell = torch.tanh(self.begin(annotations.mean(dim=1))).chunk(2, dim=1)
        if self.config.coordinates:
            where = coordinates(sizes["rows"], sizes["columns"]).to(annotations)
            where = where.expand(len(annotations), -1, -1)
            annotations = torch.cat([annotations, where], dim=2)
        nowhere = annotations.new_zeros(annotations.shape[:2])
        trail = annotations.new_zeros(len(annotations), 2 * self.config.places)
        return State(hidden, cell, annotations, self.key(annotations), trail, nowhere)

    def step(self, words: Tensor, state: State) -> tuple[Tensor, State]:
        """Hear the last words (batch,); return the logits of the next (batch, vocab) and the state.

        The state's ``map`` says where the decoder looked for the words that it expects now.
        """
        embedded = self.embedding(words)
        state, seen, _ = self._advance(self.from_word(embedded), State(*state))
        return self._deep(embedded, state.hidden, seen, state.trail), state

    def forward(self, pictures: Tensor, captions: Tensor, at: Tensor | None = None) -> Tensor:
        """Return the logits of every next word, the true words before it given.

        Args:
            pictures: (batch, features, rows, columns).
            captions: (batch, time), from ``encode_captions``.
            at: (batch, time - 1) bool, where logits are wanted; None: everywhere. Where the next
                word is ``PAD`` they mean nothing.

        Returns:
            (batch, time - 1, vocab), or (places, vocab) where ``at`` is true.

        Raises:
            ValueError: shapes do not fit, or a caption says nothing.
        """
        unrolled = self.unroll(pictures, captions)
        return self.say(captions, unrolled, at)

    def unroll(self, pictures: Tensor, captions: Tensor) -> Unrolled:
        """Go through whole captions with teacher forcing; arguments and errors as in ``forward``.

        The longest captions come first within, so that those which have ended cost nothing more.
        """
        check_captions(captions, pictures)
        lengths, order = (captions[:, 1:] != PAD).sum(dim=1).sort(descending=True, stable=True)
        if int(lengths[-1]) == 0:
            raise ValueError(f"caption {int(order[-1])} says nothing, not even END: leave it out")
        state = State(*(part[order] for part in self.start(pictures)))
        driven = self.from_word(self.embedding(captions[order, :-1]))  # all words in one product
        rows: list[list[Tensor]] = []
        for time, now in enumerate(driven[:, : int(lengths[0])].unbind(dim=1)):
            left = int((lengths > time).sum())  # captions that go on
            if left < len(state.hidden):
                state = State(*(part[:left] for part in state))
            state, seen, looks = self._advance(now[:left], state)
            parts = (state.hidden, seen, state.trail, state.map, looks)
            rows.append([functional.pad(p, (0, 0, 0, len(order) - left)) for p in parts])
        back, empty = order.argsort(), captions.shape[1] - 1 - len(rows)
        columns = (torch.stack(column, dim=1)[back] for column in zip(*rows, strict=True))
        return Unrolled(*(functional.pad(column, (0, 0, 0, empty)) for column in columns))

    def say(self, captions: Tensor, unrolled: Unrolled, at: Tensor | None = None) -> Tensor:
        """Return the logits after what was unrolled; the layer over the vocabulary comes once."""
        parts = (self.embedding(captions[:, :-1]), *unrolled[:3])
        return self._deep(*(parts if at is None else (part[at] for part in parts)))

    def _advance(self, driven: Tensor, state: State) -> tuple[State, Tensor, Tensor]:
        """Look and remember, given what the last word says to the gates and to the query.

        Returns:
            the next state, the gated glimpse, and how much each cell was looked at.
        """
        hidden = self.config.hidden
        gates, heard = driven[:, : 4 * hidden], driven[:, 4 * hidden :]
        mine, query, beta = self.from_hidden(state.hidden).split(
            [4 * hidden, self.config.attention, 1], dim=1
        )
        query = query + heard if self.config.hears else query
        maps = additive_scores(state.keys, query, self.score.weight[0]).softmax(dim=1)  # eq. 5
        looks = maps if self.look is None else self.look(maps)
        seen = glimpse(state.annotations, looks)
        trail = torch.cat([seen[:, -2:], state.trail], dim=1)[:, : 2 * self.config.places]
        if self.config.gate:
            seen = torch.sigmoid(beta) * seen
        gates = gates + mine + self.from_glimpse(seen)  # X15 eq. 1
        let_in, keep, new, show = gates.split(hidden, dim=1)  # torch's order
        cell = torch.sigmoid(keep) * state.cell + torch.sigmoid(let_in) * torch.tanh(new)
        hidden = torch.sigmoid(show) * torch.tanh(cell)
        state = state._replace(hidden=hidden, cell=cell, trail=trail, map=maps)
        return state, seen, looks

    def _deep(self, embedded: Tensor, hidden: Tensor, seen: Tensor, trail: Tensor) -> Tensor:
        """Return logits (..., vocab) from the last word, state, glimpse (X15 eq. 7) and trail."""
        said = self.word_says(embedded) + self.state_says(hidden) + self.glimpse_says(seen)
        logits = self.out(torch.tanh(said))
        return logits + self.trail_says(trail) if self.config.places else logits


def attention_loss(
    decoder: AttentionDecoder, batch: tuple[Tensor, Tensor], *, balance: float = 0.0
) -> Tensor:
    """Return the mean surprise at the true words, plus ``balance`` · ``doubly_stochastic`` (X15).

    With ``balance`` 0 it is ``captioning.caption_loss``.

    Args:
        batch: pictures (batch, features, rows, columns) and captions (batch, time).
    """
    pictures, captions = batch
    targets, unrolled = captions[:, 1:], decoder.unroll(pictures, captions)
    real = targets != PAD
    surprise = functional.cross_entropy(decoder.say(captions, unrolled, real), targets[real])
    return surprise + balance * doubly_stochastic(unrolled.maps) if balance else surprise


def look_at_one(generator: torch.Generator) -> Look:
    """Return a look that draws one cell from each map and sees nothing else: hard attention."""

    def look(maps: Tensor) -> Tensor:
        cell = torch.multinomial(maps.detach(), 1, generator=generator)
        return torch.zeros_like(maps).scatter(1, cell, 1.0)

    return look


def look_at_peak(maps: Tensor) -> Tensor:
    """Look at the cell with the largest weight and at nothing else."""
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
        decoder: its ``look`` draws the cells, such as ``look_at_one(generator)``.
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
    maps = unrolled.maps[real]  # (places, cells)
    chances = torch.zeros_like(each)
    chances[real] = (maps * unrolled.looks[real]).sum(dim=1).log()
    surplus = likelihood.detach() - baseline
    gain = (likelihood + surplus * chances.sum(dim=1)).mean()
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
    rows = pictures.shape[2]
    return trace(decoder, pictures, words, lambda state: state[-1]).unflatten(2, (rows, -1))


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
        seen: bool (items, size, size), such as the mask of the thing that a word names, or all
            masks of the things that it may name, together.

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


class Mentions(NamedTuple):
    """The words in some captions that name a thing which is there."""

    caption: Tensor  # (mentions,) which caption
    place: Tensor  # (mentions,) which word of it
    seen: Tensor  # bool (mentions, size, size): where the things are that it may mean


def find_mentions(sentences: Sequence[Sequence[str]], scenes: Scenes) -> Mentions:
    """Find the nouns of captions, lists of words, and the masks of what they may mean.

    A noun may mean every thing of its kind and, if a colour stands before it, of that colour. One
    for which nothing is there has no right place to look at, and is left out.

    Raises:
        ValueError: there are not as many captions as scenes, or no noun is right.
    """
    if len(sentences) != len(scenes):
        raise ValueError(f"there are {len(sentences)} captions and {len(scenes)} scenes: one each")
    masks, found = pictures_of.masks(scenes), []
    for row, (sentence, things) in enumerate(zip(sentences, scenes.things(), strict=True)):
        for place, word in enumerate(sentence):
            kind, before = canonical(word), sentence[place - 1] if place else None
            colour = before if before in COLOURS else None
            slots = [t.slot for t in things if t.kind == kind and colour in (None, t.colour)]
            if slots:
                found.append((row, place, masks[row, slots].any(dim=0)))
    if not found:
        raise ValueError("no caption names a thing that is there: nothing can be pointed at")
    rows, places, seen = zip(*found, strict=True)
    return Mentions(torch.tensor(rows), torch.tensor(places), torch.stack(seen))


def ideal_maps(seen: Tensor, *, rows: int, columns: int) -> Tensor:
    """Return maps (items, rows, columns) that weigh each cell by its share of a mask, as a ceiling.

    Args:
        seen: bool (items, size, size), none of them empty.
    """
    share = functional.adaptive_avg_pool2d(seen[:, None].float(), (rows, columns))[:, 0]
    return share / share.sum(dim=(1, 2), keepdim=True)


def relation_openings(scenes: Scenes) -> tuple[Tensor, list[list[str]]]:
    """Return beginnings such as *a red bird is*, which ask how that thing stands to another.

    ``captioning.greedy(..., begin=...)`` lets a decoder go on from there.

    There is one for each thing that its colour and kind single out and that stands in a relation.

    Returns:
        the scene of each, int64 (openings,), and the openings, lists of words.
    """
    rows, openings = [], []
    for row, (things, facts) in enumerate(zip(scenes.things(), related(scenes), strict=True)):
        alike = Counter((thing.colour, thing.kind) for thing in things)
        first = {one for one, _, _ in facts}
        for thing in things:
            if alike[thing.colour, thing.kind] == 1 and thing.slot in first:
                rows.append(row)
                openings.append([*with_article(thing.colour).split(), thing.kind, "is"])
    return torch.tensor(rows, dtype=torch.int64), openings
