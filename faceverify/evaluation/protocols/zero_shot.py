"""Protocol ``zero-shot``: photos take the label whose sentences are nearest.

Radford et al. 2021, https://arxiv.org/abs/2103.00020, section 3.1.2.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import UsageError
from faceverify.evaluation.intervals.bootstrap import identity_weights, interval
from faceverify.evaluation.metrics.exact_distances import distance_steps, exact_rows
from faceverify.evaluation.metrics.wilson import Interval, wilson
from faceverify.evaluation.protocols.protocol import (
    EmbeddedPhotos,
    Measurement,
    Needs,
    Protocol,
    Settings,
)
from faceverify.evaluation.results import MIN_ERRORS, Estimate, Evaluation, Section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceverify.evaluation.protocols.benchmark import Benchmark
    from faceverify.evaluation.protocols.label_embeddings import LabelEmbeddings

NO_FACE, TIE = "no face", "two labels as near"  # what a photo is taken for besides a label
SHOWN = 4  # other labels that a label's photos are taken for


def evaluate(benchmark: Benchmark, photos: EmbeddedPhotos, settings: Settings) -> Measurement:
    """Evaluation of zero-shot classification.

    A photo without an embedding, or as near to two labels, is an error.

    Args:
        benchmark: with labels.
        photos: embeddings of its photos.
        settings: of the evaluation, with the embeddings of the labels.

    Raises:
        UsageError: no prompts.
    """
    labels = settings.labels
    if labels is None:
        raise UsageError("protocol zero-shot needs sentences", cure="give --prompts FILE")
    taken = taken_for(photos, labels)
    correct = np.array([one == own for one, own in zip(taken, benchmark.labels, strict=True)])
    units = benchmark.identities or benchmark.names  # what is drawn by the bootstrap
    replicates = None
    if settings.replicates and len(set(units)) > 1:
        replicates = bootstrap(
            correct, benchmark.labels, units, count=settings.replicates, seed=settings.seed
        )
    known = bool(benchmark.identities) and replicates is not None
    whole = interval(replicates[:, 0]) if known and replicates is not None else None
    each = Counter(benchmark.labels)
    per_label = {
        label: float(correct[of(benchmark.labels, label)].mean()) for label in sorted(each)
    }
    most, most_count = max(sorted(each.items()), key=lambda one: one[1])
    estimates = [
        Estimate("photos", "photos", len(correct), "count"),
        Estimate("labels", "labels with sentences", len(labels.labels), "count"),
        Estimate("failed", "photos without a face: errors", photos.failures, "count"),
        accuracy("accuracy", "accuracy", int(correct.sum()), len(correct), over_people=whole),
        Estimate(
            "balanced_accuracy",
            "mean accuracy of the labels",
            float(np.mean(list(per_label.values()))),
            interval=None if replicates is None else interval(replicates[:, 1]),
            method="identities" if known else "photos",
        ),
        Estimate(
            "most_common",
            "accuracy of always the most common label",
            most_count / len(correct),
            detail=most,
        ),
    ]
    if benchmark.identities:
        people = len(set(benchmark.identities))
        estimates.insert(1, Estimate("people", "people", people, "count"))
    sections = (
        Section("zero_shot", "Zero-shot classification", tuple(estimates)),
        Section("confusion", "Photos of each label", confusion(taken, benchmark.labels)),
    )
    unused = len(set(labels.labels) - set(each))
    notes = [f"{unused} labels have sentences and no photo"] if unused else []
    evaluation = Evaluation(
        benchmark.source, "zero-shot", photos.model, photos.model_id, sections,
        (*benchmark.notes, *photos.notes, *notes),
    )  # fmt: skip
    paired = {}
    if replicates is not None:
        paired = {"accuracy": replicates[:, 0], "balanced_accuracy": replicates[:, 1]}
    return Measurement(evaluation, paired)


def taken_for(photos: EmbeddedPhotos, labels: LabelEmbeddings) -> list[str]:
    """The label that each photo is nearest to, or why it has none, P."""
    taken = np.full(len(photos.enrolled), NO_FACE, object)
    places = np.flatnonzero(photos.enrolled)
    if not len(places):
        return list(taken)
    steps = distance_steps(exact_rows(photos.embeddings[places]), exact_rows(labels.rows))
    nearest = steps.argmin(axis=1)
    tied = np.count_nonzero(steps == steps.min(axis=1, keepdims=True), axis=1) > 1
    taken[places] = np.where(tied, TIE, np.array(labels.labels, object)[nearest])
    return list(taken)


def of(labels: Sequence[str], label: str) -> NDArray[np.int64]:
    """Positions of the photos of a label."""
    return np.flatnonzero([one == label for one in labels])


def bootstrap(
    correct: NDArray[np.bool_],
    labels: Sequence[str],
    units: Sequence[str],
    *,
    count: int,
    seed: int,
) -> NDArray[np.float64]:
    """Accuracy and mean accuracy of the labels in each replicate, (R, 2); NaN where undefined.

    Args:
        correct: whether each photo takes its label, (P,).
        labels: of each photo, P.
        units: what is drawn with replacement: the person on each photo, P, or its name.
        count: R.
        seed: of the draws.
    """
    groups = [of(labels, label) for label in sorted(set(labels))]
    parts = []
    with np.errstate(invalid="ignore"):  # a replicate may hold no photo of a label: 0 / 0
        for weights in identity_weights(units, units, replicates=count, seed=seed):
            hits = weights * correct
            whole = hits.sum(axis=1) / weights.sum(axis=1)
            each = [hits[:, at].sum(axis=1) / weights[:, at].sum(axis=1) for at in groups]
            parts.append(np.stack([whole, np.mean(each, axis=0)], axis=1))
    return np.concatenate(parts)


def confusion(taken: Sequence[str], labels: Sequence[str]) -> tuple[Estimate, ...]:
    """Accuracy of each label, and what its photos are taken for."""
    estimates = []
    for label in sorted(set(labels)):
        found = Counter(taken[at] for at in of(labels, label))
        right, total = found[label], sum(found.values())
        ordered = dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))
        others = [f"{other} {times:,}" for other, times in ordered.items() if other != label]
        more = [f"{len(others) - SHOWN} others"] if len(others) > SHOWN else []
        said = ", ".join(others[:SHOWN] + more)
        detail = f"{right:,} of {total:,}" + (f"; else {said}" if said else "")
        estimates.append(accuracy(label, label, right, total, detail=detail, taken_for=ordered))
    return tuple(estimates)


def accuracy(
    key: str,
    name: str,
    right: int,
    total: int,
    *,
    over_people: Interval | None = None,
    detail: str = "",
    **extra: object,
) -> Estimate:
    """Share of photos that take their label, with the interval over people or else Wilson's.

    Args:
        key, name: of the estimate.
        right, total: photos.
        over_people: bootstrap interval; used from 10 right and 10 wrong photos on.
        detail: printed remark; "RIGHT of TOTAL" by default.
        extra: further values for JSON.
    """
    resampled = over_people is not None and min(right, total - right) >= MIN_ERRORS
    return Estimate(
        key,
        name,
        right / total,
        interval=over_people if resampled else wilson(right, total),
        method="identities" if resampled else "wilson",
        detail=detail or f"{right:,} of {total:,}",
        extra={"correct": right, "photos": total, **extra},
    )


PROTOCOL = Protocol(Needs.LABELS, evaluate, at_threshold=False)
