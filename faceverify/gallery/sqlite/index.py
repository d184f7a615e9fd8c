"""In-memory index of a model's templates, kept in step with the database.

Three layers: the memory-mapped search file; a mask of its rows removed since; and, in memory, the
rows added since. A search file is accepted if the tags of its rows, less those removed, plus those
added, sum to the value in the gallery's sealed manifest (a multiset hash). That rejects the file of
another gallery, and one newer than a restored backup. For another sum, all rows are read from the
database.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import GalleryError
from faceverify.gallery.sqlite import records
from faceverify.gallery.sqlite.database import Database
from faceverify.gallery.sqlite.manifest import Manifest, ModelRows, RowSet
from faceverify.gallery.sqlite.nearest import Rows
from faceverify.gallery.sqlite.reading import check_rising
from faceverify.gallery.sqlite.search_files import read_search_file

LEAST, SHARE = 1000, 0.05  # rows in memory, at most: the larger of the number and the share
PAGE = 4096  # rows read at once


@dataclass(frozen=True)
class SyncPoint:
    """Point up to which an index has followed the database.

    Attributes:
        rows: the set of templates in the index.
        epoch: epoch of the manifest it followed last.
        last: greatest sequence number it has seen.
    """

    rows: RowSet = field(default_factory=RowSet)
    epoch: int = 0
    last: int = 0


class TemplateIndex:
    """Search index of all templates of one model.

    Args:
        database: the gallery.
        model: id of the model.

    Attributes:
        base: rows of the mapped search file; None without one.
        tail: rows added since, in memory; None without any.
        publication: random id of the mapped search file; empty without one.
    """

    def __init__(self, database: Database, model: str) -> None:
        self._database = database
        self._model = model
        self._tried = False
        self.forget()

    def forget(self) -> None:
        """Drop all rows and unmap the search file."""
        self.base: Rows | None = None
        self.tail: Rows | None = None
        self.publication = ""
        self._synced = SyncPoint()
        self._masked = 0

    def refresh(self, manifest: Manifest) -> list[Rows]:
        """Rows to search, brought up to date with the manifest of the open transaction.

        Raises:
            GalleryError: rows are missing, duplicated or changed.
        """
        known = manifest.models[self._model]
        if self._synced.rows != known.rows and not self._catch_up(manifest, known):
            self.load()
            if not self._catch_up(manifest, known):
                self.forget()
                if not self._catch_up(manifest, known):
                    raise rows_mismatch(self._database, self._synced.rows, known)
        return [part for part in (self.base, self.tail) if part is not None]

    def load(self) -> None:
        """Map the search file, if there is a valid one."""
        self.forget()
        found = read_search_file(self._database, self._model)
        if found is not None:
            about, columns = found
            self._synced = sync_point_of(about)
            self.base = Rows(columns["embedding"], columns["identity"], columns["sequence"])
            self.publication = about["publication"]

    def overdue(self, manifest: Manifest) -> bool:
        """Whether enough rows changed since the search file was written to rewrite it."""
        if self.base is None and not self._tried:
            self.load()
            self._tried = True
        base = 0 if self.base is None else len(self.base)
        known = manifest.models.get(self._model)
        count = known.rows.count if known else 0
        changed = abs(count - base + self._masked) + self._masked
        return changed > max(LEAST, SHARE * base)

    def _catch_up(self, manifest: Manifest, known: ModelRows) -> bool:
        """Apply removals and additions; False if the result does not match the manifest."""
        removed, held = removed_since(self._database, known, self._synced)
        if held.count > known.rows.count:
            return False
        self._mask(removed)
        last = self._synced.last
        added = [] if self.tail is None else [self.tail]
        for part, tags in read_rows(self._database, known, after=last):
            added.append(part)
            held = held.changed(len(part), records.total(tags))
            last = int(part.sequences[-1])
        self.tail = _joined(added) if added else None
        self._synced = SyncPoint(held, manifest.epoch, last)
        return held == known.rows

    def _mask(self, sequences: NDArray[np.int64]) -> None:
        if not len(sequences):
            return
        if self.base is not None:
            alive = alive_without(self.base, sequences)
            self._masked = int(np.count_nonzero(~alive))
            self.base = replace(self.base, alive=alive)
        if self.tail is not None:
            alive = alive_without(self.tail, sequences)
            self.tail = self.tail.at(alive)


def sync_point_of(about: dict[str, object]) -> SyncPoint:
    """Synchronisation point of a search file, from its ``about`` values."""
    count, tags, epoch, last = (about[name] for name in ("count", "sum", "epoch", "last"))
    return SyncPoint(RowSet(int(str(count)), int(str(tags), 16)), int(str(epoch)), int(str(last)))


def removed_since(
    database: Database, known: ModelRows, synced: SyncPoint
) -> tuple[NDArray[np.int64], RowSet]:
    """Sequence numbers removed since a synchronisation point, and the set of the rows left."""
    found = database.sql.execute(
        "SELECT sequence, tag FROM tombstones WHERE model = ? AND epoch > ? AND sequence <= ?",
        (known.key, synced.epoch, synced.last),
    ).fetchall()
    tags = records.total(int.from_bytes(bytes(tag or b""), "little") for _, tag in found)
    sequences = np.array([sequence for sequence, _ in found], np.int64)
    return sequences, synced.rows.changed(-len(found), -tags)


def read_rows(
    database: Database, known: ModelRows, *, after: int
) -> Iterator[tuple[Rows, list[int]]]:
    """Templates of a model after a sequence number, in pages: rows and their tags.

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
            opened, tag = records.open_template(protection, sequence, identity, known.key, record)
            tags.append(tag)
            embeddings += records.embedding_bytes(opened, known.width)
        after = found[-1][0]
        yield (
            Rows(
                np.frombuffer(embeddings, "<f4").reshape(len(found), known.width),
                np.array([row[1] for row in found], np.int32),
                np.array([row[0] for row in found], np.int64),
            ),
            tags,
        )


def alive_without(part: Rows, sequences: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mask of the rows still alive after removing some sequence numbers, (N,).

    Rows are ordered by sequence number.
    """
    alive = np.ones(len(part), bool) if part.alive is None else part.alive.copy()
    places = np.searchsorted(part.sequences, sequences)
    inside = places < len(part)
    places, sequences = places[inside], sequences[inside]
    alive[places[part.sequences[places] == sequences]] = False
    return alive


def rows_mismatch(database: Database, found: RowSet, known: ModelRows) -> GalleryError:
    """Error for a set of rows that does not match the manifest."""
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
