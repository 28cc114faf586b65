"""Faces found by a voice: the paper's loss and its parts, against pitch, MFCC and the body itself.

All learn from the same clips of 1,000 people and are measured on 300 clips of 100 others, whose
faces are the candidates: R@K and the median rank by the cosine of the features. *Tied* and
*untied* are mean correlations, over attributes, of what is read in the feature with the truth: of
jaw, length and nose, which follow from the tract, and, without their sign, of skin, glasses, hair.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mmlib.data.standardise import Standardise
from mmlib.metrics import median_rank, recall_at, retrieval_ranks
from mmlib.runtime import make_generator
from mmlib.training import predict
from mmlib.vision_audio import speech2face as s2f

TITLE = "A face for a voice: retrieval among 100 new people, and its attributes"
ALL = s2f.PAPER_WEIGHTS
LOSSES = {
    "only L1 of the features, eq. (1)": None,
    "without the decoder's term": {k: ALL[k] for k in ("direction", "distillation")},
    "without the direction's term": {k: ALL[k] for k in ("decoder", "distillation")},
    "without distillation": {k: ALL[k] for k in ("decoder", "direction")},
    "all three terms, eq. (2)": ALL,
    "all three, weights by the paper's rule": "rule",
}
SYSTEMS = (
    "another's voice",
    "pitch alone",
    "mean MFCC and pitch, ridge regression",
    *LOSSES,
    "tract length and age known",
)
PEOPLE, STEPS = 1000, 200  # as in the chapter


def run(seed: int) -> dict[str, float]:
    """Return R@1, R@5, R@10, median rank, tied and untied by "system: measure"."""
    training = s2f.make_clips(PEOPLE, each=1, generator=make_generator(9000 + seed))
    test = s2f.make_clips(100, each=3, generator=make_generator(9500 + seed))
    recogniser, decoder = s2f.load_frozen()
    v_f = s2f.encode_faces(recogniser, training.pictures)
    inputs, test_inputs = s2f.voice_input(training.waves), s2f.voice_input(test.waves)
    found = {}
    for name, heard in baselines().items():
        found[name] = s2f.ridge(heard(training), v_f)(heard(test))
    for name, weights in LOSSES.items():
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = s2f.VoiceEncoder(Standardise.over(v_f))
        if weights == "rule":
            guess = predict(model, [inputs[:64]], lambda m, x: m(x))
            sizes = s2f.gradient_sizes(guess, v_f[:64], recogniser, decoder)
            weights = {term: sizes["decoder"] / size for term, size in sizes.items()}
        loss = s2f.voice_loss(recogniser, decoder, weights) if weights else s2f.plain_loss
        s2f.train(
            model, (inputs, v_f), loss, generator=make_generator(seed), steps=STEPS, progress=False
        )
        found[name] = predict(model, test_inputs.split(50), lambda m, x: m(x))
    others = found["all three terms, eq. (2)"].roll(3, dims=0)
    found["another's voice"] = others
    reader = s2f.ridge(v_f, s2f.attributes(training.faces)[training.owner])
    scores = {}
    for name in SYSTEMS:
        for measure, value in measures(found[name], test, recogniser, reader).items():
            scores[f"{name}: {measure}"] = value
    return scores


def baselines() -> dict[str, Callable[[s2f.Clips], Tensor]]:
    """Return what each linear baseline is given of some clips."""
    return {
        "pitch alone": lambda clips: s2f.pitch_inputs(clips.waves),
        "mean MFCC and pitch, ridge regression": lambda clips: s2f.mfcc_inputs(clips.waves),
        "tract length and age known": lambda clips: s2f.body_inputs(clips.speakers)[clips.owner],
    }


def measures(v_s: Tensor, test: s2f.Clips, recogniser, reader) -> dict[str, float]:
    """Return the measures of the features (clips, D) that were found for the test clips."""
    v_f = s2f.encode_faces(recogniser, test.pictures[::3])  # one picture of each person
    ranks = retrieval_ranks(s2f.feature_similarity(v_s, v_f), test.owner)
    found = s2f.attribute_correlations(reader(v_s), s2f.attributes(test.faces)[test.owner])
    return {f"R@{k}": recall_at(ranks, k).value for k in (1, 5, 10)} | {
        "median rank": median_rank(ranks),
        "tied": sum(found[name] for name in s2f.TIED) / len(s2f.TIED),
        "untied": sum(abs(found[name]) for name in s2f.UNTIED) / len(s2f.UNTIED),
    }
