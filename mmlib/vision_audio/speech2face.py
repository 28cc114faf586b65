"""The face that a voice suggests (book chapter *Speech to face*).

T.-H. Oh, T. Dekel, C. Kim, I. Mosseri, W. T. Freeman, M. Rubinstein, W. Matusik, *Speech2Face:
learning the face behind a voice*, CVPR 2019 [O19]. A face recogniser turns a picture into a face
feature; a face decoder draws a frontal, neutral, evenly lit face from it (F. Cole, D. Belanger,
D. Krishnan, A. Sarna, I. Mosseri, W. T. Freeman, *Synthesizing normalized faces from facial
identity features*, CVPR 2017 [C17]). Both are frozen. A voice encoder then learns to find the face
feature of the person who speaks.

Shapes: waves (clips, TIME) → spectrograms (clips, 2, freqs, frames) → face features v_s (clips, D);
pictures (items, 3, SIDE, SIDE) → face features v_f (items, D) → logits (items, identities).

Differs from the paper: synthetic people; a small recogniser of our own instead of VGG-Face; two
seconds of speech instead of six, frames every 20 ms instead of 10, fewer and narrower layers; the
decoder paints pixels and has no landmarks to warp them by.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from mmlib.data.batches import Batches
from mmlib.data.standardise import Standardise
from mmlib.metrics import pearson
from mmlib.shapes import check_shape, check_whole, unit_length
from mmlib.training import History, LossOver, fit, warm_then_cool
from mmlib.vision_audio.spectrogram import (
    Framing,
    cut_frames,
    frame_window,
    mel_filters,
    mfcc,
    stft,
    summarise,
)
from mmlib.world import faces, sampling, voices, words

FRAMING = Framing(window_length=400, hop=320, n_fft=512, window="hann")
SAMPLE_RATE = 16_000
TIME = 2 * SAMPLE_RATE  # samples of a clip
POWER = 0.3  # of the power-law compression, as [O19]
SIDE = 48  # of a picture, in pixels
D = 128  # numbers in a face feature; VGG-Face has 4,096
IDENTITIES = 500  # people whom the recogniser learns to name; VGG-Face: 2,622
PAPER_WEIGHTS = {"decoder": 1.0, "direction": 0.025, "distillation": 200.0}  # 1, λ1, λ2 of [O19]
TEMPERATURE = 2.0  # T of [O19]
WEIGHTS = Path(__file__).parent / "weights" / "speech2face.safetensors"


# people, what they say and how they look


class Clips(NamedTuple):
    """People who speak, and a frame of the video of each clip."""

    waves: Tensor  # (clips, TIME) at 16 kHz
    texts: list[str]  # what is said in each
    pictures: Tensor  # (clips, 3, SIDE, SIDE): any pose, light and moment of speaking
    owner: Tensor  # (clips,) position in the two lists
    speakers: list[voices.Speaker]
    faces: list[faces.Face]


def make_clips(people: int, *, each: int, generator: torch.Generator) -> Clips:
    """Let new people say ``each`` captions, six words and two seconds of them at most.

    Raises:
        ValueError: ``people`` or ``each`` is no whole number of 1 or more.
    """
    each = check_whole(each, name="each")
    speakers = voices.speakers(people, generator)
    owners = [faces.face_of(speaker, generator) for speaker in speakers]
    scenes = sampling.sample_scenes(people * each, generator=generator)
    said = words.captions(scenes, per_scene=1, generator=generator)
    texts = [" ".join(caption.split()[:6]) for caption, *_ in said]
    owner = torch.arange(people).repeat_interleave(each)
    waves, moments = torch.zeros(len(texts), TIME), []
    for number, text in enumerate(texts):
        spoken = voices.speak(text, speakers[owner[number]], generator=generator)
        length = min(len(spoken.wave), TIME)
        waves[number, :length] = spoken.wave[:length]
        track = faces.mouth_track(spoken)
        moments.append(track[int(torch.randint(len(track), (), generator=generator))])
    seen = photograph(
        [owners[n] for n in owner.tolist()], torch.stack(moments), generator=generator
    )
    return Clips(waves, texts, seen, owner, speakers, owners)


def photograph(
    people: list[faces.Face], mouths: Tensor | None = None, *, generator: torch.Generator
) -> Tensor:
    """Return a picture of each face in a pose and light of its own, (people, 3, SIDE, SIDE).

    Args:
        mouths: (people, 5) as ``faces.mouth_track``; None: drawn at random.
    """
    count = len(people)
    if mouths is None:
        mouths = torch.rand(count, 5, generator=generator) * torch.tensor([0.8, 0.5, 0.5, 0.3, 0.5])
    at = 2 * torch.rand(7, count, generator=generator) - 1
    pose = faces.Pose(0.05 * at[0], 0.04 * at[1], 0.06 * at[2], 0.2 * at[3], 1 + 0.04 * at[4])
    light = faces.Light(side=at[5], level=1 + 0.15 * at[6])
    return faces.draw(people, mouths, size=SIDE, pose=pose, light=light)


def restyle(
    people: list[faces.Face], *, generator: torch.Generator, share: float = 0.5
) -> list[faces.Face]:
    """Return the same people years later: a share of them with other hair, or other glasses."""
    changed, glasses = torch.rand(2, len(people), generator=generator)
    hair, style = (
        torch.randint(len(kinds), (len(people),), generator=generator)
        for kinds in (faces.HAIR, faces.STYLES)
    )
    return [
        replace(face, hair=int(hair[n]), style=int(style[n]), glasses=bool(glasses[n] < 0.3))
        if changed[n] < share
        else face
        for n, face in enumerate(people)
    ]


# the frozen parts: recogniser and decoder


class FaceRecogniser(nn.Module):
    """Names the people it was trained on; the layer before the names is the face feature."""

    def __init__(self, identities: int = IDENTITIES) -> None:
        super().__init__()
        layers, widths = [], (3, 16, 32, 64, 64)
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
            layers += [nn.BatchNorm2d(after), nn.MaxPool2d(2)]
        self.trunk = nn.Sequential(*layers, nn.Flatten())
        self.feature = nn.Linear(64 * (SIDE // 16) ** 2, D)
        self.classify = nn.Linear(D, identities)  # f_VGG of [O19]

    def encode(self, pictures: Tensor) -> Tensor:
        """Return the face features v_f (items, D), 0 or more, of pictures in [0, 1]."""
        check_shape(pictures, f"items 3 {SIDE} {SIDE}", name="pictures")
        return self.feature(self.trunk(2 * pictures - 1)).relu()

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the logits (items, identities)."""
        return self.classify(self.encode(pictures))


class FaceDecoder(nn.Module):
    """Draws the canonical face of a face feature, as [C17]: frontal, neutral, evenly lit."""

    def __init__(self, hidden: int = 256) -> None:
        super().__init__()
        self.first = nn.Linear(D, hidden)  # f_dec of [O19]
        self.rest = nn.Sequential(
            nn.ReLU(), nn.Linear(hidden, 32 * 36), nn.ReLU(), nn.Unflatten(1, (32, 6, 6)),
            nn.Upsample(scale_factor=2), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
            nn.Upsample(scale_factor=2), nn.Conv2d(32, 24, 3, padding=1), nn.ReLU(),
            nn.Upsample(scale_factor=2), nn.Conv2d(24, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 3, 3, padding=1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, v: Tensor) -> Tensor:
        """Return pictures (items, 3, SIDE, SIDE) in [0, 1] of face features (items, D)."""
        return self.rest(self.first(v))


def recognise_loss(model: FaceRecogniser, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the cross-entropy of who it is."""
    pictures, owner = batch
    return F.cross_entropy(model(pictures), owner)


def decode_loss(model: FaceDecoder, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean absolute error of the canonical pictures, as [C17] for the texture."""
    v, canonical = batch
    return (model(v) - canonical).abs().mean()


def load_frozen() -> tuple[FaceRecogniser, FaceDecoder]:
    """Load the recogniser and the decoder that ``tools/weights.py`` trained; both are frozen."""
    both = nn.ModuleDict({"recogniser": FaceRecogniser(), "decoder": FaceDecoder()})
    both.load_state_dict(load_file(WEIGHTS))
    both.eval().requires_grad_(False)
    return both["recogniser"], both["decoder"]


def encode_faces(recogniser: FaceRecogniser, pictures: Tensor) -> Tensor:
    """Return the face features (items, D) without gradients, 100 pictures at a time."""
    with torch.no_grad():
        return torch.cat([recogniser.encode(some) for some in pictures.split(100)])


# the voice


def compress(values: Tensor) -> Tensor:
    """Return sgn(x) |x|^0.3: quiet and loud parts come nearer to each other, signs stay."""
    return values.sign() * values.abs() ** POWER


def voice_input(waves: Tensor) -> Tensor:
    """Return [O19]'s input: real and imaginary part of the spectrum, compressed each by itself.

    Args:
        waves: (clips, time) at 16 kHz, 0.6 seconds or more.

    Returns:
        (clips, 2, freqs, frames).

    Raises:
        ValueError: a wave is too short, not finite, or silent throughout.
    """
    time = check_shape(waves, "clips time", name="waves")["time"]
    if time < 0.6 * SAMPLE_RATE:
        raise ValueError(f"waves has {time} samples, a voice needs {0.6 * SAMPLE_RATE:.0f}")
    silent = (waves == 0).all(dim=1)
    if silent.any():
        raise ValueError(
            f"{int(silent.sum())} of {len(waves)} waves are silent, the first is number "
            f"{int(silent.nonzero()[0])}: leave out clips in which nobody speaks"
        )
    spectrum = stft(waves, FRAMING)  # complex (clips, freqs, frames)
    return compress(torch.stack([spectrum.real, spectrum.imag], dim=1))


class VoiceEncoder(nn.Module):
    """[O19]: convolution, ReLU, batch norm; pooled along time only; averaged over time; two layers.

    What is kept apart until the end is frequency, where a voice shows who speaks. The last layer
    answers in standard deviations of the face features from their mean.

    Args:
        over: the mean and deviation of the training people's face features.
    """

    def __init__(
        self, over: Standardise, *, widths: tuple[int, ...] = (8, 16, 32, 64), hidden: int = 64
    ) -> None:
        super().__init__()
        self.over = over
        layers, freqs, last = [], FRAMING.n_fft // 2 + 1, 2
        for width in widths:
            layers += [nn.Conv2d(last, width, 4, stride=(2, 1)), nn.ReLU(), nn.BatchNorm2d(width)]
            layers += [nn.MaxPool2d((1, 2))]
            freqs, last = (freqs - 4) // 2 + 1, width
        self.trunk = nn.Sequential(*layers[:-1])
        self.output = nn.Sequential(
            nn.Linear(last * freqs, hidden), nn.ReLU(), nn.Linear(hidden, D)
        )

    def forward(self, spectrograms: Tensor) -> Tensor:
        """Return v_s (clips, D) of spectrograms (clips, 2, freqs, frames) of any length."""
        maps = self.trunk(spectrograms)  # (clips, channels, freqs', frames')
        answer = self.output(maps.mean(dim=3).flatten(1))
        return self.over.mean + self.over.deviation * answer


# the loss


def feature_l1(v_s: Tensor, v_f: Tensor) -> Tensor:
    """Return [O19] equation (1), ‖v_f − v_s‖₁, the mean over clips."""
    return (v_f - v_s).abs().sum(dim=1).mean()


def distillation(a: Tensor, b: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Return −Σ_i p_i(a) log p_i(b), p the softmax at a temperature, the mean over clips."""
    p = (a / temperature).softmax(dim=1)
    return -(p * (b / temperature).log_softmax(dim=1)).sum(dim=1).mean()


def loss_terms(
    v_s: Tensor, v_f: Tensor, recogniser: FaceRecogniser, decoder: FaceDecoder
) -> dict[str, Tensor]:
    """Return the three terms of [O19] equation (2), without their weights."""
    return {
        "decoder": feature_l1(decoder.first(v_s), decoder.first(v_f)),
        "direction": (F.normalize(v_f) - F.normalize(v_s)).square().sum(dim=1).mean(),
        "distillation": distillation(recogniser.classify(v_f), recogniser.classify(v_s)),
    }


def gradient_sizes(
    v_s: Tensor, v_f: Tensor, recogniser: FaceRecogniser, decoder: FaceDecoder
) -> dict[str, float]:
    """Return the norm of each unweighted term's gradient by v_s, a clip's on average.

    [O19] chose λ1 and λ2 so that the weighted gradients are of similar size early in training.
    """
    v_s = v_s.detach().requires_grad_()
    sizes = {}
    for name, term in loss_terms(v_s, v_f, recogniser, decoder).items():
        (gradient,) = torch.autograd.grad(term, v_s)
        sizes[name] = float(len(v_s) * gradient.norm(dim=1).mean())
    return sizes


def voice_loss(
    recogniser: FaceRecogniser, decoder: FaceDecoder, weights: dict[str, float] | None = None
) -> Callable:
    """Return the loss of a voice encoder on a batch (spectrograms, v_f): equation (2).

    Args:
        weights: of the terms; None: 1, λ1 and λ2 of [O19]. A term that is left out is not used.
    """
    weights = weights or PAPER_WEIGHTS

    def loss(model: VoiceEncoder, batch: tuple[Tensor, Tensor]) -> Tensor:
        spectrograms, v_f = batch
        terms = loss_terms(model(spectrograms), v_f, recogniser, decoder)
        return sum(weight * terms[name] for name, weight in weights.items())

    return LossOver(loss, recogniser, decoder)


def plain_loss(model: VoiceEncoder, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return equation (1) on a batch (spectrograms, v_f)."""
    spectrograms, v_f = batch
    return feature_l1(model(spectrograms), v_f)


def train(
    model: nn.Module, data: tuple[Tensor, Tensor], loss: Callable, *, generator: torch.Generator,
    steps: int = 200, batch_size: int = 16, learning_rate: float = 2e-3, progress: bool = True,
) -> History:  # fmt: skip
    """Train a voice encoder, or one of the two networks of faces, on pairs row by row.

    Args:
        data: what ``loss`` takes in batches, such as spectrograms (clips, 2, freqs, frames) and
            face features (clips, D).
    """
    batches = Batches(data, batch_size=batch_size, generator=generator)
    return fit(
        model, batches, loss, generator=generator, steps=steps, learning_rate=learning_rate,
        schedule=warm_then_cool, progress=progress,
    )  # fmt: skip


# baselines


def pitch_of(waves: Tensor) -> Tensor:
    """Return each wave's pitch (clips,) in hertz: the median over its louder frames.

    A frame's autocorrelation is the inverse transform of its power spectrum (Wiener–Khinchin),
    divided by the window's; the pitch is where it is highest between 70 and 400 Hz.
    """
    framing = Framing(window_length=800, hop=320, n_fft=2048, window="hann")
    window = frame_window(framing).square()
    frames = cut_frames(waves, framing)  # (clips, frames, n_fft)
    spectrum = torch.fft.rfft(frames * frame_window(framing))
    loud = spectrum.abs().square().sum(dim=2)  # (clips, frames)
    ours = torch.fft.irfft(spectrum.abs().square())
    lags = torch.arange(SAMPLE_RATE // 400, SAMPLE_RATE // 70)
    overlap = torch.fft.irfft(torch.fft.rfft(window.sqrt()).abs().square())[lags]
    best = lags[(ours[..., lags] / overlap).argmax(dim=2)]  # (clips, frames)
    heard = loud > 0.3 * loud.amax(dim=1, keepdim=True)
    pitch = (SAMPLE_RATE / best).where(heard, torch.nan)
    return pitch.nanmedian(dim=1).values


def pitch_inputs(waves: Tensor) -> Tensor:
    """Return the logarithm of the pitch, its square and cube about 150 Hz, (clips, 3)."""
    x = (pitch_of(waves) / 150).log()
    return torch.stack([x, x**2, x**3], dim=1)


def mfcc_inputs(waves: Tensor) -> Tensor:
    """Return mean and deviation over time of 20 MFCC, and the pitch's columns, (clips, 43)."""
    framing = Framing()
    cepstrum = mfcc(waves, framing, mel_filters(framing, 40), coefficients=20)
    return torch.cat([summarise(cepstrum), pitch_inputs(waves)], dim=1)


def body_inputs(speakers: list[voices.Speaker]) -> Tensor:
    """Return what no voice tells exactly: tract length, age and their squares, (people, 4)."""
    table = torch.tensor([[(p.tract - 15.7) / 1.4, (p.age - 49) / 18] for p in speakers])
    return torch.cat([table, table**2], dim=1)


def ridge(inputs: Tensor, targets: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the linear map from standardised inputs (items, columns) to targets (items, D).

    The penalty is chosen by leave-one-out error among powers of ten.
    """
    model = make_pipeline(StandardScaler(), RidgeCV(alphas=10.0 ** np.arange(-2, 5)))
    model.fit(inputs.numpy(), targets.numpy())
    return lambda some: torch.from_numpy(model.predict(some.numpy())).float()


# scores


def feature_similarity(v_s: Tensor, v_f: Tensor, *, by: str = "cosine") -> Tensor:
    """Return how alike voices' and faces' features are, (voices, faces).

    Args:
        by: ``"cosine"``, ``"L1"`` or ``"L2"``, the last two with a minus sign.

    Raises:
        ValueError: ``by`` is something else, or the features differ in length.
    """
    check_shape(v_s, f"voices {check_shape(v_f, 'faces dim', name='v_f')['dim']}", name="v_s")
    if by == "cosine":
        return unit_length(v_s) @ unit_length(v_f).T
    if by not in ("L1", "L2"):
        raise ValueError(f"by is {by!r}, it must be 'cosine', 'L1' or 'L2'")
    return -torch.cdist(v_s, v_f, p=float(by[1]))


TIED = ("jaw", "length", "nose")  # these follow from the tract's length
UNTIED = ("skin", "glasses", "hair brightness", "long hair", "bald")  # these follow from nothing
ATTRIBUTES = (*TIED, "lines", *UNTIED)  # lines come with age, which is hardly heard


def attributes(people: list[faces.Face]) -> Tensor:
    """Return ``ATTRIBUTES`` of faces, (people, 9)."""
    rows = []
    for face in people:
        bright = sum(faces.HAIR[face.hair]) / 3
        free = (face.skin, face.glasses, bright, face.style == 1, face.style == 2)
        rows.append([face.jaw, face.length, face.nose, face.lines, *map(float, free)])
    return torch.tensor(rows)


def attribute_correlations(found: Tensor, true: Tensor) -> dict[str, float]:
    """Return Pearson's correlation over people of each attribute, both (people, 9)."""
    return dict(zip(ATTRIBUTES, pearson(found.T, true.T).tolist(), strict=True))
