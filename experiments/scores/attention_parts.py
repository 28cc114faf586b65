"""What the additions to the paper's decoder are worth: the same scores, with some left out."""

from experiments.scores.attention import compare, make_worlds
from mmlib.vision_text.attention import AttentionConfig, AttentionDecoder

TITLE = "Attention, with parts left out"
WITHOUT = {
    "without self-similarity": {"self_similarity": False},
    "without Bayes' rule": {"traits": 0},
    "without history and coverage": {"history": 0, "coverage": False},
    "as in the paper, without any": {
        "self_similarity": False, "history": 0, "coverage": False, "coordinates": False,
        "last_word_query": False,
    },
}  # fmt: skip
SYSTEMS = tuple(WITHOUT)


def run(seed: int) -> dict[str, float]:
    """Return scores by "system: column"."""
    makers = {
        name: lambda size, change=change: AttentionDecoder(AttentionConfig(size, **change))
        for name, change in WITHOUT.items()
    }
    return compare(makers, make_worlds(seed), seed)
