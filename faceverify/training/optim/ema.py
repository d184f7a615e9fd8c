"""Exponential moving average of a backbone's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from faceverify.training.distributed.wrappers import plain_module


class ExponentialMovingAverage:
    """Moving average w' of the weights w, after each step: w' = d w' + (1 - d) w.

    After n steps d is at most (1 + n) / (10 + n): otherwise random initial weights would stay in
    the average for 1 / (1 - d) steps. Running statistics of norms are averaged too, so that they
    fit the weights.

    With ``initial``, the average follows (1 - initial) w + initial w0, an interpolation with the
    pretrained weights w0, which keeps their accuracy on other photos (Wortsman et al. 2022, Robust
    fine-tuning of zero-shot models, equation 1).

    Args:
        backbone: compiled or wrapped, on any device; the average is on the same device.
        decay: d, in [0, 1).
        initial: weight of the present weights w0 in the interpolation, in [0, 1).
    """

    def __init__(self, backbone: nn.Module, *, decay: float, initial: float = 0.0) -> None:
        self.decay, self.initial = decay, initial
        self.updates = torch.zeros((), dtype=torch.int64)
        #: The backbone with the averaged weights, in eval mode: to validate and to export.
        self.module = copy.deepcopy(plain_module(backbone)).eval().requires_grad_(False)
        self._first = [value.clone() for value in tensors_of(self.module)] if initial else []

    @torch.no_grad()
    def update(self, backbone: nn.Module) -> None:
        """Update the average after a step.

        Args:
            backbone: the one that the average was made of, with its new weights.
        """
        count = int(self.updates)
        decay = min(self.decay, (1 + count) / (10 + count))
        self.updates += 1
        averages, values = tensors_of(self.module), tensors_of(plain_module(backbone))
        floats = [index for index, value in enumerate(values) if value.is_floating_point()]
        back = (1 - decay) * self.initial  # d w' + (1 - d) ((1 - i) w + i w0) in two steps
        moved = [averages[index] for index in floats]
        torch._foreach_lerp_(moved, [values[index] for index in floats], 1 - decay / (1 - back))
        if back:
            torch._foreach_lerp_(moved, [self._first[index] for index in floats], back)
        for average, value in zip(averages, values, strict=True):
            if not value.is_floating_point():  # a norm's count of batches
                average.copy_(value)

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors of a checkpoint; they may be filled in place."""
        return {**self.module.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load a :meth:`state_dict`."""
        self.updates.copy_(state["updates"])
        self.module.load_state_dict({k: v for k, v in state.items() if k != "updates"})


def tensors_of(module: nn.Module) -> list[Tensor]:
    """Parameters and persistent buffers, in the order of the state dict."""
    return list(module.state_dict(keep_vars=True).values())
