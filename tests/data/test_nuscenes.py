"""A frame in the layout of nuScenes as MMDetection3D ships it, of 4 × 6 pixels and three points."""

import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from mmlib.data.nuscenes import FRAME, nuscenes_frame
from mmlib.files import DataError

# the lidar's x is the vehicle's -y, its y the vehicle's x; it stands 2 m high, 1 m ahead
TO_VEHICLE = [[0.0, 1, 0, 1], [-1, 0, 0, 0], [0, 0, 1, 2], [0, 0, 0, 1]]
# the camera stands where the lidar does, and looks ahead
TO_CAMERA = [[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
POINTS = np.array([[-2, 10, -2, 9, 1], [0, 5, -1, 3, 2], [1, -4, 0, 0, 3]], dtype="<f4")


def info():
    """Return the calibration and one car, 10 m ahead of the lidar, that drives ahead."""
    return {
        "images": {
            "CAM_FRONT": {
                "img_path": "samples/front.jpg",
                "cam2img": [[10.0, 0, 3], [0, 10, 2], [0, 0, 1]],
                "lidar2cam": TO_CAMERA,
            }
        },
        "lidar_points": {
            "lidar_path": "sweep.bin",
            "num_pts_feats": 5,
            "lidar2ego": TO_VEHICLE,
        },
        "instances": [{"bbox_3d": [0.0, 10, -1.2, 4.5, 1.9, 1.6, np.pi / 2], "bbox_label_3d": 0}],
    }


@pytest.fixture
def folder(tmp_path):
    POINTS.tofile(tmp_path / "sweep.bin")
    Image.new("RGB", (6, 4), (255, 0, 0)).save(tmp_path / "front.jpg", quality=100)
    (tmp_path / "info.json").write_text(json.dumps(info()))
    return tmp_path


def test_points_and_boxes_come_in_the_vehicles_frame(folder):
    frame = nuscenes_frame(folder)
    expected = torch.tensor([[11.0, 2, 0], [6, 0, 1], [-3, -1, 2]])
    assert torch.allclose(frame.points, expected)
    assert torch.allclose(frame.boxes, torch.tensor([[11.0, 0, 0.8, 4.5, 1.9, 1.6, 0]]), atol=1e-6)
    assert frame.label.tolist() == [0]
    assert frame.picture.shape == (3, 4, 6)


def test_the_camera_stands_and_projects_where_it_should(folder):
    frame = nuscenes_frame(folder)
    centre = -frame.rotation.T @ frame.translation
    assert torch.allclose(centre, torch.tensor([1.0, 0, 2]))
    seen = frame.rotation @ torch.tensor([11.0, 2, 0]) + frame.translation
    pixel = frame.intrinsics @ seen / seen[2]
    assert torch.allclose(pixel, torch.tensor([3 - 2.0, 2 + 2.0, 1]))


def test_the_pickle_says_the_same(folder):
    """Numbers are NumPy's scalars there, as in the file that is shipped."""
    inside = info()
    inside["instances"][0]["bbox_3d"] = [np.float64(v) for v in inside["instances"][0]["bbox_3d"]]
    plain = nuscenes_frame(folder)
    (folder / "info.json").unlink()
    (folder / f"{FRAME}.pkl").write_bytes(pickle.dumps({"data_list": [inside]}))
    packed = nuscenes_frame(folder)
    assert torch.equal(plain.boxes, packed.boxes)
    assert torch.equal(plain.rotation, packed.rotation)


class Mischief:
    def __reduce__(self):
        return eval, ("1",)


def test_a_pickle_that_wants_to_run_something_is_refused(folder):
    (folder / "info.json").unlink()
    (folder / f"{FRAME}.pkl").write_bytes(pickle.dumps({"data_list": [Mischief()]}))
    with pytest.raises(DataError, match=r"asks for builtins\.eval"):
        nuscenes_frame(folder)


def test_what_is_missing_or_cut_off_is_named(folder):
    (folder / "sweep.bin").write_bytes(b"1234")
    with pytest.raises(DataError, match="not 5 a point"):
        nuscenes_frame(folder)
    (folder / "front.jpg").unlink()
    with pytest.raises(DataError, match="front"):
        nuscenes_frame(folder)
    (folder / "info.json").write_text("{}")
    with pytest.raises(DataError, match="images"):
        nuscenes_frame(folder)
    (folder / "info.json").unlink()
    with pytest.raises(DataError, match="neither info"):
        nuscenes_frame(folder)
