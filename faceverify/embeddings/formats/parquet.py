"""Embeddings as Parquet; needs pyarrow, the extra ``parquet``.

Columns: ``photo``, ``photo_bytes`` (only of a name that is no UTF-8: its bytes), ``face``, ``box``,
``points``, ``quality``, ``embedding``. The model id is in the schema's metadata.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from faceverify.embeddings.embedding_set import EXTRAS, EmbeddingSet, checked_set, columns_of
from faceverify.errors import EmbeddingFileError, UsageError

MODEL_ID = b"faceverify.model_id"
COLUMNS = {"faces": "face", "boxes": "box", "points": "points", "quality": "quality"}


def has_parquet() -> bool:
    """Whether pyarrow is installed; it is not imported."""
    return importlib.util.find_spec("pyarrow") is not None


def check_pyarrow() -> None:
    """UsageError where pyarrow is not installed."""
    if not has_parquet():
        raise UsageError(
            "Parquet needs pyarrow", cure="pip install 'faceverify[parquet]', or use .npz"
        )


def import_pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and its Parquet part; UsageError where it is not installed."""
    check_pyarrow()
    import pyarrow
    import pyarrow.parquet

    return pyarrow, pyarrow.parquet


def read_parquet(stream: BinaryIO, name: str) -> EmbeddingSet:
    """Read and check; EmbeddingFileError says what is wrong."""
    table = read_table(stream, name)
    model_id, photos = names_of(table, name, ("photo", "embedding"))
    extras = {
        key: matrix(table, column, name, EXTRAS[key]) if column in table.column_names else None
        for key, column in COLUMNS.items()
    }
    return checked_set(name, model_id, photos, matrix(table, "embedding", name, None), **extras)


def read_parquet_names(stream: BinaryIO, name: str) -> tuple[object, list[str]]:
    """Read the model id and the photos alone."""
    return names_of(read_table(stream, name, ["photo", "photo_bytes"]), name, ("photo",))


def read_table(stream: BinaryIO, name: str, columns: list[str] | None = None) -> Any:
    """Read a table, or some of its columns; EmbeddingFileError says what is wrong."""
    _, parquet = import_pyarrow()
    try:
        return parquet.read_table(stream, columns=columns)
    except Exception as error:  # damaged bytes reach into every part of the reader
        raise EmbeddingFileError(
            f"{name}: not a Parquet file, or a damaged one: {error}"
        ) from error


def names_of(table: Any, name: str, needed: tuple[str, ...]) -> tuple[object, list[str]]:
    """Return the model id and the photos; EmbeddingFileError where a needed column is missing."""
    missing = [key for key in needed if key not in table.column_names]
    if missing:
        raise EmbeddingFileError(
            f"{name}: no embedding file (it lacks {', '.join(missing)})",
            cure="write it with `faceverify embed --out FILE.parquet`",
        )
    model_id = (table.schema.metadata or {}).get(MODEL_ID, b"").decode("utf-8", "replace")
    photos = table.column("photo").to_pylist()
    if "photo_bytes" in table.column_names:
        for index, raw in enumerate(table.column("photo_bytes").to_pylist()):
            if isinstance(raw, bytes):
                photos[index] = os.fsdecode(raw)
    if not all(isinstance(photo, str) for photo in photos):
        raise EmbeddingFileError(f"{name}: photo is {table.schema.field('photo').type}, not text")
    return model_id, photos


def matrix(
    table: Any, column: str, name: str, shape: tuple[int, ...] | None
) -> NDArray[np.generic]:
    """Return a column as an array: a row of it has this shape, or for None any length."""
    chunks = table.column(column).combine_chunks()
    try:
        if shape == ():
            values = chunks.to_numpy(zero_copy_only=False)
        else:
            flat = chunks.flatten().to_numpy(zero_copy_only=False)
            lengths = set(np.diff(offsets(chunks, len(flat))).tolist()) or {0}
            (length,) = lengths  # ValueError: rows of different lengths
            values = flat.reshape(len(chunks), length if shape is None else -1)
            values = values if shape is None else values.reshape(len(chunks), *shape)
    except (ValueError, TypeError, AttributeError, NotImplementedError) as error:
        raise EmbeddingFileError(
            f"{name}: {column} is {table.schema.field(column).type}, not rows of one length"
        ) from error
    result: NDArray[np.generic] = np.asarray(values)
    return result


def offsets(chunks: Any, total: int) -> NDArray[np.int_]:
    """Where each list of a list column begins and ends among its ``total`` values."""
    size = getattr(chunks.type, "list_size", -1)
    if size > 0:
        return np.arange(len(chunks) + 1) * size if len(chunks) * size == total else np.arange(0)
    return np.asarray(chunks.offsets)


def write_parquet(stream: BinaryIO, rows: EmbeddingSet) -> None:
    """Write a set."""
    writer = ParquetWriter(stream)
    writer.write(rows)
    writer.close()


class ParquetWriter:
    """Writes sets one after the other into one file; memory holds one of them at a time."""

    def __init__(self, stream: BinaryIO) -> None:
        self._pyarrow, self._parquet = import_pyarrow()
        self._stream = stream
        self._writer: Any = None

    def write(self, rows: EmbeddingSet) -> None:
        """Append a set as one row group."""
        table = self._table(rows)
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(self._stream, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        """Write the footer."""
        if self._writer is not None:
            self._writer.close()

    def _table(self, rows: EmbeddingSet) -> Any:
        pa = self._pyarrow
        names = [photo.encode("utf-8", "surrogateescape") for photo in rows.photos]
        shown = [name.decode("utf-8", "replace") for name in names]
        raw = [
            None if text == photo else name
            for name, text, photo in zip(names, shown, rows.photos, strict=True)
        ]
        columns = {"photo": pa.array(shown, pa.string()), "photo_bytes": pa.array(raw, pa.binary())}
        arrays = columns_of(rows)
        for key, array in (*arrays.items(), ("embeddings", rows.embeddings)):
            values = pa.array(array.reshape(-1))
            width = array[0].size
            columns[COLUMNS.get(key, "embedding")] = (
                values if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(values, width)
            )
        return pa.table(columns, metadata={MODEL_ID: rows.model_id.encode()})
