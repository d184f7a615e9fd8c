"""How a template lies in a Milvus collection, and the numbers that this side gives out.

Milvus knows no unique constraint, but a row that is written again under its primary key takes the
place of the old one. So the key says what must not be doubled: person and photo. Filters compare
hashes in hex, never a text of the user's.
"""

from __future__ import annotations

import secrets
import struct
import time
import zlib
from hashlib import blake2b
from typing import Any

import numpy as np

from faceverify.gallery.store import Enrolment, StoredTemplate

Row = dict[str, Any]

PERSON_BYTES = 16  # of a name's hash: no two of a billion people have the same one
KEY_DIGITS = 2 * (PERSON_BYTES + 32)
LONGEST_TEXT = 65_535  # bytes of a VARCHAR
FIELDS = ["sequence", "name", "quality", "time", "checksum", "photo_hash", "photo", "embedding"]

START = 1_577_836_800  # 2020-01-01 UTC, from where the clock of sequence numbers counts
RATE_BITS, TAG_BITS = 16, 16  # numbers a second; which writer gave them out


def person_of(name: str) -> str:
    """What a person's rows are found by, in hex."""
    return blake2b(name.encode(), digest_size=PERSON_BYTES).hexdigest()


def to_row(enrolment: Enrolment, now: float) -> Row:
    """A template's row, without a number; a stored template keeps its time."""
    person, photo_hash = person_of(enrolment.name), enrolment.photo_hash.hex()
    moment = enrolment.time if isinstance(enrolment, StoredTemplate) else now
    return {
        "key": person + photo_hash,
        "person": person,
        "name": enrolment.name,
        "quality": float(enrolment.quality),
        "time": moment,
        "photo_hash": photo_hash,
        # any bytes, as VARCHAR wants it: valid text, and a plain path stays readable
        "photo": enrolment.photo.encode("utf-8", "surrogateescape").decode("latin-1"),
        "embedding": enrolment.embedding.astype(np.float32, copy=False),
    }


def numbered(row: Row, sequence: int) -> Row:
    """The row with its number, complete."""
    row = row | {"sequence": sequence}
    return row | {"checksum": checksum(row)}


def renamed(row: Row, name: str) -> Row:
    """The row under another person's name; number and checksum stay."""
    person = person_of(name)
    return row | {"key": person + row["photo_hash"], "person": person, "name": name}


def damage(row: Row, dimension: int) -> str | None:
    """What is wrong with a stored row, in one line."""
    if checksum(row) != row["checksum"] or len(row["embedding"]) != dimension:
        return f"template {row['sequence']} of {row['name']!r}: wrong checksum"
    if row["key"] != person_of(row["name"]) + row["photo_hash"]:
        return f"template {row['sequence']} of {row['name']!r}: filed under another name"
    return None


def from_row(row: Row, model: str) -> StoredTemplate:
    """The template of a row."""
    return StoredTemplate(
        name=row["name"],
        embedding=np.array(row["embedding"], np.float32),
        photo=row["photo"].encode("latin-1").decode("utf-8", "surrogateescape"),
        photo_hash=bytes.fromhex(row["photo_hash"]),
        quality=row["quality"],
        sequence=row["sequence"],
        model=model,
        time=row["time"],
    )


def checksum(row: Row) -> int:
    """CRC-32 of all that is stored of a template, but its name, which may change."""
    facts = struct.pack("<qdd", row["sequence"], row["quality"], row["time"])
    text = f"{row['photo_hash']} {row['photo']}".encode()
    embedding = np.asarray(row["embedding"], "<f4").tobytes()
    return zlib.crc32(embedding, zlib.crc32(facts + text))


class SequenceNumbers:
    """Numbers that rise with the clock: 31 bits of seconds, 16 of their parts, 16 of the writer.

    Milvus has nothing that counts for many writers. Those of one writer rise always. Each writer
    draws its 16 bits by chance: two have the same ones once in 65,536 times, and meet then where
    they write at the same time. Nothing is lost by that; removing one of two such templates by
    number removes the other as well, if they are of one person.
    """

    def __init__(self) -> None:
        self._last = 0
        self._tag = secrets.randbits(TAG_BITS)

    def draw(self, count: int) -> list[int]:
        """The next numbers."""
        first = max(_clock(), self._last + 1)
        self._last = first + count - 1
        return [(slot << TAG_BITS) + self._tag for slot in range(first, first + count)]

    def newest(self) -> int:
        """The greatest number that the clock has passed."""
        return (_clock() << TAG_BITS) - 1

    def settle(self) -> None:
        """Wait until the clock has passed the numbers given out: what follows is larger."""
        time.sleep(max(0, self._last + 1 - _clock()) / (1 << RATE_BITS))


def _clock() -> int:
    return int((time.time() - START) * (1 << RATE_BITS))
