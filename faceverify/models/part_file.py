"""``NAME.part``: what has come so far of a file that is being downloaded.

``NAME.part.etag`` beside it keeps the server's word for the version it is part of.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

from faceverify.errors import DownloadError

try:
    import fcntl
except ImportError:  # Windows: two downloads of one file at once end in a wrong hash there
    fcntl = None  # type: ignore[assignment, unused-ignore]

CHUNK = 1 << 18
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass
class Part:
    """What has come of a file so far: its open ``.part`` and the hash of its content."""

    path: Path
    stream: FileIO
    digest: Any = field(default_factory=hashlib.sha256)
    size: int = 0

    @property
    def note(self) -> Path:
        """The file that remembers which version on the server this is part of."""
        return self.path.with_name(self.path.name + ".etag")

    def take_over(self) -> None:
        """Hash what an earlier run left."""
        self.stream.seek(0)
        while block := self.stream.read(CHUNK):
            self.digest.update(block)
            self.size += len(block)

    def append(self, block: bytes) -> None:
        """Keep some more bytes.

        Raises:
            DownloadError: the disk is full or fails; what was written before stays.
        """
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[self.stream.write(rest) :]
        except OSError as error:
            full = error.errno in DISK_FULL
            raise DownloadError(
                f"{self.path}: {'disk full' if full else error.strerror} at byte {self.size:,}",
                cure="free some space and run it again: it goes on there" if full else "",
                code="download-disk-full" if full else None,
            ) from error
        self.digest.update(block)
        self.size += len(block)

    def remember(self, version: str) -> None:
        """Note the server's word for this version, if it can be used to ask for the rest of it."""
        self.note.unlink(missing_ok=True)
        # A weak validator says nothing about single bytes; without any, the hash decides.
        if version and version.isprintable() and not version.startswith("W/"):
            self.note.write_text(version, encoding="utf-8")

    def version(self) -> str:
        """Return the noted word, or nothing."""
        try:
            version = self.note.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""
        return version if version.isprintable() and version.isascii() else ""

    def clear(self) -> None:
        """Start over."""
        self.stream.seek(0)
        self.stream.truncate()
        self.digest, self.size = hashlib.sha256(), 0
        self.note.unlink(missing_ok=True)

    def remove(self) -> None:
        """Leave nothing behind."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


@contextmanager
def opened_part(target: Path) -> Iterator[Part]:
    """Open what has come so far of a file, for this process alone; nothing is left of an empty one.

    Raises:
        DownloadError: another process is downloading it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(target.name + ".part")
    with path.open("a+b", buffering=0) as stream:
        if not alone_with(stream, path):
            raise DownloadError(
                f"{target}: another process is downloading it", cure="wait for that one"
            )
        part = Part(path, stream)
        part.take_over()
        try:
            yield part
        finally:
            if part.size == 0:
                with suppress(OSError):
                    part.remove()


def alone_with(stream: FileIO, path: Path) -> bool:
    """Lock an open file; False if somebody else has, or has just given it its final name."""
    if not fcntl:
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
