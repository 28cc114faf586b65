"""What a linear classifier can read from features: the common measure of a representation."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor

from mmlib.shapes import check_finite, check_shape


class Predictions(NamedTuple):
    """The class that the classifier gives each item, and the probability of each class."""

    labels: np.ndarray  # (others,), of the training labels' type
    probabilities: np.ndarray  # (others, classes), the classes in sorted order


def linear_probe(
    train: Tensor, labels: Sequence, test: Tensor, *, inverse_penalty: float = 1.0
) -> Predictions:
    """Train logistic regression on standardised features and return its answers on new ones.

    Args:
        train: (items, features), for training.
        labels: (items,), the class of each training item: numbers or words.
        test: (others, features).
        inverse_penalty: scikit-learn's ``C``, one over the ridge penalty; smaller is smoother.

    Raises:
        ValueError: shapes do not fit, a value is not finite, or there is only one class.
    """
    size = check_shape(train, "items features", name="train")
    check_shape(test, f"others {size['features']}", name="test")
    check_finite(train, name="train")
    check_finite(test, name="test")
    if torch.bfloat16 in (train.dtype, test.dtype):  # which NumPy does not know
        train, test = train.float(), test.float()
    labels = np.asarray(labels)
    if labels.shape != (size["items"],):
        raise ValueError(f"labels have shape {labels.shape}, train has {size['items']} items")
    if len(np.unique(labels)) < 2:
        raise ValueError(f"all labels are {labels[0]!r}: a classifier needs two classes or more")
    model = LogisticRegression(C=inverse_penalty, max_iter=3000, tol=1e-3)
    with threadpool_limits(1):  # two threads on such small products only wait for each other
        model = make_pipeline(StandardScaler(), model).fit(train.numpy(force=True), labels)
        items = test.numpy(force=True)
        return Predictions(model.predict(items), model.predict_proba(items))


def predict_folds(features: Tensor, labels: Sequence, fold: Tensor) -> np.ndarray:
    """Return for each item what a probe says that was trained on all folds but the item's own.

    Args:
        features: (items, features).
        labels: (items,).
        fold: (items,) whole numbers, such as ``mmlib.data.splits.folds_by_source`` deals.

    Returns:
        (items,) the predicted labels.

    Raises:
        ValueError: as ``linear_probe``; there is only one fold.
    """
    labels, fold = np.asarray(labels), fold.numpy(force=True)
    if len(np.unique(fold)) < 2:
        raise ValueError("all items are in one fold: nothing is left to train on")
    answers = np.empty_like(labels)
    for test in np.unique(fold):
        train = fold != test
        answers[~train] = linear_probe(features[train], labels[train], features[~train]).labels
    return answers


def few_label_scores(
    train: Tensor,
    labels: Tensor,
    test: Tensor,
    truth: Tensor,
    *,
    count: int,
    draws: int,
    generator: torch.Generator,
) -> Tensor:
    """Train probes on few labelled items of each class, drawn anew each time; return accuracies.

    With one label of each class a score hangs on which item that is: one draw is not enough.

    Args:
        train: (items, features), and **labels**: (items,) whole numbers, to draw from.
        test: (others, features), and **truth**: (others,), to measure on.
        count: labelled items of each class.
        draws: how many probes.

    Returns:
        (draws,) shares of right answers.

    Raises:
        ValueError: a class has fewer items than ``count``, or as ``linear_probe``.
    """
    sizes = labels.unique(return_counts=True)[1]
    if int(sizes.min()) < count:
        raise ValueError(
            f"a class has {int(sizes.min())} items, {count} labels of each are asked for: get more"
        )
    scores = []
    for _ in range(draws):
        order = torch.randperm(len(labels), generator=generator)
        few = torch.cat([order[labels[order] == label][:count] for label in labels.unique()])
        answers = torch.as_tensor(linear_probe(train[few], labels[few], test).labels)
        scores.append((answers == truth).double().mean())
    return torch.stack(scores)


def few_shot_indices(labels: Tensor, count: int) -> Tensor:
    """Return where the first ``count`` examples of each class stand in ``labels`` (items,).

    Raises:
        ValueError: a class has fewer examples.
    """
    chosen = []
    for label in labels.unique():
        found = (labels == label).nonzero()[:, 0]
        if len(found) < count:
            raise ValueError(
                f"class {int(label)} has {len(found)} examples, {count} are asked for: draw more"
            )
        chosen.append(found[:count])
    return torch.cat(chosen)
