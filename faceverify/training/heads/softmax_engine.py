"""The class centres of a softmax head, and the engine that scores embeddings against them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from faceverify.errors import TrainingError
from faceverify.training.collectives import (
    from_first_process,
    log_sum_exp_over_processes,
    own_shard,
    process_count,
    sum_gradient_over_processes,
    sum_over_processes,
)
from faceverify.training.heads.class_scores import HardNegatives, Scoring, dense_scores
from faceverify.training.heads.head import wanted
from faceverify.training.heads.unit_rows import unit_rows

ENGINES = ("dense",)
SPREAD = 0.01  # standard deviation of the numbers of a new centre
BLOCK = 4096  # centres drawn from one seed


class Scores(NamedTuple):
    """What a margin and the softmax need, (N,) each.

    Attributes:
        own: product with the centre of the own class (with its bias).
        others: log-sum-exp of the logits of all other classes.
        own_norms: length of the centre of the own class.
    """

    own: Tensor
    others: Tensor
    own_norms: Tensor


class SoftmaxEngine(nn.Module):
    """Class centres, and scores against them.

    With several processes each holds an equal share of the classes, whole classes, and works on
    the batch of all; the results are the same in every process.

    Args:
        embedding_size: D.
        classes: C, of all processes together.
        engine: "dense" holds all logits.
        unit: centres count by their direction alone: products are lengths times cosines.
        bias: whether each class has one.
        sub_centres: centres of a class, of which the nearest counts.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        engine: str = "dense",
        unit: bool = True,
        bias: bool = False,
        sub_centres: int = 1,
    ) -> None:
        super().__init__()
        wanted(classes >= 2, "classes", classes, "at least 2")
        wanted(engine in ENGINES, "head.engine", engine, f"one of {', '.join(ENGINES)}")
        wanted(sub_centres >= 1, "head.sub_centres", sub_centres, "at least 1")
        if classes < process_count():
            raise TrainingError(
                f"{classes} identities cannot be shared by {process_count()} processes",
                cure=f"start at most {classes} processes",
                code="training-processes",
            )
        self.unit = unit
        self.shard = own_shard(classes)
        self.sharded = {"centres": self.shard} | ({"bias": self.shard} if bias else {})
        shape = (embedding_size,) if sub_centres == 1 else (sub_centres, embedding_size)
        seed = from_first_process(int(torch.randint(2**62, ()).item()))
        self.centres = nn.Parameter(_new_centres(self.shard.start, self.shard.stop, shape, seed))
        self.bias = nn.Parameter(torch.zeros(len(self.centres))) if bias else None

    def forward(self, rows: Tensor, labels: Tensor, hard: HardNegatives | None = None) -> Scores:
        """Score the batch.

        Args:
            rows: embeddings of all processes, scaled as the logits are to be, (N, D).
            labels: their classes, (N,).
            hard: what becomes of other classes' logits.
        """
        others, own_centres, own_bias = dense_scores(
            sum_gradient_over_processes(rows),
            self.centres.unsqueeze(1) if self.centres.dim() == 2 else self.centres,
            self.bias,
            self._local(labels),
            Scoring(self.unit, hard),
        )
        own_centres = sum_over_processes(own_centres)  # (N, K, D)
        directions = unit_rows(own_centres) if self.unit else own_centres
        own = torch.einsum("nd,nkd->nk", rows, directions).max(dim=1).values
        return Scores(
            own + sum_over_processes(own_bias),
            log_sum_exp_over_processes(others),
            torch.linalg.vector_norm(own_centres, dim=2).max(dim=1).values,
        )

    def _local(self, labels: Tensor) -> Tensor:
        """Labels as indices of this process's centres; -1 for those of other processes."""
        inside = (labels >= self.shard.start) & (labels < self.shard.stop)
        return torch.where(inside, labels - self.shard.start, -1)


def _new_centres(start: int, stop: int, shape: tuple[int, ...], seed: int) -> Tensor:
    """Centres of classes start to stop: the same, however many processes share them."""
    centres = torch.empty(stop - start, *shape)
    for first in range(start - start % BLOCK, stop, BLOCK):
        draws = torch.Generator().manual_seed(seed + first)
        block = torch.randn(BLOCK, *shape, generator=draws).mul_(SPREAD)
        low, high = max(first, start), min(first + BLOCK, stop)
        centres[low - start : high - start] = block[low - first : high - first]
    return centres
