"""The one training loop of the book, and evaluation.

``fit`` knows nothing of the model: a chapter supplies ``loss(model, batch)``, a scalar. It runs on
Hugging Face Accelerate, so the same call serves a CPU, a GPU and, under ``accelerate launch``,
several of them.
"""

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor, nn
from tqdm import tqdm

from mmlib.checkpoint import (
    CheckpointError,
    flatten_optimizer,
    load_checkpoint,
    restore_optimizer,
    save_checkpoint,
)
from mmlib.randomness import RandomStates, global_randomness_from

Batch = Any  # a tensor, or tuples, lists and dicts of tensors


class TrainingError(RuntimeError):
    """Training cannot go on; the message says at which step, why, and what to do."""


@dataclass
class History:
    """What happened in a run of ``fit``."""

    losses: list[float] = field(default_factory=list)  # one a step
    scores: list[tuple[int, float]] = field(default_factory=list)  # (steps done, validation score)
    seconds: float = 0.0  # spent training, over all sessions of a resumed run

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return len(self.losses)


def fit(
    model: nn.Module,
    batches: Iterable[Batch],
    loss: Callable[[nn.Module, Batch], Tensor],
    *,
    generator: torch.Generator,
    epochs: int | None = None,
    steps: int | None = None,
    learning_rate: float | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    schedule: Callable[[float], float] | None = None,
    clip: float | None = 1.0,
    precision: str | None = None,
    validate: Callable[[nn.Module], float] | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 100,
    resume: bool = False,
    progress: bool = True,
) -> History:
    """Train ``model`` in place and return what happened.

    The model is moved to the device that Accelerate picks (the GPU where there is one) and is in
    its earlier mode, training or evaluation, afterwards. Dropout and all else that draws from
    torch's global random state is driven by ``generator``; the global state itself is as it was
    afterwards. Same seeds, same machine: same result, also when the run was killed and resumed.

    Args:
        model: any module; on several GPUs ``loss`` must call the model itself, not its methods.
        batches: iterated once an epoch, such as ``Batches`` or a ``DataLoader``. Each of several
            processes takes its share.
        loss: ``loss(model, batch)`` returns a scalar to be made small.
        generator: the source of all randomness; ``loss`` may use it too.
        epochs: passes over ``batches``; give either this
        steps: or the number of steps, over as many epochs as that takes.
        learning_rate: of Adam, 1e-3 if nothing is said.
        optimizer: another optimizer, over the model's parameters; it has its own learning rate.
        schedule: factor on the learning rate at a fraction of the run, 0 to 1.
        clip: the largest norm of the whole gradient; ``None`` does not clip.
        precision: ``"bf16"`` (autocast) or ``"no"``; ``None`` takes bf16 on a GPU that has it.
        validate: ``validate(model)`` is called in evaluation mode at the end of each epoch.
        checkpoint: a file for the state of the run, ``.safetensors``.
        checkpoint_every: steps between two checkpoints; there is one at the end, too.
        resume: continue from ``checkpoint`` if it is there.
        progress: show a progress bar, cleared at the end.

    Raises:
        TrainingError: the loss or its gradient is not finite. The model has its last good weights.
        ValueError: an option contradicts another, ``batches`` or a batch is empty, or the loss is
            no scalar that depends on the parameters.
        CheckpointError: the checkpoint is damaged or of another model.
    """
    if optimizer is not None and learning_rate is not None:
        raise ValueError("give either an optimizer, which has its learning rate, or learning_rate")
    if resume and checkpoint is None:
        raise ValueError("resume needs to know from what: give the checkpoint's path")
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=learning_rate or 1e-3)
    run = _Run(model, batches, loss, optimizer, generator, schedule, clip, precision)
    run.plan(epochs, steps)
    was_training = model.training
    with global_randomness_from(generator, device=run.device):
        if resume and Path(checkpoint).exists():
            run.load(checkpoint)
        try:
            model.train()
            run.train(validate, checkpoint, checkpoint_every, progress)
        finally:
            model.train(was_training)
    return run.history


class _Run:
    """One call of ``fit``: the state that a checkpoint holds, and the steps that change it."""

    def __init__(self, model, batches, loss, optimizer, generator, schedule, clip, precision):
        # bf16 needs no loss scaling, so autocast around the loss is all; Accelerate's own setting
        # of it is global and could not change from one call of fit to the next
        self.accelerator = Accelerator(mixed_precision="no")
        self.device = self.accelerator.device
        self.bare_model, self.bare_optimizer = model, optimizer
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        self.batches, self.loss = batches, loss
        self.schedule, self.clip = schedule, math.inf if clip is None else clip
        self.bf16 = _use_bf16(precision, self.device)
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.history = History()
        self.position = 0  # batches of this epoch that are done
        self.random = RandomStates(
            {"given": generator, "batches": getattr(batches, "generator", None)}, self.device
        )
        self.epoch_start: dict[str, Tensor] = {}  # randomness when this epoch began
        self.resumed: dict[str, Tensor] = {}  # randomness where the checkpoint was written

    def plan(self, epochs: int | None, steps: int | None) -> None:
        """Set the number of steps."""
        if (epochs is None) == (steps is None):
            raise ValueError(f"epochs is {epochs} and steps is {steps}: give one of the two")
        if steps is None:
            if not hasattr(self.batches, "__len__"):
                raise ValueError("batches does not know its length: give steps, not epochs")
            if len(self.batches) == 0:
                raise ValueError("batches is empty: there is nothing to train on")
            steps = epochs * (len(self.batches) // self.accelerator.num_processes)
        if steps < 1:
            raise ValueError(f"that makes {steps} steps: train for one at least")
        self.total = steps

    def train(self, validate, checkpoint, every: int, progress: bool) -> None:
        """Make the steps that are left."""
        main = self.accelerator.is_main_process
        began = time.perf_counter() - self.history.seconds
        with tqdm(
            desc="training",
            total=self.total,
            initial=self.history.steps,
            leave=False,
            mininterval=0.5,
            disable=not (progress and main),
        ) as bar:
            while self.history.steps < self.total:
                for batch in self.epoch():
                    self.history.losses.append(self.step(batch))
                    self.position += 1
                    self.history.seconds = time.perf_counter() - began
                    bar.set_postfix_str(f"loss {self.history.losses[-1]:.4g}", refresh=False)
                    bar.update()
                    if self.history.steps == self.total:
                        break
                    if checkpoint is not None and main and self.history.steps % every == 0:
                        self.save(checkpoint)
                else:
                    self.position = 0
                if validate is not None:
                    self.validate(validate)
        if checkpoint is not None and main:
            self.save(checkpoint)

    def epoch(self) -> Iterator[Batch]:
        """Yield the batches of this process for one epoch; those done before a checkpoint go by."""
        if self.resumed:
            self.random.write(self.epoch_start)
        else:
            self.epoch_start = self.random.read()
        mine, seen = self.share(), self.position
        for _ in range(self.position):
            next(mine, None)
        if self.resumed:
            self.random.write(self.resumed)
            self.resumed = {}
        for batch in mine:
            seen += 1
            yield batch
        if seen == 0:
            raise ValueError(
                f"batches gave nothing after step {self.history.steps}: it must not be empty, and "
                "one can iterate Batches or a DataLoader again, but not a bare iterator"
            )

    def share(self) -> Iterator[Batch]:
        """Yield every n-th batch where there are n processes; an incomplete round goes."""
        together = []
        for batch in self.batches:
            together.append(batch)
            if len(together) == self.accelerator.num_processes:
                yield together[self.accelerator.process_index]
                together.clear()

    def step(self, batch: Batch) -> float:
        """Make one step and return the loss before it; change nothing if it is not finite."""
        if any(tensor.ndim and len(tensor) == 0 for tensor in _tensors(batch)):
            raise ValueError(f"the batch of step {self.history.steps + 1} is empty: leave it out")
        self.set_learning_rate()
        batch = send_to_device(batch, self.device)
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            value = self.loss(self.model, batch)
        _check_loss(value)
        self.optimizer.zero_grad()
        self.accelerator.backward(value)
        weights = [w for group in self.bare_optimizer.param_groups for w in group["params"]]
        norm = self.accelerator.clip_grad_norm_(weights, self.clip)
        found, slope = torch.stack([value.detach().float(), norm.float().to(value.device)]).tolist()
        if not (math.isfinite(found) and math.isfinite(slope)):
            for buffer, before in zip(self.model.buffers(), buffers, strict=True):
                buffer.copy_(before)
            self.optimizer.zero_grad()
            raise TrainingError(self.why_not_finite(batch, found, slope))
        self.optimizer.step()
        return found

    def set_learning_rate(self) -> None:
        if self.schedule is not None:
            factor = self.schedule(self.history.steps / self.total)
            for group, rate in zip(self.bare_optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * factor

    def why_not_finite(self, batch: Batch, loss: float, slope: float) -> str:
        what = (
            f"at step {self.history.steps + 1} the loss is {loss} and its gradient's norm {slope}"
        )
        bad = [t for t in _tensors(batch) if t.is_floating_point() and not t.isfinite().all()]
        if bad:
            return f"{what}: the batch holds NaN or infinite values, mend the data"
        return (
            f"{what}; the model has the weights of the step before. Lower the learning rate or "
            "clip, or look for a division by 0 or the logarithm of 0 in the loss"
        )

    def validate(self, validate: Callable[[nn.Module], float]) -> None:
        """Append the model's validation score, unless the history has it."""
        if self.history.scores and self.history.scores[-1][0] == self.history.steps:
            return
        with _evaluating(self.bare_model):
            self.history.scores.append((self.history.steps, float(validate(self.bare_model))))

    def save(self, path: str | os.PathLike) -> None:
        """Write the whole state of the run."""
        moments, settings = flatten_optimizer(self.bare_optimizer)
        save_checkpoint(
            path,
            tensors={
                "model": self.bare_model.state_dict(),
                "optimizer": moments,
                "epoch_start": self.epoch_start,
                "now": self.random.read(),
                "history": {"losses": torch.tensor(self.history.losses, dtype=torch.float64)},
            },
            facts={
                "optimizer": settings,
                "rates": self.rates,
                "position": self.position,
                "scores": self.history.scores,
                "seconds": self.history.seconds,
            },
        )

    def load(self, path: str | os.PathLike) -> None:
        """Take over the state that ``save`` wrote."""
        tensors, facts = load_checkpoint(path)
        try:
            self.bare_model.load_state_dict(tensors.get("model", {}))
        except RuntimeError as error:
            raise CheckpointError(
                f"{path} is of another model: give another path, or resume=False to begin anew "
                f"({error})"
            ) from error
        restore_optimizer(self.bare_optimizer, tensors.get("optimizer", {}), facts["optimizer"])
        self.rates, self.position = facts["rates"], facts["position"]
        self.epoch_start, self.resumed = tensors["epoch_start"], tensors["now"]
        scores = [(steps, score) for steps, score in facts["scores"]]
        self.history = History(tensors["history"]["losses"].tolist(), scores, facts["seconds"])


def predict(
    model: nn.Module, batches: Iterable[Batch], output: Callable[[nn.Module, Batch], Tensor]
) -> Tensor:
    """Return ``output(model, batch)`` of all batches in one tensor (items, ...), on the CPU.

    The model is in evaluation mode meanwhile and no gradients are kept.

    Raises:
        ValueError: ``batches`` is empty.
    """
    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    with _evaluating(model):
        parts = [output(model, send_to_device(batch, device)).cpu() for batch in batches]
    if not parts:
        raise ValueError("batches is empty: there is nothing to evaluate")
    return torch.cat(parts)


def evaluate(
    model: nn.Module, batches: Iterable[Batch], score: Callable[[nn.Module, Batch], Tensor]
) -> float:
    """Return the mean over all items of ``score(model, batch)``, which gives one number an item.

    Raises:
        ValueError: ``batches`` is empty, or ``score`` returns anything else than (batch,).
    """

    def checked(model: nn.Module, batch: Batch) -> Tensor:
        found = score(model, batch)
        if found.ndim != 1:
            raise ValueError(
                f"score returned the shape {tuple(found.shape)}, it must be (batch,): one number "
                "for each item, not their mean"
            )
        return found

    return float(predict(model, batches, checked).double().mean())


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def _use_bf16(precision: str | None, device: torch.device) -> bool:
    if precision not in (None, "no", "bf16"):
        raise ValueError(f"precision is {precision!r}, it must be 'bf16', 'no' or None")
    if precision is None:
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    return precision == "bf16"


def _check_loss(value: Tensor) -> None:
    if not isinstance(value, Tensor) or value.ndim != 0:
        what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"loss returned {what}, it must return a scalar tensor: take the mean")
    if not value.requires_grad:
        raise ValueError(
            "the loss does not depend on the model's parameters: are they frozen, or was it "
            "computed without gradients?"
        )


def _tensors(batch: Batch) -> Iterator[Tensor]:
    """Yield the tensors in a batch, however nested."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, dict):
        for member in batch.values():
            yield from _tensors(member)
    elif isinstance(batch, list | tuple):
        for member in batch:
            yield from _tensors(member)
