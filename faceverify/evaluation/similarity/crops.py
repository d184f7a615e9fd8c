"""Crops of the same faces for several models, each as its contract has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import ImageError, NoDecisionError
from faceverify.faces.detection import Detector
from faceverify.faces.finder import FaceFinder
from faceverify.faces.options import FaceOptions
from faceverify.models.contract import Contract
from faceverify.models.registry import bundled_folder
from faceverify.runtime.parallel import map_ordered


@dataclass(frozen=True, eq=False)
class ModelCrops:
    """Crops of a face, one for each model.

    Args:
        crops: RGB, (height, width, 3), as each model has it.
    """

    crops: tuple[NDArray[np.uint8], ...]


def crops_of(
    photos: Sequence[Path | bytes],
    contracts: Sequence[Contract],
    options: FaceOptions,
    *,
    workers: int | None = None,
) -> Iterator[ModelCrops | None]:
    """Crops of each photo's face, in order; None for a photo without a usable one.

    Args:
        photos: files, or encoded images.
        contracts: of the models.
        options: of face detection and selection.
        workers: threads.
    """
    options.require_one_face()
    finder = FaceFinder(Detector(bundled_folder()), options)

    def cropped(photo: Path | bytes) -> ModelCrops | None:
        try:
            (face,) = finder.find(photo)
        except (ImageError, NoDecisionError):
            return None
        return ModelCrops(
            tuple(
                np.asarray(face.crop(one.alignment, (one.width, one.height))) for one in contracts
            )
        )

    return map_ordered(cropped, photos, workers=workers)
