"""SoundNet: a network for raw sound learns from two frozen networks that see what it hears.

Built in notebooks/vision_audio/02_soundnet.ipynb. Source: Aytar, Vondrick & Torralba, NIPS 2016;
the sizes of the layers are those of the authors' code (github.com/cvondrick/soundnet).

A video is a picture and a sound of the same scene, without any label. Two teachers look at the
picture: one says which objects there are, one says which scene class it is, each as a
distribution. The student hears the sound alone and must say the same. The teachers never change.

Shapes: waves are (batch, time), mono, in -1 to 1; answers are (batch, classes, steps). Inside, a
signal is a picture one pixel high, (batch, channels, 1, time), as in the authors' code.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, max_pool2d, one_hot

from mmlib.data.batches import Batches
from mmlib.data.recordings import resample
from mmlib.foundations.pretraining import ImageClassifier, pooled, sound_labels
from mmlib.shapes import check_finite, check_floating, check_shape
from mmlib.training import History, fit, predict
from mmlib.world import pictures, sampling, sounds
from mmlib.world.scenes import CATEGORIES, SCENE_CLASSES, Scenes

SAMPLE_RATE = 16_000
SECONDS = 1.0  # what the small student hears of a video at a time
STEPS = 450  # of training a small student: half a minute on two cores
NOISE = (0.005, 0.05)  # standard deviation of the microphone's noise, drawn anew for each sound


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
    early_pool: bool = False  # take maxima before normalising, not after: less to normalise


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
SMALL = SoundNetConfig(  # the same eight layers for a second of the little world: long strides
    layers=(
        Layer(32, 64, 16, pool=4),
        Layer(48, 8, 2, pool=2),
        Layer(64, 4, 1),
        Layer(96, 4, 1),
        Layer(128, 4, 2, pool=2),
        Layer(128, 4, 2),
        Layer(128, 4, 2),
    ),
    objects=len(CATEGORIES),
    scenes=len(SCENE_CLASSES),
    kernel=4,
    early_pool=True,
)


class Answers(NamedTuple):
    """What a SoundNet says of sounds, logits."""

    objects: Tensor  # (batch, objects, steps)
    scenes: Tensor  # (batch, scenes, steps)


class SoftTargets(NamedTuple):
    """What the two teachers say of pictures: distributions, each row sums to one."""

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
            self.convs.append(_convolution(channels, layer))
            self.norms.append(nn.BatchNorm2d(layer.channels))
            channels = layer.channels
        size = {"kernel_size": (1, config.kernel), "stride": (1, config.stride)}
        self.objects = nn.Conv2d(channels, config.objects, **size)
        self.scenes = nn.Conv2d(channels, config.scenes, **size)
        self.to(memory_format=torch.channels_last)

    def stages(self, waves: Tensor) -> dict[str, Tensor]:
        """Return what each layer makes of the waves, ``conv1`` or ``pool1`` and so on.

        Returns:
            (batch, channels, steps) by name, in order, none negative. With ``early_pool`` a layer
            that pools appears once, as its ``pool``.

        Raises:
            TypeError: the waves are not floating-point numbers.
            ValueError: they are not (batch, time), hold NaN, or are too short for one answer.
        """
        signal, found, early = self._checked(waves), {}, self.config.early_pool
        for number, layer in enumerate(self.config.layers, 1):
            signal = self.convs[number - 1](signal)
            if layer.pool and early:
                signal = max_pool2d(signal, (1, layer.pool))
            signal = self.norms[number - 1](signal).relu_()
            name = "pool" if layer.pool and early else "conv"
            found[f"{name}{number}"] = signal[:, :, 0]
            if layer.pool and not early:
                signal = max_pool2d(signal, (1, layer.pool))
                found[f"pool{number}"] = signal[:, :, 0]
        return found

    def forward(self, waves: Tensor) -> Answers:
        """Say of each stretch of each wave which objects and scene class one would see.

        Args:
            waves: (batch, time), mono, at the rate the network is made for, in -1 to 1.

        Returns:
            logits (batch, objects, steps) and (batch, scenes, steps).

        Raises:
            TypeError, ValueError: as ``stages``.
        """
        top = list(self.stages(waves).values())[-1].unsqueeze(2)
        return Answers(self.objects(top)[:, :, 0], self.scenes(top)[:, :, 0])

    def _checked(self, waves: Tensor) -> Tensor:
        time = check_shape(waves, "batch time", name="waves")["time"]
        check_floating(waves, name="waves")
        check_finite(waves, name="waves")
        least = shortest(self.config)
        if time < least:
            raise ValueError(
                f"waves have {time} samples, one answer needs {least}: pad them with zeros or "
                "take longer clips"
            )
        return waves[:, None, None].contiguous(memory_format=torch.channels_last)


def _convolution(channels: int, layer: Layer) -> nn.Conv2d:
    size = {"kernel_size": (1, layer.kernel), "stride": (1, layer.stride)}
    return nn.Conv2d(channels, layer.channels, padding=(0, layer.kernel // 2), **size)


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


def to_waves(signal: Tensor, *, sample_rate: int, rate: int = SAMPLE_RATE) -> Tensor:
    """Return any recording as a network wants it: one channel, ``rate`` samples a second.

    Args:
        signal: (time,) or (channels, time), floating point. Channels are averaged.

    Returns:
        (1, time).

    Raises:
        TypeError, ValueError: the signal is empty, not finite or has more axes; a rate is wrong.
    """
    check_shape(signal, "... time", name="signal")
    check_floating(signal, name="signal")
    check_finite(signal, name="signal")
    if signal.ndim > 2:
        raise ValueError(
            f"signal has {signal.ndim} axes; it needs (time,) or (channels, time): one at a time"
        )
    mono = signal if signal.ndim == 1 else signal.mean(dim=0)
    return (mono if sample_rate == rate else resample(mono, sample_rate, rate))[None]


def teach(teacher: ImageClassifier, drawn: Tensor, *, batch_size: int = 32) -> SoftTargets:
    """Look at each picture once and return what the two teachers say. No gradient is kept.

    The teacher for objects gives each category a probability of its own; these are divided by their
    sum. The teacher for scenes is a softmax as it is.

    Args:
        drawn: (videos, 3, height, width) in 0 to 1.
    """

    def both(model: ImageClassifier, batch: Tensor) -> Tensor:
        seen = model(batch)
        evidence = seen.words[:, : len(CATEGORIES)].sigmoid()
        return torch.cat(
            [evidence / evidence.sum(1, keepdim=True), seen.scene_class.softmax(1)], dim=1
        )

    found = predict(teacher, Batches(drawn, batch_size=batch_size), both)
    return SoftTargets(*found.split([len(CATEGORIES), len(SCENE_CLASSES)], dim=1))


def sound_targets(scenes: Scenes) -> SoftTargets:
    """Return what perfect teachers of sound would say: what sounds, evenly, and the scene class.

    No picture shows this: a student taught so is the ceiling. In silence all are equally likely.
    """
    sounding = sound_labels(scenes)
    silent = sounding.sum(dim=1, keepdim=True) == 0
    objects = torch.where(silent, 1.0, sounding)
    places = one_hot(scenes.scene_class, len(SCENE_CLASSES)).float()
    return SoftTargets(objects / objects.sum(dim=1, keepdim=True), places)


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
        batch: waves, and what the two teachers say.
        objects, scenes: the weight of each teacher; 0 leaves it out.
    """
    waves, things, places = batch
    said = model(waves)
    loss = objects * divergence(things, said.objects)
    return loss + scenes * divergence(places, said.scenes)


class Recordings(NamedTuple):
    """Sounds recorded one by one, to be mixed into many scenes."""

    sounds: Tensor  # (categories, recordings, time)
    ambiences: Tensor  # (scene classes, 2, recordings, time): by day, by night


class Videos(NamedTuple):
    """Pictures and sounds of the same scenes. Only the scenes know what is in them."""

    scenes: Scenes
    pictures: Tensor  # (videos, 3, 64, 64)
    waves: Tensor  # (videos, time)


def synthesise(count: int, *, generator: torch.Generator, seconds: float = 3.0) -> Recordings:
    """Make ``count`` sounds of each category, a quarter as many ambiences by day and by night.

    To mix recorded sounds is much quicker than to synthesise each anew.
    """
    things = [
        torch.stack([sounds.timbre(k, seconds=seconds, generator=generator) for _ in range(count)])
        for k in CATEGORIES
    ]
    around = [
        sounds.ambience(place, seconds=seconds, generator=generator, night=night)
        for place in SCENE_CLASSES
        for night in (False, True)
        for _ in range(max(1, count // 4))
    ]
    return Recordings(
        torch.stack(things), torch.stack(around).unflatten(0, (len(SCENE_CLASSES), 2, -1))
    )


def soundtrack(
    scenes: Scenes,
    recordings: Recordings,
    *,
    seconds: float,
    generator: torch.Generator,
    noise: tuple[float, float] = NOISE,
) -> Tensor:
    """Mix what sounds in each scene, its ambience, and a microphone's noise.

    As in ``sounds.render``, a near object is louder; every recording begins at a random moment, and
    the noise is drawn between two levels, evenly on a logarithmic scale.

    Returns:
        (scenes, seconds · 16000).

    Raises:
        ValueError: the recordings are shorter than ``seconds``.
    """
    time, recorded = round(seconds * SAMPLE_RATE), recordings.sounds.shape[2]
    if time > recorded:
        raise ValueError(
            f"{time} samples are asked for, the recordings have {recorded}: make longer ones"
        )
    shape = scenes.present.shape
    which = torch.randint(recordings.sounds.shape[1], shape, generator=generator)
    where = torch.randint(recordings.ambiences.shape[2], shape[:1], generator=generator)
    start = torch.randint(recorded - time + 1, (shape[0], shape[1] + 1), generator=generator)
    gains = scenes.sounding * scenes.present / ((1 + scenes.depth) * scenes.slots)
    low, high = torch.tensor(noise).log()
    levels = (low + (high - low) * torch.rand(len(scenes), generator=generator)).exp()
    waves = torch.randn(len(scenes), time, generator=generator) * levels[:, None]
    for index, wave in enumerate(waves):
        place, night = int(scenes.scene_class[index]), int(scenes.night[index])
        begin = int(start[index, -1])
        wave += recordings.ambiences[place, night, where[index], begin : begin + time]
        for slot in gains[index].nonzero()[:, 0].tolist():
            begin = int(start[index, slot])
            take = recordings.sounds[scenes.category[index, slot], which[index, slot]]
            wave.add_(take[begin : begin + time], alpha=float(gains[index, slot]))
    return waves


def make_videos(
    count: int, *, recordings: Recordings, generator: torch.Generator, seconds: float = 2.0
) -> Videos:
    """Make videos of one to three objects, of which each sounds with a chance of 0.6."""
    scenes = sampling.sample_scenes(count, generator=generator, slots=3, sounding=0.6)
    drawn = pictures.draw(scenes, generator=generator)
    return Videos(
        scenes, drawn, soundtrack(scenes, recordings, seconds=seconds, generator=generator)
    )


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
    """Train a student on sounds and what the teachers said of their pictures.

    Each batch hears ``SECONDS`` of its sounds from a moment drawn anew.

    Args:
        waves: (videos, time).
        targets: of the same videos, in the same order.
    """
    heard = round(SECONDS * SAMPLE_RATE)
    time = check_shape(waves, "videos time", name="waves")["time"]
    if time < heard:
        raise ValueError(f"waves have {time} samples, a student takes {heard}: take longer ones")

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        start = int(torch.randint(time - heard + 1, (), generator=generator))
        cut = batch[0][:, start : start + heard]
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


class LabelledSounds(NamedTuple):
    """Sounds without pictures, and what there is to name."""

    waves: Tensor  # (sounds, time), one second
    scene_class: Tensor  # (sounds,) index into SCENE_CLASSES
    loudest: Tensor  # (sounds,) index into CATEGORIES: the nearer of the two objects that sound


def sound_mixtures(
    count: int, *, recordings: Recordings, generator: torch.Generator
) -> LabelledSounds:
    """Return ambiences with two objects of different categories over each, one near, one far.

    A boat may sound in a forest: objects give nothing away about the scene class.
    """
    scenes = sampling.sample_scenes(count, generator=generator, slots=2, least=2, sounding=1.0)
    loudest = torch.randint(len(CATEGORIES), (count,), generator=generator)
    further = torch.randint(1, len(CATEGORIES), (count,), generator=generator)
    both = torch.ones_like(scenes.present)
    scenes = scenes.replace(
        category=torch.stack([loudest, (loudest + further) % len(CATEGORIES)], dim=1),
        depth=torch.stack([torch.zeros(count), torch.ones(count)], dim=1),
        present=both,
        sounding=both,
    )
    waves = soundtrack(scenes, recordings, seconds=SECONDS, generator=generator)
    return LabelledSounds(waves, scenes.scene_class, loudest)


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

    It is the chance that a sound of the named sort excites the unit more than another does, ties
    counted half (Mann & Whitney 1947): 0.5 for a unit that does not care, 1 for a perfect one.

    Args:
        responses: (sounds, units).
        holds: (sounds,) bool, which sounds are of the named sort.

    Raises:
        ValueError: all sounds are of the sort, or none.
    """
    size = check_shape(responses, "sounds units", name="responses")
    check_shape(holds, str(size["sounds"]), name="holds")
    if holds.all() or not holds.any():
        raise ValueError(
            f"{int(holds.sum())} of {len(holds)} sounds are of the sort: both sides need one"
        )
    yes, no = responses[holds].T[:, :, None], responses[~holds].T[:, None, :]  # (units, yes, no)
    return ((yes > no).float() + 0.5 * (yes == no).float()).mean(dim=(1, 2))
