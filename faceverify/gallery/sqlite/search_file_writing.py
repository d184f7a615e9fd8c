"""Writing of search files: after many changes, and after removals.

A file is written from its predecessor and the rows since, in constant memory, and only if its rows
match the gallery's sealed manifest. Search files are optional: if one cannot be written, searches
use memory.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from faceverify.errors import GalleryError, OutputError
from faceverify.gallery.sqlite import records
from faceverify.gallery.sqlite.column_file import Array, write_columns
from faceverify.gallery.sqlite.database import SEARCH, Database
from faceverify.gallery.sqlite.index import (
    SyncPoint,
    alive_without,
    read_rows,
    removed_since,
    rows_mismatch,
    sync_point_of,
)
from faceverify.gallery.sqlite.manifest import Manifest, ModelRows
from faceverify.gallery.sqlite.nearest import Rows
from faceverify.gallery.sqlite.schema import locked
from faceverify.gallery.sqlite.search_files import (
    DIRECTIONS,
    LOCK,
    TEMPLATES,
    about_of,
    publishing,
    read_search_file,
    search_file,
    template_columns,
)

PIECE = 8192  # rows copied at once


class _MismatchError(Exception):
    """The rows do not match the manifest."""


def publish(database: Database, model: str) -> bool:
    """Rewrite the search file of a model.

    Returns:
        Whether it was written; False if another process writes it, or the folder is not writable.

    Raises:
        GalleryError: rows are missing, duplicated or changed.
    """
    try:
        # the manifest is read under the lock, so that none from before a removal is written
        with publishing(database, seconds=0) as taken, database.reading() as manifest:
            known = manifest.models.get(model)
            if taken and known is not None:
                _write(database, manifest, known)
            return taken
    except (OSError, OutputError):
        return False


def wipe(database: Database) -> None:
    """Rewrite search files without the removed rows; delete those of models that are gone.

    Raises:
        GalleryError: another process holds their lock, or they cannot be deleted.
    """
    folder = database.folder / SEARCH
    if not folder.is_dir():
        return
    try:
        _wipe(database, folder)
    except OSError as problem:
        raise GalleryError(
            f"{problem.filename or folder}: may still hold what was removed ({problem.strerror})",
            cure="delete it by hand: searches build it again",
        ) from problem


def _wipe(database: Database, folder: Path) -> None:
    with publishing(database, seconds=database.busy) as taken, database.reading() as manifest:
        if not taken:
            raise locked(folder)
        kept = {folder / LOCK}
        for known in manifest.models.values():
            path = search_file(database, known.name)
            if path.exists() and _renewed(database, manifest, known):
                kept.add(path)
            kept.add(search_file(database, known.name, DIRECTIONS))  # holds no template
        for path in set(folder.iterdir()) - kept:
            path.unlink()


def _renewed(database: Database, manifest: Manifest, known: ModelRows) -> bool:
    try:
        _write(database, manifest, known)
    except (OSError, OutputError):  # a full disk: the file is deleted, so removed rows are gone
        return False
    return True


def _write(database: Database, manifest: Manifest, known: ModelRows) -> None:
    try:
        _write_from(database, manifest, known, read_search_file(database, known.name))
    except _MismatchError:
        try:
            _write_from(database, manifest, known, None)
        except _MismatchError:
            raise rows_mismatch(database, known.rows, known) from None


def _write_from(
    database: Database,
    manifest: Manifest,
    known: ModelRows,
    found: tuple[dict[str, object], dict[str, Array]] | None,
) -> None:
    """Write the search file from its predecessor, if there is one, and the database."""
    synced, base = SyncPoint(), None
    if found is not None:
        about, columns = found
        synced = sync_point_of(about)
        base = Rows(columns["embedding"], columns["identity"], columns["sequence"])
    removed, held = removed_since(database, known, synced)

    def parts() -> Iterator[Sequence[Array]]:
        tally = held
        if base is not None:
            alive = alive_without(base, removed)
            for start in range(0, len(base), PIECE):
                piece = slice(start, start + PIECE)
                yield [column[piece][alive[piece]] for column in base.columns]
        for part, tags in read_rows(database, known, after=synced.last):
            tally = tally.changed(len(part), records.total(tags))
            yield part.columns
        if tally != known.rows:
            raise _MismatchError

    (last,) = database.sql.execute("SELECT max(sequence) FROM templates").fetchone()
    write_columns(
        search_file(database, known.name),
        {
            **about_of(database, known.name, TEMPLATES),
            "publication": secrets.token_hex(16),
            "epoch": manifest.epoch,
            "last": last,
            "count": known.rows.count,
            "sum": hex(known.rows.sum),
        },
        template_columns(known.width),
        known.rows.count,
        parts(),
        database.protection,
    )
