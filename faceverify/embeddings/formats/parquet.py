"""Embeddings as Parquet; needs pyarrow, the extra ``parquet``.

Columns: ``photo``, ``photo_bytes`` (the bytes of a name that is not UTF-8, else null), ``face``,
``box``, ``points``, ``quality``, ``origin``, ``embedding``. The model id is in the schema's
metadata.
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
    """Check that pyarrow is installed; UsageError if not."""
    if not has_parquet():
        raise UsageError(
            "Parquet needs pyarrow", cure="pip install 'faceverify[parquet]', or use .npz"
        )


def import_pyarrow() -> tuple[Any, Any]:
    """The modules ``pyarrow`` and ``pyarrow.parquet``; UsageError if not installed."""
    check_pyarrow()
    import pyarrow
    import pyarrow.parquet

    return pyarrow, pyarrow.parquet


def read_parquet(stream: BinaryIO, name: str) -> EmbeddingSet:
    """The embedding set in a Parquet file; EmbeddingFileError for invalid content."""
    table = read_table(stream, name)
    model_id, photos = names_of(table, name, ("photo", "embedding"))
    extras = {
        key: matrix(table, column, name, EXTRAS[key]) if column in table.column_names else None
        for key, column in COLUMNS.items()
    }
    embeddings = matrix(table, "embedding", name, None)
    return checked_set(name, model_id, photos, embeddings, origins=origins_of(table), **extras)


def read_parquet_names(
    stream: BinaryIO, name: str
) -> tuple[object, list[str], list[object] | None]:
    """Model id, photos and origins of a Parquet file; errors as :func:`read_parquet`."""
    table = read_table(stream, name, ["photo", "photo_bytes", "origin"])
    return *names_of(table, name, ("photo",)), origins_of(table)


def origins_of(table: Any) -> list[object] | None:
    """The origins in a table; None where it has no such column."""
    if "origin" not in table.column_names:
        return None
    found: list[object] = table.column("origin").to_pylist()
    return found


def read_table(stream: BinaryIO, name: str, columns: list[str] | None = None) -> Any:
    """Table of a Parquet file, or those of some columns that it has.

    Raises:
        EmbeddingFileError: it is damaged.
    """
    _, parquet = import_pyarrow()
    try:
        with parquet.ParquetFile(stream) as file:
            if columns is not None:
                columns = [key for key in columns if key in file.schema_arrow.names]
            return file.read(columns=columns)
    except Exception as error:  # damaged bytes reach into every part of the reader
        raise EmbeddingFileError(
            f"{name}: not a Parquet file, or a damaged one: {error}"
        ) from error


def names_of(table: Any, name: str, needed: tuple[str, ...]) -> tuple[object, list[str]]:
    """Model id and photos of a table; EmbeddingFileError if a needed column is missing."""
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
    """Column as an array, (N, *shape), or (N, any length) for None."""
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
    """Offsets of the lists of a list column among its ``total`` values, (N + 1,)."""
    size = getattr(chunks.type, "list_size", -1)
    if size > 0:
        return np.arange(len(chunks) + 1) * size if len(chunks) * size == total else np.arange(0)
    return np.asarray(chunks.offsets)


def write_parquet(stream: BinaryIO, rows: EmbeddingSet) -> None:
    """Write an embedding set."""
    writer = ParquetWriter(stream)
    writer.write(rows)
    writer.close()


class ParquetWriter:
    """Writer of embedding sets as one Parquet file; holds one set in memory at a time."""

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
        if rows.origins is not None:
            columns["origin"] = pa.array(rows.origins, pa.string())
        arrays = columns_of(rows)
        for key, array in (*arrays.items(), ("embeddings", rows.embeddings)):
            values = pa.array(array.reshape(-1))
            width = array[0].size
            columns[COLUMNS.get(key, "embedding")] = (
                values if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(values, width)
            )
        return pa.table(columns, metadata={MODEL_ID: rows.model_id.encode()})
