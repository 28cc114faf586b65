"""A shared space for pictures and captions: retrieval both ways, tags, analogies, on new scenes.

All systems but the last two learn from the same pictures, through the same frozen image encoder,
and the same frozen word vectors, for as many steps. Training captions never use the words of
``UNSEEN``; the word vectors know them from plain text.
"""

import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.nn.functional import normalize

from mmlib import metrics
from mmlib.data.batches import Batches
from mmlib.data.standardise import Standardise
from mmlib.foundations.modalities import fit_cca
from mmlib.foundations.pretraining import load_image_encoder
from mmlib.runtime import make_generator
from mmlib.training import fit, warm_then_cool
from mmlib.vision_text import visual_semantic as vs
from mmlib.vision_text import word2vec
from mmlib.world import words

TITLE = "A shared space: hinge losses, InfoNCE, a GRU, CLIP from scratch"
TRAIN, TEST, SINGLE, BATCH = 3000, 1000, 2000, 128  # scenes; SINGLE have one object
UNSEEN = ("songbird", "ship", "automobile", "alarm", "hound", "toad", "trumpet")
STEPS = {
    "shuffled pairs": 500,
    "hinge, sum": 2000,
    "hinge, hardest": 2000,
    "InfoNCE": 2000,
    "InfoNCE, GRU": 600,
    "CLIP from scratch": 300,
}
SYSTEMS = ("chance", "CCA", *STEPS, "ceiling")


def run(seed: int) -> dict[str, float]:
    """Return R@1 both ways, the median rank, mean average precision of tags, share of analogies."""
    encoder, generator = load_image_encoder(), make_generator(6000 + seed)
    forms = ("inventory", "activity")
    training = vs.make_pairs(TRAIN, encoder, generator=generator, per_scene=5, forms=forms)
    test = vs.make_pairs(TEST, encoder, generator=generator)
    single = vs.make_pairs(SINGLE, encoder, generator=generator, objects=(1, 1))
    config = word2vec.Word2VecConfig(dim=50, epochs=30, min_count=3, subsample=1e-2)
    text = words.corpus(2000, generator=generator)
    vectors = word2vec.train_in_blocks(text, config, generator=generator)
    said = [vs.avoid_words(c, UNSEEN) for captions in training.captions for c in captions]
    texts = vs.encode_texts(said, vectors).unflatten(0, (TRAIN, -1))
    over = Standardise.over(training.features)
    true = vs.true_of([c for (c,) in test.captions], test.scenes)
    scores = {
        "ceiling: picture → text": float((1 / true.sum(dim=1)).mean()),
        "ceiling: text → picture": float((1 / true.sum(dim=0)).mean()),
    }
    scores |= {f"chance: {way}": 1 / TEST for way in WAYS}
    scores |= {"chance: median rank": (TEST + 1) / 2}
    scores |= {"chance: tags mAP": float(vs.tag_labels(test.scenes).double().mean())}
    scores |= cca_scores(training.features, texts, test, vectors, over)
    for name, steps in STEPS.items():
        images, captions = training.features, texts
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            kind = "GRU" if "GRU" in name else "mean"
            model = vs.VisualSemantic(vectors, over, text=kind)
            if "CLIP" in name:
                model, images = vs.Clip(len(vectors) + 1), training.pictures
        if name == "shuffled pairs":
            captions = texts[torch.randperm(TRAIN, generator=generator)]
        loss = vs.LOSSES.get(name, vs.info_nce)
        fit(
            model,
            Batches((images, captions), batch_size=BATCH, generator=make_generator(seed)),
            vs.clip_loss if "CLIP" in name else vs.pair_loss(loss),
            generator=make_generator(seed),
            steps=steps,
            learning_rate=2e-3,
            schedule=warm_then_cool,
            progress=False,
        )
        scores |= measure(name, model, test, single, vectors)
    return scores


WAYS = ("picture → text", "text → picture")  # R@1


def retrieval(name: str, similarity: Tensor) -> dict[str, float]:
    """Return R@1 both ways and the mean of the two median ranks."""
    ranks = vs.ranks_both_ways(similarity)
    found = {
        f"{name}: {w}": metrics.recall_at(r, 1).value for w, r in zip(WAYS, ranks, strict=True)
    }
    return found | {f"{name}: median rank": sum(map(metrics.median_rank, ranks)) / 2}


def cca_scores(features, texts, test, vectors, over) -> dict[str, float]:
    """Return the retrieval scores of canonical correlation of features and mean word vectors."""
    embed = vs.VisualSemantic(vectors, over).embed

    def mean(texts: Tensor) -> Tensor:
        return embed(texts).sum(-2) / (texts != 0).sum(-1, keepdim=True)

    found = fit_cca(over(features), mean(texts).mean(dim=1), dim=20, penalty=1e-2)
    said = mean(vs.encode_texts([vs.avoid_words(c, UNSEEN) for (c,) in test.captions], vectors))
    images = normalize((over(test.features).double() - found.mean_x) @ found.a, dim=1)
    return retrieval("CCA", images @ normalize((said.double() - found.mean_y) @ found.b, dim=1).T)


def measure(name: str, model: nn.Module, test, single, vectors) -> dict[str, float]:
    """Return all scores of a trained system."""
    seen, alone = (
        pairs.pictures if isinstance(model, vs.Clip) else pairs.features for pairs in (test, single)
    )

    def embed(texts: list[str], images: Tensor = seen[:1]) -> tuple[Tensor, Tensor]:
        return vs.embeddings(model, images, vs.encode_texts(texts, vectors))

    said = [vs.avoid_words(c, UNSEEN) for (c,) in test.captions]
    images, captions = embed(said, seen)
    scores = retrieval(name, images @ captions.T)
    labels = vs.tag_labels(test.scenes)
    tags = torch.cat([centred(embed(list(names))[1]) for names in vs.CHANGES.values()])
    found = average_precision_score(labels, images @ tags.T, average="macro")
    scores[f"{name}: tags mAP"] = float(found)
    of = [vs.TAGS.index(words.canonical(word)) for word in UNSEEN]
    unseen = images @ centred(embed(list(UNSEEN))[1]).T
    found = average_precision_score(labels[:, of], unseen, average="macro")
    scores[f"{name}: unseen words mAP"] = float(found)
    hits = []
    for change in vs.CHANGES:
        asked = vs.make_analogies(single.scenes, change, generator=make_generator(0))
        pictures, minus = embed(asked.minus, alone)
        query = pictures[asked.source] - minus + embed(asked.plus)[1]
        nearest = vs.nearest_pictures(query, pictures, asked.source)
        hits.append(asked.right.gather(1, nearest[:, None])[:, 0])
    scores[f"{name}: analogies"] = float(torch.cat(hits).double().mean())
    return scores


def centred(vectors: Tensor) -> Tensor:
    """Return the vectors of alternatives without what they have in common."""
    return vectors - vectors.mean(dim=0)
