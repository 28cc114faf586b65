"""Tables of a decoder that looks at one word back, and the judge of sentences found in them.

The table says how likely each word follows each other one. Few words are often followed by the
end. A good sentence must reach one of them, which greedy search and narrow beams seldom foresee.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mmlib.homework.comparing import Mistake, to_array
from mmlib.homework.exercises import Case

VOCAB, CLOSING = 60, 3  # words, start and end included; words that are often the last
LONGEST = 10  # words, the end included
ENOUGH = 0.95  # share of the tables whose best sentence must be found
_CLOSE = 1e-6  # of the mean log-probability: two orders of adding up differ by less
_ALIKE = 0.8  # share of the sentences that must be those of a weaker method, for its hint


def make_table(rng: np.random.Generator) -> dict[str, Any]:
    """Return the arguments of the student's function: a table, two words and a length."""
    start, end, *closing = map(int, rng.permutation(VOCAB)[: 2 + CLOSING])
    follows = rng.dirichlet(np.full(VOCAB, 0.4), VOCAB) + 1e-6  # (words, next words)
    follows[:, [start, end]] = 0
    stops = rng.uniform(1e-4, 1e-3, VOCAB)
    stops[closing] = rng.uniform(0.4, 0.8, CLOSING)
    follows *= ((1 - stops) / follows.sum(axis=1))[:, None]
    follows[:, end] = stops
    follows[:, start] = 1e-12
    table = np.log(follows)
    return {"log_probs": table, "start": start, "end": end, "longest": LONGEST}


def most_likely(log_probs: np.ndarray, start: int, end: int, longest: int) -> list[int]:
    """Return the sentence of the largest mean log-probability, by dynamic programming."""
    candidates = _best_of_each_length(log_probs, start, end, longest)
    return max(candidates, key=lambda words: mean_log_prob(words, log_probs, start))


def mean_log_prob(words: Sequence[int], log_probs: np.ndarray, start: int) -> float:
    """Return the mean log-probability of the words of a sentence, the end included."""
    return float(log_probs[[start, *words[:-1]], words].mean())


def _best_of_each_length(
    log_probs: np.ndarray, start: int, end: int, longest: int
) -> list[list[int]]:
    """Return for 1, 2, … words the most likely sentence that ends there and not before."""
    score, back, sentences = log_probs[start].copy(), [], []
    for _ in range(longest):
        words = [end]
        for best in reversed(back):
            words.insert(0, int(best[words[0]]))
        sentences.append(words)
        score[end] = -np.inf
        total = score[:, None] + log_probs
        back.append(total.argmax(axis=0))
        score = total.max(axis=0)
    return sentences


def judge_sentences(cases: Sequence[Case], answers: Sequence[Any]) -> str | None:
    """Return None if enough sentences are as likely as the best ones, else a hint."""
    reached, sentences = [], []
    for case, answer in zip(cases, answers, strict=True):
        problem = _malformed(answer, **case.inputs)
        if problem:
            return problem
        words = to_array(answer).tolist()
        table, start = case.inputs["log_probs"], case.inputs["start"]
        best, found = (mean_log_prob(each, table, start) for each in (case.truth, words))
        reached.append(found >= best - _CLOSE)
        sentences.append(words)
    if np.mean(reached) >= ENOUGH:
        return None
    said = f"{np.mean(reached):.0%} of the best sentences are found, {ENOUGH:.0%} are needed."
    return f"{said} {_weaker_method(cases, sentences) or _ADVICE}"


def _malformed(
    answer: Any, log_probs: np.ndarray, start: int, end: int, longest: int
) -> str | None:
    """Say what keeps the answer from being a sentence."""
    try:
        words = to_array(answer)
    except ValueError as error:
        return f"The sentence {error}."
    if words.ndim != 1 or not len(words) or words.dtype.kind not in "iu":
        return "A sentence must be a list of at least one word number, whole numbers all."
    if words[0] == start:
        return "The sentence begins with start: leave it out, it is given and not said."
    if words[-1] != end:
        return "The sentence does not end with end: its probability must be counted too."
    if end in words[:-1]:
        return "The sentence goes on after end: nothing follows it."
    if len(words) > longest:
        return f"A sentence has {len(words)} words, {longest} are allowed, end included."
    if words.min() < 0 or words.max() >= len(log_probs):
        return (
            f"A sentence holds a number that is no word: they run from 0 to {len(log_probs) - 1}."
        )
    return None


def _weaker_method(cases: Sequence[Case], sentences: list[list[int]]) -> str | None:
    """Return the hint of the weaker method that finds mostly the same sentences."""
    same = [
        np.mean(
            [
                mistake.formula(**case.inputs) == words
                for case, words in zip(cases, sentences, strict=True)
            ]
        )
        for mistake in MISTAKES
    ]
    best = int(np.argmax(same))
    return MISTAKES[best].hint if same[best] >= _ALIKE else None


def _greedy(log_probs: np.ndarray, start: int, end: int, longest: int) -> list[int]:
    words = [start]
    while len(words) < longest and words[-1] != end:
        words.append(int(log_probs[words[-1]].argmax()))
    return words[1:] if words[-1] == end else [*words[1:], end]


def _best_by(key: Callable[[list[int], float], float]) -> Callable[..., list[int]]:
    """Return the search that ranks the best sentence of each length by ``key(words, mean)``."""

    def formula(log_probs, start, end, longest):
        return max(
            _best_of_each_length(log_probs, start, end, longest),
            key=lambda words: key(words, mean_log_prob(words, log_probs, start)),
        )

    return formula


MISTAKES = (
    Mistake(
        _greedy,
        "This is greedy search: the likeliest word may lead to where every continuation is bad. "
        "Keep several beginnings.",
    ),
    Mistake(
        _best_by(lambda words, mean: mean * len(words)),
        "These have the largest sum. Each word makes the sum smaller, so it prefers short "
        "sentences: divide by the number of words before you compare sentences.",
    ),
    Mistake(
        _best_by(lambda words, mean: mean * len(words) / max(1, len(words) - 1)),
        "The sum was divided by the number of words without end. The end is a word like the "
        "others: count it.",
    ),
    Mistake(
        _best_by(lambda words, mean: len(words)),
        "All sentences are as long as allowed. A sentence may end earlier: compare those of all "
        "lengths.",
    ),
    Mistake(
        _best_by(lambda words, mean: -mean),
        "These are the worst of the best sentences of each length: take the largest mean.",
    ),
)
_ADVICE = (
    "Beginnings were dropped too early, or sentences are compared before all lengths are known. "
    "The table looks one word back only: of all beginnings of one length that end with the same "
    "word, only the best can be part of the best sentence."
)
