"""An image encoder trained on a million labelled photographs, where its weights can be downloaded.

The weights are those of torchvision's ResNet-18 on ImageNet-1k (about 45 MB, kept in torch's own
cache). K. He, X. Zhang, S. Ren, J. Sun, CVPR 2016. They saw a thousand classes of objects named
by people: what an encoder knows of photographs is that supervision, not the reader's data.
"""

import torch
from torch import Tensor, nn

from mmlib.data.download import DataSetError
from mmlib.shapes import check_floating, check_shape

STRIDE = 32  # pixels of the picture a cell of the grid is wide and high
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels, R G B


class ImageNetEncoder(nn.Module):
    """From pictures to the last grid of features of a ResNet, before it is pooled and classified.

    Args:
        network: a ``torchvision`` ResNet.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.features = network.fc.in_features
        self.layers = nn.Sequential(*list(network.children())[:-2])  # without pooling and classes
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None])
        self.register_buffer("spread", torch.tensor(_SPREAD)[:, None, None])

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (batch, features, height / 32, width / 32), none negative.

        Args:
            pictures: (batch, 3, height, width), in 0 to 1; it learned from 224 by 224 pixels.

        Raises:
            ValueError: the shape is another, or the pictures are smaller than one cell.
        """
        check_shape(pictures, "batch 3 height width", name="pictures")
        check_floating(pictures, name="pictures")
        if min(pictures.shape[2:]) < STRIDE:
            raise ValueError(
                f"pictures are {pictures.shape[2]} x {pictures.shape[3]} pixels, a cell of the "
                f"grid needs {STRIDE}: enlarge them first"
            )
        return self.layers((pictures - self.mean) / self.spread)


def load_imagenet_encoder() -> ImageNetEncoder:
    """Return a ResNet-18 with its ImageNet weights as an image encoder, in evaluation mode.

    Raises:
        DataSetError: torchvision is not installed, or the weights are neither in torch's cache nor
            to be downloaded.
    """
    try:
        from torchvision.models import ResNet18_Weights, resnet18
    except ImportError as error:
        raise DataSetError(
            "the ImageNet encoder is torchvision's: pip install torchvision"
        ) from error
    try:
        network = resnet18(weights=ResNet18_Weights.IMAGENET1K_V1, progress=False)
    except (OSError, RuntimeError) as error:  # no connection; a file with a wrong checksum
        raise DataSetError(
            f"the ImageNet weights are not here and could not be downloaded ({error}): connect "
            f"and try again, or put {ResNet18_Weights.IMAGENET1K_V1.url} into "
            f"{torch.hub.get_dir()}/checkpoints"
        ) from error
    return ImageNetEncoder(network).eval()
