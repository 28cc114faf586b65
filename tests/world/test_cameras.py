"""Laws of the pinhole camera: rays, projection and unprojection agree, and agree with OpenCV."""

import cv2
import numpy as np
import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world.cameras import Cameras, aim_cameras, orbit_cameras


@pytest.fixture
def cameras():
    return orbit_cameras(torch.tensor([0.0, 77.0, 200.0]), height=12, width=16)


def image(cameras, points):
    seen = points @ cameras.rotation.mT + cameras.translation[:, None]
    seen = seen @ cameras.intrinsics.mT
    return seen[..., :2] / seen[..., 2:]


def test_the_target_is_in_the_middle_and_up_is_up(cameras):
    middle = image(cameras, torch.zeros(3, 1, 3))
    torch.testing.assert_close(middle, torch.tensor([7.5, 5.5]).expand(3, 1, 2), atol=1e-4, rtol=0)
    above = image(cameras, torch.tensor([0.0, 0.1, 0.0]).expand(3, 1, 3))
    assert (above[..., 1] < 5.5).all()


def test_rotations_are_rotations_and_the_centre_is_the_eye():
    eye = torch.randn(5, 3, generator=make_generator(0))
    cameras = aim_cameras(eye, eye.flip(0) + 1, height=4, width=4)
    torch.testing.assert_close(
        cameras.rotation @ cameras.rotation.mT, torch.eye(3).expand(5, 3, 3), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(torch.linalg.det(cameras.rotation), torch.ones(5))
    torch.testing.assert_close(cameras.centre, eye, atol=1e-5, rtol=0)


def test_unprojected_pixels_come_back_and_lie_on_their_rays(cameras):
    depth = 1 + torch.rand(3, 12, 16, generator=make_generator(0))
    points = cameras.unproject(depth)
    back = image(cameras, points.flatten(1, 2)).unflatten(1, (12, 16))
    expected = cameras.pixels()[..., :2].expand(3, -1, -1, -1)
    torch.testing.assert_close(back, expected, atol=1e-3, rtol=0)
    way = torch.nn.functional.normalize(points - cameras.centre[:, None, None], dim=-1)
    torch.testing.assert_close(way, cameras.rays(), atol=1e-4, rtol=0)


def test_the_matrix_projects_as_opencv_does(cameras):
    points = torch.randn(20, 3, generator=make_generator(0)).double()
    for row in range(3):
        theirs, _ = cv2.projectPoints(
            points.numpy(),
            cv2.Rodrigues(cameras.rotation[row].double().numpy())[0],
            cameras.translation[row].double().numpy(),
            cameras.intrinsics[row].double().numpy(),
            None,
        )
        ours = torch.cat([points, torch.ones(20, 1)], dim=1) @ cameras.matrix[row].double().T
        np.testing.assert_allclose(ours[:, :2] / ours[:, 2:], theirs[:, 0], rtol=1e-4, atol=1e-4)


def test_a_step_to_the_right_moves_the_picture_to_the_left(cameras):
    points = torch.randn(3, 20, 3, generator=make_generator(0)) * 0.5
    shift = image(cameras, points) - image(cameras.moved(0.2), points)
    depth = (points @ cameras.rotation.mT + cameras.translation[:, None])[..., 2]
    disparity = cameras.intrinsics[:, :1, 0] * 0.2 / depth
    torch.testing.assert_close(shift[..., 0], disparity, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(shift[..., 1], torch.zeros(3, 20), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: aim_cameras(torch.ones(1, 3), torch.ones(1, 3), height=4, width=4), "coincide"),
        (lambda: orbit_cameras(torch.zeros(1), elevation=90.0), "coincide or lie above"),
        (lambda: orbit_cameras(torch.zeros(1), field_of_view=180), "field_of_view is 180"),
        (lambda: orbit_cameras(torch.zeros(1), height=0), "height is 0"),
        (
            lambda: Cameras(torch.eye(3)[None], torch.eye(3)[None], torch.zeros(2, 3), 4, 4),
            "translation is of 2",
        ),
    ],
)
def test_bad_input_gets_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
