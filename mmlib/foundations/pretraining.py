"""An eye and an ear, trained once on the little world and used by the chapters that follow.

Book: ``notebooks/foundations/01_pretraining``. The eye is a small convolutional network from a
picture to a grid of features. It is trained on *words without places*: which kinds, colours and
coloured kinds ("red bird") a picture shows, never where. The word a cell of the grid would give is
pooled over the picture by a noisy-or, as Fang et al. (CVPR 2015, section 3) do to find the words of
captions; where each word belongs, the network must find out itself. Colour–kind pairs that the
world holds out (``scenes.held_out``) are in none of its pictures. The ear is a small network from a
waveform to a few features a second, trained on which kinds one hears and in what place.

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
from mmlib.shapes import check_floating, check_shape
from mmlib.training import predict
from mmlib.world import pictures, sampling, sounds
from mmlib.world.scenes import COLOURS, KINDS, PLACES, Scenes, held_out

STRIDE = 8  # pixels of the picture a cell of the eye's grid is wide and high
SAMPLE_RATE = 16_000
WEIGHTS = Path(__file__).parent / "weights"  # eye.safetensors, ear.safetensors, report.json

_PAIRS = [(kind, colour) for kind in range(len(KINDS)) for colour in range(len(COLOURS))]
# The coloured kinds that the eye may see in training, as indices into KINDS and COLOURS.
SEEN_PAIRS = tuple(p for p in _PAIRS if not held_out(*map(torch.tensor, p)))
NEW_PAIRS = tuple(p for p in _PAIRS if p not in SEEN_PAIRS)  # the others
WORDS = (*KINDS, *COLOURS, *(f"{COLOURS[colour]} {KINDS[kind]}" for kind, colour in SEEN_PAIRS))


@dataclass(frozen=True)
class EyeConfig:
    """The size of an eye: the channels of its three stages."""

    low: int = 32  # edges and colours, at half the picture's resolution
    middle: int = 64  # parts, at a quarter
    top: int = 128  # things, at an eighth: the features of the grid


class Seen(NamedTuple):
    """What an eye that learned words says of pictures, all logits."""

    cells: Tensor  # (batch, words, rows, columns): is this word here?
    words: Tensor  # (batch, words): is this word anywhere? in the order of WORDS
    place: Tensor  # (batch, places)
    night: Tensor  # (batch,)


class Heard(NamedTuple):
    """What an ear says of waveforms, all logits."""

    kinds: Tensor  # (batch, kinds): does one hear this kind?
    place: Tensor  # (batch, places)
    night: Tensor  # (batch,)


class Eye(nn.Module):
    """From pictures to a grid of features: three stages of convolutions, each halving the sides."""

    def __init__(self, config: EyeConfig | None = None) -> None:
        super().__init__()
        config = config or EyeConfig()
        self.features = config.top
        self.low = _step_down(3, config.low, kernel=6)
        self.middle = nn.Sequential(_step_down(config.low, config.middle), _Refine(config.middle))
        self.top = nn.Sequential(_step_down(config.middle, config.top), _Refine(config.top))

    def stages(self, pictures: Tensor) -> list[Tensor]:
        """Return the outputs of the three stages, the grid of ``forward`` last."""
        check_shape(pictures, "batch 3 height width", name="pictures")
        check_floating(pictures, name="pictures")
        if min(pictures.shape[2:]) < STRIDE:
            raise ValueError(
                f"pictures are {pictures.shape[2]} x {pictures.shape[3]} pixels, a cell of the "
                f"grid needs {STRIDE}: enlarge them first"
            )
        found = [((pictures - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)]
        for stage in (self.low, self.middle, self.top):
            found.append(stage(found[-1]))
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
        return self.stages(pictures)[-1]


class NamingEye(nn.Module):
    """An eye with what it is trained by: a layer that gives each cell words, and pools them."""

    def __init__(self, eye: Eye | None = None) -> None:
        super().__init__()
        self.eye = eye or Eye()
        self.words = nn.Conv2d(self.eye.features, len(WORDS), 1)
        self.surroundings = nn.Linear(self.eye.features, len(PLACES) + 1)
        # at first no cell gives any word: 64 cells of a half each would be a certain yes
        nn.init.constant_(self.words.bias, -6.0)

    def forward(self, pictures: Tensor) -> Seen:
        """Say which words each picture deserves, where, and in what place and time it is."""
        grid = self.eye(pictures)
        cells = self.words(grid)
        around = self.surroundings(grid.mean(dim=(2, 3)))
        return Seen(cells, noisy_or(cells), around[:, :-1], around[:, -1])


class Ear(nn.Module):
    """From waveforms to features over time: convolutions over the logarithmic power spectrum.

    The spectrum is taken from windows of 25 ms, one every 10 ms; two layers halve the rate.
    """

    features = 96
    window, hop, fft = 400, 160, 400  # samples

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("hann", torch.hann_window(self.window), persistent=False)
        bins = self.fft // 2 + 1
        self.low = _listen_on(bins, 64, kernel=5)
        self.middle = _listen_on(64, 96, kernel=5)
        self.top = _listen_on(96, self.features, kernel=3, stride=1)

    def stages(self, waves: Tensor) -> list[Tensor]:
        """Return the logarithmic spectrum and the outputs of the three stages."""
        check_shape(waves, "batch time", name="waves")
        check_floating(waves, name="waves")
        if waves.shape[1] < self.window:
            raise ValueError(
                f"waves have {waves.shape[1]} samples, one window has {self.window}: pad them first"
            )
        spectrum = torch.stft(
            waves, self.fft, self.hop, self.window, self.hann.to(waves.dtype), return_complex=True
        )
        power = spectrum.real.square() + spectrum.imag.square()
        found = [(power + 1e-5).log() / 4 + 1]  # about -2 to 2
        for stage in (self.low, self.middle, self.top):
            found.append(stage(found[-1]))
        return found

    def forward(self, waves: Tensor) -> Tensor:
        """Return the features of each waveform over time.

        Args:
            waves: (batch, time), mono at 16 kHz, in -1 to 1.

        Returns:
            (batch, features, steps), one step every 40 ms, none negative.

        Raises:
            ValueError: the shape is another, or the waves are shorter than one window.
        """
        return self.stages(waves)[-1]


class NamingEar(nn.Module):
    """An ear with what it is trained by: which kinds sound, in what place, by day or by night."""

    def __init__(self, ear: Ear | None = None) -> None:
        super().__init__()
        self.ear = ear or Ear()
        self.head = nn.Linear(2 * self.ear.features, len(KINDS) + len(PLACES) + 1)

    def forward(self, waves: Tensor) -> Heard:
        """Say of each waveform what is heard in it."""
        found = self.head(pooled(self.ear(waves)))
        kinds, place, night = found.split([len(KINDS), len(PLACES), 1], dim=1)
        return Heard(kinds, place, night[:, 0])


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


def word_labels(scenes: Scenes) -> Tensor:
    """Return which of ``WORDS`` hold for each scene, (scenes, words), 0 or 1 as float."""
    lookup = torch.full((len(KINDS), len(COLOURS)), len(WORDS))
    for number, (kind, colour) in enumerate(SEEN_PAIRS):
        lookup[kind, colour] = len(KINDS) + len(COLOURS) + number
    labels = torch.zeros(len(scenes), len(WORDS) + 1, device=scenes.device)  # last: nothing
    columns = (
        scenes.kind,
        len(KINDS) + scenes.colour,
        lookup.to(scenes.device)[scenes.kind, scenes.colour],
    )
    for column in columns:
        labels.scatter_(1, torch.where(scenes.present, column, len(WORDS)), 1.0)
    return labels[:, :-1]


def heard_labels(scenes: Scenes) -> Tensor:
    """Return which kinds sound in each scene, (scenes, kinds), 0 or 1 as float."""
    labels = torch.zeros(len(scenes), len(KINDS) + 1, device=scenes.device)
    labels.scatter_(1, torch.where(scenes.sounding, scenes.kind, len(KINDS)), 1.0)
    return labels[:, :-1]


def naming_loss(model: NamingEye | NamingEar, batch: tuple[Tensor, ...]) -> Tensor:
    """Return the loss that pretrains an eye or an ear.

    Args:
        batch: pictures or waves; the labels of ``word_labels`` or ``heard_labels``; the place's
            index; whether it is night, 0.0 or 1.0.

    Returns:
        a scalar: the cross-entropies of all words, summed, plus those of place and night.
    """
    inputs, labels, place, night = batch
    found = model(inputs)
    logits = found.words if isinstance(found, Seen) else found.kinds
    words = binary_cross_entropy_with_logits(logits, labels, reduction="sum") / len(labels)
    around = cross_entropy(found.place, place)
    return words + around + binary_cross_entropy_with_logits(found.night, night)


def load_eye() -> Eye:
    """Return the eye that ships with the package, trained, in evaluation mode.

    Raises:
        FileNotFoundError: the weights are not there; the error says how to make them.
    """
    return load_naming_eye().eye


def load_naming_eye() -> NamingEye:
    """Return the shipped eye with the layer that names what it sees, in evaluation mode."""
    return _loaded(NamingEye(), "eye")


def load_ear() -> Ear:
    """Return the ear that ships with the package, trained, in evaluation mode."""
    return load_naming_ear().ear


def load_naming_ear() -> NamingEar:
    """Return the shipped ear with the layer that names what it hears, in evaluation mode."""
    return _loaded(NamingEar(), "ear")


def report() -> dict:
    """Return what ``make weights`` measured when it made the weights: digests and scores."""
    return json.loads((WEIGHTS / "report.json").read_text())


def see(eye: nn.Module, pictures: Tensor, *, batch_size: int = 32) -> Tensor:
    """Return the grids of many pictures, (pictures, features, rows, columns), on the CPU.

    A frozen eye need look at each picture only once: what is trained afterwards reads the grids.
    Few pictures at a time are quicker than many: what comes between stays in the processor's cache.
    """
    batches = Batches(pictures, batch_size=batch_size)
    return predict(eye, batches, lambda model, batch: model(batch).contiguous())


def new_things(count: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return pictures of one thing each, of pairs that no training shows, and which pair it is.

    Returns:
        (count, 3, 64, 64) pictures and (count,) indices into ``NEW_PAIRS``.
    """
    scenes = sampling.sample_scenes(count, generator=generator, slots=1, split="held out")
    lookup = torch.full((len(KINDS), len(COLOURS)), -1)
    for number, pair in enumerate(NEW_PAIRS):
        lookup[pair] = number
    return pictures.draw(scenes, generator=generator), lookup[scenes.kind, scenes.colour][:, 0]


def new_sounds(count: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return a second of sound each, (count, 16000), and how many kinds it holds, 0 to 3."""
    scenes = sampling.sample_scenes(count, generator=generator, slots=3, sounding=0.75)
    waves = sounds.listen(scenes, seconds=1.0, generator=generator)
    return waves, heard_labels(scenes).sum(dim=1).long()


def few_of_each(labels: Tensor, count: int) -> Tensor:
    """Return where the first ``count`` examples of each class stand in ``labels`` (items,).

    Raises:
        ValueError: a class has fewer examples.
    """
    places = []
    for label in labels.unique():
        found = (labels == label).nonzero()[:, 0]
        if len(found) < count:
            raise ValueError(
                f"class {int(label)} has {len(found)} examples, {count} are asked for: draw more"
            )
        places.append(found[:count])
    return torch.cat(places)


class Classifier(nn.Module):
    """An eye or an ear with one linear layer on its pooled features."""

    def __init__(self, body: nn.Module, classes: int) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(2 * body.features, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (batch, classes) logits for pictures or waves."""
        return self.head(pooled(self.body(inputs)))


def classify_loss(model: Classifier, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean cross-entropy of a batch (inputs, classes)."""
    inputs, classes = batch
    return cross_entropy(model(inputs), classes)


def describe(body: nn.Module, inputs: Tensor, *, batch_size: int = 32) -> Tensor:
    """Return what a frozen eye or ear makes of inputs, pooled: (items, 2 · features)."""
    batches = Batches(inputs, batch_size=batch_size)
    return predict(body, batches, lambda model, batch: pooled(model(batch)))


def _loaded(model: nn.Module, name: str) -> nn.Module:
    path = WEIGHTS / f"{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: make weights trains it")
    model.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    return model.eval()


class _Refine(nn.Module):
    """A convolution whose result is added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(features + self.norm(self.conv(features)))


def _step_down(channels: int, more: int, *, kernel: int = 4) -> nn.Sequential:
    """Return a convolution that halves the sides.

    Its kernel is even, so that a cell of the result lies over the middle of what it came from: with
    odd kernels every halving shifts the grid by half a pixel, and words point beside their things.
    """
    conv = nn.Conv2d(channels, more, kernel, stride=2, padding=kernel // 2 - 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(more), nn.ReLU())


def _listen_on(channels: int, more: int, *, kernel: int, stride: int = 2) -> nn.Sequential:
    """Return a convolution over time."""
    conv = nn.Conv1d(channels, more, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm1d(more), nn.ReLU())
