"""Softmax over class centres as target logit and log-sum-exp; the dense engine.

The cross-entropy of an embedding needs two numbers: its target logit t, changed by a margin, and
the log-sum-exp o of the logits of the other classes: -log(e^t / (e^t + e^o)) = -log sigmoid(t - o).
So a margin is a function of N numbers, however many classes there are, and an engine has no margin.
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
    """CurricularFace's modulation of the negative logits: https://arxiv.org/abs/2004.00288, eq. 4.

    Args:
        threshold: logits above it are hard, (N,): s cos(t_y + m).
        weight: t of the paper, ().
        scale: s of the logits.
    """

    threshold: Tensor
    weight: Tensor
    scale: float

    def changed(self, logits: Tensor) -> Tensor:
        """Replace s cos by s cos (t + cos) where it is hard, (N, C) to (N, C)."""
        harder = logits * (self.weight + logits / self.scale)
        return torch.where(logits > self.threshold.unsqueeze(1), harder, logits)

    def slope(self, logits: Tensor) -> Tensor:
        """Derivative of :meth:`changed`."""
        steeper = self.weight + logits * (2 / self.scale)
        return torch.where(logits > self.threshold.unsqueeze(1), steeper, 1.0)


@dataclass(frozen=True)
class Scoring:
    """How products of embeddings and centres become logits.

    Args:
        unit: whether centres are normalised.
        hard: modulation of the negative logits.
    """

    unit: bool
    hard: HardNegatives | None = None


def softmax_loss(target_logit: Tensor, log_sum_exp: Tensor) -> Tensor:
    """Mean cross-entropy, (), from target logits, (N,), and log-sum-exps of the others, (N,)."""
    return -F.logsigmoid(target_logit - log_sum_exp).mean()


def dense_scores(
    rows: Tensor, centres: Tensor, bias: Tensor | None, target: Tensor, scoring: Scoring
) -> tuple[Tensor, Tensor, Tensor]:
    """Dense engine: plain torch, with all N x C logits in memory.

    Args:
        rows: embeddings, multiplied by the scale of the logits, (N, D).
        centres: (C, K, D), K sub-centres a class.
        bias: of the logits, (C,).
        target: class indices, (N,); -1 for a class of another process.
        scoring: normalisation and modulation.

    Returns:
        log-sum-exp over all classes but the target, (N,); the centres of the target class, not
        normalised, (N, K, D), and its bias, (N,); zeros where target is -1.
    """
    logits = class_logits(rows, centres, bias, unit=scoring.unit)
    if scoring.hard is not None:
        logits = scoring.hard.changed(logits)
    classes = torch.arange(len(centres), device=target.device)
    log_sum_exp = logits.masked_fill(classes == target.unsqueeze(1), -math.inf).logsumexp(dim=1)
    here, index = target >= 0, target.clamp(min=0)
    target_centres = centres[index] * here[:, None, None]
    target_bias = torch.zeros_like(log_sum_exp) if bias is None else bias[index] * here
    return log_sum_exp, target_centres, target_bias


def class_logits(rows: Tensor, centres: Tensor, bias: Tensor | None, *, unit: bool) -> Tensor:
    """Product with the nearest centre of each class, plus its bias, (N, C).

    Args:
        rows, centres, bias: as of :func:`dense_scores`.
        unit: whether centres are normalised.
    """
    directions = l2_normalize(centres) if unit else centres
    logits = rows @ directions.flatten(0, 1).T  # (N, C * K)
    if centres.shape[1] > 1:
        logits = logits.view(len(rows), *centres.shape[:2]).max(dim=2).values  # (N, C)
    return logits if bias is None else logits + bias


def add_rows(matrix: Tensor, index: Tensor, rows: Tensor) -> None:
    """Deterministic ``matrix.index_add_(0, index, rows)``.

    Rows of equal index are summed by a matrix product: torch's accumulating writes add in the order
    in which threads arrive, so that a run would not be reproducible bit for bit.

    Args:
        matrix: (C, ...), changed in place.
        index: row numbers, with repetitions, (N,).
        rows: (N, ...).
    """
    same = (index.unsqueeze(1) == index).to(rows.dtype)  # (N, N)
    matrix[index] += (same @ rows.flatten(1) if rows.dim() > 1 else same @ rows).view_as(rows)
