"""Cut tensors into batches, in an order drawn anew each epoch."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor


class Batches:
    """Tensors cut into batches along their first axis, shuffled anew each time they are iterated.

    Args:
        data: a tensor, or a tuple or dict of tensors with equally long first axes. A batch is
            of the same kind.
        batch_size: items a batch; the last one may be smaller.
        generator: draws the order of each epoch; ``None`` keeps the items in order.

    Raises:
        ValueError: no items, unequal numbers of them, or ``batch_size`` below 1.
    """

    def __init__(
        self,
        data: Tensor | tuple[Tensor, ...] | dict[str, Tensor],
        *,
        batch_size: int,
        generator: torch.Generator | None = None,
    ) -> None:
        tensors = {0: data} if isinstance(data, Tensor) else data
        tensors = tensors if isinstance(tensors, dict) else dict(enumerate(tensors))
        sizes = {name: len(tensor) for name, tensor in tensors.items()}
        if len(set(sizes.values())) != 1 or 0 in sizes.values():
            raise ValueError(f"the numbers of items are {sizes}: they must be equal and not 0")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, it must be 1 or more")
        self.data, self.batch_size, self.generator = data, batch_size, generator
        self.items = next(iter(sizes.values()))

    def __len__(self) -> int:
        return math.ceil(self.items / self.batch_size)

    def __iter__(self) -> Iterator[Tensor | tuple[Tensor, ...] | dict[str, Tensor]]:
        order = torch.arange(self.items)
        if self.generator is not None:
            device = self.generator.device
            order = torch.randperm(self.items, generator=self.generator, device=device).cpu()
        for chosen in order.split(self.batch_size):
            if isinstance(self.data, Tensor):
                yield self.data[chosen.to(self.data.device)]
            elif isinstance(self.data, dict):
                yield {name: t[chosen.to(t.device)] for name, t in self.data.items()}
            else:
                yield tuple(t[chosen.to(t.device)] for t in self.data)
