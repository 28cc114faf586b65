"""Visual question answering: the papers' equations written out apart, laws, training, bad input."""

import numpy as np
import pytest
import torch
from torch import nn

from mmlib.data.standardise import Standardise
from mmlib.data.visual_questions import encode_questions, question_vocabulary
from mmlib.foundations.pretraining import WORDS, ImageClassifier, load_image_classifier
from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_text import vqa
from mmlib.world.questions import ANSWERS, TYPES, ask
from mmlib.world.sampling import sample_scenes

CHANNELS, SIZES = 6, {"embedding": 8, "hidden": 12}
MODELS = {
    "two-stream": lambda words, over: vqa.TwoStream(words, over, joint=24, **SIZES),
    "attention": lambda words, over: vqa.StackedAttention(words, over, attention=10, **SIZES),
    "FiLM": lambda words, over: vqa.Film(words, over, channels=8, classifier=16, **SIZES),
}


class Thumbnail(nn.Module):
    """An image encoder: mean colours of 4 by 4 cells, and their squares."""

    def forward(self, pictures):
        small = nn.functional.adaptive_avg_pool2d(pictures, 4)
        return torch.cat([small, small.square()], dim=1)


@pytest.fixture(scope="module")
def data():
    return vqa.make_vqa_data(12, Thumbnail(), generator=make_generator(0), per_scene=3)


@pytest.fixture(scope="module")
def vocabulary(data):
    return question_vocabulary([q.text for asked in data.questions for q in asked])


def images_for(name, data):
    return data.grids.mean(dim=(2, 3)) if name == "two-stream" else data.grids


def made(name, data, vocabulary, seed=0):
    """Return one of the models in evaluation mode, and a batch for it."""
    images = images_for(name, data)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MODELS[name](len(vocabulary), Standardise.over(images))
    return model.eval(), (images, *vqa.encode_data(data, vocabulary))


def array(tensor):
    return tensor.detach().numpy().astype(np.float64)


def affine(layer, x):
    """Return a linear layer's or a 1 × 1 convolution's output for x (..., inputs), by NumPy."""
    weight = array(layer.weight).reshape(layer.weight.shape[:2])
    return x @ weight.T + (0 if layer.bias is None else array(layer.bias))


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


def test_data_are_the_scenes_pictures_and_questions_and_come_again(data, vocabulary):
    again = vqa.make_vqa_data(12, Thumbnail(), generator=make_generator(0), per_scene=3)
    assert torch.equal(data.grids, again.grids)
    assert data.questions == again.questions
    assert data.grids.shape == (12, CHANNELS, 4, 4)
    for night, asked in zip(data.scenes.night.tolist(), data.questions, strict=True):
        times = {q.answer for q in asked if q.type == "time"}
        assert times <= {"night" if night else "day"}
    questions, answers = vqa.encode_data(data, vocabulary)
    assert questions.shape[:2] == answers.shape == (12, 3)
    assert [ANSWERS[i] for i in answers[2].tolist()] == [q.answer for q in data.questions[2]]


def test_the_grid_holds_the_encoders_features_and_its_words_probabilities():
    classifier = ImageClassifier().eval()
    pictures = torch.rand(2, 3, 32, 32, generator=make_generator(0))
    with torch.no_grad():
        grid, found = vqa.GridEncoder(classifier)(pictures), classifier(pictures)
    assert grid.shape == (2, 128 + len(WORDS), 4, 4)
    torch.testing.assert_close(grid[:, 128:], 1 / (1 + torch.exp(-found.cells)))


def test_the_question_is_read_as_by_torchs_single_cell(vocabulary):
    encoder, cell = vqa.QuestionEncoder(9, **SIZES), nn.LSTMCell(8, 12)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in encoder.lstm.state_dict().items()})
    questions = torch.tensor([[3, 1, 2, 0, 0], [5, 4, 3, 2, 1]])
    h, c = encoder(questions)
    for row, length in ((0, 3), (1, 5)):
        state = (torch.zeros(1, 12), torch.zeros(1, 12))
        for place in range(length):
            state = cell(encoder.embed(questions[row : row + 1, place]), state)
        torch.testing.assert_close((h[row], c[row]), (state[0][0], state[1][0]))


def test_two_streams_by_numpy(data, vocabulary):
    model, (images, questions, _) = made("two-stream", data, vocabulary)
    x = array((images[4] - images.mean(0)) / images.std(0, correction=0))
    v = np.tanh(affine(model.to_v, x))
    q = np.tanh(affine(model.to_q, array(torch.cat(model.question(questions[4, 1:2]), 1))[0]))
    hidden = np.tanh(affine(model.answer[0], np.array([a * b for a, b in zip(v, q, strict=True)])))
    found = array(model(images[4:5], questions[4, 1:2]))[0]
    np.testing.assert_allclose(found, affine(model.answer[2], hidden), atol=1e-5)


def test_a_baseline_without_one_modality_does_not_know_it(data, vocabulary):
    images, questions = images_for("two-stream", data), vqa.encode_data(data, vocabulary)[0][:, 0]
    for fusion, changed in (
        ("question only", (images + 1, questions)),
        ("image only", (images, questions.flip(0))),
    ):
        over = Standardise.over(images)
        model = vqa.TwoStream(len(vocabulary), over, fusion=fusion, joint=24, **SIZES)
        assert torch.equal(model(images, questions), model(*changed))


def test_stacked_attention_by_numpy(data, vocabulary):
    """Yang et al., equations 2 and 15 to 23, cell by cell."""
    model, (images, questions, _) = made("attention", data, vocabulary)
    x = images[3].flatten(1).T - model.standardise.mean
    v = np.tanh(affine(model.to_v, array(x / model.standardise.deviation)))
    u, maps = array(model.question(questions[3, :1])[0])[0], []
    for image, query, score in zip(model.image, model.query, model.score, strict=True):
        scores = [affine(score, np.tanh(affine(image, c) + affine(query, u)))[0] for c in v]
        maps.append(softmax(np.array(scores)))
        u = u + sum(weight * cell for weight, cell in zip(maps[-1], v, strict=True))
    logits, weights = model.attend(images[3:4], questions[3, :1])
    np.testing.assert_allclose(array(weights[0].flatten(1)), maps, atol=1e-6)
    np.testing.assert_allclose(array(logits)[0], affine(model.answer, u), atol=1e-5)


def test_a_modulated_block_by_numpy():
    """1 × 1, ReLU; 3 × 3 by loops, normalised, γ · + β, ReLU; the sum of both."""
    block, generator = vqa.FilmBlock(4).eval(), make_generator(0)
    x, gamma, beta = (
        torch.randn(shape, generator=generator) for shape in ((1, 4, 3, 3), (1, 4), (1, 4))
    )
    line = np.array([-2 / 3, 0, 2 / 3])
    place = np.stack([np.tile(line, (3, 1)), np.tile(line[:, None], (1, 3))])
    cells = np.concatenate([array(x[0]), place]).transpose(1, 2, 0)  # (rows, columns, 4 + 2)
    first = np.maximum(affine(block.pointwise, cells), 0).transpose(2, 0, 1)
    padded, weight = np.pad(first, ((0, 0), (1, 1), (1, 1))), array(block.spatial.weight)
    second = sum(  # the nine places of the 3 × 3 kernel, each a shifted copy
        np.einsum("oi,irc->orc", weight[:, :, r, c], padded[:, r : r + 3, c : c + 3])
        for r, c in np.ndindex(3, 3)
    )
    second += array(block.spatial.bias)[:, None, None]
    second /= np.sqrt(1 + block.norm.eps)  # fresh running statistics: mean 0, variance 1
    modulated = array(gamma[0])[:, None, None] * second + array(beta[0])[:, None, None]
    found = array(block(x, gamma, beta))[0]
    np.testing.assert_allclose(found, first + np.maximum(modulated, 0), atol=1e-5)


def test_film_hears_the_question_through_gamma_and_beta_alone(data, vocabulary):
    model, (images, questions, _) = made("FiLM", data, vocabulary)
    with torch.no_grad():
        one, other = (model(images, questions[:, i]) for i in (0, 1))
        assert not torch.allclose(one, other)
        model.film.weight.zero_()
        torch.testing.assert_close(*(model(images, questions[:, i]) for i in (0, 1)))


def test_who_can_know_where_things_are(data, vocabulary):
    """Cells shuffled: attention finds the same and its maps are shuffled; FiLM can tell."""
    order = torch.randperm(16, generator=make_generator(1))
    with torch.no_grad():
        for name, changes in (("attention", False), ("FiLM", True)):
            model, (grids, questions, _) = made(name, data, vocabulary)
            shuffled = grids.flatten(2)[..., order].unflatten(2, (4, 4))
            same, other = model(grids, questions[:, 0]), model(shuffled, questions[:, 0])
            assert torch.allclose(same, other, atol=1e-5) is not changes
        model, (grids, questions, _) = made("attention", data, vocabulary)
        shuffled = grids.flatten(2)[..., order].unflatten(2, (4, 4))
        maps, moved = (model.attend(g, questions[:, 0])[1].flatten(2) for g in (grids, shuffled))
    torch.testing.assert_close(maps.sum(dim=2), torch.ones(12, 2))
    torch.testing.assert_close(moved, maps[..., order])


@pytest.mark.parametrize("name", MODELS)
def test_neither_padding_nor_company_changes_an_answer(name, data, vocabulary):
    model, (images, questions, _) = made(name, data, vocabulary)
    together = vqa.probabilities(model, images, nn.functional.pad(questions, (0, 4)))
    alone = vqa.probabilities(model, images[2:3], questions[2:3, 1:2])
    torch.testing.assert_close(together[2:3, 1:2], alone)
    torch.testing.assert_close(together.sum(dim=2), torch.ones(12, 3))


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_every_parameter(name, data, vocabulary):
    model, batch = made(name, data, vocabulary)
    vqa.vqa_loss(model, batch).backward()
    for parameter, value in model.named_parameters():
        assert float(value.grad.abs().sum()) > 0, parameter


@pytest.mark.parametrize("name", MODELS)
def test_one_batch_is_learned_by_heart_and_twice_alike(name, data, vocabulary):
    """All that the data allow: equal questions about equal images have equal answers."""
    losses = []
    for _ in range(2):
        model, batch = made(name, data, vocabulary)
        history = fit(
            model.train(),
            [batch],
            vqa.vqa_loss,
            generator=make_generator(0),
            steps=150,
            learning_rate=1e-2,
            progress=False,
        )
        losses.append(history.losses)
    assert losses[0] == losses[1]
    best = vqa.probabilities(model, *batch[:2]).argmax(dim=2)
    assert (best == batch[2]).float().mean() > 0.97


def test_each_image_is_paired_with_each_of_its_questions():
    images, questions = torch.arange(2.0)[:, None], torch.arange(6).reshape(2, 3, 1)
    paired = vqa.pair_up(images, questions)
    assert paired[0][:, 0].tolist() == [0, 0, 0, 1, 1, 1]
    assert paired[1][:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_the_prior_answers_each_type_alike_and_hits_are_counted_by_type(data):
    guesses = vqa.most_frequent_answers(data, data)
    flat = [q for asked in data.questions for q in asked]
    hits = vqa.hits_by_type(guesses, data)
    for name in {q.type for q in flat}:
        answers = [q.answer for q in flat if q.type == name]
        assert int(hits[name].sum()) == max(answers.count(a) for a in answers)
    assert list(hits)[-1] == "all"
    assert set(hits) <= {*TYPES, "all"}
    assert int(hits["all"].sum()) == sum(int(hits[t].sum()) for t in hits if t != "all")


@pytest.mark.parametrize("name", vqa.SHIPPED)
def test_shipped_weights_answer_new_questions_well(name):
    """Well above the prior, which stays below one half; the scoreboard has the numbers."""
    encoder = vqa.GridEncoder(load_image_classifier())
    data = vqa.make_vqa_data(150, encoder, generator=make_generator(77))
    vocabulary = question_vocabulary(shipped_words())
    model, facts = vqa.load_shipped(name, vocabulary)
    assert float(facts["minutes"]) > 0
    found = vqa.probabilities(model, data.grids, vqa.encode_data(data, vocabulary)[0])
    hits = vqa.hits_by_type(found.argmax(dim=2), data)
    assert float(hits["all"].float().mean()) > 0.7
    with pytest.raises(ValueError, match="know other words than the vocabulary: zebra"):
        vqa.load_shipped(name, question_vocabulary([*shipped_words(), "zebra"]))


def shipped_words():
    """Return all words of the world's questions."""
    scenes = sample_scenes(1500, generator=make_generator(3), slots=3)
    asked = ask(scenes, per_scene=6, generator=make_generator(4))
    return [question.text for questions in asked for question in questions]


def test_bad_input_is_refused(data, vocabulary):
    model, (grids, questions, _) = made("attention", data, vocabulary)
    with pytest.raises(ValueError, match=r"values has shape \(12, 5, 4, 4\).*must have size 6"):
        model(grids[:, :5], questions[:, 0])
    with pytest.raises(TypeError, match=r"values has dtype torch\.int64"):
        model(grids.long(), questions[:, 0])
    with pytest.raises(ValueError, match=r"questions has 3 axes"):
        model(grids, questions)
    with pytest.raises(ValueError, match="fusion is 'smell', choose one of product, sum"):
        vqa.TwoStream(5, Standardise(3), fusion="smell")
    assert encode_questions([["is it day"]], vocabulary).shape == (1, 1, 3)
