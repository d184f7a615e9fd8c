"""Signs of how a representation goes, without names: spread, rank, alignment, uniformity."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SPREAD, RANK = "spread", "effective_rank"


@torch.no_grad()
def spread_and_rank(rows: Tensor) -> dict[str, float]:
    """Spread and effective rank of embeddings; both are of unit rows.

    The spread is the root mean square over the dimensions of their standard deviation, times
    sqrt(D): 1 where they are spread over the sphere, 0 where all are alike (Chen and He 2021,
    https://arxiv.org/abs/2011.10566, section 4.1). The effective rank is the exponential of the
    entropy of the singular values (Roy and Vetterli 2007; RankMe, Garrido et al. 2023,
    https://arxiv.org/abs/2210.02885, eq. 1): from 1, all on one line, to min(N, D).

    Args:
        rows: embeddings, (N, D).
    """
    unit = F.normalize(rows.cpu().double(), dim=1)
    spread = float((unit - unit.mean(dim=0)).square().mean(dim=0).sum().sqrt())
    values = torch.linalg.svdvals(unit)
    shares = values / values.sum().clamp(min=1e-300)
    return {SPREAD: spread, RANK: float(torch.special.entr(shares).sum().exp())}


@torch.no_grad()
def alignment(first: Tensor, second: Tensor) -> float:
    """Mean squared distance of the unit embeddings of two views of an image; 0 where alike.

    Wang and Isola 2020, https://arxiv.org/abs/2005.10242, eq. 2, alpha = 2.

    Args:
        first, second: embeddings of the views, (N, D) each.
    """
    one, other = (F.normalize(view.cpu().double(), dim=1) for view in (first, second))
    apart = one - other
    return float(apart.square().sum(dim=1).mean())


@torch.no_grad()
def uniformity(rows: Tensor) -> float:
    """Logarithm of the mean Gaussian potential of the pairs of images; 0 where all are alike.

    Wang and Isola 2020, https://arxiv.org/abs/2005.10242, eq. 3, t = 2. Of N rows that are spread
    evenly over a sphere of many dimensions it is near -4.

    Args:
        rows: embeddings, (N, D), of at least two images.
    """
    squares = torch.pdist(F.normalize(rows.cpu().double(), dim=1)).square()
    return float((-2 * squares).exp().mean().log())
