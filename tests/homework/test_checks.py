"""The feedback in the notebook: one line, right or with a hint."""

import io
import sys

import numpy as np
import pytest

from mmlib.homework.checks import check


def said(capsys, function, name="hamming"):
    function.__name__ = name
    assert check("spectrogram", function) is None
    return capsys.readouterr().out


def right(length):
    return 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(length) / length)


def test_a_right_answer_is_praised_with_its_points(capsys):
    assert said(capsys, right) == "✅ hamming: right on all 8 inputs (1 point).\n"


def test_a_wrong_answer_is_explained(capsys):
    line = said(capsys, lambda length: np.hamming(length))
    assert line.startswith("❌ hamming: This is the symmetric window")


def test_a_stub_is_not_answered_yet(capsys):
    def stub(length):
        raise NotImplementedError

    assert said(capsys, stub) == "❌ hamming: not answered yet.\n"


def test_an_error_is_told_with_the_call_that_met_it(capsys):
    line = said(capsys, lambda length: 1 / 0)
    assert (
        line == "❌ hamming: hamming(length=4) stopped with ZeroDivisionError: division by zero\n"
    )


def test_an_object_that_equals_everything_fails(capsys):
    class Equal:
        def __eq__(self, other):
            return True

    assert "the answer holds a Equal" in said(capsys, lambda length: Equal())


def test_a_function_that_changes_its_input_does_not_change_the_truth(capsys):
    def spoil(signal, window, hop):
        signal[:] = 0
        window[:] = 0
        return np.zeros((len(window) // 2 + 1, 1 + (len(signal) - len(window)) // hop))

    assert said(capsys, spoil, "power_spectrogram").startswith("❌")


def test_unknown_names_are_refused_with_those_that_exist(capsys):
    with pytest.raises(ValueError, match="no homework is called 'cooking'"):
        check("cooking", right)
    with pytest.raises(ValueError, match="no exercise for a function called boil: it has frame"):
        said(capsys, lambda: 1, "boil")
    with pytest.raises(ValueError, match="no exercise for a function called 3"):
        check("spectrogram", 3)


def test_a_terminal_without_the_signs_gets_words(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    right.__name__ = "hamming"
    check("spectrogram", right)
    stream.flush()
    assert stream.buffer.getvalue().startswith(b"PASS: hamming: right")
