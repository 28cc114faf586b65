"""The shared space: losses and ranks by brute force and torch, laws, training, bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import top_k_accuracy_score
from torch.nn.functional import cross_entropy, multi_margin_loss, pad

from mmlib.data.standardise import Standardise
from mmlib.data.vocabulary import UnknownWordError
from mmlib.data.word_vectors import WordVectors
from mmlib.foundations.pretraining import ImageEncoder, pooled
from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_text import visual_semantic as vs
from mmlib.world import words
from mmlib.world.pictures import draw
from mmlib.world.reading import check_captions
from mmlib.world.sampling import sample_scenes


@pytest.fixture(scope="module")
def encoder():
    return ImageEncoder().eval()


@pytest.fixture(scope="module")
def pairs(encoder):
    return vs.make_pairs(16, encoder, generator=make_generator(0), per_scene=2)


@pytest.fixture(scope="module")
def vectors():
    """Random vectors for all words of the world."""
    names = sorted({w for s in words.corpus(3000, generator=make_generator(1)) for w in s})
    return WordVectors(names, torch.randn(len(names), 24, generator=make_generator(2)))


def made(pairs, vectors, text="mean", seed=0):
    """Return a model in evaluation mode, and a batch for it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = vs.VisualSemantic(vectors, Standardise.over(pairs.features), text=text, joint=20)
    texts = vs.encode_texts([c for captions in pairs.captions for c in captions], vectors)
    return model.eval(), (pairs.features, texts.unflatten(0, (-1, 2)))


def similarities(count, seed=0):
    return torch.rand(count, count, generator=make_generator(seed), dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize(("pick", "loss"), [(sum, vs.hinge_sum), (max, vs.hinge_hardest)])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_hinges_negative_by_negative(pick, loss, count):
    s, margin, total = similarities(count).tolist(), 0.3, 0.0
    for i in range(count):
        texts = [max(0, margin - s[i][i] + s[i][j]) for j in range(count) if j != i]
        images = [max(0, margin - s[i][i] + s[j][i]) for j in range(count) if j != i]
        total += pick([0, *texts]) + pick([0, *images])
    assert float(loss(similarities(count), margin=margin)) == pytest.approx(total / count)


def test_one_direction_of_the_sum_is_torchs_multi_margin_loss():
    """Which is DeViSE's loss, divided by the number of classes."""
    s, own = similarities(9), torch.arange(9)
    texts, images = vs.violations(s, margin=0.1)
    for found, scores in ((texts.sum(1).mean(), s), (images.sum(0).mean(), s.T)):
        torch.testing.assert_close(found / 9, multi_margin_loss(scores, own, margin=0.1))


def test_info_nce_by_its_definition_and_as_two_classifications():
    s, t = similarities(6), 0.2
    e = np.exp(s.numpy() / t)
    by_hand = -np.log([e[i, i] ** 2 / (e[i].sum() * e[:, i].sum()) for i in range(6)]).mean() / 2
    assert float(vs.info_nce(s, temperature=t)) == pytest.approx(by_hand)
    own = torch.arange(6)
    torch.testing.assert_close(
        2 * vs.info_nce(s, temperature=t), cross_entropy(s / t, own) + cross_entropy(s.T / t, own)
    )


@given(st.integers(2, 12), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_laws_of_the_losses(count, seed):
    """The hardest is at most the sum, equal for two pairs; a common shift of all changes nothing;
    swapping the modalities neither; equal similarities give 2α (count − 1), 2α and log count."""
    s, equal = similarities(count, seed), torch.zeros(count, count)
    assert vs.hinge_hardest(s) <= vs.hinge_sum(s) + 1e-12
    if count == 2:
        torch.testing.assert_close(vs.hinge_hardest(s), vs.hinge_sum(s))
    for loss in vs.LOSSES.values():
        torch.testing.assert_close(loss(s), loss(s + 0.25))
        torch.testing.assert_close(loss(s), loss(s.T))
    assert float(vs.hinge_sum(equal, margin=0.2)) == pytest.approx(0.4 * (count - 1))
    assert float(vs.hinge_hardest(equal, margin=0.2)) == pytest.approx(0.4)
    assert float(vs.info_nce(equal)) == pytest.approx(np.log(count), rel=1e-5)
    apart = 2 * torch.eye(count) - 1
    assert vs.hinge_sum(apart) == vs.hinge_hardest(apart) == 0


@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_ranks_by_brute_force_with_ties_and_several_texts(images, more, seed):
    generator = make_generator(seed)
    owner = torch.cat([torch.arange(images), torch.randint(images, (more,), generator=generator)])
    s = torch.randint(4, (images, len(owner)), generator=generator).float()
    to_text, to_image = vs.ranks_both_ways(s, owner)
    for i in range(images):
        best = max(s[i, c] for c in range(len(owner)) if owner[c] == i)
        others = sum(s[i, c] >= best for c in range(len(owner)) if owner[c] != i)
        assert int(to_text[i]) == others + 1
    for c, i in enumerate(owner.tolist()):
        before = sum(s[j, c] >= s[i, c] for j in range(images) if j != i)
        assert int(to_image[c]) == before + 1


def test_recall_is_scikit_learns_top_k_accuracy():
    s = similarities(40, seed=3)
    for ranks, scores in zip(vs.ranks_both_ways(s), (s, s.T), strict=True):
        for k in (1, 5, 10):
            expected = top_k_accuracy_score(range(40), scores.numpy(), k=k)
            assert float((ranks <= k).double().mean()) == pytest.approx(expected)


def test_both_encoders_by_hand(pairs, vectors):
    model, (features, texts) = made(pairs, vectors)
    x = (features[3] - features.mean(0)) / features.std(0, correction=0).clamp(min=1e-9)
    v = model.image.weight @ x.nan_to_num() + model.image.bias
    torch.testing.assert_close(model.embed_images(features)[3], v / v.norm(), atol=1e-4, rtol=1e-3)
    scale = vectors.vectors.norm(dim=1).mean()
    mean = torch.stack([vectors[w] / scale for w in pairs.captions[3][1].split()]).mean(0)
    t = model.text.linear.weight @ mean + model.text.linear.bias
    torch.testing.assert_close(model.embed_texts(texts[3])[1], t / t.norm())


def test_the_gru_reads_as_torchs_single_cell(pairs, vectors):
    model, (_, texts) = made(pairs, vectors, "GRU")
    cell = torch.nn.GRUCell(24, 20)
    cell.load_state_dict({k[:-3]: w for k, w in model.text.gru.state_dict().items()})
    state = torch.zeros(1, 20)
    for word in texts[2, 0][texts[2, 0] != 0]:
        state = cell(model.embed(word)[None], state)
    torch.testing.assert_close(model.embed_texts(texts[2])[0], state[0] / state.norm())


def test_word_order_is_lost_in_the_mean_and_not_in_the_gru(pairs, vectors):
    one, other = vs.encode_texts(["red dog and blue car", "blue dog and red car"], vectors)
    for text in vs.TEXT_ENCODERS:
        first, second = made(pairs, vectors, text)[0].embed_texts(torch.stack([one, other]))
        assert torch.allclose(first, second, atol=1e-6) is (text == "mean")


@pytest.mark.parametrize("name", [*vs.TEXT_ENCODERS, "CLIP"])
def test_trains_by_heart_alike_twice_and_padding_changes_nothing(name, pairs, vectors):
    losses = []
    for _ in range(2):
        torch.manual_seed(0)
        model, batch = made(pairs, vectors, "mean" if name == "CLIP" else name)
        loss = vs.pair_loss(vs.hinge_sum)
        if name == "CLIP":
            model, loss = vs.Clip(len(vectors) + 1, joint=20), vs.clip_loss
            batch = pairs.pictures, batch[1]
        frozen = model.embed.weight.clone()
        loss(model, batch).backward()
        for parameter, value in model.named_parameters():
            if value.requires_grad:
                assert float(value.grad.abs().sum()) > 0, parameter
        options = {"steps": 120, "learning_rate": 5e-3, "progress": False}
        run = fit(model, [batch], loss, generator=make_generator(0), **options)
        losses.append(run.losses)
    assert losses[0] == losses[1]
    assert np.mean(losses[0][-10:]) < 0.15 * losses[0][0]
    assert torch.equal(frozen, model.embed.weight) is (name != "CLIP")
    texts = batch[1][:, 0]
    images, found = vs.embeddings(model, batch[0], texts)
    assert float((vs.ranks_both_ways(images @ found.T)[0] == 1).double().mean()) > 0.9
    torch.testing.assert_close(vs.embeddings(model, batch[0], pad(texts, (0, 3)))[1], found)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(16))


def test_pairs_are_scenes_pictures_and_captions_and_come_again(pairs, encoder):
    again = vs.make_pairs(16, encoder, generator=make_generator(0), per_scene=2)
    assert torch.equal(pairs.features, again.features)
    assert pairs.captions == again.captions
    with torch.no_grad():
        expected = pooled(encoder(draw(pairs.scenes)))  # without the camera's grain
    assert float((pairs.features - expected).abs().mean()) < 0.2 * float(expected.abs().mean())
    assert check_captions([c[0].split() for c in pairs.captions], pairs.scenes).exact.all()


def test_captions_that_are_true_of_other_pictures_are_found():
    scenes = sample_scenes(40, generator=make_generator(3), slots=2)
    said = [c for c, *_ in words.captions(scenes, per_scene=2, generator=make_generator(4),
                                          forms=("inventory",))]  # fmt: skip
    true = vs.true_of(said, scenes)
    for column, caption in enumerate(said):
        expected = check_captions([caption.split()] * 40, scenes).exact
        assert torch.equal(true[:, column], expected)
    with pytest.raises(ValueError, match="'a dog is flying in the town by day' is no inventory"):
        vs.true_of(["a dog is flying in the town by day"], scenes)


def test_words_are_avoided_in_singular_and_plural():
    said = "an automobile and two ships on the shore"
    assert vs.avoid_words(said, ("ship", "automobile")) == "a car and two boats on the shore"


def test_tags_and_analogies_are_facts_of_the_scenes():
    scenes = sample_scenes(400, generator=make_generator(5), slots=1)
    labels, known = vs.tag_labels(scenes), vs.facts(scenes)
    assert labels.sum(1).tolist() == [4] * 400  # category, colour, scene class, time
    for place, change in enumerate(vs.CHANGES):
        asked = vs.make_analogies(scenes, change, generator=make_generator(6))
        names = vs.CHANGES[change]
        for row in range(0, len(asked.source), 7):
            wanted = known[asked.source[row]].clone()
            assert names[wanted[place]] == asked.minus[row] != asked.plus[row]
            wanted[place] = names.index(asked.plus[row])
            assert asked.right[row].tolist() == [k == wanted.tolist() for k in known.tolist()]
    asked = vs.make_analogies(scenes, "action", generator=make_generator(6))
    assert bool(scenes.flying()[asked.source].all())
    assert bool((scenes.category[asked.right.nonzero()[:, 1]] == 2).all())


def test_the_nearest_picture_is_another_than_the_source():
    images = torch.eye(4)[[0, 0, 1, 2]]
    found = vs.nearest_pictures(torch.tensor([[9.0, 1, 0, 0], [0, 0.1, 0.2, 0]]), images,
                                torch.tensor([0, 1]))  # fmt: skip
    assert found.tolist() == [1, 3]


def test_bad_input_is_refused(pairs, vectors):
    with pytest.raises(ValueError, match="text is 'LSTM', choose one of mean, GRU"):
        made(pairs, vectors, "LSTM")
    with pytest.raises(UnknownWordError, match="'zebra' is not among"):
        vs.encode_texts(["a zebra"], vectors)
    for texts in ([], ["a dog", " "]):
        with pytest.raises(ValueError, match="a text without words"):
            vs.encode_texts(texts, vectors)
    with pytest.raises(ValueError, match="similarity has shape"):
        vs.hinge_sum(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="image 1 has no text"):
        vs.ranks_both_ways(torch.zeros(2, 2), torch.tensor([0, 0]))
    with pytest.raises(ValueError, match=r"the scenes have 3 slots: sample them with objects"):
        vs.facts(pairs.scenes)
