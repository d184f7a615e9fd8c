"""Intervals of AUC and EER of all-against-all, by bootstrap over groups of people.

A replicate needs its whole ROC, and so the comparisons of every two people at every distance: too
many to hold. People are therefore dealt at random into 200 groups, and groups are drawn with
replacement (random groups: Wolter, "Introduction to Variance Estimation", 2007, chapter 2). With up
to 200 people each is a group, and the replicates are those of ``bootstrap`` on every pair. With
more, the spread has the same expectation and is known to a twentieth, 1 / sqrt(2 * 199).

The ROC is followed at 512 distances, a 512th of the area above it apart; between them it is taken
for straight, an error of about a hundredth of an interval's width. Counts are whole numbers below
2^53: every processor gives the same replicates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.intervals.bootstrap import Replicates, identity_weights
from faceverify.evaluation.intervals.identity_folds import folds_of
from faceverify.evaluation.metrics.exact_distances import STEPS, distance_steps, exact_rows
from faceverify.evaluation.metrics.weighted import WeightedSums, weighted_figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceverify.evaluation.metrics.scores import ScoreCounts

GROUPS = 200
CELLS = 512
ROWS = 64  # photos compared with all later ones at a time


def curve_replicates(
    embeddings: NDArray[np.floating],
    identities: Sequence[str],
    counts: ScoreCounts,
    *,
    failed_identities: Sequence[str] = (),
    replicates: int = 1000,
    seed: int = 0,
) -> Replicates | None:
    """Replicate AUC and EER, and nothing else; None where one kind of comparison is missing.

    Args:
        embeddings: of the N photos that have one, (N, D).
        identities: who is on each, N.
        counts: all their comparisons.
        failed_identities: who was on each photo without an embedding.
        replicates: R.
        seed: of the draws.

    Raises:
        ModelError: an embedding is NaN, infinite or zero.
    """
    if not counts.genuine.sum() or not counts.impostor.sum():
        return None
    everyone = [*identities, *failed_identities]
    _, person, photos = np.unique(everyone, return_inverse=True, return_counts=True)
    groups = min(len(photos), GROUPS)
    group = folds_of(everyone, groups)
    made = slice(len(identities))
    genuine, impostor = counts_by_group(
        exact_rows(embeddings), person[made], group[made], groups, grid_of(counts)
    )
    one, other = np.triu_indices(groups)  # (P,) each, the rows of impostor
    own = one == other
    genuines = np.bincount(group, (photos[person] - 1) / 2)  # (G,), failed ones too
    size = np.bincount(group)
    impostors = np.where(own, size[one] * (size[one] - 1) / 2, size[one] * size[other])
    impostors[own] -= genuines
    names = np.char.zfill(np.arange(groups).astype(str), 4)
    first, second = names[one].tolist(), names[other].tolist()
    figures = []
    for weights in identity_weights(first, second, replicates=replicates, seed=seed):  # (r, P)
        sums = WeightedSums(
            np.cumsum(weights[:, own] @ genuine, axis=1),
            np.cumsum(weights @ impostor, axis=1),
            weights[:, own] @ genuines[:, None],
            weights @ impostors[:, None],
        )
        figures.append(weighted_figures(sums, np.zeros(0), (), None, both=True))
    auc, eer = (np.concatenate([part[name] for part in figures]) for name in ("auc", "eer"))
    return Replicates(auc, eer, tmr={}, fmr=None, fnmr=None, accuracy=None)


def grid_of(counts: ScoreCounts) -> NDArray[np.int64]:
    """Choose the distances at which the ROC is followed, in steps, ascending, (K,).

    Where one of the rates stands still the curve is straight and needs none; that of the EER and
    the last are always among them.
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
    """Count comparisons from each distance of a grid to the next.

    Args:
        rows: embeddings as :func:`exact_rows` gives them, (N, D).
        person: of each, (N,).
        group: of each, (N,).
        groups: G.
        grid: in steps, ascending; the last one is the largest distance, (K,).

    Returns:
        Genuine ones by group, (G, K); impostor ones by pair of groups, in the order of
        ``np.triu_indices(G)``, (G (G + 1) / 2, K).
    """
    order = np.lexsort((person, group))
    rows, person, group = rows[order], person[order], group[order]
    cells = len(grid) + 1  # one more, for what is not to be counted
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
