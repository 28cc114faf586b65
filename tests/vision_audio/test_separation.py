"""Speech separation: against loops and other libraries, laws, bad input, training."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from mir_eval.separation import bss_eval_sources

from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_audio import separation as sep
from mmlib.vision_audio.separation import FRAMING, MixtureBatches, Separator, SeparatorConfig
from mmlib.world import faces

SMALL = SeparatorConfig(filters=4, last=2, face_filters=8, units=16, hidden=24)


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=make_generator(seed))


def spectra(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.complex(numbers(*shape, seed=seed), numbers(*shape, seed=seed + 100))


def small_model(*, see: bool = True, seed: int = 0) -> Separator:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Separator(replace(SMALL, faces=see))


@pytest.fixture(scope="module")
def clips() -> sep.Clips:
    return sep.make_clips(8, generator=make_generator(0))


@pytest.fixture(scope="module")
def batch(clips) -> sep.Mixtures:
    return sep.mix(clips, sep.draw_pairs(clips, 4, generator=make_generator(1)))


def test_clips_have_their_shapes_and_levels(clips):
    assert clips.waves.shape == (8, sep.TIME)
    assert clips.spectra.shape == (8, 129, 126)
    assert clips.mouths.shape == (8, 50, len(faces.LIPS))
    assert clips.speaker.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len(clips.people) == 4
    torch.testing.assert_close(clips.waves.square().mean(dim=1), torch.ones(8))
    torch.testing.assert_close(sep.to_waves(clips.spectra), clips.waves, atol=1e-4, rtol=0)
    again = sep.make_clips(8, generator=make_generator(0))
    assert torch.equal(again.mouths, clips.mouths)
    assert not torch.equal(sep.make_clips(8, generator=make_generator(1)).waves, clips.waves)


def test_lips_and_voice_are_of_the_same_time():
    """An open mouth goes with a loud voice, more so than the mouth of half a second later."""
    clips = sep.make_clips(24, generator=make_generator(5), noise=0)
    level = clips.waves.unflatten(1, (50, 160, 2)).square().mean(dim=(2, 3)).clamp(min=1e-4).log()

    def agreement(opening: torch.Tensor) -> float:
        pairs = [
            torch.corrcoef(torch.stack(both))[0, 1] for both in zip(opening, level, strict=True)
        ]
        return float(torch.stack(pairs).nanmean())

    opening = clips.mouths[:, :, 0]
    assert agreement(opening) > 0.3
    assert agreement(opening) > agreement(opening.roll(12, dims=1)) + 0.2


def test_a_pair_is_of_two_speakers(clips):
    pairs = sep.draw_pairs(clips, 500, generator=make_generator(0))
    assert (clips.speaker[pairs[:, 0]] != clips.speaker[pairs[:, 1]]).all()
    assert len(pairs.unique(dim=0)) == 8 * 6
    low = [person.low for person in clips.people]
    alike = [low[a // 2] == low[b // 2] for a, b in pairs.tolist()]
    assert sep.mix(clips, pairs).alike.tolist() == alike


def test_a_mixture_is_the_sum_of_its_waves(clips, batch):
    pairs = sep.draw_pairs(clips, 4, generator=make_generator(1))
    by_wave = torch.stft(
        clips.waves[pairs].sum(dim=1), 256, 128, window=torch.hann_window(256),
        center=True, pad_mode="constant", return_complex=True,
    )  # fmt: skip
    torch.testing.assert_close(batch.mixture, by_wave, atol=1e-3, rtol=0)


def test_ideal_masks_element_by_element():
    sources = spectra(2, 5, 4)
    masks = sep.ideal_masks(sources)
    for i in range(5):
        for j in range(4):
            a, b = complex(sources[0, i, j]), complex(sources[1, i, j])
            assert bool(masks["binary"][0, i, j]) == (abs(a) > abs(b))
            assert float(masks["ratio"][1, i, j]) == pytest.approx(
                min(1, abs(b) / abs(a + b)), 1e-5
            )
            assert complex(masks["complex"][0, i, j]) == pytest.approx(a / (a + b), rel=1e-4)
    assert (masks["binary"].sum(dim=0) == 1).all()
    torch.testing.assert_close(masks["complex"].sum(dim=0), torch.ones(5, 4).to(torch.complex64))


def test_the_ideal_complex_mask_gives_the_voices_back_and_no_other_does(batch):
    found = {
        name: sep.improvement(mask * batch.mixture[:, None], batch)
        for name, mask in sep.ideal_masks(batch.sources).items()
    }
    assert found["complex"].min() > 40
    for name in ("binary", "ratio"):
        assert 3 < found[name].mean() < 25


def test_silence_divides_nothing():
    sources = torch.zeros(2, 3, 3, dtype=torch.complex64)
    for mask in sep.ideal_masks(sources).values():
        assert torch.view_as_real(mask.to(torch.complex64)).isfinite().all()


def test_masks_are_compressed_by_the_sigmoid_and_expanded_back():
    mask = spectra(3, 4)
    parts = torch.view_as_real(mask)
    torch.testing.assert_close(sep.expand_mask(parts.sigmoid()), mask, rtol=1e-4, atol=1e-5)
    assert sep.expand_mask(torch.tensor([0.0, 1.0])).isfinite()


def test_power_law_keeps_phases_and_compresses_magnitudes():
    loud = 10 * spectra(6, 5)
    squeezed = sep.power_law(loud)
    torch.testing.assert_close(squeezed.angle(), loud.angle(), atol=1e-4, rtol=0)
    torch.testing.assert_close(squeezed.abs(), loud.abs() ** 0.3, atol=2e-3, rtol=2e-3)
    quiet = torch.zeros(2, dtype=torch.complex64, requires_grad=True)
    sep.power_law(quiet).abs().sum().backward()
    assert torch.view_as_real(quiet.grad).isfinite().all()


def test_loss_is_the_squared_difference_bin_by_bin():
    estimate, source = spectra(1, 2, 3, 4), spectra(1, 2, 3, 4, seed=7)
    error = sep.compressed_error(estimate, source)
    for k in range(2):
        total = 0.0
        for a, b in zip(
            estimate[0, k].flatten().tolist(), source[0, k].flatten().tolist(), strict=True
        ):
            squeeze = [z * (abs(z) ** 2 + 1e-3) ** -0.35 for z in (a, b)]
            total += abs(squeeze[0] - squeeze[1]) ** 2
        assert float(error[0, k]) == pytest.approx(total / 12, rel=1e-4)


def test_permutation_loss_does_not_mind_the_order(batch):
    model = small_model(see=False).eval()
    turned = batch._replace(sources=batch.sources.flip(1))
    ours, theirs = sep.permutation_loss(model, batch), sep.permutation_loss(model, turned)
    torch.testing.assert_close(ours, theirs)
    estimates = sep.separate(model, batch.mixture)
    straight = sep.compressed_error(estimates, batch.sources).mean(dim=1)
    crossed = sep.compressed_error(estimates, batch.sources.flip(1)).mean(dim=1)
    torch.testing.assert_close(ours, torch.minimum(straight, crossed).mean())


def test_each_face_has_its_voice_but_both_share_the_stream(batch):
    """The face stream has one set of weights: swap the faces, and its features swap."""
    model = small_model().eval()
    here = model.face(batch.mouths, 126)
    there = model.face(batch.mouths.flip(1), 126)
    assert here.shape == (4, 126, 16)
    torch.testing.assert_close(here[..., :8], there[..., 8:])


def test_video_frames_are_repeated_to_meet_the_spectrogram(batch):
    found = small_model().eval().face(batch.mouths, 100)
    torch.testing.assert_close(found[:, ::2], found[:, 1::2])


def test_the_network_hears_and_sees_far(clips):
    """The BLSTM reaches over the whole clip, forwards and backwards, from both streams."""
    model = small_model().eval()
    mixture = clips.spectra[:1].clone().requires_grad_()
    mouths = clips.mouths[None, :2].clone().requires_grad_()
    model(mixture, mouths)[0, 0, :, 60].sum().backward()
    assert (torch.view_as_real(mixture.grad)[0].abs().sum(dim=(0, 2)) > 0).all()
    assert (mouths.grad[0].abs().sum(dim=-1) > 0).all()


@pytest.mark.parametrize("see", [True, False])
def test_gradients_reach_every_parameter(see, batch):
    model = small_model(see=see)
    loss = sep.face_loss(model, batch) if see else sep.permutation_loss(model, batch)
    loss.backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
    assert not [n for n, w in model.named_parameters() if "fc" in n and not w.grad.abs().sum() > 0]


def test_it_overfits_one_batch(clips):
    """Two mixtures, 60 steps: much nearer than half of the mixture for each."""
    pairs = torch.tensor([[0, 2], [4, 6]])
    both = sep.mix(clips, pairs)
    half = sep.compressed_error(0.5 * both.mixture[:, None].expand_as(both.sources), both.sources)
    model = small_model(seed=1)
    history = fit(
        model, [tuple(both)], sep.face_loss, generator=make_generator(0), steps=60,
        learning_rate=1e-2, progress=False,
    )  # fmt: skip
    assert history.losses[-1] < 0.8 * float(half.mean())
    assert history.losses[-1] < 0.6 * history.losses[0]


def test_same_seed_same_training(clips):
    losses = [sep.train(clips, seed=3, steps=2, progress=False)[1].losses for _ in range(2)]
    assert losses[0] == losses[1]


def test_batches_are_drawn_anew_and_repeat_with_the_seed(clips):
    first, second = (list(MixtureBatches(clips, make_generator(4), 2, 3)) for _ in range(2))
    assert len(first) == 3
    assert torch.equal(first[0].mixture, second[0].mixture)
    assert not torch.equal(first[0].mixture, first[1].mixture)


def test_si_sdr_is_what_its_definition_says():
    source, noise = numbers(2, 400), numbers(2, 400, seed=1)
    found = sep.si_sdr(source + 0.3 * noise, source)
    for one, estimate, truth in zip(found, source + 0.3 * noise, source, strict=True):
        e, s = estimate.double().numpy(), truth.double().numpy()
        e, s = e - e.mean(), s - s.mean()
        target = (e @ s) / (s @ s) * s
        by_hand = 10 * np.log10((target @ target) / ((target - e) @ (target - e)))
        assert float(one) == pytest.approx(by_hand, abs=1e-3)
    torch.testing.assert_close(sep.si_sdr(7 * (source + 0.3 * noise), source), found)


def test_sdr_is_the_projection_on_delayed_copies():
    source, noise = numbers(300).double(), numbers(300, seed=1).double()
    estimate = source + 0.5 * noise
    taps = 6
    delayed = np.zeros((300 + taps - 1, taps))
    for k in range(taps):
        delayed[k : k + 300, k] = source.numpy()
    heard = np.pad(estimate.numpy(), (0, taps - 1))
    target = delayed @ np.linalg.lstsq(delayed, heard, rcond=None)[0]
    by_hand = 10 * np.log10((target**2).sum() / ((heard - target) ** 2).sum())
    assert sep.sdr(estimate, source, taps=taps) == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.filterwarnings("ignore:mir_eval.separation:FutureWarning")
def test_sdr_is_that_of_mir_eval(batch):
    sources = sep.to_waves(batch.sources)[0]
    mask = sep.ideal_masks(batch.sources)["ratio"]
    estimates = sep.to_waves(mask * batch.mixture[:, None])[0]
    theirs, *_ = bss_eval_sources(sources.numpy(), estimates.numpy(), compute_permutation=False)
    ours = [sep.sdr(*both) for both in zip(estimates, sources, strict=True)]
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_grades_are_means_of_their_groups(batch):
    batch = batch._replace(alike=torch.tensor([True, False, False, True]))
    estimates = sep.ideal_masks(batch.sources)["ratio"] * batch.mixture[:, None]
    gain, grades = sep.improvement(estimates, batch).mean(dim=1), sep.grade(estimates, batch)
    assert grades["all"] == pytest.approx(float(gain.mean()), abs=1e-4)
    assert grades["alike"] == pytest.approx(float(gain[[0, 3]].mean()), abs=1e-4)
    assert grades["unlike"] == pytest.approx(float(gain[[1, 2]].mean()), abs=1e-4)
    assert grades["right face"] == 1
    assert sep.grade(estimates.flip(1), batch)["right face"] == 0


def test_the_better_order_is_found(batch):
    mask = sep.ideal_masks(batch.sources)["ratio"]
    right = mask * batch.mixture[:, None]
    mixed_up = torch.where(
        torch.tensor([True, False] * 2)[:, None, None, None], right, right.flip(1)
    )
    assert torch.equal(sep.best_order(mixed_up, batch), right)


def test_bad_input_is_refused(clips, batch):
    model = small_model()
    with pytest.raises(ValueError, match="mouths is None, this network needs two faces"):
        model(batch.mixture)
    with pytest.raises(ValueError, match="mouths has shape"):
        model(batch.mixture, batch.mouths[:, :1])
    with pytest.raises(ValueError, match="mixture has shape"):
        model(batch.mixture[:, :100], batch.mouths)
    broken = batch.mouths.clone()
    broken[0, 0, 3, 1] = float("nan")
    with pytest.raises(ValueError, match=r"mouths has 1 of .* values that are NaN"):
        model(batch.mixture, broken)
    with pytest.raises(ValueError, match="a source is silent"):
        sep.si_sdr(numbers(2, 100), torch.zeros(2, 100))
    with pytest.raises(ValueError, match="all clips are of one speaker"):
        sep.draw_pairs(sep.Clips(*(part[:2] for part in clips)), 1, generator=make_generator(0))
    with pytest.raises(ValueError, match="count is 1, it must be a whole number of 2 or more"):
        sep.make_clips(1, generator=make_generator(0))


@pytest.mark.parametrize("frames", [9, 126, 200])
def test_any_length_will_do(frames):
    mixture = spectra(1, len(FRAMING.freqs), frames)
    bounded = small_model().eval()(mixture, numbers(1, 2, 20, 5))
    assert bounded.shape == (1, 2, 129, frames, 2)
    assert bounded.min() >= 0
    assert bounded.max() <= 1


def test_silence_in_silence_out():
    mixture = torch.zeros(1, 129, 40, dtype=torch.complex64)
    found = sep.separate(small_model().eval(), mixture, torch.zeros(1, 2, 20, 5))
    assert (found == 0).all()


def test_the_weights_that_ship_follow_the_faces(batch):
    """Swap the faces, and the voices swap."""
    model = sep.load_separator("faces")
    given = sep.grade(sep.answer(model, batch), batch)
    swapped = sep.grade(sep.answer(model, batch, mouths=batch.mouths.flip(1)), batch)
    assert given["right face"] > 0.5 > swapped["right face"]
    assert sep.load_separator("audio_only").face is None
    assert 0 < sep.trained_minutes("faces") < 20
