"""What the homework on captions holds for true is what independent libraries compute."""

import itertools
from pathlib import Path

import nbformat
import nltk.translate.bleu_score
import numpy as np
import pytest
import torch

from mmlib.homework import likeliest
from mmlib.homework.chapters import captioning
from mmlib.homework.exercises import Case, load_exercises

EXERCISES = {exercise.function: exercise for exercise in load_exercises("captioning")}


def cases(function):
    return EXERCISES[function].make_cases(np.random.default_rng(5))


def test_each_target_is_the_word_after_its_input():
    for case in cases("teacher_forcing"):
        captions, start, end, pad = case.inputs.values()
        assert len({start, end, pad, *itertools.chain(*captions)} & {start, end, pad}) == 3
        for words, inputs, targets in zip(captions, *case.truth, strict=True):
            assert inputs[inputs != pad].tolist() == [start, *words]
            assert targets[targets != pad].tolist() == [*words, end]
            assert (inputs[1:] == np.where(targets == end, pad, targets)[:-1]).all()


def test_the_loss_is_torchs():
    for case in cases("caption_loss"):
        logits, targets, pad = case.inputs.values()
        loss = torch.nn.functional.cross_entropy(
            torch.tensor(logits).flatten(0, 1), torch.tensor(targets).flatten(), ignore_index=pad
        )
        assert case.truth == pytest.approx(loss.item())
        assert (targets == pad).any()


def test_bleu_is_nltks():
    zeros = 0
    for case in cases("bleu"):
        candidate, references, order = case.inputs.values()
        if case.truth == 0:  # nltk warns and returns a number near 0
            zeros += 1
            continue
        score = nltk.translate.bleu_score.sentence_bleu(
            [reference.split() for reference in references],
            candidate.split(),
            weights=[1 / order] * order,
        )
        assert case.truth == pytest.approx(score)
    assert 1 <= zeros <= 2


def test_the_lstm_is_torchs():
    for case in cases("lstm_step"):
        word, hidden, cell, weights, bias = map(torch.tensor, case.inputs.values())
        lstm = torch.nn.LSTMCell(len(word), len(hidden), dtype=torch.float64)
        with torch.no_grad():
            lstm.weight_ih.copy_(weights[:, : len(word)])
            lstm.weight_hh.copy_(weights[:, len(word) :])
            lstm.bias_ih.copy_(bias)
            lstm.bias_hh.zero_()
            after = torch.stack(lstm(word[None], (hidden[None], cell[None])))[:, 0]
        np.testing.assert_allclose(case.truth, after.numpy(), rtol=1e-9)


def test_the_beam_keeps_the_best_of_all_continuations():
    kept = set()
    for case in cases("beam_step"):
        scores, finished, log_probs, end = case.inputs.values()
        every = {
            (i, w): scores[i] + (0 if finished[i] else log_probs[i, w])
            for i, w in np.ndindex(*log_probs.shape)
            if not finished[i] or w == end
        }
        best = sorted(every, key=every.get, reverse=True)[: len(scores)]
        assert [tuple(pair) for pair in case.truth.tolist()] == best
        kept.add(bool(finished[case.truth[:, 0]].any()))
    assert kept == {True, False}


def test_the_likeliest_sentence_is_that_of_exhaustive_search():
    rng = np.random.default_rng(0)
    for _ in range(10):
        table = np.log(rng.dirichlet(np.full(5, 0.5), 5) + 1e-9)
        sentences = [
            [*words, 4]
            for length in range(4)
            for words in itertools.product(range(4), repeat=length)
        ]
        means = [table[[0, *words[:-1]], words].mean() for words in sentences]
        best = sentences[int(np.argmax(means))]
        assert likeliest.most_likely(table, start=0, end=4, longest=4) == best


def test_a_table_holds_probabilities_and_seldom_ends():
    for case in cases("likeliest_sentence"):
        table, start, end, longest = case.inputs.values()
        np.testing.assert_allclose(np.exp(table).sum(axis=1), 1)
        assert (table[:, end] > np.log(0.3)).sum() == likeliest.CLOSING
        assert start != end
        assert len(case.truth) <= longest


def test_an_equally_likely_sentence_passes_too():
    table = np.log([[0.4, 0.4, 0.2], [0.5, 0.4, 0.1], [1, 1, 1]])  # two words: 0.4 times 0.1
    case = Case({"log_probs": table, "start": 0, "end": 2, "longest": 2}, [2])
    assert likeliest.judge_sentences([case], [[1, 2]]) is None
    table[1, 2] = np.log(0.09)
    assert "0% of the best" in likeliest.judge_sentences([case], [[1, 2]])


def test_the_notebook_states_the_terms_that_the_judge_applies():
    path = Path(__file__).resolve().parents[3] / "notebooks" / "homework" / "captioning.ipynb"
    prose = "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
    assert "makes up twenty decoders" in prose
    assert captioning.TABLES == len(cases("likeliest_sentence")) == 20
    assert "how likely each of 60 words" in prose
    assert likeliest.VOCAB == 60
    assert "`longest` being 10" in prose
    assert likeliest.LONGEST == 10
    assert "In at least 19 of the 20 decoders" in prose
    assert likeliest.ENOUGH * captioning.TABLES == 19
