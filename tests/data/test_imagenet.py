"""The ImageNet encoder is torchvision's network without its end; no weights, one clear error."""

from urllib.error import URLError

import pytest
import torch
from torchvision.models import resnet18
from torchvision.transforms.functional import normalize

from mmlib.data import imagenet
from mmlib.data.download import DataSetError
from mmlib.data.imagenet import ImageNetEncoder, load_imagenet_encoder
from mmlib.runtime import make_generator


@pytest.fixture(scope="module")
def network():
    return resnet18(weights=None).eval()


@torch.no_grad()
def test_its_grid_pooled_and_classified_is_what_torchvision_says(network):
    pictures = torch.rand(2, 3, 96, 64, generator=make_generator(0))
    grid = ImageNetEncoder(network).eval()(pictures)
    assert grid.shape == (2, 512, 3, 2)
    theirs = network(normalize(pictures, imagenet._MEAN, imagenet._SPREAD))
    torch.testing.assert_close(network.fc(grid.mean(dim=(2, 3))), theirs)


def test_what_it_cannot_see_is_refused(network):
    encoder = ImageNetEncoder(network)
    with pytest.raises(ValueError, match="pictures are 31 x 64 pixels, a cell of the grid needs"):
        encoder(torch.rand(1, 3, 31, 64))
    with pytest.raises(ValueError, match="pictures has shape"):
        encoder(torch.rand(1, 1, 64, 64))
    with pytest.raises(TypeError, match="floating-point"):
        encoder(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))


def test_without_a_connection_the_error_says_what_to_do(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise URLError("no route")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(DataSetError, match=r"no route.*: connect and try again, or put https://"):
        load_imagenet_encoder()
    assert list(tmp_path.rglob("*.pth")) == []


def test_the_weights_are_taken_from_torchs_cache(network, monkeypatch):
    # torchvision asks torch.hub for them; here it gets a network that was made a moment ago
    asked = []

    def load(url, **options):
        asked.append(url)
        return network.state_dict()

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", load)
    encoder = load_imagenet_encoder()
    assert asked[0].endswith("/resnet18-f37072fd.pth")
    assert not encoder.training
    for mine, theirs in zip(encoder.parameters(), network.parameters(), strict=False):
        assert torch.equal(mine, theirs)
