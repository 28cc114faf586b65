"""An image encoder and an audio encoder, trained once on the little world, used by later chapters.

Book: ``notebooks/foundations/03_pretraining``. The image encoder, five convolutional layers, is
trained on words without positions: which categories, colours and coloured categories ("red bird")
a picture shows. The word that a cell of the grid gives is pooled over the picture by a noisy-or, as
Fang et al. (CVPR 2015, section 3) do to find the words of captions. Colour–category pairs that the
world holds out (``scenes.held_out``) are in none of its pictures. The audio encoder, three
convolutional layers over a spectrogram, is trained on which categories sound, in what scene class.

The weights of both lie beside this module in half precision; ``make weights`` trains them again
(tools/weights.py).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, logsigmoid

from mmlib.data.batches import Batches
from mmlib.shapes import check_floating, check_shape, check_whole
from mmlib.training import predict
from mmlib.world.labels import WORDS
from mmlib.world.scenes import CATEGORIES, SCENE_CLASSES

STRIDE = 8  # pixels of the picture a cell of the encoder's grid is wide and high
SAMPLE_RATE = 16_000
WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class ImageEncoderConfig:
    """The size of an image encoder: the channels at each resolution."""

    low: int = 32  # at half the picture's resolution
    middle: int = 64  # at a quarter
    top: int = 128  # at an eighth: the features of the grid


class ResidualLayer(nn.Module):
    """A convolution whose result is added to its input: relu(x + norm(conv(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(features + self.norm(self.conv(features)))


class ImageEncoder(nn.Module):
    """From pictures to a grid of features: five convolutional layers, three of which halve."""

    def __init__(self, config: ImageEncoderConfig | None = None) -> None:
        super().__init__()
        config = config or ImageEncoderConfig()
        low, middle, self.features = config.low, config.middle, config.top
        self.low = _halve(3, low, kernel=6)
        self.middle = nn.Sequential(_halve(low, middle), ResidualLayer(middle))
        self.top = nn.Sequential(_halve(middle, config.top), ResidualLayer(config.top))
        self.frozen = 0  # so many of the first layers are not trained

    def layers(self) -> list[nn.Module]:
        """Return the five layers in order."""
        return [self.low, *self.middle, *self.top]

    def layer_outputs(self, pictures: Tensor) -> list[Tensor]:
        """Return the outputs of the five layers, the grid of ``forward`` last."""
        check_shape(pictures, "batch 3 height width", name="pictures")
        check_floating(pictures, name="pictures")
        if min(pictures.shape[2:]) < STRIDE:
            raise ValueError(
                f"pictures are {pictures.shape[2]} x {pictures.shape[3]} pixels, a cell of the "
                f"grid needs {STRIDE}: enlarge them first"
            )
        found = [((pictures - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)]
        for layer in self.layers():
            found.append(layer(found[-1]))
        return found[1:]

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the grid of features of each picture.

        Args:
            pictures: (batch, 3, height, width), in 0 to 1.

        Returns:
            (batch, features, height / 8, width / 8), none negative.

        Raises:
            ValueError: the shape is another, or the pictures are smaller than one cell.
        """
        return self.layer_outputs(pictures)[-1]

    def train(self, mode: bool = True) -> "ImageEncoder":
        """Set the mode; frozen layers keep their batch normalisation's statistics."""
        super().train(mode)
        for layer in self.layers()[: self.frozen]:
            layer.eval()
        return self


class ImageLogits(NamedTuple):
    """What an image classifier says of pictures, all logits."""

    cells: Tensor  # (batch, words, rows, columns): is this word here?
    words: Tensor  # (batch, words): is this word anywhere? in the order of WORDS
    scene_class: Tensor  # (batch, scene classes)
    night: Tensor  # (batch,)


class AudioLogits(NamedTuple):
    """What an audio classifier says of waveforms, all logits."""

    categories: Tensor  # (batch, categories): does this category sound?
    scene_class: Tensor  # (batch, scene classes)
    night: Tensor  # (batch,)


class ImageClassifier(nn.Module):
    """A multi-label classifier: an image encoder and a layer that gives each cell words, pooled."""

    def __init__(self, encoder: ImageEncoder | None = None) -> None:
        super().__init__()
        self.encoder = encoder or ImageEncoder()
        self.words = nn.Conv2d(self.encoder.features, len(WORDS), 1)
        self.scene = nn.Linear(self.encoder.features, len(SCENE_CLASSES) + 1)
        # at first no cell gives any word: 64 cells of a half each would be a certain yes
        nn.init.constant_(self.words.bias, -6.0)

    def forward(self, pictures: Tensor) -> ImageLogits:
        """Say which words hold for each picture, where, and its scene class and time of day."""
        grid = self.encoder(pictures)
        cells = self.words(grid)
        around = self.scene(grid.mean(dim=(2, 3)))
        return ImageLogits(cells, noisy_or(cells), around[:, :-1], around[:, -1])


class AudioEncoder(nn.Module):
    """From waveforms to features over time: three convolutions over a logarithmic power spectrum.

    Spectra are taken from windows of 25 ms, one every 10 ms; two of the layers halve the rate.
    """

    features = 96
    window, hop = 400, 160  # samples

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("hann", torch.hann_window(self.window), persistent=False)
        self.low = _convolve_time(self.window // 2 + 1, 64, kernel=5, stride=2)
        self.middle = _convolve_time(64, 96, kernel=5, stride=2)
        self.top = _convolve_time(96, self.features, kernel=3, stride=1)

    def layers(self) -> list[nn.Module]:
        """Return the three layers in order."""
        return [self.low, self.middle, self.top]

    def log_spectrum(self, waves: Tensor) -> Tensor:
        """Return log(|STFT|² + 1e-5) / 4 + 1 of (batch, time): (batch, 201, frames)."""
        spectrum = torch.stft(
            waves, self.window, self.hop, window=self.hann.to(waves.dtype), return_complex=True
        )
        power = spectrum.real.square() + spectrum.imag.square()
        return (power + 1e-5).log() / 4 + 1  # about -2 to 2

    def layer_outputs(self, waves: Tensor) -> list[Tensor]:
        """Return the logarithmic spectrum and the outputs of the three layers."""
        check_shape(waves, "batch time", name="waves")
        check_floating(waves, name="waves")
        if waves.shape[1] < self.window:
            raise ValueError(
                f"waves have {waves.shape[1]} samples, one window has {self.window}: pad them first"
            )
        found = [self.log_spectrum(waves)]
        for layer in self.layers():
            found.append(layer(found[-1]))
        return found

    def forward(self, waves: Tensor) -> Tensor:
        """Return the features of each waveform over time.

        Args:
            waves: (batch, time), mono at 16 kHz, in -1 to 1.

        Returns:
            (batch, 96, steps), one step every 40 ms, none negative.

        Raises:
            ValueError: the shape is another, or the waves are shorter than one window.
        """
        return self.layer_outputs(waves)[-1]


class AudioClassifier(nn.Module):
    """A multi-label classifier of sounds: categories, scene class, day or night."""

    def __init__(self, encoder: AudioEncoder | None = None) -> None:
        super().__init__()
        self.encoder = encoder or AudioEncoder()
        self.head = nn.Linear(2 * self.encoder.features, len(CATEGORIES) + len(SCENE_CLASSES) + 1)

    def forward(self, waves: Tensor) -> AudioLogits:
        """Say which categories sound in each waveform, in which scene class, by day or night."""
        found = self.head(pooled(self.encoder(waves)))
        categories, scene_class, night = found.split(
            [len(CATEGORIES), len(SCENE_CLASSES), 1], dim=1
        )
        return AudioLogits(categories, scene_class, night[:, 0])


def pooled(features: Tensor) -> Tensor:
    """Summarise features (batch, features, ...) by mean and maximum: (batch, 2 · features)."""
    features = features.flatten(2)
    return torch.cat([features.mean(dim=2), features.amax(dim=2)], dim=1)


def noisy_or(cells: Tensor) -> Tensor:
    """Pool yes-or-no logits over the cells of a grid: yes if any cell says yes on its own.

    With p the cells' probabilities, the picture's is 1 - Π(1 - p). Everything is computed from
    logarithms, so that neither 64 small nor one large probability is lost.

    Args:
        cells: (..., rows, columns) logits.

    Returns:
        (...,) logits.

    Raises:
        ValueError: there are fewer than two axes.
    """
    check_shape(cells, "... rows columns", name="cells")
    none = logsigmoid(-cells).sum(dim=(-2, -1)).clamp(max=-1e-6)  # log Π(1 - p)
    return torch.log(-torch.expm1(none)) - none  # log(1 - e^none) - none: the logit


def pretraining_loss(model: ImageClassifier | AudioClassifier, batch: tuple[Tensor, ...]) -> Tensor:
    """Return the loss that pretrains an image or an audio encoder.

    Args:
        batch: pictures or waves; the labels of ``world.labels.word_labels`` or ``sound_labels``;
            the scene class's index; whether it is night, 0.0 or 1.0.

    Returns:
        a scalar: the cross-entropies of all words, summed, plus those of scene class and night.
    """
    inputs, labels, scene_class, night = batch
    found = model(inputs)
    logits = found.words if isinstance(found, ImageLogits) else found.categories
    words = binary_cross_entropy_with_logits(logits, labels, reduction="sum") / len(labels)
    around = cross_entropy(found.scene_class, scene_class)
    return words + around + binary_cross_entropy_with_logits(found.night, night)


def load_image_encoder() -> ImageEncoder:
    """Return the image encoder that ships with the package, trained, in evaluation mode.

    Raises:
        FileNotFoundError: the weights are not there; the error says how to make them.
    """
    return load_image_classifier().encoder


def load_image_classifier() -> ImageClassifier:
    """Return the shipped image encoder with its classification layers, in evaluation mode."""
    return _loaded(ImageClassifier(), "image_encoder")


def load_audio_encoder() -> AudioEncoder:
    """Return the audio encoder that ships with the package, trained, in evaluation mode."""
    return load_audio_classifier().encoder


def load_audio_classifier() -> AudioClassifier:
    """Return the shipped audio encoder with its classification layer, in evaluation mode."""
    return _loaded(AudioClassifier(), "audio_encoder")


def report() -> dict:
    """Return what ``make weights`` measured when it made the weights: digests and scores."""
    return json.loads((WEIGHTS / "report.json").read_text())


def encode(encoder: nn.Module, pictures: Tensor, *, batch_size: int = 32) -> Tensor:
    """Return the grids of many pictures, (pictures, features, rows, columns), on the CPU.

    A frozen encoder needs each picture only once: what is trained afterwards reads the grids.
    Few pictures at a time are quicker than many: what comes between stays in the processor's cache.
    """
    batches = Batches(pictures, batch_size=batch_size)
    return predict(encoder, batches, lambda model, batch: model(batch).contiguous())


class Classifier(nn.Module):
    """An encoder with one linear layer on its pooled features."""

    def __init__(self, encoder: nn.Module, classes: int) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(2 * encoder.features, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (batch, classes) logits for pictures or waves."""
        return self.head(pooled(self.encoder(inputs)))


def classify_loss(model: Classifier, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean cross-entropy of a batch (inputs, classes)."""
    inputs, classes = batch
    return cross_entropy(model(inputs), classes)


def copy_layers(trained: ImageEncoder, count: int, *, freeze: bool) -> ImageEncoder:
    """Return a new encoder whose first ``count`` layers are those of ``trained``.

    The others are random, from torch's global random state (Yosinski et al., NIPS 2014: networks
    AnB, frozen, and AnB+, fine-tuned). Frozen layers get no gradient.

    Raises:
        ValueError: ``count`` is no whole number from 0 to 5.
    """
    encoder = ImageEncoder()
    if check_whole(count, name="count", least=0) > len(encoder.layers()):
        raise ValueError(f"count is {count}, the encoder has {len(encoder.layers())} layers")
    for mine, theirs in zip(encoder.layers()[:count], trained.layers(), strict=False):
        mine.load_state_dict(theirs.state_dict())
        mine.requires_grad_(not freeze)
    encoder.frozen = count if freeze else 0
    return encoder


def extract_features(encoder: nn.Module, inputs: Tensor, *, batch_size: int = 32) -> Tensor:
    """Return a frozen encoder's features of the inputs, pooled: (items, 2 · features)."""
    batches = Batches(inputs, batch_size=batch_size)
    return predict(encoder, batches, lambda model, batch: pooled(model(batch)))


def _loaded(model: nn.Module, name: str) -> nn.Module:
    path = WEIGHTS / f"{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: make weights trains it")
    model.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    return model.eval()


def _halve(channels: int, more: int, *, kernel: int = 4) -> nn.Sequential:
    """Return a convolution that halves the sides of a picture or grid.

    Its kernel is even, so that a cell of the result lies over the middle of what it came from: with
    odd kernels every halving shifts the grid by half a pixel, and words point beside their objects.
    """
    conv = nn.Conv2d(channels, more, kernel, stride=2, padding=kernel // 2 - 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(more), nn.ReLU())


def _convolve_time(channels: int, more: int, *, kernel: int, stride: int) -> nn.Sequential:
    conv = nn.Conv1d(channels, more, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm1d(more), nn.ReLU())
