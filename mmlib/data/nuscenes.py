"""A frame of a real car: a front camera, a lidar, their calibration, boxes. From nuScenes.

The frame that MMDetection3D ships for demonstration (Caesar et al., CVPR 2020): one sweep of the
lidar on the roof, pictures of six cameras, of which the front one is read, and a pickle with the
calibration, or the same as info.json. Everything is brought into the vehicle's frame: x ahead, y to
the left, z up, in metres, the origin on the road, under the rear axle.
"""

import codecs
import io
import json
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmlib.data.download import locate
from mmlib.data.photographs import read_picture
from mmlib.files import DataError

FRAME = "n015-2018-07-24-11-22-45+0800"


class DrivingFrame(NamedTuple):
    """What the sensors of one car gave at one moment."""

    picture: Tensor  # (3, height, width) in 0 to 1
    intrinsics: Tensor  # K (3, 3), in pixels
    rotation: Tensor  # R (3, 3); R and t carry the vehicle's frame into the camera's
    translation: Tensor  # t (3,)
    points: Tensor  # (points, 3)
    boxes: Tensor  # (boxes, 7) as in world.streets
    label: Tensor  # (boxes,) nuScenes' number of the category, -1 for others


def nuscenes_frame(folder: Path | None = None) -> DrivingFrame:
    """Read the frame.

    Args:
        folder: where the files lie; ``None`` asks ``download.locate``.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: a file is missing or is not what it should be.
    """
    folder = locate("nuscenes") if folder is None else Path(folder)
    info = _read_info(folder)
    try:
        front, lidar = info["images"]["CAM_FRONT"], info["lidar_points"]
        picture = read_picture(folder / Path(front["img_path"]).name)
        points = _read_points(folder / Path(lidar["lidar_path"]).name, lidar["num_pts_feats"])
        to_vehicle, to_camera, intrinsics = (
            torch.tensor(matrix, dtype=torch.float64)
            for matrix in (lidar["lidar2ego"], front["lidar2cam"], front["cam2img"])
        )
        boxes = torch.tensor([one["bbox_3d"] for one in info["instances"]], dtype=torch.float64)
        label = torch.tensor([one["bbox_label_3d"] for one in info["instances"]])
    except (KeyError, TypeError, OSError) as error:
        raise DataError(f"{folder} holds no whole frame ({error!r}): restore its files") from error
    to_camera = (to_camera @ torch.linalg.inv(to_vehicle)).float()
    middle = boxes[:, :3] @ to_vehicle[:3, :3].T + to_vehicle[:3, 3]
    front_of = torch.stack([boxes[:, 6].cos(), boxes[:, 6].sin(), 0 * boxes[:, 6]], dim=1)
    front_of = front_of @ to_vehicle[:3, :3].T
    heading = torch.atan2(front_of[:, 1], front_of[:, 0])
    boxes = torch.cat([middle, boxes[:, 3:6], heading[:, None]], dim=1).float()
    points = points @ to_vehicle[:3, :3].float().T + to_vehicle[:3, 3].float()
    pose = (intrinsics[:3, :3].float(), to_camera[:3, :3], to_camera[:3, 3])
    return DrivingFrame(picture, *pose, points, boxes, label)


def _read_points(path: Path, columns: int) -> Tensor:
    """Return x, y, z (points, 3) of a file of 32-bit numbers, ``columns`` a point."""
    numbers = np.fromfile(path, dtype="<f4")
    if not len(numbers) or len(numbers) % columns:
        raise DataError(f"{path} holds {len(numbers)} numbers, not {columns} a point: restore it")
    return torch.from_numpy(numbers.reshape(-1, columns)[:, :3].copy())


def _read_info(folder: Path) -> dict[str, Any]:
    plain, packed = folder / "info.json", folder / f"{FRAME}.pkl"
    try:
        if plain.is_file():
            return json.loads(plain.read_text(encoding="utf-8"))
        if packed.is_file():
            return _Numbers(io.BytesIO(packed.read_bytes())).load()["data_list"][0]
    except (ValueError, KeyError, pickle.UnpicklingError) as error:
        raise DataError(f"{folder}: the calibration cannot be read ({error})") from error
    raise DataError(f"{folder} has neither info.json nor {FRAME}.pkl: restore one of them")


class _Numbers(pickle.Unpickler):
    """Read pickled lists, dictionaries and NumPy's scalars; nothing else is run."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle asks for, if it is harmless."""
        allowed = {
            ("numpy.core.multiarray", "scalar"): np._core.multiarray.scalar,
            ("numpy._core.multiarray", "scalar"): np._core.multiarray.scalar,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): codecs.encode,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return allowed[module, name]
