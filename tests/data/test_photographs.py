"""Pictures in, whole or refused; CIFAR-10 in both of its layouts."""

import hashlib
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

from mmlib.data.photographs import (
    CIFAR10_CLASSES,
    PictureError,
    cifar10,
    read_picture,
    read_pictures,
)


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
    assert read_picture(tmp_path / "a.png", size=3).shape == (3, 3, 3)


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
    with pytest.raises(PictureError, match=rf"a.{ending} is damaged or no picture .*: replace it"):
        read_picture(path)


def test_no_file_no_paths_and_no_size_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*gone.png"):
        read_picture(tmp_path / "gone.png")
    with pytest.raises(ValueError, match="there are no paths"):
        read_pictures([], size=8)
    with pytest.raises(ValueError, match="size is 0"):
        read_picture(tmp_path / "gone.png", size=0)


def test_cifar10_in_class_folders_is_read_by_class(tmp_path, paint):
    for i, name in enumerate(CIFAR10_CLASSES):
        paint(tmp_path / "test" / name / "0002.png", 32, 32, seed=i)
        paint(tmp_path / "test" / name / "0001.png", 32, 32, seed=10 + i)
    pictures, labels = cifar10("test", tmp_path)
    assert pictures.shape == (20, 3, 32, 32)
    assert labels.tolist() == [label for label in range(10) for _ in range(2)]
    assert torch.equal(pictures[1], read_picture(tmp_path / "test/airplane/0002.png"))
    (tmp_path / "test/truck/0001.png").unlink()
    (tmp_path / "test/truck/0002.png").unlink()
    with pytest.raises(PictureError, match="nor pictures in test/truck: remove the folder"):
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
    with pytest.raises(PictureError, match=r"corrupted.* Remove the folder and fetch it again"):
        cifar10("test", tmp_path)


def test_the_real_cifar10_is_read(real_data):
    pictures, labels = cifar10("test", real_data("cifar10"))
    assert len(labels.bincount()) == 10
    assert len(set(labels.bincount().tolist())) == 1
    assert 0.1 < float(pictures.std()) < 0.4
