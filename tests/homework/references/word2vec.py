"""The same by other roads: brute force, torch's losses and autograd, gensim's vectors."""

import gensim
import numpy as np
import torch
import torch.nn.functional as F


def skip_gram_pairs(words, window):
    places = np.arange(len(words))
    near = [np.flatnonzero((abs(places - i) <= window) & (places != i)) for i in places]
    return [(words[i], words[j]) for i in places for j in near[i]]


def softmax_loss(centres, contexts, centre_id, context_id):
    scores = torch.tensor(contexts) @ torch.tensor(centres[centre_id])
    return F.cross_entropy(scores, torch.tensor(context_id))


def negative_sampling_gradients(centre, context, negatives):
    centre, others = torch.tensor(centre), torch.tensor(np.vstack([context, negatives]))
    centre.requires_grad_(), others.requires_grad_()
    labels = torch.zeros(len(others), dtype=torch.double)
    labels[0] = 1
    F.binary_cross_entropy_with_logits(others @ centre, labels, reduction="sum").backward()
    return torch.vstack([centre.grad, others.grad])


def solve_analogy(vectors, a, b, c):
    keyed = gensim.models.KeyedVectors(vectors.shape[1])
    keyed.add_vectors([str(row) for row in range(len(vectors))], vectors)
    ((answer, _),) = keyed.most_similar(positive=[str(b), str(c)], negative=[str(a)], topn=1)
    return int(answer)
