"""Answers to questions about pictures of one to three objects, by type, on new scenes.

All models learn from the same questions about the same scenes, encoded by the same frozen image
encoder, until their loss is flat; those that attend or modulate get about a minute each.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmlib.data.batches import Batches
from mmlib.data.standardise import Standardise
from mmlib.data.visual_questions import question_vocabulary
from mmlib.data.vocabulary import Vocabulary
from mmlib.foundations.pretraining import encode, load_image_classifier, pooled
from mmlib.runtime import make_generator
from mmlib.training import fit, warm_then_cool
from mmlib.vision_text import vqa
from mmlib.vision_text.attention import add_coordinates
from mmlib.vision_text.vqa import Film, StackedAttention, TwoStream, VqaData
from mmlib.world import pictures
from mmlib.world.balanced_pairs import balanced_pairs

TITLE = "Visual question answering: two streams and their product, stacked attention, FiLM"
TRAIN, TEST, PAIRS = 6000, 3000, 300  # scenes, scenes, pairs of them
BATCH = 43  # scenes with six questions each: 258
STEPS = {
    "question only": 400,
    "image only": 300,
    "sum": 1500,
    "concatenation": 1500,
    "product": 1000,
    "stacked attention": 600,
    "stacked attention, coordinates": 600,
    "FiLM": 600,
}
SYSTEMS = ("most frequent answer", *STEPS)


def view_of(name: str) -> Callable[[Tensor], Tensor]:
    """Return what a system makes of the encoder's grids before it is trained."""
    if "coordinates" in name:
        return add_coordinates
    return (lambda grids: grids) if name in ("stacked attention", "FiLM") else pooled


def make(name: str, words: int, over: Standardise, *, seed: int) -> nn.Module:
    """Return a system with the weights that the seed gives."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if name == "FiLM":
            return Film(words, over)
        if "attention" in name:
            return StackedAttention(words, over)
        return TwoStream(words, over, fusion=name)


def run(seed: int) -> dict[str, float]:
    """Return the accuracy by "system: type", of all, and of both answers to balanced pairs."""
    encoder, generator = vqa.GridEncoder(load_image_classifier()), make_generator(4000 + seed)
    training = vqa.make_vqa_data(TRAIN, encoder, generator=generator)
    test = vqa.make_vqa_data(TEST, encoder, generator=generator)
    vocabulary = question_vocabulary(q.text for asked in training.questions for q in asked)
    asked, answers = vqa.encode_data(training, vocabulary)
    pair = make_pairs(encoder, generator)
    hits = vqa.hits_by_type(vqa.most_frequent_answers(training, test), test)
    scores = shares("most frequent answer", hits)
    scores["most frequent answer: both of a pair"] = 0.0  # it says the same to both
    for name, steps in STEPS.items():
        images = view_of(name)(training.grids)
        model = make(name, len(vocabulary), Standardise.over(images), seed=seed)
        fit(
            model,
            Batches((images, asked, answers), batch_size=BATCH, generator=make_generator(seed)),
            vqa.vqa_loss,
            generator=make_generator(seed),
            steps=steps,
            learning_rate=2e-3,
            schedule=warm_then_cool,
            progress=False,
        )
        scores |= measure(name, model, vocabulary, test, pair)
    return scores


def shipped() -> dict[str, float]:
    """Return the scores of the weights of the longer training, on scenes of their own."""
    encoder, generator = vqa.GridEncoder(load_image_classifier()), make_generator(4999)
    test, pair = (
        vqa.make_vqa_data(TEST, encoder, generator=generator),
        make_pairs(encoder, generator),
    )
    vocabulary = question_vocabulary(q.text for asked in test.questions for q in asked)
    scores = {}
    for name, short in (("stacked attention", "attention"), ("FiLM", "film")):
        model, _ = vqa.load_shipped(short, vocabulary)
        scores |= measure(name, model, vocabulary, test, pair)
    return scores


def make_pairs(encoder: nn.Module, generator: torch.Generator) -> tuple[VqaData, VqaData]:
    """Return balanced pairs: the same questions about two sets of scenes."""
    pairs, sides = balanced_pairs(PAIRS, generator=generator, split="train"), []
    for scenes, asked in ((pairs.scenes, pairs.questions), (pairs.others, pairs.other_questions)):
        drawn = pictures.draw(scenes, generator=generator)
        sides.append(VqaData(scenes, encode(encoder, drawn), [[question] for question in asked]))
    return tuple(sides)


def measure(
    name: str,
    model: nn.Module,
    vocabulary: Vocabulary,
    test: VqaData,
    pair: tuple[VqaData, VqaData],
) -> dict[str, float]:
    """Return a model's accuracy by type, and its share of pairs with both answers right."""
    view, hits = view_of(name), []
    for data in (test, *pair):
        questions, _ = vqa.encode_data(data, vocabulary)
        predicted = vqa.probabilities(model, view(data.grids), questions).argmax(dim=2)
        hits.append(vqa.hits_by_type(predicted, data))
    both = hits[1]["all"] & hits[2]["all"]
    return shares(name, hits[0]) | {f"{name}: both of a pair": float(both.double().mean())}


def shares(name: str, hits: dict[str, Tensor]) -> dict[str, float]:
    """Return the share of right answers for each type and for all questions."""
    return {f"{name}: {group}": float(hit.double().mean()) for group, hit in hits.items()}
