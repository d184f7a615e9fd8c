"""Protocol ``all``: the full cross-comparison of all photos."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.intervals.bands import BAND_TARGETS, band_at_thresholds
from faceverify.evaluation.intervals.curve_bootstrap import curve_replicates
from faceverify.evaluation.intervals.identity_bootstrap import IdentityBootstrap
from faceverify.evaluation.intervals.identity_folds import folds_of_photos
from faceverify.evaluation.metrics.all_against_all import all_against_all
from faceverify.evaluation.metrics.error_rates import auc
from faceverify.evaluation.protocols.probability import with_probability
from faceverify.evaluation.protocols.protocol import (
    EmbeddedPhotos,
    Measurement,
    Needs,
    Protocol,
    Settings,
)
from faceverify.evaluation.protocols.score_sections import (
    alike_notes,
    calibration_notes,
    curve_section,
    data_section,
    threshold_section,
)
from faceverify.evaluation.protocols.worst import worst_of_all
from faceverify.evaluation.results import Evaluation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceverify.evaluation.protocols.benchmark import Benchmark


def evaluate(benchmark: Benchmark, photos: EmbeddedPhotos, settings: Settings) -> Measurement:
    """Evaluation of the full cross-comparison.

    Args:
        benchmark: with identities.
        photos: embeddings of its photos.
        settings: of the evaluation.
    """
    point, resample = photos.point, settings.replicates > 0
    rows, names, failed = split_enrolled(photos.embeddings, photos.enrolled, benchmark.identities)
    counts = all_against_all(rows, names, failed_identities=failed)
    resampled = IdentityBootstrap(
        rows,
        names,
        failed_identities=failed,
        replicates=max(settings.replicates, 1),
        seed=settings.seed,
    )
    fnmr_at = resampled.fnmr_interval if resample else None
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
        data_section(counts, len(benchmark.identities), len(failed), resampled.num_identities),
        curve_section(counts, curve, fnmr_interval_at=fnmr_at),
    ]
    if point is not None:
        sections.append(
            threshold_section(
                counts,
                point.threshold,
                point.origin,
                resampled.fmr_interval(point.threshold) if resample else None,
                resampled.fnmr_interval(point.threshold) if resample else None,
            )
        )
    found = Evaluation(
        source=benchmark.source,
        protocol="all",
        model=photos.model,
        model_id=photos.model_id,
        sections=tuple(sections),
        notes=(
            *benchmark.notes,
            *photos.notes,
            *alike_notes(auc(counts)),
            *calibration_notes(point),
        ),
        counts=counts,
        threshold=point.threshold if point else None,
    )
    if not settings.report:
        return Measurement(found)
    if fnmr_at is not None:
        found = replace(found, band=band_at_thresholds(counts, BAND_TARGETS, fnmr_at))
    found = with_probability(found, folds_of_photos(rows, names))
    worst = worst_of_all(photos.embeddings, photos.enrolled, benchmark.identities)
    return Measurement(found, worst=worst)


def split_enrolled(
    embeddings: NDArray[np.float32], enrolled: NDArray[np.bool_], identities: Sequence[str]
) -> tuple[NDArray[np.float32], list[str], list[str]]:
    """Embeddings and identities of the enrolled photos, and identities of the failed ones."""
    names = [name for name, ok in zip(identities, enrolled, strict=True) if ok]
    failed = [name for name, ok in zip(identities, enrolled, strict=True) if not ok]
    return embeddings[enrolled], names, failed


PROTOCOL = Protocol(Needs.IDENTITIES, evaluate)
