"""The same by other roads: gradients through torch's layers, torch's optimiser and schedules."""

import mpmath
import numpy as np
import torch
import torch.nn.functional as F


def receptive_field(kernels, strides):
    """Count the pixels on which one output of a real stack of layers depends."""
    layers = [
        torch.nn.Conv1d(1, 1, kernel, stride, bias=False)
        for kernel, stride in zip(kernels, strides, strict=True)
    ]
    for layer in layers:
        torch.nn.init.ones_(layer.weight)
    signal = torch.zeros(1, 1, 2000, requires_grad=True)
    torch.nn.Sequential(*layers)(signal)[0, 0, 0].backward()
    return int(signal.grad.nonzero()[:, 2].max()) + 1


def learning_rate(step, steps, warmup, peak):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    schedules = torch.optim.lr_scheduler
    warm = schedules.LambdaLR(optimizer, lambda t: (t + 1) / warmup)
    cool = schedules.CosineAnnealingLR(optimizer, steps - warmup)
    both = schedules.SequentialLR(optimizer, [warm, cool], [warmup])
    for _ in range(step):
        optimizer.step()
        both.step()
    return optimizer.param_groups[0]["lr"]


def sgd_step(weights, features, labels, rate):
    weights = torch.tensor(weights, requires_grad=True)
    loss = F.cross_entropy(torch.tensor(features) @ weights, torch.tensor(labels))
    loss.backward()
    torch.optim.SGD([weights], lr=rate).step()
    return weights.detach()


def noisy_or_loss(logits, present):
    """The definition, with as many digits as it takes."""
    losses = []
    with mpmath.workdps(600):
        for row, is_present in zip(logits, present, strict=True):
            absent = mpmath.fprod(1 / (1 + mpmath.exp(float(z))) for z in row)
            losses.append(-mpmath.log(1 - absent if is_present else absent))
    return np.array(losses, dtype=float)
