"""Files appear whole or not at all.

A result is written aside, in the folder where it belongs, and renamed into place once every byte is
on the disk: whoever reads the file meets the old one or the new one, never half of one.
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
    """Write ``data`` to ``path``, whole or not at all.

    Args:
        path: the file to create or to replace; its folder must exist.
        data: the whole content.
        mode: permissions such as ``0o600``; see :func:`atomic_writer`.

    Raises:
        OutputError: the file cannot be written; what stood there before still does.

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
    """Open a stream whose content becomes ``path`` when the block ends without an exception.

    An exception, Ctrl-C included, leaves ``path`` as it was and nothing beside it.

    Args:
        path: the file to create or to replace; its folder must exist. Of a symbolic link, the file
            that it points to is replaced and the link stays.
        mode: permissions of the file. By default those of the file it replaces, so that a private
            file stays private, or else what the umask leaves of ``0o666``.

    Raises:
        OutputError: the file cannot be written. An OSError of the block itself, such as a network
            that fails while a download is written, comes out as it is.
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
    """The file written aside: each failure of its own is an OutputError about ``path``."""

    def __init__(self, path: Path, aside: Path, mode: int | None) -> None:
        self._path = path
        with _failures_of(path):
            # 0o666: the kernel takes the umask off. A mode of its own: nobody else looks in before
            # it is set, and chmod sets exactly what was asked for.
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
    """Return what stands at ``target``; raise OSError where a file must not take its place."""
    try:
        found = target.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(found.st_mode):  # renaming over /dev/null would take it from everybody
        raise OSError(errno.EINVAL, "it is a device or a pipe")
    return found


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last through a power cut, where the file system knows how."""
    with suppress(OSError):  # the file is whole and in its place; some network folders cannot sync
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
