"""Embeddings of many photos, from the cache or, where missing there, by the model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceverify.embeddings.cache import EmbeddingCache, Outcome, failed
from faceverify.errors import FaceverifyError
from faceverify.faces.options import FaceOptions
from faceverify.models.model_file import ModelFile
from faceverify.models.registry import bundled_folder
from faceverify.runtime.parallel import map_ordered
from faceverify.runtime.progress import ShowProgress

TOGETHER = 4  # photos whose faces the network sees at once: more save no time
KEPT_TOGETHER = 256  # outcomes stored at a time: at most these are lost by an interrupted run
EMBEDDING_VERSION = 3
"""Version of the computation, raised by one with every change by which a photo may give another
embedding with the same model and options: of decoding, detection, selection, alignment, resampling
or embedding. It invalidates cached embeddings and crops. Rounding is no such change.
tests/embeddings/test_compute.py fails on most changes, and says what to do."""

LIBRARIES = ("numpy", "onnxruntime", "pillow")  # their versions affect embeddings, too


@dataclass(frozen=True, eq=False)
class PhotoEmbeddings:
    """Embeddings of N photos.

    Args:
        embeddings: of length 1, zeros for a photo without one, (N, D).
        failure: error code of a photo without an embedding, empty for the others, N.
        digests: SHA-256 of each photo's content, None for an unreadable one, N.
        computed: number of photos that were not in the cache.
    """

    embeddings: NDArray[np.float32]
    failure: list[str]
    digests: list[bytes | None]
    computed: int = 0

    @property
    def enrolled(self) -> NDArray[np.bool_]:
        """Whether each photo has an embedding, (N,)."""
        return np.array([not code for code in self.failure], bool)


def embed_photos(
    photos: Sequence[Path | bytes],
    model: str,
    file: ModelFile,
    options: FaceOptions,
    cache: EmbeddingCache,
    *,
    workers: int | None = None,
    progress: ShowProgress | None = None,
) -> PhotoEmbeddings:
    """Embeddings of photos; model and detector are loaded only if a photo is not in the cache.

    A photo without a usable face, or that is no image, is a failure to enroll (FTE), with a row of
    zeros.

    Args:
        photos: files, or encoded images, N.
        model: the model, as given by the user.
        file: its model file.
        options: of face detection, selection and cropping.
        cache: of embeddings.
        workers: threads.
        progress: wraps the stream of photos that are computed.

    Raises:
        ModelError: the model cannot be run, or returned something that is no embedding.
        UsageError: the options select all faces of a photo.
    """
    options.require_one_face()
    recipe = recipe_of(file, options)
    digests = cache.digests(photos)
    outcomes = cache.recall(recipe, digests)
    # One photo of each new content; an unreadable file is opened, for its error code.
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
    """Numbers of photos without an embedding by error code, one line each."""
    reasons: dict[str, int] = {}
    for code in photos.failure:
        if code:
            reasons[code] = reasons.get(code, 0) + 1
    return [f"{count} photos failed: {code}" for code, count in sorted(reasons.items())]


def recipe_of(file: ModelFile, options: FaceOptions) -> str:
    """All that determines an embedding besides the photo, as JSON: the cache key of a recipe."""
    values = {
        "model": file.id,
        **asdict(options),
        "face": options.face.value,
        "made_by": made_by(),
    }
    return json.dumps(values, sort_keys=True)


@cache
def made_by() -> str:
    """Hash of the embedding version, the detector's networks and the libraries' versions."""
    from importlib.metadata import version

    from faceverify.faces.detection import detector_files

    digest = hashlib.sha256(f"{EMBEDDING_VERSION}\n".encode())
    for net in detector_files(bundled_folder()):
        digest.update(net.read_bytes())
    for library in LIBRARIES:
        digest.update(f"{library} {version(library)}\n".encode())
    return digest.hexdigest()[:16]


def _compute(
    photos: Sequence[Path | bytes], model: str, options: FaceOptions, workers: int | None
) -> Iterator[Outcome]:
    from faceverify.embeddings.extractor import FaceEmbedder

    extractor = FaceEmbedder.load(model, options)

    def outcomes(group: Sequence[Path | bytes]) -> list[Outcome]:
        return [
            failed(one.code) if isinstance(one, FaceverifyError) else Outcome(one)
            for one in extractor.embeddings(group)
        ]

    groups = (photos[start : start + TOGETHER] for start in range(0, len(photos), TOGETHER))
    return chain.from_iterable(map_ordered(outcomes, groups, workers=workers))


def _stored(
    stream: Iterable[tuple[bytes | None, Outcome]], recipe: str, cache: EmbeddingCache
) -> Iterator[Outcome]:
    """The outcomes, stored in the cache in batches, also when the stream stops early."""
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
