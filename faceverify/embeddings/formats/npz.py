"""Embeddings as ``.npz``: one array for each column; ``photos`` and ``model_id`` are text."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
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

PHOTOS, EMBEDDINGS, MODEL_ID = "photos", "embeddings", "model_id"


def read_npz(stream: BinaryIO, name: str) -> EmbeddingSet:
    """Read and check; EmbeddingFileError says what is wrong.

    No pickle is ever loaded: such an array is an error.
    """
    arrays = read_arrays(stream, name, (MODEL_ID, PHOTOS, EMBEDDINGS), EXTRAS)
    return checked_set(
        name,
        text(arrays[MODEL_ID]),
        texts(arrays[PHOTOS], name),
        arrays[EMBEDDINGS],
        **{key: arrays.get(key) for key in EXTRAS},
    )


def read_npz_names(stream: BinaryIO, name: str) -> tuple[object, list[str]]:
    """Read the model id and the photos alone."""
    arrays = read_arrays(stream, name, (MODEL_ID, PHOTOS))
    return text(arrays[MODEL_ID]), texts(arrays[PHOTOS], name)


def read_arrays(
    stream: BinaryIO, name: str, needed: Iterable[str], optional: Iterable[str] = ()
) -> dict[str, NDArray[np.generic]]:
    """Read some of a file's arrays; EmbeddingFileError where a needed one is missing."""
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
    """Return the one value of an array, None where it holds several."""
    return array.item() if array.ndim == 0 else None


def texts(array: NDArray[np.generic], name: str) -> list[str]:
    """Return the photos' names out of their array."""
    if array.ndim != 1 or array.dtype.kind != "U":
        raise EmbeddingFileError(
            f"{name}: photos is {array.dtype} of shape {array.shape}, not a list of text"
        )
    return [str(photo) for photo in array]


class NpzWriter:
    """Writes sets into one file; they are held in memory, for an array's length comes first."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._parts: list[EmbeddingSet] = []

    def write(self, rows: EmbeddingSet) -> None:
        """Append a set."""
        self._parts.append(rows)

    def close(self) -> None:
        """Write all of it."""
        write_npz(self._stream, joined(self._parts, [""] * len(self._parts)))


def write_npz(stream: BinaryIO, rows: EmbeddingSet) -> None:
    """Write a set; only the names are compressed, for embeddings hardly shrink."""
    arrays = {
        MODEL_ID: np.array(rows.model_id),
        PHOTOS: np.array(rows.photos),
        EMBEDDINGS: rows.embeddings,
        **columns_of(rows),
    }
    with zipfile.ZipFile(stream, "w") as archive:
        for key, array in arrays.items():
            method = zipfile.ZIP_DEFLATED if key == PHOTOS else zipfile.ZIP_STORED
            entry = zipfile.ZipInfo(f"{key}.npy")  # without a date: same rows, same bytes
            entry.compress_type = method
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
