"""The embedded engine: a gallery is a folder, its database the truth.

``gallery.sqlite`` holds people and templates, sealed row by row (see ``records.py``); ``lock`` lets
one process write at a time; ``search/`` holds what a search maps into memory, derived and
disposable (see ``index.py``). All of it is readable by its owner alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from faceverify.choices import CodeMethod, Fusion, SearchMethod
from faceverify.errors import GalleryError
from faceverify.gallery.sqlite import reading, records, writing
from faceverify.gallery.sqlite.binary_index import CodeFit
from faceverify.gallery.sqlite.check import check_database
from faceverify.gallery.sqlite.database import BUSY, Database
from faceverify.gallery.sqlite.schema import MIGRATIONS
from faceverify.gallery.sqlite.search import Searcher
from faceverify.gallery.sqlite.search_file_writing import wipe
from faceverify.gallery.store import Added, Admit, Candidate, Enrolment, Stats, StoredTemplate
from faceverify.gallery.validation import check_name

PAGE = 1000  # rows read at once while a caller goes through them


class SqliteStore:
    """A gallery in a folder; see :class:`faceverify.gallery.store.Store`.

    Args:
        url: the folder.
        create: make a gallery where there is none.
        key: passphrase of an encrypted gallery; a new one becomes encrypted by it.
        busy: seconds to wait for another process.
        search: how people are looked for.

    Raises:
        GalleryError: there is none (code ``gallery-missing``); it is damaged, foreign, of a newer
            version, or locked; it is encrypted and the key is missing or another (``gallery-key``).
    """

    def __init__(
        self,
        url: str,
        *,
        create: bool = False,
        key: str | None = None,
        busy: float = BUSY,
        search: SearchMethod = SearchMethod.EXACT,
    ) -> None:
        self._database = Database(Path(url), create=create, key=key, busy=busy)
        self.url = str(self._database.folder)
        self._method = search
        self._searcher = Searcher(self._database, search)
        self._enrolled: set[str] = set()  # models, whose search files may be overdue

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:  # let go at once
            self._enrolled.clear()
        self.close()

    def add(
        self, enrolments: Sequence[Enrolment], *, model: str, admit: Admit | None = None
    ) -> list[Added]:
        """Store templates, all or none; they are durable once this returns."""
        if not enrolments:
            return []
        database = self._database
        with database.writing() as change:
            if admit is not None:
                late = reading.templates(database, change.state, reading.AFTER, admit.after, -1)
                places = admit([one for one in late if one.model == model])
                enrolments = [enrolments[place] for place in places]
            change.state, added = writing.insert(
                database.sql, database.protection, change.state, enrolments, model=model
            )
        self._enrolled.add(model)
        return added

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
        return self._searcher.search(queries, count, model=model, fusion=fusion, names=names)

    def fit_codes(self, model: str, *, bits: int, method: CodeMethod) -> CodeFit:
        """Make binary templates of a model's, for searches by codes.

        Raises:
            UsageError: an impossible number of bits, or too few templates.
            GalleryError, OutputError: they cannot be written.
        """
        return self._searcher.fit_codes(model, bits=bits, method=method)

    def newest(self) -> int:
        """The greatest number that a template was given so far."""
        with self._database.reading():
            return writing.last(self._database.sql, "templates")

    def since(self, sequence: int, *, model: str | None = None) -> Iterator[StoredTemplate]:
        """Templates with a greater sequence number, in their order; of all models by default."""
        while True:  # a page at a time, so that nothing is held while the caller works
            page = self._templates(reading.AFTER, sequence, PAGE)
            if not page:
                return
            reading.check_rising([one.sequence for one in page], sequence)
            sequence = page[-1].sequence
            yield from (one for one in page if model in (None, one.model))

    def of(self, name: str, *, model: str | None = None) -> list[StoredTemplate]:
        """A person's templates, in their order."""
        database = self._database
        with database.reading() as state:
            identity = writing.identity_of(database.sql, database.protection, name)
            if identity is None:
                return []
            found = reading.templates(database, state, reading.OF_PERSON, identity)
        return [one for one in found if model in (None, one.model)]

    def with_photo(self, photo_hash: bytes, *, model: str | None = None) -> list[StoredTemplate]:
        """Templates made of a photo of this content."""
        found = self._templates(
            reading.OF_PHOTO, records.photo_key(self._database.protection, photo_hash)
        )
        return [one for one in found if model in (None, one.model)]

    def names(self) -> Iterator[tuple[str, int]]:
        """Every person with the number of templates, ordered by name."""
        with self._database.reading():
            found = self._database.sql.execute(
                "SELECT i.id, i.name, count(*) FROM identities i "
                "JOIN templates t ON t.identity = i.id GROUP BY i.id"
            ).fetchall()
        yield from sorted(
            (records.open_name(self._database.protection, identity, name)[0], count)
            for identity, name, count in found
        )

    def remove(self, name: str, *, sequences: Sequence[int] | None = None) -> int:
        """Remove a person, or some templates; their bytes are gone from every file."""
        database = self._database
        with database.writing() as change:
            identity = writing.identity_of(database.sql, database.protection, name)
            if identity is None:
                return 0
            doomed = writing.templates_of(database.sql, identity)
            if sequences is not None:
                doomed = [row for row in doomed if row[0] in set(sequences)]
            if not doomed:
                return 0
            state = writing.delete(database.sql, database.protection, change.state, doomed)
            change.state = writing.forget_people(
                database.sql, database.protection, state, [identity]
            )
        self._wipe()
        return len(doomed)

    def rename(self, old: str, new: str) -> int:
        """Rename a person; returns how many templates."""
        database = self._database
        check_name(new)
        with database.writing() as change:
            identity = writing.identity_of(database.sql, database.protection, old)
            if identity is None:
                return 0
            if writing.identity_of(database.sql, database.protection, new) is not None:
                raise GalleryError(
                    f"{new} is enrolled already", cure="remove that person first, or name another"
                )
            change.state = writing.rename(
                database.sql, database.protection, change.state, identity, new
            )
            return len(writing.templates_of(database.sql, identity))

    def replace_model(self, old: str, enrolments: Sequence[Enrolment], *, model: str) -> list[int]:
        """Drop all templates of model ``old`` and store these instead, in one step."""
        database = self._database
        sql, protection = database.sql, database.protection
        with database.writing() as change:
            state, people = writing.drop_model(sql, change.state, old)
            state, added = writing.insert(sql, protection, state, enrolments, model=model)
            change.state = writing.forget_people(sql, protection, state, people)
        self._wipe()
        return [one.sequence for one in added]

    def count(self) -> dict[str, int]:
        """How many templates of each model there are: the sealed state says it."""
        with self._database.reading() as state:
            return state.templates

    def stats(self) -> Stats:
        """What the store holds."""
        with self._database.reading() as state:
            models, identities = state.templates, state.identities.count
        return Stats(
            engine="sqlite",
            url=self.url,
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
        self._wipe()
        with self._database.writing():  # no search file is older now
            self._database.sql.execute("DELETE FROM tombstones")

    def close(self) -> None:
        """Let go of the files; write the search files that are overdue, for the next one."""
        try:
            with suppress(GalleryError):  # whoever searches is told
                self.renew_search_files()
        finally:
            self._searcher.forget()
            self._database.close()

    def renew_search_files(self) -> None:
        """Write those search files anew that are overdue after what was enrolled here."""
        for model in self._enrolled:
            self._searcher.renew(model)
        self._enrolled.clear()

    def _templates(self, condition: str, *values: int | bytes) -> list[StoredTemplate]:
        with self._database.reading() as state:
            return reading.templates(self._database, state, condition, *values)

    def _wipe(self) -> None:
        """Make sure that the bytes of what was removed are in none of the files."""
        self._searcher.forget()
        wipe(self._database)
        self._database.vacuum()

    def _details(self) -> dict[str, object]:
        size = 0
        for path in self._database.folder.rglob("*"):
            with suppress(OSError):  # another process may just have renewed it
                size += path.stat().st_size if path.is_file() else 0
        return {
            "schema": len(MIGRATIONS),
            "encrypted": self._database.encrypted,
            "search": self._method.value,
            "bytes": size,
        }
