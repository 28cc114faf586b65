"""Speech to face against NumPy, torch, librosa and scikit-learn; laws of the loss and its parts."""

import librosa
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mmlib.data.standardise import Standardise
from mmlib.metrics import recall_at, retrieval_ranks
from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_audio import speech2face as s2f
from mmlib.world import faces, voices


@pytest.fixture(scope="module")
def clips():
    return s2f.make_clips(4, each=2, generator=make_generator(0))


@pytest.fixture(scope="module")
def frozen():
    return s2f.load_frozen()


@pytest.fixture(scope="module")
def spectrograms(clips):
    return s2f.voice_input(clips.waves)


def new_encoder(over=None):
    torch.manual_seed(0)
    return s2f.VoiceEncoder(over or Standardise(s2f.D))


def two_features(clips=3):
    return torch.rand(2, clips, s2f.D, generator=make_generator(0))


def test_clips_fit_together_and_are_locked_by_their_seed(clips):
    assert clips.waves.shape == (8, s2f.TIME)
    assert all(1 <= len(text.split()) <= 6 for text in clips.texts)
    assert clips.pictures.shape == (8, 3, s2f.SIDE, s2f.SIDE)
    assert clips.owner.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert not torch.equal(clips.pictures[0], clips.pictures[1])  # another pose and light
    again = s2f.make_clips(4, each=2, generator=make_generator(0))
    assert torch.equal(again.waves, clips.waves)
    assert again.faces == clips.faces


def test_the_input_is_the_papers_by_librosa_and_numpy(clips):
    wave = clips.waves[0].numpy()
    spectrum = librosa.stft(
        wave, n_fft=512, hop_length=320, win_length=400, window="hann", pad_mode="constant"
    )
    parts = np.stack([spectrum.real, spectrum.imag])
    theirs = np.sign(parts) * np.abs(parts) ** 0.3
    found = s2f.voice_input(clips.waves[:1])[0].numpy()
    assert found.shape == theirs.shape
    sure = np.abs(parts) > 1e-2  # near 0 the power blows rounding up
    assert np.abs(found - theirs)[sure].max() < 1e-3


def test_compression_keeps_signs_and_multiplies():
    x = torch.tensor([-8.0, 0.0, 1.0, 8.0])
    assert torch.allclose(s2f.compress(-x), -s2f.compress(x))
    assert torch.allclose(s2f.compress(3 * x), 3**0.3 * s2f.compress(x))


def test_the_voice_encoder_takes_any_length_and_averages_over_time(spectrograms):
    model = new_encoder().eval()
    longer = torch.cat([spectrograms, spectrograms], dim=3)
    with torch.no_grad():
        assert model(longer).shape == model(spectrograms).shape == (8, s2f.D)
        maps = model.trunk(spectrograms)
        answer = model.output(maps.mean(dim=3).flatten(1))
        assert torch.allclose(answer, model(spectrograms), atol=1e-5)
        assert maps.shape[2] > maps.shape[3]  # frequency is kept, time is pooled


def test_what_one_clip_gives_does_not_depend_on_the_others(spectrograms):
    model = new_encoder().eval()
    with torch.no_grad():
        assert torch.allclose(model(spectrograms)[3:4], model(spectrograms[3:4]), atol=1e-5)


def test_the_answer_counts_in_deviations_from_the_mean_feature(spectrograms):
    over = Standardise.over(torch.randn(50, s2f.D, generator=make_generator(0)) * 3 + 7)
    model, plain = new_encoder(over).eval(), new_encoder().eval()
    with torch.no_grad():
        expected = over.mean + over.deviation * plain(spectrograms)
        assert torch.allclose(model(spectrograms), expected, atol=1e-5)


def test_restyling_changes_hair_and_glasses_of_some_and_nothing_else():
    generator = make_generator(2)
    people = [faces.face_of(p, generator) for p in voices.speakers(300, generator)]
    later = s2f.restyle(people, generator=generator, share=0.5)
    kept = ("jaw", "length", "nose", "lines", "mouth", "skin")
    assert all(
        getattr(a, k) == getattr(b, k) for a, b in zip(people, later, strict=True) for k in kept
    )
    changed = sum(a != b for a, b in zip(people, later, strict=True))
    assert 100 < changed < 160
    assert s2f.restyle(people, generator=generator, share=0.0) == people


def test_the_feature_stands_before_the_names(frozen, clips):
    recogniser, _ = frozen
    v = recogniser.encode(clips.pictures)
    assert v.shape == (8, s2f.D)
    assert (v >= 0).all()
    logits = v @ recogniser.classify.weight.T + recogniser.classify.bias
    assert torch.allclose(recogniser(clips.pictures), logits, atol=1e-4)
    assert torch.allclose(s2f.encode_faces(recogniser, clips.pictures), v, atol=1e-5)


def test_frozen_parts_are_frozen_and_know_new_people(frozen):
    recogniser, decoder = frozen
    assert not any(p.requires_grad for part in frozen for p in part.parameters())
    generator = make_generator(5)
    people = [faces.face_of(p, generator) for p in voices.speakers(40, generator)]
    one, other = (
        s2f.encode_faces(recogniser, s2f.photograph(people, generator=generator)) for _ in range(2)
    )
    assert recall_at(retrieval_ranks(s2f.feature_similarity(one, other)), 1).value > 0.5
    canonical = faces.draw(people, size=s2f.SIDE)
    away = (decoder(one) - canonical).abs().mean()
    assert away < 0.5 * (canonical.mean(dim=0) - canonical).abs().mean()


def test_equation_1_is_the_sum_of_absolute_differences():
    v_s, v_f = two_features()
    by_hand = sum(abs(a - b) for a, b in zip(v_s.flatten(), v_f.flatten(), strict=True)) / 3
    assert float(s2f.feature_l1(v_s, v_f)) == pytest.approx(float(by_hand), rel=1e-4)


def test_distillation_is_torchs_cross_entropy_with_soft_targets():
    a, b = torch.randn(2, 5, 7, generator=make_generator(0))
    theirs = F.cross_entropy(b / 2, (a / 2).softmax(dim=1))
    assert float(s2f.distillation(a, b)) == pytest.approx(float(theirs), rel=1e-5)
    entropy = torch.distributions.Categorical(logits=a / 2).entropy().mean()
    assert float(s2f.distillation(a, a)) == pytest.approx(float(entropy), rel=1e-5)
    assert s2f.distillation(a, b) > entropy  # Gibbs


def test_the_terms_of_equation_2_one_by_one(frozen):
    recogniser, decoder = frozen
    v_s, v_f = two_features()
    terms = s2f.loss_terms(v_s, v_f, recogniser, decoder)
    w, b = decoder.first.weight, decoder.first.bias
    by_hand = ((v_s @ w.T + b) - (v_f @ w.T + b)).abs().sum(dim=1).mean()
    assert torch.allclose(terms["decoder"], by_hand, rtol=1e-4)
    assert torch.allclose(
        terms["direction"], 2 - 2 * F.cosine_similarity(v_s, v_f).mean(), atol=1e-5
    )
    logits = [recogniser.classify(v) for v in (v_f, v_s)]
    assert torch.allclose(terms["distillation"], s2f.distillation(*logits))
    longer = s2f.loss_terms(5 * v_s, v_f, recogniser, decoder)
    assert torch.allclose(longer["direction"], terms["direction"], atol=1e-5)  # length is free
    assert longer["decoder"] > terms["decoder"]


def test_the_loss_is_their_weighted_sum_and_smallest_at_the_truth(frozen):
    recogniser, decoder = frozen
    v_s, v_f = two_features()
    terms = s2f.loss_terms(v_s, v_f, recogniser, decoder)
    total = s2f.voice_loss(recogniser, decoder)(lambda x: x, (v_s, v_f))
    by_hand = terms["decoder"] + 0.025 * terms["direction"] + 200 * terms["distillation"]
    assert torch.allclose(total, by_hand, rtol=1e-5)
    at_truth = s2f.voice_loss(recogniser, decoder)(lambda x: x, (v_f, v_f))
    assert at_truth < total
    alone = s2f.voice_loss(recogniser, decoder, {"direction": 2.0})(lambda x: x, (v_s, v_f))
    assert torch.allclose(alone, 2 * terms["direction"])


def test_gradient_sizes_are_the_slopes(frozen):
    v_s, v_f = two_features(2)
    sizes = s2f.gradient_sizes(v_s, v_f, *frozen)
    slopes = torch.zeros(2, s2f.D)
    for clip, column in ((c, k) for c in range(2) for k in range(s2f.D)):
        step = torch.zeros(2, s2f.D, dtype=torch.float64)
        step[clip, column] = 1e-4
        up, down = (
            F.normalize(v_f.double()) - F.normalize(v_s.double() + sign * step) for sign in (1, -1)
        )
        slopes[clip, column] = (up.square().sum() - down.square().sum()) / 2e-4
    assert sizes["direction"] == pytest.approx(float(slopes.norm(dim=1).mean()), rel=1e-3)


def test_overfits_one_batch_and_gradients_reach_every_parameter(frozen, spectrograms, clips):
    recogniser, decoder = frozen
    v_f = s2f.encode_faces(recogniser, clips.pictures)
    model = new_encoder(Standardise.over(v_f))
    history = fit(
        model, [(spectrograms, v_f)], s2f.plain_loss, generator=make_generator(0), steps=60,
        learning_rate=3e-3, progress=False,
    )  # fmt: skip
    assert history.losses[-1] < 0.4 * history.losses[0]
    loss = s2f.voice_loss(recogniser, decoder)(model, (spectrograms, v_f))
    model.zero_grad()
    loss.backward()
    assert all(weight.grad.abs().sum() > 0 for weight in model.parameters())


def test_same_seed_same_training_and_the_frozen_parts_stay(frozen, spectrograms, clips):
    recogniser, decoder = frozen
    before = [p.clone() for part in frozen for p in part.state_dict().values()]
    v_f, found = s2f.encode_faces(recogniser, clips.pictures), []
    for _ in range(2):
        model = new_encoder()
        s2f.train(
            model, (spectrograms, v_f), s2f.voice_loss(recogniser, decoder),
            generator=make_generator(3), steps=3, progress=False,
        )  # fmt: skip
        found.append(model.output[0].weight.detach().clone())
    assert torch.equal(*found)
    after = [p for part in frozen for p in part.state_dict().values()]
    assert all(map(torch.equal, before, after))


def test_recogniser_and_decoder_overfit_a_few_people(clips):
    torch.manual_seed(0)
    recogniser, decoder = s2f.FaceRecogniser(4), s2f.FaceDecoder()
    history = s2f.train(
        recogniser, (clips.pictures, clips.owner), s2f.recognise_loss,
        generator=make_generator(0), steps=20, progress=False,
    )  # fmt: skip
    assert history.losses[-1] < 0.3 * history.losses[0]
    v = s2f.encode_faces(recogniser.eval(), clips.pictures)
    canonical = faces.draw([clips.faces[n] for n in clips.owner.tolist()], size=s2f.SIDE)
    history = s2f.train(
        decoder, (v, canonical), s2f.decode_loss,
        generator=make_generator(0), steps=60, progress=False,
    )  # fmt: skip
    assert history.losses[-1] < 0.6 * history.losses[0]


def test_the_pitch_is_that_of_the_speaker_and_librosas(clips):
    found = s2f.pitch_of(clips.waves)
    true = torch.tensor([clips.speakers[n].pitch for n in clips.owner.tolist()])
    assert ((found / true).log().abs() < 0.15).all()
    theirs = librosa.yin(clips.waves[0].numpy(), fmin=70, fmax=400, sr=16_000)
    assert float(found[0]) == pytest.approx(float(np.median(theirs)), rel=0.15)
    time = torch.arange(s2f.TIME) / s2f.SAMPLE_RATE
    tone = sum(torch.cos(2 * torch.pi * k * 125 * time) for k in (1, 2, 3))
    assert s2f.pitch_of(tone[None]).tolist() == pytest.approx([125.0])


def test_ridge_recovers_a_linear_map():
    generator = make_generator(0)
    inputs = torch.randn(300, 6, generator=generator)
    weights = torch.randn(6, 4, generator=generator)
    linear = s2f.ridge(inputs[:200], inputs[:200] @ weights + 2)
    assert torch.allclose(linear(inputs[200:]), inputs[200:] @ weights + 2, atol=0.02)


@pytest.mark.parametrize("by", ["cosine", "L1", "L2"])
def test_similarity_is_brute_forces(by):
    v_s, v_f = two_features(4)
    found = s2f.feature_similarity(v_s, v_f[:3], by=by)
    for a in range(4):
        for b in range(3):
            x, y = v_s[a].double().numpy(), v_f[b].double().numpy()
            expected = {
                "cosine": x @ y / np.linalg.norm(x) / np.linalg.norm(y),
                "L1": -np.abs(x - y).sum(),
                "L2": -np.linalg.norm(x - y),
            }
            assert float(found[a, b]) == pytest.approx(expected[by], rel=1e-3)


def test_attributes_are_those_of_the_faces(clips):
    table = s2f.attributes(clips.faces)
    assert table.shape == (4, len(s2f.ATTRIBUTES))
    for name in ("jaw", "length", "nose", "lines", "skin", "glasses"):
        expected = [float(getattr(face, name)) for face in clips.faces]
        assert table[:, s2f.ATTRIBUTES.index(name)].tolist() == pytest.approx(expected)


def test_correlations_are_numpys():
    found, true = torch.randn(2, 30, 9, generator=make_generator(0))
    values = s2f.attribute_correlations(found, true)
    assert tuple(values) == s2f.ATTRIBUTES
    for n, value in enumerate(values.values()):
        assert value == pytest.approx(np.corrcoef(found[:, n], true[:, n])[0, 1], abs=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: s2f.voice_input(torch.zeros(2, s2f.TIME)), "2 of 2 waves are silent"),
        (lambda: s2f.voice_input(torch.ones(1, 5000)), "waves has 5000 samples"),
        (lambda: s2f.voice_input(torch.full((1, s2f.TIME), torch.nan)), "NaN"),
        (lambda: s2f.make_clips(2, each=0, generator=make_generator(0)), "each is 0"),
        (lambda: s2f.feature_similarity(*two_features(2), by="dot"), "by is 'dot'"),
        (lambda: s2f.feature_similarity(torch.ones(1, 3), torch.ones(1, 4)), "need size 4"),
        (lambda: s2f.FaceRecogniser().encode(torch.zeros(1, 3, 64, 64)), "size 48"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
