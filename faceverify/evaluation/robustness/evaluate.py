"""Evaluation of one model on degraded photos: benchmark -> photos -> faces -> estimates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from faceverify.embeddings.cache import EmbeddingCache
from faceverify.embeddings.extractor import FaceEmbedder
from faceverify.evaluation.degradation import DEGRADATIONS
from faceverify.evaluation.protocols.benchmark import Benchmark
from faceverify.evaluation.results import Evaluation
from faceverify.evaluation.robustness.discard import discard_curves
from faceverify.evaluation.robustness.faces import cells_of, degraded_faces
from faceverify.evaluation.robustness.measure import Robustness, measure_robustness
from faceverify.evaluation.robustness.sections import robustness_evaluation
from faceverify.faces.options import FaceOptions
from faceverify.matching.operating_point import DEFAULT_FMR
from faceverify.models.registry import load_model
from faceverify.runtime.progress import ShowProgress


def evaluate_robustness(
    benchmark: Benchmark,
    model: str,
    options: FaceOptions,
    cache: EmbeddingCache,
    *,
    kinds: Sequence[str] = tuple(DEGRADATIONS),
    fmr: float = DEFAULT_FMR,
    threshold: float | None = None,
    replicates: int = 1000,
    workers: int | None = None,
    progress: ShowProgress | None = None,
) -> tuple[Robustness, Evaluation]:
    """The measurement, and the same as an evaluation with error-versus-discard curves.

    Args:
        benchmark: photos with identities, already selected.
        model: a model file, or the name of an installed one.
        options: of face detection, selection and cropping; ``min_quality`` refuses.
        cache: of embeddings.
        kinds: of degradation.
        fmr: of the model's threshold.
        threshold: cosine distance instead.
        replicates: of the bootstrap over identities; 0 for Wilson's intervals.
        workers: threads.
        progress: wraps the stream of photos.

    Raises:
        ModelError: the model cannot be run, or has no such threshold.
        UsageError: an unknown kind, or options that select all faces.
    """
    file = load_model(model)
    point = file.operating_point(fmr, threshold)
    faces = degraded_faces(
        benchmark.photos,
        cells_of(kinds),
        partial(FaceEmbedder.load, model, options),
        file,
        options,
        cache,
        workers=workers,
        progress=progress,
    )
    found = measure_robustness(
        benchmark, faces, point, calibration=file.calibration, replicates=replicates
    )
    discards = discard_curves(faces, benchmark.identities, point.threshold)
    return found, robustness_evaluation(found, discards)
