"""VICReg: variance, invariance, covariance: https://arxiv.org/abs/2105.04906, eq. 6."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from faceverify.training.data.views import LESS_BLURRED, Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.methods.parts.heads import mlp
from faceverify.training.optim.view_encoder import Embed


class VICReg(Method):
    """Views alike, each projected number spread over the batch, no two of them correlated.

    Args:
        invariance, variance, covariance: weights lambda, mu and nu of the three terms.
        projection: numbers in a projected embedding.
    """

    views: ClassVar[Views] = Views(2, second=LESS_BLURRED)
    least_batch: ClassVar[int] = 4
    collapse: ClassVar[str] = (
        "usual causes: too high a learning rate, too little weight on the variance; try a lower "
        "--learning-rate, --set method.variance=50"
    )

    def __init__(
        self,
        *,
        embedding_size: int,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        projection: int = 512,
    ) -> None:
        super().__init__()
        self.weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
        for name, weight in self.weights.items():
            require(weight >= 0, f"method.{name}", weight, "at least 0")
        require(projection > 1, "method.projection", projection, "at least 2")
        self.projector = mlp((embedding_size, projection, projection, projection))

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        rows = gathered(embed(batch.views))  # of each view (N, D)
        with exact(rows[0]):
            first, second = (self.projector(view) for view in rows)
            terms = {
                "invariance": F.mse_loss(first, second),
                "variance": (slack(first) + slack(second)) / 2,
                "covariance": covariance(first) + covariance(second),
            }
            return torch.stack([self.weights[name] * one for name, one in terms.items()]).sum()


def slack(rows: Tensor) -> Tensor:
    """Mean over the numbers of [1 - standard deviation]+, (): eq. 1.

    Args:
        rows: projected views, (N, P).
    """
    return F.relu(1 - (rows.var(dim=0) + 1e-4).sqrt()).mean()


def covariance(rows: Tensor) -> Tensor:
    """Sum of the squared covariances of two different numbers, over P, (): eq. 3, 4.

    Args:
        rows: projected views, (N, P).
    """
    centred = rows - rows.mean(dim=0)
    matrix = centred.T @ centred / (len(rows) - 1)  # (P, P)
    return (matrix.square().sum() - torch.diagonal(matrix).square().sum()) / rows.shape[1]
