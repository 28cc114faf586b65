"""Homework on 3D detection: corners, clipping, peaks, average precision."""

import numpy as np

from mmlib.homework.exercise import exercise


def _boxes(rng):
    cases = []
    for heading in (0.0, *rng.uniform(-3, 3, 5)):
        size = rng.uniform((2, 0.5), (5, 1.8))
        cases.append({"box": np.array([*rng.uniform(-20, 20, 2), *size, heading])})
    return cases


@exercise(
    points=2,
    title="The corners of a box",
    inputs=_boxes,
    hints={
        "You turned the box to the other side: its front points from x towards y.": {"hand": -1},
        "A corner lies half the length and half the width from the middle.": {"share": 1.0},
        "Length goes along the heading, width across it: you swapped them.": {"sides": (3, 2)},
        "These go clockwise: after the front left corner comes the rear left one.": {
            "signs": ((1, 1), (1, -1), (-1, -1), (-1, 1))
        },
    },
)
def corners(
    box, *, hand=1, share=0.5, sides=(2, 3), signs=((1, 1), (-1, 1), (-1, -1), (1, -1)),
):  # fmt: skip
    """Return the corners (4, 2) from above, counter-clockwise, the front left one first."""
    cosine, sine = np.cos(box[4]), hand * np.sin(box[4])
    own = np.array(signs) * share * box[list(sides)]
    turn = np.array([[cosine, sine], [-sine, cosine]])
    return own @ turn + box[:2]


def _polygons(rng):
    cases = []
    for corners_of in (3, 4, 4, 5, 7):
        angle = np.sort(rng.uniform(0, 2 * np.pi, corners_of))
        while np.diff(np.r_[angle, angle[0] + 2 * np.pi]).max() > 3:  # the middle lies inside
            angle = np.sort(rng.uniform(0, 2 * np.pi, corners_of))
        polygon = 3 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.uniform(-1, 1, 2)
        middle, way = polygon.mean(axis=0), rng.normal(size=2)
        a, b = middle - way, middle + 2 * way
        cases += [{"polygon": polygon, "a": a, "b": b}, {"polygon": polygon, "a": b, "b": a}]
    return cases


@exercise(
    points=3,
    title="Clip a polygon",
    inputs=_polygons,
    hints={
        "You kept the part on the right of the line from a to b.": {"side": -1},
        "Where a side crosses the line stands a new corner: it is missing.": {"cross": False},
        "The crossing lies at the wrong end of the side: its share is s_p / (s_p - s_q).": {
            "share": lambda p, q: q / (q - p)
        },
    },
)
def clip(polygon, a, b, *, side=1, cross=True, share=lambda p, q: p / (p - q)):
    """Return the corners (m, 2) of the part of a convex polygon to the left of the line a → b."""
    way = b - a
    left = side * (way[0] * (polygon[:, 1] - a[1]) - way[1] * (polygon[:, 0] - a[0]))
    kept = []
    for i in range(len(polygon)):
        j = (i + 1) % len(polygon)
        if left[i] >= 0:
            kept.append(polygon[i])
        if cross and (left[i] >= 0) != (left[j] >= 0):
            kept.append(polygon[i] + share(left[i], left[j]) * (polygon[j] - polygon[i]))
    return np.array(kept)


def _heat(rng):
    cases = []
    for shape in ((4, 4), (5, 8), (9, 6)):
        heat = rng.permutation(np.linspace(0.01, 0.99, shape[0] * shape[1])).reshape(shape)
        cases.append({"heat": heat, "least": float(rng.uniform(0.6, 0.85)) + 0.0003})
    return cases


@exercise(
    points=2,
    title="Peaks of a heat map",
    inputs=_heat,
    hints={
        "A peak exceeds the diagonal neighbours, too: eight of them, not four.": {
            "highest": lambda w: np.maximum(w[..., 1, :].max(-1), w[..., :, 1].max(-1))
        },
        "A cell on the border can be a peak, too.": {"outside": 1.0},
        "The window is 3 × 3 cells: yours is larger.": {"size": 5},
        "Sort by value, the highest first.": {"order": lambda values: np.argsort(values)},
        "Cells lower than `least` are no peaks.": {"enough": lambda heat, least: heat > 0},
    },
)
def peaks(
    heat, least, *, size=3, outside=0.0, highest=lambda w: w.max(axis=(-2, -1)),
    enough=lambda heat, least: heat >= least, order=lambda values: np.argsort(-values),
):  # fmt: skip
    """Return (peaks, 2), row and column of each cell as high as its 3 × 3 window."""
    padded = np.pad(heat, size // 2, constant_values=outside)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
    there = (heat == highest(windows)) & enough(heat, least)
    at = np.argwhere(there)
    return at[order(heat[there])]


def _curves(rng):
    cases = []
    for found, truths in ((6, 3), (20, 12), (40, 50), (15, 40)):
        case = {"scores": rng.permutation(np.linspace(0, 1, found)), "truths": truths}
        case["hits"] = rng.random(found) < 0.7
        case["hits"][np.flatnonzero(case["hits"])[truths:]] = False
        cases.append(case)
    return cases


@exercise(
    points=3,
    title="Average precision",
    inputs=_curves,
    hints={
        "Go through the boxes by score, the highest first.": {"order": lambda s: np.argsort(s)},
        "Recall is the share of the true boxes: you divided by the number of hits.": {
            "total": lambda hits, truths: hits.sum()
        },
        "This is the older rule, with 11 recalls from 0.": {"recalls": lambda: np.arange(11) / 10},
        "At a recall, take the best precision there or at any higher recall.": {
            "best": lambda precision: precision[0]
        },
        "A recall that is never reached counts as 0: divide by 40 all the same.": {
            "mean": lambda values: sum(values) / max(1, np.count_nonzero(values))
        },
    },
)
def average_precision(
    scores, hits, truths, *, order=lambda s: np.argsort(-s), total=lambda hits, truths: truths,
    recalls=lambda: np.arange(1, 41) / 40, best=np.max, mean=np.mean,
):  # fmt: skip
    """Return the mean over recalls 1/40 … 1 of the best precision at that recall or more."""
    right = np.cumsum(hits[order(scores)])
    recall = right / max(1, total(hits, truths))
    precision = right / np.arange(1, len(right) + 1)
    reached = [precision[recall >= r - 1e-9] for r in recalls()]
    return float(mean([best(p) if len(p) else 0.0 for p in reached]))
