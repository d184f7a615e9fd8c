"""Atomic file writes.

A file is written under a temporary name in its folder, and renamed once every byte is on the disk:
readers find the old file or the new one, never a part of it.
"""

from __future__ import annotations

import errno
import io
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from faceverify.errors import OutputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_CURES = {
    errno.ENOSPC: "free some space or write elsewhere",
    errno.EDQUOT: "free some space or write elsewhere",
    errno.ENOENT: "create the folder first",
    errno.ENOTDIR: "name a file inside a folder",
    errno.EISDIR: "name a file inside it",
}


def atomic_write(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write a file atomically.

    Args:
        path: of the file to create or replace; its folder must exist.
        data: content.
        mode: permissions such as ``0o600``; see :func:`atomic_writer`.

    Raises:
        OutputError: the file cannot be written; an existing one is unchanged.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     atomic_write(Path(folder, "result.json"), b"{}")
    ...     Path(folder, "result.json").read_text()
    '{}'
    """
    with atomic_writer(path, mode=mode) as stream:
        stream.write(data)


@contextmanager
def atomic_writer(path: Path, *, mode: int | None = None) -> Iterator[BinaryIO]:
    """Context of a stream whose content replaces ``path`` when the block ends without an exception.

    An exception, Ctrl-C included, leaves ``path`` unchanged and no temporary file.

    Args:
        path: of the file to create or replace; its folder must exist. For a symbolic link, its
            target is replaced.
        mode: permissions of the file. By default those of the file it replaces, so that a private
            file stays private, otherwise ``0o666`` less the umask.

    Raises:
        OutputError: the file cannot be written. An OSError of the block, such as of a network
            during a download, is not converted.
    """
    with _failures_of(path):
        target = Path(os.path.realpath(path))
        replaced = _status(target)
    if mode is None and replaced is not None:
        mode = stat.S_IMODE(replaced.st_mode)
    aside = target.with_name(f".faceverify-{secrets.token_hex(8)}.part")
    try:
        with _Aside(path, aside, mode) as raw, io.BufferedWriter(raw) as stream:
            yield cast("BinaryIO", stream)
            stream.flush()
            with _failures_of(path):
                os.fsync(raw.fileno())
        with _failures_of(path):
            aside.replace(target)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise
    _sync_folder(target.parent)


class _Aside(io.FileIO):
    """The temporary file; its OSErrors become OutputErrors about ``path``."""

    def __init__(self, path: Path, aside: Path, mode: int | None) -> None:
        self._path = path
        with _failures_of(path):
            # 0o666: the kernel applies the umask. With a given mode, the file is private until
            # chmod sets exactly that mode.
            created = 0o666 if mode is None else 0o600
            super().__init__(aside, "x", opener=lambda name, flags: os.open(name, flags, created))
            if mode is not None:
                aside.chmod(mode)

    def write(self, data: ReadableBuffer, /) -> int:
        with _failures_of(self._path):
            return super().write(data)


@contextmanager
def _failures_of(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        reason = problem.strerror or str(problem)
        cure = _CURES.get(problem.errno or 0, "write elsewhere")
        raise OutputError(f"{path}: cannot be written ({reason})", cure=cure) from problem


def _status(target: Path) -> os.stat_result | None:
    """Status of an existing file, None if missing; OSError for a folder, device or pipe."""
    try:
        found = target.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(
        found.st_mode
    ):  # a rename over /dev/null would replace it for all processes
        raise OSError(errno.EINVAL, "it is a device or a pipe")
    return found


def _sync_folder(folder: Path) -> None:
    """Flush the rename to disk, where the file system supports that."""
    with suppress(OSError):  # the file is complete and in place; some network folders cannot sync
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
