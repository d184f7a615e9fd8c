"""Mean over photos with its confidence interval, by bootstrap over identities.

What is known of each photo (found or not, a distance) is averaged; a replicate draws the identities
with replacement, and an identity takes all of its photos with it: they are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceverify.evaluation.intervals.bootstrap import interval
from faceverify.evaluation.results import Estimate, rate_estimate

Rows = NDArray[np.float64]


def drawn_identities(people: int, *, replicates: int, seed: int = 0) -> Rows:
    """How often each of P identities is drawn in each of R replicates, (R, P)."""
    draws = np.random.default_rng(seed)
    chances = np.full(people, 1 / people)
    return draws.multinomial(people, chances, size=replicates).astype(np.float64)


def mean_replicates(
    values: ArrayLike, identities: Sequence[str], *, replicates: int, seed: int = 0
) -> Rows | None:
    """Mean in each replicate, (R,); None without replicates, or with fewer than two identities.

    Args:
        values: one for each photo, (N,).
        identities: of the photos, N.
        replicates: R.
        seed: of the resampling.
    """
    names, code = np.unique(np.asarray(identities, dtype=str), return_inverse=True)
    sums = np.bincount(code, weights=np.asarray(values, np.float64), minlength=len(names))
    counts = np.bincount(code, minlength=len(names))
    return ratio_replicates(sums, counts, replicates=replicates, seed=seed)


def ratio_replicates(
    sums: ArrayLike, counts: ArrayLike, *, replicates: int, seed: int = 0
) -> Rows | None:
    """Sum over count in each replicate, (R,); None without replicates, or for one identity.

    Args:
        sums, counts: of each identity, (P,) each.
        replicates: R.
        seed: of the resampling.
    """
    over, under = np.asarray(sums), np.asarray(counts)
    if not replicates or len(over) < 2:
        return None
    drawn = drawn_identities(len(over), replicates=replicates, seed=seed)
    with np.errstate(invalid="ignore"):
        return np.asarray((drawn @ over) / (drawn @ under))


def share_estimate(
    key: str,
    name: str,
    right: NDArray[np.bool_],
    replicates: Rows | None,
    *,
    why: str = "",
) -> Estimate:
    """The estimate of a share of photos: correct ones of all that were asked.

    Args:
        key, name: of the estimate.
        right: whether each photo is counted, (N,).
        replicates: of the share, (R,); None for Wilson's interval.
        why: the reason why there is no estimate without photos.
    """
    if not len(right):
        return Estimate(key, name, None, detail=why)
    bounds = interval(replicates)
    found = rate_estimate(key, name, int(right.sum()), len(right), over_identities=bounds)
    counts = {"correct": found.extra["errors"], "asked": found.extra["comparisons"]}
    return Estimate(
        key, name, found.value, "rate", found.interval, found.method, found.detail, counts
    )
