"""The embedded engine: a gallery is a folder, its database the truth.

``gallery.sqlite`` holds people and templates, sealed row by row (see ``rows.py``); ``lock`` lets
one process write at a time; ``search/`` holds what a search maps into memory, derived and
disposable (see ``index.py``). All of it is readable by its owner alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import GalleryError
from faceverify.gallery import changes, rows
from faceverify.gallery.checking import check_database
from faceverify.gallery.database import BUSY, Database
from faceverify.gallery.index import TemplateIndex
from faceverify.gallery.means import means
from faceverify.gallery.schema import MIGRATIONS
from faceverify.gallery.search import Found, nearest
from faceverify.gallery.state import State
from faceverify.gallery.store import Candidate, Enrolment, Fusion, Stats, StoredTemplate

PAGE = 1000  # rows read at once while a caller goes through them


class SqliteStore:
    """A gallery in a folder; see :class:`faceverify.gallery.store.Store`.

    Args:
        url: the folder.
        create: make a gallery where there is none.
        key: passphrase of an encrypted gallery; a new one becomes encrypted by it.
        busy: seconds to wait for another process.

    Raises:
        GalleryError: there is none (code ``gallery-missing``); it is damaged, foreign, of a newer
            version, or locked; it is encrypted and the key is missing or another (``gallery-key``).
    """

    def __init__(
        self, url: str, *, create: bool = False, key: str | None = None, busy: float = BUSY
    ) -> None:
        self._database = Database(Path(url), create=create, key=key, busy=busy)
        self._indexes: dict[str, TemplateIndex] = {}

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, enrolments: Sequence[Enrolment], *, model: str) -> list[int]:
        """Store templates, all or none; they are durable once this returns."""
        if not enrolments:
            return []
        database = self._database
        with database.writing() as change:
            change.state, sequences = changes.insert(
                database.sql, database.protection, change.state, enrolments, model=model
            )
        return sequences

    def search(
        self,
        queries: NDArray[np.float32],
        count: int,
        *,
        model: str,
        fusion: Fusion = Fusion.MAX,
        names: Sequence[str] | None = None,
    ) -> list[list[Candidate]]:
        """The nearest people of each query; each query is a row."""
        with self._database.reading() as state:
            known = state.models.get(model)
            if known is None:
                return [[] for _ in queries]
            changes.check_queries(queries, known)
            parts = self._index(model).refresh(state)
            if names is not None:
                people = self._people(names)
                parts = [part.of(people) for part in parts]
            if fusion is Fusion.MEAN:
                parts = [means(parts)]
            found = nearest(parts, queries, count)
            return [[self._candidate(one, fusion) for one in row] for row in found]

    def since(self, sequence: int, *, model: str | None = None) -> Iterator[StoredTemplate]:
        """Templates with a greater sequence number, in their order; of all models by default."""
        while True:
            with self._database.reading() as state:
                found = self._database.sql.execute(
                    "SELECT t.sequence, t.identity, t.model, t.record, i.name FROM templates t "
                    "LEFT JOIN identities i ON i.id = t.identity "
                    "WHERE t.sequence > ? ORDER BY t.sequence LIMIT ?",
                    (sequence, PAGE),
                ).fetchall()
                page = [self._template(row[:4], state, self._name(row[1], row[4])) for row in found]
            if not page:
                return
            sequence = page[-1].sequence
            yield from (one for one in page if model in (None, one.model))

    def of(self, name: str, *, model: str | None = None) -> list[StoredTemplate]:
        """A person's templates, in their order."""
        database = self._database
        with database.reading() as state:
            identity = changes.identity_of(database.sql, database.protection, name)
            if identity is None:
                return []
            found = changes.templates_of(database.sql, identity)
            templates = [self._template(row, state, name) for row in found]
        return [one for one in templates if model in (None, one.model)]

    def with_photo(self, photo_hash: bytes, *, model: str | None = None) -> list[StoredTemplate]:
        """Templates made of a photo of this content."""
        with self._database.reading() as state:
            found = self._database.sql.execute(
                "SELECT t.sequence, t.identity, t.model, t.record, i.name FROM templates t "
                "LEFT JOIN identities i ON i.id = t.identity "
                "WHERE t.photo_key = ? ORDER BY t.sequence",
                (rows.photo_key(self._database.protection, photo_hash),),
            ).fetchall()
            templates = [
                self._template(row[:4], state, self._name(row[1], row[4])) for row in found
            ]
        return [one for one in templates if model in (None, one.model)]

    def names(self) -> Iterator[tuple[str, int]]:
        """Every person with the number of templates, ordered by name."""
        with self._database.reading():
            found = self._database.sql.execute(
                "SELECT i.id, i.name, count(*) FROM identities i "
                "JOIN templates t ON t.identity = i.id GROUP BY i.id"
            ).fetchall()
        yield from sorted((self._name(row[0], row[1]), row[2]) for row in found)

    def remove(self, name: str, *, sequences: Sequence[int] | None = None) -> int:
        """Remove a person, or some templates; their bytes are gone from every file."""
        database = self._database
        with database.writing() as change:
            identity = changes.identity_of(database.sql, database.protection, name)
            if identity is None:
                return 0
            doomed = changes.templates_of(database.sql, identity)
            if sequences is not None:
                doomed = [row for row in doomed if row[0] in set(sequences)]
            if not doomed:
                return 0
            state = changes.delete(database.sql, database.protection, change.state, doomed)
            change.state = changes.forget_people(
                database.sql, database.protection, state, [identity]
            )
        self._wipe()
        return len(doomed)

    def rename(self, old: str, new: str) -> int:
        """Rename a person; returns how many templates."""
        database = self._database
        changes.check_name(new)
        with database.writing() as change:
            identity = changes.identity_of(database.sql, database.protection, old)
            if identity is None:
                return 0
            if changes.identity_of(database.sql, database.protection, new) is not None:
                raise GalleryError(
                    f"{new} is enrolled already", cure="remove that person first, or name another"
                )
            change.state = changes.rename(
                database.sql, database.protection, change.state, identity, new
            )
            return len(changes.templates_of(database.sql, identity))

    def replace_model(self, old: str, enrolments: Sequence[Enrolment], *, model: str) -> list[int]:
        """Drop all templates of model ``old`` and store these instead, in one step."""
        database = self._database
        sql, protection = database.sql, database.protection
        with database.writing() as change:
            known = change.state.models.get(old)
            doomed = changes.templates_of_model(sql, known.key) if known else []
            sequences: list[int] = []
            change.state = changes.delete(sql, protection, change.state, doomed)
            if enrolments:
                change.state, sequences = changes.insert(
                    sql, protection, change.state, enrolments, model=model
                )
            people = {row[1] for row in doomed}
            change.state = changes.forget_people(sql, protection, change.state, people)
        self._wipe()
        return sequences

    def stats(self) -> Stats:
        """What the store holds."""
        with self._database.reading() as state:
            models = {model.name: model.rows.count for model in state.models.values()}
            identities = state.identities.count
        return Stats(
            engine="sqlite",
            url=str(self._database.folder),
            identities=identities,
            templates=sum(models.values()),
            models=models,
            details=self._details(),
        )

    def check(self) -> list[str]:
        """Check every checksum; returns one line for each thing that is wrong."""
        return check_database(self._database)

    def compact(self) -> None:
        """Give back the space of what was removed; build the search structures anew."""
        with self._database.writing():
            self._database.sql.execute("DELETE FROM tombstones")
        self._wipe()

    def close(self) -> None:
        """Let go of the files."""
        self._indexes.clear()
        self._database.close()

    def _index(self, model: str) -> TemplateIndex:
        if model not in self._indexes:
            self._indexes[model] = TemplateIndex(self._database, model)
        return self._indexes[model]

    def _people(self, names: Sequence[str]) -> NDArray[np.int32]:
        database = self._database
        found = (changes.identity_of(database.sql, database.protection, name) for name in names)
        return np.array([one for one in found if one is not None], np.int32)

    def _candidate(self, found: Found, fusion: Fusion) -> Candidate:
        row = self._database.sql.execute(
            "SELECT name FROM identities WHERE id = ?", (found.identity,)
        ).fetchone()
        name = self._name(found.identity, row and row[0])
        return Candidate(name, found.distance, found.sequence if fusion is Fusion.MAX else None)

    def _template(self, row: changes.Row, state: State, name: str) -> StoredTemplate:
        sequence, identity, model, record = row
        opened = self._database.protection.open(
            record, rows.template_place(sequence, identity, model)
        )
        return rows.unpack(opened, name=name, sequence=sequence, model=state.model_of(model).name)

    def _name(self, identity: int, sealed: bytes | None) -> str:
        if sealed is None:
            raise GalleryError(
                f"{self._database.path}: identities/{identity} is missing",
                cure="restore a backup",
                code="gallery-damaged",
            )
        return self._database.protection.open(sealed, rows.identity_place(identity)).decode()

    def _wipe(self) -> None:
        """Make sure that the bytes of what was removed are in none of the files."""
        self._indexes.clear()
        self._database.vacuum()

    def _details(self) -> dict[str, object]:
        folder = self._database.folder
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {
            "schema": len(MIGRATIONS),
            "encrypted": self._database.encrypted,
            "bytes": sum(path.stat().st_size for path in files),
        }
