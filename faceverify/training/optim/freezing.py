"""Frozen stages of a backbone, and its train and eval mode."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from faceverify.training.config.fields import config_error

BODY = "body"  # every stage but the last


def stage_names(backbone: nn.Module) -> tuple[str, ...]:
    """Names of the stages of a backbone that have weights, from input to output.

    They are its top-level modules; each block of a list of blocks (timm's ``blocks``) is a
    stage. Encoders side by side have theirs in common: a stage is a part of each.
    """
    names: list[str] = []
    whole = backbone.get_submodule(sides_of(backbone)[0].rstrip("."))
    for name, part in whole.named_children():
        blocks = dict(part.named_children())
        listed = isinstance(part, nn.ModuleList) or name in ("blocks", "stages")
        candidates = {f"{name}.{key}": block for key, block in blocks.items()} if listed else {}
        for key, module in (candidates or {name: part}).items():
            if next(module.parameters(), None) is not None:
                names.append(key)
    return tuple(names)


def sides_of(backbone: nn.Module) -> tuple[str, ...]:
    """Beginnings of the names in each of the encoders that a backbone has side by side.

    They are named in its ``encoders``; of any other backbone it is one empty text.
    """
    return tuple(f"{name}." for name in getattr(backbone, "encoders", ())) or ("",)


def last_stage(backbone: nn.Module) -> tuple[str, ...]:
    """Beginnings of the names in the stage that is no part of the body, one in each encoder."""
    return tuple(f"{side}{stage_names(backbone)[-1]}." for side in sides_of(backbone))


def stage_of(parameter: str, stages: Sequence[str], sides: Sequence[str] = ("",)) -> int:
    """Index of a parameter's stage, by its name; 0 for one outside any stage (a class token)."""
    for index, stage in enumerate(stages):
        if parameter.startswith(tuple(f"{side}{stage}." for side in sides)):
            return index
    return 0


def freeze(backbone: nn.Module, names: Sequence[str]) -> tuple[str, ...]:
    """Freeze stages: their weights get no gradient, their norms keep their statistics.

    ``Module.train()`` would update norms again: call :func:`train_mode` instead.

    Args:
        backbone: changed in place.
        names: stages, modules in them by their dotted name, or ``body`` for every stage but the
            last.

    Returns:
        Names of the frozen modules, for :func:`train_mode`.

    Raises:
        TrainingError: there is no such stage, or no trainable parameter is left.
    """
    stages = stage_names(backbone)
    parts, sides = dict(backbone.named_modules()), sides_of(backbone)
    frozen: list[str] = []
    for name in names:
        own = [name] if name in parts else [f"{side}{name}" for side in sides]
        if name != BODY and (not name or any(one not in parts for one in own)):
            near = difflib.get_close_matches(name, [*stages, BODY], n=1)
            known = f"known: {', '.join((*stages, BODY))}"
            raise config_error(
                f"no stage {name!r} to freeze", f"did you mean {near[0]}?" if near else known
            )
        body = [f"{side}{stage}" for side in sides for stage in stages[:-1]]
        frozen += body if name == BODY else own
    for name in frozen:
        parts[name].requires_grad_(requires_grad=False)
    if not any(parameter.requires_grad for parameter in backbone.parameters()):
        raise config_error(f"freezing {', '.join(names)} leaves nothing that could learn")
    return tuple(dict.fromkeys(frozen))


def train_mode(backbone: nn.Module, frozen: Sequence[str] = ()) -> None:
    """Switch a backbone to train mode, except for norms and dropout of frozen modules.

    Args:
        backbone: changed in place; may be compiled.
        frozen: as returned by :func:`freeze`.
    """
    backbone.train()
    for name in frozen:
        part = backbone.get_submodule(name)
        for module in part.modules():
            if isinstance(module, _BatchNorm | nn.Dropout):
                module.eval()


@contextmanager
def eval_mode(backbone: nn.Module) -> Iterator[None]:
    """Eval mode inside the block; afterwards each module has its former mode."""
    modes = {module: module.training for module in backbone.modules()}
    backbone.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
