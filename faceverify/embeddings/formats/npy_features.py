"""Feature files of the IJB scripts: an ``.npy`` array, one row a photo in the order of the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path


def read_features(path: Path, photos: int) -> NDArray[np.float32]:
    """Read features without running what is in the file.

    Args:
        path: an ``.npy`` file.
        photos: how many rows it must have.

    Returns:
        As the model gave them, not normalised, (photos, D).

    Raises:
        ModelError: the file is missing, damaged, of another shape, or holds NaN.
    """
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"{path}: not an .npy file, or a damaged one ({error})") from error
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind != "f":
        raise ModelError(f"{path}: found no table of numbers, expected (photos, dimensions)")
    if len(rows) != photos:
        raise ModelError(
            f"{path}: found {len(rows)} rows, expected {photos}, one for each photo of the list",
            cure="use the feature file of this list",
        )
    wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if wrong.size:
        raise ModelError(f"{path}: found NaN or infinity in row {wrong[0]}, {wrong.size} such rows")
    return np.asarray(rows, np.float32)
