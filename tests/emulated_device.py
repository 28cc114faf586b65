"""A GPU that is not there: tensors that compute on the CPU but refuse what a GPU would refuse.

Within ``emulated_device()`` Accelerate picks ``DEVICE``, so that ``fit`` and ``predict`` train and
answer on it. A tensor there holds a real one. An operation fails if CUDA would fail: it mixes such
a tensor with one on the CPU, draws from a generator of the CPU, has no CUDA kernel, or multiplies
matrices of integers. Speed, memory, rounding and CUDA's own random numbers are not emulated.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from accelerate import Accelerator, PartialState
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("lazy", 0)  # a type that torch knows and nobody uses
KERNELS_KNOWN = torch.backends.cuda.is_built()  # a torch without CUDA knows none of its kernels
aten = torch.ops.aten
COPIES = {aten.copy_.default, aten._to_copy.default}
INDEXED = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default}
INDEXED |= {aten._index_put_impl_.default, aten._unsafe_index.Tensor}
JOINED = {aten.cat.default, aten.stack.default}
PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "mv", "addmv", "dot", "convolution"}
PACK = aten._pack_padded_sequence.default


class EmulatedTensor(Tensor):
    """A tensor on ``DEVICE``; ``real_numbers`` lies on the CPU."""

    @staticmethod
    def __new__(cls, real: Tensor) -> Tensor:
        layout = {"strides": real.stride(), "storage_offset": real.storage_offset()}
        like = {"dtype": real.dtype, "device": DEVICE}
        made = Tensor._make_wrapper_subclass(cls, real.shape, **layout, **like)
        made.real_numbers = real
        return made

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        return f"EmulatedTensor({self.real_numbers})"

    def numpy(self, *, force: bool = False):
        if not force:
            raise TypeError(f"a tensor on {DEVICE} has no numpy(): use .cpu() first")
        return self.detach().cpu().numpy()

    def __format__(self, spec: str) -> str:
        return format(self.cpu(), spec)

    def tolist(self) -> list:
        return self.cpu().tolist()

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _compute(func, args, kwargs or {})


class _FromNumbers(TorchFunctionMode):
    """Catches ``torch.tensor([1, 2], device=DEVICE)``, which does without operations."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is Tensor.new_tensor and isinstance(args[0], EmulatedTensor):
            return torch.tensor(*args[1:], **{"dtype": args[0].dtype, **kwargs}).to(DEVICE)
        at = func in (Tensor.__getitem__, Tensor.__setitem__)
        if at and isinstance(args[0], EmulatedTensor):  # x[:, [0, 2]]
            at = tree_map(_listed, args[1], is_leaf=lambda x: isinstance(x, list))
            args = (args[0], at, *args[2:])
        device = kwargs.pop("device", None) if func in (torch.tensor, torch.as_tensor) else None
        found = func(*args, **kwargs)
        return found if device is None else found.to(device)


def _listed(x):
    return torch.tensor(x) if isinstance(x, list) else x


class _Everywhere(TorchDispatchMode):
    """Catches what makes tensors: ``torch.zeros(3, device=DEVICE)``, ``x.to(DEVICE)``."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _compute(func, args, kwargs or {})


@contextmanager
def emulated_device() -> Iterator[torch.device]:
    """Let Accelerate pick ``DEVICE`` within the block."""
    with (
        patch.object(Accelerator, "device", DEVICE),
        patch.dict(PartialState()._shared_state, device=DEVICE),
        patch.object(nn.Module, "_apply", _apply),
        _FromNumbers(),
        _Everywhere(),
    ):
        yield DEVICE


def _apply(module: nn.Module, *args, original: Callable = nn.Module._apply, **options):
    """Let ``module.to`` keep its parameters, which an optimizer knows, and swap what they hold."""
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        return original(module, *args, **options)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)


def _compute(func, args: tuple, kwargs: dict):
    """Do one operation on the real numbers; the result is where CUDA would have it."""
    leaves = tree_leaves((args, kwargs))
    there = [leaf for leaf in leaves if isinstance(leaf, EmulatedTensor)]
    wanted = kwargs.get("device")
    ends_there = wanted is None or wanted.type == DEVICE.type
    if not there and (wanted is None or not ends_there):
        return func(*args, **kwargs)
    _refuse(func, args, kwargs, leaves, there)
    if wanted is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    given = {id(tensor.real_numbers): tensor for tensor in there}
    args, kwargs = tree_map(_real, (args, kwargs))
    found = func(*args, **kwargs)
    if torch.Tag.inplace_view in func.tags:  # such as transpose_: the outside follows
        there[0].data = EmulatedTensor(found)
    if func is PACK:  # the batch sizes stay on the CPU
        return _emulated(found[0], given), found[1]
    cpu = {id(leaf) for leaf in tree_leaves(args) if isinstance(leaf, Tensor)} - given.keys()
    if not ends_there:
        return found
    return tree_map(lambda x: x if id(x) in cpu else _emulated(x, given), found)


def _real(x):
    return x.real_numbers if isinstance(x, EmulatedTensor) else x


def _emulated(x, given: dict[int, Tensor]):
    """Return the tensor that an operation changed in place, or a new one on ``DEVICE``."""
    if not isinstance(x, Tensor):
        return x
    if id(x) in given:
        return given[id(x)]
    return EmulatedTensor(x)


def _refuse(func, args: tuple, kwargs: dict, leaves: list, there: list) -> None:
    """Raise ``RuntimeError`` where CUDA would."""
    name = func.name()
    if any(isinstance(leaf, torch.Generator) and leaf.device.type == "cpu" for leaf in leaves):
        raise RuntimeError(f"{name} draws on {DEVICE} from a generator on the cpu")
    exists = torch._C._dispatch_has_computed_kernel_for_dispatch_key
    if KERNELS_KNOWN and not exists(name, "CUDA"):
        raise RuntimeError(f"{name} does not exist on a GPU")
    if func.overloadpacket.__name__ in PRODUCTS and not _floating(args):
        raise RuntimeError(f"{name} on integers does not exist on a GPU")
    if func in COPIES or not there:
        return
    if func is PACK and isinstance(args[1], EmulatedTensor):
        raise RuntimeError(f"{name} needs lengths on the cpu")
    if func in INDEXED | {PACK} and isinstance(args[0], EmulatedTensor):
        leaves = tree_leaves((args[0], args[2:]))  # indices and lengths may be on the CPU
    for leaf in leaves:
        alone = isinstance(leaf, Tensor) and not isinstance(leaf, EmulatedTensor)
        if alone and (leaf.ndim or func in JOINED):
            raise RuntimeError(
                f"{name} mixes devices: a tensor on {leaf.device} of shape {tuple(leaf.shape)} "
                f"with one on {DEVICE} of shape {tuple(there[0].shape)}"
            )


def _floating(args: tuple) -> bool:
    first = next(leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor))
    return first.is_floating_point() or first.is_complex()
