"""Pictures in, whole or refused; CIFAR-10 in both of its layouts."""

import contextlib
import hashlib
import pickle
import random
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

from mmlib.data.photographs import (
    CIFAR10_CLASSES,
    cifar10,
    read_picture,
    read_pictures,
)
from mmlib.files import DataError


def test_a_picture_is_read_pixel_by_pixel(tmp_path, paint):
    pixels = paint(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert (picture.shape, picture.dtype) == ((3, 8, 12), torch.float32)
    assert torch.equal((picture * 255).round().byte(), torch.from_numpy(pixels).permute(2, 0, 1))


def test_a_sized_picture_is_the_middle_square(tmp_path, paint):
    pixels = paint(tmp_path / "a.png", height=8, width=12)
    middle = torch.from_numpy(pixels).permute(2, 0, 1)[:, :, 2:10]
    squares = read_pictures([tmp_path / "a.png"] * 2, size=8)
    assert torch.equal((squares * 255).round().byte(), torch.stack([middle, middle]))
    assert read_picture(tmp_path / "a.png", size=np.int64(3)).shape == (3, 3, 3)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_greys_of_16_bits_keep_their_level(ending, tmp_path):
    Image.fromarray(np.full((5, 6), 2000, np.uint16)).save(tmp_path / f"a.{ending}")
    for size, shape in ((None, (3, 5, 6)), (4, (3, 4, 4))):
        picture = read_picture(tmp_path / f"a.{ending}", size=size)
        torch.testing.assert_close(picture, torch.full(shape, 2000 / 65535))


def test_greys_of_floating_point_go_from_0_to_1(tmp_path):
    levels = np.linspace(0, 1, 30, dtype=np.float32).reshape(5, 6)
    Image.fromarray(levels).save(tmp_path / "a.tif")
    assert torch.equal(read_picture(tmp_path / "a.tif"), torch.from_numpy(levels).expand(3, 5, 6))
    for wrong in (255 * levels, -levels, levels * np.nan):
        Image.fromarray(wrong).save(tmp_path / "b.tif")
        with pytest.raises(DataError, match=r"b.tif is .*its greys go from .* not 0 to 1"):
            read_picture(tmp_path / "b.tif")
    Image.fromarray(np.full((5, 6), 200, np.int32)).save(tmp_path / "c.tif")
    with pytest.raises(DataError, match=r"c.tif is .*its greys have 32 bits"):
        read_picture(tmp_path / "c.tif")


def test_what_is_transparent_is_laid_on_white(tmp_path):
    hidden = np.zeros((1, 3, 4), np.uint8)  # red below, seen through not at all, half and wholly
    hidden[..., 0], hidden[0, :, 3] = 255, (0, 128, 255)
    Image.fromarray(hidden).save(tmp_path / "a.png")
    expected = torch.tensor([[1.0, 1, 1], [1, 1 - 128 / 255, 0], [1, 1 - 128 / 255, 0]])
    torch.testing.assert_close(read_picture(tmp_path / "a.png")[:, 0], expected, atol=3e-3, rtol=0)


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_colour_that_stands_for_transparent_is_white(mode, tmp_path):
    black = Image.new(mode, (6, 5))
    black.save(tmp_path / "a.png", transparency=(0, 0, 0) if mode == "RGB" else 0)
    assert torch.equal(read_picture(tmp_path / "a.png"), torch.ones(3, 5, 6))


def test_a_picture_beyond_pillows_limit_is_named(tmp_path, paint, monkeypatch):
    paint(tmp_path / "a.png", 20, 20)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"a.png is damaged, too large .*exceeds limit"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "tif", "webp", "bmp", "ppm"])
def test_whatever_is_wrong_with_a_picture_the_error_is_the_promised_one(ending, tmp_path, paint):
    draw, path = random.Random(0), tmp_path / f"a.{ending}"
    paint(path, 16, 16)
    whole = path.read_bytes()
    for _ in range(60):
        broken = bytearray(whole)
        for _ in range(draw.choice([1, 3, 10])):
            broken[draw.randrange(min(200, len(broken)))] = draw.randrange(256)
        path.write_bytes(broken)
        with contextlib.suppress(DataError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about what it could read all the same
            read_picture(path)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_picture_becomes_rgb(mode, tmp_path):
    ending = "jpg" if mode == "CMYK" else "png"
    Image.new("RGB", (6, 5), "white").convert(mode).save(tmp_path / f"a.{ending}")
    assert torch.equal(read_picture(tmp_path / f"a.{ending}"), torch.ones(3, 5, 6))


def test_a_photograph_taken_with_the_camera_turned_stands_upright(tmp_path, paint):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: the top is at the right
    pixels = paint(tmp_path / "a.png", exif=exif)
    upright = torch.from_numpy(np.rot90(pixels, -1).copy()).permute(2, 0, 1)
    assert torch.equal((read_picture(tmp_path / "a.png") * 255).round().byte(), upright)


@pytest.mark.parametrize("ending", ["png", "jpg"])
@pytest.mark.parametrize("how", ["cut", "empty", "text"])
def test_a_damaged_picture_is_one_clear_error_that_names_it(ending, how, tmp_path, paint):
    path = tmp_path / f"a.{ending}"
    paint(path, 64, 64)
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "text": b"no picture"}[how])
    with pytest.raises(
        DataError, match=rf"a.{ending} is damaged, too large or no picture .*: replace it"
    ):
        read_picture(path)


def test_no_file_no_paths_and_no_size_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*gone.png"):
        read_picture(tmp_path / "gone.png")
    for none in ([], iter([])):
        with pytest.raises(ValueError, match="there are no paths"):
            read_pictures(none, size=8)
    with pytest.raises(ValueError, match="size is 0"):
        read_picture(tmp_path / "gone.png", size=0)


def test_cifar10_in_class_folders_is_read_by_class(tmp_path, paint):
    for i, name in enumerate(CIFAR10_CLASSES):
        paint(tmp_path / "test" / name / "0002.png", 32, 32, seed=i)
        paint(tmp_path / "test" / name / "0001.PNG", 32, 32, seed=10 + i)
        for stranger in (".DS_Store", "._0001.png", "Thumbs.db"):
            (tmp_path / "test" / name / stranger).write_bytes(b"no picture")
    pictures, labels = cifar10("test", tmp_path)
    assert pictures.shape == (20, 3, 32, 32)
    assert labels.tolist() == [label for label in range(10) for _ in range(2)]
    assert torch.equal(pictures[1], read_picture(tmp_path / "test/airplane/0002.png"))
    (tmp_path / "test/truck/0001.PNG").unlink()
    (tmp_path / "test/truck/0002.png").unlink()
    with pytest.raises(DataError, match="nor pictures in test/truck: remove the folder"):
        cifar10("test", tmp_path)
    with pytest.raises(ValueError, match="no split is called 'dev'; there are train, test"):
        cifar10("dev", tmp_path)


def write_official(folder, monkeypatch):
    """Write two pictures in the format of the official archive, and let torchvision expect them."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3 * 32 * 32), dtype=np.uint8)
    batches = folder / "cifar-10-batches-py"
    batches.mkdir()
    contents = {
        "test_batch": {"data": pixels, "labels": [3, 9]},
        "batches.meta": {"label_names": list(CIFAR10_CLASSES)},
    }
    digests = {}
    for name, content in contents.items():
        raw = pickle.dumps(content)
        (batches / name).write_bytes(raw)
        digests[name] = hashlib.md5(raw).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", [])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", digests["test_batch"]]])
    monkeypatch.setitem(CIFAR10.meta, "md5", digests["batches.meta"])
    return pixels


def test_cifar10_in_the_official_layout_is_read_by_torchvision(tmp_path, monkeypatch):
    pixels = write_official(tmp_path, monkeypatch)
    pictures, labels = cifar10("test", tmp_path)
    assert labels.tolist() == [3, 9]
    assert torch.equal(
        (pictures * 255).round().byte(), torch.from_numpy(pixels).unflatten(1, (3, 32, 32))
    )


def test_a_damaged_official_file_is_refused(tmp_path, monkeypatch):
    write_official(tmp_path, monkeypatch)
    (tmp_path / "cifar-10-batches-py/test_batch").write_bytes(b"half")
    with pytest.raises(DataError, match=r"corrupted.* Remove the folder and fetch it again"):
        cifar10("test", tmp_path)


def test_the_real_cifar10_is_read(real_data):
    pictures, labels = cifar10("test", real_data("cifar10"))
    assert len(labels.bincount()) == 10
    assert len(set(labels.bincount().tolist())) == 1
    assert 0.1 < float(pictures.std()) < 0.4
