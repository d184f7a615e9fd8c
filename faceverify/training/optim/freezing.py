"""Stages of a backbone, those whose weights stay as they are, and when it learns."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from faceverify.training.config.fields import config_error

BODY = "body"  # every stage but the last


def stage_names(backbone: nn.Module) -> tuple[str, ...]:
    """Name the stages of a backbone that hold weights, in the order in which a crop passes them.

    They are its top-level parts; a part that is a bare list of blocks (timm's ``blocks``) counts
    block by block.
    """
    names: list[str] = []
    for name, part in backbone.named_children():
        blocks = dict(part.named_children())
        listed = isinstance(part, nn.ModuleList) or name in ("blocks", "stages")
        candidates = {f"{name}.{key}": block for key, block in blocks.items()} if listed else {}
        for key, module in (candidates or {name: part}).items():
            if next(module.parameters(), None) is not None:
                names.append(key)
    return tuple(names)


def stage_of(parameter: str, stages: Sequence[str]) -> int:
    """Find the stage of a parameter, by its name; one of no stage (a class token) enters first."""
    for index, stage in enumerate(stages):
        if parameter.startswith(f"{stage}."):
            return index
    return 0


def freeze(backbone: nn.Module, names: Sequence[str]) -> tuple[str, ...]:
    """Freeze stages: their weights take no gradient, their norms keep their statistics.

    ``Module.train()`` wakes norms up again: call :func:`train_mode` instead of it.

    Args:
        backbone: is changed.
        names: stages, parts of stages by their dotted name, or ``body`` for every stage but the
            last.

    Returns:
        The names of what is frozen, for :func:`train_mode`.

    Raises:
        TrainingError: there is no such stage, or nothing is left that could learn.
    """
    stages = stage_names(backbone)
    parts = dict(backbone.named_modules())
    frozen: list[str] = []
    for name in names:
        if name != BODY and (not name or name not in parts):
            near = difflib.get_close_matches(name, [*stages, BODY], n=1)
            known = f"known: {', '.join((*stages, BODY))}"
            raise config_error(
                f"no stage {name!r} to freeze", f"did you mean {near[0]}?" if near else known
            )
        frozen += stages[:-1] if name == BODY else [name]
    for name in frozen:
        parts[name].requires_grad_(requires_grad=False)
    if not any(parameter.requires_grad for parameter in backbone.parameters()):
        raise config_error(f"freezing {', '.join(names)} leaves nothing that could learn")
    return tuple(dict.fromkeys(frozen))


def train_mode(backbone: nn.Module, frozen: Sequence[str] = ()) -> None:
    """Set a backbone to learning, except for the norms and dropouts of what is frozen.

    Args:
        backbone: is changed; compiled ones too.
        frozen: what :func:`freeze` returned.
    """
    backbone.train()
    for name in frozen:
        part = backbone.get_submodule(name)
        for module in part.modules():
            if isinstance(module, _BatchNorm | nn.Dropout):
                module.eval()


@contextmanager
def not_learning(backbone: nn.Module) -> Iterator[None]:
    """Have a backbone embed as whoever uses it will; each part is then as it was."""
    modes = {module: module.training for module in backbone.modules()}
    backbone.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
