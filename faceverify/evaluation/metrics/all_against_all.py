"""Every photo against every other: all genuine and impostor comparisons, streamed.

Distances are exact and counted in steps of 2^-23 (see ``exact_distances``), one counter a step:
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

ROWS, COLUMNS = 512, 4096  # of a block of comparisons, 16 MB; the diagonal lies in one: R <= C


def all_against_all(
    embeddings: NDArray[np.floating],
    identities: Sequence[str],
    *,
    failed_identities: Sequence[str] = (),
) -> ScoreCounts:
    """Compare each photo with every later one.

    Args:
        embeddings: of the N photos that have one, (N, D).
        identities: who is on each, N.
        failed_identities: who was on each photo without an embedding; every comparison with such a
            photo is a failed one.

    Returns:
        N (N - 1) / 2 comparisons, and the failed ones.

    Raises:
        ModelError: an embedding is NaN, infinite or zero.
        UsageError: another number of identities than of embeddings.
    """
    rows = exact_rows(embeddings)
    if len(identities) != len(rows):
        raise UsageError(f"identities: found {len(identities)} for {len(rows)} embeddings")
    _, code = np.unique(np.asarray(identities, dtype=str), return_inverse=True)
    order = np.argsort(code, kind="stable")  # people side by side: genuine blocks are narrow
    rows, code = rows[order], code[order]
    end = np.searchsorted(code, code, side="right")  # (N,): where each photo's person ends
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
    """Genuine and impostor comparisons that the failed photos take with them."""
    people = np.unique([*enrolled, *failed], return_inverse=True)[1]
    everyone, present = np.bincount(people), np.bincount(people[: len(enrolled)])
    genuine = _choose_two(everyone).sum() - _choose_two(present).sum()
    every = _choose_two(len(people)) - _choose_two(len(enrolled))
    return int(genuine), int(every - genuine)


def _choose_two(count: int | NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(count * (np.asarray(count) - 1) // 2)
