"""The same by other roads: torch's layers and autograd, and every choice gone through."""

import numpy as np
import torch
import torch.nn.functional as F


def attend(cells, hidden, cell_weight, hidden_weight, score):
    cells, hidden, to_cell, to_hidden, score = map(
        torch.tensor, (cells, hidden, cell_weight, hidden_weight, score)
    )
    energies = (cells @ to_cell + hidden @ to_hidden).tanh() @ score
    return (F.softmax(energies, dim=0)[:, None] * cells).sum(0)


def gated_context(context, hidden, weight, bias):
    gate = F.linear(torch.tensor(hidden), torch.tensor(weight[None]), torch.tensor([bias]).double())
    return gate.sigmoid() * torch.tensor(context)


def coverage_gradient(scores):
    scores = torch.tensor(scores, requires_grad=True)
    (1 - scores.softmax(dim=1).sum(dim=0)).square().sum().backward()
    return scores.grad


def reinforce(scores, rewards, baseline):
    estimates, p = [], torch.tensor(scores).softmax(0).numpy()
    for choice in range(len(scores)):
        logits = torch.tensor(scores, requires_grad=True)
        (logits.log_softmax(0)[choice] * (rewards[choice] - baseline)).backward()
        estimates.append(logits.grad.numpy())
    mean = np.average(estimates, axis=0, weights=p)
    return mean, np.average((estimates - mean) ** 2, axis=0, weights=p)
