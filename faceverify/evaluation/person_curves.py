"""AUC and EER of all-against-all under the draws of ``PersonBootstrap``.

A replicate's ROC needs its weighted matches w M w at many thresholds, each a product of people by
people. With w = 1 + d it parts into what the people do each for himself, sum(M) + d (M + M') 1,
which needs only the counts of each person, and what pairs of people do beyond it, d M d, which is
small with many people. The first is exact at every threshold of a grid; the second is exact at a
few of them (the EER's alone with 4,281 people, 32 with 700 people of 3,900 photos) and a straight
line in the FMR between them, from 0 where nothing matches to its exact value where everything does.

The grid holds up to 1,537 of the data's distances, so chosen that no step of it holds more than
1/512 of the area above the ROC, seen from either axis: the trapezoids err by a part in thousands of
that area, where its interval is usually tens of percent. With fewer distances it is all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceverify.evaluation.all_against_all import STEPS, steps_of
from faceverify.evaluation.metrics import eer
from faceverify.evaluation.weighted_metrics import WeightedSums, weighted_figures

if TYPE_CHECKING:
    from faceverify.evaluation.scores import ScoreCounts

Rows = NDArray[np.float64]

STEPS_OF_AREA = 512
FEWEST_KNOTS, MOST_KNOTS = 1, 32
PAIRS_OF_PEOPLE = 20_000_000  # over all knots, each of which costs a product of this size
PAIRS_OF_PHOTOS = 500_000_000  # and a pass over these
BLOCK = 64  # photos compared with all others at a time
REPLICATES = 1000  # worked out at a time: 12 MB a table


def grid_of(counts: ScoreCounts) -> Rows:
    """Choose the distances at which the ROC is followed, ascending, (K,)."""
    if len(counts.distances) <= 3 * STEPS_OF_AREA:
        return counts.distances
    fmr, tmr = _rates(counts)
    rising = (
        np.cumsum(fmr * np.diff(tmr, prepend=0.0)),  # the area above the ROC, from the left
        np.cumsum((1 - tmr) * np.diff(fmr, prepend=0.0)),  # and from below
        np.linspace(0, 1, len(fmr)),  # kinds that do not overlap have no such area
    )
    shares = np.arange(1, STEPS_OF_AREA + 1) / STEPS_OF_AREA
    equal = np.argmin(np.maximum(fmr, 1 - tmr))  # and the EER's own
    places = [np.searchsorted(sums, shares * sums[-1]) for sums in rising]
    chosen = np.append(np.concatenate(places), equal)
    return np.asarray(counts.distances[np.unique(np.minimum(chosen, len(fmr) - 1))])


def knots_of(counts: ScoreCounts, grid: Rows, people: int, photos: int) -> NDArray[np.int64]:
    """Choose the places in the grid at which d M d is worked out, ascending.

    The EER's; the last, where everything matches, which costs nothing; and others evenly over what
    the AUC owes to d M d, whose size goes with sqrt(FMR (1 - FMR)).
    """
    afforded = min(PAIRS_OF_PEOPLE // people**2, PAIRS_OF_PHOTOS // photos**2)
    number = int(np.clip(afforded, FEWEST_KNOTS, MOST_KNOTS))
    equal = eer(counts)
    assert equal is not None
    fmr, tmr = _rates(counts)
    places: list[ArrayLike] = [np.searchsorted(grid, [equal.threshold]), [len(grid) - 1]]
    if number > 1:
        owed = np.cumsum(np.sqrt(fmr * np.maximum(1 - fmr, 0)) * np.diff(tmr, prepend=0.0))
        shares = (np.arange(number - 1) + 0.5) / (number - 1)
        at = counts.distances[np.searchsorted(owed, shares * owed[-1])]
        places.append(np.searchsorted(grid, at))
    return np.unique(np.minimum(np.concatenate(places), len(grid) - 1))


def impostors_by_person(
    rows: NDArray[np.float32], code: NDArray[np.int64], people: int, grid: Rows
) -> Rows:
    """Count each person's comparisons with other people, up to each distance of a grid.

    Args:
        rows: embeddings of length 1, person by person, (N, D).
        code: person of each, from 0, ascending, (N,).
        people: P.
        grid: ascending, (K,).

    Returns:
        (P, K); a comparison counts for both of its people.
    """
    size = len(grid) + 2  # one place for what lies beyond, one for comparisons with oneself
    table = _places(grid)
    start, end = np.searchsorted(code, code), np.searchsorted(code, code, side="right")
    counts = np.zeros((people, size), np.int64)
    for top in range(0, len(rows), BLOCK):
        block = rows[top : top + BLOCK] @ rows.T
        place = table[steps_of(block)]  # (rows, N)
        for row, photo in enumerate(range(top, top + len(block))):
            place[row, start[photo] : end[photo]] = size - 1
            counts[code[photo]] += np.bincount(place[row], minlength=size)
    return np.cumsum(counts[:, : len(grid)], axis=1).astype(np.float64)


def genuines_by_person(
    distances: NDArray[np.float32], code: NDArray[np.int64], people: int, grid: Rows
) -> Rows:
    """Count each person's genuine comparisons up to each distance of a grid, (P, K).

    Args:
        distances: of every two photos of one person, (G,).
        code: that person, (G,).
        people: P.
        grid: ascending, (K,).
    """
    size = len(grid) + 1
    place = _places(grid)[steps_of(1 - distances)]
    found = np.bincount(code * size + place, minlength=people * size).reshape(people, size)
    return np.cumsum(found[:, :-1], axis=1).astype(np.float64)


def auc_and_eer(
    drawn: NDArray[np.int64],
    genuine: Rows,
    impostor: Rows,
    sizes: Rows,
    knots: NDArray[np.int64],
    together: Rows,
) -> tuple[Rows, Rows]:
    """Both figures of each replicate, (R,) each; NaN where it holds no comparison of a kind.

    Args:
        drawn: how often each person was, (R, P).
        genuine: as :func:`genuines_by_person`, (P, K).
        impostor: as :func:`impostors_by_person`, (P, K).
        sizes: photos of each person, those without an embedding too, (P,).
        knots: Q places in the grid, ascending.
        together: w M w at each, (R, Q).
    """
    total = impostor.sum(axis=0) / 2  # (K,): matches where all weigh 1
    ends = np.append(0, total[knots])
    basis = np.array([np.interp(total, ends, row) for row in np.eye(len(ends))[1:]])  # (Q, K)
    columns = []
    for first in range(0, len(drawn), REPLICATES):
        weights = drawn[first : first + REPLICATES].astype(np.float64)
        alone = weights @ impostor - total  # (r, K)
        beyond = together[first : first + REPLICATES] - alone[:, knots]  # d M d, (r, Q)
        impostors = impostors_drawn(weights, sizes)[:, None]
        matched = np.maximum.accumulate(alone + beyond @ basis, axis=1)
        sums = WeightedSums(
            weights @ genuine,
            np.clip(matched, 0, impostors),
            (weights @ (sizes * (sizes - 1) / 2))[:, None],
            impostors,
        )
        figures = weighted_figures(sums, np.zeros(0), (), None, both=True)
        columns.append((figures["auc"], figures["eer"]))
    areas, equals = zip(*columns, strict=True)
    return np.concatenate(areas), np.concatenate(equals)


def impostors_drawn(drawn: NDArray[np.number], sizes: Rows) -> Rows:
    """Impostor comparisons of each replicate, (R,): of photos (P,) of people drawn (R, P)."""
    photos = drawn * sizes
    return np.asarray((photos.sum(axis=1) ** 2 - (photos**2).sum(axis=1)) / 2)


def _rates(counts: ScoreCounts) -> tuple[Rows, Rows]:
    """FMR and TMR at each distance, among the comparisons that could be made, (K,) each."""
    fmr, tmr = np.cumsum(counts.impostor), np.cumsum(counts.genuine)
    return fmr / max(fmr[-1], 1), tmr / max(tmr[-1], 1)


def _places(grid: Rows) -> NDArray[np.int16]:
    """From a distance in steps to the first of the grid that reaches it; K beyond the last."""
    ends = np.rint(grid * STEPS).astype(np.int64) + 1
    widths = np.diff(np.concatenate(([0], ends, [2 * STEPS + 1])))
    return np.repeat(np.arange(len(grid) + 1, dtype=np.int16), widths)
