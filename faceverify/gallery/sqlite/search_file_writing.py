"""Search files are written: anew when much has changed, and without what was removed.

They are written from the one before and from the rows since, in constant memory, and only if their
rows are those of the gallery's sealed state. A file can always be done without: where it cannot be
written, searches go on from memory.
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
    Mark,
    mark_of,
    others_than_enrolled,
    read_rows,
    removed_since,
    without,
)
from faceverify.gallery.sqlite.manifest import ModelRows, State
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


class _OthersError(Exception):
    """The rows are not those of the state."""


def publish(database: Database, model: str) -> bool:
    """Write the search file of a model anew.

    False where it was not: another process is at it, or the folder cannot be written.

    Raises:
        GalleryError: rows are missing, doubled or changed.
    """
    try:
        # the state is read under the lock, so that no older one than that of a removal is written
        with publishing(database, seconds=0) as taken, database.reading() as state:
            known = state.models.get(model)
            if taken and known is not None:
                _write(database, state, known)
            return taken
    except (OSError, OutputError):
        return False


def wipe(database: Database) -> None:
    """Write search files without the rows that were removed; drop those of what is no more.

    Raises:
        GalleryError: another process writes them all the while, or they cannot be removed.
    """
    folder = database.folder / SEARCH
    if not folder.is_dir():
        return
    try:
        _wipe(database, folder)
    except OSError as problem:
        raise GalleryError(
            f"{problem.filename or folder}: may still hold what was removed ({problem.strerror})",
            cure="delete it by hand: searches build it anew",
        ) from problem


def _wipe(database: Database, folder: Path) -> None:
    with publishing(database, seconds=database.busy) as taken, database.reading() as state:
        if not taken:
            raise locked(folder)
        kept = {folder / LOCK}
        for known in state.models.values():
            path = search_file(database, known.name)
            if path.exists() and _renewed(database, state, known):
                kept.add(path)
            kept.add(search_file(database, known.name, DIRECTIONS))  # of nobody in particular
        for path in set(folder.iterdir()) - kept:
            path.unlink()


def _renewed(database: Database, state: State, known: ModelRows) -> bool:
    try:
        _write(database, state, known)
    except (OSError, OutputError):  # a full disk: the search file may go, what was removed must
        return False
    return True


def _write(database: Database, state: State, known: ModelRows) -> None:
    try:
        _write_from(database, state, known, read_search_file(database, known.name))
    except _OthersError:
        try:
            _write_from(database, state, known, None)
        except _OthersError:
            raise others_than_enrolled(database, known.rows, known) from None


def _write_from(
    database: Database,
    state: State,
    known: ModelRows,
    found: tuple[dict[str, object], dict[str, Array]] | None,
) -> None:
    """Write the file from the one before it, if it has any."""
    mark, base = Mark(), None
    if found is not None:
        about, columns = found
        mark = mark_of(about)
        base = Rows(columns["embedding"], columns["identity"], columns["sequence"])
    removed, held = removed_since(database, known, mark)

    def parts() -> Iterator[Sequence[Array]]:
        tally = held
        if base is not None:
            alive = without(base, removed)
            for start in range(0, len(base), PIECE):
                piece = slice(start, start + PIECE)
                yield [column[piece][alive[piece]] for column in base.columns]
        for part, tags in read_rows(database, known, after=mark.last):
            tally = tally.changed(len(part), records.total(tags))
            yield part.columns
        if tally != known.rows:
            raise _OthersError

    (last,) = database.sql.execute("SELECT max(sequence) FROM templates").fetchone()
    write_columns(
        search_file(database, known.name),
        {
            **about_of(database, known.name, TEMPLATES),
            "publication": secrets.token_hex(16),
            "epoch": state.epoch,
            "last": last,
            "count": known.rows.count,
            "sum": hex(known.rows.sum),
        },
        template_columns(known.width),
        known.rows.count,
        parts(),
        database.protection,
    )
