"""Center loss: a softmax that also draws each image to the centre of its class.

https://ydwen.github.io/papers/WenECCV16.pdf, eq. 2 to 5.
"""

from __future__ import annotations

import torch
from torch import Tensor

from faceverify.training.distributed.collectives import sum_over_processes
from faceverify.training.losses.engine.class_scores import add_rows, softmax_loss
from faceverify.training.losses.engine.softmax_engine import SoftmaxEngine
from faceverify.training.losses.loss import Head, require


class Center(Head):
    """Softmax, plus weight / 2 times the mean of ||x - c_y||^2.

    The centres have no gradient. After each step c_j moves by ``alpha`` times
    sum_i [y_i = j] (x_i - c_j) / (1 + sum_i [y_i = j]), over the images of that step.

    Args:
        weight: lambda of the paper.
        alpha: share of the way that a centre moves.
    """

    centres: Tensor

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        weight: float = 0.003,
        alpha: float = 0.5,
        engine: str = "chunked",
        sample: float = 1.0,
    ) -> None:
        super().__init__()
        require(weight >= 0, "head.weight", weight, "at least 0")
        require(0 <= alpha <= 1, "head.alpha", alpha, "in [0, 1]")
        self.weight, self.alpha = weight, alpha
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size,
            classes=classes,
            engine=engine,
            sample=sample,
            unit=False,
            bias=True,
        )
        shard = self.softmax.shard
        self.sharded = {"centres": shard}
        self.register_buffer("centres", torch.zeros(shard.stop - shard.start, embedding_size))
        self._seen: list[tuple[Tensor, Tensor]] = []

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        scores = self.softmax(embeddings, labels)
        local = self.softmax.local(labels)
        here = (local >= 0).unsqueeze(1)
        target_centres = sum_over_processes(self.centres[local.clamp(min=0)] * here)  # (N, D)
        distance = (embeddings - target_centres).square().sum(dim=1).mean()
        if self.training:
            self._seen.append((embeddings.detach(), local))
        return softmax_loss(scores.target_logit, scores.log_sum_exp) + self.weight / 2 * distance

    def finish_step(self) -> None:
        """Move the centres towards the images of the step."""
        if not self._seen:
            return
        rows, local = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        self._seen.clear()
        here, index = local >= 0, local.clamp(min=0)
        images = ((local.unsqueeze(1) == local) & here).sum(dim=1)  # of the same class
        shares = here / (1 + images) * self.alpha
        add_rows(self.centres, index, shares.unsqueeze(1) * (rows - self.centres[index]))
