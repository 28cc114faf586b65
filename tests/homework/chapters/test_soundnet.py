"""What the homework on SoundNet holds for true is what others compute too."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
import scipy.stats
import torch
from torch.nn.functional import conv1d, kl_div

from mmlib.homework.chapters import soundnet
from mmlib.homework.exercises import load_exercises

EXERCISES = {exercise.function: exercise for exercise in load_exercises("soundnet")}


def cases(function):
    return EXERCISES[function].make_cases(np.random.default_rng(5))


def test_the_lengths_are_those_of_torchs_layers():
    for case in cases("layer_lengths"):
        signal = torch.zeros(1, 1, case.inputs["time"])
        for kernel, stride, length in zip(*list(case.inputs.values())[1:], case.truth, strict=True):
            signal = conv1d(signal, torch.zeros(1, 1, kernel), stride=stride, padding=kernel // 2)
            assert signal.shape[2] == length


def test_the_divergence_is_scipys_and_torchs():
    sure = 0
    for case in cases("divergence"):
        teacher, logits = case.inputs.values()
        odds = np.exp(logits)
        student = odds / odds.sum(axis=1, keepdims=True)
        assert case.truth == pytest.approx(scipy.stats.entropy(teacher, student, axis=1).mean())
        log_student = torch.tensor(logits).log_softmax(1)
        by_torch = kl_div(log_student, torch.tensor(teacher), reduction="batchmean")
        assert case.truth == pytest.approx(float(by_torch))
        sure += bool((teacher == 0).any())
    assert sure == 1


def test_the_first_layer_is_torchs():
    for case in cases("hear"):
        wave, filters, biases = map(torch.tensor, list(case.inputs.values())[:3])
        half = filters.shape[1] // 2
        heard = conv1d(wave[None, None], filters[:, None], biases, case.inputs["stride"], half)
        np.testing.assert_allclose(case.truth, heard[0].relu().numpy(), atol=1e-12)
        assert 0.2 < (case.truth == 0).mean() < 0.8


def test_the_gradient_is_autograds():
    for case in cases("student_gradient"):
        features, weights, teacher = map(torch.tensor, case.inputs.values())
        weights.requires_grad_()
        said = (features @ weights).log_softmax(-1).flatten(0, 1)
        told = teacher.repeat_interleave(features.shape[1], dim=0)
        kl_div(said, told, reduction="batchmean").backward()
        np.testing.assert_allclose(case.truth, weights.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_teachers_are_distributions_and_each_name_is_shown_twice():
    for case in cases("name_sounds"):
        np.testing.assert_allclose(case.inputs["teacher"].sum(axis=1), 1)
        names, counts = np.unique(case.inputs["few_names"], return_counts=True)
        assert names.tolist() == list(range(soundnet.KINDS))
        assert counts.tolist() == [2] * soundnet.KINDS
        assert set(case.truth) <= set(names)


def test_the_notebook_states_the_terms_that_the_judge_applies():
    path = Path(__file__).resolve().parents[3] / "notebooks" / "homework" / "soundnet.ipynb"
    prose = "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
    assert "600 videos" in prose
    assert "eight kinds" in prose
    assert "two named sounds of each" in prose
    assert "120 new ones" in prose
    assert "makes up two worlds" in prose
    assert "85 names in a hundred must be right" in prose
    stated = (soundnet.VIDEOS, soundnet.KINDS, soundnet.NEW, soundnet.WORLDS, soundnet.ENOUGH)
    assert stated == (600, 8, 120, 2, 0.85)
