"""Boxes of cars, pedestrians and cyclists in lidar scans of new streets.

Average precision in 3D by KITTI's rule (40 recalls; IoU 0.7 for cars, 0.5 for the others), of
objects on which five points lie or more. All networks make the same number of steps.
"""

from mmlib.box_clusters import Clustering, Found
from mmlib.runtime import make_generator
from mmlib.vision_3d import detection

TITLE = "3D detection: average precision in lidar scans of streets"
TRAIN, TEST = 240, 100
READ = {  # which of the nine numbers of a point a network reads
    "without intensity": (0, 1, 2, 4, 5, 6, 7, 8),
    "without heights": (0, 1, 3, 4, 5, 7, 8),
    "without decorations": (0, 1, 2, 3),
    "pillars and centres": (),
}
LONGER = "pillars and centres, trained longer"
SYSTEMS = ("same answer everywhere", "clusters, as fitted", "clusters, completed", *READ)


def measures(name: str, found: list[Found], test: detection.Drives) -> dict[str, float]:
    """Return the average precisions of a system by "system: measure"."""
    values = detection.ap_by_category(found, test)
    values["mean"] = sum(values.values()) / len(values)
    return {f"{name}: {key}": value for key, value in values.items()}


def run(seed: int) -> dict[str, float]:
    """Return the average precision by "system: category", and its mean."""
    training, test = (
        detection.make_drives(count, generator=make_generator(start + seed))
        for count, start in ((TRAIN, 7000), (TEST, 7100))
    )
    scores = measures(SYSTEMS[0], [detection.prior(training)] * TEST, test)
    names = detection.learned(training)
    for name in SYSTEMS[1:3]:
        baseline = Clustering(complete="completed" in name, seed=seed)
        baseline.fit(training.points, training.boxes, names)
        scores |= measures(name, baseline.detect(test.points), test)
    for name, read in READ.items():
        model, _ = detection.train(training, seed=seed, read=read)
        scores |= measures(name, detection.detect(model, test.points), test)
    return scores


def shipped() -> dict[str, float]:
    """Return the same of the network that ships with mmlib."""
    test = detection.make_drives(TEST, generator=make_generator(7100))
    return measures(LONGER, detection.detect(detection.load_detector(), test.points), test)
