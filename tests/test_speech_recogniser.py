"""What a recogniser finds is counted; test_voices.py holds how well it understands voices."""

import sys

import pytest

from mmlib.speech_recogniser import recogniser, word_recall


def test_recall_counts_content_words():
    heard = [["a", "red", "bird"], []]
    truth = [("red", "bird", "town"), ("blue", "dog", "beach")]
    assert word_recall(heard, truth).tolist() == [[1, 1, 0], [0, 0, 0]]


def test_a_recogniser_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(ImportError, match="pocketsphinx"):
        recogniser("a | b")
