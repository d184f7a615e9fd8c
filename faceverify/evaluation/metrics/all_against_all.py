"""Full cross-comparison: all genuine and impostor comparisons of a set of photos, streamed.

Scores are kept as histograms over exact distances in steps of 2^-23 (see ``exact_distances``):
memory does not grow with the number of comparisons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.exact_distances import STEPS, distance_steps, exact_rows
from faceverify.evaluation.metrics.scores import ScoreCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS, COLUMNS = 512, 4096  # of a block, 16 MB; ROWS <= COLUMNS keeps the diagonal in one block


def all_against_all(
    embeddings: NDArray[np.floating],
    identities: Sequence[str],
    *,
    failed_identities: Sequence[str] = (),
) -> ScoreCounts:
    """Score counts of every pair of photos.

    Args:
        embeddings: of the N photos that have one, (N, D).
        identities: of these photos, N.
        failed_identities: identities of the photos without an embedding; each of their comparisons
            is a failed one.

    Returns:
        Counts of N (N - 1) / 2 comparisons, and of the failed ones.

    Raises:
        ModelError: an embedding is NaN, infinite or zero.
        UsageError: different numbers of identities and embeddings.
    """
    rows = exact_rows(embeddings)
    if len(identities) != len(rows):
        raise UsageError(f"identities: found {len(identities)} for {len(rows)} embeddings")
    _, code = np.unique(np.asarray(identities, dtype=str), return_inverse=True)
    order = np.argsort(code, kind="stable")  # genuine comparisons lie near the diagonal
    rows, code = rows[order], code[order]
    end = np.searchsorted(code, code, side="right")  # (N,): end of each photo's identity
    genuine, every = np.zeros((2, 2 * STEPS + 1), np.int64)
    room = np.empty(ROWS * COLUMNS)
    for top in range(0, len(rows), ROWS):
        bottom = min(top + ROWS, len(rows))
        for left in range(top, len(rows), COLUMNS):
            right = min(left + COLUMNS, len(rows))
            step = distance_steps(rows[top:bottom], rows[left:right], room)  # (rows, columns)
            if left == top:
                width = min(bottom - top, right - left)
                upper = np.triu_indices(width, k=1)
                np.add.at(every, step[:, :width][upper], 1)
                np.add.at(every, step[:, width:].ravel(), 1)
            else:
                np.add.at(every, step.ravel(), 1)
            if left < end[bottom - 1]:
                column = np.arange(left, min(right, end[bottom - 1]))
                row = np.arange(top, bottom)[:, None]
                one_person = (column > row) & (column < end[top:bottom, None])
                np.add.at(genuine, step[:, : len(column)][one_person], 1)
    kept = np.flatnonzero(every)
    failures = _failures(identities, failed_identities)
    return ScoreCounts(kept / STEPS, genuine[kept], every[kept] - genuine[kept], *failures)


def _failures(enrolled: Sequence[str], failed: Sequence[str]) -> tuple[int, int]:
    """Numbers of genuine and impostor comparisons that involve a failed photo."""
    people = np.unique([*enrolled, *failed], return_inverse=True)[1]
    everyone, present = np.bincount(people), np.bincount(people[: len(enrolled)])
    genuine = _choose_two(everyone).sum() - _choose_two(present).sum()
    every = _choose_two(len(people)) - _choose_two(len(enrolled))
    return int(genuine), int(every - genuine)


def _choose_two(count: int | NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(count * (np.asarray(count) - 1) // 2)
