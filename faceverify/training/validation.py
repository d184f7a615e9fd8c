"""Embed crops with a backbone that is learning, as the using half will with its model file."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from faceverify.models.contract import Contract
from faceverify.training.data.transforms import Transform

BATCH = 128


def embed_crops(
    backbone: nn.Module, crops: NDArray[np.uint8], contract: Contract, device: torch.device
) -> NDArray[np.float32]:
    """Embed crops in float32; the backbone's mode comes back as it was.

    Args:
        backbone: from normalised crops to raw embeddings.
        crops: RGB, in the contract's frame, (P, height, width, 3).
        contract: mean, scale, colour order, and whether mirrored crops are averaged in.
        device: of the backbone.

    Returns:
        Unit rows, (P, D); NaN where the backbone returned no direction.
    """
    transform = Transform(
        (contract.height, contract.width), contract.mean, contract.scale, contract.colour_order
    )
    modes = {module: module.training for module in backbone.modules()}
    backbone.eval()
    rows = []
    try:
        with torch.inference_mode():
            for start in range(0, len(crops), BATCH):
                planes = torch.from_numpy(crops[start : start + BATCH]).permute(0, 3, 1, 2)
                images = transform(planes.to(device))
                found = backbone(images).float()
                if contract.flip_average:
                    found = found + backbone(images.flip(-1)).float()
                rows.append(functional.normalize(found, eps=0).cpu())
    finally:
        for module, training in modes.items():
            module.training = training
    result: NDArray[np.float32] = torch.cat(rows).numpy()
    return result
