"""The same by other roads: torch, pixel by pixel, scikit-learn."""

import numpy as np
import sklearn.metrics
import torch
import torch.nn.functional as F


def attention_map(cells, sound):
    cells, sound = torch.tensor(cells), torch.tensor(sound)
    scores = F.cosine_similarity(cells, sound[None, None], dim=-1).relu()
    return F.softmax(scores.flatten(), dim=0).view_as(scores)


def triplet_loss(attended, own, other):
    attended, own, other = map(torch.tensor, (attended, own, other))
    distances = [F.pairwise_distance(attended, sound, eps=0) for sound in (own, other)]
    shares = torch.stack(distances, dim=1).softmax(dim=1)
    return (shares - torch.tensor([0.0, 1.0])).square().sum(dim=1).mean()


def consensus_iou(heat, votes, threshold):
    shared = union = 0.0
    for value, count in zip(heat.flat, votes.flat, strict=True):
        agreed = {0: 0.0, 1: 0.5}.get(int(count), 1.0)
        shared += agreed * bool(value >= threshold)
        union += 1.0 if count == 0 and value >= threshold else agreed
    return shared / union


def localization_auc(ious):
    thresholds = np.arange(21) * 0.05
    success = [np.mean([iou >= t for iou in ious]) for t in thresholds]
    return np.mean(ious >= 0.5), sklearn.metrics.auc(thresholds, success)
