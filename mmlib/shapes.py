"""Validate input: what is bad is refused with an error that names value, limit and remedy.

``check_shape(signal, "... time", name="signal")`` reads like the comment one would write beside
the line, and returns the sizes by name.
"""

import operator

import torch
from torch import Tensor


def check_shape(tensor: Tensor, axes: str, *, name: str) -> dict[str, int]:
    """Check that ``tensor`` has the axes that ``axes`` names, none of them empty.

    Args:
        tensor: any tensor.
        axes: axis names in order, separated by spaces. A number demands that size
            (``"batch 3 height width"``); a repeated name demands equal sizes; a leading ``...``
            admits any number of further axes before the named ones.
        name: what the caller calls this argument, for the error.

    Returns:
        the sizes of the named axes, such as ``{"batch": 8, "time": 16000}``.

    Raises:
        TypeError: ``tensor`` is not a tensor.
        ValueError: the number of axes or a size is wrong, or an axis is empty.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"{name} is a {type(tensor).__name__}, it must be a torch.Tensor: "
            f"convert it with torch.as_tensor({name})"
        )
    shape, wanted = tuple(tensor.shape), axes.split()
    leading = wanted[0] == "..."
    names = wanted[1:] if leading else wanted
    if len(shape) < len(names) or (not leading and len(shape) > len(names)):
        least = "at least " if leading else ""
        raise ValueError(
            f"{name} has {len(shape)} axes, shape {shape}; it needs {least}{len(names)}: "
            f"({', '.join(wanted)})"
        )
    if 0 in shape:
        raise ValueError(
            f"{name} is empty, shape {shape}: axes ({', '.join(wanted)}) must not be 0"
        )
    sizes: dict[str, int] = {}
    for axis, size in zip(names, shape[len(shape) - len(names) :], strict=True):
        expected = int(axis) if axis.isdecimal() else sizes.setdefault(axis, size)
        if size != expected:
            raise ValueError(
                f"{name} has shape {shape}; its axes ({', '.join(wanted)}) "
                f"need size {expected} where it has {size}"
            )
    return sizes


def check_whole(value: int, *, name: str, least: int = 1) -> int:
    """Return ``value`` as an ``int``: whole numbers of NumPy and torch pass, ``True`` does not.

    Raises:
        ValueError: it is no whole number, or below ``least``.
    """
    try:
        whole = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        whole = None
    if whole is None or whole < least:
        raise ValueError(f"{name} is {value!r}, it must be a whole number of {least} or more")
    return whole


def check_floating(tensor: Tensor, *, name: str, bits: int = 16) -> None:
    """Raise ``TypeError`` unless ``tensor`` holds real floating-point numbers of ``bits`` or more.

    16 bits are too few for Fourier transforms and for files of sound, for example.
    """
    if not tensor.is_floating_point() or torch.finfo(tensor.dtype).bits < bits:
        least = f" of {bits} bits or more" if bits > 16 else ""
        raise TypeError(
            f"{name} has dtype {tensor.dtype}, it must be a floating-point type{least}: "
            f"convert it with {name}.float()"
        )


def check_finite(tensor: Tensor, *, name: str) -> None:
    """Raise ``ValueError`` if ``tensor`` holds NaN or an infinity: how many, where the first."""
    if torch.isfinite(tensor.sum()):  # then no summand is NaN or infinite
        return
    bad = ~torch.isfinite(tensor)
    if bad.any():  # not so where only the sum is too large
        where = tuple(bad.nonzero()[0].tolist())
        raise ValueError(
            f"{name} has {int(bad.sum())} of {tensor.numel()} values that are NaN or infinite, "
            f"the first at index {where}: fix or drop them first"
        )


def unit_length(vectors: Tensor, *, dim: int = -1) -> Tensor:
    """Scale the vectors along ``dim`` to length one, however short or long; zero stays zero.

    The largest entry becomes 1 first: the squares of tiny and of huge numbers do not fit their
    type, and no fixed epsilon fits every scale. 16-bit numbers come back with 32.
    """
    vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    largest = vectors.abs().amax(dim, keepdim=True)
    return torch.nn.functional.normalize(vectors / largest.where(largest > 0, 1), dim=dim)
