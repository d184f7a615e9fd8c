"""Protocol ``retrieval``: each photo is searched among all others, and all are clustered."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from faceverify.evaluation.metrics.retrieval import cluster_agreement, retrieval
from faceverify.evaluation.protocols.all_pairs import split
from faceverify.evaluation.protocols.protocol import (
    EmbeddedPhotos,
    Measurement,
    Needs,
    Protocol,
    Settings,
)
from faceverify.evaluation.results import Evaluation, Figure, Section

if TYPE_CHECKING:
    from faceverify.evaluation.protocols.task import Task

RANKS = (1, 5, 10)


def evaluate(task: Task, photos: EmbeddedPhotos, settings: Settings) -> Measurement:
    """Work out Recall@k, mAP and NMI.

    A photo without an embedding, whose person has another photo, is a search that finds nobody.

    Args:
        task: photos of people.
        photos: of the task.
        settings: how to measure.
    """
    rows, names, failed = split(photos.embeddings, photos.enrolled, task.identities)
    everyone = Counter(task.identities)
    lost = sum(everyone[name] > 1 for name in failed)
    why = "needs a person with two photos"
    found = retrieval(rows, names, ks=RANKS)
    # Whoever lost all his other photos can be found by none of his own: a miss, too.
    searches = sum(count for count in everyone.values() if count > 1)
    share = found.queries / searches if searches else 0.0
    figures = [
        Figure("photos", "photos", len(task.identities), "count"),
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
    agreement = cluster_agreement(rows, names, seed=settings.seed) if len(rows) else None
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
    notes = (*task.notes, *photos.notes)
    return Measurement(
        Evaluation(task.source, "retrieval", photos.model, photos.model_id, sections, notes)
    )


PROTOCOL = Protocol(Needs.PEOPLE, evaluate)
