"""Homework on questions about pictures: from a prior that does not look to one's own model.

The references are numpy's, written apart from ``mmlib.vision_text.vqa``; the tests hold them equal
to torch's layers and autograd and to the definitions. The mistakes that the hints explain stand in
``_vqa_mistakes`` and ``_fusion_mistakes``.
"""

from collections import Counter
from functools import partial

import numpy as np

from mmlib.homework.chapters import _fusion_mistakes as fusion_mistakes
from mmlib.homework.chapters import _vqa_mistakes as mistakes
from mmlib.homework.classifying import judge_classes
from mmlib.homework.comparing import compare
from mmlib.homework.exercises import Case, Exercise

WORLDS, ASKED, PAIRS = 2, 500, 100  # of the open exercise; examples to learn from, pairs to answer
FACTS = 7  # what one can ask about a picture there
ENOUGH = 0.85  # share of the answers that must be right there
_ANSWERS = ["yes", "no", "two", "red", "a bird"]


def _majority_by_type(types: np.ndarray, answers: np.ndarray, new_types: np.ndarray) -> np.ndarray:
    """Return the most frequent answer of each new question's type, (new questions,)."""
    everywhere = np.bincount(answers).argmax()
    seen = {kind: np.bincount(answers[types == kind]).argmax() for kind in np.unique(types)}
    return np.array([seen.get(kind, everywhere) for kind in new_types])


def _vqa_accuracy(answer: str, humans: list[str]) -> float:
    """Return the mean over the people left out of min(1, agreeing others / 3)."""
    others = [humans[:i] + humans[i + 1 :] for i in range(len(humans))]
    return float(np.mean([min(1, Counter(group)[answer] / 3) for group in others]))


def _film(
    grid: np.ndarray, question: np.ndarray, to_scale: np.ndarray, to_shift: np.ndarray
) -> np.ndarray:
    """Return the modulated grid after a ReLU, (channels, rows, columns)."""
    deviation = np.sqrt(grid.var(axis=(1, 2), keepdims=True) + 1e-5)
    normal = (grid - grid.mean(axis=(1, 2), keepdims=True)) / deviation
    scale, shift = ((question @ table)[:, None, None] for table in (to_scale, to_shift))
    return np.maximum(0, (1 + scale) * normal + shift)


def _stacked_attention(
    grid: np.ndarray,
    question: np.ndarray,
    to_grid: np.ndarray,
    to_question: np.ndarray,
    to_score: np.ndarray,
) -> np.ndarray:
    """Return the question with what was seen in every hop added to it, (dim,)."""
    for by_cell, by_question, by_score in zip(to_grid, to_question, to_score, strict=True):
        scores = np.tanh(grid @ by_cell + question @ by_question) @ by_score
        weights = np.exp(scores - scores.max())
        question = question + weights / weights.sum() @ grid
    return question


def _fusion_gradient(
    pictures: np.ndarray,
    questions: np.ndarray,
    to_picture: np.ndarray,
    to_question: np.ndarray,
    upstream: np.ndarray,
) -> np.ndarray:
    """Return the loss's gradient by ``to_picture``; ``upstream`` is the one by the product."""
    seen, read = np.tanh(pictures @ to_picture), np.tanh(questions @ to_question)
    return pictures.T @ (upstream * read * (1 - seen**2))


def _majority_by_type_cases(rng: np.random.Generator) -> list[Case]:
    """Each type has its own favourite; one type has two, and one is not in training."""
    cases = []
    for kinds, count in ((3, 30), (5, 60), (4, 80)):
        favourites = rng.choice(np.arange(2, 9), kinds, replace=False)
        types = rng.integers(kinds, size=count)
        lucky = rng.random(count) < 0.6
        answers = np.where(lucky, favourites[types], rng.integers(10, size=count))
        low, high = np.sort(rng.choice(10, 2, replace=False))
        twice = [high, low, low, high] if kinds < 5 else [low, high, high, low]
        types, answers = np.append(types, [kinds] * 4), np.append(answers, twice)
        new_types = rng.permutation(np.append(rng.integers(kinds, size=20), [kinds, kinds + 1] * 2))
        inputs = {"types": types, "answers": answers, "new_types": new_types}
        cases.append(Case(inputs, _majority_by_type(**inputs)))
    return cases


def _vqa_accuracy_cases(rng: np.random.Generator) -> list[Case]:
    """The answer was given by nobody, by each number of people up to five, and by all ten."""
    cases = []
    for given in (0, 1, 2, 3, 4, 5, 10):
        answer, *others = map(str, rng.permutation(_ANSWERS))
        humans = [answer] * given + [str(word) for word in rng.choice(others, 10 - given)]
        inputs = {"answer": answer, "humans": [str(word) for word in rng.permutation(humans)]}
        cases.append(Case(inputs, _vqa_accuracy(**inputs)))
    return cases


def _film_cases(rng: np.random.Generator) -> list[Case]:
    cases = []
    for channels, dim, rows, columns in ((3, 4, 2, 3), (4, 4, 3, 3), (5, 3, 4, 2)):
        size, offset = rng.uniform(0.5, 3, (2, channels, 1, 1))
        to_scale, to_shift = rng.normal(size=(2, dim, channels)) * 0.6
        inputs = {"grid": offset + size * rng.normal(size=(channels, rows, columns))}
        inputs |= {"question": rng.normal(size=dim), "to_scale": to_scale, "to_shift": to_shift}
        cases.append(Case(inputs, _film(**inputs)))
    return cases


def _stacked_attention_cases(rng: np.random.Generator) -> list[Case]:
    """All sizes but the number of cells and of hops are equal: a swap changes no shape."""
    cases = []
    for hops, cells, dim in ((1, 5, 3), (2, 6, 4), (3, 9, 4)):
        to_grid, to_question = rng.normal(size=(2, hops, dim, dim))
        inputs = {"grid": rng.normal(size=(cells, dim)), "question": rng.normal(size=dim)}
        inputs |= {"to_grid": to_grid, "to_question": to_question}
        inputs["to_score"] = 2 * rng.normal(size=(hops, dim))
        cases.append(Case(inputs, _stacked_attention(**inputs)))
    return cases


def _fusion_gradient_cases(rng: np.random.Generator) -> list[Case]:
    """Pictures and questions are as long as each other: a swap changes no shape."""
    cases = []
    for batch, dim, hidden in ((1, 3, 4), (5, 4, 4), (8, 5, 3)):
        pictures, questions = rng.normal(size=(2, batch, dim))
        to_picture, to_question = rng.normal(size=(2, dim, hidden)) * 0.6
        inputs = {"pictures": pictures, "questions": questions}
        inputs |= {"to_picture": to_picture, "to_question": to_question}
        inputs["upstream"] = rng.normal(size=(batch, hidden))
        cases.append(Case(inputs, _fusion_gradient(**inputs)))
    return cases


def _answer_questions_cases(rng: np.random.Generator) -> list[Case]:
    """A picture shows or lacks each fact, a question asks for one; most questions have a habit."""
    cases = []
    for _ in range(WORLDS):
        shown, asked = rng.normal(size=(FACTS, 20)), rng.normal(size=(FACTS, 10))
        habit = rng.permutation(
            [0.2, 0.8, 0.2, 0.8, 0.25, 0.75, 0.5]
        )  # how often the answer is yes
        facts = (rng.random((ASKED, FACTS)) < habit).astype(int)
        about = rng.integers(FACTS, size=ASKED)
        new_about = np.tile(rng.integers(FACTS, size=PAIRS), 2)
        new_facts = rng.integers(2, size=(2 * PAIRS, FACTS))
        first, second = np.arange(PAIRS), np.arange(PAIRS) + PAIRS
        new_facts[second, new_about[second]] = 1 - new_facts[first, new_about[first]]
        order = rng.permutation(2 * PAIRS)
        new_about, new_facts = new_about[order], new_facts[order]
        inputs = {
            "pictures": _blurred((2 * facts - 1) @ shown, rng),
            "questions": _blurred(asked[about], rng),
            "answers": facts[np.arange(ASKED), about],
            "new_pictures": _blurred((2 * new_facts - 1) @ shown, rng),
            "new_questions": _blurred(asked[new_about], rng),
        }
        cases.append(Case(inputs, new_facts[np.arange(2 * PAIRS), new_about]))
    return cases


def _blurred(vectors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return vectors + 0.3 * rng.normal(size=vectors.shape)


EXERCISES = (
    Exercise(
        "majority_by_type",
        "Answer without looking",
        1,
        _majority_by_type_cases,
        partial(compare, mistakes=mistakes.MAJORITY_BY_TYPE),
    ),
    Exercise(
        "vqa_accuracy",
        "Ten people, one answer",
        2,
        _vqa_accuracy_cases,
        partial(compare, mistakes=mistakes.VQA_ACCURACY),
    ),
    Exercise(
        "film",
        "The question turns the knobs",
        2,
        _film_cases,
        partial(compare, mistakes=fusion_mistakes.FILM),
    ),
    Exercise(
        "stacked_attention",
        "Look, and look again",
        3,
        _stacked_attention_cases,
        partial(compare, mistakes=fusion_mistakes.STACKED_ATTENTION),
    ),
    Exercise(
        "fusion_gradient",
        "Two streams that gate each other",
        3,
        _fusion_gradient_cases,
        partial(compare, mistakes=fusion_mistakes.FUSION_GRADIENT),
    ),
    Exercise(
        "answer_questions",
        "A model of your own",
        5,
        _answer_questions_cases,
        partial(
            judge_classes,
            enough=ENOUGH,
            mistakes=mistakes.ANSWER_QUESTIONS,
            advice=mistakes.ADVICE,
        ),
    ),
)
