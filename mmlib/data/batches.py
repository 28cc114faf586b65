"""Cut tensors into batches, in an order drawn anew each epoch."""

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmlib.shapes import check_whole

Rows = Tensor | tuple[Tensor, ...] | dict[str, Tensor]


class Batches(DataLoader):
    """Tensors cut into batches along their first axis, shuffled anew each time they are iterated.

    A ``DataLoader`` that indexes the tensors once a batch, not once an item.

    Args:
        data: a tensor, or a tuple or dict of tensors with equally long first axes. A batch is
            of the same kind.
        batch_size: items a batch; the last one may be smaller.
        generator: draws the order of each epoch; ``None`` keeps the items in order.

    Raises:
        ValueError: no items, unequal numbers of them, or ``batch_size`` below 1.
    """

    def __init__(
        self, data: Rows, *, batch_size: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(
            _Rows(data),
            batch_size=check_whole(batch_size, name="batch_size"),
            shuffle=generator is not None,
            generator=generator or torch.Generator(),  # or it would draw from the global state
            collate_fn=_as_it_is,
        )


class _Rows(Dataset):
    def __init__(self, data: Rows) -> None:
        named = data if isinstance(data, dict) else dict(enumerate(_tensors(data)))
        sizes = {name: len(tensor) for name, tensor in named.items()}
        if len(set(sizes.values())) != 1 or 0 in sizes.values():
            raise ValueError(f"the numbers of items are {sizes}: they must be equal and not 0")
        self.data, self.items = data, next(iter(sizes.values()))

    def __len__(self) -> int:
        return self.items

    def __getitems__(self, chosen: list[int]) -> Rows:
        rows = torch.tensor(chosen)
        if isinstance(self.data, Tensor):
            return self.data[rows.to(self.data.device)]
        if isinstance(self.data, dict):
            return {name: t[rows.to(t.device)] for name, t in self.data.items()}
        return tuple(t[rows.to(t.device)] for t in self.data)


def _tensors(data: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (data,) if isinstance(data, Tensor) else data


def _as_it_is(batch: Rows) -> Rows:
    return batch
