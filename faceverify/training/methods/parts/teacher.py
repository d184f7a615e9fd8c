"""Teacher network: the moving average of a student, without gradient.

He et al. 2020 (MoCo), https://arxiv.org/abs/1911.05722, eq. 2; Grill et al. 2020 (BYOL),
https://arxiv.org/abs/2006.07733, eq. 1.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from faceverify.training.distributed.collectives import (
    gather_rows,
    process_count,
    process_index,
)
from faceverify.training.distributed.wrappers import plain_module
from faceverify.training.methods.method import gathered
from faceverify.training.optim.view_encoder import ViewEncoder


class Teacher(nn.Module):
    """Copy of a backbone and its heads that follows them; part of a method's state.

    Its norms use the statistics of the batch, as its student's do, and keep their own. Methods let
    it embed before the student, whose activations stay in memory for the gradient.

    Args:
        backbone: the student's.
        heads: what comes after it, such as the projector.
    """

    def __init__(self, backbone: nn.Module, heads: nn.Module) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(plain_module(backbone)).requires_grad_(False)
        self.heads = copy.deepcopy(heads).requires_grad_(False)

    @torch.no_grad()
    def embed(self, views: Sequence[Tensor]) -> list[Tensor]:
        """Views, (N, 3, H, W) each and of one size, to raw embeddings of each, (N, D)."""
        rows: Tensor = self.backbone(torch.cat(tuple(views)))
        return list(torch.split(rows, [len(view) for view in views]))

    @torch.no_grad()
    def embed_shuffled(self, view: Tensor, *, seed: int, maps: bool = False) -> list[Tensor]:
        """Embeddings of a view of the batch of all processes, (N, D), each made by any of them.

        With ``maps`` their feature maps come after them, (N, C, h, w).

        So the norms of a process do not see the same images in teacher and student, which would
        give away which two belong together (He et al. 2020, section 3.3, shuffling BN).

        Args:
            view: of the images of this process.
            seed: of the order, the same in all processes.
            maps: whether the feature maps are wanted; of a backbone that has them.
        """
        encoder = ViewEncoder(self.backbone)
        if process_count() == 1:
            return gathered(encoder([view], maps=maps))
        everyone = gather_rows(view)
        order = torch.randperm(len(everyone), generator=torch.Generator().manual_seed(seed))
        own = order.tensor_split(process_count())[process_index()]
        back = order.argsort().to(view.device)
        found = gathered(encoder([everyone[own.to(view.device)]], maps=maps))
        return [rows[back] for rows in found]

    @torch.no_grad()
    def follow(self, backbone: nn.Module, heads: nn.Module, momentum: float) -> None:
        """Move each weight t towards the student's s: t = m t + (1 - m) s.

        Args:
            backbone, heads: of the student, after the step.
            momentum: m, in [0, 1].
        """
        for own, student in ((self.backbone, plain_module(backbone)), (self.heads, heads)):
            weights = [one.detach() for one in student.parameters()]
            torch._foreach_lerp_(list(own.parameters()), weights, 1 - momentum)


def rising(first: float, step: int, total: int) -> float:
    """A momentum that rises from ``first`` to 1 along a cosine: BYOL, section 3.2.

    >>> [round(rising(0.9, step, 10), 3) for step in (0, 5, 10)]
    [0.9, 0.95, 1.0]
    """
    return 1 - (1 - first) * (math.cos(math.pi * step / max(total, 1)) + 1) / 2
