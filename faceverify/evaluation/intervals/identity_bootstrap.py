"""Intervals of all-against-all error rates at a threshold, by bootstrap over identities.

The weights are those of ``bootstrap``: a person drawn w times weighs his genuine comparisons
w-fold, and those with another person by the product of both. Comparisons are too many to weigh one
by one; counted by pair of people they are a matrix M, and a replicate's weighted sum is w M w.
Distances are exact (see ``exact_distances``) and sums of whole numbers, so that a replicate counts
the very comparisons that ``all_against_all`` does, on every processor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.intervals.bootstrap import interval
from faceverify.evaluation.metrics.all_against_all import COLUMNS, ROWS
from faceverify.evaluation.metrics.exact_distances import STEPS, distance_steps, exact_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceverify.evaluation.metrics.wilson import Interval

MOST_PEOPLE = 8192  # M is a matrix of people by people: 256 MB of float32
MOST_GENUINE = 50_000_000  # distances held: 200 MB


class PersonBootstrap:
    """Replicates of FMR and FNMR at any threshold, over the same people drawn.

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
        self._rows, self._code = exact_rows(embeddings)[order], present[order]
        draws = np.random.default_rng(seed)
        chances = np.full(self.people, 1 / self.people)
        self._drawn = draws.multinomial(self.people, chances, size=replicates)  # (R, P)
        self._genuine: tuple[NDArray[np.int32], NDArray[np.int64]] | None = None

    def fmr(self, threshold: float) -> NDArray[np.float64] | None:
        """FMR where distances up to a threshold match, (R,); NaN where nobody else was drawn.

        None with fewer than 2 people or more than 8,192.
        """
        if not 2 <= self.people <= MOST_PEOPLE:
            return None
        matches = matches_between(self._rows, self._code, self.people, threshold)
        photos = self._drawn * self._size  # (R, P)
        impostors = (photos.sum(axis=1) ** 2 - (photos**2).sum(axis=1)) / 2
        with np.errstate(invalid="ignore"):
            return np.asarray(self._weighted(matches) / impostors)

    def fnmr(self, threshold: float) -> NDArray[np.float64] | None:
        """FNMR there, (R,); NaN where no genuine comparison was drawn.

        None with fewer than 2 people or more than 50 million genuine comparisons.
        """
        genuine = self._size * (self._size - 1) / 2
        if self.people < 2 or genuine.sum() > MOST_GENUINE:
            return None
        if self._genuine is None:
            self._genuine = genuine_steps(self._rows, self._code)
        steps, code = self._genuine
        matched = np.bincount(code[steps <= threshold * STEPS], minlength=self.people)
        with np.errstate(invalid="ignore"):
            return np.asarray(1 - (self._drawn @ matched) / (self._drawn @ genuine))

    def fmr_interval(self, threshold: float) -> Interval | None:
        """95 % percentile interval of the FMR."""
        return interval(self.fmr(threshold))

    def fnmr_interval(self, threshold: float) -> Interval | None:
        """95 % percentile interval of the FNMR."""
        return interval(self.fnmr(threshold))

    def _weighted(self, matches: NDArray[np.float32]) -> NDArray[np.float64]:
        """Sum of matches, (P, P), as each replicate weighs them: w M w, (R,)."""
        weights = self._drawn.astype(np.float64)
        total = np.zeros(len(weights))
        for left in range(0, self.people, ROWS):  # a slice at a time: float64 takes twice the room
            right = left + ROWS  # M is zero below its diagonal: rows up to here hold all
            with_part = weights[:, :right] @ matches[:right, left:right].astype(np.float64)
            total += np.einsum("rp,rp->r", with_part, weights[:, left:right])  # (R, at most ROWS)
        return total


def matches_between(
    rows: NDArray[np.float64], code: NDArray[np.int64], people: int, threshold: float
) -> NDArray[np.float32]:
    """Count the impostor comparisons that match, by pair of people.

    Args:
        rows: embeddings as :func:`exact_rows` gives them, person by person, (N, D).
        code: person of each, from 0, ascending, (N,).
        people: P.
        threshold: comparisons with distance <= threshold match.

    Returns:
        (P, P), zero on and below the diagonal; counts under 2^24 are exact.
    """
    matches = np.zeros(people * people, np.float32)
    for top in range(0, len(rows), ROWS):
        for left in range(top, len(rows), COLUMNS):
            steps = distance_steps(rows[top : top + ROWS], rows[left : left + COLUMNS])
            near = np.flatnonzero(steps <= threshold * STEPS)
            first, second = code[near // steps.shape[1] + top], code[near % steps.shape[1] + left]
            others = second > first
            np.add.at(matches, first[others] * people + second[others], np.float32(1))
    return matches.reshape(people, people)


def genuine_steps(
    rows: NDArray[np.float64], code: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the distance of every two photos of one person, in steps, and that person, (G,) each.

    Args:
        rows: embeddings as :func:`exact_rows` gives them, person by person, (N, D).
        code: person of each, ascending, (N,).
    """
    steps, owners = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    for start, end in zip(starts, np.append(starts[1:], len(code)), strict=False):
        own = distance_steps(rows[start:end], rows[start:end])
        steps.append(own[np.triu_indices(end - start, k=1)])
        owners.append(np.full(len(steps[-1]), code[start]))
    return np.concatenate(steps), np.concatenate(owners)
