"""Real pictures: one file as a tensor, many of one size, and CIFAR-10.

Built on Pillow. CIFAR-10: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*,
2009. The addresses, licences and citations stand in ``catalogue``.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from mmlib.data.download import locate

CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


class PictureError(ValueError):
    """A picture, or the table of a data set of pictures, that cannot be read."""


def read_picture(path: str | os.PathLike, *, size: int | None = None) -> Tensor:
    """Read the picture ``path`` (JPEG, PNG and what else Pillow knows), upright, as RGB.

    Args:
        path: the file.
        size: cut the largest square from the middle and scale it to ``size`` by ``size`` pixels;
            ``None`` leaves the picture as it is.

    Returns:
        (3, height, width), float32, in 0 to 1.

    Raises:
        FileNotFoundError: there is no such file.
        PictureError: the file is empty, cut short, damaged or no picture.
        ValueError: ``size`` is below 1.
    """
    path = Path(path)
    if size is not None and size < 1:
        raise ValueError(f"size is {size}, a picture needs 1 pixel or more")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's words for damage
        raise PictureError(
            f"{path} is damaged or no picture ({error}): replace it with a fresh copy"
        ) from error
    if size is not None:
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float() / 255


def read_pictures(paths: Sequence[str | os.PathLike], *, size: int) -> Tensor:
    """Read pictures cut and scaled to squares (see ``read_picture``): (pictures, 3, size, size).

    Raises:
        ValueError: there are no paths, or ``size`` is below 1.
        FileNotFoundError, PictureError: a file is missing or damaged.
    """
    if not paths:
        raise ValueError("there are no paths: name one picture or more")
    return torch.stack([read_picture(path, size=size) for path in paths])


def cifar10(split: str, folder: Path | None = None) -> tuple[Tensor, Tensor]:
    """Return CIFAR-10's ``"train"`` or ``"test"`` pictures: small photographs of ten classes.

    Reads the official ``cifar-10-batches-py`` through torchvision; where that is absent, pictures
    in a folder for each class, ``<split>/<class>/*``.

    Args:
        split: "train" or "test".
        folder: where the data set lies; ``None`` asks ``download.locate``.

    Returns:
        (pictures, 3, 32, 32) in 0 to 1, and (pictures,) indices into ``CIFAR10_CLASSES``.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        PictureError: a class has no pictures, or a file is damaged.
        ValueError: ``split`` is neither.
    """
    check_split(split, ("train", "test"))
    folder = locate("cifar10") if folder is None else folder
    if (folder / "cifar-10-batches-py").is_dir():
        return _official_cifar10(split, folder)
    paths, labels = [], []
    for number, name in enumerate(CIFAR10_CLASSES):
        found = sorted((folder / split / name).glob("*.*"))
        if not found:
            raise PictureError(
                f"{folder} has neither cifar-10-batches-py nor pictures in {split}/{name}: "
                "remove the folder and fetch it again"
            )
        paths += found
        labels += [number] * len(found)
    return read_pictures(paths, size=32), torch.tensor(labels)


def check_split(split: str, splits: Sequence[str]) -> None:
    """Raise ``ValueError`` unless ``split`` is one of ``splits``."""
    if split not in splits:
        raise ValueError(f"no split is called {split!r}; there are {', '.join(splits)}")


def check_present(paths: Sequence[Path], folder: Path) -> None:
    """Raise ``PictureError`` if there are no ``paths`` or one of them is no file."""
    named = dict.fromkeys(paths)  # many questions may be about one picture
    missing = [path for path in named if not path.is_file()]
    if missing or not named:
        first = f", the first is {missing[0]}" if missing else ""
        raise PictureError(
            f"{folder} lacks {len(missing)} of the {len(named)} pictures in its table{first}: "
            "remove the folder and fetch it again"
        )


def _official_cifar10(split: str, folder: Path) -> tuple[Tensor, Tensor]:
    from torchvision.datasets import CIFAR10  # mmlib itself does without torchvision

    try:
        data = CIFAR10(str(folder), train=split == "train")
    except RuntimeError as error:
        raise PictureError(f"{folder}: {error} Remove the folder and fetch it again") from error
    pictures = torch.from_numpy(data.data).permute(0, 3, 1, 2)  # (pictures, 3, 32, 32)
    return pictures.contiguous().float() / 255, torch.tensor(data.targets)
