"""The PostgreSQL engine, with pgvector: many writers on many hosts, exact search.

Distances are computed by the server (``<=>``). A search reads every template of the model, unless
the URL has ``?search=hnsw``, which uses the index of ``index.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import GalleryError

try:
    import psycopg
except ImportError as problem:
    raise GalleryError(
        "a postgresql:// gallery needs psycopg", cure="pip install 'faceverify[postgresql]'"
    ) from problem

from faceverify.choices import Fusion
from faceverify.gallery.postgresql.address import SearchKind, parse
from faceverify.gallery.postgresql.reading import (
    Row,
    count,
    damage,
    disagreements,
    names,
    newest,
    rows,
    stats,
)
from faceverify.gallery.postgresql.removal import check_rights, rewrite
from faceverify.gallery.postgresql.schema import create_roles, prepare
from faceverify.gallery.postgresql.search import nearest_means, nearest_templates, set_effort
from faceverify.gallery.postgresql.session import Conn, Session, connect_when_started, refused
from faceverify.gallery.postgresql.vectors import to_vectors
from faceverify.gallery.postgresql.writing import (
    delete,
    delete_empty_identities,
    delete_model,
    hold_counter,
    merge,
    rename,
    stage,
    staged_rows,
    unstage,
)
from faceverify.gallery.store import Added, Admit, Candidate, Enrollment, Stats, StoredTemplate
from faceverify.gallery.validation import check_queries

PAGE = 2_000  # templates, or names, read at once
LATER = "AND t.sequence > %(after)s ORDER BY t.sequence"


class PostgresStore:
    """A gallery on a PostgreSQL server; a :class:`~faceverify.gallery.store.Store`.

    Args:
        url: ``postgresql://user@host:port/database?gallery=NAME&search=exact|hnsw``.
        create: create the gallery if it does not exist.

    Raises:
        GalleryError: the server cannot be reached or has no pgvector; the gallery does not exist,
            or is of a newer version.
    """

    def __init__(self, url: str, *, create: bool = False) -> None:
        self._address = parse(url)
        self.url = self._address.shown
        connection = connect_when_started(self._address)
        try:
            prepare(connection, self._address, create=create)
        except psycopg.Error as problem:
            connection.close()
            raise refused(self._address, problem) from problem
        except BaseException:
            connection.close()
            raise
        self.session = Session(self._address, connection)

    def __enter__(self) -> PostgresStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.session.close()

    def add(
        self, enrollments: Sequence[Enrollment], *, model: str, admit: Admit | None = None
    ) -> list[Added]:
        """Store templates, all or none. A stored template keeps its time."""
        if not enrollments:
            return []
        staged, dimension = staged_rows(enrollments, model)

        def work(connection: Conn) -> list[Added]:
            stage(connection, staged)  # before the lock: others do not wait for the network
            last = hold_counter(connection)
            places: Sequence[int] = range(len(staged))
            if admit is not None:
                late: list[Row] = []
                if last > admit.after:
                    late = rows(connection, LATER, model=model, after=admit.after)
                places = admit([row.template for row in late])
                if len(places) < len(staged):
                    unstage(connection, places)
            return merge(connection, last, places, model=model, dimension=dimension)

        return self.session.write(work)

    def replace_model(
        self, old: str, enrollments: Sequence[Enrollment], *, model: str
    ) -> list[int]:
        """Replace all templates of model ``old`` by these, in one step."""
        staged, dimension = staged_rows(enrollments, model) if enrollments else ([], 0)

        def work(connection: Conn) -> tuple[list[int], int]:
            check_rights(connection, self._address)
            stage(connection, staged)
            last = hold_counter(connection)
            gone = delete_model(connection, old)
            places = range(len(staged))
            added = merge(connection, last, places, model=model, dimension=dimension)
            delete_empty_identities(connection)
            return [one.sequence for one in added], gone

        sequences, gone = self.session.write(work)
        if gone:
            rewrite(self.session, self._address)
        return sequences

    def remove(self, name: str, *, sequences: Sequence[int] | None = None) -> int:
        """Remove a person or some templates; the tables are then rewritten."""
        numbers = None if sequences is None else list(sequences)

        def work(connection: Conn) -> int:
            check_rights(connection, self._address)
            return delete(connection, name, numbers)

        gone = self.session.write(work)
        if gone:
            rewrite(self.session, self._address)
        return gone

    def rename(self, old: str, new: str) -> int:
        """Rename a person; returns how many templates."""
        return self.session.write(lambda connection: rename(connection, old, new))

    def compact(self) -> None:
        """Rewrite tables and indexes without the removed rows."""
        self.session.read(lambda connection: check_rights(connection, self._address))
        rewrite(self.session, self._address)

    def search(
        self,
        queries: NDArray[np.float32],
        count: int,
        *,
        model: str,
        fusion: Fusion = Fusion.MAX,
        names: Sequence[str] | None = None,
    ) -> list[list[Candidate]]:
        """The nearest people of each query; by index only if the URL has ``search=hnsw``.

        Searches of means, and among given names, are always exact.
        """

        def work(connection: Conn) -> list[list[Candidate]]:
            query = "SELECT id, dimension, indexed FROM models WHERE name = %s"
            row = connection.execute(query, (model,)).fetchone()
            if row is None:
                return [[] for _ in queries]
            number, dimension, indexed = row
            check_queries(queries, width=dimension, model=model)
            if count < 1:
                return [[] for _ in queries]
            vectors = to_vectors(queries.astype(np.float32, copy=False))
            if fusion is Fusion.MEAN:
                return [
                    nearest_means(connection, one, count, model=number, names=names)
                    for one in vectors
                ]
            by_index = None
            if self._address.search is SearchKind.HNSW and names is None:
                set_effort(connection, _effort(indexed, model))
                by_index = dimension
            return [
                nearest_templates(
                    connection, one, count, model=number, names=names, dimension=by_index
                )
                for one in vectors
            ]

        return self.session.read(work)

    def newest(self) -> int:
        """The greatest sequence number given so far."""
        return self.session.read(newest)

    def since(self, sequence: int, *, model: str | None = None) -> Iterator[StoredTemplate]:
        """Templates with a greater sequence number, in their order.

        They are read in pages: no transaction stays open, and a restart of the server does not end
        the iteration. Numbers become visible in their order, so none is missed.
        """
        return (row.template for row in self._since(sequence, model))

    def of(self, name: str, *, model: str | None = None) -> list[StoredTemplate]:
        """A person's templates, in their order."""
        return self._templates("AND i.name = %(name)s", model=model, name=name)

    def with_photo(self, photo_hash: bytes, *, model: str | None = None) -> list[StoredTemplate]:
        """Templates of photos with this SHA-256."""
        return self._templates("AND t.photo_hash = %(hash)s", model=model, hash=photo_hash)

    def names(self) -> Iterator[tuple[str, int]]:
        """Every name with its number of templates, ordered by name."""
        last = ""
        while True:
            page = self.session.read(partial(names, after=last, count=PAGE))
            yield from page
            if len(page) < PAGE:
                return
            last = page[-1][0]

    def count(self) -> dict[str, int]:
        """Number of templates by model id, counted by the server."""
        return self.session.read(count)

    def stats(self) -> Stats:
        """Statistics of the gallery, with details of the server and of its indexes."""
        return self.session.read(lambda connection: stats(connection, self._address))

    def check(self) -> list[str]:
        """Check every template's checksum and the consistency of the tables."""
        wrong = self.session.read(disagreements)
        return wrong + [line for row in self._since(0, None) if (line := damage(row)) is not None]

    def create_roles(self) -> tuple[str, str]:
        """Create the gallery's roles for enrollment and for search; returns their names."""
        return self.session.read(lambda connection: create_roles(connection, self._address))

    def _since(self, sequence: int, model: str | None) -> Iterator[Row]:
        while True:
            page = self._rows(
                LATER + " LIMIT %(page)s",
                model=model,
                after=sequence,
                page=PAGE,
            )
            yield from page
            if len(page) < PAGE:
                return
            sequence = page[-1].template.sequence

    def _templates(self, condition: str, **values: object) -> list[StoredTemplate]:
        found = self._rows(condition + " ORDER BY t.sequence", **values)
        return [row.template for row in found]

    def _rows(self, condition: str, **values: object) -> list[Row]:
        return self.session.read(lambda connection: rows(connection, condition, **values))


def _effort(indexed: dict[str, Any] | None, model: str) -> int:
    """ef_search with which the index's recall was measured."""
    if indexed is None:
        raise GalleryError(
            f"model {model} has no HNSW index",
            cure="run `faceverify gallery index`, or leave search=hnsw out of the URL",
        )
    return int(indexed["effort"])
