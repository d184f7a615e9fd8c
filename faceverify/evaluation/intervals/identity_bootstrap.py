"""Confidence intervals of FMR and FNMR of a full cross-comparison, by bootstrap over identities.

The weights are those of ``bootstrap``: w_i for genuine comparisons of identity i, w_i w_j for
impostor comparisons of i and j. With false matches counted by pair of identities in a matrix M, the
weighted number of false matches of a replicate is w M w. Distances are exact (see
``exact_distances``) and sums are of integers: the counts are those of ``all_against_all`` on every
processor.
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

MAX_IDENTITIES = 8192  # M is identities by identities: 256 MB of float32
MAX_GENUINE = 50_000_000  # distances in memory: 200 MB


class IdentityBootstrap:
    """Bootstrap replicates of FMR and FNMR at any threshold, from one resampling of P identities.

    Args:
        embeddings: of the N photos that have one, (N, D).
        identities: of these photos, N.
        failed_identities: identities of the photos without an embedding.
        replicates: R.
        seed: of the resampling, which is the same for every threshold and model.

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
        self.num_identities = len(names)
        self._size = np.bincount(code, minlength=self.num_identities).astype(np.float64)  # (P,)
        present = code[: len(identities)]
        order = np.argsort(present, kind="stable")
        self._rows, self._code = exact_rows(embeddings)[order], present[order]
        draws = np.random.default_rng(seed)
        chances = np.full(self.num_identities, 1 / self.num_identities)
        self._drawn = draws.multinomial(self.num_identities, chances, size=replicates)  # (R, P)
        self._genuine: tuple[NDArray[np.int32], NDArray[np.int64]] | None = None

    def fmr(self, threshold: float) -> NDArray[np.float64] | None:
        """FMR at a threshold, (R,); NaN in a replicate without impostor comparisons.

        None with fewer than 2 identities or more than 8,192.
        """
        if not 2 <= self.num_identities <= MAX_IDENTITIES:
            return None
        matches = matches_between(self._rows, self._code, self.num_identities, threshold)
        photos = self._drawn * self._size  # (R, P)
        impostors = (photos.sum(axis=1) ** 2 - (photos**2).sum(axis=1)) / 2
        with np.errstate(invalid="ignore"):
            return np.asarray(self._weighted(matches) / impostors)

    def fnmr(self, threshold: float) -> NDArray[np.float64] | None:
        """FNMR at a threshold, (R,); NaN in a replicate without genuine comparisons.

        None with fewer than 2 identities or more than 50 million genuine comparisons.
        """
        genuine = self._size * (self._size - 1) / 2
        if self.num_identities < 2 or genuine.sum() > MAX_GENUINE:
            return None
        if self._genuine is None:
            self._genuine = genuine_steps(self._rows, self._code)
        steps, code = self._genuine
        matched = np.bincount(code[steps <= threshold * STEPS], minlength=self.num_identities)
        with np.errstate(invalid="ignore"):
            return np.asarray(1 - (self._drawn @ matched) / (self._drawn @ genuine))

    def fmr_interval(self, threshold: float) -> Interval | None:
        """95 % percentile interval of the FMR."""
        return interval(self.fmr(threshold))

    def fnmr_interval(self, threshold: float) -> Interval | None:
        """95 % percentile interval of the FNMR."""
        return interval(self.fnmr(threshold))

    def _weighted(self, matches: NDArray[np.float32]) -> NDArray[np.float64]:
        """Weighted number of matches of each replicate, w M w, from M (P, P), (R,)."""
        weights = self._drawn.astype(np.float64)
        total = np.zeros(len(weights))
        for left in range(0, self.num_identities, ROWS):  # in slices, to save memory
            right = left + ROWS  # M is zero below its diagonal: rows up to here hold all
            with_part = weights[:, :right] @ matches[:right, left:right].astype(np.float64)
            total += np.einsum("rp,rp->r", with_part, weights[:, left:right])  # (R, at most ROWS)
        return total


def matches_between(
    rows: NDArray[np.float64], code: NDArray[np.int64], num_identities: int, threshold: float
) -> NDArray[np.float32]:
    """Number of false matches of each pair of identities.

    Args:
        rows: embeddings from :func:`exact_rows`, sorted by identity, (N, D).
        code: identity of each, from 0, ascending, (N,).
        num_identities: number of identities, P.
        threshold: comparisons with distance <= threshold match.

    Returns:
        (P, P), zero on and below the diagonal; counts below 2^24 are exact.
    """
    matches = np.zeros(num_identities * num_identities, np.float32)
    for top in range(0, len(rows), ROWS):
        for left in range(top, len(rows), COLUMNS):
            steps = distance_steps(rows[top : top + ROWS], rows[left : left + COLUMNS])
            near = np.flatnonzero(steps <= threshold * STEPS)
            first, second = code[near // steps.shape[1] + top], code[near % steps.shape[1] + left]
            others = second > first
            np.add.at(matches, first[others] * num_identities + second[others], np.float32(1))
    return matches.reshape(num_identities, num_identities)


def genuine_steps(
    rows: NDArray[np.float64], code: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Distances of all G genuine comparisons, in steps, and their identities, (G,) each.

    Args:
        rows: embeddings from :func:`exact_rows`, sorted by identity, (N, D).
        code: identity of each, ascending, (N,).
    """
    steps, owners = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    for start, end in zip(starts, np.append(starts[1:], len(code)), strict=False):
        own = distance_steps(rows[start:end], rows[start:end])
        steps.append(own[np.triu_indices(end - start, k=1)])
        owners.append(np.full(len(steps[-1]), code[start]))
    return np.concatenate(steps), np.concatenate(owners)
