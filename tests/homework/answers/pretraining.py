"""Right and wrong answers to the homework on pretraining, as students would write them.

``RIGHT``: for each function, different ways that must pass. ``WRONG``: for each function, a word
that the hint must hold, which names the cause, and the answer that must fail.
"""

import math

import numpy as np
import scipy.special
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis


def field_from_the_top(kernels, strides):
    """How many pixels below one cell: each layer turns n cells into (n - 1) * stride + kernel."""
    cells = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        cells = (cells - 1) * stride + kernel
    return cells


def field_by_looking(kernels, strides):
    """Collect the pixels themselves."""
    seen = {0}
    for kernel, stride in list(zip(kernels, strides, strict=True))[::-1]:
        seen = {cell * stride + offset for cell in seen for offset in range(kernel)}
    return max(seen) - min(seen) + 1


def field_with(rule):
    """Return the sum over the layers, where ``rule`` gives (width, distance) of each."""

    def answer(kernels, strides):
        total, apart = 1, 1
        for kernel, stride in zip(kernels, strides, strict=True):
            width, apart, step = rule(kernel, stride, apart)
            total += width * step
        return total

    return answer


def split_in_a_loop(labels, scenes, shots):
    count, used, marks = {}, set(), []
    for label, scene in zip(labels.tolist(), scenes.tolist(), strict=True):
        count[label] = count.get(label, 0) + 1
        marks.append(int(count[label] <= shots))
        if marks[-1]:
            used.add(scene)
    return [-1 if not m and s in used else m for m, s in zip(marks, scenes.tolist(), strict=True)]


def split_by_class(labels, scenes, shots):
    marks = np.zeros(len(labels), int)
    for label in set(labels.tolist()):
        marks[np.where(labels == label)[0][:shots]] = 1
    for i in range(len(labels)):
        if marks[i] == 0 and ((scenes == scenes[i]) & (marks == 1)).any():
            marks[i] = -1
    return marks


def split_leaking(labels, scenes, shots):
    return [max(0, mark) for mark in split_in_a_loop(labels, scenes, shots)]


def split_whole_scenes(labels, scenes, shots):
    return np.abs(split_by_class(labels, scenes, shots))


def split_leaking_by_class(labels, scenes, shots):
    marks = np.array(split_leaking(labels, scenes, shots))
    for i in range(len(labels)):
        twins = (scenes == scenes[i]) & (labels == labels[i])
        if marks[i] == 0 and (marks[twins] == 1).any():
            marks[i] = -1
    return marks


def split_first_of_all(labels, scenes, shots):
    return [1 if i < shots else -(s in scenes[:shots]) for i, s in enumerate(scenes)]


def split_from_the_end(labels, scenes, shots):
    return split_by_class(labels[::-1], scenes[::-1], shots)[::-1]


def split_one_a_scene(labels, scenes, shots):
    count, used, seen, marks = {}, set(), set(), np.zeros(len(labels), int)
    for i, (label, scene) in enumerate(zip(labels, scenes, strict=True)):
        if scene not in seen and count.get(label, 0) < shots:
            count[label], marks[i] = count.get(label, 0) + 1, 1
            used.add(scene)
        seen.add(scene)
    return np.where((marks == 0) & np.isin(scenes, list(used)), -1, marks)


def step_in_a_loop(weights, features, labels, rate):
    gradient = np.zeros_like(weights)
    for row, label in zip(features, labels, strict=True):
        for c, p in enumerate(scipy.special.softmax(row @ weights)):
            gradient[:, c] += (p - (c == label)) * row
    return weights - rate * gradient / len(labels)


def step_by_differences(weights, features, labels, rate):
    """Step a little each way and see how the loss changes."""

    def loss(at):
        rows = scipy.special.log_softmax(features @ at, axis=1)
        return -rows[range(len(labels)), labels].mean()

    after = weights.copy()
    for place in np.ndindex(*weights.shape):
        bit = np.zeros_like(weights)
        bit[place] = 1e-5
        after[place] -= rate * (loss(weights + bit) - loss(weights - bit)) / 2e-5
    return after


def step_with(errors):
    """Return the step with other errors of the logits."""

    def answer(weights, features, labels, rate):
        error = errors(features @ weights, np.eye(weights.shape[1])[labels])
        return weights - rate / len(labels) * features.T @ error

    return answer


def step_summed(weights, features, labels, rate):
    return step_in_a_loop(weights, features, labels, rate * len(features))


def step_each(weights, features, labels, rate):
    for i in range(len(labels)):
        weights = step_in_a_loop(weights, features[i : i + 1], labels[i : i + 1], rate)
    return weights


def noisy_or_in_a_loop(logits, present):
    losses = []
    for row, is_there in zip(logits, present, strict=True):
        silent = sum(
            z + math.log1p(math.exp(-z)) if z > 0 else math.log1p(math.exp(z)) for z in row
        )
        losses.append(-math.log(-math.expm1(-silent)) if is_there else silent)
    return losses


def noisy_or_by_scipy(logits, present):
    all_say_no = scipy.special.log_expit(-logits).sum(axis=1)
    return -np.where(present, np.log(-scipy.special.expm1(all_say_no)), all_say_no)


@np.errstate(all="ignore")
def noisy_or_naive(logits, present):
    p = 1 - np.prod(1 - 1 / (1 + np.exp(-logits)), axis=1)
    return np.array([-np.log(p[i]) if present[i] else -np.log(1 - p[i]) for i in range(len(p))])


@np.errstate(all="ignore")
def noisy_or_half(logits, present):
    """Stable for no, not for yes."""
    silent = np.logaddexp(0, logits).sum(axis=1)
    return -np.where(present, np.log(1 - np.exp(-silent)), -silent)


@np.errstate(all="ignore")
def noisy_or_overflowing(logits, present):
    silent = np.log1p(np.exp(logits)).sum(axis=1)
    return np.where(present, -np.log(-np.expm1(-silent)), silent)


@np.errstate(all="ignore")
def noisy_or_clipped(logits, present):
    p = 1 - np.prod(scipy.special.expit(-logits), axis=1)
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return -np.log(np.where(present, p, 1 - p))


def pooled(pool):
    """Return the loss with another pooling of the probabilities."""

    @np.errstate(all="ignore")
    def answer(logits, present):
        p = pool(scipy.special.expit(logits))
        return -np.log(np.where(present, p, 1 - p))

    return answer


def sum_of_logits(logits, present):
    total = logits.sum(axis=1)
    return -scipy.special.log_expit(np.where(present, total, -total))


def every_cell(logits, present):
    signs = (2 * present - 1)[:, None]
    return -scipy.special.log_expit(signs * logits).sum(axis=1)


def adam_on_paper(start, gradients, rate):
    """Write the averages as the sums that they are."""
    at = start.copy()
    for t in range(1, len(gradients) + 1):
        ages = np.arange(t)[::-1, None]
        m = (0.1 * 0.9**ages * gradients[:t]).sum(0) / (1 - 0.9**t)
        v = (0.001 * 0.999**ages * gradients[:t] ** 2).sum(0) / (1 - 0.999**t)
        at -= rate * m / (v**0.5 + 1e-8)
    return at


def adam_in_a_loop(start, gradients, rate):
    after = []
    for i, value in enumerate(start.tolist()):
        m = v = 0.0
        for t, g in enumerate(gradients[:, i].tolist()):
            m, v = m + (g - m) * 0.1, v + (g * g - v) * 0.001
            value -= (
                rate * (m / (1 - 0.9 ** (t + 1))) / (math.sqrt(v / (1 - 0.999 ** (t + 1))) + 1e-8)
            )
        after.append(value)
    return after


def adam_with(update):
    """Return Adam where ``update(m, v, g, t)`` gives the next m and v and the step."""

    @np.errstate(all="ignore")
    def answer(start, gradients, rate):
        at, m, v = start, 0, 0
        for t in range(1, len(gradients) + 1):
            m, v, step = update(m, v, gradients[t - 1], t)
            at = at - rate * step
        return at

    return answer


def moving(m, v, g):
    return 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g


def uncorrected(m, v, g, t):
    m, v = moving(m, v, g)
    return m, v, m / (np.sqrt(v) + 1e-8)


def half_corrected(m, v, g, t):
    m, v = moving(m, v, g)
    return m, v, m / (1 - 0.9**t) / (np.sqrt(v) + 1e-8)


def other_half_corrected(m, v, g, t):
    m, v = moving(m, v, g)
    return m, v, m / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


def overwritten(m, v, g, t):
    m, v = moving(m, v, g)
    m, v = m / (1 - 0.9**t), v / (1 - 0.999**t)
    return m, v, m / (np.sqrt(v) + 1e-8)


def from_zero(m, v, g, t):
    m, v = moving(m, v, g)
    return m, v, m / (1 - 0.9 ** (t - 1)) / (np.sqrt(v / (1 - 0.999 ** (t - 1))) + 1e-8)


def one_late(m, v, g, t):
    m, v = moving(m, v, g)
    return m, v, m / (1 - 0.9 ** (t + 1)) / (np.sqrt(v / (1 - 0.999 ** (t + 1))) + 1e-8)


def swapped_factors(m, v, g, t):
    m, v = 0.999 * m + 0.001 * g, 0.9 * v + 0.1 * g**2
    return m, v, m / (1 - 0.999**t) / (np.sqrt(v / (1 - 0.9**t)) + 1e-8)


def corrected(divide):
    def update(m, v, g, t):
        m, v = moving(m, v, g)
        return m, v, divide(m / (1 - 0.9**t), v / (1 - 0.999**t))

    return update


def summed(m, v, g, t):
    m, v = 0.9 * m + g, 0.999 * v + g * g
    return m, v, m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


def scaled(features, queries):
    both = np.vstack([features, queries])
    return [(x - both.mean(axis=0)) / both.std(axis=0) for x in (features, queries)]


def class_by_centre(features, labels, queries):
    features, queries = scaled(features, queries)
    names = list(dict.fromkeys(labels.tolist()))
    means = [features[labels == name].mean(axis=0) for name in names]
    far = [np.linalg.norm(queries - mean, axis=1) for mean in means]
    return [names[i] for i in np.argmin(far, axis=0)]


def class_by_neighbours(features, labels, queries):
    """The sum of the three largest cosines decides."""
    features, queries = scaled(features, queries)
    features, queries = (x / np.linalg.norm(x, axis=1)[:, None] for x in (features, queries))
    names = sorted(set(labels.tolist()))
    votes = [np.exp(8 * queries @ features[labels == name].T).sum(1) for name in names]
    return np.array(names)[np.argmax(votes, axis=0)]


def class_by_discriminant(features, labels, queries):
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    features, queries = scaled(features, queries)
    return model.fit(features, labels).predict(queries)


def by_distance(features, labels, queries):
    gaps = np.linalg.norm(queries[:, None] - features[None], axis=2)
    return labels[np.argmin(gaps, axis=1)]


def by_mean(features, labels, queries):
    names = np.unique(labels)
    means = np.array([features[labels == name].mean(0) for name in names])
    return names[np.linalg.norm(queries[:, None] - means, axis=2).argmin(1)]


def by_angle(features, labels, queries):
    names = np.unique(labels)
    means = np.array([features[labels == name].mean(0) for name in names])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return names[(queries @ means.T).argmax(axis=1)]


def place_of_class(features, labels, queries):
    names = np.unique(labels).tolist()
    return [names.index(name) for name in class_by_centre(features, labels, queries)]


def place_of_example(features, labels, queries):
    features, queries = scaled(features, queries)
    return ((queries[:, None] - features) ** 2).sum(2).argmin(1)


def farthest(features, labels, queries):
    features, queries = scaled(features, queries)
    names = np.unique(labels)
    means = np.array([features[labels == name].mean(0) for name in names])
    return names[np.linalg.norm(queries[:, None] - means, axis=2).argmax(1)]


def guessed(features, labels, queries):
    return np.random.default_rng(0).choice(labels, len(queries))


RIGHT = {
    "receptive_field": [field_from_the_top, field_by_looking],
    "few_shot_split": [split_in_a_loop, split_by_class],
    "sgd_step": [step_in_a_loop, step_by_differences],
    "noisy_or_loss": [noisy_or_in_a_loop, noisy_or_by_scipy],
    "adam": [adam_on_paper, adam_in_a_loop],
    "few_shot_classes": [class_by_centre, class_by_neighbours, class_by_discriminant],
}
WRONG = {
    "receptive_field": [
        ("strides are ignored", lambda k, s: 1 + sum(x - 1 for x in k)),
        ("too early", field_with(lambda k, s, apart: (k - 1, apart * s, apart * s))),
        ("adds too much", field_with(lambda k, s, apart: (k, apart * s, apart))),
        ("One pixel", lambda k, s: field_from_the_top(k, s) - 1),
        ("last to the first", lambda k, s: field_by_looking(k[::-1], s[::-1])),
        ("multiplied", lambda k, s: math.prod(k)),
        ("how far apart", lambda k, s: math.prod(s)),
        ("area", lambda k, s: field_from_the_top(k, s) ** 2),
        ("whole number", lambda k, s: float(field_from_the_top(k, s))),
    ],
    "few_shot_split": [
        ("test leaks", split_leaking),
        ("Whole scenes", split_whole_scenes),
        ("other classes", split_leaking_by_class),
        ("too many of each", lambda y, s, n: split_by_class(y, s, n + 1)),
        ("count each class", split_first_of_all),
        ("last pictures", split_from_the_end),
        ("may give several", split_one_a_scene),
        ("turned around", lambda y, s, n: -split_by_class(y, s, n)),
        ("are the places", lambda y, s, n: np.where(split_by_class(y, s, n) == 1)[0]),
    ],
    "sgd_step": [
        ("uphill", lambda w, x, y, r: step_in_a_loop(w, x, y, -r)),
        ("This is the gradient", lambda w, x, y, r: (w - step_in_a_loop(w, x, y, r)) / r),
        ("batch was summed", step_summed),
        ("number of classes", lambda w, x, y, r: step_in_a_loop(w, x, y, r / w.shape[1])),
        ("sigmoid of its own", step_with(lambda z, one: scipy.special.expit(z) - one)),
        ("over the examples", step_with(lambda z, one: scipy.special.softmax(z, axis=0) - one)),
        ("labels are not used", step_with(lambda z, one: scipy.special.softmax(z, axis=1))),
        ("squared error", step_with(lambda z, one: z - one)),
        ("after each example", step_each),
    ],
    "noisy_or_loss": [
        ("rounded to 0. With", noisy_or_half),
        ("or exp(z) overflows", noisy_or_overflowing),
        ("both of yes and of no", noisy_or_naive),
        ("caps the loss", noisy_or_clipped),
        ("largest probability", pooled(lambda p: p.max(axis=1))),
        ("averaged", pooled(lambda p: p.mean(axis=1))),
        ("in every cell", pooled(lambda p: p.prod(axis=1))),
        ("silence the one", sum_of_logits),
        ("told the label", every_cell),
        ("labels are swapped", lambda z, there: noisy_or_by_scipy(z, 1 - there)),
        ("cost nothing", lambda z, there: noisy_or_by_scipy(z, there) * there),
        ("the probability p", lambda z, there: np.exp(-noisy_or_by_scipy(z, np.ones(len(z))))),
        ("sign", lambda z, there: -noisy_or_by_scipy(z, there)),
        ("mean over the words", lambda z, there: noisy_or_by_scipy(z, there).mean()),
    ],
    "adam": [
        ("were not corrected", adam_with(uncorrected)),
        ("Only m", adam_with(half_corrected)),
        ("Only v", adam_with(other_half_corrected)),
        ("carried on", adam_with(overwritten)),
        ("NaN", adam_with(from_zero)),
        ("one step too many", adam_with(one_late)),
        ("factors are swapped", adam_with(swapped_factors)),
        ("root is missing", adam_with(corrected(lambda m, v: m / (v + 1e-8)))),
        ("not under the root", adam_with(corrected(lambda m, v: m / np.sqrt(v + 1e-8)))),
        ("almost nothing", adam_with(corrected(lambda m, v: m / np.sqrt(v)))),
        ("like sums", adam_with(summed)),
        ("uphill", lambda x, g, r: adam_on_paper(x, -g, r)),
        ("plain gradient", lambda x, g, r: x - r * sum(g)),
    ],
    "few_shot_classes": [
        ("example is the nearest", by_distance),
        ("centre is the nearest", by_mean),
        ("angle to a centre", by_angle),
        ("sorted list", place_of_class),
        ("return their labels", place_of_example),
        ("farthest", farthest),
        ("must depend", lambda x, y, q: [int(y[0])] * len(q)),
        ("same size, and", guessed),
        ("shape", lambda x, y, q: class_by_centre(x, y, x)),
        ("whole numbers", lambda x, y, q: np.array(class_by_centre(x, y, q), float)),
        ("not made of numbers", lambda x, y, q: ["bird"] * len(q)),
    ],
}
