"""Embedding set: the rows of an embedding file, and their validation."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import EmbeddingFileError

UNIT_TOLERANCE = 1e-3  # float16 rows still pass; rows that were never normalised do not
NO_MODEL = "the file does not say which model its embeddings are of"


@dataclass(frozen=True, eq=False)
class EmbeddingSet:
    """Embeddings of one model; row i of every array belongs to photo i.

    Attributes:
        model_id: id of their model file.
        photos: names of the photos, N; a photo with several faces has several rows.
        embeddings: of length 1, (N, D).
        faces: index of the face in its photo, from 0, (N,).
        boxes: left, top, right, bottom in pixels of the photo, (N, 4).
        points: the five points in pixels of the photo, (N, 5, 2).
        quality: in [0, 1], (N,).
        origins: what each photo was when it was embedded, N; see :func:`origin_of`.
    """

    model_id: str
    photos: list[str]
    embeddings: NDArray[np.float32]
    faces: NDArray[np.int32] | None = None
    boxes: NDArray[np.float32] | None = None
    points: NDArray[np.float32] | None = None
    quality: NDArray[np.float32] | None = None
    origins: list[str] | None = None

    def __len__(self) -> int:
        return len(self.photos)


EXTRAS = {"faces": (), "boxes": (4,), "points": (5, 2), "quality": ()}
"""Optional arrays, each with the shape of one row."""


def checked_set(
    name: str,
    model_id: object,
    photos: Sequence[str],
    embeddings: NDArray[np.generic],
    *,
    origins: Sequence[object] | None = None,
    **extras: NDArray[np.generic] | None,
) -> EmbeddingSet:
    """An embedding set of the content of a file, validated.

    Args:
        name: of the file, for messages.
        model_id, photos, embeddings: as in :class:`EmbeddingSet`, not yet checked.
        origins: as in :class:`EmbeddingSet`; None, or of another length, where they are missing.
        extras: the optional arrays by name; None for those missing.

    Raises:
        EmbeddingFileError: invalid content; names the array, or the row and its photo.
    """
    if not isinstance(model_id, str) or not model_id:
        raise EmbeddingFileError(f"{name}: {NO_MODEL}", cure="write it with `faceverify embed`")
    if embeddings.ndim != 2 or embeddings.dtype.kind != "f" or not embeddings.shape[1]:
        raise EmbeddingFileError(
            f"{name}: embeddings are {embeddings.dtype} of shape {embeddings.shape}, "
            "not numbers of shape (rows, size)"
        )
    if not len(photos):
        raise EmbeddingFileError(f"{name}: holds no embeddings")
    for key, array in {"embeddings": embeddings, **extras}.items():
        expected = (len(photos), *(EXTRAS[key] if key in EXTRAS else embeddings.shape[1:]))
        if array is not None and (array.shape != expected or array.dtype.kind not in "fiu"):
            raise EmbeddingFileError(
                f"{name}: {key} is {array.dtype} of shape {array.shape}, where {len(photos)} "
                f"photos need {expected}"
            )
    rows = np.ascontiguousarray(embeddings, np.float32)
    check_unit(name, photos, rows)
    converted: dict[str, Any] = {
        key: None if array is None else array.astype(np.int32 if key == "faces" else np.float32)
        for key, array in extras.items()
    }
    if origins is not None and len(origins) == len(photos):
        converted["origins"] = [one if isinstance(one, str) else "" for one in origins]
    return EmbeddingSet(model_id, list(photos), rows, **converted)


def check_unit(name: str, photos: Sequence[str], rows: NDArray[np.float32]) -> None:
    """Check that all rows have length 1; EmbeddingFileError names the first that does not."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    bad = np.flatnonzero(~(np.abs(lengths - 1) <= UNIT_TOLERANCE))  # not: NaN compares false
    if not len(bad):
        return
    first, length = int(bad[0]), float(lengths[bad[0]])
    if not np.isfinite(length):
        problem = "holds NaN or infinity"
    elif not length:
        problem = "is all zeros"
    else:
        problem = f"has length {length:.4g}, not 1"
    raise EmbeddingFileError(
        f"{name}: row {first} ({photos[first]}) {problem} ({len(bad):,} of {len(rows):,} rows)",
        cure="embed these photos again",
    )


def joined(parts: Sequence[EmbeddingSet], names: Sequence[str]) -> EmbeddingSet:
    """Sets of one model concatenated; an optional array that one of them lacks is None.

    Raises:
        EmbeddingFileError: they are of different models; names files and ids.
    """
    for part, name in zip(parts, names, strict=True):
        check_same_model(parts[0], names[0], part, name)
    arrays: dict[str, Any] = {}
    for key in ("embeddings", *EXTRAS):
        columns = [getattr(part, key) for part in parts]
        arrays[key] = None if any(c is None for c in columns) else np.concatenate(columns)
    photos = [photo for part in parts for photo in part.photos]
    if any(part.origins is not None for part in parts):
        unknown = [part.origins or [""] * len(part) for part in parts]
        arrays["origins"] = [origin for origins in unknown for origin in origins]
    return EmbeddingSet(parts[0].model_id, photos, **arrays)


def without_photos(rows: EmbeddingSet, photos: Container[str]) -> EmbeddingSet | None:
    """The rows of all other photos; None where there are none."""
    kept = [index for index, photo in enumerate(rows.photos) if photo not in photos]
    if not kept:
        return None
    arrays: dict[str, Any] = {key: array[kept] for key, array in columns_of(rows).items()}
    if rows.origins is not None:
        arrays["origins"] = [rows.origins[index] for index in kept]
    names = [rows.photos[index] for index in kept]
    return EmbeddingSet(rows.model_id, names, rows.embeddings[kept], **arrays)


def check_model(name: str, found: object, expected: str) -> None:
    """Check the model id of a file; EmbeddingFileError names both ids."""
    if found != expected:
        raise EmbeddingFileError(
            f"{name} is of model {found}, not of {expected}, the one in use",
            cure="write to another place, or use that model",
            code="model-mismatch",
        )


def check_same_model(one: EmbeddingSet, name: str, other: EmbeddingSet, other_name: str) -> None:
    """Check that two sets are of one model and size; EmbeddingFileError names files and ids."""
    if one.model_id != other.model_id:
        raise EmbeddingFileError(
            f"{name} is of model {one.model_id}, {other_name} of model {other.model_id}",
            cure="keep the embeddings of different models apart",
            code="model-mismatch",
        )
    if one.embeddings.shape[1] != other.embeddings.shape[1]:
        raise EmbeddingFileError(
            f"{name} has embeddings of {one.embeddings.shape[1]} numbers, {other_name} of "
            f"{other.embeddings.shape[1]}"
        )


def columns_of(rows: EmbeddingSet) -> dict[str, NDArray[np.generic]]:
    """Optional arrays that a set has, by name."""
    arrays = {name: getattr(rows, name) for name in EXTRAS}
    return {name: array for name, array in arrays.items() if array is not None}
