"""Muon, momentum made orthogonal: https://kellerjordan.github.io/posts/muon/.

Jordan et al. 2024; at scale: Liu et al. 2025, https://arxiv.org/abs/2502.16982, section 2.1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

ITERATIONS = 5
# of the quintic, chosen by its author to rise steeply at 0
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.AdamW):
    """AdamW, but matrices of the backbone move by their orthogonalised momentum.

    For a matrix W of a rows and b columns, gradient G, rate r, momentum m and weight decay d::

        V = m V + G
        W = W - r d W - r sqrt(max(1, a / b)) orthogonal(G + m V)

    The kernels of a convolution are one matrix, a row for each output. Vectors, depthwise kernels
    and the parameters of the method (class weights, prototypes, projectors) move as by AdamW, at
    the same rate. torch's own Muon takes no convolutions and computes in bfloat16: on a processor
    without it slowly, and not the same.

    Args:
        groups: as :func:`~.optimisers.parameter_groups` makes them; those with ``orthogonal`` True
            have the matrices.
        momentum: m, and the first beta of AdamW.
        fused: whether AdamW moves all of a group at once.
    """

    def __init__(
        self, groups: list[dict[str, Any]], *, momentum: float = 0.95, fused: bool = False
    ) -> None:
        super().__init__(groups, lr=0.0, betas=(momentum, 0.999), fused=fused)
        # a fused one skips a step with infinite gradients by itself, but not that of matrices
        self._step_supports_amp_scaling = False

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move each weight that has a gradient."""
        assert closure is None, "a closure is of optimisers that evaluate the loss again"
        gradients: dict[nn.Parameter, Tensor] = {}
        for group in self.param_groups:
            if not group["orthogonal"]:
                continue
            own = {
                weight: weight.grad
                for weight in group["params"]
                if weight.grad is not None and is_matrix(weight)
            }
            self._move(own, group)
            gradients |= own
        for weight in gradients:
            weight.grad = None  # AdamW leaves it
        super().step()
        for weight, gradient in gradients.items():
            weight.grad = gradient

    def _move(self, gradients: dict[nn.Parameter, Tensor], group: dict[str, Any]) -> None:
        rate, momentum = group["lr"], group["betas"][0]
        alike: dict[tuple[int, int], list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
        for weight, gradient in gradients.items():
            state = self.state[weight]
            if "velocity" not in state:
                state["velocity"] = torch.zeros_like(weight)
            velocity = state["velocity"]
            velocity.mul_(momentum).add_(gradient)
            wanted = gradient.add(velocity, alpha=momentum).flatten(1)
            alike[wanted.shape[0], wanted.shape[1]].append((weight, wanted))
        for (rows, columns), pairs in alike.items():  # those of one shape at once
            changes = orthogonal(torch.stack([wanted for _, wanted in pairs]))
            length = rate * max(1.0, rows / columns) ** 0.5
            for (weight, _), change in zip(pairs, changes, strict=True):
                weight.mul_(1 - rate * group["weight_decay"])
                weight.sub_(change.view_as(weight), alpha=length)


def is_matrix(weight: Tensor) -> bool:
    """Whether each output of a layer is of several inputs: no vector, no depthwise kernels."""
    return weight.ndim > 1 and weight.shape[0] > 1 and weight.shape[1] > 1


def orthogonal(matrices: Tensor) -> Tensor:
    """Nearly the orthogonal factor of each matrix: singular values become 0.7 to 1.2.

    By five steps of a Newton-Schulz iteration, X = a X + (b A + c A A) X with A = X X', whose
    quintic brings singular values from 0.01 on near 1; much smaller ones stay small.

    Args:
        matrices: (M, rows, columns).

    Returns:
        As many of that shape; zeros stay zeros.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    found = matrices.mT if tall else matrices
    found = found / found.norm(dim=(1, 2), keepdim=True).clamp(min=1e-12)
    first, third, fifth = COEFFICIENTS
    for _ in range(ITERATIONS):
        squared = found @ found.mT
        found = first * found + (third * squared + fifth * squared @ squared) @ found
    return found.mT if tall else found
