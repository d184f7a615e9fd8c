"""MobileFaceNet, with a million weights: https://arxiv.org/abs/1804.07573, table 1."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from faceverify.training.backbones.necks import ToSide, check_dropout
from faceverify.training.backbones.staged import Staged
from faceverify.training.config.fields import config_error

# rows of the table: expansion, channels, repetitions, stride of the first
STAGE1 = ((2, 64, 5, 2),)
STAGE2 = ((4, 128, 1, 2), (2, 128, 6, 1))
STAGE3 = ((4, 128, 1, 2), (2, 128, 2, 1))
FIRST, LAST = 64, 512  # channels of the stem, and of the global depthwise convolution


class Bottleneck(nn.Module):
    """Inverted residual: expansion, depthwise convolution, linear projection, and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.branch = nn.Sequential(
            convolution(inputs, wide, 1),
            convolution(wide, wide, 3, stride, 1, groups=wide),
            convolution(wide, outputs, 1, activation=False),
        )
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, side, side) to (N, outputs, side / stride, side / stride)."""
        y: Tensor = self.branch(x)
        return x + y if self.has_shortcut else y


class MobileFaceNet(Staged):
    """Stem, three stages, neck; see :func:`mobilefacenet`."""

    def __init__(self, embedding_size: int, size: int, dropout: float, width: float) -> None:
        super().__init__()
        first, side = narrowed(FIRST, width), -(-size // 16)
        stages = []
        channels = first
        for rows in (STAGE1, STAGE2, STAGE3):
            stages.append(bottlenecks(channels, rows, width))
            channels = narrowed(rows[-1][1], width)
        self.stem = nn.Sequential(
            convolution(3, first, 3, 2, 1), convolution(first, first, 3, 1, 1, groups=first)
        )
        self.stage1, self.stage2, self.stage3 = stages
        # A global depthwise convolution instead of a mean: learned weights for each position.
        self.neck = nn.Sequential(
            OrderedDict(
                widen=convolution(channels, LAST, 1),
                side=ToSide(side),
                places=convolution(LAST, LAST, side, groups=LAST, activation=False),
                flatten=nn.Flatten(),
                dropout=nn.Dropout(dropout),
                projection=nn.Linear(LAST, embedding_size, bias=False),
                output_norm=nn.BatchNorm1d(embedding_size),
            )
        )


def mobilefacenet(
    *, embedding_size: int, size: int = 112, dropout: float = 0.0, width: float = 1.0
) -> MobileFaceNet:
    """Build a MobileFaceNet.

    Args:
        embedding_size: numbers in an embedding; 128 in the paper.
        size: side of a crop, in pixels.
        dropout: probability before the last layer, in [0, 1).
        width: channels of all stages over the paper's, in multiples of 16.

    Raises:
        TrainingError: dropout or width out of range.
    """
    check_dropout(dropout)
    check_width(width)
    net = MobileFaceNet(embedding_size, size, dropout, width)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


def convolution(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    pad: int = 0,
    *,
    groups: int = 1,
    activation: bool = True,
) -> nn.Sequential:
    """Convolution, norm, and a PReLU unless linear."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, pad, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([nn.PReLU(outputs)] if activation else []))


def narrowed(channels: int, width: float) -> int:
    """Channels of a net of another width: a multiple of 16, the numbers in the widest register."""
    return max(16, round(channels * width / 16) * 16)


def check_width(width: float) -> None:
    """Check how wide a net is to be.

    Raises:
        TrainingError: it is not in (0, 4].
    """
    if not 0 < width <= 4:
        raise config_error(f"backbone.width is {width:g}, not in 0 to 4")


def bottlenecks(
    inputs: int, rows: tuple[tuple[int, int, int, int], ...], width: float
) -> nn.Sequential:
    """Stage of the bottlenecks of some rows of the table, at a width."""
    blocks = []
    for expansion, channels, count, stride in rows:
        outputs = narrowed(channels, width)
        for index in range(count):
            blocks.append(Bottleneck(inputs, outputs, 1 if index else stride, expansion))
            inputs = outputs
    return nn.Sequential(*blocks)
