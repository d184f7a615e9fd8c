"""Calibration of a model: thresholds for target FMRs, stored in a copy of the model file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from faceverify.embeddings.compute import PhotoEmbeddings, failure_notes
from faceverify.embeddings.source import EmbeddingSource, ListedPhotos
from faceverify.errors import OutputError, UsageError
from faceverify.evaluation.calibration.thresholds import (
    Unreachable,
    supported_targets,
    thresholds_from_scores,
)
from faceverify.evaluation.intervals.bootstrap import bootstrap, interval
from faceverify.evaluation.intervals.identity_bootstrap import MAX_IDENTITIES, IdentityBootstrap
from faceverify.evaluation.intervals.identity_folds import folds_of_pairs, folds_of_photos
from faceverify.evaluation.lists.pair_identities import identities_of_pairs
from faceverify.evaluation.metrics.all_against_all import all_against_all
from faceverify.evaluation.metrics.error_rates import auc
from faceverify.evaluation.metrics.pair_distances import pair_distances
from faceverify.evaluation.metrics.scores import ScoreCounts, count_scores
from faceverify.evaluation.metrics.wilson import Interval
from faceverify.evaluation.protocols.all_pairs import split_enrolled
from faceverify.evaluation.protocols.benchmark import Benchmark
from faceverify.evaluation.protocols.probability import probability_section
from faceverify.evaluation.protocols.score_sections import alike_notes
from faceverify.evaluation.results import MIN_ERRORS, Section
from faceverify.models.model_file import ModelFile
from faceverify.models.registry import bundled_folder, installed, user_folder
from faceverify.runtime.text import printable

USUAL_RATES = (1e-2, 1e-3, 1e-4, 1e-5)  # false match rates


@dataclass(frozen=True, eq=False)
class Calibration:
    """A calibrated model.

    Args:
        model: with the new thresholds, none where it can run at no rate; not saved.
        probability: estimates of the calibrated probability.
        notes: caveats, one line each.
        unreachable: rates that the model cannot run at.
    """

    model: ModelFile
    probability: Section
    notes: tuple[str, ...]
    unreachable: tuple[Unreachable, ...] = ()


def calibrate_model(
    source: EmbeddingSource,
    benchmark: Benchmark,
    fmr_targets: Sequence[float] | None = None,
    *,
    extrapolate: bool = False,
    replicates: int = 1000,
) -> Calibration:
    """Calibrate a model; existing thresholds are replaced.

    Args:
        source: the model and its embeddings.
        benchmark: with identities (full cross-comparison), or with pairs.
        fmr_targets: false match rates, in (0, 1); None for those of ``USUAL_RATES`` that the data
            support.
        extrapolate: whether to extrapolate to rates that the data do not support.
        replicates: of the bootstrap over identities; 0 for Wilson's intervals.

    Raises:
        UsageError: a rate that the data do not support; no genuine or no impostor comparisons.
        ModelError: the model cannot be run.
    """
    assert source.model is not None
    photos = source.embed(ListedPhotos(benchmark.photos, benchmark.names))
    lost = int(np.count_nonzero(~photos.enrolled))
    scores = (_pair_scores if benchmark.pairs is not None else _identity_scores)(
        benchmark, photos, replicates
    )

    def interval_at(distance: float) -> Interval | None:
        _, false_matches = scores.counts.matches(distance)
        few = scores.interval_at is None or false_matches < MIN_ERRORS
        return None if few or scores.interval_at is None else scores.interval_at(distance)

    over = "people" if scores.interval_at is not None else "comparisons (Wilson)"
    what = "its pairs" if benchmark.pairs is not None else "all against all"
    dataset = (
        f"{printable(Path(benchmark.source).name or benchmark.source)}, {what}: "
        f"{len(benchmark.photos):,} photos of {scores.num_identities:,} people, {lost:,} failed; "
        f"interval over {over}"
    )
    targets = fmr_targets
    if targets is None:  # where none is supported, the largest is refused
        targets = supported_targets(scores.counts, USUAL_RATES) or USUAL_RATES[:1]
    found = thresholds_from_scores(
        scores.counts, targets, dataset, interval_at=interval_at, extrapolate=extrapolate
    )
    section, _ = probability_section(scores.counts, scores.folds)
    alike = alike_notes(auc(scores.counts))
    copies = _copies(benchmark, photos)
    notes = (*benchmark.notes, *failure_notes(photos), *alike, *copies)
    if fmr_targets is None and (fewer := [rate for rate in USUAL_RATES if rate not in targets]):
        left_out = ", ".join(f"{rate:g}" for rate in fewer)
        notes += (f"too few impostor comparisons for thresholds at FMR {left_out}",)
    model = replace(
        source.model.with_thresholds(found.thresholds),
        usual_length=source.usual_length(ListedPhotos(benchmark.photos, benchmark.names))
        or source.model.usual_length,
    )
    return Calibration(model, section, notes, found.unreachable)


def output_path(model: str, file: ModelFile, path: Path | None) -> Path:
    """Path of the calibrated model file: the given path, or a name in the user's model folder.

    A copy of a bundled model gets another name, since the name of a bundled model always means the
    bundled file.

    Args:
        model: the model as named by the user.
        file: the model.
        path: of the output; None for the user's model folder.

    Raises:
        UsageError: the path is in the folder of bundled models.
        OutputError: the folder of the path is missing.
    """
    if path is None:
        names = {one.name: one.bundled for one in installed()}
        name = model if model in names else _file_name(file.provenance.name)
        return user_folder() / f"{name}{'-calibrated' if names.get(name) else ''}.onnx"
    if os.path.dirname(os.path.realpath(path)) == os.path.realpath(bundled_folder()):
        raise UsageError(f"{path}: bundled weights are never changed", cure="name another path")
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent}: no such folder", cure="create it first")
    return path


@dataclass(frozen=True, eq=False)
class _Scores:
    """Scores, folds, and the FMR interval over identities; None where Wilson's is used."""

    counts: ScoreCounts
    folds: list[ScoreCounts]
    num_identities: int
    interval_at: Callable[[float], Interval | None] | None


def _pair_scores(benchmark: Benchmark, photos: PhotoEmbeddings, replicates: int) -> _Scores:
    assert benchmark.pairs is not None
    same = benchmark.pairs.same
    distances = pair_distances(
        photos.embeddings, photos.enrolled, benchmark.first, benchmark.second
    )
    people = identities_of_pairs(benchmark.pairs)
    made = np.flatnonzero(np.isfinite(distances))  # as for the FMR of a threshold

    def interval_at(distance: float) -> Interval | None:
        found = bootstrap(
            distances[made], same[made],
            [people.first[pair] for pair in made], [people.second[pair] for pair in made],
            fmr_targets=(), threshold=distance, replicates=replicates,
        )  # fmt: skip
        return interval(found.fmr)

    possible = replicates > 0 and people.num_identities > 1
    counts = count_scores(distances, same)
    folds = folds_of_pairs(distances, same, people.first, people.second)
    return _Scores(counts, folds, people.num_identities, interval_at if possible else None)


def _identity_scores(benchmark: Benchmark, photos: PhotoEmbeddings, replicates: int) -> _Scores:
    rows, names, failed = split_enrolled(photos.embeddings, photos.enrolled, benchmark.identities)
    counts = all_against_all(rows, names, failed_identities=failed)
    folds = folds_of_photos(rows, names)
    people = len(set(benchmark.identities))
    if not replicates or not 2 <= len(set(names)) <= MAX_IDENTITIES:
        return _Scores(counts, folds, people, None)
    resampled = IdentityBootstrap(rows, names, replicates=replicates)  # of the comparisons made
    return _Scores(counts, folds, people, resampled.fmr_interval)


def _copies(benchmark: Benchmark, photos: PhotoEmbeddings) -> list[str]:
    """A note on files that several people share, such as a placeholder for a missing photo."""
    if benchmark.pairs is not None:
        pairs = zip(benchmark.first, benchmark.second, benchmark.pairs.same, strict=True)
        alike = sum(
            not same and photos.digests[one] is not None
            and photos.digests[one] == photos.digests[other]
            for one, other, same in pairs
        )  # fmt: skip
        return [f"{alike:,} impostor pairs compare a file with itself"] if alike else []
    people: dict[bytes, set[str]] = {}
    for digest, person in zip(photos.digests, benchmark.identities, strict=True):
        if digest is not None:
            people.setdefault(digest, set()).add(person)
    shared = {digest: names for digest, names in people.items() if len(names) > 1}
    if not shared:
        return []
    copies = sum(digest in shared for digest in photos.digests)
    return [
        f"{copies:,} photos of {len(set.union(*shared.values())):,} people are the same file as a "
        "photo of somebody else: such comparisons count as false matches"
    ]


def _file_name(name: str) -> str:
    """A valid name for the registry, from the name of a model."""
    kept = "".join(
        sign if sign.isascii() and (sign.isalnum() or sign in "._+-") else "-" for sign in name
    )
    return (kept.lstrip("._+-") or "model")[:80]
