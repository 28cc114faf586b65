"""Depth from two pictures and from one, and the blur of a lens, on new scenes for each seed."""

from functools import partial

import torch

from experiments.training import trained
from mmlib.data.batches import Batches
from mmlib.runtime import make_generator
from mmlib.training import predict
from mmlib.vision_3d import refocus
from mmlib.world.cameras import Cameras, aim_cameras
from mmlib.world.solid_views import sample_solid_scenes, view_scenes, view_stereo

TITLE = "Refocusing: disparity within a pixel, depth from one picture, likeness to a real lens"
SYSTEMS = (
    "one disparity for all",
    "cheapest match",
    "one direction",
    "four directions",
    "eight directions",
    "eight directions, filled",
    "another scene's right picture",
    "mean of each pixel",
    "one picture, shuffled",
    "one picture",
    "sharp",
    "own disc",
    "layers",
    "layers, stereo depth",
)
BASELINE, RANGE = 0.4, 40
LENS = {"focus": 15.0, "aperture": 0.6}


def cameras(count: int, height: int = 96) -> Cameras:
    """Return the page's cameras."""
    eye, target = torch.tensor([[0.0, 1.2, 4.5]]), torch.tensor([[0.0, 0.25, -0.3]])
    sizes = {"height": height, "width": height * 4 // 3, "field_of_view": 36.0}
    return aim_cameras(eye.expand(count, 3), target.expand(count, 3), **sizes)


def run(seed: int) -> dict[str, float]:
    """Return shares within a pixel, errors of log depth on objects, and decibels."""
    return {**two_pictures(seed), **one_picture(seed)}


def two_pictures(seed: int) -> dict[str, float]:
    """Match six pairs, then blur two of them."""
    scenes = sample_solid_scenes(6, generator=make_generator(100 + seed), slots=5)
    noise = {"noise": 0.01, "generator": make_generator(200 + seed)}
    pairs = view_stereo(scenes, cameras(6), BASELINE, **noise)
    costs = refocus.cost_volume(pairs.left, pairs.right, RANGE)
    summed = refocus.aggregate(costs)
    eight = refocus.best_disparity(summed)
    found = {
        "one disparity for all": pairs.disparity.mean().expand_as(eight),
        "cheapest match": refocus.best_disparity(costs),
        "one direction": refocus.best_disparity(refocus.path_costs(costs, (0, 1), p1=3.0, p2=20.0)),
        "four directions": refocus.best_disparity(refocus.aggregate(costs, paths=4)),
        "eight directions": eight,
        "eight directions, filled": refocus.fill_occluded(eight, refocus.seen_twice(summed)),
        "another scene's right picture": refocus.match_stereo(
            pairs.left, pairs.right.roll(1, 0), RANGE
        ),
    }
    scores = {}
    for name, disparity in found.items():
        for measure, where in (("seen", pairs.visible), ("all", torch.ones_like(pairs.visible))):
            share = refocus.share_within(disparity, pairs.disparity, where)
            scores[f"{name}: {measure}"] = share
    one = sample_solid_scenes(1, generator=make_generator(300 + seed), slots=5)
    noise = {"noise": 0.01, "generator": make_generator(400 + seed)}
    pair = view_stereo(one, cameras(1), BASELINE, **noise)
    reference = refocus.thin_lens(one, cameras(1), baseline=BASELINE, points=48, **LENS)
    sharp = view_scenes(one, cameras(1)).pictures
    measured = refocus.match_stereo(pair.left, pair.right, RANGE)
    made = {
        "sharp": sharp,
        "own disc": refocus.gather_blur(sharp, pair.disparity, **LENS),
        "layers": refocus.layered_blur(sharp, pair.disparity, **LENS),
        "layers, stereo depth": refocus.layered_blur(sharp, measured, **LENS),
    }
    return scores | {
        f"{name}: PSNR (dB)": refocus.psnr(picture, reference) for name, picture in made.items()
    }


def one_picture(seed: int) -> dict[str, float]:
    """Train the network of the page."""

    def data(count: int, start: int) -> tuple[torch.Tensor, ...]:
        scenes = sample_solid_scenes(count, generator=make_generator(start + seed))
        view = view_scenes(scenes, cameras(count, 48))
        return view.pictures, view.depth.log(), view.slot >= 0

    train, test = data(240, 500), data(60, 600)
    network = trained(
        partial(refocus.DepthNet, 16),
        train[:2],
        lambda model, batch: refocus.scale_invariant_loss(model(batch[0]), batch[1]),
        seed=seed,
        batch_size=16,
        steps=450,
        learning_rate=4e-3,
    )
    guessed = predict(network, Batches((test[0],), batch_size=30), lambda m, b: m(b[0]))
    found = {
        "mean of each pixel": train[1].mean(dim=0).expand_as(guessed),
        "one picture, shuffled": guessed.roll(1, 0),
        "one picture": guessed,
    }
    return {
        f"{name}: error of log depth": float((value - test[1]).abs()[test[2]].mean())
        for name, value in found.items()
    }
