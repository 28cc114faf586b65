"""Image to speech: spoken captions, with learned units in the place of text.

Chapter: notebooks/vision_audio/04_image_to_speech. Paper: W.-N. Hsu, D. Harwath, T. Miller,
C. Song, J. Glass, *Text-Free Image-to-Speech Synthesis Using Learned Segmental Units*, ACL 2021
[H21]. Its units are those of D. Harwath, W.-N. Hsu, J. Glass, *Learning Hierarchical Discrete
Linguistic Units from Visually-Grounded Speech*, ICLR 2020 [H20]: features of an audio encoder that
learns to find the picture of which somebody speaks, quantised as in A. van den Oord, O. Vinyals,
K. Kavukcuoglu, *Neural Discrete Representation Learning*, NIPS 2017 [O17].

Three models are trained one after the other: speech → units (``Grounded``), picture → units (the
``AttentionDecoder`` of an earlier chapter), units → speech (``UnitToSpeech``, then Griffin–Lim).

Shapes: levels are log-mel spectrograms (items, bands, frames), 100 frames a second; units are whole
numbers (items, steps), 50 a second; with their runs collapsed, (runs,), of any length.

Differs from the papers: the codebook has a loss, as in [O17], where [H20] use running means; one
quantised layer of a small network; InfoNCE in the place of [H20]'s ranking loss. [H21] read units
by Tacotron 2, whose attention finds the durations; here a network without recurrence predicts them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn.functional import max_pool1d, normalize, pad
from torch.nn.utils.rnn import pad_sequence

from mmlib.data.batches import Batches
from mmlib.data.captions import END, PAD, START, CaptionBatches
from mmlib.data.standardise import Standardise
from mmlib.shapes import check_shape
from mmlib.training import History, fit, warm_then_cool
from mmlib.vision_audio.spectrogram import Framing, griffin_lim, log_mel, mel_filters
from mmlib.vision_text.attention import AttentionConfig, AttentionDecoder
from mmlib.vision_text.captioning import caption_loss
from mmlib.vision_text.visual_semantic import info_nce
from mmlib.world import voices

FRAMING, BANDS = Framing(), 40  # windows of 25 ms every 10 ms; mel bands
SPAN = 60.0  # decibels: what is quieter than the loudest of an utterance by more is silence
STRIDE = 2  # frames of 10 ms that one unit stands for
STEP = STRIDE * FRAMING.hop / FRAMING.sample_rate  # the same in seconds
CODES, WIDTH = 64, 64  # size of the codebook, length of a code
VOICES = (  # whose voices ``UnitToSpeech`` has
    voices.Speaker(pitch=112, tract=17.0, breathiness=0.25, rate=1.0, age=35),
    voices.Speaker(pitch=205, tract=14.6, breathiness=0.25, rate=1.0, age=30),
)
WEIGHTS = Path(__file__).parent / "weights" / "image_to_speech.safetensors"


class Spoken(NamedTuple):
    """Utterances, all padded with silence to the longest."""

    waves: list[Tensor]  # (time,) each, at 16 kHz
    levels: Tensor  # (items, BANDS, frames), decibels
    frames: Tensor  # (items,) int64, without the padding
    phones: list[list[voices.Phone]]  # what is said, and when


def speak(
    captions: Sequence[str], people: Sequence[voices.Speaker], *, generator: torch.Generator
) -> Spoken:
    """Let people say captions, in turn, and take the log-mel spectrograms."""
    said = [
        voices.speak(text, people[n % len(people)], generator=generator)
        for n, text in enumerate(captions)
    ]
    longest = max(len(one.wave) for one in said)
    waves = torch.stack([pad(one.wave, (0, longest - len(one.wave))) for one in said])
    frames = torch.tensor([len(one.wave) // FRAMING.hop for one in said])
    return Spoken([one.wave for one in said], levels_of(waves), frames, [o.phones for o in said])


def levels_of(waves: Tensor) -> Tensor:
    """Return the log-mel spectrograms (..., BANDS, frames) of waves (..., time), in decibels."""
    return log_mel(waves, FRAMING, mel_filters(FRAMING, BANDS), span=SPAN)


def standardise_speech(spoken: Spoken) -> Standardise:
    """Return the layer that standardises each band over the frames that are no padding."""
    rows = [level[:, :n] for level, n in zip(spoken.levels, spoken.frames, strict=True)]
    return Standardise.over(torch.cat(rows, dim=1).T)


class VectorQuantiser(nn.Module):
    """A codebook: each feature vector is replaced by the nearest code ([O17] eq. 1 and 2)."""

    def __init__(self, codes: int = CODES, width: int = WIDTH) -> None:
        super().__init__()
        self.codebook = nn.Parameter(torch.randn(codes, width))  # e

    def assign(self, z: Tensor) -> Tensor:
        """Return the number of the code nearest to each z (..., width), int64 (...)."""
        return torch.cdist(z.flatten(0, -2), self.codebook).argmin(dim=1).view(z.shape[:-1])

    def forward(self, z: Tensor, *, beta: float = 0.25) -> tuple[Tensor, Tensor]:
        """Return the codes (..., width), and the last two terms of [O17] eq. 3, (...).

        To the gradient, the codes are z itself: it passes straight through.
        """
        e = self.codebook[self.assign(z)]
        codebook_loss = (z.detach() - e).square().sum(dim=-1)
        commitment = (z - e.detach()).square().sum(dim=-1)
        return z + (e - z).detach(), codebook_loss + beta * commitment


class SpeechEncoder(nn.Module):
    """Two convolutions over the spectrogram, and a codebook for what comes out."""

    def __init__(self, over: Standardise, *, codes: int = CODES) -> None:
        super().__init__()
        self.standardise = over
        self.layers = nn.Sequential(
            nn.Conv1d(len(over.mean), WIDTH, 5, padding=2, padding_mode="replicate"),
            nn.BatchNorm1d(WIDTH), nn.ReLU(),
            nn.Conv1d(WIDTH, WIDTH, 4, stride=STRIDE, padding=1, padding_mode="replicate"),
            nn.BatchNorm1d(WIDTH), nn.ReLU(),
            nn.Conv1d(WIDTH, WIDTH, 1), nn.BatchNorm1d(WIDTH, affine=False),
        )  # fmt: skip
        self.quantiser = VectorQuantiser(codes)
        self.discrete = False  # at first the features pass as they are

    def forward(self, levels: Tensor) -> Tensor:
        """Return the features z of levels (items, bands, frames), (items, steps, WIDTH)."""
        check_shape(levels, f"items {len(self.standardise.mean)} frames", name="levels")
        return self.layers(self.standardise(levels)).mT


class LogMelEncoder(nn.Module):
    """A baseline that learns nothing: two frames of the standardised spectrogram side by side."""

    def __init__(self, over: Standardise, *, codes: int = CODES) -> None:
        super().__init__()
        self.standardise = over
        self.quantiser = VectorQuantiser(codes, STRIDE * len(over.mean))
        self.discrete = False

    def forward(self, levels: Tensor) -> Tensor:
        """Return (items, steps, 2 · bands) of levels (items, bands, frames)."""
        pairs = self.standardise(levels).unfold(2, STRIDE, STRIDE)  # (items, bands, steps, 2)
        return pairs.transpose(1, 2).flatten(2)


@torch.no_grad()
def extract_units(encoder: SpeechEncoder | LogMelEncoder, spoken: Spoken) -> list[Tensor]:
    """Return the units of each utterance, int64 (steps,); the encoder is in evaluation mode."""
    encoder.eval()
    found = [encoder.quantiser.assign(encoder(part)) for part in spoken.levels.split(100)]
    steps = (spoken.frames // STRIDE).tolist()
    return [row[:n] for row, n in zip(torch.cat(found), steps, strict=True)]


class Grounded(nn.Module):
    """[H20]: what is said must find its picture; so the encoder learns what matters of speech."""

    def __init__(self, encoder: SpeechEncoder, pictures: Standardise, *, joint: int = 64) -> None:
        super().__init__()
        self.encoder = encoder
        self.context = nn.Sequential(
            nn.Conv1d(WIDTH, 128, 5, stride=2, padding=2), nn.BatchNorm1d(128), nn.ReLU(),
            nn.Conv1d(128, 128, 5, stride=2, padding=2), nn.BatchNorm1d(128), nn.ReLU(),
        )  # fmt: skip
        self.speech = nn.Linear(128, joint)
        self.image = nn.Sequential(pictures, nn.Linear(len(pictures.mean), joint))

    def objective(self, codes: Tensor, real: Tensor, batch: tuple[Tensor, ...]) -> Tensor:
        """Return InfoNCE of pictures (batch, features) and what is said of them."""
        *_, pictures = batch
        return info_nce(self.similarity(codes, real, pictures), temperature=0.1)

    def similarity(self, codes: Tensor, real: Tensor, pictures: Tensor) -> Tensor:
        """Return the cosine of every picture and every utterance, (pictures, items)."""
        h = self.context((codes * real[:, :, None]).mT)  # (items, 128, steps / 4)
        there = max_pool1d(real[:, None], 4, ceil_mode=True)  # (items, 1, steps / 4)
        mean = (h * there).sum(dim=2) / there.sum(dim=2)
        return normalize(self.image(pictures), dim=1) @ normalize(self.speech(mean), dim=1).T


class Reconstructed(nn.Module):
    """[O17]: the spectrogram must come back from the codes; no picture helps."""

    def __init__(self, encoder: SpeechEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        bands = len(encoder.standardise.mean)
        self.decoder = nn.Sequential(
            nn.Conv1d(WIDTH, 128, 3, padding=1), nn.ReLU(),
            nn.Conv1d(128, 128, 3, padding=1), nn.ReLU(),
            nn.ConvTranspose1d(128, bands, STRIDE, stride=STRIDE),
        )  # fmt: skip

    def objective(self, codes: Tensor, real: Tensor, batch: tuple[Tensor, ...]) -> Tensor:
        """Return the mean squared error of the standardised spectrogram."""
        levels, *_ = batch
        found = self.decoder(codes.mT)  # (items, bands, frames)
        true = self.encoder.standardise(levels)[..., : found.shape[2]]
        error = (found - true).square().mean(dim=1)  # (items, frames)
        real = real.repeat_interleave(STRIDE, dim=1)
        return (error * real).sum() / real.sum()


def unit_loss(
    model: Grounded | Reconstructed, batch: tuple[Tensor, ...], *, weight: float = 0.1
) -> Tensor:
    """Return the objective, and once the encoder is discrete, the codebook's terms, weighted.

    Args:
        batch: levels (items, bands, frames), frames (items,), pictures (items, features).
    """
    levels, frames, _ = batch
    z = model.encoder(levels)
    real = (torch.arange(z.shape[1], device=z.device) < (frames // STRIDE)[:, None]).float()
    if not model.encoder.discrete:
        return model.objective(z, real, batch)
    codes, distance = model.encoder.quantiser(z)
    return model.objective(codes, real, batch) + weight * (distance * real).sum() / real.sum()


def train_units(
    model: Grounded | Reconstructed,
    spoken: Spoken,
    pictures: Tensor,
    *,
    generator: torch.Generator,
    steps: int = 150,
    progress: bool = True,
) -> tuple[History, History]:
    """Train with features that pass as they are, then with a codebook: [H20]'s warm start.

    Args:
        pictures: (items, features), what each utterance describes.
        steps: in each of the two stages, 64 utterances a step.
    """
    data = Batches((spoken.levels, spoken.frames, pictures), batch_size=64, generator=generator)
    options = {"generator": generator, "steps": steps, "schedule": warm_then_cool}
    warm = fit(model, data, unit_loss, learning_rate=3e-3, progress=progress, **options)
    start_codebook(model.encoder, spoken, generator=generator)
    discrete = fit(model, data, unit_loss, learning_rate=2e-3, progress=progress, **options)
    return warm, discrete


@torch.no_grad()
def start_codebook(
    encoder: SpeechEncoder | LogMelEncoder, spoken: Spoken, *, generator: torch.Generator
) -> None:
    """Set the codebook to the centres that k-means finds of 8000 features; use it from now on."""
    encoder.eval()
    z = [encoder(part) for part in spoken.levels[:300].split(100)]
    steps = spoken.frames[:300] // STRIDE
    rows = torch.cat([row[:n] for row, n in zip(torch.cat(z), steps.tolist(), strict=True)])
    rows = rows[torch.randperm(len(rows), generator=generator)[:8000]]
    encoder.quantiser.codebook.copy_(cluster(rows, codes=len(encoder.quantiser.codebook)))
    encoder.discrete = True


def cluster(rows: Tensor, *, codes: int = CODES) -> Tensor:
    """Return the centres (codes, features) that scikit-learn's k-means finds of rows."""
    found = KMeans(codes, n_init=1, max_iter=30, random_state=0).fit(rows.numpy())
    return torch.from_numpy(found.cluster_centers_).float()


def collapse(units: Tensor) -> tuple[Tensor, Tensor]:
    """Return the units of each run (runs,), and how long it lasts (runs,), in steps.

    [H21] keep the first and drop the second: a lossy run-length code.

    Raises:
        ValueError: ``units`` (steps,) is empty.
    """
    if not check_shape(units, "steps", name="units")["steps"]:
        raise ValueError("units is empty: there is no run in it")
    first = torch.cat([units.new_ones(1, dtype=torch.bool), units[1:] != units[:-1]])
    starts = first.nonzero()[:, 0]
    return units[first], torch.diff(starts, append=starts.new_tensor([len(units)]))


def unit_captions(units: Sequence[Tensor]) -> Tensor:
    """Return units as captions (items, time) for a captioner: START, each unit + 3, END, PAD."""
    ends = torch.tensor([START]), torch.tensor([END])
    rows = [torch.cat([ends[0], row + END + 1, ends[1]]) for row in units]
    return pad_sequence(rows, batch_first=True, padding_value=PAD)


def units_of(captions: Tensor) -> list[Tensor]:
    """Return the units (runs,) in captions (items, time) as ``beam_search`` writes them."""
    return [row[row > END] - END - 1 for row in captions]


def new_captioner(*, codes: int = CODES) -> AttentionDecoder:
    """Return the image-to-unit model: Show, Attend and Tell with units for words."""
    return AttentionDecoder(
        AttentionConfig(codes + END + 1, embedding=64, hidden=192, attention=64)
    )


def train_unit_captioner(
    model: AttentionDecoder,
    grids: Tensor,
    units: Sequence[Tensor],
    *,
    generator: torch.Generator,
    steps: int,
    progress: bool = True,
) -> History:
    """Train on grids (items, 128, 8, 8) and the units of what is said of each, 32 a step."""
    owner = torch.arange(len(units))
    data = CaptionBatches(
        grids, unit_captions(units), owner, batch_size=32, generator=generator, pool=4
    )
    return fit(
        model, data, caption_loss, generator=generator, steps=steps, learning_rate=4e-3,
        schedule=warm_then_cool, progress=progress,
    )  # fmt: skip


class UnitToSpeech(nn.Module):
    """Units and a voice → how long each lasts, and the log-mel spectrogram."""

    def __init__(self, over: Standardise, *, codes: int = CODES, voice_count: int = 2) -> None:
        super().__init__()
        self.standardise = over
        self.embed = nn.Embedding(codes + 1, 96, padding_idx=0)  # 0 is padding
        self.voice = nn.Embedding(voice_count, 96)
        self.context = nn.Sequential(
            nn.Conv1d(96, 96, 5, padding=2), nn.ReLU(), nn.Conv1d(96, 96, 5, padding=2), nn.ReLU()
        )
        self.duration = nn.Linear(96, 1)
        self.frames = nn.Sequential(
            nn.Conv1d(98, 128, 5, padding=2), nn.ReLU(), nn.Conv1d(128, 128, 5, padding=2),
            nn.ReLU(), nn.Conv1d(128, len(over.mean), 5, padding=2),
        )  # fmt: skip

    def forward(self, units: Tensor, voice: Tensor) -> tuple[Tensor, Tensor]:
        """Return a vector (items, runs, 96) and the log of the duration (items, runs) of each.

        Args:
            units: (items, runs), each unit + 1, and 0 for padding.
            voice: (items,), which voice.
        """
        real = (units > 0)[:, :, None]
        h = (self.embed(units) + self.voice(voice)[:, None]) * real
        h = masked(self.context, h.mT, real.mT).mT
        return h, self.duration(h)[:, :, 0]

    def spectrogram(self, h: Tensor, durations: Tensor) -> Tensor:
        """Return standardised levels: each vector h lasts its duration (items, runs), in steps."""
        rows = [spread(vector, steps) for vector, steps in zip(h, durations, strict=True)]
        x = pad_sequence(rows, batch_first=True).mT  # (items, width + 2, frames)
        frames = STRIDE * durations.sum(dim=1)
        real = torch.arange(x.shape[2], device=x.device) < frames[:, None]
        return masked(self.frames, x, real[:, None])  # (items, bands, frames)


def masked(layers: nn.Sequential, x: Tensor, real: Tensor) -> Tensor:
    """Apply layers to x (items, channels, time), and 0 where not real."""
    for layer in layers:
        x = layer(x) * real
    return x


def spread(h: Tensor, durations: Tensor) -> Tensor:
    """Repeat vectors (runs, width) for whole durations in steps: (frames, width + 2).

    The last two numbers say how far a frame is from the beginning and the end of its run.
    """
    frames = durations * STRIDE
    ends = frames.cumsum(dim=0).repeat_interleave(frames)
    length = frames.repeat_interleave(frames)
    to_end = ends - torch.arange(len(ends), device=h.device)  # 1 in the last frame of a run
    place = torch.stack([length - to_end, to_end - 1], dim=1) / 10
    return torch.cat([h.repeat_interleave(frames, dim=0), place], dim=1)


def speech_loss(model: UnitToSpeech, batch: tuple[Tensor, ...]) -> Tensor:
    """Return the mean squared errors of the levels and of the log durations, added.

    Args:
        batch: units (items, runs) as in ``forward``; durations (items, runs), 0 for padding;
            voice (items,); levels (items, bands, frames).
    """
    units, durations, voice, levels = batch
    h, guess = model(units, voice)
    real = (units > 0).float()
    wrong = ((guess - durations.clamp(min=1).log()).square() * real).sum() / real.sum()
    found = model.spectrogram(h, durations)
    error = (found - model.standardise(levels)[..., : found.shape[2]]).square().mean(dim=1)
    there = torch.arange(found.shape[2], device=h.device) < (STRIDE * durations.sum(1))[:, None]
    return wrong + (error * there).sum() / there.sum()


def train_speech(
    model: UnitToSpeech,
    runs: Sequence[tuple[Tensor, Tensor]],
    spoken: Spoken,
    *,
    generator: torch.Generator,
    steps: int = 300,
    progress: bool = True,
) -> History:
    """Train on utterances of the model's voices, who speak in turn; 16 a step.

    Args:
        runs: of each utterance, units and durations as from ``collapse``.
    """
    rows = pad_sequence([unit + 1 for unit, _ in runs], batch_first=True)
    durations = pad_sequence([steps for _, steps in runs], batch_first=True)
    voice = torch.arange(len(runs)) % len(model.voice.weight)
    data = Batches((rows, durations, voice, spoken.levels), batch_size=16, generator=generator)
    return fit(
        model, data, speech_loss, generator=generator, steps=steps, learning_rate=3e-3,
        schedule=warm_then_cool, progress=progress,
    )  # fmt: skip


@torch.no_grad()
def synthesise(
    model: UnitToSpeech, units: Tensor, *, voice: int, generator: torch.Generator
) -> Tensor:
    """Return the wave (time,) of units (runs,), whose durations the model predicts.

    Raises:
        ValueError: there is no unit.
    """
    if not len(units):
        raise ValueError("units is empty: there is nothing to say")
    h, log_duration = model(units[None] + 1, torch.tensor([voice]))
    durations = log_duration.exp().round().clamp(1, 50).long()
    over = model.standardise
    levels = model.spectrogram(h, durations)[0] * over.deviation[:, None] + over.mean[:, None]
    return vocode(levels, generator=generator)


def vocode(levels: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return a wave (time,) with about these levels (bands, frames), at the loudness of speech.

    The mel filters' pseudo-inverse gives the power at each frequency, Griffin–Lim the phase.
    """
    inverse = torch.linalg.pinv(mel_filters(FRAMING, len(levels)))
    power = (inverse @ 10 ** (levels / 10)).clamp(min=0)
    time = (levels.shape[1] - 1) * FRAMING.hop
    wave = griffin_lim(power, FRAMING, time=time, generator=generator)
    gain = min(voices.LOUDNESS / wave.square().mean().sqrt(), voices.PEAK / wave.abs().max())
    return wave * gain


class System(NamedTuple):
    """The three models, trained on the same units."""

    encoder: SpeechEncoder
    captioner: AttentionDecoder
    speech: UnitToSpeech


def new_system(over: Standardise) -> System:
    """Return three models with random weights; ``over`` is that of ``standardise_speech``."""
    return System(SpeechEncoder(over), new_captioner(), UnitToSpeech(over))


def load_shipped() -> tuple[System, float]:
    """Return three models trained for longer than on their page, and the minutes that it took.

    Raises:
        FileNotFoundError: the weights are not there; the error says how to make them.
    """
    if not WEIGHTS.is_file():
        raise FileNotFoundError(f"{WEIGHTS} is not there: make weights trains it")
    with safe_open(WEIGHTS, framework="pt") as file:
        minutes = float(file.metadata()["minutes"])
    system = new_system(Standardise(BANDS))
    nn.ModuleDict(system._asdict()).load_state_dict(load_file(WEIGHTS))
    system.encoder.discrete = True
    for model in system:
        model.eval()
    return system, minutes
