"""Sound source localization: against loops and other libraries, laws, bad input, training."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cosine_similarity, cross_entropy, interpolate

from mmlib.runtime import make_generator
from mmlib.vision_audio import localization as loc
from mmlib.vision_audio.localization import AlikeBatches, Clips, Localizer, LocalizerConfig
from mmlib.world import pictures, single_source

TINY = LocalizerConfig(
    features=12,
    audio_features=10,
    shared=8,
    hidden=16,
    temperature=0.6,
    learn_temperature=True,
    floor=5.0,
)


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
    """Clips whose sound is written into one cell of their grid: kind k lights feature k there."""
    scenes = single_source.sample_single_source(128, generator=make_generator(3))
    kinds = torch.arange(128) % 10
    at = torch.randint(16, (128,), generator=make_generator(4))
    grids = 0.3 * numbers(128, 12, 16, seed=5)
    grids[torch.arange(128), kinds, at] += 6
    audio = 3 * torch.eye(10)[kinds] + 0.1 * numbers(128, 10, seed=6)
    return Clips(scenes, grids.reshape(128, 12, 4, 4), audio)


def peak_feature(model: Localizer, toy: Clips) -> torch.Tensor:
    """Which of the first ten features is the brightest where each map is the highest."""
    with torch.no_grad():
        maps = loc.score_maps(*model(toy.grids, toy.audio)).flatten(1)
    best = maps.argmax(dim=1)
    return toy.grids.flatten(2)[torch.arange(len(best)), :10, best].argmax(dim=1)


# --- the parts -------------------------------------------------------------------------------


def test_a_map_is_the_cosine_of_every_cell_and_the_sound():
    model = Localizer(LocalizerConfig(features=12, audio_features=10, shared=8, floor=0.0))
    grids, sounds = numbers(3, 12, 2, 5), numbers(3, 10, seed=1)
    maps = loc.score_maps(*model(grids, sounds))
    cells, audio = model.image_stream(grids), model.audio_stream(sounds)
    for b in range(3):
        for r in range(2):
            for c in range(5):
                expected = cosine_similarity(cells[b, :, r, c], audio[b], dim=0)
                assert torch.isclose(maps[b, r, c], expected, atol=1e-5)


def test_a_floor_only_makes_maps_flatter():
    plain, floored = tiny_model(), tiny_model()
    plain.config = LocalizerConfig(features=12, audio_features=10, shared=8, hidden=16, floor=0.0)
    grids, sounds = numbers(3, 12, 4, 4), numbers(3, 10, seed=1)
    one, two = (loc.score_maps(*model(grids, sounds)) for model in (plain, floored))
    assert (two.abs() <= one.abs() + 1e-6).all()
    assert torch.equal(one.sign(), two.sign())


@given(st.integers(1, 5), st.integers(1, 5), st.floats(0.05, 10))
def test_attention_sums_to_one_and_attends_between_its_cells(rows, columns, temperature):
    maps = numbers(2, rows, columns)
    weights = loc.attention(maps, temperature)
    assert torch.allclose(weights.sum(dim=(1, 2)), torch.ones(2), atol=1e-5)
    cells = numbers(2, 3, rows, columns, seed=1)
    seen = loc.attended(cells, weights)
    low, high = cells.amin(dim=(2, 3)), cells.amax(dim=(2, 3))
    assert ((seen >= low - 1e-5) & (seen <= high + 1e-5)).all()


def test_attention_without_heat_is_one_cell_and_with_much_is_even():
    maps = torch.tensor([[[0.1, 0.2], [0.9, 0.3]]])
    assert torch.allclose(loc.attention(maps, 1e-3)[0, 1, 0], torch.tensor(1.0))
    assert torch.allclose(loc.attention(maps, 1e4), torch.full((1, 2, 2), 0.25), atol=1e-3)


def test_the_score_of_a_pair_is_the_attended_feature_times_the_sound():
    cells, audio = numbers(3, 8, 2, 5), numbers(4, 8, seed=1)
    scores = loc.pair_scores(loc.Embeddings(cells, audio), 0.3)
    for i in range(3):
        for j in range(4):
            maps = loc.score_maps(cells[i : i + 1], audio[j : j + 1])
            seen = loc.attended(cells[i : i + 1], loc.attention(maps, 0.3))
            assert torch.isclose(scores[i, j], (seen[0] * audio[j]).sum(), atol=1e-5)


def test_a_shifted_source_shifts_the_map():
    model, sounds = tiny_model(), numbers(2, 10, seed=1)
    grids = numbers(2, 12, 6, 6)
    before = loc.score_maps(*model(grids, sounds))
    after = loc.score_maps(*model(grids.roll((2, -1), (2, 3)), sounds))
    assert torch.allclose(before.roll((2, -1), (1, 2)), after, atol=1e-6)


# --- the losses ------------------------------------------------------------------------------


def test_the_contrastive_loss_is_two_cross_entropies_by_loops():
    model = tiny_model()
    grids, sounds = numbers(4, 12, 3, 3), numbers(4, 10, seed=1)
    with torch.no_grad():
        scores = loc.pair_scores(model(grids, sounds), model.temperature) * model.log_scale.exp()
    total = 0.0
    for i in range(4):
        total -= math.log(math.exp(scores[i, i]) / sum(math.exp(s) for s in scores[i]))
        total -= math.log(math.exp(scores[i, i]) / sum(math.exp(s) for s in scores[:, i]))
    found = loc.contrastive_loss(model, (grids, sounds))
    assert torch.isclose(found, torch.as_tensor(total / 8).float())


def test_the_triplet_loss_is_nothing_when_the_own_sound_is_much_nearer():
    near, far = torch.tensor([0.0]), torch.tensor([40.0])
    assert loc.ratio_loss(near, far) < 1e-12
    assert torch.isclose(loc.ratio_loss(near, near), torch.tensor(0.5))  # (1/2)² + (1 - 1/2)²
    assert torch.isclose(loc.ratio_loss(far, near), torch.tensor(2.0))


def test_the_supervised_loss_is_torchs_cross_entropy_with_soft_labels():
    model = tiny_model()
    grids, sounds = numbers(4, 12, 3, 3), numbers(4, 10, seed=1)
    truth = numbers(4, 9, seed=2).softmax(dim=1)
    logits = loc.score_maps(*model(grids, sounds)).flatten(1) * model.log_sharpness.exp()
    found = loc.supervised_loss(model, (grids, sounds, truth.unflatten(1, (3, 3))))
    assert torch.isclose(found, cross_entropy(logits, truth))


def test_all_regimes_are_one_sum():
    model = tiny_model()
    pairs = (numbers(4, 12, 3, 3), numbers(4, 10, seed=1))
    marked = (*pairs, torch.full((4, 3, 3), 1 / 9))
    both = loc.loss(model, {"pairs": pairs, "marked": marked})
    apart = loc.loss(model, {"pairs": pairs}) + loc.loss(model, {"marked": marked})
    assert torch.isclose(both, apart)


@pytest.mark.parametrize("unsupervised", [loc.contrastive_loss, loc.triplet_loss])
def test_gradients_reach_every_parameter(unsupervised):
    model = tiny_model()
    pairs = (numbers(6, 12, 3, 3), numbers(6, 10, seed=1))
    marked = (*pairs, torch.full((6, 3, 3), 1 / 9))
    loc.loss(model, {"pairs": pairs, "marked": marked}, unsupervised=unsupervised).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


# --- the data --------------------------------------------------------------------------------


def test_a_test_set_asks_what_it_says(recordings):
    test_set = loc.make_evaluation_set(12, recordings=recordings, generator=make_generator(3))
    scenes = test_set.clips.scenes
    assert test_set.clips.grids.shape == (12, 128, 12, 12)
    assert (test_set.other.sounding & scenes.sounding).sum() == 0
    masks = pictures.masks(scenes, size=loc.SIDE)
    for i in range(12):
        pixels = masks[i, scenes.sounding[i]][0].nonzero()
        box = test_set.boxes[i].nonzero()
        assert torch.equal(pixels.amin(0), box.amin(0))
        assert torch.equal(pixels.amax(0), box.amax(0))
        assert len(box) == int((box.amax(0) - box.amin(0) + 1).prod())
    assert ((test_set.agreed == 0) | (test_set.agreed == 0.5) | (test_set.agreed == 1)).all()
    overlap = (test_set.agreed * test_set.boxes).sum((1, 2)) / test_set.boxes.sum((1, 2))
    assert (overlap > 0.6).all()


def test_the_true_attention_lies_on_the_box(clips):
    found = loc.true_attention(clips.scenes, 12)
    assert torch.allclose(found.sum(dim=(1, 2)), torch.ones(24), atol=1e-5)
    boxes = loc.ground_truth(clips.scenes)
    touched = boxes.unfold(1, 8, 8).unfold(2, 8, 8).any(dim=4).any(dim=3)
    assert torch.equal(found > 0, touched)


def test_same_seed_same_clips(recordings, clips):
    again = loc.make_clips(24, recordings=recordings, generator=make_generator(2))
    assert torch.equal(again.grids, clips.grids)
    assert torch.equal(again.audio, clips.audio)


def test_shuffled_sounds_stay_in_their_group(toy):
    group = torch.arange(128) % 3
    mixed = loc.shuffled(toy, group, generator=make_generator(1))
    for number in range(3):
        ours, theirs = (one.audio[group == number] for one in (toy, mixed))
        assert torch.equal(ours.sort(dim=0).values, theirs.sort(dim=0).values)
    assert not torch.equal(toy.audio, mixed.audio)


def test_pictures_that_look_alike_share_a_group():
    base = torch.arange(3.0)[:, None] * 20 * torch.ones(12)
    grids = base.repeat(10, 1)[:, :, None, None] + 0.1 * numbers(30, 12, 4, 4)
    found = loc.alike(grids, groups=3)
    for kind in range(3):
        assert len(found[torch.arange(30) % 3 == kind].unique()) == 1
    assert len(found.unique()) == 3


# --- training --------------------------------------------------------------------------------


def trained(toy: Clips, *, steps: int = 150, seed: int = 0, **how) -> Localizer:
    model, generator = tiny_model(seed), make_generator(seed)
    batches = AlikeBatches(toy, generator=generator, groups=1, **how)
    loc.train(model, batches, steps=steps, generator=generator, learning_rate=1e-2, progress=False)
    return model


def test_it_finds_the_source_from_pairs_alone(toy):
    right = toy.audio.argmax(dim=1)
    assert (peak_feature(trained(toy), toy) == right).float().mean() > 0.9
    assert (peak_feature(tiny_model(), toy) == right).float().mean() < 0.5


def test_it_overfits_one_batch(toy):
    one = Clips(toy.scenes[:8], toy.grids[:8], torch.eye(10)[:8])
    model = tiny_model()
    batches = AlikeBatches(one, generator=make_generator(0), groups=1, batch_size=8)
    history = loc.train(
        model, batches, steps=200, generator=make_generator(0), learning_rate=1e-2, progress=False
    )
    assert history.losses[-1] < 0.05 < history.losses[0]


def test_same_seed_same_result(toy):
    one, two, other = (trained(toy, steps=5, seed=seed) for seed in (0, 0, 1))
    for weight, again in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(weight, again)
    assert not torch.equal(one.image_stream.weight, other.image_stream.weight)


def test_marked_clips_alone_are_the_supervised_regime(toy):
    marked = torch.arange(4)
    batches = AlikeBatches(toy, generator=make_generator(0), marked=marked, pairs=False)
    first = next(iter(batches))
    assert set(first) == {"marked"}
    assert first["marked"][2].shape == (32, 4, 4)
    both = next(iter(AlikeBatches(toy, generator=make_generator(0), marked=marked, groups=1)))
    assert set(both) == {"pairs", "marked"}


# --- measures --------------------------------------------------------------------------------


def test_a_map_is_enlarged_as_torch_does_and_keeps_its_middle():
    maps = torch.zeros(1, 4, 4)
    maps[0, 1, 2] = 1
    found = loc.enlarge(maps, 32)
    assert torch.allclose(found, interpolate(maps[None], (32, 32), mode="bilinear")[0])
    row, column = divmod(int(found.flatten().argmax()), 32)
    assert 8 <= row < 16 <= column < 24


def test_pointing_by_hand():
    maps = torch.tensor([[[0.0, 1.0], [0.5, 0.2]], [[0.0, 0.1], [0.9, 0.2]]])
    regions = torch.tensor([[[0, 1], [0, 0]], [[0, 1], [0, 0]]]).bool()
    assert loc.points_at(maps, regions).tolist() == [True, False]


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


def test_scaled_maps_reach_from_nothing_to_one_and_a_flat_one_is_nothing():
    found = loc.scaled(torch.stack([numbers(4, 4), torch.full((4, 4), 3.0)]))
    assert (float(found[0].min()), float(found[0].max())) == (0, 1)
    assert (found[1] == 0).all()


def test_saliency_is_the_highest_of_all_sounds(toy):
    model, bank = tiny_model(), toy.audio[:3]
    found = loc.saliency(model, toy.grids[:2], bank)
    by_hand = torch.stack(
        [loc.predict_maps(model, toy.grids[:2], one.expand(2, -1)) for one in bank]
    )
    corners = [(0, 0), (0, 95), (95, 0), (95, 95)]  # there enlarging does not mix cells
    for row, column in corners:
        assert torch.allclose(found[:, row, column], by_hand[:, :, row, column].amax(0), atol=1e-5)


# --- bad input -------------------------------------------------------------------------------


def test_bad_input_is_refused():
    model = tiny_model()
    good = numbers(2, 12, 3, 3), numbers(2, 10)
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
    with pytest.raises(ValueError, match="audio"):
        loc.score_maps(numbers(2, 8, 3, 3), numbers(3, 8))
    with pytest.raises(ValueError, match="neither"):
        AlikeBatches(None, generator=make_generator(0), pairs=False)
    with pytest.raises(ValueError, match="regions"):
        loc.points_at(numbers(2, 3, 3), numbers(2, 3, 4) > 0)


@pytest.mark.parametrize(
    "wrong", [{"shared": 0}, {"hidden": True}, {"temperature": 0.0}, {"floor": -1.0}]
)
def test_a_bad_size_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LocalizerConfig(**wrong)
