"""Confidence intervals by bootstrap over identities.

Comparisons of one identity are dependent, so identities are resampled, not comparisons. Each
replicate draws as many identities as there are, with replacement; identity i is drawn w_i times. A
genuine comparison of identity i has the weight w_i, an impostor comparison of i and j the weight
w_i w_j (Owen, "The pigeonhole bootstrap", 2007; Owen and Eckles, 2012, section 3). The product is
conservative: up to sqrt(3) times the standard error where impostor comparisons share few
identities; correct where they share many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.error_rates import (
    FMR_TARGETS,
    MIN_EXPECTED_ERRORS,
    allowed_errors,
)
from faceverify.evaluation.metrics.scores import checked_scores
from faceverify.evaluation.metrics.weighted import weighted_metrics, weighted_sums
from faceverify.evaluation.metrics.wilson import Interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Rows = NDArray[np.float64]

BLOCK = 2_000_000  # weights per block: 16 MB


@dataclass(frozen=True, eq=False)
class Replicates:
    """R bootstrap replicates of each metric.

    NaN: undefined in that replicate. None: not supported by the data. Replicate r of two models on
    the same pairs, with the same seed, has the same identities: differences are paired.

    Args:
        auc, eer: (R,) each.
        tmr: TMR (TAR) at each FMR target, {target: (R,)}.
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
    """Percentile interval of replicates; None when more than half of them are NaN."""
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
    """Bootstrap weights of N comparisons, in blocks of replicates.

    Args:
        first: identity of the first photo of each comparison, N.
        second: identity of the second photo, N.
        replicates: R, over all blocks.
        seed: of the resampling.

    Yields:
        (r, N); the r sum to R.

    Raises:
        UsageError: fewer than two identities.
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
    """Bootstrap replicates of every metric of N comparisons.

    Args:
        distances: (N,); ``inf`` for a failed comparison.
        same: whether each comparison is genuine, (N,).
        first: identity of the first photo of each comparison, N.
        second: identity of the second photo, N.
        fmr_targets: of the TMR; None for a target that allows fewer than 10 false matches.
        threshold: of FMR and FNMR; None leaves them out.
        correct: whether each decision is correct, (N,), as in 10 folds; None leaves accuracy out.
        replicates: R.
        seed: of the resampling.

    Raises:
        UsageError: fewer than two identities, or invalid scores.
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
        if both and allowed_errors(target, len(labels) - genuines) >= MIN_EXPECTED_ERRORS
    ]
    columns: dict[object, list[Rows]] = {}
    people = ([first[i] for i in order], [second[i] for i in order])
    for weights in identity_weights(*people, replicates=replicates, seed=seed):
        sums = weighted_sums(weights, labels, last)
        for name, column in weighted_metrics(
            sums, values[last], supported, threshold, both=both
        ).items():
            columns.setdefault(name, []).append(column)
        if correct is not None:
            with np.errstate(invalid="ignore"):  # a replicate may hold no pair: 0 / 0
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
