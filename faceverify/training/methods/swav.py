"""SwAV: a view predicts the cluster of another: https://arxiv.org/abs/2006.09882, eq. 1 to 3."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceverify.training.data.views import Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.dino import cross_entropy
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.methods.parts.heads import mlp
from faceverify.training.methods.parts.prototypes import Prototypes
from faceverify.training.methods.parts.queue import Queue
from faceverify.training.optim.view_encoder import Embed


class SwAV(Method):
    """Cross-entropy of the code of a large view and the prediction from any other one.

    Codes share the images of the batch evenly among the prototypes (Sinkhorn and Knopp), together
    with those of a queue where the batch is small.

    Args:
        prototypes: clusters, K.
        temperature: tau, divides the cosines.
        epsilon: softness of the codes.
        iterations: of Sinkhorn and Knopp.
        queue: projected embeddings of earlier batches; 0 for none.
        queue_from: share of the run after which they count (appendix A.3: epoch 15 of 200).
        fixed: share of the run at whose beginning the prototypes stay as they are.
        projection: numbers in a projected embedding.
        hidden: width of the projector.
    """

    views: ClassVar[Views] = Views(2, local=4)
    embeds_whole_views: ClassVar[bool] = False
    collapse: ClassVar[str] = (
        "usual causes: codes that are too soft, more prototypes than the batch can fill, too high "
        "a learning rate; try --set method.epsilon=0.03, fewer --set method.prototypes, a lower "
        "--learning-rate"
    )

    def __init__(
        self,
        *,
        embedding_size: int,
        images: int,
        prototypes: int = 300,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        iterations: int = 3,
        queue: int = 0,
        queue_from: float = 0.1,
        fixed: float = 0.02,
        projection: int = 128,
        hidden: int = 512,
    ) -> None:
        super().__init__()
        require(
            prototypes <= images,
            "method.prototypes",
            prototypes,
            f"at most the number of photos, {images}",
        )
        require(temperature > 0, "method.temperature", temperature, "above 0")
        require(epsilon > 0, "method.epsilon", epsilon, "above 0")
        require(iterations > 0, "method.iterations", iterations, "at least 1")
        require(
            0 <= queue <= images, "method.queue", queue, f"in 0 to the number of photos, {images}"
        )
        require(0 <= queue_from <= 1, "method.queue_from", queue_from, "in 0 to 1")
        require(projection > 0, "method.projection", projection, "at least 1")
        require(hidden > 0, "method.hidden", hidden, "at least 1")
        self.temperature, self.epsilon, self.iterations = temperature, epsilon, iterations
        self.queue_from, self._queued = queue_from, False
        self.projector = mlp((embedding_size, hidden, projection))
        self.prototypes = Prototypes(prototypes, projection, fixed=fixed)
        count = self.views.number if queue else 0
        self.queues = nn.ModuleList(Queue(queue, projection) for _ in range(count))
        self._projected: list[Tensor] = []

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        rows = gathered(embed(batch.views))  # of each view (N, D)
        with exact(rows[0]):
            projected = [F.normalize(self.projector(view), dim=1) for view in rows]  # (N, P) each
            scores = [self.prototypes(view) for view in projected]  # (N, K) each
            self._projected = [one.detach() for one in projected[: self.views.number]]
            with torch.no_grad():
                codes = [self.codes(view) for view in range(self.views.number)]
            return cross_entropy(codes, [one / self.temperature for one in scores])

    @torch.no_grad()
    def codes(self, view: int) -> Tensor:
        """Codes of a view of the batch, (N, K)."""
        rows = self._projected[view]
        everyone = [rows]
        if self._queued:
            queue = self.queues[view]
            assert isinstance(queue, Queue)
            everyone.append(queue.filled)
        shares = sinkhorn(self.prototypes(torch.cat(everyone)), self.epsilon, self.iterations)
        return shares[: len(rows)]

    def begin_step(self, step: int, total: int) -> None:
        """See :meth:`Method.begin_step`."""
        self.prototypes.begin_step(step, total)
        self._queued = len(self.queues) > 0 and step >= round(self.queue_from * total)

    def finish_step(self, backbone: nn.Module) -> None:
        """See :meth:`Method.finish_step`."""
        for queue, rows in zip(self.queues, self._projected, strict=False):
            queue.push(rows)  # type: ignore[operator]


def sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Codes that share the images evenly among the prototypes; each row sums to 1, (N, K).

    Args:
        scores: cosines of images and prototypes, (N, K).
        epsilon: softness; the smaller, the nearer to one prototype an image.
        iterations: rounds of making columns, then rows, even.
    """
    images, prototypes = scores.shape
    least = torch.finfo(scores.dtype).tiny  # of a sum that nothing is left of
    shares = ((scores - scores.max()) / epsilon).exp()
    for _ in range(iterations):
        shares = shares / shares.sum(dim=0, keepdim=True).clamp(min=least) / prototypes
        shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=least) / images
    return shares * images
