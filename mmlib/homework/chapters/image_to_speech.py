"""Homework on image to speech: codes, the codebook's step, runs, purity, distance of units."""

import numpy as np

from mmlib.homework.exercise import exercise


def _features(rng):
    cases = []
    for rows, codes, width in ((1, 3, 2), (6, 4, 3), (12, 9, 5), (20, 5, 2)):
        codebook = rng.normal(size=(codes, width)) * rng.uniform(0.3, 3, size=(codes, 1))
        cases.append({"features": 2 * rng.normal(size=(rows, width)), "codebook": codebook})
    return cases


@exercise(
    points=2,
    title="The nearest code",
    inputs=_features,
    hints={
        "This is the code with the largest product: a long code wins it unduly. Take distances.": (
            lambda features, codebook: (features @ codebook.T).argmax(axis=1)
        ),
        "This is the farthest code.": {"best": np.argmax},
        "These are sums of absolute differences: square the differences.": {"power": 1},
        "This is the nearest feature of each code: find each feature's code.": {"axis": 0},
    },
)
def nearest_code(features, codebook, *, best=np.argmin, power=2, axis=1):
    """Return the number of the code that is nearest to each feature vector, (rows,)."""
    differences = np.abs(features[:, None] - codebook[None]) ** power  # (rows, codes, width)
    return best(differences.sum(axis=2), axis=axis)


def _assigned(rng):
    cases = []
    for rows, codes, width in ((5, 3, 2), (9, 6, 3), (30, 4, 4), (12, 12, 2)):
        units = rng.integers(codes, size=rows)
        units[units == codes - 1] = 0  # one code at least is chosen by nobody
        features, codebook = (rng.normal(size=(count, width)) for count in (rows, codes))
        cases.append({"features": features, "units": units, "codebook": codebook})
    return cases


@exercise(
    points=3,
    title="One step of k-means",
    inputs=_assigned,
    hints={
        "A code that no feature chose must stay where it is.": {"idle": 0},
        "This is the sum of a code's features: take the mean.": {"mean": np.sum},
        "This is the median of a code's features: take the mean.": {"mean": np.median},
        "Each code moved only half of the way to its mean.": {"step": 0.5},
    },
)
def moved_codebook(features, units, codebook, *, mean=np.mean, idle=1, step=1.0):
    """Return the codebook (codes, width), each code moved to the mean of the features it has."""
    moved = idle * codebook
    for code in np.unique(units):
        centre = mean(features[units == code], axis=0)
        moved[code] = codebook[code] + step * (centre - codebook[code])
    return moved


def _sequences(rng):
    return [
        {"units": np.repeat(rng.integers(3, size=n), rng.integers(1, 4, size=n))}
        for n in (1, 4, 9, 15)
    ]


@exercise(
    points=2,
    title="Runs and their durations",
    inputs=_sequences,
    hints={
        "A unit that comes back later begins a new run: do not put all of its steps together.": (
            lambda units: np.stack(np.unique(units, return_counts=True))
        ),
        "These are the last steps of the runs where their durations should be.": {"ends": True},
        "The durations are one too small: count the first step of a run, too.": {"count": -1},
        "The durations come second, the units first.": {"turned": True},
    },
)
def runs(units, *, ends=False, count=0, turned=False):
    """Return the unit of each run and how many steps it lasts, int (2, runs)."""
    starts = np.flatnonzero(np.concatenate([[True], units[1:] != units[:-1]]))
    beyond = np.append(starts[1:], len(units))  # where the next run starts
    found = np.stack([units[starts], beyond - 1 if ends else beyond - starts + count])
    return found[::-1] if turned else found


def _spoken(rng):
    cases = []
    for steps, codes, phones in ((6, 2, 3), (20, 4, 5), (60, 8, 4), (90, 5, 12)):
        phone = rng.integers(phones, size=steps)
        units = np.where(rng.random(steps) < 0.5, phone % codes, rng.integers(codes, size=steps))
        cases.append({"units": units, "phones": phone})
    return cases


@exercise(
    points=3,
    title="The purity of units",
    inputs=_spoken,
    hints={
        "All units count alike here: a frequent one must count more.": {"weighted": False},
        "This is the best unit of each phone: ask for each unit's phone.": {"swap": True},
        "This is a number of steps: divide it by their number.": {"share": False},
    },
)
def purity(units, phones, *, weighted=True, swap=False, share=True):
    """Return the share of steps whose phone is the most frequent one of their unit."""
    rows, columns = (phones, units) if swap else (units, phones)
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    if not weighted:  # each unit counts as one step
        table /= np.maximum(table.sum(axis=1, keepdims=True), 1)
    return float(table.max(axis=1).sum() / (table.sum() if share else 1))


def _pairs(rng):
    cases = [{"first": np.array([1, 2, 3]), "second": np.array([2, 3, 1, 1])}]
    for a, b in ((1, 4), (6, 6), (9, 5), (12, 10)):
        cases.append({"first": rng.integers(4, size=a), "second": rng.integers(4, size=b)})
    return cases


def _aligned(first, second):
    same = (first[: len(second)] == second[: len(first)]).sum()
    return 1 - float(same) / max(len(first), len(second))


@exercise(
    points=4,
    title="The distance of two sequences of units",
    inputs=_pairs,
    hints={
        "Only equal positions were compared: allow insertions and deletions.": _aligned,
        "A replacement counts one, not two.": {"replace": 2},
        "Divide by the longer sequence's length.": {"length": lambda a, b: 1},
        "Divide by the longer sequence's length, not by the shorter one's.": {"length": min},
    },
)
def unit_distance(first, second, *, replace=1, length=max):
    """Return the least number of insertions, deletions and replacements, by the longer length."""
    row = np.arange(len(second) + 1)
    for a in first:
        new = [row[0] + 1]
        for j, b in enumerate(second):
            new.append(min(row[j + 1] + 1, new[j] + 1, row[j] + replace * (a != b)))
        row = np.array(new)
    return float(row[-1] / length(len(first), len(second)))
