"""Protocol ``retrieval``: Recall@k, mAP, R-precision, mAP@R and clustering (NMI)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.intervals.bootstrap import interval
from faceverify.evaluation.intervals.identity_mean import mean_replicates, share_estimate
from faceverify.evaluation.metrics.retrieval import cluster_agreement, retrieval
from faceverify.evaluation.protocols.all_pairs import split_enrolled
from faceverify.evaluation.protocols.protocol import (
    EmbeddedPhotos,
    Measurement,
    Needs,
    Protocol,
    Settings,
)
from faceverify.evaluation.results import Estimate, Evaluation, Section

if TYPE_CHECKING:
    from faceverify.evaluation.protocols.benchmark import Benchmark

RANKS = (1, 5, 10)
NO_SEARCH = "needs a person with two photos"


def evaluate(benchmark: Benchmark, photos: EmbeddedPhotos, settings: Settings) -> Measurement:
    """Evaluation of retrieval.

    A photo without an embedding, whose identity has another photo, is a query without results.

    Args:
        benchmark: with identities.
        photos: embeddings of its photos.
        settings: of the evaluation.
    """
    rows, names, failed = split_enrolled(photos.embeddings, photos.enrolled, benchmark.identities)
    everyone = Counter(benchmark.identities)
    lost = sum(everyone[name] > 1 for name in failed)
    found = retrieval(rows, names, distance=settings.options.distance)
    # A query whose identity has no other enrolled photo is a miss, too.
    who = [names[index] for index in found.query]
    missed = Counter({name: count for name, count in everyone.items() if count > 1})
    missed.subtract(who)
    who += missed.elements()
    resampled = {"replicates": settings.replicates, "seed": settings.seed}
    estimates = [
        Estimate("photos", "photos", len(benchmark.identities), "count"),
        Estimate("people", "people", len(everyone), "count"),
        Estimate("queries", "searches (photos whose person has another)", len(who), "count"),
        Estimate("failed_queries", "of them without a face: no results", lost, "count"),
    ]

    def of_all(values: NDArray[np.generic]) -> NDArray[np.float64]:
        return np.append(values, np.zeros(len(who) - len(values))).astype(np.float64)

    replicates = {}
    for k in RANKS:
        right = of_all(found.found_within(k)).astype(bool)
        key = f"recall_at_{k}"
        replicates[key] = mean_replicates(right, who, **resampled)
        found_within = share_estimate(key, f"Recall@{k}", right, replicates[key], why=NO_SEARCH)
        estimates.append(found_within)
    for key, name, each in (
        ("map", "mAP", found.average_precision),
        ("r_precision", "R-precision", found.r_precision),
        ("map_at_r", "mAP@R", found.average_precision_at_r),
    ):
        values = of_all(each)
        replicates[key] = mean_replicates(values, who, **resampled)
        estimates.append(
            Estimate(
                key,
                name,
                float(values.mean()) if len(who) else None,
                "number",
                interval(replicates[key]),
                "identities",
                "" if len(who) else NO_SEARCH,
            )
        )
    agreement = cluster_agreement(rows, names, seed=settings.seed) if len(rows) else None
    estimates.append(
        Estimate(
            "nmi",
            "NMI of clusters and people (k-means)",
            agreement,
            "number",
            detail="" if agreement is not None else "needs two people",
        )
    )
    sections = (Section("retrieval", "Retrieval", tuple(estimates)),)
    notes = (*benchmark.notes, *photos.notes)
    return Measurement(
        Evaluation(
            benchmark.source, "retrieval", photos.model, photos.model_id, sections, notes,
            distance=settings.options.distance,
        ),
        replicates,
    )  # fmt: skip


PROTOCOL = Protocol(Needs.IDENTITIES, evaluate)
