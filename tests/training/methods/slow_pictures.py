"""Pictures to paint, of the size of a tiny run's."""

import numpy as np
import torch
from tiny_runs import SIDE, SIZE

from faceverify.training.backbones import contract_for
from faceverify.training.data.views import Batch

CONTRACT = contract_for("resnet18", embedding_size=SIZE, size=SIDE)


def pictures(count=4):
    """A batch of random pictures, with keys."""
    images = torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    keys = np.arange(count, dtype=np.uint64)
    return Batch([images], torch.zeros(count, dtype=torch.int64), np.arange(count), keys)
