"""Open database of an embedded gallery: key, transactions and manifest."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from faceverify.errors import GalleryError
from faceverify.gallery.sqlite.manifest import Manifest, read_manifest
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
OWN_FILES = {FILE, f"{FILE}-wal", f"{FILE}-shm", f"{FILE}-journal", LOCK, SEARCH, "audit.jsonl"}


class Database:
    """Open database of a gallery folder; used by one thread at a time.

    Args:
        folder: the gallery's folder.
        create: create the gallery if it does not exist.
        key: passphrase of an encrypted gallery; None without encryption.
        busy: seconds to wait for another process.

    Attributes:
        folder: the gallery's folder.
        sql: the connection; use it inside :meth:`reading` or :meth:`writing`.
        protection: seals and opens rows.
        id: random id of the gallery, 16 bytes.

    Raises:
        GalleryError: see :class:`faceverify.gallery.sqlite.store.SqliteStore`.
    """

    def __init__(self, folder: Path, *, create: bool, key: str | None, busy: float = BUSY) -> None:
        self.folder = folder
        self.path = folder / FILE
        self.busy = busy
        self._lock = FileLock(folder / LOCK)
        # Closing waits for a thread that reads: SQLite would use memory that is gone.
        self._in_use = threading.RLock()
        self._closed = False
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
    def reading(self) -> Iterator[Manifest]:
        """Read transaction: a consistent snapshot; yields its manifest."""
        with self._in_use, failures(self.path):
            self._require_open()
            self.sql.execute("BEGIN")
            try:
                yield self.manifest()
            finally:
                if self.sql.in_transaction:  # a disk error ends it
                    self.sql.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[Change]:
        """Exclusive write transaction, durable when the block ends."""
        with self._in_use, self.exclusive(), failures(self.path):
            self._require_open()
            self.sql.execute("BEGIN IMMEDIATE")
            try:
                before = self.manifest()
                change = Change(before)
                yield change
                if change.manifest != before:
                    sealed = change.manifest.seal(self.protection)
                    self.sql.execute("UPDATE gallery SET state = ?", (sealed,))
                self.sql.execute("COMMIT")
            except BaseException:
                if self.sql.in_transaction:  # a full disk rolls back by itself
                    self.sql.execute("ROLLBACK")
                raise

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """The write lock: no other process writes inside the block."""
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

    def manifest(self) -> Manifest:
        """Manifest of the gallery, as of this transaction."""
        row = self.sql.execute("SELECT state FROM gallery").fetchone()
        if row is None or not isinstance(row[0], bytes):
            raise damaged(self.path, "its state is missing")
        return read_manifest(self.protection, row[0])

    def vacuum(self) -> None:
        """Rewrite the database and truncate its log, so that removed rows are in neither.

        Raises:
            GalleryError: another process keeps an older snapshot open.
        """
        with self.exclusive(), failures(self.path):
            # VACUUM's temporary copy goes into this folder, not into /tmp
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
        """Close the file, under the write lock: the last connection checkpoints the log."""
        with self._in_use:
            self._closed = True
            with suppress(OSError):
                self._lock.take(1.0)
            try:
                self.sql.close()
            finally:
                self._lock.give_back()

    def _require_open(self) -> None:
        """Refuse a thread that comes after the file was closed.

        Raises:
            GalleryError: it was.
        """
        if self._closed:
            raise GalleryError(f"{self.folder}: it was closed meanwhile")

    def _prepare(self, *, create: bool, key: str | None) -> None:
        """Create the tables, or migrate them to the newest version."""
        with self.exclusive():
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
                    self._initialise(key)
                self.sql.execute("COMMIT")
            except BaseException:
                if self.sql.in_transaction:
                    self.sql.execute("ROLLBACK")
                raise

    def _initialise(self, key: str | None) -> None:
        protection: Protection = Checksums()
        encryption = None
        if key is not None:
            protection, parameters = Encryption.create(key)
            encryption = json.dumps(parameters)
        self.sql.execute(
            "INSERT INTO gallery VALUES (1, ?, ?, ?)",
            (secrets.token_bytes(16), encryption, Manifest().seal(protection)),
        )


class Change:
    """Manifest of a write transaction: set ``manifest`` to the new one."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest


def _find(folder: Path, *, create: bool) -> None:
    """Find the database file of a folder, or create it."""
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
        strangers = {entry.name for entry in folder.iterdir()} - OWN_FILES
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
        cure="enroll somebody first: faceverify enroll NAME PHOTO",
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
