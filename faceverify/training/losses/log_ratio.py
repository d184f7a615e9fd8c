"""Log-ratio loss for continuous labels, Kim et al. 2019: https://arxiv.org/abs/1904.09626, eq. 4.

Over dense triplets: every anchor a with every two other images i, j of the batch.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from faceverify.training.losses.distances import no_loss
from faceverify.training.losses.loss import Loss, require

TINY = 1e-6  # added to squared distances, whose logarithm would be infinite at 0


class LogRatio(Loss):
    """{ log(D(a, i) / D(a, j)) - log(D(y_a, y_i) / D(y_a, y_j)) }^2, D squared distances.

    With g_i = log D(a, i) - log D(y_a, y_i) that is (g_i - g_j)^2, and its sum over all i, j is
    2 n sum (g_i - mean g)^2: O(N^2) memory for N^3 triplets. Embeddings are not normalised, as in
    the paper; the loss does not depend on the scale of embeddings or labels.

    Labels are continuous: an age, (N,), or the angles of a pose, (N, V).

    Args:
        resolution: least distance between two labels (0.5 for ages in years); at 0, images with
            equal labels are not compared.
    """

    of_values: ClassVar[bool] = True

    def __init__(self, *, embedding_size: int, classes: int, resolution: float = 0.0) -> None:
        super().__init__()
        require(resolution >= 0, "loss.resolution", resolution, "at least 0")
        self.resolution = resolution

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Loss.forward`; labels are real numbers, (N,) or (N, V)."""
        values = labels.to(embeddings.dtype).reshape(len(labels), -1)
        apart = (values[:, None] - values).square().sum(dim=2).clamp(min=self.resolution**2)
        compared = (apart > 0).fill_diagonal_(False)  # (N, N)
        # not from inner products: the logarithm of a small distance would show their rounding
        distances = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")
        ratios = (distances.square() + TINY).log() - torch.where(compared, apart, 1).log()
        counts = compared.sum(dim=1)
        triplets = (counts * (counts - 1)).sum()
        if not triplets:
            return no_loss(embeddings)
        means = (ratios * compared).sum(dim=1, keepdim=True) / counts.clamp(min=1)[:, None]
        squares = ((ratios - means) * compared).square().sum(dim=1)
        return (2 * counts * squares).sum() / triplets
