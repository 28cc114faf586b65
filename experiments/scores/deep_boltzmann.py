"""Tags of a picture and pictures of a tag, with all given tags, with half of them, with none.

All systems learn from the same pictures with tags as people give them, and are tested on new ones
against the true labels. Linear map and MLP see the features only, so their three numbers agree.
"""

import copy

import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from mmlib.data.batches import Batches
from mmlib.data.standardise import Standardise
from mmlib.foundations.modalities import fit_ridge
from mmlib.foundations.pretraining import load_image_encoder
from mmlib.runtime import make_generator
from mmlib.training import fit, predict
from mmlib.vision_text import deep_boltzmann as db

TITLE = "Image tagging: mean average precision with tags missing"
TRAIN, TEST, GIBBS = 4000, 1000, 200  # pictures, pictures, steps
SYSTEMS = (
    "chance",
    "tag frequency",
    "tag DBM",
    "image DBM, linear map",
    "linear map of the features",
    "MLP on the features",
    "multimodal DBM, only pretrained",
    "multimodal DBM, pictures shuffled",
    "multimodal DBM, one pass",
    "multimodal DBM",
)
SIZES = {"image": (256, 256, 128), "tags": (len(db.VOCABULARY), 128, 128)}
KINDS = {"image": db.GaussianRbm, "tags": db.ReplicatedSoftmax}
RATES = {"image": 0.003, "tags": 0.003}


def conditions(given: Tensor, *, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the counts of all given tags, of a random half of them, and of none."""
    half = given * (torch.rand(given.shape, generator=generator) < 0.5)
    return {"all": db.as_counts(given), "half": db.as_counts(half), "none": 0 * given}


def train(data: dict[str, Tensor], *, seed: int) -> tuple[db.Dbm, db.Dbm]:
    """Return a DBM of these modalities, only pretrained, and trained together."""
    generator = make_generator(seed)
    dbm = db.build(
        [KINDS[name] for name in data],
        [SIZES[name] for name in data],
        joint=256,
        generator=generator,
    )
    layers, rates = list(data.values()), [*(RATES[name] for name in data), 0.02]
    db.pretrain(dbm, layers, epochs=40, learning_rates=rates, generator=generator)
    first = copy.deepcopy(dbm)
    db.train_dbm(dbm, layers, epochs=24, generator=generator)
    return first, dbm


def train_mlp(features: Tensor, tags: Tensor, *, seed: int) -> nn.Module:
    """Return a network of one hidden layer, trained on the given tags."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Linear(features.shape[1], 256), nn.ReLU(), nn.Linear(256, tags.shape[1])
    mlp = nn.Sequential(*layers)
    fit(
        mlp,
        Batches((features, tags), batch_size=128, generator=make_generator(seed)),
        lambda model, batch: binary_cross_entropy_with_logits(model(batch[0]), batch[1]),
        generator=make_generator(seed),
        steps=1000,
        optimizer=torch.optim.AdamW(mlp.parameters(), lr=2e-3, weight_decay=1.0),
        progress=False,
    )
    return mlp


def run(seed: int) -> dict[str, float]:
    """Return the mean average precision by "system: what, how many tags are known"."""
    encoder, generator = load_image_encoder(), make_generator(5000 + seed)
    training = db.make_tagged_pictures(TRAIN, encoder, generator=generator)
    test = db.make_tagged_pictures(TEST, encoder, generator=generator)
    tagged = training.given.sum(dim=1) > 0
    over = Standardise.over(training.features)
    x, given, new = over(training.features)[tagged], training.given[tagged], over(test.features)
    known = conditions(test.given, generator=generator)
    scores: dict[str, float] = {}

    def score(system: str, name: str, found: Tensor) -> None:
        found = found[:, : len(db.LABELS)].double()
        for what, average in (("tags", "samples"), ("pictures", "macro")):
            value = average_precision_score(test.true, found, average=average)
            scores[f"{system}: {what}, {name}"] = float(value)

    frequency = given.mean(dim=0).expand(TEST, -1)
    linear = fit_ridge(x, given, penalty=100)
    found = {
        "chance": torch.rand(test.given.shape, generator=generator),
        "tag frequency": frequency,
        "linear map of the features": linear.predict(new),
        "MLP on the features": predict(
            train_mlp(x, given, seed=seed), Batches(new, batch_size=500), lambda m, b: m(b)
        ),
    }
    _, image = train({"image": x}, seed=seed)
    hidden = [torch.cat([*s.h1, *s.h2, s.h3], 1) for s in map(image.mean_field, ([x], [new]))]
    found["image DBM, linear map"] = fit_ridge(hidden[0], given, penalty=100).predict(hidden[1])
    for system, values in found.items():
        for name in known:
            score(system, name, values)

    counts = db.as_counts(given)
    _, tags = train({"tags": counts}, seed=seed)
    first, both = train({"image": x, "tags": counts}, seed=seed)
    options = {"steps": GIBBS, "generator": generator}
    for name, some in known.items():
        alone = tags.means(tags.mean_field([some]))[0]
        score("tag DBM", name, torch.where(some.sum(1, keepdim=True) > 0, alone, frequency))
        score("multimodal DBM", name, db.tag_probabilities(both, new, some, **options))
        if name != "none":
            shuffled = db.tag_probabilities(both, new.roll(1, dims=0), some, **options)
            score("multimodal DBM, pictures shuffled", name, shuffled)
        one = db.tag_probabilities(first, new, some, steps=0, generator=generator)
        score("multimodal DBM, only pretrained", name, one)
    one = db.tag_probabilities(both, new, known["none"], steps=0, generator=generator)
    score("multimodal DBM, one pass", "none", one)
    return scores
