"""Where does the sound come from? An attention map over the picture, driven by the sound.

Built in notebooks/vision_audio/05_localization.ipynb. Source: Senocak, Oh, Kim, Yang & Kweon,
"Learning to Localize Sound Source in Visual Scenes", CVPR 2018, and the authors' released program.
Theirs are VGG-16 and SoundNet with 512 and 1,000 features; ours are the book's two frozen encoders
with 128 and 192, whose features are standardised first. ``contrastive_loss`` and
``appearance_groups`` are this book's additions.

Shapes: grids are (batch, features, rows, columns), sounds (batch, audio features), scores and
attention (batch, rows, columns).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from sklearn.cluster import KMeans
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional

from mmlib.data.batches import Batches
from mmlib.data.standardise import Standardise
from mmlib.foundations.pretraining import (
    AudioEncoder,
    encode,
    extract_features,
    load_audio_encoder,
    load_image_encoder,
)
from mmlib.metrics import consensus_iou, peak_in, success_auc
from mmlib.runtime import make_generator
from mmlib.shapes import check_finite, check_floating, check_shape, check_whole
from mmlib.training import History, fit, predict
from mmlib.world import pictures, single_source
from mmlib.world.scenes import Scenes
from mmlib.world.single_source import SIDE, Recordings

STEPS = 600  # of training, the same for every system
Unsupervised = Callable[[nn.Module, tuple[Tensor, Tensor]], Tensor]


@dataclass(frozen=True)
class LocalizerConfig:
    """The sizes of a localizer."""

    features: int = 128  # of a cell of the image encoder's grid; 512 in the paper
    audio_features: int = 2 * AudioEncoder.features  # mean and maximum over time; 1,000

    def __post_init__(self) -> None:
        for name in ("features", "audio_features"):
            object.__setattr__(self, name, check_whole(getattr(self, name), name=name))


class Localized(NamedTuple):
    """What a localizer makes of pictures and their sounds."""

    scores: Tensor  # (batch, rows, columns), in 0 to 1
    attention: Tensor  # (batch, rows, columns), of sum 1
    z: Tensor  # (batch, audio features): the attended picture, brought to the space of sounds
    sound: Tensor  # (batch, audio features): the frozen features that z is compared with


class Localizer(nn.Module):
    """Senocak et al.'s two streams on the features of two frozen encoders."""

    def __init__(self, config: LocalizerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LocalizerConfig()
        image, audio = config.features, config.audio_features
        self.sound_fc1, self.sound_fc2 = nn.Linear(audio, audio), nn.Linear(audio, image)
        self.image_fc1, self.image_fc2 = nn.Linear(image, image), nn.Linear(image, audio)
        self.cells, self.sounds = Standardise(image), Standardise(audio)

    def query(self, f: Tensor) -> Tensor:
        """Return h of sounds f, (batch, features), of length 1, in the space of the cells."""
        h = self.sound_fc2(self.sound_fc1(f.relu()).relu())
        return functional.normalize(h, dim=1)

    def forward(self, grids: Tensor, sounds: Tensor) -> Localized:
        """Attend to what sounds in each picture.

        Args:
            grids: (batch, features, rows, columns), floating point, also half precision.
            sounds: (batch, audio features), one sound for each picture.

        Raises:
            TypeError, ValueError: a shape or type is wrong, or a value is not finite.
        """
        size = check_shape(grids, f"batch {self.config.features} rows columns", name="grids")
        check_shape(sounds, f"{size['batch']} {self.config.audio_features}", name="sounds")
        for name, values in (("grids", grids), ("sounds", sounds)):
            check_floating(values, name=name)
            check_finite(values.float(), name=name)
        v, f = self.cells(grids), self.sounds(sounds)
        scores = localization_scores(v, self.query(f))
        alpha = attention(scores)
        z = torch.einsum("bdrc,brc->bd", v, alpha)  # of cells as they are, not of length 1
        z = self.image_fc2(self.image_fc1(z.relu()).relu())
        return Localized(scores, alpha, z, f)


def localization_scores(cells: Tensor, h: Tensor) -> Tensor:
    """Return ReLU(cosine) of each picture's cells and its sound, (batch, rows, columns)."""
    v = functional.normalize(cells, dim=1)
    return torch.einsum("bdrc,bd->brc", v, functional.normalize(h, dim=1)).relu()


def attention(scores: Tensor) -> Tensor:
    """Return the softmax of scores (..., rows, columns) over all cells, without temperature."""
    return scores.flatten(-2).softmax(dim=-1).unflatten(-1, scores.shape[-2:])


def ratio_loss(near: Tensor, far: Tensor) -> Tensor:
    """Return the paper's triplet loss of two distances, each (batch,).

    Their softmax (d⁺, d⁻) is compared with (0, 1): the mean of (d⁺)² + (d⁻ - 1)², after Hoffer
    and Ailon (2015). The released program halves it.
    """
    shares = torch.stack([near, far], dim=1).softmax(dim=1)
    return (shares[:, 0].square() + (shares[:, 1] - 1).square()).mean()


def unsupervised_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return ``ratio_loss`` of z's distances to its own and to another clip's sound.

    Only the own sound drives the attention; the other clip is the batch's one before.
    """
    found = model(*batch)
    other = found.sound.roll(1, dims=0)
    near = functional.pairwise_distance(found.z, found.sound)
    return ratio_loss(near, functional.pairwise_distance(found.z, other))


def supervised_loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the cross-entropy -Σ α* log α of the attention with the one that a box gives.

    Args:
        batch: grids, sounds, and the true attention (batch, rows, columns), each of sum 1.
    """
    grids, sounds, truth = batch
    alpha = model(grids, sounds).attention
    return -(truth * alpha.log()).sum(dim=(1, 2)).mean()


def loss(
    model: nn.Module,
    batch: dict[str, tuple[Tensor, ...]],
    *,
    unsupervised: Unsupervised = unsupervised_loss,
) -> Tensor:
    """Return unsupervised loss of ``batch["pairs"]`` plus supervised of ``batch["marked"]``.

    One of the two may be missing: these are the paper's three regimes.
    """
    parts = {"pairs": unsupervised, "marked": supervised_loss}
    return sum(parts[name](model, part) for name, part in batch.items())


TAU = 0.1  # temperature of the scores of pairs in the contrastive loss
SOFTNESS = 0.3  # of the attention in it; at 0.1 some seeds get stuck on wrong cells


def contrastive_loss(model: Localizer, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return how badly pictures and sounds of a batch find each other among all of it.

    Not in the paper: every sound looks for itself in every picture. A pair's score is the mean of
    the localization scores, weighted by an attention with a temperature. Cross-entropy of the
    right sound for each picture and the right picture for each sound (van den Oord et al., 2018).
    """
    v = functional.normalize(model.cells(batch[0]).flatten(2), dim=1)  # (pictures, d, cells)
    h = model.query(model.sounds(batch[1]))  # (sounds, d)
    scores = torch.matmul(h, v).relu()  # (pictures, sounds, cells)
    pairs = ((scores / SOFTNESS).softmax(dim=2) * scores).sum(dim=2) / TAU
    own = torch.arange(len(pairs), device=pairs.device)
    return (functional.cross_entropy(pairs, own) + functional.cross_entropy(pairs.T, own)) / 2


def appearance_groups(grids: Tensor, *, groups: int = 10) -> Tensor:
    """Sort pictures by how they look as a whole: k-means of their standardised mean features.

    Returns:
        (pictures,) the number of each one's group.
    """
    whole = torch.stack([grid.float().mean(dim=(1, 2)) for grid in grids])
    scaled = Standardise.over(whole)(whole)
    with threadpool_limits(1):
        return torch.as_tensor(KMeans(groups, n_init=3, random_state=0).fit_predict(scaled))


class Clips(NamedTuple):
    """Pictures with sound, as the frozen encoders give them. Only the scenes know more."""

    scenes: Scenes
    grids: Tensor  # (clips, features, rows, columns), half precision
    audio: Tensor  # (clips, 2 · features of the audio encoder)


def make_clips(count: int, *, recordings: Recordings, generator: torch.Generator) -> Clips:
    """Make scenes with two or three objects, one of them sounding, and encode them once."""
    scenes = single_source.sample_single_source(count, generator=generator)
    encoder, grids = load_image_encoder(), []
    for start in range(0, count, 500):  # the pictures themselves need not be kept
        drawn = pictures.draw(scenes[start : start + 500], size=SIDE, generator=generator)
        grids.append(encode(encoder, drawn).half())
    waves = single_source.soundtrack(scenes, recordings, generator=generator)
    return Clips(scenes, torch.cat(grids), extract_features(load_audio_encoder(), waves))


def true_attention(scenes: Scenes, rows: int) -> Tensor:
    """Return the attention that is asked of a model: even over the box, (scenes, rows, rows)."""
    return pictures.cell_shares(single_source.ground_truth(scenes), rows, rows)


class ClipBatches:
    """Batches of pairs, of clips whose box is known, or of both: 64 and 32 clips a step.

    Args:
        clips: what to learn from.
        generator: draws the order.
        marked: indices of the clips whose box is known; ``None``: none is.
        pairs: whether pairs are used; False is the fully supervised regime.
        group: (clips,) if given, all pairs of a batch are of one group.

    Raises:
        ValueError: there are neither pairs nor marked clips.
    """

    def __init__(
        self,
        clips: Clips,
        *,
        generator: torch.Generator,
        marked: Tensor | None = None,
        pairs: bool = True,
        group: Tensor | None = None,
    ) -> None:
        self.marked = marked if marked is not None and len(marked) else None
        if not pairs and self.marked is None:
            raise ValueError("there are neither pairs nor marked clips: give one of the two")
        self.clips, self.generator, self.pairs = clips, generator, pairs
        self.group = torch.zeros(len(clips.grids)).long() if group is None else group
        if self.marked is not None:
            self.truth = true_attention(clips.scenes[self.marked], clips.grids.shape[2])

    def __iter__(self) -> Iterator[dict[str, tuple[Tensor, ...]]]:
        for chosen in self.order():
            batch = {}
            if self.pairs:
                batch["pairs"] = (self.clips.grids[chosen], self.clips.audio[chosen])
            if self.marked is not None:
                some = torch.randint(len(self.marked), (32,), generator=self.generator)
                at = self.marked[some]
                batch["marked"] = (self.clips.grids[at], self.clips.audio[at], self.truth[some])
            yield batch

    def order(self) -> list[Tensor]:
        """Return the clips' indices in batches, each of one group, in an order drawn anew."""
        mixed = torch.randperm(len(self.group), generator=self.generator)
        parts = [mixed[self.group[mixed] == number] for number in self.group.unique()]
        batches = [batch for part in parts for batch in part.split(64) if len(batch) > 1]
        again = torch.randperm(len(batches), generator=self.generator)
        return [batches[number] for number in again]


def train(
    clips: Clips,
    *,
    seed: int,
    steps: int = STEPS,
    unsupervised: Unsupervised = unsupervised_loss,
    progress: bool = True,
    **regime,
) -> tuple[Localizer, History]:
    """Return a localizer trained from the first weights of ``seed``, and the run's history.

    Args:
        regime: further arguments of ``ClipBatches``, such as which clips are marked.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sizes = LocalizerConfig(clips.grids.shape[1], clips.audio.shape[1])
        model = Localizer(sizes)
    model.cells = Standardise.over(clips.grids[:500])
    model.sounds = Standardise.over(clips.audio)
    generator = make_generator(seed)
    history = fit(
        model,
        ClipBatches(clips, generator=generator, **regime),
        lambda model, batch: loss(model, batch, unsupervised=unsupervised),
        generator=generator,
        steps=steps,
        learning_rate=1e-3,
        schedule=lambda done: 1 - 0.95 * done,
        progress=progress,
    )
    return model, history


def predict_maps(model: Localizer, grids: Tensor, sounds: Tensor, *, side: int = SIDE) -> Tensor:
    """Return each picture's scores for its sound, enlarged: (pictures, side, side)."""
    batches = Batches((grids, sounds), batch_size=100)
    return enlarge(predict(model, batches, lambda m, b: m(*b).scores), side)


def enlarge(maps: Tensor, side: int) -> Tensor:
    """Return maps (items, rows, columns) at a picture's size, bilinearly."""
    check_shape(maps, "items rows columns", name="maps")
    options = {"size": (side, side), "mode": "bilinear", "align_corners": False}
    return functional.interpolate(maps[:, None], **options)[:, 0]


class EvaluationSet(NamedTuple):
    """Clips that no training saw, where the sound comes from, and two trials with other sounds."""

    clips: Clips
    boxes: Tensor  # (clips, side, side) bool: the sounding object
    agreed: Tensor  # (clips, side, side) in 0 to 1: what three annotators make of it
    loudness: Tensor  # (clips,) of the sounding object over ambience and noise, in dB
    other: Scenes  # another object of the same picture sounds
    other_audio: Tensor
    other_boxes: Tensor
    absent_audio: Tensor  # a category that is not in the picture sounds instead


def make_evaluation_set(
    count: int, *, recordings: Recordings, generator: torch.Generator
) -> EvaluationSet:
    """Make a test set; ``recordings`` should be others than those of training."""
    clips, encoder = (
        make_clips(count, recordings=recordings, generator=generator),
        load_audio_encoder(),
    )
    scenes = clips.scenes
    other = single_source.switch_source(scenes, generator=generator)
    absent = single_source.absent_categories(scenes, generator=generator)
    seed = int(torch.randint(2**31, (), generator=generator))

    def mix(scenes: Scenes, recordings: Recordings = recordings, **what) -> Tensor:
        same = make_generator(seed)  # the same ambience and noise for all
        return single_source.soundtrack(scenes, recordings, generator=same, **what)

    wave = mix(scenes)
    rest = mix(scenes, recordings._replace(sounds=torch.zeros_like(recordings.sounds)))
    power = [part.square().mean(dim=1) for part in (wave - rest, rest)]
    return EvaluationSet(
        clips._replace(audio=extract_features(encoder, wave)),
        single_source.ground_truth(scenes),
        single_source.consensus(scenes, generator=generator),
        10 * (power[0] / power[1]).log10(),
        other,
        extract_features(encoder, mix(other)),
        single_source.ground_truth(other),
        extract_features(encoder, mix(scenes, categories=absent)),
    )


class Maps(NamedTuple):
    """Maps for a test set, each (clips, side, side)."""

    own: Tensor
    other: Tensor  # when another object sounds
    absent: Tensor  # when something outside the picture sounds


def answer(model: Localizer, test_set: EvaluationSet, *, deaf: bool = False) -> Maps:
    """Return a model's maps; ``deaf``: it gets the same sound, all zeros, everywhere."""
    audio = (test_set.clips.audio, test_set.other_audio, test_set.absent_audio)
    heard = [torch.zeros_like(sounds) if deaf else sounds for sounds in audio]
    return Maps(*(predict_maps(model, test_set.clips.grids, sounds) for sounds in heard))


def centre_box(count: int, *, side: int = SIDE) -> Tensor:
    """Return maps whose level sets are squares around the picture's middle: (count, side, side)."""
    away = torch.linspace(-1, 1, side).abs()
    return 1 - torch.maximum(away[:, None], away[None, :]).expand(count, side, side)


def scaled(maps: Tensor) -> Tensor:
    """Return maps (items, rows, columns), each stretched to its own 0 to 1; a flat one is 0."""
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - low) / torch.where(high > low, high - low, 1)


def best_threshold(maps: Tensor, agreed: Tensor) -> float:
    """Return the threshold of scaled maps at which most consensus IoUs reach a half.

    To be chosen on validation data, not where it is measured.
    """
    levels = torch.linspace(0.05, 0.95, 19).tolist()
    stretched = scaled(maps)
    hits = [(consensus_iou(stretched, agreed, threshold=t) >= 0.5).sum() for t in levels]
    return levels[int(torch.stack(hits).argmax())]


def grade(maps: Maps, test_set: EvaluationSet, *, threshold: float) -> dict[str, float]:
    """Return all measures: "pointing", "cIoU@0.5", "AUC", "moves", "off-screen".

    *moves* is the share of pictures where the highest pixel lies in another object's box when that
    one sounds; *off-screen* the chance that a map's peak is lower for a sound from outside the
    picture than for one from inside, ties counted half.
    """
    ious = consensus_iou(scaled(maps.own), test_set.agreed, threshold=threshold)
    inside, outside = maps.own.amax(dim=(1, 2)), maps.absent.amax(dim=(1, 2))
    labels = [1] * len(inside) + [0] * len(outside)
    return {
        "pointing": float(peak_in(maps.own, test_set.boxes).double().mean()),
        "cIoU@0.5": float((ious >= 0.5).double().mean()),
        "AUC": success_auc(ious),
        "moves": float(peak_in(maps.other, test_set.other_boxes).double().mean()),
        "off-screen": float(roc_auc_score(labels, torch.cat([inside, outside]))),
    }
