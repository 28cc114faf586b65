"""What the parts of the attention decoder are worth: the same scores, with one part left out."""

from mmlib.vision_text.attention import AttentionConfig, AttentionDecoder
from scoreboard.attention import compare, make_worlds

TITLE = "Attention, with one part left out"
WITHOUT = {
    "attention": {},
    "without coordinates": {"coordinates": False},
    "without trail": {"trail": 0},
    "one word late, as in the paper": {"hears": False},
}


def run(seed: int) -> dict[str, float]:
    """Return scores by "system: column"."""
    makers = {
        name: lambda size, change=change: AttentionDecoder(AttentionConfig(size, **change))
        for name, change in WITHOUT.items()
    }
    return compare(makers, make_worlds(seed), seed)
