"""k-means in many small sets of points at once."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 10
SETS_AT_ONCE = 1024


def cluster_centres(points: Tensor, sizes: Tensor, clusters: int) -> Tensor:
    """The k-means centres of each set. Draws nothing: the same points give the same centres.

    It starts from points far from each other, and ends after ``ROUNDS`` rounds. A set of fewer
    points than clusters has some of its points twice; an empty one has zeros.

    Args:
        points: C sets of up to M points, (C, M, D).
        sizes: how many points each set has, its first ones; (C,).
        clusters: K.

    Returns:
        (C, K, D).
    """
    centres = points.new_zeros(len(points), clusters, points.shape[2])
    for start in range(0, len(points), SETS_AT_ONCE):
        part = slice(start, start + SETS_AT_ONCE)
        centres[part] = _centres(points[part], sizes[part], clusters)
    return centres


def _centres(points: Tensor, sizes: Tensor, clusters: int) -> Tensor:
    present = torch.arange(points.shape[1], device=points.device) < sizes[:, None]  # (C, M)
    points = points * present.unsqueeze(2)
    centres = points[:, :1]
    for _ in range(clusters - 1):
        lonely = torch.cdist(points, centres).amin(dim=2).masked_fill(~present, -1)
        farthest = lonely.argmax(dim=1)[:, None, None].expand(-1, 1, points.shape[2])
        centres = torch.cat([centres, points.gather(1, farthest)], dim=1)
    for _ in range(ROUNDS):
        nearest = torch.cdist(points, centres).argmin(dim=2)  # (C, M)
        member = (nearest.unsqueeze(2) == torch.arange(clusters, device=points.device)).to(
            points.dtype
        ) * present.unsqueeze(2)  # (C, M, K)
        sums = member.transpose(1, 2) @ points  # (C, K, D)
        counts = member.sum(dim=1).unsqueeze(2)
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    return centres
