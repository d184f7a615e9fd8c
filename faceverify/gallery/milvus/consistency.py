"""How old what is read from Milvus may be: nothing of our own, and of others a few seconds.

Milvus answers from what its nodes have consumed of its log; each read says how far that must be:
``Session`` up to our own last writing (up to nothing, where we wrote nothing: just after a restart
of the server such a read finds an empty gallery), ``Bounded`` up to five seconds ago, ``Strong`` up
to now, which costs 0.2 to 0.4 s. A session does not see its own removals at once.
"""

from __future__ import annotations

import time
from typing import Any

BOUND = 5.0  # seconds, of Bounded


class ConsistentClient:
    """A pymilvus client whose first read of a collection sees all that was acknowledged before.

    So does the first read after a removal. Later ones see all of our own writing, and what others
    wrote more than a few seconds ago.

    Args:
        client: the real one, which does all the rest.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._caught_up: set[str] = set()
        self._written: dict[str, float] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, collection: str, **wanted: Any) -> Any:
        """Read rows."""
        return self._read(self._client.query, collection, wanted)

    def search(self, collection: str, **wanted: Any) -> Any:
        """Search vectors."""
        return self._read(self._client.search, collection, wanted)

    def upsert(self, collection: str, rows: list[dict[str, Any]]) -> None:
        """Write rows, in place of those with the same keys."""
        self._client.upsert(collection, rows)
        self._written[collection] = time.monotonic()

    def delete(self, collection: str, ids: list[str]) -> None:
        """Delete rows."""
        self._caught_up.discard(collection)
        self._client.delete(collection, ids=ids)

    def _read(self, read: Any, collection: str, wanted: dict[str, Any]) -> Any:
        level = self._level(collection)
        found = read(collection, consistency_level=level, **wanted)
        self._caught_up.add(collection)
        return found

    def _level(self, collection: str) -> str:
        if collection not in self._caught_up:
            return "Strong"
        since = time.monotonic() - self._written.get(collection, -BOUND)
        return "Session" if since < BOUND else "Bounded"
