"""MoCo v2: a view among a queue of earlier photos: https://arxiv.org/abs/2003.04297.

Contrast with a queue and a momentum encoder: He et al. 2020, https://arxiv.org/abs/1911.05722.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceverify.training.data.views import Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.methods.parts.heads import mlp
from faceverify.training.methods.parts.queue import Queue, check_queue
from faceverify.training.methods.parts.teacher import Teacher
from faceverify.training.optim.view_encoder import Embed


class MoCo(Method):
    """Cross-entropy of finding the teacher's key of the other view among those of a queue (eq. 1).

    Args:
        temperature: tau, divides the cosines.
        queue: keys of earlier batches, K.
        momentum: of the teacher.
        projection: numbers in a projected embedding.
        hidden: width of the projector; 0 for that of the embedding.
    """

    views: ClassVar[Views] = Views(2)
    embeds_one_view: ClassVar[bool] = True
    collapse: ClassVar[str] = (
        "usual causes: too high a learning rate, a teacher that follows too fast, a queue that is "
        "too short; try a lower --learning-rate, --set method.momentum=0.999"
    )

    def __init__(
        self,
        *,
        embedding_size: int,
        backbone: nn.Module,
        images: int,
        temperature: float = 0.2,
        queue: int = 4096,
        momentum: float = 0.99,
        projection: int = 128,
        hidden: int = 0,
    ) -> None:
        super().__init__()
        require(temperature > 0, "method.temperature", temperature, "above 0")
        check_queue(queue, images)
        require(0 <= momentum <= 1, "method.momentum", momentum, "in 0 to 1")
        require(projection > 0, "method.projection", projection, "at least 1")
        require(hidden >= 0, "method.hidden", hidden, "at least 0")
        self.temperature, self.momentum = temperature, momentum
        self.projector = mlp((embedding_size, hidden or embedding_size, projection), norm=False)
        self.teacher = Teacher(backbone, self.projector)
        self.queue = Queue(queue, projection)
        self._step, self._keys = 0, torch.zeros(0, projection)

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        (seen,) = self.teacher.embed_shuffled(batch.views[1], seed=self._step)  # (N, D)
        (rows,) = gathered(embed(batch.views[:1]))  # (N, D)
        with exact(rows):
            queries = F.normalize(self.projector(rows), dim=1)
            self._keys = F.normalize(self.teacher.heads(seen), dim=1).detach()
            return among_queue(queries, self._keys, self.queue.rows.clone(), self.temperature)

    def begin_step(self, step: int, total: int) -> None:
        """See :meth:`Method.begin_step`."""
        self._step = step

    def finish_step(self, backbone: nn.Module) -> None:
        """See :meth:`Method.finish_step`."""
        self.teacher.follow(backbone, self.projector, self.momentum)
        self.queue.push(self._keys)


def among_queue(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """InfoNCE: cross-entropy of each query's own key among it and all of the queue, ().

    Args:
        queries, keys: unit rows of two views of N images, (N, P).
        queue: unit rows of other images, (K, P).
        temperature: tau.
    """
    own = (queries * keys).sum(dim=1, keepdim=True)  # (N, 1)
    logits = torch.cat([own, queries @ queue.T], dim=1) / temperature  # (N, 1 + K)
    return F.cross_entropy(logits, torch.zeros(len(queries), dtype=torch.int64, device=own.device))
