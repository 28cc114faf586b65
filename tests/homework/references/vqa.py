"""The same by other roads: torch's layers, and the definition word by word."""

from collections import Counter

import torch
import torch.nn.functional as F


def tensors(*arrays):
    return [torch.tensor(array) for array in arrays]


def fuse(image, question, image_weight, question_weight):
    image, question, to_image, to_question = tensors(image, question, image_weight, question_weight)
    return (F.normalize(image) @ to_image).tanh() * (question @ to_question).tanh()


def vqa_accuracy(answer, humans):
    rest = (Counter(humans[:i] + humans[i + 1 :]) for i in range(len(humans)))
    return sum(min(1, counts[answer] / 3) for counts in rest) / len(humans)


def attention_hop(cells, query, image_weight, query_weight, score):
    cells, query, to_image, to_query, score = tensors(
        cells, query, image_weight, query_weight, score
    )
    weights = F.softmax((cells @ to_image + query @ to_query).tanh() @ score, dim=0)
    return query + (weights[:, None] * cells).sum(0)


def film(features, question, to_gamma, to_beta):
    features, question, to_gamma, to_beta = tensors(features, question, to_gamma, to_beta)
    normal = F.instance_norm(features[None])[0]
    scale, shift = (1 + question @ to_gamma), question @ to_beta
    return F.relu(torch.einsum("c,crs->crs", scale, normal) + shift[:, None, None])
