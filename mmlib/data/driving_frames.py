"""Frames of a driving data set in the format of KITTI's object benchmark.

A frame is one lidar scan, one picture, a calibration and labels. The lidar measures in its own
axes (x ahead, y to the left, z up), labels are written in those of the rectified camera (x to the
right, y down, z ahead). Geiger, Lenz & Urtasun, CVPR 2012, and the development kit's readme.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmlib.data.photographs import read_picture
from mmlib.files import DataError
from mmlib.shapes import check_shape

LIDAR_HEIGHT = 1.73  # of KITTI's lidar above the road, in metres
FOLDER = Path("Kitti") / "raw" / "training"  # as torchvision lays the data set out
_PARTS = {"image_2": "png", "velodyne": "bin", "calib": "txt", "label_2": "txt"}


class Calibration(NamedTuple):
    """How the lidar's points come into the left colour picture."""

    projection: Tensor  # P2 (3, 4): rectified camera → pixels
    rectification: Tensor  # R0 (3, 3): camera → rectified camera
    lidar_to_camera: Tensor  # (3, 4)

    def to_camera(self, points: Tensor) -> Tensor:
        """Return points (points, 3) of the lidar in the rectified camera's axes."""
        check_shape(points, "points 3", name="points")
        rotation, shift = self.lidar_to_camera[:, :3], self.lidar_to_camera[:, 3]
        return (points @ rotation.T + shift) @ self.rectification.T

    def to_lidar(self, points: Tensor) -> Tensor:
        """Return points (points, 3) of the rectified camera in the lidar's axes."""
        check_shape(points, "points 3", name="points")
        rotation, shift = self.lidar_to_camera[:, :3], self.lidar_to_camera[:, 3]
        back = torch.linalg.solve(self.rectification, points.T).T - shift
        return torch.linalg.solve(rotation, back.T).T

    def project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pixels (points, 2) of points (points, 3) of the lidar, and their depth."""
        camera = self.to_camera(points)
        u, v, depth = (camera @ self.projection[:, :3].T + self.projection[:, 3]).unbind(1)
        return torch.stack([u, v], dim=1) / depth[:, None], camera[:, 2]


class DrivingFrame(NamedTuple):
    """One frame; its boxes are in the lidar's axes, but z counts from the road."""

    picture: Tensor  # (3, height, width) in 0 to 1
    points: Tensor  # (points, 4): x, y, z from the road, intensity 0 to 1
    names: list[str]  # the labels' categories, without DontCare
    boxes: Tensor  # (boxes, 7): x, y, z, length, width, height, heading
    outlines: Tensor  # (boxes, 4): left, top, right, bottom in the picture, as labelled
    occluded: Tensor  # (boxes,) 0 seen fully, 1 partly, 2 largely hidden, 3 unknown
    calibration: Calibration


def read_calibration(path: Path) -> Calibration:
    """Read P2, R0_rect and Tr_velo_to_cam of a calibration file.

    Raises:
        DataError: the file does not exist, or lacks one of them.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist: unpack KITTI's calibration files there")
    rows = {}
    for line in path.read_text().splitlines():
        name, _, numbers = line.partition(":")
        rows[name.strip()] = [float(number) for number in numbers.split()]
    sizes = {"P2": 12, "R0_rect": 9, "Tr_velo_to_cam": 12}
    for name, size in sizes.items():
        if len(rows.get(name, [])) != size:
            raise DataError(f"{path} has no {name} of {size} numbers: restore the file")
    p2, r0, tr = (torch.tensor(rows[name], dtype=torch.float64) for name in sizes)
    return Calibration(p2.view(3, 4), r0.view(3, 3), tr.view(3, 4))


def read_scan(path: Path) -> Tensor:
    """Read a scan, (points, 4) x, y, z, intensity: four little-endian numbers of 32 bits a point.

    Raises:
        DataError: the file does not exist, or its size is not that of whole points.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist: unpack KITTI's velodyne files there")
    values = np.fromfile(path, dtype="<f4")
    if not len(values) or len(values) % 4:
        raise DataError(f"{path} has {len(values)} numbers, not four a point: restore the file")
    return torch.from_numpy(values.reshape(-1, 4).astype(np.float32))


def read_labels(path: Path, calibration: Calibration) -> tuple[list[str], Tensor, Tensor, Tensor]:
    """Read a label file: names, boxes (boxes, 7), outlines (boxes, 4), occluded (boxes,).

    A line gives the middle of the bottom in the camera's axes and a rotation about the camera's y;
    both come back in the lidar's axes, z from the road.

    Raises:
        DataError: the file does not exist, or a line has not 15 columns.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist: unpack KITTI's label files there")
    names, boxes, outlines, occluded = [], [], [], []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        name, *columns = line.split()
        if len(columns) != 14:
            raise DataError(f"{path}, line {number} has {len(columns) + 1} columns, not 15")
        if name == "DontCare":
            continue
        values = torch.tensor([float(column) for column in columns], dtype=torch.float64)
        height, width, length = values[7:10]
        bottom, turn = values[10:13], values[13]
        middle = bottom - torch.stack([0 * height, height / 2, 0 * height])
        front = middle + torch.stack([turn.cos(), 0 * turn, -turn.sin()])
        middle, front = calibration.to_lidar(torch.stack([middle, front]))
        heading = torch.atan2(front[1] - middle[1], front[0] - middle[0])
        middle[2] += LIDAR_HEIGHT
        boxes.append(torch.cat([middle, torch.stack([length, width, height, heading])]))
        names.append(name)
        outlines.append(values[3:7])
        occluded.append(int(values[1]))
    return (
        names,
        torch.stack(boxes).float() if boxes else torch.zeros(0, 7),
        torch.stack(outlines).float() if outlines else torch.zeros(0, 4),
        torch.tensor(occluded, dtype=torch.long),
    )


def kitti_frame(number: int, folder: Path) -> DrivingFrame:
    """Read one training frame of KITTI's object benchmark.

    Args:
        number: of the frame, such as 0 for 000000.
        folder: the one that holds image_2, velodyne, calib and label_2.

    Raises:
        DataError: a file is missing or damaged.
    """
    paths = {part: folder / part / f"{number:06}.{end}" for part, end in _PARTS.items()}
    if missing := [str(path) for path in paths.values() if not path.is_file()]:
        raise DataError(
            f"{', '.join(missing)} not found: get the 3D object data of KITTI at "
            "https://www.cvlibs.net/datasets/kitti/eval_object.php and unpack it there"
        )
    calibration = read_calibration(paths["calib"])
    points = read_scan(paths["velodyne"])
    points[:, 2] += LIDAR_HEIGHT
    return DrivingFrame(
        read_picture(paths["image_2"]), points, *read_labels(paths["label_2"], calibration),
        calibration,
    )  # fmt: skip
