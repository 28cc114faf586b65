"""Boltzmann machines against enumeration, autograd, scikit-learn, closed forms and laws."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.neural_network import BernoulliRBM
from torch import nn

from mmlib.runtime import make_generator
from mmlib.vision_text import deep_boltzmann as db

KINDS = (db.Rbm, db.GaussianRbm, db.ReplicatedSoftmax)


def random_rbm(
    kind=db.Rbm, visible: int = 4, hidden: int = 3, *, scale: float = 1.0, seed: int = 0
):
    """Return a machine whose weights and biases are not small, in double precision."""
    generator = make_generator(seed)
    rbm = kind(visible, hidden, generator=generator).double()
    for parameter in rbm.parameters():
        values = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.copy_(scale * values)
    return rbm


def states(units: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=units)), dtype=torch.float64)


def pairs(v, h):
    """Return every row of v with every row of h."""
    return v.repeat_interleave(len(h), dim=0), h.repeat(len(v), 1)


def sequences(words: int, length: int) -> torch.Tensor:
    """Return the counts of every sequence of words, one row a sequence."""
    rows = itertools.product(range(words), repeat=length)
    return torch.stack([torch.bincount(torch.tensor(r), minlength=words) for r in rows]).double()


def some_data(kind, items: int, visible: int, seed: int = 1) -> torch.Tensor:
    generator = make_generator(seed)
    if kind is db.GaussianRbm:
        return torch.randn(items, visible, generator=generator, dtype=torch.float64)
    high = 2 if kind is db.Rbm else 4
    return torch.randint(high, (items, visible), generator=generator).double() + (high == 4)


# --- one machine -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "visible"), [(db.Rbm, states(4)), (db.ReplicatedSoftmax, sequences(4, 3))]
)
def test_log_partition_is_the_sum_over_all_states(kind, visible):
    rbm = random_rbm(kind)
    brute = -rbm.energy(*pairs(visible, states(3)))
    found = db.exact_log_partition(rbm, words=3)
    assert found == pytest.approx(float(brute.logsumexp(0)), abs=1e-9)


def test_log_partition_of_gaussian_units_is_the_integral():
    rbm = random_rbm(db.GaussianRbm, visible=1, hidden=3)
    v = torch.linspace(-30, 30, 60_001, dtype=torch.float64)[:, None]
    integral = torch.trapezoid((-rbm.free_energy(v)).exp(), v[:, 0])
    assert db.exact_log_partition(rbm) == pytest.approx(math.log(integral), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_free_energy_sums_out_the_hidden_units(kind):
    rbm, v = random_rbm(kind), some_data(kind, 5, 4)
    both = -rbm.energy(*pairs(v, states(3)))
    brute = both.reshape(5, -1).logsumexp(1)
    torch.testing.assert_close(-rbm.free_energy(v), brute)


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_conditional_is_what_the_energy_says(kind):
    rbm, v = random_rbm(kind), some_data(kind, 5, 4)
    weight = (-rbm.energy(*pairs(v, states(3)))).reshape(5, -1).softmax(1)
    torch.testing.assert_close(torch.sigmoid(rbm.to_hidden(v)), weight @ states(3))


def test_visible_conditionals_are_what_the_energy_says():
    h = states(3)
    rbm = random_rbm()
    weight = (-rbm.energy(*pairs(states(4), h))).reshape(16, -1).softmax(0)  # (v, h)
    torch.testing.assert_close(rbm.mean_visible(rbm.to_visible(h), h), weight.T @ states(4))
    words, rows = random_rbm(db.ReplicatedSoftmax), sequences(4, 3)
    weight = (-words.energy(*pairs(rows, h))).reshape(len(rows), -1).softmax(0)
    like = torch.full((8, 4), 0.75).double()  # three words
    torch.testing.assert_close(words.mean_visible(words.to_visible(h), like), weight.T @ rows)


def test_conditionals_are_scikit_learns():
    theirs = BernoulliRBM(n_components=3)
    rbm = random_rbm()
    theirs.components_ = rbm.W.T.numpy()
    theirs.intercept_hidden_, theirs.intercept_visible_ = rbm.a.numpy(), rbm.b.numpy()
    found = torch.sigmoid(rbm.to_hidden(states(4)))
    np.testing.assert_allclose(theirs.transform(states(4).numpy()), found, rtol=1e-6)
    np.testing.assert_allclose(theirs._free_energy(states(4).numpy()), rbm.free_energy(states(4)))


@pytest.mark.parametrize("kind", KINDS)
def test_contrastive_divergence_is_the_gradient_of_free_energies(kind):
    rbm, v = random_rbm(kind, scale=0.3), some_data(kind, 6, 4)
    found, chain = db.contrastive_divergence(rbm, v, generator=make_generator(2), k=2)
    rbm.requires_grad_(True)
    (rbm.free_energy(chain).mean() - rbm.free_energy(v).mean()).backward()
    for mine, parameter in zip(found, (rbm.W, rbm.b, rbm.a), strict=True):
        torch.testing.assert_close(mine, parameter.grad)


def exact_gradient(rbm, v):
    """Return the gradient of the mean log-likelihood, with every state enumerated."""
    weight = (-rbm.free_energy(states(4))).softmax(0)
    rbm.requires_grad_(True)
    loss = (weight * rbm.free_energy(states(4))).sum() - rbm.free_energy(v).mean()
    grads = torch.autograd.grad(loss, (rbm.W, rbm.b, rbm.a))
    rbm.requires_grad_(False)
    return grads


def test_many_steps_of_cd_give_the_exact_gradient():
    rbm, v = random_rbm(scale=0.7), states(4)[[3, 3, 12, 5]]
    many = v.repeat(10_000, 1)
    truth = exact_gradient(rbm, v)

    def error(k):
        found, _ = db.contrastive_divergence(rbm, many, generator=make_generator(0), k=k)
        return max(float((f - t).abs().max()) for f, t in zip(found, truth, strict=True))

    assert error(30) < 0.02  # sampling error of 40,000 chains
    assert error(1) > 2 * error(30)


def test_persistent_chains_reach_the_distribution():
    rbm = random_rbm(scale=0.7)
    generator, chains = make_generator(0), states(4).repeat(500, 1)
    for _ in range(30):
        _, chains = db.contrastive_divergence(rbm, chains, generator=generator, chains=chains)
    number = (chains @ torch.tensor([8.0, 4, 2, 1]).double()).long()
    share = torch.bincount(number, minlength=16) / len(chains)
    torch.testing.assert_close(
        share.double(), (-rbm.free_energy(states(4))).softmax(0), atol=0.02, rtol=0
    )


@pytest.mark.parametrize("kind", KINDS)
def test_ais_agrees_with_enumeration_within_its_error(kind):
    rbm = random_rbm(kind, visible=6, hidden=5, scale=0.5)
    generator = make_generator(0)
    found, error = db.ais_log_partition(
        rbm, chains=500, temperatures=100, generator=generator, words=4
    )
    assert error < 0.2
    assert abs(found - db.exact_log_partition(rbm, words=4)) < 5 * error + 1e-3


def test_sampled_words_are_as_many_as_before():
    rbm = db.ReplicatedSoftmax(5, 2, generator=make_generator(0))
    v = torch.tensor([[0.0, 2, 0, 1, 0], [0, 0, 0, 0, 0], [7.5, 0, 2.5, 0, 0]])
    found = rbm.sample_visible(torch.zeros(3, 5), v, generator=make_generator(1))
    assert found.sum(dim=1).tolist() == [3, 0, 10]


def test_training_learns_a_few_patterns():
    v = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]]).repeat(20, 1)
    rbm = db.Rbm(4, 3, generator=make_generator(0))
    before = float(rbm.free_energy(v).mean()) + db.exact_log_partition(rbm)
    db.train_rbm(rbm, [v], epochs=600, learning_rate=0.05, generator=make_generator(1))
    after = float(rbm.free_energy(v).mean()) + db.exact_log_partition(rbm)
    assert after < before - 1  # negative log-likelihood: at best log 2, at first log 16


# --- the deep machine --------------------------------------------------------------------------


def small_dbm(scale: float = 0.8) -> db.Dbm:
    """Return a DBM of two binary modalities that can be enumerated: 2 + 3 visible units."""
    lower = [random_rbm(visible=n, hidden=2, scale=scale, seed=n) for n in (2, 3)]
    upper = [random_rbm(visible=2, hidden=2, scale=scale, seed=n) for n in (4, 5)]
    return db.Dbm(lower, upper, random_rbm(visible=4, hidden=2, scale=scale, seed=6))


def every_state(dbm) -> db.State:
    x = states(2 + 3 + 4 + 4 + 2)
    vm, vt, h1m, h1t, h2m, h2t, h3 = x.split([2, 3, 2, 2, 2, 2, 2], dim=1)
    return db.State((vm, vt), (h1m, h1t), (h2m, h2t), h3)


def test_mean_field_bound_is_below_the_log_likelihood():
    dbm = small_dbm()
    everything = -dbm.energy(every_state(dbm)).reshape(32, -1)  # visible states come first
    log_z, log_v = everything.logsumexp((0, 1)), everything.logsumexp(1)
    v = states(5)
    s = dbm.mean_field((v[:, :2], v[:, 2:]), steps=100)
    assert (dbm.bound(s) <= log_v + 1e-9).all()
    assert ((dbm.bound(s) - log_z).exp().sum() <= 1 + 1e-9).all()
    start = dbm.bound(dbm.start((v[:, :2], v[:, 2:])))
    assert (dbm.bound(s) >= start).all()  # each update climbs


def test_bound_is_exact_where_the_weights_are_zero():
    dbm = small_dbm(scale=0.0)
    v = states(5)
    everything = -dbm.energy(every_state(dbm)).reshape(32, -1)
    s = dbm.mean_field((v[:, :2], v[:, 2:]), steps=2)
    torch.testing.assert_close(dbm.bound(s), everything.logsumexp(1))


def test_gibbs_sampling_reaches_the_conditional_of_the_missing_modality():
    dbm = small_dbm()
    joint = (-dbm.energy(every_state(dbm))).reshape(4, 8, -1).logsumexp(2)  # (v_m, v_t)
    truth = joint[2].softmax(0) @ states(3)
    vm = states(2)[2].expand(4000, 2)
    blank = torch.zeros(4000, 3).double()
    _, found = db.fill_in(
        dbm, (vm, blank), known=(True, False), steps=60, generator=make_generator(0)
    )
    torch.testing.assert_close(found.mean(0), truth, atol=0.02, rtol=0)


def test_gradients_are_those_of_the_mean_energies_and_reach_all():
    dbm, everything = small_dbm(), every_state(small_dbm())
    one = db.State(
        *([part[:9] for part in x] if isinstance(x, tuple) else x[:9] for x in everything)
    )
    other = db.State(
        *([part[7:] for part in x] if isinstance(x, tuple) else x[7:] for x in everything)
    )
    found = dbm.gradients(one, other)
    dbm.requires_grad_(True)
    (dbm.energy(other).mean() - dbm.energy(one).mean()).backward()
    for (rbm, *_), slopes in zip(dbm.machines(one), found, strict=True):
        for mine, parameter in zip(slopes, (rbm.W, rbm.b, rbm.a), strict=True):
            torch.testing.assert_close(mine, parameter.grad)
            assert float(mine.abs().max()) > 0


def trained(seed: int = 0, epochs: tuple[int, int] = (60, 8)):
    """Return a small machine trained on two kinds of item, in features and in tags."""
    generator, items = make_generator(seed), torch.arange(400)
    kind = items % 2
    features = (2.0 * kind - 1)[:, None] + 0.3 * torch.randn(400, 4, generator=generator)
    counts = db.as_counts(nn.functional.one_hot(kind + items // 2 % 2 * 2, 4).float())
    kinds, sizes = (db.GaussianRbm, db.ReplicatedSoftmax), ((4, 6, 6), (4, 6, 6))
    dbm = db.build(kinds, sizes, joint=6, generator=generator)
    options = {"generator": generator, "batch_size": 20}
    rates = (0.01, 0.003, 0.1)
    db.pretrain(dbm, (features, counts), epochs=epochs[0], learning_rates=rates, **options)
    data = (features, counts)
    history = db.train_dbm(dbm, data, epochs=epochs[1], learning_rate=0.0005, **options)
    return dbm, features, kind, history


def test_small_machines_fill_in_what_is_missing_both_ways():
    right, back = [], []
    for seed in range(3):
        dbm, features, kind, history = trained(seed)
        assert len(history) == 8
        blank = torch.zeros(400, 4)
        found = db.tag_probabilities(dbm, features, blank, steps=0, generator=make_generator(3))
        torch.testing.assert_close(found.sum(1), torch.ones(400))
        right.append(torch.where(kind == 0, found[:, [0, 2]].sum(1), found[:, [1, 3]].sum(1)))
        v, known = (torch.zeros(4, 4), db.WORDS * torch.eye(4)), (False, True)
        filled, same = db.fill_in(dbm, v, known=known, steps=30, generator=make_generator(4))
        assert torch.equal(same, v[1])
        back.append(filled.mean(1) * torch.tensor([-1.0, 1, -1, 1]))
    assert torch.cat(right).mean() > 0.7  # chance is 0.5
    assert torch.cat(back).mean() > 0.3  # chance is 0


def test_same_seed_same_machine():
    one, other = trained(3, (2, 1))[0], trained(3, (2, 1))[0]
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_first_pass_and_no_steps_agree():
    dbm, v = small_dbm(), (states(2), torch.zeros(4, 3).double())
    found = db.fill_in(dbm, v, known=(True, False), steps=0, generator=make_generator(0))
    assert torch.equal(found[1], dbm.first_pass(v, (True, False)).v[1])


# --- data --------------------------------------------------------------------------------------


def test_data_are_features_with_tags():
    class Grid(nn.Module):
        def forward(self, pictures):
            return nn.functional.avg_pool2d(pictures, 32)

    data = db.make_tagged_pictures(12, Grid(), generator=make_generator(0))
    assert data.features.shape == (12, 6)
    assert data.given.shape == (12, len(db.VOCABULARY))
    assert data.true.shape == (12, len(db.LABELS))
    assert (data.true.sum(1) >= 4).all()  # an object, its colour, where and when
    again = db.make_tagged_pictures(12, Grid(), generator=make_generator(0))
    assert torch.equal(data.given, again.given)


def test_counts_sum_to_the_number_of_words():
    given = torch.tensor([[1.0, 1, 0], [0, 0, 0], [0, 0, 1]])
    assert db.as_counts(given, words=6).tolist() == [[3, 3, 0], [0, 0, 0], [0, 0, 6]]


def test_bad_input_is_refused():
    rbm = db.Rbm(4, 3, generator=make_generator(0))
    with pytest.raises(ValueError, match="need size 4 where it has 5"):
        db.contrastive_divergence(rbm, torch.zeros(2, 5), generator=make_generator(0))
    with pytest.raises(ValueError, match="k is 0"):
        db.contrastive_divergence(rbm, torch.zeros(2, 4), generator=make_generator(0), k=0)
    with pytest.raises(ValueError, match="1 to 20 can be enumerated"):
        db.all_states(40)
    with pytest.raises(ValueError, match="one modality at least must be known"):
        small_dbm().first_pass((torch.zeros(1, 2), torch.zeros(1, 3)), (False, False))
