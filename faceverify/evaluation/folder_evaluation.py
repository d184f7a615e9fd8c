"""Evaluate photos of people: protocols ``all`` (all against all) and ``retrieval``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.all_against_all import all_against_all
from faceverify.evaluation.curve_bootstrap import curve_replicates
from faceverify.evaluation.figures import Evaluation, Figure, Section
from faceverify.evaluation.pair_evaluation import calibration_notes
from faceverify.evaluation.person_bootstrap import PersonBootstrap
from faceverify.evaluation.report.bands import band_at_thresholds
from faceverify.evaluation.retrieval import cluster_agreement, retrieval
from faceverify.evaluation.score_figures import curve_section, data_section, threshold_section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceverify.matching.operating_point import OperatingPoint

RANKS = (1, 5, 10)


def evaluate_all(
    source: str,
    embeddings: NDArray[np.float32],
    enrolled: NDArray[np.bool_],
    identities: Sequence[str],
    model: str,
    model_id: str,
    *,
    point: OperatingPoint | None = None,
    notes: Sequence[str] = (),
    replicates: int = 1000,
    seed: int = 0,
    band_targets: Sequence[float] = (),
) -> Evaluation:
    """Compare every photo with every other and work out every figure.

    Args:
        source: the folder or list.
        embeddings: of length 1; rows of photos without one are not looked at, (N, D).
        enrolled: which photos have one, (N,).
        identities: who is on each, N.
        model: its name.
        model_id: its id.
        point: the model's own threshold; None where it has none.
        notes: what is known of the photos.
        replicates: of the bootstrap over identities; 0 leaves it out.
        seed: of its draws.
        band_targets: FMRs at which the interval band of the ROC is worked out.
    """
    notes = (*notes, *calibration_notes(point))
    rows, names, failed = split(embeddings, enrolled, identities)
    counts = all_against_all(rows, names, failed_identities=failed)
    people = PersonBootstrap(
        rows, names, failed_identities=failed, replicates=max(replicates, 1), seed=seed
    )
    fnmr_at = people.fnmr_interval if replicates else None
    curve = (
        curve_replicates(
            rows, names, counts, failed_identities=failed, replicates=replicates, seed=seed
        )
        if replicates
        else None
    )
    sections = [
        data_section(counts, len(identities), len(failed), people.people),
        curve_section(counts, curve, fnmr_interval_at=fnmr_at),
    ]
    if point is not None:
        sections.append(
            threshold_section(
                counts,
                point.threshold,
                point.origin,
                people.fmr_interval(point.threshold) if replicates else None,
                people.fnmr_interval(point.threshold) if replicates else None,
            )
        )
    return Evaluation(
        source, "all", model, model_id, tuple(sections), tuple(notes), counts,
        point.threshold if point else None,
        band_at_thresholds(counts, band_targets, fnmr_at) if fnmr_at else (),
    )  # fmt: skip


def evaluate_retrieval(
    source: str,
    embeddings: NDArray[np.float32],
    enrolled: NDArray[np.bool_],
    identities: Sequence[str],
    model: str,
    model_id: str,
    *,
    notes: Sequence[str] = (),
    seed: int = 0,
) -> Evaluation:
    """Search each photo among all others, and cluster them.

    A photo without an embedding, whose person has another photo, is a search that finds nobody.

    Args: as :func:`evaluate_all`.
    """
    rows, names, failed = split(embeddings, enrolled, identities)
    everyone = Counter(identities)
    lost = sum(everyone[name] > 1 for name in failed)
    why = "needs a person with two photos"
    found = retrieval(rows, names, ks=RANKS)
    # Whoever lost all his other photos can be found by none of his own: a miss, too.
    searches = sum(count for count in everyone.values() if count > 1)
    share = found.queries / searches if searches else 0.0
    figures = [
        Figure("photos", "photos", len(identities), "count"),
        Figure("people", "people", len(everyone), "count"),
        Figure("queries", "searches (photos whose person has another)", searches, "count"),
        Figure("failed_queries", "of them without a face: they find nobody", lost, "count"),
    ]
    for k in RANKS:
        value = found.recall[k]
        value = value * share if value is not None else None
        figures.append(
            Figure(f"recall_at_{k}", f"Recall@{k}", value, detail="" if searches else why)
        )
    precision = found.mean_average_precision
    precision = precision * share if precision is not None else None
    figures.append(Figure("map", "mAP", precision, "number", detail="" if searches else why))
    agreement = cluster_agreement(rows, names, seed=seed) if len(rows) else None
    figures.append(
        Figure(
            "nmi",
            "NMI of clusters and people (k-means)",
            agreement,
            "number",
            detail="" if agreement is not None else "needs two people",
        )
    )
    sections = (Section("retrieval", "Retrieval", tuple(figures)),)
    return Evaluation(source, "retrieval", model, model_id, sections, tuple(notes))


def split(
    embeddings: NDArray[np.float32], enrolled: NDArray[np.bool_], identities: Sequence[str]
) -> tuple[NDArray[np.float32], list[str], list[str]]:
    """Part the photos with an embedding, and their people, from the people of those without."""
    names = [name for name, ok in zip(identities, enrolled, strict=True) if ok]
    failed = [name for name, ok in zip(identities, enrolled, strict=True) if not ok]
    return embeddings[enrolled], names, failed
