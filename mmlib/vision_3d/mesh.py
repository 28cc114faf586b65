"""Mesh R-CNN without its detector: one picture → voxels → cubify → a mesh, refined on its graph.

Page: notebooks/vision_3d/05_mesh.ipynb. Source: Gkioxari, Malik and Johnson, "Mesh R-CNN", ICCV
2019 (G19); the authors' code, facebookresearch/meshrcnn, for what the paper leaves open. Sphere
baseline: Wang et al., "Pixel2Mesh", ECCV 2018, as G19 rebuilds it.

Shapes: inputs (batch, channels, SIZE, SIZE); cells (batch, GRID, GRID, GRID), to the right, down,
forward; vertices and points in the camera's frame, see ``world.shape_views``; meshes as in
``mmlib.surfaces``.

Other than in G19: a small network with batch normalisation that was trained on nothing before,
instead of ResNet-50 on ImageNet; 16 cells a side instead of 48, two stages instead of three, 64
features a vertex instead of 128, 400 points in the losses instead of 5,000. The edge loss weighs
0.05 instead of 0.2: our cells, and so all edges, are three times as long.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, grid_sample, interpolate, pad

from mmlib.data.batches import Batches
from mmlib.runtime import make_generator
from mmlib.shapes import check_finite, check_shape
from mmlib.surfaces import Meshes, edges_of, icosphere, make_meshes, match, sample_surface
from mmlib.training import History, fit, warm_then_cool
from mmlib.world.shape_views import GRID, SIZE, ShapeViews, from_grid, project, select

THRESHOLD = 0.2  # a cell with this probability becomes a cube
SAMPLES = 400  # points on a predicted and on a true surface, in the losses
LAMBDA = MappingProxyType({"voxel": 1.0, "chamfer": 1.0, "normal": 0.0, "edge": 0.05})
WEIGHTS = Path(__file__).parent / "weights"
BATCH = 16


class Plan(NamedTuple):
    """How long a network is trained."""

    voxels: int  # steps with the voxel loss alone
    both: int  # steps with all losses


PAGE = Plan(300, 50)  # on the page
LONG = Plan(1500, 400)  # of the weights that ship
LONG_VIEWS = 1800


def cubify(filled: Tensor) -> Meshes:
    """Return the surface of filled cells (meshes, x, y, z) bool: each a cube of 12 triangles.

    Corners that cubes share are one vertex, and faces between two cubes go (G19, 3.2). Vertices are
    in cells: the first cell reaches from 0 to 1.

    Raises:
        ValueError: a grid has no filled cell.
    """
    sizes = check_shape(filled, "meshes x y z", name="filled")
    filled = filled.bool()
    if (empty := ~filled.flatten(1).any(dim=1)).any():
        raise ValueError(f"{int(empty.sum())} of {len(filled)} grids are empty: fill a cell first")
    padded, squares = pad(filled, (1,) * 6), []
    for axis in range(3):
        for side in (0, 1):
            beyond = padded.roll(1 - 2 * side, axis + 1)[:, 1:-1, 1:-1, 1:-1]
            bare = (filled & ~beyond).nonzero()  # (squares, 4): mesh, x, y, z
            corner = bare.new_zeros(4, 4)
            corner[:, axis + 1] = side
            corner[:, (axis + 1) % 3 + 1] = bare.new_tensor([0, 1, 1, 0])
            corner[:, (axis + 2) % 3 + 1] = bare.new_tensor([0, 0, 1, 1])
            squares.append(bare[:, None] + (corner if side else corner.flip(0)))
    size = max(sizes["x"], sizes["y"], sizes["z"]) + 1
    place = size ** torch.arange(3, -1, -1, device=filled.device)
    code, row = torch.unique((torch.cat(squares) * place).sum(-1), return_inverse=True)
    faces = torch.cat([row[:, [0, 1, 2]], row[:, [0, 2, 3]]])  # a square is two triangles
    corners = code[:, None] // place % size  # (vertices, 4)
    owner = code // size**3
    return Meshes(corners[:, 1:].float(), faces, owner)


class GraphConv(nn.Module):
    """f'_i = W₀ f_i + Σ over neighbours j of W₁ f_j (G19, 3.2; the ReLU follows outside)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.W0 = nn.Linear(inputs, outputs)
        self.W1 = nn.Linear(inputs, outputs, bias=False)

    def forward(self, f: Tensor, edges: Tensor) -> Tensor:
        """Return (vertices, outputs) of features (vertices, inputs) and edges (edges, 2)."""
        i, j = torch.cat([edges, edges.flip(1)]).unbind(1)  # each edge in both directions
        return self.W0(f).index_add(0, i, self.W1(f)[j])


def align(maps: list[Tensor], meshes: Meshes) -> Tensor:
    """Return what each map shows at the pixel of each vertex: (vertices, channels of all maps).

    Values between pixels are interpolated bilinearly; beyond the picture its border goes on.

    Args:
        maps: each (batch, channels, rows, columns) over the whole picture.
    """
    count = meshes.owner.bincount(minlength=len(maps[0]))
    slot = torch.arange(len(meshes.owner), device=count.device)
    slot = slot - (count.cumsum(0) - count)[meshes.owner]  # the vertex's number in its mesh
    pixel = (2 * project(meshes.vertices) + 1) / SIZE - 1  # -1 and 1 are the picture's borders
    padded = pixel.new_zeros(len(count), int(count.max()), 2)
    padded = padded.index_put((meshes.owner, slot), pixel)[:, None]  # (batch, 1, most, 2)
    found = [
        grid_sample(m, padded, align_corners=False, padding_mode="border")[:, :, 0] for m in maps
    ]
    return torch.cat(found, dim=1)[meshes.owner, :, slot]


class RefinementStage(nn.Module):
    """Image features at each vertex, three graph convolutions, a shift of each (G19, fig. 5)."""

    def __init__(self, image_features: int, before: int, width: int) -> None:
        super().__init__()
        self.bottleneck = nn.Linear(image_features, width)
        inputs = [width + before + 3, width + 3, width + 3]
        self.convolutions = nn.ModuleList(GraphConv(size, width) for size in inputs)
        self.offset = nn.Linear(width + 3, 3)
        nn.init.zeros_(self.offset.weight)  # the first shift is none, as in the authors' code
        nn.init.zeros_(self.offset.bias)

    def forward(self, maps: list[Tensor], meshes: Meshes, edges: Tensor, features: Tensor):
        """Return the shifted meshes and (vertices, width) features for the next stage."""
        v = meshes.vertices
        aligned = self.bottleneck(align(maps, meshes)).relu()
        f = torch.cat([aligned, features], dim=1)
        for convolution in self.convolutions:
            f = convolution(torch.cat([f, v], dim=1), edges).relu()
        shift = torch.tanh(self.offset(torch.cat([f, v], dim=1)))
        return meshes._replace(vertices=v + shift), f


class Backbone(nn.Module):
    """A small CNN; its maps of three sizes stand for conv2_3 to conv5_3 of ResNet-50."""

    def __init__(self, channels: int, widths: tuple[int, ...] = (24, 64, 96)) -> None:
        super().__init__()
        self.widths = widths
        sizes = (channels, *widths)
        self.levels = nn.ModuleList(
            nn.Sequential(*_block(a, b, stride=2), *_block(b, b))
            for a, b in zip(sizes[:-1], widths, strict=True)
        )

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Return maps of 16, 8 and 4 pixels a side."""
        maps = []
        for level in self.levels:
            inputs = level(inputs)
            maps.append(inputs)
        return maps


class VoxelBranch(nn.Module):
    """2D convolutions whose last channels are the depth of the grid (G19, 3.1)."""

    def __init__(self, inputs: int, width: int = 64) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *_block(inputs, width), *_block(width, width),
            nn.ConvTranspose2d(width, width, 2, stride=2), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, GRID, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, GRID, GRID, GRID), to the right, down, forward."""
        x = interpolate(x, GRID // 2, mode="bilinear", align_corners=False)
        x = self.convolutions(x)  # (batch, forward, down, right)
        return x.permute(0, 3, 2, 1)


def _block(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


class Prediction(NamedTuple):
    """What a network says about a batch of pictures."""

    logits: Tensor | None  # (batch, GRID, GRID, GRID) of the cells, if there is a voxel branch
    stages: list[Meshes]  # the mesh before the first stage and after each


class MeshRCNN(nn.Module):
    """Picture → cells → cubes → stages of refinement (G19, fig. 3, without the detector).

    Args:
        channels: of the input.
        stages: how many; with 0 it is the paper's *Voxel-Only*.
        sphere: begin with a sphere of 642 vertices instead of cells: the paper's *Sphere-Init*.
    """

    def __init__(
        self, channels: int = 3, *, stages: int = 2, width: int = 64, sphere: bool = False
    ) -> None:
        super().__init__()
        self.backbone = Backbone(channels)
        self.voxels = None if sphere else VoxelBranch(self.backbone.widths[-1])
        self.stages = nn.ModuleList(
            RefinementStage(sum(self.backbone.widths), width if number else 0, width)
            for number in range(stages)
        )

    def forward(self, inputs: Tensor, *, refine: bool = True) -> Prediction:
        """Return cells and meshes for inputs (batch, channels, SIZE, SIZE)."""
        check_shape(inputs, f"batch channels {SIZE} {SIZE}", name="inputs")
        check_finite(inputs, name="inputs")
        maps = self.backbone(inputs)
        if self.voxels is None:
            sphere = make_meshes([icosphere(radius=0.7)] * len(inputs))
            logits, meshes = None, Meshes(*(part.to(inputs.device) for part in sphere))
        else:
            logits = self.voxels(maps[-1])
            meshes = cubify(fill(logits.sigmoid()))
            meshes = meshes._replace(vertices=from_grid(meshes.vertices))
        found, edges = [meshes], edges_of(meshes.faces)
        features = meshes.vertices.new_zeros(len(meshes.vertices), 0)
        for stage in self.stages if refine else ():
            meshes, features = stage(maps, meshes, edges, features)
            found.append(meshes)
        return Prediction(logits, found)


def fill(probabilities: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """Return which cells (batch, x, y, z) reach the threshold; the most probable one always."""
    check_finite(probabilities, name="probabilities")
    most = probabilities.amax(dim=(1, 2, 3), keepdim=True)
    return probabilities >= most.clamp(max=threshold)


def surface_losses(meshes: Meshes, points: Tensor, normals: Tensor) -> dict[str, Tensor]:
    """Return chamfer, normal and edge loss (G19, equations 1 to 3), means over the batch.

    Args:
        points, normals: (batch, points, 3) of the true surfaces.
    """
    found = match(*sample_surface(meshes, SAMPLES), points, normals)
    a, b = meshes.vertices[edges_of(meshes.faces)].unbind(1)
    return {
        "chamfer": found.there.mean() + found.back.mean(),
        "normal": -found.there_cosine.mean() - found.back_cosine.mean(),
        "edge": (a - b).square().sum(-1).mean(),
    }


def mesh_loss(
    model: MeshRCNN, batch: tuple[Tensor, ...], *, weights: Mapping[str, float] = LAMBDA
) -> Tensor:
    """Return the loss of a batch: voxels, and the mean over the stages of the surface losses.

    Args:
        batch: inputs, occupancy, points and normals, as in ``ShapeViews``.
        weights: of the voxel, chamfer, normal and edge loss.
    """
    inputs, occupancy, points, normals = batch
    pick = torch.randperm(points.shape[1])[:SAMPLES]
    predicted = model(inputs)
    total = inputs.new_zeros(())
    if predicted.logits is not None:
        total = weights["voxel"] * voxel_loss(predicted.logits, occupancy)
    for meshes in predicted.stages[1:]:
        losses = surface_losses(meshes, points[:, pick], normals[:, pick])
        some = sum(weights[name] * value for name, value in losses.items())
        total = total + some / len(model.stages)
    return total


def voxel_only_loss(model: MeshRCNN, batch: tuple[Tensor, ...]) -> Tensor:
    """Return the voxel loss alone, for the first steps: early cubes are not worth refining."""
    inputs, occupancy, _, _ = batch
    return voxel_loss(model(inputs, refine=False).logits, occupancy)


def voxel_loss(logits: Tensor, occupancy: Tensor) -> Tensor:
    """Return the binary cross-entropy of all cells, their mean."""
    return binary_cross_entropy_with_logits(logits, occupancy.float())


def train(
    views: ShapeViews,
    *,
    seed: int,
    names: tuple[str, ...] = ("picture",),
    sphere: bool = False,
    plan: Plan = PAGE,
    weights: Mapping[str, float] = LAMBDA,
    progress: bool = True,
) -> tuple[MeshRCNN, list[History]]:
    """Train Mesh R-CNN on views: first its voxels alone, then everything.

    Args:
        names: what it sees, of ``shape_views.CHANNELS``.
        sphere: train Sphere-Init instead, which has no voxels to begin with.
        weights: of the losses, as in ``mesh_loss``.
    """
    data = (select(views, names), views.occupancy, views.points, views.normals)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MeshRCNN(data[0].shape[1], sphere=sphere)
    batches = Batches(data, batch_size=BATCH, generator=make_generator(seed))
    generator, histories = make_generator(seed + 1), []
    for loss, steps, rate in (
        (voxel_only_loss, 0 if sphere else plan.voxels, 1e-2),
        (partial(mesh_loss, weights=weights), plan.both, 3e-3),
    ):
        if steps:
            options = {"steps": steps, "learning_rate": rate, "schedule": warm_then_cool}
            run = fit(model, batches, loss, generator=generator, progress=progress, **options)
            histories.append(run)
    return model.eval(), histories


def load_shipped(name: str) -> MeshRCNN:
    """Return "cells", Mesh R-CNN, or "sphere", trained as LONG says on pictures alone."""
    model = MeshRCNN(sphere=name == "sphere")
    model.load_state_dict(load_file(WEIGHTS / f"mesh_{name}.safetensors"))
    return model.eval()


def trained_minutes(name: str) -> float:
    """Return how many minutes of one core a network that ships was trained for."""
    with safe_open(WEIGHTS / f"mesh_{name}.safetensors", framework="pt") as file:
        return float(file.metadata()["minutes"])


def retrieve(logits: Tensor, known: Tensor) -> Tensor:
    """Return which training shape is the most probable one, (batch,), given the predicted cells.

    The baseline of Tatarchenko et al. (2019): recognise, do not reconstruct. The voxel loss of a
    known shape is a constant less the sum of the logits in its filled cells.

    Args:
        logits: (batch, GRID, GRID, GRID).
        known: (shapes, GRID, GRID, GRID) bool.
    """
    return (logits.flatten(1) @ known.to(logits).flatten(1).T).argmax(dim=1)


def most_alike(filled: Tensor, known: Tensor) -> Tensor:
    """Return which training shape shares the largest IoU with each grid, (batch,): an oracle."""
    a, b = filled.flatten(1).float(), known.flatten(1).float()
    both = a @ b.T
    return (both / (a.sum(1)[:, None] + b.sum(1) - both).clamp(min=1)).argmax(dim=1)


def mean_shape(known: Tensor) -> Tensor:
    """Return the cells (GRID, GRID, GRID) bool filled most often, as many as the average has."""
    share = known.float().mean(dim=0)
    count = round(float(known.float().sum(dim=(1, 2, 3)).mean()))
    return share >= share.flatten().topk(count).values[-1]
