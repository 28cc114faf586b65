"""The same by other roads: bit by bit, disparity by disparity, in two passes, by rays."""

import numpy as np


def census_cost(left, right):
    middle = left.shape[0] // 2
    differ = 0
    for place in np.ndindex(left.shape):
        if place != (middle, middle):
            differ += (left[place] < left[middle, middle]) != (right[place] < right[middle, middle])
    return differ


def line_costs(costs, p1, p2):
    count, length = costs.shape
    found = costs.copy()
    for x in range(1, length):
        for d in range(count):
            ways = [
                found[e, x - 1] + (0 if e == d else p1 if abs(e - d) == 1 else p2)
                for e in range(count)
            ]
            ways.append(min(found[:, x - 1]) + p2)
            found[d, x] = costs[d, x] + min(ways) - min(found[:, x - 1])
    return found


def fill_row(disparity, known):
    passes = []
    for order in (range(len(disparity)), range(len(disparity) - 1, -1, -1)):
        last, row = np.inf, np.empty(len(disparity))
        for x in order:
            last = disparity[x] if known[x] else last
            row[x] = last
        passes.append(row)
    return np.minimum(*passes)


def confusion(depth, focus, focal, diameter):
    """Send one ray through each rim of the lens to the plane in focus, and project it."""
    rims = np.array([-0.5, 0.5]) * diameter
    at_focus = rims[:, None] * (1 - focus / depth[None])  # where the line rim–point crosses it
    return np.ptp(focal * at_focus / focus, axis=0)
