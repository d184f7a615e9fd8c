"""L2 normalisation with a defined value and gradient at 0."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def inverse_norms(rows: Tensor) -> Tensor:
    """1 / ||x|| of each row, (..., D) -> (...); 0 for a row of zeros."""
    norms: Tensor = torch.linalg.vector_norm(rows, dim=-1)
    return 1 / norms.masked_fill(norms < torch.finfo(rows.dtype).tiny, math.inf)


def l2_normalize(rows: Tensor) -> Tensor:
    """Rows divided by their norms, (..., D); a row of zeros stays 0, with gradient 0."""
    return rows * inverse_norms(rows).unsqueeze(-1)
