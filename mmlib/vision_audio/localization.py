"""Where does the sound come from? A map over the picture, learned from pictures with sound.

Built in notebooks/vision_audio/05_localization.ipynb. Source: Senocak, Oh, Kim, Yang & Kweon,
"Learning to Localize Sound Source in Visual Scenes", CVPR 2018, cited as S18.

Two streams. The frozen image encoder turns a picture into a grid of features, the frozen audio
encoder a second of sound into one vector; each does so once, only small layers on top are trained.
The *map* is the cosine of the sound's vector with each cell's. Its softmax is the *attention*, and
the cells' vectors summed with that weight are the *attended* visual feature, the sound's view.

Nothing else is needed than knowing which picture and which sound belong together. What is not in
the paper: pictures are contrasted with others of scenes that look alike (``alike``), since
otherwise the *ambience* is matched with the background and the map avoids all objects.

Shapes: grids are (batch, features, rows, columns), sounds (batch, features), maps
(..., rows, columns).
"""

import math
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
from mmlib.foundations.pretraining import (
    AudioEncoder,
    ImageEncoder,
    encode,
    extract_features,
    load_audio_encoder,
    load_image_encoder,
)
from mmlib.metrics import consensus_iou, success_auc
from mmlib.runtime import make_generator
from mmlib.shapes import check_finite, check_floating, check_shape, check_whole
from mmlib.training import History, fit, predict
from mmlib.world import pictures
from mmlib.world.scenes import Scenes
from mmlib.world.single_source import (
    SIDE,
    Recordings,
    absent_categories,
    consensus,
    ground_truth,
    sample_single_source,
    sounding,
    soundtrack,
    switch_source,
)

ALIKE_GROUPS = 10  # groups of pictures that look alike
STEPS = 800  # of training
Unsupervised = Callable[[nn.Module, tuple[Tensor, Tensor]], Tensor]


@dataclass(frozen=True)
class LocalizerConfig:
    """The size of a localizer."""

    features: int = 128  # of a cell of the image encoder's grid
    audio_features: int = 2 * AudioEncoder.features  # of a sound: mean and maximum over time
    shared: int = 64  # of the space that pictures and sounds share
    hidden: int = 128  # of the audio stream
    temperature: float = 0.6  # of the attention
    learn_temperature: bool = False  # learned, it falls, and the maps shrink to a spot
    floor: float = 0.0  # a cell's vector that is not longer than this says little

    def __post_init__(self) -> None:
        for name in ("features", "audio_features", "shared", "hidden"):
            object.__setattr__(self, name, check_whole(getattr(self, name), name=name))
        if not self.temperature > 0 or not self.floor >= 0:
            raise ValueError(
                f"temperature is {self.temperature} and floor {self.floor}: the first must be "
                "above 0, the second 0 or more"
            )


class Embeddings(NamedTuple):
    """Pictures and sounds in the shared space."""

    cells: Tensor  # (pictures, shared, rows, columns), each at most of length 1
    audio: Tensor  # (sounds, shared), each of length 1


class Localizer(nn.Module):
    """Two streams: small layers on the features of frozen encoders."""

    def __init__(self, config: LocalizerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LocalizerConfig()
        self.image_stream = nn.Conv2d(config.features, config.shared, 1)
        self.audio_stream = nn.Sequential(
            nn.Linear(config.audio_features, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.shared),
        )
        self.log_temperature = nn.Parameter(
            torch.tensor(math.log(config.temperature)), requires_grad=config.learn_temperature
        )
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))  # of scores of pairs
        self.log_sharpness = nn.Parameter(
            torch.tensor(math.log(10.0))
        )  # of maps, where boxes teach
        for name, size in (("grid", config.features), ("sound", config.audio_features)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_spread", torch.ones(size))

    @property
    def temperature(self) -> Tensor:
        """How even the attention is: near 0 all of it lies on one cell."""
        return self.log_temperature.exp()

    def standardise(self, grids: Tensor, sounds: Tensor) -> None:
        """Remember mean and spread of every feature, so that none outweighs the others."""
        some = grids[:500].float()
        for name, values, axes in (("grid", some, (0, 2, 3)), ("sound", sounds, (0,))):
            getattr(self, f"{name}_mean").copy_(values.mean(axes))
            getattr(self, f"{name}_spread").copy_(values.std(axes).clamp(min=1e-3))

    def forward(self, grids: Tensor, sounds: Tensor) -> Embeddings:
        """Bring pictures and sounds, as many as there are of each, into the shared space.

        Args:
            grids: (pictures, features, rows, columns), floating point, also half precision.
            sounds: (sounds, features).

        Raises:
            TypeError, ValueError: a shape or type is wrong, an axis is empty, or a value is NaN.
        """
        check_shape(grids, f"pictures {self.config.features} rows columns", name="grids")
        check_shape(sounds, f"sounds {self.config.audio_features}", name="sounds")
        for name, values in (("grids", grids), ("sounds", sounds)):
            check_floating(values, name=name)
        grids = grids.float()  # before they are added up: half precision is slow there
        check_finite(grids, name="grids")
        check_finite(sounds, name="sounds")
        mean, spread = self.grid_mean[:, None, None], self.grid_spread[:, None, None]
        cells = self.image_stream((grids - mean) / spread)
        length = cells.square().sum(dim=1, keepdim=True) + self.config.floor**2
        audio = self.audio_stream((sounds - self.sound_mean) / self.sound_spread)
        return Embeddings(cells / length.sqrt(), functional.normalize(audio, dim=1))


def score_maps(cells: Tensor, audio: Tensor) -> Tensor:
    """Return each picture's map for its own sound, (batch, rows, columns): S18 eq. 1.

    It is the cosine of the sound's vector and the cell's, made smaller where the cell says little.

    Raises:
        ValueError: the shapes do not fit.
    """
    size = check_shape(cells, "batch shared rows columns", name="cells")
    check_shape(audio, f"{size['batch']} {size['shared']}", name="audio")
    return torch.einsum("bdrc,bd->brc", cells, audio)


def attention(maps: Tensor, temperature: Tensor | float) -> Tensor:
    """Return the softmax of maps (..., rows, columns) over all cells (S18 eq. 2)."""
    check_shape(maps, "... rows columns", name="maps")
    return (maps.flatten(-2) / temperature).softmax(dim=-1).reshape(maps.shape)


def attended(cells: Tensor, weights: Tensor) -> Tensor:
    """Return z = Σ_i α_i v_i, the sound's view of its picture, (batch, shared): S18 eq. 3."""
    return torch.einsum("bdrc,brc->bd", cells, weights)


def pair_scores(embedded: Embeddings, temperature: Tensor | float) -> Tensor:
    """Return z · h of every picture with every sound, (pictures, sounds).

    z = Σ α v, so z · h = Σ α (v · h): the attended feature need not be made, the map suffices.
    """
    flat = embedded.cells.flatten(2)  # (pictures, shared, cells)
    maps = torch.matmul(embedded.audio, flat)  # (pictures, sounds, cells)
    return ((maps / temperature).softmax(dim=2) * maps).sum(dim=2)


def contrastive_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return how badly pictures and sounds of a batch find each other among all of it.

    Cross-entropy of the right sound for each picture and of the right picture for each sound
    (van den Oord et al., 2018; Radford et al., 2021).

    Args:
        batch: grids and sounds; the i-th of both belong together.
    """
    scores = pair_scores(model(*batch), model.temperature) * model.log_scale.exp()
    own = torch.arange(len(scores), device=scores.device)
    return (functional.cross_entropy(scores, own) + functional.cross_entropy(scores.T, own)) / 2


def ratio_loss(near: Tensor, far: Tensor) -> Tensor:
    """Return the triplet loss of S18 (eq. 4): a softmax of two distances, compared with (0, 1).

    With d⁺ and d⁻ the softmax of the distances to the own and to another sound, it is the mean of
    (d⁺)² + (1 - d⁻)², after Hoffer and Ailon (2015).

    Args:
        near, far: (batch,) distances.
    """
    shares = torch.stack([near, far], dim=1).softmax(dim=1)
    return (shares[:, 0].square() + (1 - shares[:, 1]).square()).mean()


def triplet_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return ``ratio_loss`` of each picture with its own sound and with its neighbour's.

    The distance is 1 - z · h, and each of the two sounds looks for itself: z is what *it* sees. In
    S18 both are compared with what the own sound sees; so it learned little here in as many steps.
    """
    cells, audio = model(*batch)
    distances = []
    for sounds in (audio, audio.roll(1, 0)):
        maps = score_maps(cells, sounds)
        seen = (attention(maps, model.temperature) * maps).sum(dim=(1, 2))  # z · h
        distances.append(model.log_scale.exp() * (1 - seen))
    return ratio_loss(*distances)


def supervised_loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the cross-entropy -Σ α* log α of the attention with the true one (S18 eq. 5).

    This attention has a learned temperature of its own: a cosine lies between -1 and 1, so the even
    attention that learns from pairs could never be as narrow as a small box.

    Args:
        batch: grids, sounds, and the true attention (batch, rows, columns), each of sum 1.
    """
    grids, sounds, truth = batch
    maps = score_maps(*model(grids, sounds)) * model.log_sharpness.exp()
    logs = maps.flatten(1).log_softmax(dim=1)
    return -(truth.flatten(1) * logs).sum(dim=1).mean()


def loss(
    model: nn.Module,
    batch: dict[str, tuple[Tensor, ...]],
    *,
    unsupervised: Unsupervised = contrastive_loss,
) -> Tensor:
    """Return unsupervised plus supervised loss, whichever is there: all regimes (S18 eq. 6).

    Args:
        batch: ``"pairs"``, a batch for ``unsupervised``; ``"marked"``, one for
            ``supervised_loss``; one of the two may be missing.
    """
    total = 0.0
    if "pairs" in batch:
        total = total + unsupervised(model, batch["pairs"])
    if "marked" in batch:
        total = total + supervised_loss(model, batch["marked"])
    return total


class Clips(NamedTuple):
    """Pictures with sound, as the frozen encoders give them. Only the scenes know more."""

    scenes: Scenes
    grids: Tensor  # (clips, features, rows, columns), half precision
    audio: Tensor  # (clips, 2 · features of the audio encoder)


def audio_features(
    audio_encoder: AudioEncoder,
    scenes: Scenes,
    recordings: Recordings,
    *,
    generator: torch.Generator,
    categories=None,
) -> Tensor:
    """Return what a frozen encoder makes of the scenes' sounds, pooled: (scenes, features)."""
    return extract_features(
        audio_encoder, soundtrack(scenes, recordings, generator=generator, categories=categories)
    )


def make_clips(
    count: int,
    *,
    recordings: Recordings,
    generator: torch.Generator,
    image_encoder: ImageEncoder | None = None,
    side: int = SIDE,
) -> Clips:
    """Make scenes with two or three objects, one of them sounding, and encode them once.

    Args:
        image_encoder: None takes the one that ships with the package.
        side: of the pictures in pixels.
    """
    scenes = sample_single_source(count, generator=generator)
    image_encoder, audio_encoder = image_encoder or load_image_encoder(), load_audio_encoder()
    grids = []
    for start in range(0, count, 500):  # the pictures themselves need not be kept
        drawn = pictures.draw(scenes[start : start + 500], size=side, generator=generator)
        grids.append(encode(image_encoder, drawn).half())
    return Clips(
        scenes,
        torch.cat(grids),
        audio_features(audio_encoder, scenes, recordings, generator=generator),
    )


def true_attention(scenes: Scenes, rows: int, *, side: int = SIDE) -> Tensor:
    """Return the attention that is asked of a model: even over the box, (scenes, rows, rows)."""
    covered = functional.adaptive_avg_pool2d(
        ground_truth(scenes, side=side).float()[:, None], rows
    )[:, 0]
    return covered / covered.sum(dim=(1, 2), keepdim=True)


def alike(grids: Tensor, *, groups: int = ALIKE_GROUPS) -> Tensor:
    """Sort pictures by how they look as a whole, without any label: k-means of the mean features.

    Returns:
        (pictures,) the number of each one's group.
    """
    whole = torch.cat([part.float().mean(dim=(2, 3)) for part in grids.split(500)])
    whole = (whole - whole.mean(dim=0)) / whole.std(dim=0).clamp(min=1e-3)
    with threadpool_limits(1):
        return torch.as_tensor(KMeans(groups, n_init=3, random_state=0).fit_predict(whole)).long()


class AlikeBatches:
    """Pairs of picture and sound in batches whose pictures all look alike; and marked pictures.

    Args:
        clips: what to learn from.
        marked: indices of the clips whose box is known; empty: none.
        pairs: whether the other clips are used; False is the fully supervised regime.
        batch_size: pairs a batch; **marked_size**: marked clips a batch.
    """

    def __init__(
        self,
        clips: Clips,
        *,
        generator: torch.Generator,
        marked: Tensor | None = None,
        pairs: bool = True,
        groups: int = ALIKE_GROUPS,
        batch_size: int = 64,
        marked_size: int = 32,
    ) -> None:
        if not pairs and (marked is None or not len(marked)):
            raise ValueError("there are neither pairs nor marked clips: give one of the two")
        self.clips, self.generator, self.pairs = clips, generator, pairs
        self.batch_size, self.marked_size = batch_size, marked_size
        self.group = alike(clips.grids, groups=groups) if pairs and groups > 1 else None
        self.marked = marked if marked is not None and len(marked) else None
        if self.marked is not None:
            self.boxes = true_attention(clips.scenes[self.marked], clips.grids.shape[2])

    def __iter__(self) -> Iterator[dict[str, tuple[Tensor, ...]]]:
        for chosen in self._shuffled() if self.pairs else range(len(self.clips.grids) // 64):
            batch = {}
            if self.pairs:
                batch["pairs"] = (self.clips.grids[chosen], self.clips.audio[chosen])
            if self.marked is not None:
                shape = (self.marked_size,)
                some = torch.randint(len(self.marked), shape, generator=self.generator)
                at = self.marked[some]
                batch["marked"] = (self.clips.grids[at], self.clips.audio[at], self.boxes[some])
            yield batch

    def _shuffled(self) -> list[Tensor]:
        """Return indices in batches, each of one group, in an order drawn anew."""
        order = torch.randperm(len(self.clips.grids), generator=self.generator)
        parts = [order] if self.group is None else [
            order[self.group[order] == number] for number in self.group.unique()
        ]  # fmt: skip
        batches = [b for part in parts for b in part.split(self.batch_size) if len(b) > 7]
        again = torch.randperm(len(batches), generator=self.generator)
        return [batches[number] for number in again]


def shuffled(clips: Clips, group: Tensor, *, generator: torch.Generator) -> Clips:
    """Return clips with the sounds exchanged within each group: alike scenes, no synchrony."""
    order = torch.arange(len(group))
    for number in group.unique():
        members = (group == number).nonzero()[:, 0]
        order[members] = members[torch.randperm(len(members), generator=generator)]
    return clips._replace(audio=clips.audio[order])


def predict_maps(model: Localizer, grids: Tensor, sounds: Tensor, *, side: int = SIDE) -> Tensor:
    """Return each picture's map for its sound, enlarged to the picture: (pictures, side, side)."""
    batches = Batches((grids, sounds), batch_size=50)
    return enlarge(predict(model, batches, lambda m, b: score_maps(*m(*b))), side)


def map_for(
    model: Localizer, clips: Clips, index: int, which: int, *, recordings: Recordings
) -> tuple[Tensor, Tensor]:
    """Let one object of a clip's scene sound; return the wave (time,) and the map."""
    slot = clips.scenes.objects()[index][which].slot
    scene = sounding(clips.scenes[index], torch.tensor([slot]))
    wave = soundtrack(scene, recordings, generator=make_generator(index))
    return wave[0], predict_maps(
        model, clips.grids[[index]], extract_features(load_audio_encoder(), wave)
    )[0]


def enlarge(maps: Tensor, side: int) -> Tensor:
    """Return maps (items, rows, columns) at a picture's size, bilinearly: a cell lies over its
    pixels' middle."""
    check_shape(maps, "items rows columns", name="maps")
    options = {"size": (side, side), "mode": "bilinear", "align_corners": False}
    return functional.interpolate(maps[:, None], **options)[:, 0]


def centred(count: int, *, side: int = SIDE) -> Tensor:
    """Return the maps of somebody who always points at the middle: (count, side, side)."""
    away = torch.linspace(-1, 1, side).square()
    return -(away[:, None] + away[None, :]).sqrt().expand(count, side, side)


def scaled(maps: Tensor) -> Tensor:
    """Return maps (items, rows, columns), each stretched to its own 0 to 1; a flat one is 0."""
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-12)


def points_at(maps: Tensor, regions: Tensor) -> Tensor:
    """Say of each map if its highest pixel lies in its region (items, rows, columns) bool."""
    check_shape(maps, "items rows columns", name="maps")
    check_shape(regions, "items rows columns", name="regions")
    if maps.shape != regions.shape:
        raise ValueError(f"maps have shape {tuple(maps.shape)}, regions {tuple(regions.shape)}")
    return regions.flatten(1).gather(1, maps.flatten(1).argmax(dim=1, keepdim=True))[:, 0]


def train(
    model: Localizer,
    batches: AlikeBatches,
    *,
    steps: int,
    generator: torch.Generator,
    unsupervised: Unsupervised = contrastive_loss,
    learning_rate: float = 1e-3,
    progress: bool = True,
) -> History:
    """Train a localizer; which regime it is, the batches say."""
    model.standardise(batches.clips.grids, batches.clips.audio)
    return fit(
        model,
        batches,
        lambda model, batch: loss(model, batch, unsupervised=unsupervised),
        generator=generator,
        steps=steps,
        learning_rate=learning_rate,
        schedule=lambda done: 1 - 0.95 * done,
        progress=progress,
    )


def learn(
    clips: Clips,
    *,
    seed: int,
    steps: int = STEPS,
    unsupervised: Unsupervised = contrastive_loss,
    temperature: float = LocalizerConfig.temperature,
    progress: bool = True,
    **how,
) -> Localizer:
    """Return a localizer trained from the first weights of ``seed``.

    Args:
        how: further arguments of ``AlikeBatches``, such as which clips are marked.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Localizer(LocalizerConfig(temperature=temperature))
    generator = make_generator(seed)
    batches = AlikeBatches(clips, generator=generator, **how)
    options = {"steps": steps, "unsupervised": unsupervised, "progress": progress}
    train(model, batches, generator=generator, **options)
    return model


class EvaluationSet(NamedTuple):
    """Clips that no training saw, where the sound comes from, and two trials with other sounds."""

    clips: Clips
    boxes: Tensor  # (clips, side, side) bool: the sounding object
    agreed: Tensor  # (clips, side, side) in 0 to 1: what three annotators make of it
    other: Scenes  # another object of the same picture sounds
    other_audio: Tensor
    other_boxes: Tensor
    absent_audio: Tensor  # a category that is not in the picture sounds instead


class Maps(NamedTuple):
    """Attention maps for a test set, each (clips, side, side)."""

    own: Tensor
    other: Tensor  # when another object sounds
    off: Tensor  # when something outside the picture sounds


def make_evaluation_set(
    count: int, *, recordings: Recordings, generator: torch.Generator
) -> EvaluationSet:
    """Make a test set; ``recordings`` should be others than those of training."""
    clips, audio_encoder = (
        make_clips(count, recordings=recordings, generator=generator),
        load_audio_encoder(),
    )
    other = switch_source(clips.scenes, generator=generator)
    off = absent_categories(clips.scenes, generator=generator)
    return EvaluationSet(
        clips,
        ground_truth(clips.scenes),
        consensus(clips.scenes, generator=generator),
        other,
        audio_features(audio_encoder, other, recordings, generator=generator),
        ground_truth(other),
        audio_features(
            audio_encoder, clips.scenes, recordings, generator=generator, categories=off
        ),
    )


def answer(model: Localizer, test_set: EvaluationSet) -> Maps:
    """Return a model's maps."""
    audio = (test_set.clips.audio, test_set.other_audio, test_set.absent_audio)
    return Maps(*(predict_maps(model, test_set.clips.grids, sounds) for sounds in audio))


def saliency(model: Localizer, grids: Tensor, bank: Tensor) -> Tensor:
    """Return where a model would attend if any sound of a bank were played: the picture alone.

    Args:
        bank: (sounds, features) of other clips; of each cell's scores the highest counts.
    """

    def highest(model: Localizer, grids: Tensor) -> Tensor:
        embedded = model(grids, bank)
        return torch.einsum("bdrc,sd->bsrc", embedded.cells, embedded.audio).amax(dim=1)

    return enlarge(predict(model, Batches(grids, batch_size=50), highest), SIDE)


def baselines(
    model: Localizer, test_set: EvaluationSet, bank: Tensor, *, seed: int
) -> dict[str, Maps]:
    """Return the maps of a guess, of the picture's middle, and of the picture without sound."""
    count, rows = len(test_set.boxes), test_set.clips.grids.shape[2]
    noise = torch.rand(3, count, rows, rows, generator=make_generator(seed))
    salient = saliency(model, test_set.clips.grids, bank)
    return {
        "random": Maps(*(enlarge(part, SIDE) for part in noise)),
        "centre": Maps(*[centred(count)] * 3),
        "saliency, no sound": Maps(salient, salient, salient),
    }


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
    one sounds; *off-screen* the chance that a map's peak is higher for a sound out of the picture
    than for one from outside, ties counted half.
    """
    ious = consensus_iou(scaled(maps.own), test_set.agreed, threshold=threshold)
    inside, outside = maps.own.amax(dim=(1, 2)), maps.off.amax(dim=(1, 2))
    labels = [1] * len(inside) + [0] * len(outside)
    return {
        "pointing": float(points_at(maps.own, test_set.boxes).double().mean()),
        "cIoU@0.5": float((ious >= 0.5).double().mean()),
        "AUC": success_auc(ious),
        "moves": float(points_at(maps.other, test_set.other_boxes).double().mean()),
        "off-screen": float(roc_auc_score(labels, torch.cat([inside, outside]))),
    }
