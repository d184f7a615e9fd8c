"""Every photo against every other: all genuine and impostor comparisons, streamed.

Embeddings are float32, and so is the cosine of a pair: near a distance of 1 its neighbours lie
2^-23 (1.2e-7) apart, and the order of summation moves it by as much. Distances are therefore
counted on a grid of that step, one counter a step, 2^24 + 1 of them: nothing that the arithmetic
can tell apart is merged at distances from 1 to 2, and below 1 nothing that it can be trusted to
tell apart. Memory does not grow with the number of comparisons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import ModelError, UsageError
from faceverify.evaluation.scores import ScoreCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = 2**23  # grid steps in a distance of 1
ROWS, COLUMNS = 1024, 4096  # of a block of comparisons, 16 MB; the diagonal lies in one: R <= C


def unit_rows(embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return embeddings of length 1, (N, D) float32.

    Raises:
        ModelError: a row holds NaN or infinity, or nothing but zeros.
    """
    rows = np.asarray(embeddings, np.float32)
    if rows.ndim != 2:
        raise ModelError(f"embeddings: found shape {rows.shape}, expected (photos, dimensions)")
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    wrong = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if wrong.size:
        what = "a zero embedding" if lengths[wrong[0], 0] == 0 else "NaN or infinity"
        raise ModelError(
            f"embeddings: found {what} in row {wrong[0]}, {wrong.size} such rows of {len(rows)}, "
            "expected directions",
            cure="leave failed photos out and count them as failures to enrol",
        )
    return np.asarray(rows / lengths, np.float32)


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
    rows = unit_rows(embeddings)
    if len(identities) != len(rows):
        raise UsageError(f"identities: found {len(identities)} for {len(rows)} embeddings")
    _, code = np.unique(np.asarray(identities, dtype=str), return_inverse=True)
    order = np.argsort(code, kind="stable")  # people side by side: genuine blocks are narrow
    rows, code = rows[order], code[order]
    end = np.searchsorted(code, code, side="right")  # (N,): where each photo's person ends
    genuine, every = np.zeros((2, 2 * STEPS + 1), np.int64)
    room = np.empty(ROWS * COLUMNS, np.float32)
    for top in range(0, len(rows), ROWS):
        bottom = min(top + ROWS, len(rows))
        for left in range(top, len(rows), COLUMNS):
            right = min(left + COLUMNS, len(rows))
            block = room[: (bottom - top) * (right - left)].reshape(bottom - top, right - left)
            np.matmul(rows[top:bottom], rows[left:right].T, out=block)
            step = steps_of(block)  # (rows, columns)
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


def steps_of(cosines: NDArray[np.float32]) -> NDArray[np.int64]:
    """Distance 1 - cosine in grid steps; the cosines are overwritten."""
    np.subtract(np.float32(1), cosines, out=cosines)
    np.multiply(cosines, np.float32(STEPS), out=cosines)
    np.rint(cosines, out=cosines)
    np.clip(cosines, 0, 2 * STEPS, out=cosines)  # rounding can pass the poles
    return cosines.astype(np.int64)


def _failures(enrolled: Sequence[str], failed: Sequence[str]) -> tuple[int, int]:
    """Genuine and impostor comparisons that the failed photos take with them."""
    people = np.unique([*enrolled, *failed], return_inverse=True)[1]
    everyone, present = np.bincount(people), np.bincount(people[: len(enrolled)])
    genuine = _choose_two(everyone).sum() - _choose_two(present).sum()
    every = _choose_two(len(people)) - _choose_two(len(enrolled))
    return int(genuine), int(every - genuine)


def _choose_two(count: int | NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(count * (np.asarray(count) - 1) // 2)
