"""Batch norm of one image: it has no statistics where a map is one pixel, or an embedding."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from faceverify.models.contract import Contract
from faceverify.training.config.fields import config_error
from faceverify.training.config.schema import Config
from faceverify.training.optim.freezing import train_mode


def check_statistics(
    backbone: nn.Module,
    frozen: Sequence[str],
    config: Config,
    contract: Contract,
    *,
    world: int,
    views: int,
) -> None:
    """Check that the backbone's norms can do with the images that it sees at once.

    Args:
        backbone: on any device; it is not changed.
        frozen: its stages that are.
        config: of the run.
        contract: of the backbone.
        world: number of processes.
        views: of each image.

    Raises:
        TrainingError: they cannot.
    """
    fewest = fewest_at_once(config, world)
    if fewest * views > 1:
        return
    trial = copy.deepcopy(backbone)  # whose running statistics nobody sees
    train_mode(trial, frozen)
    device = next(trial.parameters()).device
    try:
        with torch.no_grad():
            trial(torch.zeros(1, 3, contract.height, contract.width, device=device))
    except ValueError as error:
        raise config_error(
            f"some images are embedded one at a time (batches.size {config.batches.size}, over "
            f"{world} processes, in parts), and the norms of this backbone need two",
            "use a larger --batch-size, or compute.accumulate and compute.gradient_cache that "
            "leave no single image",
        ) from error


def fewest_at_once(config: Config, world: int) -> int:
    """Images in the smallest part of a batch that a process embeds at once."""
    own = config.batches.size // world
    chunk = config.compute.gradient_cache
    if chunk and own > chunk:
        return own % chunk or chunk
    return own // config.compute.accumulate
