"""Camera and lidar apart and together, whole and with one of them gone, on streets of each seed.

All are trained on as many streets as the networks whose weights ship, but for fewer passes.
"""

import torch
from torch import Tensor

from mmlib.runtime import make_generator
from mmlib.vision_3d import driving
from mmlib.world import street_maps
from mmlib.world.street_views import front_camera

TITLE = "Driving: objects from above (IoU), error of the front wheels (degrees), a sensor gone"
PASSES = 3
SYSTEMS = (
    "mean of the training streets",
    "lidar points above the road",
    "camera",
    "lidar",
    "early fusion",
    "mid fusion",
    "late fusion",
    "mid fusion, sensor dropout",
)


def run(seed: int) -> dict[str, float]:
    """Return the best IoU and the mean steering error of all systems."""
    camera = front_camera()
    train = street_maps.samples(driving.STREETS, camera, generator=make_generator(100 + seed))
    test = street_maps.samples(300, camera, generator=make_generator(200 + seed))
    straight = train[4].mean().expand(len(test[4]))
    scores = {
        "mean of the training streets: IoU": driving.best_iou(
            train[2].double().mean(dim=0).expand(len(test[2]), -1, -1), *test[2:4]
        ),
        "mean of the training streets: error": float(
            driving.steering_error(straight, test[4]).mean()
        ),
        "lidar points above the road: IoU": driving.best_iou(raised(test[1]), *test[2:4]),
    }
    options = {
        "camera": {"lidar": False},
        "lidar": {"camera": False},
        "early fusion": {"early": True},
        "mid fusion": {},
        "mid fusion, sensor dropout": {"drop": 0.25},
    }
    models = {
        name: driving.train(train, camera, seed=seed, epochs=PASSES, **choice)[0]
        for name, choice in options.items()
    }
    models["late fusion"] = driving.LateFusion(models["camera"], models["lidar"])
    blind = (torch.zeros_like(test[0]), *test[1:])
    silent = (test[0], torch.full_like(test[1], torch.nan), *test[2:])
    for name, model in models.items():
        for gone, data in (("", test), (", no camera", blind), (", no lidar", silent)):
            if name + gone in ("camera, no lidar", "lidar, no camera"):
                continue  # it has none
            iou, error = driving.assess(model, data, camera)
            scores |= {f"{name}: IoU{gone}": iou, f"{name}: error{gone}": error}
    return scores


def raised(points: Tensor) -> Tensor:
    """Return how many lidar points between knee and head stand in each cell."""
    cells = street_maps.cell_of(points)
    cells = torch.where((points[..., 2] > 0.3) & (points[..., 2] < 2), cells, -1)
    return driving.splat(torch.ones_like(points[:, None, :, 0]), cells)[:, 0]
