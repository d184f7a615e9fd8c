"""The whole of a calibration in one function: photos in, a model file with thresholds out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceverify.embeddings.compute import PhotoEmbeddings, failure_notes
from faceverify.embeddings.source import EmbeddingSource, ListedPhotos
from faceverify.errors import OutputError, UsageError
from faceverify.evaluation.calibration.thresholds import thresholds_from_scores
from faceverify.evaluation.intervals.bootstrap import bootstrap, interval
from faceverify.evaluation.intervals.identity_bootstrap import MOST_PEOPLE, PersonBootstrap
from faceverify.evaluation.intervals.identity_folds import folds_of_pairs, folds_of_photos
from faceverify.evaluation.lists.pair_identities import people_of_pairs
from faceverify.evaluation.metrics.all_against_all import all_against_all
from faceverify.evaluation.metrics.pair_distances import pair_distances
from faceverify.evaluation.metrics.scores import ScoreCounts, count_scores
from faceverify.evaluation.metrics.wilson import Interval
from faceverify.evaluation.protocols.all_pairs import split
from faceverify.evaluation.protocols.probability import probability_section
from faceverify.evaluation.protocols.task import Task
from faceverify.evaluation.results import FEWEST_ERRORS, Section
from faceverify.models.model_file import ModelFile
from faceverify.models.registry import bundled_folder, installed, user_folder
from faceverify.runtime.text import printable


@dataclass(frozen=True, eq=False)
class Calibration:
    """A model with its new thresholds.

    Args:
        model: the model file, not yet saved.
        probability: figures of the calibrated probability.
        notes: what a reader should know, one line each.
    """

    model: ModelFile
    probability: Section
    notes: tuple[str, ...]


def calibrated(
    source: EmbeddingSource,
    task: Task,
    fmr_targets: Sequence[float],
    *,
    extrapolate: bool = False,
    replicates: int = 1000,
) -> Calibration:
    """Set a model's thresholds; those it had are replaced.

    Args:
        source: gives the model and its embeddings.
        task: photos of people (every comparison), or a pair list (its comparisons).
        fmr_targets: false match rates, in (0, 1).
        extrapolate: whether a fitted tail may stand in where the data cannot count.
        replicates: of the bootstrap over people; 0 for Wilson's intervals.

    Raises:
        UsageError: a rate that the data cannot support; comparisons of one kind only.
        ModelError: the model cannot be run.
    """
    assert source.model is not None
    photos = source.embed(ListedPhotos(task.photos, task.names))
    lost = int(np.count_nonzero(~photos.enrolled))
    scores = (_of_pairs if task.pairs is not None else _of_people)(task, photos, replicates)

    def interval_at(distance: float) -> Interval | None:
        _, false_matches = scores.counts.matches(distance)
        few = scores.interval_at is None or false_matches < FEWEST_ERRORS
        return None if few or scores.interval_at is None else scores.interval_at(distance)

    over = "people" if scores.interval_at is not None else "comparisons (Wilson)"
    what = "its pairs" if task.pairs is not None else "all against all"
    dataset = (
        f"{printable(Path(task.source).name or task.source)}, {what}: {len(task.photos):,} photos "
        f"of {scores.people:,} people, {lost:,} failed; interval over {over}"
    )
    thresholds = thresholds_from_scores(
        scores.counts, fmr_targets, dataset, interval_at=interval_at, extrapolate=extrapolate
    )
    section, _ = probability_section(scores.counts, scores.folds)
    notes = (*task.notes, *failure_notes(photos))
    return Calibration(source.model.with_thresholds(thresholds), section, notes)


def place_to_save(model: str, file: ModelFile, wanted: Path | None) -> Path:
    """Where a calibrated model goes: the path wanted, or the user's folder under its name.

    A bundled name always means the bundled file, so that a copy of it needs another one.

    Args:
        model: what the user called the model.
        file: the model.
        wanted: a path; None for the user's folder.

    Raises:
        UsageError: that would be a bundled file.
        OutputError: the path's folder is missing.
    """
    if wanted is None:
        names = {one.name: one.bundled for one in installed()}
        name = model if model in names else _file_name(file.provenance.name)
        return user_folder() / f"{name}{'-calibrated' if names.get(name) else ''}.onnx"
    if os.path.dirname(os.path.realpath(wanted)) == os.path.realpath(bundled_folder()):
        raise UsageError(f"{wanted}: bundled weights are never changed", cure="name another path")
    if not wanted.parent.is_dir():
        raise OutputError(f"{wanted.parent}: no such folder", cure="create it first")
    return wanted


@dataclass(frozen=True, eq=False)
class _Scores:
    """The scores, and the FMR's interval over people; None where they cannot be resampled."""

    counts: ScoreCounts
    folds: list[ScoreCounts]
    people: int
    interval_at: Callable[[float], Interval | None] | None


def _of_pairs(task: Task, photos: PhotoEmbeddings, replicates: int) -> _Scores:
    assert task.pairs is not None
    same = task.pairs.same
    distances = pair_distances(photos.embeddings, photos.enrolled, task.first, task.second)
    people = people_of_pairs(task.pairs)

    def interval_at(distance: float) -> Interval | None:
        found = bootstrap(
            distances, same, people.first, people.second,
            fmr_targets=(), threshold=distance, replicates=replicates,
        )  # fmt: skip
        return interval(found.fmr)

    possible = replicates > 0 and people.count > 1
    counts = count_scores(distances, same)
    folds = folds_of_pairs(distances, same, people.first, people.second)
    return _Scores(counts, folds, people.count, interval_at if possible else None)


def _of_people(task: Task, photos: PhotoEmbeddings, replicates: int) -> _Scores:
    rows, names, failed = split(photos.embeddings, photos.enrolled, task.identities)
    counts = all_against_all(rows, names, failed_identities=failed)
    folds = folds_of_photos(rows, names)
    people = len(set(task.identities))
    if not replicates or not 2 <= people <= MOST_PEOPLE:
        return _Scores(counts, folds, people, None)
    resampled = PersonBootstrap(rows, names, failed_identities=failed, replicates=replicates)
    return _Scores(counts, folds, people, resampled.fmr_interval)


def _file_name(name: str) -> str:
    """A model's name as the registry takes it."""
    kept = "".join(
        sign if sign.isascii() and (sign.isalnum() or sign in "._+-") else "-" for sign in name
    )
    return (kept.lstrip("._+-") or "model")[:80]
