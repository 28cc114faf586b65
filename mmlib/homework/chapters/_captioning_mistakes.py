"""What goes wrong with shifted captions and their loss, and the sentence that helps."""

from collections.abc import Callable

import numpy as np

from mmlib.homework.comparing import Mistake


def _padded(
    rows: list[list[int]], pad: int, *, front: bool = False, least: int | None = None
) -> np.ndarray:
    """Return the rows as one array, filled up or cut to the same length."""
    length = max(map(len, rows)) if least is None else least
    fill = [[pad] * (length - len(row)) for row in rows]
    both = ((f + row if front else row + f)[:length] for row, f in zip(rows, fill, strict=True))
    return np.array(list(both))


def _rows(captions: list, start: int, end: int) -> tuple[list, list]:
    return [[start, *words] for words in captions], [[*words, end] for words in captions]


def _pair(make: Callable[..., tuple]) -> Callable[..., np.ndarray]:
    """Return the formula that stacks what ``make(inputs, targets, start, end, pad)`` gives."""

    def formula(captions, start, end, pad):
        return np.stack(make(*_rows(captions, start, end), start, end, pad))

    return formula


def _sliced(captions, start, end, pad):
    whole = _padded([[start, *words, end] for words in captions], pad)
    return np.stack([whole[:, :-1], whole[:, 1:]])


def _end_last(captions, start, end, pad):
    words = _padded(captions, pad)
    marks = np.full((2, len(words), 1), [[[start]], [[end]]])
    return np.stack([np.hstack([marks[0], words]), np.hstack([words, marks[1]])])


def _shortest(inputs, targets, start, end, pad):
    least = min(map(len, inputs))
    return tuple(_padded(rows, pad, least=least) for rows in (inputs, targets))


TEACHER_FORCING = (
    Mistake(
        _sliced,
        "The end stands among the inputs of short captions: it came in when whole rows were "
        "sliced. After the last word nothing is read, so pad stands there.",
    ),
    Mistake(
        _end_last,
        "The padding stands before the end: put end right behind the last word, then the padding.",
    ),
    Mistake(
        _pair(lambda read, say, start, end, pad: (_padded(read, pad), _padded(read, pad))),
        "Inputs and targets are the same: the decoder would only copy what it reads. Each target "
        "is the word after its input.",
    ),
    Mistake(
        _pair(lambda read, say, start, end, pad: (_padded(say, pad), _padded(read, pad))),
        "The two arrays are swapped: what is read begins with start, what is to be said ends with "
        "end.",
    ),
    Mistake(
        _pair(
            lambda read, say, start, end, pad: (
                _padded([row[:-1] for row in read], pad),
                _padded([row[:-1] for row in say], pad),
            )
        ),
        "The last column is missing: the decoder never learns to say end, so it would never stop.",
    ),
    Mistake(
        _pair(lambda read, say, start, end, pad: (_padded(read, end), _padded(say, end))),
        "The rows are filled up with end: fill them with pad, so that the loss can tell the end, "
        "which counts, from padding, which does not.",
    ),
    Mistake(
        _pair(
            lambda read, say, start, end, pad: (
                _padded(read, pad, front=True),
                _padded(say, pad, front=True),
            )
        ),
        "The padding stands in front: put it behind, so that every row begins with start.",
    ),
    Mistake(
        _pair(_shortest),
        "The captions were cut to the shortest one: make the rows as long as the longest needs.",
    ),
)


def _log_softmax(logits: np.ndarray, axis: int = 2) -> np.ndarray:
    logits = logits - logits.max()
    return logits - np.log(np.exp(logits).sum(axis=axis, keepdims=True))


def _picked(table: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.take_along_axis(table, targets[..., None], axis=2)[..., 0]


def _loss(reduce: Callable[[np.ndarray, np.ndarray], float], axis: int = 2) -> Callable:
    """Return the loss with another way from (batch, time) losses and mask to one number."""

    def formula(logits, targets, pad):
        return reduce(-_picked(_log_softmax(logits, axis), targets), targets != pad)

    return formula


def _of_probability(logits, targets, pad):
    return 1 - np.exp(_picked(_log_softmax(logits), targets))[targets != pad].mean()


def _masked_logits(logits, targets, pad):
    mask = targets != pad
    return -_picked(_log_softmax(logits * mask[..., None]), targets).sum() / mask.sum()


CAPTION_LOSS = (
    Mistake(
        _loss(lambda losses, mask: losses.mean()),
        "Padding counts as words: the decoder would be praised for saying pad. Leave out the "
        "places where the target is pad.",
    ),
    Mistake(
        _loss(lambda losses, mask: (losses * mask).mean()),
        "The padding's loss is 0, but its places are still counted: divide by the number of real "
        "words, not by all places.",
    ),
    Mistake(
        _loss(lambda losses, mask: ((losses * mask).sum(1) / mask.sum(1)).mean()),
        "Each caption was averaged first, so that a word of a short caption counts more. Take one "
        "mean over all words of the batch.",
    ),
    Mistake(
        _loss(lambda losses, mask: losses[mask].sum() / len(mask)),
        "The sum was divided by the number of captions: divide by the number of words.",
    ),
    Mistake(
        _loss(lambda losses, mask: losses[mask].sum()),
        "This is the sum over the words: return their mean.",
    ),
    Mistake(
        _loss(lambda losses, mask: losses[mask].mean(), axis=1),
        "The softmax runs over time: it must run over the words of the vocabulary, the last axis.",
    ),
    Mistake(
        _masked_logits,
        "The logits of the padding were set to 0, which is no mask: equal logits are a guess, and "
        "it costs ln(vocab). Leave those places out of the mean.",
    ),
    Mistake(
        _of_probability,
        "The logarithm is missing: this is 1 minus the mean probability.",
    ),
    Mistake(
        _loss(lambda losses, mask: -losses[mask].mean()),
        "The sign is wrong: a loss is minus the logarithm.",
    ),
)
