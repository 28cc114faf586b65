"""Each score against its definition, written out the slow and obvious way."""

import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlib.metrics import (
    Estimate,
    accuracy,
    analogy_hits,
    confusion_matrix,
    consensus_iou,
    mean_and_interval,
    median_rank,
    peak_in,
    pearson,
    recall_at,
    retrieval_ranks,
    share,
    spearman,
    success_auc,
    word_similarity,
)
from mmlib.runtime import make_generator

CLASSES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50)


@given(pairs=CLASSES)
def test_accuracy_is_the_share_of_equals_with_the_interval_of_wilson(pairs):
    predicted, true = torch.tensor(pairs).unbind(1)
    found = accuracy(predicted, true)
    n, p, z = len(pairs), sum(a == b for a, b in pairs) / len(pairs), 1.959963984540054
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert found.value == pytest.approx(p)
    assert found.low == pytest.approx(middle - reach, abs=1e-9)
    assert found.high == pytest.approx(middle + reach, abs=1e-9)


def test_the_wilson_interval_holds_the_truth_about_as_often_as_it_says():
    draws = torch.rand(400, 60, generator=make_generator(0)) < 0.3
    inside = [found.low <= 0.3 <= found.high for found in map(share, draws)]
    assert 0.92 < sum(inside) / 400 < 0.98


def test_the_mean_of_seeds_has_the_t_interval():
    # t = 2.776 for 4 degrees of freedom and 95 %, from any printed table
    values = [0.61, 0.64, 0.58, 0.66, 0.62]
    found = mean_and_interval(values)
    error = statistics.stdev(values) / math.sqrt(5)
    assert found.value == pytest.approx(statistics.mean(values))
    assert found.high - found.value == pytest.approx(2.776 * error, rel=1e-3)
    assert found.value - found.low == pytest.approx(2.776 * error, rel=1e-3)
    assert mean_and_interval(values, confidence=0.5).high < found.high
    assert mean_and_interval([1.0, 1.0]) == Estimate(1.0, 1.0, 1.0)


def test_an_estimate_is_written_as_in_a_table():
    assert str(Estimate(0.5, 0.25, 0.75)) == "0.500 (0.250 to 0.750)"


@given(pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_spearman_is_the_correlation_of_ranks_in_which_ties_share(pairs):
    def ranks(values):
        below = [sum(other < value for other in values) for value in values]
        return [b + (values.count(v) + 1) / 2 for b, v in zip(below, values, strict=True)]

    first, second = (list(column) for column in zip(*pairs, strict=True))
    tensors = torch.tensor(first).float(), torch.tensor(second).float()
    if len(set(first)) == 1 or len(set(second)) == 1:
        with pytest.raises(ValueError, match="are equal: a correlation needs some that differ"):
            spearman(*tensors)
        return
    expected = statistics.correlation(ranks(first), ranks(second))
    assert spearman(*tensors) == pytest.approx(expected, abs=1e-9)
    assert spearman(tensors[0].exp(), tensors[1]) == pytest.approx(expected, abs=1e-9)


@given(pairs=CLASSES)
def test_the_confusion_matrix_counts_true_rows_and_predicted_columns(pairs):
    predicted, true = torch.tensor(pairs).unbind(1)
    found = confusion_matrix(predicted, true, classes=5)
    expected = torch.zeros(5, 5, dtype=torch.int64)
    for a, b in pairs:
        expected[b, a] += 1
    assert torch.equal(found, expected)


def test_a_class_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"from 0 to 3, with classes=3 they must lie in 0 to 2"):
        confusion_matrix(torch.tensor([0, 3]), torch.tensor([0, 1]), classes=3)


def test_word_similarity_is_the_correlation_of_cosines_with_people():
    vectors = torch.randn(10, 4, generator=make_generator(0))
    pairs = torch.combinations(torch.arange(10))[::2]  # 45 pairs of different words, every second
    human = torch.rand(23, generator=make_generator(2))
    lengths = vectors.norm(dim=1)
    cosines = torch.stack([vectors[a] @ vectors[b] / lengths[a] / lengths[b] for a, b in pairs])
    assert word_similarity(vectors, pairs, human) == pytest.approx(spearman(cosines, human))
    assert word_similarity(vectors, pairs, 3 * cosines + 1) == pytest.approx(1)
    stretched = vectors * torch.arange(1, 11).unsqueeze(1)
    assert word_similarity(stretched, pairs, human) == pytest.approx(spearman(cosines, human))


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_analogies_are_answered_as_by_trying_every_word(block):
    vectors = torch.randn(12, 3, generator=make_generator(0))
    questions = torch.randint(12, (40, 4), generator=make_generator(1))
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    expected = []
    for a, b, c, d in questions.tolist():
        target = unit[b] - unit[a] + unit[c]
        allowed = [word for word in range(12) if word not in (a, b, c)]
        expected.append(max(allowed, key=lambda word: float(unit[word] @ target)) == d)
    assert 0 < sum(expected) < 40
    assert analogy_hits(vectors, questions, block=block).tolist() == expected


def test_a_plane_of_gender_and_royalty_is_solved_and_a_question_word_is_never_the_answer():
    man, woman, king, queen = 0, 1, 2, 3
    vectors = torch.tensor([[1.0, 0.2, 0.1], [1.0, -0.2, 0.1], [0.2, 0.2, 1.0], [0.2, -0.2, 1.0]])
    questions = torch.tensor([[man, woman, king, queen], [king, queen, man, woman]])
    assert analogy_hits(vectors, questions).tolist() == [True, True]
    never = torch.tensor([[man, woman, king, king]])
    assert analogy_hits(vectors, never).tolist() == [False]


@given(scores=st.lists(st.lists(st.integers(0, 4), min_size=6, max_size=6), min_size=1, max_size=6))
def test_ranks_are_places_in_the_sorted_list_with_ties_against_the_model(scores):
    targets = [query % 6 for query in range(len(scores))]
    ranks = retrieval_ranks(torch.tensor(scores).float(), torch.tensor(targets))
    expected = []
    for row, target in zip(scores, targets, strict=True):
        order = sorted(range(6), key=lambda i: (-row[i], i == target))
        expected.append(order.index(target) + 1)
    assert ranks.tolist() == expected
    assert median_rank(ranks) == statistics.median(expected)
    for k in (1, 3, 6):
        assert recall_at(ranks, k).value == pytest.approx(
            sum(r <= k for r in expected) / len(expected)
        )


def test_perfect_useless_and_chance_retrieval():
    assert retrieval_ranks(torch.eye(5)).tolist() == [1] * 5
    assert retrieval_ranks(torch.zeros(5, 5)).tolist() == [5] * 5
    chance = retrieval_ranks(
        torch.rand(2000, 100, generator=make_generator(0)), torch.zeros(2000).long()
    )
    assert recall_at(chance, 10).value == pytest.approx(0.1, abs=0.02)
    assert median_rank(chance) == pytest.approx(50.5, abs=3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: accuracy(torch.zeros(2), torch.zeros(3)), "there are 2 and 3 items"),
        (lambda: accuracy(torch.zeros(0), torch.zeros(0)), "is empty"),
        (lambda: share(torch.ones(3) > 0, confidence=95), "confidence is 95"),
        (lambda: mean_and_interval([0.5]), "needs 2 at least: run more seeds"),
        (lambda: mean_and_interval([0.5, math.nan]), "values has 1 of 2 values that are NaN"),
        (lambda: spearman(torch.tensor([1.0, math.inf]), torch.rand(2)), "NaN or infinite"),
        (lambda: retrieval_ranks(torch.rand(2, 3)), "need size 2 where it has 3"),
        (lambda: retrieval_ranks(torch.rand(2, 3), torch.zeros(3).long()), "need size 2"),
        (lambda: retrieval_ranks(torch.full((2, 2), math.nan)), "NaN"),
        (lambda: recall_at(torch.tensor([1]), 0), "k is 0"),
        (lambda: recall_at(torch.tensor([1]), None), "k is None, it must be a whole number"),
        (lambda: median_rank(torch.zeros(0)), "is empty"),
        (lambda: analogy_hits(torch.rand(5, 2), torch.zeros(3, 3).long()), "questions 4|size 4"),
        (lambda: word_similarity(torch.rand(5), torch.zeros(1, 2), torch.zeros(1)), "1 axes"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_runs_that_can_be_read_once_only_have_a_mean():
    assert mean_and_interval(x / 10 for x in range(5)) == mean_and_interval([0, 0.1, 0.2, 0.3, 0.4])


def test_hits_must_be_boolean():
    with pytest.raises(TypeError, match=r"must be torch\.bool"):
        share(torch.tensor([1, 0]))


@given(
    st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=3, max_size=20).filter(
        lambda pairs: min(len({round(p[i], 3) for p in pairs}) for i in (0, 1)) > 1
    )
)
def test_pearson_is_that_of_the_standard_library(pairs):
    first, second = (torch.tensor(side, dtype=torch.float64) for side in zip(*pairs, strict=True))
    expected = statistics.correlation(first.tolist(), second.tolist())
    assert math.isclose(float(pearson(first, second)), expected, abs_tol=1e-6)


def test_pearson_broadcasts_and_a_still_signal_goes_with_nothing():
    signals = torch.randn(2, 3, 8, generator=make_generator(0))
    found = pearson(signals, signals[0, 1])
    assert found.shape == (2, 3)
    assert math.isclose(float(found[0, 1]), 1, abs_tol=1e-6)
    assert float(pearson(torch.full((8,), 0.3), signals[0, 0])) == 0
    with pytest.raises(ValueError, match="first has 8 times and second 7: cut both"):
        pearson(signals, signals[..., :7])
    with pytest.raises(ValueError, match="second"):
        pearson(signals, torch.tensor([1.0] * 7 + [math.nan]))


SCALES = [1e-44, 1e-30, 1e-9, 1e30]


@pytest.mark.parametrize("scale", SCALES)
def test_the_scale_of_a_signal_is_nothing_to_pearson(scale):
    signal = torch.randn(64, generator=make_generator(0))
    rough = 0.1 if scale < 1e-40 else 1e-5  # so near to zero few bits are left
    assert float(pearson(scale * signal, signal)) == pytest.approx(1, abs=rough)
    assert float(pearson(-scale * signal, signal)) == pytest.approx(-1, abs=rough)


def test_an_offset_is_nothing_to_pearson_until_rounding_hides_the_signal():
    signal = torch.linspace(0, 1, 50, dtype=torch.float64) ** 2
    assert float(pearson(1 + 1e-9 * signal, signal)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("scale", SCALES[1:])
def test_the_length_of_vectors_is_nothing_to_similarity_and_analogies(scale):
    vectors = torch.randn(12, 3, generator=make_generator(0))
    questions = torch.randint(12, (40, 4), generator=make_generator(1))
    scaled = vectors.clone()
    scaled[::2] *= scale
    human = torch.rand(40, generator=make_generator(2))
    expected = word_similarity(vectors, questions[:, :2], human)
    assert word_similarity(scaled, questions[:, :2], human) == pytest.approx(expected, abs=1e-6)
    assert torch.equal(analogy_hits(scaled, questions), analogy_hits(vectors, questions))


@pytest.mark.parametrize("dtype", [torch.half, torch.bfloat16])
def test_half_precision_is_measured_with_more(dtype):
    vectors = torch.randn(12, 3, generator=make_generator(0)).to(dtype)
    questions = torch.randint(12, (40, 4), generator=make_generator(1))
    hits = analogy_hits(vectors, questions)
    assert torch.equal(hits, analogy_hits(vectors.double(), questions))
    for score in (pearson, spearman):
        found, exact = (score(x[:, 0], x[:, 1]) for x in (vectors, vectors.double()))
        assert float(found) == pytest.approx(float(exact), abs=1e-6)


def count_consensus_iou(values, consensus, threshold):
    """The official program's arithmetic, pixel by pixel."""
    inside = total = outside = 0.0
    for row, agreed_row in zip(values.tolist(), consensus.tolist(), strict=True):
        for value, agreed in zip(row, agreed_row, strict=True):
            claimed = value >= threshold
            inside += agreed if claimed else 0
            total += agreed
            outside += 1 if claimed and agreed == 0 else 0
    return inside / (total + outside) if total + outside else 0.0


@given(seed=st.integers(0, 10**6), threshold=st.sampled_from([-1.0, 0.0, 0.5, 2.0]))
def test_consensus_iou_is_that_of_a_loop_over_pixels(seed, threshold):
    generator = make_generator(seed)
    maps = torch.randn(3, 4, 5, generator=generator)
    consensus = torch.randint(0, 3, (3, 4, 5), generator=generator) / 2
    found = consensus_iou(maps, consensus, threshold=threshold)
    for item in range(3):
        expected = count_consensus_iou(maps[item], consensus[item], threshold)
        assert math.isclose(float(found[item]), expected, abs_tol=1e-9)


def test_consensus_iou_at_its_ends():
    agreed = torch.zeros(1, 4, 4)
    everywhere, nowhere = torch.ones(1, 4, 4), torch.zeros(1, 4, 4)
    for nothing_marked in (everywhere, nowhere):
        assert float(consensus_iou(nothing_marked, agreed, threshold=0.5)) == 0
    agreed[0, :2, :2] = 1.0
    agreed[0, 0, 2] = 0.5
    assert float(consensus_iou(nowhere, agreed, threshold=0.5)) == 0
    assert float(consensus_iou(agreed, agreed, threshold=0.5)) == 1  # also where only one marked
    assert float(consensus_iou(everywhere, agreed, threshold=0.5)) == 4.5 / (4.5 + 11)


def test_success_auc_is_the_sum_of_trapezoids_under_the_counted_curve():
    ious = [0.0, 0.05, 0.32, 0.5, 0.77, 1.0]
    curve = [sum(iou >= t / 20 for iou in ious) / len(ious) for t in range(21)]
    expected = sum((curve[t] + curve[t + 1]) / 2 / 20 for t in range(20))
    assert math.isclose(success_auc(torch.tensor(ious, dtype=torch.float64)), expected)
    assert success_auc(torch.ones(3)) == pytest.approx(1)
    assert success_auc(torch.zeros(3)) == pytest.approx(0.025)  # success at 0 is certain


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: consensus_iou(torch.zeros(1, 4, 4), torch.zeros(1, 4, 5), threshold=1), "resize"),
        (lambda: consensus_iou(torch.zeros(4, 4), torch.zeros(4, 4), threshold=1), "2 axes"),
        (lambda: consensus_iou(torch.zeros(0, 4, 4), torch.zeros(0, 4, 4), threshold=1), "empty"),
        (lambda: consensus_iou(torch.zeros(1, 1, 1), torch.full((1, 1, 1), 2.0), threshold=1),
         "divide the counts"),
        (lambda: consensus_iou(torch.full((1, 1, 1), math.nan), torch.ones(1, 1, 1), threshold=1),
         "maps"),
        (lambda: success_auc(torch.tensor([0.5, 1.5])), "0 to 1"),
        (lambda: success_auc(torch.tensor([0.5, math.nan])), "0 to 1"),
        (lambda: success_auc(torch.zeros(0)), "empty"),
    ],
)  # fmt: skip
def test_wrong_maps_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_pointing_by_hand():
    maps = torch.tensor([[[0.0, 1.0], [0.5, 0.2]], [[0.0, 0.1], [0.9, 0.2]]])
    regions = torch.tensor([[[0, 1], [0, 0]], [[0, 1], [0, 0]]]).bool()
    assert peak_in(maps, regions).tolist() == [True, False]
