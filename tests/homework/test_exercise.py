"""What an exercise says: one line, right or with a hint."""

import io
import sys

import numpy as np
import pytest
import torch

from mmlib.homework import wire
from mmlib.homework.exercise import check, exercise, load, scored


@exercise(
    points=2,
    title="Mean",
    inputs=lambda rng: [{"x": rng.normal(size=n) + 3} for n in (2, 3, 5)],
    hints={
        "Divided by n - 1.": {"less": 1},
        "The largest value is no mean.": lambda x: x.max(),
        "Divided by zero.": {"less": np.inf},
    },
)
def mean(x, *, less=0):
    return x.sum() / (len(x) - less) if np.isfinite(less) else x.sum() * np.nan


@exercise(points=1, title="Both", inputs=lambda rng: [{"x": rng.normal(size=(2, 3))}])
def both(x):
    return x.sum(axis=0), len(x)


@exercise(points=1, title="Pair", inputs=lambda rng: [{"x": rng.normal(size=3)}])
def pair(x):
    return x, 2 * x


@exercise(points=1, title="Double", inputs=lambda rng: [{"x": rng.normal(size=(2, 3))}])
def double(x):
    return 2 * x


def verdict(item, function):
    cases = item.inputs(np.random.default_rng(0))
    answers = [wire.plain(function(*item.arguments(case))) for case in cases]
    return item.verdict(cases, wire.loads(wire.dumps(answers)))


@pytest.mark.parametrize(
    ("item", "function", "said"),
    [
        (mean, np.mean, None),
        (mean, lambda x: x.sum() / (len(x) - 1), "Divided by n - 1."),
        (mean, np.max, "The largest value is no mean."),
        (mean, lambda x: np.nan, "Divided by zero."),  # NaN where the mistake gives NaN
        (mean, lambda x: 3 * np.mean(x), "Right up to a constant: every wrong value is 3 times"),
        (mean, lambda x: x, "to mean(x=<array (2,)>) has shape (2,), it should have shape ()"),
        (mean, lambda x: np.mean(x) + 1j, "has type complex128, it should be real"),
        (mean, lambda x: np.mean(x) if len(x) > 2 else np.inf, "holds NaN or infinite values"),
        (mean, lambda x: np.mean(x) + (len(x) == 5), "<array (5,)>) is "),
        (mean, lambda x: None, "mean(x=<array (2,)>) returned None"),
        (mean, lambda x: "3", "is not made of numbers"),
        (double, lambda x: 2 * x.T, "has its axes swapped: transpose it to shape (2, 3)"),
        (double, lambda x: (2 * x).tolist(), None),
        (double, lambda x: torch.tensor(2 * x), None),
        (both, lambda x: [x.sum(axis=0), 2], None),
        (both, lambda x: (x.sum(axis=0), 2.0), "Value 2 of the answer to both(x=<array (2, 3)>)"),
        (both, lambda x: x.sum(axis=0), "must be 2 arrays"),
        (both, lambda x: 2, "must be 2 arrays"),
        (pair, lambda x: np.stack([x, 2 * x]), None),  # its rows are the two
    ],
)
def test_the_verdict_names_the_mistake_or_describes_it(item, function, said):
    answer = verdict(item, function)
    assert answer is None if said is None else said in answer


def test_some_answers_may_be_right_beside_a_known_mistake():
    assert verdict(mean, lambda x: np.mean(x) if len(x) < 5 else x.max()) == (
        "The largest value is no mean."
    )


@exercise(
    points=3,
    title="Sign",
    inputs=lambda rng: [{"x": rng.normal(size=40), "truth": 1} for _ in range(5)],
    judge=scored(
        at_least=0.9,
        measure=lambda case, answer: answer == (case["x"] > 0),
        baselines={"All the same.": {"least": np.inf}},
        advice="Look at x.",
    ),
)
def sign(x, *, least=0):
    return (x > least).astype(int)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: x > 0, "has type bool, it should be whole"),
        (lambda x: (x > 0).astype(int), None),
        (lambda x: (x > 0.02).astype(int), None),  # enough is enough
        (lambda x: np.zeros(len(x), int), "are right, 90% are needed. All the same."),
        (lambda x: (x < 0).astype(int), "0% of the answers are right, 90% are needed. Look at x."),
        (lambda x: 1, "has shape (), it should have shape (40,)"),
    ],
)
def test_an_open_exercise_asks_for_enough_and_knows_weaker_methods(function, said):
    answer = verdict(sign, function)
    assert answer is None if said is None else said in answer


def said(capsys, function, name="dft_power"):
    function.__name__ = name
    assert check("spectrogram", function) is None
    return capsys.readouterr().out


def right(frame):
    return np.abs(np.fft.rfft(frame)) ** 2


def test_the_check_says_one_line(capsys):
    def stub(frame):
        raise NotImplementedError

    class Equal:
        def __eq__(self, other):
            return True

    def spoil(frame):
        frame[:] = 0
        return right(frame)

    assert said(capsys, right) == "✅ dft_power: right on all 6 inputs (2 points).\n"
    assert said(capsys, stub) == "❌ dft_power: not answered yet.\n"
    assert said(capsys, lambda frame: 1 / 0) == (
        "❌ dft_power: dft_power(frame=<array (8,)>) stopped with ZeroDivisionError: "
        "division by zero\n"
    )
    assert said(capsys, lambda frame: np.abs(np.fft.rfft(frame))).startswith(
        "❌ dft_power: This is the magnitude"
    )
    assert "the answer holds a Equal" in said(capsys, lambda frame: Equal())
    assert "❌" in said(capsys, spoil)


def test_a_tensor_with_a_gradient_is_answered_with_the_remedy(capsys):
    line = said(capsys, lambda frame: torch.tensor(frame, requires_grad=True))
    assert "a tensor that carries a gradient: return it with .detach()" in line
    assert "✅" in said(capsys, lambda frame: torch.fft.rfft(torch.tensor(frame)).abs() ** 2)


def test_unknown_names_are_refused_with_those_that_exist(capsys):
    with pytest.raises(ValueError, match=r"no homework is called 'cooking': .*spectrogram"):
        load("cooking")
    with pytest.raises(ValueError, match="no exercise for a function called boil: it has dft"):
        said(capsys, lambda: 1, "boil")
    with pytest.raises(ValueError, match="no exercise for a function called 3"):
        check("spectrogram", 3)


def test_a_terminal_without_the_signs_gets_words(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    right.__name__ = "dft_power"
    check("spectrogram", right)
    stream.flush()
    assert stream.buffer.getvalue().startswith(b"PASS: dft_power: right")
