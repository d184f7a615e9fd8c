"""The database of an embedded gallery: its tables, its version, and how it is opened.

Each migration brings a database from one version to the next; a new one goes through all of them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faceverify.errors import GalleryError

FILE = "gallery.sqlite"
APPLICATION = 0x66766731  # "fvg1"

# What is sealed, and for which place, is written in records.py. `name_key`, `photo_key`: blinded.
# AUTOINCREMENT: a sequence number is never used again. The second index finds photos and doubles.
FIRST = """
CREATE TABLE gallery (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  id BLOB NOT NULL, encryption TEXT, state BLOB NOT NULL);
CREATE TABLE identities (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name_key BLOB NOT NULL UNIQUE, name BLOB NOT NULL);
CREATE TABLE templates (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, identity INTEGER NOT NULL, model INTEGER NOT NULL,
  photo_key BLOB NOT NULL, record BLOB NOT NULL);
CREATE INDEX templates_by_identity ON templates (identity);
CREATE UNIQUE INDEX templates_by_photo ON templates (photo_key, identity, model);
CREATE TABLE tombstones (
  sequence INTEGER PRIMARY KEY, model INTEGER NOT NULL, epoch INTEGER NOT NULL, tag BLOB NOT NULL);
"""
MIGRATIONS = (FIRST,)  # migration i leads from version i to i + 1


def connect(path: Path, *, busy: float) -> sqlite3.Connection:
    """Open the database file, which exists; only to be read, where it cannot be written.

    Args:
        busy: seconds to wait for another process.

    Raises:
        sqlite3.Error: it cannot be opened; see :func:`failures`.
    """
    where = path.absolute().as_uri()
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        # without a log nobody writes it: on a read-only disk it is read as it lies
        logged = Path(f"{path}-wal").exists()
        where += "?mode=ro" if logged else "?immutable=1"
    database = sqlite3.connect(
        where,
        uri=True,
        timeout=busy,
        isolation_level=None,
        cached_statements=256,
        check_same_thread=False,  # one thread at a time, but not always the same one
    )
    try:
        database.execute("PRAGMA page_size = 8192")  # stores 512 floats a third smaller than 4096
        database.execute("PRAGMA synchronous = FULL")  # what was acknowledged survives a power cut
        database.execute("PRAGMA secure_delete = ON")
        database.execute("PRAGMA temp_store = MEMORY")  # no plain copies in temporary files
        database.execute("PRAGMA cell_size_check = ON")
    except BaseException:
        database.close()
        raise
    return database


def version_of(database: sqlite3.Connection, path: Path) -> int:
    """The schema's version; 0 for a database that is still empty.

    Raises:
        GalleryError: it is no gallery, or of a newer version.
    """
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION and (application or version or tables):
        raise GalleryError(
            f"{path}: a database of another program",
            cure="name another folder",
            code="gallery-foreign",
        )
    if version > len(MIGRATIONS):
        raise GalleryError(
            f"{path}: schema {version}, and this version of faceverify knows {len(MIGRATIONS)}",
            cure="update faceverify",
            code="gallery-newer",
        )
    return int(version)


def migrate(database: sqlite3.Connection, version: int) -> None:
    """Bring the tables to the newest version, inside the caller's transaction."""
    for migration in MIGRATIONS[version:]:
        for statement in filter(str.strip, migration.split(";")):
            database.execute(statement)
    database.execute(f"PRAGMA application_id = {APPLICATION}")
    database.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def prepare_file(path: Path) -> None:
    """Make the database file, empty, readable by its owner alone."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


@contextmanager
def failures(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into one line: where, what, and the cure."""
    try:
        yield
    except sqlite3.Error as problem:
        raise _explained(path, problem) from problem
    except UnicodeDecodeError as problem:  # of a message about a damaged schema
        raise damaged(path, "its text is none") from problem


def _explained(path: Path, problem: sqlite3.Error) -> GalleryError:
    text = str(problem)
    if "locked" in text or "busy" in text:
        return locked(path)
    if "full" in text:
        return GalleryError(f"{path}: the disk is full", cure="free some space: nothing was lost")
    if "readonly" in text or "unable to open" in text:
        return GalleryError(f"{path}: cannot be written ({text})", cure="check its permissions")
    if "not a database" in text:
        return GalleryError(
            f"{path}: is no gallery ({text}), or its first bytes are damaged",
            cure="name another folder, or restore a backup",
            code="gallery-foreign",
        )
    if isinstance(problem, sqlite3.OperationalError) and "no such" not in text:
        return GalleryError(f"{path}: {text}", cure="check the disk it lies on")
    return damaged(path, text)


def damaged(path: Path, what: str) -> GalleryError:
    """The database is not as it was written."""
    return GalleryError(
        f"{path}: damaged ({what})", cure="restore a backup", code="gallery-damaged"
    )


def locked(path: Path) -> GalleryError:
    """Another process kept it for itself too long."""
    return GalleryError(
        f"{path}: locked by another process", cure="try again", code="gallery-locked"
    )
