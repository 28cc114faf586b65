"""Each exercise of the homework on modality bias once more: mmlib's own, and torch."""

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from mmlib.foundations import fusion


def gain_and_overfitting(train, validation):
    curves = fusion.Curves(torch.as_tensor(train), torch.as_tensor(validation))
    return np.array([float(value) for value in fusion.gain_and_overfitting(curves)])


def squared_ogr(weights, along, off):
    return float(fusion.squared_ogr(*map(torch.as_tensor, (weights, along, off))))


def blend_weights(gain, overfitting):
    return fusion.blend_weights(torch.as_tensor(gain), torch.as_tensor(overfitting)).numpy()


def blended_loss(logits, labels, weights):
    logits, labels = torch.as_tensor(logits), torch.as_tensor(labels)
    return sum(w * float(cross_entropy(x, labels)) for w, x in zip(weights, logits, strict=True))
