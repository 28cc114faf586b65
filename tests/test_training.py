"""The training loop: it learns, repeats itself, goes on when cut off, and stops clearly."""

import itertools
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from mmlib.data.batches import Batches
from mmlib.runtime import make_generator
from mmlib.training import evaluate, fit, predict

WEIGHTS = torch.tensor([[1.0], [-2.0], [0.5]])


def line_data(items=64):
    x = torch.randn(items, 3, generator=make_generator(1))
    return x, x @ WEIGHTS


def make_model(dropout=0.0):
    model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(dropout), nn.Linear(8, 1))
    for weight in model.parameters():
        nn.init.uniform_(weight, -0.5, 0.5, generator=make_generator(2))
    return model


def squared_error(model, batch):
    x, y = batch
    return ((model(x) - y) ** 2).mean()


class Windows:
    """Batches that no DataLoader makes: slices of the data at places drawn one by one."""

    def __init__(self, data, batch_size, generator):
        self.data, self.batch_size, self.generator = data, batch_size, generator

    def __len__(self):
        return 7

    def __iter__(self):
        for _ in range(7):
            at = int(torch.randint(50, (), generator=self.generator))
            yield tuple(part[at : at + self.batch_size] for part in self.data)


def plain_loader(data, batch_size, generator):
    return DataLoader(TensorDataset(*data), batch_size, shuffle=True)  # draws from the global state


def train(model, *, loss=squared_error, data=None, seed=3, source=Batches, **options):
    options = {"progress": False, "learning_rate": 0.01} | options
    options = options if {"epochs", "steps"} & options.keys() else options | {"epochs": 3}
    generator = make_generator(seed)
    batches = source(data or line_data(), batch_size=10, generator=generator)
    return fit(model, batches, loss, generator=generator, **options)


def same_weights(one, two):
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("source", [Batches, Windows, plain_loader])
def test_it_learns_a_line(source):
    model = nn.Linear(3, 1)
    history = train(model, epochs=40, learning_rate=0.1, source=source)
    assert history.steps == 40 * 7
    assert history.losses[-1] < 1e-3 * history.losses[0]
    assert torch.allclose(model.weight.T.cpu(), WEIGHTS, atol=0.02)
    assert history.seconds > 0


def test_it_learns_one_batch_by_heart():
    batch = (line_data(8)[0], torch.randn(8, 1, generator=make_generator(4)))
    model = nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 1))
    options = {"generator": make_generator(0), "steps": 600, "learning_rate": 0.03}
    history = fit(model, [batch], squared_error, progress=False, **options)
    assert min(history.losses) < 0.01 * history.losses[0]


def test_one_step_is_the_step_that_the_formula_says():
    model = nn.Linear(3, 1, bias=False)
    before = model.weight.detach().clone().cpu()
    x, y = line_data(10)
    gradient = 2 * ((x @ before.T - y).T @ x) / 10
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    train(model, data=(x, y), clip=None, optimizer=optimizer, learning_rate=None, steps=1)
    assert torch.allclose(model.weight.detach().cpu(), before - 0.5 * gradient, atol=1e-5)


def test_the_whole_gradient_is_clipped():
    model = nn.Linear(3, 1)
    before = [weight.detach().clone().cpu() for weight in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    data = (line_data()[0], 1e4 * line_data()[1])
    train(model, data=data, optimizer=optimizer, learning_rate=None, steps=1, clip=0.25)
    moved = [w.detach().cpu() - b for w, b in zip(model.parameters(), before, strict=True)]
    assert math.sqrt(sum(float((m**2).sum()) for m in moved)) == pytest.approx(0.25, rel=1e-4)


def test_what_the_optimizer_does_not_train_does_not_count():
    def both(model, batch):
        return squared_error(model[0], batch) + 1e6 * model[1](batch[0]).sum()

    alone, pair = nn.Linear(3, 1), nn.ModuleList([nn.Linear(3, 1), nn.Linear(3, 1)])
    pair[0].load_state_dict(alone.state_dict())
    for model, loss, trained in ((alone, squared_error, alone), (pair, both, pair[0])):
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.1)
        train(model, loss=loss, optimizer=optimizer, learning_rate=None, clip=0.25)
    assert same_weights(alone, pair[0])


def test_the_schedule_multiplies_the_learning_rate():
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    rates = []

    def noting(model, batch):
        rates.append(optimizer.param_groups[0]["lr"])
        return squared_error(model, batch)

    options = {"optimizer": optimizer, "learning_rate": None, "steps": 4}
    train(model, loss=noting, schedule=lambda done: 1 - done, **options)
    assert rates == [0.5, 0.375, 0.25, 0.125]


@pytest.mark.parametrize("source", [Batches, Windows, plain_loader])
def test_same_seed_same_result_with_dropout_and_the_global_state_untouched(source):
    models = [make_model(dropout=0.5) for _ in range(3)]
    before = torch.get_rng_state()
    losses = [
        train(model, seed=seed, source=source).losses
        for model, seed in zip(models, (5, 5, 6), strict=True)
    ]
    assert torch.equal(torch.get_rng_state(), before)
    assert losses[0] == losses[1] != losses[2]
    assert same_weights(models[0], models[1])


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_training_meanwhile_and_as_before_afterwards(training):
    model, modes = make_model().train(training), []

    def noting(model, batch):
        modes.append(model.training)
        return squared_error(model, batch)

    def validate(model):
        modes.append(model.training or torch.is_grad_enabled())
        return 0.5

    history = train(model, loss=noting, epochs=2, validate=validate)
    assert modes == ([True] * 7 + [False]) * 2
    assert model.training is training
    assert history.scores == [(7, 0.5), (14, 0.5)]


class Stop(Exception):
    """Stands for a run that is interrupted."""


def interrupted(at):
    calls = []

    def loss(model, batch):
        calls.append(1)
        if len(calls) == at:
            raise Stop
        return squared_error(model, batch)

    return loss


@pytest.mark.parametrize("source", [Batches, Windows, plain_loader])
@pytest.mark.parametrize(("at", "every"), [(2, 1), (7, 3), (8, 7), (9, 1), (15, 7), (21, 3)])
def test_interrupted_and_gone_on_is_the_same_as_unbroken(at, every, source, tmp_path):
    whole, broken = make_model(dropout=0.3), make_model(dropout=0.3)
    options = {"schedule": lambda done: 1 - done / 2, "validate": lambda model: 1.0}
    options |= {"source": source}
    expected = train(whole, **options)
    options |= {"checkpoint": tmp_path / "run", "checkpoint_every": every}
    with pytest.raises(Stop):
        train(broken, loss=interrupted(at), **options)
    fresh = make_model(dropout=0.3)  # a new process knows nothing of the broken one
    history = train(fresh, **options)
    assert history.losses == expected.losses
    assert history.scores == expected.scores
    assert same_weights(whole, fresh)
    assert train(make_model(), **options).losses == expected.losses  # nothing is left to do


def test_a_finished_run_is_prolonged_as_if_it_had_never_ended(tmp_path):
    whole, prolonged = make_model(dropout=0.3), make_model(dropout=0.3)
    expected = train(whole, steps=12)
    for steps in (5, 7, 12):
        prolonged = make_model(dropout=0.3)
        history = train(prolonged, steps=steps, checkpoint=tmp_path / "run")
    assert history.losses == expected.losses
    assert same_weights(whole, prolonged)


SCRIPT = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import torch
from test_training import make_model, squared_error, train
path, kill_at = sys.argv[1], int(sys.argv[2])
calls = []
def loss(model, batch):
    calls.append(1)
    if len(calls) == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return squared_error(model, batch)
model = make_model(dropout=0.3)
train(model, loss=loss, checkpoint=path + ".run", checkpoint_every=2)
torch.save({{name: tensor.cpu() for name, tensor in model.state_dict().items()}}, path)
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)  # against hangs: these start processes, which may be slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_and_gone_on_is_the_same_as_unbroken(tmp_path):
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    path = tmp_path / "weights.pt"

    def start(kill_at):
        command = [sys.executable, "-c", script, str(path), str(kill_at)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert start(12).returncode == -signal.SIGKILL
    assert not path.exists()
    second = start(0)
    assert second.returncode == 0, second.stderr
    whole = make_model(dropout=0.3)
    train(whole)
    found = torch.load(path, weights_only=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(found[name], tensor.cpu()), name


def test_what_a_kill_leaves_while_it_is_written_does_no_harm(tmp_path):
    expected = train(make_model(), steps=6).losses
    train(make_model(), steps=3, checkpoint=tmp_path)
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "model.safetensors").write_bytes(b"half")
    assert train(make_model(), steps=6, checkpoint=tmp_path).losses == expected
    assert [folder.name for folder in tmp_path.iterdir()] == ["step-00000006"]


def test_a_checkpoint_of_another_model_or_a_damaged_one_is_refused(tmp_path):
    train(nn.Linear(3, 1), steps=1, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"step-00000001 is damaged, or of another model.*remove"):
        train(make_model(), steps=2, checkpoint=tmp_path)
    (tmp_path / "step-00000001" / "optimizer.bin").write_bytes(b"half")
    with pytest.raises(ValueError, match="is damaged"):
        train(nn.Linear(3, 1), steps=2, checkpoint=tmp_path)


def nan_from(step):
    calls = []

    def loss(model, batch):
        calls.append(1)
        return squared_error(model, batch) * (math.nan if len(calls) >= step else 1.0)

    return loss


def test_a_loss_that_is_not_finite_stops_with_the_last_good_weights(tmp_path):
    good, bad = nn.Linear(3, 1), nn.Linear(3, 1)
    bad.load_state_dict(good.state_dict())
    train(good, steps=4)
    with pytest.raises(FloatingPointError, match=r"at step 5 the loss is nan .*Lower the learning"):
        train(bad, steps=9, loss=nan_from(5), checkpoint=tmp_path, checkpoint_every=2)
    assert same_weights(good, bad)
    gone_on = nn.Linear(3, 1)
    train(gone_on, steps=4, checkpoint=tmp_path)
    assert same_weights(good, gone_on)


def test_a_gradient_that_is_not_finite_stops_too():
    def root(model, batch):
        return model(batch[0]).mul(0).abs().sqrt().sum()  # 0, but its slope is 0 times infinity

    model = nn.Linear(3, 1)
    before = model.weight.detach().clone().cpu()
    with pytest.raises(FloatingPointError, match=r"the loss is 0.0 and its gradient's norm nan"):
        train(model, loss=root)
    assert torch.equal(model.weight.detach().cpu(), before)


def run_on(batches, loss=squared_error, **options):
    options = {"steps": 3, "progress": False, "generator": make_generator(0)} | options
    return fit(nn.Linear(3, 1), batches, loss, **options)


class Endless(IterableDataset):
    """Does not know how many batches it has."""

    def __iter__(self):
        return itertools.repeat(line_data())


class Hollow:
    """Gives nothing, and does not know it."""

    def __iter__(self):
        return iter([])


@pytest.mark.parametrize(
    ("batches", "options", "message"),
    [
        ([], {}, "batches is empty"),
        (Hollow(), {}, "batches is empty"),
        (
            DataLoader(Endless(), batch_size=None),
            {"steps": None, "epochs": 1},
            "does not know its length: give steps",
        ),
        (iter([line_data()]), {}, "batches can be read only once: give a list"),
        ((batch for batch in [line_data()]), {}, "batches can be read only once"),
        ([line_data()], {"epochs": 1}, "epochs is 1 and steps is 3: give one"),
        ([line_data()], {"steps": None}, "epochs is None and steps is None: give one"),
        ([line_data()], {"steps": 0}, "that makes 0 steps"),
        (
            [line_data()],
            {"learning_rate": 1.0, "optimizer": torch.optim.SGD([torch.zeros(1)])},
            "give either",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_refused(batches, options, message):
    with pytest.raises(ValueError, match=message):
        run_on(batches, **options)


def test_a_loss_of_each_item_is_refused():
    with pytest.raises(ValueError, match=r"the shape \(64, 1\): take the mean"):
        run_on([line_data()], lambda model, batch: (model(batch[0]) - batch[1]) ** 2)


def test_the_progress_bar_clears_itself(capsys):
    train(nn.Linear(3, 1), progress=True)
    written = capsys.readouterr().err
    assert "training" in written
    assert written.rsplit("\r", 2)[-2].strip() == ""
    train(nn.Linear(3, 1), progress=False)
    assert capsys.readouterr().err == ""


def test_nested_batches_and_any_method_reach_the_model():
    def loss(model, batch):
        return squared_error(model["line"], (batch["in"]["x"], batch["out"][0]))

    x, y = line_data()
    batch = {"name": "a", "number": torch.tensor(1), "in": {"x": x}, "out": [y]}
    model = nn.ModuleDict({"line": nn.Linear(3, 1)})
    options = {"generator": make_generator(0), "steps": 3, "progress": False}
    assert fit(model, [batch], loss, **options).steps == 3


class PairsAndMarked(Windows):
    """Batches whose parts have different numbers of items."""

    def __iter__(self):
        for x, y in super().__iter__():
            yield {"pairs": (x, y), "marked": (x[:4], y[:4])}


def summed_error(model, batch):
    if isinstance(batch, dict):
        return squared_error(model, batch["pairs"]) + squared_error(model, batch["marked"])
    return squared_error(model, batch)


def distributed_run(source, **options):
    """Return weights and losses of two epochs; 70 items are seven batches of ten."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    options |= {"source": source, "data": line_data(70), "validate": lambda model: 1.0}
    history = train(model, loss=summed_error, **{"steps": 14} | options)
    return [*model.state_dict().values(), torch.tensor(history.losses)]


SOURCES = [Batches, Windows, PairsAndMarked]
DISTRIBUTED = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from accelerate import PartialState
from test_training import SOURCES, distributed_run
found = []
for source in SOURCES:
    found += distributed_run(source)
    folder = f"{sys.argv[2]}/{source.__name__}"
    distributed_run(source, steps=9, checkpoint=folder)  # in the middle of an epoch
    found += distributed_run(source, checkpoint=folder)
assert PartialState().num_processes == 2, PartialState()
if PartialState().is_main_process:
    torch.save(found, f"{sys.argv[2]}/found.pt")
PartialState().destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)  # against hangs: these start processes, which may be slow
def test_two_processes_do_what_one_does(tmp_path):
    """An even number of items a batch and of each part, so that nothing is left out or filled up.

    A mean over items is the mean of the processes' means, and so is its gradient. It would not be
    equal with dropout (each process draws its own), with a mean over words (each process divides
    by its own number of them) or with a loss that compares the items of a batch (in-batch
    negatives: each process has only its own).
    """
    (tmp_path / "script.py").write_text(DISTRIBUTED)
    command = [sys.executable, "-m", "torch.distributed.run"]
    command += ["--standalone", "--nproc_per_node=2"]
    command += [str(tmp_path / "script.py"), str(Path(__file__).parent), str(tmp_path)]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    for source in SOURCES:
        expected = distributed_run(source)
        both, gone_on, found = found[:5], found[5:10], found[10:]
        for one, two, again in zip(expected, both, gone_on, strict=True):
            assert torch.allclose(one.cpu(), two, rtol=1e-4, atol=1e-5)
            assert torch.equal(two, again)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_evaluation_does_not_depend_on_the_batches_and_keeps_the_mode(batch_size):
    model = make_model(dropout=0.5).cpu()
    data = line_data()
    with torch.no_grad():
        outputs = model.eval()(data[0])
        expected = ((outputs - data[1]) ** 2).mean()
    model.train()
    batches = Batches(data, batch_size=batch_size)
    before = torch.get_rng_state()
    score = evaluate(model, batches, lambda m, b: ((m(b[0]) - b[1]) ** 2).squeeze(1))
    assert score == pytest.approx(float(expected), rel=1e-5)
    found = predict(model, batches, lambda m, b: m(b[0]))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.allclose(found, outputs, atol=1e-6)
    assert not found.requires_grad
    assert model.training


def test_evaluation_refuses_a_mean_and_an_empty_set():
    model = nn.Linear(3, 1)
    with pytest.raises(ValueError, match=r"returned the shape \(\), it must be \(batch,\)"):
        evaluate(model, [line_data()], lambda m, b: m(b[0]).mean())
    with pytest.raises(ValueError, match="nothing to evaluate"):
        evaluate(model, [], lambda m, b: m(b[0]))
