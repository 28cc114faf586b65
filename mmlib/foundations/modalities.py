"""What a modality is, how two of them differ, and the three ways to join them, in closed form.

Chapter: notebooks/foundations/01_modalities. Sources: Baltrušaitis, Ahuja and Morency, "Multimodal
Machine Learning: A Survey and Taxonomy", TPAMI 2019 (the challenges and the patterns); Facco et
al., "Estimating the intrinsic dimension of datasets by a minimal neighborhood information",
Scientific Reports 2017 (two nearest neighbours); Hotelling, "Relations between two sets of
variates", Biometrika 1936 (canonical correlation); Hoerl and Kennard, "Ridge regression",
Technometrics 1970.

Examples are rows: (items, features). Nothing here is trained step by step: every result is the
solution of a linear system, exact up to rounding.
"""

import io
import zlib
from typing import NamedTuple

import soundfile
import torch
from PIL import Image
from torch import Tensor

from mmlib.shapes import check_finite, check_shape


def sparsity(values: Tensor) -> float:
    """Return the share of exact zeros in a tensor of any shape, 0 to 1.

    Raises:
        ValueError: the tensor is empty.
    """
    if values.numel() == 0:
        raise ValueError("values is empty: there is no share of nothing")
    return float((values == 0).double().mean())


def pca_dimension(data: Tensor, *, variance: float = 0.95) -> int:
    """Return how many principal components hold the share ``variance`` of the variance.

    Args:
        data: (items, features).
        variance: the share to be held, above 0 and at most 1.

    Raises:
        ValueError: ``variance`` is out of range, the data is not finite or never varies.
    """
    if not 0 < variance <= 1:
        raise ValueError(f"variance is {variance}, a share lies above 0 and is at most 1")
    centred = _centred(data, name="data")[0]
    power = torch.linalg.svdvals(centred).square()  # (min(items, features),), falling
    if power.sum() == 0:
        raise ValueError("all rows of data are equal: there is no variance to hold")
    held = power.cumsum(0) / power.sum()
    return int((held < variance - 1e-12).sum()) + 1


def two_nn_dimension(data: Tensor) -> float:
    """Return the intrinsic dimension of points by their two nearest neighbours (Facco et al. 2017).

    With r₁ and r₂ the distances to a point's first and second neighbour, μ = r₂ / r₁ has the
    density d · μ^(-d-1) if the points lie evenly on d dimensions. The maximum of the likelihood
    is d = N / Σ log μ. (The paper fits a line to the same distribution.)

    Args:
        data: (items, features), three items or more; points that coincide are counted once.

    Raises:
        ValueError: fewer than three different points, or the data is not finite.
    """
    check_shape(data, "items features", name="data")
    check_finite(data, name="data")
    points = data.double().unique(dim=0)
    if len(points) < 3:
        raise ValueError(f"data has {len(points)} different points, two neighbours need 3")
    near = torch.cdist(points, points).fill_diagonal_(torch.inf).topk(2, largest=False).values
    ratio = near[:, 1] / near[:, 0]  # μ of each point
    return float(len(points) / ratio.log().sum())


def png_bytes(picture: Tensor) -> int:
    """Return the size in bytes of a picture (3, height, width), 0 to 1, stored as PNG."""
    check_shape(picture, "3 height width", name="picture")
    pixels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0)  # (height, width, 3)
    file = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(file, "PNG", optimize=True)
    return file.tell()


def flac_bytes(wave: Tensor, *, sample_rate: int) -> int:
    """Return the size in bytes of a waveform (time,), -1 to 1, stored as FLAC with 16 bits."""
    check_shape(wave, "time", name="wave")
    file = io.BytesIO()
    soundfile.write(file, wave.numpy(), sample_rate, format="FLAC", subtype="PCM_16")
    return len(file.getvalue())


def zlib_bytes(text: str) -> int:
    """Return the size in bytes of a text in UTF-8, compressed by zlib."""
    return len(zlib.compress(text.encode(), level=9))


class Cca(NamedTuple):
    """A canonical correlation analysis: where each modality is projected, and how well it fits."""

    mean_x: Tensor  # (features_x,)
    mean_y: Tensor  # (features_y,)
    a: Tensor  # (features_x, dim): the projection of x
    b: Tensor  # (features_y, dim): the projection of y
    correlations: Tensor  # (dim,), falling

    def project_x(self, x: Tensor) -> Tensor:
        """Return (items, dim): the rows of x in the shared space."""
        return (x.to(self.a) - self.mean_x) @ self.a

    def project_y(self, y: Tensor) -> Tensor:
        """Return (items, dim): the rows of y in the shared space."""
        return (y.to(self.b) - self.mean_y) @ self.b


def fit_cca(x: Tensor, y: Tensor, *, dim: int, penalty: float = 0.0) -> Cca:
    """Match two modalities: find projections whose coordinates correlate most (Hotelling 1936).

    The directions are the singular vectors of Σxx^(-1/2) Σxy Σyy^(-1/2); its singular values are
    the canonical correlations.

    Args:
        x: (items, features_x), y: (items, features_y), row by row of the same item.
        dim: coordinates of the shared space, at most the smaller number of features.
        penalty: added to the diagonals of Σxx and Σyy, in units of their mean variance; with 0
            the plain analysis, which needs more items than features and none superfluous.

    Raises:
        ValueError: shapes do not fit, ``dim`` is out of range, or a covariance is singular.
    """
    _check_paired(x, y)
    if not 1 <= dim <= min(x.shape[1], y.shape[1]):
        raise ValueError(f"dim is {dim}, it must lie from 1 to {min(x.shape[1], y.shape[1])}")
    (x, mean_x), (y, mean_y) = _centred(x, name="x"), _centred(y, name="y")
    whiten_x = _inverse_root(x.T @ x / len(x), penalty, name="x")
    whiten_y = _inverse_root(y.T @ y / len(y), penalty, name="y")
    left, values, right = torch.linalg.svd(whiten_x @ (x.T @ y / len(x)) @ whiten_y)
    return Cca(mean_x, mean_y, whiten_x @ left[:, :dim], whiten_y @ right[:dim].T, values[:dim])


class Ridge(NamedTuple):
    """A linear map from one modality to another: y ≈ x · weight + bias."""

    weight: Tensor  # (features_x, features_y)
    bias: Tensor  # (features_y,)

    def predict(self, x: Tensor) -> Tensor:
        """Return (items, features_y) for the rows of x."""
        return x.to(self.weight) @ self.weight + self.bias


def fit_ridge(x: Tensor, y: Tensor, *, penalty: float) -> Ridge:
    """Translate one modality to another: minimise ‖xW + b - y‖² + penalty · ‖W‖².

    Args:
        x: (items, features_x), y: (items, features_y).
        penalty: above 0; the larger, the smaller the weights.

    Raises:
        ValueError: shapes do not fit, a value is not finite, or ``penalty`` is not above 0.
    """
    if not penalty > 0:
        raise ValueError(f"penalty is {penalty}, it must be above 0")
    _check_paired(x, y)
    (x, mean_x), (y, mean_y) = _centred(x, name="x"), _centred(y, name="y")
    gram = x.T @ x + penalty * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    weight = torch.linalg.solve(gram, x.T @ y)
    return Ridge(weight, mean_y - mean_x @ weight)


def correlation_map(grid: Tensor, vector: Tensor) -> Tensor:
    """Refer: correlate a vector with the features of every cell of a grid.

    Args:
        grid: (..., features, rows, columns).
        vector: (features,).

    Returns:
        (..., rows, columns): Pearson's correlation over the features, -1 to 1; 0 for a cell or a
        vector that does not vary.

    Raises:
        ValueError: the shapes do not fit.
    """
    check_shape(grid, "... features rows columns", name="grid")
    check_shape(vector, str(grid.shape[-3]), name="vector")
    cells = grid - grid.mean(dim=-3, keepdim=True)
    cells = cells / cells.norm(dim=-3, keepdim=True).clamp(min=torch.finfo(grid.dtype).tiny)
    wanted = vector - vector.mean()
    wanted = wanted / wanted.norm().clamp(min=torch.finfo(vector.dtype).tiny)
    return torch.einsum("...frc,f->...rc", cells, wanted)


def colour_histograms(pictures: Tensor, *, cell: int = 8, levels: int = 4) -> Tensor:
    """Return how often each colour occurs in each cell of pictures, without any learning.

    A channel is cut into ``levels`` steps of brightness; three channels make levels³ colours.

    Args:
        pictures: (batch, 3, height, width), 0 to 1; height and width are multiples of ``cell``.

    Returns:
        (batch, levels³, height / cell, width / cell); each cell sums to 1.

    Raises:
        ValueError: the shape is another, or a side is no multiple of ``cell``.
    """
    sizes = check_shape(pictures, "batch 3 height width", name="pictures")
    if sizes["height"] % cell or sizes["width"] % cell:
        raise ValueError(
            f"pictures are {sizes['height']} x {sizes['width']} pixels, no multiple of the cell's "
            f"{cell}: resize them first"
        )
    steps = (pictures * levels).long().clamp(0, levels - 1)  # (batch, 3, height, width)
    colour = (steps[:, 0] * levels + steps[:, 1]) * levels + steps[:, 2]  # (batch, height, width)
    rows, columns = sizes["height"] // cell, sizes["width"] // cell
    colour = colour.reshape(-1, rows, cell, columns, cell).permute(0, 1, 3, 2, 4).flatten(3)
    counts = torch.zeros(*colour.shape[:3], levels**3)  # (batch, rows, columns, colours)
    counts.scatter_add_(3, colour, torch.ones(colour.shape))
    return counts.permute(0, 3, 1, 2) / cell**2


def _check_paired(x: Tensor, y: Tensor) -> None:
    items = check_shape(x, "items features_x", name="x")["items"]
    check_shape(y, "items features_y", name="y")
    if len(y) != items:
        raise ValueError(f"x has {items} items and y {len(y)}: they must be pairs, row by row")


def _centred(data: Tensor, *, name: str) -> tuple[Tensor, Tensor]:
    """Return data (items, features) in double precision without its mean, and the mean."""
    check_shape(data, "items features", name=name)
    check_finite(data, name=name)
    if len(data) < 2:
        raise ValueError(f"{name} has {len(data)} items, at least 2 are needed")
    data = data.double()
    mean = data.mean(dim=0)
    return data - mean, mean


def _inverse_root(covariance: Tensor, penalty: float, *, name: str) -> Tensor:
    """Return the inverse square root of a covariance with a penalty on its diagonal."""
    scale = covariance.diagonal().mean()
    values, vectors = torch.linalg.eigh(covariance)
    values = values + penalty * scale
    if values[0] <= 1e-10 * values[-1]:
        raise ValueError(
            f"the covariance of {name} is singular (a feature that the others determine, or fewer "
            "items than features): give a penalty, or fewer features"
        )
    return (vectors / values.sqrt()) @ vectors.T
