"""The same by sums over all states, loops and torch."""

import itertools

import numpy as np
import torch


def free_energy(v, W, b, a):
    hidden = np.array(list(itertools.product([0, 1], repeat=len(a))))
    minus = (v @ W + a) @ hidden.T + (v @ b)[:, None]  # (batch, states)
    return -np.log(np.exp(minus).sum(axis=1))


def cd_gradient(v, chain, W, a):
    W = torch.tensor(W, requires_grad=True)
    a, v, chain = (torch.tensor(x) for x in (a, v, chain))

    def free(x):
        return -torch.nn.functional.softplus(x @ W + a).sum(1).mean()

    (free(chain) - free(v)).backward()
    return W.grad


def expected_counts(h, W, b, total):
    field = torch.tensor(h) @ torch.tensor(W).T + torch.tensor(b)
    return torch.tensor(total)[:, None] * field.softmax(1)


def mean_field(v, W1, W2, c1, c2, steps):
    results = []
    for row in torch.tensor(v):
        mu2 = torch.full((W2.shape[1],), 0.5, dtype=torch.float64)
        for _ in range(steps):
            mu1 = torch.sigmoid(
                torch.tensor(W1).T @ row + torch.tensor(W2) @ mu2 + torch.tensor(c1)
            )
            mu2 = torch.sigmoid(torch.tensor(W2).T @ mu1 + torch.tensor(c2))
        results.append((mu1, mu2))
    return tuple(torch.stack(layers) for layers in zip(*results, strict=True))
