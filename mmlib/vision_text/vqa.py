"""Visual question answering: a picture and a question in words; the answer is one of a list.

Chapter: notebooks/vision_text/08_vqa. Sources: Antol et al., "VQA: Visual Question Answering",
ICCV 2015 (A15: two streams, point-wise multiplication); Yang et al., "Stacked Attention Networks
for Image Question Answering", CVPR 2016 (Y16); Perez et al., "FiLM: Visual Reasoning with a General
Conditioning Layer", AAAI 2018 (P18).

A model takes one image and one question an item: an image vector (batch, features) or a feature
grid (batch, channels, rows, columns), both of a frozen image encoder; questions int64
(batch, words), numbers of words and then zeros. It gives logits (batch, answers). Data come by
scenes, several questions each (``VqaData``); ``pair_up`` makes items of them.

Other than in the papers: the sizes; image vectors and grids are standardised over the training set
(A15 divides a vector by its length); one hidden layer in the classifier instead of two.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence

from mmlib.data.batches import Batches
from mmlib.data.standardise import Standardise
from mmlib.data.visual_questions import encode_questions
from mmlib.data.vocabulary import Vocabulary
from mmlib.foundations.pretraining import ImageClassifier, encode
from mmlib.shapes import check_shape
from mmlib.training import predict
from mmlib.vision_text.attention import add_coordinates
from mmlib.world.pictures import draw
from mmlib.world.questions import ANSWERS, TYPES, Question, ask
from mmlib.world.sampling import sample_scenes
from mmlib.world.scenes import Scenes

DRAWN_AT_ONCE = 250  # pictures, which are large, in memory at a time
WEIGHTS = Path(__file__).parent / "weights"


class VqaData(NamedTuple):
    """Scenes, what the image encoder makes of their pictures, and questions about each."""

    scenes: Scenes
    grids: Tensor  # (scenes, channels, rows, columns)
    questions: list[list[Question]]


def make_vqa_data(
    count: int,
    encoder: nn.Module,
    *,
    generator: torch.Generator,
    per_scene: int = 6,
    types: Sequence[str] = TYPES,
    objects: tuple[int, int] = (1, 3),
) -> VqaData:
    """Sample ``count`` scenes, encode their pictures and ask ``per_scene`` questions about each.

    Args:
        encoder: pictures (batch, 3, height, width) → grids, such as ``GridEncoder``.
        types: of the questions; one named twice is asked twice as often.
        objects: fewest and most in a scene.
    """
    least, slots = objects
    scenes = sample_scenes(count, generator=generator, slots=slots, least=least, split="train")
    grids = []
    for start in range(0, count, DRAWN_AT_ONCE):
        pictures = draw(scenes[start : start + DRAWN_AT_ONCE], generator=generator)
        grids.append(encode(encoder, pictures))
    questions = ask(scenes, per_scene=per_scene, generator=generator, types=types)
    return VqaData(scenes, torch.cat(grids), questions)


def encode_data(
    data: VqaData, vocabulary: Vocabulary, *, answers: Sequence[str] = ANSWERS
) -> tuple[Tensor, Tensor]:
    """Return questions (scenes, questions, words) and answers (scenes, questions), both int64."""
    texts = [[question.text for question in asked] for asked in data.questions]
    true = [[answers.index(question.answer) for question in asked] for asked in data.questions]
    return encode_questions(texts, vocabulary), torch.tensor(true)


class GridEncoder(nn.Module):
    """A frozen image classifier as an encoder: of each cell its features and word probabilities."""

    def __init__(self, classifier: ImageClassifier) -> None:
        super().__init__()
        self.encoder, self.words = classifier.encoder, classifier.words

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (batch, channels, rows, columns) for pictures (batch, 3, height, width)."""
        grid = self.encoder(pictures)
        return torch.cat([grid, torch.sigmoid(self.words(grid))], dim=1)


class QuestionEncoder(nn.Module):
    """Word vectors and an LSTM over them: its hidden state h and cell c after the last word."""

    def __init__(self, words: int, *, embedding: int, hidden: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, embedding, padding_idx=0)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)

    def forward(self, questions: Tensor) -> tuple[Tensor, Tensor]:
        """Return h and c, each (batch, hidden), for questions int64 (batch, words)."""
        check_shape(questions, "batch words", name="questions")
        lengths = (questions != 0).sum(dim=1).cpu()
        packed = pack_padded_sequence(
            self.embed(questions), lengths, batch_first=True, enforce_sorted=False
        )
        _, (h, c) = self.lstm(packed)
        return h[0], c[0]


FUSIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # of v and q, both (batch, joint)
    "product": lambda v, q: v * q,
    "sum": lambda v, q: v + q,
    "concatenation": lambda v, q: torch.cat([v, q], dim=1),
    "question only": lambda v, q: q,
    "image only": lambda v, q: v,
}


class TwoStream(nn.Module):
    """A vector for the image, one for the question, their point-wise product (A15 section 4).

    Args:
        words: of the vocabulary.
        standardise: the layer fitted on the training set's image vectors.
        fusion: one of ``FUSIONS``; all but ``"product"`` are baselines.
    """

    def __init__(
        self,
        words: int,
        standardise: Standardise,
        *,
        fusion: str = "product",
        embedding: int = 64,
        hidden: int = 256,
        joint: int = 512,
        answers: int = len(ANSWERS),
    ) -> None:
        super().__init__()
        if fusion not in FUSIONS:
            raise ValueError(f"fusion is {fusion!r}, choose one of {', '.join(FUSIONS)}")
        self.fusion, self.standardise = fusion, standardise
        self.question = QuestionEncoder(words, embedding=embedding, hidden=hidden)
        self.to_q = nn.Linear(2 * hidden, joint)
        self.to_v = nn.Linear(len(standardise.mean), joint)
        fused = 2 * joint if fusion == "concatenation" else joint
        self.answer = nn.Sequential(nn.Linear(fused, joint), nn.Tanh(), nn.Linear(joint, answers))

    def forward(self, images: Tensor, questions: Tensor) -> Tensor:
        """Return logits (batch, answers) for image vectors (batch, features) and questions."""
        v = torch.tanh(self.to_v(self.standardise(images)))  # (batch, joint)
        h, c = self.question(questions)
        q = torch.tanh(self.to_q(torch.cat([h, c], dim=1)))  # (batch, joint)
        return self.answer(FUSIONS[self.fusion](v, q))


class StackedAttention(nn.Module):
    """Attend to the cells of the grid, add what was found to the query, attend again (Y16)."""

    def __init__(
        self,
        words: int,
        standardise: Standardise,
        *,
        embedding: int = 64,
        hidden: int = 128,
        attention: int = 128,
        hops: int = 2,
        answers: int = len(ANSWERS),
    ) -> None:
        super().__init__()
        self.standardise = standardise
        self.question = QuestionEncoder(words, embedding=embedding, hidden=hidden)
        self.to_v = nn.Linear(len(standardise.mean), hidden)
        self.image = nn.ModuleList(nn.Linear(hidden, attention, bias=False) for _ in range(hops))
        self.query = nn.ModuleList(nn.Linear(hidden, attention) for _ in range(hops))
        self.score = nn.ModuleList(nn.Linear(attention, 1) for _ in range(hops))
        self.answer = nn.Linear(hidden, answers)

    def forward(self, images: Tensor, questions: Tensor) -> Tensor:
        """Return logits (batch, answers) for grids (batch, channels, rows, columns)."""
        return self.attend(images, questions)[0]

    def attend(self, images: Tensor, questions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and each hop's attention weights (batch, hops, rows, columns)."""
        cells = self.standardise(images).flatten(2).mT  # (batch, cells, channels)
        v = torch.tanh(self.to_v(cells))  # (2): v_I, (batch, cells, hidden)
        u, _ = self.question(questions)  # v_Q, (batch, hidden)
        weights = []
        for image, query, score in zip(self.image, self.query, self.score, strict=True):
            h = torch.tanh(image(v) + query(u)[:, None])  # (15), (19)
            p = score(h)[..., 0].softmax(dim=1)  # (16), (20): (batch, cells)
            u = torch.einsum("bc,bch->bh", p, v) + u  # (17, 18), (21, 22)
            weights.append(p.unflatten(1, images.shape[2:]))
        return self.answer(u), torch.stack(weights, dim=1)  # (23)


class FilmBlock(nn.Module):
    """A residual block of which the question scales and shifts the features (P18 figure 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(channels + 2, channels, 1)
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels, affine=False)

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """Return the shape of ``x``; γ and β are (batch, channels)."""
        x = torch.relu(self.pointwise(add_coordinates(x)))
        modulated = gamma[..., None, None] * self.norm(self.spatial(x)) + beta[..., None, None]
        return x + torch.relu(modulated)  # P18 equation 2 in the middle


class Film(nn.Module):
    """Convolutions on the grid, modulated by the question feature by feature (P18 section 3)."""

    def __init__(
        self,
        words: int,
        standardise: Standardise,
        *,
        embedding: int = 64,
        hidden: int = 128,
        channels: int = 64,
        blocks: int = 2,
        classifier: int = 128,
        answers: int = len(ANSWERS),
    ) -> None:
        super().__init__()
        self.standardise = standardise
        self.question = QuestionEncoder(words, embedding=embedding, hidden=hidden)
        self.film = nn.Linear(hidden, 2 * blocks * channels)
        self.stem = _normed(len(standardise.mean) + 2, channels)
        self.blocks = nn.ModuleList(FilmBlock(channels) for _ in range(blocks))
        self.top = _normed(channels + 2, classifier)
        self.answer = nn.Sequential(
            nn.Linear(classifier, classifier), nn.ReLU(), nn.Linear(classifier, answers)
        )

    def forward(self, images: Tensor, questions: Tensor) -> Tensor:
        """Return logits (batch, answers) for grids (batch, channels, rows, columns)."""
        x = self.stem(add_coordinates(self.standardise(images)))
        h, _ = self.question(questions)
        parameters = self.film(h).unflatten(1, (len(self.blocks), 2, -1))
        for block, (change, beta) in zip(self.blocks, parameters.permute(1, 2, 0, 3), strict=True):
            x = block(x, 1 + change, beta)  # γ = 1 + Δγ: at first nothing is scaled away
        return self.answer(self.top(add_coordinates(x)).amax(dim=(2, 3)))


def _normed(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs), nn.ReLU())


def pair_up(images: Tensor, questions: Tensor) -> tuple[Tensor, Tensor]:
    """Return items of (image, question): each image again for each of its questions.

    Args:
        images: (scenes, ...).
        questions: (scenes, questions, words).

    Returns:
        (scenes · questions, ...) and (scenes · questions, words).
    """
    return images.repeat_interleave(questions.shape[1], dim=0), questions.flatten(0, 1)


def vqa_loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the mean cross-entropy of the true answers.

    Args:
        batch: images (scenes, ...), questions (scenes, questions, words), answers int64
            (scenes, questions).
    """
    images, questions, answers = batch
    return cross_entropy(model(*pair_up(images, questions)), answers.flatten())


def probabilities(model: nn.Module, images: Tensor, questions: Tensor) -> Tensor:
    """Return the probability of each answer, (scenes, questions, answers).

    Args:
        images: (scenes, ...) and **questions** (scenes, questions, words), as in ``pair_up``.
    """
    batches = Batches((images, questions), batch_size=64)

    def output(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        logits = model(*pair_up(*batch))
        return logits.softmax(dim=1).unflatten(0, batch[1].shape[:2])

    return predict(model, batches, output)


def most_frequent_answers(training: VqaData, data: VqaData) -> Tensor:
    """Answer each question with the answer that its type has most often in training.

    Returns:
        (scenes, questions), numbers of answers in ``ANSWERS``: a baseline that neither looks nor
        reads.
    """
    counts: dict[str, Counter[str]] = {}
    for question in chain.from_iterable(training.questions):
        counts.setdefault(question.type, Counter())[question.answer] += 1
    best = {name: ANSWERS.index(count.most_common(1)[0][0]) for name, count in counts.items()}
    return torch.tensor([[best[q.type] for q in asked] for asked in data.questions])


def hits_by_type(predicted: Tensor, data: VqaData) -> dict[str, Tensor]:
    """Return for each type of question, and for "all", which were answered rightly, bool.

    Args:
        predicted: (scenes, questions), numbers of answers in ``ANSWERS``.
    """
    flat = list(chain.from_iterable(data.questions))
    hits = predicted.flatten() == torch.tensor([ANSWERS.index(q.answer) for q in flat])
    by_type = {name: hits[[q.type == name for q in flat]] for name in TYPES}
    return {name: hit for name, hit in by_type.items() if len(hit)} | {"all": hits}


SHIPPED = {"attention": StackedAttention, "film": Film}


def load_shipped(name: str, vocabulary: Vocabulary) -> tuple[nn.Module, dict[str, str]]:
    """Return a model with the weights of the longer training, in evaluation mode.

    Args:
        name: one of ``SHIPPED``.
        vocabulary: of the questions that it will be asked.

    Returns:
        the model, and facts on its training: ``"minutes"`` and ``"scenes"``.

    Raises:
        FileNotFoundError: the weights are not there; the error says how to make them.
        ValueError: the vocabulary is another than in training.
    """
    path = WEIGHTS / f"vqa_{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: make weights trains it")
    weights = {key: value.float() for key, value in load_file(path).items()}
    with safe_open(path, framework="pt") as file:
        facts = file.metadata()
    words = tuple(facts.pop("words").split())
    if words != vocabulary.words:
        other = ", ".join(sorted(set(words) ^ set(vocabulary.words)))
        raise ValueError(f"the weights know other words than the vocabulary: {other}")
    model = SHIPPED[name](len(words), Standardise(len(weights["standardise.mean"])))
    model.load_state_dict(weights)
    return model.eval(), facts
