"""A shared space for pictures and words: pull matching pairs together, push the others apart.

Chapter: notebooks/vision_text/03_visual_semantic. Sources: Frome et al., "DeViSE: A Deep
Visual-Semantic Embedding Model", NIPS 2013 (F13); Kiros, Salakhutdinov and Zemel, "Unifying
Visual-Semantic Embeddings with Multimodal Neural Language Models", 2014 (K14); Faghri et al.,
"VSE++", BMVC 2018 (F18); van den Oord et al., 2018 (InfoNCE); Radford et al., "CLIP", ICML 2021.

An image is a vector (features,) of a frozen image encoder; a text is a row of numbers of words,
int64, with zeros behind its end. Both become vectors of length 1 in one space (joint,), and their
cosine says how well they match. A loss takes the similarities (pairs, pairs) of a batch: images in
rows, texts in columns, the true pairs on the diagonal.

Other than in the papers: the sizes; one training for all words, not for names of classes alone
(F13); features are standardised over the training set.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, normalize
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from mmlib.data.batches import Batches
from mmlib.data.standardise import Standardise
from mmlib.data.word_vectors import WordVectors
from mmlib.foundations.pretraining import ImageEncoder, encode, pooled
from mmlib.metrics import retrieval_ranks
from mmlib.shapes import check_shape
from mmlib.training import predict
from mmlib.vision_text.deep_boltzmann import multi_hot
from mmlib.world import words
from mmlib.world.pictures import draw
from mmlib.world.reading import parse
from mmlib.world.sampling import sample_scenes
from mmlib.world.scenes import CATEGORIES, COLOURS, SCENE_CLASSES, Scenes

DRAWN_AT_ONCE = 250  # pictures, which are large, in memory at a time
LONGEST = 32  # words that ``Clip`` can read
TAGS = (*CATEGORIES, *COLOURS, *SCENE_CLASSES, "day", "night")


class Pairs(NamedTuple):
    """Scenes, what the image encoder makes of their pictures, and captions of each."""

    scenes: Scenes
    features: Tensor  # (scenes, features): mean and maximum over the encoder's grid
    pictures: Tensor  # (scenes, 3, 32, 32), for an encoder of one's own
    captions: list[list[str]]


def make_pairs(
    count: int,
    encoder: ImageEncoder,
    *,
    generator: torch.Generator,
    per_scene: int = 1,
    objects: tuple[int, int] = (1, 3),
    forms: Sequence[str] = ("inventory",),
    split: str = "train",
) -> Pairs:
    """Sample ``count`` scenes, draw and encode their pictures and describe each.

    Args:
        per_scene: captions of a scene.
        objects: fewest and most in a scene.
        forms: what the captions do, of ``words.FORMS``.
        split: as in ``sample_scenes``.
    """
    least, slots = objects
    scenes = sample_scenes(count, generator=generator, slots=slots, least=least, split=split)
    features, small = [], []
    for start in range(0, count, DRAWN_AT_ONCE):
        pictures = draw(scenes[start : start + DRAWN_AT_ONCE], generator=generator)
        features.append(pooled(encode(encoder, pictures)))
        small.append(avg_pool2d(pictures, 2))
    captions = words.captions(scenes, per_scene=per_scene, generator=generator, forms=forms)
    return Pairs(scenes, torch.cat(features), torch.cat(small), captions)


def encode_texts(texts: Iterable[str], vectors: WordVectors) -> Tensor:
    """Return the words' rows in ``vectors``, from 1, int64 (texts, words); 0 fills up.

    Raises:
        UnknownWordError: a word has no vector.
        ValueError: there is no text, or one without words.
    """
    rows = [torch.tensor([vectors.row(w) + 1 for w in text.split()]) for text in texts]
    if not rows or min(map(len, rows)) == 0:
        raise ValueError("texts holds nothing, or a text without words: leave it out")
    return pad_sequence(rows, batch_first=True)


class MeanOfWords(nn.Module):
    """The mean of a text's word vectors, then a linear layer: word order is lost (as in K14)."""

    def __init__(self, dim: int, joint: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, joint)

    def forward(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Return (texts, joint) for word vectors (texts, words, dim), 0 where is none."""
        return self.linear(embedded.sum(dim=1) / lengths[:, None])


class GruOfWords(nn.Module):
    """The last hidden state of a GRU that reads the word vectors in order (F18)."""

    def __init__(self, dim: int, joint: int) -> None:
        super().__init__()
        self.gru = nn.GRU(dim, joint, batch_first=True)

    def forward(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Return (texts, joint) for word vectors (texts, words, dim)."""
        packed = pack_padded_sequence(
            embedded, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        return self.gru(packed)[1][0]


TEXT_ENCODERS = {"mean": MeanOfWords, "GRU": GruOfWords}


class VisualSemantic(nn.Module):
    """Two encoders into one space: a linear layer for images, word vectors and ``text`` for texts.

    Args:
        vectors: of the words; they stay as they are.
        standardise: the layer fitted on the training set's image features.
        text: one of ``TEXT_ENCODERS``.
        joint: size of the shared space.
    """

    def __init__(
        self,
        vectors: WordVectors,
        standardise: Standardise,
        *,
        text: str = "mean",
        joint: int = 128,
    ) -> None:
        super().__init__()
        if text not in TEXT_ENCODERS:
            raise ValueError(f"text is {text!r}, choose one of {', '.join(TEXT_ENCODERS)}")
        table = vectors.vectors / vectors.vectors.norm(dim=1).mean()
        table = nn.functional.pad(table, (0, 0, 1, 0))  # row 0: no word
        self.embed = nn.Embedding.from_pretrained(table, padding_idx=0)  # frozen
        self.text = TEXT_ENCODERS[text](table.shape[1], joint)
        self.standardise = standardise
        self.image = nn.Linear(len(standardise.mean), joint)

    def embed_images(self, features: Tensor) -> Tensor:
        """Return (images, joint), of length 1, for features (images, features)."""
        return normalize(self.image(self.standardise(features)), dim=1)

    def embed_texts(self, texts: Tensor) -> Tensor:
        """Return (texts, joint), of length 1, for int64 (texts, words)."""
        check_shape(texts, "texts words", name="texts")
        return normalize(self.text(self.embed(texts), (texts != 0).sum(dim=1)), dim=1)


def violations(similarity: Tensor, *, margin: float) -> tuple[Tensor, Tensor]:
    """Return by how much each negative comes too near, twice (pairs, pairs), 0 on the diagonal.

    First max(0, α − s(i, c) + s(i, ĉ)), other texts ĉ for the image i of a row; then
    max(0, α − s(i, c) + s(î, c)), other images î for the text c of a column.
    """
    check_shape(similarity, "pairs pairs", name="similarity")
    true = similarity.diagonal()
    own = torch.eye(len(true), dtype=torch.bool, device=true.device)
    texts = (margin - true[:, None] + similarity).clamp(min=0).masked_fill(own, 0)
    images = (margin - true[None, :] + similarity).clamp(min=0).masked_fill(own, 0)
    return texts, images


def hinge_sum(similarity: Tensor, *, margin: float = 0.2) -> Tensor:
    """Return the violations of all negatives, summed, mean over the pairs (K14; SH of F18)."""
    texts, images = violations(similarity, margin=margin)
    return texts.sum(dim=1).mean() + images.sum(dim=0).mean()


def hinge_hardest(similarity: Tensor, *, margin: float = 0.2) -> Tensor:
    """Return the violation of the hardest negative alone, mean over the pairs (MH of F18)."""
    texts, images = violations(similarity, margin=margin)
    return texts.amax(dim=1).mean() + images.amax(dim=0).mean()


def info_nce(similarity: Tensor, *, temperature: float | Tensor = 0.07) -> Tensor:
    """Return the cross-entropy of finding the true text and the true image, averaged (CLIP)."""
    check_shape(similarity, "pairs pairs", name="similarity")
    logits = similarity / temperature
    own = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2


LOSSES = {"hinge, sum": hinge_sum, "hinge, hardest": hinge_hardest, "InfoNCE": info_nce}


def pair_loss(loss: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, tuple], Tensor]:
    """Return the loss of a batch (features, texts int64 (pairs, captions, words)) for ``fit``.

    One caption of each image is drawn; all others in the batch are its negatives.
    """

    def of_batch(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        images, texts = batch
        drawn = torch.randint(texts.shape[1], (len(texts),)).to(texts.device)
        texts = texts[torch.arange(len(texts), device=texts.device), drawn]
        return loss(model.embed_images(images) @ model.embed_texts(texts).T)

    return of_batch


def embeddings(model: nn.Module, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the embeddings of many images and of many texts, (images, joint), (texts, joint)."""
    return (
        predict(model, Batches(images, batch_size=256), lambda m, batch: m.embed_images(batch)),
        predict(model, Batches(texts, batch_size=256), lambda m, batch: m.embed_texts(batch)),
    )


def ranks_both_ways(similarity: Tensor, owner: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the rank of each image's best own text, and of each text's image; 1 is best.

    Args:
        similarity: (images, texts).
        owner: int64 (texts,), the image that each text describes; ``None`` takes image i for text
            i. Every image needs a text.

    Returns:
        (images,) and (texts,) int64; a tie counts against the model.
    """
    sizes = check_shape(similarity, "images texts", name="similarity")
    if owner is None:
        owner = torch.arange(sizes["texts"])
    to_image = retrieval_ranks(similarity.T, owner)
    mine = owner == torch.arange(sizes["images"])[:, None]  # (images, texts)
    if not bool(mine.any(dim=1).all()):
        raise ValueError(f"image {int((~mine.any(dim=1)).nonzero()[0])} has no text: leave it out")
    best = similarity.masked_fill(~mine, -torch.inf).amax(dim=1, keepdim=True)
    return ((similarity >= best) & ~mine).sum(dim=1) + 1, to_image


def true_of(captions: Sequence[str], scenes: Scenes) -> Tensor:
    """Return of which scenes each inventory is true, bool (scenes, captions).

    Raises:
        ValueError: a caption is no inventory.
    """
    same: dict[tuple, list[int]] = {}
    for number, objects in enumerate(scenes.objects()):
        around = scenes.scene_class_name(number), bool(scenes.night[number])
        for coloured in (True, False):
            named = Counter((o.colour if coloured else None, o.category) for o in objects)
            same.setdefault((*around, frozenset(named.items())), []).append(number)
    true = torch.zeros(len(scenes), len(captions), dtype=torch.bool)
    for column, caption in enumerate(captions):
        claims = parse(caption.split())
        if claims is None or claims.form != "inventory":
            raise ValueError(f"{caption!r} is no inventory: ask for captions of that form alone")
        named = frozenset(((m.colour, m.category), m.count) for m in claims.mentions)
        true[same.get((claims.scene_class, claims.night, named), []), column] = True
    return true


def tag_labels(scenes: Scenes) -> Tensor:
    """Return which of ``TAGS`` are true of each scene, bool (scenes, tags)."""
    return multi_hot(words.true_tags(scenes), TAGS).bool()


def avoid_words(caption: str, avoided: Sequence[str]) -> str:
    """Say the canonical word instead of each of ``avoided``, singular or plural."""
    found = re.compile(rf"\b({'|'.join(avoided)})(s?)\b")
    caption = found.sub(lambda match: words.canonical(match[1]) + match[2], caption)
    return re.sub(r"\ban (?=[^aeiou])", "a ", caption)  # an automobile: a car


class Analogies(NamedTuple):
    """Questions "this picture, minus a word, plus a word", all of one sort."""

    source: Tensor  # (questions,) which picture
    minus: list[str]  # (questions,)
    plus: list[str]
    right: Tensor  # (questions, pictures) bool: shows what is asked for, and all else as before


CHANGES = {  # what an analogy changes: the words for the values of a column of ``facts``
    "category": CATEGORIES,
    "colour": COLOURS,
    "scene class": SCENE_CLASSES,
    "time": ("by day", "at night"),
}


def facts(scenes: Scenes) -> Tensor:
    """Return category, colour, scene class and night of scenes of one object, int64 (scenes, 4)."""
    if scenes.slots != 1:
        raise ValueError(f"the scenes have {scenes.slots} slots: sample them with objects=(1, 1)")
    columns = scenes.category[:, 0], scenes.colour[:, 0], scenes.scene_class, scenes.night.long()
    return torch.stack(columns, dim=1)


def make_analogies(scenes: Scenes, change: str, *, generator: torch.Generator) -> Analogies:
    """Ask one question about each scene of one object, if some scene holds the answer.

    Args:
        change: one of ``CHANGES``, to another value drawn at random; or "action", from a bird that
            flies to a boat of its colour that sails.
    """
    known, number = facts(scenes), len(scenes)
    wanted = known.clone()
    if change == "action":
        asked = scenes.flying()[:, 0]
        wanted[:, 0], wanted[:, 2] = CATEGORIES.index("boat"), SCENE_CLASSES.index("beach")
        minus, plus = ["bird flying"] * number, ["boat sailing"] * number
    else:
        column, names = list(CHANGES).index(change), CHANGES[change]
        other = torch.randint(1, len(names), (number,), generator=generator)
        wanted[:, column] = (known[:, column] + other) % len(names)
        asked = torch.ones(number, dtype=torch.bool)
        minus, plus = ([names[i] for i in rows[:, column].tolist()] for rows in (known, wanted))
    right = (wanted[:, None] == known[None]).all(dim=2)
    source = (asked & right.any(dim=1)).nonzero()[:, 0]
    chosen = source.tolist()
    return Analogies(source, [minus[i] for i in chosen], [plus[i] for i in chosen], right[source])


def nearest_pictures(queries: Tensor, images: Tensor, source: Tensor) -> Tensor:
    """Return the picture nearest to each query by cosine, its source left out, int64 (queries,)."""
    similarity = normalize(queries, dim=1) @ images.T  # images have length 1
    return similarity.scatter(1, source[:, None], -torch.inf).argmax(dim=1)


class Clip(nn.Module):
    """CLIP in small: both encoders from scratch, and the temperature is learned (figure 3 there).

    Args:
        words: rows of the word table, the 0 of padding among them.
    """

    def __init__(self, words: int, *, width: int = 64, joint: int = 64) -> None:
        super().__init__()
        layers, channels = [], 3
        for out in (32, 64, 128):  # 32 × 32 → 16 × 16 → 8 × 8 → 4 × 4
            layers += [nn.Conv2d(channels, out, 4, 2, 1), nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
        self.image = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 4 * 4, joint))
        self.embed = nn.Embedding(words, width, padding_idx=0)
        self.position = nn.Parameter(0.01 * torch.randn(LONGEST, width))
        self.text = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
        self.to_joint = nn.Linear(width, joint)
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def embed_images(self, pictures: Tensor) -> Tensor:
        """Return (images, joint), of length 1, for pictures (images, 3, 32, 32)."""
        return normalize(self.image(pictures - 0.5), dim=1)

    def embed_texts(self, texts: Tensor) -> Tensor:
        """Return (texts, joint), of length 1, for int64 (texts, words); 0 is no word."""
        absent = texts == 0
        read = self.embed(texts) + self.position[: texts.shape[1]]
        read = self.text(read, src_key_padding_mask=absent)
        read = read.masked_fill(absent[..., None], 0).sum(dim=1)
        return normalize(self.to_joint(read), dim=1)


def clip_loss(model: Clip, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return InfoNCE at the model's own temperature; a batch as in ``pair_loss``."""
    temperature = (-model.log_scale).exp().clamp(min=0.01)  # the paper's bound, too
    return pair_loss(partial(info_nce, temperature=temperature))(model, batch)
