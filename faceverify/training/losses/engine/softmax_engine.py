"""The class centres of a softmax head, and the engine that scores embeddings against them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from faceverify.errors import TrainingError
from faceverify.training.distributed.collectives import (
    from_first_process,
    log_sum_exp_over_processes,
    own_shard,
    process_count,
    sum_gradient_over_processes,
    sum_over_processes,
)
from faceverify.training.losses.engine.chunked_scores import chunked_scores
from faceverify.training.losses.engine.class_scores import HardNegatives, Scoring, dense_scores
from faceverify.training.losses.engine.negative_sampling import (
    pick_rows,
    position_in,
    sample_classes,
)
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.loss import require

ENGINES = {"dense": dense_scores, "chunked": chunked_scores}
SPREAD = 0.01  # standard deviation of the numbers of a new centre
DRAWN = 4096  # centres drawn from one seed


class Scores(NamedTuple):
    """What a margin and the softmax need, (N,) each.

    Attributes:
        target_logit: product with the centre of the target class, its bias added.
        log_sum_exp: of the logits of all other classes.
        target_centre_norm: length of the centre of the target class.
    """

    target_logit: Tensor
    log_sum_exp: Tensor
    target_centre_norm: Tensor


class SoftmaxEngine(nn.Module):
    """Class centres, and scores against them.

    With several processes each holds an equal share of the classes and works on the batch of all;
    the results are the same in every process.

    Args:
        embedding_size: D.
        classes: C, of all processes together.
        engine: "chunked" goes over blocks of classes, "dense" holds all logits.
        sample: share of its classes that each process lets take part in a step of training.
        unit: centres count by their direction alone, so that products are lengths times cosines.
        bias: whether each class has one; not with ``unit``.
        sub_centres: centres of a class, of which the nearest counts.

    Raises:
        TrainingError: an impossible value, or more processes than classes.
    """

    draw: Tensor

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        engine: str = "chunked",
        sample: float = 1.0,
        unit: bool = True,
        bias: bool = False,
        sub_centres: int = 1,
    ) -> None:
        super().__init__()
        assert not (unit and bias)
        require(classes >= 2, "the number of identities", classes, "at least 2")
        require(engine in ENGINES, "head.engine", engine, f"one of {', '.join(ENGINES)}")
        require(0 < sample <= 1, "head.sample", sample, "in (0, 1]")
        require(sub_centres >= 1, "head.sub_centres", sub_centres, "at least 1")
        if classes < process_count():
            raise TrainingError(
                f"{classes} identities cannot be shared by {process_count()} processes",
                cure=f"start at most {classes} processes",
                code="training-processes",
            )
        self.score, self.sample, self.unit = ENGINES[engine], sample, unit
        self.shard = own_shard(classes)
        self.sharded = {"centres": self.shard} | ({"bias": self.shard} if bias else {})
        seed = from_first_process(int(torch.randint(2**62, ()).item()))
        shape = (sub_centres, embedding_size) if sub_centres > 1 else (embedding_size,)
        self.centres = nn.Parameter(new_centres(self.shard.start, self.shard.stop, shape, seed))
        self.bias = nn.Parameter(torch.zeros(len(self.centres))) if bias else None
        self.register_buffer("draw", torch.tensor(seed))

    def forward(self, rows: Tensor, labels: Tensor, hard: HardNegatives | None = None) -> Scores:
        """Score the batch.

        Args:
            rows: embeddings of all processes, scaled as the logits are to be, (N, D).
            labels: their classes, (N,).
            hard: what becomes of other classes' logits.
        """
        target, centres = self.local(labels), self._centres()
        bias: Tensor | None = self.bias
        if self.sample < 1 and self.training:
            self.draw += 1
            drawn = sample_classes(target, len(centres), self.sample, self.draw + self.shard.start)
            target, centres = position_in(drawn, target), pick_rows(centres, drawn)
            bias = None if bias is None else pick_rows(bias, drawn)
        log_sum_exp, target_centres, target_bias = self.score(
            sum_gradient_over_processes(rows), centres, bias, target, Scoring(self.unit, hard)
        )
        target_centres = sum_over_processes(target_centres)
        return Scores(
            target_logit=self._products(rows, target_centres) + sum_over_processes(target_bias),
            log_sum_exp=log_sum_exp_over_processes(log_sum_exp),
            target_centre_norm=torch.linalg.vector_norm(target_centres, dim=2).amax(dim=1),
        )

    def target_products(self, rows: Tensor, labels: Tensor) -> Tensor:
        """Products with the centres of the target classes alone, without bias, (N,)."""
        local = self.local(labels)
        target_centres = self._centres()[local.clamp(min=0)] * (local >= 0)[:, None, None]
        return self._products(rows, sum_over_processes(target_centres))

    def local(self, labels: Tensor) -> Tensor:
        """Labels as indices of this process's classes; -1 for those of other processes."""
        inside = (labels >= self.shard.start) & (labels < self.shard.stop)
        return torch.where(inside, labels - self.shard.start, -1)

    def _centres(self) -> Tensor:
        return self.centres.view(len(self.centres), -1, self.centres.shape[-1])  # (C, K, D)

    def _products(self, rows: Tensor, target_centres: Tensor) -> Tensor:
        """Of each embedding with the nearest of its class's centres, (N, K, D) -> (N,)."""
        directions = l2_normalize(target_centres) if self.unit else target_centres
        return (rows.unsqueeze(1) * directions).sum(dim=2).max(dim=1).values


def new_centres(start: int, stop: int, shape: tuple[int, ...], seed: int) -> Tensor:
    """Centres of classes start to stop: the same, however many processes share them."""
    centres = torch.empty(stop - start, *shape)
    for first in range(start - start % DRAWN, stop, DRAWN):
        draws = torch.Generator().manual_seed(seed + first)
        block = torch.randn(DRAWN, *shape, generator=draws).mul_(SPREAD)
        low, high = max(first, start), min(first + DRAWN, stop)
        centres[low - start : high - start] = block[low - first : high - first]
    return centres
