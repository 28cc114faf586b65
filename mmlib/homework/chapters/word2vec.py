"""Homework on word2vec: from pairs of neighbours to vectors that know which words are alike.

The references are numpy's, written apart from ``mmlib.vision_text.word2vec``; the tests hold them
equal to torch's autograd, scipy and gensim. The mistakes that the hints explain stand in
``_word2vec_mistakes`` and ``_word2vec_loss_mistakes``.
"""

from functools import partial

import numpy as np

from mmlib.homework.chapters import _word2vec_loss_mistakes as loss_mistakes
from mmlib.homework.chapters import _word2vec_mistakes as mistakes
from mmlib.homework.comparing import compare, compare_extremes
from mmlib.homework.exercises import Case, Exercise
from mmlib.homework.word_groups import judge_vectors, make_language, make_text


def _skip_gram_pairs(words: np.ndarray, window: int) -> np.ndarray:
    """Return (centre, context) for each pair at most ``window`` places apart, (pairs, 2)."""
    places = np.arange(len(words))
    apart = np.abs(places[:, None] - places)  # (centres, contexts)
    return words[np.argwhere((apart >= 1) & (apart <= window))]


def _keep_probability(counts: np.ndarray, threshold: float) -> np.ndarray:
    """Return min(1, √(t/f) + t/f), where f is a word's share of the text, (vocab,)."""
    ratio = threshold * counts.sum() / counts
    return np.minimum(1, np.sqrt(ratio) + ratio)


def _softmax_loss(
    centres: np.ndarray, contexts: np.ndarray, centre_id: int, context_id: int
) -> float:
    """Return −log p(context | centre), with the softmax over all words."""
    scores = contexts @ centres[centre_id]  # (vocab,)
    top = scores.max()
    return float(top + np.log(np.exp(scores - top).sum()) - scores[context_id])


def _negative_sampling_gradients(
    centre: np.ndarray, context: np.ndarray, negatives: np.ndarray
) -> np.ndarray:
    """Return the gradients for centre, context and negatives, (2 + negatives, dim)."""
    columns = np.vstack([context, negatives])
    error = 1 / (1 + np.exp(-columns @ centre))
    error[0] -= 1
    return np.vstack([error @ columns, np.outer(error, centre)])


def _solve_analogy(vectors: np.ndarray, a: int, b: int, c: int) -> int:
    """Return the word that points most nearly like b − a + c, of those not in the question."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    score = unit @ (unit[b] - unit[a] + unit[c])
    score[[a, b, c]] = -np.inf
    return int(score.argmax())


def _skip_gram_pairs_cases(rng: np.random.Generator) -> list[Case]:
    """Sentences of few different words, so that words recur; some shorter than the window."""
    cases = []
    for length, window in ((9, 2), (2, 1), (2, 3), (3, 4), (7, 1), (12, 3), (8, 4)):
        words = rng.integers(10, 15, length + int(rng.integers(2)))
        words[0], words[-1] = 10, 14
        if length > 6:
            words[4] = words[3]
        truth = _skip_gram_pairs(words, window)
        cases.append(Case({"words": words, "window": window}, truth))
    return cases


def _keep_probability_cases(rng: np.random.Generator) -> list[Case]:
    """Counts that fall as 1 / rank, as in a real text, in any order of the words."""
    cases = []
    for vocab, threshold in ((5, 0.05), (60, 1e-2), (400, 1e-3), (400, 1e-4)):
        counts = (rng.uniform(5e4, 6e4) / np.arange(1, vocab + 1)).astype(int)
        counts = rng.permutation(counts)
        truth = _keep_probability(counts, threshold)
        cases.append(Case({"counts": counts, "threshold": threshold}, truth))
    return cases


def _softmax_loss_cases(rng: np.random.Generator) -> list[Case]:
    """Scores of ordinary size; all far up; all far down; and far apart, the context's at the end.

    W and W′ are made so that for the centre asked about the scores are as wanted.
    """
    cases = []
    for size, shift in ((1, 0), (2, 0), (1, 0), (1, 1500), (1, -1500), (600, 0)):
        vocab, dim = (int(rng.integers(*limits)) for limits in ((7, 15), (3, 7)))
        centre_id, context_id = map(int, rng.choice(vocab, 2, replace=False))
        centres, contexts = rng.normal(size=(2, vocab, dim)) * np.sqrt(size)
        row = centres[centre_id]
        row[0] = 2  # never near zero, so that the shift below stays of its size
        if size > 100:
            context_id = int((contexts @ row).argmin())
        contexts += shift * row / (row @ row)
        inputs = dict(zip(("centres", "contexts"), (centres, contexts), strict=True))
        inputs |= {"centre_id": centre_id, "context_id": context_id}
        cases.append(Case(inputs, _softmax_loss(**inputs)))
    return cases


def _negative_sampling_gradients_cases(rng: np.random.Generator) -> list[Case]:
    cases = []
    for count, dim in ((1, 3), (5, 4), (2, 8), (7, 2), (15, 20)):
        centre, context, *negatives = rng.normal(size=(2 + count, dim))
        inputs = {"centre": centre, "context": context, "negatives": np.array(negatives)}
        cases.append(Case(inputs, _negative_sampling_gradients(**inputs)))
    return cases


def _solve_analogy_cases(rng: np.random.Generator) -> list[Case]:
    """Random vectors of very different lengths; in the last, all but the question points away."""
    cases = []
    for _ in range(40):
        vectors = rng.normal(size=(40, 6)) * rng.lognormal(0, 0.8, size=(40, 1))
        cases.append((vectors, rng.permutation(40)[:3]))
    vectors = rng.normal(size=(7, 6))
    question = rng.permutation(7)[:3]
    vectors[:, 0] = -9
    vectors[question, 0] = 9
    cases.append((vectors, question))
    return [
        Case({"vectors": vectors, **ids}, _solve_analogy(vectors, **ids))
        for vectors, question in cases
        for ids in [dict(zip("abc", map(int, question), strict=True))]
    ]


def _train_vectors_cases(rng: np.random.Generator) -> list[Case]:
    languages = [make_language(rng) for _ in range(3)]
    return [
        Case({"sentences": make_text(language, rng), "vocab": len(language.group)}, language)
        for language in languages
    ]


EXERCISES = (
    Exercise(
        "skip_gram_pairs",
        "Who stands near whom",
        1,
        _skip_gram_pairs_cases,
        partial(compare, mistakes=mistakes.SKIP_GRAM_PAIRS),
    ),
    Exercise(
        "keep_probability",
        "Thin out the frequent words",
        2,
        _keep_probability_cases,
        partial(compare, mistakes=mistakes.KEEP_PROBABILITY),
    ),
    Exercise(
        "softmax_loss",
        "The loss of one pair",
        2,
        _softmax_loss_cases,
        partial(
            compare_extremes,
            mistakes=loss_mistakes.SOFTMAX_LOSS,
            breakdowns=loss_mistakes.SOFTMAX_BREAKDOWNS,
        ),
    ),
    Exercise(
        "negative_sampling_gradients",
        "Which way the vectors move",
        3,
        _negative_sampling_gradients_cases,
        partial(compare, mistakes=loss_mistakes.NEGATIVE_SAMPLING_GRADIENTS),
    ),
    Exercise(
        "solve_analogy",
        "A is to B as C is to what?",
        3,
        _solve_analogy_cases,
        partial(compare, mistakes=mistakes.SOLVE_ANALOGY),
    ),
    Exercise(
        "train_vectors",
        "Vectors of an unknown language",
        5,
        _train_vectors_cases,
        judge_vectors,
    ),
)
