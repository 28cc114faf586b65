"""Every score in the book, from a library where a good one exists.

Shares come with a Wilson interval, means over seeds with a t interval, so that a difference can
be told from luck. Retrieval counts ties against the model: one that finds everything equally
similar has found nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import scipy.stats
import sklearn.metrics
import torch
from torch import Tensor

from mmlib.shapes import check_finite, check_floating, check_shape, check_whole, unit_length


@dataclass(frozen=True)
class Estimate:
    """A measured value and the interval in which the true one lies with some confidence."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def share(hits: Tensor, *, confidence: float = 0.95) -> Estimate:
    """Return the share of true values in ``hits`` (items,), bool, with its Wilson interval.

    The interval takes the items as independent; clips of one recording are not quite.
    Source: E. B. Wilson, JASA 22, 1927; ``scipy.stats.binomtest``.

    Raises:
        TypeError: ``hits`` is not boolean.
        ValueError: there are none, or ``confidence`` is not inside (0, 1).
    """
    items = check_shape(hits, "items", name="hits")["items"]
    if hits.dtype != torch.bool:
        raise TypeError(f"hits has dtype {hits.dtype}, it must be torch.bool: compare first")
    _check_confidence(confidence)
    found = scipy.stats.binomtest(int(hits.sum()), items)
    low, high = found.proportion_ci(confidence, method="wilson")
    return Estimate(found.statistic, float(low), float(high))


def accuracy(predicted: Tensor, true: Tensor, *, confidence: float = 0.95) -> Estimate:
    """Return the share of items whose predicted class is the true one, both (items,).

    Raises:
        ValueError: the shapes differ or there are no items.
    """
    _check_same_shape(predicted, true, "items")
    return share(predicted == true, confidence=confidence)


def mean_and_interval(values: Iterable[float] | Tensor, *, confidence: float = 0.95) -> Estimate:
    """Return the mean of independent runs (seeds) with Student's t interval.

    Raises:
        ValueError: less than two values, one that is not finite, or ``confidence`` not in (0, 1).
    """
    values = values if isinstance(values, Tensor) else list(values)
    values = torch.as_tensor(values, dtype=torch.float64)
    runs = check_shape(values, "runs", name="values")["runs"]
    check_finite(values, name="values")
    _check_confidence(confidence)
    if runs < 2:
        raise ValueError("values has 1 run, an interval needs 2 at least: run more seeds")
    mean = float(values.mean())
    error = float(values.std() / runs**0.5)
    reach = float(scipy.stats.t.ppf((1 + confidence) / 2, runs - 1)) * error
    return Estimate(mean, mean - reach, mean + reach)


def spearman(first: Tensor, second: Tensor) -> float:
    """Return Spearman's rank correlation of two (items,) tensors, -1 to 1; ties share a rank.

    Raises:
        ValueError: the shapes differ, a value is not finite, or all values of one are equal.
    """
    _check_same_shape(first, second, "items")
    for name, values in (("first", first), ("second", second)):
        check_finite(values, name=name)
        if bool((values == values[0]).all()):
            raise ValueError(
                f"all values of {name} are equal: a correlation needs some that differ"
            )
    first, second = (values.double().cpu() for values in (first, second))
    return float(scipy.stats.spearmanr(first, second).statistic)


def confusion_matrix(predicted: Tensor, true: Tensor, *, classes: int) -> Tensor:
    """Return how often each true class (rows) was taken for each class (columns), int64.

    Raises:
        ValueError: the shapes differ, or a class is not in 0 to ``classes`` - 1.
    """
    _check_same_shape(predicted, true, "items")
    classes = check_whole(classes, name="classes")
    both = torch.cat([predicted, true])
    lowest, highest = int(both.min()), int(both.max())
    if lowest < 0 or highest >= classes:
        raise ValueError(
            f"there are classes from {lowest} to {highest}, with classes={classes} they must lie "
            f"in 0 to {classes - 1}"
        )
    counts = sklearn.metrics.confusion_matrix(true.cpu(), predicted.cpu(), labels=range(classes))
    return torch.from_numpy(counts)


def word_similarity(vectors: Tensor, pairs: Tensor, human: Tensor) -> float:
    """Return Spearman's correlation of the cosine of word pairs with people's judgement.

    Args:
        vectors: (vocab, dim).
        pairs: the words' numbers, int64 (pairs, 2).
        human: how alike people found them, (pairs,).

    Raises:
        ValueError: shapes do not fit, or a value is not finite.
    """
    _check_vectors(vectors)
    check_shape(pairs, "pairs 2", name="pairs")
    first, second = unit_length(vectors)[pairs].unbind(dim=1)  # (pairs, dim) each
    return spearman((first * second).sum(dim=1), human)


def analogy_hits(vectors: Tensor, questions: Tensor, *, block: int = 1024) -> Tensor:
    """Answer "a is to b as c is to ...?" by 3CosAdd; say for each question if the answer is d.

    The answer is the word whose unit vector lies nearest, by cosine, to b - a + c of unit vectors;
    a, b and c themselves are no answers. Source: Mikolov et al., NAACL 2013; named 3CosAdd by
    Levy and Goldberg, CoNLL 2014, equation 1.

    Args:
        vectors: (vocab, dim).
        questions: the numbers of a, b, c, d, int64 (questions, 4).
        block: questions answered at a time; more need more memory.

    Returns:
        bool (questions,); ``share`` makes an accuracy of it.

    Raises:
        ValueError: shapes do not fit, or a vector is not finite.
    """
    _check_vectors(vectors)
    check_shape(questions, "questions 4", name="questions")
    unit = unit_length(vectors)
    hits = []
    for asked in questions.to(vectors.device).split(block):
        a, b, c, d = asked.unbind(dim=1)
        closeness = (unit[b] - unit[a] + unit[c]) @ unit.T  # (block, vocab)
        closeness.scatter_(1, asked[:, :3], -torch.inf)
        hits.append(closeness.argmax(dim=1) == d)
    return torch.cat(hits)


def retrieval_ranks(similarity: Tensor, targets: Tensor | None = None) -> Tensor:
    """Return the place of the right candidate for each query, 1 is best, int64 (queries,).

    Candidates that are just as similar as the right one stand before it.

    Args:
        similarity: (queries, candidates), larger is more alike.
        targets: the right candidate of each query; ``None`` takes candidate i for query i.

    Raises:
        ValueError: a value is not finite, or there is not one target for each query.
    """
    sizes = check_shape(similarity, "queries candidates", name="similarity")
    check_finite(similarity, name="similarity")
    if targets is None:
        check_shape(similarity, "pairs pairs", name="similarity")
        targets = torch.arange(sizes["queries"], device=similarity.device)
    check_shape(targets, str(sizes["queries"]), name="targets")
    right = similarity.gather(1, targets.unsqueeze(1))
    return (similarity >= right).sum(dim=1)


def recall_at(ranks: Tensor, k: int, *, confidence: float = 0.95) -> Estimate:
    """Return R@k: the share of queries whose right candidate is among the first ``k``.

    Raises:
        ValueError: ``ranks`` is empty or ``k`` is below 1.
    """
    return share(ranks <= check_whole(k, name="k"), confidence=confidence)


def median_rank(ranks: Tensor) -> float:
    """Return the median of ``ranks`` (queries,); with an even number, the mean of the middle two.

    Raises:
        ValueError: ``ranks`` is empty.
    """
    check_shape(ranks, "queries", name="ranks")
    return float(ranks.double().quantile(0.5))


def pearson(first: Tensor, second: Tensor) -> Tensor:
    """Return Pearson's correlation of two (..., time) tensors over time, -1 to 1, shape (...).

    The leading axes are broadcast. A signal that never changes goes with nothing: 0. The scale of
    a signal makes no difference, nor does an offset until rounding hides the signal behind it.

    Raises:
        ValueError: the last axes differ in length, or a value is not finite.
    """
    times = [check_shape(values, "... time", name=n)["time"]
             for n, values in (("first", first), ("second", second))]  # fmt: skip
    if times[0] != times[1]:
        raise ValueError(f"first has {times[0]} times and second {times[1]}: cut both to the same")
    for name, values in (("first", first), ("second", second)):
        check_floating(values, name=name)
        check_finite(values, name=name)
    moving = [(values != values[..., :1]).any(-1) for values in (first, second)]
    first, second = map(unit_length, (first, second))  # first, that no sum overflows
    first, second = (unit_length(x - x.mean(-1, keepdim=True)) for x in (first, second))
    return (first * second).sum(-1).clamp(-1, 1) * (moving[0] & moving[1])


def consensus_iou(maps: Tensor, consensus: Tensor, *, threshold: float) -> Tensor:
    """Return the consensus intersection over union of maps and what people agree on, (items,).

    A map claims the pixels where it is at least ``threshold``. Their sum in the consensus map is
    divided by the sum of the whole consensus map and the number of claimed pixels where it is 0.
    Source: Senocak et al., CVPR 2018, as in the program of Chen et al., CVPR 2021.

    Args:
        maps: (items, height, width), the larger the surer.
        consensus: the share of agreement in each pixel, in 0 to 1, of the same shape.
        threshold: of the maps' own unit.

    Returns:
        in 0 to 1. Where nobody marked anything, a map gets 0, also one that claims nothing.

    Raises:
        ValueError: the shapes differ, a map is not finite, or ``consensus`` is not in 0 to 1.
    """
    check_shape(maps, "items height width", name="maps")
    check_shape(consensus, "items height width", name="consensus")
    if maps.shape != consensus.shape:
        raise ValueError(
            f"maps have shape {tuple(maps.shape)}, consensus {tuple(consensus.shape)}: both need "
            "the same, resize the maps"
        )
    check_finite(maps, name="maps")
    if not bool(((consensus >= 0) & (consensus <= 1)).all()):
        raise ValueError("consensus must lie in 0 to 1: divide the counts by those that must agree")
    claimed = maps >= threshold
    inside = (claimed * consensus).sum((1, 2), dtype=torch.float64)
    outside = (claimed & (consensus == 0)).sum((1, 2))
    union = consensus.sum((1, 2), dtype=torch.float64) + outside
    return inside / union.where(union > 0, 1)


def peak_in(maps: Tensor, regions: Tensor) -> Tensor:
    """Say of each map if its highest pixel lies in its region: the pointing game (Zhang 2016).

    Args:
        maps: (items, rows, columns).
        regions: bool, of the same shape.

    Returns:
        bool (items,).

    Raises:
        ValueError: the shapes differ.
    """
    check_shape(maps, "items rows columns", name="maps")
    if maps.shape != regions.shape:
        raise ValueError(
            f"maps have shape {tuple(maps.shape)}, regions {tuple(regions.shape)}: enlarge the maps"
        )
    return regions.flatten(1).gather(1, maps.flatten(1).argmax(dim=1, keepdim=True))[:, 0]


def success_auc(ious: Tensor) -> float:
    """Return the area under the success curve of ``ious`` (items,), 0 to 1.

    Success at t is the share of items whose IoU is at least t, for t = 0, 0.05 ... 1; the area is
    that of the trapezoids between. Source: Senocak et al., CVPR 2018, as in the program of Chen et
    al., CVPR 2021.

    Raises:
        ValueError: there are none, or one is not in 0 to 1.
    """
    check_shape(ious, "items", name="ious")
    if not bool(((ious >= 0) & (ious <= 1)).all()):
        raise ValueError("ious must lie in 0 to 1: give intersections over unions")
    steps = torch.arange(21, dtype=torch.float64, device=ious.device) * 0.05
    success = (ious.double() >= steps[:, None]).double().mean(1)  # (thresholds,)
    return float(torch.trapezoid(success, steps))


def _check_vectors(vectors: Tensor) -> None:
    check_shape(vectors, "vocab dim", name="vectors")
    check_floating(vectors, name="vectors")
    check_finite(vectors, name="vectors")


def _check_same_shape(first: Tensor, second: Tensor, axes: str) -> None:
    check_shape(first, axes, name="the first argument")
    check_shape(second, axes, name="the second argument")
    if first.shape != second.shape:
        raise ValueError(
            f"there are {len(first)} and {len(second)} items: both need the same, in the same order"
        )


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, it must lie between 0 and 1, such as 0.95")
