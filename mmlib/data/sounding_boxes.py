"""Where people say the sound comes from: VGG-Sound Source and Flickr-SoundNet, official layouts.

VGG-Sound Source: H. Chen, W. Xie, T. Afouras, A. Nagrani, A. Vedaldi, A. Zisserman, CVPR 2021.
Flickr-SoundNet's annotations: A. Senocak, T.-H. Oh, J. Kim, M.-H. Yang, I. S. Kweon, CVPR 2018.
Both publish boxes without the pictures. Addresses, licences and citations stand in ``catalogue``.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import torch
from torch import Tensor

from mmlib.data.download import locate
from mmlib.files import DataError, check_text, read_lines, read_text
from mmlib.shapes import check_finite, check_floating, check_shape, check_whole

_FLICKR_SIZE = 256  # pixels a side of the pictures in which Flickr-SoundNet's boxes were drawn


@dataclass(frozen=True)
class SoundingBoxes:
    """One picture whose sound somebody located: the boxes, in shares of its width and height."""

    name: str  # of the clip
    category: str  # what sounds, in words; "" where the data set does not say
    boxes: Tensor  # (boxes, 4) in 0 to 1: left, top, right, bottom; one may have no area


def vgg_sound_source(folder: Path | None = None) -> list[SoundingBoxes]:
    """Return the clips of VGG-Sound Source in the order of its table ``vggss/vggss.json``.

    Some numbers of the official table lie far outside 0 to 1. They are moved to the nearer end,
    as the authors' own evaluation does, so that a few boxes lose all their area.

    Args:
        folder: where the data set lies; ``None`` asks ``download.locate``.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: the table is missing or damaged, or a clip has no box.
    """
    folder = locate("sound-localization-annotations") if folder is None else folder
    table = folder / "vggss" / "vggss.json"
    try:
        return [
            SoundingBoxes(
                check_text(one["file"]),
                check_text(one["class"]),
                _boxes(one["bbox"], one["file"]).clamp(0, 1),
            )
            for one in json.loads(read_text(table))
        ]
    except DataError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{table} is damaged ({error}): fetch it again") from error


def flickr_sound_source(path: Path) -> SoundingBoxes:
    """Return the boxes of one picture of Flickr-SoundNet from its XML file.

    Every ``bbox`` in the file counts, whichever annotator drew it. It holds the class of the object
    and then four whole numbers, the left, top, right and bottom edge in a picture of 256 pixels a
    side; so the evaluation programs of Chen et al. (2021) and Mo and Morgado (2022) read it. The
    files themselves are handed out by the authors and lie in no public repository.

    Args:
        path: the file; its stem is the number of the picture on Flickr.

    Raises:
        DataError: the file is missing or damaged, or holds no box.
    """
    try:
        drawn = [
            [int(edge.text) / _FLICKR_SIZE for edge in list(box)[1:]]
            for box in ElementTree.parse(path).getroot().iter("bbox")
        ]
        return SoundingBoxes(path.stem, "", _boxes(drawn, path.stem).clamp(0, 1))
    except (OSError, ElementTree.ParseError, ValueError, TypeError) as error:
        raise DataError(f"{path} is missing or damaged ({error}): fetch it again") from error


def flickr_test_names(folder: Path | None = None) -> list[str]:
    """Return the numbers of the test pictures of Flickr-SoundNet, in the authors' order.

    Args:
        folder: where the annotations lie; ``None`` asks ``download.locate``.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: the list is missing or empty.
    """
    folder = locate("sound-localization-annotations") if folder is None else folder
    path = folder / "flickr-soundnet" / "test_list.txt"
    names = [Path(name.strip()).stem for name in read_lines(path) if name.strip()]
    if not names:
        raise DataError(f"{path} is empty: fetch it again")
    return names


def consensus_map(boxes: Tensor, *, size: int = 224, agree: int = 1) -> Tensor:
    """Paint boxes into one map: in each pixel the share of the agreement that it has, at most 1.

    A pixel in n boxes gets min(1, n / agree). Flickr-SoundNet's rule is ``agree=2``: two of the
    three annotators make a pixel certain, one alone makes it worth a half (Senocak et
    al., CVPR 2018). VGG-Sound Source's is ``agree=1``: inside any box. Edges are cut down to whole
    pixels as in the official program of Chen et al.

    Args:
        boxes: (boxes, 4), left, top, right and bottom as shares of width and height, 0 to 1.
        size: pixels a side.
        agree: in how many boxes a pixel must lie to count fully.

    Returns:
        (size, size), float32, in 0 to 1.

    Raises:
        ValueError: a box lies outside 0 to 1, there is none, or ``size`` or ``agree`` is below 1.
    """
    check_shape(boxes, "boxes 4", name="boxes")
    check_floating(boxes, name="boxes")
    check_finite(boxes, name="boxes")
    size, agree = check_whole(size, name="size"), check_whole(agree, name="agree")
    lowest, highest = float(boxes.min()), float(boxes.max())
    if lowest < 0 or highest > 1:
        raise ValueError(
            f"boxes reach from {lowest:g} to {highest:g}, they must lie in 0 to 1: divide pixels "
            "by the width and height of their picture"
        )
    painted = torch.zeros(size, size)
    for left, top, right, bottom in (boxes.double() * size).floor().long().tolist():
        painted[top:bottom, left:right] += 1
    return (painted / agree).clamp(max=1)


def _boxes(rows: Sequence[Sequence[float]], name: str) -> Tensor:
    """Return (boxes, 4), or raise ``ValueError`` if a row is no box."""
    if not rows or any(len(row) != 4 for row in rows):
        raise ValueError(f"{name} has {len(rows)} boxes, not all of 4 numbers or none at all")
    if not all(math.isfinite(edge) for row in rows for edge in row):
        raise ValueError(f"{name} has a box with an edge that is no number")
    return torch.tensor(rows, dtype=torch.float64)
