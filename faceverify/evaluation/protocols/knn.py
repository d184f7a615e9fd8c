"""Protocol ``knn``: identification by the k nearest photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from faceverify.errors import UsageError
from faceverify.evaluation.intervals.identity_mean import mean_replicates, share_estimate
from faceverify.evaluation.metrics.nearest_neighbours import TEMPERATURE, votes_won
from faceverify.evaluation.options import NEIGHBOURS, SPLIT
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

NAME = "knn"


def evaluate(benchmark: Benchmark, photos: EmbeddedPhotos, settings: Settings) -> Measurement:
    """Share of photos whose person has the most votes among their k nearest photos.

    Each photo whose person has another is asked among all others, or with a split, each asked photo
    among the learned ones. A photo without an embedding is answered wrongly.

    Args:
        benchmark: with identities.
        photos: embeddings of its photos.
        settings: of the evaluation; its options ``k``, ``split``, ``seed`` and ``distance``.

    Raises:
        UsageError: fewer than two people, or than k photos to vote, or nobody with two photos.
    """
    require_people(benchmark, NAME)
    options = settings.options
    people, code = codes_of(benchmark.identities)
    alone = options.split is None and benchmark.training is None
    if alone:
        asked = np.bincount(code)[code] > 1
        gallery, title = np.ones(len(code), bool), "each photo among all others"
    else:
        split = split_photos(benchmark, options.split, options.seed, SPLIT)
        gallery, asked, title = split.learned, split.asked, split.title
    if not asked.any():
        raise UsageError(
            f"{benchmark.source}: found no person with two photos, and --protocol {NAME} looks for "
            "a photo's person among its other photos",
            cure="give at least two photos a person",
        )
    voters = gallery & photos.enrolled
    most = int(np.count_nonzero(voters)) - alone
    if most < 1:
        raise UsageError(
            f"{benchmark.source}: found no other photo with a face, expected neighbours"
        )
    if options.k is not None and options.k > most:
        raise UsageError(
            f"--k {options.k}: found {most} other photos with a face, expected at least as many",
            cure=f"--k {most} or less",
        )
    k = options.k or min(NEIGHBOURS, most)
    queries = np.flatnonzero(asked & photos.enrolled)
    right = np.zeros((2, len(code)), bool)
    right[:, queries] = votes_won(
        photos.embeddings[queries],
        code[queries],
        photos.embeddings[voters],
        code[voters],
        ks=(1, k),
        own=(np.cumsum(voters) - 1)[queries] if alone else None,
        distance=options.distance,
    )
    who = [benchmark.identities[index] for index in np.flatnonzero(asked)]
    estimates = [
        Estimate("photos", "photos", len(code), "count"),
        Estimate("people", "people", len(people), "count"),
        Estimate("asked", "photos asked for", len(who), "count", detail=title),
        Estimate("gallery", "photos that vote", most, "count"),
        Estimate(
            "failed",
            "asked photos without a face: wrong",
            int(np.count_nonzero(asked & ~photos.enrolled)),
            "count",
        ),
    ]
    names = {"nearest": "accuracy of the nearest photo", "knn": f"accuracy of {k} nearest, voting"}
    replicates = {}
    for (key, name), one in zip(names.items(), right[:, asked], strict=True):
        rows = mean_replicates(one, who, replicates=settings.replicates, seed=settings.seed)
        replicates[key] = rows
        estimates.append(share_estimate(key, name, one, rows))
    section = Section(NAME, "Nearest neighbours", tuple(estimates))
    notes = (
        *benchmark.notes,
        *photos.notes,
        f"k = {k}; a photo votes with the weight exp(cosine / {TEMPERATURE:g})",
    )
    return Measurement(
        Evaluation(
            benchmark.source, NAME, photos.model, photos.model_id, (section,), notes,
            distance=options.distance,
        ),
        replicates,
    )  # fmt: skip


PROTOCOL = Protocol(Needs.IDENTITIES, evaluate)
