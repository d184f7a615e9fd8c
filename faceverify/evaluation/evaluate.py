"""Evaluation of one model on one benchmark.

photos -> embeddings (computed, cached or read from a file) -> estimates of a protocol
"""

from __future__ import annotations

from dataclasses import dataclass

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
    point, missing = _point(source, settings, protocol) if protocol.at_threshold else (None, [])
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
    try:
        return source.operating_point(settings.fmr, settings.threshold), []
    except ModelError as error:
        if not protocol.tolerant:
            raise
        return None, [str(error)]
