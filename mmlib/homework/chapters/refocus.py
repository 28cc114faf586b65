"""Homework on refocusing: the census, one direction of semi-global matching, holes, the lens."""

import numpy as np

from mmlib.homework.exercise import exercise


def _windows(rng):
    """Windows of odd size; some neighbours equal the middle."""
    cases = []
    for size in (3, 5, 3):
        one, two = rng.integers(0, 6, size=(2, size, size))
        two[0, 0] = two[size // 2, size // 2]
        cases.append({"left": one.astype(float), "right": two.astype(float)})
    return cases


def _darker(window):
    middle = window.size // 2
    return np.delete(window.ravel() < window.ravel()[middle], middle)


@exercise(
    points=2,
    title="The cost of a match",
    inputs=_windows,
    hints={
        "A neighbour as bright as the middle is not darker: use <, not <=.": {
            "bits": lambda w: np.delete(w.ravel() <= w.ravel()[w.size // 2], w.size // 2)
        },
        "Count the bits that differ, not those that agree.": {"unlike": np.equal},
        "Count the bits: this is their share.": {"total": np.mean},
        "Compare the census of both windows, not their brightness.": {"bits": np.ravel},
    },
)
def census_cost(left, right, *, bits=_darker, unlike=np.not_equal, total=np.sum):
    """Return in how many bits of the census the middles of two windows differ."""
    return total(unlike(bits(left), bits(right)))


def _lines(rng):
    """Costs (disparities, pixels) of one line; prices that matter."""
    sizes = ((3, 4), (5, 6), (4, 9))
    cases = [{"costs": 3 * rng.random(size), "p1": 0.3, "p2": 0.9} for size in sizes]
    return [*cases, {"costs": 9 * rng.random((6, 5)), "p1": 0.5, "p2": 3.0}]


def _other_disparities(before, p1):
    """Return the cheapest way from the disparity below or above, for each."""
    around = np.pad(before, 1, constant_values=np.inf)
    return np.minimum(around[:-2], around[2:]) + p1


@exercise(
    points=3,
    title="One direction of semi-global matching",
    inputs=_lines,
    hints={
        "The jump is missing: min over all of the last pixel, plus P2.": {"jump": False},
        "The step is missing: the disparities below and above cost P1.": {
            "step": lambda before, p1: np.full_like(before, np.inf)
        },
        "The step goes one way only: both d - 1 and d + 1 cost P1.": {
            "step": lambda before, p1: np.pad(before, 1, constant_values=np.inf)[:-2] + p1
        },
        "The disparities do not go round: below the first there is none.": {
            "step": lambda before, p1: np.minimum(np.roll(before, 1), np.roll(before, -1)) + p1
        },
        "Subtract the least of the last pixel, so that the sums stay small.": {"subtract": 0},
    },
)
def line_costs(costs, p1, p2, *, step=_other_disparities, jump=True, subtract=1):
    """Return L(p, d) along a line from left to right, as large as ``costs``."""
    found = [costs[:, 0]]
    for column in costs.T[1:]:
        before = found[-1]
        ways = [before, step(before, p1)]
        if jump:
            ways.append(np.full_like(before, before.min() + p2))
        found.append(column + np.min(ways, axis=0) - subtract * before.min())
    return np.stack(found, axis=1)


def _rows(rng):
    """Rows with holes inside, and at either end."""
    cases = []
    for length, holes in ((8, [3, 4]), (7, [0, 1, 5]), (9, [2, 7, 8])):
        known = np.ones(length, dtype=bool)
        known[holes] = False
        cases.append({"disparity": rng.uniform(1, 20, length).round(1), "known": known})
    return cases


@exercise(
    points=3,
    title="What only one camera sees",
    inputs=_rows,
    hints={
        "The hidden thing is behind: take the smaller neighbour.": {"choose": max},
        "Take the nearest known neighbour on each side, not the mean of both.": {
            "choose": lambda sides: sum(sides) / len(sides)
        },
        "A hole may have neighbours on its left, too.": {"left": False},
        "A hole may have neighbours on its right, too.": {"right": False},
        "What is known stays as it is.": {"keep": False},
    },
)
def fill_row(disparity, known, *, choose=min, left=True, right=True, keep=True):
    """Return a row whose holes have the smaller of the nearest known values on both sides."""
    places, filled = np.flatnonzero(known), disparity.copy()
    for x in range(len(disparity)):
        if known[x] and keep:
            continue
        before = places[places < x][-1:] if left else []
        after = places[places > x][:1] if right else []
        sides = [disparity[p] for p in (*before, *after)]
        filled[x] = choose(sides) if sides else disparity[x]
    return filled


def _lenses(rng):
    """Depths before and behind the focus; focal length in pixels, lengths in one unit."""
    return [
        {
            "depth": rng.uniform(1, 9, size=count),
            "focus": rng.uniform(2, 5),
            "focal": rng.uniform(100, 400),
            "diameter": rng.uniform(0.05, 0.5),
        }
        for count in (3, 5, 8)
    ]


@exercise(
    points=2,
    title="The circle of confusion",
    inputs=_lenses,
    hints={
        "A diameter is not negative.": {"size": lambda x: x},
        "Blur grows with the difference of 1/Z, not of Z.": {"inverse": lambda z: z},
        "The focal length is missing: the answer is in pixels.": {"pixels": lambda focal: 1.0},
    },
)
def confusion(
    depth, focus, focal, diameter, *, size=np.abs, inverse=lambda z: 1 / z,
    pixels=lambda focal: focal,
):  # fmt: skip
    """Return the diameter in pixels of the disc that a point at each depth becomes."""
    return pixels(focal) * diameter * size(inverse(depth) - inverse(focus))
