"""The backbone that initial weights were trained in, where no other was named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from faceverify.models.model_file import load_model_file
from faceverify.training.backbones import contract_for
from faceverify.training.backbones.of_weights import (
    NARROWABLE,
    OF_THE_WEIGHTS,
    backbone_of,
    has_fewer_channels,
    run_configs,
)
from faceverify.training.backbones.pretrained import read_weights
from faceverify.training.config.data import Data
from faceverify.training.config.fields import section_from_dict
from faceverify.training.config.files import overridden, read_toml
from faceverify.training.methods import METHODS
from faceverify.training.methods.parts.teacher_model import same_frame


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
    backbone = backbone_of(own["init"], read_weights(own["init"]), first=own)
    if backbone is None or has_fewer_channels(own, backbone):
        # what does not fit is said when they are loaded
        return dict(values)
    options = {key: one for key, one in given.get("backbone", {}).items() if one is not None}
    kept = {key: own[key] for key in OF_THE_WEIGHTS if key in own}
    return {**values, "backbone": {**backbone, **kept, **options}}


def learned_without_names(init: str) -> bool:
    """Whether weights are of a method that does not tell people apart yet.

    They are a beginning, not a model to stay close to, as fine-tuning does.

    Args:
        init: as the user named them.
    """
    if Path(init).suffix == ".onnx":
        name = load_model_file(Path(init)).provenance.head
    else:
        sections = (read_toml(path).get("method", {}) for path in run_configs(init))
        name = next((str(section.get("name", "")) for section in sections), "")
    return name in METHODS and METHODS[name].separates_nobody


def teacher_to_narrow(given: Mapping[str, Any], values: Mapping[str, Any]) -> str | None:
    """The teacher that a student begins as, with fewer channels; None where it is of another kind.

    So it is where it sees crops of another size or alignment than those of the run.

    Args:
        given: values of the command line.
        values: of the recipe of distillation, with its teacher.

    Raises:
        TrainingError, ModelError: there is no such teacher, or it is unreadable.
    """
    own = given.get("backbone", {})
    if own.get("name") is not None or own.get("init") is not None:
        return None
    teacher = given.get("method", {}).get("teacher") or values["method"]["teacher"]
    weights = read_weights(teacher)
    backbone = backbone_of(teacher, weights)
    if backbone is None or backbone["name"] not in NARROWABLE or weights.contract is None:
        return None
    crops = section_from_dict(Data, overridden({}, given.get("data", {})), "data.")
    ours = contract_for(backbone["name"], size=crops.size, alignment=crops.alignment)
    same = ours.width == weights.contract.width and same_frame(weights.contract, ours)
    return teacher if same else None
