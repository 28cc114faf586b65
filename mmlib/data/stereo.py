"""Stereo pairs of photographs with their true disparity: Middlebury 2003.

Structured light measured the disparities (Scharstein & Szeliski, CVPR 2003). In the files of
quarter size a grey value is four times the disparity, and 0 means that it is not known.
"""

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from mmlib.data.download import locate
from mmlib.data.photographs import read_picture
from mmlib.files import DataError


class PhotographPair(NamedTuple):
    """A rectified pair, and the disparity of the left picture."""

    left: Tensor  # (3, height, width) in 0 to 1
    right: Tensor  # (3, height, width)
    disparity: Tensor  # (height, width) in pixels; 0 where unknown
    known: Tensor  # bool (height, width)
    seen: Tensor  # bool (height, width): known, and the right camera sees the point, too


def middlebury_pair(name: str = "cones", folder: Path | None = None) -> PhotographPair:
    """Read a pair of the Middlebury set of 2003, in its quarter size.

    The right picture's own disparities say which points it sees: where both agree to a pixel.

    Args:
        name: the pair's folder, ``cones`` or ``teddy``.
        folder: where the data set lies; ``None`` asks ``download.locate``.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: the pair is not complete, or its files differ in size.
    """
    folder = (locate("middlebury-2003") if folder is None else Path(folder)) / name
    paths = [folder / f"{part}.png" for part in ("im2", "im6", "disp2", "disp6")]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise DataError(f"{folder} lacks {', '.join(missing)}: restore the pair of quarter size")
    left, right, *levels = (read_picture(path) for path in paths)
    if len({picture.shape for picture in (left, right, *levels)}) > 1:
        raise DataError(f"the pictures in {folder} differ in size: restore them")
    ours, theirs = (level[0] * 255 / 4 for level in levels)
    known = ours > 0
    columns = (ours.new_tensor(range(ours.shape[1])) - ours.round()).long()
    back = theirs.gather(1, columns.clamp(min=0))
    seen = known & (columns >= 0) & (back > 0) & ((back - ours).abs() <= 1)
    return PhotographPair(left, right, ours, known, seen)
