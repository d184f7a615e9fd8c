"""What a search goes through, kept up with the database.

Three layers: the mapped search file; a mask over those of its rows that were removed since; and in
memory the rows added since. A file is believed because the tags of its rows, less those removed,
plus those added, sum to what the gallery's sealed state says. No other gallery's file, nor one of
a later state after a backup was restored, can do that. Where the sum is another one, the file is
left alone and all rows are read from the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import GalleryError
from faceverify.gallery.sqlite import records as rows
from faceverify.gallery.sqlite.database import Database
from faceverify.gallery.sqlite.manifest import ModelRows, RowSet, State
from faceverify.gallery.sqlite.nearest import Rows
from faceverify.gallery.sqlite.reading import check_rising
from faceverify.gallery.sqlite.search_files import read_search_file

LEAST, SHARE = 1000, 0.05  # rows in memory, at most: the larger of the number and the share
PAGE = 4096  # rows read at once


@dataclass(frozen=True)
class Mark:
    """How far something derived has followed the gallery.

    Attributes:
        rows: the set of the templates that it holds.
        epoch: of the state that it followed last.
        last: no template up to this sequence number is new to it.
    """

    rows: RowSet = field(default_factory=RowSet)
    epoch: int = 0
    last: int = 0


class TemplateIndex:
    """All templates of one model, ready to be searched.

    Args:
        database: the gallery.
        model: id of the model.
    """

    def __init__(self, database: Database, model: str) -> None:
        self._database = database
        self._model = model
        self._tried = False
        self.forget()

    def forget(self) -> None:
        """Hold nothing, and let go of the search file."""
        self.base: Rows | None = None
        self.tail: Rows | None = None
        self.publication = ""  # what the search file is called that is mapped
        self._mark = Mark()
        self._masked = 0

    def refresh(self, state: State) -> list[Rows]:
        """What is to be searched, as of the state that is being read.

        Raises:
            GalleryError: rows are missing, doubled or changed.
        """
        known = state.models[self._model]
        if self._mark.rows != known.rows and not self._catch_up(state, known):
            self.load()
            if not self._catch_up(state, known):
                self.forget()
                if not self._catch_up(state, known):
                    raise others_than_enrolled(self._database, self._mark.rows, known)
        return [part for part in (self.base, self.tail) if part is not None]

    def load(self) -> None:
        """Map the search file, if there is one that can be trusted."""
        self.forget()
        found = read_search_file(self._database, self._model)
        if found is not None:
            about, columns = found
            self._mark = mark_of(about)
            self.base = Rows(columns["embedding"], columns["identity"], columns["sequence"])
            self.publication = about["publication"]

    def overdue(self, state: State) -> bool:
        """Whether so much has changed since the search file was written that it should be anew."""
        if self.base is None and not self._tried:
            self.load()
            self._tried = True
        base = 0 if self.base is None else len(self.base)
        known = state.models.get(self._model)
        count = known.rows.count if known else 0
        changed = abs(count - base + self._masked) + self._masked
        return changed > max(LEAST, SHARE * base)

    def _catch_up(self, state: State, known: ModelRows) -> bool:
        """Follow the removals and additions; False where that does not lead to the state."""
        removed, held = removed_since(self._database, known, self._mark)
        if held.count > known.rows.count:
            return False
        self._mask(removed)
        last = self._mark.last
        added = [] if self.tail is None else [self.tail]
        for part, tags in read_rows(self._database, known, after=last):
            added.append(part)
            held = held.changed(len(part), rows.total(tags))
            last = int(part.sequences[-1])
        self.tail = _joined(added) if added else None
        self._mark = Mark(held, state.epoch, last)
        return held == known.rows

    def _mask(self, sequences: NDArray[np.int64]) -> None:
        if not len(sequences):
            return
        if self.base is not None:
            alive = without(self.base, sequences)
            self._masked = int(np.count_nonzero(~alive))
            self.base = replace(self.base, alive=alive)
        if self.tail is not None:
            alive = without(self.tail, sequences)
            self.tail = self.tail.at(alive)


def mark_of(about: dict[str, object]) -> Mark:
    """How far a search file goes."""
    count, tags, epoch, last = (about[name] for name in ("count", "sum", "epoch", "last"))
    return Mark(RowSet(int(str(count)), int(str(tags), 16)), int(str(epoch)), int(str(last)))


def removed_since(
    database: Database, known: ModelRows, mark: Mark
) -> tuple[NDArray[np.int64], RowSet]:
    """Which templates that something derived holds were removed, and the set of those left."""
    found = database.sql.execute(
        "SELECT sequence, tag FROM tombstones WHERE model = ? AND epoch > ? AND sequence <= ?",
        (known.key, mark.epoch, mark.last),
    ).fetchall()
    tags = rows.total(int.from_bytes(bytes(tag or b""), "little") for _, tag in found)
    sequences = np.array([sequence for sequence, _ in found], np.int64)
    return sequences, mark.rows.changed(-len(found), -tags)


def read_rows(
    database: Database, known: ModelRows, *, after: int
) -> Iterator[tuple[Rows, list[int]]]:
    """The templates of a model after a sequence number, from the database: rows and their tags.

    Raises:
        GalleryError: a row is damaged.
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
        check_rising([row[0] for row in found], after)
        for sequence, identity, record in found:
            opened, tag = rows.open_template(protection, sequence, identity, known.key, record)
            tags.append(tag)
            embeddings += rows.embedding_bytes(opened, known.width)
        after = found[-1][0]
        yield (
            Rows(
                np.frombuffer(embeddings, "<f4").reshape(len(found), known.width),
                np.array([row[1] for row in found], np.int32),
                np.array([row[0] for row in found], np.int64),
            ),
            tags,
        )


def without(part: Rows, sequences: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows are alive once these are not; rows are ordered by sequence number."""
    alive = np.ones(len(part), bool) if part.alive is None else part.alive.copy()
    places = np.searchsorted(part.sequences, sequences)
    inside = places < len(part)
    places, sequences = places[inside], sequences[inside]
    alive[places[part.sequences[places] == sequences]] = False
    return alive


def others_than_enrolled(database: Database, found: RowSet, known: ModelRows) -> GalleryError:
    """Rows were taken away, brought back or exchanged behind the gallery's back."""
    return GalleryError(
        f"{database.path}: {found.count} templates of model {known.name}, where "
        f"{known.rows.count} were enrolled, or others than those",
        cure="restore a backup; faceverify gallery verify tells more",
        code="gallery-damaged",
    )


def _joined(parts: list[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    return Rows(
        np.concatenate([part.embeddings for part in parts]),
        np.concatenate([part.identities for part in parts]),
        np.concatenate([part.sequences for part in parts]),
    )
