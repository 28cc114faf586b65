"""What a caption names, and how one may begin: ground truth for where a captioner looks.

``find_mentions`` finds the pixels that a caption's nouns mean, ``relation_openings`` the beginnings
such as *a red bird is* that ask how one thing stands to another.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.world import pictures
from mmlib.world.scenes import COLOURS, Scenes, related
from mmlib.world.words import canonical, with_article


class Mentions(NamedTuple):
    """The words in some captions that name a thing which is there."""

    caption: Tensor  # (mentions,) which caption
    place: Tensor  # (mentions,) which word of it
    seen: Tensor  # bool (mentions, size, size): where the things are that it may mean


def find_mentions(sentences: Sequence[Sequence[str]], scenes: Scenes) -> Mentions:
    """Find the nouns of captions, lists of words, and the masks of what they may mean.

    A noun may mean every thing of its kind and, if a colour stands before it, of that colour. One
    for which nothing is there has no right place to look at, and is left out.

    Raises:
        ValueError: there are not as many captions as scenes, or no noun is right.
    """
    if len(sentences) != len(scenes):
        raise ValueError(f"there are {len(sentences)} captions and {len(scenes)} scenes: one each")
    masks, found = pictures.masks(scenes), []
    for row, (sentence, things) in enumerate(zip(sentences, scenes.things(), strict=True)):
        for place, word in enumerate(sentence):
            kind, before = canonical(word), sentence[place - 1] if place else None
            colour = before if before in COLOURS else None
            slots = [t.slot for t in things if t.kind == kind and colour in (None, t.colour)]
            if slots:
                found.append((row, place, masks[row, slots].any(dim=0)))
    if not found:
        raise ValueError("no caption names a thing that is there: nothing can be pointed at")
    rows, places, seen = zip(*found, strict=True)
    return Mentions(torch.tensor(rows), torch.tensor(places), torch.stack(seen))


def relation_openings(scenes: Scenes) -> tuple[Tensor, list[list[str]]]:
    """Return beginnings such as *a red bird is*, which ask how that thing stands to another.

    ``captioning.greedy(..., begin=...)`` lets a decoder go on from there.

    There is one for each thing that its colour and kind single out and that stands in a relation.

    Returns:
        the scene of each, int64 (openings,), and the openings, lists of words.
    """
    rows, openings = [], []
    for row, (things, facts) in enumerate(zip(scenes.things(), related(scenes), strict=True)):
        alike = Counter((thing.colour, thing.kind) for thing in things)
        first = {one for one, _, _ in facts}
        for thing in things:
            if alike[thing.colour, thing.kind] == 1 and thing.slot in first:
                rows.append(row)
                openings.append([*with_article(thing.colour).split(), thing.kind, "is"])
    return torch.tensor(rows, dtype=torch.int64), openings
