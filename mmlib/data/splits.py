"""Fair splits: what was cut from one recording, or said by one speaker, stays on one side.

A classifier that has heard one part of a recording knows the microphone and the room of the other
part, and a random split would count that as skill.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor


def split_by_source(
    sources: Sequence[Hashable],
    labels: Sequence[Hashable],
    *,
    test_fraction: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Draw a training and a test part, stratified by label, no source on both sides.

    Of the sources of each label about ``test_fraction`` go to the test part, at least one and
    never all. The only source of a label stays in the training part: nothing can be learnt about
    a label that is only tested. (scikit-learn's ``StratifiedGroupKFold`` promises neither.)

    Args:
        sources: for each item, the recording or speaker it comes from.
        labels: for each item, its class. A source with several labels is stratified by their set.
        test_fraction: of the sources, between 0 and 1.
        generator: decides which sources are tested.

    Returns:
        indices of the training items and of the test items, ascending.

    Raises:
        ValueError: the lengths differ, there is nothing to split, the fraction is not inside
            (0, 1), or every label has only one source.
    """
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction is {test_fraction}, it must lie between 0 and 1")
    tested: set[Hashable] = set()
    for group in _shuffled_strata(sources, labels, generator):
        wanted = max(1, round(test_fraction * len(group)))
        tested.update(group[: min(wanted, len(group) - 1)])
    if not tested:
        raise ValueError("every label has one source only: nothing can be held out by source")
    is_test = torch.tensor([source in tested for source in sources])
    return (~is_test).nonzero().squeeze(1), is_test.nonzero().squeeze(1)


def folds_by_source(
    sources: Sequence[Hashable],
    labels: Sequence[Hashable],
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
        labels: for each item, its class.
        folds: how many, 2 or more.
        generator: decides which source goes where.

    Returns:
        the fold of each item, int64 (items,), 0 to ``folds`` - 1.

    Raises:
        ValueError: the lengths differ, or there are fewer sources than folds.
    """
    if not 2 <= folds <= len(set(sources)):
        raise ValueError(
            f"folds is {folds}; it must be 2 or more and at most {len(set(sources))}, "
            "the number of sources"
        )
    fold_of: dict[Hashable, int] = {}
    for group in _shuffled_strata(sources, labels, generator):
        for source in group:
            fold_of[source] = len(fold_of) % folds
    return torch.tensor([fold_of[source] for source in sources])


def _shuffled_strata(
    sources: Sequence[Hashable], labels: Sequence[Hashable], generator: torch.Generator
) -> list[list[Hashable]]:
    """Return the sources in shuffled order, those with the same set of labels together."""
    if len(sources) != len(labels) or len(sources) == 0:
        raise ValueError(
            f"there are {len(sources)} sources and {len(labels)} labels: "
            "each item needs one of both, and one item is the least"
        )
    labels_of: dict[Hashable, set[Hashable]] = defaultdict(set)
    for source, label in zip(sources, labels, strict=True):
        labels_of[source].add(label)
    strata: dict[frozenset[Hashable], list[Hashable]] = defaultdict(list)
    for source, its_labels in labels_of.items():
        strata[frozenset(its_labels)].append(source)
    return [
        [group[i] for i in torch.randperm(len(group), generator=generator)]
        for group in strata.values()
    ]
