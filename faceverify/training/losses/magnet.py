"""Magnet loss, Rippel et al. 2016: https://arxiv.org/abs/1511.05939, eq. 5 and 6.

Each identity is several clusters; only clusters of other identities are repelled. Unlike in the
paper, k-means runs over a memory of the latest embeddings of each identity, and batches hold random
identities instead of neighbouring clusters.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from faceverify.training.losses.clusters import cluster_centres
from faceverify.training.losses.distances import no_loss
from faceverify.training.losses.loss import Loss, require


class Magnet(Loss):
    """[ |r - mu|^2 / 2 s^2 + margin + log sum_c exp(-|r - mu_c|^2 / 2 s^2) ]+, the mean over r.

    The index assigns an image to a cluster of its identity; mu, the means of the clusters, and s^2,
    the mean squared distance to them, are of the batch, as in eq. 6. c runs over the clusters of
    other identities. Embeddings are not normalised; the loss does not depend on their scale.

    Args:
        margin: alpha of the paper.
        clusters: clusters per identity.
        memory: embeddings per identity in the memory, which takes 4 x classes x memory x
            embedding_size bytes, in checkpoints too.
        refresh: steps between two k-means runs.
    """

    batches: ClassVar[str] = "identities"
    memory: Tensor
    remembered: Tensor
    centres: Tensor

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        margin: float = 1.0,
        clusters: int = 2,
        memory: int = 16,
        refresh: int = 100,
    ) -> None:
        super().__init__()
        require(margin >= 0, "loss.margin", margin, "at least 0")
        require(clusters >= 1, "loss.clusters", clusters, "at least 1")
        require(memory >= clusters, "loss.memory", memory, f"at least loss.clusters, {clusters}")
        require(refresh >= 1, "loss.refresh", refresh, "at least 1")
        self.margin, self.clusters, self.refresh = margin, clusters, refresh
        self.register_buffer("memory", torch.zeros(classes, memory, embedding_size))
        self.register_buffer("remembered", torch.zeros(classes, dtype=torch.int64))
        self.register_buffer("centres", torch.zeros(classes, clusters, embedding_size))
        self._step = 0
        self._latest: tuple[Tensor, Tensor] | None = None

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Loss.forward`."""
        if self.training:
            self._latest = embeddings.detach(), labels
        with torch.no_grad():
            own_centres = self.centres[labels].to(embeddings.dtype)  # (N, K, D)
            nearest = (own_centres - embeddings.unsqueeze(1)).square().sum(dim=2).argmin(dim=1)
        keys, member = torch.unique(labels * self.clusters + nearest, return_inverse=True)
        sums = embeddings.new_zeros(len(keys), embeddings.shape[1])
        means = sums.index_add(0, member, embeddings) / member.bincount().unsqueeze(1)  # (G, D)
        squared = (embeddings.unsqueeze(1) - means).square().sum(dim=2)  # (N, G)
        within = squared.gather(1, member.unsqueeze(1))[:, 0]
        other = keys // self.clusters != labels.unsqueeze(1)  # (N, G)
        if not other.any():
            return no_loss(embeddings)
        tiny = torch.finfo(squared.dtype).eps
        width = 2 * (within.sum() / max(len(labels) - 1, 1)).clamp(min=tiny)
        repulsion = (-squared / width).masked_fill(~other, -torch.inf).logsumexp(dim=1)
        loss: Tensor = (within / width + self.margin + repulsion).relu().mean()
        return loss

    def begin_step(self, step: int, total: int) -> None:
        """See :meth:`Loss.begin_step`."""
        self._step = step

    @torch.no_grad()
    def finish_step(self) -> None:
        """Store the embeddings of the step; every ``refresh`` steps run k-means on the memory."""
        if self._latest is None:
            return
        embeddings, labels = self._latest
        self._latest = None
        order = labels.argsort(stable=True)
        ordered = labels[order]
        place = torch.arange(len(labels), device=labels.device)
        place = place - torch.searchsorted(ordered, ordered)  # 0, 1, ... within each identity
        size = self.memory.shape[1]
        kept = place < size
        place, order, ordered = place[kept], order[kept], ordered[kept]
        slots = (self.remembered[ordered] + place) % size
        self.memory[ordered, slots] = embeddings[order].to(self.memory.dtype)
        self.remembered.index_add_(0, ordered, torch.ones_like(ordered))
        if (self._step + 1) % self.refresh == 0:
            sizes = self.remembered.clamp(max=size)
            self.centres.copy_(cluster_centres(self.memory, sizes, self.clusters))
