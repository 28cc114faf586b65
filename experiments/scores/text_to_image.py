"""What four GANs draw for sentences about new scenes, scored by a classifier trained apart.

All learn from the same pictures with the same frozen sentence encoder, batches and steps. Two
baselines show training pictures: any, and the one whose sentence is most like the one asked for.
"""

import torch
from torch import Tensor, nn

from mmlib.data.vocabulary import Vocabulary
from mmlib.foundations.pretraining import extract_features, load_image_encoder
from mmlib.runtime import make_generator
from mmlib.vision_text import text_to_image as t2i
from mmlib.world import close_ups

TITLE = "Text to image: GAN, GAN-CLS, GAN-INT, GAN-INT-CLS"
TRAIN, TEST, UNSEEN, DRAWS = 4000, 1000, 500, 6
STEPS = 600  # of either network
GANS = {
    "GAN": {"matching": False, "interpolation": False},
    "GAN-INT": {"matching": False, "interpolation": True},
    "GAN-CLS": {"matching": True, "interpolation": False},
    "GAN-INT-CLS": {"matching": True, "interpolation": True},
}
SYSTEMS = ("any training picture", "picture of the nearest sentence", *GANS, "real pictures")


def run(seed: int) -> dict[str, float]:
    """Train and measure all systems with one seed."""
    generator = make_generator(5000 + seed)
    training = close_ups.make_close_ups(TRAIN, generator=generator)
    vocabulary, sentences = t2i.encode_sentences(training)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = t2i.fit_encoder(
            extract_features(load_image_encoder(), training.pictures),
            sentences,
            training.scenes,
            len(vocabulary),
            generator=generator,
        )
    test = Test(encoder, vocabulary, generator)
    scores = {}
    known = t2i.embed(encoder, sentences)[:, 0]
    orders = {
        "any training picture": [torch.randint(TRAIN, (len(h),)) for h in test.embeddings],
        "picture of the nearest sentence": [
            torch.cdist(h, known).argmin(dim=1) for h in test.embeddings
        ],
    }
    for name, order in orders.items():
        scores |= test.measure(name, *(training.pictures[rows] for rows in order))
    for name, options in GANS.items():
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            gan = t2i.TextGan(**options)
        h = t2i.embed(encoder, sentences)
        t2i.fit_gan(gan, training.pictures, h, generator=make_generator(seed), steps=STEPS)
        scores |= test.measure_gan(name, gan)
    return scores | test.measure_real()


def shipped() -> dict[str, float]:
    """Return the scores of the weights of the longer training, on scenes of their own."""
    encoder, gan, facts = t2i.load_shipped()
    vocabulary = t2i.known_vocabulary(facts)
    return Test(encoder, vocabulary, make_generator(5999)).measure_gan("GAN-CLS", gan)


class Test:
    """New scenes, of pairs seen in training and of unseen ones, and what is measured on them."""

    def __init__(
        self, encoder: nn.Module, vocabulary: Vocabulary, generator: torch.Generator
    ) -> None:
        self.classifier, self.image_encoder = t2i.load_classifier(), load_image_encoder()
        self.data, self.embeddings = [], []
        for count, split in ((TEST, "train"), (UNSEEN, "held out")):
            self.data.append(close_ups.make_close_ups(count, generator=generator, split=split))
            _, rows = t2i.encode_sentences(self.data[-1], vocabulary)
            self.embeddings.append(t2i.embed(encoder, rows[:, 0]))
        again = self.data[0].scenes[torch.arange(50).repeat_interleave(DRAWS)]
        drawn = close_ups.photograph(close_ups.restyle(again, generator=generator))
        self.spread = t2i.diversity(drawn.unflatten(0, (50, DRAWS))).mean()
        self.generator = generator

    def measure(self, name: str, seen: Tensor, unseen: Tensor) -> dict[str, float]:
        """Return attributes found, those of unseen pairs, and the Fréchet distance."""
        hits = [
            t2i.attribute_hits(self.classifier, drawn, close_ups.attributes(data.scenes))
            for drawn, data in zip((seen, unseen), self.data, strict=True)
        ]
        shares = dict(zip(close_ups.ATTRIBUTES, hits[0].double().mean(dim=0).tolist(), strict=True))
        shares["all four"] = float(hits[0].all(dim=1).double().mean())
        shares["unseen pairs: category and colour"] = float(hits[1][:, :2].all(1).double().mean())
        features = (self.features(pictures) for pictures in (seen, self.data[0].pictures))
        shares["Fréchet distance"] = t2i.frechet_distance(*features)
        return {f"{name}: {measure.replace(': ', ', ')}": x for measure, x in shares.items()}

    def features(self, pictures: Tensor) -> Tensor:
        """Return the image encoder's features in the mean over the cells, (items, 128)."""
        return extract_features(self.image_encoder, pictures)[:, : self.image_encoder.features]

    def measure_gan(self, name: str, gan: t2i.TextGan) -> dict[str, float]:
        """Measure what a GAN draws, and its diversity: 1 is that of real pictures."""
        seen, unseen = (t2i.generate(gan, h, generator=self.generator) for h in self.embeddings)
        h = self.embeddings[0][:50].repeat_interleave(DRAWS, dim=0)
        again = t2i.generate(gan, h, generator=self.generator).unflatten(0, (50, DRAWS))
        spread = float(t2i.diversity(again).mean() / self.spread)
        return self.measure(name, seen, unseen) | {f"{name}: diversity": spread}

    def measure_real(self) -> dict[str, float]:
        """Measure other real pictures of the same scenes' attributes: the ceiling."""
        fresh = [
            close_ups.photograph(close_ups.restyle(data.scenes, generator=self.generator))
            for data in self.data
        ]
        return self.measure("real pictures", *fresh) | {"real pictures: diversity": 1.0}
