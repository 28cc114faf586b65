"""The same by other roads: scikit-learn, SciPy, itertools, nltk."""

from itertools import groupby

import nltk
import numpy as np
from scipy import sparse
from sklearn.metrics import pairwise_distances_argmin
from sklearn.metrics.cluster import contingency_matrix


def nearest_code(features, codebook):
    return pairwise_distances_argmin(np.asarray(features), np.asarray(codebook))


def moved_codebook(features, units, codebook):
    features, codebook = np.asarray(features), np.asarray(codebook)
    chosen = sparse.coo_matrix(
        (np.ones(len(units)), (units, np.arange(len(units)))), shape=(len(codebook), len(units))
    ).toarray()
    counts = chosen.sum(axis=1, keepdims=True)
    return np.where(counts > 0, chosen @ features / np.maximum(counts, 1), codebook)


def runs(units):
    pairs = [(unit, len(list(run))) for unit, run in groupby(np.asarray(units).tolist())]
    return np.array(pairs).T


def purity(units, phones):
    table = contingency_matrix(units, phones)
    return float(table.max(axis=1).sum() / table.sum())


def unit_distance(first, second):
    first, second = np.asarray(first).tolist(), np.asarray(second).tolist()
    return nltk.edit_distance(first, second) / max(len(first), len(second))
