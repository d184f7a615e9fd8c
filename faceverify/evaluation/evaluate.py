"""Evaluation of one model on one benchmark.

photos -> embeddings (computed, cached or read from a file) -> estimates of a protocol
"""

from __future__ import annotations

from dataclasses import dataclass

from faceverify.choices import Distance
from faceverify.embeddings.compute import PhotoEmbeddings, failure_notes
from faceverify.embeddings.source import EmbeddingSource, ListedPhotos
from faceverify.errors import ModelError, UsageError
from faceverify.evaluation.protocols import PROTOCOLS
from faceverify.evaluation.protocols.benchmark import Benchmark
from faceverify.evaluation.protocols.protocol import (
    EmbeddedPhotos,
    Measurement,
    Protocol,
    Settings,
)
from faceverify.evaluation.protocols.template_benchmark import TemplateBenchmark
from faceverify.matching.operating_point import OperatingPoint

OTHER_DISTANCE = {
    Distance.EUCLIDEAN: "Euclidean distance: of embeddings of length 1 it is sqrt(2 x cosine "
    "distance) and orders every pair alike; the model's thresholds are cosine distances, and are "
    "not used",
    Distance.MANHATTAN: "Manhattan distance: it orders pairs otherwise than the cosine, for which "
    "the model was trained; its thresholds are cosine distances, and are not used",
}


@dataclass(frozen=True, eq=False)
class Measured:
    """One evaluated model.

    Args:
        measurement: the evaluation.
        photos: the embeddings it rests on.
    """

    measurement: Measurement
    photos: PhotoEmbeddings


def measure(
    benchmark: Benchmark | TemplateBenchmark, source: EmbeddingSource, settings: Settings
) -> Measured:
    """Evaluate one model on a benchmark, by the protocol of the benchmark.

    Args:
        benchmark: photos and comparisons.
        source: of the embeddings.
        settings: of the evaluation.

    Raises:
        UsageError: the benchmark or the settings do not fit the model.
        ModelError: the model cannot be run.
        PairListError: the benchmark holds no comparison.
    """
    protocol = PROTOCOLS[benchmark.protocol]
    settings.options.require_used_by(benchmark.protocol)
    point, missing = _point(source, settings, protocol)
    if point is None and benchmark.protocol == "fixed":
        raise UsageError(
            f"{source.name}: found no calibrated threshold, which protocol fixed measures",
            cure="give --threshold, or run `faceverify calibrate`",
        )
    photos = source.embed(ListedPhotos(benchmark.photos, benchmark.names))
    notes = (*failure_notes(photos), *missing)
    embedded = EmbeddedPhotos(
        photos.embeddings, photos.enrolled, source.name, source.model_id, point, notes
    )
    return Measured(protocol.evaluate(benchmark, embedded, settings), photos)


def _point(
    source: EmbeddingSource, settings: Settings, protocol: Protocol
) -> tuple[OperatingPoint | None, list[str]]:
    """The model's operating point; for tolerant protocols, None and a note where it has none."""
    distance = settings.options.distance
    if distance is not Distance.COSINE:
        if settings.threshold is not None:
            raise UsageError(
                f"--threshold is a cosine distance, not a {distance.value} one",
                cure="leave out --threshold or --distance",
            )
        return None, [OTHER_DISTANCE[distance]]
    try:
        return source.operating_point(settings.fmr, settings.threshold), []
    except ModelError as error:
        if not protocol.tolerant:
            raise
        return None, [str(error)]
