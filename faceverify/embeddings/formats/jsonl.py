"""Embeddings as JSON lines: what ``embed`` prints, one object for each face."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np

from faceverify.embeddings.embedding_set import EXTRAS, EmbeddingSet, checked_set
from faceverify.errors import EmbeddingFileError
from faceverify.runtime.json_lines import json_line

COLUMNS = {"faces": "face", "boxes": "box", "points": "points", "quality": "quality"}


def read_json_lines(stream: BinaryIO, name: str) -> EmbeddingSet:
    """The embedding set in a stream of JSON lines; lines with an ``error`` are skipped.

    Raises:
        EmbeddingFileError: an invalid line; names it.
    """
    photos: list[str] = []
    rows: list[Any] = []
    origins: list[object] = []
    extras: dict[str, list[Any]] = {key: [] for key in EXTRAS}
    model_id, first = None, 0
    for number, line in enumerate(stream, start=1):
        if number == 1 and line.strip()[:1] not in (b"{", b""):
            raise EmbeddingFileError(f"{name}: neither .npz nor Parquet nor JSON lines")
        if not line.strip():
            continue
        where = f"{name}:{number}"
        value = parsed(line, where)
        if value.get("error") is not None:
            continue
        if not isinstance(value.get("photo"), str):
            raise EmbeddingFileError(f"{where}: no embedding line (it lacks a text photo)")
        if model_id is None:
            model_id, first = value.get("model_id"), number
        elif value.get("model_id") != model_id:
            raise EmbeddingFileError(
                f"{where} is of model {value.get('model_id')}, line {first} of model {model_id}",
                cure="keep the embeddings of different models apart",
                code="model-mismatch",
            )
        row = numbers(value.get("embedding"), where, "embedding", (len(rows[0]),) if rows else None)
        photos.append(value["photo"])
        rows.append(row)
        origins.append(value.get("origin"))
        for key, column in COLUMNS.items():
            if value.get(column) is not None:
                extras[key].append(numbers(value[column], where, column, EXTRAS[key]))
    if not rows:
        raise EmbeddingFileError(f"{name}: holds no embeddings")
    arrays = {
        key: np.array(values) if len(values) == len(rows) else None
        for key, values in extras.items()
    }
    return checked_set(
        name,
        model_id,
        photos,
        np.stack(rows),
        origins=origins if any(origins) else None,
        **arrays,
    )


def parsed(line: bytes, where: str) -> dict[str, Any]:
    """Object of a JSON line; EmbeddingFileError for anything else."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise EmbeddingFileError(f"{where}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise EmbeddingFileError(f"{where}: not a JSON object")
    return value


def numbers(value: Any, where: str, key: str, shape: tuple[int, ...] | None) -> Any:
    """Array of a member of a JSON line, float32, of a shape, or a row of any length for None."""
    try:
        array = np.array(value)
        if array.dtype.kind not in "fiu":
            raise ValueError("not numbers")
    except (ValueError, OverflowError) as error:
        raise EmbeddingFileError(f"{where}: {key} holds something else than numbers") from error
    fits = array.ndim == 1 and array.size if shape is None else array.shape == shape
    if not fits:
        expected = "a list of numbers" if shape is None else f"shape {shape}"
        raise EmbeddingFileError(f"{where}: {key} has shape {array.shape}, expected {expected}")
    with np.errstate(over="ignore"):  # infinity is reported by checked_set
        return array.astype(np.float32)


def embedding_lines(rows: EmbeddingSet) -> Iterable[dict[str, Any]]:
    """Objects of an embedding set, one a row."""
    for index, photo in enumerate(rows.photos):
        line: dict[str, Any] = {"photo": photo, "model_id": rows.model_id}
        for key, column in COLUMNS.items():
            array = getattr(rows, key)
            line[column] = None if array is None else shortest(array[index])
        if rows.origins is not None:
            line["origin"] = rows.origins[index]
        yield {**line, "embedding": shortest(rows.embeddings[index]), "error": None}


class JsonLinesWriter:
    """Writer of embedding sets as JSON lines."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, rows: EmbeddingSet) -> None:
        """Append a set."""
        self._stream.writelines(json_line(line).encode() + b"\n" for line in embedding_lines(rows))

    def close(self) -> None:
        """Do nothing: JSON lines have no footer."""


def shortest(value: Any) -> Any:
    """float32 values as Python numbers of the fewest digits that round to the same float32."""
    if np.ndim(value):
        return [shortest(item) for item in value]
    return int(value) if isinstance(value, np.integer) else float(str(value))
