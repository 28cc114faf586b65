"""What a 3D shape is: two views of a point, six representations of a shape, and their errors.

Page: notebooks/vision_3d/01_representations.ipynb

Shapes: points are (points, 3) in the world, (points, 2) in a picture, see ``world.cameras``;
voxels are (x, y, z) bool over the cube from -1 to 1; a mesh is vertices (vertices, 3) and faces
(faces, 3). Errors are in the world's unit: half the side of the cube.

Sources: Hartley & Zisserman (2004) for projection and triangulation; Hartley (1997) for the
normalised eight-point algorithm; Lorensen & Cline (1987) for marching squares, the cubes' plane
sisters; Kutulakos & Seitz (2000) for carving; Park et al. (2019), DeepSDF, for the network. That
one has eight layers of 512 and one code a shape; ours has three of 64 and knows one shape.
"""

import torch
from torch import Tensor, nn

from mmlib.shapes import check_finite, check_shape, check_whole
from mmlib.world.cameras import Cameras
from mmlib.world.solid_samples import cell_middles
from mmlib.world.solids import KNOBS, Solids, distance

DELTA = 0.1  # beyond this distance DeepSDF's loss does not care (its equation 4)


def to_homogeneous(points: Tensor) -> Tensor:
    """Append a 1 to every point: (..., d) becomes (..., d + 1)."""
    return torch.cat([points, torch.ones_like(points[..., :1])], dim=-1)


def from_homogeneous(points: Tensor) -> Tensor:
    """Divide by the last coordinate and drop it: (..., d + 1) becomes (..., d)."""
    return points[..., :-1] / points[..., -1:]


def project(points: Tensor, matrix: Tensor) -> Tensor:
    """Return the pixels (points, 2) of points (points, 3) under P = K [R | t], (3, 4).

    Raises:
        ValueError: a point lies behind the camera or in its plane, where no picture is.
    """
    check_shape(points, "points 3", name="points")
    check_shape(matrix, "3 4", name="matrix")
    seen = to_homogeneous(points) @ matrix.T  # λ (u, v, 1)
    if (seen[:, 2] <= 0).any():
        raise ValueError(
            f"{int((seen[:, 2] <= 0).sum())} of {len(points)} points lie behind the camera: "
            "drop them first"
        )
    return from_homogeneous(seen)


def triangulate(first: Tensor, second: Tensor, matrix: Tensor, other: Tensor) -> Tensor:
    """Return the points (points, 3) that two cameras see at ``first`` and ``second``.

    The direct linear transform (Hartley & Zisserman, section 12.2): each view gives two equations
    u p₃ - p₁ = 0 and v p₃ - p₂ = 0, rows of A; X is A's last right singular vector.

    Args:
        first, second: (points, 2) pixels of the same points.
        matrix, other: (3, 4), P of the two cameras.

    Raises:
        ValueError: the two cameras stand at one place.
    """
    sizes = check_shape(first, "points 2", name="first")
    check_shape(second, f"{sizes['points']} 2", name="second")
    centres = [torch.linalg.svd(P)[2][-1] for P in (matrix, other)]  # P C = 0
    if torch.linalg.matrix_rank(torch.stack(centres), rtol=1e-5) < 2:
        raise ValueError("both cameras stand at one place: depth needs a baseline")
    equations = torch.stack(
        [
            pixels[:, axis, None] * P[2] - P[axis]
            for pixels, P in ((first, matrix), (second, other))
            for axis in (0, 1)
        ],
        dim=1,
    )  # (points, 4, 4)
    return from_homogeneous(torch.linalg.svd(equations)[2][:, -1])


def normaliser(points: Tensor) -> Tensor:
    """Return T (3, 3) that moves points (points, 2) to mean 0 and mean distance √2 from it."""
    middle = points.mean(dim=0)
    scale = 2**0.5 / (points - middle).norm(dim=1).mean()
    transform = torch.diag(torch.stack([scale, scale, torch.ones_like(scale)]))
    transform[:2, 2] = -scale * middle
    return transform


def eight_point(first: Tensor, second: Tensor, *, normalise: bool = True) -> Tensor:
    """Return the fundamental matrix F (3, 3), x₂ᵀ F x₁ = 0, of eight or more pairs of pixels.

    Of rank 2 and norm 1 (Hartley, 1997). ``normalise=False`` is the method as it was before.

    Raises:
        ValueError: there are fewer than eight pairs, or they do not determine F (all on one
            plane, for example).
    """
    sizes = check_shape(first, "points 2", name="first")
    check_shape(second, f"{sizes['points']} 2", name="second")
    if sizes["points"] < 8:
        raise ValueError(f"{sizes['points']} pairs, F has eight unknowns: give 8 or more")
    unit = torch.eye(3, dtype=first.dtype, device=first.device)
    T1, T2 = (normaliser(p) if normalise else unit for p in (first, second))
    x1, x2 = to_homogeneous(first) @ T1.T, to_homogeneous(second) @ T2.T
    equations = (x2[:, :, None] * x1[:, None]).flatten(1)  # (points, 9): A f = 0
    _, values, rows = torch.linalg.svd(equations)
    if normalise and values[7] < 1e-6 * values[0]:
        raise ValueError("the pairs do not determine F: they may lie on one plane")
    U, S, V = torch.linalg.svd(rows[-1].reshape(3, 3))
    F = U[:, :2] @ torch.diag(S[:2]) @ V[:2]  # the nearest matrix of rank 2
    F = T2.T @ F @ T1
    return F / F.norm()


def fundamental(first: Cameras, second: Cameras) -> Tensor:
    """Return F = [e₂]ₓ P₂ P₁⁺ (3, 3), norm 1, of two known cameras (H&Z, equation 9.1)."""
    P1, P2 = first.matrix[0], second.matrix[0]
    x, y, z = (P2 @ to_homogeneous(first.centre[0])).tolist()  # the epipole e₂
    cross = P1.new_tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    F = cross @ P2 @ torch.linalg.pinv(P1)
    return F / F.norm()


def epipolar_distance(F: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return how far pixels lie from each other's epipolar lines, the mean of both, (points,)."""
    x1, x2 = to_homogeneous(first), to_homogeneous(second)
    lines2, lines1 = x1 @ F.T, x2 @ F
    away = (x2 * lines2).sum(-1).abs()
    return (away / lines2[:, :2].norm(dim=-1) + away / lines1[:, :2].norm(dim=-1)) / 2


def chamfer(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean distance to the nearest point of the other set, mean of both ways.

    Args:
        first, second: (points, 3), as many as one likes; the numbers may differ.

    Raises:
        ValueError: a set is empty or holds numbers that are not finite.
    """
    for name, points in (("first", first), ("second", second)):
        check_shape(points, "points 3", name=name)
        check_finite(points, name=name)
    there = torch.cat([torch.cdist(some, second).amin(dim=1) for some in first.split(2048)])
    back = torch.cat([torch.cdist(some, first).amin(dim=1) for some in second.split(2048)])
    return (there.mean() + back.mean()) / 2


def voxel_iou(first: Tensor, second: Tensor) -> float:
    """Return the share of cells filled in both among those filled in either, (x, y, z) bool."""
    if first.shape != second.shape:
        raise ValueError(f"shapes {tuple(first.shape)} and {tuple(second.shape)} must be equal")
    either = int((first | second).sum())
    return int((first & second).sum()) / either if either else 1.0


def carve(depth: Tensor, cameras: Cameras, resolution: int) -> Tensor:
    """Return the cells (x, y, z) bool that no depth map (views, height, width) shows to be empty.

    A cell goes if a camera sees past its middle: what the camera sees there lies further away.
    """
    check_shape(depth, f"{len(cameras)} {cameras.height} {cameras.width}", name="depth")
    middles = cell_middles(resolution, like=depth).reshape(-1, 3)
    filled = torch.ones(len(middles), dtype=torch.bool, device=depth.device)
    for view, P in zip(depth, cameras.matrix, strict=True):
        u, v, z = (to_homogeneous(middles) @ P.T).unbind(-1)
        column, row = (u / z).round().long(), (v / z).round().long()
        inside = (column >= 0) & (column < cameras.width) & (row >= 0) & (row < cameras.height)
        inside &= z > 0
        filled[inside] &= z[inside] >= view[row[inside], column[inside]]
    return filled.reshape(resolution, resolution, resolution)


def sample_mesh(vertices: Tensor, faces: Tensor, count: int, *, generator) -> Tensor:
    """Return ``count`` points (count, 3) on a mesh, all areas alike likely.

    Faces are drawn by their area; in each, (1 - √r) a + √r (1 - s) b + √r s c with r and s
    uniform is uniform (Osada et al., 2002).
    """
    count = check_whole(count, name="count")
    a, b, c = vertices[faces].unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=1)
    face = torch.multinomial(area, count, replacement=True, generator=generator)
    r, s = torch.rand(2, count, 1, generator=generator, device=vertices.device)
    root = r.sqrt()
    return (1 - root) * a[face] + root * (1 - s) * b[face] + root * s * c[face]


def fill_mesh(vertices: Tensor, faces: Tensor, resolution: int) -> Tensor:
    """Return the cells (x, y, z) bool whose middle lies inside a closed mesh.

    A ray from the middle along z crosses the surface an odd number of times. Which way a face is
    turned does not matter; a hole does.

    Raises:
        ValueError: an edge does not belong to exactly two faces: the mesh has a hole.
    """
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).sort(dim=1).values
    shared = edges.unique(dim=0, return_counts=True)[1]
    if (shared != 2).any():
        raise ValueError(
            f"{int((shared != 2).sum())} of {len(shared)} edges do not belong to two faces: "
            "close the mesh first, inside and outside are not defined"
        )
    middles = cell_middles(resolution, like=vertices)
    across, along = middles[0, :, 0, 1] + 1.7e-5, middles[0, 0, :, 2]  # off the mesh's own lines
    filled = torch.zeros(middles.shape[:3], dtype=torch.bool, device=vertices.device)
    for number, x in enumerate(middles[:, 0, 0, 0] + 2.3e-5):
        corners = vertices[faces]
        reach = corners[:, :, 0]
        a, b, c = corners[(reach.amin(1) < x) & (reach.amax(1) > x)].unbind(1)  # (crossed, 3)
        total = _cross(b - a, c - a)
        here = torch.stack([x.expand(resolution), across], dim=-1)[:, None]  # (y, 1, 2)
        weights = [_cross(q[:, :2] - here, r[:, :2] - here) / total for q, r in ((b, c), (c, a))]
        weights.append(1 - weights[0] - weights[1])
        hit = torch.stack(weights).amin(dim=0) > 0  # (y, crossed)
        height = sum(w * corner[:, 2] for w, corner in zip(weights, (a, b, c), strict=True))
        above = hit[:, :, None] & (height[:, :, None] > along)
        filled[number] = above.sum(dim=1) % 2 == 1
    return filled


def _cross(first: Tensor, second: Tensor) -> Tensor:
    """Return the third component of the cross product, of x and y alone."""
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


# the two edges that a contour joins, for each pattern of corners above the level: bit 1 is the
# corner (0, 0), 2 is (0, 1), 4 is (1, 1), 8 is (1, 0); edges: 0 top, 1 right, 2 bottom, 3 left
_CASES = {
    1: [(3, 0)], 2: [(0, 1)], 3: [(3, 1)], 4: [(1, 2)], 5: [(3, 0), (1, 2)], 6: [(0, 2)],
    7: [(3, 2)], 8: [(2, 3)], 9: [(2, 0)], 10: [(0, 1), (2, 3)], 11: [(2, 1)], 12: [(1, 3)],
    13: [(1, 0)], 14: [(0, 3)],
}  # fmt: skip


def marching_squares(values: Tensor, level: float = 0.0) -> Tensor:
    """Return the line segments (segments, 2, 2) along which a grid of values crosses a level.

    Ends are (row, column), found by linear interpolation on the edges of the cells. Where two
    opposite corners lie above the level, each is cut off for itself.

    Args:
        values: (rows, columns), two or more each; none exactly at the level.
    """
    check_shape(values, "rows columns", name="values")
    check_finite(values, name="values")
    corners = [values[:-1, :-1], values[:-1, 1:], values[1:, 1:], values[1:, :-1]]
    pattern = sum((corner > level).long() << bit for bit, corner in enumerate(corners))
    axes = (torch.arange(n - 1, dtype=values.dtype, device=values.device) for n in values.shape)
    row, column = torch.meshgrid(*axes, indexing="ij")
    share = [
        (level - corners[start]) / (corners[end] - corners[start])
        for start, end in ((0, 1), (1, 2), (3, 2), (0, 3))
    ]  # how far along its edge the contour crosses
    crossing = torch.stack(
        [
            torch.stack([row, column + share[0]], dim=-1),
            torch.stack([row + share[1], column + 1], dim=-1),
            torch.stack([row + 1, column + share[2]], dim=-1),
            torch.stack([row + share[3], column], dim=-1),
        ],
        dim=2,
    )  # (rows - 1, columns - 1, 4 edges, 2)
    found = [
        crossing[pattern == case][:, list(edges)]
        for case, lines in _CASES.items()
        for edges in lines
    ]
    return torch.cat(found)


def fit_knobs(
    points: Tensor, category: int, *, generator: torch.Generator, steps: int = 150
) -> Solids:
    """Return the solid of a category whose surface lies nearest to points (points, 3).

    Gradient descent on its knobs from eight random ones; the mean distance of the points to the
    surface is made small.
    """
    check_shape(points, "points 3", name="points")
    category = torch.full((8,), category, device=points.device)
    start = torch.rand(8, KNOBS, generator=generator, device=points.device)
    free = torch.logit(start.clamp(0.05, 0.95)).requires_grad_()
    optimizer = torch.optim.Adam([free], lr=0.05)
    for _ in range(steps):
        away = distance(Solids(category, free.sigmoid()), points.expand(8, -1, -1)).abs().mean(1)
        optimizer.zero_grad()
        away.sum().backward()
        optimizer.step()
    return Solids(category, free.detach().sigmoid())[int(away.argmin())]


class ImplicitShape(nn.Module):
    """A network f(x, y, z) that is the signed distance of one shape: its surface is f = 0."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, width), nn.Softplus(beta=20),
            nn.Linear(width, width), nn.Softplus(beta=20),
            nn.Linear(width, width), nn.Softplus(beta=20),
            nn.Linear(width, 1),
        )  # fmt: skip

    def forward(self, points: Tensor) -> Tensor:
        """Return the distance (...,) of points (..., 3)."""
        return self.layers(points)[..., 0]


def implicit_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return DeepSDF's loss, equation 4: |clamp(f(x), δ) - clamp(s, δ)|, mean of the batch."""
    points, truth = batch
    return (model(points).clamp(-DELTA, DELTA) - truth.clamp(-DELTA, DELTA)).abs().mean()
