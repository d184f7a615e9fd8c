"""IResNet-18 to 200, the residual networks of ArcFace.

The unit is the "improved residual unit" of https://arxiv.org/abs/1801.07698, section 3.1
(norm, convolution, norm, PReLU, convolution, norm), the output its option E. No activation follows
the sum, so that the identity path is unobstructed.
"""

from __future__ import annotations

from torch import Tensor, nn

from faceverify.training.backbones.necks import make_neck
from faceverify.training.backbones.staged import Staged

# depth: units of each stage
DEPTHS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    200: (6, 26, 60, 6),
}
CHANNELS = (64, 128, 256, 512)


class Unit(nn.Module):
    """Improved residual unit: two 3 x 3 convolutions, the second strided, and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, side, side) to (N, outputs, side / stride, side / stride)."""
        total: Tensor = self.branch(x) + self.shortcut(x)
        return total


class IResNet(Staged):
    """Stem, four stages, neck; see :func:`iresnet`."""

    def __init__(self, counts: tuple[int, ...], neck: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)
        )
        self.stage1, self.stage2, self.stage3, self.stage4 = (
            nn.Sequential(
                Unit(inputs, outputs, 2), *(Unit(outputs, outputs, 1) for _ in range(count - 1))
            )
            for inputs, outputs, count in zip((64, *CHANNELS), CHANNELS, counts, strict=False)
        )
        self.neck = neck


def iresnet(
    depth: int, *, embedding_size: int, size: int = 112, neck: str = "fc", dropout: float = 0.0
) -> IResNet:
    """Build an IResNet.

    Args:
        depth: 18, 34, 50, 100 or 200.
        embedding_size: numbers in an embedding.
        size: side of a crop, in pixels; each stage halves it.
        neck, dropout: see :func:`~faceverify.training.backbones.necks.make_neck`.

    Raises:
        TrainingError: no such neck.
    """
    last = make_neck(
        neck,
        channels=CHANNELS[-1],
        side=-(-size // 16),
        embedding_size=embedding_size,
        dropout=dropout,
    )
    net = IResNet(DEPTHS[depth], last)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.1)  # as published: learning rates depend on it
    return net
