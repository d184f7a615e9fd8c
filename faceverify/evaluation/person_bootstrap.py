"""Intervals of all-against-all error rates, by bootstrap over identities.

The weights are those of ``bootstrap``: a person drawn w times weighs his genuine comparisons
w-fold, and those with another person by the product of both. Comparisons are too many to weigh one
by one; counted by pair of people they are a matrix M, and a replicate's weighted sum is w M w.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.all_against_all import COLUMNS, ROWS, unit_rows
from faceverify.evaluation.bootstrap import Replicates, interval
from faceverify.evaluation.person_curves import (
    auc_and_eer,
    genuines_by_person,
    grid_of,
    impostors_by_person,
    impostors_drawn,
    knots_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceverify.evaluation.scores import ScoreCounts
    from faceverify.evaluation.wilson import Interval

MOST_PEOPLE = 8192  # M is a matrix of people by people: 256 MB of float32
MOST_GENUINE = 50_000_000  # distances held: 200 MB


class PersonBootstrap:
    """Replicates of FMR and FNMR at any threshold, and of AUC and EER, over the same people drawn.

    Args:
        embeddings: of the N photos that have one, (N, D).
        identities: who is on each, N.
        failed_identities: who was on each photo without an embedding.
        replicates: R.
        seed: of the draws; the same people for every threshold and model.

    Raises:
        ModelError: an embedding is NaN, infinite or zero.
    """

    def __init__(
        self,
        embeddings: NDArray[np.floating],
        identities: Sequence[str],
        *,
        failed_identities: Sequence[str] = (),
        replicates: int = 1000,
        seed: int = 0,
    ) -> None:
        names, code = np.unique([*identities, *failed_identities], return_inverse=True)
        self.people = len(names)
        self._size = np.bincount(code, minlength=self.people).astype(np.float64)  # (P,)
        present = code[: len(identities)]
        order = np.argsort(present, kind="stable")
        self._rows, self._code = unit_rows(embeddings)[order], present[order]
        draws = np.random.default_rng(seed)
        chances = np.full(self.people, 1 / self.people)
        self._drawn = draws.multinomial(self.people, chances, size=replicates)  # (R, P)
        self._genuine: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None

    def fmr(self, threshold: float) -> NDArray[np.float64] | None:
        """FMR where distances up to a threshold match, (R,); NaN where nobody else was drawn.

        None with fewer than 2 people or more than 8,192.
        """
        if not 2 <= self.people <= MOST_PEOPLE:
            return None
        matches = matches_between(self._rows, self._code, self.people, threshold)
        with np.errstate(invalid="ignore"):
            return self._weighted(matches) / impostors_drawn(self._drawn, self._size)

    def fnmr(self, threshold: float) -> NDArray[np.float64] | None:
        """FNMR there, (R,); NaN where no genuine comparison was drawn.

        None with fewer than 2 people or more than 50 million genuine comparisons.
        """
        genuine = self._size * (self._size - 1) / 2
        if self.people < 2 or genuine.sum() > MOST_GENUINE:
            return None
        distances, code = self._genuine_distances()
        matched = np.bincount(code[distances <= threshold], minlength=self.people)
        with np.errstate(invalid="ignore"):
            return np.asarray(1 - (self._drawn @ matched) / (self._drawn @ genuine))

    def curve(self, counts: ScoreCounts) -> Replicates | None:
        """AUC and EER, as ``person_curves`` works them out, and nothing else.

        None as for FMR and FNMR, and where one kind of comparison is missing.

        Args:
            counts: all comparisons of the same photos.
        """
        genuine = self._size * (self._size - 1) / 2
        if not 2 <= self.people <= MOST_PEOPLE or genuine.sum() > MOST_GENUINE:
            return None
        if not counts.genuine.sum() or not counts.impostor.sum():
            return None
        grid = grid_of(counts)
        knots = knots_of(counts, grid, self.people, len(self._rows))
        present = np.bincount(self._code, minlength=self.people).astype(np.float64)
        together = [
            self._weighted(matches_between(self._rows, self._code, self.people, grid[knot]))
            for knot in knots[:-1]
        ]
        together.append(impostors_drawn(self._drawn, present))
        areas, equals = auc_and_eer(
            self._drawn,
            genuines_by_person(*self._genuine_distances(), self.people, grid),
            impostors_by_person(self._rows, self._code, self.people, grid),
            self._size,
            knots,
            np.stack(together, axis=1),
        )
        return Replicates(areas, equals, tmr={}, fmr=None, fnmr=None, accuracy=None)

    def fmr_interval(self, threshold: float) -> Interval | None:
        """95 % percentile interval of the FMR."""
        return interval(self.fmr(threshold))

    def fnmr_interval(self, threshold: float) -> Interval | None:
        """95 % percentile interval of the FNMR."""
        return interval(self.fnmr(threshold))

    def _weighted(self, matches: NDArray[np.float32]) -> NDArray[np.float64]:
        """Sum of matches, (P, P), as each replicate weighs them: w M w, (R,)."""
        weights = self._drawn.astype(np.float32)
        return np.asarray(np.einsum("rp,rp->r", weights @ matches, weights, dtype=np.float64))

    def _genuine_distances(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if self._genuine is None:
            self._genuine = genuine_distances(self._rows, self._code)
        return self._genuine


def matches_between(
    rows: NDArray[np.float32], code: NDArray[np.int64], people: int, threshold: float
) -> NDArray[np.float32]:
    """Count the impostor comparisons that match, by pair of people.

    Args:
        rows: embeddings of length 1, person by person, (N, D).
        code: person of each, from 0, ascending, (N,).
        people: P.
        threshold: comparisons with distance <= threshold match.

    Returns:
        (P, P), zero on and below the diagonal; counts under 2^24 are exact.
    """
    matches = np.zeros(people * people, np.float32)
    for top in range(0, len(rows), ROWS):
        for left in range(top, len(rows), COLUMNS):
            block = rows[top : top + ROWS] @ rows[left : left + COLUMNS].T
            np.subtract(np.float32(1), block, out=block)
            near = np.flatnonzero(block <= threshold)
            first, second = code[near // block.shape[1] + top], code[near % block.shape[1] + left]
            others = second > first
            np.add.at(matches, first[others] * people + second[others], np.float32(1))
    return matches.reshape(people, people)


def genuine_distances(
    rows: NDArray[np.float32], code: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the distance of every two photos of one person, and that person's code, (G,) each.

    Args:
        rows: embeddings of length 1, person by person, (N, D).
        code: person of each, ascending, (N,).
    """
    distances, owners = [np.zeros(0, np.float32)], [np.zeros(0, np.int64)]
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    for start, end in zip(starts, np.append(starts[1:], len(code)), strict=False):
        own = rows[start:end] @ rows[start:end].T
        distances.append(1 - own[np.triu_indices(end - start, k=1)])
        owners.append(np.full(len(distances[-1]), code[start]))
    return np.concatenate(distances), np.concatenate(owners)
