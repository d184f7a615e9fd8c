"""MXNet's RecordIO, written and read byte for byte without MXNet.

A record is a little-endian magic number, a word that holds what part it is (upper 3 bits: 0 a
whole record; 1, 2, 3 the first, a middle and the last part) and its length (29 bits), the data, and
zeros to a multiple of 4 bytes. Data that holds the magic number at a multiple of 4 bytes is cut
there into parts, and the number left out: so a reader that lost its way finds the next record.

The data of an image record is a header (flag, label, two ids), ``flag`` further labels where the
flag is not 0, and the encoded image.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import TrainingError
from faceverify.training.data.sets.errors import data_error

MAGIC = 0xCED7230A
MAGIC_BYTES = struct.pack("<I", MAGIC)
WHOLE, FIRST, MIDDLE, LAST = range(4)
LENGTH_BITS = 29
MOST = (1 << LENGTH_BITS) - 1  # bytes of a part
HEADER = struct.Struct("<IfQQ")  # flag, label, id, second id
EXACT = 1 << 24  # whole numbers up to here are exact as float32, which labels are


class BrokenRecordError(ValueError):
    """Bytes that are no record; what was found."""


class NoRecordError(BrokenRecordError):
    """A place where no record begins."""

    def __init__(self) -> None:
        super().__init__("no record begins there")


class TruncatedRecordError(BrokenRecordError):
    """A record that goes on behind the end of the bytes.

    Args:
        needed: how many bytes from its beginning are known to be needed.
    """

    def __init__(self, needed: int) -> None:
        super().__init__("cut short")
        self.needed = needed


def record_of(data: bytes) -> bytes:
    """The record of some data, parts and padding included.

    >>> record_of(b"abcde").hex(" ", 4)
    '0a23d7ce 05000000 61626364 65000000'
    """
    if len(data) > MOST:
        raise ValueError(f"{len(data):,} bytes are more than a record holds")
    parts, begin = [], 0
    found = data.find(MAGIC_BYTES)
    while found >= 0:
        if found % 4 == 0:
            parts.append((FIRST if begin == 0 else MIDDLE, data[begin:found]))
            begin = found + 4
            found = data.find(MAGIC_BYTES, begin)
        else:
            found = data.find(MAGIC_BYTES, found + 1)
    parts.append((LAST if parts else WHOLE, data[begin:]))
    record = b"".join(
        MAGIC_BYTES + struct.pack("<I", part << LENGTH_BITS | len(piece)) + piece
        for part, piece in parts
    )
    return record + b"\0" * (-len(record) % 4)


def parse_record(data: bytes, begin: int = 0) -> tuple[bytes, int]:
    """Read the record at a place.

    Returns:
        Its data, and where it ends, padding included.

    Raises:
        TruncatedRecordError: it goes on behind the end of the bytes.
        NoRecordError: no record, or part of it, begins where one should.
        BrokenRecordError: its parts are out of order.
    """
    pieces: list[bytes] = []
    place = begin
    while True:
        if len(data) < place + 8:
            raise TruncatedRecordError(place + 8 - begin)
        magic, word = struct.unpack_from("<II", data, place)
        if magic != MAGIC:
            raise NoRecordError
        part, length = word >> LENGTH_BITS, word & MOST
        if part not in ((FIRST, WHOLE) if not pieces else (MIDDLE, LAST)):
            raise BrokenRecordError(f"part {part} of a record, out of order")
        end = place + 8 + length + -length % 4
        if len(data) < end:
            raise TruncatedRecordError(end - begin)
        pieces.append(data[place + 8 : place + 8 + length])
        place = end
        if part in (WHOLE, LAST):
            return MAGIC_BYTES.join(pieces), place


@dataclass(frozen=True)
class Labelled:
    """What an image record holds.

    Args:
        labels: one or more.
        image: encoded; empty in records that describe others.
        array: the labels lie behind the header, also if there is one.
        id, id2: two further numbers.
    """

    labels: tuple[float, ...]
    image: bytes
    array: bool = False
    id: int = 0
    id2: int = 0

    def encoded(self) -> bytes:
        """The data of its record."""
        if not self.array:
            return HEADER.pack(0, self.labels[0], self.id, self.id2) + self.image
        labels = np.array(self.labels, "<f4")
        return HEADER.pack(len(labels), 0.0, self.id, self.id2) + labels.tobytes() + self.image


def parse_labelled(data: bytes) -> Labelled:
    """Read the data of an image record; BrokenRecordError where it is too short for its header."""
    if len(data) < HEADER.size:
        raise BrokenRecordError(f"a record of {len(data)} bytes, too short for an image's header")
    flag, label, first, second = HEADER.unpack_from(data)
    if flag == 0:
        return Labelled((label,), data[HEADER.size :], False, first, second)
    end = HEADER.size + 4 * flag
    if len(data) < end:
        raise BrokenRecordError(f"a record of {len(data)} bytes, too short for {flag} labels")
    labels = np.frombuffer(data, "<f4", flag, HEADER.size)
    return Labelled(tuple(labels.tolist()), data[end:], True, first, second)


def scan_records(stream: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield place and data of every record of a file, from its beginning to its end.

    Raises:
        TrainingError: the file is cut short or damaged; says where.
    """
    place = 0
    while word := stream.read(8):
        whole = word
        try:
            while True:
                try:
                    data, _ = parse_record(whole)
                    break
                except TruncatedRecordError as short:
                    more = stream.read(short.needed - len(whole))
                    if not more:
                        raise
                    whole += more
        except BrokenRecordError as error:
            raise broken(name, place, error) from error
        yield place, data
        place += len(whole)


def broken(name: str, place: int, error: BrokenRecordError) -> TrainingError:
    """The error of a record that cannot be read."""
    found = "is cut short in" if isinstance(error, TruncatedRecordError) else "is damaged at"
    why = "" if isinstance(error, TruncatedRecordError) else f" ({error})"
    return data_error(f"{name}: {found} the record at byte {place:,}{why}", "copy the file again")


def read_index(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Read an ``.idx`` file.

    Returns:
        Keys and places of the records, (M,) each, in the order of the file.

    Raises:
        TrainingError: a line that is not ``KEY<TAB>PLACE``, a key that stands twice, or no line.
    """
    try:
        with open(path, "rb") as stream:
            empty = not stream.read(1)
        table = np.zeros((0, 2), np.int64)
        if not empty:
            table = np.loadtxt(path, np.int64, comments=None, delimiter="\t", ndmin=2)
    except OSError as error:
        raise data_error(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, OverflowError) as error:
        found = str(error).splitlines()[0]
        raise data_error(f"{path}: is no index of records ({found})", "copy it again") from error
    if not len(table) or table.shape[1] != 2:
        raise data_error(f"{path}: has no lines of KEY<TAB>PLACE", "copy it again")
    keys, places = table[:, 0].copy(), table[:, 1].copy()
    if len(np.unique(keys)) != len(keys):
        raise data_error(f"{path}: has a key twice", "copy it again")
    return keys, places
