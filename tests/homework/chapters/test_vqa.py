"""What the homework on questions about pictures holds for true is what others compute too."""

import statistics
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

from mmlib.homework.chapters import vqa
from mmlib.homework.exercises import load_exercises

EXERCISES = {exercise.function: exercise for exercise in load_exercises("vqa")}


def cases(function):
    return EXERCISES[function].make_cases(np.random.default_rng(5))


def test_the_prior_is_the_smallest_mode_of_each_type():
    met = set()
    for case in cases("majority_by_type"):
        types, answers, new_types = case.inputs.values()
        for kind, guess in zip(new_types, case.truth, strict=True):
            same = answers[types == kind].tolist()
            modes = statistics.multimode(same or answers.tolist())
            assert guess == min(modes)
            met.add((bool(same), len(modes) > 1))
    assert met >= {(True, False), (True, True), (False, False)}


def test_the_score_is_the_official_one():
    """As VQA's own evaluation computes it: for each person, the matches among the others."""
    for case in cases("vqa_accuracy"):
        answer, humans = case.inputs.values()
        scores = []
        people = [{"id": i, "answer": text} for i, text in enumerate(humans)]
        for person in people:
            others = [item for item in people if item != person]
            matching = [item for item in others if item["answer"] == answer]
            scores.append(min(1, float(len(matching)) / 3))
        assert case.truth == pytest.approx(sum(scores) / len(scores))
        assert len(humans) == 10
    assert sorted({round(case.truth, 6) for case in cases("vqa_accuracy")}) == [0, 0.3, 0.6, 0.9, 1]


def test_modulation_is_torchs_instance_norm_with_weights():
    for case in cases("film"):
        grid, question, to_scale, to_shift = map(torch.tensor, case.inputs.values())
        modulated = torch.nn.functional.instance_norm(
            grid[None], weight=1 + question @ to_scale, bias=question @ to_shift, eps=1e-5
        )
        np.testing.assert_allclose(case.truth, modulated[0].relu().numpy(), rtol=1e-6, atol=1e-9)
        assert 0.1 < (case.truth == 0).mean() < 0.9


def test_each_hop_is_torchs_attention_with_the_question_renewed():
    for case in cases("stacked_attention"):
        grid, now, to_grid, to_question, to_score = map(torch.tensor, case.inputs.values())
        for by_cell, by_question, by_score in zip(to_grid, to_question, to_score, strict=True):
            keys = torch.tanh(grid @ by_cell + now @ by_question)
            seen = torch.nn.functional.scaled_dot_product_attention(
                by_score[None], keys, grid, scale=1.0
            )
            now = now + seen[0]
        np.testing.assert_allclose(case.truth, now.numpy(), rtol=1e-6)


def test_the_fused_gradient_is_autograds():
    for case in cases("fusion_gradient"):
        pictures, questions, to_picture, to_question, upstream = map(
            torch.tensor, case.inputs.values()
        )
        to_picture.requires_grad_()
        fused = torch.tanh(pictures @ to_picture) * torch.tanh(questions @ to_question)
        fused.backward(upstream)
        np.testing.assert_allclose(case.truth, to_picture.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_new_questions_are_balanced_and_old_ones_have_habits():
    """The questions fall into FACTS clusters; in each the new answers are half yes."""
    for case in cases("answer_questions"):
        _, questions, answers, _, new_questions = case.inputs.values()
        clusters = KMeans(vqa.FACTS, n_init=5, random_state=0).fit(questions)
        new_types, types = clusters.predict(new_questions), clusters.labels_
        shares = [answers[types == kind].mean() for kind in range(vqa.FACTS)]
        new_shares = [case.truth[new_types == kind].mean() for kind in range(vqa.FACTS)]
        assert new_shares == [0.5] * vqa.FACTS
        assert min(shares) < 0.35
        assert max(shares) > 0.65


@pytest.mark.parametrize("seed", range(3))
def test_logistic_regression_passes_on_products_and_not_on_sums(seed):
    exercise = EXERCISES["answer_questions"]
    made = exercise.make_cases(np.random.default_rng(seed))
    assert exercise.judge(made, [answered(case, products) for case in made]) is None
    added = [answered(case, lambda *both: np.hstack(both)) for case in made]
    assert "side by side" in exercise.judge(made, added)


def products(pictures, questions):
    return np.einsum("np,nq->npq", pictures, questions).reshape(len(pictures), -1)


def answered(case, joined):
    pictures, questions, answers, *new = case.inputs.values()
    model = LogisticRegression(max_iter=300).fit(joined(pictures, questions), answers)
    return model.predict(joined(*new))


def test_the_notebook_states_the_terms_that_the_judge_applies():
    path = Path(__file__).resolve().parents[3] / "notebooks" / "homework" / "vqa.ipynb"
    prose = "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
    assert "shows or lacks seven facts" in prose
    assert "takes 500 examples" in prose
    assert "the 200 new ones" in prose
    assert "makes up two worlds" in prose
    assert "85 answers in a hundred must be right" in prose
    stated = (vqa.FACTS, vqa.ASKED, 2 * vqa.PAIRS, vqa.WORLDS, vqa.ENOUGH)
    assert stated == (7, 500, 200, 2, 0.85)
