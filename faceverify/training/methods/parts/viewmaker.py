"""Viewmaker: a small net that learns what to add to a view, against the method, within a budget.

Tamkin et al. 2021, Viewmaker networks, https://arxiv.org/abs/2010.07432, section 3: a perturbation
on an L1 sphere, learned by the gradient of the method's loss with its sign turned
(https://arxiv.org/abs/1505.07818, section 3).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceverify.training.data.loading.counter_rng import draws_of
from faceverify.training.data.views import Batch
from faceverify.training.losses.loss import require

NOISE, CELLS = 2, 8  # planes of noise beside the image, and their side in numbers
WIDTH, DEPTH = 16, 2  # channels and residual blocks
OF_VIEWS = np.uint64(0x5EED)  # the draws of a method from the same keys are others


class Viewmaker(nn.Module):
    """Adds a perturbation to each view, whose mean magnitude is the budget.

    Half the views' resolution is enough for what it adds, and a fourth of the work. Its norms are
    of each image, so that several processes compute what one does.

    Args:
        budget: mean of the absolute perturbation, share of the range of a pixel.
        mean, scale: a pixel p of 0 to 255 is (p - mean) / scale in a view, by channel.
    """

    low: Tensor
    high: Tensor
    pixel: Tensor

    def __init__(self, *, budget: float, mean: tuple[float, ...], scale: tuple[float, ...]) -> None:
        super().__init__()
        require(0 < budget <= 0.5, "views.budget", budget, "above 0 and at most 0.5")
        self.budget = budget
        self.enter = nn.Conv2d(3 + NOISE, WIDTH, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(1, WIDTH + NOISE),
                nn.Conv2d(WIDTH + NOISE, WIDTH, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            )
            for _ in range(DEPTH)
        )
        self.leave = nn.Conv2d(WIDTH, 3, 3, padding=1)
        means, scales = (torch.tensor(one)[:, None, None] for one in (mean, scale))
        for name, value in (
            ("low", -means / scales),
            ("high", (255 - means) / scales),
            ("pixel", 255 / scales),
        ):
            self.register_buffer(name, value, persistent=False)

    def forward(self, batch: Batch) -> Batch:
        """The batch with other views; the gradient that reaches this net has its sign turned."""
        draws = noise_of(batch, len(batch.views))
        views = [
            self.perturbed(view, noise.to(view))
            for view, noise in zip(batch.views, draws, strict=True)
        ]
        return replace(batch, views=views)

    def perturbed(self, view: Tensor, noise: Tensor) -> Tensor:
        """A view plus what is added to it, with colours in their range, (N, 3, H, W).

        Args:
            view: normalised images, (N, 3, H, W).
            noise: (N, NOISE, CELLS, CELLS).
        """
        added = TurnedGradient.apply(self.added(view, noise))
        perturbed: Tensor = torch.maximum(torch.minimum(view + added, self.high), self.low)
        return perturbed.contiguous(memory_format=torch.channels_last)

    def added(self, view: Tensor, noise: Tensor) -> Tensor:
        """Perturbation on the L1 sphere of the budget, (N, 3, H, W); arguments as above."""
        half = tuple(max(1, -(-side // 2)) for side in view.shape[2:])
        small = F.interpolate(view, half, mode="bilinear", antialias=True)
        noise = F.interpolate(noise, half, mode="bilinear")
        hidden: Tensor = self.enter(torch.cat([small, noise], dim=1))
        for block in self.blocks:
            hidden = hidden + block(torch.cat([hidden, noise], dim=1))
        raw = F.interpolate(self.leave(hidden), view.shape[2:], mode="bilinear")
        size = raw.abs().mean(dim=(1, 2, 3), keepdim=True)
        return self.budget * self.pixel * raw / size.clamp(min=1e-6)


class TurnedGradient(torch.autograd.Function):
    """The values unchanged; backward turns the sign of the gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """Return the values."""
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        """Return the gradient with its sign turned."""
        return -gradient


def noise_of(batch: Batch, views: int) -> list[Tensor]:
    """Noise in [-1, 1) of each view of each image, by its key alone, (N, NOISE, CELLS, CELLS)."""
    each = NOISE * CELLS**2
    draws = torch.from_numpy(2 * draws_of(batch.keys ^ OF_VIEWS, views * each) - 1)
    parts = torch.split(draws.float(), each, dim=1)
    return [part.reshape(len(batch), NOISE, CELLS, CELLS) for part in parts]
