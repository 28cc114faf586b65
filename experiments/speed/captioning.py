"""Captioning with attention: batched beam search and hoisted training against the usual tutorial.

The tutorial's decoder has the same weights and is written as tutorials write it: the features pass
their layer anew at every word, the vocabulary layer is called at every word, and beam search takes
one picture at a time. The weights are random, the features 196 x 512, the vocabulary 10,000, a
sentence has at most 20 words; both must say the very same sentences and find the same loss.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from experiments.record import Table, versions
from experiments.timing import Runs, interleave
from mmlib.runtime import make_generator
from mmlib.vision_text.attention import SHARP, AttentionConfig, AttentionDecoder
from mmlib.vision_text.captioning import (
    END,
    PAD,
    START,
    Generated,
    beam_search,
    caption_loss,
    next_word_log_probability,
)

TITLE = "Captions with attention, 196 × 512 features, a vocabulary of 10,000"
ROUNDS = 9
CONFIG = AttentionConfig(  # what the tutorials have, and no more
    vocab=10_000,
    features=512,
    embedding=512,
    hidden=512,
    attention=512,
    last_word_query=False,
    history=0,
    self_similarity=False,
    coverage=False,
)
SIDE, LONGEST = 14, 20  # 14 x 14 cells; words
PICTURES, BATCH = 24, 32  # to caption; captions of a training step


class Tutorial(nn.Module):
    """The same decoder as tutorials have it, layer by layer: nn.LSTMCell, attention anew a word."""

    def __init__(self, ours: AttentionDecoder) -> None:
        super().__init__()
        self.ours, config = ours, ours.config
        hidden, offered = config.hidden, ours.key.in_features
        self.query, self.beta = nn.Linear(hidden, config.attention), nn.Linear(hidden, 1)
        self.lstm = nn.LSTMCell(config.embedding + offered, hidden)
        sizes = [4 * hidden, config.attention, 1]
        with torch.no_grad():
            rows = zip(ours.from_hidden.weight.split(sizes), ours.from_hidden.bias.split(sizes),
                       strict=True)  # fmt: skip
            (gates, bias), *rest = rows
            for layer, (weight, offset) in zip((self.query, self.beta), rest, strict=True):
                layer.weight.copy_(weight)
                layer.bias.copy_(offset)
            inputs = torch.cat([ours.from_word.weight, ours.from_context.weight], dim=1)
            self.lstm.weight_ih.copy_(inputs)
            self.lstm.weight_hh.copy_(gates)
            self.lstm.bias_ih.copy_(bias)
            self.lstm.bias_hh.zero_()

    def step(self, words: Tensor, h: Tensor, c: Tensor, cells: Tensor) -> tuple[Tensor, ...]:
        """Say one word on: logits (batch, vocab), h, c; ``cells`` (batch, cells, features)."""
        ours = self.ours
        embedded = ours.embedding(words)
        keys, query = ours.key(cells), self.query(h)
        scores = SHARP * ours.score(torch.tanh(keys + query[:, None]))[:, :, 0]
        weights = scores.softmax(dim=1)
        seen = torch.sigmoid(self.beta(h)) * (cells * weights[:, :, None]).sum(dim=1)
        h, c = self.lstm(torch.cat([embedded, seen], dim=1), (h, c))
        deep = ours.word_says(embedded) + ours.state_says(h) + ours.context_says(seen)
        return ours.out(torch.tanh(deep)), h, c

    def loss(self, pictures: Tensor, captions: Tensor) -> Tensor:
        """Teacher forcing, the longest captions first, so that those that ended drop out."""
        lengths, order = (captions[:, 1:] != PAD).sum(dim=1).sort(descending=True, stable=True)
        captions, state = captions[order], self.ours.start(pictures[order])
        h, c, cells = state.hidden, state.cell, state.annotations
        said, targets = [], []
        for time in range(int(lengths[0])):
            left = int((lengths > time).sum())
            logits, h, c = self.step(captions[:left, time], h[:left], c[:left], cells[:left])
            said.append(logits)
            targets.append(captions[:left, time + 1])
        return cross_entropy(torch.cat(said), torch.cat(targets))


@torch.no_grad()
def one_picture_at_a_time(tutorial: Tutorial, pictures: Tensor, beam: int) -> Generated:
    """Beam search of the tutorials: a loop over pictures, and in it a beam that shrinks."""
    told = torch.full((len(pictures), LONGEST + 1), PAD)
    scores = torch.empty(len(pictures), dtype=pictures.dtype)
    for row in range(len(pictures)):
        state = tutorial.ours.start(pictures[row : row + 1])
        width = beam
        h, c, cells = (
            part.expand(beam, *part.shape[1:])
            for part in (state.hidden, state.cell, state.annotations)
        )
        said, total = torch.full((beam, 1), START), pictures.new_zeros(beam, 1)
        finished = []
        for place in range(LONGEST + 1):
            logits, h, c = tutorial.step(said[:, -1], h, c, cells)
            found = next_word_log_probability(logits, must_end=place == LONGEST)
            options = total + found
            total, chosen = (options[:1] if place == 0 else options).flatten().topk(width)
            parent, word = chosen // options.shape[1], chosen % options.shape[1]
            said = torch.cat([said[parent], word[:, None]], dim=1)
            over = word == END
            finished += list(zip(total[over].tolist(), said[over], strict=True))
            width -= int(over.sum())
            if width == 0 or place == LONGEST:
                break
            on = ~over
            said, total, parent = said[on], total[on, None], parent[on]
            h, c, cells = h[parent], c[parent], cells[parent]
        scores[row], best = max(finished, key=lambda sentence: sentence[0])
        told[row, : len(best) - 1] = best[1:]
    return Generated(told, scores)


def wild_decoder() -> AttentionDecoder:
    """Return a decoder whose random weights make sentences of different words and lengths."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = AttentionDecoder(CONFIG).eval()
    with torch.no_grad():
        for layer in (decoder.from_word, decoder.from_hidden, decoder.from_context,
                      decoder.state_says, decoder.context_says):  # fmt: skip
            layer.weight *= 3  # the state matters
        decoder.out.weight *= 12  # and makes some words far more likely than others
        decoder.out.weight[END] *= 3
        first, _ = decoder.step(torch.tensor([START]), decoder.start(random_pictures(1, 0)))
        if first[0, END] > first[0].mean():  # END shall not come at once
            decoder.out.weight[END] *= -1
    return decoder


def random_pictures(count: int, seed: int) -> Tensor:
    """Return features that differ from picture to picture, and in each from cell to cell."""
    generator, features = make_generator(seed), CONFIG.features
    each = torch.randn(count, features, 1, 1, generator=generator)
    return (2 * each + torch.randn(count, features, SIDE, SIDE, generator=generator)).relu()


def training_batch() -> tuple[Tensor, Tensor]:
    """Return pictures and captions of 8 to 20 words."""
    generator = make_generator(1)
    captions = torch.randint(END + 1, CONFIG.vocab, (BATCH, LONGEST + 2), generator=generator)
    lengths = torch.randint(8, LONGEST + 1, (BATCH, 1), generator=generator)
    place = torch.arange(LONGEST + 2)
    captions = captions.masked_fill(place == lengths + 1, END)
    captions = captions.masked_fill(place > lengths + 1, PAD)
    captions[:, 0] = START
    return random_pictures(BATCH, 2), captions


def time_training(rounds: int) -> dict[str, Runs]:
    """Time loss and gradients of one batch; the two losses must be equal."""
    ours, batch = wild_decoder().train(), training_batch()
    tutorial = Tutorial(ours)

    def step(loss, number: int) -> float:
        value = loss()
        value.backward()
        for weight in tutorial.parameters():
            weight.grad = None
        return float(value.detach())

    runs = interleave(
        {
            "mmlib": lambda number: step(lambda: caption_loss(ours, batch), number),
            "tutorial": lambda number: step(lambda: tutorial.loss(*batch), number),
        },
        rounds=rounds,
    )
    for mine, theirs in zip(runs["mmlib"].results, runs["tutorial"].results, strict=True):
        assert abs(mine - theirs) < 1e-5 * theirs, (mine, theirs)
    return runs


def time_search(beam: int, rounds: int) -> dict[str, Runs]:
    """Time the captions of all pictures in float32; in float64 both must say the same sentences.

    In float32 sums in another order differ in the last digit, and where two words are almost
    equally likely, that digit decides.
    """
    pictures = random_pictures(PICTURES, 3)
    exact = wild_decoder().double()
    mine = beam_search(exact, pictures.double(), beam=beam, longest=LONGEST)
    theirs = one_picture_at_a_time(Tutorial(exact).double().eval(), pictures.double(), beam)
    assert torch.equal(mine.words, theirs.words)
    torch.testing.assert_close(mine.log_probability, theirs.log_probability)
    ours = wild_decoder()
    tutorial = Tutorial(ours).eval()
    return interleave(
        {
            "mmlib": lambda number: beam_search(ours, pictures, beam=beam, longest=LONGEST),
            "tutorial": lambda number: one_picture_at_a_time(tutorial, pictures, beam),
        },
        rounds=rounds,
    )


def row(what: str, runs: dict[str, Runs], items: int) -> dict:
    """Return the row of the table: milliseconds an item, and how many times faster ours is."""
    mine, theirs = (1000 * runs[name].median / items for name in ("mmlib", "tutorial"))
    ratio = runs["tutorial"].median / runs["mmlib"].median
    return {"what": what, "mmlib": mine, "tutorial": theirs, "ratio": round(ratio, 1)}


def run(rounds: int) -> Table:
    """Time the search with three beams, and training."""
    searches = {beam: time_search(beam, rounds) for beam in (1, 3, 5)}
    rows = [
        row(f"beam search, beam {beam}, a picture", runs, PICTURES)
        for beam, runs in searches.items()
    ]
    rows.append(row(f"training step of {BATCH} captions", time_training(rounds), 1))
    words = searches[3]["mmlib"].results[0].words
    lengths = (words > END).sum(dim=1)
    return Table(
        columns=[
            {"key": "what", "label": "Work"},
            {"key": "mmlib", "label": "mmlib (ms)", "digits": 1},
            {"key": "tutorial", "label": "Tutorial (ms)", "digits": 1},
            {"key": "ratio", "label": "mmlib is faster by", "digits": 1},
        ],
        rows=rows,
        notes=[
            f"The same random weights in both; {PICTURES} pictures, sentences of at most {LONGEST} "
            f"words, in float64 identical in both (at beam 3 they have {int(lengths.min())} to "
            f"{int(lengths.max())} words). The losses of the training step are equal in float32.",
            f"Medians over {rounds} rounds, both in turn; {torch.get_num_threads()} threads.",
            versions("torch"),
        ],
    )
