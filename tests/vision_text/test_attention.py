"""Attention against loops and torch, REINFORCE against all draws, laws of the decoder."""

import itertools
import math
from functools import partial

import pytest
import torch
from torch.nn.functional import log_softmax, one_hot, pad, scaled_dot_product_attention

from mmlib.data.captions import decode_captions
from mmlib.foundations.pretraining import encode, load_image_encoder
from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_text import attention
from mmlib.vision_text.attention import (
    AttentionConfig,
    AttentionDecoder,
    HardLoss,
    LastWordDecoder,
    attention_loss,
)
from mmlib.vision_text.captioning import beam_search, caption_loss, greedy, teacher_forcing
from mmlib.world import sampling
from mmlib.world.pictures import draw as draw_scenes
from mmlib.world.reading import check_captions

SMALL = AttentionConfig(vocab=11, features=6, embedding=5, hidden=8, attention=4)
CAPTIONS = torch.tensor(
    [[1, 5, 6, 2, 0, 0], [1, 4, 2, 0, 0, 0], [1, 9, 8, 7, 10, 2], [1, 3, 3, 2, 0, 0]]
)
GUESSED = CAPTIONS[:, 1:] != 0
DECODERS = pytest.mark.parametrize("made", [AttentionDecoder, LastWordDecoder])


def make_decoder(made=AttentionDecoder, config=SMALL, *, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return made(config).double().eval()


def draw(*shape, seed=1):
    return torch.randn(*shape, generator=make_generator(seed), dtype=torch.float64)


def make_pictures(*, batch=4, rows=2, columns=3):
    return draw(batch, SMALL.features, rows, columns)


def test_weights_and_context_vector_follow_the_formula_in_loops():
    keys, query, w, annotations = draw(2, 3, 4), draw(2, 4), draw(4), draw(2, 3, 5)
    weights = attention.additive_scores(keys, query, w).softmax(dim=1)
    found = attention.context_vector(annotations, weights)
    for n in range(2):
        scores = [
            sum(float(w[k]) * math.tanh(keys[n, i, k] + query[n, k]) for k in range(4))
            for i in range(3)
        ]
        total = sum(math.exp(score) for score in scores)
        for d in range(5):
            by_hand = sum(math.exp(scores[i]) / total * annotations[n, i, d] for i in range(3))
            assert math.isclose(found[n, d], by_hand, rel_tol=1e-10)


def test_weighted_sum_is_that_of_torch():
    keys, query, annotations = draw(2, 3, 4), draw(2, 1, 4), draw(2, 3, 5)
    weights = (keys @ query.mT / 4**0.5)[..., 0].softmax(dim=1)
    theirs = scaled_dot_product_attention(query, keys, annotations)[:, 0]
    assert torch.allclose(attention.context_vector(annotations, weights), theirs)


@DECODERS
def test_step_is_the_paper_s_equations_for_one_picture(made):
    decoder, pictures = make_decoder(made), make_pictures()
    picture, state = decoder.start(pictures)
    _, state = decoder.step(torch.tensor([1, 1, 1, 1]), state, picture)
    logits, after = decoder.step(torch.tensor([3, 4, 5, 6]), state, picture)
    h, c, a = state[0][2], state[1][2], pictures[2].flatten(1).T  # (cells, features)
    y = decoder.embed.weight[5]
    a = a / (1 + decoder.norm.eps) ** 0.5  # no statistics yet: mean 0, variance 1
    query = decoder.query.weight @ h
    if made is LastWordDecoder:
        query = query + decoder.word_query.weight @ y
    scores = torch.stack(
        [decoder.score.weight[0] @ torch.tanh(decoder.key(cell) + query) for cell in a]
    )
    alpha = scores.exp() / scores.exp().sum()
    seen = sum(weight * cell for weight, cell in zip(alpha, a, strict=True))
    z = torch.sigmoid(decoder.gate(h)) * seen
    x = torch.cat([y, z])
    w, u, bias = decoder.lstm.weight_ih, decoder.lstm.weight_hh, decoder.lstm.bias_ih
    i, f, g, o = (w @ x + u @ h + bias + decoder.lstm.bias_hh).chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
    expected = decoder.output(y + decoder.from_h.weight @ h + decoder.from_z.weight @ z)
    assert torch.allclose(after[0][2], h)
    assert torch.allclose(after[1][2], c)
    assert torch.allclose(after[2][2], alpha)
    assert torch.allclose(logits[2], expected)


def test_the_lstm_begins_with_the_mean_annotation():
    decoder, pictures = make_decoder(), make_pictures()
    _, (h, c, *_) = decoder.start(pictures)
    mean = pictures.mean(dim=(2, 3)) / (1 + decoder.norm.eps) ** 0.5
    assert torch.allclose(h, torch.tanh(decoder.initial_h(mean)))
    assert torch.allclose(c, torch.tanh(decoder.initial_c(mean)))


@DECODERS
def test_unrolling_is_teacher_forcing_and_weights_sum_to_one(made):
    decoder, pictures = make_decoder(made), make_pictures()
    unrolled = decoder.unroll(pictures, CAPTIONS)
    assert torch.allclose(unrolled.logits, teacher_forcing(decoder, pictures, CAPTIONS))
    assert unrolled.weights.min() > 0
    assert torch.allclose(unrolled.weights.sum(dim=2), torch.ones(4, 5).double())
    assert torch.equal(unrolled.selected, unrolled.weights)


def test_a_closed_gate_sees_nothing():
    decoder = make_decoder()
    with torch.no_grad():
        decoder.gate.bias -= 1000
    picture, state = decoder.start(make_pictures())
    other, _ = decoder.start(draw(4, SMALL.features, 2, 3, seed=5))
    words = torch.tensor([3, 4, 5, 6])
    assert torch.equal(decoder.step(words, state, picture)[0], decoder.step(words, state, other)[0])


def shuffled(pictures, order):
    return pictures.flatten(2)[:, :, order].unflatten(2, pictures.shape[2:])


def test_permuting_the_cells_permutes_the_weights_and_changes_no_word():
    decoder, pictures = make_decoder(), make_pictures()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    mine, theirs = (
        decoder.unroll(grids, CAPTIONS) for grids in (pictures, shuffled(pictures, order))
    )
    assert torch.allclose(mine.weights[:, :, order], theirs.weights)
    assert torch.allclose(mine.logits, theirs.logits)


def test_with_coordinates_a_permutation_is_noticed():
    decoder = make_decoder(config=AttentionConfig(11, features=8, hidden=8))
    pictures, order = make_pictures(), torch.tensor([3, 0, 5, 1, 4, 2])
    mine, theirs = (
        decoder.unroll(attention.add_coordinates(grids), CAPTIONS)
        for grids in (pictures, shuffled(pictures, order))
    )
    assert not torch.allclose(mine.logits, theirs.logits)


def test_coordinates_go_across_then_down_from_the_middle():
    grids = make_pictures(rows=2, columns=4)
    found = attention.add_coordinates(grids)
    assert torch.equal(found[:, :6], grids)
    across, down = found[0, 6], found[0, 7]
    assert torch.equal(across, torch.tensor([[-0.75, -0.25, 0.25, 0.75]] * 2).double())
    assert torch.equal(down, torch.tensor([[-0.5] * 4, [0.5] * 4]).double())


@DECODERS
def test_only_the_second_addition_attends_by_the_last_word(made):
    decoder = make_decoder(made)
    picture, state = decoder.start(make_pictures())
    weights = [decoder.step(torch.full((4,), word), state, picture)[1][2] for word in (4, 5)]
    assert torch.equal(*weights) is (made is AttentionDecoder)


def test_loss_is_the_cross_entropy_plus_the_term_in_loops():
    decoder, batch = make_decoder(), (make_pictures(), CAPTIONS)
    weights = decoder.unroll(*batch).weights.detach()
    term = 0.0
    for n, i in itertools.product(range(4), range(6)):
        spent = sum(float(weights[n, t, i]) for t in range(5) if GUESSED[n, t])
        term += (1 - spent) ** 2
    found = attention_loss(decoder, batch, balance=0.7)
    assert torch.isclose(found, caption_loss(decoder, batch) + 0.7 * term / GUESSED.sum())
    assert torch.allclose(attention.doubly_stochastic(torch.full((2, 6, 6), 1 / 6)), torch.zeros(2))


@DECODERS
def test_padding_and_the_order_of_captions_change_nothing(made):
    decoder, pictures = make_decoder(made), make_pictures()
    loss = attention_loss(decoder, (pictures, CAPTIONS))
    assert torch.isclose(attention_loss(decoder, (pictures, pad(CAPTIONS, (0, 3)))), loss)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.isclose(attention_loss(decoder, (pictures[order], CAPTIONS[order])), loss)
    alone = teacher_forcing(decoder, pictures[1:2], CAPTIONS[1:2, :3])
    assert torch.allclose(alone[0], teacher_forcing(decoder, pictures, CAPTIONS)[1, :2])


@DECODERS
def test_gradients_reach_every_parameter(made):
    decoder = make_decoder(made)
    attention_loss(decoder, (make_pictures(), CAPTIONS)).backward()
    for name, weight in decoder.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def overfit(seed, loss=None, select=None):
    """Learn one batch by heart, with soft attention without λ unless a loss is given."""
    loss = loss or partial(attention_loss, balance=0.0)
    config = AttentionConfig(11, features=6, embedding=16, hidden=24, attention=8)
    decoder = make_decoder(config=config, seed=seed).float()
    decoder.select = select
    batch = (make_pictures().float(), CAPTIONS)
    history = fit(
        decoder, [batch], loss, generator=make_generator(0), steps=100, learning_rate=3e-2,
        progress=False,
    )  # fmt: skip
    return decoder, history


def test_one_batch_is_learned_by_heart_and_written_by_every_search():
    decoder, history = overfit(0)
    assert history.losses[0] > 1.5
    assert history.losses[-1] < 0.05
    pictures = make_pictures().float()
    for found in (greedy(decoder, pictures), beam_search(decoder, pictures, beam=3)):
        assert torch.equal(found.words[:, :5], CAPTIONS[:, 1:])


def test_same_seed_same_result():
    first, again, other = (overfit(seed)[1].losses for seed in (0, 0, 1))
    assert first == again != other


def test_hard_attention_learns_one_batch():
    loss = HardLoss(entropy=0.01, baseline=-8.0)
    decoder, _ = overfit(0, loss, select=attention.sample_cell(make_generator(3)))
    decoder.select = attention.argmax_cell
    found = greedy(decoder, make_pictures().float()).words
    assert torch.equal(found[:, :5], CAPTIONS[:, 1:])


def select_in_turn(cells):
    """Use given cells, one after the other."""
    order = iter(cells)
    return lambda weights: one_hot(torch.tensor([next(order)] * len(weights)), 3).to(weights)


@pytest.mark.parametrize("baseline", [0.0, -3.0])
def test_reinforce_is_on_average_the_gradient_of_the_bound(baseline):
    """Three cells, two words: nine draws. X15 equation 11 against the derivative of the mean."""
    decoder, bound, estimate = make_decoder(), [], {}
    batch = (draw(1, 6, 1, 3), torch.tensor([[1, 4, 2]]))
    for cells in itertools.product(range(3), repeat=2):
        decoder.select = select_in_turn(cells)
        unrolled = decoder.unroll(*batch)
        probability = unrolled.weights[0, 0, cells[0]] * unrolled.weights[0, 1, cells[1]]
        log_p = log_softmax(unrolled.logits[0], dim=1)
        bound.append(probability * (log_p[0, 4] + log_p[1, 2]))
        decoder.zero_grad()
        decoder.select = select_in_turn(cells)
        HardLoss(baseline=baseline)(decoder, batch).backward()
        for name, weight in decoder.named_parameters():
            share = -2 * probability.detach() * weight.grad  # the loss is a mean of two words
            estimate[name] = estimate.get(name, 0) + share
    decoder.zero_grad()
    sum(bound).backward()
    for name, weight in decoder.named_parameters():
        assert torch.allclose(estimate[name], weight.grad, atol=1e-12), name


def test_the_mean_over_draws_is_a_lower_bound():
    decoder, batch = make_decoder(), (draw(1, 6, 1, 3), torch.tensor([[1, 4, 2]]))
    p, log_p = [], []
    for cells in itertools.product(range(3), repeat=2):
        decoder.select = select_in_turn(cells)
        unrolled = decoder.unroll(*batch)
        p.append(unrolled.weights[0, 0, cells[0]] * unrolled.weights[0, 1, cells[1]])
        log_p.append(attention.log_likelihood(unrolled.logits, batch[1][:, 1:])[0])
    p, log_p = torch.stack(p), torch.stack(log_p)
    assert torch.isclose(p.sum(), torch.ones(()).double())
    assert (p * log_p).sum() < (p * log_p.exp()).sum().log()


def test_entropy_is_added_and_the_baseline_moves():
    decoder, batch = make_decoder(), (make_pictures(), CAPTIONS)
    plain, spread = HardLoss(baseline=-5.0), HardLoss(entropy=2.0, baseline=-5.0)
    weights = decoder.unroll(*batch).weights[GUESSED]
    entropy = -(weights * weights.log()).sum()
    gained = plain(decoder, batch) - spread(decoder, batch)
    assert torch.isclose(gained, 2.0 * entropy / GUESSED.sum())
    mean = -float(caption_loss(decoder, batch).detach() * GUESSED.sum() / 4)
    assert math.isclose(plain.baseline, 0.9 * -5 + 0.1 * mean, rel_tol=1e-9)


def test_with_what_is_expected_in_place_of_draws_the_gradient_is_that_of_soft_attention():
    decoder, batch = make_decoder(), (make_pictures(), CAPTIONS)
    caption_loss(decoder, batch).backward()
    soft = [weight.grad.clone() for weight in decoder.parameters()]
    decoder.zero_grad()
    decoder.select = attention.sample_cell(make_generator(0), expected=1.0)
    HardLoss(baseline=-3.0)(decoder, batch).backward()
    for weight, expected in zip(decoder.parameters(), soft, strict=True):
        assert torch.allclose(weight.grad, expected, atol=1e-10)


def test_hard_attention_draws_each_cell_as_often_as_its_weight_says():
    weights = torch.tensor([[0.5, 0.3, 0.2]]).expand(20_000, 3)
    selected = attention.sample_cell(make_generator(0))(weights)
    assert torch.equal(selected.sum(dim=1), torch.ones(20_000))
    assert torch.allclose(selected.mean(dim=0), weights[0], atol=0.015)
    best = attention.argmax_cell(torch.tensor([[0.2, 0.5, 0.3]]))
    assert torch.equal(best, torch.tensor([[0.0, 1.0, 0.0]]))


def test_maps_of_written_words_are_those_of_teacher_forcing():
    decoder, pictures = make_decoder(), make_pictures()
    maps = attention.attention_maps(decoder, pictures, CAPTIONS[:, 1:])
    assert maps.shape == (4, 5, 2, 3)
    weights = decoder.unroll(pictures, CAPTIONS).weights
    assert torch.allclose(maps.flatten(2)[GUESSED], weights[GUESSED])


def test_a_map_points_at_the_middle_of_one_cell_or_between_two():
    maps = torch.zeros(3, 4, 4)
    maps[0, 1, 2] = 1
    maps[1, 1, 2:] = 0.5
    maps[2, 0, 0], maps[2, 3, 3] = 0.4, 0.6
    boxes = [(5, 9), (5, 11), (13, 13)]  # the upper left of the four pixels in the middle
    for (top, left), point in zip(boxes, range(3), strict=True):
        seen = torch.zeros(1, 16, 16, dtype=torch.bool)
        seen[0, top : top + 2, left : left + 2] = True
        assert attention.points_at(maps[point : point + 1], seen).tolist() == [True]
        assert attention.points_at(maps[point : point + 1], ~seen).tolist() == [False]


def test_refuses_what_does_not_fit():
    decoder, pictures = make_decoder(), make_pictures()
    with pytest.raises(ValueError, match=r"pictures has shape .* need size 6"):
        decoder.start(pictures[:, :5])
    with pytest.raises(TypeError, match=r"pictures has dtype torch.int64"):
        decoder.start(pictures.long())
    with pytest.raises(ValueError, match="captions has shape"):
        decoder.unroll(pictures, CAPTIONS[:2])
    with pytest.raises(ValueError, match="query has shape"):
        attention.additive_scores(torch.zeros(2, 3, 4), torch.zeros(2, 5), torch.zeros(4))
    with pytest.raises(ValueError, match="weights has shape"):
        attention.context_vector(torch.zeros(2, 3, 4), torch.zeros(2, 4))


def test_the_longer_training_ships_and_describes_scenes():
    generator = make_generator(3)
    scenes = sampling.sample_scenes(200, generator=generator, slots=3, split="train")
    grids = encode(load_image_encoder(), draw_scenes(scenes, generator=generator))
    decoder, vocabulary, minutes = attention.load_shipped()
    written = decode_captions(greedy(decoder, grids).words, vocabulary)
    assert check_captions(written, scenes).exact.float().mean() > 0.45
    assert minutes > 0
