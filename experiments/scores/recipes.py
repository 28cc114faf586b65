"""Retrieval between pictures of dishes and their recipes, among 1,000 held-out dishes."""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from mmlib.data.batches import Batches
from mmlib.data.standardise import Standardise
from mmlib.foundations.modalities import fit_cca
from mmlib.foundations.pretraining import extract_features, load_image_encoder
from mmlib.runtime import make_generator
from mmlib.shapes import unit_length
from mmlib.training import fit, warm_then_cool
from mmlib.vision_text import recipes
from mmlib.vision_text.recipes import DishEncoder, JointEmbedding, RecipeEncoder, recipe_loss

TITLE = "Recipe retrieval: from the picture to the recipe and back"
SYSTEMS = (
    "chance",
    "shuffled pairs",
    "CCA, averaged words",
    "instructions only",
    "ingredients only",
    "joint embedding, no regularisation",
    "joint embedding",
    "joint embedding, fine-tuned",
    "triplets in the batch",
    "oracle: ingredients known",
    "oracle: steps known",
)
TRAIN, TEST, STEPS, FINE_STEPS, BATCH = 6000, 2000, 600, 60, 160
DIMS = (4, 8, 12, 16, 24)  # of CCA; chosen on training dishes that it has not been fitted to
PLAIN = partial(recipe_loss, weight=0.0)


def run(seed: int) -> dict[str, float]:
    """Return medR and recalls, picture to recipe, and medR the other way, of each system."""
    generator, encoder = make_generator(8000 + seed), load_image_encoder()
    training = recipes.make_recipe_data(TRAIN, generator=generator)
    test = recipes.make_recipe_data(TEST, generator=generator, split="held out")
    vectors = recipes.train_word_vectors(training.recipes, generator=generator)
    features, seen = (extract_features(encoder, d.pictures) for d in (training, test))
    over = Standardise.over(features)
    text, text_seen = (
        (
            recipes.encode_ingredients(d.recipes, vectors),
            recipes.encode_instructions(d.recipes, vectors),
        )
        for d in (training, test)
    )
    classes = recipes.title_classes(training.recipes, training.dishes)

    def train(model: JointEmbedding, images: Tensor, loss, steps: int, rate: float, order=None):
        rows = text if order is None else tuple(part[order] for part in text)
        fit(
            model,
            Batches((images, *rows, classes), batch_size=BATCH, generator=make_generator(seed)),
            loss,
            generator=make_generator(seed),
            steps=steps,
            learning_rate=rate,
            schedule=warm_then_cool,
            progress=False,
        )
        return model

    def fresh(**options) -> JointEmbedding:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return JointEmbedding(over, features.shape[1], RecipeEncoder(vectors, **options))

    order = torch.randperm(TRAIN, generator=generator)
    jobs = {
        "shuffled pairs": (fresh(), recipe_loss, 1e-2, order),
        "instructions only": (fresh(parts=["instructions"]), recipe_loss, 1e-2, None),
        "ingredients only": (fresh(parts=["ingredients"]), recipe_loss, 1e-2, None),
        "joint embedding, no regularisation": (fresh(), PLAIN, 1e-2, None),
        "joint embedding": (fresh(), recipe_loss, 1e-2, None),
        "triplets in the batch": (fresh(), recipes.triplet_loss, 3e-3, None),
    }
    scores = {}
    for name, (model, loss, rate, shuffled) in jobs.items():
        train(model, features, loss, STEPS, rate, shuffled)
        scores |= measure(name, *recipes.embed(model, seen, *text_seen))
    model = jobs["joint embedding"][0]
    model.vision = DishEncoder(encoder, over)
    train(model, training.pictures, recipe_loss, FINE_STEPS, 1e-3)
    name = "joint embedding, fine-tuned"
    scores |= measure(name, *recipes.embed(model, test.pictures, *text_seen))
    words, words_seen = (recipes.average_words(d.recipes, vectors) for d in (training, test))
    scores |= measure("CCA, averaged words", *cca(features, words, seen, words_seen))
    return scores | known(test.dishes.facts(), generator)


def cca(x: Tensor, y: Tensor, x_seen: Tensor, y_seen: Tensor) -> tuple[Tensor, Tensor]:
    """Return the test's unit vectors by canonical correlation, its size chosen on 1,000 dishes."""
    medians = {}
    for dim in DIMS:
        found = fit_cca(x[1000:].double(), y[1000:].double(), dim=dim, penalty=1e-3)
        pair = unit_length(found.project_x(x[:1000])), unit_length(found.project_y(y[:1000]))
        score = recipes.retrieval_scores(*pair, generator=make_generator(0), draws=1)
        medians[dim] = score["medR"], -score["R@1"]
    found = fit_cca(x.double(), y.double(), dim=min(medians, key=medians.get), penalty=1e-3)
    return unit_length(found.project_x(x_seen)), unit_length(found.project_y(y_seen))


def known(facts: Tensor, generator: torch.Generator) -> dict[str, float]:
    """Return the scores of guessing, and of knowing one half of the facts; ties fall at random."""

    def jitter(vectors: Tensor) -> Tensor:
        return unit_length(vectors + 1e-3 * torch.randn(vectors.shape, generator=generator))

    nothing = torch.randn(2, len(facts), 32, generator=generator)
    scores = measure("chance", *map(unit_length, nothing))
    for name, part in (("ingredients", facts[:, :3]), ("steps", facts[:, 3:])):
        vectors = one_hot(part.unique(dim=0, return_inverse=True)[1]).float()
        scores |= measure(f"oracle: {name} known", jitter(vectors), jitter(vectors))
    return scores


def measure(name: str, images: Tensor, texts: Tensor) -> dict[str, float]:
    """Return the scores of picture to recipe, and medR of recipe to picture."""
    found = recipes.retrieval_scores(images, texts, generator=make_generator(0))
    back = recipes.retrieval_scores(texts, images, generator=make_generator(0))["medR"]
    return {f"{name}: {key}": value for key, value in found.items()} | {f"{name}: medR back": back}
