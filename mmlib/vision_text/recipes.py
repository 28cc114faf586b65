"""Recipe retrieval: from the picture of a dish to its recipe, and from a recipe to the picture.

Chapter: notebooks/vision_text/04_recipes. Sources: Salvador et al., "Learning Cross-modal
Embeddings for Cooking Recipes and Food Images", CVPR 2017; Marin et al., "Recipe1M+", TPAMI 2019
(M19), which has the same model.

A recipe is the numbers of its ingredients, int64 (batch, ingredients), zeros at the end, and a
vector for each of its instructions (batch, steps, dim), rows of zeros at the end. It and the
picture become vectors (batch, joint); the nearer their directions, the better they match.

Other than in the paper: the sizes; the image encoder is that of the pretraining chapter, not
ResNet-50; a sentence's vector is the mean of its words' vectors, not a skip-thought.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from mmlib import metrics
from mmlib.data.batches import Batches
from mmlib.data.standardise import Standardise
from mmlib.data.word_vectors import WordVectors
from mmlib.foundations.pretraining import ImageEncoder, pooled
from mmlib.shapes import check_shape, check_whole, unit_length
from mmlib.training import predict
from mmlib.vision_text.word2vec import Word2VecConfig, train_in_blocks
from mmlib.world.dishes import CATEGORIES, VEGETABLES, Dishes, Recipe, draw, sample_dishes, write

BACKGROUND = -100  # the class of a recipe whose title says nothing: it is not counted


class RecipeData(NamedTuple):
    """Dishes, a picture of each, and its recipe."""

    dishes: Dishes
    pictures: Tensor  # (dishes, 3, height, width)
    recipes: list[Recipe]


def make_recipe_data(count: int, *, generator: torch.Generator, split: str = "train") -> RecipeData:
    """Sample ``count`` different dishes of a split; photograph them and write their recipes."""
    dishes = sample_dishes(count, generator=generator, split=split)
    pictures = draw(dishes, generator=generator)
    return RecipeData(dishes, pictures, write(dishes, generator=generator))


def text_of(recipe: Recipe) -> list[str]:
    """Return a recipe as one list of words: title, ingredients, instructions."""
    steps = " ".join(recipe.instructions).split()
    return [*recipe.title.split(), *recipe.ingredients, *steps]


def train_word_vectors(recipes: Sequence[Recipe], *, generator: torch.Generator) -> WordVectors:
    """Train word2vec on the text of recipes (M19 section 3.1)."""
    config = Word2VecConfig(dim=32, window=10, min_count=1, epochs=5, subsample=1e-2)
    return train_in_blocks([text_of(r) for r in recipes], config, generator=generator)


def encode_ingredients(recipes: Sequence[Recipe], vectors: WordVectors) -> Tensor:
    """Return int64 (recipes, ingredients): rows of ``vectors`` plus 1, zeros at the end.

    Raises:
        UnknownWordError: an ingredient has no vector.
    """
    rows = [torch.tensor([vectors.row(name) + 1 for name in r.ingredients]) for r in recipes]
    return pad_sequence(rows, batch_first=True)


def encode_instructions(recipes: Sequence[Recipe], vectors: WordVectors) -> Tensor:
    """Return (recipes, steps, dim): the mean of each sentence's word vectors; zeros at the end."""
    known: dict[str, Tensor] = {}
    for sentence in {step for recipe in recipes for step in recipe.instructions}:
        rows = [vectors.row(word) for word in sentence.split()]
        known[sentence] = vectors.vectors[rows].mean(dim=0)
    steps = [torch.stack([known[step] for step in recipe.instructions]) for recipe in recipes]
    return pad_sequence(steps, batch_first=True)


def average_words(recipes: Sequence[Recipe], vectors: WordVectors) -> Tensor:
    """Return (recipes, 2 · dim): the mean vector of the ingredients, that of the steps' words.

    What the linear baseline reads: a bag of words, blind to their order.
    """
    rows = []
    for recipe in recipes:
        told = [word for step in recipe.instructions for word in step.split()]
        parts = [[vectors.row(word) for word in words] for words in (recipe.ingredients, told)]
        rows.append(torch.cat([vectors.vectors[part].mean(dim=0) for part in parts]))
    return torch.stack(rows)


def title_classes(recipes: Sequence[Recipe], dishes: Dishes) -> Tensor:
    """Return each recipe's semantic class, int64 (recipes,): of its title, or ``BACKGROUND``."""
    tells = torch.tensor([recipe.title.split()[0] in VEGETABLES for recipe in recipes])
    return torch.where(tells, dishes.category(), BACKGROUND)


class RecipeEncoder(nn.Module):
    """A bidirectional LSTM over the ingredients, an LSTM over the instructions (M19 section 3).

    Args:
        vectors: the words' vectors, from which the ingredients' start.
        hidden: of the LSTMs.
        parts: which of ``"ingredients"`` and ``"instructions"`` to read; both in the paper.
    """

    def __init__(
        self,
        vectors: WordVectors,
        *,
        hidden: int = 96,
        parts: Sequence[str] = ("ingredients", "instructions"),
    ) -> None:
        super().__init__()
        words, dim = vectors.vectors.shape
        self.parts, self.features = tuple(parts), hidden * 3
        self.embed = nn.Embedding(words + 1, dim, padding_idx=0)
        with torch.no_grad():
            self.embed.weight[1:] = vectors.vectors
        self.ingredients = nn.LSTM(dim, hidden, batch_first=True, bidirectional=True)
        self.instructions = nn.LSTM(dim, hidden, batch_first=True)

    def forward(self, ingredients: Tensor, instructions: Tensor) -> Tensor:
        """Return (batch, 3 · hidden): both directions of the one LSTM, the last h of the other."""
        check_shape(ingredients, "batch ingredients", name="ingredients")
        check_shape(instructions, "batch steps dim", name="instructions")
        g = _last_hidden(self.ingredients, self.embed(ingredients), ingredients != 0)
        s = _last_hidden(self.instructions, instructions, (instructions != 0).any(dim=2))
        g = g if "ingredients" in self.parts else torch.zeros_like(g)
        s = s if "instructions" in self.parts else torch.zeros_like(s)
        return torch.cat([g, s], dim=1)


def _last_hidden(lstm: nn.LSTM, inputs: Tensor, real: Tensor) -> Tensor:
    """Return the last hidden states (batch, directions · hidden), blind to the padding."""
    lengths = real.sum(dim=1).cpu()
    packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    _, (h, _) = lstm(packed)
    return h.movedim(0, 1).flatten(1)


class DishEncoder(nn.Module):
    """The CNN: an image encoder, pooled over the picture, standardised."""

    def __init__(self, encoder: ImageEncoder, standardise: Standardise) -> None:
        super().__init__()
        self.encoder, self.standardise = encoder, standardise

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (batch, 2 · features) for pictures (batch, 3, height, width)."""
        return self.standardise(pooled(self.encoder(pictures)))


class JointEmbedding(nn.Module):
    """Both encoders, a linear map from each to the joint space, one classifier for both.

    Args:
        vision: images → (batch, features): ``DishEncoder``, or a ``Standardise`` for images that
            are the frozen encoder's pooled features already.
        features: that ``vision`` gives.
        recipe: the recipe encoder.
    """

    def __init__(
        self, vision: nn.Module, features: int, recipe: RecipeEncoder, *, joint: int = 128
    ) -> None:
        super().__init__()
        self.vision, self.recipe = vision, recipe
        self.to_v = nn.Linear(features, joint)  # W^v, b^v
        self.to_r = nn.Linear(recipe.features, joint)  # W^r, b^r
        self.classify = nn.Linear(joint, len(CATEGORIES))  # W^c, shared

    def embed_images(self, images: Tensor) -> Tensor:
        """Return φ^v, (batch, joint)."""
        return self.to_v(self.vision(images))

    def embed_recipes(self, ingredients: Tensor, instructions: Tensor) -> Tensor:
        """Return φ^r, (batch, joint)."""
        return self.to_r(self.recipe(ingredients, instructions))


def cosine_loss(phi_r: Tensor, phi_v: Tensor, match: Tensor, *, margin: float = 0.1) -> Tensor:
    """Return the cosine loss of each pair (batch,): 1 - cos if it matches, else max(0, cos - α).

    Args:
        phi_r, phi_v: (batch, joint).
        match: bool (batch,).
    """
    cosine = cosine_similarity(phi_r, phi_v)
    return torch.where(match, 1 - cosine, (cosine - margin).clamp(min=0))


def recipe_loss(
    model: JointEmbedding,
    batch: tuple[Tensor, Tensor, Tensor, Tensor],
    *,
    matched: float = 0.2,
    weight: float = 0.02,
) -> Tensor:
    """Return L_cos + λ L_reg for one batch (M19 section 4).

    Args:
        batch: images, ingredients, instructions, classes int64 (batch,), row by row of one dish.
        matched: the share of images that meet their own recipe; the others meet that of the next
            row, which is a random one as the rows are shuffled.
        weight: λ, of the semantic regularisation.
    """
    images, ingredients, instructions, classes = batch
    match = torch.arange(len(images), device=classes.device) < matched * len(images)
    phi_v, phi_r = model.embed_images(images), model.embed_recipes(ingredients, instructions)
    met = torch.where(match[:, None], phi_r, phi_r.roll(1, dims=0))
    both = torch.cat([model.classify(phi_v), model.classify(phi_r)])
    semantic = cross_entropy(both, classes.repeat(2), ignore_index=BACKGROUND, reduction="sum")
    known = 2 * (classes != BACKGROUND).sum().clamp(min=1)
    return cosine_loss(met, phi_v, match).mean() + weight * semantic / known


def triplet_loss(
    model: JointEmbedding, batch: tuple[Tensor, Tensor, Tensor, Tensor], *, margin: float = 0.3
) -> Tensor:
    """Return the instance loss of AdaMine (Carvalho et al., SIGIR 2018), for one batch.

    Every image is compared with every recipe of the batch, both ways: max(0, α - cos(own) +
    cos(other)), averaged over the triplets that are not 0.

    Args:
        batch: as in ``recipe_loss``; the classes are not used.
    """
    phi_v = unit_length(model.embed_images(batch[0]))
    cosine = phi_v @ unit_length(model.embed_recipes(*batch[1:3])).T  # (images, recipes)
    own, other = cosine.diagonal(), ~torch.eye(len(cosine), dtype=torch.bool, device=cosine.device)
    active = []
    for scores in (cosine, cosine.T):  # (queries, candidates)
        triplets = (margin - own[:, None] + scores).clamp(min=0)[other]
        active.append(triplets.sum() / (triplets > 0).sum().clamp(min=1))
    return torch.stack(active).sum()


def embed(
    model: JointEmbedding, images: Tensor, ingredients: Tensor, instructions: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the unit vectors of many images and recipes, (items, joint) each."""
    batches = Batches((images, ingredients, instructions), batch_size=100)
    phi_v = predict(model, batches, lambda m, b: m.embed_images(b[0]))
    phi_r = predict(model, batches, lambda m, b: m.embed_recipes(*b[1:]))
    return unit_length(phi_v), unit_length(phi_r)


def retrieval_scores(
    queries: Tensor,
    candidates: Tensor,
    *,
    generator: torch.Generator,
    among: int = 1000,
    draws: int = 10,
) -> dict[str, float]:
    """Return medR and R@1, R@5, R@10, means over random subsets, as M19 measures.

    Args:
        queries, candidates: unit vectors (items, joint), row by row a pair.
        among: pairs in a subset; every query of it searches all of its candidates.
        draws: subsets.

    Raises:
        ValueError: there are fewer pairs than ``among``.
    """
    items = check_shape(queries, "items joint", name="queries")["items"]
    if check_whole(among, name="among") > items:
        raise ValueError(f"among is {among}, there are {items} pairs: embed more or draw fewer")
    found = []
    for _ in range(check_whole(draws, name="draws")):
        rows = torch.randperm(items, generator=generator)[:among]
        ranks = metrics.retrieval_ranks(queries[rows] @ candidates[rows].T)
        recalls = [metrics.recall_at(ranks, k).value for k in (1, 5, 10)]
        found.append([metrics.median_rank(ranks), *recalls])
    means = torch.tensor(found).mean(dim=0).tolist()
    return dict(zip(("medR", "R@1", "R@5", "R@10"), means, strict=True))
