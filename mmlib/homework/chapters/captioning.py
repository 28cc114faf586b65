"""Homework on captions: from shifted words to the likeliest sentence of a decoder.

The references are numpy's, written apart from ``mmlib.vision_text.captioning``; the tests hold them
equal to torch and nltk. The mistakes that the hints explain stand in ``_captioning_mistakes``,
``_decoder_mistakes`` and ``_bleu_mistakes``, those of the open exercise in
``mmlib.homework.likeliest``.
"""

from collections import Counter
from functools import partial

import numpy as np

from mmlib.homework.chapters import _bleu_mistakes as bleu_mistakes
from mmlib.homework.chapters import _captioning_mistakes as mistakes
from mmlib.homework.chapters import _decoder_mistakes as decoder_mistakes
from mmlib.homework.comparing import compare
from mmlib.homework.exercises import Case, Exercise
from mmlib.homework.likeliest import judge_sentences, make_table, most_likely

TABLES = 20  # of the open exercise
_WORDS = ["a", "the", "red", "blue", "bird", "dog", "tree"]


def _teacher_forcing(
    captions: list[list[int]], start: int, end: int, pad: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the decoder reads and what it is to say, both (batch, time)."""
    longest = max(map(len, captions)) + 1
    inputs, targets = np.full((2, len(captions), longest), pad)
    for row, words in enumerate(captions):
        inputs[row, : len(words) + 1] = [start, *words]
        targets[row, : len(words) + 1] = [*words, end]
    return inputs, targets


def _caption_loss(logits: np.ndarray, targets: np.ndarray, pad: int) -> float:
    """Return the mean of −ln p(target) over all targets that are no padding."""
    top = logits.max(axis=2, keepdims=True)
    log_probs = logits - top - np.log(np.exp(logits - top).sum(axis=2, keepdims=True))
    losses = -np.take_along_axis(log_probs, targets[..., None], axis=2)[..., 0]
    return float(losses[targets != pad].mean())


def _bleu(candidate: str, references: list[str], order: int) -> float:
    """Return BLEU with orders up to ``order``, of one sentence, unsmoothed."""
    words, others = candidate.split(), [reference.split() for reference in references]
    logs = []
    for n in range(1, order + 1):
        found, *allowed = (_n_grams(sentence, n) for sentence in (words, *others))
        most = {gram: max(counts[gram] for counts in allowed) for gram in found}
        matches = sum(min(found[gram], most[gram]) for gram in found)
        logs.append(np.log(matches / found.total()) if matches else -np.inf)
    nearest = min(map(len, others), key=lambda length: (abs(length - len(words)), length))
    return float(np.exp(min(0, 1 - nearest / len(words)) + np.mean(logs)))


def _n_grams(words: list[str], n: int) -> Counter:
    return Counter(zip(*(words[start:] for start in range(n)), strict=False))


def _lstm_step(
    word: np.ndarray, hidden: np.ndarray, cell: np.ndarray, weights: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the next hidden state and the next cell, both (dim,)."""
    gates = (weights @ np.concatenate([word, hidden]) + bias).reshape(4, -1)
    admit, forget, show = 1 / (1 + np.exp(-gates[[0, 1, 3]]))
    cell = forget * cell + admit * np.tanh(gates[2])
    return show * np.tanh(cell), cell


def _beam_step(
    scores: np.ndarray, finished: np.ndarray, log_probs: np.ndarray, end: int
) -> np.ndarray:
    """Return (sentence, word) of the best continuations, best first, (beam, 2)."""
    onward = np.where(np.arange(log_probs.shape[1]) == end, 0, -np.inf)
    total = scores[:, None] + np.where(finished[:, None] == 1, onward, log_probs)
    best = np.argsort(-total, axis=None)[: len(scores)]
    return np.stack(np.unravel_index(best, total.shape), axis=1)


def _teacher_forcing_cases(rng: np.random.Generator) -> list[Case]:
    """Captions of unlike lengths, the longest not in the first row; any numbers for the marks."""
    cases = []
    for lengths in ((3, 5, 2), (1, 4), (2, 6, 6, 3), (4, 3, 5)):
        start, end, pad, *words = map(int, rng.permutation(np.arange(20)))
        captions = [[int(w) for w in rng.choice(words, n)] for n in lengths]
        inputs = {"captions": captions, "start": start, "end": end, "pad": pad}
        cases.append(Case(inputs, np.stack(_teacher_forcing(**inputs))))
    return cases


def _caption_loss_cases(rng: np.random.Generator) -> list[Case]:
    """Padding behind captions of unlike lengths; its number is any, and stands for no word."""
    cases = []
    for lengths, vocab in (((2, 5), 4), ((1, 3, 6), 7), ((4, 2, 7, 3), 5)):
        pad = int(rng.integers(vocab))
        targets = np.full((len(lengths), max(lengths)), pad)
        for row, length in enumerate(lengths):
            targets[row, :length] = rng.choice(np.delete(np.arange(vocab), pad), length)
        inputs = {"logits": rng.normal(0, 2, (*targets.shape, vocab)), "targets": targets}
        cases.append(Case(inputs | {"pad": pad}, _caption_loss(**inputs, pad=pad)))
    return cases


def _bleu_cases(rng: np.random.Generator) -> list[Case]:
    """Three references each, some longer and some shorter; then repeated words, and no match."""
    cases = []
    for order, length, longer in (
        (1, 6, (-1, 2, 4)),
        (2, 6, (1, -3, 4)),
        (2, 8, (-2, 3, 5)),
        (3, 7, (1, -2, 3)),
        (1, 5, (2, 4, 5)),
        (4, 9, (2, -4, 6)),
    ):
        words = [str(word) for word in rng.choice(_WORDS, length)]
        references = [_changed(words, more, rng) for more in rng.permutation(longer)]
        if order < 3:
            words[0] = "big"
        cases.append((" ".join(words), references, order))
    a, b, c, d = map(str, rng.permutation(_WORDS)[:4])
    cases.append(
        (f"{a} {a} {a} {b} {c} big", [f"{b} {d} {c}", f"{a} {b} {c}", f"{d} {a} {c} {d}"], 1)
    )
    cases.append((f"{a} {b}", [f"{b} {a}", f"{c} {b}"], 2))
    return [
        Case(inputs, _bleu(**inputs))
        for values in cases
        for inputs in [dict(zip(("candidate", "references", "order"), values, strict=True))]
    ]


def _changed(words: list[str], more: int, rng: np.random.Generator) -> str:
    """Return the words with one of them replaced, and ``more`` words at the end, or fewer."""
    changed = [*words, *map(str, rng.choice(_WORDS, max(0, more)))]
    changed[int(rng.integers(len(words)))] = "small"
    return " ".join(changed[: len(words) + more])


def _lstm_step_cases(rng: np.random.Generator) -> list[Case]:
    """The hidden state is as long as the word's vector: a swap changes numbers, not shapes."""
    cases = []
    for dim in (3, 5, 4):
        word, hidden, cell = rng.normal(size=(3, dim))
        weights, bias = rng.normal(size=(4 * dim, 2 * dim)) * 0.7, rng.normal(size=4 * dim)
        inputs = {"word": word, "hidden": np.tanh(hidden), "cell": cell}
        inputs |= {"weights": weights, "bias": bias}
        cases.append(Case(inputs, np.stack(_lstm_step(**inputs))))
    return cases


def _beam_step_cases(rng: np.random.Generator) -> list[Case]:
    """Beams of several widths; at most one sentence is finished, in any place."""
    cases = []
    for beam, vocab in ((3, 7), (4, 9), (5, 8), (3, 12), (4, 8), (3, 8)):
        end = int(rng.integers(vocab))
        scores = -np.sort(rng.uniform(0.2, 3, beam))
        log_probs = np.log(rng.dirichlet(np.full(vocab, 0.5), beam) + 1e-4)
        done = 0 if vocab == 8 else int(rng.integers(beam))
        finished = (np.arange(beam) == done).astype(int) * (vocab != 7)
        log_probs[done, end] = -0.8 if vocab == 8 else -4
        log_probs[done, end - 1] = -0.9
        inputs = {"scores": scores, "finished": finished, "log_probs": log_probs, "end": end}
        cases.append(Case(inputs, _beam_step(**inputs)))
    return cases


def _likeliest_sentence_cases(rng: np.random.Generator) -> list[Case]:
    return [
        Case(inputs, most_likely(**inputs)) for inputs in (make_table(rng) for _ in range(TABLES))
    ]


EXERCISES = (
    Exercise(
        "teacher_forcing",
        "What it reads and what it is to say",
        1,
        _teacher_forcing_cases,
        partial(compare, mistakes=mistakes.TEACHER_FORCING),
    ),
    Exercise(
        "caption_loss",
        "A loss that skips the padding",
        2,
        _caption_loss_cases,
        partial(compare, mistakes=mistakes.CAPTION_LOSS),
    ),
    Exercise(
        "bleu",
        "How alike two sentences are",
        2,
        _bleu_cases,
        partial(compare, mistakes=bleu_mistakes.BLEU),
    ),
    Exercise(
        "lstm_step",
        "Gate by gate",
        3,
        _lstm_step_cases,
        partial(compare, mistakes=decoder_mistakes.LSTM_STEP),
    ),
    Exercise(
        "beam_step",
        "One step of beam search",
        3,
        _beam_step_cases,
        partial(compare, mistakes=decoder_mistakes.BEAM_STEP),
    ),
    Exercise(
        "likeliest_sentence",
        "The likeliest sentence",
        5,
        _likeliest_sentence_cases,
        judge_sentences,
    ),
)
