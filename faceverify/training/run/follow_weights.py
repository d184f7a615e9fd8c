"""The backbone that initial weights were trained in, where no other was named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from faceverify.errors import TrainingError
from faceverify.models.model_file import load_model_file
from faceverify.training.backbones import BACKBONES, build_backbone
from faceverify.training.backbones.pretrained import Weights, fitted, read_weights
from faceverify.training.config.files import read_toml
from faceverify.training.config.schema import Backbone
from faceverify.training.methods import METHODS
from faceverify.training.run.folder import RunFolder

SIZE = 112  # pixels, of weights that do not say for what input they are
OF_THE_WEIGHTS = tuple(  # what is not said about the architecture: init, imprint, freeze, ...
    one.name for one in fields(Backbone) if one.name not in ("name", "embedding_size", "options")
)


def following_weights(values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a run whose recipe has another backbone than its initial weights.

    Args:
        values: of the recipe, with what was given.
        given: values of the command line.

    Raises:
        TrainingError, ModelError: there are no such weights, or they are unreadable.
    """
    own = dict(values.get("backbone", {}))
    if not own.get("init") or given.get("backbone", {}).get("name") is not None:
        return dict(values)
    weights = read_weights(own["init"])
    for backbone in (own, *_backbones(own["init"], weights)):
        if _fits(backbone, weights):
            kept = {key: own[key] for key in OF_THE_WEIGHTS if key in own}
            return {**values, "backbone": {**backbone, **kept}}
    return dict(values)  # what does not fit is said when they are loaded


def learned_without_names(init: str) -> bool:
    """Whether weights are of a method that does not tell people apart yet.

    They are a beginning, not a model to stay close to, as fine-tuning does.

    Args:
        init: as the user named them.
    """
    if Path(init).suffix == ".onnx":
        name = load_model_file(Path(init)).provenance.head
    else:
        name = next((_method_of(run) for run in _runs(init) if run.config.is_file()), "")
    return name in METHODS and METHODS[name].separates_nobody


def _method_of(run: RunFolder) -> str:
    return str(read_toml(run.config).get("method", {}).get("name", ""))


def _runs(init: str) -> list[RunFolder]:
    """Folders that may be the run of some weights: they, or the run of a checkpoint in it."""
    return [RunFolder(folder) for folder in (Path(init), *Path(init).parents[:2])]


def _backbones(init: str, weights: Weights) -> Iterator[dict[str, Any]]:
    """Backbones that weights may be of: that of their run, then each as it is by default."""
    for run in _runs(init):
        if run.config.is_file():
            section = read_toml(run.config).get("backbone", {})
            yield {key: one for key, one in section.items() if key not in OF_THE_WEIGHTS}
    contract = weights.contract
    size = Backbone.embedding_size if contract is None else contract.embedding_size
    for name in BACKBONES:
        yield {"name": name, "embedding_size": size}


def _fits(backbone: Mapping[str, Any], weights: Weights) -> bool:
    """Whether weights fit a backbone, which is built without memory."""
    options = {key: one for key, one in backbone.items() if key not in OF_THE_WEIGHTS}
    name = options.pop("name", Backbone.name)
    options.setdefault("embedding_size", Backbone.embedding_size)
    contract = weights.contract
    try:
        with torch.device("meta"):
            net = build_backbone(name, size=contract.width if contract else SIZE, **options)
    except TrainingError:  # an option of another backbone
        return False
    return not fitted(weights, net)[1]
