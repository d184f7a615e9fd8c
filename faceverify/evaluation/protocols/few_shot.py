"""Protocol ``few-shot``: people told apart after a few photos of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from faceverify.errors import UsageError
from faceverify.evaluation.intervals.bootstrap import interval
from faceverify.evaluation.intervals.identity_mean import Rows, ratio_replicates
from faceverify.evaluation.metrics.few_shot import EpisodeAnswers, episodes
from faceverify.evaluation.protocols.photo_split import codes_of, require_people, shuffled_photos
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

NAME = "few-shot"
NORMAL = 1.959964  # standard deviations on each side that hold 95 %


def evaluate(benchmark: Benchmark, photos: EmbeddedPhotos, settings: Settings) -> Measurement:
    """Mean accuracy of episodes, with the nearest class mean.

    Args:
        benchmark: with identities.
        photos: embeddings of its photos.
        settings: of the evaluation; its options ``ways``, ``shots``, ``queries``, ``episodes`` and
            ``seed``.

    Raises:
        UsageError: fewer people than ways that have as many photos as shots and queries.
    """
    require_people(benchmark, NAME)
    options = settings.options
    people, _ = codes_of(benchmark.identities)
    photos_of = shuffled_photos(benchmark, options.seed)
    estimates = [
        Estimate("photos", "photos", len(benchmark.identities), "count"),
        Estimate("people", "people", len(people), "count"),
        Estimate("failed", "photos without a face: wrong where asked", photos.failures, "count"),
    ]
    replicates = {}
    for shots in dict.fromkeys(options.shots):
        needed = shots + options.queries
        usable = [one for one in photos_of if len(one) >= needed]
        if len(usable) < options.ways:
            raise UsageError(
                f"{benchmark.source}: found {len(usable)} of {len(people)} people with {needed} "
                f"photos ({shots} shots and {options.queries} queries), expected "
                f"{options.ways} (--ways)",
                cure="fewer --queries, --shots or --ways, or more photos a person",
            )
        answers = episodes(
            photos.embeddings, photos.enrolled, usable, ways=options.ways, shots=shots,
            queries=options.queries, count=options.episodes, seed=options.seed,
        )  # fmt: skip
        rows = _over_people(answers, len(usable), settings.replicates, settings.seed)
        found = _estimate(answers, shots, len(usable), rows)
        estimates.append(found)
        replicates[found.key] = rows
    title = (
        f"Few-shot: {options.ways} people, {options.queries} queries each, "
        f"{options.episodes:,} episodes, seed {options.seed}"
    )
    notes = (
        *benchmark.notes,
        *photos.notes,
        "people and photos come again from episode to episode: the interval is over people; "
        "+- is 1.96 standard errors over the episodes, what other draws of them would change",
    )
    return Measurement(
        Evaluation(
            benchmark.source,
            NAME,
            photos.model,
            photos.model_id,
            (Section("few_shot", title, tuple(estimates)),),
            notes,
        ),
        replicates,
    )


def _estimate(
    answers: EpisodeAnswers, shots: int, usable: int, replicates: Rows | None
) -> Estimate:
    count, ways = answers.people.shape
    accuracy = answers.accuracy
    spread = float(accuracy.std(ddof=1)) if count > 1 else 0.0
    half = NORMAL * spread / count**0.5
    return Estimate(
        f"{ways}_way_{shots}_shot",
        f"accuracy, {ways}-way {shots}-shot",
        float(accuracy.mean()),
        interval=interval(replicates),
        method="identities",
        detail=f"+- {100 * half:.3f} over episodes; each of {usable:,} people in "
        f"{count * ways / usable:.3g} of them",
        extra={
            "episodes": count,
            "half_width_over_episodes": half,
            "usable_people": usable,
            "episodes_per_person": count * ways / usable,
        },
    )


def _over_people(answers: EpisodeAnswers, usable: int, replicates: int, seed: int) -> Rows | None:
    """Replicates over people, (R,): an answer counts as often as the person asked for is drawn.

    The other people of its episode do not weigh: the product of all weights, as pairs have it (see
    ``intervals.bootstrap``), would leave few episodes with any.
    """
    asked = np.bincount(answers.people.ravel(), minlength=usable) * answers.queries
    right = np.bincount(
        answers.people.ravel(), weights=answers.right.ravel().astype(float), minlength=usable
    )
    return ratio_replicates(right, asked, replicates=replicates, seed=seed)


PROTOCOL = Protocol(Needs.IDENTITIES, evaluate)
