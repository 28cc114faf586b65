"""Numbers, strings, lists, dictionaries and plain arrays as JSON, and back.

Nothing else crosses between processes. There is no pickle in it, hence nothing that could run on
reading.
"""

import base64
import json
import re
from typing import Any

import numpy as np

NUMERIC = "biufc"  # dtype kinds: bool, int, unsigned, float, complex
_DTYPE = re.compile(rf"[<>|]?[{NUMERIC}]\d{{1,2}}")


def plain(value: Any) -> Any:
    """Return ``value`` as numbers, strings, lists, dictionaries and plain numeric arrays.

    Subclasses lose what they add: only their numbers are kept.

    Raises:
        TypeError: something in it is none of these.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if getattr(value, "requires_grad", None) is True:
        raise TypeError("the answer is a tensor that carries a gradient: return it with .detach()")
    try:
        array = np.asarray(value)
    except Exception:  # whatever a strange object's own methods raise
        array = np.asarray(None)
    if array.dtype.kind not in NUMERIC:
        kind = type(value).__name__
        raise TypeError(f"the answer holds a {kind}, it must be numbers or an array of numbers")
    return array


def dumps(value: Any) -> str:
    """Return the plain ``value`` as JSON text; an array becomes its dtype, shape and bytes."""
    return json.dumps(value, default=_encode)


def loads(text: str | bytes) -> Any:
    """Return the plain value that ``dumps`` wrote.

    Raises:
        ValueError: the text is not such JSON, whatever else it may be.
    """
    try:
        return json.loads(text, object_hook=_decode)
    except (TypeError, KeyError, RecursionError, OverflowError) as error:
        raise ValueError(f"not plain data: {error}") from error


def _encode(value: Any) -> dict[str, list]:
    array = np.ascontiguousarray(plain(value)).reshape(np.shape(value))
    return {"ndarray": [array.dtype.str, list(array.shape), base64.b64encode(array).decode()]}


def _decode(item: dict[str, Any]) -> Any:
    if set(item) != {"ndarray"}:
        return item
    dtype, shape, data = item["ndarray"]
    if not _DTYPE.fullmatch(dtype):
        raise ValueError(f"dtype {dtype!r} is not numeric")
    return np.frombuffer(base64.b64decode(data), dtype).reshape(shape).copy()
