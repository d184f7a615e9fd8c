"""facenet-pytorch's InceptionResnetV1, to be fine-tuned from its published weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faceverify.errors import TrainingError
from faceverify.training.backbones.necks import check_dropout

if TYPE_CHECKING:
    from torch import nn

WIDTH = 1792  # features before the last layer
SMALLEST = 75  # pixels: smaller crops give an empty feature map


def inception_resnet_v1(
    *, embedding_size: int = 512, size: int = 160, dropout: float = 0.6
) -> nn.Module:
    """Build the net; parameters are named as in facenet-pytorch's files.

    Args:
        embedding_size: numbers in an embedding; 512 in the published weights.
        size: side of a crop, in pixels; 160 in the published weights.
        dropout: probability before the last layer, in [0, 1).

    Raises:
        TrainingError: facenet-pytorch is not installed, or a value is out of range.
    """
    check_dropout(dropout)
    if size < SMALLEST:
        raise TrainingError(
            f"crops of {size} pixels are too small for facenet:inception-resnet-v1",
            cure=f"at least {SMALLEST}",
            code="training-config",
        )
    try:
        from facenet_pytorch import InceptionResnetV1
    except ImportError:
        raise TrainingError(
            "the backbone facenet:inception-resnet-v1 needs facenet-pytorch",
            cure="pip install 'faceverify[train]'",
        ) from None
    from torch import nn

    # With classify=True its output is not normalised; the classifier is removed.
    net: nn.Module = InceptionResnetV1(classify=True, num_classes=2, dropout_prob=dropout)
    net.logits = nn.Identity()
    if embedding_size != 512:
        net.last_linear = nn.Linear(WIDTH, embedding_size, bias=False)
        net.last_bn = nn.BatchNorm1d(embedding_size, eps=0.001, momentum=0.1)
    return net
