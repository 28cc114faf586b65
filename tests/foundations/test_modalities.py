"""The linear joins against scikit-learn, NumPy and laws; the measures against what must hold."""

import io
import zlib

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from mmlib.foundations import modalities
from mmlib.runtime import make_generator


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=make_generator(seed), dtype=torch.float64)


def test_sparsity_counts_exact_zeros():
    assert modalities.sparsity(torch.tensor([[0.0, 1.0], [0.0, 1e-30]])) == 0.5
    with pytest.raises(ValueError, match="empty"):
        modalities.sparsity(torch.zeros(0))


@pytest.mark.parametrize("variance", [0.5, 0.9, 0.95, 1.0])
def test_pca_dimension_is_scikit_learns(variance):
    data = normal(200, 12) * torch.arange(1, 13)
    held = PCA().fit(data).explained_variance_ratio_.cumsum()
    expected = int(np.searchsorted(held, variance - 1e-12)) + 1
    assert modalities.pca_dimension(data, variance=variance) == expected


def test_data_on_a_plane_has_two_dimensions():
    data = normal(300, 2) @ normal(2, 20, seed=1)
    assert modalities.pca_dimension(data, variance=1.0) == 2


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_two_neighbours_find_the_dimension(dim):
    flat = torch.rand(4000, dim, generator=make_generator(dim), dtype=torch.float64)
    turned = flat @ normal(dim, 30, seed=1)
    assert abs(modalities.two_nn_dimension(flat) - dim) < 0.1 * dim + 0.1
    assert abs(modalities.two_nn_dimension(turned) - dim) < 0.2 * dim + 0.1


def test_two_neighbours_ignore_scale_and_copies():
    data = normal(100, 3)
    once = modalities.two_nn_dimension(data)
    assert modalities.two_nn_dimension(1e-6 * data) == pytest.approx(once)
    assert modalities.two_nn_dimension(torch.cat([data, data])) == pytest.approx(once)


def test_bytes_are_those_of_files_that_open_again():
    picture = torch.rand(3, 16, 24, generator=make_generator(0))
    pixels = (picture * 255).round().byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    assert modalities.png_bytes(picture) == len(file.getvalue())
    wave, written = 0.1 * normal(4000).float(), io.BytesIO()
    soundfile.write(written, wave.numpy(), 16_000, format="FLAC", subtype="PCM_16")
    assert modalities.flac_bytes(wave, sample_rate=16_000) == len(written.getvalue())
    assert modalities.zlib_bytes("a dog") == len(zlib.compress(b"a dog", 9))
    assert modalities.png_bytes(torch.zeros(3, 16, 24)) < modalities.png_bytes(picture)


def test_cca_is_scikit_learns():
    x = normal(400, 5)
    y = x @ normal(5, 4, seed=1) + 2 * normal(400, 4, seed=2)
    ours = modalities.fit_cca(x, y, dim=4)
    theirs = CCA(n_components=4, scale=False, max_iter=5000, tol=1e-12)
    u, v = theirs.fit_transform(x.numpy(), y.numpy())
    expected = [np.corrcoef(u[:, k], v[:, k])[0, 1] for k in range(4)]
    assert np.allclose(ours.correlations, expected, atol=1e-5)


def test_cca_projections_are_white_and_correlate_as_said():
    x, y = normal(300, 4), normal(300, 3, seed=1)
    y = y + x[:, :3]
    cca = modalities.fit_cca(x, y, dim=3)
    u, v = cca.project_x(x), cca.project_y(y)
    for projected in (u, v):
        assert torch.allclose(projected.T @ projected / 300, torch.eye(3).double(), atol=1e-8)
    assert torch.allclose(u.T @ v / 300, cca.correlations.diag(), atol=1e-8)


def test_cca_does_not_see_an_invertible_change_of_either_side():
    x, y = normal(200, 4), normal(200, 3, seed=1)
    once = modalities.fit_cca(x, y, dim=3).correlations
    again = modalities.fit_cca(x @ normal(4, 4, seed=2) + 7, -3 * y, dim=3).correlations
    assert torch.allclose(once, again, atol=1e-8)


def test_a_penalty_lets_superfluous_features_through():
    x = normal(100, 3)
    doubled = torch.cat([x, x], dim=1)
    with pytest.raises(ValueError, match="singular"):
        modalities.fit_cca(doubled, x, dim=2)
    assert modalities.fit_cca(doubled, x, dim=2, penalty=1e-3).correlations.max() <= 1


def test_ridge_is_scikit_learns():
    x, y = normal(80, 6) + 3, normal(80, 2, seed=1)
    ours = modalities.fit_ridge(x, y, penalty=2.5)
    theirs = Ridge(alpha=2.5).fit(x.numpy(), y.numpy())
    assert np.allclose(ours.weight, theirs.coef_.T)
    assert np.allclose(ours.bias, theirs.intercept_)
    assert np.allclose(ours.predict(x), theirs.predict(x.numpy()))


def test_correlation_map_is_numpys_cell_by_cell():
    grid, vector = normal(2, 7, 3, 4), normal(7, seed=1)
    found = modalities.correlation_map(grid, vector)
    for item, row, column in np.ndindex(2, 3, 4):
        expected = np.corrcoef(grid[item, :, row, column], vector)[0, 1]
        assert found[item, row, column] == pytest.approx(expected)


def test_correlation_map_gives_zero_for_what_does_not_vary():
    assert modalities.correlation_map(torch.ones(5, 2, 2), normal(5).float()).abs().max() == 0
    assert modalities.correlation_map(normal(5, 2, 2), torch.zeros(5).double()).abs().max() == 0


def test_colour_histograms_count_pixels():
    pictures = torch.rand(2, 3, 8, 16, generator=make_generator(0))
    found = modalities.colour_histograms(pictures, cell=8, levels=2)
    assert found.shape == (2, 8, 1, 2)
    assert torch.allclose(found.sum(dim=1), torch.ones(2, 1, 2))
    counts = torch.zeros(8)
    for row, column in np.ndindex(8, 8):
        red, green, blue = (pictures[1, :, row, 8 + column] >= 0.5).int().tolist()
        counts[4 * red + 2 * green + blue] += 1
    assert torch.allclose(found[1, :, 0, 1], counts / 64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: modalities.pca_dimension(normal(5, 2), variance=1.5), "variance is 1.5"),
        (lambda: modalities.pca_dimension(torch.ones(5, 2)), "all rows"),
        (lambda: modalities.two_nn_dimension(torch.ones(5, 2)), "1 different points"),
        (lambda: modalities.two_nn_dimension(torch.full((5, 2), torch.nan)), "data"),
        (lambda: modalities.fit_cca(normal(9, 2), normal(8, 2), dim=1), "9 items and y 8"),
        (lambda: modalities.fit_cca(normal(9, 2), normal(9, 2), dim=3), "dim is 3"),
        (lambda: modalities.fit_ridge(normal(9, 2), normal(9, 2), penalty=0), "penalty is 0"),
        (lambda: modalities.fit_ridge(normal(1, 2), normal(1, 2), penalty=1), "1 items"),
        (lambda: modalities.correlation_map(normal(5, 2, 2), normal(4)), "vector"),
        (lambda: modalities.colour_histograms(torch.zeros(1, 3, 60, 64)), "60 x 64"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
