"""Embed crops with a backbone that is learning, as the using half will with its model file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from faceverify.errors import TrainingError
from faceverify.models.contract import Contract
from faceverify.training.export.export import torch_embeddings

BATCH = 128


def embed_crops(
    backbone: nn.Module, crops: NDArray[np.uint8], contract: Contract
) -> NDArray[np.float32]:
    """Embed crops, in float32 unless inside autocast; the backbone's mode comes back as it was.

    Args:
        backbone: from normalised crops to raw embeddings.
        crops: RGB, in the contract's frame, (P, height, width, 3).
        contract: how crops are shown to it.

    Returns:
        Unit rows, (P, D).

    Raises:
        TrainingError: the backbone returned NaN, infinity or zero.
    """
    rows = np.concatenate(
        [
            torch_embeddings(backbone, contract, crops[start : start + BATCH])
            for start in range(0, len(crops), BATCH)
        ]
    )
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise TrainingError(
            "the backbone returns NaN, infinity or zero for a face",
            cure="go on from the last checkpoint with a lower --learning-rate",
            code="training-diverged",
        )
    unit: NDArray[np.float32] = rows / lengths
    return unit
