"""MobileNet as SFace has it, with norms folded: https://arxiv.org/abs/1704.04861, table 1.

Made to go on from SFace's weights, or to begin as SFace with fewer channels (``narrowing.py``).
Without norms it learns slowly from scratch: ``mobilefacenet`` is for that.
"""

from __future__ import annotations

from torch import Tensor, nn

from faceverify.training.backbones.mobilefacenet import check_width, narrowed
from faceverify.training.backbones.necks import ToSide, check_dropout
from faceverify.training.backbones.staged import Staged

STEM = 32  # channels; the side stays
STAGES = (  # channels of each block's output; all stages but the first begin with stride 2
    (64,),
    (128, 128),
    (256, 256),
    (512, 512, 512, 512, 512, 512),
    (1024, 1024),
)


class Biased(nn.Conv2d):
    """A convolution that has a bias."""

    bias: Tensor


class Layer(nn.Module):
    """Convolution and PReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__()
        pad = kernel // 2
        self.convolution = Biased(inputs, outputs, kernel, stride, pad, groups=groups)
        self.prelu = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, side, side) to (N, outputs, side / stride, side / stride)."""
        y: Tensor = self.prelu(self.convolution(x))
        return y


class Separable(nn.Module):
    """A layer for each channel, then one over the channels of a position."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = Layer(inputs, inputs, 3, stride, inputs)
        self.pointwise = Layer(inputs, outputs, 1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, side, side) to (N, outputs, side / stride, side / stride)."""
        y: Tensor = self.pointwise(self.depthwise(x))
        return y


class Neck(nn.Module):
    """Scale and summand of each channel, and a dense layer over all positions."""

    def __init__(self, channels: int, side: int, embedding_size: int, dropout: float) -> None:
        super().__init__()
        self.scale = Biased(channels, channels, 1, groups=channels)
        self.side = ToSide(side)
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(channels * side * side, embedding_size)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, channels, side, side) to (N, embedding size)."""
        flat = self.side(self.scale(maps)).flatten(1)
        embeddings: Tensor = self.projection(self.dropout(flat))
        return embeddings


class MobileNet(Staged):
    """Stem, five stages, neck; see :func:`mobilenet`."""

    neck: Neck

    def __init__(self, embedding_size: int, size: int, dropout: float, width: float) -> None:
        super().__init__()
        channels, side = narrowed(STEM, width), size
        self.stem = Layer(3, channels, 3, 1, 1)
        stages = []
        for index, row in enumerate(STAGES):
            blocks = []
            for number, wide in enumerate(row):
                outputs = narrowed(wide, width)
                blocks.append(Separable(channels, outputs, 2 if index and not number else 1))
                channels = outputs
            side = -(-side // 2) if index else side
            stages.append(nn.Sequential(*blocks))
        self.stage1, self.stage2, self.stage3, self.stage4, self.stage5 = stages
        self.neck = Neck(channels, side, embedding_size, dropout)

    @property
    def blocks(self) -> list[Separable]:
        """The blocks of all stages, from input to output."""
        stages = (self.stage1, self.stage2, self.stage3, self.stage4, self.stage5)
        return [block for stage in stages for block in stage if isinstance(block, Separable)]


def mobilenet(
    *, embedding_size: int, size: int = 112, dropout: float = 0.0, width: float = 1.0
) -> MobileNet:
    """Build a MobileNet.

    Args:
        embedding_size: numbers in an embedding; 128 in SFace.
        size: side of a crop, in pixels.
        dropout: probability before the last layer, in [0, 1).
        width: channels of all layers over SFace's, in multiples of 16.

    Raises:
        TrainingError: dropout or width out of range.
    """
    check_dropout(dropout)
    check_width(width)
    net = MobileNet(embedding_size, size, dropout, width)
    for module in net.modules():
        if isinstance(module, Biased):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias)
    nn.init.ones_(net.neck.scale.weight)
    return net


def sface_names() -> dict[str, str]:
    """Names of SFace's tensors, with its norms folded, and of the same ones in a ``mobilenet``."""
    blocks = [
        f"stage{stage}.{index}" for stage, row in enumerate(STAGES, 1) for index in range(len(row))
    ]
    layers = {"conv_1": "stem"}
    for number, block in enumerate(blocks, 2):
        layers[f"conv_{number}_dw"] = f"{block}.depthwise"
        layers[f"conv_{number}"] = f"{block}.pointwise"
    names = {"bn1.factor": "neck.scale.weight", "bn1.summand": "neck.scale.bias"}
    for kind in ("weight", "bias"):
        names |= {
            f"{one}_conv2d.folded_{kind}": f"{ours}.convolution.{kind}"
            for one, ours in layers.items()
        }
        names[f"pre_fc1.folded_{kind}"] = f"neck.projection.{kind}"
    return names | {f"{one}_relu_gamma": f"{ours}.prelu.weight" for one, ours in layers.items()}
