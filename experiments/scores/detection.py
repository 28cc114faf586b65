"""Boxes of cars, pedestrians and cyclists in lidar scans of new streets.

Average precision in 3D by KITTI's rule (40 recalls; IoU 0.7 for cars, 0.5 for the others), of
objects on which five points lie or more. All networks make the same number of steps, but the last,
which is trained on more streets and for longer; with seed 0 it is the one whose weights ship.
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
CLUSTERS = {  # streets that each learns from, and whether boxes are completed
    "clusters, as fitted": (TRAIN, False),
    "clusters, completed": (TRAIN, True),
    "clusters, completed, more streets": (detection.LONG_SCENES, True),
}
LONGER = "pillars and centres, more streets, longer"
SYSTEMS = ("same answer everywhere", *CLUSTERS, *READ, LONGER)


def measures(name: str, found: list[Found], test: detection.Drives) -> dict[str, float]:
    """Return the average precisions of a system by "system: measure"."""
    values = detection.ap_by_category(found, test)
    values["mean"] = sum(values.values()) / len(values)
    return {f"{name}: {key}": value for key, value in values.items()}


def run(seed: int) -> dict[str, float]:
    """Return the average precision by "system: category", and its mean."""
    training, more, test = (
        detection.make_drives(count, generator=make_generator(start + seed))
        for count, start in ((TRAIN, 7000), (detection.LONG_SCENES, 7200), (TEST, 7100))
    )
    scores = measures(SYSTEMS[0], [detection.prior(training)] * TEST, test)
    for name, (streets, complete) in CLUSTERS.items():
        scans = training if streets == TRAIN else more
        baseline = Clustering(complete=complete, seed=seed)
        baseline.fit(scans.points, scans.boxes, detection.learned(scans))
        scores |= measures(name, baseline.detect(test.points), test)
    for name, read in READ.items():
        model, _ = detection.train(training, seed=seed, read=read)
        scores |= measures(name, detection.detect(model, test.points), test)
    model = long_detector(more, seed)
    return scores | measures(LONGER, detection.detect(model, test.points), test)


def long_detector(drives: detection.Drives, seed: int) -> detection.CenterPoint:
    """Return a detector after the longer training; that of seed 0 is the one that ships."""
    if seed == 0:
        return detection.load_detector()
    return detection.train(drives, seed=seed, epochs=detection.LONG_EPOCHS)[0]
