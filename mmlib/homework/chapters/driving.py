"""Homework on driving: lidar points in the picture, lift, splat, shoot."""

import numpy as np

from mmlib.homework.exercise import exercise


def _scans(rng):
    """Points ahead of and behind a camera that looks along x, a little turned."""
    cases = []
    for count in (4, 7, 12):
        angle = rng.uniform(-0.3, 0.3)
        cosine, sine = np.cos(angle), np.sin(angle)
        yaw = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
        axes = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
        points = rng.uniform([-20, -8, 0], [30, 8, 3], size=(count, 3))
        points[0], points[1] = [15, 2, 1], [-10, 1, 2]
        focal, middle = rng.uniform(40, 80), rng.uniform(15, 50, size=2)
        intrinsics = np.array([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1]])
        pose = {"rotation": axes @ yaw, "translation": rng.uniform(-1, 1, size=3)}
        cases.append({"points": points, "intrinsics": intrinsics, **pose})
    return cases


@exercise(
    points=2,
    title="Lidar points in the picture",
    inputs=_scans,
    hints={
        "The translation is missing: x_camera = R x + t.": {"move": lambda R, x, t: x @ R.T},
        "The rotation goes the other way: x_camera = R x + t, for rows x @ R.T + t.": {
            "move": lambda R, x, t: x @ R + t
        },
        "t is added after the rotation, not before it.": {"move": lambda R, x, t: (x + t) @ R.T},
        "Divide u and v by the depth.": {"divide": lambda uv, z: uv},
        "A point behind the camera is in no picture: its pixel is NaN.": {
            "visible": lambda z: np.full(len(z), True)
        },
    },
)
def project_lidar(
    points, intrinsics, rotation, translation, *,
    move=lambda R, x, t: x @ R.T + t, divide=lambda uv, z: uv / z[:, None],
    visible=lambda z: z > 0,
):  # fmt: skip
    """Return the pixels (points, 2) of points (points, 3), NaN where one lies behind."""
    seen = move(rotation, points, translation) @ intrinsics.T
    z = seen[:, 2]
    return np.where(visible(z)[:, None], divide(seen[:, :2], z), np.nan)


def _pixels(rng):
    """Logits and features of a few pixels, among them logits that exp cannot bear."""
    cases = [
        {"logits": rng.normal(size=(depths, n)), "context": rng.normal(size=(channels, n))}
        for depths, channels, n in ((3, 2, 4), (5, 3, 2), (4, 4, 4))  # n pixels
    ]
    cases.append({"logits": cases[0]["logits"] + 800, "context": cases[0]["context"]})
    return cases


def _softmax(logits, axis=0):
    shifted = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return shifted / shifted.sum(axis=axis, keepdims=True)


@exercise(
    points=2,
    title="Lift",
    inputs=_pixels,
    hints={
        "The depths of one pixel sum to one: softmax along the first axis.": {
            "share": lambda logits: _softmax(logits, axis=1)
        },
        "Logits are no shares: take the softmax.": {"share": lambda logits: logits},
        "Subtract the largest logit first: exp(800) is infinite.": {
            "share": lambda logits: np.exp(logits) / np.exp(logits).sum(axis=0)
        },
        "The answer's axes are (channels, depths, pixels).": {"order": (1, 0, 2)},
    },
)
def lift(logits, context, *, share=_softmax, order=(0, 1, 2)):
    """Return α_d c, (channels, depths, pixels), of logits (depths, pixels)."""
    return (context[:, None] * share(logits)[None]).transpose(order)


def _clouds(rng):
    """Features of points, several in one cell, some outside the map (cell -1)."""
    cases = []
    for count, channels, cells in ((8, 2, 4), (12, 3, 6), (5, 1, 7)):
        place = rng.integers(-1, cells, size=count)
        place[:3] = [1, 1, -1]
        features = rng.normal(size=(channels, count))
        cases.append({"features": features, "cells": place, "count": cells})
    return cases


def _assigned(total, cells, values):
    total[:, cells] = values


def _added(total, cells, values):
    np.add.at(total, (slice(None), cells), values)


@exercise(
    points=2,
    title="Splat",
    inputs=_clouds,
    hints={
        "Points of one cell are added up; assignment keeps the last one only.": {"put": _assigned},
        "Cell -1 is outside the map, not the last cell: leave it out.": {"least": -1},
        "Cell 0 is a cell, too.": {"least": 1},
        "Sum pooling, not the mean.": {"mean": True},
    },
)
def splat(features, cells, count, *, put=_added, least=0, mean=False):
    """Return the sum of the features in every cell, (channels, count)."""
    inside = cells >= least
    total = np.zeros((len(features), count))
    put(total, cells[inside], features[:, inside])
    return total / np.maximum(np.bincount(cells[inside], minlength=count), 1) if mean else total


def _roads(rng):
    """Maps of cost, and paths as rows and columns of cells."""
    cases = []
    for rows, columns, paths, length in ((6, 5, 3, 4), (8, 7, 5, 6)):
        path = rng.integers(0, [rows, columns], size=(paths, length, 2))
        cases.append({"cost": rng.normal(size=(rows, columns)), "paths": path})
    return cases


@exercise(
    points=2,
    title="Shoot",
    inputs=_roads,
    hints={
        "A dear path is an unlikely one: exp of minus the cost.": {"sign": 1},
        "Add up the cost along a path: this is the mean.": {"total": np.mean},
        "A path's points are (row, column), in this order.": {"order": (1, 0)},
        "The probabilities of all paths sum to one.": {"share": np.exp},
    },
)
def shoot(cost, paths, *, sign=-1, total=np.sum, order=(0, 1), share=_softmax):
    """Return the probability of each path (paths, points, 2) of cells under a map of cost."""
    row, column = (np.minimum(paths[..., o], cost.shape[k] - 1) for k, o in enumerate(order))
    return share(sign * total(cost[row, column], axis=1))
