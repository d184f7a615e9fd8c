"""Embedding cache on disk, keyed by the photo's content and by the recipe.

A file is recognised by path, size and times, as in git's index, so that unchanged photos are not
read; the SHA-256 of its content is the key of the embedding. The recipe names all else that
determines an embedding (:func:`faceverify.embeddings.compute.recipe_of`).

One SQLite file, in ``$FACEVERIFY_CACHE`` or the XDG cache folder, readable by its owner alone:
embeddings of faces are biometric data. Any number of processes may use it at once. Each row carries
a checksum; a damaged or foreign file is set aside and replaced by an empty one. Without a usable
cache, embeddings are computed.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import UsageError
from faceverify.images.content import file_state
from faceverify.runtime.addresses import check_path

FILE = "embeddings.sqlite"
APPLICATION, VERSION = 0x66766331, 1  # "fvc1"
BUSY_SECONDS = 30.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
  path BLOB PRIMARY KEY, stamp TEXT NOT NULL, sha256 BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recipes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS embeddings (
  recipe INTEGER NOT NULL, sha256 BLOB NOT NULL, value BLOB NOT NULL, failure TEXT NOT NULL,
  checksum INTEGER NOT NULL, PRIMARY KEY (recipe, sha256)) WITHOUT ROWID;
"""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Result of embedding a photo.

    Args:
        embedding: of length 1, (D,); empty where there is none.
        failure: error code ("no-face") where there is no embedding; empty where there is one.
    """

    embedding: NDArray[np.float32]
    failure: str = ""


def failed(code: str) -> Outcome:
    """The outcome of a photo without an embedding."""
    return Outcome(np.zeros(0, np.float32), code)


def cache_folder() -> Path:
    """Folder of the cache: https://specifications.freedesktop.org/basedir-spec/latest/.

    Raises:
        UsageError: the home folder is unknown, or the cache named by a URL.
    """
    named = os.environ.get("FACEVERIFY_CACHE")
    if named:
        check_path(named, "FACEVERIFY_CACHE")
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the specification says to ignore relative ones
        return Path(base, "faceverify")
    try:
        return Path.home() / ".cache" / "faceverify"
    except RuntimeError:
        raise UsageError(
            "no home folder to cache embeddings in", cure="set FACEVERIFY_CACHE, or use --no-cache"
        ) from None


class EmbeddingCache:
    """An open embedding cache, for one thread.

    Args:
        folder: created if missing; None for a cache that stores nothing.
        say: gets one line when the cache is replaced, or is not used.
    """

    def __init__(self, folder: Path | None, say: Callable[[str], None] = lambda _: None) -> None:
        self._say = say
        self._path = None if folder is None else folder / FILE
        self._database: sqlite3.Connection | None = None
        self._guard: int | None = None
        if self._path is not None:
            self._open(self._path)

    def __enter__(self) -> EmbeddingCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._guard is not None:
            os.close(self._guard)
            self._guard = None

    def digests(self, photos: Sequence[Path | bytes]) -> list[bytes | None]:
        """SHA-256 of each photo's content; unchanged files are not read again.

        None for an unreadable file.
        """
        found: list[bytes | None] = []
        fresh: list[tuple[bytes, str, bytes]] = []
        for photo in photos:
            if isinstance(photo, bytes):
                found.append(hashlib.sha256(photo).digest())
                continue
            path = os.fsencode(os.path.abspath(photo))
            try:
                stamp, settled = file_state(path)
                known = self._digest(path, stamp)
                digest = known or hashlib.sha256(Path(photo).read_bytes()).digest()
            except OSError:
                found.append(None)
                continue
            found.append(digest)
            if settled and not known:
                fresh.append((path, stamp, digest))
        self._write("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", fresh)
        return found

    def recall(self, recipe: str, digests: Sequence[bytes | None]) -> list[Outcome | None]:
        """Stored outcome of each photo by this recipe; None where it is missing or damaged."""
        row = self._read("SELECT id FROM recipes WHERE text = ?", recipe)
        if row is None:
            return [None] * len(digests)
        query = "SELECT value, failure, checksum FROM embeddings WHERE recipe = ? AND sha256 = ?"
        outcomes: list[Outcome | None] = []
        for digest in digests:
            found = digest and self._read(query, row[0], digest)
            outcomes.append(_checked(recipe, digest, found) if digest and found else None)
        return outcomes

    def remember(self, recipe: str, outcomes: dict[bytes, Outcome]) -> None:
        """Store outcomes by their photos' digests, all or none of them."""
        self._write("INSERT OR IGNORE INTO recipes (text) VALUES (?)", [(recipe,)])
        row = self._read("SELECT id FROM recipes WHERE text = ?", recipe)
        if row is None:
            return
        rows = []
        for digest, outcome in outcomes.items():
            value = outcome.embedding.astype("<f4").tobytes()
            check = _checksum(recipe, digest, value, outcome.failure)
            rows.append((row[0], digest, value, outcome.failure, check))
        self._write("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?, ?)", rows)

    def _digest(self, path: bytes, stamp: str) -> bytes | None:
        row = self._read("SELECT sha256 FROM files WHERE path = ? AND stamp = ?", path, stamp)
        return row[0] if row and isinstance(row[0], bytes) and len(row[0]) == 32 else None

    def _read(self, query: str, *values: object) -> tuple[object, ...] | None:
        if self._database is None:
            return None
        try:
            row: tuple[object, ...] | None = self._database.execute(query, values).fetchone()
        except sqlite3.Error as error:
            self._give_up(error)
            return None
        return row

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        if self._database is None or not rows:
            return
        try:
            with self._database:  # a transaction
                self._database.executemany(statement, rows)
        except sqlite3.Error as error:
            self._give_up(error)

    def _open(self, path: Path) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._guard = _shared_lock(path)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = _connect(path)
        except (sqlite3.DatabaseError, ValueError) as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, disk full: not its content
                self._give_up(error)
            else:
                self._replace(path, error)
        except OSError as error:
            self._give_up(error)

    def _replace(self, path: Path, reason: Exception) -> None:
        """Replace a damaged or foreign file by an empty one, unless another process has it open."""
        aside = path.with_suffix(".damaged")
        try:
            if not _alone(self._guard):
                self._give_up(reason)
                return
            os.replace(path, aside)
            for journal in ("-journal", "-wal", "-shm"):  # they belong to the old file
                with suppress(FileNotFoundError):
                    os.unlink(f"{path}{journal}")
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = _connect(path)
            _shared(self._guard)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)
        else:
            self._say(
                f"{path}: the embedding cache {reason}; replaced by an empty one, "
                f"the old one is {aside}"
            )

    def _give_up(self, reason: Exception) -> None:
        """Continue without the cache."""
        self._say(f"{self._path}: the embedding cache is not used ({reason})")
        self.close()


def _connect(path: Path) -> sqlite3.Connection:
    """The database, opened and checked; ValueError or DatabaseError if damaged or foreign."""
    database = sqlite3.connect(path, timeout=BUSY_SECONDS)
    try:
        database.execute("PRAGMA synchronous = NORMAL")  # survives a kill; it is only a cache
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (application, version) != (APPLICATION, VERSION):
            if tables:
                raise ValueError("is of another program or version")
            database.executescript(
                f"BEGIN IMMEDIATE; {SCHEMA}"
                f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
            )
        for table in ("files", "recipes", "embeddings"):
            database.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()  # noqa: S608
    except sqlite3.OperationalError as error:
        database.close()
        if "no such" in str(error):  # a table or a column
            raise ValueError(f"is damaged ({error})") from error
        raise
    except sqlite3.DatabaseError as error:
        database.close()
        raise sqlite3.DatabaseError(f"is damaged ({error})") from error
    except BaseException:
        database.close()
        raise
    return database


def _checksum(recipe: str, digest: bytes, value: bytes, failure: str) -> int:
    return zlib.crc32(value, zlib.crc32(digest + failure.encode() + recipe.encode()))


def _checked(recipe: str, digest: bytes, row: tuple[object, ...]) -> Outcome | None:
    """The outcome in a stored row; None if the row is damaged."""
    value, failure, checksum = row
    if not isinstance(value, bytes) or not isinstance(failure, str):
        return None
    if checksum != _checksum(recipe, digest, value, failure) or bool(value) == bool(failure):
        return None
    embedding = np.frombuffer(value, "<f4").astype(np.float32)
    return Outcome(embedding, failure) if np.isfinite(embedding).all() else None


# A file may be renamed only while no other process has it open: SQLite names journals after it.


def _shared_lock(path: Path) -> int | None:
    """Handle of a shared lock on the lock file, None where there are no such locks (Windows)."""
    try:
        import fcntl
    except ImportError:  # Windows refuses to rename an open file itself
        return None
    handle = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
    except OSError:
        os.close(handle)
        raise
    return handle


def _alone(guard: int | None) -> bool:
    """Whether the lock could be made exclusive; False where another process holds it."""
    if guard is None:
        return True
    import fcntl

    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _shared(guard: int | None) -> None:
    """Make the lock shared again."""
    if guard is not None:
        import fcntl

        fcntl.flock(guard, fcntl.LOCK_SH)
