"""Homework on SoundNet: lengths inside it, its loss with two teachers, a layer, a gradient."""

import numpy as np

from mmlib.homework.exercise import exercise


def _softmax(logits):
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


@exercise(
    points=1,
    title="The length of a sound inside the network",
    inputs=lambda rng: [
        {
            "time": int(rng.integers(300, 900)),
            "kernels": rng.integers(3, 17, size=layers).tolist(),
            "strides": rng.integers(1, 4, size=layers).tolist(),
        }
        for layers in (1, 2, 3, 4, 4, 4)
    ],
    hints={
        "The padding is missing: half a kernel of zeros at both ends.": {"ends": 0},
        "Padded at one end only.": {"ends": 1},
        "The first position is missing: + 1.": {"first": 0},
        "Round down, not up.": {"whole": lambda length, stride: -(-length // stride)},
        "Each layer gets what the one before has made, not the waveform.": {"chain": False},
    },
)
def layer_lengths(
    time, kernels, strides, *, ends=2, first=1, chain=True, whole=lambda length, by: length // by
):
    """Return how many steps each layer has, (layers,)."""
    lengths, now = [], time
    for kernel, stride in zip(kernels, strides, strict=True):
        now = whole(now + ends * (kernel // 2) - kernel, stride) + first
        lengths.append(now)
        now = now if chain else time
    return np.array(lengths)


def _videos(rng):
    """Distributions of two teachers, with classes that they rule out, and the student's logits."""
    cases = []
    for batch, objects, scenes in ((1, 3, 2), (4, 5, 5), (6, 3, 4)):
        case = {}
        for name, classes in (("objects", objects), ("scenes", scenes)):
            case[name] = rng.dirichlet(np.ones(classes), size=batch)
            case[name][0] = np.eye(classes)[rng.integers(classes)]
            case[f"{name[:-1]}_logits"] = 2 * rng.normal(size=(batch, classes))
        cases.append({key: case[key] for key in sorted(case, key=lambda key: "logits" in key)})
    return cases


def _divergence(p, q):
    return np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / q), 0)


@exercise(
    points=3,
    title="The divergence from two teachers",
    inputs=_videos,
    hints={
        "0 log 0 gives NaN: such a class adds nothing.": {"terms": lambda p, q: p * np.log(p / q)},
        "This is the cross-entropy: p log p is missing.": {"terms": lambda p, q: -p * np.log(q)},
        "Student and teacher are swapped in the divergence.": {
            "terms": lambda p, q: q * np.log(q / np.maximum(p, 1e-300))
        },
        "The scenes' teacher was left out.": {"of_scenes": 0},
        "The batch was added up: take the mean over the videos.": {"mean": np.sum},
    },
)
def two_teacher_loss(
    objects, scenes, object_logits, scene_logits, *, terms=_divergence, of_scenes=1, mean=np.mean
):
    """Return the mean of KL(objects ‖ student) + KL(scenes ‖ student) over the batch."""
    from_objects = terms(objects, _softmax(object_logits)).sum(axis=1)
    from_scenes = terms(scenes, _softmax(scene_logits)).sum(axis=1)
    return mean(from_objects + of_scenes * from_scenes)


def _waves(rng):
    return [
        {
            "wave": rng.normal(size=time),
            "filters": rng.normal(size=(channels, kernel)),
            "biases": rng.normal(size=channels),
            "stride": stride,
        }
        for time, channels, kernel, stride in ((20, 1, 4, 1), (41, 3, 6, 2), (64, 4, 8, 3))
    ]


@exercise(
    points=3,
    title="The first layer on the raw waveform",
    inputs=_waves,
    hints={
        "The wave was not padded: kernel / 2 zeros in front and behind.": {"before": 0, "after": 0},
        "The wave was padded in front only.": {"after": 0},
        "The filters were turned round: networks do not (np.convolve does).": {"turn": -1},
        "The bias is missing.": {"bias": 0},
        "The ReLU is missing: keep what is positive.": {"activation": lambda x: x},
        "The stride was ignored.": {"step": lambda stride: 1},
    },
)
def first_layer(
    wave, filters, biases, stride, *, before=1, after=1, turn=1, bias=1,
    activation=lambda x: np.maximum(0, x), step=lambda stride: stride,
):  # fmt: skip
    """Return ReLU(convolution + bias), (channels, steps)."""
    half = filters.shape[1] // 2
    padded = np.pad(wave, (before * half, after * half))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, 2 * half)[:: step(stride)]
    return activation(filters[:, ::turn] @ pieces.T + bias * biases[:, None])


def _heads(rng):
    return [
        {
            "features": rng.normal(size=(batch, steps, dim)),
            "weights": rng.normal(size=(dim, classes)),
            "teacher": rng.dirichlet(np.ones(classes), size=batch),
        }
        for batch, steps, dim, classes in ((1, 2, 2, 3), (4, 3, 3, 3), (5, 4, 2, 5))
    ]


@exercise(
    points=4,
    title="The gradient of the student's head",
    inputs=_heads,
    hints={
        "The teacher is missing: the derivative by a logit is q - p.": {"of_teacher": 0},
        "The softmax is missing: q is the softmax of the logits.": {"softmax": lambda x: x},
        "The sum over clips and steps was not divided: the loss is a mean.": {"mean": False},
        "The features were averaged over the steps first: each step has its own softmax.": (
            lambda features, weights, teacher: student_gradient(
                features.mean(axis=1, keepdims=True), weights, teacher
            )
        ),
    },
)
def student_gradient(features, weights, teacher, *, of_teacher=1, softmax=_softmax, mean=True):
    """Return the gradient of the mean divergence by the head's weights, (dim, classes)."""
    error = softmax(features @ weights) - of_teacher * teacher[:, None]  # (batch, steps, classes)
    total = np.einsum("btd,btc->dc", features, error)
    return total / (error[..., 0].size if mean else 1)
