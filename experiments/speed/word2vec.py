"""Word2vec: ``mmlib``'s trainer against gensim and against the loop of the usual tutorial.

All three read the same English corpora with the same settings. Words a second are words of the
raw text times epochs over the whole time from sentences to vectors, as gensim counts them. The
tutorial's loop is so slow that it gets a small part of the text and one epoch, and only its loop
is timed, not its preparation.
"""

import statistics

import gensim.models
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from experiments.record import Table, versions
from experiments.timing import interleave
from mmlib.data.corpora import analogy_questions, english_corpus, word_pairs
from mmlib.data.vocabulary import Vocabulary
from mmlib.data.word_vectors import WordVectors
from mmlib.fast.skipgram import BlockConfig
from mmlib.runtime import make_generator
from mmlib.vision_text.word2vec import (
    Word2VecConfig,
    analogy_hits_by_group,
    keep_probability,
    noise_distribution,
    similarity_score,
    skip_gram_pairs,
    train_in_blocks,
)

TITLE = "Skip-gram vectors from English text"
ROUNDS = 3
CONFIG, BLOCKS = Word2VecConfig(), BlockConfig(threads=2)
WARM_UP = 2_000  # sentences
TUTORIAL = 3_000  # sentences of the tutorial's part of the text
TUTORIAL_BATCH = 1024  # pairs

Sentences = list[list[str]]


def run_ours(sentences: Sentences, seed: int) -> WordVectors:
    return train_in_blocks(sentences, CONFIG, generator=make_generator(seed), blocks=BLOCKS)


def run_gensim(sentences: Sentences, seed: int) -> WordVectors:
    model = gensim.models.Word2Vec(
        sentences,
        sg=1,
        hs=0,
        workers=BLOCKS.threads,
        seed=seed + 1,
        vector_size=CONFIG.dim,
        window=CONFIG.window,
        negative=CONFIG.negatives,
        epochs=CONFIG.epochs,
        alpha=CONFIG.learning_rate,
        sample=CONFIG.subsample,
        min_count=CONFIG.min_count,
    )
    return WordVectors(model.wv.index_to_key, torch.from_numpy(model.wv.vectors))


class Tutorial:
    """Two nn.Embedding, autograd, Adam and a DataLoader of pairs, as tutorials have it."""

    def __init__(self, vocabulary: Vocabulary, sentences: Sentences) -> None:
        """Prepare one epoch's pairs; subsampling and reach are drawn as in word2vec."""
        counts = torch.tensor(vocabulary.counts)
        self.noise = noise_distribution(counts).float()
        keep = keep_probability(counts, threshold=CONFIG.subsample)
        generator = make_generator(0)
        pairs = []
        for words in sentences:
            tokens = vocabulary.encode([word for word in words if word in vocabulary])
            kept = torch.rand(len(tokens), generator=generator) < keep[tokens]
            reach = int(torch.randint(1, CONFIG.window + 1, (), generator=generator))
            pairs += skip_gram_pairs(tokens[kept].tolist(), window=reach)
        self.pairs = TensorDataset(*torch.tensor(pairs).unbind(1))
        self.centres = nn.Embedding(len(vocabulary), CONFIG.dim)
        self.contexts = nn.Embedding(len(vocabulary), CONFIG.dim)

    def run(self, number: int) -> None:
        """Train for one epoch; a warm-up (number 0) only for a few batches."""
        parameters = [*self.centres.parameters(), *self.contexts.parameters()]
        optimiser = torch.optim.Adam(parameters, lr=1e-3)
        loader = DataLoader(self.pairs, batch_size=TUTORIAL_BATCH, shuffle=True)
        for batch, (centre, context) in enumerate(loader):
            if number == 0 and batch == 5:
                return
            shape = (len(centre), CONFIG.negatives)
            negatives = torch.multinomial(self.noise, shape[0] * shape[1], replacement=True)
            v = self.centres(centre).unsqueeze(2)  # (pairs, dim, 1)
            true = (self.contexts(context).unsqueeze(1) @ v).flatten()
            false = (self.contexts(negatives.view(shape)) @ v).flatten(1)
            loss = -(F.logsigmoid(true) + F.logsigmoid(-false).sum(1)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def scores(results: list[WordVectors]) -> dict[str, str]:
    """Return mean ± standard deviation of the three evaluations over the rounds, in percent."""
    questions = analogy_questions()
    found: dict[str, list[float]] = {"wordsim": [], "simlex": [], "analogies": []}
    for vectors in results:
        hits = torch.cat(list(analogy_hits_by_group(vectors, questions).values()))
        found["analogies"].append(100 * float(hits.float().mean()))
        for name, data in (("wordsim", "wordsim353"), ("simlex", "simlex999")):
            found[name].append(100 * similarity_score(vectors, word_pairs(data)))
    return {
        name: f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"
        for name, values in found.items()
    }


def run(rounds: int) -> Table:
    """Train on all corpora; the first round warms up on a small part."""
    sentences = english_corpus()
    words = sum(map(len, sentences))
    vocabulary = Vocabulary.from_sentences(sentences, min_count=CONFIG.min_count)
    part = sentences[:: max(1, len(sentences) // TUTORIAL)]
    tutorial = Tutorial(vocabulary, part)
    runs = interleave(
        {
            "mmlib": lambda number: run_ours(sentences if number else sentences[:WARM_UP], number),
            "gensim": lambda number: run_gensim(
                sentences if number else sentences[:WARM_UP], number
            ),
            "tutorial": tutorial.run,
        },
        rounds=rounds,
    )
    speed = {name: words * CONFIG.epochs / runs[name].median for name in ("mmlib", "gensim")}
    speed["tutorial"] = sum(map(len, part)) / runs["tutorial"].median
    unscored = dict.fromkeys(("wordsim", "simlex", "analogies"))
    labels = {"mmlib": "mmlib", "gensim": "gensim", "tutorial": "nn.Embedding and autograd"}
    return Table(
        columns=[
            {"key": "trainer", "label": "Trainer"},
            {"key": "speed", "label": "Words/s"},
            {"key": "ratio", "label": "mmlib is faster by", "digits": 2},
            {"key": "wordsim", "label": "WordSim-353 (ρ × 100)"},
            {"key": "simlex", "label": "SimLex-999 (ρ × 100)"},
            {"key": "analogies", "label": "Analogies (%)"},
        ],
        rows=[
            {
                "trainer": label,
                "speed": round(speed[name]),
                "ratio": round(speed["mmlib"] / speed[name], 2),
                **(unscored if name == "tutorial" else scores(runs[name].results)),
            }
            for name, label in labels.items()
        ],
        notes=[
            f"{words:,} words, {CONFIG.epochs} epochs.",
            f"Both with {BLOCKS.threads} threads, {CONFIG.dim} values a vector, window "
            f"{CONFIG.window}, {CONFIG.negatives} negatives, words seen {CONFIG.min_count} times "
            f"or more; scores are mean ± standard deviation over {rounds} seeds.",
            f"Seconds of each round: {_seconds(runs, 'mmlib')} (mmlib), "
            f"{_seconds(runs, 'gensim')} (gensim).",
            f"The tutorial's loop ran on {sum(map(len, part)):,} of the words, once.",
            versions("torch", "gensim", "numpy"),
        ],
    )


def _seconds(runs: dict, name: str) -> str:
    return ", ".join(f"{seconds:.1f}" for seconds in runs[name].seconds)
