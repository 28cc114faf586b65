"""SoundNet: sizes as published, a loss as defined, teachers that stay as they are."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn.functional import kl_div, log_softmax

from mmlib.foundations.pretraining import load_image_classifier
from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_audio import soundnet
from mmlib.vision_audio.soundnet import (
    PUBLISHED,
    SMALL,
    Layer,
    Recordings,
    SoftTargets,
    SoundNet,
    SoundNetConfig,
)
from mmlib.world import sampling
from mmlib.world.scenes import CATEGORIES, SCENE_CLASSES

RATE = soundnet.SAMPLE_RATE
# Rows of the authors' main_train.lua: name, channels, kernel, stride, padding.
AUTHORS = [
    ("conv1", 16, 64, 2, 32), ("pool1", 16, 8, 8, 0), ("conv2", 32, 32, 2, 16),
    ("pool2", 32, 8, 8, 0), ("conv3", 64, 16, 2, 8), ("conv4", 128, 8, 2, 4),
    ("conv5", 256, 4, 2, 2), ("pool5", 256, 4, 4, 0), ("conv6", 512, 4, 2, 2),
    ("conv7", 1024, 4, 2, 2),
]  # fmt: skip
TINY = SoundNetConfig(
    layers=(Layer(4, 8, 4, pool=2), Layer(6, 4, 2), Layer(5, 4, 2, pool=2)),
    objects=len(CATEGORIES),
    scenes=len(SCENE_CLASSES),
    kernel=2,
)


def made(config=SMALL, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SoundNet(config)


def noise(*shape, seed=0):
    return 0.1 * torch.randn(shape, generator=make_generator(seed))


def targets(count, seed=0):
    generator = make_generator(seed)
    return SoftTargets(
        *(torch.rand(count, n, generator=generator).mul(4).softmax(1) for n in (10, 5))
    )


@pytest.fixture(scope="module")
def recordings():
    return soundnet.synthesise(4, generator=make_generator(0), seconds=1.5)


@pytest.fixture(scope="module")
def teacher_network():
    return load_image_classifier()


def by_torch(rows):
    """Build the layers of a table in Conv1d, as somebody else would."""
    modules, channels = [], 1
    for name, more, kernel, stride, padding in rows:
        if name.startswith("pool"):
            modules.append(nn.MaxPool1d(kernel, stride))
            continue
        modules += [
            nn.Conv1d(channels, more, kernel, stride, padding), nn.BatchNorm1d(more), nn.ReLU(),
        ]  # fmt: skip
        channels = more
    return nn.Sequential(*modules)


def test_the_published_network_has_the_layers_of_the_authors_code():
    table = soundnet.layer_table(PUBLISHED, 20 * 22_050)
    assert [row[:4] for row in table[:-2]] == [row[:4] for row in AUTHORS]
    assert [row[1:5] for row in table[-2:]] == [(1000, 8, 2, 4), (401, 8, 2, 4)]


def test_the_published_network_has_as_many_parameters_as_its_table():
    reference = by_torch(AUTHORS)
    heads = [nn.Conv1d(1024, classes, 8, 2) for classes in (1000, 401)]
    count = sum(p.numel() for part in (reference, *heads) for p in part.parameters())
    with torch.device("meta"):
        published = SoundNet(PUBLISHED)
    assert sum(p.numel() for p in published.parameters()) == count
    assert sum(row.parameters for row in soundnet.layer_table(PUBLISHED, 20 * 22_050)) == count


@pytest.mark.parametrize("config", [TINY, SMALL], ids=["tiny", "small"])
@pytest.mark.parametrize("time", [16_000, 40_001])
def test_the_table_says_what_the_network_does(config, time):
    model = made(config)
    found = {name: stage.shape[1:] for name, stage in model.stages(noise(2, time)).items()}
    said = {row.name: (row.channels, row.steps) for row in soundnet.layer_table(config, time)}
    for name, shape in found.items():
        assert tuple(shape) == said[name]
    answers = model(noise(2, time))
    assert tuple(answers.objects.shape) == (2, *said["objects"])
    assert tuple(answers.scenes.shape) == (2, *said["scenes"])


def test_twenty_seconds_give_the_published_network_four_answers():
    """Each beside a frame of the video: the authors take one frame every five seconds."""
    assert soundnet.layer_table(PUBLISHED, 20 * 22_050)[-1].steps == 4


def test_the_network_is_that_of_conv1d():
    model = made(TINY).eval()
    rows = [("conv1", 4, 8, 4, 4), ("pool1", 4, 2, 2, 0), ("conv2", 6, 4, 2, 2),
            ("conv3", 5, 4, 2, 2), ("pool3", 5, 2, 2, 0)]  # fmt: skip
    reference = by_torch(rows).eval()
    convs = [m for m in reference if isinstance(m, nn.Conv1d)]
    for ours, theirs in zip(model.convs, convs, strict=True):
        theirs.weight.data.copy_(ours.weight[:, :, 0])
        theirs.bias.data.copy_(ours.bias)
    waves = noise(3, 400)
    with torch.no_grad():
        top = reference(waves[:, None])
        torch.testing.assert_close(list(model.stages(waves).values())[-1], top)
        head = nn.functional.conv1d(top, model.scenes.weight[:, :, 0], model.scenes.bias, stride=2)
        torch.testing.assert_close(model(waves).scenes, head)


def test_an_early_maximum_is_a_late_one_where_scales_are_positive():
    early = made(SMALL).eval()
    late = made(SoundNetConfig(**{**vars(SMALL), "early_pool": False})).eval()
    for norm in early.norms:
        norm.weight.data.uniform_(0.5, 2, generator=make_generator(0))
        norm.running_mean.normal_(generator=make_generator(1))
    late.load_state_dict(early.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(early(noise(2, RATE)), late(noise(2, RATE)))


@given(st.integers(0, 10_000))
def test_the_divergence_is_that_of_the_definition_and_of_two_libraries(seed):
    generator = make_generator(seed)
    teacher = torch.rand(3, 4, generator=generator, dtype=torch.float64).mul(9).softmax(1)
    logits = torch.randn(3, 4, 1, generator=generator, dtype=torch.float64)
    student = logits[..., 0].softmax(1)
    by_loops = 0.0
    for p, q in zip(teacher.tolist(), student.tolist(), strict=True):
        by_loops += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / 3
    found = float(soundnet.divergence(teacher, logits))
    assert found == pytest.approx(by_loops, rel=1e-9, abs=1e-12)
    by_torch_ = kl_div(log_softmax(logits[..., 0], 1), teacher, reduction="batchmean")
    assert found == pytest.approx(float(by_torch_), rel=1e-9, abs=1e-12)
    assert found == pytest.approx(entropy(teacher.numpy(), student.numpy(), axis=1).mean())
    assert found >= 0


def test_the_divergence_is_zero_for_equals_and_finite_where_the_teacher_is_sure():
    teacher = torch.tensor([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    same = teacher.clamp(min=1e-30).log()[..., None].expand(-1, -1, 3)
    assert float(soundnet.divergence(teacher, same)) == pytest.approx(0, abs=1e-6)
    assert float(soundnet.divergence(teacher, torch.zeros(2, 3, 2))) > 0


def test_every_step_of_a_clip_has_the_same_lesson():
    teacher, logits = targets(2).objects, noise(2, 10, 3)
    steps = [soundnet.divergence(teacher, logits[:, :, i : i + 1]) for i in range(3)]
    torch.testing.assert_close(soundnet.divergence(teacher, logits), torch.stack(steps).mean())


def test_the_loss_is_the_sum_of_both_and_a_weight_of_zero_leaves_one_out():
    model, waves, taught = made().eval(), noise(2, RATE), targets(2)
    with torch.no_grad():
        said = model(waves)
        objects = soundnet.divergence(taught.objects, said.objects)
        places = soundnet.divergence(taught.scenes, said.scenes)
        batch = (waves, *taught)
        torch.testing.assert_close(soundnet.transfer_loss(model, batch), objects + places)
        torch.testing.assert_close(soundnet.transfer_loss(model, batch, scenes=0), objects)
        torch.testing.assert_close(soundnet.transfer_loss(model, batch, objects=0), places)


def test_the_teachers_get_no_gradient_and_do_not_change(teacher_network, recordings):
    before = {name: value.clone() for name, value in teacher_network.state_dict().items()}
    videos = soundnet.make_videos(
        8, recordings=recordings, generator=make_generator(0), seconds=1.2
    )
    drawn = videos.pictures.requires_grad_()
    taught = soundnet.teach(teacher_network, drawn)
    assert not any(part.requires_grad for part in taught)
    soundnet.train(made(), videos.waves, taught, steps=2, generator=make_generator(0),
                   batch_size=8, progress=False)  # fmt: skip
    assert drawn.grad is None
    assert all(weight.grad is None for weight in teacher_network.parameters())
    for name, value in teacher_network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_soft_targets_are_distributions_that_name_what_is_seen(teacher_network, recordings):
    videos = soundnet.make_videos(
        60, recordings=recordings, generator=make_generator(3), seconds=0.25
    )
    taught = soundnet.teach(teacher_network, videos.pictures, batch_size=17)
    for part in taught:
        torch.testing.assert_close(part.sum(dim=1), torch.ones(60))
    right = (taught.scenes.argmax(dim=1) == videos.scenes.scene_class).float().mean()
    assert right > 0.9
    shares = []
    for row, objects in zip(taught.objects, videos.scenes.objects(), strict=True):
        shares.append(
            sum(float(row[CATEGORIES.index(kind)]) for kind in {t.category for t in objects})
        )
    assert sum(share > 0.9 for share in shares) >= 48


@pytest.mark.parametrize("config", [TINY, SMALL], ids=["tiny", "small"])
def test_gradients_reach_every_parameter(config):
    model = made(config)
    soundnet.transfer_loss(model, (noise(4, RATE), *targets(4))).backward()
    for name, value in model.named_parameters():
        if ".bias" in name and name.startswith("convs"):
            continue  # the normalisation takes any constant away again
        assert value.grad is not None, name
        assert float(value.grad.abs().sum()) > 0, name


def test_one_batch_is_learned_by_heart(recordings):
    test = soundnet.sound_mixtures(8, recordings=recordings, generator=make_generator(0))
    taught = SoftTargets(torch.eye(10)[test.loudest], torch.eye(5)[test.scene_class])
    history = fit(made(), [(test.waves, *taught)], soundnet.transfer_loss,
                  generator=make_generator(0), steps=30, learning_rate=5e-3,
                  progress=False)  # fmt: skip
    assert history.losses[-1] < 0.1 * history.losses[0]


def test_same_seed_same_student(recordings):
    videos = soundnet.make_videos(
        8, recordings=recordings, generator=make_generator(0), seconds=1.2
    )
    losses = []
    for seed in (1, 1, 2):
        history = soundnet.train(made(), videos.waves, targets(8), steps=3, batch_size=4,
                                 generator=make_generator(seed), progress=False)  # fmt: skip
        losses.append(history.losses)
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("config", [TINY, SMALL, PUBLISHED], ids=["tiny", "small", "published"])
def test_the_shortest_clip_gives_one_answer_and_a_shorter_one_none(config):
    least = soundnet.shortest(config)
    assert soundnet.layer_table(config, least)[-1].steps == 1
    with pytest.raises(ValueError, match=f"{least - 1} samples give no answer: {least}"):
        soundnet.layer_table(config, least - 1)


def test_a_clip_that_is_too_short_says_how_long_it_must_be():
    model, least = made(), soundnet.shortest(SMALL)
    assert model(noise(2, least)).scenes.shape == (2, 5, 1)
    with pytest.raises(ValueError, match=f"{least - 1} samples, one answer needs {least}: pad"):
        model(noise(2, least - 1))


def test_silence_gets_an_answer_that_is_the_same_at_all_times():
    model = made().eval()
    with torch.no_grad():
        said = model(torch.zeros(2, 8 * RATE))
    for part in said:
        assert part.isfinite().all()
        torch.testing.assert_close(part[0], part[1])
        inside = part[0, :, 2:-2]  # where no padding is seen
        torch.testing.assert_close(inside, inside[:, :1].expand_as(inside))


def test_what_is_added_behind_does_not_change_what_was_heard_before():
    model, clip = made().eval(), noise(1, 4 * RATE)
    longer = torch.cat([clip, torch.zeros(1, 2 * RATE)], dim=1)
    with torch.no_grad():
        short, long = model(clip).objects, model(longer).objects
    assert long.shape[2] > short.shape[2]
    torch.testing.assert_close(long[:, :, :3], short[:, :, :3])
    assert not torch.allclose(long[:, :, short.shape[2] - 1], short[:, :, -1])


def test_a_clip_that_begins_later_moves_its_answers():
    model, clip = made().eval(), noise(1, 6 * RATE)
    stride = 8192  # of the whole small network: the product of all strides and pools
    with torch.no_grad():
        said, late = model(clip).scenes, model(clip[:, stride:]).scenes
    torch.testing.assert_close(late[:, :, 2:-2], said[:, :, 3 : 3 + late.shape[2] - 4])


def test_stereo_and_other_rates_are_brought_into_shape():
    stereo = noise(2, 44_100)
    wave = soundnet.to_waves(stereo, sample_rate=44_100)
    assert wave.shape == (1, RATE)
    torch.testing.assert_close(wave, soundnet.to_waves(stereo.mean(dim=0), sample_rate=44_100))
    same = noise(RATE)
    assert torch.equal(soundnet.to_waves(same, sample_rate=RATE)[0], same)
    moments = torch.arange(8000) / 8000
    tone = torch.sin(2 * math.pi * 440 * moments)
    spectrum = torch.fft.rfft(soundnet.to_waves(tone, sample_rate=8000)[0]).abs()
    assert int(spectrum.argmax()) == 440  # a second: bins are 1 Hz apart


@pytest.mark.parametrize(
    ("waves", "error", "match"),
    [
        (torch.zeros(2, 2, RATE), ValueError, "waves has 3 axes"),
        (torch.zeros(RATE), ValueError, "waves has 1 axes"),
        (torch.zeros(2, RATE, dtype=torch.int16), TypeError, "waves has dtype"),
        (torch.full((1, RATE), torch.nan), ValueError, "NaN"),
    ],
)
def test_bad_sounds_are_refused(waves, error, match):
    with pytest.raises(error, match=match):
        made()(waves)


def test_other_bad_input_is_refused(recordings):
    with pytest.raises(ValueError, match="signal has 3 axes"):
        soundnet.to_waves(torch.zeros(1, 2, 100), sample_rate=RATE)
    with pytest.raises(ValueError, match=r"teacher has shape \(2, 10\).*need size 5"):
        soundnet.divergence(targets(2).objects, torch.zeros(2, 5, 1))
    with pytest.raises(ValueError, match="8000 samples, a student takes 16000"):
        soundnet.train(made(), noise(4, 8000), targets(4), steps=1, generator=make_generator(0))
    scenes = sampling.sample_scenes(2, generator=make_generator(0))
    with pytest.raises(ValueError, match="80000 samples are asked for, the recordings have 24000"):
        soundnet.soundtrack(scenes, recordings, seconds=5, generator=make_generator(0))


def alone(recordings):
    """Takes of which only one is not silent."""
    objects, places = torch.zeros_like(recordings.sounds), torch.zeros_like(recordings.ambiences)
    objects[CATEGORIES.index("dog"), :, :] = 0.5
    return Recordings(objects, places)


def test_only_what_sounds_is_heard_and_the_near_louder_than_the_far(recordings):
    scenes = sampling.sample_scenes(40, generator=make_generator(0), slots=2, sounding=0.5)
    quiet = {"seconds": 1.0, "generator": make_generator(1), "noise": (1e-7, 1e-7)}
    mix = soundnet.soundtrack(scenes, alone(recordings), **quiet)
    for wave, objects in zip(mix, scenes.objects(), strict=True):
        dogs = [t for t in objects if t.category == "dog" and t.sounding]
        level = sum(0.5 / ((1 + dog.depth) * 2) for dog in dogs)
        assert float(wave.mean()) == pytest.approx(level, abs=1e-5)


def test_a_place_is_heard_by_day_and_by_night(recordings):
    scenes = sampling.sample_scenes(30, generator=make_generator(0), sounding=0.0)
    marked = torch.arange(10.0).reshape(5, 2, 1, 1).expand_as(recordings.ambiences) / 100
    waves = soundnet.soundtrack(scenes, Recordings(recordings.sounds, marked), seconds=0.5,
                                generator=make_generator(0), noise=(1e-7, 1e-7))  # fmt: skip
    wanted = (2 * scenes.scene_class + scenes.night) / 100
    torch.testing.assert_close(waves.mean(dim=1), wanted, atol=1e-5, rtol=0)


def test_no_sound_clips_and_the_noise_keeps_to_its_range(recordings):
    test = soundnet.sound_mixtures(50, recordings=recordings, generator=make_generator(0))
    assert test.waves.abs().max() <= 1
    silent = Recordings(torch.zeros_like(recordings.sounds), torch.zeros_like(recordings.ambiences))
    levels = soundnet.sound_mixtures(50, recordings=silent, generator=make_generator(0)).waves.std(
        dim=1
    )
    low, high = soundnet.NOISE
    assert low * 0.95 < levels.min() < levels.max() < high * 1.05
    assert levels.max() > 4 * levels.min()


def test_same_seed_same_videos_and_same_sounds(recordings):
    again = soundnet.synthesise(4, generator=make_generator(0), seconds=1.5)
    assert all(torch.equal(one, two) for one, two in zip(recordings, again, strict=True))
    for make in (
        lambda seed: soundnet.make_videos(
            3, recordings=recordings, generator=make_generator(seed), seconds=1
        )[1:],
        lambda seed: soundnet.sound_mixtures(
            3, recordings=recordings, generator=make_generator(seed)
        ),
    ):
        first, second, other = make(1), make(1), make(2)
        assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
        assert not torch.equal(first[0], other[0])


def test_objects_of_the_test_set_say_nothing_about_the_place(recordings):
    silent = Recordings(recordings.sounds[:, :, :8000], recordings.ambiences[..., :8000])
    scenes = sampling.sample_scenes(10, generator=make_generator(0))
    assert len(scenes) == 10
    with pytest.raises(ValueError, match="make longer ones"):
        soundnet.sound_mixtures(10, recordings=silent, generator=make_generator(0))
    test = soundnet.sound_mixtures(800, recordings=recordings, generator=make_generator(5))
    counts = torch.zeros(5, 10)
    for place, kind in zip(test.scene_class.tolist(), test.loudest.tolist(), strict=True):
        counts[place, kind] += 1
    expected = counts.sum(1, keepdim=True) * counts.sum(0) / counts.sum()
    statistic = float(((counts - expected) ** 2 / expected).sum())
    assert statistic < 72  # chi squared of 36 degrees of freedom: exceeded once in 3000


def test_features_are_pooled_stages():
    model, waves = made(), noise(5, RATE)
    features = soundnet.layer_features(model, waves, batch_size=2)
    assert model.training
    with torch.no_grad():
        stages = model.eval().stages(waves)
    assert list(features) == list(stages)
    for name, stage in stages.items():
        both = torch.cat([stage.mean(dim=2), stage.amax(dim=2)], dim=1)
        torch.testing.assert_close(features[name], both)
        torch.testing.assert_close(soundnet.unit_responses(model, waves, name), stage.amax(dim=2))
    with pytest.raises(ValueError, match="layer is 'pool9', choose one of pool1, pool2, conv3"):
        soundnet.unit_responses(model, waves, "pool9")


@given(st.integers(0, 10_000))
def test_selectivity_is_the_area_under_the_roc(seed):
    generator = make_generator(seed)
    responses = torch.randint(5, (12, 3), generator=generator).float()  # with ties
    holds = torch.randperm(12, generator=generator) < 5
    found = soundnet.selectivity(responses, holds)
    for unit in range(3):
        assert float(found[unit]) == pytest.approx(roc_auc_score(holds, responses[:, unit]))


def test_a_planted_unit_is_found():
    labels = torch.arange(30) % 3
    responses = noise(30, 6)
    responses[:, 4] += (labels == 1).float()
    assert int(soundnet.selectivity(responses, labels == 1).argmax()) == 4
    with pytest.raises(ValueError, match="30 of 30 sounds are of the sort"):
        soundnet.selectivity(responses, labels >= 0)


def test_perfect_teachers_name_what_sounds_and_not_what_is_silent():
    scenes = sampling.sample_scenes(40, generator=make_generator(0), sounding=0.4)
    taught = soundnet.sound_targets(scenes)
    for row, objects in zip(taught.objects, scenes.objects(), strict=True):
        sounding = {t.category for t in objects if t.sounding} or set(CATEGORIES)
        for kind, share in zip(CATEGORIES, row.tolist(), strict=True):
            assert share == pytest.approx((kind in sounding) / len(sounding))
    assert torch.equal(taught.scenes.argmax(dim=1), scenes.scene_class)
