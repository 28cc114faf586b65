"""Attention against loops and torch, REINFORCE against all draws, laws of a decoder that looks."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot, scaled_dot_product_attention

from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_text import attention
from mmlib.vision_text.attention import AttentionConfig, AttentionDecoder
from mmlib.vision_text.captioning import beam_search, caption_loss, greedy

SMALL = AttentionConfig(vocab=11, features=6, embedding=5, hidden=8, attention=4, traits=3)
CAPTIONS = torch.tensor(
    [[1, 5, 6, 2, 0, 0], [1, 4, 2, 0, 0, 0], [1, 9, 8, 7, 10, 2], [1, 3, 3, 2, 0, 0]]
)
GUESSED = CAPTIONS[:, 1:] != 0


def make_decoder(config=SMALL, *, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        decoder = AttentionDecoder(config).double()
        torch.nn.init.normal_(decoder.from_word.weight)  # what a word fits would begin at 0
        return decoder


def make_pictures(*, batch=4, rows=2, columns=3, seed=1):
    draw = {"generator": make_generator(seed), "dtype": torch.float64}
    return torch.randn(batch, SMALL.features, rows, columns, **draw)


def test_scores_and_context_vector_follow_the_formula_in_loops():
    draw = {"generator": make_generator(0), "dtype": torch.float64}
    keys, query, weights = (torch.randn(*s, **draw) for s in ((2, 3, 4), (2, 4), (4,)))
    annotations = torch.randn(2, 3, 5, **draw)
    maps = attention.additive_scores(keys, query, weights).softmax(dim=1)
    found = attention.context_vector(annotations, maps)
    for n in range(2):
        scores = [
            sum(float(weights[k]) * math.tanh(keys[n, i, k] + query[n, k]) for k in range(4))
            for i in range(3)
        ]
        total = sum(math.exp(score) for score in scores)
        for d in range(5):
            by_hand = sum(math.exp(scores[i]) / total * annotations[n, i, d] for i in range(3))
            assert math.isclose(found[n, d], by_hand, rel_tol=1e-10)


def test_weighted_sum_is_that_of_torch():
    draw = {"generator": make_generator(0), "dtype": torch.float64}
    keys, query, annotations = (torch.randn(*s, **draw) for s in ((2, 3, 4), (2, 1, 4), (2, 3, 5)))
    maps = (keys @ query.mT / 4**0.5)[..., 0].softmax(dim=1)
    theirs = scaled_dot_product_attention(query, keys, annotations)[:, 0]
    assert torch.allclose(attention.context_vector(annotations, maps), theirs)


def test_step_is_a_torch_lstm_fed_with_word_and_gated_context_vector():
    decoder, pictures = make_decoder(), make_pictures()
    words = torch.tensor([3, 4, 5, 6])
    _, state = decoder.next_state(torch.tensor([1, 1, 1, 1]), decoder.begin_state(pictures))
    driven = decoder.from_word(decoder.embedding(words))
    asked = decoder.from_hidden(state.hidden)[:, 32:] + driven[:, 32:-3]  # all hears the last word
    query, gamma, beta = asked.split([4, 1, 1], dim=1)
    keys, weights = decoder.key(state.annotations), attention.SHARP * decoder.score.weight[0]
    scores = attention.additive_scores(keys, query, weights)
    spoken = attention.posterior(
        state.map, attention.context_vector(state.traits.mT, driven[:, -3:])
    )
    scores = scores + gamma * spoken  # of its only word until now
    seen = beta.sigmoid() * attention.context_vector(state.annotations, scores.softmax(dim=1))
    theirs = torch.nn.LSTMCell(5 + 10, 8, dtype=torch.float64)  # a glimpse has 6 + 2 + 2 numbers
    with torch.no_grad():
        theirs.weight_ih.copy_(
            torch.cat([decoder.from_word.weight[:32], decoder.from_context.weight], dim=1)
        )
        theirs.weight_hh.copy_(decoder.from_hidden.weight[:32])
        theirs.bias_hh.copy_(decoder.from_hidden.bias[:32])
        theirs.bias_ih.zero_()
    driven = torch.cat([decoder.embedding(words), seen], dim=1)
    hidden, cell = theirs(driven, (state.hidden, state.cell))
    _, after = decoder.next_state(words, state)
    assert torch.allclose(after.hidden, hidden)
    assert torch.allclose(after.cell, cell)
    assert torch.allclose(after.map, scores.softmax(dim=1))
    assert torch.allclose(after.past, spoken)


def test_feature_norm_is_length_over_the_median_and_an_even_picture_has_none():
    annotations = torch.ones(1, 5, 4, dtype=torch.float64)
    assert torch.equal(attention.feature_norm(annotations), torch.zeros(1, 5).double())
    annotations[0, 1] *= 3
    annotations[0, 2] /= 2
    found = attention.feature_norm(annotations)
    assert torch.allclose(found, torch.tensor([[0.0, 2.0, 0.0, 0.0, 0.0]]).double())
    assert attention.feature_norm(torch.zeros(1, 5, 4)).isfinite().all()


def test_likeness_by_loops():
    rows, columns = 3, 4
    annotations = torch.randn(2, 12, 6, generator=make_generator(0), dtype=torch.float64)
    found = attention.likeness(annotations, rows=rows, columns=columns)
    for n, i in itertools.product(range(2), range(12)):
        best = 0.0
        for j in range(12):
            apart = max(abs(i // columns - j // columns), abs(i % columns - j % columns))
            a, b = annotations[n, i], annotations[n, j]
            if apart > 1:
                best = max(best, float(a @ b / (a.norm() * b.norm())))
        assert math.isclose(found[n, i], best**4, abs_tol=1e-12)


def test_a_likeness_far_away_is_found_and_a_neighbour_is_none():
    draw = torch.randn(1, 16, 6, generator=make_generator(1))
    annotations = draw - (draw @ draw[0, 0])[..., None] * draw[0, 0] / draw[0, 0].square().sum()
    annotations[0, 0] = draw[0, 0]  # the others are orthogonal to it
    for place, expected in ((5, 0.0), (10, 1.0)):
        with_twin = annotations.clone()
        with_twin[0, place] = 2 * draw[0, 0]
        found = attention.likeness(with_twin, rows=4, columns=4)[0, 0]
        assert math.isclose(found, expected, abs_tol=1e-5)


def test_posterior_is_the_rule_of_bayes_in_loops_and_torch_s_softmax():
    draw = {"generator": make_generator(0), "dtype": torch.float64}
    maps, fits = torch.rand(2, 5, **draw), 4 * torch.randn(2, 5, **draw)
    maps = maps / maps.sum(dim=1, keepdim=True)
    found = attention.posterior(maps, fits)
    for n in range(2):
        joint = [float(maps[n, i]) * math.exp(float(fits[n, i])) for i in range(5)]
        assert torch.allclose(found[n], torch.tensor(joint).double() / sum(joint))
    assert torch.allclose(found, (maps.log() + fits).softmax(dim=1))
    assert torch.allclose(attention.posterior(maps, fits + 800), found)  # only differences count
    assert torch.allclose(attention.posterior(maps, torch.zeros(2, 5).double()), maps)
    assert torch.equal(attention.posterior(torch.zeros(2, 5), fits.float()), torch.zeros(2, 5))


def test_the_word_settles_which_of_two_objects_was_spoken_of():
    decoder, pictures = make_decoder(), make_pictures()
    _, state = decoder.next_state(torch.ones(4, dtype=torch.long), decoder.begin_state(pictures))
    for word in (4, 5):
        _, after = decoder.next_state(torch.full((4,), word), state)
        fits = state.traits @ decoder.from_word(decoder.embedding.weight[word])[-3:]
        assert torch.allclose(after.past, attention.posterior(state.map, fits))
    new = AttentionDecoder(SMALL)  # before it has learned which words suit which cells
    _, state = new.next_state(torch.ones(4, dtype=torch.long), new.begin_state(pictures.float()))
    _, after = new.next_state(torch.full((4,), 5), state)
    assert torch.allclose(after.past, state.map)


def test_without_traits_what_was_looked_at_counts_as_spoken_of():
    decoder, pictures = make_decoder(replace(SMALL, traits=0)), make_pictures()
    state, looked = decoder.begin_state(pictures), 0
    for word in (1, 4, 5):
        before = state.map
        _, state = decoder.next_state(torch.full((4,), word), state)
        looked = looked + before
        assert torch.allclose(state.past, looked)
    assert not any("trait" in name for name, _ in decoder.named_parameters())


def test_a_decoder_turns_away_from_what_it_has_looked_at():
    decoder, pictures = (
        make_decoder(replace(SMALL, last_word_query=False, traits=0)),
        make_pictures(),
    )
    state, words = decoder.begin_state(pictures), torch.full((4,), 5)
    _, state = decoder.next_state(words, state)
    looked = state.map.argmax(dim=1, keepdim=True)
    weight = []
    for gamma in (-50.0, 50.0):
        with torch.no_grad():
            decoder.from_hidden.bias[-2] = gamma
        weight.append(decoder.next_state(words, state)[1].map.gather(1, looked))
    assert (weight[0] < weight[1]).all()
    still = make_decoder(replace(SMALL, coverage=False))
    one, other = (decoder_state._replace(past=decoder_state.past + 9 * n) for n, decoder_state in
                  enumerate([still.begin_state(pictures)] * 2))  # fmt: skip
    assert torch.equal(still.next_state(words, one)[0], still.next_state(words, other)[0])


def test_maps_sum_to_one_at_words_and_to_nothing_at_padding():
    maps = make_decoder().unroll(make_pictures(), CAPTIONS).maps
    assert maps.min() >= 0
    assert torch.allclose(maps.sum(dim=2), GUESSED.double())


def test_teacher_forcing_is_step_after_step():
    decoder, pictures = make_decoder(), make_pictures()
    at_once, state = decoder(pictures, CAPTIONS), decoder.begin_state(pictures)
    assert torch.allclose(decoder(pictures, CAPTIONS, GUESSED), at_once[GUESSED])
    unrolled = decoder.unroll(pictures, CAPTIONS)
    for time in range(5):
        logits, state = decoder.next_state(CAPTIONS[:, time], tuple(state))
        real = GUESSED[:, time]
        assert torch.allclose(logits[real], at_once[real, time])
        assert torch.allclose(state.map[real], unrolled.maps[real, time])


def test_a_step_hands_on_what_it_leaves_as_it_is():
    decoder = make_decoder()
    before = decoder.begin_state(make_pictures())
    _, after = decoder.next_state(torch.tensor([1, 1, 1, 1]), before)
    assert after.annotations is before.annotations
    assert after.keys is before.keys
    assert after.traits is before.traits


def test_sentences_of_one_picture_share_what_a_step_leaves_as_it_is():
    decoder = make_decoder()
    _, state = decoder.next_state(
        torch.ones(4, dtype=torch.long), decoder.begin_state(make_pictures())
    )
    repeated = attention.State(*(part.repeat_interleave(3, dim=0) for part in state))
    shared = repeated._replace(annotations=state.annotations, keys=state.keys, traits=state.traits)
    words = torch.arange(12) % 8 + 3
    (mine, after), (theirs, same) = (decoder.next_state(words, s) for s in (shared, repeated))
    assert torch.allclose(mine, theirs)
    assert torch.allclose(after.map, same.map)
    assert after.keys is state.keys
    with pytest.raises(ValueError, match="11 sentences and 4 pictures: give each picture as many"):
        attention.context_vector(state.annotations, same.map[:11])


@pytest.mark.parametrize("knows", [False, True])
def test_permuting_the_cells_permutes_the_map_unless_cells_know_their_place(knows):
    decoder, pictures = (
        make_decoder(replace(SMALL, self_similarity=False, coordinates=knows)),
        make_pictures(),
    )
    order = torch.randperm(6, generator=make_generator(2))
    moved = pictures.flatten(2)[:, :, order].unflatten(2, (2, 3))
    mine, theirs = (decoder.unroll(p, CAPTIONS) for p in (pictures, moved))
    assert torch.allclose(mine.maps[:, :, order], theirs.maps) is not knows
    assert torch.allclose(mine.seen, theirs.seen) is not knows


def test_a_shifted_object_shifts_the_map():
    decoder = make_decoder(replace(SMALL, self_similarity=False, coordinates=False))
    pictures = torch.zeros(1, 6, 4, 4, dtype=torch.float64)
    pictures[0, :, 1, 1] = make_pictures()[0, :, 0, 0]
    captions = CAPTIONS[2:3]
    mine, theirs = (
        decoder.unroll(p, captions).maps.unflatten(2, (4, 4))
        for p in (pictures, pictures.roll((1, 2), dims=(2, 3)))
    )
    assert not torch.allclose(mine, theirs)
    assert torch.allclose(mine.roll((1, 2), dims=(2, 3)), theirs)


def test_coordinates_go_across_then_down_symmetrically():
    found = attention.coordinates(2, 4)
    assert torch.equal(found[:4, 0], torch.tensor([-1.5, -0.5, 0.5, 1.5]))
    assert torch.equal(found[:, 1], torch.tensor([-0.5] * 4 + [0.5] * 4))


def test_padding_and_the_order_of_captions_change_nothing():
    decoder, pictures = make_decoder(), make_pictures()
    loss = attention.attention_loss(decoder, (pictures, CAPTIONS), balance=0.5)
    longer = torch.nn.functional.pad(CAPTIONS, (0, 3))
    assert torch.isclose(
        attention.attention_loss(decoder, (pictures, longer), balance=0.5), loss, atol=1e-12
    )
    order = torch.tensor([2, 0, 3, 1])
    shuffled = (pictures[order], CAPTIONS[order])
    assert torch.isclose(attention.attention_loss(decoder, shuffled, balance=0.5), loss)
    alone = decoder(pictures[1:2], CAPTIONS[1:2, :3])
    assert torch.allclose(alone[0], decoder(pictures, CAPTIONS)[1, :2])


def test_loss_is_that_of_captioning_plus_the_doubly_stochastic_term():
    decoder, batch = make_decoder(), (make_pictures(), CAPTIONS)
    maps = decoder.unroll(*batch).maps.detach()
    term = sum(float((1 - maps[n, :, i].sum()) ** 2) for n in range(4) for i in range(6)) / 4
    assert torch.isclose(
        attention.attention_loss(decoder, batch, balance=0.7),
        caption_loss(decoder, batch) + 0.7 * term,
    )
    assert attention.doubly_stochastic(torch.full((2, 6, 6), 1 / 6)) < 1e-10


def test_history_holds_the_mean_positions_of_the_last_maps():
    decoder, pictures = make_decoder(replace(SMALL, history=2)), make_pictures()
    state, where = decoder.begin_state(pictures), attention.coordinates(2, 3).double()
    assert torch.equal(state.history, torch.zeros(4, 6).double())
    looked = []
    for word in (1, 4, 5, 6):
        _, state = decoder.next_state(torch.full((4,), word), state)
        looked.insert(0, state.map @ where)
        so_far = torch.cat(looked[:3], dim=1)
        assert torch.allclose(state.history[:, : so_far.shape[1]], so_far)


@pytest.mark.parametrize("without", [{"history": 0}, {"coordinates": False}])
def test_without_history_or_coordinates_there_is_no_short_way(without):
    decoder = make_decoder(replace(SMALL, **without))
    assert not any("history" in name for name, _ in decoder.named_parameters())
    assert decoder.unroll(make_pictures(), CAPTIONS).history.shape == (4, 5, 0)


def test_only_a_hearing_query_looks_where_the_last_word_says():
    for last_word_query in (True, False):
        decoder, pictures = (
            make_decoder(replace(SMALL, last_word_query=last_word_query)),
            make_pictures(),
        )
        state = decoder.begin_state(pictures)
        maps = [decoder.next_state(torch.full((4,), word), state)[1].map for word in (4, 5)]
        assert torch.equal(maps[0], maps[1]) is not last_word_query


PLAIN = replace(
    SMALL,
    coordinates=False,
    self_similarity=False,
    coverage=False,
    history=0,
    last_word_query=False,
)


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, coordinates=False), PLAIN])
def test_gradients_reach_every_parameter(config):
    decoder = make_decoder(config)
    attention.attention_loss(decoder, (make_pictures(), CAPTIONS)).backward()
    for name, weight in decoder.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_without_the_gate_beta_plays_no_part():
    decoder, pictures = make_decoder(replace(SMALL, gate=False)), make_pictures()
    before = decoder(pictures, CAPTIONS)
    with torch.no_grad():
        decoder.from_hidden.bias[-1] += 5
    assert torch.equal(decoder(pictures, CAPTIONS), before)
    gated = make_decoder()
    with torch.no_grad():
        gated.from_hidden.bias[-1] -= 1000
    assert gated.unroll(pictures, CAPTIONS).seen.abs().max() == 0


def overfit(seed):
    decoder = make_decoder(replace(SMALL, hidden=24, attention=8), seed=seed).float()
    batch = (make_pictures().float(), CAPTIONS)
    history = fit(
        decoder, [batch], attention.attention_loss,
        generator=make_generator(0), steps=80, learning_rate=3e-2, progress=False,
    )  # fmt: skip
    return decoder, history


def test_one_batch_is_learned_by_heart_and_said_by_every_search():
    decoder, history = overfit(0)
    assert history.losses[0] > 1.5
    assert history.losses[-1] < 0.05
    pictures = make_pictures().float()
    for told in (greedy(decoder, pictures), beam_search(decoder, pictures, beam=3)):
        assert torch.equal(told.words[:, :5], CAPTIONS[:, 1:])


def test_same_seed_same_result():
    first, again, other = (overfit(seed)[1].losses for seed in (0, 0, 1))
    assert first == again != other


def look_in_turn(cells):
    """Look at given cells, one after the other."""
    coverage = iter(cells)
    return lambda maps: one_hot(torch.tensor([next(coverage)] * len(maps)), maps.shape[1]).to(maps)


@pytest.mark.parametrize("baseline", [0.0, -3.0])
def test_reinforce_is_on_average_the_exact_gradient(baseline):
    """Three cells, two words: nine draws. X15 equation 12 against the derivative of the mean."""
    decoder, exact, estimate = make_decoder(), [], {}
    batch = (make_pictures(batch=1, rows=1, columns=3), torch.tensor([[1, 4, 2]]))
    for draw in itertools.product(range(3), repeat=2):
        decoder.select = look_in_turn(draw)
        unrolled = decoder.unroll(*batch)
        chance = unrolled.maps[0, 0, draw[0]] * unrolled.maps[0, 1, draw[1]]
        logits = decoder.say(batch[1], unrolled)[0].log_softmax(dim=1)
        exact.append(chance * (logits[0, 4] + logits[1, 2]))
        decoder.zero_grad()
        decoder.select = look_in_turn(draw)
        attention.hard_loss(decoder, batch, baseline=baseline)[0].backward()
        for name, weight in decoder.named_parameters():
            estimate[name] = estimate.get(name, 0) - chance.detach() * weight.grad
    decoder.zero_grad()
    sum(exact).backward()
    for name, weight in decoder.named_parameters():
        assert torch.allclose(estimate[name], weight.grad, atol=1e-12), name


def test_entropy_keeps_maps_open_and_likelihood_is_reported():
    decoder, batch = make_decoder(), (make_pictures(), CAPTIONS)
    plain, likelihood = attention.hard_loss(decoder, batch)
    kept, same = attention.hard_loss(decoder, batch, entropy=2.0)
    maps = decoder.unroll(*batch).maps[GUESSED]
    assert torch.isclose(plain - kept, 2.0 * -(maps * maps.log()).sum() / 4)
    assert torch.equal(likelihood, same)
    words = int(GUESSED.sum())
    assert torch.isclose(-likelihood.sum() / words, caption_loss(decoder, batch))


def test_looking_at_the_peak_sees_one_cell():
    decoder, pictures = make_decoder(), make_pictures()
    decoder.select = attention.argmax_cell
    unrolled = decoder.unroll(pictures, CAPTIONS)
    best = unrolled.maps[GUESSED].argmax(dim=1)
    assert torch.equal(unrolled.used[GUESSED], one_hot(best, 6).double())


def test_hard_attention_draws_each_cell_as_often_as_its_map_says():
    maps = torch.tensor([[0.5, 0.3, 0.2]]).expand(20_000, 3)
    used = attention.sample_cell(make_generator(0))(maps)
    assert torch.equal(used.sum(dim=1), torch.ones(20_000))
    assert torch.allclose(used.mean(dim=0), maps[0], atol=0.015)


def test_peak_lies_in_the_middle_of_one_cell_or_between_two():
    maps = torch.zeros(3, 8, 8)
    maps[0, 2, 5] = 1
    maps[1, 2, 5:7] = 0.5
    maps[2, 0, 0], maps[2, 7, 7] = 0.4, 0.6
    middles = torch.tensor([[19.5, 43.5], [19.5, 47.5], [59.5, 59.5]])  # between two pixels each
    assert torch.equal((attention.peaks(maps) - middles).abs(), torch.full((3, 2), 0.5))


def test_points_at_what_the_peak_lies_on():
    maps = torch.zeros(2, 4, 4)
    maps[:, 1, 2] = 1
    seen = torch.zeros(2, 16, 16, dtype=torch.bool)
    seen[0, 4:8, 8:12] = True
    seen[1] = ~seen[0]
    assert attention.points_at(maps, seen).tolist() == [True, False]


def test_maps_of_said_words_are_those_of_teacher_forcing():
    decoder, pictures = make_decoder(), make_pictures()
    maps = attention.attention_maps(decoder, pictures, CAPTIONS[:, 1:])
    assert maps.shape == (4, 5, 2, 3)
    assert torch.allclose(
        maps.flatten(2)[GUESSED], decoder.unroll(pictures, CAPTIONS).maps[GUESSED]
    )


def test_refuses_what_does_not_fit():
    decoder, pictures = make_decoder(), make_pictures()
    with pytest.raises(ValueError, match="hidden is 0, it must be a whole number of 1 or more"):
        AttentionConfig(vocab=5, hidden=0)
    with pytest.raises(ValueError, match="history is -1, it must be a whole number of 0 or more"):
        AttentionConfig(vocab=5, history=-1)
    with pytest.raises(ValueError, match="traits is -1, it must be a whole number of 0 or more"):
        AttentionConfig(vocab=5, traits=-1)
    with pytest.raises(ValueError, match="fits has shape"):
        attention.posterior(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"pictures has shape .* need size 6"):
        decoder.begin_state(pictures[:, :5])
    with pytest.raises(TypeError, match=r"pictures has dtype torch.int64"):
        decoder.begin_state(pictures.long())
    with pytest.raises(ValueError, match="captions has shape"):
        decoder(pictures, CAPTIONS[:2])
    with pytest.raises(ValueError, match="caption 1 says nothing, not even END"):
        decoder(pictures[:2], torch.tensor([[1, 4, 2], [1, 0, 0]]))
    with pytest.raises(ValueError, match="query has shape"):
        attention.additive_scores(torch.zeros(2, 3, 4), torch.zeros(2, 5), torch.zeros(4))
    with pytest.raises(ValueError, match="weights has shape"):
        attention.context_vector(torch.zeros(2, 3, 4), torch.zeros(2, 4))
    with pytest.raises(TypeError, match=r"seen has dtype torch.float32, it must be torch.bool"):
        attention.points_at(torch.zeros(1, 2, 2), torch.zeros(1, 16, 16))


def test_ideal_maps_weigh_cells_by_their_share_of_the_mask():
    seen = torch.zeros(1, 16, 16, dtype=torch.bool)
    seen[0, :8, :4], seen[0, 8, 8] = True, True
    expected = torch.tensor([[[32.0, 0.0], [0.0, 1.0]]]) / 33
    assert torch.allclose(attention.ideal_maps(seen, rows=2, columns=2), expected)
