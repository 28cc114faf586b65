"""Text to image: R16's losses written out apart, laws, SciPy's Fréchet distance, training."""

import copy

import numpy as np
import pytest
import scipy.linalg
import torch
from torch.nn import functional

from mmlib.data.batches import Batches
from mmlib.data.standardise import Standardise
from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_text import text_to_image as t2i
from mmlib.world import close_ups

SMALL = t2i.GanConfig(embedding=8, projected=6, noise=5, channels=4)
VARIANTS = [(False, False), (True, False), (False, True), (True, True)]


def small_gan(matching=True, interpolation=False, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return t2i.TextGan(SMALL, matching=matching, interpolation=interpolation)


def small_batch(items=6):
    generator = make_generator(1)
    x = torch.rand(items, 3, 32, 32, generator=generator)
    return x, torch.randn(items, 5, 8, generator=generator)


@pytest.fixture(scope="module")
def data():
    return close_ups.make_close_ups(24, generator=make_generator(0))


def joint(words, features=7, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return t2i.JointEmbedding(words, Standardise(features), embedding=8)


def test_sentences_are_numbered_with_a_vocabulary_given_or_their_own(data):
    vocabulary, rows = t2i.encode_sentences(data)
    assert rows.shape[:2] == (24, 5)
    for number, five in enumerate(data.sentences):
        for row, sentence in zip(rows[number].tolist(), five, strict=True):
            assert vocabulary.decode([n for n in row if n > 2]) == sentence.split()
    same, again = t2i.encode_sentences(data, vocabulary)
    assert same is vocabulary
    assert torch.equal(rows, again)


def test_the_sentence_encoder_is_the_mean_of_an_lstm_cell_and_blind_to_padding():
    encoder = joint(9).text
    cell = torch.nn.LSTMCell(8, 8)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in encoder.lstm.state_dict().items()})
    sentence, state, states = torch.tensor([1, 5, 3, 2]), (torch.zeros(1, 8),) * 2, []
    for word in sentence:
        state = cell(encoder.embed(word[None]), state)
        states.append(state[0])
    found = encoder(functional.pad(sentence, (0, 3))[None])
    torch.testing.assert_close(found, torch.stack(states).mean(dim=0))


def test_the_structured_loss_by_loops_and_bounds_the_errors():
    """R16 equations 2 to 4 on a batch: no smaller than the share of wrong classifications."""
    model = joint(30)
    generator = make_generator(2)
    features = torch.randn(6, 7, generator=generator)
    one = torch.randint(1, 30, (6, 1, 4), generator=generator)
    classes = torch.tensor([0, 1, 2, 0, 3, 4])
    scores = model(features, one[:, 0]).detach()
    images, texts, errors = [], [], 0
    for i in range(6):
        delta = [float(classes[i] != classes[j]) for j in range(6)]
        images.append(max(delta[j] + scores[i, j] - scores[i, i] for j in range(6)))
        texts.append(max(delta[j] + scores[j, i] - scores[i, i] for j in range(6)))
        errors += delta[int(scores[i].argmax())] + delta[int(scores[:, i].argmax())]
    found = t2i.structured_loss(model, (features, one.expand(-1, 5, -1), classes)).item()
    np.testing.assert_allclose(found, np.mean(images) + np.mean(texts), rtol=1e-5)
    assert found >= errors / 6


def test_the_losses_are_those_of_algorithm_1_and_equation_5():
    x, several = small_batch()
    h = several[:, 0]
    for matching, interpolation in VARIANTS:
        model = small_gan(matching, interpolation)
        again = copy.deepcopy(model)  # batch normalisation keeps statistics
        torch.manual_seed(3)
        found = model.discriminator_loss(x, h), model.generator_loss(h)
        torch.manual_seed(3)
        fake = again.generator(torch.randn(6, 5), h)
        s_r, s_w, s_f = (
            torch.sigmoid(again.discriminator(*pair))
            for pair in ((x, h), (x, h.roll(1, 0)), (fake, h))
        )
        wrong, made = torch.log(1 - s_w).mean(), torch.log(1 - s_f).mean()
        expected = torch.log(s_r).mean() + ((wrong + made) / 2 if matching else made)
        torch.testing.assert_close(found[0], -expected, rtol=1e-4, atol=1e-5)
        expected = 0
        for sentences in [h, 0.5 * h + 0.5 * h.roll(1, 0)][: 1 + interpolation]:
            fake = again.generator(torch.randn(6, 5), sentences)
            expected -= torch.sigmoid(again.discriminator(fake, sentences)).log().mean()
        torch.testing.assert_close(found[1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("turn", ["discriminator", "generator"])
def test_gradients_reach_every_parameter_of_the_network_whose_turn_it_is(turn):
    model = small_gan(interpolation=True)
    t2i.gan_loss(model, (turn, *small_batch())).backward()
    for name, parameter in model.named_parameters():
        moved = parameter.grad is not None and float(parameter.grad.abs().sum()) > 0
        assert moved == name.startswith(turn), name


def test_fit_moves_one_network_a_step_and_comes_again():
    x, several = small_batch()
    runs = []
    for _ in range(2):
        model = small_gan()
        history = t2i.fit_gan(model, x, several, generator=make_generator(0), steps=3)
        assert history.steps == 6
        runs.append(history.losses)
    assert runs[0] == runs[1]
    before = copy.deepcopy(model.generator.state_dict())
    batches = t2i.Alternating(Batches((x, several), batch_size=6))
    fit(model, batches, t2i.gan_loss, generator=make_generator(0), steps=1, progress=False)
    weights = dict(model.generator.named_parameters())
    assert all(torch.equal(before[name], value) for name, value in weights.items())


def test_turns_are_taken():
    x, h = torch.arange(5.0), torch.arange(5.0, 10)
    turns = t2i.Alternating(Batches((x, h), batch_size=2))
    assert len(turns) == 6
    assert [name for name, *_ in turns] == ["discriminator", "generator"] * 3
    both = list(turns)
    assert all(torch.equal(a, b) for a, b in zip(both[0][1:], both[1][1:], strict=True))


def test_a_discriminator_learns_one_batch_by_heart():
    """Real pictures with right sentences against wrong ones and noise: the loss goes near 0."""
    model, (x, several) = small_gan(), small_batch()
    model.generator.requires_grad_(False)
    turns = [("discriminator", x, several[:, :1])]
    options = {"generator": make_generator(0), "progress": False, "learning_rate": 1e-2}
    losses = fit(model, turns, t2i.gan_loss, steps=120, **options).losses
    assert np.mean(losses[-10:]) < 0.2 < losses[0]


def test_the_encoder_is_trained_apart_and_frozen(data):
    vocabulary, rows = t2i.encode_sentences(data)
    features = torch.randn(24, 7, generator=make_generator(3))
    options = {"generator": make_generator(0), "steps": 3}
    encoder = t2i.fit_encoder(features, rows, data.scenes, len(vocabulary), **options)
    h = t2i.embed(encoder, rows)
    assert h.shape == (24, 5, 64)
    torch.testing.assert_close(h.flatten(0, 1).mean(dim=0), torch.zeros(64), atol=1e-4, rtol=0)
    assert not any(weight.requires_grad for weight in encoder.parameters())


def test_generated_pictures_follow_noise_and_sentence():
    model = small_gan()
    h = torch.randn(3, 8, generator=make_generator(4))
    one, same, other = (t2i.generate(model, h, generator=make_generator(s)) for s in (0, 0, 1))
    assert one.shape == (3, 3, 32, 32)
    assert 0 <= float(one.min()) <= float(one.max()) <= 1
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)
    assert not torch.allclose(one, t2i.generate(model, h.flip(0), generator=make_generator(0)))


def test_diversity_by_pairs_and_of_a_collapsed_generator():
    pictures = torch.rand(2, 4, 3, 5, 5, generator=make_generator(0))
    pairs = [(i, j) for i in range(4) for j in range(i)]
    squares = [(pictures[:, i] - pictures[:, j]).square().flatten(1).mean(1) for i, j in pairs]
    torch.testing.assert_close(t2i.diversity(pictures), torch.stack(squares).mean(0).sqrt())
    assert t2i.diversity(pictures[:, :1].expand(-1, 4, -1, -1, -1)).max() < 1e-6
    with pytest.raises(ValueError, match="2 or more"):
        t2i.diversity(pictures[:, :1])


def test_frechet_distance_is_scipys_and_obeys_its_laws():
    generator = make_generator(0)
    first = torch.randn(200, 6, generator=generator) @ torch.randn(6, 6, generator=generator)
    second = torch.randn(150, 6, generator=generator) + 1
    a, b = first.double().numpy(), second.double().numpy()
    one, other = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(one @ other).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(one + other - 2 * root)
    np.testing.assert_allclose(t2i.frechet_distance(first, second), expected, rtol=1e-6)
    assert t2i.frechet_distance(second, first) == pytest.approx(expected)
    assert t2i.frechet_distance(first, first) == pytest.approx(0, abs=1e-4)
    assert t2i.frechet_distance(first, first + 2) == pytest.approx(4 * 6, rel=1e-4)
    with pytest.raises(ValueError, match="second has shape"):
        t2i.frechet_distance(first, second[:, :5])


def test_nearest_training_picture_by_loops():
    training = torch.rand(7, 3, 4, 4, generator=make_generator(0))
    pictures = torch.cat([training[3:4], torch.rand(2, 3, 4, 4, generator=make_generator(1))])
    distances, which = t2i.nearest(pictures, training)
    assert int(which[0]) == 3
    assert float(distances[0]) < 1e-3
    for picture, distance in zip(pictures[1:], distances[1:], strict=True):
        apart = [float((picture - known).square().mean().sqrt()) for known in training]
        assert float(distance) == pytest.approx(min(apart), rel=1e-4)


def test_the_classifier_names_new_pictures_of_seen_and_unseen_pairs():
    classifier = t2i.load_classifier()
    for split in ("train", "held out"):
        new = close_ups.make_close_ups(100, generator=make_generator(50), split=split)
        hits = t2i.attribute_hits(classifier, new.pictures, close_ups.attributes(new.scenes))
        assert float(hits.float().mean(dim=0).min()) > 0.9


def test_attribute_loss_is_the_sum_of_cross_entropies(data):
    model, truth = t2i.load_classifier(), close_ups.attributes(data.scenes)
    with torch.no_grad():
        logits = model(data.pictures)
        expected = -sum(
            one.log_softmax(1)[range(24), truth[:, k]].mean() for k, one in enumerate(logits)
        )
        torch.testing.assert_close(t2i.attribute_loss(model, (data.pictures, truth)), expected)


def test_the_shipped_gan_draws_what_it_is_told_and_does_not_collapse():
    """Far above chance (1 in 10, 1 in 8); draws of a sentence differ; the board has the numbers."""
    encoder, gan, facts = t2i.load_shipped()
    new = close_ups.make_close_ups(200, generator=make_generator(51))
    _, rows = t2i.encode_sentences(new, t2i.known_vocabulary(facts))
    h = t2i.embed(encoder, rows[:, 0])
    drawn = t2i.generate(gan, h, generator=make_generator(0))
    hits = t2i.attribute_hits(t2i.load_classifier(), drawn, close_ups.attributes(new.scenes))
    assert float(hits.float().mean(dim=0).min()) > 0.5
    again = t2i.generate(gan, h[:20].repeat_interleave(4, 0), generator=make_generator(1))
    spread = t2i.diversity(again.unflatten(0, (20, 4)))
    real = close_ups.restyle(new.scenes[torch.arange(20).repeat_interleave(4)],
                             generator=make_generator(2))  # fmt: skip
    wanted = t2i.diversity(close_ups.photograph(real).unflatten(0, (20, 4)))
    assert float(spread.mean()) > 0.25 * float(wanted.mean())


def test_bad_input_is_refused():
    model = small_gan()
    with pytest.raises(ValueError, match="pictures has shape"):
        model.discriminator(torch.rand(2, 3, 64, 64), torch.randn(2, 8))
    with pytest.raises(ValueError, match="sentences has 3 axes"):
        joint(5).text(torch.ones(2, 5, 3, dtype=torch.int64))
