"""Protocol ``linear``: a linear classifier of people on frozen embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from faceverify.errors import UsageError
from faceverify.evaluation.intervals.identity_mean import mean_replicates, share_estimate
from faceverify.evaluation.metrics.linear_classifier import classify
from faceverify.evaluation.options import SPLIT
from faceverify.evaluation.protocols.photo_split import codes_of, require_people, split_photos
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

NAME = "linear"


def evaluate(benchmark: Benchmark, photos: EmbeddedPhotos, settings: Settings) -> Measurement:
    """Accuracy of a linear classifier on photos that it has not learned from.

    A photo without an embedding is not learned, or answered wrongly.

    Args:
        benchmark: with identities.
        photos: embeddings of its photos.
        settings: of the evaluation; its options ``split`` and ``seed``.

    Raises:
        UsageError: fewer than two people, nobody with two photos, or it does not fit into memory.
    """
    require_people(benchmark, NAME)
    options = settings.options
    people, code = codes_of(benchmark.identities)
    split = split_photos(benchmark, options.split, options.seed, SPLIT)
    learned = np.flatnonzero(split.learned & photos.enrolled)
    if len(np.unique(code[learned])) < 2:
        raise UsageError(
            f"{benchmark.source}: found photos with a face of fewer than two people to learn from"
        )
    asked = np.flatnonzero(split.asked & photos.enrolled)
    answers = classify(photos.embeddings[learned], code[learned], photos.embeddings[asked])
    right = np.zeros(len(code), bool)
    right[asked] = answers.predicted == code[asked]
    who = [benchmark.identities[index] for index in np.flatnonzero(split.asked)]
    rows = mean_replicates(
        right[split.asked], who, replicates=settings.replicates, seed=settings.seed
    )
    failed = int(np.count_nonzero(split.asked & ~photos.enrolled))
    commonest = int(np.bincount(code[split.asked]).max())
    estimates = (
        Estimate("photos", "photos", len(code), "count"),
        Estimate("people", "people", len(people), "count"),
        Estimate("learned", "photos learned", len(learned), "count", detail=split.title),
        Estimate("asked", "photos asked for", len(who), "count"),
        Estimate("failed", "asked photos without a face: wrong", failed, "count"),
        Estimate(
            "chance",
            "accuracy of the same answer to all, at best",
            commonest / len(who),
            detail=f"{commonest:,} of {len(who):,}",
        ),
        share_estimate(NAME, "accuracy of the linear classifier", right[split.asked], rows),
    )
    stopped = () if answers.converged else ("the classifier stopped before its optimum",)
    return Measurement(
        Evaluation(
            benchmark.source,
            NAME,
            photos.model,
            photos.model_id,
            (Section(NAME, "Linear classifier", estimates),),
            (*benchmark.notes, *photos.notes, *stopped),
        ),
        {NAME: rows},
    )


PROTOCOL = Protocol(Needs.IDENTITIES, evaluate)
