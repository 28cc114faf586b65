"""The same by other roads: torch's losses, sorting, and scikit-learn's neighbours."""

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch.nn.functional import cross_entropy, multi_margin_loss


def hinge_sum(similarity, margin):
    scores = torch.tensor(similarity)
    own = torch.arange(len(scores))
    both = (multi_margin_loss(s, own, margin=margin) for s in (scores, scores.T))
    return len(scores) * float(sum(both))


def info_nce(similarity, temperature):
    logits = torch.tensor(similarity) / temperature
    own = torch.arange(len(logits))
    return float(cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2


def picture_ranks(similarity):
    ranks = []
    for text, scores in enumerate(similarity.T):
        # falling; of equals the true picture comes last
        order = sorted(range(len(scores)), key=lambda i: (-scores[i], i == text))
        ranks.append(order.index(text) + 1)
    return np.array(ranks)


def solve_analogy(images, source, minus, plus):
    unit = images / np.sqrt(np.einsum("nd,nd->n", images, images))[:, None]
    query = unit[source] - minus + plus
    found = NearestNeighbors(n_neighbors=2, metric="cosine").fit(images)
    first, second = found.kneighbors(query[None], return_distance=False)[0]
    return int(second if first == source else first)
