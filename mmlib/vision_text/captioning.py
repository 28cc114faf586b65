"""Pictures into sentences: Show and Tell, and how any decoder finds its words.

Book: ``notebooks/vision_text/05_captioning``. Paper: Vinyals et al., *Show and Tell: A Neural Image
Caption Generator*, CVPR 2015. A frozen image encoder turns a picture into a grid of features,
once; an LSTM takes in the picture and then writes one word after the other.

Everything below but ``ShowAndTell`` works with any *decoder*, a module that keeps this contract:

- ``start(pictures) -> state``: ``pictures`` (batch, features, rows, columns); a state is a tuple of
  tensors, each with the first axis batch. What never changes, such as the features that attention
  reads, belongs into the state, too.
- ``step(words, state) -> (logits, state)``: ``words`` (batch,) are the numbers of the words said
  last, ``logits`` (batch, vocab) those of the next. A tensor that a step leaves as it is must be
  handed on itself, not as a copy: a beam search keeps it only once a picture. So later ``words``
  and all that changes may have the first axis (batch · beam), the beams of a picture together,
  while such a tensor still has (batch).
- ``decoder(pictures, captions, at=None) -> logits``: teacher forcing. ``captions`` (batch, time)
  begin with ``START``; the result is (batch, time - 1, vocab), for each word the logits of the one
  that follows it. With ``at`` (batch, time - 1) bool only where it is true: (positions, vocab).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, cross_entropy

from mmlib.data.vocabulary import Vocabulary, word_lists
from mmlib.shapes import check_floating, check_shape, check_whole

MARKERS = ("<pad>", "<start>", "<end>")
PAD, START, END = range(3)  # their numbers in a vocabulary of caption_vocabulary

State = tuple[Tensor, ...]


class Generated(NamedTuple):
    """Sentences that a decoder has found."""

    words: Tensor  # (batch, longest + 1) int64: the words, END, then PAD
    log_probability: Tensor  # (batch,) of the whole sentence, END included


def caption_vocabulary(sentences: Iterable[Iterable[str]], *, min_count: int = 1) -> Vocabulary:
    """Return the words of ``sentences`` with the three ``MARKERS`` before them.

    Raises:
        TypeError: a sentence is no list of words.
        ValueError: a sentence holds a marker, or no word is left.
    """
    sentences = word_lists(sentences)
    plain = Vocabulary.from_sentences(sentences, min_count=min_count)
    for marker in MARKERS:
        if marker in plain:
            raise ValueError(
                f"a sentence holds {marker!r}, which marks its end or padding: drop it"
            )
    counts = (0, len(sentences), len(sentences), *plain.counts)
    return Vocabulary((*MARKERS, *plain.words), counts)


def encode_captions(sentences: Iterable[Iterable[str]], vocabulary: Vocabulary) -> Tensor:
    """Return the sentences as numbers, each between ``START`` and ``END``, padded with ``PAD``.

    Args:
        sentences: lists of words.

    Returns:
        (captions, time) int64; time is the longest sentence's number of words plus 2.

    Raises:
        TypeError: a sentence is no list of words.
        ValueError: there is no sentence, or the vocabulary has not the ``MARKERS`` first.
        UnknownWordError: a word is not in the vocabulary.
    """
    sentences = word_lists(sentences)
    if not sentences:
        raise ValueError("sentences is empty: give one caption at least")
    if vocabulary.words[: len(MARKERS)] != MARKERS:
        raise ValueError(
            f"the vocabulary begins with {vocabulary.words[:3]}, it must begin with {MARKERS}: "
            "make it with caption_vocabulary"
        )
    captions = torch.full((len(sentences), max(map(len, sentences)) + 2), PAD)
    for row, sentence in zip(captions, sentences, strict=True):
        numbers = vocabulary.encode(sentence)
        row[: len(numbers) + 2] = torch.cat([torch.tensor([START]), numbers, torch.tensor([END])])
    return captions


def decode_captions(words: Tensor, vocabulary: Vocabulary) -> list[list[str]]:
    """Return the words of each row of ``words`` (captions, time), without the markers."""
    check_shape(words, "captions time", name="words")
    return [vocabulary.decode([n for n in row if n > END]) for row in words.tolist()]


class CaptionBatches:
    """Pairs of a picture and one of its captions in batches, in an order drawn anew each epoch.

    Several captions may belong to one picture, whose grid is stored only once. A batch is
    ``(pictures, captions)``: (batch, features, rows, columns) float32, and (batch, time) with no
    more padding than its longest caption needs.

    Args:
        grids: (pictures, features, rows, columns), of any floating type.
        captions: (captions, time), from ``encode_captions``.
        owner: (captions,) int64, the picture that each caption describes.
        generator: draws the order of each epoch; ``None`` keeps the captions in order.
        pool: captions are drawn for this many batches at once and dealt out by length. So a batch
            holds captions of like length, and little time goes into padding; 1 leaves it to chance.

    Raises:
        ValueError: a caption has no owner or an owner no picture, or ``batch_size`` or ``pool`` is
            below 1.
    """

    def __init__(
        self,
        grids: Tensor,
        captions: Tensor,
        owner: Tensor,
        *,
        batch_size: int,
        generator: torch.Generator | None = None,
        pool: int = 1,
    ) -> None:
        check_shape(grids, "pictures features rows columns", name="grids")
        sizes = check_shape(captions, "captions time", name="captions")
        check_shape(owner, f"{sizes['captions']}", name="owner")
        if int(owner.min()) < 0 or int(owner.max()) >= len(grids):
            raise ValueError(
                f"owner goes from {int(owner.min())} to {int(owner.max())}, there are "
                f"{len(grids)} pictures: count them from 0"
            )
        self.grids, self.captions, self.owner = grids, captions, owner
        self.batch_size = check_whole(batch_size, name="batch_size")
        self.pool, self.generator = check_whole(pool, name="pool"), generator

    def __len__(self) -> int:
        return -(-len(self.captions) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.arange(len(self.captions))
        if self.generator is not None:
            order = torch.randperm(len(order), generator=self.generator)
        words = (self.captions != PAD).sum(dim=1)
        for pool in order.split(self.batch_size * self.pool):
            for chosen in self._deal(pool, words[pool]):
                time = int(words[chosen].max())
                yield self.grids[self.owner[chosen]].float(), self.captions[chosen, :time]

    def _deal(self, pool: Tensor, words: Tensor) -> list[Tensor]:
        """Cut a pool into batches by length, and put the batches in random order."""
        if self.pool == 1:
            return [pool]
        batches = pool[words.argsort(stable=True)].split(self.batch_size)
        if self.generator is None:
            return list(batches)
        return [batches[n] for n in torch.randperm(len(batches), generator=self.generator).tolist()]


class LSTMCell(nn.Module):
    """One step of a long short-term memory, gate by gate (Hochreiter & Schmidhuber, 1997).

    With x the input, h what was said of the memory and c the memory, each gate is a number in
    0 … 1 for each unit: i lets new content g in, f keeps the old, o lets it out (Show and Tell,
    equations 4 to 9):

        c' = f · c + i · g,    h' = o · tanh(c').

    All four come from one product with x and one with h. The rows of both weights stand in
    torch's order i, f, g, o; torch has a second bias, which adds nothing.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.from_input = nn.Linear(inputs, 4 * hidden)
        self.from_hidden = nn.Linear(hidden, 4 * hidden, bias=False)
        for weight in self.parameters():
            nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5)
        with torch.no_grad():
            self.from_input.bias[hidden : 2 * hidden] += 1  # at first, remember

    def advance(self, driven: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Step on, given what the input drives the gates with: ``from_input(x)``.

        The inputs of a whole sentence can pass ``from_input`` in one product beforehand.

        Args:
            driven: (batch, 4 · hidden).
            state: h and c, (batch, hidden) each.

        Returns:
            the next h and c.
        """
        h, c = state
        i, f, g, o = (driven + self.from_hidden(h)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the next h and c, for inputs ``x`` (batch, inputs)."""
        check_shape(x, f"batch {self.from_input.in_features}", name="x")
        return self.advance(self.from_input(x), state)


@dataclass(frozen=True)
class ShowAndTellConfig:
    """The sizes of a captioner, and what it sees of the grid."""

    features: int = 128  # of each cell of the image encoder's grid
    regions: tuple[int, int] = (1, 1)  # rows and columns of regions; the vector has a part for each
    embedding: int = 96  # length of a word's vector
    hidden: int = 192  # units of the LSTM
    dropout: float = 0.1  # share of the picture vector and of h that is left out in training


class ShowAndTell(nn.Module):
    """The picture sets the LSTM's memory, then it tells (section 3.1).

    In the paper the picture is the first input, as if it were a word. Then it has to pass the
    gates; setting h and c outright says the same, and is learned much sooner.

    Args:
        vocab: how many words there are, markers included.
    """

    def __init__(self, vocab: int, config: ShowAndTellConfig | None = None) -> None:
        super().__init__()
        config = config or ShowAndTellConfig()
        self.config = config
        seen = config.features * (1 + config.regions[0] * config.regions[1])
        self.norm = nn.BatchNorm1d(seen)  # each feature to mean 0 and variance 1
        self.show = nn.Linear(seen, 2 * config.hidden)
        self.embed = nn.Embedding(vocab, config.embedding, padding_idx=PAD)
        self.cell = LSTMCell(config.embedding, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.tell = nn.Linear(config.hidden, vocab)

    def start(self, pictures: Tensor) -> State:
        """Show the LSTM the pictures (batch, features, rows, columns): return its first h and c.

        What is shown is the mean of the grid, and the maximum in each region.
        """
        axes = f"batch {self.config.features} rows columns"
        check_shape(pictures, axes, name="pictures")
        check_floating(pictures, name="pictures")
        most = adaptive_max_pool2d(pictures, self.config.regions)  # (batch, features, *regions)
        seen = self.norm(torch.cat([pictures.mean(dim=(2, 3)), most.flatten(1)], dim=1))
        h, c = torch.tanh(self.show(self.dropout(seen))).chunk(2, dim=1)
        return h, c

    def step(self, words: Tensor, state: State) -> tuple[Tensor, State]:
        """Hear the last words (batch,); return the logits of the next, and the new state."""
        state = self.cell(self.embed(words), state)
        return self.tell(self.dropout(state[0])), state

    def forward(self, pictures: Tensor, captions: Tensor, at: Tensor | None = None) -> Tensor:
        """Return the logits of every next word, the true words before it given.

        Args:
            pictures: (batch, features, rows, columns).
            captions: (batch, time), from ``START`` on.
            at: (batch, time - 1) bool, where logits are wanted; None: everywhere.

        Returns:
            (batch, time - 1, vocab), or (positions, vocab) where ``at`` is true.
        """
        check_captions(captions, pictures)
        state, said = self.start(pictures), []
        for driven in self.cell.from_input(self.embed(captions[:, :-1])).unbind(dim=1):
            state = self.cell.advance(driven, state)
            said.append(state[0])
        hidden = torch.stack(said, dim=1)  # (batch, time - 1, hidden)
        return self.tell(self.dropout(hidden if at is None else hidden[at]))


def check_captions(captions: Tensor, pictures: Tensor) -> None:
    """Refuse captions that are not whole numbers, are not as many as pictures, or lack START."""
    check_shape(captions, f"{len(pictures)} time", name="captions")
    numbers = not captions.is_floating_point()
    if not numbers or captions.shape[1] < 2 or bool((captions[:, 0] != START).any()):
        raise ValueError(
            f"captions have dtype {captions.dtype} and shape {tuple(captions.shape)}; they must be "
            "whole numbers, each row from START on: make them with encode_captions"
        )


def caption_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean surprise at the true next word, in nats, over all that is not padding.

    Equation 10 of the paper: the negative logarithm of p(S_t | picture, S_0 … S_{t-1}).

    Args:
        batch: pictures (batch, features, rows, columns) and captions (batch, time).
    """
    pictures, captions = batch
    targets = captions[:, 1:]
    real = targets != PAD
    return cross_entropy(model(pictures, captions, real), targets[real])


def next_word_log_probability(
    logits: Tensor, *, must_end: bool = False, must_say: Tensor | None = None
) -> Tensor:
    """Return log-probabilities (batch, vocab) of what may be said next: a word or ``END``.

    ``PAD`` and ``START`` are never said. With ``must_end`` only ``END`` is, with ``must_say``
    (batch,) only that word; it keeps its probability, all others get none.

    Raises:
        ValueError: the logits hold NaN, which no search can compare.
    """
    forbidden = torch.zeros(logits.shape[-1], dtype=torch.bool, device=logits.device)
    forbidden[[PAD, START]] = True
    found = logits.masked_fill(forbidden, -torch.inf).log_softmax(dim=-1)
    if bool(found.isnan().any()):
        raise ValueError(
            "the decoder's logits hold NaN or an infinity: its training has diverged, train it "
            "anew with a lower learning rate"
        )
    if must_end:
        must_say = torch.full_like(logits[:, 0], END).long()
    if must_say is not None:
        only = torch.full_like(found, -torch.inf)
        found = only.scatter(1, must_say[:, None], found.gather(1, must_say[:, None]))
    return found


def greedy(
    decoder: nn.Module, pictures: Tensor, *, longest: int = 20, begin: Tensor | None = None
) -> Generated:
    """Say the most probable word, again and again. See ``say_on`` for arguments and result."""
    choose = partial(torch.argmax, dim=-1)
    return say_on(decoder, pictures, choose, longest=longest, begin=begin)


def sample(
    decoder: nn.Module,
    pictures: Tensor,
    *,
    generator: torch.Generator,
    temperature: float = 1.0,
    longest: int = 20,
    begin: Tensor | None = None,
) -> Generated:
    """Draw each word by its probability; below 1, ``temperature`` favours the likely ones.

    Raises:
        ValueError: ``temperature`` is not positive.
    """
    if not 0 < temperature < torch.inf:
        raise ValueError(
            f"temperature is {temperature}, it must be above 0 and finite; greedy is its limit"
        )

    def draw(found: Tensor) -> Tensor:
        chances = (found / temperature).softmax(dim=-1)
        return torch.multinomial(chances, 1, generator=generator)[:, 0]

    return say_on(decoder, pictures, draw, longest=longest, begin=begin)


@torch.no_grad()
def say_on(
    decoder: nn.Module,
    pictures: Tensor,
    choose: Callable[[Tensor], Tensor],
    *,
    longest: int,
    begin: Tensor | None = None,
) -> Generated:
    """Let ``choose`` pick each next word from log-probabilities (batch, vocab), until all ended.

    Args:
        longest: words a sentence has at most; then it must end.
        begin: (batch, words), what each sentence begins with: it is only finished. With (words,)
            all begin alike.
    """
    given = _given(begin, len(pictures), longest)
    state, words = decoder.start(pictures), torch.full_like(pictures[:, 0, 0, 0], START).long()
    finished = torch.full((len(pictures), longest + 1), PAD, device=words.device)
    total, ended = pictures.new_zeros(len(pictures)), words == END
    for position in range(longest + 1):
        logits, state = decoder.step(words, state)
        found = next_word_log_probability(
            logits, must_end=position == longest, must_say=given.get(position)
        )
        words = choose(found).masked_fill(ended, PAD)
        finished[:, position] = words
        total += found.gather(1, words[:, None])[:, 0].masked_fill(ended, 0.0)
        ended = ended | (words == END)
        if bool(ended.all()):
            break
    return Generated(finished, total)


@torch.no_grad()
def beam_search(
    decoder: nn.Module,
    pictures: Tensor,
    *,
    beam: int = 3,
    longest: int = 20,
    length_power: float = 0.0,
    begin: Tensor | None = None,
) -> Generated:
    """Find a likely sentence for each picture, following the ``beam`` best beginnings at a time.

    All beginnings of all pictures step together. A sentence that ends keeps its place: that
    picture's beam has one place less for the others. A picture is done when no unfinished
    sentence can still beat its best finished one.

    A long sentence is less probable than its beginning, so the most probable sentence tends to be
    a short one. Dividing the log-probability by (number of words, END included) to the
    ``length_power`` corrects that: 0 takes the probability as it is, 1 the mean of each word.

    Args:
        beam: beginnings kept a picture; 1 is greedy.
        longest, begin: as in ``say_on``.

    Returns:
        the best sentence of each picture and its log-probability (not divided).

    Raises:
        ValueError: ``beam`` or ``longest`` is below 1, ``length_power`` is not 0 or more, or the
            decoder's logits hold NaN.
    """
    beam = check_whole(beam, name="beam")
    if not 0 <= length_power < torch.inf:
        raise ValueError(f"length_power is {length_power}, it must be 0 or more, and finite")
    given = _given(begin, len(pictures), longest)
    beams = _Beams(len(pictures), beam, longest, length_power, pictures)
    state, words = decoder.start(pictures), torch.full_like(pictures[:, 0, 0, 0], START).long()
    for position in range(longest + 1):
        logits, after = decoder.step(words, state)
        width = len(words) // len(beams.picture)  # at first all beams are alike: one will do
        must_say = (
            given[position][beams.picture].repeat_interleave(width) if position in given else None
        )
        found = next_word_log_probability(logits, must_end=position == longest, must_say=must_say)
        words, parents = beams.extend(found.unflatten(0, (-1, width)), position)
        done, kept = beams.done(), None
        if bool(done.all()):
            break
        if done.float().mean() >= 0.25:  # much of the work would be for pictures that are done
            kept, rows = beams.leave(done)
            words, parents = words[rows], parents[rows]
        pairs = zip(after, state, strict=True)
        state = tuple(_follow(new, old, parents, kept) for new, old in pairs)
    return beams.finished()


def _follow(new: Tensor, old: Tensor, parents: Tensor, kept: Tensor | None) -> Tensor:
    """Return the part of a state that the next step reads: the rows ``parents``.

    What the step left as it was stands once a picture; only the pictures ``kept`` stay.
    """
    if new is old:
        return old if kept is None else old[kept]
    return new[parents]


class _Beams:
    """The unfinished sentences of the pictures that are not done, and the best finished ones."""

    def __init__(self, batch: int, beam: int, longest: int, power: float, like: Tensor) -> None:
        self.longest, self.power = longest, power
        self.picture = torch.arange(batch, device=like.device)  # (left,) which are not done
        self.open = like.new_full((batch, beam), -torch.inf)  # log-probability; -inf: no sentence
        self.open[:, 0] = 0.0  # at first there is one, the empty one
        self.said = torch.full((batch, beam, longest + 1), PAD, device=like.device)
        self.ended = torch.zeros(batch, 1, dtype=torch.long, device=like.device)
        self.best = self.said[:, 0].clone()  # of all pictures, as the next two
        self.best_score = like.new_full((batch,), -torch.inf)
        self.log_probability = like.new_full((batch,), -torch.inf)

    def extend(self, found: Tensor, position: int) -> tuple[Tensor, Tensor]:
        """Add a word to each sentence: log-probabilities (left, beam or 1 for all beams, vocab).

        Returns:
            the words (left · beam,), and which row of the last step each continues.
        """
        left, width, vocab = found.shape
        beam = self.open.shape[1]
        self.open, chosen = (self.open[:, :, None] + found).flatten(1).topk(beam)
        rank = torch.arange(beam, device=found.device)
        self.open = self.open.masked_fill(rank >= beam - self.ended, -torch.inf)
        parent, word = chosen // vocab, chosen % vocab
        self.said = self.said.gather(1, parent[:, :, None].expand_as(self.said))
        self.said[:, :, position] = word
        self._close((word == END) & self.open.isfinite(), position + 1)
        first = torch.arange(left, device=found.device)[:, None] * width
        return word.flatten(), (first + parent.clamp(max=width - 1)).flatten()

    def _close(self, over: Tensor, length: int) -> None:
        """Move sentences that have ended (left, beam) out, and keep each picture's best."""
        score = (self.open / length**self.power).masked_fill(~over, -torch.inf)
        top, which = score.max(dim=1)
        (row,) = (top > self.best_score[self.picture]).nonzero(as_tuple=True)
        better = self.picture[row]
        self.best[better] = self.said[row, which[row]]
        self.best_score[better] = top[row]
        self.log_probability[better] = self.open[row, which[row]]
        self.ended = self.ended + over.sum(dim=1, keepdim=True)
        self.open = self.open.masked_fill(over, -torch.inf)

    def done(self) -> Tensor:
        """Whether no open sentence can still win, (left,): more words make it less probable."""
        at_best = self.open.amax(dim=1) / (self.longest + 1) ** self.power
        return self.best_score[self.picture] >= at_best

    def leave(self, done: Tensor) -> tuple[Tensor, Tensor]:
        """Leave pictures (left,) out.

        Returns:
            those that stay, (kept,), and their rows of the step, (kept · beam,).
        """
        (kept,) = (~done).nonzero(as_tuple=True)
        self.picture, self.open = self.picture[kept], self.open[kept]
        self.said, self.ended = self.said[kept], self.ended[kept]
        beam = self.open.shape[1]
        rows = kept[:, None] * beam + torch.arange(beam, device=kept.device)
        return kept, rows.flatten()

    def finished(self) -> Generated:
        """Return the best sentence of every picture."""
        return Generated(self.best, self.log_probability)


@torch.no_grad()
def trace(
    decoder: nn.Module, pictures: Tensor, words: Tensor, keep: Callable[[State], Tensor]
) -> Tensor:
    """Let the decoder say given sentences again and collect ``keep(state)`` after each word.

    It shows what went on behind a sentence, such as where attention lay, whichever search found it.

    Args:
        words: (batch, time), as in ``Generated``: without ``START``.
        keep: takes a part of the state, (batch, ...), such as ``lambda state: state[-1]``.

    Returns:
        (batch, time, ...): at a word's position the state in which the decoder chose it. Positions
        beyond a sentence's ``END`` hold what the decoder would do with padding: ignore them.
    """
    check_shape(words, f"{len(pictures)} time", name="words")
    state, last, kept = decoder.start(pictures), torch.full_like(words[:, 0], START), []
    for word in words.unbind(dim=1):
        _, state = decoder.step(last, state)
        kept.append(keep(state))
        last = word
    return torch.stack(kept, dim=1)


def _given(begin: Tensor | None, batch: int, longest: int) -> dict[int, Tensor]:
    """Return the words (batch,) that must be said at the first positions."""
    check_whole(longest, name="longest")
    if begin is None:
        return {}
    begin = begin.expand(batch, -1) if begin.ndim == 1 else begin
    words = check_shape(begin, f"{batch} words", name="begin")["words"]
    if words > longest or int(begin.min()) <= END:
        raise ValueError(
            f"begin has {words} words a sentence, the least number among them is "
            f"{int(begin.min())}: at most {longest} words, no markers"
        )
    return dict(enumerate(begin.unbind(dim=1)))
