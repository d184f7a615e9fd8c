"""Scores against any number of classes in flat memory: blocks of classes, one after the other.

Forward keeps a running log-sum-exp over blocks; backward computes each block's products again, but
for those of the first blocks, which are kept while they fit into a budget: a few thousand classes
are done in three matrix products, as with all logits held, millions in four. Blocks are as small as
lets them stay in the cache between one operation and the next.

Normalised centres are never written out. With r_j = 1 / ||W_j||, p_ij = r_j x_i . W_j, and G_ij
the gradient of p_ij, the gradient of W_j is r_j sum_i G_ij x_i - r_j^2 W_j sum_i G_ij p_ij.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from faceverify.training.losses.engine.class_scores import Scoring, add_rows
from faceverify.training.losses.l2_normalize import inverse_norms

NARROWEST = 128  # classes in a block
AWAY, FLOOR = -1e30, -5e29  # a product out of the way, and what lies between it and any other


class Room(NamedTuple):
    """How many products are in memory.

    Attributes:
        block: in a block.
        kept: at most, from forward to backward.
    """

    block: int
    kept: int


ON_CPU, ON_GPU = Room(2**19, 2**24), Room(2**25, 2**28)


def chunked_scores(
    rows: Tensor, centres: Tensor, bias: Tensor | None, target: Tensor, scoring: Scoring
) -> tuple[Tensor, Tensor, Tensor]:
    """As ``dense_scores`` of ``class_scores.py``, equal to rounding."""
    scores: tuple[Tensor, Tensor, Tensor] = _ChunkedScores.apply(
        rows, centres, bias, target, scoring
    )
    return scores


class _ChunkedScores(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        centres: Tensor,
        bias: Tensor | None,
        target: Tensor,
        scoring: Scoring,
    ) -> tuple[Tensor, Tensor, Tensor]:
        lengths = rows.new_empty(centres.shape[:2]) if scoring.unit else None
        top, total = rows.new_full((len(rows),), FLOOR), rows.new_zeros(len(rows))
        room, kept = _room(rows).kept, dict[int, Tensor]()
        for start, stop in _blocks(len(rows), centres):
            if lengths is not None:
                lengths[start:stop] = inverse_norms(centres[start:stop])
            products = _products(rows, centres, lengths, bias, target, start, stop)  # (N, B, K)
            room -= products.numel()
            if room >= 0:
                kept[start] = products
            logits = _nearest(products)[0]  # (N, B)
            if scoring.hard is not None:
                logits = scoring.hard.changed(logits)
            higher = torch.maximum(top, logits.amax(dim=1))
            exponentials = (logits - higher.unsqueeze(1)).exp_()
            total.mul_((top - higher).exp_()).add_(exponentials.sum(dim=1))
            top = higher
        log_sum_exp = top + total.log()
        ctx.save_for_backward(rows, centres, bias, target, lengths, log_sum_exp)
        ctx.kept, ctx.scoring = kept, scoring
        here, index = target >= 0, target.clamp(min=0)
        target_bias = torch.zeros_like(log_sum_exp) if bias is None else bias[index] * here
        return log_sum_exp, centres[index] * here[:, None, None], target_bias

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, log_sum_exp_slope: Tensor, target_centres_slope: Tensor, target_bias_slope: Tensor
    ) -> tuple[Tensor | None, ...]:
        rows, centres, bias, target, lengths, log_sum_exp = ctx.saved_tensors
        log_sum_exp = log_sum_exp.clamp(min=FLOOR).unsqueeze(1)
        rows_slope, centres_slope = torch.zeros_like(rows), torch.empty_like(centres)
        bias_slope = None if bias is None else torch.empty_like(bias)
        for start, stop in _blocks(len(rows), centres):
            products = ctx.kept.pop(start, None)  # changed below, so taken for good
            if products is None:
                products = _products(rows, centres, lengths, bias, target, start, stop)
            slope = _slope(
                products, log_sum_exp, log_sum_exp_slope.unsqueeze(1), ctx.scoring
            )  # (N, B, K)
            if bias_slope is not None:
                bias_slope[start:stop] = slope.sum(dim=(0, 2))
            block = centres[start:stop].flatten(0, 1)
            block_slope = centres_slope[start:stop].view_as(block)
            if lengths is not None:
                length = lengths[start:stop].flatten()
                along = (products.mul_(slope).sum(dim=0).flatten() * length.square()).neg_()
                torch.mul(block, along.unsqueeze(1), out=block_slope)
                slope *= lengths[start:stop]
                block_slope.addmm_(slope.flatten(1).T, rows)
            else:
                torch.mm(slope.flatten(1).T, rows, out=block_slope)
            rows_slope.addmm_(slope.flatten(1), block)
        here, index = target >= 0, target.clamp(min=0)
        add_rows(centres_slope, index, target_centres_slope * here[:, None, None])
        if bias_slope is not None:
            add_rows(bias_slope, index, target_bias_slope * here)
        return rows_slope, centres_slope, bias_slope, None, None


def _room(tensor: Tensor) -> Room:
    return ON_CPU if tensor.device.type == "cpu" else ON_GPU


def _blocks(batch: int, centres: Tensor) -> Iterator[tuple[int, int]]:
    """First and last class of each block."""
    classes, sub_centres, _ = centres.shape
    width = max(_room(centres).block // (batch * sub_centres), NARROWEST)
    for start in range(0, classes, width):
        yield start, min(start + width, classes)


def _products(
    rows: Tensor,
    centres: Tensor,
    lengths: Tensor | None,
    bias: Tensor | None,
    target: Tensor,
    start: int,
    stop: int,
) -> Tensor:
    """Products with a block's centres, (N, B, K); those with the target's out of the way."""
    block = centres[start:stop]
    products = (rows @ block.flatten(0, 1).T).view(len(rows), *block.shape[:2])
    if lengths is not None:
        products *= lengths[start:stop]
    if bias is not None:
        products += bias[start:stop].unsqueeze(1)
    column = target - start
    inside = (column >= 0) & (column < len(block))
    column = column.clamp(0, len(block) - 1)
    sample = torch.arange(len(target), device=target.device)
    products[sample, column] = products[sample, column].masked_fill(inside.unsqueeze(1), AWAY)
    return products


def _nearest(products: Tensor) -> tuple[Tensor, Tensor | None]:
    """The product with each class's nearest centre, (N, B), and which one it is; None where one."""
    if products.shape[2] == 1:
        return products.squeeze(2), None
    logits, nearest = products.max(dim=2)
    return logits, nearest


def _slope(
    products: Tensor, log_sum_exp: Tensor, log_sum_exp_slope: Tensor, scoring: Scoring
) -> Tensor:
    """The gradient of a block's products, (N, B, K): of each class the nearest sub-centre's."""
    logits, nearest = _nearest(products)
    changed = logits if scoring.hard is None else scoring.hard.changed(logits)
    slope: Tensor = (changed - log_sum_exp).exp_().mul_(log_sum_exp_slope)
    if scoring.hard is not None:
        slope *= scoring.hard.slope(logits)
    if nearest is None:
        return slope.unsqueeze(2)
    nothing = torch.zeros_like(products)
    return nothing.scatter_(2, nearest.unsqueeze(2), slope.unsqueeze(2))
