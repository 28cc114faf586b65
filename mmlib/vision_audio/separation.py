"""Who is speaking? Two voices in one recording, told apart by two faces: Looking to Listen.

Built in notebooks/vision_audio/06_separation.ipynb. Source: Ephrat, Mosseri, Lang, Dekel, Wilson,
Hassidim, Freeman & Rubinstein, "Looking to Listen at the Cocktail Party", ACM Transactions on
Graphics 37(4), 2018. Theirs sees 1,024 features of a face recogniser's layer, hears three seconds
at 16 kHz, has 15 + 6 convolutions of 96 and 256 filters, and learns from thousands of hours; ours
sees the five numbers of a mouth track, hears two seconds at 8 kHz, and has 8 + 4 of 16 and 32.

Shapes: waves are (..., time), spectra complex (..., freqs, frames), mouths (..., video frames, 5);
two speakers stand on an axis of their own, the last before these.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from scipy.linalg import solve_toeplitz
from scipy.signal import correlate, resample_poly
from torch import Tensor, nn
from torch.nn import functional

from mmlib.runtime import make_generator
from mmlib.shapes import check_finite, check_shape, check_whole
from mmlib.training import History, fit
from mmlib.vision_audio.spectrogram import Framing, istft, stft
from mmlib.world import faces, sampling, voices, words

SAMPLE_RATE = 8000
FRAMING = Framing(sample_rate=SAMPLE_RATE, window_length=256, hop=128, n_fft=256, window="hann")
SECONDS = 2
TIME = SAMPLE_RATE * SECONDS  # samples of a clip
POWER = 0.3  # of the power-law compression
QUIET = 1e-3  # added to squared magnitudes: below it the compression is linear
WEIGHTS = Path(__file__).parent / "weights"
STEPS = 300  # of the page's training, BATCH mixtures each
BATCH = 4
LONG_STEPS = 3200  # of the weights that ship


# data


class Clips(NamedTuple):
    """People who speak, each alone: what is heard and how the mouth moves."""

    waves: Tensor  # (clips, TIME), root mean square 1
    spectra: Tensor  # complex (clips, freqs, frames)
    mouths: Tensor  # (clips, video frames, 5), columns as ``faces.LIPS``
    speaker: Tensor  # (clips,) who it is
    people: list[voices.Speaker]
    captions: list[str]  # what is said; a clip may hold only two seconds of it


class Mixtures(NamedTuple):
    """Two clips at once."""

    mixture: Tensor  # complex (mixtures, freqs, frames): the sum
    sources: Tensor  # complex (mixtures, 2, freqs, frames)
    mouths: Tensor  # (mixtures, 2, video frames, 5)
    alike: Tensor  # (mixtures,) bool: both voices are low, or both are high


def make_clips(count: int, *, generator: torch.Generator, noise: float = 0.05) -> Clips:
    """Let new speakers say captions, two clips of two seconds each.

    Args:
        count: clips.
        noise: standard deviation of what the mouth tracker gets wrong.

    Raises:
        ValueError: ``count`` is no whole number of 2 or more.
    """
    count = check_whole(count, name="count", least=2)
    people = voices.speakers((count + 1) // 2, generator)
    scenes = sampling.sample_scenes(count, generator=generator, slots=3)
    captions = [said for (said,) in words.captions(scenes, per_scene=1, generator=generator)]
    waves, mouths = [], []
    for index, said in enumerate(captions):
        spoken = voices.speak(said, people[index // 2], generator=generator)
        wave = torch.from_numpy(resample_poly(spoken.wave.numpy(), 1, 2)).float()
        mouth = faces.mouth_track(spoken, fps=faces.FPS)
        late = max(0, len(mouth) - SECONDS * faces.FPS)  # video frames too many
        begin = int(torch.randint(late + 1, (), generator=generator))
        wave = wave[begin * SAMPLE_RATE // faces.FPS :][:TIME]
        waves.append(functional.pad(wave, (0, TIME - len(wave))))
        mouth = mouth[begin:][: SECONDS * faces.FPS]
        mouths.append(functional.pad(mouth, (0, 0, 0, SECONDS * faces.FPS - len(mouth))))
    sound = torch.stack(waves)
    sound = sound / sound.square().mean(dim=1, keepdim=True).sqrt()
    seen = torch.stack(mouths)
    seen = seen + noise * torch.randn(seen.shape, generator=generator)
    return Clips(sound, stft(sound, FRAMING), seen, torch.arange(count) // 2, people, captions)


def draw_pairs(clips: Clips, count: int, *, generator: torch.Generator) -> Tensor:
    """Return (count, 2) indices of clips of two different speakers."""
    first = torch.randint(len(clips.waves), (count,), generator=generator)
    people = int(clips.speaker.max()) + 1
    second = first.clone()
    while bool((same := clips.speaker[first] == clips.speaker[second]).any()):
        if people < 2:
            raise ValueError("all clips are of one speaker: a mixture needs two")
        redrawn = torch.randint(len(clips.waves), (count,), generator=generator)
        second = torch.where(same, redrawn, second)
    return torch.stack([first, second], dim=1)


def mix(clips: Clips, pairs: Tensor) -> Mixtures:
    """Add up the clips of each pair (mixtures, 2): the transform of a sum is the sum."""
    sources = clips.spectra[pairs]  # (mixtures, 2, freqs, frames)
    low = torch.tensor([person.low for person in clips.people])[clips.speaker[pairs]]
    return Mixtures(sources.sum(dim=1), sources, clips.mouths[pairs], low[:, 0] == low[:, 1])


@dataclass
class MixtureBatches:
    """Mixtures drawn anew for every batch."""

    clips: Clips
    generator: torch.Generator
    batch_size: int = BATCH
    length: int = STEPS

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Mixtures]:
        for _ in range(self.length):
            yield mix(self.clips, draw_pairs(self.clips, self.batch_size, generator=self.generator))


# masks


def ideal_masks(sources: Tensor) -> dict[str, Tensor]:
    """Return the best mask of each kind for sources complex (..., speakers, freqs, frames).

    Binary: 1 where a source is the loudest. Ratio: |S| / |Y|, at most 1. Complex: S / Y, which
    gives S back. Y is the sum of the sources.
    """
    mixture = sources.sum(dim=-3, keepdim=True)
    loudest = sources.abs() == sources.abs().amax(dim=-3, keepdim=True)
    safe = torch.where(mixture == 0, torch.ones_like(mixture), mixture)
    return {
        "binary": loudest.to(sources.real.dtype),
        "ratio": (sources.abs() / safe.abs()).clamp(max=1),
        "complex": sources / safe,
    }


def expand_mask(bounded: Tensor) -> Tensor:
    """Turn what the last layer gives, (..., 2) in 0 to 1, into a complex mask (...).

    Real and imaginary part are log(o / (1 - o)): the inverse of the sigmoid that compresses masks.
    """
    parts = bounded.clamp(1e-6, 1 - 1e-6)
    return torch.view_as_complex((parts / (1 - parts)).log().contiguous())


def power_law(spectrum: Tensor, power: float = POWER) -> Tensor:
    """Compress magnitudes to their power, |S|^p, and keep the phase; complex in, complex out."""
    squared = torch.view_as_real(spectrum).square().sum(-1)
    return spectrum * (squared + QUIET) ** ((power - 1) / 2)


# the network


@dataclass(frozen=True)
class SeparatorConfig:
    """The sizes of a separator, and the paper's in brackets."""

    faces: bool = True  # whether it sees; without, it is the audio-only baseline
    filters: int = 16  # of an audio convolution (96)
    last: int = 4  # filters of the last one (8)
    face_filters: int = 32  # (256)
    units: int = 100  # of the LSTM, in each direction (200)
    hidden: int = 200  # of the fully connected layers (600)


# kernel and dilation of each convolution, time × frequency; the paper's tables 1 and 2, shortened
AUDIO_LAYERS = (
    ((1, 7), (1, 1)), ((7, 1), (1, 1)), ((5, 5), (1, 1)), ((5, 5), (2, 1)), ((5, 5), (4, 1)),
    ((5, 5), (2, 2)), ((5, 5), (4, 4)),
)  # fmt: skip
FACE_LAYERS = ((7, 1), (5, 1), (5, 2), (5, 4))


def _same(kernel: int, dilation: int) -> int:
    """Return the padding that keeps the length."""
    return dilation * (kernel - 1) // 2


class AudioStream(nn.Module):
    """Dilated convolutions over time and frequency, each with batch normalisation and ReLU."""

    def __init__(self, config: SeparatorConfig) -> None:
        super().__init__()
        layers, channels = [], 2  # real and imaginary part
        for kernel, dilation in AUDIO_LAYERS:
            padding = tuple(map(_same, kernel, dilation))
            layers.append(
                nn.Conv2d(channels, config.filters, kernel, padding=padding, dilation=dilation)
            )
            layers += [nn.BatchNorm2d(config.filters), nn.ReLU()]
            channels = config.filters
        layers += [nn.Conv2d(channels, config.last, 1), nn.BatchNorm2d(config.last), nn.ReLU()]
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)

    def forward(self, mixture: Tensor) -> Tensor:
        """Map complex (batch, freqs, frames) to (batch, frames, last · freqs)."""
        parts = torch.view_as_real(power_law(mixture))  # (batch, freqs, frames, 2)
        x = parts.permute(0, 3, 2, 1).contiguous(memory_format=torch.channels_last)
        return self.layers(x).transpose(1, 2).flatten(2)


class FaceStream(nn.Module):
    """Dilated convolutions over the time of a mouth track; the same weights for every face."""

    def __init__(self, config: SeparatorConfig) -> None:
        super().__init__()
        layers, channels = [], len(faces.LIPS)
        for kernel, dilation in FACE_LAYERS:
            padding = _same(kernel, dilation)
            layers.append(
                nn.Conv1d(channels, config.face_filters, kernel, padding=padding, dilation=dilation)
            )
            layers += [nn.BatchNorm1d(config.face_filters), nn.ReLU()]
            channels = config.face_filters
        self.layers = nn.Sequential(*layers)

    def forward(self, mouths: Tensor, frames: int) -> Tensor:
        """Map (batch, speakers, video frames, 5) to (batch, frames, speakers · filters)."""
        found = self.layers(mouths.flatten(0, 1).transpose(1, 2))  # (batch · 2, filters, video)
        found = functional.interpolate(found, size=frames, mode="nearest")
        found = found.unflatten(0, mouths.shape[:2])  # (batch, speakers, filters, frames)
        return found.flatten(1, 2).transpose(1, 2)


class Separator(nn.Module):
    """Ephrat et al.'s network for two speakers: two streams, BLSTM, three layers, two masks."""

    def __init__(self, config: SeparatorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SeparatorConfig()
        self.freqs = len(FRAMING.freqs)
        self.audio = AudioStream(config)
        self.face = FaceStream(config) if config.faces else None
        features = config.last * self.freqs + 2 * config.face_filters * config.faces
        self.lstm = nn.LSTM(features, config.units, batch_first=True, bidirectional=True)
        self.fc1 = nn.Linear(2 * config.units, config.hidden)
        self.fc2 = nn.Linear(config.hidden, config.hidden)
        self.fc3 = nn.Linear(config.hidden, 2 * self.freqs * 2)

    def forward(self, mixture: Tensor, mouths: Tensor | None = None) -> Tensor:
        """Return a mask for each speaker, compressed: (batch, 2, freqs, frames, 2) in 0 to 1.

        Args:
            mixture: complex (batch, freqs, frames).
            mouths: (batch, 2, video frames, 5); the audio-only network ignores them.

        Raises:
            TypeError, ValueError: a shape is wrong, a value is not finite, or a face is missing.
        """
        size = check_shape(mixture, f"batch {self.freqs} frames", name="mixture")
        check_finite(torch.view_as_real(mixture), name="mixture")
        streams = [self.audio(mixture)]  # (batch, frames, features)
        if self.face is not None:
            streams.append(self.face(_two_faces(mouths, size["batch"]), size["frames"]))
        fused, _ = self.lstm(torch.cat(streams, dim=2))
        fused = self.fc2(self.fc1(fused.relu()).relu()).relu()
        bounded = torch.sigmoid(self.fc3(fused))  # (batch, frames, speakers · freqs · 2)
        return bounded.unflatten(2, (2, self.freqs, 2)).permute(0, 2, 3, 1, 4)


def _two_faces(mouths: Tensor | None, batch: int) -> Tensor:
    """Return the mouth tracks, or refuse what is not two for each mixture."""
    if mouths is None:
        raise ValueError("mouths is None, this network needs two faces: give their tracks")
    check_shape(mouths, f"{batch} 2 video {len(faces.LIPS)}", name="mouths")
    check_finite(mouths, name="mouths")
    return mouths


def separate(model: Separator, mixture: Tensor, mouths: Tensor | None = None) -> Tensor:
    """Return the two voices, complex (batch, 2, freqs, frames): mask times mixture."""
    return expand_mask(model(mixture, mouths)) * mixture[:, None]


def compressed_error(estimates: Tensor, sources: Tensor) -> Tensor:
    """Return the mean squared difference of power-law compressed spectra, (batch, speakers)."""
    difference = power_law(estimates) - power_law(sources)
    return torch.view_as_real(difference).square().sum(-1).mean(dim=(-2, -1))


def face_loss(model: Separator, batch: Mixtures) -> Tensor:
    """Compare the first estimate with the first face's voice, the second with the second's."""
    estimates = separate(model, batch[0], batch[2])
    return compressed_error(estimates, batch[1]).mean()


def permutation_loss(model: Separator, batch: Mixtures) -> Tensor:
    """Compare in the better of both orders: without faces nobody says which comes first.

    Permutation-invariant training, Yu et al., ICASSP 2017.
    """
    estimates = separate(model, batch[0])
    errors = [
        compressed_error(estimates[:, list(order)], batch[1]).mean(dim=1)
        for order in permutations(range(2))
    ]
    return torch.stack(errors).amin(dim=0).mean()


def train(
    clips: Clips, *, seed: int, with_faces: bool = True, steps: int = STEPS, progress: bool = True
) -> tuple[Separator, History]:
    """Train the paper's model, or the audio-only one by permutation-invariant training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Separator(SeparatorConfig(faces=with_faces))
    history = fit(
        model,
        MixtureBatches(clips, make_generator(seed + 1), length=steps),
        face_loss if with_faces else permutation_loss,
        generator=make_generator(seed + 2),
        steps=steps,
        learning_rate=3e-3,
        schedule=lambda done: min(1.0, 20 * done + 0.05, 2.5 * (1 - done) + 0.02),
        progress=progress,
    )
    return model.eval(), history


def load_separator(name: str) -> Separator:
    """Load what ``tools/weights.py`` trained for longer: ``"faces"`` or ``"audio_only"``."""
    model = Separator(SeparatorConfig(faces=name == "faces"))
    model.load_state_dict(load_file(WEIGHTS / f"separation_{name}.safetensors"))
    return model.eval()


def trained_minutes(name: str) -> float:
    """Return how many minutes of one core a network that ships was trained for."""
    with safe_open(WEIGHTS / f"separation_{name}.safetensors", framework="pt") as file:
        return float(file.metadata()["minutes"])


# scores


def to_waves(spectra: Tensor) -> Tensor:
    """Return waves (..., TIME) of clips' spectra."""
    return istft(spectra, FRAMING, time=TIME)


def si_sdr(estimates: Tensor, sources: Tensor) -> Tensor:
    """Return the scale-invariant signal-to-distortion ratio in decibels, (...).

    Le Roux et al., ICASSP 2019: 10 log10(|α s|² / |α s - ŝ|²), α = ŝ·s / |s|².

    Args:
        estimates, sources: (..., time); their means are taken off.

    Raises:
        ValueError: a source is silent: the ratio does not exist.
    """
    estimates, sources = (x - x.mean(dim=-1, keepdim=True) for x in (estimates, sources))
    energy = sources.square().sum(dim=-1, keepdim=True)
    if bool((energy == 0).any()):
        raise ValueError("a source is silent: its signal-to-distortion ratio does not exist")
    target = (estimates * sources).sum(dim=-1, keepdim=True) / energy * sources
    distortion = (target - estimates).square().sum(dim=-1).clamp(min=1e-20)
    return 10 * torch.log10(target.square().sum(dim=-1).clamp(min=1e-20) / distortion)


def sdr(estimate: Tensor, source: Tensor, *, taps: int = 512) -> float:
    """Return the SDR of BSS Eval in decibels: it forgives a filter, not only a scale.

    Vincent, Gribonval & Févotte, 2006: the estimate's projection on the source delayed by 0 to
    taps - 1 samples counts as the source, the rest as distortion.

    Args:
        estimate, source: (time,).
        taps: of the filter that is forgiven.
    """
    heard, said = (np.asarray(x, dtype=np.float64) for x in (estimate, source))
    padded = np.pad(said, (0, taps - 1))
    zero = len(padded) - 1
    lags = correlate(padded, padded)[zero : zero + taps]
    cross = correlate(np.pad(heard, (0, taps - 1)), padded)[zero : zero + taps]
    target = np.convolve(said, solve_toeplitz(lags, cross))
    distortion = np.pad(heard, (0, taps - 1)) - target
    return float(10 * np.log10(np.square(target).sum() / np.square(distortion).sum()))


def improvement(estimates: Tensor, batch: Mixtures) -> Tensor:
    """Return by how many decibels SI-SDR grows against the mixture, (mixtures, speakers)."""
    sources, mixture = to_waves(batch.sources), to_waves(batch.mixture)[:, None]
    return si_sdr(to_waves(estimates), sources) - si_sdr(mixture, sources)


def best_order(estimates: Tensor, batch: Mixtures) -> Tensor:
    """Put audio-only estimates in the order that scores better, as its authors do."""
    scores = torch.stack(
        [improvement(one, batch).mean(dim=1) for one in (estimates, estimates.flip(1))]
    )
    swap = scores[1] > scores[0]
    return torch.where(swap[:, None, None, None], estimates.flip(1), estimates)


def answer(model: Separator, batch: Mixtures, *, mouths: Tensor | None = None) -> Tensor:
    """Separate all mixtures without gradients; ``mouths`` replaces the faces that belong."""
    seen = batch.mouths if mouths is None else mouths
    with torch.no_grad():
        parts = [
            separate(model, *both)
            for both in zip(batch.mixture.split(16), seen.split(16), strict=True)
        ]
    return torch.cat(parts)


def grade(estimates: Tensor, batch: Mixtures) -> dict[str, float]:
    """Return the mean SI-SDR improvement: of all mixtures, of alike voices, of unlike ones.

    *right face* is the share of mixtures whose estimates fit best in the order in which they come.
    """
    gain = improvement(estimates, batch).mean(dim=1)
    other = improvement(estimates.flip(1), batch).mean(dim=1)
    return {
        "all": float(gain.mean()),
        "alike": float(gain[batch.alike].mean()),
        "unlike": float(gain[~batch.alike].mean()),
        "right face": float((gain > other).double().mean()),
    }
