"""Captions with and without attention, on new scenes of one to three objects.

All decoders learn from the same captions of the same scenes, with as many steps and batches of the
same size, and read the grids of the same frozen image encoder. Two are trained longer, with about
the same processor time each: a step of Show and Tell costs less, so it makes twice as many.
Captions are inventories, from left to right: exact if all in them is true and nothing is left out.
Words are chosen greedily, for one row by a beam of three. Hard attention uses the cell with the
largest weight when it is measured.
"""

from collections import Counter
from functools import partial
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
from mmlib.foundations.pretraining import encode, load_image_encoder
from mmlib.runtime import make_generator
from mmlib.text_metrics import bleu
from mmlib.training import fit
from mmlib.vision_text import attention
from mmlib.vision_text.attention import AttentionConfig, AttentionDecoder, LastWordDecoder
from mmlib.vision_text.captioning import ShowAndTell, beam_search, caption_loss
from mmlib.world import mentions, pictures, sampling, words
from mmlib.world.reading import check_captions
from mmlib.world.scenes import Scenes

TITLE = "Captions: Show and Tell, and decoders that attend"
DECODERS = (
    "Show and Tell",
    "hard attention",
    "soft attention, λ = 0",
    "soft attention",
    "soft attention, coordinates",
    "soft attention, last word asks",
    "Show and Tell, trained longer",
    "soft attention, trained longer",
)
SYSTEMS = (
    "most frequent caption",
    "nearest picture's caption",
    *DECODERS,
    "soft attention, beam of 3",
    "uniform map",
    "ideal map",
)
TRAIN, TEST = 6000, 600  # scenes
STEPS, BATCH, RATE = 400, 32, 6e-3  # as in the chapter
LONGER = {"Show and Tell, trained longer": (1800, 64), "soft attention, trained longer": (900, 64)}


class World(NamedTuple):
    """Scenes, what the image encoder gives for them, and captions, lists of words."""

    scenes: Scenes
    grids: Tensor
    captions: list[list[list[str]]]


def make_world(count: int, seed: int, *, split: str, each: int) -> World:
    """Draw scenes of one to three objects, encode them and write several captions for each."""
    generator = make_generator(seed)
    scenes = sampling.sample_scenes(count, generator=generator, slots=3, split=split)
    grids = encode(load_image_encoder(), pictures.draw(scenes, generator=generator))
    options = {"per_scene": each, "forms": ("inventory",), "left_to_right": True}
    texts = words.captions(scenes, generator=generator, **options)
    return World(scenes, grids, [[text.split() for text in some] for some in texts])


def make_decoder(name: str, vocab: int, seed: int) -> tuple[nn.Module, partial]:
    """Return a new decoder and its loss."""
    loss = partial(attention.attention_loss, balance=0.0 if "λ = 0" in name else 1.0)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if "Show and Tell" in name:
            return ShowAndTell(vocab), caption_loss
        if "last word" in name:
            return LastWordDecoder(AttentionConfig(vocab)), loss
        decoder = AttentionDecoder(AttentionConfig(vocab, features=130 if "coord" in name else 128))
    if name == "hard attention":
        decoder.select = attention.sample_cell(make_generator(seed), expected=0.5)
        loss = attention.HardLoss(reward=0.1, entropy=0.01, baseline=-20.0)
    return decoder, loss


def train(name: str, world: World, captions: Tensor, vocab: int, seed: int) -> nn.Module:
    """Return a decoder, trained as in the chapter."""
    decoder, loss = make_decoder(name, vocab, seed)
    owner = torch.arange(len(world.scenes)).repeat_interleave(len(world.captions[0]))
    steps, size = LONGER.get(name, (STEPS, BATCH))
    batches = CaptionBatches(
        world.grids, captions, owner, batch_size=size, pool=20, generator=make_generator(seed)
    )
    fit(
        decoder,
        batches,
        loss,
        generator=make_generator(seed),
        steps=steps,
        learning_rate=RATE,
        schedule=lambda done: min(1, 20 * done + 0.05) * (1 - done),
        progress=False,
    )
    if name == "hard attention":
        decoder.select = attention.argmax_cell
    return decoder.eval()


def score_sentences(sentences: list[list[str]], world: World) -> dict[str, float]:
    """Return how true the captions are, overall and where several objects are, and BLEU-4."""
    exact = check_captions(sentences, world.scenes).exact.double()
    several = world.scenes.present.sum(dim=1) >= 2
    return {
        "exact": float(exact.mean()),
        "exact, 2 or 3 objects": float(exact[several].mean()),
        "BLEU-4": bleu(sentences, world.captions)[3],
    }


def without_learning(train: World, test: World) -> dict[str, list[list[str]]]:
    """Return the captions of two systems that only repeat what they have read."""
    often = Counter(tuple(c) for some in train.captions for c in some).most_common(1)[0][0]
    theirs, mine = (normalize(w.grids.mean(dim=(2, 3)), dim=1) for w in (train, test))
    nearest = (mine @ theirs.T).argmax(dim=1).tolist()
    return {
        "most frequent caption": [list(often)] * len(test.scenes),
        "nearest picture's caption": [train.captions[row][0] for row in nearest],
    }


def score_decoder(decoder: nn.Module, world: World, vocabulary, *, beam: int) -> dict[str, float]:
    """Return all scores of a decoder; pointing only where there are weights."""
    written = beam_search(decoder, world.grids, beam=beam).words
    sentences = decode_captions(written, vocabulary)
    scores = score_sentences(sentences, world)
    if isinstance(decoder, AttentionDecoder):
        named = mentions.find_mentions(sentences, world.scenes)
        maps = attention.attention_maps(decoder, world.grids, written)
        maps = maps[named.caption, named.position]
        scores["pointing"] = float(attention.points_at(maps, named.masks).double().mean())
    return scores


def bounds_of_pointing(world: World) -> dict[str, float]:
    """Return how often a random pixel, and an ideal map, would point at what a caption names."""
    named = mentions.find_mentions([some[0] for some in world.captions], world.scenes)
    best = pictures.cell_shares(named.masks, 8, 8)
    return {
        "uniform map: pointing": float(named.masks.double().mean()),
        "ideal map: pointing": float(attention.points_at(best, named.masks).double().mean()),
    }


def run(seed: int) -> dict[str, float]:
    """Return scores by "system: measure"."""
    first = 1000 * (seed + 1)
    seen = make_world(TRAIN, first, split="train", each=5)
    new = make_world(TEST, first + 1, split="train", each=10)
    unseen = make_world(TEST // 2, first + 2, split="held out", each=10)
    sentences = [c for some in seen.captions for c in some]
    vocabulary = caption_vocabulary(sentences)
    captions, found = encode_captions(sentences, vocabulary), {}
    for name, copied in without_learning(seen, new).items():
        found[name] = score_sentences(copied, new)
    for name in DECODERS:
        worlds = (seen, new, unseen)
        if "coordinates" in name:
            worlds = tuple(w._replace(grids=attention.add_coordinates(w.grids)) for w in worlds)
        decoder = train(name, worlds[0], captions, len(vocabulary), seed)
        found[name] = score_decoder(decoder, worlds[1], vocabulary, beam=1)
        pairs = score_decoder(decoder, worlds[2], vocabulary, beam=1)
        found[name]["exact, unseen pairs"] = pairs["exact"]
        if name == "soft attention":
            found[f"{name}, beam of 3"] = score_decoder(decoder, new, vocabulary, beam=3)
    scores = {f"{name}: {key}": v for name, some in found.items() for key, v in some.items()}
    return scores | bounds_of_pointing(new)


def shipped() -> dict[str, float]:
    """Return the scores of the weights that ship with ``mmlib``, on scenes of another seed."""
    decoder, vocabulary, _ = attention.load_shipped()
    new = make_world(TEST, 1, split="train", each=10)
    found = score_decoder(decoder, new, vocabulary, beam=1)
    return {f"soft attention: {key}": value for key, value in found.items()}
