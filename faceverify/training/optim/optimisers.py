"""Optimisers and parameter groups: learning rate and weight decay of each parameter."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import nn

from faceverify.training.config.fields import config_error
from faceverify.training.distributed.wrappers import plain_module
from faceverify.training.optim.freezing import sides_of, stage_names, stage_of
from faceverify.training.optim.lars import LARS
from faceverify.training.optim.muon import Muon

OPTIMISERS = ("sgd", "adamw", "lars", "muon")
FUSED_ON = ("cpu", "cuda")
LOSS = "loss"  # the groups of the loss's own parameters


def parameter_groups(
    backbone: nn.Module,
    loss: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    loss_factor: float = 1.0,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """Group trainable parameters by learning rate and weight decay.

    Vectors (norms, biases, PReLU slopes) have no weight decay, as it would only shrink a norm's
    gain; nor have the parameters that a timm network names in ``no_weight_decay``. With layer decay
    the learning rate of each stage is a factor lower than that of the next
    (https://arxiv.org/abs/1801.06146, section 3.2).

    Args:
        backbone: its frozen parameters are left out.
        loss: its parameters are the last groups.
        learning_rate: of the last stage.
        weight_decay: of matrices and convolutions.
        loss_factor: the loss's learning rate over that of the backbone.
        layer_decay: learning rate of a stage over that of the next, in (0, 1].

    Returns:
        Groups for an optimiser, each with ``name``, ``params``, ``lr``, ``weight_decay`` and, for
        LARS, ``adapts``, for Muon ``orthogonal``; always in the same order.
    """
    net = plain_module(backbone)
    stages, sides = stage_names(net), sides_of(net)
    spared = frozenset(getattr(net, "no_weight_decay", frozenset)())
    groups: dict[tuple[str, bool], dict[str, Any]] = {}

    def add(part: str, name: str, parameter: nn.Parameter, rate: float) -> None:
        if not parameter.requires_grad:
            return
        decays = parameter.ndim > 1 and name not in spared
        group = groups.setdefault(
            (part, decays),
            {
                "name": f"{part}{'' if decays else ', no decay'}",
                "params": [],
                "lr": rate,
                "weight_decay": weight_decay if decays else 0.0,
                "adapts": decays,
                "orthogonal": decays and part != LOSS,
            },
        )
        group["params"].append(parameter)

    for name, parameter in net.named_parameters():
        stage = stage_of(name, stages, sides)
        part = "backbone" if layer_decay == 1 else f"backbone.{stages[stage]}"
        add(part, name, parameter, learning_rate * layer_decay ** (len(stages) - 1 - stage))
    for name, parameter in loss.named_parameters():
        add(LOSS, name, parameter, learning_rate * loss_factor)
    return list(groups.values())


def make_optimiser(
    name: str,
    groups: list[dict[str, Any]],
    *,
    momentum: float = 0.9,
    sharded: Collection[nn.Parameter] = (),
) -> torch.optim.Optimizer:
    """Make an optimiser; a fused one where the device has it.

    Args:
        name: one of ``OPTIMISERS``.
        groups: as :func:`parameter_groups` makes them.
        momentum: of SGD, LARS and Muon; the first beta of AdamW.
        sharded: parameters of which each process has some rows.

    Raises:
        TrainingError: no such optimiser, or no trainable parameter.
    """
    parameters = [parameter for group in groups for parameter in group["params"]]
    if not parameters:
        raise config_error("every parameter is frozen", "freeze fewer stages")
    fused = all(
        parameter.device.type in FUSED_ON and parameter.is_floating_point()
        for parameter in parameters
    )
    if name == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=momentum, fused=fused)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, betas=(momentum, 0.999), fused=fused)
    if name == "lars":
        return LARS(groups, momentum=momentum, sharded=sharded)
    if name == "muon":
        return Muon(groups, momentum=momentum, fused=fused)
    raise config_error(f"optimiser.name is {name!r}, not one of {', '.join(OPTIMISERS)}")
