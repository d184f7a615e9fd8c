"""Log-ratio loss, Kim et al. 2019, for labels with a distance: https://arxiv.org/abs/1904.09626.

Eq. 4 over its dense triplets: every anchor a with every two others i, j of the batch.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from faceverify.training.losses.distances import no_loss
from faceverify.training.losses.loss import Head, require

TINY = 1e-6  # of squared distances of embeddings, whose logarithm has no end towards 0


class LogRatio(Head):
    """{ log(D(a, i) / D(a, j)) - log(D(y_a, y_i) / D(y_a, y_j)) }^2, D squared distances.

    With g_i = log D(a, i) - log D(y_a, y_i) that is (g_i - g_j)^2, and its sum over all i, j is
    2 n sum (g_i - mean g)^2: N^2 numbers do for N^3 triplets. Embeddings keep their lengths, as in
    the paper; the loss depends on the scale of neither embeddings nor labels.

    Labels are numbers and not classes: an age, (N,), or angles of a pose, (N, V).

    Options:
        resolution: labels nearer than this count as this far apart (half a year, for ages in
            years); at 0, two images with the same label are not compared.
    """

    batches: ClassVar[str] = "shuffled"

    def __init__(self, *, embedding_size: int, classes: int, resolution: float = 0.0) -> None:
        super().__init__()
        require(resolution >= 0, "head.resolution", resolution, "at least 0")
        self.resolution = resolution

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`; labels are any numbers, (N,) or (N, V)."""
        values = labels.to(embeddings.dtype).reshape(len(labels), -1)
        apart = (values[:, None] - values).square().sum(dim=2).clamp(min=self.resolution**2)
        compared = (apart > 0).fill_diagonal_(False)  # (N, N)
        # one pair at a time: the logarithm of a small distance would show the rounding of products
        distances = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")
        ratios = (distances.square() + TINY).log() - torch.where(compared, apart, 1).log()
        counts = compared.sum(dim=1)
        triplets = (counts * (counts - 1)).sum()
        if not triplets:
            return no_loss(embeddings)
        means = (ratios * compared).sum(dim=1, keepdim=True) / counts.clamp(min=1)[:, None]
        squares = ((ratios - means) * compared).square().sum(dim=1)
        return (2 * counts * squares).sum() / triplets
