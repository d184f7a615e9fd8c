"""Row format of a template in a Milvus collection, and sequence numbers made by the client.

Milvus has no unique constraint, but an upsert replaces the row with the same primary key. So the
key is what must be unique: person and photo. Filters contain hexadecimal hashes only, never text of
the user.
"""

from __future__ import annotations

import secrets
import struct
import time
import zlib
from hashlib import blake2b
from typing import Any

import numpy as np

from faceverify.gallery.store import Enrollment, StoredTemplate

Row = dict[str, Any]

PERSON_BYTES = 16  # of a name's hash: a collision among a billion people has probability 1e-21
KEY_DIGITS = 2 * (PERSON_BYTES + 32)
LONGEST_TEXT = 65_535  # bytes of a VARCHAR
FIELDS = ["sequence", "name", "quality", "time", "checksum", "photo_hash", "photo", "embedding"]

START = 1_577_836_800  # 2020-01-01 UTC: epoch of the clock of sequence numbers
RATE_BITS, TAG_BITS = 16, 16  # numbers a second; id of the writer


def person_of(name: str) -> str:
    """Hash of a person's name, in hex: lookup key of the person's rows."""
    return blake2b(name.encode(), digest_size=PERSON_BYTES).hexdigest()


def to_row(enrollment: Enrollment, now: float) -> Row:
    """Row of a template, without a sequence number; a stored template keeps its time."""
    person, photo_hash = person_of(enrollment.name), enrollment.photo_hash.hex()
    moment = enrollment.time if isinstance(enrollment, StoredTemplate) else now
    return {
        "key": person + photo_hash,
        "person": person,
        "name": enrollment.name,
        "quality": float(enrollment.quality),
        "time": moment,
        "photo_hash": photo_hash,
        # any bytes as valid text, as VARCHAR requires; an ASCII path stays readable
        "photo": enrollment.photo.encode("utf-8", "surrogateescape").decode("latin-1"),
        "embedding": enrollment.embedding.astype(np.float32, copy=False),
    }


def numbered(row: Row, sequence: int) -> Row:
    """The row with its sequence number and checksum."""
    row = row | {"sequence": sequence}
    return row | {"checksum": checksum(row)}


def renamed(row: Row, name: str) -> Row:
    """The row under another name; its number and checksum do not change."""
    person = person_of(name)
    return row | {"key": person + row["photo_hash"], "person": person, "name": name}


def damage(row: Row, dimension: int) -> str | None:
    """Fault of a stored row, in one line; None for an intact row."""
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
    """CRC-32 of a stored template without its name, which may change."""
    facts = struct.pack("<qdd", row["sequence"], row["quality"], row["time"])
    text = f"{row['photo_hash']} {row['photo']}".encode()
    embedding = np.asarray(row["embedding"], "<f4").tobytes()
    return zlib.crc32(embedding, zlib.crc32(facts + text))


class SequenceNumbers:
    """Sequence numbers from the clock: 31 bits of seconds, 16 of fractions, 16 of the writer.

    Milvus has no counter shared by writers. The numbers of one writer always increase. Each writer
    draws its 16 bits at random: two writers share them with probability 1 / 65,536, and can then
    give one number twice if they write at the same time. No template is lost by that; removing one
    of the two by number removes the other as well, if both are of one person.
    """

    def __init__(self) -> None:
        self._last = 0
        self._tag = secrets.randbits(TAG_BITS)

    def draw(self, count: int) -> list[int]:
        """The next ``count`` numbers."""
        first = max(_clock(), self._last + 1)
        self._last = first + count - 1
        return [(slot << TAG_BITS) + self._tag for slot in range(first, first + count)]

    def newest(self) -> int:
        """The greatest number before the present time."""
        return (_clock() << TAG_BITS) - 1

    def settle(self) -> None:
        """Wait until the clock has passed the numbers drawn, so that later ones are greater."""
        time.sleep(max(0, self._last + 1 - _clock()) / (1 << RATE_BITS))


def _clock() -> int:
    return int((time.time() - START) * (1 << RATE_BITS))
