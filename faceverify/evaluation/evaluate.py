"""The whole of an evaluation in one function: a task and a source of embeddings in, figures out.

photos -> embeddings (cached, or read) -> a protocol's figures with intervals
"""

from __future__ import annotations

from dataclasses import dataclass

from faceverify.embeddings.compute import PhotoEmbeddings, failure_notes
from faceverify.embeddings.source import EmbeddingSource, ListedPhotos
from faceverify.errors import ModelError, UsageError
from faceverify.evaluation.protocols import PROTOCOLS
from faceverify.evaluation.protocols.protocol import (
    EmbeddedPhotos,
    Measurement,
    Protocol,
    Settings,
)
from faceverify.evaluation.protocols.task import Task
from faceverify.evaluation.protocols.template_task import TemplateTask
from faceverify.matching.operating_point import OperatingPoint


@dataclass(frozen=True, eq=False)
class Measured:
    """One model, measured.

    Args:
        measurement: the figures.
        photos: the embeddings.
    """

    measurement: Measurement
    photos: PhotoEmbeddings


def measure(task: Task | TemplateTask, source: EmbeddingSource, settings: Settings) -> Measured:
    """Evaluate one model.

    Args:
        task: what is compared.
        source: gives the embeddings.
        settings: how to measure.

    Raises:
        UsageError: the task or settings make no sense for this model.
        ModelError: the model cannot be run.
        PairListError: there is nothing to measure.
    """
    protocol = PROTOCOLS[task.protocol]
    point, missing = _point(source, settings, protocol)
    if point is None and task.protocol == "fixed":
        raise UsageError(
            f"{source.name}: found no calibrated threshold, which protocol fixed measures",
            cure="give --threshold, or run `faceverify calibrate`",
        )
    photos = source.embed(ListedPhotos(task.photos, task.names))
    notes = (*failure_notes(photos), *missing)
    embedded = EmbeddedPhotos(
        photos.embeddings, photos.enrolled, source.name, source.model_id, point, notes
    )
    return Measured(protocol.evaluate(task, embedded, settings), photos)


def _point(
    source: EmbeddingSource, settings: Settings, protocol: Protocol
) -> tuple[OperatingPoint | None, list[str]]:
    """The threshold to measure at; where the protocol can do without, a note that there is none."""
    try:
        return source.operating_point(settings.fmr, settings.threshold), []
    except ModelError as error:
        if not protocol.tolerant:
            raise
        return None, [str(error)]
