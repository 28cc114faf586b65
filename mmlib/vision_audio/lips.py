"""From speech to the mouth that could have said it (book chapter *Moving lips*).

S. Suwajanakorn, S. Seitz, I. Kemelmacher-Shlizerman, *Synthesizing Obama: learning lip sync from
audio*, SIGGRAPH 2017 [S17]: features of the sound go through an LSTM that may wait a little before
it answers; it answers with the principal components of the mouth's outline, and frames of the
target person with a similar outline are blended. L. Chen, Z. Li, R. Maddox, Z. Duan, C. Xu, *Lip
movements generation at a glance*, ECCV 2018 [C18]: a loss that correlates changes of the sound with
the motion of the lips. J. S. Chung, A. Zisserman, *Out of time*, ACCV workshops 2016 [CZ16]: a
network that tells whether sound and lips are in step.

Shapes: waves (clips, time) → features (clips, steps, 28), 100 a second → components (clips,
frames, 4), 25 a second → outlines (clips, frames, 40) → pictures (clips, frames, 3, side, side).

Differs from the papers: synthetic speakers, many of them instead of one; 20 landmarks instead of
18; frames are blended whole, without the teeth's details and the re-timing of the target video.
The motion of the landmarks stands for [C18]'s dense optical flow.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from sklearn.linear_model import Ridge
from torch import Tensor, nn
from torch.nn import functional as F

from mmlib.data.batches import Batches
from mmlib.data.standardise import Standardise
from mmlib.shapes import check_shape, check_whole
from mmlib.training import History, LossOver, fit, warm_then_cool
from mmlib.vision_audio.spectrogram import Framing, mel_filters, mfcc, power_spectrogram
from mmlib.world import faces, sampling, voices, words

FRAMING = Framing(center=True)  # windows of 25 ms every 10 ms, as [S17]
STEPS = 4  # of sound, to one frame of the video
FRAMES = 60  # of a clip: 2.4 seconds
WINDOW = 5  # frames of what the synchrony network looks at: 0.2 seconds, as [CZ16]
COMPONENTS = 4  # of the mouth's outline; [S17] keep 20 of 36


class Clips(NamedTuple):
    """People who say something, all clips equally long; a face belongs to each."""

    waves: Tensor  # (clips, time) at 16 kHz
    tracks: Tensor  # (clips, frames, 5), how the lips move
    faces: list[faces.Face]
    captions: list[str]  # what is said; the clip may end before it
    phones: list[list[voices.Phone]]  # and when

    @property
    def outlines(self) -> Tensor:
        """The landmarks, (clips, frames, 40), in half widths of the mouth at rest."""
        return faces.mouth_outline(self.tracks.flatten(0, 1)).unflatten(0, self.tracks.shape[:2])


def make_clips(speakers: int, *, each: int, generator: torch.Generator) -> Clips:
    """Let ``speakers`` new speakers say ``each`` captions of the world, the first ten words of it.

    What is over before 2.4 seconds is followed by silence and closed lips.
    """
    people = voices.speakers(speakers, generator)
    scenes = sampling.sample_scenes(speakers * each, generator=generator)
    texts = [caption for caption, *_ in words.captions(scenes, per_scene=1, generator=generator)]
    texts = [" ".join(text.split()[:10]) for text in texts]
    samples = FRAMES * STEPS * FRAMING.hop
    waves, tracks = torch.zeros(len(texts), samples), torch.zeros(len(texts), FRAMES, 5)
    owners = [faces.face_of(person, generator) for person in people]
    phones = []
    for number, text in enumerate(texts):
        said = voices.speak(text, people[number // each], generator=generator)
        track = faces.mouth_track(said)[:FRAMES]
        waves[number, : len(said.wave)] = said.wave[:samples]
        tracks[number, : len(track)] = track
        phones.append(said.phones)
    return Clips(waves, tracks, [owners[n // each] for n in range(len(texts))], texts, phones)


def phones_of_frames(phones: list[voices.Phone]) -> list[str]:
    """Return the phone in the middle of each of a clip's frames; silence after the last."""
    middles = [(frame + 0.5) / faces.FPS for frame in range(FRAMES)]
    return [
        next((phone.name for phone in phones if phone.start <= time < phone.end), "SIL")
        for time in middles
    ]


def features(waves: Tensor) -> Tensor:
    """Return [S17]'s description of the sound, (clips, steps, 28), 100 steps a second.

    13 MFCC and the logarithm of the mean energy, then how fast each of them changes in time, by
    central differences. Step t is centred on t · 10 ms.

    Args:
        waves: (clips, time) at 16 kHz, a whole number of steps long.

    Raises:
        ValueError: there are fewer than three steps, or a part of one is left over.
    """
    time = check_shape(waves, "clips time", name="waves")["time"]
    if time % FRAMING.hop or time < 3 * FRAMING.hop:
        raise ValueError(f"waves has {time} samples: cut it to 3 or more times {FRAMING.hop}")
    filters = mel_filters(FRAMING, 40)
    cepstrum = mfcc(waves, FRAMING, filters)
    energy = power_spectrogram(waves, FRAMING).mean(dim=1, keepdim=True).clamp(min=1e-8).log()
    still = torch.cat([cepstrum, energy], dim=1)[..., :-1].mT  # (clips, steps, 14)
    (change,) = torch.gradient(still, dim=1)
    return torch.cat([still, change], dim=2)


class MouthPCA(nn.Module):
    """The mean mouth and the directions in which mouths differ most."""

    def __init__(self, components: int = COMPONENTS, points: int = faces.POINTS) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(2 * points))
        self.register_buffer("directions", torch.zeros(components, 2 * points))
        self.register_buffer("explained", torch.zeros(components))

    @classmethod
    def over(cls, outlines: Tensor, *, components: int = COMPONENTS) -> "MouthPCA":
        """Return the analysis of (…, 2 · points): the right singular vectors, mean removed."""
        rows = outlines.flatten(0, -2)
        layer = cls(components, rows.shape[1] // 2)
        layer.mean.copy_(rows.mean(dim=0))
        _, sizes, directions = torch.linalg.svd(rows - layer.mean, full_matrices=False)
        layer.directions.copy_(directions[:components])
        layer.explained.copy_((sizes.square() / sizes.square().sum())[:components])
        return layer

    def encode(self, outlines: Tensor) -> Tensor:
        """Return the components (…, components) of outlines (…, 2 · points)."""
        return (outlines - self.mean) @ self.directions.T

    def decode(self, components: Tensor) -> Tensor:
        """Return the outlines (…, 2 · points) that components stand for."""
        return components @ self.directions + self.mean


class TimeDelayedLSTM(nn.Module):
    """[S17] equations (1)–(6): the answer for time t is given after step t + d was heard."""

    def __init__(self, over: Standardise, *, delay: int = 20, hidden: int = 60) -> None:
        super().__init__()
        self.delay = delay  # d, in steps of 10 ms
        self.standardise = over
        self.lstm = nn.LSTM(len(over.mean), hidden, batch_first=True)
        self.output = nn.Linear(hidden, COMPONENTS)  # W_y, b_y

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the components (clips, frames, 4) of the mouth from features (clips, steps, 28).

        A frame shows its middle, step 4 f + 2. What is heard last is repeated for d steps.
        """
        x = self.standardise(inputs.mT).mT
        x = torch.cat([x, x[:, -1:].expand(-1, self.delay, -1)], dim=1)
        h, _ = self.lstm(x)
        return self.output(h[:, self.delay :][:, STEPS // 2 :: STEPS])


def shape_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean squared error of the components (clips, frames, 4), as [S17]."""
    inputs, components = batch
    return (model(inputs) - components).square().sum(dim=-1).mean()


def train_lips(
    model: TimeDelayedLSTM,
    inputs: Tensor,
    components: Tensor,
    *,
    generator: torch.Generator,
    steps: int = 400,
    loss: Callable = shape_loss,
    progress: bool = True,
) -> History:
    """Train on features (clips, steps, 28) and components (clips, frames, 4), 30 clips a step."""
    data = Batches((inputs, components), batch_size=30, generator=generator)
    return fit(
        model, data, loss, generator=generator, steps=steps, learning_rate=1e-2,
        schedule=warm_then_cool, progress=progress,
    )  # fmt: skip


def landmark_error(found: Tensor, true: Tensor) -> Tensor:
    """Return the mean distance of the landmarks, in percent of the mouth's width at rest.

    Args:
        found: (clips, frames, 2 · points), in half widths of the mouth at rest.
        true: the same.

    Returns:
        (clips,).
    """
    away = (found - true).unflatten(-1, (-1, 2)).norm(dim=-1)  # (clips, frames, points)
    return 50 * away.mean(dim=(1, 2))


def opening(outlines: Tensor) -> Tensor:
    """Return how far the lips are apart in the middle, (…): inner landmarks 62 and 66 of 68."""
    points = outlines.unflatten(-1, (-1, 2))
    return points[..., 18, 1] - points[..., 14, 1]


def around(inputs: Tensor, *, reach: int) -> Tensor:
    """Return what is heard around each frame, (clips, frames, (reach + 1) · 28).

    Every second step from ``reach`` before the frame's middle to ``reach`` after it.
    """
    reach = check_whole(reach, name="reach", least=0)
    padded = F.pad(inputs.mT, (reach, reach), mode="replicate")  # (clips, 28, steps + 2 reach)
    windows = padded.unfold(2, 2 * reach + 1, 1)[:, :, STEPS // 2 :: STEPS, ::2]
    return windows.transpose(1, 2).flatten(2)


def ridge(inputs: Tensor, components: Tensor, *, reach: int, penalty: float) -> Ridge:
    """Fit the linear baseline on standardised features (clips, steps, 28)."""
    rows = around(inputs, reach=reach).flatten(0, 1)
    return Ridge(alpha=penalty).fit(rows.numpy(), components.flatten(0, 1).numpy())


def predict_ridge(model: Ridge, inputs: Tensor, *, reach: int) -> Tensor:
    """Return the components (clips, frames, 4) that the baseline predicts."""
    rows = around(inputs, reach=reach)
    found = torch.from_numpy(model.predict(rows.flatten(0, 1).numpy())).float()
    return found.unflatten(0, rows.shape[:2])


def weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """Return the median of each pixel when picture i counts ``weights[i]``: [S17] section 4.2.

    Args:
        values: (…, candidates, pixels).
        weights: (…, candidates), positive.

    Returns:
        (…, pixels): the smallest value up to which the weights reach half of their sum.
    """
    ordered, order = values.sort(dim=-2)
    weight = weights[..., None].expand_as(values).gather(-2, order).cumsum(dim=-2)
    first = (weight >= 0.5 * weight[..., -1:, :]).long().argmax(dim=-2, keepdim=True)
    return ordered.gather(-2, first).squeeze(-2)


def blend_frames(
    outlines: Tensor, bank: Tensor, pictures: Tensor, *, nearest: int = 5, deviation: float = 0.15
) -> Tensor:
    """Return a picture for each outline: similar frames of the target person, blended.

    The ``nearest`` frames count ``exp(-distance² / (2 deviation²))`` and their weighted median is
    taken, as in [S17] section 4.2.

    Args:
        outlines: (frames, 2 · points).
        bank: (candidates, 2 · points), the outlines of the target's frames.
        pictures: (candidates, 3, height, width), those frames.

    Returns:
        (frames, 3, height, width).

    Raises:
        ValueError: there are fewer candidates than ``nearest``.
    """
    if len(bank) < nearest:
        raise ValueError(f"the bank has {len(bank)} frames, nearest is {nearest}: give more")
    distance, which = torch.cdist(outlines, bank).topk(nearest, dim=1, largest=False)
    squares = distance.square() - distance[:, :1].square()  # the nearest one counts 1
    weights = torch.exp(-squares / (2 * deviation**2))
    flat = weighted_median(pictures.flatten(1)[which], weights)
    return flat.unflatten(1, pictures.shape[1:])


class Correlation(nn.Module):
    """[C18]: changes of the sound and motion of the lips, each encoded to one vector a clip."""

    def __init__(self, sound: Standardise, motion: Standardise, *, width: int = 32) -> None:
        super().__init__()
        self.sound = nn.Sequential(sound, *_encoder(len(sound.mean), width))
        self.motion = nn.Sequential(motion, *_encoder(len(motion.mean), width))

    def forward(self, inputs: Tensor, outlines: Tensor) -> tuple[Tensor, Tensor]:
        """Return both codes, (clips, width, frames - 1): of features' changes, of the motion."""
        return self.sound(changes(inputs)), self.motion(outlines.diff(dim=1).mT)


def changes(inputs: Tensor) -> Tensor:
    """Return the sound's changes between frames, (clips, 14, frames - 1)."""
    frames = inputs[..., 14:].unflatten(1, (-1, STEPS)).mean(dim=2)  # (clips, frames, 14)
    return ((frames[:, 1:] + frames[:, :-1]) / 2).mT


def correlation_loss(sound: Tensor, motion: Tensor) -> Tensor:
    """Return [C18]'s loss: 1 − the cosine of two codes, averaged over clips and frames."""
    return 1 - F.cosine_similarity(sound, motion, dim=1).mean()


def match_loss(model: Correlation, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the loss of true pairs, and the cosine of false ones where it is positive.

    The second half is not [C18]'s: without it, codes that never change are a solution. False is
    the motion of the same clip, 3 to 15 frames earlier or later, the rest of it in a circle.
    """
    sound, motion = model(*batch)
    shift = int(torch.randint(3, 16, ())) * (1 - 2 * int(torch.randint(2, ())))
    false = F.cosine_similarity(sound, motion.roll(shift, dims=2), dim=1)
    return correlation_loss(sound, motion) + false.clamp(min=0).mean()


def guided_loss(pca: MouthPCA, judge: Correlation, *, weight: float) -> Callable:
    """Return ``shape_loss`` plus ``weight`` times the correlation loss that a fixed judge finds."""

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        inputs, components = batch
        found = model(inputs)
        both = judge(inputs, pca.decode(found))
        error = (found - components).square().sum(dim=-1).mean()
        return error + weight * correlation_loss(*both)

    return LossOver(loss, pca, judge)


def _encoder(channels: int, width: int) -> list[nn.Module]:
    return [
        nn.Conv1d(channels, 64, 5, padding=2),
        nn.ReLU(),
        nn.Conv1d(64, width, 5, padding=2),
    ]


class SyncNet(nn.Module):
    """[CZ16]: five frames of the mouth and 0.2 seconds of sound, each encoded to a vector."""

    def __init__(self, sound: Standardise, *, width: int = 32) -> None:
        super().__init__()
        self.standardise = sound
        self.sound = nn.Sequential(
            nn.Conv1d(13, 64, 5), nn.ReLU(), nn.Conv1d(64, 64, 5), nn.ReLU(),
            nn.Flatten(), nn.Linear(64 * 12, 128), nn.ReLU(), nn.Linear(128, width),
        )  # fmt: skip
        self.video = nn.Sequential(
            nn.Conv2d(WINDOW, 24, 3, stride=2), nn.ReLU(),
            nn.Conv2d(24, 48, 3, stride=2), nn.ReLU(),
            nn.Flatten(), nn.Linear(48 * 25, 128), nn.ReLU(), nn.Linear(128, width),
        )  # fmt: skip

    def encode_sound(self, inputs: Tensor) -> Tensor:
        """Return (clips, windows, width) of features (clips, steps, 28): windows = frames - 4."""
        cepstrum = self.standardise(inputs.mT)[:, :13]
        windows = cepstrum.unfold(2, WINDOW * STEPS, STEPS).transpose(1, 2)
        return self.sound(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])

    def encode_video(self, mouths: Tensor) -> Tensor:
        """Return (clips, windows, width) of grey mouth regions (clips, frames, 24, 24)."""
        windows = mouths.unfold(1, WINDOW, 1).movedim(-1, 2)  # (clips, windows, 5, 24, 24)
        still = windows.mean(dim=(2, 3, 4), keepdim=True)  # skin and light say nothing of the sound
        flat = 5 * (windows - still).flatten(0, 1)
        return self.video(flat).unflatten(0, windows.shape[:2])


def contrastive_loss(sound: Tensor, video: Tensor, true: Tensor, *, margin: float = 1.0) -> Tensor:
    """Return [CZ16] equation (1) for codes (pairs, width): true pairs near, false ones far.

    Args:
        true: (pairs,), 1 where sound and video belong together, else 0.
    """
    d = (sound - video).square().sum(dim=1).add(1e-12).sqrt()
    return 0.5 * (true * d.square() + (1 - true) * (margin - d).clamp(min=0).square()).mean()


def sync_loss(model: SyncNet, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the contrastive loss of each window with its own sound and with a shifted one.

    The false sound is that of the same clip, 3 to 15 frames earlier or later.
    """
    inputs, mouths = batch
    sound, video = model.encode_sound(inputs), model.encode_video(mouths)
    shift = int(torch.randint(3, 16, ())) * (1 - 2 * int(torch.randint(2, ())))
    early = sound[:, max(0, shift) :][:, : sound.shape[1] - abs(shift)]
    late = video[:, max(0, -shift) :][:, : video.shape[1] - abs(shift)]
    pairs = torch.cat([sound.flatten(0, 1), early.flatten(0, 1)])
    seen = torch.cat([video.flatten(0, 1), late.flatten(0, 1)])
    true = torch.zeros(len(pairs)).to(pairs)
    true[: sound.shape[0] * sound.shape[1]] = 1
    return contrastive_loss(pairs, seen, true)


def offset_distances(model: SyncNet, inputs: Tensor, mouths: Tensor, *, reach: int = 15) -> Tensor:
    """Return the mean distance of the codes when the sound is taken k frames later.

    Returns:
        (clips, 2 · reach + 1), for k from -reach to reach. If the sound lags by k frames, the
        least distance is at k.
    """
    with torch.no_grad():
        sound, video = model.encode_sound(inputs), model.encode_video(mouths)
    found = []
    for k in range(-reach, reach + 1):
        later = sound[:, max(0, k) :][:, : sound.shape[1] - abs(k)]
        there = video[:, max(0, -k) :][:, : video.shape[1] - abs(k)]
        found.append((later - there).norm(dim=2).mean(dim=1))
    return torch.stack(found, dim=1)


def train_syncnet(
    model: SyncNet,
    inputs: Tensor,
    mouths: Tensor,
    *,
    generator: torch.Generator,
    steps: int = 150,
    progress: bool = True,
) -> History:
    """Train on features (clips, steps, 28) and grey mouths (clips, frames, 24, 24), 8 a step."""
    data = Batches((inputs, mouths), batch_size=8, generator=generator)
    return fit(
        model, data, sync_loss, generator=generator, steps=steps, learning_rate=2e-3,
        schedule=warm_then_cool, progress=progress,
    )  # fmt: skip


def mouth_videos(clips: Clips, *, generator: torch.Generator) -> Tensor:
    """Return the mouth regions of all clips in grey, (clips, frames, 24, 24).

    In each clip the head sways and turns a little, and the light comes from another side.
    """
    videos = []
    for face, track in zip(clips.faces, clips.tracks, strict=True):
        pose = faces.sample_pose(len(track), generator=generator)
        light = faces.Light(side=2 * float(torch.rand((), generator=generator)) - 1)
        videos.append(faces.mouth_frames(face, track, pose=pose, light=light).mean(dim=1))
    return torch.stack(videos)
