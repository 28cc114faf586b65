"""What the homework on attention holds for true is what independent libraries compute."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
import scipy.ndimage
import torch

from mmlib.homework.chapters import attention
from mmlib.homework.exercises import load_exercises

EXERCISES = {exercise.function: exercise for exercise in load_exercises("attention")}


def cases(function):
    return EXERCISES[function].make_cases(np.random.default_rng(5))


def test_masked_weights_are_torchs():
    largest = []
    for case in cases("masked_softmax"):
        scores, mask = map(torch.tensor, case.inputs.values())
        weights = torch.softmax(scores.masked_fill(mask == 0, -torch.inf), dim=1)
        np.testing.assert_allclose(case.truth, weights.numpy(), rtol=1e-9)
        assert (mask == 0).any(dim=1).all()
        largest.append(scores.max().item())
    assert max(largest) > 1000
    assert min(largest) < -1000


def test_a_glimpse_is_torchs():
    for case in cases("attend"):
        grid, hidden, to_grid, to_hidden, to_score = map(torch.tensor, case.inputs.values())
        bent = torch.tanh(
            torch.nn.functional.linear(grid, to_grid.T)
            + torch.nn.functional.linear(hidden, to_hidden.T)
        )
        weights = torch.softmax(bent @ to_score, dim=0)
        context = (weights[:, None] * grid).sum(dim=0)
        np.testing.assert_allclose(case.truth, context.numpy(), rtol=1e-9)


def test_pointing_looks_at_the_middle_of_the_peak():
    """scipy finds the peak on the map blown up to pixels."""
    for case in cases("pointing_accuracy"):
        maps, masks = case.inputs.values()
        size = masks.shape[1] // maps.shape[1]
        hits = []
        for weights, mask in zip(maps, masks, strict=True):
            pixels = np.kron(weights, np.ones((size, size)))
            corner = scipy.ndimage.maximum_position(pixels)
            if mask.any():
                hits.append(mask[corner[0] + size // 2, corner[1] + size // 2])
        assert case.truth == pytest.approx(np.mean(hits))
        assert 0.2 < case.truth < 0.9
        assert len(hits) < len(masks)


def test_the_penaltys_gradient_is_autograds():
    for case in cases("coverage_gradient"):
        scores = torch.tensor(case.inputs["scores"], requires_grad=True)
        (1 - torch.softmax(scores, dim=1).sum(dim=0)).square().sum().backward()
        np.testing.assert_allclose(case.truth, scores.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_the_mean_estimate_is_the_gradient_of_the_expected_reward():
    for case in cases("reinforce"):
        scores = torch.tensor(case.inputs["scores"], requires_grad=True)
        (torch.softmax(scores, dim=0) @ torch.tensor(case.inputs["rewards"])).backward()
        np.testing.assert_allclose(case.truth[0], scores.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_the_variance_is_that_of_many_draws():
    rng = np.random.default_rng(0)
    for case in cases("reinforce"):
        scores, rewards, baseline = case.inputs.values()
        chance = np.exp(scores) / np.exp(scores).sum()
        drawn = rng.choice(len(scores), 200_000, p=chance)
        log_slope = np.eye(len(scores))[drawn] - chance
        estimates = (rewards[drawn] - baseline)[:, None] * log_slope
        largest = case.truth[1].max()
        np.testing.assert_allclose(case.truth[1], estimates.var(axis=0), atol=0.03 * largest)


def test_the_baseline_moves_the_variance_and_not_the_mean():
    (case, *_) = cases("reinforce")
    (one, two) = (
        attention._reinforce(case.inputs["scores"], case.inputs["rewards"], baseline)
        for baseline in (0.0, 5.0)
    )
    np.testing.assert_allclose(one[0], two[0], rtol=1e-9)
    assert (two[1] > one[1]).any()


def test_a_world_hides_a_rotation_from_the_question_to_its_cell():
    """Known cells give the table by least squares, and it finds them again."""
    for case in cases("learn_to_look"):
        questions, grids, says_yes, answers, new_questions, new_grids = case.inputs.values()
        for vectors in (questions, grids, new_questions, new_grids):
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1)
        looked = new_grids[np.arange(len(new_grids)), case.truth]
        table = np.linalg.lstsq(new_questions, looked, rcond=None)[0]
        found = np.einsum("pd,pcd->pc", new_questions @ table, new_grids).argmax(axis=1)
        assert np.mean(found == case.truth) > 0.95
        agree = np.where(answers[:, None] == 1, says_yes, 1 - says_yes) > 0.5
        assert 0.45 < agree.mean() < 0.65
        assert set(answers) == {0, 1}


def test_the_notebook_states_the_terms_that_the_judge_applies():
    path = Path(__file__).resolve().parents[3] / "notebooks" / "homework" / "attention.ipynb"
    prose = "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
    assert "A picture has 12 cells" in prose
    assert "From 200 pictures" in prose
    assert "of 150 new pictures" in prose
    assert "makes up two worlds" in prose
    assert "nine new pictures in ten must be right" in prose
    stated = (attention.CELLS, attention.ASKED, attention.NEW, attention.WORLDS, attention.ENOUGH)
    assert stated == (12, 200, 150, 2, 0.9)
