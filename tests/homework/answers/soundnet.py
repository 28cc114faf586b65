"""Right and wrong answers to the homework on SoundNet, as students write them.

``RIGHT``: for each function, different ways that must pass. ``WRONG``: for each function, a word
that the hint must hold, which names the cause, and the answer that must fail.
"""

import numpy as np
import scipy.special
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier


def lengths_by_rule(time, kernels, strides):
    found = []
    for kernel, stride in zip(kernels, strides, strict=True):
        time = int(np.floor((time + 2 * (kernel // 2) - kernel) / stride)) + 1
        found.append(time)
    return found


def lengths_by_counting(time, kernels, strides):
    found = []
    for kernel, stride in zip(kernels, strides, strict=True):
        last = time + 2 * (kernel // 2) - kernel
        time = len(range(0, last + 1, stride))
        found.append(time)
    return np.array(found)


def lengths_with(step):
    def answer(time, kernels, strides):
        found = []
        for kernel, stride in zip(kernels, strides, strict=True):
            time = step(time, kernel, stride)
            found.append(time)
        return found

    return answer


def each_from_the_wave(time, kernels, strides):
    return [lengths_by_rule(time, [k], [s])[0] for k, s in zip(kernels, strides, strict=True)]


def divergence_by_loops(teacher, logits):
    total = 0.0
    for p, z in zip(teacher, logits, strict=True):
        log_q = z - scipy.special.logsumexp(z)
        total += sum(a * (np.log(a) - b) for a, b in zip(p, log_q, strict=True) if a > 0)
    return total / len(teacher)


def divergence_by_scipy(teacher, logits):
    return scipy.special.rel_entr(teacher, scipy.special.softmax(logits, axis=1)).sum(axis=1).mean()


def divergence_with(terms, axis=1):
    def answer(teacher, logits):
        student = scipy.special.softmax(logits, axis=axis)
        with np.errstate(all="ignore"):
            return np.nansum(terms(teacher, student), axis=1).mean()

    return answer


def divergence_of_logits(teacher, logits):
    return np.mean(np.sum(scipy.special.xlogy(teacher, teacher) - teacher * logits, axis=1))


def divergence_that_breaks(teacher, logits):
    student = scipy.special.softmax(logits, axis=1)
    with np.errstate(all="ignore"):
        return np.mean(np.sum(teacher * np.log(teacher / student), axis=1))


def exchanged(teacher, logits):
    student = scipy.special.softmax(logits, axis=1)
    with np.errstate(all="ignore"):
        return np.mean(np.sum(student * np.log(student / teacher), axis=1))


def hear_by_loops(wave, filters, biases, stride):
    kernel = filters.shape[1]
    padded = np.concatenate([np.zeros(kernel // 2), wave, np.zeros(kernel // 2)])
    steps = (len(padded) - kernel) // stride + 1
    heard = np.zeros((len(filters), steps))
    for c in range(len(filters)):
        for t in range(steps):
            piece = padded[t * stride : t * stride + kernel]
            heard[c, t] = max(0, filters[c] @ piece + biases[c])
    return heard


def hear_by_correlating(wave, filters, biases, stride):
    padded = np.pad(wave, filters.shape[1] // 2)
    rows = [np.correlate(padded, f, "valid")[::stride] for f in filters]
    return np.clip(np.stack(rows) + biases[:, None], 0, None)


def hear_with(*, pad=None, bias=True, end=lambda x: np.maximum(x, 0), correlate=np.correlate):
    def answer(wave, filters, biases, stride):
        half = filters.shape[1] // 2
        padded = np.pad(wave, (half, half) if pad is None else pad(half))
        rows = [correlate(padded, f, "valid")[::stride] for f in filters]
        return end(np.stack(rows) + bias * biases[:, None])

    return answer


def gradient_by_autograd(features, weights, teacher):
    table = torch.tensor(weights, requires_grad=True)
    logits = torch.tensor(features) @ table  # (batch, steps, classes)
    p = torch.tensor(teacher)[:, None].expand_as(logits)
    divergence = (p * (p.log() - logits.log_softmax(-1))).sum(-1).mean()
    divergence.backward()
    return table.grad.numpy()


def gradient_by_loops(features, weights, teacher):
    total = np.zeros_like(weights)
    batch, steps, _ = features.shape
    for n in range(batch):
        for t in range(steps):
            said = scipy.special.softmax(features[n, t] @ weights)
            total += np.outer(features[n, t], said - teacher[n])
    return total / (batch * steps)


def gradient_with(error, divide=lambda batch, steps: batch * steps):
    def answer(features, weights, teacher):
        batch, steps, dim = features.shape
        wrong = error(features @ weights, np.repeat(teacher[:, None], steps, axis=1))
        flat = features.reshape(-1, dim).T @ wrong.reshape(batch * steps, -1)
        return flat / divide(batch, steps)

    return answer


def softly(logits):
    return scipy.special.softmax(logits, axis=-1)


def of_squares(logits, teacher):
    said = softly(logits)
    by_said = 2 * (said - teacher)
    return said * (by_said - np.sum(by_said * said, axis=-1, keepdims=True))


def mean_features(features, weights, teacher):
    return gradient_by_loops(features.mean(axis=1, keepdims=True), weights, teacher)


def names_by_student(sounds, teacher, few_sounds, few_names, new_sounds):
    student = Ridge(1.0).fit(sounds, teacher)
    few, new = student.predict(few_sounds), student.predict(new_sounds)
    classes = np.unique(few_names)
    means = np.stack([few[few_names == name].mean(axis=0) for name in classes])
    return classes[((new[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)]


def names_by_matching(sounds, teacher, few_sounds, few_names, new_sounds):
    """The teacher's class that a named sound is heard as becomes that name."""
    student = LinearDiscriminantAnalysis().fit(sounds, teacher.argmax(axis=1))
    heard, new = student.predict_proba(few_sounds), student.predict_proba(new_sounds)
    classes = np.unique(few_names)
    table = np.stack([heard[few_names == name].mean(axis=0) for name in classes])
    return classes[(new @ table.T).argmax(axis=1)]


def names_by(sounds_of, neighbours=None):
    """Name by the nearest mean, or the nearest sounds, of what ``sounds_of`` makes of them."""

    def answer(sounds, teacher, few_sounds, few_names, new_sounds):
        few, new = sounds_of(sounds, few_sounds), sounds_of(sounds, new_sounds)
        if neighbours:
            return KNeighborsClassifier(neighbours).fit(few, few_names).predict(new)
        classes = np.unique(few_names)
        means = np.stack([few[few_names == name].mean(axis=0) for name in classes])
        return classes[((new[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)]

    return answer


def teachers_numbers(sounds, teacher, few_sounds, few_names, new_sounds):
    return Ridge(1e-6).fit(sounds, teacher).predict(new_sounds).argmax(axis=1)


def main_directions(sounds, heard):
    centred = sounds - sounds.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:3]
    return (heard - sounds.mean(axis=0)) @ axes.T


RIGHT = {
    "layer_lengths": [lengths_by_rule, lengths_by_counting],
    "divergence": [divergence_by_loops, divergence_by_scipy],
    "hear": [hear_by_loops, hear_by_correlating],
    "student_gradient": [gradient_by_autograd, gradient_by_loops],
    "name_sounds": [names_by_student, names_by_matching],
}
WRONG = {
    "layer_lengths": [
        ("padding is missing", lengths_with(lambda t, k, s: (t - k) // s + 1)),
        ("at one end only", lengths_with(lambda t, k, s: (t + k // 2 - k) // s + 1)),
        ("first position", lengths_with(lambda t, k, s: (t + 2 * (k // 2) - k) // s)),
        (
            "Rounded up",
            lengths_with(lambda t, k, s: int(np.ceil((t + 2 * (k // 2) - k) / s)) + 1),
        ),
        ("only divides", lengths_with(lambda t, k, s: t // s)),
        ("waveform itself", each_from_the_wave),
        ("last layer's", lambda *x: [lengths_by_rule(*x)[-1]]),
        ("turned round", lambda *x: lengths_by_rule(*x)[::-1]),
        ("whole number", lambda *x: np.array(lengths_by_rule(*x), float)),
    ],
    "divergence": [
        ("exchanged", exchanged),
        ("cross-entropy", divergence_with(lambda p, q: -p * np.log(q))),
        ("added up", lambda p, z: divergence_by_loops(p, z) * len(p)),
        ("over the classes too", lambda p, z: divergence_by_loops(p, z) / p.shape[1]),
        ("bits", lambda p, z: divergence_by_loops(p, z) / np.log(2)),
        ("sign", lambda p, z: -divergence_by_loops(p, z)),
        ("softmax is missing", divergence_of_logits),
        ("over the batch: each", divergence_with(lambda p, q: p * np.log(p / q), axis=0)),
        ("adds nothing", divergence_that_breaks),
    ],
    "hear": [
        ("flips", hear_with(correlate=np.convolve)),
        ("padding is missing", hear_with(pad=lambda half: (0, 0))),
        ("beginning only", hear_with(pad=lambda half: (half, 0))),
        ("biases", hear_with(bias=False)),
        ("ReLU is missing", hear_with(end=lambda x: x)),
        ("turned positive", hear_with(end=np.abs)),
        ("every sample", lambda w, f, b, s: hear_by_correlating(w, f, b, 1)),
        ("channels first", lambda *x: hear_by_loops(*x).T),
    ],
    "student_gradient": [
        ("uphill", gradient_with(lambda z, p: p - softly(z))),
        ("were added up", gradient_with(lambda z, p: softly(z) - p, lambda b, t: 1)),
        (
            "divide by the number of steps",
            gradient_with(lambda z, p: softly(z) - p, lambda b, t: b),
        ),
        (
            "divide by the number of clips",
            gradient_with(lambda z, p: softly(z) - p, lambda b, t: t),
        ),
        ("first the softmax", gradient_with(lambda z, p: z - p)),
        (
            "slope of a sigmoid",
            gradient_with(lambda z, p: (softly(z) - p) * softly(z) * (1 - softly(z))),
        ),
        ("squared difference", gradient_with(of_squares)),
        ("features were averaged", mean_features),
        ("shape of the weights", lambda *x: gradient_by_loops(*x).T),
    ],
    "name_sounds": [
        ("as they are", names_by(lambda sounds, heard: heard)),
        ("nearest sound as it is heard", names_by(lambda sounds, heard: heard, neighbours=1)),
        ("Scaling", names_by(lambda sounds, heard: heard / sounds.std(axis=0))),
        ("numbers of the teacher's", teachers_numbers),
        ("Two steps", names_by(main_directions)),
        ("must depend", lambda s, t, few, names, new: np.full(len(new), names[0])),
        ("shape", lambda s, t, few, names, new: names_by_student(s, t, few, names, few)),
        ("whole numbers", lambda *x: names_by_student(*x).astype(float)),
    ],
}
