"""Triangle meshes in batches: edges, a sphere, points on a surface; and how near two surfaces are.

The meshes of a batch lie one after the other in ``Meshes``, since each has its own number of
vertices. Scores are those of Gkioxari, Malik and Johnson, "Mesh R-CNN", ICCV 2019 (G19), 4.1.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmlib.shapes import check_finite, check_shape

LONGEST = 10.0  # scores are taken after scaling so that the truth's longest side is this


class Meshes(NamedTuple):
    """Triangle meshes, one after the other."""

    vertices: Tensor  # (vertices, 3) of all
    faces: Tensor  # (faces, 3) rows of ``vertices``, counter-clockwise as seen from outside
    owner: Tensor  # (vertices,) the number of each vertex's mesh, ascending

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Return vertices (v, 3) and faces (f, 3) of one mesh."""
        rows = (self.owner == number).nonzero()[:, 0]
        faces = self.faces[self.owner[self.faces[:, 0]] == number]
        return self.vertices[rows], faces - rows[0]


def make_meshes(parts: list[tuple[Tensor, Tensor]]) -> Meshes:
    """Return meshes, each (vertices (v, 3), faces (f, 3)), as one batch.

    Raises:
        ValueError: there is none; one has no vertex or face, a number that is not finite, or a
            face with a vertex that does not exist.
    """
    if not parts:
        raise ValueError("parts is empty: give one mesh or more")
    vertices, faces, owner, start = [], [], [], 0
    for number, (points, triangles) in enumerate(parts):
        check_shape(points, "vertices 3", name="vertices")
        check_shape(triangles, "faces 3", name="faces")
        check_finite(points, name="vertices")
        if triangles.min() < 0 or triangles.max() >= len(points):
            raise ValueError(
                f"faces name vertices {int(triangles.min())} to {int(triangles.max())}, "
                f"there are {len(points)}"
            )
        vertices.append(points)
        faces.append(triangles + start)
        owner.append(torch.full((len(points),), number, device=points.device))
        start += len(points)
    return Meshes(torch.cat(vertices), torch.cat(faces), torch.cat(owner))


def icosphere(level: int = 3, *, radius: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return vertices and faces of an icosahedron whose faces were cut in four ``level`` times."""
    t = (1 + 5**0.5) / 2
    ring = torch.tensor([[-1.0, t, 0], [1, t, 0], [-1, -t, 0], [1, -t, 0]])
    vertices = torch.cat([ring.roll(step, dims=1) for step in (0, 1, 2)])
    away = torch.cdist(vertices, vertices)
    near = (away > 0) & (away < 2.1)  # an edge is 2 long
    a, b, c = torch.meshgrid(*[torch.arange(12)] * 3, indexing="ij")
    faces = ((a < b) & (b < c) & near[a, b] & near[b, c] & near[a, c]).nonzero()  # (20, 3)
    p, q, r = vertices[faces].unbind(1)
    inwards = (torch.linalg.cross(q - p, r - p) * p).sum(-1) < 0
    faces = torch.where(inwards[:, None], faces.flip(1), faces)
    place = torch.tensor([10 * 4 ** (level + 1), 1])  # a whole number for each edge, in order
    for _ in range(level):
        edges = edges_of(faces)
        sides = faces[:, [[0, 1], [1, 2], [2, 0]]].sort(dim=-1).values  # (faces, 3, 2)
        row = torch.searchsorted(edges @ place, sides @ place)
        middle = row + len(vertices)  # (faces, 3): the new vertex on each side
        vertices = torch.cat([vertices, vertices[edges].mean(dim=1)])
        corners = torch.stack([faces, middle, middle.roll(1, dims=1)], dim=2)  # three triangles
        faces = torch.cat([corners.flatten(0, 1), middle])
    return radius * normalize(vertices, dim=1), faces


def edges_of(faces: Tensor) -> Tensor:
    """Return each edge (edges, 2) of faces (faces, 3) once, in order."""
    a, b = faces[:, [[0, 1], [1, 2], [2, 0]]].flatten(0, 1).sort(dim=1).values.unbind(1)
    many = int(faces.max()) + 1
    code = torch.unique(a * many + b)  # one number an edge sorts faster than two
    return torch.stack([code // many, code % many], dim=1)


def sample_surface(meshes: Meshes, count: int) -> tuple[Tensor, Tensor]:
    """Return points and unit normals (meshes, count, 3) on each mesh, all areas alike likely.

    A face is drawn by its area, then a point in it uniformly; gradients
    reach the vertices. It draws from torch's global random state, which ``fit`` seeds.

    Raises:
        ValueError: a mesh has no area.
    """
    corners = meshes.vertices[meshes.faces]  # (faces, 3, 3)
    a, b, c = corners.unbind(1)
    across = torch.linalg.cross(b - a, c - a)
    area = across.detach().norm(dim=1)
    of = meshes.owner[meshes.faces[:, 0]]
    total = area.new_zeros(int(meshes.owner[-1]) + 1).index_add(0, of, area)
    if not (total > 0).all():
        raise ValueError("a mesh has no area: all its faces are points or lines")
    order = of.argsort(stable=True)
    reach = area[order].double().cumsum(0)  # each mesh has its own stretch of this line
    start = torch.cat([total.new_zeros(1), total]).double().cumsum(0)[:-1]
    at = start[:, None] + torch.rand(len(total), count).to(total) * total[:, None]
    face = order[torch.searchsorted(reach, at).clamp(max=len(order) - 1)]  # (meshes, count)
    r, s = torch.rand(2, len(total), count, 1).to(total)
    root = r.sqrt()
    points = (1 - root) * a[face] + root * (1 - s) * b[face] + root * s * c[face]
    return points, normalize(across, dim=1)[face]


class Matches(NamedTuple):
    """Each point's nearest point in the other cloud: squared distance and |cosine| of normals."""

    there: Tensor  # (clouds, points) from the first cloud to the second, squared
    back: Tensor  # (clouds, others) from the second to the first
    there_cosine: Tensor  # (clouds, points)
    back_cosine: Tensor  # (clouds, others)


def match(p: Tensor, u: Tensor, q: Tensor, w: Tensor) -> Matches:
    """Match points p (clouds, points, 3) with normals u and q (clouds, others, 3) with w."""
    away = torch.cdist(p.detach(), q.detach(), compute_mode="use_mm_for_euclid_dist_if_necessary")
    to, fro = away.argmin(dim=2), away.argmin(dim=1)

    def pick(vectors: Tensor, index: Tensor) -> Tensor:
        return vectors.gather(1, index[..., None].expand(-1, -1, 3))

    return Matches(
        (p - pick(q, to)).square().sum(-1),
        (q - pick(p, fro)).square().sum(-1),
        (u * pick(w, to)).sum(-1).abs(),
        (w * pick(u, fro)).sum(-1).abs(),
    )


class Scores(NamedTuple):
    """How near predicted surfaces are to the true ones, (clouds,) each."""

    chamfer: Tensor
    normal: Tensor  # mean |cosine| of the angle between matched normals
    f1: Tensor  # in percent, at 0.3
    f1_loose: Tensor  # at 0.5


def score_surfaces(points: Tensor, normals: Tensor, true: Tensor, true_normals: Tensor) -> Scores:
    """Score clouds (clouds, points, 3) against the truth as G19 does, section 4.1.

    Both are scaled so that the longest side of the truth's bounding box is LONGEST. F1 is the
    harmonic mean of precision, the share of predicted points that lie within a threshold of the
    truth, and recall, the share of true points within it of the prediction.
    """
    for name, cloud in (("points", points), ("true", true)):
        check_shape(cloud, f"{len(true)} points 3", name=name)
        check_finite(cloud, name=name)
    scale = LONGEST / (true.amax(1) - true.amin(1)).amax(1)[:, None, None]  # (clouds, 1, 1)
    parts = []
    for i in range(0, len(true), 8):
        s = slice(i, i + 8)
        m = match(points[s] * scale[s], normals[s], true[s] * scale[s], true_normals[s])
        normal = (m.there_cosine.mean(1) + m.back_cosine.mean(1)) / 2
        f1 = [_f1(m, 0.3), _f1(m, 0.5)]
        parts.append(torch.stack([m.there.mean(1) + m.back.mean(1), normal, *f1]))
    return Scores(*torch.cat(parts, dim=1))


def _f1(m: Matches, threshold: float) -> Tensor:
    precision, recall = ((d < threshold**2).float().mean(1) for d in (m.there, m.back))
    return 200 * precision * recall / (precision + recall).clamp(min=1e-9)
