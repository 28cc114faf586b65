"""Right and wrong answers to the homework on attention, as students would write them.

``RIGHT``: for each function, different ways that must pass. ``WRONG``: for each function, a word
that the hint must hold, which names the cause, and the answer that must fail.
"""

import math

import numpy as np
import scipy.special


def softmax_by_logarithm(scores, mask):
    visible = np.where(mask, scores, -np.inf)
    return np.exp(visible - scipy.special.logsumexp(visible, axis=1, keepdims=True))


def softmax_row_by_row(scores, mask):
    weights = np.zeros(scores.shape)
    for row, (values, allowed) in enumerate(zip(scores, mask, strict=True)):
        places = [i for i in range(len(values)) if allowed[i]]
        top = max(values[i] for i in places)
        total = sum(math.exp(values[i] - top) for i in places)
        for i in places:
            weights[row, i] = math.exp(values[i] - top) / total
    return weights


@np.errstate(all="ignore")
def softmax_overflowing(scores, mask):
    odds = np.exp(scores) * mask
    return odds / odds.sum(axis=1, keepdims=True)


@np.errstate(all="ignore")
def softmax_of_wrong_top(scores, mask):
    odds = np.exp(scores - scores.max(axis=1, keepdims=True)) * mask
    return odds / odds.sum(axis=1, keepdims=True)


@np.errstate(all="ignore")
def softmax_over_batch(scores, mask):
    return np.nan_to_num(scipy.special.softmax(np.where(mask, scores, -np.inf), axis=0))


def glimpse_by_loop(grid, hidden, to_grid, to_hidden, to_score):
    scores = [
        sum(
            v * math.tanh(z)
            for v, z in zip(to_score, cell @ to_grid + hidden @ to_hidden, strict=True)
        )
        for cell in grid
    ]
    total = sum(math.exp(score) for score in scores)
    context = np.zeros(len(grid[0]))
    for cell, score in zip(grid, scores, strict=True):
        context = context + math.exp(score) / total * cell
    return context


def glimpse_by_einsum(grid, hidden, to_grid, to_hidden, to_score):
    bent = np.tanh(np.einsum("cf,fm->cm", grid, to_grid) + np.einsum("d,dm->m", hidden, to_hidden))
    return np.einsum("c,cf->f", scipy.special.softmax(np.einsum("cm,m->c", bent, to_score)), grid)


def glimpse_with(scores_of=None, weights_of=scipy.special.softmax, read=None):
    def answer(grid, hidden, to_grid, to_hidden, to_score):
        a, h = grid @ to_grid, hidden @ to_hidden
        scores = np.tanh(a + h) @ to_score if scores_of is None else scores_of(a, h, to_score)
        return weights_of(scores) @ (grid if read is None else read(a))

    return answer


def glimpse_weights(grid, hidden, to_grid, to_hidden, to_score):
    return scipy.special.softmax(np.tanh(grid @ to_grid + hidden @ to_hidden) @ to_score)


def pointing_in_a_loop(maps, masks):
    size = len(masks[0]) // len(maps[0])
    hits = []
    for weights, mask in zip(maps, masks, strict=True):
        if mask.sum() == 0:
            continue
        row, column = np.unravel_index(weights.argmax(), weights.shape)
        hits.append(int(mask[size * row + size // 2, size * column + size // 2]))
    return sum(hits) / len(hits)


def pointing_by_sampling(maps, masks):
    """Look only at the pixels in the middle of the cells."""
    size = masks.shape[2] // maps.shape[2]
    middles = masks[:, size // 2 :: size, size // 2 :: size].astype(bool)
    peaks = maps == maps.max(axis=(1, 2), keepdims=True)
    return np.sum(peaks & middles) / np.any(masks, axis=(1, 2)).sum()


def pointing_with(*, counts_empty=False, place=lambda r, c, s: (r * s + s // 2, c * s + s // 2)):
    def answer(maps, masks):
        size, hits = masks.shape[1] // maps.shape[1], []
        for weights, mask in zip(maps, masks, strict=True):
            if mask.any() or counts_empty:
                row, column = np.unravel_index(weights.argmax(), weights.shape)
                hits.append(mask[place(row, column, size)].max())
        return np.mean(hits)

    return answer


def whole_cell(row, column, size):
    return slice(row * size, (row + 1) * size), slice(column * size, (column + 1) * size)


def weight_inside(maps, masks):
    size = masks.shape[1] // maps.shape[1]
    spread = maps.repeat(size, axis=1).repeat(size, axis=2) / size**2
    return (spread * masks).sum(axis=(1, 2))[masks.any(axis=(1, 2))].mean()


def row_softmax(scores):
    return scipy.special.softmax(scores, axis=1)


def coverage_by_matrix(scores):
    """The derivative of a softmax as a matrix, one time after the other."""
    weights = row_softmax(scores)
    slope = 2 * (weights.sum(axis=0) - 1)
    return np.array([(np.diag(row) - np.outer(row, row)) @ slope for row in weights])


def coverage_by_differences(scores):
    def penalty(at):
        return np.sum((1 - row_softmax(at).sum(axis=0)) ** 2)

    slopes = np.zeros_like(scores)
    for place in np.ndindex(*scores.shape):
        bit = np.zeros_like(scores)
        bit[place] = 1e-5
        slopes[place] = (penalty(scores + bit) - penalty(scores - bit)) / 2e-5
    return slopes


def coverage_with(back):
    def answer(scores):
        weights = row_softmax(scores)
        return back(weights, 2 * (weights.sum(axis=0) - 1))

    return answer


def coverage_over_cells(scores):
    weights = row_softmax(scores)
    slope = 2 * (weights.sum(axis=1, keepdims=True) - 1) * np.ones_like(weights)
    return weights * (slope - (weights * slope).sum(axis=1, keepdims=True))


def coverage_softmax_over_time(scores):
    weights = scipy.special.softmax(scores, axis=0)
    slope = -2 * (1 - weights.sum(axis=0)) * np.ones_like(weights)
    return weights * slope - weights * (weights * slope).sum(axis=1, keepdims=True)


def reinforce_in_a_loop(scores, rewards, baseline):
    chance = scipy.special.softmax(scores)
    mean, square = np.zeros(len(scores)), np.zeros(len(scores))
    for i, p in enumerate(chance):
        estimate = -(rewards[i] - baseline) * chance
        estimate[i] += rewards[i] - baseline
        mean += p * estimate
        square += p * estimate**2
    return mean, square - mean**2


def reinforce_by_formula(scores, rewards, baseline):
    """The mean is the gradient of the expected reward."""
    p = scipy.special.softmax(scores)
    gain = rewards - baseline
    mean = p * (rewards - p @ rewards)
    square = p * gain**2 * (1 - 2 * p) + p**2 * (p @ gain**2)
    return np.array([mean, square - mean**2])


def reinforce_with(estimate=None, chance=scipy.special.softmax, spread=None):
    def answer(scores, rewards, baseline):
        p = scipy.special.softmax(scores)
        table = np.eye(len(p)) - p
        values = (estimate or (lambda r, b, t, p: (r - b)[:, None] * t))(
            rewards, baseline, table, p
        )
        weights = chance(scores)
        mean = weights @ values
        return mean, (spread or (lambda w, v, m: w @ v**2 - m**2))(weights, values, mean)

    return answer


def reinforce_minus_baseline(scores, rewards, baseline):
    mean, variance = reinforce_in_a_loop(scores, rewards, baseline)
    return mean - baseline, variance


def credit(says_yes, answers):
    return np.where(answers[:, None] == 1, says_yes, 1 - says_yes)


def compared(questions, table, grids):
    return ((questions @ table)[:, None] * grids).sum(axis=2)


def look_by_gradient(questions, grids, says_yes, answers, new_questions, new_grids):
    said, table = credit(says_yes, answers), np.zeros((questions.shape[1], grids.shape[2]))
    for _ in range(60):
        before = scipy.special.softmax(compared(questions, table, grids), axis=1)
        after = before * said / (before * said).sum(axis=1, keepdims=True)
        pull = ((after - before)[:, :, None] * grids).sum(axis=1)
        table = table + 20 * questions.T @ pull / len(questions)
    return compared(new_questions, table, new_grids).argmax(axis=1)


def look_by_guessing_again(questions, grids, says_yes, answers, new_questions, new_grids):
    """Guess the cells, fit the table by least squares, and guess again with its help."""
    said = np.log(credit(says_yes, answers))
    table = np.zeros((questions.shape[1], grids.shape[2]))
    for _ in range(25):
        shares = scipy.special.softmax(said + 8 * compared(questions, table, grids), axis=1)
        target = (shares[:, :, None] * grids).sum(axis=1)
        table = np.linalg.lstsq(questions, target, rcond=None)[0]
        table = table * np.sqrt(len(table)) / np.linalg.norm(table)
    return compared(new_questions, table, new_grids).argmax(axis=1)


def look_unlearned(questions, grids, says_yes, answers, new_questions, new_grids):
    """The nearest cell by straight distance."""
    return np.linalg.norm(new_grids - new_questions[:, None], axis=2).argmin(axis=1)


def look_from_the_loudest(questions, grids, says_yes, answers, new_questions, new_grids):
    loudest = np.argmax(credit(says_yes, answers), axis=1)
    target = np.stack([grid[cell] for grid, cell in zip(grids, loudest, strict=True)])
    table = np.linalg.pinv(questions) @ target
    return compared(new_questions, table, new_grids).argmax(axis=1)


def look_once(questions, grids, says_yes, answers, new_questions, new_grids):
    """One step of the gradient from a table of zeros."""
    said = credit(says_yes, answers)
    share = said - said.mean(axis=1, keepdims=True)
    table = sum(np.outer(q, s @ g) for q, s, g in zip(questions, share, grids, strict=True))
    return compared(new_questions, table, new_grids).argmax(axis=1)


def look_without_answers(questions, grids, says_yes, answers, new_questions, new_grids):
    table = questions.T @ grids.sum(axis=1)
    return compared(new_questions, table, new_grids).argmax(axis=1)


def look_at_random(questions, grids, says_yes, answers, new_questions, new_grids):
    return np.random.default_rng(0).integers(new_grids.shape[1], size=len(new_grids))


RIGHT = {
    "masked_softmax": [softmax_by_logarithm, softmax_row_by_row],
    "attend": [glimpse_by_loop, glimpse_by_einsum],
    "pointing_accuracy": [pointing_in_a_loop, pointing_by_sampling],
    "coverage_gradient": [coverage_by_matrix, coverage_by_differences],
    "reinforce": [reinforce_in_a_loop, reinforce_by_formula],
    "learn_to_look": [look_by_gradient, look_by_guessing_again],
}
WRONG = {
    "masked_softmax": [
        ("np.exp overflows", softmax_overflowing),
        ("Mask first", softmax_of_wrong_top),
        ("after the softmax", lambda s, m: scipy.special.softmax(s, axis=1) * m),
        ("minus infinity", lambda s, m: scipy.special.softmax(s * m, axis=1)),
        ("not used", lambda s, m: scipy.special.softmax(s, axis=1)),
        ("turned around", lambda s, m: softmax_by_logarithm(s, 1 - m)),
        ("over the batch", softmax_over_batch),
        ("scores themselves", lambda s, m: s * m / np.sum(s * m, axis=1)[:, None]),
        ("shape", lambda s, m: softmax_by_logarithm(s, m)[0]),
    ],
    "attend": [
        ("tanh is missing", glimpse_with(lambda a, h, v: (a + h) @ v)),
        ("has no say", glimpse_with(lambda a, h, v: np.tanh(a) @ v + np.tanh(h) @ v)),
        ("used as weights", glimpse_with(weights_of=lambda s: s)),
        ("sigmoid of its own", glimpse_with(weights_of=scipy.special.expit)),
        ("best cell", glimpse_with(weights_of=lambda s: (s == s.max()) * 1.0)),
        ("weigh the same", lambda grid, *rest: grid.mean(axis=0)),
        ("projected cells", glimpse_with(read=lambda a: a)),
        ("are the weights", glimpse_weights),
    ],
    "pointing_accuracy": [
        ("nothing to point at", pointing_with(counts_empty=True)),
        ("corner of the cell", pointing_with(place=lambda r, c, s: (r * s, c * s))),
        ("touches it", pointing_with(place=whole_cell)),
        ("share of the weight", weight_inside),
        (
            "are swapped",
            pointing_with(place=lambda r, c, s: (c * s + s // 2, r * s + s // 2)),
        ),
        ("smallest", lambda maps, masks: pointing_in_a_loop(-maps, masks)),
        (
            "number of hits",
            lambda maps, masks: pointing_in_a_loop(maps, masks) * masks.any(axis=(1, 2)).sum(),
        ),
        ("up to a constant", lambda *x: 100 * pointing_in_a_loop(*x)),
    ],
    "coverage_gradient": [
        (
            "with respect to the weights",
            coverage_with(lambda w, slope: np.tile(slope, (len(w), 1))),
        ),
        ("own weight only", coverage_with(lambda w, slope: (w - w**2) * slope)),
        ("sum is forgotten", coverage_with(lambda w, slope: w * slope)),
        ("sign", lambda s: -coverage_by_matrix(s)),
        ("factor 2", lambda s: coverage_by_matrix(s) / 2),
        ("over the cells", coverage_over_cells),
        ("not a mean", lambda s: coverage_by_matrix(s) / s.shape[1]),
        ("over time:", coverage_softmax_over_time),
        ("swapped", lambda s: coverage_by_matrix(s).T),
    ],
    "reinforce": [
        ("not used", lambda s, r, b: reinforce_in_a_loop(s, r, 0)),
        ("was added", lambda s, r, b: reinforce_in_a_loop(s, r, -b)),
        ("count the same", reinforce_with(chance=lambda s: np.ones(len(s)) / len(s))),
        ("minus p, is missing", reinforce_with(lambda r, b, t, p: np.diag(r - b))),
        (
            "not ln p",
            reinforce_with(lambda r, b, t, p: ((r - b) * p)[:, None] * t),
        ),
        ("sign", reinforce_with(lambda r, b, t, p: (b - r)[:, None] * t)),
        ("mean of the squares", reinforce_with(spread=lambda w, v, m: w @ v**2)),
        ("standard deviation", reinforce_with(spread=lambda w, v, m: (w @ v**2 - m**2) ** 0.5)),
        ("equally likely", reinforce_with(spread=lambda w, v, m: np.var(v, axis=0))),
        ("belongs to the reward", reinforce_minus_baseline),
        ("shape", lambda *x: reinforce_in_a_loop(*x)[0]),
    ],
    "learn_to_look": [
        ("different languages", look_unlearned),
        ("most loudly", look_from_the_loudest),
        ("good first round", look_once),
        ("same credit. Two", look_without_answers),
        ("must depend", lambda q, g, y, a, new_q, new_g: [3] * len(new_q)),
        ("smaller steps", look_at_random),
        ("shape", lambda q, g, y, a, new_q, new_g: new_g[:, :, 0]),
        ("whole numbers", lambda *x: look_by_gradient(*x).astype(float)),
    ],
}
