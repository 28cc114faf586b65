"""Scores for sentences and answers: BLEU, ROUGE-L, CIDEr-D, and the accuracy of VQA.

A sentence is a list of words, split and lowered as the caller likes: scores of two papers can only
be compared where both split in the same way. Every argument may be an iterator. The first three
equal what ``pycocoevalcap``, the captioning challenge's own scorer, gives for the same words
(METEOR needs Java and is left out). CIDEr-D is what that scorer, and so nearly every paper, prints
as "CIDEr".

Sources: K. Papineni et al., ACL 2002 (BLEU); C.-Y. Lin, 2004 (ROUGE-L); R. Vedantam et al.,
CVPR 2015 (CIDEr-D); S. Antol et al., ICCV 2015, and the evaluation program of github.com/
GT-Vision-Lab/VQA in its version of 11 March 2021, a013f00 (VQA).
"""

import math
import operator
import re
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate, chain

import torch
from torch import Tensor

from mmlib.shapes import check_whole

Sentence = Iterable[str]

_TINY, _SMALL = 1e-15, 1e-9  # BLEU's, as in the challenge's scorer
_ROUGE_BETA = 1.2  # recall counts a little more than precision, as in the challenge's scorer
_MARKS = ';/[]"{}()=+\\_-><@`,?!'  # punctuation, but for apostrophe, colon and full stop
_ARTICLES = {"a", "an", "the"}
_NUMBERS = "zero one two three four five six seven eight nine ten"
_DIGITS = {"none": "0", **{word: str(number) for number, word in enumerate(_NUMBERS.split())}}
_CONTRACTIONS = (  # those whose spelling without an apostrophe is no other word
    "ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've "
    "hasn't haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am "
    "might've mightn't mightn't've must've mustn't needn't not've o'clock oughtn't 'ow's'at "
    "shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's "
    "someone'd someone'd've someone'll someone's something'd something'd've something'll that's "
    "there'd there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't "
    "we'd've we've weren't what'll what're what's what've when's where'd where's where've who'd "
    "who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've y'all "
    "y'all'd've y'all'll you'd you'd've you'll you're you've"
)
_MISSPELT = (
    {  # one apostrophe left out → the contraction
        word[:place] + word[place + 1 :]: word
        for word in _CONTRACTIONS.split()
        for place, letter in enumerate(word)
        if letter == "'"
    }
    | {"somebody'd": "somebodyd"}
)  # a slip of the official table


def bleu(
    candidates: Iterable[Sentence], references: Iterable[Iterable[Sentence]], *, order: int = 4
) -> tuple[float, ...]:
    """Return BLEU-1 to BLEU-``order`` of a whole corpus, each between 0 and 1.

    BLEU-n is the geometric mean of the shares of a candidate's 1-grams to n-grams that a reference
    has too (a word counts as often as the reference that has it most), times exp(1 - r / c) where
    the candidates' c words are fewer than r: the words of the references closest in length, the
    shorter one if two are as close. The scorer adds 1e-15 to what is shared and 1e-9 to what is
    offered, and so does this: where every candidate is shorter than n words, the share is 1e-6 and
    not 0 / 0, so that BLEU-4 of captions of three right words is 0.03.

    Args:
        candidates: for each picture one sentence; it may be empty.
        references: for each picture its true sentences, one or more.
        order: the longest n-gram.

    Raises:
        TypeError: a sentence is one string or ``None`` and not a list of words.
        ValueError: the numbers of pictures differ or are 0, a picture has no reference, a
            reference has no word, or ``order`` is below 1.
    """
    candidates, references = _word_lists(candidates, references)
    _check_order(order)
    shared, offered = [0] * order, [0] * order
    words = closest = 0
    for candidate, truths in zip(candidates, references, strict=True):
        words += len(candidate)
        closest += min((abs(len(true) - len(candidate)), len(true)) for true in truths)[1]
        for n in range(order):
            seen = _ngrams(candidate, n + 1)
            known: Counter = Counter()
            for true in truths:
                known |= _ngrams(true, n + 1)
            shared[n] += (seen & known).total()
            offered[n] += seen.total()
    brevity = min(1.0, math.exp(1 - (closest + _SMALL) / (words + _TINY)))
    pairs = zip(shared, offered, strict=True)
    products = accumulate(((s + _TINY) / (o + _SMALL) for s, o in pairs), operator.mul)
    return tuple(brevity * product ** (1 / n) for n, product in enumerate(products, start=1))


def rouge_l(candidates: Iterable[Sentence], references: Iterable[Iterable[Sentence]]) -> Tensor:
    """Return ROUGE-L of each picture, float64 (pictures,), 0 to 1; a corpus has their mean.

    With the longest common subsequence of candidate and reference, l words long: precision
    P = l / candidate's words, recall R = l / reference's words, each the best over the references;
    the score is (1 + 1.2²) P R / (R + 1.2² P).

    Args and Raises: as ``bleu``.
    """
    candidates, references = _word_lists(candidates, references)
    scores = []
    for candidate, truths in zip(candidates, references, strict=True):
        common = [_longest_common(candidate, true) for true in truths]
        precision = max(common) / max(1, len(candidate))
        recall = max(c / len(true) for c, true in zip(common, truths, strict=True))
        weight = _ROUGE_BETA**2
        below = recall + weight * precision
        scores.append((1 + weight) * precision * recall / below if below else 0.0)
    return torch.tensor(scores, dtype=torch.float64)


def cider_d(
    candidates: Iterable[Sentence],
    references: Iterable[Iterable[Sentence]],
    *,
    order: int = 4,
    sigma: float = 6.0,
) -> Tensor:
    """Return CIDEr-D of each picture, float64 (pictures,), 0 to 10; a corpus has their mean.

    A sentence is a vector of its n-grams' counts, each times log(pictures / pictures one of whose
    references has it): what everybody says of every picture counts nothing. The score is the
    cosine of candidate and reference with the candidate's weights clipped to the reference's,
    times exp(-(difference in words)² / (2 sigma²)), averaged over n and the references, times 10.

    Args:
        candidates: for each picture one sentence; it may be empty.
        references: for each picture its true sentences, one or more.
        order: the longest n-gram.
        sigma: of the penalty for a different length, in words.

    Raises:
        TypeError, ValueError: as ``bleu``; also with less than two pictures, where every n-gram
        is in all of them, and with ``sigma`` not above 0.
    """
    candidates, references = _word_lists(candidates, references)
    _check_order(order)
    if len(candidates) < 2 or not sigma > 0:
        raise ValueError(
            f"CIDEr-D got {len(candidates)} pictures and sigma {sigma}: it needs 2 pictures or "
            "more, over which n-grams are rare or common, and sigma above 0"
        )
    scores = torch.zeros(len(candidates), dtype=torch.float64)
    for n in range(1, order + 1):
        counted = [[_ngrams(true, n) for true in truths] for truths in references]
        pictures_with = Counter(chain.from_iterable(set().union(*truths) for truths in counted))
        for i, candidate in enumerate(candidates):
            generated = _weigh(_ngrams(candidate, n), pictures_with, len(candidates))
            for words, true in zip(references[i], counted[i], strict=True):
                near = math.exp(-((len(candidate) - len(words)) ** 2) / (2 * sigma**2))
                cosine = _clipped_cosine(generated, _weigh(true, pictures_with, len(candidates)))
                scores[i] += 10 * near * cosine / (order * len(references[i]))
    return scores


def vqa_accuracy(predictions: Iterable[str], answers: Iterable[Iterable[str]]) -> Tensor:
    """Return the official VQA accuracy of each question, float64 (questions,), 0 to 1.

    An answer is right as far as people gave it: min(people who gave it / 3, 1). So that a person
    can be scored in the same way, against the nine others, it is averaged over leaving each of
    the ten out: with n of 10, that is (n min((n-1)/3, 1) + (10-n) min(n/3, 1)) / 10.

    Answers are compared after ``normalise_answer``, those of the people and the model's alike; but
    where all people gave the very same answer, all are compared letter by letter, white space at
    the ends aside: the scorer does so since 2021. (Before, it normalised the model's answer always
    and of the people's only the punctuation, as their answers in its files are normalised already.)

    Args:
        predictions: for each question the model's answer.
        answers: for each question the people's answers: 10 in the official data, 4 or more here.

    Raises:
        TypeError: the answers of a question are one string, or an answer is not a string.
        ValueError: the numbers of questions differ or are 0, or a question has too few answers.
    """
    predictions, answers = list(predictions), list(answers)
    _check_pairs(predictions, answers, "questions")
    scores = []
    for prediction, given in zip(predictions, answers, strict=True):
        if isinstance(given, str):
            raise TypeError(f"the answers {given!r} are one string: give a list, one a person")
        prediction, *given = map(_without_breaks, (prediction, *given))
        if len(given) < 4:
            raise ValueError(
                f"a question has {len(given)} answers, it needs 4 or more: an answer is right when "
                "3 of the other people gave it"
            )
        if len(set(given)) > 1:
            prediction, *given = map(normalise_answer, (prediction, *given))
        people, agree = len(given), given.count(prediction)
        left_out = agree * min((agree - 1) / 3, 1) + (people - agree) * min(agree / 3, 1)
        scores.append(left_out / people)
    return torch.tensor(scores, dtype=torch.float64)


def normalise_answer(answer: str) -> str:
    """Return ``answer`` as the VQA evaluation compares it: ``"The two dogs."`` → ``"2 dogs"``.

    Lower case; no punctuation but apostrophe, colon and decimal point; no articles; number words
    up to ten as digits (``none`` is 0); a missing apostrophe put back (``dont`` → ``don't``). As
    in the official code, a mark becomes a space, or nothing where the answer has the same mark
    next to a space or a comma between digits (``1,000`` → ``1000``).
    """
    text = _without_breaks(answer)
    thousands = re.search(r"\d,\d", text)
    plain = text
    for mark in _MARKS:
        beside_space = f"{mark} " in text or f" {mark}" in text
        plain = plain.replace(mark, "" if beside_space or thousands else " ")
    plain = re.sub(r"\.(?!\d)", "", plain, count=32)  # the official code's number
    words = [_DIGITS.get(word, word) for word in plain.lower().split()]
    return " ".join(_MISSPELT.get(word, word) for word in words if word not in _ARTICLES)


def _without_breaks(answer: str) -> str:
    if not isinstance(answer, str):
        raise TypeError(f"the answer {answer!r} is not a string: drop the question or say ''")
    return answer.replace("\n", " ").replace("\t", " ").strip()


def _ngrams(words: list[str], n: int) -> Counter[tuple[str, ...]]:
    """Count the runs of ``n`` words."""
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


def _longest_common(first: list[str], second: list[str]) -> int:
    """Return the length of the longest common subsequence, row by row of its table."""
    row = [0] * (len(second) + 1)
    for word in first:
        above = row
        row = [0]
        for j, other in enumerate(second):
            row.append(above[j] + 1 if word == other else max(row[j], above[j + 1]))
    return row[-1]


def _weigh(counts: Counter, pictures_with: Counter, pictures: int) -> dict[tuple, float]:
    """Return count times log(pictures / pictures with the n-gram); an unseen one is in one."""
    return {
        ngram: count * math.log(pictures / max(1, pictures_with[ngram]))
        for ngram, count in counts.items()
    }


def _clipped_cosine(found: dict[tuple, float], true: dict[tuple, float]) -> float:
    lengths = math.hypot(*found.values()) * math.hypot(*true.values())
    shared = sum(
        min(weight, true.get(ngram, 0)) * true.get(ngram, 0) for ngram, weight in found.items()
    )
    return shared / lengths if lengths else 0.0


def _check_pairs(first: list, second: list, items: str) -> None:
    if len(first) != len(second) or len(first) == 0:
        raise ValueError(
            f"there are {len(first)} and {len(second)} {items}: both need the same number, "
            "in the same order, and 1 or more"
        )


def _word_lists(
    candidates: Iterable[Sentence], references: Iterable[Iterable[Sentence]]
) -> tuple[list[list[str]], list[list[list[str]]]]:
    """Return both as lists of words, or raise where they cannot be scored."""
    candidates, references = list(candidates), list(references)
    _check_pairs(candidates, references, "pictures")
    for i, truths in enumerate(references):
        candidates[i] = _words(candidates[i], i)
        references[i] = [_words(true, i) for true in _listed(truths, i)]
        if not references[i] or not all(references[i]):
            raise ValueError(f"picture {i} has no reference, or one without a word: drop it")
    return candidates, references


def _words(sentence: Sentence, picture: int) -> list[str]:
    words = _listed(sentence, picture)
    for word in words:
        if not isinstance(word, str):
            raise TypeError(f"picture {picture} has the word {word!r}, which is not a string")
    return words


def _listed(items: Iterable, picture: int) -> list:
    if isinstance(items, str):
        raise TypeError(f"{items!r} of picture {picture} is one string: split it into words")
    if not isinstance(items, Iterable):
        raise TypeError(f"{items!r} of picture {picture} is not a list of words: drop it")
    return list(items)


def _check_order(order: int) -> None:
    check_whole(order, name="order")
