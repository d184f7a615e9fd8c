"""Confidence intervals of AUC and EER of a full cross-comparison, by the random group bootstrap.

A replicate needs its whole ROC, that is the score counts of every pair of identities: too many to
hold. Identities are therefore assigned at random to 200 groups, and groups are resampled with
replacement (random groups: Wolter, "Introduction to Variance Estimation", 2007, chapter 2). With up
to 200 identities each is a group, and the replicates equal those of ``bootstrap`` on every pair.
With more, the variance has the same expectation; the standard error has a relative error of
1 / sqrt(2 * 199), one twentieth.

The ROC is sampled at 512 distances, equally spaced in the area above it, with linear interpolation
between: an error of about a hundredth of the interval's width. Counts are integers below 2^53:
every processor gives the same replicates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.intervals.bootstrap import Replicates, identity_weights
from faceverify.evaluation.intervals.identity_folds import identity_folds
from faceverify.evaluation.metrics.exact_distances import STEPS, distance_steps, exact_rows
from faceverify.evaluation.metrics.weighted import WeightedSums, weighted_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceverify.evaluation.metrics.scores import ScoreCounts

GROUPS = 200
CELLS = 512
ROWS = 64  # photos per block


def curve_replicates(
    embeddings: NDArray[np.floating],
    identities: Sequence[str],
    counts: ScoreCounts,
    *,
    failed_identities: Sequence[str] = (),
    replicates: int = 1000,
    seed: int = 0,
) -> Replicates | None:
    """Replicates of AUC and EER; None without genuine or without impostor comparisons.

    Args:
        embeddings: of the N photos that have one, (N, D).
        identities: of these photos, N.
        counts: scores of the full cross-comparison.
        failed_identities: identities of the photos without an embedding.
        replicates: R.
        seed: of the resampling.

    Raises:
        ModelError: an embedding is NaN, infinite or zero.
    """
    if not counts.genuine.sum() or not counts.impostor.sum():
        return None
    everyone = [*identities, *failed_identities]
    _, person, photos = np.unique(everyone, return_inverse=True, return_counts=True)
    groups = min(len(photos), GROUPS)
    group = identity_folds(everyone, groups)
    made = slice(len(identities))
    genuine, impostor = counts_by_group(
        exact_rows(embeddings), person[made], group[made], groups, grid_of(counts)
    )
    one, other = np.triu_indices(groups)  # (P,) each, the rows of impostor
    own = one == other
    genuines = np.bincount(group, (photos[person] - 1) / 2)  # (G,), failed ones included
    size = np.bincount(group)
    impostors = np.where(own, size[one] * (size[one] - 1) / 2, size[one] * size[other])
    impostors[own] -= genuines
    names = np.char.zfill(np.arange(groups).astype(str), 4)
    first, second = names[one].tolist(), names[other].tolist()
    estimates = []
    for weights in identity_weights(first, second, replicates=replicates, seed=seed):  # (r, P)
        sums = WeightedSums(
            np.cumsum(weights[:, own] @ genuine, axis=1),
            np.cumsum(weights @ impostor, axis=1),
            weights[:, own] @ genuines[:, None],
            weights @ impostors[:, None],
        )
        estimates.append(weighted_metrics(sums, np.zeros(0), (), None, both=True))
    auc, eer = (np.concatenate([part[name] for part in estimates]) for name in ("auc", "eer"))
    return Replicates(auc, eer, tmr={}, fmr=None, fnmr=None, accuracy=None)


def grid_of(counts: ScoreCounts) -> NDArray[np.int64]:
    """Distances at which the ROC is sampled, in steps of 2^-23, ascending, (K,).

    Equally spaced in the area above the ROC; the distance of the EER and the last are included.
    """
    steps = np.rint(counts.distances * STEPS).astype(np.int64)
    if len(steps) <= CELLS:
        return steps
    fmr, tmr = (np.cumsum(kind) / kind.sum() for kind in (counts.impostor, counts.genuine))
    area = np.cumsum(fmr * np.diff(tmr, prepend=0.0) + (1 - tmr) * np.diff(fmr, prepend=0.0))
    places = np.searchsorted(area, np.linspace(0, area[-1], CELLS - 2))
    equal = np.argmin(np.maximum(fmr, 1 - tmr))
    return np.asarray(steps[np.unique([*places, equal, len(steps) - 1])])


def counts_by_group(
    rows: NDArray[np.float64],
    person: NDArray[np.int64],
    group: NDArray[np.int64],
    groups: int,
    grid: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score counts of every pair of groups, in K bins of distance.

    Args:
        rows: embeddings from :func:`exact_rows`, (N, D).
        person: identity of each, (N,).
        group: of each, (N,).
        groups: G.
        grid: upper edges of the bins, in steps, ascending; the last is the largest distance, (K,).

    Returns:
        Genuine comparisons of each group, (G, K); impostor comparisons of each pair of groups, in
        the order of ``np.triu_indices(G)``, (G (G + 1) / 2, K).
    """
    order = np.lexsort((person, group))
    rows, person, group = rows[order], person[order], group[order]
    cells = len(grid) + 1  # the last one is discarded
    cell_of = np.repeat(np.arange(cells, dtype=np.int16), np.diff([0, *(grid + 1), 2 * STEPS + 1]))
    genuine = np.zeros((groups, cells))
    impostor = np.zeros((groups * (groups + 1) // 2, cells))
    top = first = 0
    for one, end in enumerate(np.searchsorted(group, np.arange(groups), side="right")):
        pairs = impostor[first : first + groups - one]  # this group with itself, and each later one
        while top < end:
            bottom = min(top + ROWS, end)
            cell = cell_of[distance_steps(rows[top:bottom], rows[top:])]
            cell[np.tril_indices(bottom - top)] = len(grid)
            same = person[top:bottom, None] == person[top:end]
            genuine[one] += np.bincount(cell[:, : end - top][same], minlength=cells)
            place = (group[top:] - one) * cells + cell
            pairs += np.bincount(place.ravel(), minlength=pairs.size).reshape(pairs.shape)
            top = bottom
        pairs[0] -= genuine[one]
        first += groups - one
    return genuine[:, :-1], impostor[:, :-1]
