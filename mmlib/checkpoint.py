"""The state of a training run in one safetensors file: numbers and text, never a pickle.

Tensors are stored as tensors, under a path such as ``model/0.weight`` or ``optimizer/3/exp_avg``;
all else is JSON in the file's metadata. Reading such a file runs no code.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from mmlib.files import written_whole

_FORMAT = "mmlib training checkpoint 1"


class CheckpointError(ValueError):
    """A checkpoint that cannot be written, is damaged, or belongs to something else."""


def save_checkpoint(
    path: str | os.PathLike, *, tensors: Mapping[str, Mapping[str, Tensor]], facts: Mapping
) -> None:
    """Write groups of tensors and JSON-able facts to ``path``, whole or not at all.

    Raises:
        CheckpointError: a fact is not JSON-able.
        OSError: the disk refused; the checkpoint that stood there stands there still.
    """
    flat = {
        f"{group}/{name}": tensor.detach().cpu().clone().contiguous()  # tied weights need a clone
        for group, members in tensors.items()
        for name, tensor in members.items()
    }
    try:
        metadata = {"format": _FORMAT, "facts": json.dumps(facts, allow_nan=False)}
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path} was not written: {error}") from error
    with written_whole(path) as file:
        save_file(flat, file, metadata=metadata)


def load_checkpoint(path: str | os.PathLike) -> tuple[dict[str, dict[str, Tensor]], dict]:
    """Return the groups of tensors (on the CPU) and the facts that ``save_checkpoint`` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged or no checkpoint.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    tensors: dict[str, dict[str, Tensor]] = {}
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            for key in file.keys():  # noqa: SIM118  (safe_open is no mapping)
                group, _, name = key.partition("/")
                tensors.setdefault(group, {})[name] = file.get_tensor(key)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path} is damaged ({error}): remove it and train anew") from error
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is no training checkpoint of mmlib: give another path")
    return tensors, json.loads(metadata["facts"])


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict]:
    """Return an optimizer's state as named tensors and JSON-able facts."""
    state = optimizer.state_dict()
    tensors, numbers = {}, {}
    for index, members in state["state"].items():
        for name, value in members.items():
            place = tensors if isinstance(value, Tensor) else numbers
            place[f"{index}/{name}"] = value
    return tensors, {"numbers": numbers, "groups": state["param_groups"]}


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> None:
    """Give ``optimizer`` the state that ``flatten_optimizer`` took from another.

    Raises:
        CheckpointError: the two optimize different numbers of parameters.
    """
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **facts["numbers"]}.items():
        index, _, name = key.partition("/")
        own = value.clone() if isinstance(value, Tensor) else value
        state.setdefault(int(index), {})[name] = own
    try:
        optimizer.load_state_dict({"state": state, "param_groups": facts["groups"]})
    except ValueError as error:
        raise CheckpointError(f"the checkpoint is of another optimizer: {error}") from error
