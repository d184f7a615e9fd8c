"""Protocol ``representation``: how the embeddings of people lie on the sphere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import UsageError
from faceverify.evaluation.intervals.bootstrap import interval
from faceverify.evaluation.intervals.identity_mean import drawn_identities
from faceverify.evaluation.metrics.representation import (
    MOST_PEOPLE,
    spread_and_rank_of,
    sums_of_people,
)
from faceverify.evaluation.protocols.photo_split import codes_of, require_people
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

NAME = "representation"
Rows = NDArray[np.float64]


def evaluate(benchmark: Benchmark, photos: EmbeddedPhotos, settings: Settings) -> Measurement:
    """Alignment, uniformity, effective rank, and spread within and between people.

    Photos without an embedding are left out.

    Args:
        benchmark: with identities.
        photos: embeddings of its photos.
        settings: of the evaluation.

    Raises:
        UsageError: fewer than two people with an embedding, or nobody with two.
    """
    require_people(benchmark, NAME)
    rows = photos.embeddings[photos.enrolled]
    kept = np.flatnonzero(photos.enrolled)
    people, code = codes_of([benchmark.identities[index] for index in kept])
    if len(people) < 2 or len(rows) == len(people):
        raise UsageError(
            f"{benchmark.source}: found {len(rows)} photos with a face, of {len(people)} people, "
            "expected two people and two photos of one of them",
            cure="give at least two photos a person",
        )
    sums = sums_of_people(rows, code)
    whole = np.ones((1, len(people)))
    drawn = None
    if settings.replicates:
        drawn = drawn_identities(len(people), replicates=settings.replicates, seed=settings.seed)

    replicates: dict[str, Rows | None] = {}

    def estimate(
        key: str, name: str, measure: Callable[[Rows], Rows | None], detail: str
    ) -> Estimate:
        value = measure(whole)
        if value is None:
            why = f"{len(people):,} people, more than {MOST_PEOPLE:,}"
            return Estimate(key, name, None, "number", detail=why)
        rows = measure(drawn) if drawn is not None else None
        if not photos.failures:  # else another model may have other people
            replicates[key] = rows
        found = float(value[0]) if np.isfinite(value[0]) else None
        return Estimate(key, name, found, "number", interval(rows), "identities", detail)

    signs = spread_and_rank_of(rows)
    several = int(np.count_nonzero(sums.photos > 1))
    size = min(rows.shape)

    def ratio(weights: Rows) -> Rows:
        within, between = sums.spreads(weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(within / between)

    estimates = (
        Estimate("photos", "photos", len(benchmark.identities), "count"),
        Estimate("failed", "photos without a face: left out", photos.failures, "count"),
        Estimate("people", "people", len(people), "count"),
        estimate(
            "alignment", "alignment", sums.alignment, "0: the photos of a person are all alike"
        ),
        estimate(
            "uniformity", "uniformity", sums.uniformity, "-4: spread evenly; 0: all are alike"
        ),
        Estimate(
            "effective_rank",
            "effective rank",
            signs["effective_rank"],
            "number",
            detail=f"of {size} at most",
        ),
        Estimate(
            "spread", "spread", signs["spread"], "number", detail="1: over the sphere; 0: all alike"
        ),
        estimate(
            "within",
            "spread within people",
            lambda weights: sums.spreads(weights)[0],
            f"about the mean of each of {several:,} people with several photos",
        ),
        estimate(
            "between",
            "spread between people",
            lambda weights: sums.spreads(weights)[1],
            "of these means",
        ),
        estimate("ratio", "within / between", ratio, "the less, the further apart, at a like rank"),
    )
    return Measurement(
        Evaluation(
            benchmark.source,
            NAME,
            photos.model,
            photos.model_id,
            (Section(NAME, "Representation", estimates),),
            (*benchmark.notes, *photos.notes),
        ),
        replicates,
    )


PROTOCOL = Protocol(Needs.IDENTITIES, evaluate)
