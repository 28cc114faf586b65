"""Moving lips against NumPy, scikit-learn, torch's LSTM cell and brute force; laws of delay."""

import librosa
import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from mmlib.data.standardise import Standardise
from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_audio import lips
from mmlib.world import faces


@pytest.fixture(scope="module")
def clips():
    return lips.make_clips(2, each=2, generator=make_generator(0))


@pytest.fixture(scope="module")
def heard(clips):
    return lips.features(clips.waves)


@pytest.fixture(scope="module")
def pca(clips):
    return lips.MouthPCA.over(clips.outlines)


def new_lstm(heard, delay=20):
    torch.manual_seed(0)
    return lips.TimeDelayedLSTM(Standardise.over(heard.mT), delay=delay)


def new_syncnet(heard):
    torch.manual_seed(0)
    return lips.SyncNet(Standardise.over(heard.mT))


def test_clips_fit_together_and_are_locked_by_their_seed(clips):
    assert clips.waves.shape == (4, lips.FRAMES * 640)
    assert clips.outlines.shape == (4, lips.FRAMES, 40)
    assert clips.faces[0] == clips.faces[1] != clips.faces[2]
    again = lips.make_clips(2, each=2, generator=make_generator(0))
    assert torch.equal(again.tracks, clips.tracks)
    assert again.captions == clips.captions


def test_features_are_librosas(clips):
    wave = clips.waves[0].numpy()
    found = lips.features(clips.waves[:1])[0].numpy()
    power = np.square(
        np.abs(
            librosa.stft(
                wave, n_fft=512, hop_length=160, win_length=400, window="hamming",
                pad_mode="constant",
            )
        )
    )  # fmt: skip
    filters = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=40, htk=True, norm=None)
    level = librosa.power_to_db(filters @ power, ref=1.0, top_db=80)
    assert found.shape == (240, 28)
    theirs = librosa.feature.mfcc(S=level, n_mfcc=13).T[:240]
    assert np.abs(found[:, :13] - theirs).max() < 0.05
    assert np.allclose(found[:, 13], np.log(power.mean(axis=0).clip(1e-8))[:240], atol=1e-2)
    assert np.allclose(found[1:-1, 14:], (found[2:, :14] - found[:-2, :14]) / 2, atol=1e-4)


def test_silence_has_finite_features():
    assert lips.features(torch.zeros(1, 16_000)).isfinite().all()


def test_the_analysis_is_scikit_learns(clips, pca):
    rows = clips.outlines.flatten(0, 1)
    theirs = PCA(lips.COMPONENTS).fit(rows.numpy())
    ours = pca.encode(rows).numpy()
    signs = np.sign((pca.directions.numpy() * theirs.components_).sum(axis=1))
    assert np.allclose(ours, theirs.transform(rows.numpy()) * signs, atol=1e-3)
    assert np.allclose(pca.explained.numpy(), theirs.explained_variance_ratio_, atol=1e-4)


def test_components_decode_to_the_nearest_outline(clips, pca):
    rows = clips.outlines.flatten(0, 1)
    decoded = pca.decode(pca.encode(rows))
    left = rows - decoded
    assert (left @ pca.directions.T).abs().max() < 1e-3  # what is lost lies across
    assert torch.allclose(pca.encode(decoded), pca.encode(rows), atol=1e-3)
    assert left.square().mean() < 0.01 * (rows - rows.mean(dim=0)).square().mean()


def test_the_lstm_is_equations_1_to_6_step_by_step(heard):
    model = new_lstm(heard, delay=3)
    x = model.standardise(heard[:1].mT).mT[0]
    x = torch.cat([x, x[-1:].expand(3, -1)])
    w, u = model.lstm.weight_ih_l0, model.lstm.weight_hh_l0
    b = model.lstm.bias_ih_l0 + model.lstm.bias_hh_l0
    h = c = torch.zeros(60)
    said = []
    for step in x:
        i, f, g, o = (w @ step + u @ h + b).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = c.tanh() * o.sigmoid()
        said.append(model.output.weight @ h + model.output.bias)
    with torch.no_grad():
        found = model(heard[:1])[0]
    assert torch.allclose(found, torch.stack(said)[3:][2::4], atol=1e-4)


@pytest.mark.parametrize("delay", [0, 7, 20])
def test_a_frame_depends_on_what_is_heard_until_the_delay_and_on_nothing_later(heard, delay):
    model = new_lstm(heard, delay=delay)
    later = heard[:1].clone().requires_grad_()
    frame = 20
    model(later)[0, frame].sum().backward()
    reached = later.grad[0].abs().sum(dim=1).nonzero().max().item()
    assert reached == 4 * frame + 2 + delay


def test_overfits_one_batch_and_gradients_reach_every_parameter(heard, clips, pca):
    model, components = new_lstm(heard, delay=10), pca.encode(clips.outlines)
    history = fit(
        model, [(heard, components)], lips.shape_loss, generator=make_generator(0),
        steps=150, learning_rate=2e-2, progress=False,
    )  # fmt: skip
    assert history.losses[-1] < 0.08 * history.losses[0]
    assert all(weight.grad.abs().sum() > 0 for weight in model.parameters())


def test_same_seed_same_training(heard, clips, pca):
    components, found = pca.encode(clips.outlines), []
    for _ in range(2):
        model = new_lstm(heard)
        lips.train_lips(
            model, heard, components, generator=make_generator(3), steps=3, progress=False
        )
        found.append(model.output.weight.detach().clone())
    assert torch.equal(*found)


def test_the_landmark_error_is_a_percentage_of_the_mouths_width():
    true = faces.mouth_outline(torch.zeros(3, 5))[None]
    shifted = true + torch.tensor([0.06, 0.08]).repeat(20)
    assert lips.landmark_error(shifted, true).tolist() == pytest.approx([5.0])  # 0.1 of 2
    assert lips.opening(true).abs().max() < 1e-6


def test_around_collects_what_brute_force_does(heard):
    found = lips.around(heard, reach=4).unflatten(2, (28, -1))
    for frame in (0, 7, 59):
        steps = (4 * frame + 2 + torch.arange(-4, 5, 2)).clamp(0, 239)
        assert torch.equal(found[1, frame], heard[1, steps].T)


def test_ridge_recovers_a_linear_map():
    generator = make_generator(0)
    heard = torch.randn(3, 240, 28, generator=generator)
    weights = torch.randn(28, 4, generator=generator)
    components = heard[:, 2::4] @ weights
    model = lips.ridge(heard, components, reach=0, penalty=1e-6)
    assert torch.allclose(lips.predict_ridge(model, heard, reach=0), components, atol=1e-3)


def test_the_weighted_median_repeats_a_picture_as_often_as_it_counts():
    rng = np.random.default_rng(0)
    for _ in range(20):
        values, counts = rng.normal(size=(5, 7)), rng.integers(1, 5, size=5)
        repeated = np.sort(np.repeat(values, counts, axis=0), axis=0)
        lower = repeated[(len(repeated) + 1) // 2 - 1]
        found = lips.weighted_median(torch.tensor(values), torch.tensor(counts).double())
        assert np.allclose(found.numpy(), lower)


def test_blending_a_frame_that_is_there_returns_it():
    generator = make_generator(0)
    bank, pictures = torch.randn(30, 40, generator=generator), torch.rand(30, 3, 6, 6)
    assert torch.equal(lips.blend_frames(bank[:4], bank, pictures), pictures[:4])
    with pytest.raises(ValueError, match="the bank has 3 frames, nearest is 5"):
        lips.blend_frames(bank[:4], bank[:3], pictures[:3])


def test_the_correlation_loss_is_a_cosine():
    sound, motion = torch.randn(2, 8, 5, generator=make_generator(0)), None
    motion = 3 * sound
    assert float(lips.correlation_loss(sound, motion)) == pytest.approx(0, abs=1e-5)
    assert float(lips.correlation_loss(sound, -sound)) == pytest.approx(2, abs=1e-5)
    motion = torch.randn(2, 8, 5, generator=make_generator(1))
    a, b = sound.movedim(1, -1).reshape(-1, 8), motion.movedim(1, -1).reshape(-1, 8)
    cosines = [float(x @ y / x.norm() / y.norm()) for x, y in zip(a, b, strict=True)]
    assert float(lips.correlation_loss(sound, motion)) == pytest.approx(1 - np.mean(cosines))


def test_codes_of_change_ignore_what_does_not_change(heard, clips):
    torch.manual_seed(0)
    model = lips.Correlation(
        Standardise.over(lips.changes(heard)), Standardise.over(clips.outlines.diff(dim=1).mT)
    )
    sound, motion = model(heard, clips.outlines)
    assert sound.shape == motion.shape == (4, 32, lips.FRAMES - 1)
    shifted = model(heard, clips.outlines + 5.0)[1]  # the mouth elsewhere, moving alike
    assert torch.allclose(shifted, motion, atol=1e-3)


def test_the_contrastive_loss_is_equation_1_by_hand():
    sound, video = (
        torch.tensor([[0.0, 0], [3, 4], [0, 0]]),
        torch.tensor([[0.6, 0.8], [3, 4], [0, 0.5]]),
    )
    true = torch.tensor([1.0, 1.0, 0.0])
    by_hand = (1.0**2 + 0 + (1 - 0.5) ** 2) / 6
    assert float(lips.contrastive_loss(sound, video, true)) == pytest.approx(by_hand, abs=1e-5)


def test_a_window_sees_its_own_five_frames_and_its_own_fifth_of_a_second(heard, clips):
    net = new_syncnet(heard)
    mouths = lips.mouth_videos(clips, generator=make_generator(0))[:1]
    sound, video = net.encode_sound(heard[:1]), net.encode_video(mouths)
    assert sound.shape == video.shape == (1, lips.FRAMES - 4, 32)
    for start in (0, 31):
        alone = net.encode_video(mouths[:, start : start + 5])
        assert torch.allclose(alone[0, 0], video[0, start], atol=1e-5)
        alone = net.encode_sound(heard[:1, 4 * start : 4 * start + 20])
        assert torch.allclose(alone[0, 0], sound[0, start], atol=1e-5)


def test_brightness_does_not_change_what_the_network_sees(heard, clips):
    net = new_syncnet(heard)
    mouths = lips.mouth_videos(clips, generator=make_generator(0))[:1]
    assert torch.allclose(net.encode_video(mouths + 0.1), net.encode_video(mouths), atol=1e-4)


def test_the_offset_is_found_where_codes_agree(heard, clips, monkeypatch):
    net = new_syncnet(heard)
    codes = torch.randn(1, lips.FRAMES - 4, 32, generator=make_generator(0))
    monkeypatch.setattr(net, "encode_video", lambda mouths: codes)
    for lag in (-7, 0, 4):  # the sound that belongs to frame f is heard at f + lag
        late = torch.roll(codes, lag, dims=1)
        monkeypatch.setattr(net, "encode_sound", lambda heard, late=late: late)
        distance = lips.offset_distances(net, heard, None)
        assert distance.shape == (1, 31)
        assert int(distance.argmin()) - 15 == lag
        assert float(distance.min()) < 1e-5


def test_the_synchrony_network_overfits_one_batch(heard, clips):
    net = new_syncnet(heard)
    mouths = lips.mouth_videos(clips, generator=make_generator(0))
    history = fit(
        net, [(heard, mouths)], lips.sync_loss, generator=make_generator(0), steps=60,
        learning_rate=2e-3, progress=False,
    )  # fmt: skip
    assert sum(history.losses[-5:]) < 0.6 * sum(history.losses[:5])
    assert all(weight.grad.abs().sum() > 0 for weight in net.parameters())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lips.features(torch.zeros(1, 1601)), "waves has 1601 samples"),
        (lambda: lips.features(torch.zeros(1600)), "waves has 1 axes"),
        (lambda: lips.make_clips(0, each=1, generator=make_generator(0)), "count is 0"),
        (lambda: lips.around(torch.zeros(1, 40, 28), reach=-1), "reach is -1"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_lstm_waits_for_a_sound_that_comes_late():
    """The answer is the input of 60 ms later: only a delay of 60 ms or more can know it."""
    noise = torch.randn(60, 28, 244, generator=make_generator(0))
    heard = nn.functional.avg_pool1d(noise, 5, 1).mT
    wanted = torch.roll(heard, -6, dims=1)[:, 2::4, :4]
    left = {}
    for delay in (0, 8):
        model = new_lstm(heard, delay=delay)
        lips.train_lips(
            model, heard[:30], wanted[:30], generator=make_generator(0), steps=60, progress=False
        )
        with torch.no_grad():
            left[delay] = float(lips.shape_loss(model, (heard[30:], wanted[30:])))
    assert left[8] < 0.6 * left[0]


def test_a_fixed_judge_guides_the_lips_and_stays_fixed(heard, clips, pca):
    torch.manual_seed(0)
    judge = lips.Correlation(
        Standardise.over(lips.changes(heard)), Standardise.over(clips.outlines.diff(dim=1).mT)
    ).requires_grad_(False)
    before = [weight.clone() for weight in judge.parameters()]
    model, components = new_lstm(heard), pca.encode(clips.outlines)
    plain = lips.guided_loss(pca, judge, weight=0.0)(model, (heard, components))
    assert torch.allclose(plain, lips.shape_loss(model, (heard, components)))
    loss = lips.guided_loss(pca, judge, weight=1.0)
    history = lips.train_lips(
        model, heard, components, generator=make_generator(0), steps=20, loss=loss, progress=False
    )
    assert history.losses[-1] < history.losses[0]
    assert all(torch.equal(*pair) for pair in zip(before, judge.parameters(), strict=True))


def test_shifted_pairs_cost_only_where_they_agree(heard, clips, monkeypatch):
    model = lips.Correlation(Standardise(14), Standardise(40))
    same = torch.ones(2, 8, 59)
    monkeypatch.setattr(model, "forward", lambda *_: (same, same))
    assert float(lips.match_loss(model, (None, None))) == pytest.approx(1)  # codes never change
    steps = nn.functional.one_hot(torch.arange(59), 59).float().T[None]  # no two steps agree
    monkeypatch.setattr(model, "forward", lambda *_: (steps, steps))
    assert float(lips.match_loss(model, (None, None))) == pytest.approx(0, abs=1e-6)


def test_each_frame_has_the_phone_in_its_middle(clips):
    names = lips.phones_of_frames(clips.phones[0])
    assert len(names) == lips.FRAMES
    for phone in clips.phones[0]:
        for frame in range(lips.FRAMES):
            if phone.start <= 0.04 * frame + 0.02 < phone.end:
                assert names[frame] == phone.name
    assert lips.phones_of_frames(clips.phones[0][:1])[-1] == "SIL"
