"""Imported net made ready to be installed: prepared for the engine, if that changes nothing."""

from __future__ import annotations

from collections.abc import Callable

from faceverify.models.install.normalisation import probe_images
from faceverify.models.model_file import ModelFile
from faceverify.models.prepare.model import prepared_model

Say = Callable[[str], None]  # called with a line for the user


def nothing(_line: str) -> None:
    """Say nothing."""


def ready(model: ModelFile, say: Say) -> ModelFile:
    """A model prepared for the engine, or as it is where that is not possible."""
    side = model.contract.width
    preparation = prepared_model(model, probe_images(side))
    if preparation.reason:
        say(f"{model.name}: kept as it is: {preparation.reason}")
    if preparation.apart is not None:
        say(f"{model.name}: prepared for the engine; embeddings differ by {preparation.apart:.1g}")
    return preparation.model
