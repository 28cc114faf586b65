"""Two voices in one recording: SI-SDR improvement over the mixture, in decibels.

Each seed trains both networks on the same 400 clips for the page's 300 steps and measures on 160
mixtures of people who were not among them. *Alike*: two low voices or two high ones. The network
without faces, and the half of the mixture for each, get the better order of their two answers. The
ideal masks know the sources; the complex one gives them back exactly, so it has no row.
"""

from torch import Tensor

from mmlib.runtime import make_generator
from mmlib.vision_audio import separation as sep

TITLE = "Two voices told apart: SI-SDR improvement in decibels"
TRAIN, HEARD, TEST = 400, 120, 160  # clips to learn from, to mix for the test, mixtures
AUDIO, FACES = "sound only, better order", "faces and sound"
STILL, OTHERS = "faces that keep still", "faces of other people"
SYSTEMS = (
    "half for each",
    AUDIO,
    STILL,
    OTHERS,
    FACES,
    "ideal gate in time",
    "ideal ratio mask",
    "ideal binary mask",
)


def run(seed: int) -> dict[str, float]:
    """Return the improvement by "system: mixtures", and the share with the right face."""
    clips = sep.make_clips(TRAIN, generator=make_generator(8300 + seed))
    test = make_test(8400 + seed)
    audio, _ = sep.train(clips, seed=seed, with_faces=False, progress=False)
    model, _ = sep.train(clips, seed=seed, progress=False)
    return bounds(test) | measures(audio, model, clips.mouths.mean(dim=(0, 1)), test)


def shipped() -> dict[str, float]:
    """Return the same of the two networks that ship with mmlib."""
    test = make_test(8400)
    still = test.mouths.mean(dim=(0, 1, 2))
    return measures(sep.load_separator("audio_only"), sep.load_separator("faces"), still, test)


def make_test(seed: int) -> sep.Mixtures:
    """Return mixtures of new people."""
    generator = make_generator(seed)
    heard = sep.make_clips(HEARD, generator=generator)
    return sep.mix(heard, sep.draw_pairs(heard, TEST, generator=generator))


def measures(
    audio: sep.Separator, model: sep.Separator, still: Tensor, test: sep.Mixtures
) -> dict[str, float]:
    """Return the scores of both networks, of the second also with faces that do not belong.

    Args:
        still: (5,) the mean of mouth tracks.
    """
    scores = graded(AUDIO, sep.best_order(sep.answer(audio, test), test), test, ordered=False)
    seen = {
        STILL: still.expand_as(test.mouths),
        OTHERS: test.mouths.roll(1, dims=0),
        FACES: test.mouths,
    }
    for name, mouths in seen.items():
        scores |= graded(name, sep.answer(model, test, mouths=mouths), test)
    return scores


def bounds(test: sep.Mixtures) -> dict[str, float]:
    """Return the rows without a network."""
    mixture, ideal = test.mixture[:, None], sep.ideal_masks(test.sources)
    energy = test.sources.abs().square().sum(dim=2, keepdim=True)  # of each frame
    gate = energy / energy.sum(dim=1, keepdim=True).clamp(min=1e-9)
    scores = graded("half for each", 0.5 * mixture.expand_as(test.sources), test, ordered=False)
    scores |= graded("ideal gate in time", gate * mixture, test)
    for kind in ("ratio", "binary"):
        scores |= graded(f"ideal {kind} mask", ideal[kind] * mixture, test)
    return scores


def graded(
    name: str, estimates: Tensor, test: sep.Mixtures, *, ordered: bool = True
) -> dict[str, float]:
    """Return the scores of one system; without an order none for the right face."""
    found = sep.grade(estimates, test)
    if not ordered:
        del found["right face"]
    return {f"{name}: {measure}": value for measure, value in found.items()}
