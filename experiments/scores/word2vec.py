"""Word vectors of the world's text: neighbours and analogies, against counts, part by part."""

from dataclasses import replace
from itertools import pairwise

import torch
from sklearn.decomposition import TruncatedSVD
from torch import Tensor

from mmlib.data.vocabulary import Vocabulary
from mmlib.data.word_vectors import WordVectors, nearest
from mmlib.fast.skipgram import BlockConfig
from mmlib.runtime import make_generator
from mmlib.vision_text import word2vec
from mmlib.vision_text.word2vec import Word2VecConfig
from mmlib.world import words
from mmlib.world.scenes import CATEGORIES, COLOURS, SCENE_CLASSES

TITLE = "Word vectors learned from a thousand sentences"
CONFIG = Word2VecConfig(dim=20, epochs=60, min_count=3, subsample=1e-2)
PARTS = {
    "skip-gram, window 1": {"window": 1},
    "skip-gram, one negative": {"negatives": 1},
    "skip-gram, no subsampling": {"subsample": 0.0},
    "skip-gram, 60 dimensions": {"dim": 60},
}
SYSTEMS = (
    *("random", "counts", "PPMI", "PPMI, SVD to 20", "CBOW", "skip-gram"),
    *PARTS,
    "skip-gram in blocks",
    "skip-gram, 20 times the text",
)


def groups() -> dict[str, list[str]]:
    """Return the groups of words that are alike in kind."""
    singular = [word for category in CATEGORIES for word in words.SYNONYMS[category]]
    return {
        "object": singular,
        "objects": [word + "s" for word in singular],
        "colour": list(COLOURS),
        "scene class": [word for name in SCENE_CLASSES for word in words.SYNONYMS[name]],
        "time": ["day", "daytime", "sunny", "sun", "night", "nighttime", "dark", "moon"],
        "number": ["two", "three", "four"],
        "one does": [verbs[0] for verbs in words.SOUNDS_OF.values()],
        "several do": [verbs[1] for verbs in words.SOUNDS_OF.values()],
        "doing": [verbs[2] for verbs in words.SOUNDS_OF.values()],
    }


def synonyms() -> dict[str, set[str]]:
    """Return the other words for the same, by word."""
    names = [words.SYNONYMS[name] for name in (*CATEGORIES, *SCENE_CLASSES)]
    names += [[word + "s" for word in words.SYNONYMS[name]] for name in CATEGORIES]
    return {word: set(group) - {word} for group in names for word in group if len(group) > 1}


def analogies() -> dict[str, list[tuple[str, str, str, str]]]:
    """Return all questions that two pairs of one relation make."""
    relations = {
        "plural": [(word, word + "s") for word in groups()["object"]],
        "sound": [(name, verbs[0]) for name, verbs in words.SOUNDS_OF.items()],
        "doing": [(verbs[0], verbs[2]) for verbs in words.SOUNDS_OF.values()],
    }
    return {
        name: [(*first, *second) for first in known for second in known if first != second]
        for name, known in relations.items()
    }


def evaluate(vectors: WordVectors) -> dict[str, float]:
    """Return the shares of nearest neighbours and of analogies that are right."""
    group_of = {word: group for group, members in groups().items() for word in members}
    alike = synonyms()
    best = {word: nearest(vectors, word, k=1)[0][0] for word in vectors.words}
    same = [group_of.get(best[w]) == group_of[w] for w in best if w in group_of]
    found = [best[w] in alike[w] for w in best if alike.get(w, set()) & set(best)]
    hits = word2vec.analogy_hits_by_group(vectors, analogies())
    return {
        "same group": sum(same) / len(same),
        "synonym": sum(found) / len(found),
        **{name: float(hit.float().mean()) for name, hit in hits.items()},
    }


def counted(text: list[list[str]], vocabulary: Vocabulary) -> dict[str, Tensor]:
    """Return the tables of the methods that count, (vocab, numbers)."""
    tokens, starts = vocabulary.encode_known(text)
    pairs = []
    for start, end in pairwise(starts.tolist()):
        pairs += word2vec.skip_gram_pairs(tokens[start:end].tolist(), window=CONFIG.window)
    count = torch.zeros(len(vocabulary), len(vocabulary))
    count.index_put_(torch.tensor(pairs).unbind(1), torch.tensor(1.0), accumulate=True)
    by_accident = count.sum(1, keepdim=True) * count.sum(0) / count.sum()
    ppmi = (count / by_accident).log().clamp(min=0)
    reduced = TruncatedSVD(CONFIG.dim, random_state=0).fit_transform(ppmi)
    return {"counts": count, "PPMI": ppmi, "PPMI, SVD to 20": torch.from_numpy(reduced)}


def run(seed: int) -> dict[str, float]:
    """Return the scores of all systems on a new text."""
    text = words.corpus(1000, generator=make_generator(10 + seed))
    vocabulary = Vocabulary.from_sentences(text, min_count=CONFIG.min_count)
    noise = torch.randn(len(vocabulary), CONFIG.dim, generator=make_generator(seed))
    tables = {"random": noise} | counted(text, vocabulary)
    systems = {name: WordVectors(vocabulary.words, table) for name, table in tables.items()}
    systems["CBOW"] = word2vec.train(text, CONFIG, generator=make_generator(seed), cbow=True)
    for name, change in {"skip-gram": {}, **PARTS}.items():
        config = replace(CONFIG, **change)
        systems[name] = word2vec.train(text, config, generator=make_generator(seed))
    one = BlockConfig(threads=1, batch=16)
    systems["skip-gram in blocks"] = word2vec.train_in_blocks(
        text, CONFIG, generator=make_generator(seed), blocks=one
    )
    longer = words.corpus(20_000, generator=make_generator(100 + seed))
    systems["skip-gram, 20 times the text"] = word2vec.train_in_blocks(
        longer, replace(CONFIG, epochs=4), generator=make_generator(seed), blocks=one
    )
    return {
        f"{name}: {measure}": value
        for name, vectors in systems.items()
        for measure, value in evaluate(vectors).items()
    }
