"""Homework on moving lips: components, the delay, a weighted median, the offset of a sound."""

import numpy as np

from mmlib.homework.exercise import exercise


def _mouths(rng):
    return [
        {"outlines": rng.normal(size=(mouths, points)) @ rng.normal(size=(points, points)) + 2}
        for mouths, points in ((6, 4), (9, 6), (30, 8))
    ]


@exercise(
    points=2,
    title="What two components leave of a mouth",
    inputs=_mouths,
    hints={
        "The mean mouth was not subtracted before the singular vectors were taken.": {
            "centre": lambda rows: 0 * rows.mean(axis=0)
        },
        "The mean mouth was not added again.": {"back": 0},
        "One component only: keep two.": {"keep": 1},
        "These are the last two directions: the largest come first.": {"first": False},
    },
)
def two_components(outlines, *, centre=lambda rows: rows.mean(axis=0), back=1, keep=2, first=True):
    """Return the outlines rebuilt from their two principal components, (mouths, 2 · points)."""
    mean = centre(outlines)
    _, _, directions = np.linalg.svd(outlines - mean, full_matrices=False)
    kept = directions[:keep] if first else directions[-keep:]
    return back * mean + (outlines - mean) @ kept.T @ kept


@exercise(
    points=2,
    title="Which answer belongs to which frame",
    inputs=lambda rng: [
        {"answers": rng.normal(size=(steps, width)), "delay": delay, "per_frame": each}
        for steps, width, delay, each in (
            (20, 2, 0, 4),
            (27, 3, 3, 4),
            (40, 1, 10, 5),
            (33, 2, 5, 3),
        )
    ],
    hints={
        "The delay is missing: what comes out after step t answers for step t - d.": {"wait": 0},
        "The delay was subtracted: the answer comes later, not earlier.": {"wait": -1},
        "A frame shows its middle, step per_frame · f + per_frame // 2, not its first step.": {
            "middle": 0
        },
        "A frame whose answer has not come yet was given the last one: leave it out.": {
            "fill": True
        },
    },
)
def frames_of(answers, delay, per_frame, *, wait=1, middle=1, fill=False):
    """Return the answers for the frames whose answer is there, (frames, components)."""
    steps, found = len(answers), []
    for frame in range(steps // per_frame):
        step = per_frame * frame + middle * (per_frame // 2) + wait * delay
        if 0 <= step < steps or fill or wait < 0:
            found.append(answers[min(max(step, 0), steps - 1)])
    return np.array(found)


def _candidates(rng):
    return [
        {
            "pixels": rng.integers(0, 20, size=(count, width)).astype(float),
            "distances": np.sort(rng.uniform(0.05, 0.6, size=count)),
            "deviation": 0.25,
        }
        for count, width in ((1, 2), (4, 5), (7, 9), (8, 6))
    ]


@exercise(
    points=3,
    title="The weighted median of similar frames",
    inputs=_candidates,
    hints={
        "This is the mean: a median is one of the values that were there.": (
            lambda pixels, distances, deviation: (
                np.exp(-(distances**2) / (2 * deviation**2))
                @ pixels
                / np.exp(-(distances**2) / (2 * deviation**2)).sum()
            )
        ),
        "All frames count alike: a nearer one counts more.": {"weight": lambda x: 1.0 + 0 * x},
        "The distance was not squared in the weight.": {"power": 1},
        "The weights were not sorted along with the values.": {"together": False},
    },
)
def blended(
    pixels, distances, deviation, *, weight=lambda x: np.exp(-x), power=2, together=True
):  # fmt: skip
    """Return for each pixel the least value up to which the weights reach half of their sum."""
    weights = weight(distances**power / (2 * deviation**power))
    found = []
    for values in pixels.T:
        order = np.argsort(values, kind="stable")
        reached = np.cumsum(weights[order] if together else weights)
        found.append(values[order][np.argmax(reached >= 0.5 * reached[-1])])
    return np.array(found)


def _late(rng):
    """Codes of video and of sound that comes ``lag`` frames later, some of them hard to tell."""
    cases = []
    for frames, lag, reach, noise in (
        (12, 3, 4, 0.1),
        (16, -2, 4, 0.1),
        (22, 4, 5, 0.3),
        *[(24, 1, 14, 1.1)] * 4,
    ):
        codes = rng.normal(size=(frames + 20, 4))
        video = codes[10 : 10 + frames] + noise * rng.normal(size=(frames, 4))
        cases.append({"sound": codes[10 - lag : 10 - lag + frames], "video": video, "reach": reach})
    return cases


@exercise(
    points=3,
    title="How late the sound is",
    inputs=_late,
    hints={
        "The sign is wrong: sound that comes later has a positive offset.": {"sign": -1},
        "This is where the distance is largest.": {"best": np.argmax},
        "Count the offset from -reach, not from 0.": {"start": 0},
        "The sum favours large offsets, which have fewer pairs: take the mean.": {"mean": np.sum},
    },
)
def sound_offset(sound, video, reach, *, sign=1, best=np.argmin, start=1, mean=np.mean):
    """Return k, from -reach to reach, for which sound[f + k] is nearest to video[f] on average."""
    frames, distances = len(sound), []
    for k in range(-reach, reach + 1):
        later = sound[max(0, sign * k) : frames + min(0, sign * k)]
        there = video[max(0, -sign * k) : frames + min(0, -sign * k)]
        distances.append(mean(np.linalg.norm(later - there, axis=1)))
    return int(best(distances)) - start * reach
