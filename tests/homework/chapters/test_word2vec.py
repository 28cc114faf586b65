"""What the homework on word2vec holds for true is what independent libraries compute."""

from pathlib import Path

import gensim.models
import nbformat
import numpy as np
import pytest
import scipy.spatial
import scipy.special
import torch
from gensim.models import KeyedVectors

from mmlib.homework import word_groups
from mmlib.homework.exercises import load_exercises

EXERCISES = {exercise.function: exercise for exercise in load_exercises("word2vec")}


def cases(function):
    return EXERCISES[function].make_cases(np.random.default_rng(5))


def test_pairs_are_those_of_the_definition():
    met = set()
    for case in cases("skip_gram_pairs"):
        words, window = case.inputs.values()
        places = np.ndindex(len(words), len(words))  # row by row: centre first, then context
        pairs = [[words[i], words[j]] for i, j in places if 0 < abs(i - j) <= window]
        assert case.truth.tolist() == pairs
        met.add(window >= len(words))
    assert met == {True, False}


def test_kept_words_are_gensims():
    for case in cases("keep_probability"):
        counts, threshold = case.inputs.values()
        model = gensim.models.Word2Vec(sample=threshold, min_count=1)
        model.build_vocab_from_freq({str(i): int(n) for i, n in enumerate(counts)})
        drawn_below = [model.wv.get_vecattr(str(i), "sample_int") for i in range(len(counts))]
        np.testing.assert_allclose(case.truth, np.array(drawn_below) / (2**32 - 1), rtol=1e-6)
        assert (case.truth == 1).any() or threshold < 1e-3
        assert (case.truth < 1).any()


def test_the_loss_is_scipys_even_for_large_scores():
    tops = []
    for case in cases("softmax_loss"):
        centres, contexts, centre_id, context_id = case.inputs.values()
        scores = contexts @ centres[centre_id]
        assert case.truth == pytest.approx(-scipy.special.log_softmax(scores)[context_id])
        tops.append(scores.max())
    assert min(tops) < -1000
    assert max(tops) > 1000
    assert max(case.truth for case in cases("softmax_loss")) > 745  # where exp(-loss) is 0


def test_the_gradients_are_autograds():
    for case in cases("negative_sampling_gradients"):
        centre, context, negatives = (
            torch.tensor(value, requires_grad=True) for value in case.inputs.values()
        )
        loss = -torch.nn.functional.logsigmoid(context @ centre)
        loss = loss - torch.nn.functional.logsigmoid(-negatives @ centre).sum()
        loss.backward()
        rows = torch.cat([centre.grad[None], context.grad[None], negatives.grad])
        np.testing.assert_allclose(case.truth, rows.numpy(), rtol=1e-9, atol=1e-12)


def test_analogies_are_gensims():
    for case in cases("solve_analogy"):
        vectors, a, b, c = case.inputs.values()
        table = KeyedVectors(vectors.shape[1])
        table.add_vectors([str(i) for i in range(len(vectors))], vectors)
        ((answer, _),) = table.most_similar(positive=[str(b), str(c)], negative=[str(a)], topn=1)
        assert case.truth == int(answer)


def test_in_one_analogy_all_other_words_point_away():
    vectors, *question = cases("solve_analogy")[-1].inputs.values()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    target = unit[question[1]] - unit[question[0]] + unit[question[2]]
    assert (np.delete(unit, question, axis=0) @ target < 0).all()


@pytest.mark.parametrize("case", cases("train_vectors"))
def test_a_language_is_as_it_is_described(case):
    text, vocab = case.inputs.values()
    language = case.truth
    assert text.shape == (word_groups.SENTENCES, 3 * word_groups.SLOTS)
    assert sorted(np.unique(text)) == list(range(vocab))
    sizes = np.unique(language.group, return_counts=True)[1]
    assert sizes.tolist() == [2 * word_groups.SMALL] + word_groups.GROUPS * [word_groups.MEMBERS]
    before, word, after = text.reshape(-1, 3).T
    assert (language.group[word] >= 0).all()
    assert (language.group[np.concatenate([before, after])] == -1).all()
    assert np.mean(language.before[word] == before) > 0.85
    assert np.mean(language.after[word] == after) > 0.85
    group = language.group[text[:, 1::3]]
    assert np.mean((group[:, 1:] - group[:, :-1]) % word_groups.GROUPS == 1) > 0.85


def cosine_neighbours(vectors):
    distance = scipy.spatial.distance.squareform(
        scipy.spatial.distance.pdist(vectors, metric="cosine")
    )
    np.fill_diagonal(distance, np.inf)
    return distance.argmin(axis=1)


def test_nearest_words_are_scipys():
    vectors = np.random.default_rng(0).normal(size=(60, 5))
    assert word_groups.nearest_words(vectors).tolist() == cosine_neighbours(vectors).tolist()


def test_raw_counts_find_fewer_than_half_and_known_groups_all():
    reached = []
    for case in cases("train_vectors"):
        text, group = case.inputs["sentences"], case.truth.group
        raw = np.zeros((len(group), len(group)))
        for apart in range(1, 5):
            np.add.at(raw, (text[:, :-apart], text[:, apart:]), 1)
            np.add.at(raw, (text[:, apart:], text[:, :-apart]), 1)
        known = np.eye(word_groups.GROUPS + 1)[group]
        known += 0.05 * np.random.default_rng(0).normal(size=known.shape)
        found = [group[cosine_neighbours(table)] == group for table in (raw, known)]
        reached.append([same[group >= 0].mean() for same in found])
    assert np.mean(reached, axis=0)[0] < 0.5
    assert np.mean(reached, axis=0)[1] == 1


def test_gensim_passes_the_last_exercise():
    exercise = EXERCISES["train_vectors"]
    languages = cases("train_vectors")
    answers = []
    for case in languages:
        text, vocab = case.inputs.values()
        model = gensim.models.Word2Vec(
            [[str(word) for word in row] for row in text],
            **{"vector_size": 16, "window": 4, "sg": 1, "sample": 0.01, "min_count": 1},
            **{"epochs": 30, "alpha": 0.05, "seed": 1, "workers": 1},
        )
        answers.append(model.wv[[str(word) for word in range(vocab)]])
    assert exercise.judge(languages, answers) is None


def test_the_notebook_states_the_terms_that_the_judge_applies():
    path = Path(__file__).resolve().parents[3] / "notebooks" / "homework" / "word2vec.ipynb"
    prose = "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
    assert "three languages" in prose
    assert len(cases("train_vectors")) == 3
    assert "ten groups of eight words" in prose
    assert (word_groups.GROUPS, word_groups.MEMBERS) == (10, 8)
    assert "four that go before" in prose
    assert word_groups.SMALL == 4
    assert "1200 sentences of twelve words" in prose
    assert (word_groups.SENTENCES, 3 * word_groups.SLOTS) == (1200, 12)
    assert "between 2 and 32 columns" in prose
    assert word_groups.MOST_COLUMNS == 32
    assert "nine words in ten" in prose
    assert word_groups.ENOUGH == 0.9
