"""Show and Tell, two other ways to give it the picture, and captions copied from neighbours.

All learn from the same captions of the same scenes of one to three objects; decoders with as many
steps and batches of the same size. What they write begins with "you can see", which asks for an
inventory: it is exact if all in it is true and nothing is left out.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mmlib.data.captions import (
    CaptionBatches,
    caption_vocabulary,
    decode_captions,
    encode_captions,
)
from mmlib.foundations.pretraining import encode, load_image_encoder, pooled
from mmlib.runtime import make_generator
from mmlib.text_metrics import bleu, cider_d
from mmlib.training import fit
from mmlib.vision_text import captioning
from mmlib.vision_text.captioning import PictureAtEveryStep, PictureInMemory, ShowAndTell
from mmlib.world import pictures, sampling, words
from mmlib.world.reading import check_captions, parse
from mmlib.world.scenes import Scenes

TITLE = "Captions: Show and Tell and its variations"
DECODERS = {
    "Show and Tell": ShowAndTell,
    "with a tanh in equation 8": lambda vocab: ShowAndTell(vocab, squash=torch.tanh),
    "picture sets the memory": PictureInMemory,
    "picture at every step": PictureAtEveryStep,
}
SYSTEMS = ("most frequent caption", "nearest neighbour", "consensus of neighbours", *DECODERS)
TRAIN, TEST, STEPS, BATCH = 5000, 600, 600, 64  # as in the chapter
NEIGHBOURS = 3  # of the consensus; with more it is less often exact


class Captioned(NamedTuple):
    """Scenes, what the image encoder gives for them, and captions, lists of words."""

    scenes: Scenes
    grids: Tensor
    captions: list[list[list[str]]]


def make_captioned(count: int, seed: int, *, split: str, forms: tuple[str, ...]) -> Captioned:
    """Draw scenes, encode them and write captions: five to learn from, ten to be scored by."""
    generator = make_generator(seed)
    scenes = sampling.sample_scenes(count, generator=generator, slots=3, split=split)
    grids = encode(load_image_encoder(), pictures.draw(scenes, generator=generator))
    each, options = 5 if len(forms) > 1 else 10, {"forms": forms, "left_to_right": True}
    texts = words.captions(scenes, per_scene=each, generator=generator, **options)
    return Captioned(scenes, grids, [[text.split() for text in some] for some in texts])


def score(found: list[Sequence[str]], test: Captioned) -> dict[str, float]:
    """Return how true the captions are and how they sound."""
    checked = check_captions(found, test.scenes)
    exact, several = checked.exact.double(), test.scenes.present.sum(dim=1) >= 2
    return {
        "exact": float(exact.mean()),
        "exact, 2 or 3 objects": float(exact[several].mean()),
        "colour": checked.precision("colour"),
        "BLEU-4": bleu(found, test.captions)[3],
        "CIDEr-D": float(cider_d(found, test.captions).mean()),
    }


def copied(train: Captioned, test: Captioned) -> dict[str, list[Sequence[str]]]:
    """Return the captions of three systems that only repeat inventories that they have read."""
    kept = [[c for c in some if parse(c).form == "inventory"] for some in train.captions]
    sentences = [c for some in kept for c in some]
    owner = torch.tensor([n for n, some in enumerate(kept) for _ in some])
    known, mine = pooled(train.grids), pooled(test.grids)
    mean, spread = known.mean(dim=0), known.std(dim=0) + 1e-6
    alike = normalize((mine - mean) / spread) @ normalize((known - mean) / spread).T
    alike[:, [n for n, some in enumerate(kept) if not some]] = -1  # nothing to copy from
    near = alike.topk(NEIGHBOURS).indices
    candidates = [torch.isin(owner, rows).nonzero()[:, 0].tolist() for rows in near]
    return {
        "most frequent caption": [Counter(map(tuple, sentences)).most_common(1)[0][0]] * len(mine),
        "nearest neighbour": [kept[n][0] for n in near[:, 0].tolist()],
        "consensus of neighbours": captioning.consensus_captions(sentences, candidates),
    }


def train_decoder(model: nn.Module, train: Captioned, captions: Tensor, seed: int) -> None:
    """Train a decoder on the captions of the training scenes, as the chapter does."""
    owner = torch.arange(len(train.scenes)).repeat_interleave(5)
    batches = CaptionBatches(
        train.grids, captions, owner, batch_size=BATCH, pool=20, generator=make_generator(seed)
    )
    fit(
        model,
        batches,
        captioning.caption_loss,
        generator=make_generator(seed),
        steps=STEPS,
        learning_rate=6e-3,
        schedule=lambda done: min(1, 20 * done + 0.05) * (1 - done),
        progress=False,
    )
    model.eval()


def run(seed: int) -> dict[str, float]:
    """Return scores by "system: measure"."""
    first, both, only = 2000 * (seed + 1), ("inventory", "relation"), ("inventory",)
    train = make_captioned(TRAIN, first, split="train", forms=both)
    tests = {"": make_captioned(TEST, first + 1, split="train", forms=only)}
    tests[", unseen pairs"] = make_captioned(TEST, first + 2, split="held out", forms=only)
    sentences = [c for some in train.captions for c in some]
    vocabulary = caption_vocabulary(sentences)
    captions, begin = (
        encode_captions(sentences, vocabulary),
        vocabulary.encode(["you", "can", "see"]),
    )
    found = {part: copied(train, test) for part, test in tests.items()}
    for name, make in DECODERS.items():
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = make(len(vocabulary))
        train_decoder(model, train, captions, seed)
        for part, test in tests.items():
            written = captioning.beam_search(model, test.grids, begin=begin).words
            found[part][name] = decode_captions(written, vocabulary)
    scores = {}
    for name in SYSTEMS:
        scores |= {f"{name}: {k}": v for k, v in score(found[""][name], tests[""]).items()}
        unseen = score(found[", unseen pairs"][name], tests[", unseen pairs"])
        scores[f"{name}: exact, unseen pairs"] = unseen["exact"]
        scores[f"{name}: colour, unseen pairs"] = unseen["colour"]
    for part in ("", ", unseen pairs"):  # the most frequent caption may name none
        del scores[f"{SYSTEMS[0]}: colour{part}"]
    return scores
