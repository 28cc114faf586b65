"""Bring features to mean 0 and standard deviation 1, as they are over a training set."""

import torch
from torch import Tensor, nn

from mmlib.shapes import check_floating


class Standardise(nn.Module):
    """Bring each feature (the second axis) to mean 0, standard deviation 1 over a training set.

    A feature that is constant there says nothing and becomes 0 wherever it has that value.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    @classmethod
    def over(cls, training: Tensor) -> "Standardise":
        """Return the layer for a training set (items, features, ...)."""
        layer = cls(training.shape[1])
        flat = training.float().movedim(1, -1).flatten(0, -2)  # (items · …, features)
        constant = flat.amax(dim=0) == flat.amin(dim=0)
        layer.mean.copy_(torch.where(constant, flat[0], flat.mean(dim=0)))
        layer.deviation.copy_(torch.where(constant, 1, flat.std(dim=0, correction=0)))
        return layer

    def forward(self, values: Tensor) -> Tensor:
        """Return (batch, features, ...) as large as ``values``; other features are refused."""
        check_floating(values, name="values")
        if values.ndim < 2 or values.shape[1] != len(self.mean):
            raise ValueError(
                f"values has shape {tuple(values.shape)}, its second axis must have size "
                f"{len(self.mean)}, as in training: use the same encoder"
            )
        shape = (-1, *[1] * (values.ndim - 2))
        return (values.float() - self.mean.view(shape)) / self.deviation.view(shape)
