"""Captions with and without attention, on new scenes of one to three objects.

All decoders learn from the same captions of the same scenes, with as many steps and batches of the
same size, and read the grids of the same frozen eye. What they say begins with "you can see", which
asks for an inventory: it is exact if all in it is true and nothing is left out. For relations it
begins with "a red bird is". Words are chosen greedily; the decoder that attends is also asked for
the best of a beam of three.
"""

from collections import Counter
from collections.abc import Callable
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
from mmlib.data.vocabulary import Vocabulary
from mmlib.foundations.pretraining import encode, load_image_encoder
from mmlib.runtime import make_generator
from mmlib.text_metrics import bleu
from mmlib.training import fit
from mmlib.vision_text import attention
from mmlib.vision_text.attention import AttentionConfig, AttentionDecoder
from mmlib.vision_text.captioning import ShowAndTell, beam_search, caption_loss
from mmlib.world import mentions, pictures, sampling, words
from mmlib.world.reading import check_captions, parse
from mmlib.world.scenes import Scenes

TITLE = "Captions: Show and Tell, and a decoder that attends"
SYSTEMS = (
    "most frequent caption",
    "nearest picture's caption",
    "Show and Tell",
    "attention, beam of 3",
    "attention",
    "uniform map",
    "ideal map",
)
FORMS = ("inventory", "relation")
TRAIN, TEST = 6000, 600  # scenes, as many as in the chapter
STEPS, BATCH, POOL = 1600, 32, 20  # captions a batch; batches whose captions are dealt by length
RATES = {ShowAndTell: 3e-3, AttentionDecoder: 7e-3}  # each the best of a few that were tried


class World(NamedTuple):
    """Scenes, what the eye sees of them, and captions, lists of words."""

    scenes: Scenes
    grids: Tensor
    captions: list[list[list[str]]]


class Worlds(NamedTuple):
    """What to learn from, and what to be tested on."""

    seen: World
    new: World  # new scenes
    unseen: World  # scenes of colour-kind pairs that nobody learned from


def make_world(count: int, seed: int, *, split: str, forms: tuple[str, ...], each: int) -> World:
    """Draw scenes of one to three objects, encode them and write several captions for each."""
    generator = make_generator(seed)
    scenes = sampling.sample_scenes(count, generator=generator, slots=3, split=split)
    grids = encode(load_image_encoder(), pictures.draw(scenes, generator=generator))
    told = words.captions(
        scenes, per_scene=each, generator=generator, forms=forms, left_to_right=True
    )
    return World(scenes, grids, [[sentence.split() for sentence in five] for five in told])


def make_worlds(seed: int) -> Worlds:
    """Make all that one seed needs."""
    first = 1000 * (seed + 1)
    return Worlds(
        make_world(TRAIN, first, split="train", forms=FORMS, each=5),
        make_world(TEST, first + 1, split="train", forms=FORMS[:1], each=10),
        make_world(TEST // 2, first + 2, split="held out", forms=FORMS[:1], each=10),
    )


def train(model: nn.Module, world: World, vocabulary: Vocabulary, seed: int) -> None:
    """Train a decoder on the captions of a world."""
    captions = encode_captions([c for each in world.captions for c in each], vocabulary)
    owner = torch.arange(len(world.scenes)).repeat_interleave(len(world.captions[0]))
    fit(
        model,
        CaptionBatches(
            world.grids,
            captions,
            owner,
            batch_size=BATCH,
            pool=POOL,
            generator=make_generator(seed),
        ),
        caption_loss,
        generator=make_generator(seed),
        steps=STEPS,
        optimizer=torch.optim.Adam(
            model.parameters(), lr=RATES[type(model)], betas=(0.9, 0.97), fused=True
        ),
        schedule=lambda done: min(1, 20 * done + 0.05) * (1 - done),
        progress=False,
    )
    model.eval()


def inventories(model: nn.Module, world: World, vocabulary: Vocabulary, *, beam: int = 1) -> Tensor:
    """Return what a decoder says of each scene when asked for all that is there."""
    begin = vocabulary.encode(["you", "can", "see"]).expand(len(world.scenes), 3)
    return beam_search(model, world.grids, beam=beam, begin=begin).words


def score_sentences(sentences: list[list[str]], world: World) -> dict[str, float]:
    """Return how true the captions are, overall and where several objects are, and BLEU-4."""
    exact = check_captions(sentences, world.scenes).exact.double()
    several = world.scenes.present.sum(dim=1) >= 2
    return {
        "exact": float(exact.mean()),
        "exact, 2 or 3 objects": float(exact[several].mean()),
        "BLEU-4": bleu(sentences, world.captions)[3],
    }


def score_relations(
    model: nn.Module, world: World, vocabulary: Vocabulary, *, beam: int = 1
) -> float:
    """Return the share of true relation words in sentences begun with "a red bird is"."""
    rows, openings = mentions.relation_openings(world.scenes)
    begun = encode_captions(openings, vocabulary)[:, 1:-1]
    told = beam_search(model, world.grids[rows], beam=beam, begin=begun)
    found = check_captions(decode_captions(told.words, vocabulary), world.scenes[rows])
    return found.precision("relation")


def without_learning(train: World, test: World) -> dict[str, list[list[str]]]:
    """Return the captions of two systems that only repeat inventories that they have read."""
    lists = [[c for c in each if parse(c).form == "inventory"] for each in train.captions]
    often = Counter(tuple(c) for each in lists for c in each).most_common(1)[0][0]
    theirs, mine = (normalize(w.grids.mean(dim=(2, 3)), dim=1) for w in (train, test))
    nearest = (mine @ theirs.T).argmax(dim=1).tolist()
    return {
        "most frequent caption": [list(often)] * len(test.scenes),
        "nearest picture's caption": [(lists[r] or train.captions[r])[0] for r in nearest],
    }


DECODERS: dict[str, Callable[[int], nn.Module]] = {  # each made from the size of the vocabulary
    "Show and Tell": ShowAndTell,
    "attention": lambda size: AttentionDecoder(AttentionConfig(size)),
}


def run(seed: int) -> dict[str, float]:
    """Return scores by "system: column"."""
    worlds = make_worlds(seed)
    scores = {}
    for name, sentences in without_learning(worlds.seen, worlds.new).items():
        scores |= {f"{name}: {k}": v for k, v in score_sentences(sentences, worlds.new).items()}
    return scores | compare(DECODERS, worlds, seed) | yardsticks(worlds.new)


def compare(
    makers: dict[str, Callable[[int], nn.Module]], worlds: Worlds, seed: int
) -> dict[str, float]:
    """Train decoders and return their scores by "name: column"."""
    vocabulary = caption_vocabulary([c for each in worlds.seen.captions for c in each])
    scores = {}
    for name, make in makers.items():
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = make(len(vocabulary))
        train(model, worlds.seen, vocabulary, seed)
        found = score_decoder(model, worlds.new, vocabulary)
        if name == "attention":
            wide = score_decoder(model, worlds.new, vocabulary, beam=3)
            scores |= {f"attention, beam of 3: {column}": value for column, value in wide.items()}
        told = decode_captions(inventories(model, worlds.unseen, vocabulary), vocabulary)
        found["exact, unseen pairs"] = score_sentences(told, worlds.unseen)["exact"]
        scores |= {f"{name}: {column}": value for column, value in found.items()}
    return scores


def score_decoder(
    model: nn.Module, world: World, vocabulary: Vocabulary, *, beam: int = 1
) -> dict[str, float]:
    """Return all scores of a decoder on one world; pointing only where there are maps."""
    told = inventories(model, world, vocabulary, beam=beam)
    sentences = decode_captions(told, vocabulary)
    found = score_sentences(sentences, world)
    found["relation"] = score_relations(model, world, vocabulary, beam=beam)
    if isinstance(model, AttentionDecoder):
        named = mentions.find_mentions(sentences, world.scenes)
        maps = attention.attention_maps(model, world.grids, told)[named.caption, named.position]
        found["pointing"] = float(attention.points_at(maps, named.masks).double().mean())
    return found


def yardsticks(world: World) -> dict[str, float]:
    """Return how often a random pixel, and an ideal map, would point at what a caption names."""
    named = mentions.find_mentions([each[0] for each in world.captions], world.scenes)
    best = attention.ideal_maps(named.masks, rows=8, columns=8)
    return {
        "uniform map: pointing": float(named.masks.double().mean()),
        "ideal map: pointing": float(attention.points_at(best, named.masks).double().mean()),
    }
