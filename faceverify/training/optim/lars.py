"""LARS, layer-wise adaptive rate scaling: https://arxiv.org/abs/1708.03888, algorithm 1."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn

from faceverify.training.distributed.collectives import sum_over_processes

TRUST = 0.001  # eta; the value of SimCLR, BYOL, SwAV, Barlow Twins and VICReg too


class LARS(torch.optim.Optimizer):
    """SGD with momentum whose rate for each matrix is in proportion to its norm.

    For weights w of a layer, gradient g, rate r, momentum m, weight decay b and trust eta::

        v = m v + r lambda (g + b w),  lambda = eta |w| / (|g| + b |w|)
        w = w - v

    Groups with ``adapts`` False (biases and norms) have lambda 1, as SimCLR has it; so has a matrix
    of zeros, which could not move, or one without a gradient.

    Args:
        groups: as :func:`~.optimisers.parameter_groups` makes them.
        momentum: m.
        trust: eta.
        sharded: parameters of which each process has some rows: their norms are of all rows.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        momentum: float = 0.9,
        trust: float = TRUST,
        sharded: Collection[nn.Parameter] = (),
    ) -> None:
        super().__init__(groups, {"lr": 0.0, "momentum": momentum, "trust": trust})
        self._sharded = {id(parameter) for parameter in sharded}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move each weight that has a gradient."""
        assert closure is None, "a closure is of optimisers that evaluate the loss again"
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        decay: float = group["weight_decay"]
        change = gradient.add(weight, alpha=decay) if decay else gradient.clone()
        if group["adapts"]:
            size, slope = self._norm(weight, weight), self._norm(weight, gradient)
            ratio = group["trust"] * size / (slope + decay * size)
            change *= torch.where((size > 0) & (slope > 0), ratio, 1.0)  # without waiting for a GPU
        state = self.state[weight]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(weight)
        velocity = state["velocity"]
        velocity.mul_(group["momentum"]).add_(change, alpha=group["lr"])
        weight.sub_(velocity)

    def _norm(self, weight: Tensor, values: Tensor) -> Tensor:
        """Norm of values of the shape of a weight, over all processes that hold it, ()."""
        if id(weight) not in self._sharded:
            return torch.linalg.vector_norm(values)
        return sum_over_processes(values.square().sum()).sqrt()
