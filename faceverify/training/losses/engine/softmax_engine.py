"""Class centres of a softmax loss, and their scores with embeddings."""

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
from faceverify.training.losses.engine.class_scores import (
    HardNegatives,
    Scoring,
    class_logits,
    dense_scores,
)
from faceverify.training.losses.engine.negative_sampling import (
    pick_rows,
    position_in,
    sample_classes,
)
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.loss import require

ENGINES = {"dense": dense_scores, "chunked": chunked_scores}
SPREAD = 0.01  # standard deviation of initial centres
DRAWN = 4096  # centres initialised from one seed


class Scores(NamedTuple):
    """Scores of a batch, (N,) each.

    Attributes:
        target_logit: logit of the target class, without margin.
        log_sum_exp: log-sum-exp of the logits of the other classes.
        target_centre_norm: norm of the centre of the target class.
    """

    target_logit: Tensor
    log_sum_exp: Tensor
    target_centre_norm: Tensor


class SoftmaxEngine(nn.Module):
    """Class centres (the last layer's weights) and the logits of embeddings.

    Distributed training: each process holds an equal share of the classes and scores the global
    batch; the results are the same in every process.

    Args:
        embedding_size: D, length of an embedding.
        classes: C, number of classes over all processes.
        engine: "chunked" works on blocks of classes, "dense" holds all N x C logits.
        sample: share of the classes in a training step (Partial FC), in (0, 1].
        unit: normalise the centres, so that logits are ||x|| cos(t).
        bias: add a bias to each logit; not with ``unit``.
        sub_centres: K, centres per class, of which the nearest counts.

    Raises:
        TrainingError: a value out of range, or more processes than classes.
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
        require(engine in ENGINES, "loss.engine", engine, f"one of {', '.join(ENGINES)}")
        require(0 < sample <= 1, "loss.sample", sample, "in (0, 1]")
        require(sub_centres >= 1, "loss.sub_centres", sub_centres, "at least 1")
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
        """Score the global batch.

        Args:
            rows: embeddings, multiplied by the scale of the logits, (N, D).
            labels: class indices, (N,).
            hard: CurricularFace's modulation of the negative logits.
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

    def logits(self, rows: Tensor) -> Tensor:
        """Logits of the global batch for the classes of this process, without margin, (N, C).

        Args:
            rows: as of :meth:`forward`; their gradient is summed over processes.
        """
        rows = sum_gradient_over_processes(rows)
        return class_logits(rows, self._centres(), self.bias, unit=self.unit)

    def target_products(self, rows: Tensor, labels: Tensor) -> Tensor:
        """Products with the centres of the target classes, without bias, (N,)."""
        local = self.local(labels)
        target_centres = self._centres()[local.clamp(min=0)] * (local >= 0)[:, None, None]
        return self._products(rows, sum_over_processes(target_centres))

    def local(self, labels: Tensor) -> Tensor:
        """Labels as indices into the classes of this process, (N,); -1 for classes of others."""
        inside = (labels >= self.shard.start) & (labels < self.shard.stop)
        return torch.where(inside, labels - self.shard.start, -1)

    def _centres(self) -> Tensor:
        return self.centres.view(len(self.centres), -1, self.centres.shape[-1])  # (C, K, D)

    def _products(self, rows: Tensor, target_centres: Tensor) -> Tensor:
        """Products with the nearest centre of the target class, (N, D), (N, K, D) to (N,)."""
        directions = l2_normalize(target_centres) if self.unit else target_centres
        return (rows.unsqueeze(1) * directions).sum(dim=2).max(dim=1).values


def new_centres(start: int, stop: int, shape: tuple[int, ...], seed: int) -> Tensor:
    """Initial centres of classes start to stop, independent of the number of processes."""
    centres = torch.empty(stop - start, *shape)
    for first in range(start - start % DRAWN, stop, DRAWN):
        draws = torch.Generator().manual_seed(seed + first)
        block = torch.randn(DRAWN, *shape, generator=draws).mul_(SPREAD)
        low, high = max(first, start), min(first + DRAWN, stop)
        centres[low - start : high - start] = block[low - first : high - first]
    return centres
