"""Real pictures: one file as a tensor, many of one size, and CIFAR-10.

Built on Pillow. CIFAR-10: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*,
2009. The addresses, licences and citations stand in ``catalogue``.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from mmlib.data.download import locate
from mmlib.files import DataError, list_files
from mmlib.shapes import check_whole

CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


_WHITE = {"I;16": 65535, "I;16L": 65535, "I;16B": 65535, "F": 1}  # of greys of more than 8 bits


def read_picture(path: str | os.PathLike, *, size: int | None = None) -> Tensor:
    """Read the picture ``path`` (JPEG, PNG and what else Pillow knows), upright, as RGB.

    What is transparent is laid on white. Greys of 16 bits and of floating point (0 is black, 1 is
    white) keep their levels; colours have 8 bits.

    Args:
        path: the file.
        size: cut the largest square from the middle and scale it to ``size`` by ``size`` pixels;
            ``None`` leaves the picture as it is.

    Returns:
        (3, height, width), float32, in 0 to 1.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file is empty, cut short, damaged, no picture, larger than Pillow's limit, or
            has greys whose white is not known.
        ValueError: ``size`` is no whole number of 1 or more.
    """
    path = Path(path)
    if size is not None:
        size = check_whole(size, name="size")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with Image.open(path) as opened:
            picture = _plain(ImageOps.exif_transpose(opened))
    except Exception as error:  # Pillow has many words for damage
        raise DataError(
            f"{path} is damaged, too large or no picture ({error}): replace it with a fresh copy"
        ) from error
    if size is not None:
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)
    levels = torch.from_numpy(np.array(picture))  # (height, width), or (height, width, 3) in 8 bits
    if levels.ndim == 2:
        return levels.expand(3, -1, -1).contiguous()
    return levels.permute(2, 0, 1).contiguous().float() / 255


def _plain(picture: Image.Image) -> Image.Image:
    """Return the picture in RGB without transparency, or in mode F (0 to 1) if it has finer greys.

    Raises:
        ValueError: the greys do not lie between black and white, or white is not known.
    """
    if picture.mode in _WHITE:
        levels = np.asarray(picture, dtype=np.float32) / _WHITE[picture.mode]
        if not ((levels >= 0) & (levels <= 1)).all():  # true of NaN as well
            raise ValueError(f"its greys go from {levels.min():g} to {levels.max():g}, not 0 to 1")
        return Image.fromarray(levels)
    if picture.mode == "I":
        raise ValueError("its greys have 32 bits, and nothing says which one is white")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def read_pictures(paths: Iterable[str | os.PathLike], *, size: int) -> Tensor:
    """Read pictures cut and scaled to squares (see ``read_picture``): (pictures, 3, size, size).

    Raises:
        ValueError: there are no paths, or ``size`` is no whole number of 1 or more.
        FileNotFoundError, DataError: a file is missing or damaged.
    """
    pictures = [read_picture(path, size=size) for path in paths]
    if not pictures:
        raise ValueError("there are no paths: name one picture or more")
    return torch.stack(pictures)


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
        DataError: a class has no pictures, or a file is damaged.
        ValueError: ``split`` is neither.
    """
    check_split(split, ("train", "test"))
    folder = locate("cifar10") if folder is None else folder
    if (folder / "cifar-10-batches-py").is_dir():
        return _official_cifar10(split, folder)
    paths, labels = [], []
    for number, name in enumerate(CIFAR10_CLASSES):
        found = list_files(folder / split / name)
        if not found:
            raise DataError(
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


def _official_cifar10(split: str, folder: Path) -> tuple[Tensor, Tensor]:
    from torchvision.datasets import CIFAR10  # mmlib itself does without torchvision

    try:
        data = CIFAR10(str(folder), train=split == "train")
    except RuntimeError as error:
        raise DataError(f"{folder}: {error} Remove the folder and fetch it again") from error
    pictures = torch.from_numpy(data.data).permute(0, 3, 1, 2)  # (pictures, 3, 32, 32)
    return pictures.contiguous().float() / 255, torch.tensor(data.targets)
