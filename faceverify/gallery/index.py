"""What a search goes through, kept up with the database.

Three layers: the mapped search file; a mask over those of its rows that were removed since; and in
memory the rows added since. A file is believed because the tags of its rows, less those removed,
plus those added, sum to what the gallery's sealed state says. No other gallery's file, nor one of
a later state after a backup was restored, can do that. Where the sum is another one, the file is
left alone and all rows are read from the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import GalleryError
from faceverify.gallery import rows
from faceverify.gallery.database import SEARCH, Database
from faceverify.gallery.matrix import read_columns
from faceverify.gallery.search import Rows
from faceverify.gallery.state import ModelRows, RowSet, State

LEAST, SHARE = 1000, 0.05  # rows in memory, at most: the larger of the number and the share
PAGE = 4096  # rows read at once


class TemplateIndex:
    """All templates of one model.

    Args:
        database: the gallery.
        model: id of the model, which the gallery has.
    """

    def __init__(self, database: Database, model: str) -> None:
        self._database = database
        self._model = model
        self.path = search_file(database.folder, model, "templates")
        self._begin(None)

    def refresh(self, state: State) -> list[Rows]:
        """What is to be searched, as of the state that is being read.

        Raises:
            GalleryError: rows are missing, doubled or changed.
        """
        known = state.models[self._model]
        if self._held != known.rows and not self._catch_up(state, known):
            self._begin(known)
            if not self._catch_up(state, known):
                self._begin(None)
                if not self._catch_up(state, known):
                    raise GalleryError(
                        f"{self._database.path}: {self._held.count} templates where "
                        f"{known.rows.count} were enrolled, or others than those",
                        cure="restore a backup",
                        code="gallery-damaged",
                    )
        return self.parts

    @property
    def parts(self) -> list[Rows]:
        """What :meth:`refresh` returned last."""
        return [part for part in (self._base, self._tail) if part is not None]

    @property
    def overdue(self) -> bool:
        """Whether so much has changed since the search file was written that it should be anew."""
        base = 0 if self._base is None else len(self._base)
        tail = 0 if self._tail is None else len(self._tail)
        return tail + self._masked > max(LEAST, SHARE * base)

    def _begin(self, known: ModelRows | None) -> None:
        """Start from the search file of a model, or with nothing."""
        self._base: Rows | None = None
        self._tail: Rows | None = None
        self._held, self._epoch, self._last, self._masked = RowSet(), 0, 0, 0
        found = known and read_columns(self.path, self._database.protection)
        if not known or not found:
            return
        about, columns = found
        if about["gallery"] != self._database.id.hex() or about["model"] != known.name:
            return
        self._held = RowSet(about["count"], int(about["sum"], 16))
        self._epoch, self._last = about["epoch"], about["last"]
        self._base = Rows(columns["embedding"], columns["identity"], columns["sequence"])

    def _catch_up(self, state: State, known: ModelRows) -> bool:
        """Follow the removals and additions; False where that does not lead to the state."""
        sql, held = self._database.sql, self._held
        removed = sql.execute(
            "SELECT sequence, tag FROM tombstones WHERE model = ? AND epoch > ? AND sequence <= ?",
            (known.key, self._epoch, self._last),
        ).fetchall()
        for _, tag in removed:
            held = held.changed(-1, -int.from_bytes(tag, "little"))
        if held.count > known.rows.count:
            return False
        self._mask(np.array([sequence for sequence, _ in removed], np.int64))
        added = [] if self._tail is None else [self._tail]
        for part, tags, last in read_rows(self._database, known, after=self._last):
            added.append(part)
            held = held.changed(len(part), rows.total(tags))
            self._last = last
        if added:
            self._tail = _joined(added)
        self._held, self._epoch = held, state.epoch
        return held == known.rows

    def _mask(self, sequences: NDArray[np.int64]) -> None:
        if not len(sequences):
            return
        if self._base is not None:
            alive = _without(self._base, sequences)
            self._masked = int(np.count_nonzero(~alive))
            self._base = replace(self._base, alive=alive)
        if self._tail is not None:
            alive = _without(self._tail, sequences)
            tail = self._tail
            self._tail = Rows(tail.embeddings[alive], tail.identities[alive], tail.sequences[alive])


def read_rows(
    database: Database, known: ModelRows, *, after: int
) -> Iterator[tuple[Rows, list[int], int]]:
    """The templates of a model after a sequence number, some at a time, from the database.

    Yields rows, the tag of each, and the last sequence number.
    """
    protection = database.protection
    while True:
        found = database.sql.execute(
            "SELECT sequence, identity, record FROM templates "
            "WHERE sequence > ? AND model = ? ORDER BY sequence LIMIT ?",
            (after, known.key, PAGE),
        ).fetchall()
        if not found:
            return
        tags, embeddings = [], bytearray()
        for sequence, identity, record in found:
            place = rows.template_place(sequence, identity, known.key)
            tags.append(rows.tag(protection, place, record))
            embeddings += rows.embedding_bytes(protection.open(record, place), known.width)
        part = Rows(
            np.frombuffer(embeddings, "<f4").reshape(len(found), known.width),
            np.array([row[1] for row in found], np.int32),
            np.array([row[0] for row in found], np.int64),
        )
        after = found[-1][0]
        yield part, tags, after


def search_file(folder: Path, model: str, kind: str) -> Path:
    """Where a search file of a model lies."""
    return folder / SEARCH / f"{sha256(model.encode()).hexdigest()[:16]}.{kind}"


def _without(part: Rows, sequences: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows are alive once these are not; both are ordered by sequence number."""
    alive = np.ones(len(part), bool) if part.alive is None else part.alive.copy()
    places = np.searchsorted(part.sequences, sequences)
    inside = places < len(part)
    places, sequences = places[inside], sequences[inside]
    alive[places[part.sequences[places] == sequences]] = False
    return alive


def _joined(parts: list[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    return Rows(
        np.concatenate([part.embeddings for part in parts]),
        np.concatenate([part.identities for part in parts]),
        np.concatenate([part.sequences for part in parts]),
    )
