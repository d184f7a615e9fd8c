"""Consistency level of each read from Milvus: own writes at once, others' within seconds.

Milvus answers from the part of its log that its nodes have consumed; the level of a read is the
point they must have reached: ``Session`` the client's last write (without one, a read just after a
restart of the server finds an empty gallery), ``Bounded`` five seconds ago, ``Strong`` now, which
costs 0.2 to 0.4 s. ``Session`` does not include the client's own removals at once.
https://milvus.io/docs/consistency.md
"""

from __future__ import annotations

import time
from typing import Any

from faceverify.runtime.patience import seconds_to_wait

ANSWER_SECONDS = 60.0  # of a request; without a limit, pymilvus tries for minutes
BOUND = 5.0  # seconds, of Bounded


class ConsistentClient:
    """A pymilvus client that chooses the consistency level of each read.

    The first read of a collection, and the first after a removal, are ``Strong``. Later reads see
    all own writes, and those of others after a few seconds.

    Args:
        client: the pymilvus client; all other calls go to it unchanged.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._wait = seconds_to_wait(ANSWER_SECONDS)
        self._caught_up: set[str] = set()
        self._written: dict[str, float] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, collection: str, **options: Any) -> Any:
        """Read rows."""
        return self._read(self._client.query, collection, options)

    def search(self, collection: str, **options: Any) -> Any:
        """Search vectors."""
        return self._read(self._client.search, collection, options)

    def upsert(self, collection: str, rows: list[dict[str, Any]]) -> None:
        """Insert rows, or replace those with the same keys."""
        self._client.upsert(collection, rows, timeout=self._wait)
        self._written[collection] = time.monotonic()

    def delete(self, collection: str, ids: list[str]) -> None:
        """Delete rows."""
        self._caught_up.discard(collection)
        self._client.delete(collection, ids=ids, timeout=self._wait)

    def _read(self, read: Any, collection: str, options: dict[str, Any]) -> Any:
        level = self._level(collection)
        found = read(collection, consistency_level=level, timeout=self._wait, **options)
        self._caught_up.add(collection)
        return found

    def _level(self, collection: str) -> str:
        if collection not in self._caught_up:
            return "Strong"
        since = time.monotonic() - self._written.get(collection, -BOUND)
        return "Session" if since < BOUND else "Bounded"
