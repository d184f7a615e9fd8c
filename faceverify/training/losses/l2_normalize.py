"""L2 normalisation, safe at 0."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def inverse_norms(rows: Tensor) -> Tensor:
    """1 / length of each row, (..., D) -> (...); 0 for a row of zeros, which points nowhere."""
    norms: Tensor = torch.linalg.vector_norm(rows, dim=-1)
    return 1 / norms.masked_fill(norms < torch.finfo(rows.dtype).tiny, math.inf)


def l2_normalize(rows: Tensor) -> Tensor:
    """Each row divided by its length, (..., D); a row of zeros stays, and gets no gradient."""
    return rows * inverse_norms(rows).unsqueeze(-1)
