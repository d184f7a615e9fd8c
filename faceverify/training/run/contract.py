"""Preprocessing contract of a run: what crops its backbone sees."""

from __future__ import annotations

from faceverify.models.contract import Contract
from faceverify.training.backbones import contract_for
from faceverify.training.backbones.pretrained import read_weights
from faceverify.training.config.data import Data
from faceverify.training.config.schema import Backbone


def contract_of(backbone: Backbone, data: Data) -> Contract:
    """Preprocessing contract: of the initial weights, or else of the backbone's architecture.

    Args:
        backbone: its name, size and initial weights.
        data: size and alignment of its crops.

    Raises:
        TrainingError: no such backbone, or weights that cannot be read.
        ModelError: there is no such model to start from.
    """
    if backbone.init:
        contract = read_weights(backbone.init).contract
        if contract is not None:
            return contract
    return contract_for(
        backbone.name,
        embedding_size=backbone.embedding_size,
        size=data.size,
        alignment=data.alignment,
        flip_average=backbone.flip_average,
    )
