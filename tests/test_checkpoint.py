"""What goes into a checkpoint comes out of it; what is none is refused."""

import pytest
import torch
from safetensors.torch import save_file

from mmlib.checkpoint import (
    CheckpointError,
    flatten_optimizer,
    load_checkpoint,
    restore_optimizer,
    save_checkpoint,
)


def test_tensors_and_facts_come_back_tied_weights_too(tmp_path):
    path = tmp_path / "a.safetensors"
    tied = torch.arange(6.0).view(2, 3)
    groups = {"model": {"a.b": tied, "c": tied.T}, "rng": {"x": torch.tensor([1, 2]).byte()}}
    facts = {"step": 3, "scores": [[1, 0.1]], "name": "é"}
    save_checkpoint(path, tensors=groups, facts=facts)
    tensors, found = load_checkpoint(path)
    assert found == facts
    assert tensors.keys() == groups.keys()
    for group, members in groups.items():
        for name, tensor in members.items():
            assert torch.equal(tensors[group][name], tensor)
            assert tensors[group][name].dtype == tensor.dtype


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "SGD", "RMSprop"])
def test_an_optimizer_goes_on_as_if_never_interrupted(kind):
    def make():
        weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        options = {"momentum": 0.9} if kind == "SGD" else {}
        return weight, getattr(torch.optim, kind)([weight], lr=0.1, **options)

    def step(weight, optimizer):
        optimizer.zero_grad()
        (weight**2).sum().backward()
        optimizer.step()

    one, whole = make()
    for _ in range(3):
        step(one, whole)
    two, broken = make()
    two.data.copy_(one.data)
    restore_optimizer(broken, *flatten_optimizer(whole))
    for weight, optimizer in ((one, whole), (two, broken)):
        step(weight, optimizer)
    assert torch.equal(one, two)


def test_a_damaged_file_and_a_foreign_one_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        load_checkpoint(path)
    save_checkpoint(path, tensors={"model": {"w": torch.zeros(100)}}, facts={})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CheckpointError, match=r"a.safetensors is damaged .*: remove it"):
        load_checkpoint(path)
    save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="is no training checkpoint"):
        load_checkpoint(path)


def test_what_json_cannot_hold_is_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, tensors={}, facts={"step": 1})
    with pytest.raises(CheckpointError, match="was not written"):
        save_checkpoint(path, tensors={}, facts={"step": float("nan")})
    assert load_checkpoint(path)[1] == {"step": 1}


def test_another_optimizer_is_refused():
    weights = [torch.nn.Parameter(torch.zeros(2)) for _ in range(2)]
    state = flatten_optimizer(torch.optim.SGD(weights, lr=0.1))
    with pytest.raises(CheckpointError, match="of another optimizer"):
        restore_optimizer(torch.optim.SGD(weights[:1], lr=0.1), *state)
