"""The training loop: it learns, repeats itself, survives being killed, and stops clearly."""

import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from mmlib.checkpoint import CheckpointError
from mmlib.data.batches import Batches
from mmlib.runtime import make_generator
from mmlib.training import TrainingError, evaluate, fit, predict

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


def train(model, *, loss=squared_error, data=None, seed=3, **options):
    options = {"progress": False, "learning_rate": 0.01} | options
    options = options if {"epochs", "steps"} & options.keys() else options | {"epochs": 3}
    generator = make_generator(seed)
    batches = Batches(data or line_data(), batch_size=10, generator=generator)
    return fit(model, batches, loss, generator=generator, **options)


def same_weights(one, two):
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    )


def test_it_learns_a_line():
    model = nn.Linear(3, 1)
    history = train(model, epochs=40, learning_rate=0.1)
    assert history.steps == 40 * 7
    assert history.losses[-1] < 1e-3 * history.losses[0]
    assert torch.allclose(model.weight.T.cpu(), WEIGHTS, atol=0.02)
    assert history.seconds > 0


def test_one_step_is_the_step_that_the_formula_says():
    model = nn.Linear(3, 1, bias=False)
    before = model.weight.detach().clone().cpu()
    x, y = line_data(10)
    gradient = 2 * ((x @ before.T - y).T @ x) / 10
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    options = {"optimizer": optimizer, "learning_rate": None, "steps": 1, "precision": "no"}
    train(model, data=(x, y), clip=None, **options)
    assert torch.allclose(model.weight.detach().cpu(), before - 0.5 * gradient, atol=1e-5)


def test_the_whole_gradient_is_clipped():
    model = nn.Linear(3, 1)
    before = [weight.detach().clone().cpu() for weight in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    data = (line_data()[0], 1e4 * line_data()[1])
    train(model, data=data, optimizer=optimizer, learning_rate=None, steps=1, clip=0.25)
    moved = [w.detach().cpu() - b for w, b in zip(model.parameters(), before, strict=True)]
    assert math.sqrt(sum(float((m**2).sum()) for m in moved)) == pytest.approx(0.25, rel=1e-4)


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


def test_same_seed_same_result_with_dropout_and_the_global_state_untouched():
    models = [make_model(dropout=0.5) for _ in range(3)]
    before = torch.get_rng_state()
    losses = [train(model, seed=s).losses for model, s in zip(models, (5, 5, 6), strict=True)]
    assert torch.equal(torch.get_rng_state(), before)
    assert losses[0] == losses[1] != losses[2]
    assert same_weights(models[0], models[1])


def test_precision_can_change_from_call_to_call():
    dtypes = []

    def noting(model, batch):
        dtypes.append(model(batch[0]).dtype)
        return squared_error(model, batch)

    for precision in ("no", "bf16", "no"):
        train(nn.Linear(3, 1), loss=noting, steps=1, precision=precision)
    assert dtypes == [torch.float32, torch.bfloat16, torch.float32]


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_training_meanwhile_and_as_before_afterwards(training):
    model, modes = make_model().train(training), []

    def noting(model, batch):
        modes.append(model.training)
        return squared_error(model, batch)

    def validate(model):
        modes.append(model.training)
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


@pytest.mark.parametrize("at", [2, 6, 7, 8, 9, 15, 21])
@pytest.mark.parametrize("every", [1, 3, 7])
def test_interrupted_and_resumed_is_the_same_as_unbroken(at, every, tmp_path):
    whole, broken = make_model(dropout=0.3), make_model(dropout=0.3)
    options = {"schedule": lambda done: 1 - done / 2, "validate": lambda model: 1.0}
    expected = train(whole, **options)
    options |= {"checkpoint": tmp_path / "run.safetensors", "checkpoint_every": every}
    with pytest.raises(Stop):
        train(broken, loss=interrupted(at), **options)
    fresh = make_model(dropout=0.3)  # a new process knows nothing of the broken one
    history = train(fresh, resume=True, **options)
    assert history.losses == expected.losses
    assert history.scores == expected.scores
    assert same_weights(whole, fresh)
    assert train(make_model(), resume=True, **options).losses == expected.losses


def test_a_finished_run_is_prolonged_as_if_it_had_never_ended(tmp_path):
    whole, prolonged = make_model(dropout=0.3), make_model(dropout=0.3)
    expected = train(whole, steps=12)
    for steps in (5, 7, 12):
        path = tmp_path / "run.safetensors"
        history = train(prolonged, steps=steps, checkpoint=path, resume=True)
        prolonged = prolonged if steps == 12 else make_model(dropout=0.3)
    assert history.losses == expected.losses
    assert same_weights(whole, prolonged)


SCRIPT = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from safetensors.torch import save_file
from test_training import make_model, squared_error, train
path, kill_at = sys.argv[1], int(sys.argv[2])
calls = []
def loss(model, batch):
    calls.append(1)
    if len(calls) == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return squared_error(model, batch)
model = make_model(dropout=0.3)
train(model, loss=loss, checkpoint=path + ".run", checkpoint_every=2, resume=True)
save_file({{k: v.cpu() for k, v in model.state_dict().items()}}, path)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_and_resumed_is_the_same_as_unbroken(tmp_path):
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    path = tmp_path / "weights.safetensors"

    def start(kill_at):
        command = [sys.executable, "-c", script, str(path), str(kill_at)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert start(12).returncode == -signal.SIGKILL
    assert not path.exists()
    second = start(0)
    assert second.returncode == 0, second.stderr
    whole = make_model(dropout=0.3)
    train(whole)
    found = load_file(path)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(found[name], tensor.cpu()), name


def test_the_checkpoint_of_another_model_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    train(nn.Linear(3, 1), steps=1, checkpoint=path)
    with pytest.raises(CheckpointError, match=r"of another model: .*resume=False"):
        train(make_model(), steps=2, checkpoint=path, resume=True)
    train(make_model(), steps=2, checkpoint=path)


def nan_from(step):
    calls = []

    def loss(model, batch):
        calls.append(1)
        factor = math.nan if len(calls) >= step else 1.0
        return squared_error(model, (batch[0] * factor, batch[1]))

    return loss


def test_a_loss_that_is_not_finite_stops_with_the_last_good_weights(tmp_path):
    good, bad, path = make_model(), make_model(), tmp_path / "run.safetensors"
    train(good, steps=4, schedule=lambda done: 1.0)
    with pytest.raises(TrainingError, match=r"at step 5 the loss is nan .*Lower the learning rate"):
        train(bad, loss=nan_from(5), checkpoint=path, checkpoint_every=2)
    assert same_weights(good, bad)  # the running mean of the batch norm, too
    resumed = make_model()
    train(resumed, steps=4, checkpoint=path, resume=True)
    assert same_weights(good, resumed)


def test_a_gradient_that_is_not_finite_stops_too():
    def root(model, batch):
        return model(batch[0]).mul(0).abs().sqrt().sum()  # 0, but its slope is 0 times infinity

    model = nn.Linear(3, 1)
    before = model.weight.detach().clone().cpu()
    with pytest.raises(TrainingError, match=r"the loss is 0.0 and its gradient's norm nan"):
        train(model, loss=root)
    assert torch.equal(model.weight.detach().cpu(), before)


def test_nan_in_the_data_is_said_to_be_in_the_data():
    x, y = line_data()
    x[3, 1] = math.nan
    with pytest.raises(
        TrainingError, match="the batch holds NaN or infinite values, mend the data"
    ):
        train(nn.Linear(3, 1), data=(x, y))


def run_on(batches, loss=squared_error, **options):
    options = {"steps": 3, "progress": False, "generator": make_generator(0)} | options
    return fit(nn.Linear(3, 1), batches, loss, **options)


def test_nothing_to_train_on_is_refused():
    empty = (torch.zeros(0, 3), torch.zeros(0, 1))
    with pytest.raises(ValueError, match="batches gave nothing after step 0"):
        run_on([])
    with pytest.raises(ValueError, match="batches is empty"):
        run_on([], steps=None, epochs=1)
    with pytest.raises(ValueError, match=r"batches gave nothing after step 2.*not a bare iterator"):
        run_on(iter([line_data(), line_data()]))
    with pytest.raises(ValueError, match="the batch of step 2 is empty"):
        run_on([line_data(), empty])


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda model, batch: (model(batch[0]) - batch[1]) ** 2, r"shape \(64, 1\).*take the mean"),
        (lambda model, batch: 0.5, "loss returned float"),
        (lambda model, batch: batch[1].mean(), "does not depend on the model's parameters"),
    ],
)
def test_a_loss_that_is_none_is_refused(loss, message):
    with pytest.raises(ValueError, match=message):
        run_on([line_data()], loss)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 1}, "epochs is 1 and steps is 3: give one"),
        ({"steps": None}, "epochs is None and steps is None: give one"),
        ({"steps": 0}, "that makes 0 steps"),
        ({"resume": True}, "give the checkpoint's path"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"learning_rate": 1.0, "optimizer": torch.optim.SGD([torch.zeros(1)])}, "give either"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        run_on([line_data()], **options)


def test_the_progress_bar_clears_itself(capsys):
    train(nn.Linear(3, 1), progress=True)
    written = capsys.readouterr().err
    assert "training" in written
    assert written.rsplit("\r", 2)[-2].strip() == ""
    train(nn.Linear(3, 1), progress=False)
    assert capsys.readouterr().err == ""


def test_nested_batches_reach_the_model():
    def loss(model, batch):
        return squared_error(model, (batch["in"]["x"], batch["out"][0]))

    x, y = line_data()
    assert run_on([{"in": {"x": x}, "out": [y], "name": "a"}], loss).steps == 3


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_evaluation_does_not_depend_on_the_batches_and_keeps_the_mode(batch_size):
    model = make_model(dropout=0.5).cpu()
    data = line_data()
    with torch.no_grad():
        outputs = model.eval()(data[0])
        expected = ((outputs - data[1]) ** 2).mean()
    model.train()
    batches = Batches(data, batch_size=batch_size)
    score = evaluate(model, batches, lambda m, b: ((m(b[0]) - b[1]) ** 2).squeeze(1))
    assert score == pytest.approx(float(expected), rel=1e-5)
    found = predict(model, batches, lambda m, b: m(b[0]))
    assert torch.allclose(found, outputs, atol=1e-6)
    assert not found.requires_grad
    assert model.training


def test_evaluation_refuses_a_mean_and_an_empty_set():
    model = nn.Linear(3, 1)
    with pytest.raises(ValueError, match=r"returned the shape \(\), it must be \(batch,\)"):
        evaluate(model, [line_data()], lambda m, b: m(b[0]).mean())
    with pytest.raises(ValueError, match="nothing to evaluate"):
        evaluate(model, [], lambda m, b: m(b[0]))
