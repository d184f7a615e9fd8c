"""Tiles of an image, one at a time and number by number."""

import numpy as np
import torch
from tiny_runs import SIZE

from faceverify.training.backbones import contract_for
from faceverify.training.data.views import Batch

SIDE = 32  # cells of 10 pixels
CONTRACT = contract_for("resnet18", embedding_size=SIZE, size=SIDE)


def pictures(count=4):
    images = torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    keys = np.arange(10, 10 + count, dtype=np.uint64)
    return Batch([images], torch.zeros(count, dtype=torch.int64), np.arange(count), keys)


def slow_tile(image, cell, draws, *, side, cell_side, play):
    """A tile of an image, with the image's mean and spread of each channel."""
    top = cell // 3 * cell_side + (cell_side - side - play) // 2 + int(draws[0] * (play + 1))
    left = cell % 3 * cell_side + (cell_side - side - play) // 2 + int(draws[1] * (play + 1))
    tile = image[:, top : top + side, left : left + side].numpy().astype(np.float64)
    channels = []
    for part, whole in zip(tile, image.numpy(), strict=True):
        channels.append((part - part.mean()) / part.std() * whole.std() + whole.mean())
    return torch.from_numpy(np.stack(channels)).float()
