"""Recipe retrieval: laws, other libraries, brute force, training, bad input."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from mmlib.data.batches import Batches
from mmlib.data.standardise import Standardise
from mmlib.data.vocabulary import UnknownWordError
from mmlib.data.word_vectors import WordVectors
from mmlib.foundations.pretraining import ImageEncoder, ImageEncoderConfig
from mmlib.runtime import make_generator
from mmlib.shapes import unit_length
from mmlib.training import fit
from mmlib.vision_text import recipes
from mmlib.world.dishes import CATEGORIES

LOSSES = {"cosine": partial(recipes.recipe_loss, matched=0.5), "triplet": recipes.triplet_loss}


@pytest.fixture(scope="module")
def data():
    return recipes.make_recipe_data(16, generator=make_generator(0))


@pytest.fixture(scope="module")
def vectors(data):
    words = sorted({word for recipe in data.recipes for word in recipes.text_of(recipe)})
    return WordVectors(words, torch.randn(len(words), 8, generator=make_generator(1)))


@pytest.fixture(scope="module")
def batch(data, vectors):
    """Return images as eight numbers each, ingredients, instructions, classes."""
    return (
        torch.randn(16, 8, generator=make_generator(2)),
        recipes.encode_ingredients(data.recipes, vectors),
        recipes.encode_instructions(data.recipes, vectors),
        recipes.title_classes(data.recipes, data.dishes),
    )


def made(vectors, vision=None, features=8, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        recipe = recipes.RecipeEncoder(vectors, hidden=12, **options)
        vision = Standardise(8) if vision is None else vision
        return recipes.JointEmbedding(vision, features, recipe, joint=16)


def test_data_come_again_and_belong_together(data):
    again = recipes.make_recipe_data(16, generator=make_generator(0))
    assert torch.equal(data.pictures, again.pictures)
    assert data.recipes == again.recipes
    assert len(data.dishes) == len(data.pictures) == len(data.recipes) == 16


def test_word_vectors_are_of_all_words_of_the_recipes():
    many = recipes.make_recipe_data(200, generator=make_generator(3)).recipes
    vectors = recipes.train_word_vectors(many, generator=make_generator(0))
    assert set(vectors.words) == {word for recipe in many for word in recipes.text_of(recipe)}


def test_an_ingredient_is_its_row_plus_one_and_a_sentence_the_mean_of_its_words(
    data, vectors, batch
):
    recipe, ingredients, steps = data.recipes[5], batch[1][5], batch[2][5]
    count = len(recipe.ingredients)
    assert [vectors.words[i - 1] for i in ingredients[:count]] == list(recipe.ingredients)
    assert not ingredients[count:].any()
    words = recipe.instructions[2].split()
    mean = sum(vectors[word] for word in words) / len(words)
    torch.testing.assert_close(steps[2], mean)


def test_averaged_words_are_blind_to_order_and_the_two_stages_are_not(data, vectors):
    recipe = data.recipes[0]
    one = recipe._replace(instructions=("slice the vegetables", "chop the topping"))
    other = recipe._replace(instructions=("chop the vegetables", "slice the topping"))
    words = sorted({word for r in (one, other) for word in recipes.text_of(r)})
    vectors = WordVectors(words, torch.randn(len(words), 8, generator=make_generator(1)))
    torch.testing.assert_close(*recipes.average_words([one, other], vectors))
    encoder = recipes.RecipeEncoder(vectors, hidden=12)
    ingredients = recipes.encode_ingredients([one, other], vectors)
    found = encoder(ingredients, recipes.encode_instructions([one, other], vectors))
    assert (found[0] - found[1]).abs().max() > 1e-3
    mean = sum(vectors[name] for name in one.ingredients) / len(one.ingredients)
    torch.testing.assert_close(recipes.average_words([one], vectors)[0, :8], mean)


def test_the_class_is_the_titles_or_the_background(data, batch):
    for recipe, dish, number in zip(
        data.recipes, data.dishes.category().tolist(), batch[3].tolist(), strict=True
    ):
        tells = any(recipe.title.startswith(name.split()[1]) for name in CATEGORIES)
        assert number == (dish if tells else recipes.BACKGROUND)


def test_the_recipe_encoder_is_torchs_cells_word_by_word(vectors, batch):
    encoder = recipes.RecipeEncoder(vectors, hidden=12)
    _, ingredients, instructions, _ = batch
    found = encoder(ingredients, instructions)
    assert found.shape == (16, 36)
    own = encoder.embed(ingredients[4][ingredients[4] != 0])
    steps = instructions[4][instructions[4].any(dim=1)]
    runs = (
        (encoder.ingredients, "", own),
        (encoder.ingredients, "_reverse", own.flip(0)),
        (encoder.instructions, "", steps),
    )
    hidden = []
    for lstm, suffix, inputs in runs:
        cell = nn.LSTMCell(8, 12)
        cell.load_state_dict({k: getattr(lstm, f"{k}_l0{suffix}") for k in cell.state_dict()})
        state = (torch.zeros(1, 12), torch.zeros(1, 12))
        for x in inputs:
            state = cell(x[None], state)
        hidden.append(state[0][0])
    torch.testing.assert_close(found[4], torch.cat(hidden))


@pytest.mark.parametrize("part", ["ingredients", "instructions"])
def test_a_baseline_without_one_part_does_not_know_it(part, vectors, batch):
    encoder = recipes.RecipeEncoder(vectors, hidden=12, parts=[part])
    _, ingredients, instructions, _ = batch
    one = encoder(ingredients, instructions)
    if part == "ingredients":
        other = encoder(ingredients, instructions.flip(0))
    else:
        other = encoder(ingredients.flip(0), instructions)
    assert torch.equal(one, other)
    assert not torch.equal(one, encoder(ingredients.flip(0), instructions.flip(0)))


def test_neither_padding_nor_company_changes_an_embedding(vectors, batch):
    model = made(vectors)
    images, ingredients, instructions, _ = batch
    v, r = recipes.embed(model, images, ingredients, instructions)
    longer = (nn.functional.pad(ingredients, (0, 3)), nn.functional.pad(instructions, (0, 0, 0, 2)))
    torch.testing.assert_close(recipes.embed(model, images, *longer)[1], r)
    alone = recipes.embed(model, images[2:3], ingredients[2:3], instructions[2:3])
    torch.testing.assert_close(alone, (v[2:3], r[2:3]))
    torch.testing.assert_close(v.norm(dim=1), torch.ones(16))


def test_the_cosine_loss_is_torchs():
    generator = make_generator(4)
    r, v = (torch.randn(50, 6, generator=generator) for _ in range(2))
    match = torch.rand(50, generator=generator) < 0.5
    theirs = nn.CosineEmbeddingLoss(margin=0.1, reduction="none")(r, v, torch.where(match, 1, -1))
    torch.testing.assert_close(recipes.cosine_loss(r, v, match), theirs)


def test_the_joint_loss_by_hand(vectors, batch):
    """The first fifth meets its own recipe, the others the one before; the classifier is shared."""
    model = made(vectors).eval()
    images, ingredients, instructions, classes = batch
    phi_v, phi_r = model.embed_images(images), model.embed_recipes(ingredients, instructions)
    pairs, semantic = [], []
    for i in range(16):
        own = i < 0.2 * 16
        cosine = torch.cosine_similarity(phi_v[i], phi_r[i if own else i - 1], dim=0)
        pairs.append(1 - cosine if own else max(torch.tensor(0.0), cosine - 0.1))
        for phi in (phi_v, phi_r) if classes[i] != recipes.BACKGROUND else ():
            logits = model.classify.weight @ phi[i] + model.classify.bias
            semantic.append(-logits.log_softmax(0)[classes[i]])
    by_hand = sum(pairs) / 16 + 0.02 * sum(semantic) / len(semantic)
    torch.testing.assert_close(recipes.recipe_loss(model, batch), by_hand)


def test_the_triplet_loss_by_loops(vectors, batch):
    model = made(vectors).eval()
    v, r = recipes.embed(model, *batch[:3])
    total = 0.0
    for cosine in ((v @ r.T).numpy(), (r @ v.T).numpy()):
        triplets = [
            max(0.0, 0.3 - cosine[q, q] + cosine[q, c]) for q, c in np.ndindex(16, 16) if q != c
        ]
        total += sum(triplets) / sum(t > 0 for t in triplets)
    assert recipes.triplet_loss(model, batch).item() == pytest.approx(total, rel=1e-4)
    images, ingredients, instructions, classes = batch
    alone = (images[:1], ingredients[:1], instructions[:1], classes[:1])
    assert recipes.triplet_loss(model, alone).item() == 0


def test_retrieval_scores_by_sorting_in_ten_draws():
    generator = make_generator(5)
    queries = unit_length(torch.randn(40, 5, generator=generator))
    candidates = unit_length(queries + torch.randn(40, 5, generator=generator))
    found = recipes.retrieval_scores(queries, candidates, generator=make_generator(6), among=25)
    generator, medians, hits = make_generator(6), [], []
    for _ in range(10):
        rows = torch.randperm(40, generator=generator)[:25].tolist()
        ranks = []
        for row in rows:
            order = sorted(rows, key=lambda other: -float(queries[row] @ candidates[other]))
            ranks.append(order.index(row) + 1)
        medians.append(np.median(ranks))
        hits += [rank <= 5 for rank in ranks]
    assert found["medR"] == pytest.approx(np.mean(medians))
    assert found["R@5"] == pytest.approx(np.mean(hits))
    assert 0 <= found["R@1"] <= found["R@5"] <= found["R@10"] <= 1


def test_what_is_found_and_what_cannot_be():
    unit = torch.eye(30)
    perfect = recipes.retrieval_scores(unit, unit, generator=make_generator(0), among=20)
    assert perfect == {"medR": 1, "R@1": 1, "R@5": 1, "R@10": 1}
    same = torch.ones(30, 4)
    nothing = recipes.retrieval_scores(same, same, generator=make_generator(0), among=20)
    assert nothing == {"medR": 20, "R@1": 0, "R@5": 0, "R@10": 0}


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_reach_every_parameter_also_the_pictures_encoder(loss, data, vectors, batch):
    config = ImageEncoderConfig(low=4, middle=6, top=8)
    vision = recipes.DishEncoder(ImageEncoder(config), Standardise(16))
    model = made(vectors, vision, 16)
    LOSSES[loss](model, (data.pictures, *batch[1:])).backward()
    for name, parameter in model.named_parameters():
        if loss == "cosine" or not name.startswith("classify"):
            assert float(parameter.grad.abs().sum()) > 0, name


@pytest.mark.parametrize("loss", LOSSES)
def test_one_batch_is_learned_by_heart_and_twice_alike(loss, vectors, batch):
    losses = []
    for _ in range(2):
        model = made(vectors)
        rows = Batches(batch, batch_size=16, generator=make_generator(1))
        history = fit(
            model,
            rows,
            LOSSES[loss],
            generator=make_generator(0),
            steps=200,
            learning_rate=1e-2,
            progress=False,
        )
        losses.append(history.losses)
    assert losses[0] == losses[1]
    v, r = recipes.embed(model, *batch[:3])
    found = recipes.retrieval_scores(v, r, generator=make_generator(0), among=16)
    assert found["R@1"] > 0.9


def test_bad_input_is_refused(data, vectors, batch):
    model = made(vectors)
    with pytest.raises(ValueError, match="ingredients has 1 axes"):
        model.embed_recipes(batch[1][0], batch[2])
    with pytest.raises(ValueError, match=r"values has shape \(16, 5\).*must have size 8"):
        model.embed_images(batch[0][:, :5])
    with pytest.raises(UnknownWordError, match="chocolate"):
        recipes.encode_ingredients([data.recipes[0]._replace(ingredients=("chocolate",))], vectors)
    with pytest.raises(ValueError, match="among is 1000, there are 16 pairs"):
        recipes.retrieval_scores(batch[0], batch[0], generator=make_generator(0))
