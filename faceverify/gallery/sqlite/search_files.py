"""Where the search files of a gallery lie, what they are of, and when one may be used.

The search file of a model holds its templates. The file of codes is derived from it, row by row: it
names the publication of the search file that it was made of, and goes with it.
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
    """The columns of a search file: embeddings of so many numbers, whose, and which."""
    return [
        Column("embedding", "<f4", width),
        Column("identity", "<i4"),
        Column("sequence", "<i8"),
    ]


def search_file(database: Database, model: str, kind: str = TEMPLATES) -> Path:
    """Where a search file of a model lies."""
    name = sha256(model.encode()).hexdigest()[:16]
    return database.folder / SEARCH / f"{name}.{kind}"


def read_search_file(
    database: Database, model: str, kind: str = TEMPLATES, *, publication: str | None = None
) -> tuple[dict[str, Any], Columns] | None:
    """What a search file is of, and its columns; None where there is none to be trusted.

    Args:
        publication: of the search file, where a file derived from it is wanted.
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
    """What every search file says of itself."""
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
    """Write a file derived from a search file, where that can be done now: no search needs it.

    Args:
        kind: of the file.
        columns, count, parts: as :func:`~.matrix.write_columns`.
        publication: of the search file that it was made of.
        about: what else it says of itself.
    """
    with (
        suppress(OSError, OutputError, GalleryError),
        publishing(database, seconds=0) as taken,
    ):
        now = read_search_file(database, model)
        # a removal may have renewed the search file: nothing of what is gone is written
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
    """While no other process writes search files; False where one does, after so many seconds."""
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
