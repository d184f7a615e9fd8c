"""Turned heads: photos of a person, or frames of a track, at several yaws."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceverify.embeddings.cache import EmbeddingCache, Outcome, failed
from faceverify.embeddings.compute import recipe_of
from faceverify.embeddings.extractor import FaceEmbedder
from faceverify.errors import ImageError, NoDecisionError
from faceverify.evaluation.protocols.benchmark import Benchmark
from faceverify.evaluation.robustness.movement import Movement, movement
from faceverify.evaluation.robustness.selection import select_photos
from faceverify.faces.options import FaceOptions
from faceverify.models.model_file import ModelFile
from faceverify.runtime.parallel import map_ordered
from faceverify.runtime.progress import ShowProgress

PHOTOS_EACH = 10
EDGES = (0.0, 15.0, 30.0, 45.0)  # of the bins, in degrees
FRONTAL = 15.0  # the reference of a person turns no further
NOSE_DEPTH = 0.5  # of its tip before the eyes, in eye distances
YAW_VERSION = 1
"""Raised by one with every change of :func:`yaw_of`."""


def yaw_of(points: ArrayLike) -> float:
    """Yaw of a head by its five points, in degrees: 0 frontal, positive to the right of the photo.

    The nose's tip lies before the plane of the eyes: with the head turned by t, it is seen at
    ``NOSE_DEPTH`` tan(t) eye distances beside their middle. Rough: some five degrees off.

    Args:
        points: left eye, right eye, nose, mouth corners, as seen in the photo, (5, 2).
    """
    left, right, nose = np.asarray(points, float)[:3]
    across = right - left
    beside = float((nose - (left + right) / 2) @ across / max(float(across @ across), 1e-12))
    return math.degrees(math.atan(beside / NOSE_DEPTH))


def yaw_movements(
    benchmark: Benchmark,
    load: Callable[[], FaceEmbedder],
    model: ModelFile,
    options: FaceOptions,
    cache: EmbeddingCache,
    *,
    workers: int | None = None,
    progress: ShowProgress | None = None,
) -> dict[str, Movement]:
    """Movement from the most frontal photo of a person or track, by the yaw of the others.

    Where photos lie in folders of a person's folder, each is a track, in which all but the pose
    stays. A person is looked for among the most frontal photos of all.

    Args:
        benchmark: with identities.
        load: detector and model; called only if something is not in the cache.
        model: the model's file.
        options: the options of ``load``.
        cache: of embeddings.
        workers: threads.
        progress: wraps the stream of photos.

    Returns:
        By the range of yaws, such as "yaw 15 to 30"; nothing for crops, whose points are given.
    """
    if options.aligned is not None:
        return {}
    some = select_photos(benchmark, photos_each=PHOTOS_EACH)
    rows, yaw = _posed(some.photos, load, model, options, cache, workers, progress)
    return movements_by_yaw(rows, yaw, some.identities, tracks_of(some))


def tracks_of(benchmark: Benchmark) -> list[str]:
    """Track of each photo: its folder where that lies below its person's, or else its person."""
    tracks = []
    for name, person in zip(benchmark.names, benchmark.identities, strict=True):
        folder = os.path.dirname(name)
        below = os.path.basename(folder) != person and f"{os.sep}{person}{os.sep}" in f"/{folder}/"
        tracks.append(folder if below else person)
    return tracks


def movements_by_yaw(
    rows: NDArray[np.float32],
    yaw: NDArray[np.float64],
    identities: Sequence[str],
    tracks: Sequence[str],
) -> dict[str, Movement]:
    """Movement from the most frontal photo of each track, by the yaw of the others.

    Args:
        rows: embeddings of N photos, (N, D).
        yaw: in degrees; NaN for a photo without an embedding, (N,).
        identities: of the photos, N.
        tracks: of the photos, N.
    """
    members: dict[tuple[str, str], list[int]] = {}
    for index in np.flatnonzero(~np.isnan(yaw)).tolist():
        members.setdefault((identities[index], tracks[index]), []).append(index)
    reference = [
        min(photos, key=lambda index: (abs(yaw[index]), index)) for photos in members.values()
    ]
    own = np.full(len(yaw), -1)
    for place, photos in enumerate(members.values()):
        own[photos] = place
    frontal = np.abs(yaw[reference]) < FRONTAL
    kept = np.flatnonzero(frontal)
    place_of = np.cumsum(frontal) - 1
    found = {}
    for low, high in zip(EDGES, (*EDGES[1:], math.inf), strict=True):
        turned = (np.abs(yaw) >= low) & (np.abs(yaw) < high)
        turned[reference] = False
        probes = [index for index in np.flatnonzero(turned) if frontal[own[index]]]
        name = f"yaw {low:g} to {high:g}" if high < math.inf else f"yaw {low:g} or more"
        found[name] = movement(
            rows[probes],
            np.ones(len(probes), bool),
            place_of[own[probes]],
            rows[np.array(reference, np.int64)[kept]],
            [identities[reference[place]] for place in kept],
            hidden=False,
        )
    return found


def _posed(
    photos: Sequence[Path | bytes],
    load: Callable[[], FaceEmbedder],
    model: ModelFile,
    options: FaceOptions,
    cache: EmbeddingCache,
    workers: int | None,
    progress: ShowProgress | None,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Embedding and yaw of each photo; NaN for one without a usable face."""
    recipe = json.dumps({"yaw": YAW_VERSION, "faces": recipe_of(model, options)})
    keys = cache.digests(photos)
    known = cache.recall(recipe, keys)
    missing = [index for index, one in enumerate(known) if one is None]
    if missing:
        extractor = load()

        def outcome(index: int) -> Outcome:
            try:
                (face,) = extractor.extract(photos[index])
            except (ImageError, NoDecisionError) as error:
                return failed(error.code)
            return Outcome(np.append(face.embedding, np.float32(yaw_of(face.face.points))))

        stream = map_ordered(outcome, missing, workers=workers)
        if progress is not None:
            stream = iter(progress(stream, "photos, for their yaw", len(missing)))
        for index, found in zip(missing, stream, strict=True):
            known[index] = found
            key = keys[index]
            if key is not None and not found.failure.startswith("image-"):
                cache.remember(recipe, {key: found})
    values = np.full((len(known), model.contract.embedding_size + 1), np.nan, np.float32)
    for row, one in zip(values, known, strict=True):
        if one is not None and not one.failure:
            row[:] = one.embedding
    return np.nan_to_num(values[:, :-1]), values[:, -1].astype(np.float64)
