"""What goes wrong with priors, scores and models of questions, and the sentence that helps."""

from collections.abc import Callable

import numpy as np

from mmlib.homework.comparing import Mistake


def _most(answers: np.ndarray) -> int:
    return int(np.bincount(answers).argmax())


def _by_type(
    favourite: Callable[[np.ndarray], int] = _most,
    unseen: Callable[[np.ndarray], int] = _most,
) -> Callable[..., np.ndarray]:
    """Return the prior with another favourite of a type, or of a type never seen."""

    def formula(types, answers, new_types):
        return np.array(
            [
                favourite(answers[types == kind]) if kind in types else unseen(answers)
                for kind in new_types
            ]
        )

    return formula


def _last_of_equals(answers: np.ndarray) -> int:
    counts = np.bincount(answers)
    return int(np.flatnonzero(counts == counts.max())[-1])


def _rarest(answers: np.ndarray) -> int:
    kinds, counts = np.unique(answers, return_counts=True)
    return int(kinds[counts.argmin()])


def _first_met(answers: np.ndarray) -> int:
    kinds, places, counts = np.unique(answers, return_index=True, return_counts=True)
    return int(min(zip(-counts, places, kinds, strict=True))[2])


MAJORITY_BY_TYPE = (
    Mistake(
        _by_type(unseen=lambda answers: 0),
        "Right but for types that were never seen: for these answer what is most frequent overall.",
    ),
    Mistake(
        _by_type(favourite=_first_met),
        "Where two answers are equally frequent the one that came first was taken: take the "
        "smaller number.",
    ),
    Mistake(
        _by_type(favourite=_last_of_equals),
        "Wrong where two answers are equally frequent: take the smaller number.",
    ),
    Mistake(
        lambda types, answers, new_types: np.full(len(new_types), _most(answers)),
        "Every question got the same answer: count within each type. 'How many' is seldom answered "
        "with yes.",
    ),
    Mistake(
        _by_type(favourite=_rarest),
        "This is the rarest answer of each type: take the most frequent.",
    ),
    Mistake(
        _by_type(lambda answers: int(np.bincount(answers).max())),
        "These are counts, how often the favourite was given: return the answer itself.",
    ),
    Mistake(
        _by_type(lambda answers: round(float(answers.mean()))),
        "The answers were averaged. They are names, not amounts: there is nothing between 'red', "
        "3, and 'two', 5.",
    ),
    Mistake(
        lambda types, answers, new_types: _by_type()(types, answers, types),
        "These are answers to the questions of the training set: answer the new ones.",
    ),
)


def _accuracy(
    share: Callable[[float], float] = lambda count: min(1, count / 3), *, left_out: int = 1
) -> Callable[..., float]:
    """Return the mean, over the people, of ``share`` of how many of the others agree."""

    def formula(answer, humans):
        same = np.array([human == answer for human in humans])
        return float(np.mean([share(same.sum() - left_out * is_same) for is_same in same]))

    return formula


def _plainly_official(answer: str, humans: list[str]) -> float:
    return min(1.0, humans.count(answer) / 3)


def _agreeing_only(answer: str, humans: list[str]) -> float:
    count = humans.count(answer)
    return min(1.0, (count - 1) / 3) if count else 0.0


VQA_ACCURACY = (
    Mistake(
        _plainly_official,
        "This is min(n / 3, 1) with all ten people. The official score leaves each person out in "
        "turn, takes it for the other nine, and averages: three who agree are not quite enough.",
    ),
    Mistake(
        lambda answer, humans: humans.count(answer) / len(humans),
        "This is the share of people who agree: three others are enough for full marks.",
    ),
    Mistake(
        lambda answer, humans: float(answer in humans),
        "One person who agrees is a third of a point only.",
    ),
    Mistake(
        lambda answer, humans: float(max(humans, key=humans.count) == answer),
        "Only the most frequent answer counts here: several answers may be right, as far as "
        "people give them.",
    ),
    Mistake(
        _accuracy(lambda count: count / 3),
        "The score is not limited: with more than three others who agree it stays at 1.",
    ),
    Mistake(
        _accuracy(lambda count: float(count >= 3)),
        "Fewer than three others count for nothing here: one is worth a third, two are two thirds.",
    ),
    Mistake(
        _agreeing_only,
        "One person was left out, and always one who agrees: leave out each of the ten in turn, "
        "and average.",
    ),
    Mistake(
        lambda answer, humans: _accuracy()(answer, humans) * 10 / 9,
        "The sum over ten people was divided by nine: each of the ten is left out once.",
    ),
)


def _ridge(inputs: np.ndarray, answers: np.ndarray, new_inputs: np.ndarray) -> np.ndarray:
    """Return 1 where a linear function, fitted to −1 and 1, is positive."""
    with_one, new_with_one = (
        np.hstack([rows, np.ones((len(rows), 1))]) for rows in (inputs, new_inputs)
    )
    square = with_one.T @ with_one + np.eye(with_one.shape[1])
    weights = np.linalg.solve(square, with_one.T @ (2 * answers - 1))
    return (new_with_one @ weights > 0).astype(int)


def _outer(pictures: np.ndarray, questions: np.ndarray) -> np.ndarray:
    return np.einsum("np,nq->npq", pictures, questions).reshape(len(pictures), -1)


def _turned(pictures, questions, answers, new_pictures, new_questions):
    return _ridge(_outer(pictures, questions), 1 - answers, _outer(new_pictures, new_questions))


ANSWER_QUESTIONS = (
    Mistake(
        lambda pictures, questions, answers, new_pictures, new_questions: _ridge(
            questions, answers, new_questions
        ),
        "The answers follow the questions alone. In training most questions have a habitual "
        "answer; here each stands beside two pictures, and the answers differ. Look at the "
        "pictures.",
    ),
    Mistake(
        lambda pictures, questions, answers, new_pictures, new_questions: _ridge(
            pictures, answers, new_pictures
        ),
        "The answers follow the pictures alone: what is asked must say what counts.",
    ),
    Mistake(
        lambda pictures, questions, answers, new_pictures, new_questions: _ridge(
            np.hstack([pictures, questions]), answers, np.hstack([new_pictures, new_questions])
        ),
        "Picture and question are added, side by side: then a picture moves the answer the same "
        "way whatever is asked. Multiply features of the one by features of the other.",
    ),
    Mistake(
        _turned,
        "The answers are the wrong way round: 1 is yes.",
    ),
)
ADVICE = (
    "Everything that matters is in products of a picture's number and a question's number. Try all "
    "of them, np.einsum('np,nq->npq', pictures, questions), with a linear classifier whose weights "
    "are kept small."
)
