"""Photographs that people described: Flickr8k and COCO captions, in their official layouts.

Flickr8k: M. Hodosh, P. Young, J. Hockenmaier, JAIR 47, 2013. COCO captions: X. Chen et al.,
arXiv:1504.00325. The addresses, licences and citations stand in ``catalogue``.
"""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from mmlib.data.download import locate
from mmlib.data.photographs import check_split
from mmlib.files import DataError, check_present, check_text, read_lines, read_text


@dataclass(frozen=True)
class CaptionedPicture:
    """One photograph and what several people, each on their own, said that it shows."""

    path: Path
    captions: tuple[str, ...]  # as they were typed: upper and lower case, punctuation


def flickr8k(split: str, folder: Path | None = None) -> list[CaptionedPicture]:
    """Return the photographs of one official part of Flickr8k, in the order of its list.

    The captions are ``Flickr8k_text/Flickr8k.token.txt``, the parts
    ``Flickr8k_text/Flickr_8k.<split>Images.txt``, the photographs ``Flicker8k_Dataset/`` (so
    spelt). Captions of pictures that no part lists are left aside; the official file has some.

    Args:
        split: "train", "dev" or "test".
        folder: where the data set lies; ``None`` asks ``download.locate``.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: a list or a photograph is missing, a line of the captions cannot be read, or
            a listed photograph has no caption.
        ValueError: ``split`` is none of the three.
    """
    check_split(split, ("train", "dev", "test"))
    folder = locate("flickr8k") if folder is None else folder
    text = folder / "Flickr8k_text"
    listed = [name for name in read_lines(text / f"Flickr_8k.{split}Images.txt") if name.strip()]
    captions = _flickr8k_captions(text / "Flickr8k.token.txt")
    found = [CaptionedPicture(folder / "Flicker8k_Dataset" / n, captions[n]) for n in listed]
    return _complete(found, folder)


def coco_captions(split: str, folder: Path | None = None) -> list[CaptionedPicture]:
    """Return the photographs of one part of COCO 2017 with their captions, by identifier.

    Reads ``annotations/captions_<split>2017.json`` and the photographs in ``<split>2017/``.

    Args:
        split: "train" or "val"; nobody may read the captions of the test part.
        folder: where the data set lies; ``None`` asks ``download.locate``.

    Raises:
        DataSetError: the data set is neither here nor to be had.
        DataError: the table or a photograph is missing, the table cannot be read, a caption
            belongs to no photograph of the table, or a photograph has no caption.
        ValueError: ``split`` is neither.
    """
    check_split(split, ("train", "val"))
    folder = locate("coco") if folder is None else folder
    table = folder / "annotations" / f"captions_{split}2017.json"
    try:
        record = json.loads(read_text(table))
        names = {image["id"]: image["file_name"] for image in record["images"]}
        captioned = [(one["image_id"], check_text(one["caption"])) for one in record["annotations"]]
    except DataError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{table} is damaged ({error!r}): fetch it again") from error
    captions = defaultdict(tuple)
    for number, caption in captioned:
        if number not in names:
            raise DataError(
                f"{table} has a caption of the picture {number}, which its list of pictures "
                "lacks: fetch it again"
            )
        captions[number] += (caption.strip(),)
    found = [
        CaptionedPicture(folder / f"{split}2017" / names[number], captions[number])
        for number in sorted(names)
    ]
    return _complete(found, folder)


def _flickr8k_captions(path: Path) -> dict[str, tuple[str, ...]]:
    """Return file name → captions from lines of the form ``name.jpg#number <tab> caption``."""
    captions = defaultdict(tuple)
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        key, tab, caption = line.partition("\t")
        name, hash_sign, _ = key.rpartition("#")
        if not (tab and hash_sign and name and caption.strip()):
            raise DataError(
                f"{path}, line {number} is {line[:40]!r}; it needs a name, #, a number, a tab and "
                "a caption: fetch it again"
            )
        captions[name] += (caption.strip(),)
    return captions


def _complete(found: list[CaptionedPicture], folder: Path) -> list[CaptionedPicture]:
    """Return ``found``, or raise if a photograph is missing or nobody described it."""
    check_present([one.path for one in found], folder)
    for one in found:
        if not one.captions:
            raise DataError(f"{one.path.name} has no caption in {folder}: fetch it again")
    return found
