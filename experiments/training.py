"""A network that is made and trained from one seed, as most scores need it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmlib.data.batches import Batches
from mmlib.runtime import make_generator
from mmlib.training import fit, warm_then_cool


def trained(
    make: Callable[[], nn.Module],
    data: tuple[Tensor, ...],
    loss: Callable,
    *,
    seed: int,
    batch_size: int,
    **options,
) -> nn.Module:
    """Return what ``make`` makes, trained on ``data``; ``seed`` draws weights and order.

    Args:
        options: of ``fit``, such as ``epochs`` and ``learning_rate``.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
    batches = Batches(data, batch_size=batch_size, generator=make_generator(seed))
    order = make_generator(seed)
    fit(model, batches, loss, generator=order, schedule=warm_then_cool, progress=False, **options)
    return model
