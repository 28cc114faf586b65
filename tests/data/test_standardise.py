"""Standardised features have mean 0 and deviation 1 over the training set."""

import numpy as np
import pytest
import torch

from mmlib.data.standardise import Standardise
from mmlib.runtime import make_generator


@pytest.mark.parametrize("shape", [(50, 3), (50, 3, 2, 2)])
def test_a_training_set_standardised_over_itself_has_mean_0_and_deviation_1(shape):
    values = 5 + 3 * torch.randn(shape, generator=make_generator(0))
    found = np.asarray(Standardise.over(values)(values)).swapaxes(0, 1).reshape(3, -1)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=1, ddof=0), 1, atol=1e-4)


def test_features_are_standardised_and_a_constant_one_is_nothing():
    values = torch.randn(50, 2, 4, 4, generator=make_generator(0)) + 0.1
    values[:, 1] = 0.1
    scale = Standardise.over(values)
    assert (scale(values)[:, 1] == 0).all()
    values = torch.randn(50, 2, generator=make_generator(0)) * torch.tensor([1e-6, 1e6])
    scale = Standardise.over(values)
    assert torch.allclose(scale(values).mean(dim=0), torch.zeros(2), atol=1e-4)
    assert torch.allclose(scale(values).std(dim=0, correction=0), torch.ones(2), atol=1e-4)


def test_other_features_are_refused():
    scale = Standardise.over(torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"values has shape \(4, 2\), .* size 3, as in training"):
        scale(torch.zeros(4, 2))
