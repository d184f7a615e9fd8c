"""Search in half precision: half the memory is read, and the answer is exact all the same.

For services over many millions of templates, where reading the float32 matrix takes too long. FAISS
(https://github.com/facebookresearch/faiss, an extra) keeps the embeddings in memory as float16 and
gives the best of them; these are measured in full precision. Rounding to float16 changes a cosine
by at most 2^-11, so that once the last person found is nearer than anything left out can be, nobody
is missed. Where that cannot be shown, more are looked at, and in the end all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import GalleryError, UsageError
from faceverify.gallery.search import Found, Rows, nearest
from faceverify.pipeline import default_workers

VARIABLE = "FACEVERIFY_SEARCH"
# of a product of unit vectors, one of them rounded to float16 (2^-11 of each number; below 2^-14
# it is 2^-25 absolute, which the second term covers up to 4096 numbers), and float32 sums
ROUNDING = 2.0**-11 + 2.0**-12
FIRST, MOST = 64, 4096  # rows asked of each piece, at first and at most
CHUNK = 1 << 16  # rows converted at a time


class SearchKind(str, Enum):
    """How an embedded gallery is searched. The first two give the same answers."""

    EXACT = "exact"  # the mapped float32 matrix: nothing to load
    HALF = "half"  # FAISS, float16 in memory: for long-running processes over large galleries
    CODES = "codes"  # a shortlist by binary templates: a 4th to a 32nd of the memory is read


def search_kind() -> SearchKind:
    """The way that the environment asks for.

    Raises:
        UsageError: there is no such way.
    """
    text = os.environ.get(VARIABLE) or SearchKind.EXACT.value
    try:
        return SearchKind(text)
    except ValueError:
        raise UsageError(
            f"{VARIABLE}={text!a} is unknown", cure="use exact, half or codes"
        ) from None


class HalfIndex:
    """Rows in half precision, in a piece for each processor.

    Args:
        rows: what is searched; they are still needed to measure what was found.

    Raises:
        GalleryError: FAISS is not installed.
    """

    def __init__(self, rows: Rows) -> None:
        try:
            import faiss
        except ImportError:
            raise GalleryError(
                f"{VARIABLE}=half needs the package faiss-cpu, which is not installed",
                cure="pip install 'faceverify[gallery]', or unset it",
            ) from None
        width = rows.embeddings.shape[1]
        edges = np.linspace(0, len(rows), default_workers() + 1).astype(int).tolist()
        self._pieces: list[tuple[int, Any]] = []
        for start, stop in pairwise(edges):
            piece = faiss.IndexScalarQuantizer(
                width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
            )
            for first in range(start, stop, CHUNK):
                piece.add(rows.embeddings[first : min(first + CHUNK, stop)])
            self._pieces.append((start, piece))

    def nearest(
        self, rows: Rows, others: Sequence[Rows], query: NDArray[np.float32], count: int
    ) -> list[Found]:
        """The nearest people of one query, exactly as :func:`~faceverify.gallery.search.nearest`.

        Args:
            rows: those that the index was made of; some may be gone by now.
            others: searched beside them.
        """
        fetched = FIRST
        while fetched <= MOST:
            chosen, bound = self._best(query, fetched)
            if rows.alive is not None:
                chosen = chosen[rows.alive[chosen]]
            (found,) = nearest([rows.at(chosen), *others], query[None], count)
            if len(found) == count and 1 - found[-1].distance > bound + ROUNDING:
                return found
            fetched *= 4
        return nearest([rows, *others], query[None], count)[0]

    def _best(self, query: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], float]:
        """The best rows of each piece, in their order, and the largest cosine of those left out."""
        with ThreadPoolExecutor(len(self._pieces)) as pool:
            found = list(pool.map(lambda piece: piece[1].search(query[None], count), self._pieces))
        bound = -np.inf
        chosen = []
        for (start, _), (cosines, places) in zip(self._pieces, found, strict=True):
            inside = places[0] >= 0  # a piece may have fewer
            chosen.append(places[0][inside] + start)
            if inside.all():
                bound = max(bound, float(cosines[0].min()))
        return np.sort(np.concatenate(chosen)), bound
