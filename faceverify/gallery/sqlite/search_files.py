"""Paths, identification and locking of the search files of a gallery.

The search file of a model holds its templates. The file of binary codes is derived from it, row by
row: it names the publication of the search file it was made from, and is valid with that one only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from faceverify.errors import GalleryError, OutputError
from faceverify.gallery.sqlite.column_file import Array, Column, read_columns, write_columns
from faceverify.gallery.sqlite.database import SEARCH, Database
from faceverify.runtime.file_lock import FileLock

TEMPLATES, CODES, DIRECTIONS = "templates", "codes", "directions"
LOCK = "lock"

Columns = dict[str, Array]


def template_columns(width: int) -> list[Column]:
    """Columns of a search file: embedding of dimension ``width``, identity, sequence."""
    return [
        Column("embedding", "<f4", width),
        Column("identity", "<i4"),
        Column("sequence", "<i8"),
    ]


def search_file(database: Database, model: str, kind: str = TEMPLATES) -> Path:
    """Path of a search file of a model."""
    name = sha256(model.encode()).hexdigest()[:16]
    return database.folder / SEARCH / f"{name}.{kind}"


def read_search_file(
    database: Database, model: str, kind: str = TEMPLATES, *, publication: str | None = None
) -> tuple[dict[str, Any], Columns] | None:
    """Contents of a search file: (about, columns by name); None for a missing or invalid file.

    Args:
        kind: kind of the file.
        publication: for a derived file: publication of the search file it must be made from.
    """
    found = read_columns(search_file(database, model, kind), database.protection)
    if found is None:
        return None
    about, _ = found
    expected = about_of(database, model, kind)
    if publication is not None:
        expected["publication"] = publication
    return found if expected.items() <= about.items() else None


def about_of(database: Database, model: str, kind: str) -> dict[str, Any]:
    """Identification that every search file carries."""
    return {"kind": kind, "gallery": database.id.hex(), "model": model}


def write_derived(
    database: Database,
    model: str,
    kind: str,
    columns: Sequence[Column],
    count: int,
    parts: Iterable[Sequence[Array]],
    *,
    publication: str,
    **about: str,
) -> None:
    """Write a file derived from a search file, if that is possible now; it is optional.

    Args:
        kind: kind of the file.
        columns, count, parts: as for :func:`~.column_file.write_columns`.
        publication: publication of the search file it is made from.
        about: further identification.
    """
    with (
        suppress(OSError, OutputError, GalleryError),
        publishing(database, seconds=0) as taken,
    ):
        now = read_search_file(database, model)
        # a removal may have rewritten the search file: removed rows must not be written
        if taken and now is not None and now[0]["publication"] == publication:
            write_columns(
                search_file(database, model, kind),
                {**about_of(database, model, kind), "publication": publication, **about},
                columns,
                count,
                parts,
                database.protection,
            )


@contextmanager
def publishing(database: Database, *, seconds: float) -> Iterator[bool]:
    """Lock of the search files; yields False if it is still held after ``seconds``."""
    folder = database.folder / SEARCH
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    lock = FileLock(folder / LOCK)
    taken = lock.take(seconds)
    try:
        if taken:
            for leftover in folder.glob(".faceverify-*.part"):  # of a process that was killed
                leftover.unlink()
        yield taken
    finally:
        lock.give_back()
