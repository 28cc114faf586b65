"""Modality bias: why two modalities can score lower than one, and Gradient-Blending.

Paper: Wang, Tran, Feiszli, "What makes training multi-modal classification networks hard?",
CVPR 2020. Book page: notebooks/foundations/02_fusion.ipynb.

A batch is the pair (inputs, labels): inputs a tuple of one tensor (batch, features) for each
modality, labels (batch,) whole numbers. A model returns logits (heads, batch, classes).

What differs from the paper: small networks of full layers on drawn pictures and synthesised sounds
stand for the 3D ResNets on video; a head that did not generalise at all (G below 0) gets weight 0.
"""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torchaudio
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from mmlib.data.batches import Batches
from mmlib.shapes import check_shape
from mmlib.training import fit
from mmlib.world import pictures, sampling, sounds

Part = tuple[tuple[Tensor, ...], Tensor]  # inputs, labels
MODALITIES = ("audio", "vision")
HEADS = (*MODALITIES, "joint")


class Task(NamedTuple):
    """Three parts of one data set. An item is one object, heard and seen, with its category."""

    train: Part
    validation: Part
    test: Part


def make_task(
    *, train: int = 400, validation: int = 400, test: int = 2000, generator: torch.Generator
) -> Task:
    """Sample objects, their noisy sound and their picture, standardised by the training part.

    Args:
        train: items in each part; **validation**, **test** likewise.

    Returns:
        Inputs are (items, 64) log-mel statistics of half a second of sound with three times as
        much noise (standard deviations), and (items, 3 · 16 · 16) pixels of the object's box.
    """
    scenes = sampling.sample_scenes(
        train + validation + test, generator=generator, slots=1, sounding=1.0
    )
    waves = sounds.render(scenes, seconds=0.5, generator=generator)
    noise = torch.randn(waves.shape, generator=generator)
    inputs = (
        log_mel_statistics(waves + 3 * waves.std(dim=1, keepdim=True) * noise),
        object_pixels(scenes, generator=generator),
    )
    known = [(x[:train].mean(dim=0), x[:train].std(dim=0) + 1e-3) for x in inputs]
    inputs = [(x - mean) / deviation for x, (mean, deviation) in zip(inputs, known, strict=True)]
    sizes, labels = (
        (train, validation, test),
        scenes.category[:, 0].split((train, validation, test)),
    )
    parts = zip(*(x.split(sizes) for x in inputs), strict=True)
    return Task(*zip(parts, labels, strict=True))


def log_mel_statistics(waves: Tensor, *, bands: int = 32) -> Tensor:
    """Return (batch, 2 · bands): mean and deviation over time of the log-mel energies.

    Args:
        waves: (batch, time) at 16 kHz, 512 samples or more.
    """
    check_shape(waves, "batch time", name="waves")
    spectra = torch.stft(waves, 512, 160, window=torch.hann_window(512), return_complex=True)
    filters = torchaudio.functional.melscale_fbanks(257, 0, 8000, bands, 16_000)
    energies = (spectra.abs().square().mT @ filters + 1e-6).log()  # (batch, frames, bands)
    return torch.cat([energies.mean(dim=1), energies.std(dim=1)], dim=1)


def object_pixels(scenes, *, generator: torch.Generator, size: int = 16) -> Tensor:
    """Return (scenes, 3 · size · size): the first object's box in a picture of 32 × 32, scaled."""
    images = pictures.draw(scenes, size=32, generator=generator, noise=0.15)
    crops = []
    boxes = pictures.boxes(pictures.masks(scenes, size=32)[:, 0]).tolist()
    for image, (left, top, right, bottom) in zip(images, boxes, strict=True):
        box = image[None, :, top:bottom, left:right]
        crops.append(interpolate(box, (size, size), mode="bilinear", antialias=True))
    return torch.cat(crops).flatten(1)


def _encoder(features: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
    )


class LateFusion(nn.Module):
    """The paper's network: an encoder φ_m for each modality, concatenation, a linear classifier C.

    Beside the joint head, each modality has a head of its own, for L_1 … L_K of equation 6.

    Args:
        features: of each modality's input.
        hidden: of each modality's encoder.
        dropout: probability, on the concatenation.
    """

    def __init__(
        self,
        features: Sequence[int] = (64, 768),
        hidden: Sequence[int] = (64, 256),
        *,
        classes: int = 10,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(map(_encoder, features, hidden))
        self.heads = nn.ModuleList(nn.Linear(size, classes) for size in hidden)
        self.joint = nn.Sequential(nn.Dropout(dropout), nn.Linear(sum(hidden), classes))

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Return logits (K + 1, batch, classes): each modality's head, then the joint one."""
        encoded = [encoder(x) for encoder, x in zip(self.encoders, inputs, strict=True)]
        alone = [head(x) for head, x in zip(self.heads, encoded, strict=True)]
        return torch.stack([*alone, self.joint(torch.cat(encoded, dim=1))])


class MidFusion(nn.Module):
    """Concatenation after each modality's first layer; the second layer is shared. One head."""

    def __init__(self, features=(64, 768), hidden=(64, 256), *, classes: int = 10) -> None:
        super().__init__()
        self.first = nn.ModuleList(map(nn.Linear, features, hidden))
        shared = nn.Linear(sum(hidden), sum(hidden))
        self.rest = nn.Sequential(nn.ReLU(), shared, nn.ReLU(), nn.Linear(sum(hidden), classes))

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Return logits (1, batch, classes)."""
        encoded = [layer(x) for layer, x in zip(self.first, inputs, strict=True)]
        return self.rest(torch.cat(encoded, dim=1))[None]


class EarlyFusion(nn.Module):
    """Concatenation of the inputs themselves; everything after it is shared. One head."""

    def __init__(self, features=(64, 768), hidden=(64, 256), *, classes: int = 10) -> None:
        super().__init__()
        encoder = _encoder(sum(features), sum(hidden))
        self.rest = nn.Sequential(encoder, nn.Linear(sum(hidden), classes))

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Return logits (1, batch, classes)."""
        return self.rest(torch.cat(inputs, dim=1))[None]


def head_losses(model: nn.Module, part: Part) -> Tensor:
    """Return (heads,): the mean cross-entropy of each head."""
    inputs, labels = part
    return torch.stack([cross_entropy(logits, labels) for logits in model(inputs)])


@torch.no_grad()
def accuracies(model: nn.Module, part: Part) -> list[float]:
    """Return each head's share of right answers, in evaluation mode."""
    inputs, labels = part
    training = model.training
    found = model.eval()(inputs).argmax(dim=-1) == labels  # (heads, batch)
    model.train(training)
    return found.float().mean(dim=1).tolist()


class Curves(NamedTuple):
    """Losses of every head before training and after each epoch: (epochs + 1, heads)."""

    train: Tensor  # L^T
    validation: Tensor  # L^V, which stands for L*, the loss on all that could be asked


def train_heads(
    model: nn.Module,
    task: Task,
    weights: Sequence[float],
    *,
    epochs: int,
    generator: torch.Generator,
    learning_rate: float = 0.02,
    keep_best: bool = False,
) -> Curves:
    """Train with L_blend = Σ_k w_k L_k (equation 6) by SGD with momentum, as the paper does.

    One weight of 1 and zeros train that head alone: one modality, or the naive joint network.

    Args:
        weights: one for each head.
        keep_best: end with the weights of the epoch of the lowest blended validation loss (early
            stopping).

    Raises:
        ValueError: the number of weights is not that of the heads.
    """

    def measure(model: nn.Module) -> list[Tensor]:
        device = next(model.parameters()).device  # a GPU's, perhaps, while it trains
        return [head_losses(model, send_to_device(part, device)).cpu() for part in task[:2]]

    def loss(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        found = head_losses(model, (batch[:-1], batch[-1]))
        return blend.to(found) @ found

    with torch.no_grad():
        before = measure(model.eval())
    if len(weights) != len(before[0]):
        raise ValueError(f"{len(weights)} weights for {len(before[0])} heads: give each one")
    blend, seen, best = torch.tensor(weights), [before], (torch.inf, None)

    def validate(model: nn.Module) -> float:
        nonlocal best
        seen.append(measure(model))
        value = float(blend @ seen[-1][1])
        if keep_best and value < best[0]:
            best = value, copy.deepcopy(model.state_dict())
        return value

    fit(
        model,
        Batches((*task.train[0], task.train[1]), batch_size=32, generator=generator),
        loss,
        generator=generator,
        epochs=epochs,
        optimizer=torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9),
        validate=validate,
        progress=False,
    )
    if keep_best:
        model.load_state_dict(best[1])
    return Curves(*(torch.stack(losses) for losses in zip(*seen, strict=True)))


def gain_and_overfitting(curves: Curves, start: int = 0, stop: int = -1) -> tuple[Tensor, Tensor]:
    """Return ΔG and ΔO of each head between two checkpoints, (heads,) each (equation 3).

    With O_N = L^V_N - L^T_N: ΔG = L^V_N - L^V_{N+n} and ΔO = O_{N+n} - O_N. Their ratio
    |ΔO / ΔG| is the overfitting-to-generalisation ratio (OGR).
    """
    gap = curves.validation - curves.train  # O_N
    gain = curves.validation[start] - curves.validation[stop]
    return gain, gap[stop] - gap[start]


def blend_weights(gain: Tensor, overfitting: Tensor) -> Tensor:
    """Return w_k ∝ G_k / O_k², which sum to 1 (proposition 1 with the measured G and O).

    Args:
        gain: (heads,) G; a head whose validation loss rose (G below 0) gets weight 0.
        overfitting: (heads,) O, or σ of the proposition.

    Raises:
        ValueError: no head has a G above 0, or an O is 0.
    """
    if not (gain > 0).any():
        raise ValueError(f"no head generalised, G is {gain.tolist()}: measure at an earlier epoch")
    if (overfitting == 0).any():
        raise ValueError(
            f"O is {overfitting.tolist()}: a head without overfitting has no best weight"
        )
    weights = gain.clamp(min=0) / overfitting.square()
    return weights / weights.sum()


def squared_ogr(weights: Tensor, along: Tensor, off: Tensor) -> Tensor:
    """Return the expected squared OGR of a blend of gradients, what equation 5 makes small.

    Args:
        weights: (K,) w.
        along: (K,) ⟨∇L*, v_k⟩: how much of each gradient v_k generalises.
        off: (draws, K) ⟨∇L^T - ∇L*, v_k⟩: how much of it overfits, in equally likely draws.
    """
    return ((off @ weights) / (along @ weights)).square().mean()


def measure_heads(
    model: nn.Module, task: Task, *, epochs: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return G and O of each head, (heads,) each: copies of the model, each trained on one head.

    This is the measuring half of the paper's algorithm 1; ``blend_weights`` is the other. The
    model itself stays as it is.
    """
    heads, found = len(head_losses(model, task.validation)), []
    for k, alone in enumerate(torch.eye(heads).tolist()):
        trial = copy.deepcopy(model)
        curves = train_heads(trial, task, alone, epochs=epochs, generator=generator)
        found.append([change[k] for change in gain_and_overfitting(curves)])
    gain, overfitting = torch.tensor(found).T
    return gain, overfitting


def blend(
    model: nn.Module, task: Task, *, epochs: int, super_epoch: int, generator: torch.Generator
) -> Tensor:
    """Train by Gradient-Blending: before every super-epoch, measure the weights anew (online).

    With ``super_epoch = epochs`` this is the offline version: one estimate, then one training.
    A super-epoch in which no head would generalise keeps the weights of the one before.

    Returns:
        (super-epochs, heads): the weights that were used.

    Raises:
        ValueError: ``epochs`` is no multiple of ``super_epoch``, or no head generalises at first.
    """
    if super_epoch < 1 or epochs % super_epoch:
        raise ValueError(f"epochs is {epochs}, it must be a multiple of super_epoch, {super_epoch}")
    used = []
    for _ in range(epochs // super_epoch):
        gain, overfitting = measure_heads(model, task, epochs=super_epoch, generator=generator)
        keep = bool(used) and not (gain > 0).any()
        used.append(used[-1] if keep else blend_weights(gain, overfitting))
        train_heads(model, task, used[-1].tolist(), epochs=super_epoch, generator=generator)
    return torch.stack(used)


def shuffled(part: Part, modality: int, *, generator: torch.Generator) -> Part:
    """Return the part with one modality taken from another item: it tells nothing any more."""
    inputs, labels = part
    order = torch.randperm(len(labels), generator=generator)
    mixed = tuple(x[order] if k == modality else x for k, x in enumerate(inputs))
    return mixed, labels
