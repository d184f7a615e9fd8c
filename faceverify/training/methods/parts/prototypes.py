"""Prototypes: learned unit vectors that embeddings are compared with.

Caron et al. 2020 (SwAV), https://arxiv.org/abs/2006.09882, section 3.1; 2021 (DINO),
https://arxiv.org/abs/2104.14294, appendix C: a weight-normalised last layer of gain 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceverify.training.losses.loss import require


class Prototypes(nn.Module):
    """Cosines of embeddings and K learned vectors.

    Args:
        number: K.
        size: numbers in an embedding, P.
        fixed: share of the run at whose beginning they do not turn.
    """

    def __init__(self, number: int, size: int, *, fixed: float) -> None:
        super().__init__()
        require(number > 1, "method.prototypes", number, "at least 2")
        require(0 <= fixed < 1, "method.fixed", fixed, "in 0 to below 1")
        self.weight = nn.Parameter(torch.randn(number, size))
        self._share, self._fixed = fixed, False

    def forward(self, rows: Tensor) -> Tensor:
        """Embeddings, (N, P), to their cosines with the prototypes, (N, K)."""
        weight: Tensor = self.weight
        if self._fixed:  # a gradient of zeros: an optimiser wants one for all weights or for none
            weight = weight.detach() + 0 * weight
        return F.linear(F.normalize(rows, dim=1), F.normalize(weight, dim=1))

    def begin_step(self, step: int, total: int) -> None:
        """Update whether they turn."""
        self._fixed = step < round(self._share * total)
