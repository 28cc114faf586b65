"""What goes wrong with pairs, counts and analogies, and the sentence that helps."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from mmlib.homework.comparing import Mistake


def _pairs(contexts_of: Callable[[int, int, int], Iterable[int]]) -> Callable:
    """Return the formula that pairs place i with ``contexts_of(i, length, window)``."""

    def formula(words: np.ndarray, window: int) -> np.ndarray:
        size = len(words)
        return np.array(
            [(words[i], words[j]) for i in range(size) for j in contexts_of(i, size, window)]
        )

    return formula


def _near(i: int, size: int, window: int) -> list[int]:
    return [j for j in range(max(0, i - window), min(size, i + window + 1)) if j != i]


def _whole_window(i: int, size: int, window: int) -> list[int]:
    return _near(i, size, window) if window <= i < size - window else []


def _without_equal_words(words: np.ndarray, window: int) -> np.ndarray:
    pairs = _pairs(_near)(words, window)
    return pairs[pairs[:, 0] != pairs[:, 1]]


def _other_places(i: int, size: int, window: int) -> list[int]:
    return [j for j in range(size) if j != i]


SKIP_GRAM_PAIRS = (
    Mistake(
        _pairs(lambda i, n, w: range(max(0, i - w), min(n, i + w + 1))),
        "The centre is paired with itself: leave out the place i, which is at distance 0.",
    ),
    Mistake(
        _without_equal_words,
        "Pairs of two equal words are missing. A word may stand twice in a window: "
        "compare the places, j != i, not the words.",
    ),
    Mistake(
        _pairs(lambda i, n, w: [j for j in _near(i, n, w) if j < i + w]),
        "The farthest context on the right is missing: range leaves its end out, "
        "so it must end at i + window + 1.",
    ),
    Mistake(
        _pairs(lambda i, n, w: [*range(n)[i - w : i], *range(n)[i + 1 : i + 1 + w]]),
        "Contexts on the left are missing near the beginning: there i - window is negative, and "
        "a negative start of a slice counts from the end. Use max(0, i - window).",
    ),
    Mistake(
        _pairs(lambda i, n, w: [(i + d) % n for d in range(-w, w + 1) if d != 0]),
        "The window reaches round the ends of the sentence. A sentence is no ring: "
        "places below 0 and past the last word do not count.",
    ),
    Mistake(
        _pairs(_whole_window),
        "Centres near the ends are missing. They count too, with the contexts that they have.",
    ),
    Mistake(
        lambda words, window: _pairs(_near)(words, window)[:, ::-1],
        "The two columns are swapped: the centre comes first, then the context.",
    ),
    Mistake(
        _pairs(lambda i, n, w: [j for j in _near(i, n, w) if j > i]),
        "Only contexts to the right are there. A window has two sides, "
        "so each two neighbours make two pairs.",
    ),
    Mistake(
        _pairs(lambda i, n, w: [j for j in _near(i, n, w) if j < i]),
        "Only contexts to the left are there. A window has two sides, "
        "so each two neighbours make two pairs.",
    ),
    Mistake(
        _pairs(lambda i, n, w: sorted(_near(i, n, w), key=lambda j: abs(j - i))),
        "The contexts of a centre are in order of distance: put them in order of place, "
        "from left to right.",
    ),
    Mistake(
        lambda words, window: _pairs(_near)(np.arange(len(words)), window),
        "These are the places of the words in the sentence: return the words that stand there.",
    ),
    Mistake(
        _pairs(_other_places),
        "All words of the sentence are contexts: only those at most window places away count.",
    ),
)


def _share(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum()


def _keep(ratio: np.ndarray) -> np.ndarray:
    return np.minimum(1, np.sqrt(ratio) + ratio)


KEEP_PROBABILITY = (
    Mistake(
        lambda counts, threshold: np.minimum(1, np.sqrt(threshold / _share(counts))),
        "This is sqrt(t / f), as the paper prints it. word2vec's program and this exercise add "
        "t / f to it.",
    ),
    Mistake(
        lambda counts, threshold: np.sqrt(threshold / _share(counts)) + threshold / _share(counts),
        "Some values are above 1, which no probability is: rare words are always kept, "
        "so take the smaller of 1 and the formula.",
    ),
    Mistake(
        lambda counts, threshold: 1 - _keep(threshold / _share(counts)),
        "This is the chance that a word is thrown away: return the chance that it is kept.",
    ),
    Mistake(
        lambda counts, threshold: np.maximum(0, 1 - np.sqrt(threshold / _share(counts))),
        "This is the paper's chance of throwing a word away, 1 - sqrt(t / f). Return the chance of "
        "keeping it, by the formula above.",
    ),
    Mistake(
        lambda counts, threshold: _keep(threshold / counts),
        "f is not the count but the word's share of the text: divide the counts by their sum.",
    ),
    Mistake(
        lambda counts, threshold: _keep(threshold * counts.max() / counts),
        "The counts were divided by the largest one. A share of the text is a count divided by "
        "the sum of all counts.",
    ),
    Mistake(
        lambda counts, threshold: _keep(threshold * len(counts) / counts),
        "The counts were divided by the number of different words. The text is as long as the sum "
        "of all counts.",
    ),
    Mistake(
        lambda counts, threshold: _keep(_share(counts) / threshold),
        "The ratio is upside down: t / f is small for frequent words, which are to be thinned out.",
    ),
    Mistake(
        lambda counts, threshold: np.minimum(1, threshold / _share(counts)),
        "The square root is missing: the formula is sqrt(t / f) + t / f.",
    ),
    Mistake(
        lambda counts, threshold: np.maximum(
            1, np.sqrt(threshold / _share(counts)) + threshold / _share(counts)
        ),
        "The larger of 1 and the formula was taken: a probability is at most 1, so take the "
        "smaller, np.minimum.",
    ),
)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _best(score: np.ndarray, without: Sequence[int], value: float = -np.inf) -> int:
    score = score.copy()
    score[list(without)] = value
    return int(score.argmax())


def _cosines(vectors: np.ndarray, a: int, b: int, c: int) -> np.ndarray:
    unit = _unit(vectors)
    return unit @ _unit(unit[b] - unit[a] + unit[c])


def _shortened(vectors: np.ndarray, a: int, b: int, c: int) -> int:
    return int(np.delete(_cosines(vectors, a, b, c), [a, b, c]).argmax())


def _straight(vectors: np.ndarray, a: int, b: int, c: int) -> int:
    distance = np.linalg.norm(vectors - (vectors[b] - vectors[a] + vectors[c]), axis=1)
    return _best(-distance, [a, b, c])


SOLVE_ANALOGY = (  # what is rarely wrong comes first: what is often wrong may agree there
    Mistake(
        lambda vectors, a, b, c: _best(_cosines(vectors, a, b, c), [a, b, c], 0),
        "Wrong where all other words point away: the question's words got the score 0, and a "
        "cosine can be below 0. Give them minus infinity.",
    ),
    Mistake(
        lambda vectors, a, b, c: _best(_cosines(vectors, a, b, c), [c]),
        "Only c was left out: a and b are no answers either.",
    ),
    Mistake(
        lambda vectors, a, b, c: _best(_cosines(vectors, a, b, c), []),
        "The answers are words of the question itself: b or c is usually the nearest. "
        "Leave a, b and c out.",
    ),
    Mistake(
        _shortened,
        "The rows of a, b and c were deleted and the best of the shorter table was returned: its "
        "numbers are shifted. Return the number in the full table.",
    ),
    Mistake(
        lambda vectors, a, b, c: _best(
            _unit(vectors) @ (vectors[b] - vectors[a] + vectors[c]), [a, b, c]
        ),
        "The three vectors were added before they were scaled: long vectors then outweigh short "
        "ones. Scale every vector to length 1 first.",
    ),
    Mistake(
        lambda vectors, a, b, c: _best(
            vectors @ (_unit(vectors[b]) - _unit(vectors[a]) + _unit(vectors[c])), [a, b, c]
        ),
        "The candidates were not scaled: a scalar product prefers long vectors. Divide it by the "
        "candidate's length, which makes it a cosine.",
    ),
    Mistake(
        lambda vectors, a, b, c: _best(vectors @ (vectors[b] - vectors[a] + vectors[c]), [a, b, c]),
        "Nothing was scaled: this compares scalar products, which prefer long vectors. Scale every "
        "vector to length 1 first.",
    ),
    Mistake(
        _straight,
        "This is the nearest by straight distance between unscaled vectors: compare directions, "
        "by the cosine.",
    ),
    Mistake(
        lambda vectors, a, b, c: _best(_cosines(vectors, b, a, c), [a, b, c]),
        "The step goes the wrong way: from a to b it is b - a, and c is added to that.",
    ),
    Mistake(
        lambda vectors, a, b, c: _best(-_cosines(vectors, a, b, c), [a, b, c]),
        "This is the farthest word: take the largest cosine.",
    ),
    Mistake(
        lambda vectors, a, b, c: _best(_unit(vectors) @ vectors[c], [a, b, c]),
        "This is the nearest neighbour of c: the step from a to b is missing.",
    ),
)
