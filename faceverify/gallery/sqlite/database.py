"""The database of an embedded gallery, open: its key, its transactions and its state."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from faceverify.errors import GalleryError
from faceverify.gallery.sqlite.manifest import State, read_state
from faceverify.gallery.sqlite.protection import Checksums, Encryption, Protection
from faceverify.gallery.sqlite.schema import (
    FILE,
    MIGRATIONS,
    connect,
    damaged,
    failures,
    locked,
    migrate,
    prepare_file,
    version_of,
)
from faceverify.runtime.file_lock import FileLock

LOCK, SEARCH = "lock", "search"
BUSY = 30.0  # seconds to wait for another process
OURS = {FILE, f"{FILE}-wal", f"{FILE}-shm", f"{FILE}-journal", LOCK, SEARCH, "audit.jsonl"}


class Database:
    """A gallery's folder, open. Use it from one thread at a time.

    Attributes:
        folder: where it lies.
        sql: the connection; use it inside :meth:`reading` or :meth:`writing`.
        protection: what seals rows.
        id: drawn when the gallery was made.

    Raises:
        GalleryError: see :class:`faceverify.gallery.sqlite.store.SqliteStore`.
    """

    def __init__(self, folder: Path, *, create: bool, key: str | None, busy: float = BUSY) -> None:
        self.folder = folder
        self.path = folder / FILE
        self.busy = busy
        self._lock = FileLock(folder / LOCK)
        _find(folder, create=create)
        with failures(self.path):
            self.sql = connect(self.path, busy=busy)
        try:
            with failures(self.path):
                if version_of(self.sql, self.path) < len(MIGRATIONS):
                    self._prepare(create=create, key=key)
                row = self.sql.execute("SELECT id, encryption FROM gallery").fetchone()
                if row is None or not isinstance(row[0], bytes):
                    raise damaged(self.path, "its first table is not as it was written")
                self.id, encryption = row
            self.encrypted = encryption is not None
            self.protection: Protection = _unlocked(self.path, encryption, key)
        except BaseException:
            self.sql.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[State]:
        """One unchanging view of the gallery, however many others write meanwhile."""
        with failures(self.path):
            self.sql.execute("BEGIN")
            try:
                yield self.state()
            finally:
                if self.sql.in_transaction:  # an error of the disk may have ended it
                    self.sql.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[Change]:
        """A transaction of the only writer; what it did is on the disk when the block ends."""
        with self.alone(), failures(self.path):
            self.sql.execute("BEGIN IMMEDIATE")
            try:
                before = self.state()
                change = Change(before)
                yield change
                if change.state != before:
                    sealed = change.state.seal(self.protection)
                    self.sql.execute("UPDATE gallery SET state = ?", (sealed,))
                self.sql.execute("COMMIT")
            except BaseException:
                if self.sql.in_transaction:  # a full disk may have ended it already
                    self.sql.execute("ROLLBACK")
                raise

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While no other process writes."""
        try:
            taken = self._lock.take(self.busy)
        except OSError as problem:
            raise GalleryError(
                f"{self.folder}: cannot be written ({problem.strerror})",
                cure="check its permissions",
            ) from problem
        if not taken:
            raise locked(self.path)
        try:
            yield
        finally:
            self._lock.give_back()

    def state(self) -> State:
        """What the gallery holds, as of this transaction."""
        row = self.sql.execute("SELECT state FROM gallery").fetchone()
        if row is None or not isinstance(row[0], bytes):
            raise damaged(self.path, "its state is missing")
        return read_state(self.protection, row[0])

    def vacuum(self) -> None:
        """Write the database anew, and empty its log: what was removed is in neither.

        Raises:
            GalleryError: another process reads an older state all the while.
        """
        with self.alone(), failures(self.path):
            # the copy that VACUUM makes on its way lies in this folder, not in /tmp
            self.sql.execute("PRAGMA temp_store = FILE")
            place = str(self.folder).replace("'", "''")
            self.sql.execute(f"PRAGMA temp_store_directory = '{place}'")
            try:
                self.sql.execute("VACUUM")
            finally:
                self.sql.execute("PRAGMA temp_store_directory = ''")
                self.sql.execute("PRAGMA temp_store = MEMORY")
            deadline = time.monotonic() + self.busy
            while self.sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > deadline:
                    raise GalleryError(
                        f"{self.path}-wal: still holds what was removed, since another process "
                        "reads the gallery",
                        cure="run faceverify gallery compact once it has ended",
                        code="gallery-locked",
                    )
                time.sleep(0.01)

    def close(self) -> None:
        """Let go of the file; the last one to do so empties the log, which no writer may meet."""
        with suppress(OSError):
            self._lock.take(1.0)
        try:
            self.sql.close()
        finally:
            self._lock.give_back()

    def _prepare(self, *, create: bool, key: str | None) -> None:
        """Make the tables, or bring them to the newest version."""
        with self.alone():
            version = version_of(self.sql, self.path)  # another process may have been first
            if not version and self.sql.execute("SELECT 1 FROM sqlite_master").fetchone():
                raise damaged(self.path, "it has tables and no version")
            if not version and not create:
                raise _missing(self.folder)
            self.sql.execute("PRAGMA journal_mode = WAL")
            self.sql.execute("BEGIN IMMEDIATE")
            try:
                migrate(self.sql, version)
                if not version:
                    self._found(key)
                self.sql.execute("COMMIT")
            except BaseException:
                if self.sql.in_transaction:
                    self.sql.execute("ROLLBACK")
                raise

    def _found(self, key: str | None) -> None:
        protection: Protection = Checksums()
        encryption = None
        if key is not None:
            protection, parameters = Encryption.create(key)
            encryption = json.dumps(parameters)
        self.sql.execute(
            "INSERT INTO gallery VALUES (1, ?, ?, ?)",
            (secrets.token_bytes(16), encryption, State().seal(protection)),
        )


class Change:
    """What a transaction makes of the gallery's state: set ``state`` to the new one."""

    def __init__(self, state: State) -> None:
        self.state = state


def _find(folder: Path, *, create: bool) -> None:
    """Make sure that there is a database file in the folder."""
    try:
        if folder.exists() and not folder.is_dir():
            raise GalleryError(
                f"{folder}: a file, and a gallery is a folder",
                cure="name another place",
                code="gallery-foreign",
            )
        if (folder / FILE).is_file():
            return
        if not create:
            raise _missing(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        strangers = {entry.name for entry in folder.iterdir()} - OURS
        if strangers:
            raise GalleryError(
                f"{folder}: a folder of other files ({min(strangers)}), not a gallery",
                cure="name an empty or a new folder",
                code="gallery-foreign",
            )
        folder.chmod(0o700)
        prepare_file(folder / FILE)
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as problem:
        raise GalleryError(
            f"{folder}: cannot be used ({problem.strerror})", cure="check its permissions"
        ) from problem


def _missing(folder: Path) -> GalleryError:
    return GalleryError(
        f"{folder}: no gallery there",
        cure="enrol somebody first: faceverify enroll NAME PHOTO",
        code="gallery-missing",
    )


def _unlocked(path: Path, encryption: str | None, key: str | None) -> Protection:
    if encryption is None:
        if key is not None:
            raise GalleryError(
                f"{path}: is not encrypted, and a key was given",
                cure="leave the key out, or make a new gallery with it and copy this one there",
                code="gallery-key",
            )
        return Checksums()
    if key is None:
        raise GalleryError(
            f"{path}: is encrypted",
            cure="give its key by --key-file or FACEVERIFY_GALLERY_KEY",
            code="gallery-key",
        )
    try:
        parameters = json.loads(encryption)
    except ValueError:
        parameters = {}
    return Encryption.unlock(key, parameters)
