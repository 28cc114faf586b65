"""Laws of the figures: they fill their square, stand on its lower edge, and differ."""

import pytest
import torch

from mmlib.world import distances
from mmlib.world.figures import FIGURES
from mmlib.world.scenes import CATEGORIES

V, U = torch.meshgrid(torch.linspace(-1.6, 1.6, 321), torch.linspace(-1.6, 1.6, 321), indexing="ij")


def silhouette(category):
    return torch.stack([distance for distance, _ in FIGURES[category](U, V)]).amin(dim=0) <= 0


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_figure_stays_in_its_square_and_fills_it(category):
    inside = silhouette(category)
    assert not (inside & ((U.abs() > 1.08) | (V.abs() > 1.08))).any()
    assert inside[(U.abs() <= 1) & (V.abs() <= 1)].float().mean() > 0.2
    assert 0.85 < V[inside].max() < 1.08  # its feet


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_figure_shows_mostly_its_own_colour(category):
    parts = FIGURES[category](U, V)
    own = torch.zeros_like(U)
    for distance, paint in parts:
        own = torch.where(distance <= 0, paint.own, own)
    assert own[silhouette(category)].mean() > 0.3


def test_no_two_figures_share_an_outline():
    shapes = torch.stack([silhouette(category) for category in CATEGORIES]).flatten(1).float()
    both = shapes @ shapes.T
    either = shapes.sum(1)[:, None] + shapes.sum(1) - both
    overlap = both / either
    assert (overlap - torch.eye(len(CATEGORIES))).max() < 0.85


def steepness(form):
    """Return the length of the gradient, by central differences."""
    u, v, step = U.double(), V.double(), 1e-6
    across = (form(u + step, v) - form(u - step, v)) / (2 * step)
    down = (form(u, v + step) - form(u, v - step)) / (2 * step)
    return torch.hypot(across, down)


@pytest.mark.parametrize(
    "form",
    [
        lambda u, v: distances.circle(u, v, at=(0.2, -0.1), radius=0.5),
        lambda u, v: distances.box(u, v, at=(0.1, 0.1), half=(0.6, 0.3), rounded=0.1, turn=0.4),
        lambda u, v: distances.capsule(u, v, start=(-0.5, 0.0), end=(0.4, 0.5), radius=0.2),
    ],
)
def test_exact_distances_have_slope_one(form):
    assert ((steepness(form) - 1).abs() < 1e-6).double().mean() > 0.98


@pytest.mark.parametrize(
    "form",
    [
        lambda u, v: distances.ellipse(u, v, at=(0.1, 0.0), radii=(0.7, 0.3), turn=0.5),
        lambda u, v: distances.convex(u, v, corners=((-0.5, -0.5), (0.6, -0.2), (0.1, 0.7))),
        lambda u, v: distances.profile(u, v, width=lambda h: 0.4 + 0.2 * h, top=-0.6, bottom=0.6),
    ],
)
def test_close_bounds_are_near_slope_one_at_the_edge(form):
    edge = form(U.double(), V.double()).abs() < 0.01
    assert edge.sum() > 50
    assert (steepness(form)[edge] - 1).abs().median() < 0.2


def test_an_ellipses_edge_is_where_its_equation_says():
    u, v = torch.tensor([0.7, 0.0, 0.35]), torch.tensor([0.0, 0.3, 0.3 * 0.75**0.5])
    edge = distances.ellipse(u, v, at=(0.0, 0.0), radii=(0.7, 0.3))
    torch.testing.assert_close(edge, torch.zeros(3), atol=1e-6, rtol=0)
