"""The same by other roads: torch's losses, sorting, loops."""

import torch
import torch.nn.functional as F


def cosine_loss(recipes, images, match, margin):
    signs = torch.where(torch.tensor(match), 1, -1)
    pair = torch.tensor(recipes), torch.tensor(images)
    return F.cosine_embedding_loss(*pair, signs, margin=margin, reduction="none").numpy()


def retrieval(cosine, k):
    ranks = []
    for query, row in enumerate(cosine.tolist()):
        order = sorted(range(len(row)), key=lambda c: (-row[c], c == query))
        ranks.append(order.index(query) + 1)
    ranks = torch.tensor(ranks, dtype=torch.float64)
    return torch.stack([ranks.quantile(0.5), (ranks <= k).double().mean()]).numpy()


def triplets(cosine, margin):
    found = [
        max(0.0, margin - row[query] + other)
        for query, row in enumerate(cosine.tolist())
        for candidate, other in enumerate(row)
        if candidate != query
    ]
    return sum(found) / max(1, sum(value > 0 for value in found))


def arithmetic(dish, vectors, group, away, towards):
    dish, vectors = torch.tensor(dish), torch.tensor(vectors)
    rows = {g: vectors[[i for i, own in enumerate(group.tolist()) if own == g]].mean(0)
            for g in (away, towards)}  # fmt: skip
    return F.normalize(dish - rows[away] + rows[towards], dim=0).numpy()
