"""ResNet-18, 34 and 50: https://arxiv.org/abs/1512.03385, of torchvision's blocks."""

from __future__ import annotations

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from faceverify.training.backbones.necks import make_neck
from faceverify.training.backbones.staged import Staged
from faceverify.training.config.fields import config_error

# depth: block, blocks of each stage
DEPTHS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
}
STEMS = ("face", "original")


class ResNet(Staged):
    """Stem, four stages, neck; see :func:`resnet`."""

    def __init__(self, stem: nn.Sequential, stages: list[nn.Sequential], neck: nn.Module) -> None:
        super().__init__()
        self.stem = stem
        self.stage1, self.stage2, self.stage3, self.stage4 = stages
        self.neck = neck


def resnet(
    depth: int,
    *,
    embedding_size: int,
    size: int = 112,
    width: int = 64,
    stem: str = "face",
    neck: str = "fc",
    dropout: float = 0.0,
) -> ResNet:
    """Build a ResNet for crops of faces.

    Args:
        depth: 18, 34 or 50.
        embedding_size: numbers in an embedding.
        size: side of a crop, in pixels.
        width: channels of the first stage; each further one has twice as many. Half the width
            takes a fourth of the computation.
        stem: ``face``: a 3 x 3 convolution at full resolution, no pooling, and a first stage that
            halves, which gives a 7 x 7 map at 112 pixels; ``original``: 7 x 7 with stride 2 and a
            max-pool, designed for 224 pixels: a fourth of the computation, a map of 4 x 4.
        neck, dropout: see :func:`~faceverify.training.backbones.necks.make_neck`.

    Raises:
        TrainingError: no such stem, neck or width.
    """
    if width < 1:
        raise config_error(f"backbone.width is {width}, not at least 1")
    if depth == 50 and width != 64:  # torchvision's bottlenecks count from 64
        raise config_error(f"backbone.width {width} is of resnet18 and resnet34, not of resnet50")
    if stem not in STEMS:
        raise config_error(f"backbone.stem is {stem!r}, not one of {', '.join(STEMS)}")
    block, counts = DEPTHS[depth]
    first_stride = 2 if stem == "face" else 1
    stages, inputs = [], width
    for index, count in enumerate(counts):
        stages.append(
            make_stage(block, inputs, width << index, count, 2 if index else first_stride)
        )
        inputs = (width << index) * block.expansion
    net = ResNet(
        make_stem(stem, width),
        stages,
        make_neck(
            neck,
            channels=inputs,
            side=-(-size // (16 if stem == "face" else 32)),
            embedding_size=embedding_size,
            dropout=dropout,
        ),
    )
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


def make_stem(kind: str, width: int) -> nn.Sequential:
    """Make the first layers: 3 to ``width`` channels, with norm and ReLU."""
    if kind == "face":
        convolution, pools = nn.Conv2d(3, width, 3, 1, 1, bias=False), []
    else:
        convolution = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        pools = [nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True), *pools)


def make_stage(
    block: type[BasicBlock] | type[Bottleneck], inputs: int, planes: int, count: int, stride: int
) -> nn.Sequential:
    """Make blocks at one resolution; the first changes channels and resolution."""
    outputs = planes * block.expansion
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )
    rest = (block(outputs, planes) for _ in range(count - 1))
    return nn.Sequential(block(inputs, planes, stride, shortcut), *rest)
