"""The three linear joins on new scenes: translating, matching, referring; and the easy modality."""

import torch
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from mmlib import metrics
from mmlib.foundations import modalities
from mmlib.runtime import make_generator
from mmlib.world import pictures, sampling, words
from mmlib.world.scenes import COLOURS

TITLE = "Linear joins of pictures and tags: translating, matching, referring"
SYSTEMS = (
    "chance",
    "nearest training picture",
    "shuffled pairs",
    "linear map",
    "colours, picture only",
    "colours, tags only",
    "colours, both",
    "colours, both, tags taken away",
    "colours, both, fitted with half the tags missing, tags taken away",
)
TRAIN, TEST, CANDIDATES = slice(0, 2000), slice(2000, 3000), slice(2000, 2200)


def run(seed: int) -> dict[str, float]:
    """Return the scores of all systems: tags mAP, R@1 of 200, pointing, colours mAP."""
    generator = make_generator(100 + seed)
    scenes = sampling.sample_scenes(3000, generator=generator)
    grids = modalities.colour_histograms(pictures.draw(scenes, generator=generator))
    tags = words.true_tags(scenes)
    vocabulary = sorted(set().union(*tags))
    hot = torch.tensor([[float(word in tag) for word in vocabulary] for tag in tags])
    seen = grids.mean(dim=(2, 3))
    linear = modalities.fit_ridge(seen[TRAIN], hot[TRAIN], penalty=0.1)
    nearest = torch.cdist(seen[TEST], seen[TRAIN]).argmin(dim=1)
    order = torch.randperm(2000, generator=generator)
    weights = dict(zip(vocabulary, linear.weight.float().T, strict=True))
    found, chance = pointing(scenes[TEST], grids[TEST], weights)
    scores = {
        "chance: tags mAP": float(hot[TEST].mean()),
        "chance: R@1 of 200": 1 / 200,
        "chance: pointing": chance,
        "nearest training picture: tags mAP": precision(hot[TRAIN][nearest], hot),
        "shuffled pairs: R@1 of 200": matching(seen, hot, order),
        "linear map: tags mAP": precision(linear.predict(seen[TEST]), hot),
        "linear map: R@1 of 200": matching(seen, hot, torch.arange(2000)),
        "linear map: pointing": found,
    }
    columns = [vocabulary.index(word) for word in COLOURS]
    return scores | bias(scenes, seen, hot[:, columns], seed)


def precision(scores: Tensor, truth: Tensor) -> float:
    """Return the mean over words of the average precision on the test scenes."""
    return float(average_precision_score(truth[TEST], scores, average="macro"))


def matching(seen: Tensor, hot: Tensor, order: Tensor) -> float:
    """Return R@1 of 200 candidates after a canonical correlation analysis of pairs in ``order``."""
    cca = modalities.fit_cca(seen[TRAIN], hot[TRAIN][order], dim=16, penalty=0.01)
    u = normalize(cca.project_x(seen[CANDIDATES]) * cca.correlations, dim=1)
    v = normalize(cca.project_y(hot[CANDIDATES]) * cca.correlations, dim=1)
    return metrics.recall_at(metrics.retrieval_ranks(u @ v.T), 1).value


def pointing(scenes, grids: Tensor, weights: dict[str, Tensor]) -> tuple[float, float]:
    """Return the mean over colours of hits of the map's peak, and of the cells' share."""
    masks, hits, shares = pictures.masks(scenes), [], []
    for number, word in enumerate(COLOURS):
        named = (scenes.colour == number) & scenes.present
        pixels = (masks & named[:, :, None, None]).any(dim=1).float()
        right = (avg_pool2d(pixels[:, None], 8) > 0.1).flatten(1).float()
        peak = modalities.correlation_map(grids, weights[word]).flatten(1).argmax(1, keepdim=True)
        here = named.any(dim=1)
        hits.append(float(right.gather(1, peak)[here].mean()))
        shares.append(float(right[here].mean()))
    return sum(hits) / len(hits), sum(shares) / len(shares)


def bias(scenes, seen: Tensor, colours: Tensor, seed: int) -> dict[str, float]:
    """Return how well colours are found from pictures, tags, both, and when tags are taken away."""
    clean = words.tags(scenes, generator=make_generator(200 + seed), missing=0.0)
    half = words.tags(scenes, generator=make_generator(300 + seed), missing=0.5)
    known = sorted({word for tag in clean for word in tag})
    full, part = (
        torch.tensor([[float(word in tag) for word in known] for tag in given])
        for given in (clean, half)
    )
    nothing = torch.cat([seen, 0 * full], dim=1)
    inputs = {
        "picture only": (seen, seen),
        "tags only": (full, full),
        "both": (torch.cat([seen, full], dim=1),) * 2,
        "both, tags taken away": (torch.cat([seen, full], dim=1), nothing),
        "both, fitted with half the tags missing, tags taken away": (
            torch.cat([seen, part], dim=1),
            nothing,
        ),
    }
    return {
        f"colours, {name}: colours mAP": precision(
            modalities.fit_ridge(x[TRAIN], colours[TRAIN], penalty=0.1).predict(new[TEST]), colours
        )
        for name, (x, new) in inputs.items()
    }
