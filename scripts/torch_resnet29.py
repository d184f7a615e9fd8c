"""The bundled ResNet as a torch module, weights read from its ONNX file: the benchmark's peer."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from build_weights import BLOCKS
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut; a shrinking block pads the smaller of the two sums."""

    def __init__(self, inputs: int, outputs: int, *, shrinks: bool) -> None:
        super().__init__()
        self.shrinks = shrinks
        stride, pad = (2, 0) if shrinks else (1, 1)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, pad)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(functional.relu(self.conv1(x)))
        if self.shrinks:
            x = functional.avg_pool2d(x, 2)
            side = max(x.shape[-1], y.shape[-1])
            x = functional.pad(
                x, (0, side - x.shape[-1], 0, side - x.shape[-2], 0, y.shape[1] - x.shape[1])
            )
            y = functional.pad(y, (0, side - y.shape[-1], 0, side - y.shape[-2]))
        return functional.relu(x + y)


class ResNet29(nn.Module):
    """dlib's face recognition ResNet, affine layers folded into the convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, 2)
        channels = [32] + [outputs for outputs, _ in BLOCKS]
        self.blocks = nn.Sequential(
            *(
                Block(inputs, outputs, shrinks=shrinks)
                for inputs, (outputs, shrinks) in zip(channels, BLOCKS, strict=False)
            )
        )
        self.fc = nn.Linear(256, 128, bias=False)

    def forward(self, crops: Tensor) -> Tensor:
        """(N, 3, 150, 150) to (N, 128), not normalised."""
        x = functional.max_pool2d(functional.relu(self.stem(crops)), 3, 2)
        return self.fc(self.blocks(x).mean((2, 3)))


def resnet29_from_onnx(path: Path) -> ResNet29:
    """The net with the weights of the bundled file."""
    stored = {
        item.name: torch.tensor(numpy_helper.to_array(item))
        for item in onnx.load(path).graph.initializer
    }
    state = {"fc.weight": stored["fc.weight"].T}
    for kind in ("weight", "bias"):
        state[f"stem.{kind}"] = stored[f"stem.conv.{kind}"]
        for index in range(len(BLOCKS)):
            for conv in ("conv1", "conv2"):
                state[f"blocks.{index}.{conv}.{kind}"] = stored[f"block{index:02d}.{conv}.{kind}"]
    net = ResNet29()
    net.load_state_dict(state)
    return net
