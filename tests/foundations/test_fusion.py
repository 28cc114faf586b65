"""OGR and Gradient-Blending against closed forms, a numeric minimiser, enumeration and laws."""

import copy
import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from mmlib.foundations import fusion
from mmlib.runtime import make_generator

SIZES = {"features": (4, 6), "hidden": (5, 8), "classes": 3}
NETWORKS = (fusion.LateFusion, fusion.MidFusion, fusion.EarlyFusion)


def small_part(items: int = 12, seed: int = 0):
    generator = make_generator(seed)
    inputs = tuple(torch.randn(items, size, generator=generator) for size in SIZES["features"])
    return inputs, torch.arange(items) % 3


def small_task() -> fusion.Task:
    return fusion.Task(small_part(24, 0), small_part(12, 1), small_part(12, 2))


def small(network=fusion.LateFusion, seed: int = 0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network(**SIZES, **options)


# --- the proposition ---------------------------------------------------------------------------


def signs(sigma: torch.Tensor) -> torch.Tensor:
    """Return all 2^K draws of ±σ_k: uncorrelated, so that a mean over them is an expectation."""
    draws = itertools.product([-1.0, 1.0], repeat=len(sigma))
    return torch.tensor(list(draws), dtype=torch.float64) * sigma


@pytest.mark.parametrize("seed", range(5))
def test_closed_form_is_the_numeric_minimum_of_equation_5(seed):
    rng = np.random.default_rng(seed)
    along = torch.tensor(rng.uniform(0.1, 2.0, 3))
    sigma = torch.tensor(rng.uniform(0.2, 3.0, 3))
    off = signs(sigma)

    def objective(free):  # the weights sum to 1
        weights = torch.tensor([*free, 1 - sum(free)], dtype=torch.float64)
        return float(fusion.squared_ogr(weights, along, off))

    found = minimize(objective, [1 / 3, 1 / 3], method="Nelder-Mead", options={"xatol": 1e-7})
    weights = fusion.blend_weights(along, sigma)
    np.testing.assert_allclose([*found.x, 1 - sum(found.x)], weights, atol=1e-3)
    assert objective(weights[:2].tolist()) <= found.fun + 1e-9


def test_expected_ogr_of_uncorrelated_draws_has_its_textbook_form():
    along, sigma = torch.tensor([1.0, 0.5]).double(), torch.tensor([0.3, 2.0]).double()
    weights = torch.tensor([0.7, 0.3]).double()
    expected = ((weights * sigma) ** 2).sum() / (weights @ along) ** 2
    torch.testing.assert_close(fusion.squared_ogr(weights, along, signs(sigma)), expected)


def test_ogr_does_not_depend_on_the_length_of_the_step():
    along, off = torch.tensor([1.0, 0.5]), torch.tensor([[0.3, -2.0], [1.0, 0.1]])
    weights = torch.tensor([0.7, 0.3])
    once, thrice = (fusion.squared_ogr(c * weights, along, off) for c in (1, 3))
    torch.testing.assert_close(once, thrice)


def test_weights_sum_to_one_and_prefer_what_generalises():
    weights = fusion.blend_weights(torch.tensor([2.0, 2.0, -1.0]), torch.tensor([1.0, 2.0, 0.1]))
    torch.testing.assert_close(weights, torch.tensor([0.8, 0.2, 0.0]))


def test_weights_refuse_what_has_no_answer():
    with pytest.raises(ValueError, match="no head generalised"):
        fusion.blend_weights(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 1.0]))
    with pytest.raises(ValueError, match="no best weight"):
        fusion.blend_weights(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0]))


# --- OGR ---------------------------------------------------------------------------------------


def test_gain_and_overfitting_are_differences_of_checkpoints():
    curves = fusion.Curves(torch.tensor([[3.0], [1.0], [0.5]]), torch.tensor([[3.5], [2.0], [2.5]]))
    gain, overfitting = fusion.gain_and_overfitting(curves)
    assert gain == 1.0
    assert overfitting == 2.0 - 0.5
    gain, overfitting = fusion.gain_and_overfitting(curves, 1, 2)
    assert gain == -0.5
    assert overfitting == 1.0


def test_measured_ogr_is_the_closed_form_on_linear_regression():
    # y = xᵀθ + ε with x ~ N(0, I): L*(w) = ½‖w - θ‖² + ½, and L^T is the mean over 30 items
    generator = make_generator(0)
    theta = torch.randn(8, generator=generator, dtype=torch.float64)
    x = torch.randn(30, 8, generator=generator, dtype=torch.float64)
    y = x @ theta + torch.randn(30, generator=generator, dtype=torch.float64)

    def losses(w):
        return 0.5 * (x @ w - y).square().mean(), 0.5 * (w - theta).square().sum() + 0.5

    start = torch.zeros(8, dtype=torch.float64)
    step = x.T @ (y - x @ start) / 30  # -∇L^T, which gradient descent follows
    truth = theta - start  # -∇L*
    closed = ((step - truth) @ step / (truth @ step)).abs()  # equation 4, before squaring
    seen = [losses(start), losses(start + 1e-6 * step)]
    curves = fusion.Curves(*(torch.stack(parts)[:, None] for parts in zip(*seen, strict=True)))
    gain, overfitting = fusion.gain_and_overfitting(curves)
    torch.testing.assert_close((overfitting / gain).abs()[0], closed, rtol=1e-4, atol=0)


# --- networks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_overfit_one_batch_and_train_every_parameter(network):
    model, part = small(network), small_part()
    heads = len(model(part[0]))
    fusion.head_losses(model, part).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    task = fusion.Task(part, part, part)
    weights = [1 / heads] * heads
    generator = make_generator(1)
    fusion.train_heads(model, task, weights, epochs=300, generator=generator, learning_rate=0.1)
    assert min(fusion.accuracies(model, part)) == 1.0


def test_joint_head_is_the_linear_map_of_the_concatenation():
    model, (inputs, _) = small(), small_part()
    encoded = [e(x) for e, x in zip(model.encoders, inputs, strict=True)]
    logits = model(inputs)
    torch.testing.assert_close(logits[0], model.heads[0](encoded[0]))
    torch.testing.assert_close(logits[2], model.joint[1](torch.cat(encoded, dim=1)))


def test_training_one_head_leaves_the_other_modality_as_it_was():
    model = small()
    before = copy.deepcopy(model.state_dict())
    fusion.train_heads(model, small_task(), [1.0, 0, 0], epochs=2, generator=make_generator(1))
    after = model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith(("encoders.0", "heads.0")) for name in moved)


def test_head_of_one_modality_ignores_the_other():
    model, part = small(), small_part()
    mixed = fusion.shuffled(part, 1, generator=make_generator(0))
    assert torch.equal(model(part[0])[0], model(mixed[0])[0])
    assert not torch.equal(model(part[0])[2], model(mixed[0])[2])
    assert torch.equal(mixed[1], part[1])


# --- training ----------------------------------------------------------------------------------


def test_curves_start_before_training_and_end_with_the_model():
    model, task = small(), small_task()
    first = fusion.head_losses(model, task.train).detach()
    curves = fusion.train_heads(model, task, [1 / 3] * 3, epochs=3, generator=make_generator(1))
    assert curves.train.shape == curves.validation.shape == (4, 3)
    torch.testing.assert_close(curves.train[0], first)
    torch.testing.assert_close(
        curves.validation[-1], fusion.head_losses(model, task.validation).detach()
    )


def test_early_stopping_keeps_the_epoch_of_the_lowest_validation_loss():
    model, task = small(), small_task()
    curves = fusion.train_heads(
        model, task, [0, 0, 1.0], epochs=30, generator=make_generator(1), learning_rate=0.2,
        keep_best=True,
    )  # fmt: skip
    kept = fusion.head_losses(model, task.validation)[2].detach()
    torch.testing.assert_close(kept, curves.validation[1:, 2].min())


def test_measuring_leaves_the_model_alone_and_sees_each_head():
    model, task = small(), small_task()
    before = copy.deepcopy(model.state_dict())
    gain, overfitting = fusion.measure_heads(model, task, epochs=2, generator=make_generator(1))
    assert gain.shape == overfitting.shape == (3,)
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())


def easy_task() -> fusion.Task:
    """Return a task whose labels are written into both modalities, so that heads generalise."""

    def part(items, seed):
        (a, b), labels = small_part(items, seed)
        return (a + 2 * torch.eye(4)[labels], b + torch.eye(6)[labels]), labels

    return fusion.Task(part(48, 0), part(48, 1), part(48, 2))


def test_online_blending_measures_before_every_super_epoch():
    runs = []
    for length in (2, 2, 4):
        model, generator = small(), make_generator(1)
        used = fusion.blend(model, easy_task(), epochs=4, super_epoch=length, generator=generator)
        assert used.shape == (4 // length, 3)
        torch.testing.assert_close(used.sum(dim=1), torch.ones(len(used)))
        runs.append(model.state_dict())
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])  # same seed
    assert any(not torch.equal(runs[0][name], runs[2][name]) for name in runs[0])


def test_bad_input_gets_one_clear_error():
    model, task = small(), small_task()
    with pytest.raises(ValueError, match="2 weights for 3 heads"):
        fusion.train_heads(model, task, [0.5, 0.5], epochs=1, generator=make_generator(0))
    with pytest.raises(ValueError, match="epochs is 5, it must be a multiple of super_epoch, 2"):
        fusion.blend(model, task, epochs=5, super_epoch=2, generator=make_generator(0))


# --- the task ----------------------------------------------------------------------------------


def test_task_is_standardised_by_its_training_part_alone():
    sizes = {"train": 30, "validation": 20, "test": 10}
    task = fusion.make_task(**sizes, generator=make_generator(0))
    for part, items in zip(task, sizes.values(), strict=True):
        assert [tuple(x.shape) for x in part[0]] == [(items, 64), (items, 768)]
        assert part[1].shape == (items,)
    for x in task.train[0]:
        torch.testing.assert_close(x.mean(dim=0), torch.zeros(x.shape[1]), atol=1e-3, rtol=0)
    again = fusion.make_task(**sizes, generator=make_generator(0))
    assert torch.equal(task.test[0][1], again.test[0][1])


def test_louder_sound_moves_only_the_mean_of_its_log_mel_energies():
    waves = torch.randn(2, 4000, generator=make_generator(0))
    quiet, loud = fusion.log_mel_statistics(waves), fusion.log_mel_statistics(10 * waves)
    torch.testing.assert_close(loud[:, :32] - quiet[:, :32], torch.full((2, 32), np.log(100.0)))
    torch.testing.assert_close(loud[:, 32:], quiet[:, 32:], atol=1e-3, rtol=1e-3)
