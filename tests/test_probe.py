"""The linear probe reads what is linear and nothing else."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from mmlib.probe import few_label_scores, few_shot_indices, linear_probe, predict_folds
from mmlib.runtime import make_generator

X = torch.randn(400, 6, generator=make_generator(0))


def accuracy(features, labels):
    answers = linear_probe(features[:200], labels[:200], features[200:])
    return (torch.as_tensor(answers.labels) == labels[200:]).float().mean()


def test_it_reads_a_linear_rule_and_not_a_product():
    assert accuracy(X, (X[:, 0] + X[:, 1] > 0).long()) > 0.95
    assert accuracy(X, (X[:, 0] * X[:, 1] > 0).long()) < 0.65


def test_it_does_not_care_for_scale_and_offset():
    labels = (X[:, 0] > 0).long()
    moved = X * torch.tensor([1e3, 1e-3, 1, 1, 1, 1]) + 50
    assert accuracy(moved, labels) > 0.95


@pytest.mark.parametrize("dtype", [torch.half, torch.bfloat16])
def test_half_precision_is_read_too(dtype):
    assert accuracy(X.to(dtype), (X[:, 0] > 0).long()) > 0.95


def test_it_is_scikit_learns_logistic_regression():
    labels = (X[:, 0] - 2 * X[:, 3] + 0.5 * X[:, 5] ** 2 > 0).long().numpy()
    scaled = (X - X[:200].mean(0)) / X[:200].std(0, correction=0)
    theirs = LogisticRegression(tol=1e-3, max_iter=3000).fit(scaled[:200], labels[:200])
    ours = linear_probe(X[:200], labels[:200], X[200:])
    assert (ours.labels == theirs.predict(scaled[200:])).mean() > 0.99
    assert abs(ours.probabilities - theirs.predict_proba(scaled[200:])).max() < 0.01


def test_labels_may_be_words():
    labels = ["bell" if value > 0 else "drum" for value in X[:200, 0]]
    assert set(linear_probe(X[:200], labels, X[200:]).labels) == {"bell", "drum"}


def test_every_fold_is_answered_by_the_others():
    labels = (X[:, 0] > 0).long().numpy()
    fold = torch.arange(400) % 4
    answers = predict_folds(X, labels, fold)
    assert (answers == labels).mean() > 0.95
    alone = linear_probe(X[fold != 2], labels[fold != 2], X[fold == 2]).labels
    assert (answers[fold == 2] == alone).all()
    with pytest.raises(ValueError, match="one fold"):
        predict_folds(X, labels, torch.zeros(400))


@pytest.mark.parametrize(
    ("train", "labels", "test", "message"),
    [
        (X, [0, 1], X, "400 items"),
        (X, [1] * 400, X, "two classes"),
        (X, [0, 1] * 200, X[:, :3], "need size 6"),
        (X / 0, [0, 1] * 200, X, "NaN or infinite"),
    ],
)
def test_bad_input_is_refused(train, labels, test, message):
    with pytest.raises(ValueError, match=message):
        linear_probe(train, labels, test)


def test_few_labels_are_drawn_of_each_class_and_anew():
    labels = torch.arange(60) % 3
    features = torch.eye(3)[labels] + 0.01 * torch.randn(60, 3, generator=make_generator(0))
    found = few_label_scores(
        features, labels, features, labels, count=1, draws=4, generator=make_generator(1)
    )
    assert found.tolist() == [1.0] * 4
    rough = features + 1.5 * torch.randn(60, 3, generator=make_generator(2))
    one, five = (
        few_label_scores(
            rough, labels, rough, labels, count=count, draws=8, generator=make_generator(1)
        )
        for count in (1, 10)
    )
    assert len(one.unique()) > 1
    assert one.mean() < five.mean() < 1
    with pytest.raises(ValueError, match="a class has 20 items, 21 labels"):
        few_label_scores(
            rough, labels, rough, labels, count=21, draws=1, generator=make_generator(1)
        )


def test_few_shot_indices_take_equally_many():
    labels = torch.tensor([0, 1, 0, 2, 1, 2, 0])
    assert few_shot_indices(labels, 2).tolist() == [0, 2, 1, 4, 3, 5]
    with pytest.raises(ValueError, match="class 1 has 2 examples, 3"):
        few_shot_indices(labels, 3)
