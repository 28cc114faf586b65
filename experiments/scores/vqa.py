"""Answers to questions about pictures of one to three things, by type, on new scenes.

All models learn from the same questions about the same scenes and read the grids of the same frozen
eye. Those that see and read begin with questions in which no direction occurs.
"""

import torch
from torch import Tensor, nn

from mmlib.data.vocabulary import Vocabulary
from mmlib.foundations.pretraining import encode, load_image_classifier
from mmlib.runtime import make_generator
from mmlib.vision_text import vqa
from mmlib.vision_text.vqa import Modulated, PointWise, StackedAttention
from mmlib.world import pictures
from mmlib.world.balanced_pairs import BalancedPairs, balanced_pairs
from mmlib.world.questions import TYPES, ask

TITLE = "Visual question answering: two streams multiplied, modulation, and glimpses"
TRAIN, TEST, PAIRS = 10_000, 3000, 300  # scenes, scenes, pairs of them
MODELS = {
    "question only": lambda words: PointWise(words, senses="question"),
    "picture only": lambda words: PointWise(words, senses="picture"),
    "product": PointWise,
    "modulation": Modulated,
    "attention": StackedAttention,
}
SYSTEMS = ("most frequent answer", *MODELS)
STEPS = {  # on the first questions, then on all
    "question only": (0, 200),
    "picture only": (0, 150),
    "product": (200, 460),
    "modulation": (120, 280),
    "attention": (800, 1600),
}


def run(seed: int) -> dict[str, float]:
    """Return the accuracy by "model: type", "all", and of both answers to balanced pairs."""
    eye = vqa.NamingGrid(load_image_classifier())
    generator = make_generator(4000 + seed)
    training = vqa.make_quiz(
        TRAIN,
        eye,
        generator=generator,
        per_scene=8,
        types=vqa.TRAINING_TYPES,
        things=(2, 6),
    )
    test = vqa.make_quiz(TEST, eye, generator=generator)
    vocabulary = vqa.question_vocabulary(training.questions)
    first = ask(training.scenes, per_scene=8, generator=generator, types=vqa.FIRST_TYPES)
    lessons = [
        vqa.examples(training.grids, asked, vocabulary) for asked in (first, training.questions)
    ]
    _, questions, _ = vqa.examples(test.grids, test.questions, vocabulary)
    pairs = balanced_pairs(PAIRS, generator=generator, split="train")
    sides = [encode(eye, pictures.draw(scenes, generator=generator)) for scenes in pairs[:2]]
    guesses = vqa.most_frequent_answers(training.questions, test.questions)
    scores = by_type("most frequent answer", guesses, test)
    for name, make in MODELS.items():
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = make(len(vocabulary))
        order = make_generator(seed)
        for lesson, steps in zip(lessons, STEPS[name], strict=True):
            if steps:
                vqa.train(model, lesson, steps=steps, generator=order, progress=False)
        scores |= by_type(name, vqa.best_answers(model, test.grids, questions), test)
        scores[f"{name}: both twins"] = both_right(model, sides, pairs, vocabulary)
    return scores


def both_right(
    model: nn.Module, sides: list[Tensor], pairs: BalancedPairs, vocabulary: Vocabulary
) -> float:
    """Return the share of balanced pairs of which both answers are right."""
    asked = vqa.encode_questions([[question.text] for question in pairs.questions], vocabulary)
    one, two = (
        vqa.best_answers(model, grids, asked) == vqa.encode_answers([[q] for q in answers])
        for grids, answers in zip(sides, pairs[2:], strict=True)
    )
    return float((one & two).double().mean())


def by_type(name: str, predicted: Tensor, quiz: vqa.Quiz) -> dict[str, float]:
    """Return the accuracy for each type and for all questions."""
    hits = vqa.hits_by_type(predicted, quiz.questions)
    scores = {f"{name}: {kind}": float(hits[kind].double().mean()) for kind in TYPES}
    return scores | {f"{name}: all": float(torch.cat(list(hits.values())).double().mean())}
