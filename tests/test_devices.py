"""Every chapter trains and answers on a GPU, which is emulated, and its model comes back."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmlib.data.batches import Batches
from mmlib.data.standardise import Standardise
from mmlib.data.word_vectors import WordVectors
from mmlib.foundations import fusion, pretraining
from mmlib.runtime import make_generator
from mmlib.training import LossOver, evaluate, fit, predict
from mmlib.vision_3d import (
    detection,
    driving,
    mesh,
    recognition,
    refocus,
    representations,
    segmentation,
)
from mmlib.vision_audio import image_to_speech as i2s
from mmlib.vision_audio import lips, localization, separation, soundnet
from mmlib.vision_audio import speech2face as s2f
from mmlib.vision_text import attention, captioning, recipes, vqa
from mmlib.vision_text import text_to_image as t2i
from mmlib.vision_text import visual_semantic as vs
from mmlib.world import street_views
from tests.emulated_device import DEVICE, KERNELS_KNOWN, emulated_device

# --- the emulated device -------------------------------------------------------------------------


def squares(model, batch):
    return (model(batch) ** 2).mean()


def learn(model, batch, loss=squares, **options):
    """Make two steps on one batch."""
    options = {"steps": 2, "generator": make_generator(0), "progress": False} | options
    return fit(model, [batch], loss, **options)


@pytest.mark.parametrize(
    "fault",
    [
        lambda x, cpu: x + cpu,
        lambda x, cpu: torch.cat([x, cpu]),
        lambda x, cpu: torch.stack([x.sum(), cpu.sum()]),
        lambda x, cpu: cpu[(x > 0).long()],
        lambda x, cpu: nn.functional.linear(x, cpu),
        lambda x, cpu: cpu.add_(x),
    ],
)
def test_what_mixes_devices_fails(fault):
    with (
        emulated_device(),
        pytest.raises(RuntimeError, match=r"cpu of shape .* on lazy:0 of shape"),
    ):
        fault(torch.ones(3, 3, device=DEVICE), torch.ones(3, 3))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda x: torch.rand(2, generator=make_generator(0), device=DEVICE), "generator on the"),
        (lambda x: x.bernoulli(generator=make_generator(0)), "generator on the cpu"),
        (lambda x: x.numpy(), r"use \.cpu\(\) first"),
        pytest.param(
            lambda x: torch.histogram(x, 3),
            "does not exist on a GPU",
            marks=pytest.mark.skipif(not KERNELS_KNOWN, reason="this torch has no CUDA"),
        ),
        (lambda x: x.long() @ x.long(), "integers does not exist"),
        (
            lambda x: nn.utils.rnn.pack_padded_sequence(x[None], torch.tensor([3]).to(DEVICE)),
            "lengths on the cpu",
        ),
    ],
)
def test_what_a_gpu_refuses_fails(fault, message):
    with emulated_device(), pytest.raises((RuntimeError, TypeError), match=message):
        fault(torch.ones(3, 3, device=DEVICE))


def test_what_a_gpu_allows_gives_what_the_cpu_gives():
    x, rows = torch.randn(4, 3, generator=make_generator(0)), torch.tensor([2, 0])
    with emulated_device():
        there = x.to(DEVICE)
        assert there.device == (there + torch.tensor(1.0)).device == there[rows].device == DEVICE
        assert torch.equal(there[rows].cpu(), x[rows])
        assert torch.equal(there[there > 0].cpu(), x[x > 0])
        assert there.tolist() == x.tolist()
        assert float(there.sum()) == float(x.sum())


def test_training_there_gives_what_training_here_gives():
    data, found = torch.randn(8, 5, 3, generator=make_generator(0)), []

    def loss(model, batch):
        assert batch.device == next(model.parameters()).device == places[len(found)]
        return (model(batch)[0] - 1).square().mean()

    places = (torch.device("cpu"), DEVICE)
    for place in places:
        torch.manual_seed(0)
        model = nn.LSTM(3, 4, batch_first=True)
        if place == DEVICE:
            with emulated_device():
                history = learn(model, data, loss)
        else:
            history = learn(model, data, loss)
        found.append((history.losses, model.weight_hh_l0.detach()))
    assert found[0][0] == pytest.approx(found[1][0])
    assert torch.allclose(found[0][1], found[1][1], atol=1e-6)


def test_a_fault_in_a_loss_is_found_and_a_loss_over_networks_has_none():
    judge = nn.Linear(3, 3)

    def loss(model, batch):
        return squares(judge, model(batch))

    with emulated_device():
        with pytest.raises(RuntimeError, match="mixes devices"):
            predict(nn.Linear(3, 3), [torch.ones(2, 3)], lambda m, b: loss(m, b)[None])
        learn(nn.Linear(3, 3), torch.ones(2, 3), LossOver(loss, judge))
        assert judge.weight.device.type == "cpu"


# --- the chapters --------------------------------------------------------------------------------


def numbers(*shape, seed=0):
    return torch.rand(shape, generator=make_generator(seed))


def whole(high, *shape, seed=0):
    return torch.randint(high, shape, generator=make_generator(seed))


VECTORS = WordVectors([f"w{n}" for n in range(20)], numbers(20, 8))
CAPTIONS = torch.tensor([[1, 5, 6, 2], [1, 4, 2, 0], [1, 9, 8, 2], [1, 3, 2, 0]])
QUICK = {"generator": make_generator(0), "progress": False}


def of_fusion():
    sizes = {"features": (4, 6), "hidden": (5, 8), "classes": 3}
    part = (numbers(9, 4), numbers(9, 6)), torch.arange(9) % 3
    for network in (fusion.LateFusion, fusion.MidFusion, fusion.EarlyFusion):
        yield (model := network(**sizes))
        weights, g = [1.0] * len(model(part[0])), make_generator(0)
        task = fusion.Task(part, part, part)
        fusion.train_heads(model, task, weights, epochs=2, generator=g, keep_best=True)


def of_pretraining():
    scene, night = whole(2, 4), numbers(4).round()
    config = pretraining.ImageEncoderConfig(low=4, middle=6, top=8)
    yield (pictures := pretraining.ImageClassifier(pretraining.ImageEncoder(config)))
    labels = torch.zeros(4, pictures.words.out_channels)
    learn(pictures, (numbers(4, 3, 32, 32), labels, scene, night), pretraining.pretraining_loss)
    yield (waves := pretraining.AudioClassifier())
    labels = torch.zeros(4, len(pretraining.CATEGORIES))
    learn(waves, (numbers(4, 4000), labels, scene, night), pretraining.pretraining_loss)
    yield (classifier := pretraining.Classifier(pictures.encoder, 3))
    batch = (numbers(4, 3, 32, 32), whole(3, 4))
    learn(classifier, batch, pretraining.classify_loss)
    evaluate(classifier, [batch], lambda m, b: (m(b[0]).argmax(1) == b[1]).double())
    pretraining.encode(pictures.encoder, batch[0])
    pretraining.extract_features(waves.encoder, numbers(4, 4000))


def of_visual_semantic():
    texts = 1 + whole(20, 6, 2, 5)
    for text in vs.TEXT_ENCODERS:
        yield (model := vs.VisualSemantic(VECTORS, Standardise(7), text=text, joint=6))
        for loss in vs.LOSSES.values():
            learn(model, (numbers(6, 7), texts), vs.pair_loss(loss))
        vs.embeddings(model, numbers(6, 7), texts[:, 0])
    yield (clip := vs.Clip(21, joint=6))
    learn(clip, (numbers(6, 3, 32, 32), texts), vs.clip_loss)


def of_recipes():
    text = (1 + whole(20, 6, 4)).tril(2), numbers(6, 3, 8)
    recipe = recipes.RecipeEncoder(VECTORS, hidden=5)
    yield (model := recipes.JointEmbedding(Standardise(7), 7, recipe, joint=6))
    for loss in (recipes.recipe_loss, recipes.triplet_loss):
        learn(model, (numbers(6, 7), *text, whole(3, 6)), loss)
    recipes.embed(model, numbers(6, 7), *text)


def of_captioning():
    small = {"features": 4, "embedding": 5, "hidden": 7}
    for kind in (
        captioning.ShowAndTell,
        captioning.PictureInMemory,
        captioning.PictureAtEveryStep,
    ):
        yield (model := kind(11, **small))
        learn(model, (numbers(4, 4, 2, 3), CAPTIONS), captioning.caption_loss)
        captioning.beam_search(model, numbers(4, 4, 2, 3), beam=2, longest=3)


def of_attention():
    config = attention.AttentionConfig(11, features=4, embedding=5, hidden=7, attention=6)
    batch, draw = (numbers(4, 4, 2, 3), CAPTIONS), attention.sample_cell(make_generator(0))
    for kind in (attention.AttentionDecoder, attention.LastWordDecoder):
        yield (model := kind(config))
        learn(model, batch, attention.attention_loss)
        attention.attention_maps(model, batch[0], CAPTIONS[:, 1:])
    yield (hard := attention.AttentionDecoder(config, select=draw))
    learn(hard, batch, attention.HardLoss(entropy=0.01))


def of_text_to_image():
    model = t2i.JointEmbedding(9, Standardise(7), embedding=8)
    yield model
    sentences = 1 + whole(8, 6, 5, 4)
    learn(model, (numbers(6, 7), sentences, whole(3, 6)), t2i.structured_loss)
    h = t2i.embed(model.text, sentences)
    config = t2i.GanConfig(embedding=8, projected=6, noise=5, channels=4)
    yield (gan := t2i.TextGan(config, matching=True, interpolation=True))
    t2i.fit_gan(gan, numbers(6, 3, 32, 32), h, generator=make_generator(0), steps=1)
    t2i.generate(gan, h[:, 0], generator=make_generator(0))
    yield (judge := t2i.AttributeClassifier())
    learn(judge, (numbers(4, 3, 32, 32), whole(2, 4, 4)), t2i.attribute_loss)
    t2i.attribute_hits(judge, numbers(4, 3, 32, 32), whole(2, 4, 4))


def of_vqa():
    grids, questions = numbers(4, 6, 3, 3), 1 + whole(8, 4, 2, 5)
    sizes = {"embedding": 8, "hidden": 12}
    over = Standardise(6)
    for model, images in (
        (vqa.TwoStream(9, over, joint=10, **sizes), grids.mean(dim=(2, 3))),
        (vqa.StackedAttention(9, over, attention=10, **sizes), grids),
        (vqa.Film(9, over, channels=8, classifier=10, **sizes), grids),
    ):
        yield model
        learn(model, (images, questions, whole(3, 4, 2)), vqa.vqa_loss)
        vqa.probabilities(model, images, questions)


def of_soundnet():
    teachers = soundnet.load_teachers()
    yield from teachers
    taught = soundnet.soft_targets(teachers, numbers(4, 3, 64, 64))
    yield (model := soundnet.SoundNet(soundnet.SMALL))
    waves = numbers(4, 2 * soundnet.SAMPLE_RATE)
    soundnet.train(model, waves, taught, steps=2, **QUICK)
    soundnet.layer_features(model, waves)


def of_speech2face():
    frozen = s2f.load_frozen()
    yield from frozen
    data = s2f.voice_input(numbers(4, s2f.TIME) - 0.5), numbers(4, s2f.D)
    for loss in (s2f.voice_loss(*frozen), s2f.plain_loss):
        yield (model := s2f.VoiceEncoder(Standardise(s2f.D)))
        s2f.train(model, data, loss, steps=2, **QUICK)
    yield (recogniser := s2f.FaceRecogniser(3))
    pictures = numbers(4, 3, s2f.SIDE, s2f.SIDE)
    s2f.train(recogniser, (pictures, whole(3, 4)), s2f.recognise_loss, steps=2, **QUICK)
    yield (decoder := s2f.FaceDecoder())
    s2f.train(decoder, (data[1], pictures), s2f.decode_loss, steps=2, **QUICK)


def of_image_to_speech():
    spoken = SimpleNamespace(levels=numbers(6, i2s.BANDS, 80), frames=80 - 4 * torch.arange(6))
    encoder = i2s.SpeechEncoder(Standardise(i2s.BANDS), codes=8)
    for model in (i2s.Grounded(encoder, Standardise(5)), i2s.Reconstructed(encoder)):
        yield model
        encoder.discrete = False
        i2s.train_units(model, spoken, numbers(6, 5), steps=2, **QUICK)
    yield (captioner := i2s.new_captioner(codes=8))
    rows = list(whole(8, 6, 4))
    i2s.train_unit_captioner(captioner, numbers(6, 128, 2, 2), rows, steps=2, **QUICK)
    yield (speech := i2s.UnitToSpeech(Standardise(i2s.BANDS), codes=8))
    runs = [(row, torch.full((4,), 5)) for row in rows]
    i2s.train_speech(speech, runs, spoken, steps=2, **QUICK)


def of_localization():
    batch = (numbers(4, 6, 3, 3).half(), numbers(4, 5))
    marked = (*batch, numbers(4, 9).softmax(1).unflatten(1, (3, 3)))
    config = localization.LocalizerConfig(6, 5)
    for unsupervised in (localization.unsupervised_loss, localization.contrastive_loss):
        yield (model := localization.Localizer(config))
        loss = partial(localization.loss, unsupervised=unsupervised)
        learn(model, {"pairs": batch, "marked": marked}, loss)
        localization.predict_maps(model, *batch)


def of_separation():
    small = {"filters": 4, "last": 2, "face_filters": 8, "units": 6, "hidden": 7}
    freqs = len(separation.FRAMING.freqs)
    sources = torch.complex(numbers(2, 2, freqs, 10), numbers(2, 2, freqs, 10, seed=1))
    batch = separation.Mixtures(sources.sum(1), sources, numbers(2, 2, 4, 5), whole(2, 2) > 0)
    for faces, loss in ((True, separation.face_loss), (False, separation.permutation_loss)):
        yield (model := separation.Separator(separation.SeparatorConfig(faces=faces, **small)))
        learn(model, batch, loss)


def of_lips():
    heard, outlines = numbers(3, 4 * 20, 28), numbers(3, 20, 40)
    pca, over = lips.MouthPCA.over(outlines), Standardise(28)
    judge = lips.Correlation(Standardise(14), Standardise(40))
    yield judge
    learn(judge, (heard, outlines), lips.match_loss)
    yield pca
    for loss in (lips.shape_loss, lips.guided_loss(pca, judge.requires_grad_(False), weight=0.1)):
        yield (model := lips.TimeDelayedLSTM(over, delay=10))
        lips.train_lips(model, heard, pca.encode(outlines), steps=2, loss=loss, **QUICK)
    yield (net := lips.SyncNet(over))
    lips.train_syncnet(net, heard, numbers(3, 20, 24, 24), steps=2, **QUICK)


def of_representations():
    yield (model := representations.ImplicitShape())
    learn(model, (numbers(50, 3), numbers(50)), representations.implicit_loss)


def of_recognition():
    batch = 2 * numbers(4, 64, 3) - 1, whole(3, 4)
    for kind in (recognition.VoxNet, recognition.PointNet, recognition.MultiViewCNN):
        yield (model := kind())
        learn(model, batch, recognition.turned_loss)
        recognition.recognise(model, batch[0])


def of_detection():
    drives = detection.make_drives(2, generator=make_generator(0), azimuths=60)
    model = detection.CenterPoint(width=8)
    yield model
    batch = drives.points, drives.boxes, drives.category
    learn(model, batch, detection.mirrored_loss)
    detection.detect(model, drives.points)


def of_segmentation():
    levels = (
        segmentation.Level(16, 0.4, 8, (16, 16), (16,)),
        segmentation.Level(4, 0.8, 4, (16, 32), (16,)),
    )
    points, category = 2 * numbers(3, 64, 3) - 1, whole(3, 3)
    parts = segmentation.ALLOWED[category].long().argmax(dim=1)[:, None].expand(-1, 64)
    for model in (
        segmentation.PointNetSegmenter(),
        segmentation.PointNetPlusPlus(levels=levels),
        segmentation.PointNetPlusPlus(levels=levels, whole=False),
    ):
        yield model
        learn(model, (points, category, parts), segmentation.turned_loss)
        segmentation.segment(model, points, category, segmentation.ALLOWED)


def of_mesh():
    normals = nn.functional.normalize(numbers(2, 200, 3) - 0.5, dim=2)
    cells = numbers(2, *[mesh.GRID] * 3) > 0.9
    batch = numbers(2, 3, mesh.SIZE, mesh.SIZE), cells, numbers(2, 200, 3) - 0.5, normals
    for sphere in (False, True):
        yield (model := mesh.MeshRCNN(sphere=sphere))
        learn(model, batch, mesh.mesh_loss)
    yield (voxels := mesh.MeshRCNN(stages=0))
    learn(voxels, batch, mesh.voxel_only_loss)


def of_refocus():
    yield (network := refocus.DepthNet(8))
    data = numbers(4, 3, 16, 16), numbers(4, 16, 16)
    learn(network, data, lambda m, b: refocus.scale_invariant_loss(m(b[0]), b[1]))
    predict(network, Batches((data[0],), batch_size=2), lambda m, b: m(b[0]))


def of_driving():
    camera = street_views.front_camera(height=16, width=32)
    points = torch.tensor([30.0, 20.0, 3.0]) * numbers(2, 60, 3) - torch.tensor([0, 10.0, 0.5])
    map_shape = (2, driving.ROWS, driving.COLUMNS)
    taken = numbers(*map_shape) > 0.9, numbers(*map_shape, seed=1) > 0.1
    batch = (numbers(2, 3, 16, 32), points, *taken, 0.1 * numbers(2), whole(3, 2))
    for options in ({"drop": 0.3}, {"lidar": False}, {"camera": False}, {"early": True}):
        yield (model := driving.Driver(**options))
        learn(model, batch, partial(driving.loss, cameras=camera))


CHAPTERS = [run for name, run in list(globals().items()) if name.startswith("of_")]


@pytest.mark.parametrize("run", CHAPTERS, ids=lambda run: run.__name__[3:])
def test_a_chapter_trains_on_the_gpu_and_comes_back(run):
    with emulated_device():
        models = list(run())
    for model in models:
        kept = [*model.parameters(), *model.buffers()]
        assert {tensor.device.type for tensor in kept} == {"cpu"}
