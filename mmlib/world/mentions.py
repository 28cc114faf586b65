"""What a caption names, and how one may begin: ground truth for where a captioner looks.

``find_mentions`` finds the pixels that a caption's nouns mean, ``relation_openings`` the beginnings
such as *a red bird is* that ask how one object stands to another.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.world import pictures
from mmlib.world.scenes import COLOURS, Scenes, related
from mmlib.world.words import canonical, with_article


class Mentions(NamedTuple):
    """The words in some captions that name an object which is there."""

    caption: Tensor  # (mentions,) which caption
    position: Tensor  # (mentions,) which word of it
    masks: Tensor  # bool (mentions, size, size): where the objects are that it may mean


def find_mentions(sentences: Iterable[Sequence[str]], scenes: Scenes) -> Mentions:
    """Find the nouns of captions, lists of words, and the masks of what they may mean.

    A noun may mean every object of its category and, if a colour stands before it, of that colour.
    One for which nothing is there has no right position to look at, and is left out.

    Raises:
        ValueError: there are not as many captions as scenes, or no noun is right.
    """
    sentences = list(sentences)
    if len(sentences) != len(scenes):
        raise ValueError(f"there are {len(sentences)} captions and {len(scenes)} scenes: one each")
    masks, found = pictures.masks(scenes), []
    for row, (sentence, objects) in enumerate(zip(sentences, scenes.objects(), strict=True)):
        for position, word in enumerate(sentence):
            category, before = canonical(word), sentence[position - 1] if position else None
            colour = before if before in COLOURS else None
            slots = [
                t.slot for t in objects if t.category == category and colour in (None, t.colour)
            ]
            if slots:
                found.append((row, position, masks[row, slots].any(dim=0)))
    if not found:
        raise ValueError("no caption names an object that is there: nothing can be pointed at")
    rows, positions, shown = zip(*found, strict=True)
    return Mentions(torch.tensor(rows), torch.tensor(positions), torch.stack(shown))


def relation_openings(scenes: Scenes) -> tuple[Tensor, list[list[str]]]:
    """Return beginnings such as *a red bird is*, which ask how that object stands to another.

    ``captioning.greedy(..., begin=...)`` lets a decoder go on from there.

    There is one for each object that its colour and category single out and that stands in a
    relation.

    Returns:
        the scene of each, int64 (openings,), and the openings, lists of words.
    """
    rows, openings = [], []
    for row, (objects, facts) in enumerate(zip(scenes.objects(), related(scenes), strict=True)):
        alike = Counter((obj.colour, obj.category) for obj in objects)
        first = {one for one, _, _ in facts}
        for obj in objects:
            if alike[obj.colour, obj.category] == 1 and obj.slot in first:
                rows.append(row)
                openings.append([*with_article(obj.colour).split(), obj.category, "is"])
    return torch.tensor(rows, dtype=torch.int64), openings
