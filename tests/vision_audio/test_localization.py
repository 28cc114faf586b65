"""Sound source localization: against loops and other libraries, laws, bad input, training."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cosine_similarity, cross_entropy, interpolate, linear, relu
from torch.nn.functional import scaled_dot_product_attention as torch_attention

from mmlib.metrics import peak_in
from mmlib.runtime import make_generator
from mmlib.vision_audio import localization as loc
from mmlib.vision_audio.localization import ClipBatches, Clips, Localizer, LocalizerConfig
from mmlib.world import pictures, single_source

TINY = LocalizerConfig(features=12, audio_features=10)


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=make_generator(seed))


def tiny_model(seed: int = 0) -> Localizer:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Localizer(TINY)


@pytest.fixture(scope="module")
def recordings():
    return single_source.synthesise(2, generator=make_generator(1))


@pytest.fixture(scope="module")
def clips(recordings) -> Clips:
    return loc.make_clips(24, recordings=recordings, generator=make_generator(2))


@pytest.fixture(scope="module")
def toy() -> Clips:
    """Clips whose sound is written into one cell: category k lights feature k there."""
    scenes = single_source.sample_single_source(128, generator=make_generator(3))
    category = torch.arange(128) % 10
    at = torch.randint(16, (128,), generator=make_generator(4))
    grids = 0.3 * numbers(128, 12, 16, seed=5)
    grids[torch.arange(128), category, at] += 6
    audio = 3 * torch.eye(10)[category] + 0.1 * numbers(128, 10, seed=6)
    return Clips(scenes, grids.reshape(128, 12, 4, 4), audio)


def share_found(model: Localizer, toy: Clips) -> float:
    """Return how often the brightest of ten features at a map's peak is the sound's."""
    with torch.no_grad():
        best = model(toy.grids, toy.audio).scores.flatten(1).argmax(dim=1)
    brightest = toy.grids.flatten(2)[torch.arange(len(best)), :10, best].argmax(dim=1)
    return float((brightest == toy.audio.argmax(dim=1)).float().mean())


# --- the model -------------------------------------------------------------------------------


def test_the_model_is_the_papers_by_loops_and_by_torchs_attention():
    model = tiny_model()
    grids, sounds = numbers(3, 12, 2, 5), numbers(3, 10, seed=1)
    found = model(grids, sounds)
    for b in range(3):
        h = model.sound_fc2(relu(model.sound_fc1(relu(sounds[b]))))
        cells = grids[b].flatten(1).T  # (cells, features)
        scores = torch.stack([relu(cosine_similarity(v, h, dim=0)) for v in cells])
        assert torch.allclose(found.scores[b].flatten(), scores, atol=1e-5)
        odds = [math.exp(score) for score in scores.tolist()]
        attended = sum(o / sum(odds) * v for o, v in zip(odds, cells, strict=True))
        z = relu(linear(relu(attended), model.image_fc1.weight, model.image_fc1.bias))
        z = linear(z, model.image_fc2.weight, model.image_fc2.bias)
        assert torch.allclose(found.z[b], z, atol=1e-4)
        as_mask = torch_attention(
            torch.zeros(1, 1, 12), cells[None], cells[None], attn_mask=scores[None, None]
        )
        assert torch.allclose(as_mask[0, 0], attended, atol=1e-5)


@given(st.integers(1, 5), st.integers(1, 5))
def test_attention_sums_to_one_and_is_at_most_e_times_another(rows, columns):
    scores = torch.rand(2, rows, columns, generator=make_generator(0))
    alpha = loc.attention(scores)
    assert torch.allclose(alpha.sum(dim=(1, 2)), torch.ones(2), atol=1e-5)
    assert float(alpha.amax() / alpha.amin()) <= math.e + 1e-4


def test_a_shifted_source_shifts_the_map_and_changes_no_z():
    model, sounds, grids = tiny_model(), numbers(2, 10, seed=1), numbers(2, 12, 6, 6)
    before, after = model(grids, sounds), model(grids.roll((2, -1), (2, 3)), sounds)
    assert torch.allclose(before.scores.roll((2, -1), (1, 2)), after.scores, atol=1e-6)
    assert torch.allclose(before.z, after.z, atol=1e-5)


def test_only_the_own_sound_drives_attention():
    model, grids, sounds = tiny_model(), numbers(2, 12, 3, 3), numbers(2, 10, seed=1)
    changed = torch.stack([sounds[0], numbers(10, seed=9)])
    one, two = model(grids, sounds), model(grids, changed)
    assert torch.equal(one.z[0], two.z[0])
    assert not torch.equal(one.z[1], two.z[1])


# --- the losses ------------------------------------------------------------------------------


def test_the_triplet_loss_by_hand():
    near, far = torch.tensor([0.0]), torch.tensor([40.0])
    assert loc.ratio_loss(near, far) < 1e-12
    assert torch.isclose(loc.ratio_loss(near, near), torch.tensor(0.5))  # (1/2)² + (1 - 1/2)²
    assert torch.isclose(loc.ratio_loss(far, near), torch.tensor(2.0))
    assert torch.isfinite(loc.ratio_loss(1000 * far, near))


def test_the_unsupervised_loss_compares_with_the_clip_before():
    model, grids, sounds = tiny_model(), numbers(4, 12, 3, 3), numbers(4, 10, seed=1)
    z, total = model(grids, sounds).z.detach(), 0.0
    for i in range(4):
        near, far = (float((z[i] - sounds[j]).norm()) for j in (i, i - 1))
        share = 1 / (1 + math.exp(far - near))
        total += share**2 + share**2  # 1 - d⁻ is d⁺
    found = loc.unsupervised_loss(model, (grids, sounds)).detach()
    assert math.isclose(float(found), total / 4, rel_tol=1e-4)


def test_the_supervised_loss_is_torchs_cross_entropy_with_soft_labels():
    model = tiny_model()
    grids, sounds = numbers(4, 12, 3, 3), numbers(4, 10, seed=1)
    truth = numbers(4, 9, seed=2).softmax(dim=1)
    found = loc.supervised_loss(model, (grids, sounds, truth.unflatten(1, (3, 3))))
    assert torch.isclose(found, cross_entropy(model(grids, sounds).scores.flatten(1), truth))


def test_the_contrastive_loss_is_two_cross_entropies_by_loops():
    model, grids, sounds = tiny_model(), numbers(4, 12, 3, 3), numbers(4, 10, seed=1)
    pairs = torch.zeros(4, 4)
    for i in range(4):
        for j in range(4):
            found = model(grids[i : i + 1], sounds[j : j + 1])
            scores = found.scores.detach().flatten()
            pairs[i, j] = ((scores / loc.SOFTNESS).softmax(dim=0) * scores).sum() / loc.TAU
    total = 0.0
    for i in range(4):
        total -= math.log(math.exp(pairs[i, i]) / sum(math.exp(s) for s in pairs[i]))
        total -= math.log(math.exp(pairs[i, i]) / sum(math.exp(s) for s in pairs[:, i]))
    found = loc.contrastive_loss(model, (grids, sounds)).detach()
    assert math.isclose(float(found), total / 8, rel_tol=1e-4)


def test_all_regimes_are_one_sum():
    model, pairs = tiny_model(), (numbers(4, 12, 3, 3), numbers(4, 10, seed=1))
    marked = (*pairs, torch.full((4, 3, 3), 1 / 9))
    both = loc.loss(model, {"pairs": pairs, "marked": marked})
    apart = loc.loss(model, {"pairs": pairs}) + loc.loss(model, {"marked": marked})
    assert torch.isclose(both, apart)


def test_gradients_reach_every_parameter():
    model, pairs = tiny_model(), (numbers(6, 12, 3, 3), numbers(6, 10, seed=1))
    loc.loss(model, {"pairs": pairs}).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_the_other_losses_teach_the_sound_stream():
    model, pairs = tiny_model(), (numbers(6, 12, 3, 3), numbers(6, 10, seed=1))
    marked = {"marked": (*pairs, torch.rand(6, 3, 3, generator=make_generator(0)))}
    losses = (loc.loss(model, marked), loc.contrastive_loss(model, pairs))
    for one in losses:
        model.zero_grad()
        one.backward()
        assert model.sound_fc1.weight.grad.abs().sum() > 0
        assert model.image_fc1.weight.grad is None


# --- the data --------------------------------------------------------------------------------


def test_a_test_set_asks_what_it_says(recordings):
    test_set = loc.make_evaluation_set(12, recordings=recordings, generator=make_generator(3))
    scenes = test_set.clips.scenes
    assert test_set.clips.grids.shape == (12, 128, 12, 12)
    assert (test_set.other.sounding & scenes.sounding).sum() == 0
    masks = pictures.masks(scenes, size=loc.SIDE)
    for i in range(12):
        pixels, box = masks[i, scenes.sounding[i]][0].nonzero(), test_set.boxes[i].nonzero()
        assert torch.equal(pixels.amin(0), box.amin(0))
        assert torch.equal(pixels.amax(0), box.amax(0))
    overlap = (test_set.agreed * test_set.boxes).sum((1, 2)) / test_set.boxes.sum((1, 2))
    assert (overlap > 0.6).all()
    assert ((test_set.loudness > -30) & (test_set.loudness < 60)).all()


def test_twice_as_loud_an_object_is_six_decibels_more(recordings):
    louder = recordings._replace(sounds=2 * recordings.sounds)
    one, two = (
        loc.make_evaluation_set(6, recordings=r, generator=make_generator(3))
        for r in (recordings, louder)
    )
    assert torch.allclose(two.loudness - one.loudness, torch.tensor(6.0206), atol=0.01)


def test_the_true_attention_lies_on_the_box(clips):
    found = loc.true_attention(clips.scenes, 12)
    assert torch.allclose(found.sum(dim=(1, 2)), torch.ones(24), atol=1e-5)
    boxes = single_source.ground_truth(clips.scenes)
    touched = boxes.unfold(1, 8, 8).unfold(2, 8, 8).any(dim=4).any(dim=3)
    assert torch.equal(found > 0, touched)


def test_same_seed_same_clips(recordings, clips):
    again = loc.make_clips(24, recordings=recordings, generator=make_generator(2))
    assert torch.equal(again.grids, clips.grids)
    assert torch.equal(again.audio, clips.audio)


def test_pictures_that_look_alike_share_a_group_whatever_their_scale():
    base = torch.arange(3.0)[:, None] * 20 * torch.ones(12)
    grids = base.repeat(10, 1)[:, :, None, None] + 0.1 * numbers(30, 12, 4, 4)
    grids[:, 5] = 7.0  # a constant feature
    for scale in (1, 1e-6):
        found = loc.appearance_groups(scale * grids, groups=3)
        for number in range(3):
            assert len(found[torch.arange(30) % 3 == number].unique()) == 1
        assert len(found.unique()) == 3


def test_batches_cover_all_clips_and_keep_groups_apart(toy):
    group = torch.arange(128) % 3
    batches = ClipBatches(toy, generator=make_generator(0), group=group)
    order = batches.order()
    assert torch.equal(torch.cat(order).sort().values, torch.arange(128))
    assert all(len(group[batch].unique()) == 1 for batch in order)
    assert set(next(iter(batches))) == {"pairs"}


def test_marked_clips_alone_are_the_supervised_regime(toy):
    marked = torch.arange(4)
    first = next(iter(ClipBatches(toy, generator=make_generator(0), marked=marked, pairs=False)))
    assert set(first) == {"marked"}
    assert first["marked"][2].shape == (32, 4, 4)
    both = next(iter(ClipBatches(toy, generator=make_generator(0), marked=marked)))
    assert set(both) == {"pairs", "marked"}


# --- training --------------------------------------------------------------------------------


def test_it_finds_the_source_from_pairs_alone(toy):
    model, _ = loc.train(toy, seed=0, steps=400, progress=False)
    assert share_found(model, toy) > 0.8
    assert share_found(tiny_model(), toy) < 0.5


def test_it_overfits_one_batch(toy):
    one = Clips(toy.scenes[:8], toy.grids[:8], torch.eye(10)[:8])
    _, history = loc.train(one, seed=0, steps=1000, progress=False)
    assert history.losses[-1] < 0.05 < history.losses[0]


def test_same_seed_same_result(toy):
    one, two, other = (loc.train(toy, seed=seed, steps=5, progress=False)[0] for seed in (0, 0, 1))
    for weight, again in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(weight, again)
    assert not torch.equal(one.sound_fc1.weight, other.sound_fc1.weight)


# --- measures --------------------------------------------------------------------------------


def test_a_map_is_enlarged_as_torch_does_and_keeps_its_middle():
    maps = torch.zeros(1, 4, 4)
    maps[0, 1, 2] = 1
    found = loc.enlarge(maps, 32)
    assert torch.allclose(found, interpolate(maps[None], (32, 32), mode="bilinear")[0])
    row, column = divmod(int(found.flatten().argmax()), 32)
    assert 8 <= row < 16 <= column < 24


def test_perfect_maps_get_full_marks_and_flat_ones_none(recordings):
    test_set = loc.make_evaluation_set(8, recordings=recordings, generator=make_generator(4))
    perfect = loc.Maps(
        test_set.boxes + test_set.agreed,
        test_set.other_boxes.float(),
        torch.zeros_like(test_set.agreed),
    )
    found = loc.grade(perfect, test_set, threshold=loc.best_threshold(perfect.own, test_set.agreed))
    assert found["pointing"] == found["moves"] == found["off-screen"] == found["cIoU@0.5"] == 1
    flat = loc.Maps(*[torch.zeros_like(test_set.agreed)] * 3)
    found = loc.grade(flat, test_set, threshold=0.5)
    assert found["off-screen"] == 0.5
    assert found["cIoU@0.5"] == 0


@pytest.mark.parametrize("scale", [1, 1e-20, 1e20])
def test_scaled_maps_reach_from_nothing_to_one_and_a_flat_one_is_nothing(scale):
    found = loc.scaled(scale * torch.stack([numbers(4, 4), torch.full((4, 4), 3.0)]))
    assert (float(found[0].min()), float(found[0].max())) == (0, 1)
    assert (found[1] == 0).all()


def test_the_centre_box_is_a_square():
    above = loc.centre_box(1, side=9)[0] >= 0.5
    assert above.sum() == 25
    assert above[2:7, 2:7].all()


def test_a_deaf_model_gives_one_map_whatever_sounds(recordings):
    test_set = loc.make_evaluation_set(3, recordings=recordings, generator=make_generator(4))
    found = loc.answer(Localizer(), test_set, deaf=True)
    assert torch.equal(found.own, found.other)
    assert torch.equal(found.own, found.absent)


# --- bad input -------------------------------------------------------------------------------


def test_bad_input_is_refused():
    model, good = tiny_model(), (numbers(2, 12, 3, 3), numbers(2, 10))
    with pytest.raises(ValueError, match="12"):
        model(numbers(2, 7, 3, 3), good[1])
    with pytest.raises(ValueError, match="axes"):
        model(good[0][0], good[1])
    with pytest.raises(ValueError, match="empty"):
        model(good[0][:0], good[1])
    with pytest.raises(ValueError, match="NaN"):
        model(good[0] * math.nan, good[1])
    with pytest.raises(ValueError, match="NaN"):
        model(good[0], good[1] * math.inf)
    with pytest.raises(TypeError, match="dtype"):
        model(good[0].long(), good[1])
    with pytest.raises(ValueError, match="sounds"):
        model(good[0], numbers(3, 10))
    with pytest.raises(ValueError, match="neither"):
        ClipBatches(Clips(None, good[0], good[1]), generator=make_generator(0), pairs=False)
    with pytest.raises(ValueError, match="regions"):
        peak_in(numbers(2, 3, 3), numbers(2, 3, 4) > 0)


@pytest.mark.parametrize("wrong", [{"features": 0}, {"audio_features": True}])
def test_a_bad_size_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LocalizerConfig(**wrong)
