"""The worst errors: impostor pairs that lie nearest, genuine pairs that lie farthest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.metrics.all_against_all import COLUMNS, ROWS
from faceverify.evaluation.metrics.exact_distances import STEPS, distance_steps, exact_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN = 8


@dataclass(frozen=True)
class WorstPair:
    """Two photos that a model gets wrong, or most nearly so.

    Args:
        first, second: positions of the photos.
        distance: ``inf`` where a photo has no embedding.
    """

    first: int
    second: int
    distance: float


@dataclass(frozen=True)
class Worst:
    """The worst pairs of both kinds, the worst first."""

    false_matches: tuple[WorstPair, ...]
    false_non_matches: tuple[WorstPair, ...]


def worst_pairs(
    distances: NDArray[np.float64],
    same: NDArray[np.bool_],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    *,
    most: int = SHOWN,
) -> Worst:
    """The worst of N listed pairs.

    Args:
        distances: (N,); ``inf`` for a failed comparison: the worst of genuine ones, and no impostor
            one.
        same: (N,).
        first, second: positions of their photos, (N,) each.
        most: how many of each kind.
    """
    impostor = np.flatnonzero(~same & np.isfinite(distances))
    genuine = np.flatnonzero(same)
    near = impostor[np.argsort(distances[impostor], kind="stable")][:most]
    far = genuine[np.argsort(-distances[genuine], kind="stable")][:most]

    def listed(pairs: NDArray[np.intp]) -> tuple[WorstPair, ...]:
        return tuple(WorstPair(int(first[i]), int(second[i]), float(distances[i])) for i in pairs)

    return Worst(listed(near), listed(far))


def worst_of_all(
    embeddings: NDArray[np.float32],
    enrolled: NDArray[np.bool_],
    identities: Sequence[str],
    *,
    most: int = SHOWN,
) -> Worst:
    """The worst of all pairs of N photos; those without an embedding are left out.

    Args:
        embeddings: of length 1, (N, D).
        enrolled: which photos have one, (N,).
        identities: who is on each, N.
        most: how many of each kind.
    """
    place = np.flatnonzero(enrolled)
    rows = exact_rows(embeddings[place])
    _, code = np.unique(np.asarray(identities, str)[place], return_inverse=True)
    near, far = (np.zeros((0, 3)) for _ in range(2))  # distance, first, second
    for top in range(0, len(rows), ROWS):
        bottom = min(top + ROWS, len(rows))
        for left in range(top - top % COLUMNS, len(rows), COLUMNS):
            block = distance_steps(rows[top:bottom], rows[left : left + COLUMNS]) / STEPS
            row, column = np.arange(top, bottom)[:, None], np.arange(left, left + block.shape[1])
            later = column > row
            same = code[top:bottom, None] == code[left : left + block.shape[1]]
            near = _kept(near, np.where(later & ~same, block, np.inf), top, left, most)
            far = _kept(far, np.where(later & same, -block, np.inf), top, left, most)
    far[:, 0] *= -1

    def listed(found: NDArray[np.float64]) -> tuple[WorstPair, ...]:
        return tuple(
            WorstPair(int(place[int(i)]), int(place[int(j)]), float(max(distance, 0)))
            for distance, i, j in found
        )

    return Worst(listed(near), listed(far))


def _kept(
    best: NDArray[np.float64], block: NDArray[np.float64], top: int, left: int, most: int
) -> NDArray[np.float64]:
    """The smallest of what was kept and a block's, the first of equals, (at most ``most``, 3)."""
    bound = best[-1, 0] if len(best) == most else np.inf
    flat = block.ravel()
    found = np.flatnonzero(flat < bound)
    if len(found) > most:  # by value: which of equals a partition puts first is up to the processor
        found = found[flat[found] <= np.partition(flat[found], most - 1)[most - 1]]
    width = block.shape[1]
    fresh = np.column_stack((flat[found], found // width + top, found % width + left))
    joined = np.concatenate((best, fresh))
    return joined[np.argsort(joined[:, 0], kind="stable")][:most]
