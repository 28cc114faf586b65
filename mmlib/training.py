"""The one training loop of the book, and evaluation.

``fit`` knows nothing of the model: a chapter supplies ``loss(model, batch)``, a scalar. It runs on
Hugging Face Accelerate, so the same call serves a CPU, a GPU, mixed precision and, under
``accelerate launch`` or ``torchrun``, several processes on one machine or many (book page
*Scaling up*).
"""

import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DataLoaderConfiguration, PartialState
from accelerate.utils import recursively_apply, send_to_device
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

Batch = Any  # a tensor, or tuples, lists and dicts of tensors


@dataclass
class History:
    """What happened in a run of ``fit``; ``plotting.draw_history`` draws its lists."""

    losses: list[float] = field(default_factory=list)  # one a step, of the whole batch
    scores: list[tuple[int, float]] = field(default_factory=list)  # (steps done, validation score)
    seconds: float = 0.0  # spent training, over all sessions of a run that was cut off

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
    validate: Callable[[nn.Module], float] | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 100,
    progress: bool = True,
) -> History:
    """Train ``model`` in place and return what happened.

    Same seeds, same machine: same result, also when the run was killed and went on. Dropout and
    all else that draws from torch's global random state gets a seed of its own for each step,
    derived from ``generator``; afterwards the global state is as it was, and so is the model's
    mode. Training happens on the device that Accelerate picks, the GPU where there is one; then
    the model comes back to where it was, such as the CPU, where a notebook's tensors are.

    Each batch is split among the processes, if there are several. One process on the same batches
    gets the same result within rounding, but for dropout (each process draws its own), batch
    normalisation (each normalises its share), losses that average over something else than items,
    such as words (each divides by its own number of them), and losses that compare the items of a
    batch (each sees its own).

    Args:
        model: any module.
        batches: iterated once an epoch: ``Batches``, a ``DataLoader``, a list, or what a chapter
            makes. It may draw from a generator of its own, its attribute ``generator``. What is
            not a ``DataLoader`` is read by the main process only, which sends the others their
            share along the first axis of every tensor. A batch that cannot be split evenly loses
            its last items there; the last of a ``DataLoader`` without ``drop_last`` is filled up.
        loss: ``loss(model, batch)`` returns a scalar to be made small. If it uses other networks,
            give a ``LossOver`` them.
        generator: seeds all randomness of the model and the loss.
        epochs: passes over ``batches``; give either this
        steps: or the number of steps, over as many epochs as that takes.
        learning_rate: of Adam, 1e-3 if nothing is said.
        optimizer: another optimizer, over the model's parameters; it has its own learning rate.
        schedule: factor on the learning rate at a fraction of the run, 0 to 1.
        clip: the largest norm of the whole gradient; ``None`` does not clip.
        validate: ``validate(model)`` is called in evaluation mode at the end of each epoch.
        checkpoint: a folder of this run's own. Its state is kept there, and if there is one, the
            run goes on from it; delete the folder to begin anew. It holds pickles: go on from
            folders that you trust, with the same number of processes.
        checkpoint_every: steps between two checkpoints; there is one at the end, too.
        progress: show a progress bar, cleared at the end.

    Raises:
        FloatingPointError: the loss or its gradient is not finite.
        ValueError: an option contradicts another, ``batches`` is empty or can be read only once,
            the loss is no scalar, or the checkpoint is damaged or of another model.
    """
    if optimizer is not None and learning_rate is not None:
        raise ValueError("give either an optimizer, which has its learning rate, or learning_rate")
    total, home = _count_steps(batches, epochs, steps), _device(model)
    rate = 1e-3 if learning_rate is None else learning_rate
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=rate)
    scheduler = LambdaLR(optimizer, lambda step: schedule(step / total) if schedule else 1.0)
    accelerator = Accelerator(dataloader_config=DataLoaderConfiguration(split_batches=True))
    both = _Objective(model, loss)
    objective, optimizer, scheduler = accelerator.prepare(both, optimizer, scheduler)
    if accelerator.num_processes == 1:  # there is nobody to whom the main process would send
        accelerator.dataloader_config.dispatch_batches = False
    loader = accelerator.prepare_data_loader(_as_loader(batches), slice_fn_for_dispatch=_share)
    device, order = accelerator.device, getattr(batches, "generator", None)
    run = _Run(seed=int(torch.randint(2**31, (), generator=generator, device=generator.device)))
    accelerator.register_for_checkpointing(run)
    if checkpoint is not None:
        _load(accelerator, Path(checkpoint))
    history = run.history
    began = time.perf_counter() - history.seconds

    def reseed(step: int) -> None:  # torch.manual_seed would take 0.1 ms
        seed = run.seed + step * accelerator.num_processes + accelerator.process_index
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)

    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        _brought_back(both, to=home),
        _mode(model, training=True),
        _bar(total, history.steps, shown=progress and accelerator.is_main_process) as bar,
    ):
        while history.steps < total:
            reseed(history.steps - run.done)  # a loader without a generator draws from here
            if order is not None and run.done == 0:
                run.order = order.get_state()
            elif order is not None:
                order.set_state(run.order)
            left = accelerator.skip_first_batches(loader, run.done) if run.done else loader
            left.slice_fn = _share  # which skip_first_batches forgets
            for batch in left:
                reseed(history.steps + 1)
                value = _step(accelerator, objective, batch, optimizer, clip, history.steps + 1)
                scheduler.step()
                history.losses.append(value)
                history.seconds = time.perf_counter() - began
                run.done += 1
                bar.set_postfix_str(f"loss {value:.4g}", refresh=False)
                bar.update()
                if history.steps == total:
                    break
                if checkpoint is not None and history.steps % checkpoint_every == 0:
                    _save(accelerator, Path(checkpoint), history.steps)
            else:
                if run.done == 0:
                    raise ValueError("batches is empty: it gave nothing to train on")
                run.done = 0
            if validate is not None and history.steps not in dict(history.scores):
                with _mode(model, training=False):
                    history.scores.append((history.steps, float(validate(model))))
    if checkpoint is not None:
        _save(accelerator, Path(checkpoint), history.steps)
    return history


def _step(
    accelerator: Accelerator,
    objective: nn.Module,
    batch: Batch,
    optimizer: torch.optim.Optimizer,
    clip: float | None,
    number: int,
) -> float:
    """Make one step and return the loss before it, the mean over the processes."""
    optimizer.zero_grad()
    value = objective(batch)
    if value.ndim:
        raise ValueError(f"loss returned the shape {tuple(value.shape)}: take the mean")
    accelerator.backward(value)
    trained = [weight for group in optimizer.param_groups for weight in group["params"]]
    norm = float(accelerator.clip_grad_norm_(trained, math.inf if clip is None else clip))
    found = accelerator.reduce(value.detach(), "mean").item()
    # in half precision, Accelerate's loss scaler deals with gradients that overflow
    if not math.isfinite(found) or not (math.isfinite(norm) or accelerator.scaler):
        raise FloatingPointError(
            f"at step {number} the loss is {found} and its gradient's norm {norm}; the model has "
            "the weights of the step before. Lower the learning rate or clip, or look for NaN in "
            "the data, an empty batch, a division by 0 or the logarithm of 0 in the loss"
        )
    optimizer.step()
    return found


class LossOver(nn.Module):
    """A loss that uses networks which are not trained: ``fit`` takes them to the GPU and back."""

    def __init__(self, loss: Callable[[nn.Module, Batch], Tensor], *networks: nn.Module) -> None:
        super().__init__()
        self.loss, self.networks = loss, nn.ModuleList(networks)

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return ``loss(model, batch)``."""
        return self.loss(model, batch)


class _Objective(nn.Module):
    """Model and loss in one module: autocast and DistributedDataParallel wrap its ``forward``."""

    def __init__(self, model: nn.Module, loss: Callable[[nn.Module, Batch], Tensor]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Batch) -> Tensor:
        return self.loss(self.model, batch)


@dataclass
class _Run:
    """What a checkpoint holds besides the states that Accelerate knows."""

    seed: int
    history: History = field(default_factory=History)
    done: int = 0  # batches of this epoch
    order: Tensor | None = None  # the state of the batches' generator when this epoch began

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state, history=History(**state["history"]))


class _Stream(IterableDataset):
    """Batches that somebody else makes."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)


def _as_loader(batches: Iterable[Batch]) -> DataLoader:
    if isinstance(batches, DataLoader):
        return batches
    # a batch is the loader's one item; the generator keeps it off the global random state
    return DataLoader(
        _Stream(batches), collate_fn=itemgetter(0), drop_last=True, generator=torch.Generator()
    )


def _share(batch: Batch, _: slice, process_index: int, num_processes: int) -> Batch:
    """Return a process's share of a batch: as many items of each tensor as the others get."""

    def share(tensor: Tensor) -> Tensor:
        size = len(tensor) // num_processes
        return tensor[process_index * size :][:size]

    return recursively_apply(share, batch)


def _count_steps(batches: Iterable[Batch], epochs: int | None, steps: int | None) -> int:
    if (epochs is None) == (steps is None):
        raise ValueError(f"epochs is {epochs} and steps is {steps}: give one of the two")
    if isinstance(batches, Iterator):
        raise ValueError("batches can be read only once: give a list, Batches or a DataLoader")
    try:
        length = len(batches)
    except TypeError:
        length = None
    if length == 0:
        raise ValueError("batches is empty: there is nothing to train on")
    if steps is None and length is None:
        raise ValueError("batches does not know its length: give steps, not epochs")
    total = steps if epochs is None else epochs * length
    if total < 1:
        raise ValueError(f"that makes {total} steps: train for one at least")
    return total


def _bar(total: int, done: int, *, shown: bool) -> tqdm:
    options = {"leave": False, "mininterval": 0.5, "disable": not shown}
    return tqdm(desc="training", total=total, initial=done, **options)


def _save(accelerator: Accelerator, folder: Path, steps: int) -> None:
    """Write ``folder/step-…`` beside the one before, which goes only when the new one is whole."""
    new, unfinished = folder / f"step-{steps:08}", folder / "unfinished"
    if new.exists():
        return
    if accelerator.is_main_process:
        shutil.rmtree(unfinished, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(unfinished)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        unfinished.rename(new)
        for old in set(folder.glob("step-*")) - {new}:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()


def _load(accelerator: Accelerator, folder: Path) -> None:
    """Take over the newest state in ``folder``, if there is one."""
    saved = max(folder.glob("step-*"), default=None)
    if saved is None:
        return
    try:
        accelerator.load_state(saved)
    except Exception as error:  # of whatever reader: torch, pickle or safetensors
        raise ValueError(
            f"{saved} is damaged, or of another model, optimizer or number of processes: remove "
            f"it to begin anew, or give another folder ({error})"
        ) from error


def warm_then_cool(done: float) -> float:
    """Return the factor on the learning rate: up in the first twentieth, then half a cosine."""
    return min(1.0, 20 * done) * (0.5 + 0.5 * math.cos(math.pi * done))


def predict(
    model: nn.Module, batches: Iterable[Batch], output: Callable[[nn.Module, Batch], Tensor]
) -> Tensor:
    """Return ``output(model, batch)`` of all batches in one tensor (items, ...), on the CPU.

    The model is in evaluation mode meanwhile, on the device that Accelerate picks unless it already
    is on a GPU, and no gradients are kept.

    Raises:
        ValueError: ``batches`` is empty.
    """
    home = _device(model)
    device = PartialState().device if home.type == "cpu" else home
    with _brought_back(model.to(device), to=home), _mode(model, training=False):
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


def _device(model: nn.Module) -> torch.device:
    return next((weight.device for weight in model.parameters()), torch.device("cpu"))


@contextmanager
def _brought_back(model: nn.Module, *, to: torch.device) -> Iterator[None]:
    """Bring the model to a device in the end."""
    try:
        yield
    finally:
        model.to(to)


@contextmanager
def _mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Put the model into training or evaluation (no gradients) mode, then back."""
    before = model.training
    model.train(training)
    try:
        with torch.set_grad_enabled(training):
            yield
    finally:
        model.train(before)
