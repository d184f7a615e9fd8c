"""Usual length of a model's embeddings, before they are scaled to 1: part of a face's quality."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from faceverify.embeddings.extractor import FaceEmbedder
from faceverify.errors import ImageError, NoDecisionError
from faceverify.faces.options import FaceOptions
from faceverify.runtime.parallel import map_ordered

PHOTOS = 300  # that are embedded at most, spread over the list
EXCEEDED_BY = 95  # per cent of the photos
LEAST_SPREAD = 0.01  # between the 5th percentile and the median; a model that scales has none


def usual_length(
    photos: Sequence[Path | bytes], model: str, options: FaceOptions, *, workers: int | None = None
) -> float | None:
    """The length that 95 % of the photos' embeddings exceed; None where all are about as long.

    Args:
        photos: files, or encoded images; those without a usable face do not count.
        model: a model file, or the name of an installed one.
        options: of face detection, selection and cropping.
        workers: threads.

    Raises:
        ModelError: the model cannot be run.
    """
    extractor = FaceEmbedder.load(model, options)

    def length(photo: Path | bytes) -> float | None:
        try:
            return extractor.extract(photo)[0].length
        except (ImageError, NoDecisionError):
            return None

    sample = photos[:: max(1, len(photos) // PHOTOS)][:PHOTOS]
    lengths = [found for found in map_ordered(length, sample, workers=workers) if found is not None]
    if not lengths:
        return None
    usual, middle = np.percentile(lengths, [100 - EXCEEDED_BY, 50])
    return None if middle - usual < LEAST_SPREAD * middle else float(f"{usual:.4g}")
