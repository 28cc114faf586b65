"""Multimodal deep Boltzmann machine: image features and tags under one joint distribution.

Chapter: notebooks/vision_text/02_deep_boltzmann. Paper: Srivastava and Salakhutdinov, "Multimodal
Learning with Deep Boltzmann Machines", JMLR 2014. Also: Hinton, Neural Computation 2002 (CD);
Tieleman, ICML 2008 (persistent chains); Salakhutdinov and Hinton, NIPS 2009 (replicated softmax)
and AISTATS 2009 (training of DBMs); Neal, Statistics and Computing 2001 (AIS).

Shapes: visible layers (batch, visible): 0 or 1, standardised features, or counts of words; hidden
layers (batch, hidden): 0 or 1, or probabilities. Gradients are differences of statistics, taken
by hand: no autograd.

Other than in the paper: small layers; the standard deviation of image features is 1, since they
are standardised; a layer between two machines keeps the biases of both, which add up.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, softplus

from mmlib.data.batches import Batches
from mmlib.foundations.pretraining import extract_features
from mmlib.shapes import check_shape, check_whole
from mmlib.world import pictures
from mmlib.world.sampling import sample_scenes
from mmlib.world.scenes import COLOURS, Scenes
from mmlib.world.words import SYNONYMS, UNRELATED_TAGS, canonical, tags, true_tags

DRAWN_AT_ONCE = 250  # pictures, which are large, in memory at a time
LABELS = (*SYNONYMS, *COLOURS)  # what is true of a picture or not
VOCABULARY = (*LABELS, *UNRELATED_TAGS)
WORDS = 20  # a picture's tags are counted so often that they make so many words

Draw = Callable[[Tensor], Tensor]  # from probabilities to states, or to themselves


class TaggedPictures(NamedTuple):
    """Pictures as features, with the tags that people gave and the labels that are true."""

    scenes: Scenes
    features: Tensor  # (items, features)
    given: Tensor  # (items, words of VOCABULARY), 0 or 1
    true: Tensor  # (items, LABELS), 0 or 1


def make_tagged_pictures(
    count: int, encoder: nn.Module, *, generator: torch.Generator, objects: int = 3
) -> TaggedPictures:
    """Sample ``count`` scenes of 1 to ``objects`` objects, encode their pictures, tag them.

    Args:
        encoder: pictures (batch, 3, height, width) → grids, such as ``load_image_encoder()``.
    """
    scenes = sample_scenes(count, generator=generator, slots=objects)
    features = [
        extract_features(encoder, pictures.draw(scenes[i : i + DRAWN_AT_ONCE], generator=generator))
        for i in range(0, count, DRAWN_AT_ONCE)
    ]
    given = [map(canonical, words) for words in tags(scenes, generator=generator)]
    true = multi_hot(true_tags(scenes), LABELS)
    return TaggedPictures(scenes, torch.cat(features), multi_hot(given, VOCABULARY), true)


def multi_hot(items: Iterable[Iterable[str]], vocabulary: Sequence[str]) -> Tensor:
    """Return (items, words): 1 where an item has the word, else 0."""
    places = {word: number for number, word in enumerate(vocabulary)}
    rows = []
    for words in items:
        row = torch.zeros(len(vocabulary))
        row[[places[word] for word in words]] = 1
        rows.append(row)
    return torch.stack(rows)


def as_counts(given: Tensor, *, words: int = WORDS) -> Tensor:
    """Scale the tags (items, words of the vocabulary) of each item to a sum of ``words``.

    An item without tags keeps its zeros.
    """
    return words * given / given.sum(dim=1, keepdim=True).clamp(min=1)


class Rbm(nn.Module):
    """A restricted Boltzmann machine of 0 or 1: E(v, h) = -vᵀWh - bᵀv - aᵀh.

    Args:
        visible, hidden: numbers of units.
        generator: draws the first weights, N(0, 0.01²).
    """

    def __init__(self, visible: int, hidden: int, *, generator: torch.Generator) -> None:
        super().__init__()
        first = 0.01 * torch.randn(visible, hidden, generator=generator)
        self.W, self.b, self.a = (
            nn.Parameter(values, requires_grad=False)
            for values in (first, torch.zeros(visible), torch.zeros(hidden))
        )

    def copies(self, v: Tensor) -> Tensor | float:
        """Return how often the hidden biases count for each row of v: once."""
        return 1.0

    def to_hidden(self, v: Tensor, *, up: float = 1.0) -> Tensor:
        """Return the log-odds of the hidden units, up · vW + a."""
        return up * (v @ self.W) + self.copies(v) * self.a

    def to_visible(self, h: Tensor, *, down: float = 1.0) -> Tensor:
        """Return the input of the visible units, down · Wh + b."""
        return down * (h @ self.W.T) + self.b

    def mean_visible(self, field: Tensor, v: Tensor) -> Tensor:
        """Return E[v | h] for the input ``field`` of the visible units.

        Args:
            v: the layer before; where visible units are words, there are as many words again.
        """
        return torch.sigmoid(field)

    def sample_visible(self, field: Tensor, v: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return a sample of P(v | h); arguments as in ``mean_visible``."""
        return torch.bernoulli(self.mean_visible(field, v), generator=generator)

    def visible_energy(self, v: Tensor) -> Tensor:
        """Return what the visible units alone add to the energy, (batch,)."""
        return -(v @ self.b)

    def log_visible_sum(self, field: Tensor, copies: float = 1) -> Tensor:
        """Return log Σ over all v of exp(-visible energy + v · (field - b)), (batch,)."""
        return softplus(field).sum(dim=1)

    def energy(self, v: Tensor, h: Tensor) -> Tensor:
        """Return E(v, h), (batch,)."""
        hidden = ((v @ self.W + self.copies(v) * self.a) * h).sum(dim=1)
        return self.visible_energy(v) - hidden

    def free_energy(self, v: Tensor) -> Tensor:
        """Return F(v) = -log Σ over h of exp(-E(v, h)), (batch,)."""
        return self.visible_energy(v) - softplus(self.to_hidden(v)).sum(dim=1)

    def statistics(self, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the batch's means of -∂E/∂W, -∂E/∂b, -∂E/∂a (for b: up to a constant)."""
        return v.T @ h / len(v), v.mean(dim=0), (self.copies(v) * h).mean(dim=0)


class GaussianRbm(Rbm):
    """Real visible units of variance 1: E(v, h) = ½|v - b|² - vᵀWh - aᵀh."""

    def mean_visible(self, field: Tensor, v: Tensor) -> Tensor:
        return field

    def sample_visible(self, field: Tensor, v: Tensor, *, generator: torch.Generator) -> Tensor:
        return field + torch.randn(field.shape, generator=generator, device=field.device)

    def visible_energy(self, v: Tensor) -> Tensor:
        return 0.5 * (v - self.b).square().sum(dim=1)

    def log_visible_sum(self, field: Tensor, copies: float = 1) -> Tensor:
        constant = 0.5 * len(self.b) * math.log(2 * math.pi)
        return constant + 0.5 * (field.square() - self.b.square()).sum(dim=1)


class ReplicatedSoftmax(Rbm):
    """Counts of M words, drawn one by one from one softmax: E(v, h) = -vᵀWh - bᵀv - M aᵀh."""

    def copies(self, v: Tensor) -> Tensor:
        """Return M, the number of words, (batch, 1)."""
        return v.sum(dim=1, keepdim=True)

    def mean_visible(self, field: Tensor, v: Tensor) -> Tensor:
        return self.copies(v) * field.softmax(dim=1)

    def sample_visible(self, field: Tensor, v: Tensor, *, generator: torch.Generator) -> Tensor:
        words = self.copies(v).round().long()  # (batch, 1)
        most = max(1, int(words.max()))
        drawn = torch.multinomial(field.softmax(dim=1), most, replacement=True, generator=generator)
        kept = torch.arange(most, device=field.device) < words  # (batch, most)
        return (one_hot(drawn, field.shape[1]) * kept[..., None]).sum(dim=1).to(field.dtype)

    def log_visible_sum(self, field: Tensor, copies: float = 1) -> Tensor:
        return copies * field.logsumexp(dim=1)


def sampler(generator: torch.Generator) -> Draw:
    """Return the function that draws 0 or 1 from probabilities."""
    return lambda probabilities: torch.bernoulli(probabilities, generator=generator)


def contrastive_divergence(
    rbm: Rbm,
    v: Tensor,
    *,
    generator: torch.Generator,
    k: int = 1,
    chains: Tensor | None = None,
    up: float = 1.0,
    down: float = 1.0,
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Estimate the gradient of log P(v): statistics of the data minus those of a Gibbs chain.

    Args:
        v: (batch, visible), data.
        k: steps of the chain (CD-k).
        chains: (chains, visible), where the chain begins; None: at the data. Chains that go on
            from step to step make this persistent CD.
        up, down: factors on the weights in each direction; 2 before or after a layer that will
            get input from both sides.

    Returns:
        the gradients for W, b and a, and the chain's last visible state.
    """
    check_shape(v, f"batch {len(rbm.b)}", name="v")
    draw = sampler(generator)
    data = rbm.statistics(v, torch.sigmoid(rbm.to_hidden(v, up=up)))
    chain = v if chains is None else chains
    for _ in range(check_whole(k, name="k")):
        h = draw(torch.sigmoid(rbm.to_hidden(chain, up=up)))
        chain = rbm.sample_visible(rbm.to_visible(h, down=down), chain, generator=generator)
    model = rbm.statistics(chain, torch.sigmoid(rbm.to_hidden(chain, up=up)))
    return tuple(d - m for d, m in zip(data, model, strict=True)), chain


class Ascent:
    """Gradient ascent with momentum 0.9 and a decay of the weights (not of the biases).

    Args:
        rbms: whose parameters climb.
        decay: how much of a weight is added to its gradient, with the other sign.
    """

    def __init__(self, rbms: Iterable[Rbm], *, learning_rate: float, decay: float = 1e-3) -> None:
        self.rbms, self.rate, self.decay = list(rbms), learning_rate, decay
        self.speed = [torch.zeros_like(p) for rbm in self.rbms for p in (rbm.W, rbm.b, rbm.a)]

    def step(self, gradients: Iterable[tuple[Tensor, ...]]) -> None:
        """Make one step along the gradients (W, b, a) of each machine."""
        speeds = iter(self.speed)
        for rbm, (dW, db, da) in zip(self.rbms, gradients, strict=True):
            slopes = (dW - self.decay * rbm.W, db, da)
            for weights, slope in zip((rbm.W, rbm.b, rbm.a), slopes, strict=True):
                speed = next(speeds).mul_(0.9).add_(slope, alpha=self.rate)
                weights.add_(speed)


def train_rbm(
    rbm: Rbm,
    batches: Iterable[Tensor],
    *,
    epochs: int,
    learning_rate: float,
    generator: torch.Generator,
    up: float = 1.0,
    down: float = 1.0,
) -> list[float]:
    """Train by CD-1; return each epoch's mean squared error of one step of reconstruction.

    Args:
        batches: of data, (batch, visible) each; read once an epoch.
    """
    ascent, history = Ascent([rbm], learning_rate=learning_rate), []
    for _ in range(epochs):
        errors = []
        for v in batches:
            found, chain = contrastive_divergence(rbm, v, generator=generator, up=up, down=down)
            ascent.step([found])
            errors.append(float((v - chain).square().mean()))
        history.append(sum(errors) / len(errors))
    return history


def all_states(units: int) -> Tensor:
    """Return every state of ``units`` units of 0 or 1, (2^units, units)."""
    if not 1 <= units <= 20:
        raise ValueError(f"units is {units}: only 1 to 20 can be enumerated")
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * units).reshape(-1, units)


def exact_log_partition(rbm: Rbm, *, words: int = 1) -> float:
    """Return log Z by a sum over all hidden states; the visible ones are summed in closed form.

    Args:
        words: the number M of words, for a replicated softmax (which then counts sequences).
    """
    h = all_states(len(rbm.a)).to(rbm.W)
    copies = words if isinstance(rbm, ReplicatedSoftmax) else 1
    terms = copies * (h @ rbm.a) + rbm.log_visible_sum(rbm.to_visible(h), copies)
    return float(terms.logsumexp(dim=0))


def ais_log_partition(
    rbm: Rbm, *, chains: int, temperatures: int, generator: torch.Generator, words: int = 1
) -> tuple[float, float]:
    """Estimate log Z by annealed importance sampling (Neal 2001), and its standard error.

    At inverse temperature β the input of the hidden units is multiplied by β: at 0 they are
    independent of the visible ones and Z is known, at 1 the machine is as it is.

    Args:
        chains: independent runs. **temperatures**: steps from β = 0 to 1.
        words: as in ``exact_log_partition``.
    """
    draw = sampler(generator)
    field = rbm.b.expand(chains, -1)
    v = rbm.sample_visible(field, torch.full_like(field, words / len(rbm.b)), generator=generator)
    log_weight = torch.zeros(chains).to(v)
    betas = torch.linspace(0, 1, check_whole(temperatures, name="temperatures") + 1).tolist()
    for before, beta in itertools.pairwise(betas):
        x = rbm.to_hidden(v)
        log_weight += (softplus(beta * x) - softplus(before * x)).sum(dim=1)
        h = draw(torch.sigmoid(beta * x))
        v = rbm.sample_visible(rbm.to_visible(h, down=beta), v, generator=generator)
    copies = words if isinstance(rbm, ReplicatedSoftmax) else 1
    base = len(rbm.a) * math.log(2) + float(rbm.log_visible_sum(rbm.b[None], copies))
    weight = (log_weight - log_weight.max()).exp()
    error = float(weight.std() / weight.mean()) / chains**0.5
    return base + float(log_weight.max() + weight.mean().log()), error


class State(NamedTuple):
    """Every layer of a deep Boltzmann machine: states, or probabilities of states."""

    v: tuple[Tensor, ...]  # a visible layer for each modality
    h1: tuple[Tensor, ...]  # the two hidden layers above it
    h2: tuple[Tensor, ...]
    h3: Tensor  # the joint layer


class Dbm(nn.Module):
    """Pathways of two hidden layers, one for each modality, below a joint layer.

    The energy is the sum of the energies of the machines that it is built from. With one pathway
    it is a DBM of one modality.

    Args:
        lower: for each modality the machine between its visible and first hidden layer.
        upper: the machine between its hidden layers.
        joint: the machine between all second hidden layers, side by side, and the joint layer.
    """

    def __init__(self, lower: Sequence[Rbm], upper: Sequence[Rbm], joint: Rbm) -> None:
        super().__init__()
        self.lower, self.upper, self.joint = nn.ModuleList(lower), nn.ModuleList(upper), joint
        self.sizes = [len(rbm.a) for rbm in upper]

    def start(self, v: Sequence[Tensor]) -> State:
        """Return the state where all hidden probabilities are ½."""
        rows = [torch.full((len(v[0]), size), 0.5).to(v[0]) for size in self.hidden_sizes()]
        paths = len(self.lower)
        return State(tuple(v), tuple(rows[:paths]), tuple(rows[paths:-1]), rows[-1])

    def hidden_sizes(self) -> list[int]:
        """Return the numbers of units of all hidden layers, the joint one last."""
        return [len(rbm.a) for rbm in (*self.lower, *self.upper, self.joint)]

    def odd(self, s: State, draw: Draw) -> State:
        """Update h1 and h3, which do not see each other, from the layers around them."""
        h1 = tuple(
            draw(torch.sigmoid(low.to_hidden(v) + up.to_visible(h2)))
            for low, up, v, h2 in zip(self.lower, self.upper, s.v, s.h2, strict=True)
        )
        return s._replace(h1=h1, h3=draw(torch.sigmoid(self.joint.to_hidden(torch.cat(s.h2, 1)))))

    def even(self, s: State, draw: Draw) -> State:
        """Update the second hidden layers from h1 and h3."""
        above = self.joint.to_visible(s.h3).split(self.sizes, dim=1)
        h2 = tuple(
            draw(torch.sigmoid(up.to_hidden(h1) + part))
            for up, h1, part in zip(self.upper, s.h1, above, strict=True)
        )
        return s._replace(h2=h2)

    def fields(self, s: State) -> tuple[Tensor, ...]:
        """Return the input of each visible layer from its first hidden layer."""
        return tuple(low.to_visible(h1) for low, h1 in zip(self.lower, s.h1, strict=True))

    def means(self, s: State) -> tuple[Tensor, ...]:
        """Return E[v | h1] of each modality."""
        parts = zip(self.lower, self.fields(s), s.v, strict=True)
        return tuple(low.mean_visible(field, v) for low, field, v in parts)

    def mean_field(self, v: Sequence[Tensor], *, steps: int = 20) -> State:
        """Return the hidden probabilities μ of the approximate posterior, all v being known."""
        s = self.start(v)
        for _ in range(steps):
            s = self.even(self.odd(s, _keep), _keep)
        return s

    def gibbs(self, s: State, *, known: Sequence[bool], generator: torch.Generator) -> State:
        """Sample every layer once, but for the visible layers that are known."""
        draw = sampler(generator)
        s = self.odd(s, draw)
        v = tuple(
            old if clamped else low.sample_visible(field, old, generator=generator)
            for low, field, old, clamped in zip(self.lower, self.fields(s), s.v, known, strict=True)
        )
        return self.even(s, draw)._replace(v=v)

    def first_pass(self, v: Sequence[Tensor], known: Sequence[bool]) -> State:
        """Go up from the known modalities and down to the others, once, with probabilities.

        A layer gets input from one side only, so that input counts twice.

        Raises:
            ValueError: no modality is known.
        """
        if not any(known):
            raise ValueError(f"known is {tuple(known)}: one modality at least must be known")
        s = self.start(v)
        h1 = [torch.sigmoid(2 * low.to_hidden(x)) for low, x in zip(self.lower, v, strict=True)]
        h2 = [torch.sigmoid(2 * up.to_hidden(h)) for up, h in zip(self.upper, h1, strict=True)]
        share = len(known) / sum(known)
        seen = [share * clamped * h for clamped, h in zip(known, h2, strict=True)]
        h3 = torch.sigmoid(self.joint.to_hidden(torch.cat(seen, dim=1)))
        above = self.joint.to_visible(h3).split(self.sizes, dim=1)
        new = list(v)
        for i in [i for i, clamped in enumerate(known) if not clamped]:
            h2[i] = torch.sigmoid(2 * above[i])
            h1[i] = torch.sigmoid(2 * self.upper[i].to_visible(h2[i]))
            new[i] = self.lower[i].mean_visible(self.lower[i].to_visible(h1[i]), v[i])
        return s._replace(v=tuple(new), h1=tuple(h1), h2=tuple(h2), h3=h3)

    def machines(self, s: State) -> list[tuple[Rbm, Tensor, Tensor]]:
        """Return every machine of the stack with the layer below and the layer above it."""
        return [
            *zip(self.lower, s.v, s.h1, strict=True),
            *zip(self.upper, s.h1, s.h2, strict=True),
            (self.joint, torch.cat(s.h2, dim=1), s.h3),
        ]

    def gradients(self, data: State, model: State) -> list[tuple[Tensor, ...]]:
        """Return for each machine the statistics of the data minus those of the model."""
        pairs = zip(self.machines(data), self.machines(model), strict=True)
        return [
            tuple(d - m for d, m in zip(rbm.statistics(*one), rbm.statistics(*other), strict=True))
            for (rbm, *one), (_, *other) in pairs
        ]

    def energy(self, s: State) -> Tensor:
        """Return the energy of the whole state, (batch,)."""
        return sum(rbm.energy(below, above) for rbm, below, above in self.machines(s))

    def bound(self, s: State) -> Tensor:
        """Return the mean-field bound on log P(v) + log Z, (batch,): entropy minus mean energy."""
        entropy = sum(
            torch.special.entr(torch.stack([mu, 1 - mu])).sum(dim=(0, 2))
            for mu in (*s.h1, *s.h2, s.h3)
        )
        return entropy - self.energy(s)


def _keep(probabilities: Tensor) -> Tensor:
    return probabilities


def build(
    kinds: Sequence[type[Rbm]],
    sizes: Sequence[tuple[int, int, int]],
    *,
    joint: int,
    generator: torch.Generator,
) -> Dbm:
    """Return an untrained DBM.

    Args:
        kinds: of each modality's visible units, such as ``(GaussianRbm, ReplicatedSoftmax)``.
        sizes: of each modality's visible, first and second hidden layer.
        joint: units of the joint layer.
    """
    lower = [k(v, h1, generator=generator) for k, (v, h1, _) in zip(kinds, sizes, strict=True)]
    upper = [Rbm(h1, h2, generator=generator) for _, h1, h2 in sizes]
    top = Rbm(sum(h2 for *_, h2 in sizes), joint, generator=generator)
    return Dbm(lower, upper, top)


def pretrain(
    dbm: Dbm,
    data: Sequence[Tensor],
    *,
    epochs: int,
    generator: torch.Generator,
    learning_rates: Sequence[float],
    batch_size: int = 100,
) -> None:
    """Train the machines of a DBM one after the other, each on what the one below gives.

    Args:
        data: the visible layer of each modality, (items, visible) each, row by row of one item.
        learning_rates: of each modality's lowest machine, and of all others.
    """

    def train(rbm: Rbm, v: Tensor, rate: float, **factors: float) -> Tensor:
        batches = Batches(v, batch_size=batch_size, generator=generator)
        train_rbm(rbm, batches, epochs=epochs, learning_rate=rate, generator=generator, **factors)
        return torch.sigmoid(rbm.to_hidden(v, up=factors.get("up", 1.0)))

    *rates, rate = learning_rates
    tops = []
    for low, up, v, first in zip(dbm.lower, dbm.upper, data, rates, strict=True):
        tops.append(train(up, train(low, v, first, up=2.0), rate))
        for parameter in (low.a, up.W, up.b, up.a):
            parameter.div_(2)  # their layers will get the other half from the other side
    train(dbm.joint, torch.cat(tops, dim=1), rate, down=2.0)
    dbm.joint.b.div_(2)


def train_dbm(
    dbm: Dbm,
    data: Sequence[Tensor],
    *,
    epochs: int,
    generator: torch.Generator,
    learning_rate: float = 0.002,
    batch_size: int = 100,
    inference_steps: int = 10,
    gibbs_steps: int = 5,
) -> list[list[float]]:
    """Train all layers together; return each epoch's squared error of each modality's E[v | h].

    The statistics of the data come from ``inference_steps`` of mean field, those of the model from
    persistent chains with ``gibbs_steps`` a batch. The learning rate falls to 0 in a line.
    """
    rbms = [rbm for rbm, *_ in dbm.machines(dbm.start([v[:1] for v in data]))]
    ascent, chains, history = Ascent(rbms, learning_rate=learning_rate), None, []
    for epoch in range(epochs):
        ascent.rate, errors = learning_rate * (1 - epoch / epochs), []
        for v in Batches(tuple(data), batch_size=batch_size, generator=generator):
            posterior = dbm.mean_field(v, steps=inference_steps)
            chains = posterior if chains is None else chains
            for _ in range(gibbs_steps):
                chains = dbm.gibbs(chains, known=[False] * len(v), generator=generator)
            ascent.step(dbm.gradients(posterior, chains))
            means = dbm.means(posterior)
            errors.append([float((x - y).square().mean()) for x, y in zip(v, means, strict=True)])
        history.append(torch.tensor(errors).mean(dim=0).tolist())
    return history


def fill_in(
    dbm: Dbm,
    v: Sequence[Tensor],
    *,
    known: Sequence[bool],
    steps: int,
    generator: torch.Generator,
) -> tuple[Tensor, ...]:
    """Sample the modalities that are missing; return the mean over the steps of E[v | h].

    Args:
        v: what is known; of what is missing only the shape counts, and the number of words.
        steps: of Gibbs sampling, which begins at ``Dbm.first_pass``; 0 returns that pass.
    """
    s = dbm.first_pass(v, known)
    sums = [x.clone() if steps == 0 else torch.zeros_like(x) for x in s.v]
    for _ in range(steps):
        s = dbm.gibbs(s, known=known, generator=generator)
        for total, mean in zip(sums, dbm.means(s), strict=True):
            total += mean / steps
    return tuple(x if k else total for x, k, total in zip(v, known, sums, strict=True))


def tag_probabilities(
    dbm: Dbm, features: Tensor, counts: Tensor, *, steps: int, generator: torch.Generator
) -> Tensor:
    """Return the probability of each word for each picture, (items, words), each row summing to 1.

    Where a picture has tags, mean field infers all hidden layers from both modalities; where it
    has none, they are sampled from the features alone (``fill_in``).

    Args:
        features: (items, features), standardised; **counts**: (items, words), from ``as_counts``.
    """
    some, found = counts.sum(dim=1) > 0, torch.zeros_like(counts)
    if some.any():
        posterior = dbm.mean_field((features[some], counts[some]))
        found[some] = dbm.means(posterior)[1] / WORDS
    if not some.all():
        blank = torch.full_like(counts[~some], WORDS / counts.shape[1])
        v, known = (features[~some], blank), (True, False)
        found[~some] = fill_in(dbm, v, known=known, steps=steps, generator=generator)[1] / WORDS
    return found
