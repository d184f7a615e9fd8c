"""Protocol ``retrieval``: Recall@k, mAP and clustering (NMI)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

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
    why = "needs a person with two photos"
    found = retrieval(rows, names, ks=RANKS)
    # A query whose identity has no other enrolled photo is a miss, too.
    searches = sum(count for count in everyone.values() if count > 1)
    share = found.queries / searches if searches else 0.0
    estimates = [
        Estimate("photos", "photos", len(benchmark.identities), "count"),
        Estimate("people", "people", len(everyone), "count"),
        Estimate("queries", "searches (photos whose person has another)", searches, "count"),
        Estimate("failed_queries", "of them without a face: no results", lost, "count"),
    ]
    for k in RANKS:
        value = found.recall[k]
        value = value * share if value is not None else None
        estimates.append(
            Estimate(f"recall_at_{k}", f"Recall@{k}", value, detail="" if searches else why)
        )
    precision = found.mean_average_precision
    precision = precision * share if precision is not None else None
    estimates.append(Estimate("map", "mAP", precision, "number", detail="" if searches else why))
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
        Evaluation(benchmark.source, "retrieval", photos.model, photos.model_id, sections, notes)
    )


PROTOCOL = Protocol(Needs.IDENTITIES, evaluate)
