"""Source of embeddings for an evaluation: a model with its cache, or an embedding file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from faceverify.embeddings.cache import EmbeddingCache
from faceverify.embeddings.compute import PhotoEmbeddings, embed_photos
from faceverify.embeddings.formats import EmbeddingSet, read_embeddings
from faceverify.embeddings.formats.npy_features import read_features
from faceverify.embeddings.usual_length import usual_length
from faceverify.errors import ModelError, UsageError
from faceverify.faces.options import FaceOptions
from faceverify.matching.operating_point import OperatingPoint
from faceverify.models.model_file import ModelFile
from faceverify.models.registry import load_model

NO_EMBEDDING, ZERO_EMBEDDING = "no-embedding", "zero-embedding"
SHOWN = 3  # names in a message


@dataclass(frozen=True, eq=False)
class ListedPhotos:
    """N photos to embed.

    Args:
        photos: files, or encoded images, N.
        names: in the list, N.
    """

    photos: list[Path | bytes]
    names: list[str]


@dataclass(frozen=True, eq=False)
class EmbeddingSource:
    """Source of embeddings of one model.

    Args:
        name: of the model.
        model_id: its id.
        model: its file; None where only embeddings are given.
        embed: from photos to their embeddings.
        usual_length: of embeddings of such photos (:mod:`faceverify.embeddings.usual_length`); None
            where only embeddings are given.
    """

    name: str
    model_id: str
    model: ModelFile | None
    embed: Callable[[ListedPhotos], PhotoEmbeddings]
    usual_length: Callable[[ListedPhotos], float | None] = lambda _: None

    def operating_point(self, fmr: float, threshold: float | None) -> OperatingPoint | None:
        """Operating point of the evaluation: a given threshold, or the model's calibrated one.

        None where there is neither.

        Raises:
            ModelError: the model has thresholds, but none for this rate.
        """
        if threshold is not None:
            return OperatingPoint(threshold, self.name, self.model_id)
        if self.model is None or not self.model.thresholds:
            return None
        return self.model.operating_point(fmr)


def model_source(
    model: str,
    options: FaceOptions,
    cache: EmbeddingCache,
    *,
    workers: int | None = None,
    progress: Any = None,
) -> EmbeddingSource:
    """Embeddings computed by a model, and cached.

    Raises:
        ModelError: there is no such model, or it is damaged.
    """
    file = load_model(model)

    def embed(listed: ListedPhotos) -> PhotoEmbeddings:
        return embed_photos(
            listed.photos, model, file, options, cache, workers=workers, progress=progress
        )

    def length(listed: ListedPhotos) -> float | None:
        return usual_length(listed.photos, model, options, workers=workers)

    return EmbeddingSource(file.provenance.name, file.id, file, embed, length)


def file_source(path: Path, model: str | None, say: Callable[[str], None]) -> EmbeddingSource:
    """Embeddings of a file that ``faceverify embed`` wrote.

    Args:
        path: of the file.
        model: the model that they must be of; None for any. Then thresholds are those of the
            default model if they are of it, otherwise there are none.
        say: gets one line with the photos that the file lacks.

    Raises:
        EmbeddingFileError: the file cannot be used.
        ModelError: the embeddings are of another model; names both.
    """
    rows = read_embeddings(path)
    file = None
    if model is not None:
        file = load_model(model)
        if file.id != rows.model_id:
            raise ModelError(
                f"{path} holds embeddings of model {rows.model_id}, but {model} is model {file.id}",
                cure="embed the photos with this model",
                code="model-mismatch",
            )
    else:
        try:
            default = load_model("default")
        except ModelError:
            default = None
        file = default if default is not None and default.id == rows.model_id else None

    def embed(listed: ListedPhotos) -> PhotoEmbeddings:
        return looked_up(rows, str(path), listed, say)

    name = file.provenance.name if file else rows.model_id
    return EmbeddingSource(name, rows.model_id, file, embed)


def feature_source(path: Path, photos: int) -> EmbeddingSource:
    """Embeddings of an ``.npy`` file, a row a photo in the order of the list, zeros for none.

    Args:
        path: of the file.
        photos: number of photos in the list.

    Raises:
        ModelError: the file is damaged, or has another number of rows.
    """
    rows = read_features(path, photos)
    failure = ["" if ok else ZERO_EMBEDDING for ok in np.any(rows != 0, axis=1)]
    found = PhotoEmbeddings(rows, failure, [None] * len(failure))
    return EmbeddingSource(path.name, "unknown", None, lambda _: found)


def looked_up(
    rows: EmbeddingSet, source: str, listed: ListedPhotos, say: Callable[[str], None]
) -> PhotoEmbeddings:
    """Embeddings of listed photos in a set, by the name in the list or by path.

    A photo that the set lacks is a failure to enroll (FTE): ``embed`` leaves out photos without a
    face.

    Raises:
        UsageError: the file names none of the photos, or one several times.
    """
    index: dict[str, int] = {}
    twice = set()
    for row, name in enumerate(rows.photos):
        for key in {name, os.path.abspath(name)}:
            if index.setdefault(key, row) != row:
                twice.add(key)
    embeddings = np.zeros((len(listed.photos), rows.embeddings.shape[1]), np.float32)
    failure = []
    for position, (photo, name) in enumerate(zip(listed.photos, listed.names, strict=True)):
        keys = [name]
        if isinstance(photo, Path):
            keys += [str(photo), os.path.abspath(photo)]
        found = next((key for key in keys if key in index), None)
        if found in twice:
            raise UsageError(
                f"{source}: found several embeddings of {found}, expected one a photo",
                cure="embed with --face prominent",
            )
        failure.append("" if found is not None else NO_EMBEDDING)
        if found is not None:
            embeddings[position] = rows.embeddings[index[found]]
    missing = [name for name, code in zip(listed.names, failure, strict=True) if code]
    shown = ", ".join(missing[:SHOWN]) + (", ..." if len(missing) > SHOWN else "")
    if len(missing) == len(failure):
        raise UsageError(
            f"{source}: found none of the {len(missing)} photos of the list ({shown}); it names "
            f"{rows.photos[0]}",
            cure="give the --images folder that the photos were embedded from",
        )
    if missing:
        say(
            f"{source}: {len(missing)} of {len(failure)} photos have no embedding ({shown}): "
            "failures to enroll"
        )
    return PhotoEmbeddings(embeddings, failure, [None] * len(failure))
