"""The backbone that weights were trained in: that of their run, or one as it is by default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from faceverify.errors import TrainingError
from faceverify.training.backbones import BACKBONES, build_backbone
from faceverify.training.backbones.pretrained import Weights, fitted
from faceverify.training.config.files import read_toml
from faceverify.training.config.schema import Backbone

SIZE = 112  # pixels, of weights that do not say for what input they are
NARROWABLE = ("mobilenet",)  # backbones that may begin as a wider one: see narrowing.py
OF_THE_WEIGHTS = tuple(  # what is not said about the architecture: init, imprint, freeze, ...
    one.name for one in fields(Backbone) if one.name not in ("name", "embedding_size", "options")
)


def backbone_of(
    source: str, weights: Weights, *, first: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """Name and options of the backbone of weights; None if they are of none.

    Args:
        source: of the weights, as the user named it.
        weights: that were read from it.
        first: a backbone that is tried before any other.
    """
    for backbone in (*([] if first is None else [first]), *_backbones(source, weights)):
        if _fits(backbone, weights):
            return dict(backbone)
    return None


def _fits(backbone: Mapping[str, Any], weights: Weights) -> bool:
    """Whether weights are of a backbone."""
    try:
        with torch.device("meta"):  # without memory
            net = built(backbone, weights)
    except TrainingError:  # an option of another backbone
        return False
    return not fitted(weights, net)[1]


def built(backbone: Mapping[str, Any], weights: Weights) -> nn.Module:
    """A backbone for the crops of weights, with first weights of its own.

    Raises:
        TrainingError: its options are invalid.
    """
    options = {key: one for key, one in backbone.items() if key not in OF_THE_WEIGHTS}
    name = options.pop("name", Backbone.name)
    options.setdefault("embedding_size", Backbone.embedding_size)
    contract = weights.contract
    return build_backbone(name, size=contract.width if contract else SIZE, **options)


def wider_backbone(backbone: Backbone, weights: Weights) -> dict[str, Any] | None:
    """The wider backbone that one is to begin as; None if it begins with its weights as they are.

    Args:
        backbone: the one to train, and the source of its initial weights.
        weights: that were read from there.
    """
    own = {"name": backbone.name, **backbone.options}
    for theirs in _backbones(backbone.init, weights):
        if has_fewer_channels(own, theirs) and _fits(theirs, weights):
            return theirs
    return None


def has_fewer_channels(own: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether a backbone is another with fewer channels, and may begin as it.

    Args:
        own, theirs: name and options of each.
    """
    same = own.get("name") == theirs.get("name")
    return (
        same and own.get("name") in NARROWABLE and own.get("width", 1.0) < theirs.get("width", 1.0)
    )


def run_configs(source: str) -> list[Path]:
    """Configurations of the run that weights may be of: a folder of it, or of its checkpoint."""
    folders = (Path(source), *Path(source).parents[:2])
    return [path for path in (one / "config.toml" for one in folders) if path.is_file()]


def _backbones(source: str, weights: Weights) -> Iterator[dict[str, Any]]:
    """That of the run of weights, then each as it is by default."""
    for path in run_configs(source):
        section = read_toml(path).get("backbone", {})
        yield {key: one for key, one in section.items() if key not in OF_THE_WEIGHTS}
    contract = weights.contract
    size = Backbone.embedding_size if contract is None else contract.embedding_size
    for name in BACKBONES:
        yield {"name": name, "embedding_size": size}
