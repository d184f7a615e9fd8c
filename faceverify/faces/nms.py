"""Non-maximum suppression: of boxes that overlap, the best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

BLOCK = 64  # boxes that are compared with each other at once


def suppress(
    boxes: Floats, scores: Floats, overlap: float, *, short: float = 0, of_smaller: bool = False
) -> NDArray[np.intp]:
    """Non-maximum suppression: the boxes to keep, best first, as indices.

    Args:
        overlap: a box goes when it shares more than this with a better one.
        short: pixels that a side counts less than it measures.
        of_smaller: measure the share against the smaller of the two areas, not against their union.
    """
    order = np.argsort(-scores, kind="stable")
    if len(order) < 2:
        return order
    edges = boxes[order] + np.array([short, short, 0, 0], np.float32)
    area = np.prod(edges[:, 2:] - edges[:, :2], axis=1)
    alive = np.ones(len(order), bool)

    def clash(some: slice | NDArray[np.intp], others: slice) -> NDArray[np.bool_]:
        first, second = edges[some, None], edges[None, others]
        sides = np.minimum(first[..., 2:], second[..., 2:])
        sides -= np.maximum(first[..., :2], second[..., :2])
        np.maximum(sides, 0, out=sides)
        shared = sides[..., 0] * sides[..., 1]
        a, b = area[some, None], area[None, others]
        whole = np.minimum(a, b) if of_smaller else a + b - shared
        return np.asarray(shared > overlap * whole)

    for start in range(0, len(order), BLOCK):  # blocks: memory stays flat for any number of boxes
        stop = min(start + BLOCK, len(order))
        clashes = clash(slice(start, stop), slice(start, stop))
        for row in range(start, stop):
            if alive[row]:
                alive[row + 1 : stop] &= ~clashes[row - start, row + 1 - start :]
        if stop < len(order):
            kept = start + np.flatnonzero(alive[start:stop])
            alive[stop:] &= ~clash(kept, slice(stop, None)).any(axis=0)
    return order[alive]
