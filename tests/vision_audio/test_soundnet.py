"""SoundNet: sizes as published, a loss as defined, teachers that stay as they are."""

import hashlib
import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn.functional import kl_div, log_softmax

from mmlib.data.batches import Batches
from mmlib.runtime import make_generator
from mmlib.training import fit, predict
from mmlib.vision_audio import soundnet
from mmlib.vision_audio.soundnet import (
    PUBLISHED,
    SMALL,
    Layer,
    SoftTargets,
    SoundNet,
    SoundNetConfig,
)
from mmlib.world import pictures, sampling, single_source, videos
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
    objects=6,
    scenes=3,
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
        *(torch.rand(count, n, generator=generator).mul(4).softmax(1) for n in (6, 3))
    )


@pytest.fixture(scope="module")
def made_videos():
    recordings = single_source.synthesise(4, generator=make_generator(0), seconds=1.5)
    return videos.make_videos(8, recordings=recordings, generator=make_generator(0), seconds=1.2)


@pytest.fixture(scope="module")
def teachers():
    return soundnet.load_teachers()


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
        theirs.weight.data.copy_(ours.weight)
        theirs.bias.data.copy_(ours.bias)
    waves = noise(3, 400)
    with torch.no_grad():
        top = reference(waves[:, None])
        torch.testing.assert_close(list(model.stages(waves).values())[-1], top)
        head = nn.functional.conv1d(top, model.scenes.weight, model.scenes.bias, stride=2)
        torch.testing.assert_close(model(waves).scenes, head)


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


def test_every_step_of_a_clip_has_the_same_target():
    teacher, logits = targets(2).objects, noise(2, 6, 3)
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


def test_the_teachers_get_no_gradient_and_do_not_change(teachers, made_videos):
    before = [{key: value.clone() for key, value in t.state_dict().items()} for t in teachers]
    drawn = made_videos.pictures.clone().requires_grad_()
    taught = soundnet.soft_targets(teachers, drawn)
    assert not any(part.requires_grad for part in taught)
    soundnet.train(made(), made_videos.waves, taught, steps=2, generator=make_generator(0),
                   batch_size=8, progress=False)  # fmt: skip
    assert drawn.grad is None
    for teacher, state in zip(teachers, before, strict=True):
        assert not any(w.requires_grad or w.grad is not None for w in teacher.parameters())
        for name, value in teacher.state_dict().items():
            assert torch.equal(value, state[name]), name


def test_soft_targets_are_distributions(teachers, made_videos):
    taught = soundnet.soft_targets(teachers, made_videos.pictures)
    for part, classes in zip(taught, (6, 3), strict=True):
        assert part.shape == (8, classes)
        torch.testing.assert_close(part.sum(dim=1), torch.ones(8))


def test_known_and_new_classes_share_nothing_and_leave_nothing_out():
    assert soundnet.KNOWN_CATEGORIES + soundnet.NEW_CATEGORIES == CATEGORIES
    assert soundnet.KNOWN_SCENES + soundnet.NEW_SCENES == SCENE_CLASSES
    assert not set(soundnet.KNOWN_CATEGORIES) & set(soundnet.NEW_CATEGORIES)


@pytest.mark.parametrize(("name", "index"), [("object", 0), ("scene", 1)])
def test_teachers_are_those_of_the_report_and_name_new_pictures(name, index, teachers):
    path = soundnet.WEIGHTS / f"{name}_teacher.safetensors"
    told = json.loads((soundnet.WEIGHTS / "report.json").read_text())[name]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == told["sha256"]
    scenes = sampling.sample_scenes(800, generator=make_generator(9), slots=1)
    scenes = scenes[((scenes.category[:, 0] < 6) & (scenes.scene_class < 3)).nonzero()[:, 0]]
    drawn = pictures.draw(scenes, generator=make_generator(10))
    truth = scenes.category[:, 0] if name == "object" else scenes.scene_class
    answers = predict(
        teachers[index], Batches(drawn, batch_size=100), lambda m, b: m(b).argmax(dim=1)
    )
    assert (answers == truth).double().mean() > told["scores"]["accuracy"] - 0.08


def test_missing_teachers_name_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(soundnet, "WEIGHTS", tmp_path)
    with pytest.raises(FileNotFoundError, match="make weights"):
        soundnet.load_teachers()


@pytest.mark.parametrize("config", [TINY, SMALL], ids=["tiny", "small"])
def test_gradients_reach_every_parameter(config):
    model = made(config)
    soundnet.transfer_loss(model, (noise(4, RATE), *targets(4))).backward()
    for name, value in model.named_parameters():
        if ".bias" in name and name.startswith("convs"):
            continue  # the normalisation takes any constant away again
        assert value.grad is not None, name
        assert float(value.grad.abs().sum()) > 0, name


def test_one_batch_is_learned_by_heart(made_videos):
    taught = SoftTargets(torch.eye(6)[torch.arange(8) % 6], torch.eye(3)[torch.arange(8) % 3])
    waves = made_videos.waves[:, :RATE]
    history = fit(made(), [(waves, *taught)], soundnet.transfer_loss,
                  generator=make_generator(0), steps=30, learning_rate=5e-3,
                  progress=False)  # fmt: skip
    assert history.losses[-1] < 0.1 * history.losses[0]


def test_same_seed_same_student(made_videos):
    losses = []
    for seed in (1, 1, 2):
        history = soundnet.train(made(), made_videos.waves, targets(8), steps=3, batch_size=4,
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
    assert model(noise(2, least)).scenes.shape == (2, 3, 1)
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
    stride = math.prod(layer.stride * max(1, layer.pool) for layer in SMALL.layers) * SMALL.stride
    with torch.no_grad():
        said, late = model(clip).scenes, model(clip[:, stride:]).scenes
    torch.testing.assert_close(late[:, :, 2:-2], said[:, :, 3 : 3 + late.shape[2] - 4])


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


def test_other_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"teacher has shape \(2, 6\).*need size 3"):
        soundnet.divergence(targets(2).objects, torch.zeros(2, 3, 1))
    with pytest.raises(ValueError, match="8000 samples, a student takes 16000"):
        soundnet.train(made(), noise(4, 8000), targets(4), steps=1, generator=make_generator(0))


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
    with pytest.raises(ValueError, match="layer is 'pool9', choose one of conv1, pool1, conv2"):
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
