"""Search files: columns of numbers derived from the database, mapped into memory as they lie.

Nothing in one is the truth: a file that is missing, cut short, damaged or of another gallery is as
good as none. It appears whole or not at all. Layout::

    "FVSEARCH" | offset u64 | length u64 | ... columns ... | trailer

The trailer is JSON, sealed: what the file is of, and each column's name, type, shape, and pieces
of ``ROWS`` rows. Columns of an open gallery lie as numpy holds them, each piece with a checksum
that is taken at the speed of memory. Those of an encrypted one are sealed piece by piece.
"""

from __future__ import annotations

import json
import mmap
import os
import secrets
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import GalleryError
from faceverify.gallery.sqlite.protection import Checksums, Protection
from faceverify.runtime.files import atomic_writer

MAGIC = b"FVSEARCH"
HEAD = struct.Struct("<8sQQ")
PAGE = 4096
ROWS = 8192  # in a piece
PLACE = b"search/trailer"

Array = NDArray[Any]


@dataclass(frozen=True)
class Column:
    """A column of a search file.

    Attributes:
        name: what it is called.
        dtype: type of its numbers, as numpy writes it ("<f4").
        width: numbers in a row; 0 for one, in an array of one dimension.
    """

    name: str
    dtype: str
    width: int = 0

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return np.dtype(self.dtype).itemsize * max(self.width, 1)

    def shape(self, count: int) -> tuple[int, ...]:
        """Shape of so many rows."""
        return (count, self.width) if self.width else (count,)


def write_columns(
    path: Path,
    about: dict[str, Any],
    columns: Sequence[Column],
    count: int,
    parts: Iterable[Sequence[Array]],
    protection: Protection,
) -> None:
    """Write a search file, whole or not at all.

    Args:
        about: what the file is of; plain values, returned by :func:`read_columns`.
        count: rows in all.
        parts: some rows after others, an array for each column.

    Raises:
        OutputError: it cannot be written.
        GalleryError: there are more or fewer rows than ``count``.
    """
    with atomic_writer(path, mode=0o600) as stream:
        nonce = secrets.token_hex(16)
        plain = isinstance(protection, Checksums)
        offsets = _offsets(columns, count)
        pieces: list[list[Any]] = [[] for _ in columns]
        end, row = PAGE, 0
        for arrays in _in_pieces(columns, parts):
            for number, (column, array) in enumerate(zip(columns, arrays, strict=True)):
                data = np.ascontiguousarray(array, column.dtype).tobytes()
                if plain:
                    stream.seek(offsets[number] + row * column.row_bytes)
                    pieces[number].append(_checksum(data))
                else:
                    data = protection.seal(data, _place(nonce, column, row))
                    stream.seek(end)
                    pieces[number].append([end, len(data)])
                stream.write(data)
                end = max(end, stream.tell())
            row += len(arrays[0])
        if row != count:
            raise GalleryError(f"{path}: {row} rows where {count} were expected")
        trailer = {
            "about": about, "count": count, "nonce": nonce, "plain": plain,
            "columns": [
                [column.name, column.dtype, column.width, offset, found]
                for column, offset, found in zip(columns, offsets, pieces, strict=True)
            ],
        }  # fmt: skip
        sealed = protection.seal(json.dumps(trailer, separators=(",", ":")).encode(), PLACE)
        stream.seek(end)
        stream.write(sealed)
        stream.seek(0)
        stream.write(HEAD.pack(MAGIC, end, len(sealed)))


def read_columns(
    path: Path, protection: Protection
) -> tuple[dict[str, Any], dict[str, Array]] | None:
    """What a search file is of, and its columns; None where there is no file that can be trusted.

    Columns of an open gallery are mapped, and read-only; those of an encrypted one are in memory.
    """
    try:
        with open(path, "rb") as stream:
            return _read(stream, protection)
    except (OSError, ValueError, KeyError, TypeError, struct.error, GalleryError):
        return None


def _read(stream: BinaryIO, protection: Protection) -> tuple[dict[str, Any], dict[str, Array]]:
    magic, end, length = HEAD.unpack(stream.read(HEAD.size))
    size = os.fstat(stream.fileno()).st_size
    if magic != MAGIC or size != end + length:
        raise ValueError("cut short, or of another program")
    stream.seek(end)
    trailer = json.loads(protection.open(stream.read(length), PLACE))
    if trailer["plain"] != isinstance(protection, Checksums):
        raise ValueError("of an open gallery, and this one is encrypted, or the other way round")
    arrays: dict[str, Array] = {}
    mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) if trailer["plain"] else None
    for name, dtype, width, offset, pieces in trailer["columns"]:
        column = Column(name, dtype, width)
        shape = column.shape(trailer["count"])
        if mapped is not None:
            flat = np.frombuffer(mapped, column.dtype, trailer["count"] * max(width, 1), offset)
            arrays[name] = flat.reshape(shape)
            _check(arrays[name], pieces)
        else:
            arrays[name] = np.empty(shape, dtype)
            for row, (start, size) in zip(range(0, shape[0], ROWS), pieces, strict=True):
                stream.seek(start)
                data = protection.open(stream.read(size), _place(trailer["nonce"], column, row))
                part = arrays[name][row : row + ROWS]
                part[:] = np.frombuffer(data, dtype).reshape(part.shape)
            arrays[name].flags.writeable = False
    return trailer["about"], arrays


def _in_pieces(
    columns: Sequence[Column], parts: Iterable[Sequence[Array]]
) -> Iterable[list[Array]]:
    """The same rows, ``ROWS`` at a time."""
    held = [np.empty(column.shape(ROWS), column.dtype) for column in columns]
    filled = 0
    for arrays in parts:
        start, height = 0, len(arrays[0])
        while start < height:
            step = min(height - start, ROWS - filled)
            for buffer, array in zip(held, arrays, strict=True):
                buffer[filled : filled + step] = array[start : start + step]
            start, filled = start + step, filled + step
            if filled == ROWS:
                yield held
                filled = 0
    if filled:
        yield [buffer[:filled] for buffer in held]


def _offsets(columns: Sequence[Column], count: int) -> list[int]:
    offsets, end = [], PAGE
    for column in columns:
        offsets.append(end)
        end += -(-count * column.row_bytes // PAGE) * PAGE
    return offsets


def _place(nonce: str, column: Column, row: int) -> bytes:
    return f"search/{nonce}/{column.name}/{row}".encode()


def _check(array: Array, checksums: Sequence[str]) -> None:
    pieces = range(0, len(array), ROWS)
    for row, checksum in zip(pieces, checksums, strict=True):
        if _checksum(array[row : row + ROWS]) != checksum:
            raise ValueError("damaged")


def _checksum(data: bytes | Array) -> str:
    """A hash of the sums of the data's words, page by page.

    Any word that changes changes the sum of its page. It sees damage, at 10 times the speed of a
    hash of the data itself; against an attacker there is encryption.
    """
    flat = (
        np.frombuffer(data, np.uint8)
        if isinstance(data, bytes)
        else data.reshape(-1).view(np.uint8)
    )
    whole = len(flat) // PAGE * PAGE
    sums = np.add.reduce(flat[:whole].view(np.uint64).reshape(-1, PAGE // 8), axis=1)
    return blake2b(sums.tobytes() + flat[whole:].tobytes(), digest_size=16).hexdigest()
