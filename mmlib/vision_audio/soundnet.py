"""SoundNet: a network for raw sound learns from two frozen image classifiers.

Built in notebooks/vision_audio/02_soundnet.ipynb. Source: Aytar, Vondrick & Torralba, NIPS 2016;
the sizes of the layers are those of the authors' code (github.com/cvondrick/soundnet).

A video is a picture and a sound of the same scene, without any label. One teacher gives the picture
a distribution over objects, the other one over scene classes. The student hears the sound alone and
must give the same. The teachers never change. Both were trained with labels, on pictures; those
show only ``KNOWN_CATEGORIES`` and ``KNOWN_SCENES``, the world's other categories and scene classes
are new to both.

Unlike the paper: one picture a clip instead of a frame every five seconds, all sounds of one level,
and a small network of the same eight layers. Shapes: waves are (batch, time), mono; logits are
(batch, classes, steps).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from mmlib.data.batches import Batches
from mmlib.foundations.pretraining import Classifier, ImageEncoder, ImageEncoderConfig, pooled
from mmlib.shapes import check_finite, check_floating, check_shape
from mmlib.training import History, fit, predict
from mmlib.world.scenes import CATEGORIES, SCENE_CLASSES

SAMPLE_RATE = 16_000
SECONDS = 1.0  # what the small student hears of a video at a time
STEPS = 400  # of the page's training of a small student
WEIGHTS = Path(__file__).parent / "weights"
KNOWN_CATEGORIES, NEW_CATEGORIES = CATEGORIES[:6], CATEGORIES[6:]
KNOWN_SCENES, NEW_SCENES = SCENE_CLASSES[:3], SCENE_CLASSES[3:]


@dataclass(frozen=True)
class Layer:
    """One convolution with batch normalisation and ReLU; then, if ``pool``, a maximum."""

    channels: int
    kernel: int  # samples of its input that one output sees; half of it is padded at both ends
    stride: int
    pool: int = 0  # how many outputs the maximum is taken over; 0: none


@dataclass(frozen=True)
class SoundNetConfig:
    """The sizes of a SoundNet: its layers from the waveform up, then the two heads."""

    layers: tuple[Layer, ...]
    objects: int  # classes of the teacher for objects
    scenes: int  # classes of the teacher for scenes
    kernel: int  # of the heads, not padded: one answer needs so many outputs of the last layer
    stride: int = 2


PUBLISHED = SoundNetConfig(  # Aytar et al. 2016, the network of eight layers, for 22,050 Hz
    layers=(
        Layer(16, 64, 2, pool=8),
        Layer(32, 32, 2, pool=8),
        Layer(64, 16, 2),
        Layer(128, 8, 2),
        Layer(256, 4, 2, pool=4),
        Layer(512, 4, 2),
        Layer(1024, 4, 2),
    ),
    objects=1000,
    scenes=401,
    kernel=8,
)
SMALL = SoundNetConfig(  # the same kernels for a second of sound: fewer channels, smaller pools
    layers=(
        Layer(16, 64, 8, pool=4),
        Layer(32, 32, 2, pool=2),
        Layer(64, 16, 2),
        Layer(96, 8, 1),
        Layer(128, 4, 2, pool=2),
        Layer(128, 4, 2),
        Layer(128, 4, 2),
    ),
    objects=len(KNOWN_CATEGORIES),
    scenes=len(KNOWN_SCENES),
    kernel=4,
)


class Logits(NamedTuple):
    """What a SoundNet gives for sounds."""

    objects: Tensor  # (batch, objects, steps)
    scenes: Tensor  # (batch, scenes, steps)


class SoftTargets(NamedTuple):
    """What the two teachers give for pictures: distributions, each row sums to one."""

    objects: Tensor  # (videos, objects)
    scenes: Tensor  # (videos, scenes)


class SoundNet(nn.Module):
    """From raw waveforms to what one would see: convolutions over time, and two heads."""

    def __init__(self, config: SoundNetConfig = SMALL) -> None:
        super().__init__()
        self.config = config
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        channels = 1
        for layer in config.layers:
            size = {"kernel_size": layer.kernel, "stride": layer.stride}
            self.convs.append(
                nn.Conv1d(channels, layer.channels, padding=layer.kernel // 2, **size)
            )
            self.norms.append(nn.BatchNorm1d(layer.channels))
            channels = layer.channels
        self.objects = nn.Conv1d(channels, config.objects, config.kernel, config.stride)
        self.scenes = nn.Conv1d(channels, config.scenes, config.kernel, config.stride)

    def stages(self, waves: Tensor) -> dict[str, Tensor]:
        """Return the output of each layer, by name: ``conv1``, ``pool1``, ... ``conv7``.

        Returns:
            (batch, channels, steps) by name, in order, none negative.

        Raises:
            TypeError: the waves are not floating-point numbers.
            ValueError: they are not (batch, time), hold NaN, or are too short for one answer.
        """
        self._check(waves)
        signal, found = waves[:, None], {}  # (batch, 1, time)
        for number, layer in enumerate(self.config.layers, 1):
            signal = self.norms[number - 1](self.convs[number - 1](signal)).relu()
            found[f"conv{number}"] = signal
            if layer.pool:
                signal = nn.functional.max_pool1d(signal, layer.pool)
                found[f"pool{number}"] = signal
        return found

    def forward(self, waves: Tensor) -> Logits:
        """Return logits of objects and scene classes, a step for each stretch of the waves.

        Args:
            waves: (batch, time), mono, at the rate the network is made for.

        Raises:
            TypeError, ValueError: as ``stages``.
        """
        top = list(self.stages(waves).values())[-1]
        return Logits(self.objects(top), self.scenes(top))

    def _check(self, waves: Tensor) -> None:
        time = check_shape(waves, "batch time", name="waves")["time"]
        check_floating(waves, name="waves")
        check_finite(waves, name="waves")
        least = shortest(self.config)
        if time < least:
            raise ValueError(
                f"waves have {time} samples, one answer needs {least}: pad them with zeros or "
                "take longer clips"
            )


class Row(NamedTuple):
    """One line of a layer table."""

    name: str
    channels: int
    kernel: int
    stride: int
    steps: int  # outputs over time
    parameters: int


def layer_table(config: SoundNetConfig, time: int) -> list[Row]:
    """Return the layers from the waveform of ``time`` samples up, by arithmetic alone.

    A padded convolution of kernel k and stride s makes ⌊(t + 2⌊k/2⌋ - k) / s⌋ + 1 steps of t, and
    has k weights for each pair of channels, a bias, and two numbers of batch normalisation for
    each of its own.

    Raises:
        ValueError: the waveform is too short for one answer.
    """
    rows, channels, steps = [], 1, time
    for number, layer in enumerate(config.layers, 1):
        steps = (steps + 2 * (layer.kernel // 2) - layer.kernel) // layer.stride + 1
        weights = layer.channels * (channels * layer.kernel + 1 + 2)
        channels = layer.channels
        name = f"conv{number}"
        rows.append(Row(name, channels, layer.kernel, layer.stride, steps, weights))
        if layer.pool:
            steps //= layer.pool
            rows.append(Row(f"pool{number}", channels, layer.pool, layer.pool, steps, 0))
    steps = (steps - config.kernel) // config.stride + 1
    if steps < 1:
        raise ValueError(f"{time} samples give no answer: {shortest(config)} are needed")
    for name, classes in (("objects", config.objects), ("scenes", config.scenes)):
        weights = classes * (channels * config.kernel + 1)
        rows.append(Row(name, classes, config.kernel, config.stride, steps, weights))
    return rows


def shortest(config: SoundNetConfig) -> int:
    """Return the number of samples of the shortest waveform that gives one answer."""
    steps = config.kernel
    for layer in reversed(config.layers):
        steps = steps * layer.pool if layer.pool else steps
        steps = (steps - 1) * layer.stride + layer.kernel - 2 * (layer.kernel // 2)
    return max(steps, 1)


def load_teachers() -> tuple[Classifier, Classifier]:
    """Return the image classifiers for ``KNOWN_CATEGORIES`` and ``KNOWN_SCENES``, frozen."""
    return load_teacher("object"), load_teacher("scene")


def new_teacher(classes: int) -> Classifier:
    """Return an untrained teacher: a small image encoder and a linear layer."""
    return Classifier(ImageEncoder(ImageEncoderConfig(16, 32, 64)), classes)


def load_teacher(name: str) -> Classifier:
    """Return the ``"object"`` or the ``"scene"`` teacher that ships with the package, frozen.

    Raises:
        FileNotFoundError: the weights are not there; the error says how to make them.
    """
    path = WEIGHTS / f"{name}_teacher.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: make weights trains it")
    model = new_teacher(len(KNOWN_CATEGORIES if name == "object" else KNOWN_SCENES))
    model.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    return model.eval().requires_grad_(requires_grad=False)


def soft_targets(teachers: tuple[Classifier, Classifier], pictures: Tensor) -> SoftTargets:
    """Return each teacher's softmax for each picture. No gradient is kept.

    Args:
        pictures: (videos, 3, height, width) in 0 to 1.
    """
    batches = Batches(pictures, batch_size=50)
    return SoftTargets(*(predict(t, batches, lambda m, b: m(b).softmax(dim=1)) for t in teachers))


def divergence(teacher: Tensor, logits: Tensor) -> Tensor:
    """Return KL(teacher ‖ student), the mean over the batch and over time (equation 1).

    KL(p ‖ q) = Σ p log p - Σ p log q. What the teacher finds impossible, p = 0, adds nothing.

    Args:
        teacher: (batch, classes) distributions; the same at every step of a video.
        logits: (batch, classes, steps) of the student.

    Raises:
        ValueError: the shapes do not fit.
    """
    size = check_shape(logits, "batch classes steps", name="logits")
    check_shape(teacher, f"{size['batch']} {size['classes']}", name="teacher")
    known = torch.special.xlogy(teacher, teacher).sum(dim=1)  # (batch,)
    said = log_softmax(logits, dim=1).mean(dim=2)  # (batch, classes)
    return (known - (teacher * said).sum(dim=1)).mean()


def transfer_loss(
    model: SoundNet, batch: tuple[Tensor, Tensor, Tensor], *, objects: float = 1, scenes: float = 1
) -> Tensor:
    """Return the sum of both divergences: the loss that SoundNet is trained by (equation 3).

    Args:
        batch: waves, and the soft targets of the two teachers.
        objects, scenes: the weight of each teacher; 0 leaves it out.
    """
    waves, object_targets, scene_targets = batch
    logits = model(waves)
    loss = objects * divergence(object_targets, logits.objects)
    return loss + scenes * divergence(scene_targets, logits.scenes)


def train(
    model: SoundNet,
    waves: Tensor,
    targets: SoftTargets,
    *,
    steps: int,
    generator: torch.Generator,
    objects: float = 1,
    scenes: float = 1,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    progress: bool = True,
) -> History:
    """Train a student on sounds and the soft targets of their pictures, by Adam.

    Each batch hears ``SECONDS`` of its sounds from a moment drawn anew.

    Args:
        waves: (videos, time).
        targets: of the same videos, in the same order.
    """
    length = round(SECONDS * SAMPLE_RATE)
    time = check_shape(waves, "videos time", name="waves")["time"]
    if time < length:
        raise ValueError(f"waves have {time} samples, a student takes {length}: take longer ones")

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        start = int(torch.randint(time - length + 1, (), generator=generator))
        cut = batch[0][:, start : start + length]
        return transfer_loss(model, (cut, *batch[1:]), objects=objects, scenes=scenes)

    return fit(
        model,
        Batches((waves, *targets), batch_size=batch_size, generator=generator),
        loss,
        generator=generator,
        steps=steps,
        learning_rate=learning_rate,
        schedule=lambda done: 1 - 0.95 * done,
        progress=progress,
    )


def layer_features(model: SoundNet, waves: Tensor, *, batch_size: int = 32) -> dict[str, Tensor]:
    """Return each layer's features (sounds, 2 · channels), pooled over time by mean and maximum."""
    widths: dict[str, int] = {}

    def pool(model: SoundNet, batch: Tensor) -> Tensor:
        found = {name: pooled(stage) for name, stage in model.stages(batch).items()}
        widths.update({name: part.shape[1] for name, part in found.items()})
        return torch.cat(list(found.values()), dim=1)

    together = predict(model, Batches(waves, batch_size=batch_size), pool)
    return dict(zip(widths, together.split(list(widths.values()), dim=1), strict=True))


def unit_responses(model: SoundNet, waves: Tensor, layer: str) -> Tensor:
    """Return the highest value that each unit of a layer takes in each sound, (sounds, units).

    Raises:
        ValueError: there is no such layer; the error lists those that are.
    """
    features = layer_features(model, waves)
    if layer not in features:
        raise ValueError(f"layer is {layer!r}, choose one of {', '.join(features)}")
    return features[layer].chunk(2, dim=1)[1]


def selectivity(responses: Tensor, holds: Tensor) -> Tensor:
    """Return for each unit how well it tells some sounds from the others: the area under the ROC.

    It is the chance that a sound of the wanted sort excites the unit more than another does, ties
    counted half (Mann & Whitney 1947): 0.5 for a unit that does not care, 1 for a perfect one.

    Args:
        responses: (sounds, units).
        holds: (sounds,) bool, which sounds are of the wanted sort.

    Raises:
        ValueError: all sounds are of the sort, or none.
    """
    size = check_shape(responses, "sounds units", name="responses")
    check_shape(holds, str(size["sounds"]), name="holds")
    yes, no = int(holds.sum()), int((~holds).sum())
    if not yes or not no:
        raise ValueError(f"{yes} of {len(holds)} sounds are of the sort: both sides need one")
    ranks = torch.from_numpy(rankdata(responses.numpy(force=True), axis=0))  # (sounds, units)
    wins = ranks[holds.cpu()].sum(dim=0) - yes * (yes + 1) / 2
    return (wins / (yes * no)).float()
