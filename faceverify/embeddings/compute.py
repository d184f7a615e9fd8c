"""Many photos to embeddings, each computed once: from the cache, or by the model where new."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from faceverify.embeddings.cache import EmbeddingCache, Outcome, failed
from faceverify.errors import ImageError, NoDecisionError
from faceverify.faces.options import FaceOptions
from faceverify.models.model_file import ModelFile
from faceverify.models.registry import bundled_folder
from faceverify.runtime.parallel import map_ordered

Item = TypeVar("Item")
Progress = Callable[[Iterable[Item], str, "int | None"], Iterator[Item]]

KEPT_TOGETHER = 256  # outcomes stored at a time: what an interrupted run may lose
EMBEDDING_VERSION = 1
"""Raise it by one with every change by which a photo may give another embedding than before, of the
same model with the same options: of decoding, detection, choice, alignment, resampling or
embedding. Embeddings and crops that were cached before are computed again then. Rounding is no such
change. tests/embeddings/test_embedding_version.py notices most changes, and says what to do."""

LIBRARIES = ("numpy", "onnxruntime", "pillow")  # their versions decide an embedding, too


@dataclass(frozen=True, eq=False)
class PhotoEmbeddings:
    """Embeddings of N photos.

    Args:
        embeddings: of length 1; the row of a photo without one is zeros, (N, D).
        failure: why a photo has none, as an error code; empty where it has one, N.
        digests: SHA-256 of each photo's content, N; None for one that cannot be read.
        computed: how many were not in the cache.
    """

    embeddings: NDArray[np.float32]
    failure: list[str]
    digests: list[bytes | None]
    computed: int = 0

    @property
    def enrolled(self) -> NDArray[np.bool_]:
        """Which photos have an embedding, (N,)."""
        return np.array([not code for code in self.failure], bool)


def embed_photos(
    photos: Sequence[Path | bytes],
    model: str,
    file: ModelFile,
    options: FaceOptions,
    cache: EmbeddingCache,
    *,
    workers: int | None = None,
    progress: Progress[tuple[bytes | None, Outcome]] | None = None,
) -> PhotoEmbeddings:
    """Embed photos; the net and the detector are loaded only if a photo is new.

    A photo without a usable face, or that is no image, is a failure to enrol and keeps its row.

    Args:
        photos: files, or encoded images, N.
        model: what the user called the model.
        file: the model that this means.
        options: how faces are found.
        cache: what is known.
        workers: photos processed at once.
        progress: wraps the stream of those that are computed.

    Raises:
        ModelError: the model cannot be run, or returned something that is no embedding.
        UsageError: all faces of a photo are meant.
    """
    options.require_one_face()
    recipe = recipe_of(file, options)
    digests = cache.digests(photos)
    outcomes = cache.recall(recipe, digests)
    # One of each content that is new; a file that cannot be read is tried, to learn why not.
    new = {digests[i] or str(i): i for i, known in enumerate(outcomes) if known is None}
    if new:
        made = _compute([photos[i] for i in new.values()], model, options, workers)
        stream: Iterable[tuple[bytes | None, Outcome]] = zip(
            [digests[i] for i in new.values()], made, strict=True
        )
        if progress is not None:
            stream = progress(stream, "photos", len(new))
        by_key = dict(zip(new, _stored(stream, recipe, cache), strict=True))
        for index, digest in enumerate(digests):
            if outcomes[index] is None:
                outcomes[index] = by_key[digest or str(index)]
    known = [outcome for outcome in outcomes if outcome is not None]
    rows = np.zeros((len(known), file.contract.embedding_size), np.float32)
    for index, outcome in enumerate(known):
        if not outcome.failure:
            rows[index] = outcome.embedding
    return PhotoEmbeddings(rows, [outcome.failure for outcome in known], digests, len(new))


def failure_notes(photos: PhotoEmbeddings) -> list[str]:
    """Say why photos have no embedding, and how many for each reason."""
    reasons: dict[str, int] = {}
    for code in photos.failure:
        if code:
            reasons[code] = reasons.get(code, 0) + 1
    return [f"{count} photos failed: {code}" for code, count in sorted(reasons.items())]


def recipe_of(file: ModelFile, options: FaceOptions) -> str:
    """Name all that decides an embedding besides the photo, as JSON."""
    values = {
        "model": file.id,
        **asdict(options),
        "face": options.face.value,
        "made_by": made_by(),
    }
    return json.dumps(values, sort_keys=True)


@cache
def made_by() -> str:
    """Fingerprint of the version, the detector's nets and the libraries that make an embedding."""
    from importlib.metadata import version

    digest = hashlib.sha256(f"{EMBEDDING_VERSION}\n".encode())
    for net in sorted(bundled_folder().glob("mtcnn-*.onnx")):
        digest.update(net.read_bytes())
    for library in LIBRARIES:
        digest.update(f"{library} {version(library)}\n".encode())
    return digest.hexdigest()[:16]


def _compute(
    photos: Sequence[Path | bytes], model: str, options: FaceOptions, workers: int | None
) -> Iterator[Outcome]:
    from faceverify.embeddings.extractor import TemplateExtractor

    extractor = TemplateExtractor.load(model, options)

    def outcome(photo: Path | bytes) -> Outcome:
        try:
            (template,) = extractor.extract(photo)
        except (ImageError, NoDecisionError) as error:
            return failed(error.code)
        return Outcome(template.embedding)

    return map_ordered(outcome, photos, workers=workers)


def _stored(
    stream: Iterable[tuple[bytes | None, Outcome]], recipe: str, cache: EmbeddingCache
) -> Iterator[Outcome]:
    """Pass outcomes on and store them, a few hundred at a time, also when it stops early."""
    waiting: dict[bytes, Outcome] = {}
    try:
        for digest, outcome in stream:
            if digest is not None and not outcome.failure.startswith("image-"):
                waiting[digest] = outcome
            if len(waiting) >= KEPT_TOGETHER:
                cache.remember(recipe, waiting)
                waiting = {}
            yield outcome
    finally:
        if waiting:
            cache.remember(recipe, waiting)
