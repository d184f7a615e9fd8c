"""The whole of an evaluation in one function: a task and a source of embeddings in, figures out.

photos -> embeddings (cached, or read) -> distances -> figures with intervals
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from faceverify.embedding_sources import EmbeddingSource, ListedPhotos
from faceverify.errors import ModelError, UsageError
from faceverify.evaluation import compat
from faceverify.evaluation.bootstrap import Replicates
from faceverify.evaluation.figures import Evaluation, Figure, Section
from faceverify.evaluation.folder_evaluation import evaluate_all, evaluate_retrieval, split
from faceverify.evaluation.metrics import FMR_TARGETS
from faceverify.evaluation.pair_distances import pair_distances
from faceverify.evaluation.pair_evaluation import PairScores, evaluate_pairs
from faceverify.evaluation.pair_people import people_of_pairs
from faceverify.evaluation.people_folds import folds_of_pairs, folds_of_photos
from faceverify.evaluation.probability import probability_section
from faceverify.evaluation.report.bands import BAND_TARGETS, band_of_replicates
from faceverify.evaluation.report.worst import Worst, worst_of_all, worst_pairs
from faceverify.evaluation.scores import ScoreCounts
from faceverify.evaluation.tasks import Task
from faceverify.matching.operating_point import OperatingPoint
from faceverify.photo_embeddings import PhotoEmbeddings, failure_notes

COMPAT = {"insightface": compat.insightface, "facenet": compat.facenet}


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Args:
        fmr: the false match rate whose threshold, of the model's own, is measured.
        threshold: a distance instead.
        compat: "insightface" or "facenet", to print their figures too; None for neither.
        replicates: of the bootstrap over identities; 0 leaves it out.
        seed: of its draws.
        report: whether plots will be drawn: works out interval bands and the probability.
    """

    fmr: float = 1e-3
    threshold: float | None = None
    compat: str | None = None
    replicates: int = 1000
    seed: int = 0
    report: bool = False


@dataclass(frozen=True, eq=False)
class Measured:
    """One model, measured.

    Args:
        evaluation: the figures.
        replicates: behind their intervals; None where there are none.
        photos: the embeddings.
        distances: of the task's pairs, (N,); None where it has none.
    """

    evaluation: Evaluation
    replicates: Replicates | None
    photos: PhotoEmbeddings
    distances: NDArray[np.float64] | None


def measure(
    task: Task,
    source: EmbeddingSource,
    settings: Settings,
    *,
    groups: Sequence[str] | None = None,
) -> Measured:
    """Evaluate one model.

    Args:
        task: what is compared.
        source: gives the embeddings.
        settings: how to measure.
        groups: of each pair, N.

    Raises:
        UsageError: the task or settings make no sense for this model.
        ModelError: the model cannot be run.
        PairListError: there is nothing to measure.
    """
    point, missing = _point(source, settings, task.protocol)
    if point is None and task.protocol == "fixed":
        raise UsageError(
            f"{source.name}: found no calibrated threshold, which protocol fixed measures",
            cure="give --threshold, or run `faceverify calibrate`",
        )
    photos = source.embed(ListedPhotos(task.photos, task.names))
    if task.pairs is not None:
        return _measure_pairs(task, source, settings, point, photos, groups, missing)
    if groups is not None:
        raise UsageError(f"groups are told for pairs, not for protocol {task.protocol}")
    notes = (*task.notes, *failure_notes(photos), *missing)
    about = (
        task.source, photos.embeddings, photos.enrolled, task.identities, source.name,
        source.model_id,
    )  # fmt: skip
    if task.protocol == "retrieval":
        found = evaluate_retrieval(*about, notes=notes, seed=settings.seed)
    else:
        found = evaluate_all(
            *about, point=point, notes=notes, replicates=settings.replicates, seed=settings.seed,
            band_targets=BAND_TARGETS if settings.report else (),
        )  # fmt: skip
        if settings.report:
            rows, names, _ = split(photos.embeddings, photos.enrolled, task.identities)
            found = with_probability(found, folds_of_photos(rows, names))
    return Measured(found, None, photos, None)


def _point(
    source: EmbeddingSource, settings: Settings, protocol: str
) -> tuple[OperatingPoint | None, list[str]]:
    """The threshold to measure at; where the protocol can do without, a note that there is none."""
    try:
        return source.operating_point(settings.fmr, settings.threshold), []
    except ModelError as error:
        if protocol == "fixed":
            raise
        return None, [str(error)]


def _measure_pairs(
    task: Task,
    source: EmbeddingSource,
    settings: Settings,
    point: OperatingPoint | None,
    photos: PhotoEmbeddings,
    groups: Sequence[str] | None,
    missing: Sequence[str],
) -> Measured:
    assert task.pairs is not None
    enrolled = photos.enrolled
    distances = pair_distances(photos.embeddings, enrolled, task.first, task.second)
    scores = PairScores(task.pairs, distances, len(enrolled), int(np.count_nonzero(~enrolled)))
    found, replicates = evaluate_pairs(
        scores, source.name, source.model_id,
        protocol=task.protocol, point=point, groups=groups,
        replicates=settings.replicates, seed=settings.seed,
        fmr_targets=BAND_TARGETS if settings.report else FMR_TARGETS,
    )  # fmt: skip
    sections = found.sections
    if settings.compat is not None:
        sections = (*sections, compat_section(settings.compat, task, photos))
    notes = (*found.notes, *failure_notes(photos), *missing)
    found = replace(found, sections=sections, notes=notes)
    if settings.report:
        people = people_of_pairs(task.pairs)
        folds = folds_of_pairs(distances, task.pairs.same, people.first, people.second)
        found = with_probability(replace(found, band=band_of_replicates(replicates)), folds)
    return Measured(found, replicates, photos, distances)


def with_probability(found: Evaluation, folds: Sequence[ScoreCounts]) -> Evaluation:
    """Add the calibrated probability of the scores, measured over folds of people too."""
    assert found.counts is not None
    section, how_reliable = probability_section(found.counts, folds)
    return replace(found, sections=(*found.sections, section), reliability=how_reliable)


def worst_errors(task: Task, measured: Measured) -> Worst | None:
    """The pairs that a model gets most wrong; None for a protocol that compares none."""
    if task.pairs is not None and measured.distances is not None:
        return worst_pairs(measured.distances, task.pairs.same, task.first, task.second)
    if task.protocol == "all":
        photos = measured.photos
        return worst_of_all(photos.embeddings, photos.enrolled, task.identities)
    return None


def compat_section(name: str, task: Task, photos: PhotoEmbeddings) -> Section:
    """The figures that the usual scripts print, on the same embeddings.

    Args:
        name: "insightface" or "facenet".
        task: its pairs.
        photos: its embeddings.
    """
    assert task.pairs is not None
    key, title = f"compat_{name}", f"As the scripts of {name} print it"
    missing = int(np.count_nonzero(~photos.enrolled))
    if missing:
        why = f"the scripts need a face in every photo, {missing} have none"
        return Section(key, title, (Figure("accuracy", "accuracy", None, detail=why),))
    rows = photos.embeddings
    usual = COMPAT[name](rows[task.first], rows[task.second], task.pairs.same)
    why = "a fold lacks one kind of pair"
    val = None if usual.val is None else f"+- {usual.val_std:.5f} at FAR {usual.far:.5f}"
    return Section(
        key,
        title,
        (
            Figure(
                "accuracy",
                "accuracy",
                usual.accuracy,
                detail=f"+- {usual.accuracy_std:.5f} (population SD)",
                extra={"population_standard_deviation": usual.accuracy_std},
            ),
            Figure(
                "val",
                "validation rate at FAR 0.001",
                usual.val,
                detail=val or why,
                extra={"population_standard_deviation": usual.val_std, "far": usual.far},
            ),
            Figure("auc", "AUC of the mean ROC", usual.auc, "number", detail="" if val else why),
            Figure("eer", "EER of the mean ROC", usual.eer, detail="" if val else why),
        ),
    )
