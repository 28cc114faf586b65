"""Frames in KITTI's format, from small files written here."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from mmlib.data import driving_frames
from mmlib.data.driving_frames import LIDAR_HEIGHT, kitti_frame
from mmlib.files import DataError

P2 = [700.0, 0, 600, 40, 0, 700, 180, 0.2, 0, 0, 1, 0.005]
R0 = [1.0, 0, 0, 0, 1, 0, 0, 0, 1]
TR = [0.0, -1, 0, 0, 0, 0, -1, -0.08, 1, 0, 0, -0.27]  # camera axes, 8 cm below and ahead


@pytest.fixture
def folder(tmp_path):
    for part in ("image_2", "velodyne", "calib", "label_2"):
        (tmp_path / part).mkdir()
    Image.new("RGB", (40, 12), (10, 20, 30)).save(tmp_path / "image_2" / "000003.png")
    points = np.array([[10, 0, -1.73, 0.5], [20, -3, 0.5, 0.25]], dtype="<f4")
    points.tofile(tmp_path / "velodyne" / "000003.bin")
    lines = [
        f"{name}: {' '.join(map(str, v))}"
        for name, v in (("P2", P2), ("R0_rect", R0), ("Tr_velo_to_cam", TR))
    ]
    (tmp_path / "calib" / "000003.txt").write_text("\n".join(["P0: 1 2 3", *lines, ""]))
    (tmp_path / "label_2" / "000003.txt").write_text(
        "Car 0.00 1 1.6 100 120 200 220 1.5 1.8 4.2 3.0 1.65 19.73 -1.57\n"
        "DontCare -1 -1 -10 5 5 9 9 -1 -1 -1 -1000 -1000 -1000 -10\n"
    )
    return tmp_path


def test_a_frame_is_read_and_its_box_comes_into_the_lidars_axes(folder):
    frame = kitti_frame(3, folder)
    assert frame.picture.shape == (3, 12, 40)
    assert frame.points.shape == (2, 4)
    torch.testing.assert_close(frame.points[0], torch.tensor([10, 0, LIDAR_HEIGHT - 1.73, 0.5]))
    assert frame.names == ["Car"]
    assert frame.occluded.tolist() == [1]
    assert frame.outlines.tolist() == [[100, 120, 200, 220]]
    x, y, z, length, width, height, heading = frame.boxes[0].tolist()
    assert (length, width, height) == pytest.approx((4.2, 1.8, 1.5))
    # camera (3, 1.65 - 0.75, 19.73) is lidar (19.73 + 0.27, -3, -0.9 - 0.08)
    assert (x, y, z) == pytest.approx((20.0, -3.0, LIDAR_HEIGHT - 0.98), abs=1e-4)
    assert heading == pytest.approx(1.57 - math.pi / 2, abs=1e-4)  # it drives straight ahead


def test_projection_is_that_of_the_matrices(folder):
    calibration = kitti_frame(3, folder).calibration
    points = torch.tensor([[10.0, 1.0, -0.5], [30.0, -4.0, 0.3]], dtype=torch.float64)
    pixels, depth = calibration.project(points)
    for point, pixel, z in zip(points, pixels, depth, strict=True):
        camera = np.array(TR).reshape(3, 4) @ np.r_[point.numpy(), 1]
        u, v, w = np.array(P2).reshape(3, 4) @ np.r_[camera, 1]
        assert pixel.tolist() == pytest.approx([u / w, v / w])
        assert float(z) == pytest.approx(camera[2])
    back = calibration.to_lidar(calibration.to_camera(points))
    torch.testing.assert_close(back, points)


def test_a_frame_without_objects_has_none(folder):
    (folder / "label_2" / "000003.txt").write_text("")
    frame = kitti_frame(3, folder)
    assert frame.names == []
    assert frame.boxes.shape == (0, 7)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f: (f / "velodyne" / "000003.bin").unlink(), "kitti/eval_object"),
        (lambda f: (f / "velodyne" / "000003.bin").write_bytes(b"\0" * 20), "not four a point"),
        (lambda f: (f / "calib" / "000003.txt").write_text("P2: 1 2\n"), "no P2 of 12"),
        (lambda f: (f / "label_2" / "000003.txt").write_text("Car 1 2\n"), "line 1 has 3 columns"),
    ],
)
def test_a_damaged_frame_gets_one_clear_error(folder, break_it, message):
    break_it(folder)
    with pytest.raises(DataError, match=message):
        kitti_frame(3, folder)
    assert driving_frames.FOLDER.name == "training"
