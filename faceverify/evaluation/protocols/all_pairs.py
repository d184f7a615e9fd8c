"""Protocol ``all``: every photo against every other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.intervals.bands import BAND_TARGETS, band_at_thresholds
from faceverify.evaluation.intervals.curve_bootstrap import curve_replicates
from faceverify.evaluation.intervals.identity_bootstrap import PersonBootstrap
from faceverify.evaluation.intervals.identity_folds import folds_of_photos
from faceverify.evaluation.metrics.all_against_all import all_against_all
from faceverify.evaluation.protocols.probability import with_probability
from faceverify.evaluation.protocols.protocol import (
    EmbeddedPhotos,
    Measurement,
    Needs,
    Protocol,
    Settings,
)
from faceverify.evaluation.protocols.score_sections import (
    calibration_notes,
    curve_section,
    data_section,
    threshold_section,
)
from faceverify.evaluation.protocols.worst import worst_of_all
from faceverify.evaluation.results import Evaluation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceverify.evaluation.protocols.task import Task


def evaluate(task: Task, photos: EmbeddedPhotos, settings: Settings) -> Measurement:
    """Compare every photo with every later one and work out every figure.

    Args:
        task: photos of people.
        photos: of the task.
        settings: how to measure.
    """
    point, resample = photos.point, settings.replicates > 0
    rows, names, failed = split(photos.embeddings, photos.enrolled, task.identities)
    counts = all_against_all(rows, names, failed_identities=failed)
    people = PersonBootstrap(
        rows,
        names,
        failed_identities=failed,
        replicates=max(settings.replicates, 1),
        seed=settings.seed,
    )
    fnmr_at = people.fnmr_interval if resample else None
    curve = None
    if resample:
        curve = curve_replicates(
            rows,
            names,
            counts,
            failed_identities=failed,
            replicates=settings.replicates,
            seed=settings.seed,
        )
    sections = [
        data_section(counts, len(task.identities), len(failed), people.people),
        curve_section(counts, curve, fnmr_interval_at=fnmr_at),
    ]
    if point is not None:
        sections.append(
            threshold_section(
                counts,
                point.threshold,
                point.origin,
                people.fmr_interval(point.threshold) if resample else None,
                people.fnmr_interval(point.threshold) if resample else None,
            )
        )
    found = Evaluation(
        source=task.source,
        protocol="all",
        model=photos.model,
        model_id=photos.model_id,
        sections=tuple(sections),
        notes=(*task.notes, *photos.notes, *calibration_notes(point)),
        counts=counts,
        threshold=point.threshold if point else None,
    )
    if not settings.report:
        return Measurement(found)
    if fnmr_at is not None:
        found = replace(found, band=band_at_thresholds(counts, BAND_TARGETS, fnmr_at))
    found = with_probability(found, folds_of_photos(rows, names))
    worst = worst_of_all(photos.embeddings, photos.enrolled, task.identities)
    return Measurement(found, worst=worst)


def split(
    embeddings: NDArray[np.float32], enrolled: NDArray[np.bool_], identities: Sequence[str]
) -> tuple[NDArray[np.float32], list[str], list[str]]:
    """Part the photos with an embedding, and their people, from the people of those without."""
    names = [name for name, ok in zip(identities, enrolled, strict=True) if ok]
    failed = [name for name, ok in zip(identities, enrolled, strict=True) if not ok]
    return embeddings[enrolled], names, failed


PROTOCOL = Protocol(Needs.PEOPLE, evaluate)
