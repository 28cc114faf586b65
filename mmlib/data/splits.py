"""Fair splits: what was cut from one recording, or said by one speaker, stays on one side.

A classifier that has heard one part of a recording knows the microphone and the room of the other
part, and a random split would count that as skill.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable

import torch
from torch import Tensor

from mmlib.shapes import check_whole


def folds_by_source(
    sources: Iterable[Hashable],
    labels: Iterable[Hashable],
    *,
    folds: int,
    generator: torch.Generator,
) -> Tensor:
    """Deal the items to ``folds`` folds for cross-validation, no source in two of them.

    The sources of each label are dealt out in turn, so that every fold gets its share of each.
    An only source of a label is tested without ever having been trained on: that is an error
    that no model can avoid.

    Args:
        sources: for each item, the recording or speaker it comes from.
        labels: for each item, its class. A source with several labels is dealt by their set.
        folds: how many, 2 or more.
        generator: decides which source goes where.

    Returns:
        the fold of each item, int64 (items,), 0 to ``folds`` - 1.

    Raises:
        ValueError: the lengths differ, there is nothing to split, or there are fewer sources than
            folds.
    """
    sources, labels = list(sources), list(labels)
    if len(sources) != len(labels) or not sources:
        raise ValueError(
            f"there are {len(sources)} sources and {len(labels)} labels: "
            "each item needs one of both, and one item is the least"
        )
    if not 2 <= check_whole(folds, name="folds") <= len(set(sources)):
        raise ValueError(
            f"folds is {folds}; it must be 2 or more and at most {len(set(sources))}, "
            "the number of sources"
        )
    labels_of: dict[Hashable, set[Hashable]] = defaultdict(set)
    for source, label in zip(sources, labels, strict=True):
        labels_of[source].add(label)
    strata: dict[frozenset[Hashable], list[Hashable]] = defaultdict(list)
    for source, its_labels in labels_of.items():
        strata[frozenset(its_labels)].append(source)
    fold_of: dict[Hashable, int] = {}
    for group in strata.values():
        for place in torch.randperm(len(group), generator=generator).tolist():
            fold_of[group[place]] = len(fold_of) % folds
    return torch.tensor([fold_of[source] for source in sources])
