"""What the homework on pretraining holds for true is what independent libraries compute."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
import scipy.special
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmlib.homework.chapters import pretraining
from mmlib.homework.exercises import load_exercises

EXERCISES = {exercise.function: exercise for exercise in load_exercises("pretraining")}


def cases(function):
    return EXERCISES[function].make_cases(np.random.default_rng(5))


def test_the_field_is_what_a_gradient_reaches():
    for case in cases("receptive_field"):
        layers = [
            torch.nn.Conv1d(1, 1, kernel, stride=stride)
            for kernel, stride in zip(*case.inputs.values(), strict=True)
        ]
        for layer in layers:
            torch.nn.init.ones_(layer.weight)
        signal = torch.zeros(1, 1, 2 * case.truth + 200, requires_grad=True)
        torch.nn.Sequential(*layers)(signal)[0, 0, 0].backward()
        assert int((signal.grad != 0).sum()) == case.truth


def test_a_split_trains_on_the_first_and_never_tests_a_scene_twice():
    met = set()
    for case in cases("few_shot_split"):
        labels, scenes, shots = case.inputs.values()
        for label in np.unique(labels):
            (places,) = np.nonzero(labels == label)
            met.add(len(places) < shots)
            assert (case.truth[places[:shots]] == 1).all()
            assert (case.truth[places[shots:]] < 1).all()
        trained = set(scenes[case.truth == 1])
        assert not trained & set(scenes[case.truth == 0])
        assert trained >= set(scenes[case.truth == -1])
    assert met == {True, False}


def test_the_step_is_torchs():
    for case in cases("sgd_step"):
        weights, features, labels, rate = case.inputs.values()
        parameter = torch.tensor(weights, requires_grad=True)
        optimiser = torch.optim.SGD([parameter], lr=rate)
        logits = torch.tensor(features) @ parameter
        torch.nn.functional.cross_entropy(logits, torch.tensor(labels)).backward()
        optimiser.step()
        np.testing.assert_allclose(case.truth, parameter.detach().numpy(), rtol=1e-9)


def test_the_loss_is_that_of_the_definition_where_it_can_be_computed():
    for case in cases("noisy_or_loss"):
        logits, present = case.inputs.values()
        if abs(logits).max() > 10:
            continue
        p = 1 - np.prod(1 - scipy.special.expit(logits), axis=1)
        np.testing.assert_allclose(case.truth, np.where(present, -np.log(p), -np.log(1 - p)))


def test_the_loss_of_certain_cells_is_that_of_their_limits():
    limits = set()
    for case in cases("noisy_or_loss"):
        logits, present = case.inputs.values()
        if logits.max() < -30:  # p is the sum of the cells' probabilities, which are exp(z)
            np.testing.assert_allclose(case.truth, -scipy.special.logsumexp(logits, axis=1))
            limits.add("faint")
        elif logits.min() > 30:  # 1 - sigmoid(z) is exp(-z)
            assert not present.any()
            np.testing.assert_allclose(case.truth, logits.sum(axis=1))
            limits.add("strong")
    assert limits == {"faint", "strong"}


def test_adam_is_torchs():
    for case in cases("adam"):
        start, gradients, rate = case.inputs.values()
        parameter = torch.tensor(start, requires_grad=True)
        optimiser = torch.optim.Adam([parameter], lr=rate, betas=(0.9, 0.999), eps=1e-8)
        for gradient in gradients:
            parameter.grad = torch.tensor(gradient)
            optimiser.step()
        np.testing.assert_allclose(case.truth, parameter.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_scaled_features_pass_the_last_exercise_by_several_methods_and_raw_ones_by_none(seed):
    tasks = EXERCISES["few_shot_classes"].make_cases(np.random.default_rng(seed))
    judge = EXERCISES["few_shot_classes"].judge
    for method in (KNeighborsClassifier(1), LogisticRegression(C=0.1, max_iter=500)):
        scaled = make_pipeline(StandardScaler(), method)
        assert judge(tasks, [classified(scaled, task) for task in tasks]) is None
    assert judge(tasks, [classified(KNeighborsClassifier(1), task) for task in tasks])


def classified(method, task):
    features, labels, queries = task.inputs.values()
    return method.fit(features, labels).predict(queries)


def test_the_notebook_states_the_terms_that_the_judge_applies():
    path = Path(__file__).resolve().parents[3] / "notebooks" / "homework" / "pretraining.ipynb"
    prose = "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
    assert "makes up five tasks" in prose
    assert len(cases("few_shot_classes")) == 5
    assert "six classes" in prose
    assert "three examples each, and 80 queries" in prose
    assert (pretraining.CLASSES, pretraining.SHOTS, pretraining.QUERIES) == (6, 3, 80)
    assert "85 queries in a hundred must be right" in prose
    assert pretraining.ENOUGH == 0.85
    assert "Of the 24 columns" in prose
    assert cases("few_shot_classes")[0].inputs["queries"].shape[1] == 24
