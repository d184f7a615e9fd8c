"""Intervals by bootstrap over identities: what other people would have given.

Comparisons of one person hang together, so people are drawn again, not comparisons. Each replicate
draws as many people as there are, with replacement; a person drawn w times counts w-fold. A genuine
comparison of person i has the weight w_i, an impostor comparison of i and j the weight w_i w_j
(Owen, "The pigeonhole bootstrap", 2007; Owen and Eckles, 2012, section 3). The product is
conservative: where hardly two impostor comparisons share a person it gives up to sqrt(3) times the
spread of independent comparisons; where they share many, the right one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.error_rates import (
    FEWEST_EXPECTED_ERRORS,
    FMR_TARGETS,
    allowed_errors,
)
from faceverify.evaluation.metrics.scores import checked_scores
from faceverify.evaluation.metrics.weighted import weighted_figures, weighted_sums
from faceverify.evaluation.metrics.wilson import Interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Rows = NDArray[np.float64]

BLOCK = 2_000_000  # weights held at a time: 16 MB


@dataclass(frozen=True, eq=False)
class Replicates:
    """R values of each figure; NaN where a replicate cannot say. None: the data cannot say.

    Two models scored on the same pairs, with the same seed, have the same people in replicate r:
    the difference of two columns is paired.

    Args:
        auc, eer: (R,) each.
        tmr: TAR at each FMR target, {target: (R,)}.
        fmr, fnmr: at the given threshold, (R,) each.
        accuracy: of the given decisions, (R,).
    """

    auc: Rows | None
    eer: Rows | None
    tmr: dict[float, Rows | None]
    fmr: Rows | None
    fnmr: Rows | None
    accuracy: Rows | None


def interval(values: Rows | None, *, confidence: float = 0.95) -> Interval | None:
    """Return the percentile interval of replicates; None when under half of them could say."""
    if values is None:
        return None
    known = values[~np.isnan(values)]
    if 2 * len(known) < len(values):
        return None
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def identity_weights(
    first: Sequence[str], second: Sequence[str], *, replicates: int = 1000, seed: int = 0
) -> Iterator[Rows]:
    """Draw people with replacement and yield the weights of their comparisons, block by block.

    Args:
        first: who is on the first photo of each of N comparisons.
        second: who is on the other.
        replicates: R, over all blocks.
        seed: the same seed gives the same people, whatever the scores.

    Yields:
        (r, N) with the r adding up to R.

    Raises:
        UsageError: fewer than two people: there is nobody else to draw.
    """
    people, position = np.unique([*first, *second], return_inverse=True)
    if len(people) < 2:
        raise UsageError(
            f"bootstrap: found {len(people)} identity, expected at least 2", cure="add people"
        )
    one, other = position[: len(first)], position[len(first) :]
    shared = one == other
    draws = np.random.default_rng(seed)
    uniform = np.full(len(people), 1 / len(people))
    rows = max(1, BLOCK // max(len(first), len(people)))
    for start in range(0, replicates, rows):
        size = min(rows, replicates - start)
        drawn = draws.multinomial(len(people), uniform, size=size).astype(np.float64)  # (r, P)
        weights = drawn[:, one]  # (r, N)
        weights[:, ~shared] *= drawn[:, other[~shared]]
        yield weights


def bootstrap(
    distances: ArrayLike,
    same: ArrayLike,
    first: Sequence[str],
    second: Sequence[str],
    *,
    fmr_targets: Sequence[float] = FMR_TARGETS,
    threshold: float | None = None,
    correct: NDArray[np.bool_] | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> Replicates:
    """Replicate every figure over identities.

    Args:
        distances: (N,); ``inf`` for a failed comparison.
        same: (N,).
        first: who is on the first photo of each comparison.
        second: who is on the other.
        fmr_targets: for TAR@FAR; a target that allows fewer than 10 false matches is None.
        threshold: where FMR and FNMR are taken; None leaves them out.
        correct: decisions that were right, (N,), such as those of 10 folds; None leaves them out.
        replicates: R.
        seed: of the draws.

    Raises:
        UsageError: fewer than two people, or scores that cannot be used.
    """
    values, labels = checked_scores(distances, same)
    order = np.argsort(values, kind="stable")
    values, labels = values[order], labels[order]
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True) & np.isfinite(values))
    genuines = int(np.count_nonzero(labels))
    both = 0 < genuines < len(labels)
    supported = [
        target
        for target in fmr_targets
        if both and allowed_errors(target, len(labels) - genuines) >= FEWEST_EXPECTED_ERRORS
    ]
    columns: dict[object, list[Rows]] = {}
    people = ([first[i] for i in order], [second[i] for i in order])
    for weights in identity_weights(*people, replicates=replicates, seed=seed):
        sums = weighted_sums(weights, labels, last)
        for name, column in weighted_figures(
            sums, values[last], supported, threshold, both=both
        ).items():
            columns.setdefault(name, []).append(column)
        if correct is not None:
            with np.errstate(invalid="ignore"):  # a replicate can draw both people of no pair
                right = weights @ correct[order] / weights.sum(axis=1)
            columns.setdefault("accuracy", []).append(right)
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    return Replicates(
        auc=joined.get("auc"),
        eer=joined.get("eer"),
        tmr={target: joined.get(target) for target in fmr_targets},
        fmr=joined.get("fmr") if genuines < len(labels) else None,
        fnmr=joined.get("fnmr") if genuines else None,
        accuracy=joined.get("accuracy"),
    )
