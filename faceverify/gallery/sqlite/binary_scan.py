"""The nearest binary templates of a query: every code is looked at, bits are counted.

FAISS (https://github.com/facebookresearch/faiss, an extra) counts them with the processor's own
instructions, straight on the mapped file; numpy does it several times slower.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceverify.matching.binary_templates import hamming_distance
from faceverify.runtime.parallel import default_workers

Codes: TypeAlias = NDArray[np.uint8]
Nearest: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]

BLOCK = 16_384  # codes that numpy compares at a time: they stay in the cache
LEAST_PART = 50_000  # codes for which another thread pays


def nearest_codes(queries: Codes, codes: Codes, count: int) -> Nearest:
    """The rows of the nearest codes and their distances, nearest first.

    Of codes as far as the last one given, any may be left out.

    Args:
        queries: (Q, B / 8).
        codes: (N, B / 8), contiguous rows.
        count: how many of each query, at most N are given.

    Returns:
        Rows and bits apart, (Q, count) each.
    """
    count = min(count, len(codes))
    if not count:
        nothing = np.zeros((len(queries), 0), np.int64)
        return nothing, nothing
    scan = _faiss_scan() or _numpy_scan
    parts = max(1, min(default_workers(), len(codes) // LEAST_PART))
    pieces = list(pairwise(np.linspace(0, len(codes), parts + 1).astype(int).tolist()))
    with ThreadPoolExecutor(parts) as pool:  # counting bits lets go of Python's lock
        found = list(pool.map(lambda piece: scan(queries, codes[slice(*piece)], count), pieces))
    rows = np.concatenate(
        [rows + start for (rows, _), (start, _) in zip(found, pieces, strict=True)], 1
    )
    bits = np.concatenate([bits for _, bits in found], 1)
    order = np.lexsort((rows, bits), axis=1)[:, :count]
    return np.take_along_axis(rows, order, 1), np.take_along_axis(bits, order, 1)


def _faiss_scan() -> Callable[[Codes, Codes, int], Nearest] | None:
    try:
        import faiss
    except ImportError:
        return None

    def scan(queries: Codes, codes: Codes, count: int) -> Nearest:
        bits, rows = faiss.knn_hamming(queries, codes, min(count, len(codes)))
        return rows.astype(np.int64), bits.astype(np.int64)

    return scan


def _numpy_scan(queries: Codes, codes: Codes, count: int) -> Nearest:
    rows, distances = [], []
    for query in queries:
        bits = np.empty(len(codes), np.int64)
        for start in range(0, len(codes), BLOCK):
            block = slice(start, start + BLOCK)
            bits[block] = hamming_distance(query, codes[block])
        nearest = np.argpartition(bits, min(count, len(codes)) - 1)[:count]
        rows.append(nearest)
        distances.append(bits[nearest])
    return np.stack(rows).astype(np.int64), np.stack(distances)
