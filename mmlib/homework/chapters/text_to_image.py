"""Homework on text to image: the joint embedding, GAN-CLS, growing pictures, Fréchet distance."""

import numpy as np

from mmlib.homework.exercise import exercise


def _batches(rng):
    cases = []
    for size, classes in ((3, 3), (5, 2), (6, 4), (8, 3)):
        scores = 2 * rng.normal(size=(size, size))
        cases.append({"scores": scores, "classes": rng.integers(0, classes, size)})
    return cases


@exercise(
    points=2,
    title="The structured loss of a joint embedding",
    inputs=_batches,
    hints={
        "Only the rows are counted: each sentence must find its picture, too.": {"sides": (1,)},
        "Only the columns are counted: each picture must find its sentence, too.": {"sides": (0,)},
        "The margin is missing: Δ is 1 between different classes.": {"margin": 0},
        "Two items of one class have no margin between them: Δ is 0 there, not only on the "
        "diagonal.": {"classes_of": lambda classes: np.arange(len(classes))},
        "This is the mean over all other items: only the worst one counts.": {"worst": np.mean},
    },
)
def structured_loss(
    scores, classes, *, sides=(1, 0), margin=1, classes_of=lambda classes: classes, worst=np.max
):
    """Return the mean over rows, plus that over columns, of the largest Δ + F - F of the pair."""
    names, right = classes_of(classes), scores.diagonal()
    delta = margin * (names[:, None] != names)
    lost = {1: delta + scores - right[:, None], 0: delta + scores - right}
    return float(sum(worst(lost[axis], axis=axis).mean() for axis in sides))


def _logits(rng):
    names = ("real_right", "real_wrong", "fake_right")
    return [dict(zip(names, 2 * rng.normal(size=(3, size)), strict=True)) for size in (1, 4, 7)]


def _log_sigmoid(x):
    return -np.logaddexp(0, -x)


@exercise(
    points=2,
    title="The loss of a matching-aware discriminator",
    inputs=_logits,
    hints={
        "This is L_D, to be made large: the loss is its negative.": {"sign": 1},
        "The two kinds of mistake share a weight of one: halve their sum.": {"share": 1},
        "A real picture with the wrong sentence must count as wrong.": {"wrong": -1},
        "The wrong sentence is left out: this is the plain GAN.": {"wrong": 0},
        "The inputs are logits: D is their sigmoid.": {
            "log": lambda x: np.log(np.clip(x, 1e-12, None))
        },
    },
)
def discriminator_loss(
    real_right, real_wrong, fake_right, *, sign=-1, share=0.5, wrong=1, log=_log_sigmoid
):
    """Return -(log s_r + (log(1 - s_w) + log(1 - s_f)) / 2), in the mean over the batch."""
    mistaken = log(-real_wrong) if wrong == 1 else log(real_wrong) if wrong else 0
    mistakes = mistaken + log(-fake_right)
    return float(sign * np.mean(log(real_right) + (share if wrong else 1) * mistakes))


def _small_pictures(rng):
    cases = []
    for side, size, stride, padding in ((2, 4, 2, 1), (3, 4, 2, 1), (4, 3, 1, 1), (3, 5, 3, 1)):
        case = {"picture": rng.normal(size=(side, side)), "kernel": rng.normal(size=(size, size))}
        cases.append(case | {"stride": stride, "padding": padding})
    return cases


@exercise(
    points=3,
    title="A transposed convolution",
    inputs=_small_pictures,
    hints={
        "The kernel is flipped: lay it down as it is.": {"turn": lambda k: k[::-1, ::-1]},
        "Rows and columns of the kernel are swapped.": {"turn": lambda k: k.T},
        "The border is not cut off: padding takes so many pixels away on each side.": {"cut": 0},
        "Where two copies of the kernel overlap, they add up.": {"keep": 0},
    },
)
def grow(picture, kernel, stride, padding, *, turn=lambda k: k, cut=1, keep=1):
    """Return the sum of copies of the kernel, one for each pixel, ``stride`` apart, cut."""
    kernel, size = turn(kernel), len(kernel)
    side = (len(picture) - 1) * stride + size
    out = np.zeros((side, side))
    for (i, j), value in np.ndenumerate(picture):
        window = out[i * stride : i * stride + size, j * stride : j * stride + size]
        window[:] = keep * window + value * kernel
    border = cut * padding
    return out[border : side - border, border : side - border]


def _features(rng):
    cases = []
    for items, others, size in ((20, 25, 2), (30, 30, 3), (40, 25, 4)):
        mixing, shift = rng.normal(size=(size, size)), rng.normal(size=size)
        cases.append({"first": rng.normal(size=(items, size)) @ mixing})
        cases[-1]["second"] = shift + rng.uniform(0.5, 2) * rng.normal(size=(others, size))
    return cases


def _trace_of_root(one, other):
    return np.sqrt(np.clip(np.linalg.eigvals(one @ other).real, 0, None)).sum()


@exercise(
    points=3,
    title="The Fréchet distance",
    inputs=_features,
    hints={
        "The distance of the means is to be squared.": {"power": 1},
        "The means are left out.": {"means": 0},
        "The covariances are left out: only the means are compared.": {"spread": 0},
        "The root of a matrix is not the matrix of the roots: use the eigenvalues of Σ₁ Σ₂.": {
            "root": lambda one, other: np.trace(np.sqrt(np.abs(one @ other)))
        },
        "The root is missing: tr(Σ₁ Σ₂) was subtracted.": {
            "root": lambda one, other: np.trace(one @ other)
        },
    },
)
def frechet_distance(first, second, *, power=2, means=1, spread=1, root=_trace_of_root):
    """Return |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½), for features (items, features)."""
    one, other = (np.cov(features.T) for features in (first, second))
    apart = np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) ** power
    return float(means * apart + spread * (np.trace(one + other) - 2 * root(one, other)))
