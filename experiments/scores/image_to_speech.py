"""Image to speech: what a recogniser understands, and what the units are like.

*Recall*: the share of the content words (colour, category, scene class) of 60 new pictures that
PocketSphinx finds in what is said of them. *Purity*: how often a unit's phone is its most frequent
one. *Voices*: the edit distance of the units of the same caption in two voices, as a share of the
longer one's length; lower is better. *Length*: units a caption, runs collapsed.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmlib.data.standardise import Standardise
from mmlib.foundations.pretraining import encode, load_image_encoder, pooled
from mmlib.runtime import make_generator
from mmlib.speech_recogniser import recogniser, word_recall
from mmlib.unit_metrics import edit_distance, purity
from mmlib.vision_audio import image_to_speech as i2s
from mmlib.vision_text.captioning import beam_search
from mmlib.world import pictures, sampling, voices
from mmlib.world.scenes import Scenes
from mmlib.world.short_captions import CAPTION_RULE, content_words, short_captions

TITLE = "Image to speech: content words understood, and the units"
GROUNDED, REBUILT, CLUSTERS = "grounded units", "reconstruction units", "k-means of log-mel"
SYSTEMS = (
    "natural voice, another picture's caption",
    f"{GROUNDED}, another picture",
    f"{GROUNDED}, runs not collapsed",
    CLUSTERS,
    GROUNDED,
    f"{CLUSTERS}, speech to units and back",
    f"{REBUILT}, speech to units and back",
    f"{GROUNDED}, speech to units and back",
    "natural voice",
)
TRAINING, PEOPLE, TEST, OWN = 600, 200, 60, 160  # utterances, speakers, pictures, of two voices
UNIT_STEPS, CAPTION_STEPS, SPEECH_STEPS = 100, 160, 150  # as in the chapter


class Test(NamedTuple):
    """New pictures, what new speakers say of them, and the same said by others."""

    scenes: Scenes
    grids: Tensor
    spoken: i2s.Spoken
    again: i2s.Spoken

    def recall(self, waves: list[Tensor]) -> float:
        """Return the share of content words that PocketSphinx finds in waves."""
        listen = recogniser(CAPTION_RULE)
        truth = content_words(self.scenes)
        return float(word_recall([listen(wave) for wave in waves], truth).mean())


def run(seed: int) -> dict[str, float]:
    """Return the measures by "system: measure"; what a system has not is left out."""
    order = make_generator(9000 + seed)
    scenes, grids = look(TRAINING, order, split="train")
    captions = short_captions(scenes)
    spoken = i2s.speak(captions, voices.speakers(PEOPLE, order), generator=order)
    own = i2s.speak(captions[:OWN], i2s.VOICES, generator=order)
    test, features = new_test(order), pooled(grids)
    over = i2s.standardise_speech(spoken)
    scores = {
        "natural voice: recall": test.recall(test.spoken.waves),
        f"{SYSTEMS[0]}: recall": test.recall(rotated(test.spoken.waves)),
    }
    for name in (CLUSTERS, REBUILT, GROUNDED):
        encoder = train_encoder(name, spoken, features, over, seed)
        scores |= {f"{name}, speech to units and back: {k}": v for k, v in quality(encoder, test)}
        units, voiced = (i2s.extract_units(encoder, each) for each in (spoken, own))
        speech = train_speech(over, [i2s.collapse(row) for row in voiced], own, seed)
        runs = [i2s.collapse(row)[0] for row in i2s.extract_units(encoder, test.spoken)]
        scores[f"{name}, speech to units and back: recall"] = test.recall(say(speech, runs))
        if name == REBUILT:
            continue
        captioner = train_captioner(grids, [i2s.collapse(row)[0] for row in units], seed)
        said = say(speech, describe(captioner, test.grids))
        scores[f"{name}: recall"] = test.recall(said)
    scores[f"{GROUNDED}, another picture: recall"] = test.recall(rotated(said))
    speech = train_speech(over, [(row, torch.ones_like(row)) for row in voiced], own, seed)
    captioner = train_captioner(grids, units, seed)
    said = say(speech, describe(captioner, test.grids, longest=150))
    scores[f"{GROUNDED}, runs not collapsed: recall"] = test.recall(said)
    return scores


def shipped() -> dict[str, float]:
    """Return the same measures of the weights that ship with mmlib."""
    test, (system, _) = new_test(make_generator(9999)), i2s.load_shipped()
    runs = [i2s.collapse(row)[0] for row in i2s.extract_units(system.encoder, test.spoken)]
    said, back = say(system.speech, describe(system.captioner, test.grids)), f"{SYSTEMS[7]}: "
    return {
        f"{GROUNDED}, another picture: recall": test.recall(rotated(said)),
        f"{GROUNDED}: recall": test.recall(said),
        f"{back}recall": test.recall(say(system.speech, runs)),
        **{back + measure: value for measure, value in quality(system.encoder, test)},
    }


def look(count: int, order: torch.Generator, *, split: str) -> tuple[Scenes, Tensor]:
    """Return scenes of one object and the image encoder's grids of their pictures."""
    scenes = sampling.sample_scenes(count, generator=order, slots=1, split=split)
    return scenes, encode(load_image_encoder(), pictures.draw(scenes, generator=order))


def new_test(order: torch.Generator) -> Test:
    """Return pictures of all colour–category pairs and what 40 new speakers say of them."""
    scenes, grids = look(TEST, order, split="all")
    some, others = voices.speakers(20, order), voices.speakers(20, order)
    captions = short_captions(scenes)
    both = (i2s.speak(captions, people, generator=order) for people in (some, others))
    return Test(scenes, grids, *both)


def train_encoder(
    name: str, spoken: i2s.Spoken, features: Tensor, over: Standardise, seed: int
) -> nn.Module:
    """Return an encoder with a codebook, trained as its name says."""
    order = make_generator(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = i2s.LogMelEncoder(over) if name == CLUSTERS else i2s.SpeechEncoder(over)
        if name == GROUNDED:
            model = i2s.Grounded(encoder, Standardise.over(features))
        elif name == REBUILT:
            model = i2s.Reconstructed(encoder)
    if name == CLUSTERS:
        i2s.start_codebook(encoder, spoken, generator=order)
    else:
        i2s.train_units(model, spoken, features, generator=order, steps=UNIT_STEPS, progress=False)
    return encoder


def train_captioner(grids: Tensor, units: list[Tensor], seed: int) -> nn.Module:
    """Return a captioner, trained on grids and units."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = i2s.new_captioner()
    order = make_generator(seed)
    i2s.train_unit_captioner(
        model, grids, units, generator=order, steps=CAPTION_STEPS, progress=False
    )
    return model.eval()


def train_speech(over: Standardise, runs: list, own: i2s.Spoken, seed: int) -> nn.Module:
    """Return a network from units to speech, trained on runs of the two voices."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = i2s.UnitToSpeech(over)
    order = make_generator(seed)
    i2s.train_speech(model, runs, own, generator=order, steps=SPEECH_STEPS, progress=False)
    return model.eval()


def describe(captioner: nn.Module, grids: Tensor, *, longest: int = 110) -> list[Tensor]:
    """Return the units of each picture, by beam search."""
    return i2s.units_of(beam_search(captioner, grids, longest=longest).words)


def say(speech: nn.Module, runs: list[Tensor]) -> list[Tensor]:
    """Return the waves of units in the second voice; of no units, silence."""
    order = make_generator(0)
    return [
        i2s.synthesise(speech, row, voice=1, generator=order) if len(row) > 1 else torch.zeros(8000)
        for row in runs
    ]


def quality(encoder: nn.Module, test: Test) -> list[tuple[str, float]]:
    """Return purity, distance between voices and length of the units."""
    units, again = (i2s.extract_units(encoder, each) for each in (test.spoken, test.again))
    runs, others = ([i2s.collapse(row)[0] for row in each] for each in (units, again))
    away = [edit_distance(*map(Tensor.tolist, both)) for both in zip(runs, others, strict=True)]
    return [
        ("purity", purity(units, test.spoken.phones, seconds=i2s.STEP)),
        ("voices", sum(away) / len(away)),
        ("length", sum(map(len, runs)) / len(runs)),
    ]


def rotated(waves: list[Tensor]) -> list[Tensor]:
    """Return the waves, each moved on to the next picture."""
    return waves[1:] + waves[:1]
