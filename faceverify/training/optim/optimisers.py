"""From a gradient to a step: which parameters decay, how fast each learns, by what rule."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from faceverify.training.config.fields import config_error
from faceverify.training.distributed.wrappers import plain_module
from faceverify.training.optim.freezing import stage_names, stage_of

OPTIMISERS = ("sgd", "adamw")
FUSED_ON = ("cpu", "cuda")


def parameter_groups(
    backbone: nn.Module,
    head: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    head_factor: float = 1.0,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """Sort what learns into groups of one learning rate and one weight decay.

    Norms, biases and slopes, all the vectors, do not decay: decay would only pull a norm's gain
    towards silence. Neither does what a network of timm names as such. The stages of a backbone
    before the last learn slower by a factor each, the further from the end the slower:
    https://arxiv.org/abs/1801.06146, section 3.2.

    Args:
        backbone: its frozen parameters are left out.
        head: its parameters are the last groups.
        learning_rate: of the last stage.
        weight_decay: of matrices and convolutions.
        head_factor: the head's learning rate over that of the backbone.
        layer_decay: learning rate of a stage over that of the next, in (0, 1].

    Returns:
        Groups for an optimiser, each with ``name``, ``params``, ``lr`` and ``weight_decay``; always
        in the same order.
    """
    net = plain_module(backbone)
    stages = stage_names(net)
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
            },
        )
        group["params"].append(parameter)

    for name, parameter in net.named_parameters():
        stage = stage_of(name, stages)
        part = "backbone" if layer_decay == 1 else f"backbone.{stages[stage]}"
        add(part, name, parameter, learning_rate * layer_decay ** (len(stages) - 1 - stage))
    for name, parameter in head.named_parameters():
        add("head", name, parameter, learning_rate * head_factor)
    return list(groups.values())


def make_optimiser(
    name: str, groups: list[dict[str, Any]], *, momentum: float = 0.9
) -> torch.optim.Optimizer:
    """Make an optimiser; where the device has it, one kernel does all of a step.

    Args:
        name: one of ``OPTIMISERS``.
        groups: as :func:`parameter_groups` makes them.
        momentum: of SGD; the first beta of AdamW.

    Raises:
        TrainingError: no such optimiser, or nothing to optimise.
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
    raise config_error(f"optimiser.name is {name!r}, not one of {', '.join(OPTIMISERS)}")
