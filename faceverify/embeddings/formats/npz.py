"""Embeddings as ``.npz``: an array a column; ``photos`` and ``model_id`` are text."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from faceverify.embeddings.embedding_set import (
    EXTRAS,
    EmbeddingSet,
    checked_set,
    columns_of,
    joined,
)
from faceverify.errors import EmbeddingFileError

PHOTOS, EMBEDDINGS, MODEL_ID, ORIGINS = "photos", "embeddings", "model_id", "origins"


def read_npz(stream: BinaryIO, name: str) -> EmbeddingSet:
    """The embedding set in an ``.npz`` file, read without pickle.

    Raises:
        EmbeddingFileError: a damaged or foreign file, or invalid content.
    """
    arrays = read_arrays(stream, name, (MODEL_ID, PHOTOS, EMBEDDINGS), (*EXTRAS, ORIGINS))
    return checked_set(
        name,
        text(arrays[MODEL_ID]),
        texts(arrays[PHOTOS], name),
        arrays[EMBEDDINGS],
        origins=origins_of(arrays),
        **{key: arrays.get(key) for key in EXTRAS},
    )


def read_npz_names(stream: BinaryIO, name: str) -> tuple[object, list[str], list[object] | None]:
    """Model id, photos and origins of an ``.npz`` file; errors as :func:`read_npz`."""
    arrays = read_arrays(stream, name, (MODEL_ID, PHOTOS), (ORIGINS,))
    return text(arrays[MODEL_ID]), texts(arrays[PHOTOS], name), origins_of(arrays)


def origins_of(arrays: Mapping[str, NDArray[np.generic]]) -> list[object] | None:
    """The origins among the arrays of a file; None where there are none."""
    found: list[object] | None = arrays[ORIGINS].tolist() if ORIGINS in arrays else None
    return found if isinstance(found, list) else None


def read_arrays(
    stream: BinaryIO, name: str, needed: Iterable[str], optional: Iterable[str] = ()
) -> dict[str, NDArray[np.generic]]:
    """Some arrays of an ``.npz`` file by name; EmbeddingFileError if a needed one is missing."""
    try:
        with np.load(stream, allow_pickle=False) as archive:
            arrays = {
                key: np.asarray(archive[key]) for key in (*needed, *optional) if key in archive
            }
    except Exception as error:  # zip, zlib, header parser: each raises in its own way
        raise EmbeddingFileError(f"{name}: not an .npz file, or a damaged one: {error}") from error
    missing = [key for key in needed if key not in arrays]
    if missing:
        raise EmbeddingFileError(
            f"{name}: no embedding file (it lacks {', '.join(missing)})",
            cure="write it with `faceverify embed --out FILE.npz`",
        )
    return arrays


def text(array: NDArray[np.generic]) -> object:
    """The value of a 0-dimensional array, None for any other array."""
    return array.item() if array.ndim == 0 else None


def texts(array: NDArray[np.generic], name: str) -> list[str]:
    """Names of the photos in an array of text; EmbeddingFileError for any other array."""
    if array.ndim != 1 or array.dtype.kind != "U":
        raise EmbeddingFileError(
            f"{name}: photos is {array.dtype} of shape {array.shape}, not a list of text"
        )
    return [str(photo) for photo in array]


class NpzWriter:
    """Writer of embedding sets as one ``.npz`` file; held in memory: arrays begin with a length."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._parts: list[EmbeddingSet] = []

    def write(self, rows: EmbeddingSet) -> None:
        """Append a set."""
        self._parts.append(rows)

    def close(self) -> None:
        """Write the file."""
        write_npz(self._stream, joined(self._parts, [""] * len(self._parts)))


def write_npz(stream: BinaryIO, rows: EmbeddingSet) -> None:
    """Write an embedding set; only names are compressed, as embeddings hardly shrink."""
    arrays = {
        MODEL_ID: np.array(rows.model_id),
        PHOTOS: np.array(rows.photos),
        EMBEDDINGS: rows.embeddings,
        **columns_of(rows),
    }
    if rows.origins is not None:
        arrays[ORIGINS] = np.array(rows.origins)
    with zipfile.ZipFile(stream, "w") as archive:
        for key, array in arrays.items():
            method = zipfile.ZIP_DEFLATED if key in (PHOTOS, ORIGINS) else zipfile.ZIP_STORED
            entry = zipfile.ZipInfo(f"{key}.npy")  # without a date: same rows, same bytes
            entry.compress_type = method
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
