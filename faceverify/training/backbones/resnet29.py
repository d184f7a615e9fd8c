"""ResNet-29 of dlib (CC0), the bundled model, to be fine-tuned from its weights.

Its parameters have the names and shapes of ``weights/dlib-resnet29.onnx``. Affine layers are folded
into the convolutions there, so there is no norm: use small learning rates.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from faceverify.errors import TrainingError
from faceverify.faces.alignment import REFERENCE_POINTS, FivePoints
from faceverify.models.contract import Contract

# blocks from input to output: output channels, whether the block downsamples
BLOCKS = (
    *[(32, False)] * 3,
    (64, True),
    *[(64, False)] * 3,
    (128, True),
    *[(128, False)] * 2,
    (256, True),
    *[(256, False)] * 2,
    (256, True),
)
EMBEDDING_SIZE = 128
CHIP, ZOOM = REFERENCE_POINTS["dlib-150"], 1.04  # ADR 4

# As in the bundled file, so that inputs are as in its training.
CONTRACT = Contract(
    width=150,
    height=150,
    colour_order="RGB",
    mean=(122.782, 117.001, 104.298),
    scale=(256.0, 256.0, 256.0),
    alignment=FivePoints(CHIP.points).moved(ZOOM, (0.0, 0.0), (CHIP.side, CHIP.side)),
    embedding_size=EMBEDDING_SIZE,
    flip_average=True,
)


class Stem(nn.Module):
    """7 x 7 convolution with stride 2, ReLU, max-pool."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 32, 7, 2)

    def forward(self, crops: Tensor) -> Tensor:
        """(N, 3, 150, 150) to (N, 32, 35, 35)."""
        return functional.max_pool2d(functional.relu(self.conv(crops)), 3, 2)


class Block(nn.Module):
    """Residual block of two 3 x 3 convolutions.

    The shortcut of a downsampling block is a 2 x 2 mean with zeros for the new channels; the
    branch, whose convolution has no padding, is padded with zeros at the end to the same size.

    Args:
        inputs, outputs: channels.
        side: of the input map.
        shrinks: whether it halves the map.
    """

    def __init__(self, inputs: int, outputs: int, *, side: int, shrinks: bool) -> None:
        super().__init__()
        self.shrinks = shrinks
        self.channels = outputs - inputs
        self.pixels = side // 2 - (side - 1) // 2  # 1 where the side is even
        stride, pad = (2, 0) if shrinks else (1, 1)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, pad)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, side, side) to (N, outputs, ...)."""
        y = self.conv2(functional.relu(self.conv1(x)))
        if self.shrinks:
            x = functional.avg_pool2d(x, 2)
            x = functional.pad(x, (0, 0, 0, 0, 0, self.channels))
            y = functional.pad(y, (0, self.pixels, 0, self.pixels))
        return functional.relu(x + y)


class Projection(nn.Module):
    """Dense layer without bias; its weights are (inputs, outputs), as in the bundled file."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) to (N, outputs)."""
        return x @ self.weight


class ResNet29(nn.Module):
    """dlib's face recognition ResNet: stem, 14 blocks, mean, projection."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Stem()
        inputs, side = 32, 35
        for index, (outputs, shrinks) in enumerate(BLOCKS):
            block = Block(inputs, outputs, side=side, shrinks=shrinks)
            self.add_module(f"block{index:02d}", block)
            inputs, side = outputs, side // 2 if shrinks else side
        self.fc = Projection(inputs, EMBEDDING_SIZE)

    def forward(self, crops: Tensor) -> Tensor:
        """(N, 3, 150, 150), normalised, to (N, 128)."""
        return self.from_maps(self.maps(crops))

    def maps(self, crops: Tensor) -> Tensor:
        """Features before the mean, (N, channels, side, side)."""
        x: Tensor = self.stem(crops)
        for index in range(len(BLOCKS)):
            x = self.get_submodule(f"block{index:02d}")(x)
        return x

    def from_maps(self, features: Tensor) -> Tensor:
        """Embeddings of the features, (N, 128)."""
        embeddings: Tensor = self.fc(features.mean((2, 3)))
        return embeddings


def resnet29(*, embedding_size: int = EMBEDDING_SIZE, size: int = 150) -> ResNet29:
    """Build the net.

    Args:
        embedding_size, size: those of the bundled file, 128 and 150.

    Raises:
        TrainingError: other values.
    """
    for name, value, expected in (
        ("embedding_size", embedding_size, EMBEDDING_SIZE),
        ("size", size, CONTRACT.width),
    ):
        if value != expected:
            raise TrainingError(
                f"resnet29 with {name} {value}: its weights are made for {expected}",
                cure=f"set {name} to {expected}, or choose another backbone",
                code="training-config",
            )
    return ResNet29()
