"""A moving average of a backbone's weights: steadier than the last step, and often better."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from faceverify.training.distributed.wrappers import plain_module


class WeightAverage:
    """An average that follows a backbone, step by step: w' = d w' + (1 - d) w.

    The first steps count less: d is no more than (1 + n) / (10 + n) after n of them, or the random
    weights of the beginning would stay in the average for 1 / (1 - d) steps. Running statistics of
    norms are averaged too, so that they fit the weights.

    Weights that were trained elsewhere can stay in it for good: it then follows a mean of the
    backbone's weights and of those that it began with, which keeps what they can do on other photos
    (Wortsman et al. 2022, Robust fine-tuning of zero-shot models, equation 1).

    Args:
        backbone: compiled or wrapped, on any device; the average lives there too.
        decay: d, in [0, 1).
        initial: share of the present weights that stays for good, in [0, 1).
    """

    def __init__(self, backbone: nn.Module, *, decay: float, initial: float = 0.0) -> None:
        self.decay, self.initial = decay, initial
        self.updates = torch.zeros((), dtype=torch.int64)
        #: The backbone with the averaged weights, in inference mode: to verify and to export.
        self.module = copy.deepcopy(plain_module(backbone)).eval().requires_grad_(False)
        self._first = [value.clone() for value in tensors_of(self.module)] if initial else []

    @torch.no_grad()
    def update(self, backbone: nn.Module) -> None:
        """Take in the weights after a step.

        Args:
            backbone: the one that the average was made of.
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
        """What a checkpoint must hold: tensors, which may also be filled in place."""
        return {**self.module.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.updates.copy_(state["updates"])
        self.module.load_state_dict({k: v for k, v in state.items() if k != "updates"})


def tensors_of(module: nn.Module) -> list[Tensor]:
    """Parameters and buffers that are part of the state, always in the same order."""
    return list(module.state_dict(keep_vars=True).values())
