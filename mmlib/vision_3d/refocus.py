"""Refocusing photographs: depth from two pictures or one, then the blur of a large lens.

Papers: Hirschmüller, "Stereo processing by semiglobal matching and mutual information", TPAMI 2008;
Zabih & Woodfill (ECCV 1994) for the census transform; Eigen, Puhrsch, Fergus (NeurIPS 2014) for
depth from one picture; Potmesil & Chakravarty (1981) for the blur of a lens.
Page: notebooks/vision_3d/06_refocus.ipynb.

Pictures are (batch, 3, height, width) in 0 to 1; disparities are in pixels of the left picture, a
point of which lies so much further left in the right one. The lens is measured in baselines.

Other than in Hirschmüller's paper: the matching cost is the census transform's, not mutual
information; P2 is the same everywhere; there is no pyramid and no removal of small segments.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmlib.shapes import check_finite, check_floating, check_shape, check_whole
from mmlib.world.cameras import Cameras
from mmlib.world.solid_views import SolidScenes, view_scenes

# --- two pictures ----------------------------------------------------------------------------


def census(pictures: Tensor, *, radius: int = 2) -> Tensor:
    """Return which neighbours of each pixel are darker than it (Zabih & Woodfill).

    Returns:
        bool (batch, (2 radius + 1)² - 1, height, width). The picture is continued by its border.
    """
    check_pictures(pictures)
    grey, size = pictures.mean(dim=1, keepdim=True), 2 * check_whole(radius, name="radius") + 1
    around = functional.pad(grey, (radius,) * 4, mode="replicate")
    windows = functional.unfold(around, size).unflatten(2, grey.shape[2:])
    return torch.cat([windows[:, : size**2 // 2], windows[:, size**2 // 2 + 1 :]], 1) < grey


def cost_volume(left: Tensor, right: Tensor, disparities: int, *, radius: int = 2) -> Tensor:
    """Return C(p, d): in how many bits of the census the two pixels differ.

    Args:
        disparities: how many, from 0.

    Returns:
        (batch, disparities, height, width); where p - d lies outside the right picture, the
        largest cost.

    Raises:
        ValueError: the pictures differ in size, or there are as many disparities as columns.
    """
    if left.shape != right.shape:
        raise ValueError(f"left is {tuple(left.shape)}, right is {tuple(right.shape)}: crop one")
    disparities = check_whole(disparities, name="disparities")
    if disparities > left.shape[-1]:
        raise ValueError(f"{disparities} disparities, the pictures have {left.shape[-1]} columns")
    ours, theirs = census(left, radius=radius), census(right, radius=radius)
    costs = left.new_full((len(left), disparities, *left.shape[2:]), ours.shape[1])
    for d in range(disparities):
        differ = ours[..., d:] != theirs[..., : ours.shape[-1] - d]
        costs[:, d, :, d:] = differ.sum(dim=1)
    return costs


def path_costs(costs: Tensor, step: tuple[int, int], *, p1: float, p2: float) -> Tensor:
    """Return L_r(p, d) of one direction r: Hirschmüller's recursion along a path.

        L_r(p, d) = C(p, d) + min(L_r(p-r, d), L_r(p-r, d±1) + P1, min_i L_r(p-r, i) + P2)
                    - min_k L_r(p-r, k)

    Args:
        costs: (batch, disparities, height, width).
        step: r as (rows, columns), each -1, 0 or 1.
        p1, p2: the price of a change by one disparity, and of a larger one.
    """
    down, right = step
    if not down:
        return path_costs(costs.mT, (right, 0), p1=p1, p2=p2).mT
    rows = costs.unbind(dim=2)[::down]  # (batch, disparities, width) each, in the order of the path
    found = [rows[0]]
    for row in rows[1:]:
        before = functional.pad(found[-1], (1, 1))[..., 1 - right : found[-1].shape[-1] + 1 - right]
        lowest = before.amin(dim=1, keepdim=True)
        one = functional.pad(before, (0, 0, 1, 1), value=math.inf)
        best = torch.minimum(one[:, :-2], one[:, 2:]) + p1
        best = torch.minimum(torch.minimum(before, best), lowest + p2)
        found.append(row + best - lowest)
    return torch.stack(found[::down], dim=2)


def aggregate(costs: Tensor, *, p1: float = 3.0, p2: float = 20.0, paths: int = 8) -> Tensor:
    """Return S(p, d): the sum of L_r over 4 or 8 directions, as large as ``costs``.

    Raises:
        ValueError: P2 is not above P1 or P1 not above 0, or ``paths`` is neither 4 nor 8.
    """
    check_shape(costs, "batch disparities height width", name="costs")
    if not 0 < p1 < p2:
        raise ValueError(f"p1 is {p1} and p2 {p2}: it must be 0 < p1 < p2")
    if paths not in (4, 8):
        raise ValueError(f"paths is {paths}, it must be 4 or 8")
    straight = [(1, 0), (-1, 0), (0, 1), (0, -1)]
    slanted = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    directions = (straight + slanted)[:paths]
    return sum(path_costs(costs, step, p1=p1, p2=p2) for step in directions)


def best_disparity(costs: Tensor) -> Tensor:
    """Return the disparity of the lowest cost, refined by a parabola through its neighbours."""
    best = costs.argmin(dim=1, keepdim=True)
    middle = best.clamp(1, costs.shape[1] - 2)
    before, at, after = (costs.gather(1, middle + step) for step in (-1, 0, 1))
    bend = before - 2 * at + after
    shift = torch.where(bend > 0, (before - after) / (2 * bend.clamp(min=1e-9)), 0)
    return torch.where(best == middle, best + shift.clamp(-0.5, 0.5), best.float())[:, 0]


def seen_twice(costs: Tensor, *, tolerance: float = 1.0) -> Tensor:
    """Return where the match from the right picture agrees: bool (batch, height, width).

    The right picture's costs are the left one's read along the other diagonal,
    S_right(p, d) = S(p + d, d).
    """
    count, width = costs.shape[1], costs.shape[-1]
    other = torch.full_like(costs, math.inf)
    for d in range(count):
        other[:, d, :, : width - d] = costs[:, d, :, d:]
    left, right = costs.argmin(dim=1), other.argmin(dim=1)
    at = torch.arange(width, device=costs.device) - left
    back = right.gather(2, at.clamp(min=0))
    return (at >= 0) & ((left - back).abs() <= tolerance)


def fill_occluded(disparity: Tensor, known: Tensor) -> Tensor:
    """Return the disparities with holes filled from the row: the smaller of both neighbours.

    What only one camera sees is hidden by something nearer: it belongs to the background.
    """
    width = disparity.shape[-1]
    columns = torch.arange(width, device=disparity.device).expand_as(known)
    before = torch.where(known, columns, -1).cummax(dim=-1).values
    after = torch.where(known, columns, width).flip(-1).cummin(dim=-1).values.flip(-1)
    sides = []
    for at, there in ((before, before >= 0), (after, after < width)):
        value = disparity.gather(-1, at.clamp(0, width - 1))
        sides.append(torch.where(there, value, math.inf))
    filled = torch.minimum(*sides)
    return torch.where(known | filled.isinf(), disparity, filled)


def match_stereo(left: Tensor, right: Tensor, disparities: int, **options) -> Tensor:
    """Return the disparity of every pixel of the left picture, (batch, height, width)."""
    costs = aggregate(cost_volume(left, right, disparities), **options)
    return fill_occluded(best_disparity(costs), seen_twice(costs))


def share_within(found: Tensor, truth: Tensor, where: Tensor, *, pixels: float = 1.0) -> float:
    """Return the share of pixels in ``where`` whose disparity is off by at most ``pixels``."""
    return float(((found - truth).abs() <= pixels)[where].double().mean())


# --- one picture -----------------------------------------------------------------------------


class DepthNet(nn.Module):
    """A small network of the U shape: from a picture to the logarithm of its depth."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        sizes = [3, width, 2 * width, 4 * width, 4 * width]
        self.down = nn.ModuleList(
            _block(a, b, stride=1 if a == 3 else 2) for a, b in pairwise(sizes)
        )
        self.up = nn.ModuleList(
            _block(a + b, b) for a, b in zip(sizes[:1:-1], sizes[-2:0:-1], strict=True)
        )
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return log depths (batch, height, width); both sizes are multiples of 8."""
        check_pictures(pictures)
        if any(size % 8 for size in pictures.shape[2:]):
            raise ValueError(f"pictures are {tuple(pictures.shape[2:])}, give multiples of 8")
        kept = []
        for block in self.down:
            pictures = block(pictures)
            kept.append(pictures)
        for block, beside in zip(self.up, kept[-2::-1], strict=True):
            larger = functional.interpolate(pictures, scale_factor=2, mode="bilinear")
            pictures = block(torch.cat([larger, beside], dim=1))
        return self.out(pictures)[:, 0]


def _block(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    layers = [nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.GroupNorm(4, outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def scale_invariant_loss(found: Tensor, truth: Tensor, *, share: float = 0.5) -> Tensor:
    """Return Eigen et al.'s loss of log depths: mean(δ²) - λ mean(δ)², the mean over pictures.

    With λ = ``share`` = 1 it does not notice a depth that is wrong by one factor everywhere.
    """
    delta = (found - truth).flatten(1)
    return (delta.square().mean(dim=1) - share * delta.mean(dim=1).square()).mean()


# --- a large lens ----------------------------------------------------------------------------


def blur_diameter(disparity: Tensor, *, focus: float, aperture: float) -> Tensor:
    """Return the diameter of the circle of confusion in pixels: aperture · |d - focus|.

    Args:
        disparity: d, in pixels.
        focus: the disparity that is sharp.
        aperture: the lens's diameter divided by the baseline.
    """
    if not aperture >= 0:
        raise ValueError(f"aperture is {aperture}, it must be 0 (a pinhole) or more")
    return aperture * (disparity - focus).abs()


def disc(diameter: float) -> Tensor:
    """Return an evenly bright disc (size, size) that sums to 1, with a soft edge."""
    reach = math.ceil(diameter / 2)
    at = torch.arange(-reach, reach + 1.0)
    inside = (diameter / 2 + 0.5 - torch.hypot(at[:, None], at)).clamp(0, 1)
    return inside / inside.sum()


def blur(values: Tensor, diameter: float) -> Tensor:
    """Return ``values`` (batch, channels, height, width) under one disc everywhere."""
    kernel = disc(diameter).to(values)
    around = functional.pad(values, (len(kernel) // 2,) * 4, mode="replicate")
    channels = values.shape[1]
    weight = kernel.expand(channels, 1, *kernel.shape)
    return functional.conv2d(around, weight, groups=channels)


def gather_blur(pictures: Tensor, disparity: Tensor, *, focus: float, aperture: float) -> Tensor:
    """Return each pixel as the mean over its own disc: simple, and wrong at edges of depth.

    Diameters are rounded to whole pixels.
    """
    _check_depth(pictures, disparity)
    size = blur_diameter(disparity, focus=focus, aperture=aperture).round().long()
    result = pictures.clone()
    for diameter in size.unique().tolist():
        here = (size == diameter)[:, None]
        result = torch.where(here, blur(pictures, diameter), result)
    return result


def layered_blur(
    pictures: Tensor, disparity: Tensor, *, focus: float, aperture: float, layers: int = 16
) -> Tensor:
    """Return the picture through a large lens, layer by layer, from near to far.

    Of the rays that a pixel collects over the lens, those that end in a layer are stopped there or
    nearer, but not nearer: the blurred mask of "here or nearer", less that of the layer before.
    They bring the layer's colours under its own disc. Where a nearer thing hides the layer, its
    colours are continued from around; where there are none, the rays go on to the next layer.

    Raises:
        ValueError: sizes do not fit, something is not finite, or ``layers`` is below 2.
    """
    _check_depth(pictures, disparity)
    if check_whole(layers, name="layers") < 2:
        raise ValueError(f"layers is {layers}, it takes 2 or more to tell near from far")
    planes = torch.linspace(float(disparity.amin()), float(disparity.amax()), layers).tolist()
    step = max(planes[1] - planes[0], 1e-6)
    lens = {"focus": focus, "aperture": aperture}
    reach = 2 * math.ceil(float(blur_diameter(disparity, **lens).amax())) + 1
    result, given, depth = torch.zeros_like(pictures), 0.0, disparity[:, None]
    nearer = carried = torch.zeros_like(depth)
    for plane in reversed(planes):  # from near to far
        diameter = float(blur_diameter(torch.tensor(plane), **lens))
        stopped = blur((1 - (plane - depth) / step).clamp(0, 1), diameter)  # here or nearer
        share = (stopped - nearer).clamp(min=0) + carried
        own = (1 - (plane - depth).abs() / step).clamp(0, 1)
        seen = torch.cat([pictures * own, own], dim=1)
        behind = functional.avg_pool2d(seen, reach, 1, reach // 2) * (depth > plane)
        colours = blur(seen + 1e-2 * behind, diameter)  # what is hidden is filled from around it
        some = (colours[:, 3:] > 1e-4).float()
        colours = colours[:, :3] / colours[:, 3:].clamp(min=1e-6)
        result, given = result + some * share * colours, given + some * share
        nearer, carried = torch.maximum(nearer, stopped), (1 - some) * share
    return (result / given.clamp(min=1e-6)).clamp(0, 1)


def _check_depth(pictures: Tensor, disparity: Tensor) -> None:
    check_pictures(pictures)
    axes = " ".join(map(str, (len(pictures), *pictures.shape[2:])))
    check_shape(disparity, axes, name="disparity")
    check_finite(disparity, name="disparity")


def check_pictures(pictures: Tensor) -> None:
    """Refuse what is not a batch of pictures of numbers."""
    check_floating(pictures, name="pictures")
    check_shape(pictures, "batch 3 height width", name="pictures")
    check_finite(pictures, name="pictures")


def lens_points(count: int) -> Tensor:
    """Return points (count, 2) spread evenly over a disc of diameter 1, on Vogel's spiral."""
    number = torch.arange(check_whole(count, name="count")) + 0.5
    angle = math.pi * (3 - math.sqrt(5)) * number
    return (number / count).sqrt()[:, None] / 2 * torch.stack([angle.cos(), angle.sin()], dim=1)


def thin_lens(
    scenes: SolidScenes,
    cameras: Cameras,
    *,
    baseline: float,
    focus: float,
    aperture: float,
    points: int = 64,
) -> Tensor:
    """Return what a large lens sees, by rays through ``points`` of it: the reference.

    The pinhole camera stands at each point of the lens in turn; its principal point moves so that
    everything at the disparity ``focus`` stays where it is. The mean of the pictures is the answer.
    """
    total = 0.0
    for across, down in (aperture * lens_points(points)).tolist():
        shift = cameras.translation.new_tensor([across, down, 0.0])
        intrinsics = cameras.intrinsics.clone()
        intrinsics[:, :2, 2] += focus * shift[:2]
        moved = Cameras(
            intrinsics,
            cameras.rotation,
            cameras.translation - baseline * shift,
            cameras.height,
            cameras.width,
        )
        total = total + view_scenes(scenes, moved).pictures
    return total / points


# --- how like two pictures are ---------------------------------------------------------------


def psnr(found: Tensor, truth: Tensor) -> float:
    """Return the peak signal-to-noise ratio in decibels: 10 log₁₀(1 / mean squared error)."""
    return float(-10 * (found - truth).square().mean().log10())


def ssim(found: Tensor, truth: Tensor) -> float:
    """Return the mean structural similarity of pictures in 0 to 1 (Wang et al. 2004).

    Windows of 7 × 7 pixels of even weight that lie inside, unbiased variances: the settings that
    scikit-image has by default.
    """
    mean = {"x": functional.avg_pool2d(found, 7, 1), "y": functional.avg_pool2d(truth, 7, 1)}
    unbiased = 49 / 48

    def spread(a: Tensor, b: Tensor, means: Tensor) -> Tensor:
        return unbiased * (functional.avg_pool2d(a * b, 7, 1) - means)

    x, y = mean["x"], mean["y"]
    both = (2 * x * y + 0.01**2) * (2 * spread(found, truth, x * y) + 0.03**2)
    each = x.square() + y.square() + 0.01**2
    each = each * (spread(found, found, x * x) + spread(truth, truth, y * y) + 0.03**2)
    return float((both / each).mean())
