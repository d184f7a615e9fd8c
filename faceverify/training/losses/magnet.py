"""Magnet loss, Rippel et al. 2016: https://arxiv.org/abs/1511.05939, eq. 5 and 6.

An identity is several clusters, which need not come together; impostor clusters are repelled. The
paper's index, k-means over the embeddings of all images, is made here of the latest embeddings of
each identity, which the head remembers. Its batches are built around clusters that confuse each
other; ours hold identities drawn at random.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from faceverify.training.losses.clusters import cluster_centres
from faceverify.training.losses.distances import no_loss
from faceverify.training.losses.loss import Head, require


class Magnet(Head):
    """[ |r - mu|^2 / 2 s^2 + margin + log sum_c exp(-|r - mu_c|^2 / 2 s^2) ]+, the mean over r.

    The index says which cluster of its identity an image belongs to; mu, the clusters' means, and
    s^2, the mean squared distance from them, are those of the batch, as in eq. 6. c runs over
    clusters of other identities. Embeddings keep their lengths, of which s^2 makes nothing.

    Options:
        margin: alpha of the paper.
        clusters: of each identity.
        memory: how many embeddings of each identity the index is made of; they take
            4 x classes x memory x embedding size bytes, in checkpoints too.
        refresh: steps between two indices.
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
        require(margin >= 0, "head.margin", margin, "at least 0")
        require(clusters >= 1, "head.clusters", clusters, "at least 1")
        require(memory >= clusters, "head.memory", memory, f"at least head.clusters, {clusters}")
        require(refresh >= 1, "head.refresh", refresh, "at least 1")
        self.margin, self.clusters, self.refresh = margin, clusters, refresh
        self.register_buffer("memory", torch.zeros(classes, memory, embedding_size))
        self.register_buffer("remembered", torch.zeros(classes, dtype=torch.int64))
        self.register_buffer("centres", torch.zeros(classes, clusters, embedding_size))
        self._step = 0
        self._latest: tuple[Tensor, Tensor] | None = None

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        if self.training:
            self._latest = embeddings.detach(), labels
        with torch.no_grad():
            own = self.centres[labels].to(embeddings.dtype)  # (N, K, D)
            nearest = (own - embeddings.unsqueeze(1)).square().sum(dim=2).argmin(dim=1)
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
        rivals = (-squared / width).masked_fill(~other, -torch.inf).logsumexp(dim=1)
        loss: Tensor = (within / width + self.margin + rivals).relu().mean()
        return loss

    def begin_step(self, step: int, total: int) -> None:
        """See :meth:`Head.begin_step`."""
        self._step = step

    @torch.no_grad()
    def finish_step(self) -> None:
        """Remember the step's embeddings; every ``refresh`` steps make a new index of them."""
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
