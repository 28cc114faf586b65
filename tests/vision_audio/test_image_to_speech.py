"""Image to speech against scikit-learn, nltk, itertools and brute force; laws of units and runs."""

from itertools import groupby

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch import nn

from mmlib.data.captions import END, PAD, START
from mmlib.data.standardise import Standardise
from mmlib.runtime import make_generator
from mmlib.speech_recogniser import recogniser, word_recall
from mmlib.training import fit
from mmlib.vision_audio import image_to_speech as i2s
from mmlib.vision_text.captioning import greedy
from mmlib.world import sampling, voices
from mmlib.world.short_captions import CAPTION_RULE, content_words, short_captions


@pytest.fixture(scope="module")
def scenes():
    return sampling.sample_scenes(8, generator=make_generator(0), slots=1)


@pytest.fixture(scope="module")
def spoken(scenes):
    people = voices.speakers(3, make_generator(0))
    return i2s.speak(short_captions(scenes), people, generator=make_generator(1))


@pytest.fixture(scope="module")
def pictures():
    return torch.randn(8, 16, generator=make_generator(2))


def new_encoder(spoken, **options):
    torch.manual_seed(0)
    return i2s.SpeechEncoder(i2s.standardise_speech(spoken), **options)


def new_grounded(spoken, pictures):
    encoder = new_encoder(spoken, codes=16)
    return i2s.Grounded(encoder, Standardise.over(pictures))


def new_speech(spoken):
    torch.manual_seed(0)
    return i2s.UnitToSpeech(i2s.standardise_speech(spoken), codes=16)


@pytest.fixture(scope="module")
def units(spoken):
    encoder = new_encoder(spoken, codes=16)
    i2s.start_codebook(encoder, spoken, generator=make_generator(0))
    return i2s.extract_units(encoder, spoken)


def test_speech_is_padded_with_silence_and_locked_by_its_seed(scenes, spoken):
    people = voices.speakers(3, make_generator(0))
    again = i2s.speak(short_captions(scenes), people, generator=make_generator(1))
    assert torch.equal(again.levels, spoken.levels)
    assert spoken.levels.shape[:2] == (8, i2s.BANDS)
    for wave, levels, frames in zip(spoken.waves, spoken.levels, spoken.frames, strict=True):
        assert frames == len(wave) // 160
        quiet = levels[:, int(frames) + 2 :]
        assert (quiet == levels.max() - i2s.SPAN).all() or not quiet.numel()


def test_padding_does_not_change_the_units(spoken, units):
    encoder = new_encoder(spoken, codes=16)
    i2s.start_codebook(encoder, spoken, generator=make_generator(0))
    longer = [torch.cat([wave, torch.zeros(8000)]) for wave in spoken.waves[:3]]
    for wave, row in zip(longer, units, strict=False):
        alone = spoken._replace(
            levels=i2s.levels_of(wave[None]), frames=torch.tensor([2 * len(row)])
        )
        assert (i2s.extract_units(encoder, alone)[0] == row).float().mean() > 0.98


def test_the_nearest_code_is_scikit_learns(units):
    torch.manual_seed(0)
    layer, z = i2s.VectorQuantiser(7, 5), torch.randn(3, 20, 5)
    theirs = KMeans(7, n_init=1, init=layer.codebook.detach().numpy(), max_iter=1)
    theirs.fit(torch.randn(50, 5).numpy())
    theirs.cluster_centers_ = layer.codebook.detach().numpy()
    assert np.array_equal(layer.assign(z).flatten(), theirs.predict(z.flatten(0, 1).numpy()))


def test_the_baseline_pairs_frames(spoken):
    encoder = i2s.LogMelEncoder(i2s.standardise_speech(spoken), codes=16)
    z = encoder(spoken.levels[:1])[0]
    x = encoder.standardise(spoken.levels[:1])[0]
    pair = torch.stack([x[:, 8], x[:, 9]], dim=1).flatten()
    assert torch.equal(z[4], pair)
    i2s.start_codebook(encoder, spoken, generator=make_generator(0))
    lengths = [len(row) for row in i2s.extract_units(encoder, spoken)]
    assert lengths == (spoken.frames // 2).tolist()


def test_the_gradient_passes_straight_through():
    torch.manual_seed(0)
    layer, z = i2s.VectorQuantiser(6, 4), torch.randn(9, 4, requires_grad=True)
    codes, _ = layer(z)
    target = torch.randn(9, 4)
    assert torch.allclose(codes, layer.codebook[layer.assign(z)])
    (codes * target).sum().backward()
    assert torch.allclose(z.grad, target)  # as if the codes were z
    assert layer.codebook.grad is None


def test_the_terms_of_the_codebook_are_equation_3():
    torch.manual_seed(0)
    layer, z = i2s.VectorQuantiser(6, 4), torch.randn(9, 4, requires_grad=True)
    _, distance = layer(z)
    e = layer.codebook[layer.assign(z)]
    assert torch.allclose(distance, 1.25 * (z - e).square().sum(dim=1))
    distance.sum().backward()
    assert torch.allclose(z.grad, 2 * 0.25 * (z - e).detach(), atol=1e-6)
    pull = torch.zeros(6, 4).index_add(0, layer.assign(z), 2 * (e - z).detach())
    assert torch.allclose(layer.codebook.grad, pull, atol=1e-5)


def test_the_codebook_rests_where_k_means_ends():
    rows = torch.randn(400, 3, generator=make_generator(0))
    found = KMeans(8, n_init=1, max_iter=500, tol=0, random_state=0).fit(rows.numpy())
    layer = i2s.VectorQuantiser(8, 3)
    layer.codebook.data = torch.from_numpy(found.cluster_centers_)
    layer(rows)[1].sum().backward()
    assert layer.codebook.grad.abs().max() < 1e-2
    layer.codebook.data += 0.1
    layer.codebook.grad = None
    layer(rows)[1].sum().backward()
    assert layer.codebook.grad.abs().max() > 1


def test_runs_are_those_of_groupby_and_come_back():
    for seed in range(20):
        row = torch.randint(3, (1 + seed,), generator=make_generator(seed))
        found, lengths = i2s.collapse(row)
        by_hand = [(unit, len(list(run))) for unit, run in groupby(row.tolist())]
        assert list(zip(found.tolist(), lengths.tolist(), strict=True)) == by_hand
        assert torch.equal(found.repeat_interleave(lengths), row)


def test_units_are_captions_and_back():
    rows = [torch.tensor([0, 5, 2]), torch.tensor([7])]
    captions = i2s.unit_captions(rows)
    assert captions.tolist() == [[START, 3, 8, 5, END], [START, 10, END, PAD, PAD]]
    assert all(map(torch.equal, i2s.units_of(captions), rows))


def test_spreading_is_brute_force():
    h = torch.randn(3, 2, generator=make_generator(0))
    found = i2s.spread(h, torch.tensor([2, 1, 0]))
    rows = []
    for vector, frames in zip(h, (4, 2, 0), strict=True):
        rows += [[*vector.tolist(), f / 10, (frames - 1 - f) / 10] for f in range(frames)]
    assert torch.allclose(found, torch.tensor(rows), atol=1e-6)


def test_padding_does_not_change_what_is_said(spoken, units):
    model = new_speech(spoken)
    runs = [i2s.collapse(row) for row in units[:2]]
    rows = nn.utils.rnn.pad_sequence([unit + 1 for unit, _ in runs], batch_first=True)
    durations = nn.utils.rnn.pad_sequence([steps for _, steps in runs], batch_first=True)
    with torch.no_grad():
        h, guess = model(rows, torch.tensor([0, 1]))
        levels = model.spectrogram(h, durations)
        for n, (unit, steps) in enumerate(runs):
            alone, own = model(unit[None] + 1, torch.tensor([n]))
            frames = i2s.STRIDE * int(steps.sum())
            assert torch.allclose(own[0], guess[n, : len(unit)], atol=1e-5)
            single = model.spectrogram(alone, steps[None])[0]
            assert torch.allclose(single, levels[n, :, :frames], atol=1e-4)


def test_the_speech_comes_back_from_its_levels(spoken):
    wave = i2s.vocode(spoken.levels[0], generator=make_generator(0))
    again = i2s.levels_of(wave)
    frames = int(spoken.frames[0])
    both = torch.stack([x[:, :frames].flatten() for x in (again, spoken.levels[0])])
    assert torch.corrcoef(both)[0, 1] > 0.9
    assert wave.abs().max() <= voices.PEAK + 1e-4


@pytest.mark.parametrize("discrete", [False, True])
def test_grounding_overfits_one_batch_and_reaches_every_parameter(spoken, pictures, discrete):
    model = new_grounded(spoken, pictures)
    if discrete:
        i2s.start_codebook(model.encoder, spoken, generator=make_generator(0))
    batch = (spoken.levels, spoken.frames, pictures)
    history = fit(
        model, [batch], i2s.unit_loss, generator=make_generator(0), steps=150 if discrete else 60,
        learning_rate=3e-3, progress=False,
    )  # fmt: skip
    assert history.losses[-1] < 0.5 * history.losses[0]
    for name, weight in model.named_parameters():
        if discrete or "codebook" not in name:
            assert weight.grad.abs().sum() > 0, name


def test_reconstruction_overfits_one_batch(spoken, pictures):
    model = i2s.Reconstructed(new_encoder(spoken, codes=16))
    history = fit(
        model, [(spoken.levels, spoken.frames, pictures)], i2s.unit_loss,
        generator=make_generator(0), steps=60, learning_rate=3e-3, progress=False,
    )  # fmt: skip
    assert history.losses[-1] < 0.5 * history.losses[0]


def test_same_seed_same_units(spoken, pictures):
    found = []
    for _ in range(2):
        model = new_grounded(spoken, pictures)
        i2s.train_units(
            model, spoken, pictures, generator=make_generator(3), steps=2, progress=False
        )
        found.append(torch.cat(i2s.extract_units(model.encoder, spoken)))
    assert torch.equal(*found)
    assert model.encoder.discrete


def test_the_captioner_learns_two_sequences():
    rows = [torch.tensor([1, 4, 2, 4]), torch.tensor([3, 0])]
    grids = torch.randn(2, 128, 2, 2, generator=make_generator(0)).repeat(8, 1, 1, 1)
    torch.manual_seed(0)
    model = i2s.new_captioner(codes=5)
    i2s.train_unit_captioner(
        model, grids, rows * 8, generator=make_generator(0), steps=60, progress=False
    )
    found = i2s.units_of(greedy(model.eval(), grids[:2]).words)
    assert [row.tolist() for row in found] == [row.tolist() for row in rows]


def test_speech_overfits_and_durations_are_learned(spoken, units):
    model = new_speech(spoken)
    every = [i2s.collapse(row) for row in units]
    history = i2s.train_speech(
        model, every, spoken, generator=make_generator(0), steps=80, progress=False
    )
    assert history.losses[-1] < 0.4 * history.losses[0]
    assert all(weight.grad.abs().sum() > 0 for weight in model.parameters())
    runs, steps = every[0]
    wave = i2s.synthesise(model, runs, voice=0, generator=make_generator(0))
    assert len(wave) / 320 == pytest.approx(int(steps.sum()), rel=0.3)


def test_the_shipped_models_speak_about_pictures(scenes):
    pytest.importorskip("pocketsphinx")
    system, minutes = i2s.load_shipped()
    assert 0 < minutes < 20
    people = voices.speakers(8, make_generator(5))
    spoken = i2s.speak(short_captions(scenes), people, generator=make_generator(6))
    listen = recogniser(CAPTION_RULE)
    order = make_generator(0)
    said = [
        i2s.synthesise(system.speech, i2s.collapse(row)[0], voice=1, generator=order)
        for row in i2s.extract_units(system.encoder, spoken)
    ]
    heard = [listen(wave) for wave in said]
    assert word_recall(heard, content_words(scenes)).mean() > 0.6  # guessing: one in eight


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: i2s.collapse(torch.zeros(0, dtype=torch.long)), "units is empty"),
        (lambda: i2s.collapse(torch.zeros(1, 2, dtype=torch.long)), "units has 2 axes"),
        (lambda: i2s.SpeechEncoder(Standardise(40))(torch.zeros(1, 39, 9)), "levels has"),
        (
            lambda: i2s.synthesise(
                i2s.UnitToSpeech(Standardise(40)), torch.zeros(0, dtype=torch.long), voice=0,
                generator=make_generator(0),
            ),
            "units is empty",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
