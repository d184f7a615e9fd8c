"""Preparation of a model file, kept only if the embeddings stay the same."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from faceverify.errors import ModelError
from faceverify.models.embedder import Embedder
from faceverify.models.metadata import PreparedFrom
from faceverify.models.model_file import ModelFile
from faceverify.models.prepare.graph import with_output
from faceverify.models.prepare.prepare import prepare

LARGEST_DIFFERENCE = 1e-5  # of an embedding, as a share of its length


class Preparation(NamedTuple):
    """Result of a preparation.

    Attributes:
        model: the prepared one, or the one that was given.
        apart: largest relative difference of an embedding; None where it was not prepared.
        reason: why it could not be; "" where it was, or where there was nothing to do.
    """

    model: ModelFile
    apart: float | None
    reason: str


def prepared_model(model: ModelFile, crops: NDArray[np.uint8]) -> Preparation:
    """A model with its graph prepared for the engine: the same id, the same embeddings.

    Args:
        model: as it was imported.
        crops: RGB, (N, height, width, 3), to compare the embeddings of both on.
    """
    try:
        source = onnx.load_from_string(model.graph)
        # the engine computes all outputs, whichever is asked for
        outputs = source.graph.output
        single = with_output(source, outputs[0].name) if len(outputs) > 1 else source
        prepared = prepare(single)
        graph = bytes(prepared.SerializeToString(deterministic=True))
    except Exception as error:  # onnx's checks and numpy raise whatever they meet
        return Preparation(model, None, f"{type(error).__name__}: {error}")
    if prepared is source:
        return Preparation(model, None, "")
    changed = replace(model, graph=graph)
    try:
        planes = model.contract.planes(crops)
        apart = largest_difference(Embedder(model).run(planes), Embedder(changed).run(planes))
    except ModelError as error:
        return Preparation(model, None, str(error))
    if not apart <= LARGEST_DIFFERENCE:
        return Preparation(model, None, f"its embeddings would differ by {apart:.2g}")
    return Preparation(
        replace(changed, prepared_from=PreparedFrom(model.id, changed.content)), apart, ""
    )


def largest_difference(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """Largest length of a row's difference, as a share of the row's length; NaN if not finite."""
    rows, others = before.astype(np.float64), after.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    with np.errstate(invalid="ignore"):
        apart = np.linalg.norm(rows - others, axis=1) / np.maximum(lengths, 1e-30)
    return float(np.max(apart))
