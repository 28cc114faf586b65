"""Pretraining: pooling as probability theory says, labels that are true, weights as shipped."""

import hashlib
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from mmlib.data.batches import Batches
from mmlib.foundations import pretraining
from mmlib.foundations.pretraining import (
    AudioClassifier,
    AudioEncoder,
    Classifier,
    ImageClassifier,
    ImageEncoder,
)
from mmlib.runtime import make_generator
from mmlib.training import fit, predict
from mmlib.world import labels as labels_of
from mmlib.world import pictures, sampling, sounds


def sampled(count, **options):
    return sampling.sample_scenes(count, generator=make_generator(0), **options)


def image_batch(count=4):
    scenes = sampled(count, split="train")
    drawn = pictures.draw(scenes, generator=make_generator(1))
    return drawn, labels_of.word_labels(scenes), scenes.scene_class, scenes.night.float()


def audio_batch(count=4):
    scenes = sampled(count, slots=2)
    waves = sounds.render(scenes, seconds=0.5, generator=make_generator(1))
    return waves, labels_of.sound_labels(scenes), scenes.scene_class, scenes.night.float()


MODALITIES = {"image": (ImageClassifier, image_batch), "audio": (AudioClassifier, audio_batch)}


def made(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODALITIES[name][0]()


@given(st.lists(st.floats(-4, 4), min_size=4, max_size=4))
def test_noisy_or_counts_every_way_in_which_some_cell_says_yes(logits):
    cells = torch.tensor(logits, dtype=torch.float64).reshape(2, 2)
    chances = cells.sigmoid().flatten()
    some = 0.0
    for answers in itertools.product([False, True], repeat=4):
        chance = torch.where(torch.tensor(answers), chances, 1 - chances).prod()
        some += chance if any(answers) else 0.0
    assert torch.allclose(pretraining.noisy_or(cells).sigmoid(), some, atol=1e-9)


def test_noisy_or_keeps_its_head_and_its_gradient_at_the_ends():
    for level in (-80.0, -20.0, 20.0, 80.0):
        cells = torch.full((8, 8), level, requires_grad=True)
        found = pretraining.noisy_or(cells)
        found.backward()
        assert found.isfinite()
        assert cells.grad.isfinite().all()
        assert (found > 0) == (level > 0)


def test_noisy_or_needs_a_grid():
    with pytest.raises(ValueError, match="rows, columns"):
        pretraining.noisy_or(torch.zeros(3))


def test_three_layers_halve_the_sides_and_a_cell_lies_over_its_own_pixels():
    encoder = made("image").encoder.eval()
    drawn = image_batch(1)[0]
    assert [tuple(s.shape[2:]) for s in encoder.layer_outputs(drawn)] == [
        (32, 32),
        (16, 16),
        (16, 16),
        (8, 8),
        (8, 8),
    ]
    # what a cell answers to lies evenly around its middle, 8 r + 3.5
    drawn = drawn.clone().requires_grad_()
    encoder(drawn)[0, :, 4, 4].sum().backward()
    reach = drawn.grad.abs().sum(dim=(0, 1)) > 0
    for axis in (0, 1):
        touched = reach.any(dim=axis).nonzero()[:, 0].double()
        assert (touched.min() + touched.max()) / 2 == pytest.approx(8 * 4 + 3.5)


@pytest.mark.parametrize("name", MODALITIES)
def test_gradients_reach_every_parameter(name):
    model = made(name)
    pretraining.pretraining_loss(model, MODALITIES[name][1]()).backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


@pytest.mark.parametrize("name", MODALITIES)
def test_one_batch_can_be_learned_by_heart(name):
    model, batch = made(name), MODALITIES[name][1](6)
    history = fit(
        model,
        Batches(batch, batch_size=6),
        pretraining.pretraining_loss,
        generator=make_generator(0),
        steps=30,
        learning_rate=5e-3,
        progress=False,
    )
    assert history.losses[-1] < 0.2 * history.losses[0]


@pytest.mark.parametrize("name", MODALITIES)
def test_same_seed_same_weights(name):
    batches = Batches(MODALITIES[name][1](8), batch_size=4, generator=make_generator(1))
    losses = []
    for _ in range(2):
        batches.generator.manual_seed(1)
        history = fit(
            made(name), batches, pretraining.pretraining_loss,
            generator=make_generator(0), steps=3, progress=False,
        )  # fmt: skip
        losses.append(history.losses)
    assert losses[0] == losses[1]


@pytest.mark.parametrize("name", MODALITIES)
def test_what_is_shipped_is_what_was_measured(name):
    """The files are those of the report, and name new scenes as well as the report says."""
    path = pretraining.WEIGHTS / f"{name}_encoder.safetensors"
    told = pretraining.report()[name]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == told["sha256"]
    scenes = sampled(300, split="train", slots=4 if name == "image" else 3)
    if name == "image":
        model, inputs = pretraining.load_image_classifier(), pictures.draw(scenes)
        labels = labels_of.word_labels(scenes)
    else:
        model = pretraining.load_audio_classifier()
        inputs = sounds.render(scenes, seconds=1.0, generator=make_generator(2))
        labels = labels_of.sound_labels(scenes)
    logits = predict(
        model, Batches(inputs, batch_size=100), lambda m, b: m(b)[1] if name == "image" else m(b)[0]
    )
    some = labels.any(dim=0)
    found = average_precision_score(labels[:, some], logits[:, some], average="macro")
    assert found > told["scores"]["mean average precision"] - 0.03


def test_all_weights_together_are_small():
    assert sum(path.stat().st_size for path in pretraining.WEIGHTS.iterdir()) < 2_000_000


def test_missing_weights_name_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(pretraining, "WEIGHTS", tmp_path)
    with pytest.raises(FileNotFoundError, match="make weights"):
        pretraining.load_image_encoder()


def test_copied_layers_are_the_trained_ones_and_frozen_layers_stay():
    trained = made("image").encoder
    drawn = image_batch(4)[0]
    for count in range(6):
        encoder = pretraining.copy_layers(trained, count, freeze=True)
        pairs = list(zip(encoder.layers(), trained.layers(), strict=True))
        before = [
            [torch.equal(a, b) for a, b in zip(mine.parameters(), theirs.parameters(), strict=True)]
            for mine, theirs in pairs
        ]
        assert [all(same) for same in before] == [number < count for number in range(5)]
        # a step changes the other layers only, and no frozen layer's statistics
        model = Classifier(encoder.train(), 2)
        fit(
            model, Batches((drawn, torch.tensor([0, 1, 0, 1])), batch_size=4),
            pretraining.classify_loss, generator=make_generator(0), steps=1, progress=False,
        )  # fmt: skip
        for mine, theirs in pairs[:count]:
            for (name, a), b in zip(
                mine.state_dict().items(), theirs.state_dict().values(), strict=True
            ):
                assert torch.equal(a, b), name
        moved = [weight for layer in encoder.layers()[count:] for weight in layer.parameters()]
        assert all(weight.grad is not None for weight in moved)
    tuned = pretraining.copy_layers(trained, 5, freeze=False)
    assert all(weight.requires_grad for weight in tuned.parameters())
    with pytest.raises(ValueError, match="count is 6, the encoder has 5 layers"):
        pretraining.copy_layers(trained, 6, freeze=True)


@pytest.mark.parametrize(
    ("model", "inputs", "error", "told"),
    [
        (ImageEncoder, torch.zeros(2, 1, 64, 64), ValueError, "needs size|need size 3"),
        (
            ImageEncoder,
            torch.zeros(2, 3, 64, 64, dtype=torch.uint8),
            TypeError,
            "pictures has dtype",
        ),
        (ImageEncoder, torch.zeros(2, 3, 4, 64), ValueError, "4 x 64 pixels.*enlarge"),
        (AudioEncoder, torch.zeros(2, 1, 16000), ValueError, "waves has 3 axes"),
        (AudioEncoder, torch.zeros(2, 100), ValueError, "100 samples.*400.*pad"),
        (AudioEncoder, torch.zeros(2, 16000, dtype=torch.int16), TypeError, "waves has dtype"),
    ],
)
def test_bad_input_is_refused(model, inputs, error, told):
    with pytest.raises(error, match=told):
        model()(inputs)


def test_a_classifier_describes_what_it_pools():
    encoder = made("image").encoder.eval()
    drawn = image_batch(3)[0]
    with torch.no_grad():
        grid = encoder(drawn)
    summary = pretraining.extract_features(encoder, drawn, batch_size=2)
    assert torch.allclose(summary[:, : encoder.features], grid.mean(dim=(2, 3)), atol=1e-5)
    assert torch.allclose(summary[:, encoder.features :], grid.amax(dim=(2, 3)), atol=1e-5)
    assert Classifier(encoder, 7)(drawn).shape == (3, 7)
