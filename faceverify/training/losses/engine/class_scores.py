"""Target logits and log-sum-exps of a softmax over class centres; the dense engine.

The cross-entropy of a softmax whose target logit t was changed by a margin needs two things of an
embedding: its product with its own class's centre, which becomes t, and the log-sum-exp of all
other classes' logits, o. Then -log p = -log(e^t / (e^t + e^o)) = -log sigmoid(t - o). So a margin
works on N numbers, however many classes there are, and an engine need know no margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from faceverify.training.losses.l2_normalize import l2_normalize


@dataclass(frozen=True)
class HardNegatives:
    """What CurricularFace makes of other classes' logits: https://arxiv.org/abs/2004.00288, eq. 4.

    Args:
        threshold: logits above it are hard, (N,): scale times cos(target's angle + margin).
        weight: t of the paper, ().
        scale: of the logits.
    """

    threshold: Tensor
    weight: Tensor
    scale: float

    def changed(self, logits: Tensor) -> Tensor:
        """Make cos into cos (t + cos) where it is hard; scaled logits in and out, (N, C)."""
        harder = logits * (self.weight + logits / self.scale)
        return torch.where(logits > self.threshold.unsqueeze(1), harder, logits)

    def slope(self, logits: Tensor) -> Tensor:
        """Derivative of :meth:`changed`."""
        steeper = self.weight + logits * (2 / self.scale)
        return torch.where(logits > self.threshold.unsqueeze(1), steeper, 1.0)


@dataclass(frozen=True)
class Scoring:
    """How embeddings are scored against centres.

    Args:
        unit: centres count by their direction alone.
        hard: what becomes of other classes' logits.
    """

    unit: bool
    hard: HardNegatives | None = None


def softmax_loss(target_logit: Tensor, log_sum_exp: Tensor) -> Tensor:
    """Mean cross-entropy of the targets' logits, (N,), and the other classes' log-sum-exp, (N,)."""
    return -F.logsigmoid(target_logit - log_sum_exp).mean()


def dense_scores(
    rows: Tensor, centres: Tensor, bias: Tensor | None, target: Tensor, scoring: Scoring
) -> tuple[Tensor, Tensor, Tensor]:
    """The scores of a batch in plain torch, with all its logits and their gradients in memory.

    Args:
        rows: embeddings, scaled as the logits are to be, (N, D).
        centres: (C, K, D), K sub-centres a class.
        bias: added to each class's logits, (C,).
        target: index of each embedding's class, (N,); -1 where it is not among these.
        scoring: how the products become logits.

    Returns:
        log-sum-exp over all classes but the target, (N,); the target's centres as they are,
        (N, K, D), and its bias, (N,), zeros where it is not among these.
    """
    directions = l2_normalize(centres) if scoring.unit else centres
    logits = rows @ directions.flatten(0, 1).T  # (N, C * K)
    if centres.shape[1] > 1:
        logits = logits.view(len(rows), *centres.shape[:2]).max(dim=2).values  # (N, C)
    if bias is not None:
        logits = logits + bias
    if scoring.hard is not None:
        logits = scoring.hard.changed(logits)
    classes = torch.arange(len(centres), device=target.device)
    log_sum_exp = logits.masked_fill(classes == target.unsqueeze(1), -math.inf).logsumexp(dim=1)
    here, index = target >= 0, target.clamp(min=0)
    target_centres = centres[index] * here[:, None, None]
    target_bias = torch.zeros_like(log_sum_exp) if bias is None else bias[index] * here
    return log_sum_exp, target_centres, target_bias


def add_rows(matrix: Tensor, index: Tensor, rows: Tensor) -> None:
    """Add each row to that row of the matrix which its index names, in place.

    Rows of equal index are summed by a matrix product first; torch's own ways to accumulate add
    them in whatever order threads come, and a run could not be repeated bit for bit.

    Args:
        matrix: (C, ...).
        index: rows of the matrix, repeated at will, (N,).
        rows: (N, ...).
    """
    same = (index.unsqueeze(1) == index).to(rows.dtype)  # (N, N)
    matrix[index] += (same @ rows.flatten(1) if rows.dim() > 1 else same @ rows).view_as(rows)
