"""Exact search: the nearest people of a query, at the speed at which memory is read.

Embeddings are read once, block by block. A block's cosines are compared with a floor: that of the
worst person who is still among the nearest. Most blocks have nothing above it, and are done with
once their largest cosine is known. What is above it is collected, and compared once more in double
precision at the end, so that rounding decides nothing.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceverify.matching.distance import cosine_distance
from faceverify.runtime.parallel import default_workers

# Numbers in a block: 1 MB, which stays in the cache. A product this small runs on one thread in
# OpenBLAS, so that threads of ours share the blocks, and two searches do not wait for each other.
BLOCK = 1 << 18
QUERIES = 256  # searched in one pass
MANY = 1 << 22  # cosines of several queries at once, 16 MB: few products, on OpenBLAS's threads
UNIT_ROUNDING = 2.0**-24  # of float32


@dataclass(frozen=True, eq=False)
class Rows:
    """What is searched.

    Attributes:
        embeddings: of length 1, (N, D) float32.
        identities: whose each is, (N,) int32.
        sequences: number of each template, (N,) int64.
        alive: which rows still exist, (N,); None where all do.
    """

    embeddings: NDArray[np.float32]
    identities: NDArray[np.int32]
    sequences: NDArray[np.int64]
    alive: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def columns(self) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int64]]:
        """As a search file holds them: embeddings, identities, sequences."""
        return self.embeddings, self.identities, self.sequences

    def at(self, places: NDArray[np.int64] | NDArray[np.bool_]) -> Rows:
        """A copy of some rows alone, alive or not."""
        return Rows(self.embeddings[places], self.identities[places], self.sequences[places])

    def of(self, identities: NDArray[np.int32]) -> Rows:
        """A copy of the rows of these people alone."""
        wanted = np.isin(self.identities, identities)
        if self.alive is not None:
            wanted &= self.alive
        return self.at(wanted)


@dataclass(frozen=True)
class Found:
    """The best row of a person.

    Attributes:
        identity: the person's number.
        distance: cosine distance in [0, 2].
        sequence: of the row.
    """

    identity: int
    distance: float
    sequence: int


def nearest(
    parts: Sequence[Rows],
    queries: NDArray[np.float32],
    count: int,
    *,
    threads: int | None = None,
) -> list[list[Found]]:
    """The nearest people of each query, (Q, D) -> Q lists of at most ``count``, nearest first.

    Each person appears once, with the nearest row; equal distances are ordered by sequence number.

    Args:
        parts: all of them together are searched.
        threads: how many read at once where one query is searched; by default all processors.
    """
    parts = [part for part in parts if len(part)]
    if not parts or count < 1:
        return [[] for _ in queries]
    workers = default_workers() if threads is None else threads
    found: list[list[Found]] = []
    for start in range(0, len(queries), QUERIES):
        chunk = np.ascontiguousarray(queries[start : start + QUERIES], np.float32)
        best = [_Best(count, chunk.shape[1]) for _ in chunk]
        for number, part in enumerate(parts):
            if len(chunk) == 1:
                _scan_one(part, number, chunk[0], best[0], workers)
            else:
                _scan_many(part, number, chunk, best)
        found.extend(one.settle(parts, query) for one, query in zip(best, chunk, strict=True))
    return found


class _Best:
    """The rows that may still be among the nearest of a query.

    A cosine of float32 errs by at most D roundings, so what lies within two such errors below the
    worst person who is in may yet be nearer: the floor is that far below.
    """

    def __init__(self, count: int, width: int) -> None:
        self.floor = -np.inf
        self._count = count
        self._error = 2.0 * (width + 2) * UNIT_ROUNDING
        self._cosines = np.zeros(0, np.float32)
        self._identities = np.zeros(0, np.int32)
        self._places = np.zeros((0, 2), np.int64)  # number of the part, row in it
        self._lock = threading.Lock()

    def offer(self, number: int, part: Rows, start: int, cosines: NDArray[np.float32]) -> None:
        """Look at the cosines of a block, of which some are above the floor."""
        chosen = np.flatnonzero(cosines >= self.floor)
        if part.alive is not None:
            chosen = chosen[part.alive[chosen + start]]
        head = 8 * self._count + 64
        if len(chosen) > 4 * head:  # the first block, above no floor yet: raise it by the best
            best = chosen[np.argpartition(-cosines[chosen], head)[:head]]
            worst = _worst(cosines[best], part.identities[best + start], self._count)
            chosen = chosen[cosines[chosen] >= worst - self._error]
        if not len(chosen):
            return
        rows = chosen + start
        with self._lock:
            self._cosines = np.concatenate([self._cosines, cosines[chosen]])
            self._identities = np.concatenate([self._identities, part.identities[rows]])
            places = np.stack([np.full(len(rows), number), rows], axis=1)
            self._places = np.concatenate([self._places, places])
            worst = _worst(self._cosines, self._identities, self._count)
            self.floor = max(self.floor, worst - self._error)
            kept = self._cosines >= self.floor
            self._cosines, self._identities = self._cosines[kept], self._identities[kept]
            self._places = self._places[kept]

    def settle(self, parts: Sequence[Rows], query: NDArray[np.float32]) -> list[Found]:
        """The nearest people, by distances in double precision."""
        rows: list[Found] = []
        for number, part in enumerate(parts):
            places = self._places[self._places[:, 0] == number, 1]
            distances = cosine_distance(part.embeddings[places], query)
            columns = (part.identities[places], distances, part.sequences[places])
            rows.extend(Found(*row) for row in zip(*(c.tolist() for c in columns), strict=True))
        rows.sort(key=lambda row: (row.distance, row.sequence))
        people: dict[int, Found] = {}
        for row in rows:
            people.setdefault(row.identity, row)
        return list(itertools.islice(people.values(), self._count))


def _worst(cosines: NDArray[np.float32], identities: NDArray[np.int32], count: int) -> float:
    """The cosine of the last of the ``count`` nearest people; -inf where there are fewer."""
    order = np.argsort(-cosines, kind="stable")
    _, firsts = np.unique(identities[order], return_index=True)
    if len(firsts) < count:
        return -np.inf
    return float(cosines[order[np.partition(firsts, count - 1)[count - 1]]])


def _scan_one(
    part: Rows, number: int, query: NDArray[np.float32], best: _Best, threads: int
) -> None:
    height = max(BLOCK // part.embeddings.shape[1], 1)
    blocks = -(-len(part) // height)

    def scan(take: Callable[[], int]) -> None:
        cosines = np.empty(height, np.float32)
        while (block := take()) < blocks:
            rows = part.embeddings[block * height : (block + 1) * height]
            here = np.dot(rows, query, out=cosines[: len(rows)])
            if here.max() >= best.floor:
                best.offer(number, part, block * height, here)

    take = itertools.count().__next__  # one step under Python's lock: no block is taken twice
    helpers = min(threads, blocks // 4) - 1
    if helpers < 1:
        scan(take)
        return
    with ThreadPoolExecutor(helpers) as pool:
        running = [pool.submit(scan, take) for _ in range(helpers)]
        scan(take)
        for one in running:
            one.result()


def _scan_many(
    part: Rows, number: int, queries: NDArray[np.float32], best: Sequence[_Best]
) -> None:
    height = max(MANY // len(queries), 1)
    held = np.empty(len(queries) * height, np.float32)
    for start in range(0, len(part), height):
        rows = part.embeddings[start : start + height]
        cosines = held[: len(queries) * len(rows)].reshape(len(queries), len(rows))
        np.matmul(queries, rows.T, out=cosines)
        floors = np.array([one.floor for one in best])
        for index in np.flatnonzero(cosines.max(axis=1) >= floors).tolist():
            best[index].offer(number, part, start, cosines[index])
