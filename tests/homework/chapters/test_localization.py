"""What the homework on sound sources holds for true is what others compute too."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity, cross_entropy, scaled_dot_product_attention

from mmlib import metrics
from mmlib.homework.exercises import load_exercises

EXERCISES = {exercise.function: exercise for exercise in load_exercises("localization")}


def cases(function):
    return EXERCISES[function].make_cases(np.random.default_rng(5))


def test_sixteen_points():
    assert sum(exercise.points for exercise in EXERCISES.values()) == 16


def test_the_map_is_torchs_cosine():
    for case in cases("score_map"):
        cells, sound = map(torch.tensor, case.inputs.values())
        np.testing.assert_allclose(case.truth, cosine_similarity(cells, sound, dim=-1).numpy())


def test_the_attended_feature_is_torchs_attention():
    for case in cases("attended"):
        cells, scores, temperature = case.inputs.values()
        # a query that has these scores: keys are the scores themselves
        keys = torch.tensor(scores)[None, :, None]
        query = torch.ones(1, 1, 1, dtype=torch.float64)
        found = scaled_dot_product_attention(
            query, keys, torch.tensor(cells)[None], scale=1 / temperature
        )
        np.testing.assert_allclose(case.truth, found[0, 0].numpy())


def test_the_consensus_is_that_of_metrics():
    for case in cases("consensus_iou"):
        heat, votes, threshold = case.inputs.values()
        agreed = (torch.tensor(votes) / 2).clamp(max=1)
        found = metrics.consensus_iou(torch.tensor(heat)[None], agreed[None], threshold=threshold)
        assert case.truth == pytest.approx(float(found[0]))
        assert (heat == threshold).any()


def test_the_gradient_is_autograds():
    for case in cases("pairs_gradient"):
        scores = torch.tensor(case.inputs["scores"], requires_grad=True)
        own = torch.arange(len(scores))
        ((cross_entropy(scores, own) + cross_entropy(scores.T, own)) / 2).backward()
        np.testing.assert_allclose(case.truth, scores.grad.numpy(), rtol=1e-9, atol=1e-12)
