"""Visual question answering: a picture and a question in words; the answer is one word of a list.

Chapter: notebooks/vision_text/08_vqa. Sources: Antol et al., "VQA: Visual Question Answering",
ICCV 2015 (two streams, multiplied point by point; cited below as A15); Yang et al., "Stacked
Attention Networks for Image Question Answering", CVPR 2016 (look, then look again; Y16); Perez et
al., "FiLM", AAAI 2018 (the question scales what is computed from the picture; P18).

Pictures come as grids of features (..., channels, rows, columns) from a frozen eye
(``foundations.pretraining``), questions as numbers of words, 0 where there is none. All models take
several questions about each picture at once: (batch, questions, words) → (batch, questions,
answers).
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, layer_norm, pad

from mmlib.data.batches import Batches
from mmlib.data.vocabulary import Vocabulary
from mmlib.foundations.pretraining import WORDS, ImageClassifier, encode
from mmlib.shapes import check_floating, check_shape
from mmlib.training import History, fit, predict
from mmlib.world.pictures import draw
from mmlib.world.questions import ANSWERS, TYPES, Question, ask
from mmlib.world.sampling import sample_scenes
from mmlib.world.scenes import Scenes

SENSES = ("both", "question", "picture")
# What to ask in training, what is hard oftener. First nothing that hangs on a direction: a glimpse
# that does not yet read things settles on "left", and stays there.
FIRST_TYPES = (
    *("existence", "colour", "time", "count", "count", "comparison", "comparison"),
    *("together", "together", "together"),  # "are there a dog and a bell?" needs two glimpses
)
TRAINING_TYPES = (
    *("existence", "colour", "time", "position", "together"),
    *("count", "count", "count", "comparison", "comparison", "comparison"),
    *("relation", "relation", "relation", "relation"),
)
PLURAL = "-s"  # the ending of a plural, a word of its own
AT_ONCE = 250  # scenes that are drawn and seen together: more would only take more memory
GLIMPSES = 3  # how often StackedAttention reads and looks
PAIRS = tuple(combinations(range(GLIMPSES), 2))  # of glimpses, which are compared
PRICE = 0.004  # of wanting a word of the eye, in nats: a glimpse should want few
LOUD = 4.0  # what one of the eye's words counts in a cell where it is certain
SHARP = 3.0  # on the scores before the softmax: a flat look at first shows, and teaches, nothing


@dataclass(frozen=True)
class VqaConfig:
    """The sizes of the models."""

    features: int = 128  # of a cell of the grid that ``NamingGrid`` gives
    named: int = len(WORDS)  # the words that it says of a cell, after the features
    embedding: int = 48  # length of a word's vector
    hidden: int = 64  # of the LSTM that reads the question
    fused: int = 128  # of what is multiplied point by point
    value: int = 48  # of what is taken from a cell
    meters: int = 24  # ways in which a glimpse adds up what it finds
    outlines: int = 16  # shapes, such as corners, that it adds up along the patch that it finds

    @property
    def channels(self) -> int:
        """How long the list of numbers of a cell is."""
        return self.features + self.named


class Quiz(NamedTuple):
    """Scenes, what the eye sees in their pictures, and questions about each."""

    scenes: Scenes
    grids: Tensor  # (scenes, channels, rows, columns)
    questions: list[list[Question]]


class Look(NamedTuple):
    """What ``StackedAttention`` read and saw to answer one question."""

    words: list[str]
    read: Tensor  # (words, glimpses): how much each glimpse reads each word
    wanted: Tensor  # (glimpses, named): how much it wants each of the eye's words
    looked: Tensor  # (glimpses, rows, columns): where each looks


class Looked(NamedTuple):
    """What ``StackedAttention`` did on the way to its answer."""

    answers: Tensor  # (batch, questions, answers) logits
    read: Tensor  # (batch, questions, words, glimpses): how much each glimpse reads each word
    wanted: Tensor  # (batch, questions, glimpses, named): how much it wants each of the eye's words
    looked: Tensor  # (batch, questions, glimpses, rows, columns): where each looks, sums to 1


def tokens_of(text: str) -> list[str]:
    """Return the words of a question as a person types it: ``"Is it Day?"`` → is, it, day."""
    return re.findall(r"[a-z0-9<>']+", text.lower())


def question_vocabulary(questions: Sequence[Sequence[Question]]) -> Vocabulary:
    """Return the words of these questions; an unknown word is an error that names the nearest.

    A plural is not a word of its own where its singular is there: "birds" is bird and ``PLURAL``.
    Else what "is there a bird" teaches about birds would be lost on "how many birds are there".
    """
    texts = [tokens_of(q.text) for asked in questions for q in asked]
    known = {word for words in texts for word in words}
    plurals = {word for word in known if word.endswith("s") and word[:-1] in known}
    return Vocabulary.from_sentences(
        [part for w in words for part in ((w[:-1], PLURAL) if w in plurals else (w,))]
        for words in texts
    )


def pieces_of(text: str, vocabulary: Vocabulary) -> list[str]:
    """Return the words of a question, an unknown plural of a known word as word and ``PLURAL``."""
    pieces = []
    for word in tokens_of(text):
        plural = word not in vocabulary and word.endswith("s") and PLURAL in vocabulary
        pieces += [word[:-1], PLURAL] if plural and word[:-1] in vocabulary else [word]
    return pieces


def encode_questions(texts: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Tensor:
    """Return int64 (scenes, questions, words): the words' numbers plus 1, then zeros.

    Args:
        texts: for each scene equally many questions.

    Raises:
        UnknownWordError: a word is not in the vocabulary; the message suggests others.
        ValueError: the scenes have different numbers of questions, or a question has no word.
    """
    counts = {len(asked) for asked in texts}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"the scenes have {sorted(counts)} questions: give each equally many")
    rows = []
    for text in (text for asked in texts for text in asked):
        pieces = pieces_of(text, vocabulary)
        if not pieces:
            raise ValueError(f"the question {text!r} has no word: ask in words")
        rows.append(vocabulary.encode(pieces) + 1)
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (scenes · questions, words)
    return padded.unflatten(0, (len(texts), -1))


def encode_answers(questions: Sequence[Sequence[Question]]) -> Tensor:
    """Return int64 (scenes, questions): each answer's place in ``ANSWERS``."""
    return torch.tensor([[ANSWERS.index(q.answer) for q in asked] for asked in questions])


def examples(
    grids: Tensor, questions: Sequence[Sequence[Question]], vocabulary: Vocabulary
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what ``vqa_loss`` takes: grids, questions and answers as tensors."""
    texts = [[q.text for q in asked] for asked in questions]
    return grids, encode_questions(texts, vocabulary), encode_answers(questions)


def make_quiz(
    count: int,
    eye: nn.Module,
    *,
    generator: torch.Generator,
    per_scene: int = 6,
    types: Sequence[str] = TYPES,
    things: tuple[int, int] = (1, 3),
    split: str = "train",
) -> Quiz:
    """Draw ``count`` scenes with so many ``things``, look at them and ask about each.

    The pictures are let go once the eye has seen them: many of them are large.
    """
    least, slots = things
    scenes = sample_scenes(count, generator=generator, slots=slots, least=least, split=split)
    grids = torch.empty(0)
    for start in range(0, count, AT_ONCE):
        seen = encode(eye, draw(scenes[start : start + AT_ONCE], generator=generator))
        if start == 0:  # room for all at once: a list of parts would need it twice
            grids = seen.new_empty(count, *seen.shape[1:])
        grids[start : start + len(seen)] = seen
    questions = ask(scenes, per_scene=per_scene, generator=generator, types=types)
    return Quiz(scenes, grids, questions)


class NamingGrid(nn.Module):
    """The frozen eye's grid: of each cell its features, standardised, and the eye's words for it.

    A word counts from 0 (not here) to ``LOUD`` (here). Most are 0 nearly everywhere, so that at
    their own size those that are there would be drowned by the features.
    """

    def __init__(self, eye: ImageClassifier) -> None:
        super().__init__()
        self.encoder, self.words = eye.encoder, eye.words
        self.channels = self.words.in_channels + self.words.out_channels

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (batch, channels, rows, columns) for pictures (batch, 3, height, width)."""
        grid = self.encoder(pictures)
        features = layer_norm(grid.movedim(1, -1), grid.shape[1:2]).movedim(-1, 1)
        return torch.cat([features, LOUD * torch.sigmoid(self.words(grid))], dim=1)


class QuestionReader(nn.Module):
    """Word vectors and an LSTM over them."""

    def __init__(self, words: int, config: VqaConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(words + 1, config.embedding, padding_idx=0)
        self.lstm = nn.LSTM(config.embedding, config.hidden, batch_first=True)

    def forward(self, questions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read questions (items, words).

        Returns:
            each word's vector and the LSTM's state after it, (items, words, embedding + hidden);
            the state after the last word, (items, hidden); which words there are, (items, words).
        """
        there = questions != 0
        vectors = self.embed(questions)
        states, _ = self.lstm(vectors)
        last = states[torch.arange(len(states)), there.sum(dim=1) - 1]
        return torch.cat([vectors, states], dim=-1), last, there


def distinct(questions: Tensor) -> tuple[Tensor, Tensor]:
    """Return the different ones among questions: what several ask alike need be read only once.

    Args:
        questions: int64 (..., words).

    Returns:
        (different, words) in the order in which they come; int64 (...,), which of them each is.
    """
    numbers: dict[tuple[int, ...], int] = {}
    rows = questions.flatten(0, -2).tolist()
    which = [numbers.setdefault(tuple(row), len(numbers)) for row in rows]
    place = questions.new_tensor(which).reshape(questions.shape[:-1])
    return questions.new_tensor(list(numbers)), place


class PointWise(nn.Module):
    """Two streams, each a vector; their product point by point; a classifier (A15 section 4).

    The picture's vector is the mean and the maximum of its grid, so that where something is gets
    lost. With ``senses`` "question" or "picture" the other stream is left out: the baselines.
    """

    def __init__(
        self, words: int, config: VqaConfig | None = None, *, senses: str = "both"
    ) -> None:
        super().__init__()
        if senses not in SENSES:
            raise ValueError(f"senses is {senses!r}, choose one of {', '.join(SENSES)}")
        config = config or VqaConfig()
        self.config, self.senses = config, senses
        if senses != "picture":
            self.reader = QuestionReader(words, config)
            self.question = nn.Linear(config.hidden, config.fused)
        if senses != "question":
            self.picture = nn.Linear(2 * config.channels, config.fused)
        self.answer = nn.Sequential(
            nn.Linear(config.fused, config.fused), nn.ReLU(), nn.Linear(config.fused, len(ANSWERS))
        )

    def forward(self, grids: Tensor, questions: Tensor) -> Tensor:
        """Return (batch, questions, answers) logits.

        Args:
            grids: (batch, channels, rows, columns).
            questions: int64 (batch, questions, words), as ``encode_questions`` gives.
        """
        sizes = check_batch(grids, questions, self.config)
        fused = torch.ones((), device=grids.device)
        if self.senses != "picture":
            different, place = distinct(questions)
            _, last, _ = self.reader(different)
            standard = layer_norm(last, last.shape[1:])  # as the picture: it is very small at first
            fused = fused * torch.tanh(self.question(standard))[place]
        if self.senses != "question":
            fused = fused * torch.tanh(self.picture(summarise(grids)))[:, None]  # the product
        return self.answer(fused).expand(-1, sizes["questions"], -1)


def summarise(grids: Tensor) -> Tensor:
    """Return mean and maximum over the cells of grids, (batch, 2 · channels), standardised.

    A15 likewise brings the picture's vector to one length ("norm I") before it is multiplied.
    """
    summary = torch.cat([grids.mean(dim=(2, 3)), grids.amax(dim=(2, 3))], dim=1)
    return layer_norm(summary, summary.shape[1:])


class Modulated(nn.Module):
    """The question scales and shifts, feature by feature, what is computed from the picture.

    P18 equations 1 and 2: from the question come a scale γ and a shift β for each feature, the same
    in every cell; then a ReLU. Twice, with a layer between; the cells, here of half the grid's
    resolution, know their coordinates, and what is left of them is pooled (P18 section 3.2; four
    blocks of 128 features there).
    """

    def __init__(self, words: int, config: VqaConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VqaConfig()
        self.reader = QuestionReader(words, config)
        self.see = nn.Conv2d(config.channels + 2, config.value, 3, stride=2, padding=1)
        self.mix = nn.Linear(config.value, config.value)
        self.modulation = nn.Linear(config.hidden, 4 * config.value)  # γ and β, twice
        self.answer = nn.Sequential(
            nn.Linear(2 * config.value, config.fused),
            nn.ReLU(),
            nn.Linear(config.fused, len(ANSWERS)),
        )

    def forward(self, grids: Tensor, questions: Tensor) -> Tensor:
        """Return (batch, questions, answers) logits; arguments as in ``PointWise.forward``."""
        check_batch(grids, questions, self.config)
        at = coordinates(*grids.shape[2:]).to(grids).expand(len(grids), -1, -1, -1)
        cells = self.see(torch.cat([grids, at], dim=1)).flatten(2).mT[:, None]  # (…, cells, value)
        different, place = distinct(questions)
        _, last, _ = self.reader(different)
        told = self.modulation(layer_norm(last, last.shape[1:]))[place]  # (batch, questions, …)
        scale, shift, scale2, shift2 = told[:, :, None].chunk(4, dim=-1)
        cells = torch.relu((1 + scale) * cells + shift)  # (batch, questions, cells, value)
        cells = cells + torch.relu((1 + scale2) * self.mix(cells) + shift2)
        return self.answer(torch.cat([cells.mean(dim=2), cells.amax(dim=2)], dim=-1))


def coordinates(rows: int, columns: int) -> Tensor:
    """Return where the middles of the cells lie, (2, rows, columns): x, y from -1 to 1."""
    y, x = torch.meshgrid(
        *((2 * torch.arange(n) + 1) / n - 1 for n in (rows, columns)), indexing="ij"
    )
    return torch.stack([x, y])


class StackedAttention(nn.Module):
    """Read, look and measure, ``GLIMPSES`` times; then let the question weigh what was measured.

    Each glimpse reads its own words of the question (attention over words), makes of them a query,
    which says how much it wants each of the eye's words, and looks where the eye has given them
    (attention over cells, as Y16 section 3.3). It measures where it looked, how widely, and how
    much it found. It is stacked in its reading: a glimpse is kept from the words that those before
    it have read. (Y16 stacks the looking: what the first look found is added to the query of the
    second.) The question then scales, feature by feature and without a bias, what was measured and
    the difference between each two glimpses (P18 equation 2 without its shift): "left of" times
    "smaller x". Two glimpses would be enough for two things; with a third to spare it hardly
    matters if one of them settles on a word that asks for nothing.
    """

    def __init__(self, words: int, config: VqaConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VqaConfig()
        self.reader = QuestionReader(words, config)
        context = config.embedding + config.hidden
        with torch.no_grad():  # small at first: a word that is not known yet should not stand out
            self.reader.embed.weight.mul_(0.3)
        self.read = nn.Linear(context, GLIMPSES)
        nn.init.normal_(self.read.weight, std=0.1)  # so that they differ from the first step on
        # A query knows only the words that are read, not the state of the LSTM after them: else a
        # glimpse may settle on "the", whose state has a trace of all words before it. It is never
        # negative: else a glimpse may learn to look away.
        self.query = nn.Linear(config.embedding, config.named, bias=False)
        self.value = nn.Linear(config.channels, config.value)
        self.around = nn.Conv2d(config.value, config.value, 3, padding=1)
        self.meter = nn.Linear(config.value, config.meters)
        self.outline = nn.Conv2d(1, config.outlines, 3, padding=1)
        self.threshold = nn.Parameter(torch.tensor(2.0))
        self.asked = nn.Linear(config.hidden, config.fused)
        self.found = nn.Linear(GLIMPSES * config.value, config.fused)
        measures = 5 + config.meters + config.outlines + config.named
        self.weigh = nn.Linear(config.hidden, config.fused, bias=False)
        self.compare = nn.Linear((GLIMPSES + len(PAIRS)) * measures, config.fused, bias=False)
        together = 2 * config.fused + GLIMPSES * measures + config.hidden
        self.answer = nn.Sequential(
            nn.Linear(together, config.fused), nn.ReLU(), nn.Linear(config.fused, len(ANSWERS))
        )

    def forward(self, grids: Tensor, questions: Tensor) -> Tensor:
        """Return (batch, questions, answers) logits; arguments as in ``PointWise.forward``."""
        return self.look(grids, questions).answers

    def look(self, grids: Tensor, questions: Tensor) -> Looked:
        """Answer, and tell what was read and where was looked."""
        sizes = check_batch(grids, questions, self.config)
        different, place = distinct(questions)
        context, last, there = self.reader(different)
        read = read_in_turn(self.read(context), there)  # (different, words, glimpses)
        words = context[..., : self.config.embedding]
        query = torch.relu(self.query(read.mT @ words))  # (different, glimpses, named)
        query, last, read = query[place], last[place], read[place]  # (batch, questions, …)
        named = grids[:, self.config.features :].flatten(2)  # (batch, named, cells)
        scores = glimpses_times(query, named)  # (batch, questions, glimpses, cells)
        where, values = (SHARP * scores).softmax(dim=-1), self.values(grids)
        seen = glimpses_times(where, values).flatten(2)
        amounts = self.amounts(scores, values, named, sizes["rows"])
        measured = torch.cat([measure(scores, where, sizes["rows"]), amounts], dim=-1)
        each = measured.unbind(dim=2)
        apart = [each[one] - each[other] for one, other in PAIRS]
        compared = self.compare(torch.cat([*apart, *each], dim=-1))
        product = torch.tanh(self.asked(last)) * torch.tanh(self.found(seen))
        modulated = self.weigh(last) * compared
        logits = self.answer(torch.cat([product, modulated, measured.flatten(2), last], dim=-1))
        looked = where.unflatten(-1, grids.shape[2:])
        return Looked(logits, read, query, looked)

    def values(self, grids: Tensor) -> Tensor:
        """Return what is taken from each cell, (batch, cells, value); it knows the cells around."""
        values = torch.relu(self.value(grids.flatten(2).mT))
        near = self.around(values.mT.unflatten(2, grids.shape[2:]))  # edges, ends, gaps between two
        return values + torch.relu(near).flatten(2).mT

    def amounts(self, scores: Tensor, values: Tensor, named: Tensor, rows: int) -> Tensor:
        """Return how much each glimpse finds, (…, glimpses, meters + outlines + named).

        Softmax attention always sums to one: it cannot count. So a cell is judged on its own,
        σ(score - threshold), and two sorts of sums go over the cells: what is in the cells that are
        found, and the outlines, corners and ends of the patch that they form. At last, of each of
        the eye's words: is it said in any cell that is found? However large a dog, it has one
        colour; a red and a blue one that touch are two.
        """
        found = torch.sigmoid(scores - self.threshold)  # (batch, questions, glimpses, cells)
        things = glimpses_times(found, torch.relu(self.meter(values)))
        patches = outlines(found.unflatten(-1, (rows, -1)), self.outline)
        said = 1 - torch.exp(-glimpses_times(found, named.mT))  # one loud cell is enough
        return torch.cat([things / 4, patches / 4, said], dim=-1)


def outlines(maps: Tensor, layer: nn.Conv2d) -> Tensor:
    """Return the sum over the cells, after a ReLU, of what each 3 × 3 filter of a layer finds.

    A convolution is a product of its weights and nine shifted copies of what it reads. With so
    small maps and a single channel that takes half the time of ``layer`` itself.

    Args:
        maps: (..., rows, columns).
        layer: a convolution of one channel, 3 × 3, with padding 1.

    Returns:
        (..., filters), none negative.
    """
    rows, columns = maps.shape[-2:]
    padded = pad(maps, (1, 1, 1, 1))
    shifted = torch.stack(
        [padded[..., y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    )
    weights, bias = layer.weight.flatten(1), layer.bias[:, None]  # (filters, 9), (filters, 1)
    found = torch.relu(torch.addmm(bias, weights, shifted.flatten(1)))
    return found.unflatten(1, maps.shape).sum(dim=(-2, -1)).movedim(0, -1)


def glimpses_times(rows: Tensor, matrices: Tensor) -> Tensor:
    """Return the products of all glimpses at a picture with the matrix of that picture.

    Args:
        rows: (batch, questions, glimpses, n).
        matrices: (batch, n, m), one a picture; ``rows @ matrices[:, None]`` would copy each of them
            for each question.

    Returns:
        (batch, questions, glimpses, m)
    """
    return (rows.flatten(1, 2) @ matrices).unflatten(1, rows.shape[1:3])


def read_in_turn(scores: Tensor, there: Tensor) -> Tensor:
    """Return how much each glimpse reads each word; what one has read is closed to the next.

    Args:
        scores: (items, words, glimpses), how much each glimpse wants each word.
        there: (items, words) bool.

    Returns:
        of the shape of ``scores``, summing to one over the words that are there, 0 elsewhere.
    """
    scores, free, turns = scores.masked_fill(~there[..., None], float("-inf")), 0.0, []
    for wanted in scores.unbind(dim=2):
        turns.append((wanted + free).softmax(dim=1))
        free = free + 3 * torch.log1p(-0.999 * turns[-1])
    return torch.stack(turns, dim=2)


def measure(scores: Tensor, where: Tensor, rows: int) -> Tensor:
    """Return what a glimpse measures: place, spread, and how well the best cell suits.

    Place and spread are the mean and the variance of the cells' coordinates under the attention
    ``where``, x then y, from -1 (left, top) to 1.

    Args:
        scores, where: (..., glimpses, cells), row by row.

    Returns:
        (..., glimpses, 5)
    """
    at = coordinates(rows, where.shape[-1] // rows).to(where).flatten(1).mT  # (cells, 2)
    place = where @ at
    spread = where @ at.square() - place.square()
    best = torch.tanh(scores.amax(dim=-1, keepdim=True) / 4)
    return torch.cat([place, 2 * spread, best], dim=-1)


def check_batch(grids: Tensor, questions: Tensor, config: VqaConfig) -> dict[str, int]:
    """Refuse grids and questions that do not fit each other or the model; return their sizes."""
    sizes = check_shape(grids, f"batch {config.channels} rows columns", name="grids")
    check_floating(grids, name="grids")
    sizes |= check_shape(questions, f"{sizes['batch']} questions words", name="questions")
    if questions.dtype != torch.int64:
        raise TypeError(f"questions have dtype {questions.dtype}: encode_questions gives int64")
    if bool((questions[..., 0] == 0).any()):
        raise ValueError("a question has no first word (number 0): leave it out")
    return sizes


def surprise(logits: Tensor, answers: Tensor) -> Tensor:
    """Return the mean cross-entropy of answers (batch, questions) under their logits."""
    return cross_entropy(logits.flatten(0, 1), answers.flatten())


def vqa_loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the mean ``surprise`` at a batch (grids, questions, answers) of ``examples``."""
    grids, questions, answers = batch
    return surprise(model(grids, questions), answers)


def priced_loss(model: StackedAttention, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return ``vqa_loss`` and a small price on all that the glimpses want.

    Without a price, a glimpse that reads "bell" may as well want everything but bells.
    """
    grids, questions, answers = batch
    found = model.look(grids, questions)
    return surprise(found.answers, answers) + PRICE * found.wanted.sum(dim=-1).mean()


def train(
    model: nn.Module,
    data: tuple[Tensor, Tensor, Tensor],
    *,
    steps: int,
    generator: torch.Generator,
    progress: bool = True,
) -> History:
    """Train any of the models on ``examples``, in batches of 24 pictures, and tell how it went.

    The learning rate rises in the first twentieth of the steps and falls along half a cosine.
    """

    def warm_then_cool(share: float) -> float:
        return min(1.0, 20 * share) * (0.5 + 0.5 * math.cos(math.pi * share))

    return fit(
        model,
        Batches(data, batch_size=24, generator=generator),
        priced_loss if isinstance(model, StackedAttention) else vqa_loss,
        generator=generator,
        steps=steps,
        optimizer=torch.optim.Adam(model.parameters(), lr=4e-3, fused=True),
        schedule=warm_then_cool,
        progress=progress,
    )


def best_answers(
    model: nn.Module, grids: Tensor, questions: Tensor, *, batch_size: int = 128
) -> Tensor:
    """Return int64 (scenes, questions): the place in ``ANSWERS`` of each most probable answer."""
    batches = Batches((grids, questions), batch_size=batch_size)
    return predict(model, batches, lambda m, batch: m(*batch).argmax(dim=-1))


def answer_question(
    model: nn.Module, grid: Tensor, text: str, vocabulary: Vocabulary, *, k: int = 3
) -> list[tuple[str, float]]:
    """Answer one question about one picture: the ``k`` best answers and their probabilities.

    Args:
        grid: (channels, rows, columns), what the eye sees.
        text: the question as a person types it.

    Raises:
        UnknownWordError: a word is not in the vocabulary; the message suggests others.
        ValueError: there is no word at all.
    """
    questions = encode_questions([[text]], vocabulary)
    batch = Batches((grid[None], questions), batch_size=1)
    chances = predict(model, batch, lambda m, pair: m(*pair).softmax(dim=-1))[0, 0]
    return [(ANSWERS[i], float(chances[i])) for i in chances.topk(k).indices.tolist()]


def look_for(model: StackedAttention, grid: Tensor, text: str, vocabulary: Vocabulary) -> Look:
    """Return what each glimpse reads and where it looks for one question about one picture.

    Arguments and errors are those of ``answer_question``.
    """
    questions = encode_questions([[text]], vocabulary)
    with torch.no_grad():
        found = model.look(*(t.to(model.threshold.device) for t in (grid[None], questions)))
    return Look(pieces_of(text, vocabulary), *(t[0, 0].cpu() for t in found[1:]))


def hits_by_type(predicted: Tensor, questions: Sequence[Sequence[Question]]) -> dict[str, Tensor]:
    """Return for each type of question bool (questions of it,): was the answer right?

    Args:
        predicted: (scenes, questions), places in ``ANSWERS``.
    """
    hits: dict[str, list[bool]] = {}
    for row, asked in zip(predicted.tolist(), questions, strict=True):
        for place, question in zip(row, asked, strict=True):
            hits.setdefault(question.type, []).append(ANSWERS[place] == question.answer)
    return {kind: torch.tensor(found) for kind, found in hits.items()}


def most_frequent_answers(
    training: Sequence[Sequence[Question]], questions: Sequence[Sequence[Question]]
) -> Tensor:
    """Answer each question with what its type is answered most often in training.

    Returns:
        (scenes, questions), places in ``ANSWERS``.
    """
    counts = {q.type: torch.zeros(len(ANSWERS)) for asked in training for q in asked}
    for asked in training:
        for q in asked:
            counts[q.type][ANSWERS.index(q.answer)] += 1
    best = {kind: int(count.argmax()) for kind, count in counts.items()}
    return torch.tensor([[best[q.type] for q in asked] for asked in questions])
