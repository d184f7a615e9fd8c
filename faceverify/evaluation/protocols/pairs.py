"""Protocols ``10fold`` and ``fixed``: verification (1:1) on the pairs of a list."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.intervals.bands import BAND_TARGETS, band_of_replicates
from faceverify.evaluation.intervals.bootstrap import Replicates, bootstrap, interval
from faceverify.evaluation.intervals.identity_folds import folds_of_pairs
from faceverify.evaluation.lists.pair_identities import identities_of_pairs
from faceverify.evaluation.lists.pair_list import PairList, folds_by_position
from faceverify.evaluation.metrics.error_rates import FMR_TARGETS
from faceverify.evaluation.metrics.fold_accuracy import correct_decisions, folded_accuracy
from faceverify.evaluation.metrics.pair_distances import pair_distances
from faceverify.evaluation.metrics.scores import count_scores
from faceverify.evaluation.protocols.group_rates import group_section
from faceverify.evaluation.protocols.probability import with_probability
from faceverify.evaluation.protocols.protocol import (
    EmbeddedPhotos,
    Measurement,
    Needs,
    Protocol,
    Settings,
)
from faceverify.evaluation.protocols.reference_protocols import reference_section
from faceverify.evaluation.protocols.score_sections import (
    ONE_KIND,
    calibration_notes,
    curve_section,
    data_section,
    replicates_by_key,
    threshold_section,
)
from faceverify.evaluation.protocols.worst import worst_pairs
from faceverify.evaluation.results import Estimate, Evaluation, Section, rate_estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceverify.evaluation.protocols.benchmark import Benchmark
    from faceverify.matching.operating_point import OperatingPoint

FOLDS = 10


def evaluate(benchmark: Benchmark, photos: EmbeddedPhotos, settings: Settings) -> Measurement:
    """Evaluation of a benchmark of pairs.

    Args:
        benchmark: with pairs; its protocol is "10fold" or "fixed".
        photos: embeddings of its photos.
        settings: of the evaluation.

    Raises:
        UsageError: invalid scores.
    """
    assert benchmark.pairs is not None
    same = benchmark.pairs.same
    distances = pair_distances(
        photos.embeddings,
        photos.enrolled,
        benchmark.first,
        benchmark.second,
        settings.options.distance,
    )
    found, replicates = evaluate_pairs(
        PairScores(benchmark.pairs, distances, len(photos.enrolled), photos.failures),
        photos.model,
        photos.model_id,
        protocol=benchmark.protocol,
        point=photos.point,
        groups=benchmark.groups,
        replicates=settings.replicates,
        seed=settings.seed,
        fmr_targets=BAND_TARGETS if settings.report else FMR_TARGETS,
    )
    sections = found.sections
    if settings.reference is not None:
        rows = photos.embeddings[benchmark.first], photos.embeddings[benchmark.second]
        sections = (*sections, reference_section(settings.reference, *rows, same, photos.failures))
    found = replace(
        found,
        sections=sections,
        notes=(*found.notes, *photos.notes),
        distance=settings.options.distance,
    )
    if not settings.report:
        return Measurement(found, replicates_by_key(replicates))
    people = identities_of_pairs(benchmark.pairs)
    folds = folds_of_pairs(distances, same, people.first, people.second)
    found = with_probability(replace(found, band=band_of_replicates(replicates)), folds)
    worst = worst_pairs(distances, same, benchmark.first, benchmark.second)
    return Measurement(found, replicates_by_key(replicates), worst)


@dataclass(frozen=True, eq=False)
class PairScores:
    """A pair list with its scores.

    Args:
        pairs: N pairs.
        distances: (N,); ``inf`` where a photo has no embedding.
        photos: number of photos in the list.
        failures: number of photos without an embedding.
    """

    pairs: PairList
    distances: NDArray[np.float64]
    photos: int
    failures: int


def evaluate_pairs(
    scores: PairScores,
    model: str,
    model_id: str,
    *,
    protocol: str,
    point: OperatingPoint | None = None,
    groups: Sequence[str] | None = None,
    replicates: int = 1000,
    seed: int = 0,
    fmr_targets: Sequence[float] = FMR_TARGETS,
) -> tuple[Evaluation, Replicates | None]:
    """Evaluation of scored pairs.

    Args:
        scores: the pairs and their distances.
        model: name of the model.
        model_id: its id.
        protocol: "10fold" (threshold of a fold chosen on the others) or "fixed".
        point: the model's operating point; None without one.
        groups: of each pair, N; None without rates by group.
        replicates: of the bootstrap over identities; 0 for Wilson's intervals alone.
        seed: of the bootstrap.
        fmr_targets: of the TMR replicates.

    Returns:
        The evaluation, and its bootstrap replicates; None without any.

    Raises:
        UsageError: invalid scores, or protocol "fixed" without a threshold.
    """
    pairs, distances = scores.pairs, scores.distances
    counts = count_scores(distances, pairs.same)
    notes = pairs.notes + calibration_notes(point)
    accuracy, correct, fold_note = None, None, ""
    if protocol == "10fold":
        accuracy, correct, fold_note = _folded(pairs, distances)
    elif point is not None:
        correct = correct_decisions(distances, pairs.same, point.threshold)
    people = identities_of_pairs(pairs)
    resampled = None
    if replicates and people.num_identities >= 2:
        resampled = bootstrap(
            distances, pairs.same, people.first, people.second,
            fmr_targets=fmr_targets, threshold=point.threshold if point else None,
            correct=correct, replicates=replicates, seed=seed,
        )  # fmt: skip
        notes += [people.note] if people.note else []
    elif replicates:
        notes.append("one person: intervals over identities are n/a, Wilson's stand in")
    known = people.num_identities if pairs.first_identity else None
    sections = [data_section(counts, scores.photos, scores.failures, known)]
    right_interval = interval(resampled.accuracy) if resampled else None
    if accuracy is not None:
        shown = replace(accuracy, interval=right_interval, method="identities")
        sections.append(Section("folds", "Threshold chosen on the other folds", (shown,)))
    sections.append(curve_section(counts, resampled))
    if point is not None:
        right = correct_decisions(distances, pairs.same, point.threshold)
        sections.append(
            threshold_section(
                counts,
                point.threshold,
                point.origin,
                interval(resampled.fmr) if resampled else None,
                interval(resampled.fnmr) if resampled else None,
                rate_estimate(
                    "accuracy",
                    "accuracy",
                    int(right.sum()),
                    len(right),
                    over_identities=right_interval if protocol == "fixed" else None,
                ),
            )
        )
    if groups is not None:
        common, where = _common_threshold(sections, point)
        sections.append(group_section(distances, pairs.same, groups, common, where))
    notes += [fold_note] if fold_note else []
    evaluation = Evaluation(
        pairs.source, protocol, model, model_id, tuple(sections), tuple(notes), counts,
        point.threshold if point else None,
    )  # fmt: skip
    return evaluation, resampled


def _folded(
    pairs: PairList, distances: NDArray[np.float64]
) -> tuple[Estimate, NDArray[np.bool_] | None, str]:
    """Accuracy over the official folds, or over ten folds by position where there are none."""
    fold, note = pairs.fold, ""
    if fold is None:
        fold = folds_by_position(pairs.same, FOLDS)
        note = f"the list has no folds: {FOLDS} by position"
    name = "accuracy, mean of folds"
    if len(np.unique(fold)) < 2:
        return Estimate("accuracy", name, None, detail="needs at least 2 folds"), None, ""
    result = folded_accuracy(distances, pairs.same, fold)
    if result is None:
        return Estimate("accuracy", name, None, detail=ONE_KIND), None, note
    thresholds = [one.threshold for one in result.folds]
    return (
        Estimate(
            "accuracy",
            name,
            result.accuracy,
            detail=f"SE {100 * result.standard_error:.3f}, SD "
            f"{100 * result.standard_deviation:.3f} points over {len(result.folds)} folds; "
            f"thresholds {min(thresholds):.6f} to {max(thresholds):.6f}",
            extra={
                "standard_error": result.standard_error,
                "standard_deviation": result.standard_deviation,
                "folds": [vars(one) for one in result.folds],
            },
        ),
        result.correct,
        note,
    )


def _common_threshold(
    sections: list[Section], point: OperatingPoint | None
) -> tuple[float | None, str]:
    """The common threshold of all groups: the operating point, or else the threshold of the EER."""
    if point is not None:
        return point.threshold, point.origin
    for section in sections:
        for estimate in section.estimates:
            if estimate.key == "eer" and estimate.extra.get("threshold") is not None:
                return estimate.extra["threshold"], "where FMR = FNMR over all groups"
    return None, ""


TEN_FOLD = Protocol(Needs.PAIRS, evaluate)
FIXED = Protocol(Needs.PAIRS, evaluate, tolerant=False)
