"""Homework on separating voices: complex masks, the loss, SI-SDR, permutations."""

from itertools import permutations

import numpy as np

from mmlib.homework.exercise import exercise


def _complex(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def _bounded(rng):
    return [
        {"bounded": rng.uniform(0.05, 0.95, (f, t, 2)), "mixture": _complex(rng, f, t)}
        for f, t in ((2, 3), (4, 2), (3, 5))
    ]


def _logit(bounded):
    return np.log(bounded / (1 - bounded))


@exercise(
    points=2,
    title="From the last layer to a voice",
    inputs=_bounded,
    hints={
        "The sigmoid was not undone: take log(o / (1 - o)).": {"expand": lambda o: o},
        "The fraction is o / (1 - o), not its inverse.": {"expand": lambda o: -_logit(o)},
        "The imaginary part is missing: it turns the phase.": {"turn": 0},
        "The first of the last axis is the real part, the second the imaginary one.": {"real": 1},
        "Multiply by the mixture, not by its conjugate.": {"mixed": np.conj},
    },
)
def apply_mask(bounded, mixture, *, expand=_logit, turn=1, real=0, mixed=lambda y: y):
    """Return mask · mixture, complex (freqs, frames); bounded (freqs, frames, 2) in 0 to 1."""
    mask = expand(bounded)
    return (mask[..., real] + 1j * turn * mask[..., 1 - real]) * mixed(mixture)


def _compressed(z, power=0.3):
    return np.abs(z) ** power * np.exp(1j * np.angle(z))


@exercise(
    points=3,
    title="The power-law compressed error",
    inputs=lambda rng: [
        {"estimate": scale * _complex(rng, f, t), "source": scale * _complex(rng, f, t)}
        for f, t, scale in ((2, 3, 1), (4, 4, 10), (3, 2, 0.2))
    ],
    hints={
        "Nothing was compressed.": {"compress": lambda z: z},
        "The phase is gone: compress the magnitude and keep the angle.": {
            "compress": lambda z: np.abs(z) ** 0.3
        },
        "The angle must stay: z ** 0.3 turns it as well.": {
            "compress": lambda z: np.asarray(z, dtype=complex) ** 0.3
        },
        "Compress each of the two before you take their difference.": lambda estimate, source: (
            np.mean(np.abs(_compressed(estimate - source)) ** 2)
        ),
        "Square the magnitude of the difference.": {"power": 1},
        "Take the mean over all bins, not the sum.": {"mean": np.sum},
    },
)
def compressed_error(estimate, source, *, compress=_compressed, power=2, mean=np.mean):
    """Return the mean of |Ŝ^0.3 - S^0.3|², where S^0.3 keeps the phase: one number."""
    return mean(np.abs(compress(estimate) - compress(source)) ** power)


def _signals(rng):
    cases = []
    for time, noise in ((20, 0.5), (33, 0.1), (50, 1.0)):
        source = rng.normal(size=time) + rng.uniform(0.5, 1)
        estimate = rng.uniform(0.3, 3) * source + noise * rng.normal(size=time) + 0.7
        cases.append({"estimate": estimate, "source": source})
    return cases


@exercise(
    points=3,
    title="SI-SDR",
    inputs=_signals,
    hints={
        "Take the mean off both signals first.": {"centre": lambda x: x},
        "Scale the source to the estimate: α = ŝ·s / s·s.": {"scale": lambda e, s: 1.0},
        "α is ŝ·s / s·s: divide by the source's energy, not by the estimate's.": {
            "scale": lambda e, s: e @ s / (e @ e)
        },
        "It is a ratio of energies: 10 log10, not 20.": {"times": 20},
        "Decibels take the logarithm to base 10.": {"log": np.log},
        "The numerator is the energy of α s, not of the source as it is.": {"scaled": False},
    },
)
def si_sdr(
    estimate, source, *, centre=lambda x: x - x.mean(), scale=lambda e, s: e @ s / (s @ s),
    times=10, log=np.log10, scaled=True,
):  # fmt: skip
    """Return 10 log10(|α s|² / |α s - ŝ|²) of two signals (time,): one number."""
    e, s = centre(estimate), centre(source)
    target = scale(e, s) * s
    above = target if scaled else s
    return times * log((above @ above) / ((target - e) @ (target - e)))


def _errors(rng):
    """Tables in which the smallest error of all misleads."""
    cases = []
    for speakers in (2, 3, 3, 4):
        errors = rng.uniform(1, 2, (speakers, speakers))
        errors[0, 0], errors[0, 1], errors[1, 0], errors[1, 1] = 0.1, 0.2, 0.3, 5.0
        cases.append({"errors": errors[rng.permutation(speakers)]})
    return cases


def _cheapest(errors):
    speakers = range(len(errors))
    return min(permutations(speakers), key=lambda p: sum(errors[i, p[i]] for i in speakers))


def _greedy(errors):
    left, order = errors.copy(), np.zeros(len(errors), int)
    for _ in order:
        i, j = np.unravel_index(left.argmin(), left.shape)
        order[i], left[i], left[:, j] = j, np.inf, np.inf
    return order


@exercise(
    points=2,
    title="The better order",
    inputs=_errors,
    hints={
        "Two estimates were given to the same speaker: try all permutations.": {
            "order": lambda errors: errors.argmin(axis=1)
        },
        "Taking the smallest error first can be dear later: try all permutations.": {
            "order": _greedy
        },
        "Estimate i need not be speaker i.": {"order": lambda errors: range(len(errors))},
        "Take the mean over the speakers, not the sum.": {"mean": np.sum},
    },
)
def permutation_error(errors, *, order=_cheapest, mean=np.mean):
    """Return the least mean error of estimates (rows) to speakers (columns), one to one."""
    return mean([errors[i, j] for i, j in enumerate(order(errors))])
