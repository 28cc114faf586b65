"""Homework on captions: an LSTM step, the loss of a batch, clipped n-grams, a beam step."""

import numpy as np

from mmlib.homework.exercise import exercise


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


def _states(rng):
    return [
        {
            "word": rng.normal(size=inputs),
            "hidden": rng.normal(size=dim),
            "cell": 2 * rng.normal(size=dim),
            "weights": rng.normal(size=(4 * dim, inputs + dim)),
            "bias": rng.normal(size=4 * dim),
        }
        for inputs, dim in ((1, 1), (3, 3), (4, 2), (2, 5))
    ]


@exercise(
    points=3,
    title="One step of an LSTM",
    inputs=_states,
    hints={
        "The tanh of the new cell is missing: h' = o tanh c'.": {"squash": lambda cell: cell},
        "The bias is missing.": {"use_bias": 0},
        "Input and forget gate are swapped: the order is i, f, g, o.": {"order": (1, 0, 2, 3)},
        "Candidate and output gate are swapped: the order is i, f, g, o.": {"order": (0, 1, 3, 2)},
        "The candidate went through a sigmoid: it is a tanh.": {"candidate": _sigmoid},
    },
)
def lstm_step(
    word, hidden, cell, weights, bias, *, order=(0, 1, 2, 3), candidate=np.tanh, squash=np.tanh,
    use_bias=1,
):  # fmt: skip
    """Return the next hidden state and cell, both (dim,)."""
    gates = np.split(weights @ np.concatenate([word, hidden]) + use_bias * bias, 4)
    i, f, g, o = (gates[k] for k in order)
    new = _sigmoid(f) * cell + _sigmoid(i) * candidate(g)
    return _sigmoid(o) * squash(new), new


def _captions(rng):
    """Captions of unlike length, 0 being the padding behind them."""
    cases = []
    for batch, time, vocab in ((2, 3, 4), (3, 5, 6), (4, 4, 5)):
        targets = rng.integers(1, vocab, size=(batch, time))
        lengths = np.r_[time, rng.integers(1, time, batch - 1)]
        targets[np.arange(time) >= lengths[:, None]] = 0
        logits = 3 * rng.normal(size=(batch, time, vocab))
        cases.append({"logits": logits, "targets": targets, "pad": 0})
    return cases


@exercise(
    points=2,
    title="A loss that skips the padding",
    inputs=_captions,
    hints={
        "The padding counts as a word here.": {"mean": lambda loss, real: loss.mean()},
        "Divide by the number of real words.": {"mean": lambda x, real: x[real].sum() / x.size},
        "The losses were added up: take their mean.": {"mean": lambda loss, real: loss[real].sum()},
        "This is the mean log-probability: the loss is its negative.": {"sign": -1},
    },
)
def caption_loss(logits, targets, pad, *, sign=1, mean=lambda loss, real: loss[real].mean()):
    """Return the mean cross-entropy over all positions whose target is not ``pad``."""
    top = logits.max(axis=2, keepdims=True)
    log_sum = np.log(np.exp(logits - top).sum(axis=2, keepdims=True)) + top
    log_p = np.take_along_axis(logits - log_sum, targets[..., None], axis=2)[..., 0]
    return mean(-sign * log_p, targets != pad)


def _texts(rng):
    """Words that recur, so that clipping matters; references of unlike length."""
    cases = [{"candidate": [1, 1, 1, 1], "references": [[1, 2, 1], [1, 3]], "n": 1}]
    for n in (1, 1, 2, 2, 2, 3):
        texts = [rng.integers(3, size=size).tolist() for size in (8, *rng.integers(4, 9, 3))]
        cases.append({"candidate": texts[0], "references": texts[1:], "n": n})
    return cases


def _grams(words, n):
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


@exercise(
    points=2,
    title="Clipped n-gram precision",
    inputs=_texts,
    hints={
        "The matches are not clipped: an n-gram counts at most as often as one reference has it.": {
            "clip": lambda count, others: count if max(others) else 0
        },
        "Clipped by the sum over the references: the largest count decides.": {
            "clip": lambda count, others: min(count, sum(others))
        },
        "Divide the matches by the number of the candidate's n-grams.": {"total": lambda grams: 1},
    },
)
def ngram_precision(
    candidate, references, n, *, clip=lambda count, others: min(count, max(others)), total=len
):
    """Return the share of the candidate's n-grams that match, clipped as BLEU clips."""
    grams, others = _grams(candidate, n), [_grams(words, n) for words in references]
    matches = [clip(grams.count(g), [o.count(g) for o in others]) for g in sorted(set(grams))]
    return sum(matches) / total(grams)


def _beams(rng):
    """Beams of which some are finished; log-probabilities in their rows mean nothing."""
    cases = []
    for beam, vocab in ((1, 4), (2, 5), (3, 4), (3, 6), (4, 5), (4, 7), (5, 6)):
        finished = (rng.random(beam) < 0.4).astype(int) * (beam > 1)
        log_probs = np.log(rng.dirichlet(np.ones(vocab), size=beam))
        cases.append({"scores": rng.normal(-3, 0.7, size=beam), "finished": finished})
        cases[-1] |= {"log_probs": log_probs, "end": int(rng.integers(vocab))}
    return cases


@exercise(
    points=3,
    title="One step of beam search",
    inputs=_beams,
    hints={
        "The scores so far were ignored: add them to the log-probabilities.": {"past": 0},
        "Log-probabilities are added, not multiplied.": {"join": np.multiply},
        "A finished hypothesis has one continuation only.": {"keep_finished": False},
        "Finished hypotheses were dropped: they stay.": {"drop_finished": True},
        "Row and word are swapped: the hypothesis comes first.": {"order": [1, 0]},
    },
)
def beam_step(
    scores, finished, log_probs, end, *, past=1, join=np.add, keep_finished=True,
    drop_finished=False, order=(0, 1),
):  # fmt: skip
    """Return the continuations that are kept, the best first: (hypothesis, word), (beam, 2)."""
    total = join(past * scores[:, None], log_probs)  # (beam, vocab)
    if keep_finished or drop_finished:
        total[finished == 1] = -np.inf
    if keep_finished and not drop_finished:
        total[finished == 1, end] = scores[finished == 1]
    best = np.argsort(-total.ravel(), kind="stable")[: len(scores)]
    return np.stack(np.unravel_index(best, total.shape), axis=1)[:, list(order)]
