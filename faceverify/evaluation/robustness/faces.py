"""Faces of degraded photos: embedding, quality, or why there is none."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceverify.embeddings.cache import EmbeddingCache, Outcome, failed
from faceverify.embeddings.compute import recipe_of
from faceverify.embeddings.extractor import FaceEmbedder
from faceverify.errors import ImageError, LowQualityError, NoDecisionError
from faceverify.evaluation.degradation import (
    DEGRADATION_VERSION,
    DEGRADATIONS,
    degradation,
    degrade,
)
from faceverify.evaluation.degradation.face_frame import CROP, FaceFrame, Pixels
from faceverify.faces.options import FaceOptions
from faceverify.images.photo import open_photo
from faceverify.models.model_file import ModelFile
from faceverify.runtime.parallel import map_ordered
from faceverify.runtime.progress import ShowProgress

CLEAN = "clean"
LARGEST = 1.6  # pixels per pixel of the aligned crop; larger photos are made smaller beforehand
AROUND = 3.0  # sides of the aligned crop that are kept on each side of a face

Cell = tuple[str, float]
"""A kind of degradation and a strength; ("clean", 0.0) for the photos as they are."""


@dataclass(frozen=True, eq=False)
class DegradedFaces:
    """Faces of N photos that were degraded alike.

    Args:
        kind: of degradation; "clean" for none.
        strength: of the degradation.
        embeddings: of length 1, zeros for a photo without one, (N, D).
        quality: score of each face, in [0, 1]; NaN for a photo without an embedding, (N,).
        failure: error code of a photo without an embedding, empty for the others, N.
    """

    kind: str
    strength: float
    embeddings: NDArray[np.float32]
    quality: NDArray[np.float32]
    failure: list[str]

    @property
    def decided(self) -> NDArray[np.bool_]:
        """Whether each photo has an embedding, (N,)."""
        return np.array([not code for code in self.failure], bool)

    def refused_below(self, least: float) -> DegradedFaces:
        """The same faces without those below a quality, as ``--min-quality`` would have them."""
        low = self.decided & ~(self.quality >= np.float32(least))
        failure = [
            LowQualityError.code if refused else code
            for refused, code in zip(low, self.failure, strict=True)
        ]
        return replace(
            self,
            embeddings=np.where(low[:, None], np.float32(0), self.embeddings),
            quality=np.where(low, np.float32(np.nan), self.quality),
            failure=failure,
        )


def cells_of(kinds: Sequence[str] = tuple(DEGRADATIONS)) -> list[Cell]:
    """Clean photos, and every strength of these kinds.

    Raises:
        UsageError: an unknown kind.
    """
    every = [(kind, strength) for kind in kinds for strength in degradation(kind).strengths]
    return [(CLEAN, 0.0), *every]


def degraded_faces(
    photos: Sequence[Path | bytes],
    cells: Sequence[Cell],
    load: Callable[[], FaceEmbedder],
    model: ModelFile,
    options: FaceOptions,
    cache: EmbeddingCache,
    *,
    workers: int | None = None,
    progress: ShowProgress | None = None,
) -> list[DegradedFaces]:
    """Faces of every photo in every cell; all that choosing a measure of quality takes.

    What the options refuse (``min_quality``) has no embedding: with ``min_quality=0``, every face
    found has one, and its quality. A photo without a usable face as it is has none in any cell: it
    is not known where to put a mask. The cache holds qualities, too: where the measure of quality
    changes and ``EMBEDDING_VERSION`` does not, give a cache that stores nothing.

    Args:
        photos: files, or encoded images, N.
        cells: kinds and strengths, C.
        load: detector and model; called only if something is not in the cache.
        model: the model's file.
        options: the options of ``load``.
        cache: of embeddings.
        workers: threads.
        progress: wraps the stream of photos.

    Returns:
        C degraded sets of faces.
    """
    options.require_one_face()
    recipe = json.dumps({"degraded": DEGRADATION_VERSION, "faces": recipe_of(model, options)})
    contents = cache.digests(photos)
    keys = [[_key(content, cell) for cell in cells] for content in contents]
    known = [cache.recall(recipe, row) for row in keys]
    extractor = load() if any(one is None for row in known for one in row) else None

    def outcomes(index: int) -> list[Outcome]:
        missing = [cell for cell, one in zip(cells, known[index], strict=True) if one is None]
        if not missing:
            return [one for one in known[index] if one is not None]
        assert extractor is not None
        made = iter(_embed(photos[index], missing, contents[index] or b"", extractor))
        return [next(made) if one is None else one for one in known[index]]

    stream: Iterator[list[Outcome]] = map_ordered(outcomes, range(len(photos)), workers=workers)
    if progress is not None and extractor is not None:
        stream = iter(progress(stream, "photos", len(photos)))
    table = []
    for row, before, found in zip(keys, known, stream, strict=True):
        fresh = {
            key: outcome
            for key, old, outcome in zip(row, before, found, strict=True)
            if key is not None and old is None and not outcome.failure.startswith("image-")
        }
        cache.remember(recipe, fresh)
        table.append(found)
    size = model.contract.embedding_size
    return [
        _gathered(cell, [row[column] for row in table], size) for column, cell in enumerate(cells)
    ]


def _gathered(cell: Cell, found: Sequence[Outcome], size: int) -> DegradedFaces:
    values = np.zeros((len(found), size + 1), np.float32)
    values[:, size] = np.nan
    for row, outcome in zip(values, found, strict=True):
        if not outcome.failure:
            row[:] = outcome.embedding
    failure = [outcome.failure for outcome in found]
    return DegradedFaces(*cell, values[:, :size].copy(), values[:, size].copy(), failure)


def _embed(
    photo: Path | bytes, cells: Sequence[Cell], key: bytes, extractor: FaceEmbedder
) -> list[Outcome]:
    """Embedding and quality, (D + 1,), of a photo in each of the cells."""
    try:
        (face,) = extractor.extract(photo)
        image = open_photo(photo).decode()
    except (ImageError, NoDecisionError) as error:
        return [failed(error.code)] * len(cells)
    pixels, points = _shown(image, face.face.points.astype(float))
    found = []
    for kind, strength in cells:
        shown = pixels if kind == CLEAN else degrade(kind, strength, pixels, points, key=key)
        try:
            (face,) = extractor.extract(shown)
        except NoDecisionError as error:
            found.append(failed(error.code))
        else:
            found.append(Outcome(np.append(face.embedding, np.float32(face.quality.score))))
    return found


def _shown(image: Image.Image, points: NDArray[np.float64]) -> tuple[Pixels, NDArray[np.float64]]:
    """What lies about the face, made smaller where the face has more pixels than a crop can show.

    Args:
        image: the photo, RGB.
        points: five points of the face, (5, 2), in pixels.

    Returns:
        Pixels, and the points among them.
    """
    scale = FaceFrame.of(points).scale
    reach = AROUND * CROP.side * scale
    left, top = np.clip(np.floor(points.mean(axis=0) - reach), 0, np.subtract(image.size, 1))
    right, bottom = np.clip(np.ceil(points.mean(axis=0) + reach), (left + 1, top + 1), image.size)
    image = image.crop((int(left), int(top), int(right), int(bottom)))
    points = points - (left, top)
    if scale <= LARGEST:
        return np.asarray(image), points
    shrink = LARGEST / scale
    size = (max(1, math.ceil(image.width * shrink)), max(1, math.ceil(image.height * shrink)))
    ratio = np.divide(size, image.size)
    return np.asarray(image.resize(size, Image.Resampling.BOX)), points * ratio


def _key(content: bytes | None, cell: Cell) -> bytes | None:
    """Key of a degraded photo in the cache; None for an unreadable one."""
    if content is None:
        return None
    return hashlib.sha256(content + json.dumps(cell).encode()).digest()
