"""Text to image: a generator draws what a sentence says, a discriminator finds fault with it.

Chapter: notebooks/vision_text/07_text_to_image. Sources: Reed et al., "Generative Adversarial Text
to Image Synthesis", ICML 2016 (R16; its equation and algorithm numbers): GAN, GAN-CLS, GAN-INT and
GAN-INT-CLS; Reed et al., "Learning Deep Representations of Fine-grained Visual Descriptions", CVPR
2016 (the sentence encoder). The Fréchet distance: Heusel et al., NIPS 2017.

Pictures are (batch, 3, 32, 32) in 0 to 1; sentences int64 (batch, words) of
``data.captions.encode_captions``, or their embeddings h (batch, 64); noise z is (batch, 32).

Other than in the papers: the sizes (``GanConfig``); an LSTM over words, where R16 has convolutions
and a recurrent network over letters; the image encoder of the pretraining chapter for GoogLeNet;
embeddings are standardised before the GAN gets them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
)

from mmlib.data.batches import Batches
from mmlib.data.captions import PAD, caption_vocabulary, encode_captions
from mmlib.data.standardise import Standardise
from mmlib.data.vocabulary import Vocabulary
from mmlib.foundations.pretraining import ImageEncoder, ImageEncoderConfig
from mmlib.shapes import check_finite, check_shape, check_whole
from mmlib.training import History, fit, predict, warm_then_cool
from mmlib.world.close_ups import ATTRIBUTES, SIDE, CloseUps, attributes
from mmlib.world.scenes import Scenes

WEIGHTS = Path(__file__).parent / "weights"


def encode_sentences(
    data: CloseUps, vocabulary: Vocabulary | None = None
) -> tuple[Vocabulary, Tensor]:
    """Return a vocabulary (of these data, if none is given) and numbers (items, 5, words)."""
    texts = [sentence.split() for five in data.sentences for sentence in five]
    vocabulary = vocabulary or caption_vocabulary(texts)
    return vocabulary, encode_captions(texts, vocabulary).unflatten(0, (len(data.pictures), -1))


class TextEncoder(nn.Module):
    """φ(t): word vectors, an LSTM, and the mean of its hidden states over the words."""

    def __init__(self, words: int, *, embedding: int = 64) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, embedding, padding_idx=PAD)
        self.lstm = nn.LSTM(embedding, embedding, batch_first=True)

    def forward(self, sentences: Tensor) -> Tensor:
        """Return (batch, embedding) for sentences int64 (batch, words)."""
        check_shape(sentences, "batch words", name="sentences")
        states, _ = self.lstm(self.embed(sentences))  # (batch, words, embedding)
        there = (sentences != PAD).float()[..., None]
        return (states * there).sum(dim=1) / there.sum(dim=1)


class JointEmbedding(nn.Module):
    """A sentence encoder and a projection of image features into the same space (R16 3.2).

    Args:
        words: of the vocabulary.
        standardise: the layer fitted on the training set's image features.
    """

    def __init__(self, words: int, standardise: Standardise, *, embedding: int = 64) -> None:
        super().__init__()
        self.text, self.standardise = TextEncoder(words, embedding=embedding), standardise
        self.image = nn.Linear(len(standardise.mean), embedding)

    def forward(self, features: Tensor, sentences: Tensor) -> Tensor:
        """Return the compatibility of each image with each sentence, (images, sentences)."""
        return self.image(self.standardise(features)) @ self.text(sentences).T


def structured_loss(model: JointEmbedding, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the hinge that bounds R16 equation 2: both classifiers' mean 0-1 loss on the batch.

    Args:
        batch: features (batch, features), sentences (batch, 5, words), of which one is taken at
            random, and the items' classes (batch,); Δ is 1 between different classes.
    """
    features, sentences, classes = batch
    scores = model(features, pick_one(sentences))
    delta = (classes[:, None] != classes).float()
    right = scores.diagonal()
    of_image = (delta + scores - right[:, None]).amax(dim=1)  # never below 0: Δᵢᵢ is 0
    of_text = (delta + scores - right).amax(dim=0)
    return of_image.mean() + of_text.mean()


def fit_encoder(
    features: Tensor,
    sentences: Tensor,
    scenes: Scenes,
    words: int,
    *,
    generator: torch.Generator,
    steps: int = 300,
) -> nn.Sequential:
    """Train a ``JointEmbedding`` and return its sentence encoder, with standardised embeddings.

    Args:
        features: of the frozen image encoder, (items, features).
        sentences: (items, 5, words).
        scenes: of the items; those with equal ``attributes`` are one class.
        words: of the vocabulary.
    """
    model = JointEmbedding(words, Standardise.over(features))
    _, classes = attributes(scenes).unique(dim=0, return_inverse=True)
    fit(
        model,
        Batches((features, sentences, classes), batch_size=64, generator=generator),
        structured_loss,
        generator=generator,
        steps=steps,
        learning_rate=3e-3,
        schedule=warm_then_cool,
    )
    over = Standardise.over(embed(model.text, sentences).flatten(0, 1))
    return nn.Sequential(model.text, over).eval().requires_grad_(False)


def embed(encoder: nn.Module, sentences: Tensor) -> Tensor:
    """Return the embeddings of sentences (..., words): (..., embedding)."""
    rows = Batches(sentences.flatten(0, -2), batch_size=500)
    return predict(encoder, rows, lambda m, batch: m(batch)).unflatten(0, sentences.shape[:-1])


def pick_one(several: Tensor) -> Tensor:
    """Return one of each item's rows, (items, ...), picked by torch's global random state."""
    items, rows = several.shape[:2]
    return several[torch.arange(items), torch.randint(rows, (items,))]


@dataclass(frozen=True)
class GanConfig:
    """The sizes of generator and discriminator; those of the paper in brackets."""

    embedding: int = 64  # h (1,024)
    projected: int = 32  # h after its layer (128)
    noise: int = 32  # z (100)
    channels: int = 32  # of the widest feature maps, four times as many of the smallest


class Generator(nn.Module):
    """x̂ = G(z, φ(t)): a layer for h, then fractionally-strided convolutions, 4 to 32 pixels."""

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        c = config.channels
        self.project = _projection(config)
        self.first = nn.Sequential(
            nn.ConvTranspose2d(config.noise + config.projected, 4 * c, 4, bias=False),
            nn.BatchNorm2d(4 * c),
            nn.ReLU(),
        )
        self.grow = nn.Sequential(
            _double(4 * c, 2 * c), _double(2 * c, c), nn.ConvTranspose2d(c, 3, 4, 2, 1), nn.Tanh()
        )

    def forward(self, z: Tensor, h: Tensor) -> Tensor:
        """Return pictures (batch, 3, 32, 32) for z (batch, noise), h (batch, embedding)."""
        joined = torch.cat([z, self.project(h)], dim=1)
        return (self.grow(self.first(joined[..., None, None])) + 1) / 2


class Discriminator(nn.Module):
    """D(x, φ(t)): convolutions to 4 × 4 cells, h beside each, and one logit."""

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        c = config.channels
        self.shrink = nn.Sequential(
            nn.Conv2d(3, c, 4, 2, 1), nn.LeakyReLU(0.2), _halve(c, 2 * c), _halve(2 * c, 4 * c)
        )
        self.project = _projection(config)
        self.join = nn.Sequential(
            nn.Conv2d(4 * c + config.projected, 4 * c, 1, bias=False),
            nn.BatchNorm2d(4 * c),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * c, 1, 4),
        )

    def encode(self, pictures: Tensor) -> Tensor:
        """Return the cells of the pictures, (batch, channels, 4, 4): no sentence is needed yet."""
        check_shape(pictures, f"batch 3 {SIDE} {SIDE}", name="pictures")
        return self.shrink(2 * pictures - 1)

    def match(self, cells: Tensor, h: Tensor) -> Tensor:
        """Return logits (batch,): are the cells of a real picture that h describes?"""
        beside = self.project(h)[..., None, None].expand(-1, -1, 4, 4)
        return self.join(torch.cat([cells, beside], dim=1)).flatten()

    def forward(self, pictures: Tensor, h: Tensor) -> Tensor:
        """Return logits (batch,) for pictures (batch, 3, 32, 32), h (batch, embedding)."""
        return self.match(self.encode(pictures), h)


class TextGan(nn.Module):
    """Generator and discriminator. GAN; with matching GAN-CLS; with interpolation GAN-INT."""

    def __init__(
        self, config: GanConfig | None = None, *, matching: bool = True, interpolation: bool = False
    ) -> None:
        super().__init__()
        self.config = config or GanConfig()
        self.matching, self.interpolation = matching, interpolation
        self.generator, self.discriminator = Generator(self.config), Discriminator(self.config)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=0.02)

    def discriminator_loss(self, x: Tensor, h: Tensor) -> Tensor:
        """Return -L_D of R16's algorithm 1 for real pictures x and their sentences h."""
        z = torch.randn(len(x), self.config.noise, device=x.device)
        with torch.no_grad():
            fake = self.generator(z, h)
        cells = self.discriminator.encode(x)
        s_r = self.discriminator.match(cells, h)  # real picture, right sentence
        s_f = self.discriminator(fake, h)  # fake picture, right sentence
        if not self.matching:
            return _says(s_r, 1) + _says(s_f, 0)
        s_w = self.discriminator.match(cells, h.roll(1, dims=0))  # real picture, wrong sentence
        return _says(s_r, 1) + (_says(s_w, 0) + _says(s_f, 0)) / 2

    def generator_loss(self, h: Tensor) -> Tensor:
        """Return -L_G: fakes are to pass for real, also between two sentences (R16 eq. 5)."""
        kinds = [h, (h + h.roll(1, dims=0)) / 2] if self.interpolation else [h]  # β = ½
        losses = []
        for sentences in kinds:
            z = torch.randn(len(h), self.config.noise, device=h.device)
            losses.append(_says(self.discriminator(self.generator(z, sentences), sentences), 1))
        return torch.stack(losses).sum()


class Alternating:
    """Each batch twice: for the discriminator's step, then for the generator's (algorithm 1)."""

    def __init__(self, batches: Batches) -> None:
        self.batches, self.generator = batches, batches.generator

    def __len__(self) -> int:
        return 2 * len(self.batches)

    def __iter__(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        for x, h in self.batches:
            yield "discriminator", x, h
            yield "generator", x, h


def gan_loss(model: TextGan, batch: tuple[str, Tensor, Tensor]) -> Tensor:
    """Return the loss of the network whose turn it is; the other one gets no gradient.

    Args:
        batch: whose turn, pictures, and five embeddings each (batch, 5, embedding).
    """
    turn, x, several = batch
    model.discriminator.requires_grad_(turn == "discriminator")
    h = pick_one(several)
    return model.discriminator_loss(x, h) if turn == "discriminator" else model.generator_loss(h)


def fit_gan(
    model: TextGan,
    pictures: Tensor,
    embeddings: Tensor,
    *,
    generator: torch.Generator,
    steps: int,
) -> History:
    """Train both networks, ``steps`` of each in turn; the losses are the two's, alternating.

    Args:
        pictures: (items, 3, 32, 32).
        embeddings: of five sentences each, (items, 5, embedding).
    """
    batches = Alternating(Batches((pictures, embeddings), batch_size=32, generator=generator))
    adam = torch.optim.Adam(model.parameters(), lr=5e-4, betas=(0.5, 0.999))
    options = {"optimizer": adam, "clip": None, "generator": generator}
    return fit(model, batches, gan_loss, steps=2 * steps, **options)


def generate(model: TextGan, h: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return a picture for each embedding, (items, 3, 32, 32), each from its own noise."""
    z = torch.randn(len(h), model.config.noise, generator=generator)
    batches = Batches((z, h), batch_size=200)
    return predict(model.generator, batches, lambda network, batch: network(*batch))


def _says(logits: Tensor, real: int) -> Tensor:
    """Return -log D for ``real`` = 1, -log(1 - D) for 0, in the mean; D is the logit's sigmoid."""
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, real))


def _projection(config: GanConfig) -> nn.Sequential:
    return nn.Sequential(nn.Linear(config.embedding, config.projected), nn.LeakyReLU(0.2))


def _double(inputs: int, outputs: int) -> nn.Sequential:
    conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def _halve(inputs: int, outputs: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2))


class AttributeClassifier(nn.Module):
    """Names a picture's attributes; trained apart, on real pictures, it scores generated ones."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = ImageEncoder(ImageEncoderConfig(low=16, middle=32, top=64))
        self.heads = nn.ModuleList(
            nn.Linear(64 * (SIDE // 8) ** 2, len(names)) for names in ATTRIBUTES.values()
        )

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Return the logits of each attribute, (batch, its values)."""
        features = self.encoder(pictures).flatten(1)
        return [head(features) for head in self.heads]


def attribute_loss(model: AttributeClassifier, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the sum of the attributes' cross-entropies; the batch is pictures, ``attributes``."""
    pictures, truth = batch
    pairs = zip(model(pictures), truth.unbind(dim=1), strict=True)
    return torch.stack([cross_entropy(logits, true) for logits, true in pairs]).sum()


def attribute_hits(model: AttributeClassifier, pictures: Tensor, named: Tensor) -> Tensor:
    """Say which of the attributes that the sentences name are found in the pictures.

    Args:
        pictures: (items, 3, 32, 32).
        named: (items, 4), of ``attributes``.

    Returns:
        (items, 4) bool.
    """

    def answers(model: AttributeClassifier, batch: Tensor) -> Tensor:
        return torch.stack([logits.argmax(dim=1) for logits in model(batch)], dim=1)

    return predict(model, Batches(pictures, batch_size=100), answers) == named


def diversity(pictures: Tensor) -> Tensor:
    """Return how far pictures of one sentence lie apart: root mean square over pairs and pixels.

    Args:
        pictures: (sentences, draws, 3, height, width), two draws or more.

    Returns:
        (sentences,), 0 where all draws are the same picture.
    """
    draws = check_shape(pictures, "sentences draws 3 height width", name="pictures")["draws"]
    check_whole(draws, name="the number of draws", least=2)
    # the mean squared distance of two different draws is twice their unbiased variance
    return (2 * pictures.var(dim=1)).flatten(1).mean(dim=1).sqrt()


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Return |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½) of two sets of features (items, features).

    Raises:
        ValueError: the numbers of features differ, or a feature is not finite.
    """
    size = check_shape(first, "items features", name="first")["features"]
    check_shape(second, f"items {size}", name="second")
    for name, values in (("first", first), ("second", second)):
        check_finite(values, name=name)
    first, second = first.double(), second.double()
    one, other = torch.cov(first.T), torch.cov(second.T)
    values, axes = torch.linalg.eigh(one)
    root = axes * values.clamp(min=0).sqrt() @ axes.T  # Σ₁^½
    # Σ₁ Σ₂ and the symmetric Σ₁^½ Σ₂ Σ₁^½ have the same eigenvalues
    product = torch.linalg.eigvalsh(root @ other @ root).clamp(min=0).sqrt().sum()
    apart = (first.mean(dim=0) - second.mean(dim=0)).square().sum()
    return float(apart + one.trace() + other.trace() - 2 * product)


def nearest(pictures: Tensor, training: Tensor) -> tuple[Tensor, Tensor]:
    """Return each picture's distance to the nearest training picture, and which it is.

    Returns:
        root mean square over the pixels (items,), and numbers of training pictures (items,).
    """
    apart = torch.cdist(pictures.flatten(1), training.flatten(1))
    found = apart.min(dim=1)
    return found.values / pictures[0].numel() ** 0.5, found.indices


def load_classifier() -> AttributeClassifier:
    """Return the shipped attribute classifier, in evaluation mode."""
    model = AttributeClassifier()
    model.load_state_dict(_weights("text_to_image_classifier")[0])
    return model.eval()


def load_shipped() -> tuple[nn.Module, TextGan, dict[str, str]]:
    """Return the sentence encoder and the GAN of the longer training, and facts on it.

    Returns:
        the encoder, with the layer that standardises its embeddings, and the GAN, both in
        evaluation mode; facts: ``"words"`` of the vocabulary in order, ``"minutes"``, ``"steps"``.
    """
    weights, facts = _weights("text_to_image_gan")
    encoder = TextEncoder(len(facts["words"].split()))
    encoder = nn.Sequential(encoder, Standardise(encoder.lstm.hidden_size))
    model = nn.ModuleDict({"encoder": encoder, "gan": TextGan()})
    model.load_state_dict(weights)
    model.eval()
    return model["encoder"], model["gan"], facts


def known_vocabulary(facts: dict[str, str]) -> Vocabulary:
    """Return the vocabulary of the shipped sentence encoder; how often a word came is not kept."""
    names = tuple(facts["words"].split())
    return Vocabulary(names, (0,) * len(names))


def _weights(name: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    path = WEIGHTS / f"{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: make weights trains it")
    with safe_open(path, framework="pt") as file:
        facts = file.metadata() or {}
    return {key: value.float() for key, value in load_file(path).items()}, facts
